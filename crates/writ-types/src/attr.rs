//! Typed attributes: what a policy sees of a call.
//!
//! The contract decides how a JSON value is seen (`AttrType`, `Attr`); the policy engine renders both in its own terms.
//! So neither crate knows the other, and a value is converted in one place only.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ArgumentOrigins, Budget, Charge, Label, OperationId, PlanStanding, Timestamp, Vouchers,
    WindowName, Windowed,
};

/// The type of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttrType {
    /// A truth value.
    Bool,
    /// A whole number of 64 bits.
    Long,
    /// A text.
    String,
    /// A number with up to four decimals.
    Decimal,
    /// An instant.
    Datetime,
    /// A set of values of one type.
    Set(Box<Self>),
    /// A closed record.
    Record(BTreeMap<String, AttrField>),
}

/// One attribute of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttrField {
    /// Its type.
    pub ty: AttrType,
    /// Whether it is always there.
    pub required: bool,
}

/// The texts that an attribute can have, by its path (`body`, `rrsets`, `changetype`), where its contract names them all.
pub type Domains = BTreeMap<Vec<String>, BTreeSet<String>>;

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attr {
    /// A truth value.
    Bool(bool),
    /// A whole number of 64 bits.
    Long(i64),
    /// A text.
    String(String),
    /// A number with one to four decimals, in the policy engine's literal form (`12.3400`).
    Decimal(String),
    /// An instant.
    Datetime(Timestamp),
    /// A set.
    Set(Vec<Self>),
    /// A record.
    Record(BTreeMap<String, Self>),
}

/// Which attributes some policy mentions. What nobody looks at is not converted, and cannot be unrepresentable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Projection {
    /// This attribute and everything below it.
    All,
    /// Nothing of it.
    #[default]
    Nothing,
    /// Only these attributes below it, each as its own projection says.
    Some(BTreeMap<String, Self>),
}

impl Projection {
    /// The projection of the attribute `name` below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> &Self {
        match self {
            Self::All => &Self::All,
            Self::Nothing => &Self::Nothing,
            Self::Some(children) => children.get(name).unwrap_or(&Self::Nothing),
        }
    }

    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Adds the attribute at `path` and everything below it.
    pub fn insert(&mut self, path: &[&str]) {
        let Some((first, rest)) = path.split_first() else {
            *self = Self::All;
            return;
        };
        if matches!(self, Self::Nothing) {
            *self = Self::Some(BTreeMap::new());
        }
        if let Self::Some(children) = self {
            children
                .entry((*first).to_owned())
                .or_default()
                .insert(rest);
        }
    }
}

/// What the gateway itself knows about a call (`context.sys`): never set by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The instant the decision is made for; it is in the record.
    pub now: Timestamp,
    /// Labels of what the task has read so far.
    pub labels: BTreeSet<Label>,
    /// Labels that may leave with a call of this operation, as the API's owner says (`sink`).
    pub sinks: BTreeSet<Label>,
    /// What the task has spent, this call included.
    pub spent: Charge,
    /// Calls of this operation in this task, this call included.
    pub this_operation: u64,
    /// What is left after this call.
    pub left: Budget,
    /// Operations (`api:operation`) the task has called before.
    pub seen: BTreeSet<String>,
    /// Operations (`api:operation`) of which the task has made a call that a person approved. Filled where a rule looks at it.
    pub approved: BTreeSet<String>,
    /// What the windows hold that rules about the operation look at, this call included.
    pub windows: BTreeMap<WindowName, Windowed>,
    /// The operation.
    pub operation: OperationId,
    /// What vouches for the values of its arguments.
    pub vouchers: Vouchers,
    /// Where those values come from, as the gateway found by it.
    pub arguments: ArgumentOrigins,
    /// How it stands to the plan of its task.
    pub plan: PlanStanding,
    /// The roles that have approved this very call.
    pub approvals: BTreeSet<String>,
    /// The waits that this very call has been through, as policies write them (`24h`).
    pub deferred: BTreeSet<String>,
}

impl Facts {
    /// The labels of what the task has read that may not leave with this call.
    pub fn held(&self) -> impl Iterator<Item = &Label> {
        self.labels.difference(&self.sinks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projection_keeps_what_was_named() {
        let mut projection = Projection::default();
        assert!(projection.is_nothing());
        projection.insert(&["body", "rrsets", "type"]);
        projection.insert(&["path"]);
        assert_eq!(projection.child("path"), &Projection::All);
        assert!(projection.child("query").is_nothing());
        let rrsets = projection.child("body").child("rrsets");
        assert_eq!(rrsets.child("type"), &Projection::All);
        assert!(rrsets.child("name").is_nothing());
        projection.insert(&["body"]);
        assert_eq!(
            projection.child("body"),
            &Projection::All,
            "the wider of two wins"
        );
    }
}
