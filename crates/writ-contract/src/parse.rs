//! A call, read strictly: typed values, every fault, and the target rebuilt from what was read.

mod body;
mod form;
pub(crate) mod percent;
mod query;
mod text;

use writ_types::{Input, JsonLimits, Limits, Value};

use crate::fault::FaultKind;
use crate::operation::{Operation, Parameter, ParameterPlace, Parsed, RawCall, Style};
use crate::router::{Partial, Route, Segment, Telling};
use crate::schema::{Faults, check};

pub(crate) fn parse(operation: &Operation, route: &Route<'_>, call: &RawCall<'_>) -> Parsed {
    let mut faults = Faults::default();
    let mut input = Input::default();
    let telling = Telling {
        query: call.query,
        headers: call.headers,
    };
    let is_another = operation.others.iter().any(|guards| {
        guards
            .iter()
            .all(|guard| guard.holds(&route.values, telling))
    });
    if is_another || !std::ptr::eq(route.operation, operation) {
        faults.push("", FaultKind::Ambiguous);
    }
    let mut target = path(operation, &route.values, &mut input, &mut faults);
    query::read(operation, call, &mut input, &mut target, &mut faults);
    let headers = headers(operation, call, &mut input, &mut faults);
    body::read(operation, call, &mut input, &mut faults);
    Parsed {
        input,
        faults: faults.finish("/body"),
        target,
        headers,
    }
}

/// Reads the path parameters and writes the path.
fn path(
    operation: &Operation,
    values: &[String],
    input: &mut Input,
    faults: &mut Faults,
) -> String {
    let parameters = parameters(operation, ParameterPlace::Path);
    for (parameter, text) in parameters.zip(values) {
        if let Some(value) = one(operation, parameter, text, "/path", faults) {
            input.path.insert(parameter.name.clone(), value);
        }
    }
    target(operation, values)
}

/// The path, written from the values of its parameters.
pub(crate) fn target(operation: &Operation, values: &[String]) -> String {
    let listed = |number: usize| {
        let parameter = parameters_at(operation, number);
        parameter.is_some_and(|parameter| matches!(parameter.style, Style::List(_)))
    };
    let mut target = String::new();
    let mut next = values.iter().enumerate();
    let mut value = |target: &mut String| {
        let Some((number, text)) = next.next() else {
            return;
        };
        let mut separator = "";
        // The delimiter of a list is not data.
        for item in text.split(|char| char == ',' && listed(number)) {
            target.push_str(separator);
            percent::encode(item, target);
            separator = ",";
        }
    };
    for segment in &operation.segments {
        target.push('/');
        match segment {
            Segment::Literal(text) => percent::encode_literal(text, &mut target),
            Segment::Parameter => value(&mut target),
            Segment::Partial(Partial {
                prefix,
                middle,
                suffix,
            }) => {
                percent::encode_literal(prefix, &mut target);
                value(&mut target);
                if let Some(middle) = middle {
                    percent::encode_literal(middle, &mut target);
                    value(&mut target);
                }
                percent::encode_literal(suffix, &mut target);
            }
        }
    }
    target
}

fn parameters(operation: &Operation, place: ParameterPlace) -> impl Iterator<Item = &Parameter> {
    let all = operation.parameters.iter();
    all.filter(move |parameter| parameter.place == place)
}

fn parameters_at(operation: &Operation, number: usize) -> Option<&Parameter> {
    parameters(operation, ParameterPlace::Path).nth(number)
}

/// Reads the declared headers; those that were read are forwarded.
fn headers(
    operation: &Operation,
    call: &RawCall<'_>,
    input: &mut Input,
    faults: &mut Faults,
) -> Vec<(String, String)> {
    let mut forwarded = Vec::new();
    for parameter in parameters(operation, ParameterPlace::Header) {
        let pointer = || format!("/header/{}", parameter.name);
        let mut given = call
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(&parameter.name));
        let (bytes, again) = (given.next(), given.next());
        let Some((_, bytes)) = bytes else {
            if parameter.required {
                faults.push(pointer(), FaultKind::Missing);
            }
            continue;
        };
        if again.is_some() {
            faults.push(pointer(), FaultKind::Repeated);
            continue;
        }
        let text = std::str::from_utf8(bytes)
            .map(|text| text.trim_matches([' ', '\t']))
            .ok()
            .filter(|text| !text.chars().any(char::is_control));
        let Some(text) = text else {
            faults.push(pointer(), FaultKind::Encoding);
            continue;
        };
        if let Some(value) = one(operation, parameter, text, "/header", faults) {
            input.header.insert(parameter.name.clone(), value);
        }
        forwarded.push((parameter.name.clone(), text.to_owned()));
    }
    forwarded
}

/// A parameter of one decoded text, typed and checked.
fn one(
    operation: &Operation,
    parameter: &Parameter,
    text: &str,
    place: &str,
    faults: &mut Faults,
) -> Option<Value> {
    let pointer = format!("{place}/{}", token(&parameter.name));
    if text.contains('\0') {
        faults.push(pointer, FaultKind::Encoding);
        return None;
    }
    let schemas = &operation.schemas;
    let ids = [parameter.schema];
    let read = match parameter.style {
        Style::List(delimiter) => {
            // RFC 9110 §5.6.1: blanks around the items of a field are not data.
            let in_field = parameter.place == ParameterPlace::Header;
            let blanks: &[char] = if in_field { &[' ', '\t'] } else { &[] };
            text::list(schemas, &ids, text, delimiter, blanks, faults)
        }
        Style::Json => Value::parse(text.as_bytes(), &json_limits(&Limits::default()))
            .map_err(|fault| FaultKind::Json(fault.kind, fault.offset)),
        Style::Scalar | Style::Repeated | Style::Deep | Style::Spread | Style::Opaque => {
            text::scalar(schemas, &ids, text, faults)
        }
    };
    match read {
        Ok(value) => {
            check(schemas, parameter.schema, &value, &pointer, faults);
            Some(value)
        }
        Err(kind) => {
            faults.push(pointer, kind);
            None
        }
    }
}

/// A name as a pointer's token.
fn token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn json_limits(limits: &Limits) -> JsonLimits {
    JsonLimits {
        // The checks recurse: no setting makes them deeper than a document.
        depth: limits.json_depth.min(JsonLimits::DOCUMENT.depth),
        values: limits.json_values,
        number_chars: JsonLimits::REQUEST.number_chars,
    }
}

#[cfg(test)]
mod tests;
