//! Forms and bracketed names: texts under names, put together to the value that the schema declares.

use std::collections::BTreeMap;

use writ_types::Value;

use super::{percent, text, token};
use crate::fault::FaultKind;
use crate::schema::{Faults, SchemaId, Schemas, Types, shape};

/// Deepest bracketed name.
const DEEPEST: usize = 16;

/// What was given under one name.
#[derive(Debug, Default)]
pub(super) struct Node {
    texts: Vec<String>,
    below: BTreeMap<String, Self>,
}

impl Node {
    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.below.is_empty()
    }

    /// Adds a text at a path of names.
    pub(super) fn insert(&mut self, path: &[&str], text: String) -> Result<(), FaultKind> {
        if path.len() > DEEPEST {
            return Err(FaultKind::Form);
        }
        let node = path.iter().fold(self, |node, name| {
            node.below.entry((*name).to_owned()).or_default()
        });
        node.texts.push(text);
        Ok(())
    }
}

/// The path of a bracketed name: `a[b][]` is `a`, `b` and an empty name.
pub(super) fn brackets(name: &str) -> Result<Vec<&str>, FaultKind> {
    let Some((root, rest)) = name.split_once('[') else {
        return Ok(vec![name]);
    };
    let inner = rest.strip_suffix(']').ok_or(FaultKind::Form)?;
    let mut path = vec![root];
    for part in inner.split("][") {
        if part.contains(['[', ']']) {
            return Err(FaultKind::Form);
        }
        path.push(part);
    }
    Ok(path)
}

/// Reads a form body into the value its schema declares.
pub(super) fn read(
    schemas: &Schemas,
    schema: Option<SchemaId>,
    body: &str,
    most: usize,
    faults: &mut Faults,
) -> Option<Value> {
    let ids: Vec<SchemaId> = schema.into_iter().collect();
    let declared = shape(schemas, &ids);
    let mut root = Node::default();
    for (number, pair) in body.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        if number >= most {
            faults.push("/body", FaultKind::Count);
            return None;
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |raw| percent::decode_form(raw).filter(|text| !text.contains('\0'));
        let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
            faults.push("/body", FaultKind::Encoding);
            return None;
        };
        // A declared name may have brackets of its own.
        let path = if declared.properties.contains_key(&name) {
            Ok(vec![name.as_str()])
        } else {
            brackets(&name)
        };
        if let Err(kind) = path.and_then(|path| root.insert(&path, value)) {
            faults.push("/body", kind);
            return None;
        }
    }
    object(schemas, &ids, root, "/body", faults)
}

/// The value of a node; none, with a fault, if the texts make no such value.
pub(super) fn value(
    schemas: &Schemas,
    ids: &[SchemaId],
    node: Node,
    pointer: &str,
    faults: &mut Faults,
) -> Option<Value> {
    match (node.texts.is_empty(), node.below.is_empty()) {
        (false, true) => text::several(schemas, ids, &node.texts, faults)
            .map_err(|kind| faults.push(pointer, kind))
            .ok(),
        (true, false) => {
            let declared = shape(schemas, ids);
            if declared.may_be(Types::ARRAY) && looks_like_items(&node) {
                items(schemas, &declared.items, node, pointer, faults)
            } else {
                object(schemas, ids, node, pointer, faults)
            }
        }
        // A name with a text of its own and with members, or with neither.
        (false, false) | (true, true) => {
            faults.push(pointer, FaultKind::Form);
            None
        }
    }
}

fn looks_like_items(node: &Node) -> bool {
    let number = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
    node.below.keys().all(number)
}

/// `name[]=a&name[]=b`, or `name[0]=a&name[1]=b` without a gap.
fn items(
    schemas: &Schemas,
    ids: &[SchemaId],
    node: Node,
    pointer: &str,
    faults: &mut Faults,
) -> Option<Value> {
    let mut below = node.below;
    let mut items = Vec::new();
    if let Some(unnumbered) = below.remove("") {
        // `name[][a]=…` leaves open where one item ends and the next begins.
        if !below.is_empty() || !unnumbered.below.is_empty() {
            faults.push(pointer, FaultKind::Form);
            return None;
        }
        for text in unnumbered.texts {
            let read = text::scalar(schemas, ids, &text, faults);
            items.push(read.map_err(|kind| faults.push(pointer, kind)).ok()?);
        }
        return Some(Value::Array(items));
    }
    for index in 0..below.len() {
        let Some(node) = below.remove(&index.to_string()) else {
            faults.push(pointer, FaultKind::Form);
            return None;
        };
        items.push(value(
            schemas,
            ids,
            node,
            &format!("{pointer}/{index}"),
            faults,
        )?);
    }
    Some(Value::Array(items))
}

fn object(
    schemas: &Schemas,
    ids: &[SchemaId],
    node: Node,
    pointer: &str,
    faults: &mut Faults,
) -> Option<Value> {
    let declared = shape(schemas, ids);
    let mut members = BTreeMap::new();
    for (name, below) in node.below {
        let (ids, place) = match declared.properties.get(&name) {
            Some(property) => (
                property.schemas.as_slice(),
                format!("{pointer}/{}", token(&name)),
            ),
            None => (declared.additional.as_slice(), pointer.to_owned()),
        };
        members.insert(name, value(schemas, ids, below, &place, faults)?);
    }
    Some(Value::Object(members))
}
