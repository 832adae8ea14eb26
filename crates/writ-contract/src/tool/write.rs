//! A tool's arguments as the HTTP request they mean.

use std::collections::BTreeMap;

use writ_types::Value;

use crate::fault::FaultKind;
use crate::media::MediaKind;
use crate::operation::{Operation, Parameter, ParameterPlace, Style};
use crate::parse::percent;
use crate::schema::Faults;

/// Deepest value that is written as a form or in brackets.
const DEEPEST: usize = 16;

/// A request as a client of the contract would write it.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Begins with `/`.
    pub(super) path: String,
    /// Without `?`; empty if there is none.
    pub(super) query: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) content_type: Option<String>,
    pub(super) body: Vec<u8>,
}

/// The member of a tool's arguments, and of the typed input, that holds the parameters of a place.
pub(super) fn group(place: ParameterPlace) -> &'static str {
    match place {
        ParameterPlace::Path => "path",
        ParameterPlace::Query => "query",
        ParameterPlace::Header => "header",
    }
}

/// Where a parameter stands, for a fault.
pub(super) fn pointer(place: ParameterPlace, name: &str) -> String {
    let token = name.replace('~', "~0").replace('/', "~1");
    format!("/{}/{token}", group(place))
}

/// Writes the request. What cannot be written is a fault and left out.
pub(super) fn write(operation: &Operation, arguments: &Value, faults: &mut Faults) -> Written {
    let mut written = Written::default();
    let Some(members) = arguments.as_object() else {
        faults.push("", FaultKind::Type);
        return written;
    };
    let known = ["path", "query", "header", "body", "content_type"];
    if members.keys().any(|name| !known.contains(&name.as_str())) {
        faults.push("", FaultKind::Undeclared);
    }
    written.path = path(
        operation,
        &parameters(operation, members, ParameterPlace::Path, faults),
        faults,
    );
    for (parameter, value) in parameters(operation, members, ParameterPlace::Query, faults) {
        query(parameter, value, &mut written.query, faults);
    }
    for (parameter, value) in parameters(operation, members, ParameterPlace::Header, faults) {
        match text(parameter, value) {
            Some(text) => written.headers.push((parameter.name.clone(), text)),
            None => faults.push(
                pointer(parameter.place, &parameter.name),
                FaultKind::Unwritable,
            ),
        }
    }
    body(operation, members, &mut written, faults);
    written
}

/// The parameters of one place that were given, in the contract's order.
fn parameters<'a>(
    operation: &'a Operation,
    members: &'a BTreeMap<String, Value>,
    place: ParameterPlace,
    faults: &mut Faults,
) -> Vec<(&'a Parameter, &'a Value)> {
    let Some(given) = members.get(group(place)) else {
        return Vec::new();
    };
    let Some(given) = given.as_object() else {
        faults.push(format!("/{}", group(place)), FaultKind::Type);
        return Vec::new();
    };
    let declared = operation.parameters.iter();
    let found: Vec<_> = declared
        .filter(|parameter| parameter.place == place)
        .filter_map(|parameter| Some((parameter, given.get(&parameter.name)?)))
        .collect();
    if found.len() < given.len() {
        faults.push(format!("/{}", group(place)), FaultKind::Undeclared);
    }
    found
}

/// The path with its values, each escaped whole.
fn path(operation: &Operation, given: &[(&Parameter, &Value)], faults: &mut Faults) -> String {
    let mut values = Vec::new();
    let declared = operation.parameters.iter();
    for parameter in declared.filter(|parameter| parameter.place == ParameterPlace::Path) {
        let value = given
            .iter()
            .find(|(known, _)| std::ptr::eq(*known, parameter));
        let Some((_, value)) = value else {
            faults.push(
                pointer(parameter.place, &parameter.name),
                FaultKind::Missing,
            );
            return "/".to_owned();
        };
        let Some(text) = text(parameter, value) else {
            faults.push(
                pointer(parameter.place, &parameter.name),
                FaultKind::Unwritable,
            );
            return "/".to_owned();
        };
        values.push(text);
    }
    crate::parse::target(operation, &values)
}

