//! What an API's owner says about single values: which are sensitive, which vouch, and what becomes of them in records.

use std::collections::BTreeSet;

use writ_types::{Kind, Label, Source, WindowName};

/// What becomes of a value in records and in the evidence beside them. In the order of how little is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuditMode {
    /// It is kept.
    Keep,
    /// Its keyed digest is kept.
    Hash,
    /// Nothing of it is kept.
    Drop,
}

impl AuditMode {
    /// The word in overlays.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Hash => "hash",
            Self::Drop => "drop",
        }
    }
}

/// A number that windows sum up: an amount of money, a count of seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantified {
    /// What it is an amount of.
    pub name: WindowName,
    /// The member beside it that names its unit, such as a currency; none if there is one unit.
    pub per: Option<String>,
}

/// What the owner says about one parameter or field.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent words, each read by its name"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldMark {
    /// Its value must be vouched for, as what it is.
    pub sensitive: Option<Kind>,
    /// It is content, not a name of something; identifiers in it are values of their own.
    pub payload: bool,
    /// It names whom the data is about.
    pub subject: bool,
    /// Each of its items is an effect of its own.
    pub fanout: bool,
    /// What its content is labelled with.
    pub labels: BTreeSet<Label>,
    /// Its values in a response vouch.
    pub source: Option<Source>,
    /// What becomes of it in records.
    pub audit: Option<AuditMode>,
    /// Windows sum it up.
    pub quantity: Option<Quantified>,
}

/// The word of the kind that every text of an operation has that nobody reviewed. No overlay can say it, so no field of a
/// response vouches for it.
pub(crate) const UNREVIEWED: &str = "unreviewed";

impl FieldMark {
    /// Whether it says anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Both, where two places of a contract speak of one value: what asks for more care wins.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.sensitive = self.sensitive.or_else(|| other.sensitive.clone());
        self.payload |= other.payload;
        self.subject |= other.subject;
        self.fanout |= other.fanout;
        self.labels.extend(other.labels.iter().cloned());
        self.source = match (self.source, &other.source) {
            (Some(one), Some(another)) if one != *another => None,
            (one, another) => one.or_else(|| another.clone()),
        };
        self.audit = self.audit.max(other.audit);
        self.quantity = self.quantity.or_else(|| other.quantity.clone());
        self
    }
}

#[cfg(test)]
mod tests {
    use writ_types::Trust;

    use super::*;

    #[test]
    fn what_asks_for_more_care_wins() {
        let source = |kind: &str| Source {
            trust: Trust::Trusted,
            kind: kind.parse().unwrap(),
        };
        let one = FieldMark {
            source: Some(source("iban")),
            audit: Some(AuditMode::Keep),
            ..FieldMark::default()
        };
        let other = FieldMark {
            source: Some(source("email")),
            audit: Some(AuditMode::Drop),
            payload: true,
            ..FieldMark::default()
        };
        let both = one.clone().with(&other);
        assert_eq!(both.source, None, "two kinds vouch for neither");
        assert_eq!(both.audit, Some(AuditMode::Drop));
        assert!(both.payload);
        assert_eq!(one.clone().with(&one), one);
        assert_eq!(FieldMark::default().with(&one), one);
    }
}
