//! The query: declared parameters only, each read as its style says, rebuilt in the caller's order.

use std::collections::BTreeMap;

use writ_types::{Input, Value};

use super::form::{self, Node};
use super::{json_limits, parameters, percent, text, token};
use crate::fault::FaultKind;
use crate::operation::{Operation, Parameter, ParameterPlace, RawCall, Style};
use crate::schema::{Faults, SchemaId, Shape, check, shape};

/// What was given for one parameter, by its number.
#[derive(Default)]
struct Given {
    texts: Vec<String>,
    /// Members of an object that are spread or bracketed.
    tree: Node,
}

pub(super) fn read(
    operation: &Operation,
    call: &RawCall<'_>,
    input: &mut Input,
    target: &mut String,
    faults: &mut Faults,
) {
    let declared: Vec<Declared<'_>> = parameters(operation, ParameterPlace::Query)
        .map(|parameter| Declared {
            parameter,
            spread: (parameter.style == Style::Spread)
                .then(|| shape(&operation.schemas, &[parameter.schema])),
        })
        .collect();
    let mut given: BTreeMap<usize, Given> = BTreeMap::new();
    let query = call.query.unwrap_or_default();
    if query
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#')
    {
        let mut separator = '?';
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if let Err((pointer, kind)) =
                one_pair(pair, &declared, &mut given, target, &mut separator)
            {
                faults.push(pointer, kind);
            }
        }
    } else {
        faults.push("/query", FaultKind::Encoding);
    }
    for (number, declared) in declared.iter().enumerate() {
        let parameter = declared.parameter;
        let pointer = format!("/query/{}", token(&parameter.name));
        let Some(given) = given.remove(&number) else {
            if parameter.required {
                faults.push(pointer, FaultKind::Missing);
            }
            continue;
        };
        if let Some(value) = typed(operation, call, parameter, given, &pointer, faults) {
            check(
                &operation.schemas,
                parameter.schema,
                &value,
                &pointer,
                faults,
            );
            input.query.insert(parameter.name.clone(), value);
        }
    }
}

struct Declared<'p> {
    parameter: &'p Parameter,
    /// The object whose members are parameters of their own.
    spread: Option<Shape>,
}

impl Declared<'_> {
    /// Whether a name is a declared member of a spread object. An open object takes no other names: they could be
    /// anything, a credential too.
    fn spreads(&self, name: &str) -> bool {
        self.spread
            .as_ref()
            .is_some_and(|shape| shape.properties.contains_key(name))
    }
}

/// Reads one pair, and writes it to the target if it is declared.
fn one_pair(
    pair: &str,
    declared: &[Declared<'_>],
    given: &mut BTreeMap<usize, Given>,
    target: &mut String,
    separator: &mut char,
) -> Result<(), (String, FaultKind)> {
    let broken = |kind| ("/query".to_owned(), kind);
    let (raw_name, raw_value) = match pair.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (pair, None),
    };
    let decoded = |raw| percent::decode_form(raw).filter(|text| !text.contains('\0'));
    let name = decoded(raw_name).ok_or_else(|| broken(FaultKind::Encoding))?;
    let value =
        decoded(raw_value.unwrap_or_default()).ok_or_else(|| broken(FaultKind::Encoding))?;
    let own_name = |style: Style| !matches!(style, Style::Spread);
    let exact = declared
        .iter()
        .position(|one| one.parameter.name == name && own_name(one.parameter.style));
    let (root, _) = name.split_once('[').unwrap_or((name.as_str(), ""));
    let number = exact
        .or_else(|| declared.iter().position(|one| one.spreads(&name)))
        .or_else(|| {
            declared
                .iter()
                .position(|one| one.parameter.style == Style::Deep && one.parameter.name == root)
        })
        .ok_or_else(|| broken(FaultKind::Undeclared))?;
    let parameter = declared
        .get(number)
        .map(|one| one.parameter)
        .ok_or_else(|| broken(FaultKind::Undeclared))?;
    target.push(*separator);
    *separator = '&';
    percent::encode(&name, target);
    if raw_value.is_some() {
        target.push('=');
        write_value(&value, parameter.style, target);
    }
    let given = given.entry(number).or_default();
    let kept = if exact.is_some() && parameter.style != Style::Deep {
        given.texts.push(value);
        Ok(())
    } else if parameter.style == Style::Spread {
        given.tree.insert(&[name.as_str()], value)
    } else {
        form::brackets(&name).and_then(|path| {
            let below = path.get(1..).unwrap_or_default();
            given.tree.insert(below, value)
        })
    };
    kept.map_err(|kind| (format!("/query/{}", token(&parameter.name)), kind))
}

fn write_value(value: &str, style: Style, target: &mut String) {
    let Style::List(',') = style else {
        percent::encode(value, target);
        return;
    };
    // The comma between items is not data.
    let mut separator = "";
    for item in value.split(',') {
        target.push_str(separator);
        percent::encode(item, target);
        separator = ",";
    }
}

fn typed(
    operation: &Operation,
    call: &RawCall<'_>,
    parameter: &Parameter,
    given: Given,
    pointer: &str,
    faults: &mut Faults,
) -> Option<Value> {
    let schemas = &operation.schemas;
    let ids: [SchemaId; 1] = [parameter.schema];
    let single = || match given.texts.as_slice() {
        [text] => Ok(text.as_str()),
        _ => Err(FaultKind::Repeated),
    };
    let read = match parameter.style {
        Style::Scalar | Style::Opaque => {
            single().and_then(|text| text::scalar(schemas, &ids, text, faults))
        }
        Style::List(delimiter) => {
            single().and_then(|text| text::list(schemas, &ids, text, delimiter, &[], faults))
        }
        Style::Repeated => text::several(schemas, &ids, &given.texts, faults),
        Style::Json => single().and_then(|text| {
            Value::parse(text.as_bytes(), &json_limits(call.limits))
                .map_err(|fault| FaultKind::Json(fault.kind, fault.offset))
        }),
        // The fault of what did not get here is known.
        Style::Deep | Style::Spread if given.tree.is_empty() => return None,
        Style::Deep | Style::Spread => {
            return form::value(schemas, &ids, given.tree, pointer, faults);
        }
    };
    read.map_err(|kind| faults.push(pointer, kind)).ok()
}
