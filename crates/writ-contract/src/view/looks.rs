//! Whether a policy that asks for so much sees what stands at a place.

use writ_types::Projection;

use super::{Member, Seen, View};

impl Seen {
    /// Whether what is wanted has in it what stands at the place, or below it.
    pub(crate) fn looks_at(&self, tokens: &[String], wanted: &Projection) -> bool {
        let Some((part, rest)) = tokens.split_first() else {
            return !wanted.is_nothing();
        };
        let mut places = self.places.iter().filter(|place| place.name == part);
        places.any(|place| looks_at(&place.view, rest, wanted.child(place.name)))
    }
}

fn looks_at(view: &View, tokens: &[String], wanted: &Projection) -> bool {
    if wanted.is_nothing() {
        return false;
    }
    match (view, tokens) {
        (View::Record(members), [name, rest @ ..])
        // The objects of a list are seen by their members.
        | (View::Columns(members), [_, name, rest @ ..]) => member(members, name, rest, wanted),
        // All that stands there is seen together.
        (
            View::Record(_)
            | View::Columns(_)
            | View::Bool
            | View::Long
            | View::Decimal
            | View::Text(_)
            | View::Mixed
            | View::Map { .. }
            | View::Items(_)
            | View::Opaque,
            _,
        ) => true,
    }
}

/// A member that no attribute is made of is not seen. That one is there is seen as before: something stands in its place.
fn member(members: &[Member], name: &str, rest: &[String], wanted: &Projection) -> bool {
    let mut named = members.iter().filter(|member| member.name == name);
    named.any(|member| looks_at(&member.view, rest, wanted.child(&member.attribute)))
}
