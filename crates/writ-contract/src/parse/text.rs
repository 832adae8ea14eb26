//! Texts to values: what a parameter's text means by its schema.

use writ_types::{Number, Value};

use crate::fault::FaultKind;
use crate::schema::{Faults, SchemaId, Schemas, Shape, Types, fits, shape};

/// The value a single text means.
pub(super) fn scalar(
    schemas: &Schemas,
    ids: &[SchemaId],
    text: &str,
    faults: &mut Faults,
) -> Result<Value, FaultKind> {
    let shape = shape(schemas, ids);
    choose(schemas, ids, scalars(&shape, text), faults)
}

/// The list a text means, between delimiters and without `blanks` around items; the text itself where it fits better
/// alone.
pub(super) fn list(
    schemas: &Schemas,
    ids: &[SchemaId],
    text: &str,
    delimiter: char,
    blanks: &[char],
    faults: &mut Faults,
) -> Result<Value, FaultKind> {
    let texts: Vec<&str> = text
        .split(delimiter)
        .map(|item| item.trim_matches(blanks))
        .collect();
    let shape = shape(schemas, ids);
    let items = array(schemas, &shape, &texts, faults)?;
    let mut candidates = if texts.len() == 1 {
        scalars(&shape, text)
    } else {
        Vec::new()
    };
    candidates.push(items);
    choose(schemas, ids, candidates, faults)
}

/// The value that one or more texts of one name mean.
pub(super) fn several(
    schemas: &Schemas,
    ids: &[SchemaId],
    texts: &[String],
    faults: &mut Faults,
) -> Result<Value, FaultKind> {
    let shape = shape(schemas, ids);
    let mut candidates = match texts {
        [text] => scalars(&shape, text),
        _ => Vec::new(),
    };
    if shape.may_be(Types::ARRAY) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        candidates.push(array(schemas, &shape, &texts, faults)?);
    } else if texts.len() > 1 {
        return Err(FaultKind::Repeated);
    }
    choose(schemas, ids, candidates, faults)
}

fn array(
    schemas: &Schemas,
    shape: &Shape,
    texts: &[&str],
    faults: &mut Faults,
) -> Result<Value, FaultKind> {
    texts
        .iter()
        .map(|text| scalar(schemas, &shape.items, text, faults))
        .collect::<Result<Vec<_>, _>>()
        .map(Value::Array)
}

/// The values a text may mean, the text itself first.
fn scalars(shape: &Shape, text: &str) -> Vec<Value> {
    let mut candidates = Vec::new();
    if shape.untyped || shape.may_be(Types::STRING) {
        candidates.push(Value::from(text));
    }
    let number = shape.may_be(Types::INTEGER) || shape.may_be(Types::NUMBER);
    if number && let Some(number) = plain_number(text) {
        candidates.push(Value::Number(number));
    }
    if shape.may_be(Types::BOOLEAN) {
        match text {
            "true" => candidates.push(Value::Bool(true)),
            "false" => candidates.push(Value::Bool(false)),
            _ => {}
        }
    }
    candidates
}

/// A number without an exponent: in a text, not every server reads one.
fn plain_number(text: &str) -> Option<Number> {
    if text.len() > 128 || text.contains(['e', 'E']) || text == "-0" {
        return None;
    }
    Number::parse(text)
}

/// The first candidate that fits, else the first, whose faults are then reported.
fn choose(
    schemas: &Schemas,
    ids: &[SchemaId],
    candidates: Vec<Value>,
    faults: &mut Faults,
) -> Result<Value, FaultKind> {
    if candidates.len() > 1 {
        let fitting = candidates
            .iter()
            .find(|candidate| ids.iter().any(|id| fits(schemas, *id, candidate, faults)));
        if let Some(fitting) = fitting {
            return Ok(fitting.clone());
        }
    }
    candidates.into_iter().next().ok_or(FaultKind::Type)
}
