//! Values to attributes, as far as a policy asks for them.

use std::collections::BTreeMap;

use writ_types::{Attr, Digest, Input, Projection, Value};

use super::{Member, Seen, Unrepresentable, View};

type Attributes = BTreeMap<String, Attr>;

impl Seen {
    pub(crate) fn project(
        &self,
        input: &Input,
        projection: &Projection,
    ) -> Result<Attr, Unrepresentable> {
        let mut attributes = Attributes::new();
        for place in &self.places {
            let wanted = projection.child(place.name);
            if wanted.is_nothing() {
                continue;
            }
            let pointer = format!("/{}", place.name);
            let group = match place.name {
                "path" => Some(&input.path),
                "query" => Some(&input.query),
                "header" => Some(&input.header),
                _ => None,
            };
            let attribute = match (group, &input.body, &place.view) {
                (Some(values), _, View::Record(members)) => {
                    Some(record(members, values, wanted, &pointer)?)
                }
                (Some(_), _, _) => return Err(unseen(&pointer)),
                (None, None | Some(Value::Null), _) if place.required => {
                    return Err(unseen(&pointer));
                }
                (None, None | Some(Value::Null), _) => None,
                (None, Some(body), view) => Some(one(view, body, wanted, &pointer)?),
            };
            attributes.extend(attribute.map(|attribute| (place.name.to_owned(), attribute)));
        }
        Ok(Attr::Record(attributes))
    }
}

fn unseen(pointer: &str) -> Unrepresentable {
    Unrepresentable {
        pointer: pointer.to_owned(),
    }
}

/// One value.
fn one(
    view: &View,
    value: &Value,
    wanted: &Projection,
    pointer: &str,
) -> Result<Attr, Unrepresentable> {
    match view {
        View::Bool | View::Long | View::Decimal | View::Text(_) | View::Mixed => {
            scalar(view, value).ok_or_else(|| unseen(pointer))
        }
        View::Record(members) => {
            let values = value.as_object().ok_or_else(|| unseen(pointer))?;
            record(members, values, wanted, pointer)
        }
        View::Map { .. } | View::Items(_) | View::Columns(_) | View::Opaque => {
            together(view, &[value], wanted, pointer, Presence::Everywhere)
        }
    }
}

fn record(
    members: &[Member],
    values: &BTreeMap<String, Value>,
    wanted: &Projection,
    pointer: &str,
) -> Result<Attr, Unrepresentable> {
    let mut attributes = Attributes::new();
    for member in members {
        let wanted = wanted.child(&member.attribute);
        if wanted.is_nothing() {
            continue;
        }
        let pointer = format!("{pointer}/{}", member.name);
        match values.get(&member.name) {
            None | Some(Value::Null) if member.required => return Err(unseen(&pointer)),
            None | Some(Value::Null) => {}
            Some(value) => {
                let attribute = one(&member.view, value, wanted, &pointer)?;
                attributes.insert(member.attribute.clone(), attribute);
            }
        }
    }
    Ok(Attr::Record(attributes))
}

/// Whether every object has a member, and what holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Everywhere,
    Missing,
}

/// All values of one view together.
fn together(
    view: &View,
    values: &[&Value],
    wanted: &Projection,
    pointer: &str,
    presence: Presence,
) -> Result<Attr, Unrepresentable> {
    let mut attributes = Attributes::new();
    match view {
        View::Bool | View::Long | View::Decimal | View::Text(_) | View::Mixed => {
            return scalars(view, values, pointer);
        }
        View::Record(members) => {
            columns(members, values, wanted, pointer, presence, &mut attributes)?;
        }
        View::Map { values: inner } => {
            let maps = all(values, Value::as_object, pointer)?;
            let keys = maps.iter().flat_map(|map| map.keys().cloned());
            attributes.insert(
                "keys".to_owned(),
                Attr::Set(keys.map(Attr::String).collect()),
            );
            attributes.insert("count".to_owned(), total(maps.iter().map(|map| map.len())));
            if let Some(inner) = inner
                && !wanted.child("values").is_nothing()
            {
                let values: Vec<&Value> = maps.iter().flat_map(|map| map.values()).collect();
                attributes.insert("values".to_owned(), scalars(inner, &values, pointer)?);
            }
        }
        View::Items(item) => {
            let lists = all(values, Value::as_array, pointer)?;
            attributes.insert(
                "count".to_owned(),
                total(lists.iter().map(|list| list.len())),
            );
            if !wanted.child("items").is_nothing() {
                let items: Vec<&Value> = lists.iter().copied().flatten().collect();
                attributes.insert("items".to_owned(), scalars(item, &items, pointer)?);
            }
        }
        View::Columns(members) => {
            let lists = all(values, Value::as_array, pointer)?;
            attributes.insert(
                "count".to_owned(),
                total(lists.iter().map(|list| list.len())),
            );
            let objects: Vec<&Value> = lists.into_iter().flatten().collect();
            columns(
                members,
                &objects,
                wanted,
                pointer,
                Presence::Everywhere,
                &mut attributes,
            )?;
        }
        View::Opaque => return Ok(opaque(values)),
    }
    Ok(Attr::Record(attributes))
}

