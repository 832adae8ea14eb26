//! What the API's owner says about an operation: in its review, in the overlay, or for all operations of a tag.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{Decimal, Effect, Effects, Label, Pointer, Rate, Value};

use super::Draft;
use crate::contract::Reviews;
use crate::diagnostic::Sink;
use crate::field::AuditMode;
use crate::overlay::vocabulary::{self, KEY, Place, Words};
use crate::pace::{self, Pace};
use crate::pinned::Ask;

/// How calls of an operation are handled, as far as its reviewed overlay says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handling {
    /// Labels that may leave with a call: what it sends goes where they may be known.
    pub sink: BTreeSet<Label>,
    /// The most records one call gives.
    pub records: Option<u64>,
    /// The most one call costs.
    pub cost: Option<Decimal>,
    /// What becomes of values in records, where a field does not say otherwise.
    pub audit: Option<AuditMode>,
    /// What the MCP server whose operation it is may ask of the client while it answers.
    pub asks: BTreeSet<Ask>,
}

/// What the owner said, all places together.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent words, each read by its name"
)]
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) effects: Effects,
    pub(crate) reviewed: bool,
    pub(crate) labels: BTreeSet<Label>,
    pub(crate) stream: bool,
    pub(crate) strict: bool,
    pub(crate) handling: Handling,
    pub(crate) pace: Pace,
}

/// What is said for all operations, and for those of a tag.
#[derive(Debug, Default)]
pub(super) struct General<'r> {
    reviews: Option<&'r Reviews>,
    document: Words,
    tags: BTreeMap<String, Words>,
    /// Of the API, from the registration or the overlay.
    rate: Option<Rate>,
    /// The same, from the document itself.
    documented: Option<Rate>,
}

impl<'r> General<'r> {
    /// Reads the document's own words and those of its tags.
    pub(super) fn read(document: &Value, reviews: &'r Reviews, sink: &mut Sink) -> Option<Self> {
        let mut general = Self {
            reviews: Some(reviews),
            ..Self::default()
        };
        let root = Pointer::root();
        if let Some(value) = document.member(KEY) {
            general.document = read(value, Place::Document, &root, sink)?;
        }
        if reviews.rate.is_some() && general.document.rate.is_some() {
            let message = "the API's `rate` is said twice, in the registration and in the overlay: remove one";
            sink.error(&root.child(KEY), None, message);
            return None;
        }
        // The document's own rate is the API's, and no operation's.
        let of_all = general.document.rate.take();
        general.rate = reviews.rate.or(of_all);
        general.documented = pace::extension(document);
        let tags = document.member("tags").and_then(Value::as_array);
        for (index, tag) in tags.unwrap_or_default().iter().enumerate() {
            let name = tag.member("name").and_then(Value::as_str);
            if let (Some(name), Some(value)) = (name, tag.member(KEY)) {
                let pointer = root.child("tags").item(index);
                let words = read(value, Place::Tag, &pointer, sink)?;
                // A tag that is listed twice says both.
                let known = general.tags.remove(name).unwrap_or_default();
                general.tags.insert(name.to_owned(), words.over(&known));
            }
        }
        Some(general)
    }

    /// All that is said of one operation; none, with an error, if it is refused.
    pub(super) fn of(&self, document: &Value, draft: &Draft<'_>, sink: &mut Sink) -> Option<Said> {
        let id = draft.id.as_str();
        let words = match draft.value.member(KEY) {
            None => Words::default(),
            Some(value) => read(value, Place::Operation, &draft.pointer, sink)?,
        };
        let review = self
            .reviews
            .and_then(|reviews| reviews.operations.get(&draft.id))
            .cloned()
            .unwrap_or_default();
        if review.effects.is_some() && words.effects.is_some() {
            let message = "the operation is reviewed twice, in the registration and in the overlay: remove one";
            sink.error(&draft.pointer.child(KEY), Some(id), message);
            return None;
        }
        if review.rate.is_some() && words.rate.is_some() {
            let message = "the operation's `rate` is said twice, in the registration and in the overlay: remove one";
            sink.error(&draft.pointer.child(KEY), Some(id), message);
            return None;
        }
        let proposed = words
            .effects
            .map_or_else(|| kind(draft.method), |effects| effects.kind);
        let said = words.effects.filter(|_| words.reviewed != Some(false));
        let effects = review.effects.or(said);
        let reviewed = effects.is_some();
        let tags = draft.value.member("tags").and_then(Value::as_array);
        let tags = tags.unwrap_or_default().iter().filter_map(Value::as_str);
        let words = tags
            .filter_map(|tag| self.tags.get(tag))
            .fold(words, Words::over)
            .over(&self.document);
        let mut labels = review.labels;
        labels.extend(words.labels);
        // What asks for more care holds at once; what allows something holds once a person has looked at it.
        let handling = Handling {
            sink: words.sink,
            records: words.records,
            cost: words.cost,
            audit: words.audit,
            asks: words.asks,
        };
        let own = review.rate.or(words.rate);
        let documented = pace::documented(document, draft.value);
        let said = own.is_some() || self.rate.is_some();
        let pace = Pace {
            api: self.rate.or(self.documented),
            operation: own.or_else(|| documented.and_then(|said| said.rate)),
            // What nobody reviewed can bind more, and not less.
            is_said: said && reviewed || documented.is_some() || self.documented.is_some(),
        };
        Some(Said {
            pace,
            effects: effects.unwrap_or_else(|| Effects::unreviewed(proposed)),
            reviewed,
            labels,
            stream: review.stream || reviewed && words.stream,
            strict: review.strict || words.strict,
            handling: if reviewed {
                handling
            } else {
                Handling::default()
            },
        })
    }
}

fn read(value: &Value, place: Place, pointer: &Pointer, sink: &mut Sink) -> Option<Words> {
    match vocabulary::words(value, place) {
        Ok(words) => Some(words),
        Err(wrong) => {
            let pointer = pointer.child(KEY);
            let pointer = wrong
                .key
                .map_or_else(|| pointer.clone(), |key| pointer.child(&key));
            sink.error(&pointer, None, wrong.message);
            None
        }
    }
}

/// What a method means, until somebody says otherwise (RFC 9110 §9.2.1).
pub(crate) fn kind(method: &str) -> Effect {
    match method {
        "GET" | "HEAD" | "OPTIONS" | "QUERY" | "TRACE" => Effect::Read,
        "DELETE" => Effect::Delete,
        _ => Effect::Write,
    }
}
