//! What a call comes to: the amounts at the places that the API's owner calls a `quantity`, each in its unit.

use std::collections::BTreeSet;

use writ_types::{Amount, Input, Quantities, Quantity, Unit, Value, WindowName};

use crate::field::Quantified;
use crate::operation::Operation;

impl Operation {
    /// The quantities that its arguments are.
    #[must_use]
    pub fn quantity_names(&self) -> BTreeSet<WindowName> {
        let marks = self.marks().iter();
        let named = marks.filter_map(|marked| marked.mark.quantity.as_ref());
        named.map(|quantity| quantity.name.clone()).collect()
    }

    /// What the arguments of a call come to. A quantity that the operation has and the call does not say is not known: what
    /// the server makes of that nobody here can tell.
    #[must_use]
    pub fn quantities(&self, input: &Input) -> Quantities {
        let mut all = Quantities::default();
        let mut said = BTreeSet::new();
        for marked in self.marks() {
            let Some(quantity) = &marked.mark.quantity else {
                continue;
            };
            let mut found = Vec::new();
            at(input, &marked.pointer, quantity, &mut found);
            for one in found {
                said.insert(one.name.clone());
                all.add(one);
            }
        }
        for name in self.quantity_names().difference(&said) {
            all.add(unknown(name));
        }
        all
    }

    /// What a call comes to whose arguments nobody has read.
    #[must_use]
    pub fn unread_quantities(&self) -> Quantities {
        let mut all = Quantities::default();
        for name in self.quantity_names() {
            all.add(unknown(&name));
        }
        all
    }
}

fn unknown(name: &WindowName) -> Quantity {
    Quantity {
        name: name.clone(),
        unit: Unit::default(),
        amount: None,
    }
}

/// The amounts at a place of the input, where `*` is every item or member.
fn at(input: &Input, pointer: &str, quantity: &Quantified, found: &mut Vec<Quantity>) {
    let plain = |token: &str| token.replace("~1", "/").replace("~0", "~");
    let tokens: Vec<String> = pointer.split('/').skip(1).map(plain).collect();
    let Some((group, rest)) = tokens.split_first() else {
        return;
    };
    let values = match group.as_str() {
        "path" => &input.path,
        "query" => &input.query,
        "header" => &input.header,
        _ => {
            if let Some(body) = &input.body {
                walk(body, Beside::Unknown, rest, quantity, found);
            }
            return;
        }
    };
    let Some((name, rest)) = rest.split_first() else {
        return;
    };
    if let Some(value) = values.get(name) {
        let beside = Beside::of(quantity.per.as_ref().and_then(|per| values.get(per)));
        walk(value, beside, rest, quantity, found);
    }
}

/// What stands where the unit is named.
#[derive(Clone, Copy)]
enum Beside<'a> {
    /// Nothing does: there is no such place.
    Unknown,
    /// It is not said.
    Absent,
    /// This is.
    Named(&'a Value),
}

impl<'a> Beside<'a> {
    const fn of(named: Option<&'a Value>) -> Self {
        match named {
            None | Some(Value::Null) => Self::Absent,
            Some(value) => Self::Named(value),
        }
    }
}

fn walk(
    value: &Value,
    beside: Beside<'_>,
    tokens: &[String],
    quantity: &Quantified,
    found: &mut Vec<Quantity>,
) {
    let Some((token, rest)) = tokens.split_first() else {
        found.extend(amount(value, beside, quantity));
        return;
    };
    match value {
        Value::Array(items) if token == "*" => {
            for item in items {
                one_of_many(item, beside, rest, quantity, found);
            }
        }
        Value::Object(members) => {
            let beside = Beside::of(quantity.per.as_ref().and_then(|per| members.get(per)));
            for (name, member) in members {
                if token == "*" {
                    one_of_many(member, beside, rest, quantity, found);
                } else if name == token {
                    walk(member, beside, rest, quantity, found);
                }
            }
        }
        // Several schemas may speak of one place: what is no list there is no item of one.
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What one item of a list, or one member of a map, comes to. One that does not say it is as a call that does not: the others
/// are not the whole.
fn one_of_many(
    item: &Value,
    beside: Beside<'_>,
    tokens: &[String],
    quantity: &Quantified,
    found: &mut Vec<Quantity>,
) {
    let before = found.len();
    walk(item, beside, tokens, quantity, found);
    if found.len() == before {
        found.push(unknown(&quantity.name));
    }
}

/// What stands there; nothing where it says that there is none.
fn amount(value: &Value, beside: Beside<'_>, quantity: &Quantified) -> Option<Quantity> {
    if *value == Value::Null {
        return None;
    }
    let unit = match (&quantity.per, beside) {
        (None, _) | (Some(_), Beside::Absent) => Some(Unit::default()),
        (Some(_), Beside::Named(named)) => named.as_str().and_then(Unit::of),
        (Some(_), Beside::Unknown) => None,
    };
    Some(Quantity {
        name: quantity.name.clone(),
        amount: unit.as_ref().and_then(|_| Amount::of(value)),
        unit: unit.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