fn columns(
    members: &[Member],
    objects: &[&Value],
    wanted: &Projection,
    pointer: &str,
    presence: Presence,
    attributes: &mut Attributes,
) -> Result<(), Unrepresentable> {
    let objects = all(objects, Value::as_object, pointer)?;
    for member in members {
        let nothing = |name: &String| wanted.child(name).is_nothing();
        if nothing(&member.attribute) && member.missing.as_ref().is_none_or(nothing) {
            continue;
        }
        let pointer = format!("{pointer}/*/{}", member.name);
        let present: Vec<&Value> = objects
            .iter()
            .filter_map(|object| object.get(&member.name))
            .filter(|value| **value != Value::Null)
            .collect();
        let presence = if present.len() < objects.len() {
            Presence::Missing
        } else {
            presence
        };
        if let Some(name) = &member.missing {
            attributes.insert(name.clone(), Attr::Bool(presence == Presence::Missing));
        }
        let wanted = wanted.child(&member.attribute);
        if !wanted.is_nothing() {
            let column = together(&member.view, &present, wanted, &pointer, presence)?;
            attributes.insert(member.attribute.clone(), column);
        }
    }
    Ok(())
}

/// All values as what they must be.
fn all<'v, T: ?Sized>(
    values: &[&'v Value],
    read: fn(&'v Value) -> Option<&'v T>,
    pointer: &str,
) -> Result<Vec<&'v T>, Unrepresentable> {
    values
        .iter()
        .map(|value| read(value).ok_or_else(|| unseen(pointer)))
        .collect()
}

fn total(counts: impl Iterator<Item = usize>) -> Attr {
    let total = counts.fold(0usize, usize::saturating_add);
    Attr::Long(i64::try_from(total).unwrap_or(i64::MAX))
}

fn scalars(view: &View, values: &[&Value], pointer: &str) -> Result<Attr, Unrepresentable> {
    values
        .iter()
        .map(|value| scalar(view, value).ok_or_else(|| unseen(pointer)))
        .collect::<Result<Vec<_>, _>>()
        .map(Attr::Set)
}

fn scalar(view: &View, value: &Value) -> Option<Attr> {
    match (view, value) {
        (View::Bool, Value::Bool(value)) => Some(Attr::Bool(*value)),
        (View::Long, Value::Number(number)) => Some(Attr::Long(number.to_decimal()?.as_i64()?)),
        (View::Decimal, Value::Number(number)) => decimal(number.as_str()),
        (View::Text(_) | View::Mixed, Value::String(text)) => Some(Attr::String(text.clone())),
        // One text for one quantity, so that `1`, `1.0` and `"1"` are not three values.
        (View::Mixed, Value::Number(number)) => {
            Some(Attr::String(number.to_decimal()?.to_string()))
        }
        (View::Mixed, Value::Bool(value)) => Some(Attr::String(value.to_string())),
        _ => None,
    }
}

/// Four places or none: a rounded number would equal another one.
fn decimal(text: &str) -> Option<Attr> {
    if text.contains(['e', 'E']) {
        return None;
    }
    let exact: writ_types::Decimal = text.parse().ok()?;
    let scaled = i64::try_from(exact.scaled_i128(4)?).ok()?;
    let magnitude = scaled.unsigned_abs();
    let whole = magnitude.checked_div(10_000)?;
    let fraction = magnitude.checked_rem(10_000)?;
    let sign = if scaled < 0 { "-" } else { "" };
    Some(Attr::Decimal(format!("{sign}{whole}.{fraction:04}")))
}

/// The length and the digest of the values' text, one after another.
fn opaque(values: &[&Value]) -> Attr {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    let text = texts.join("\n");
    Attr::Record(Attributes::from([
        ("bytes".to_owned(), total(std::iter::once(text.len()))),
        (
            "digest".to_owned(),
            Attr::String(Digest::of(text.as_bytes()).to_string()),
        ),
    ]))
}