/// `name=value` pairs of a query or a form, in the order they are written.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// Adds a scalar; none for anything else.
    fn scalar(&mut self, name: &str, value: &Value) -> Option<()> {
        self.0.push((name.to_owned(), scalar(value)?));
        Some(())
    }

    /// Adds a scalar, or each of a list of them under the same name.
    fn repeated(&mut self, name: &str, value: &Value) -> Option<()> {
        match value.as_array() {
            Some(items) => items.iter().try_for_each(|item| self.scalar(name, item)),
            None => self.scalar(name, value),
        }
    }

    /// Adds a value under bracketed names: `name[member]`, `name[0][member]`, `name[]` for lists of texts.
    fn bracketed(&mut self, name: &str, value: &Value, left: usize) -> Option<()> {
        let left = left.checked_sub(1)?;
        if let Some(members) = value.as_object() {
            // An empty object leaves no trace, and a name with brackets of its own would be read as another.
            let plain = |member: &String| !member.is_empty() && !member.contains(['[', ']']);
            let writable = !members.is_empty() && members.keys().all(plain);
            writable.then_some(())?;
            return members.iter().try_for_each(|(member, value)| {
                self.bracketed(&format!("{name}[{member}]"), value, left)
            });
        }
        let Some(items) = value.as_array() else {
            return self.scalar(name, value);
        };
        let nested = |item: &Value| matches!(item, Value::Array(_) | Value::Object(_));
        let numbered = items.iter().any(nested);
        (!items.is_empty()).then_some(())?;
        items.iter().enumerate().try_for_each(|(index, item)| {
            let name = if numbered {
                format!("{name}[{index}]")
            } else {
                format!("{name}[]")
            };
            self.bracketed(&name, item, left)
        })
    }

    /// Appends them, each name and value escaped whole.
    fn append(&self, out: &mut String) {
        for (name, value) in &self.0 {
            if !out.is_empty() {
                out.push('&');
            }
            percent::encode(name, out);
            out.push('=');
            percent::encode(value, out);
        }
    }
}

/// Appends a query parameter.
fn query(parameter: &Parameter, value: &Value, out: &mut String, faults: &mut Faults) {
    let mut pairs = Pairs::default();
    let name = parameter.name.as_str();
    let written = match (parameter.style, value) {
        (Style::Repeated, value) => pairs.repeated(name, value),
        (Style::Deep, value @ Value::Object(_)) => pairs.bracketed(name, value, DEEPEST),
        (Style::Spread, Value::Object(members)) => members
            .iter()
            .try_for_each(|(member, value)| pairs.repeated(member, value)),
        _ => text(parameter, value).map(|text| pairs.0.push((name.to_owned(), text))),
    };
    if written.is_none() || pairs.0.is_empty() {
        faults.push(pointer(parameter.place, name), FaultKind::Unwritable);
    } else {
        pairs.append(out);
    }
}

/// The one text of a parameter; none if its style cannot carry the value.
fn text(parameter: &Parameter, value: &Value) -> Option<String> {
    match (parameter.style, value) {
        (Style::Json, value) => Some(value.to_string()),
        (Style::List(delimiter), Value::Array(items)) if !items.is_empty() => {
            let texts: Vec<String> = items.iter().map(scalar).collect::<Option<_>>()?;
            Some(texts.join(&delimiter.to_string()))
        }
        (_, value) => scalar(value),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.as_str().to_owned()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The body, as the media type that was named, or as the first.
fn body(
    operation: &Operation,
    members: &BTreeMap<String, Value>,
    written: &mut Written,
    faults: &mut Faults,
) {
    let media = super::media(operation).unwrap_or_default();
    let named = members.get("content_type");
    let chosen = match named {
        None => media.first(),
        Some(named) => {
            let found = media
                .iter()
                .find(|(content_type, _)| named.as_str() == Some(content_type));
            if found.is_none() || !members.contains_key("body") {
                faults.push("/content_type", FaultKind::MediaType);
                return;
            }
            found
        }
    };
    let (value, (content_type, media)) = match (members.get("body"), chosen) {
        (None, _) => return,
        (Some(_), None) => {
            faults.push("/body", FaultKind::BodyUndeclared);
            return;
        }
        (Some(value), Some(chosen)) => (value, chosen),
    };
    written.content_type = Some(content_type.clone());
    if media.kind == MediaKind::Json {
        written.body = value.to_string().into_bytes();
        return;
    }
    let mut pairs = Pairs::default();
    let form = value.as_object().and_then(|members| {
        members
            .iter()
            .try_for_each(|(name, value)| pairs.bracketed(name, value, DEEPEST))
    });
    let mut text = String::new();
    pairs.append(&mut text);
    if form.is_none() || text.is_empty() {
        faults.push("/body", FaultKind::Unwritable);
    }
    written.body = text.into_bytes();
}
