//! What a policy sees of a call: JSON values as typed attributes, and how clearly each place is seen.
//!
//! | JSON | attribute |
//! |---|---|
//! | string | `String` |
//! | integer | `Long` |
//! | number | `Decimal`, only if exact in four places and without an exponent |
//! | boolean | `Bool` |
//! | null | absent |
//! | object | closed record |
//! | map | `{keys, count, values?}` |
//! | array of scalars | `{items, count}` |
//! | array of objects | columns: `{count, <leaf>, <leaf>__missing}` |
//! | alternatives of scalars | `String`, canonical |
//! | anything else | opaque: `{bytes, digest}` |
//!
//! Nothing is left out silently: what is not seen as it is stands in the [`Coverage`].

mod build;
mod looks;
mod project;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use writ_types::{AttrField, AttrType, Domains};

use crate::operation::Operation;

/// A value that a policy asks for cannot be seen exactly; the call is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value at `{pointer}` cannot be seen exactly")]
pub struct Unrepresentable {
    /// Where: only the contract's own names, `*` for items.
    pub pointer: String,
}

/// How clearly a place of the input is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Visibility {
    /// As it is.
    Visible,
    /// Something is lost: order and repetition of items, which items belong together, the values of a map, a
    /// restriction that is not enforced.
    Lossy,
    /// Only its length and digest, or nothing at all.
    Opaque,
}

/// How clearly a policy sees each place of an operation's input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    places: BTreeMap<String, Visibility>,
}

impl Coverage {
    /// All places (`/body/rrsets/*/name`), in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Visibility)> {
        self.places
            .iter()
            .map(|(pointer, visibility)| (pointer.as_str(), *visibility))
    }

    /// How a place is seen, if the contract has it.
    #[must_use]
    pub fn of(&self, pointer: &str) -> Option<Visibility> {
        self.places.get(pointer).copied()
    }

    /// How many places are seen so.
    #[must_use]
    pub fn count(&self, visibility: Visibility) -> usize {
        let places = self.places.values();
        places.filter(|place| **place == visibility).count()
    }

    /// The clearer view does not hide the other.
    fn put(&mut self, pointer: &str, visibility: Visibility) {
        let place = self.places.entry(pointer.to_owned()).or_insert(visibility);
        *place = visibility.max(*place);
    }
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Visible => "visible",
            Self::Lossy => "lossy",
            Self::Opaque => "opaque",
        })
    }
}

/// How one value is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
enum View {
    Bool,
    Long,
    Decimal,
    /// A text; which ones there are, if the contract names them all.
    Text(Option<BTreeSet<String>>),
    /// A scalar of several types, as text.
    Mixed,
    Record(Vec<Member>),
    Map {
        /// The values, if they are scalars of one type.
        values: Option<Box<Self>>,
    },
    Items(Box<Self>),
    Columns(Vec<Member>),
    Opaque,
}

/// A member of a record, or of the objects behind columns.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    /// Its name in JSON.
    name: String,
    /// Its name as an attribute.
    attribute: String,
    /// The attribute that says that some object lacks it; columns alone have it.
    missing: Option<String>,
    required: bool,
    view: View,
}

/// An operation as policies see it.
#[derive(Debug)]
pub(crate) struct Seen {
    places: Vec<SeenPlace>,
    pub(crate) attributes: AttrType,
    pub(crate) domains: Domains,
    pub(crate) coverage: Coverage,
}

/// `path`, `query`, `header` or `body`.
#[derive(Debug)]
struct SeenPlace {
    name: &'static str,
    required: bool,
    view: View,
}

impl Seen {
    pub(crate) fn of(operation: &Operation) -> Self {
        let (places, coverage) = build::places(operation);
        let attributes = AttrType::Record(
            places
                .iter()
                .map(|place| {
                    let ty = place.view.attr_type();
                    let required = place.required;
                    let field = AttrField { ty, required };
                    (place.name.to_owned(), field)
                })
                .collect(),
        );
        let mut domains = Domains::new();
        for place in &places {
            place
                .view
                .domains(&mut vec![place.name.to_owned()], &mut domains);
        }
        Self {
            places,
            attributes,
            domains,
            coverage,
        }
    }
}

/// A field that is always there.
fn always(name: &str, ty: AttrType) -> (String, AttrField) {
    (name.to_owned(), AttrField { ty, required: true })
}

fn set(ty: AttrType) -> AttrType {
    AttrType::Set(Box::new(ty))
}

fn record(fields: Vec<(String, AttrField)>) -> AttrType {
    AttrType::Record(fields.into_iter().collect())
}

impl View {
    fn attr_type(&self) -> AttrType {
        match self {
            Self::Bool => AttrType::Bool,
            Self::Long => AttrType::Long,
            Self::Decimal => AttrType::Decimal,
            Self::Text(_) | Self::Mixed => AttrType::String,
            Self::Record(members) => record(
                members
                    .iter()
                    .map(|member| {
                        let ty = member.view.attr_type();
                        let required = member.required;
                        (member.attribute.clone(), AttrField { ty, required })
                    })
                    .collect(),
            ),
            Self::Map { .. } | Self::Items(_) | Self::Columns(_) | Self::Opaque => {
                self.column_type()
            }
        }
    }

    /// The texts that the attributes at and below `path` can have, where the contract names them all.
    fn domains(&self, path: &mut Vec<String>, found: &mut Domains) {
        let mut below = |name: &str, view: &Self| {
            path.push(name.to_owned());
            view.domains(path, found);
            path.pop();
        };
        match self {
            Self::Bool | Self::Long | Self::Decimal | Self::Mixed | Self::Opaque => {}
            Self::Text(None) | Self::Map { values: None } => {}
            Self::Text(Some(texts)) => {
                found.insert(path.clone(), texts.clone());
            }
            Self::Map {
                values: Some(values),
            } => below("values", values),
            Self::Items(item) => below("items", item),
            Self::Record(members) | Self::Columns(members) => {
                for member in members {
                    below(&member.attribute, &member.view);
                }
            }
        }
    }

    /// The type of all values of this view together.
    fn column_type(&self) -> AttrType {
        match self {
            Self::Bool | Self::Long | Self::Decimal | Self::Text(_) | Self::Mixed => {
                set(self.attr_type())
            }
            Self::Record(members) => record(columns(members)),
            Self::Map { values } => {
                let mut fields = vec![
                    always("keys", set(AttrType::String)),
                    always("count", AttrType::Long),
                ];
                fields.extend(
                    values
                        .iter()
                        .map(|values| always("values", set(values.attr_type()))),
                );
                record(fields)
            }
            Self::Items(item) => record(vec![
                always("items", set(item.attr_type())),
                always("count", AttrType::Long),
            ]),
            Self::Columns(members) => {
                let mut fields = columns(members);
                fields.push(always("count", AttrType::Long));
                record(fields)
            }
            Self::Opaque => record(vec![
                always("bytes", AttrType::Long),
                always("digest", AttrType::String),
            ]),
        }
    }
}

fn columns(members: &[Member]) -> Vec<(String, AttrField)> {
    let mut fields = Vec::new();
    for member in members {
        fields.push(always(&member.attribute, member.view.column_type()));
        if let Some(missing) = &member.missing {
            fields.push(always(missing, AttrType::Bool));
        }
    }
    fields
}

#[cfg(test)]
mod tests;
