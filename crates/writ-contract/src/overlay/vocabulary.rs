//! The words under `x-writ`: what may stand where, and what it means.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{
    Decimal, Effect, Effects, Kind, Label, Pointer, Rate, RateError, Source, Trust, Value,
};

use crate::field::{AuditMode, FieldMark, Quantified, UNREVIEWED};
use crate::pinned::Ask;

/// The one key.
pub(crate) const KEY: &str = "x-writ";

/// Where the key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Document,
    Tag,
    Operation,
    Parameter,
    Schema,
}

impl Place {
    /// The kind of the object at a place of a document.
    pub(crate) fn of(pointer: &Pointer) -> Option<Self> {
        let tokens: Vec<_> = pointer.tokens().collect();
        let tokens: Vec<&str> = tokens.iter().map(AsRef::as_ref).collect();
        let number = |token: &str| token.bytes().all(|byte| byte.is_ascii_digit());
        match tokens.as_slice() {
            [] => Some(Self::Document),
            ["tags", index] if number(index) => Some(Self::Tag),
            ["paths", _, method] if crate::reader::is_method(method) => Some(Self::Operation),
            ["paths", _, "additionalOperations", _] => Some(Self::Operation),
            ["parameters", _] | ["components", "parameters", _] => Some(Self::Parameter),
            ["paths", .., "parameters", index] if number(index) => Some(Self::Parameter),
            ["definitions", _, ..] | ["components", "schemas", _, ..] => Some(Self::Schema),
            ["paths" | "components" | "parameters" | "responses", .., _]
                if tokens.contains(&"schema") =>
            {
                Some(Self::Schema)
            }
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Document => "the document",
            Self::Tag => "a tag",
            Self::Operation => "an operation",
            Self::Parameter => "a parameter",
            Self::Schema => "a schema",
        }
    }

    const fn words(self) -> &'static [&'static str] {
        match self {
            // A vendor may add operations to a tag, so a tag reviews none.
            Self::Document | Self::Tag => &[
                "labels", "sink", "records", "cost", "rate", "strict", "audit",
            ],
            Self::Operation => &[
                "reviewed", "effect", "labels", "sink", "records", "cost", "rate", "stream",
                "strict", "audit", "asks",
            ],
            Self::Parameter => &[
                "sensitive",
                "payload",
                "subject",
                "fanout",
                "audit",
                "quantity",
            ],
            Self::Schema => &[
                "sensitive",
                "payload",
                "subject",
                "fanout",
                "labels",
                "source",
                "audit",
                "quantity",
            ],
        }
    }
}

const PLACES: [Place; 5] = [
    Place::Document,
    Place::Tag,
    Place::Operation,
    Place::Parameter,
    Place::Schema,
];

/// Something that is no word, or no value of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The word it is about; none if it is about all of them.
    pub(crate) key: Option<String>,
    pub(crate) message: String,
}

/// What is said about an operation, or about all of a tag or a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) reviewed: Option<bool>,
    pub(crate) effects: Option<Effects>,
    pub(crate) labels: BTreeSet<Label>,
    pub(crate) sink: BTreeSet<Label>,
    pub(crate) records: Option<u64>,
    pub(crate) cost: Option<Decimal>,
    pub(crate) rate: Option<Rate>,
    pub(crate) stream: bool,
    pub(crate) strict: bool,
    pub(crate) audit: Option<AuditMode>,
    pub(crate) asks: BTreeSet<Ask>,
}

impl Words {
    /// What is said closer to the operation comes first; labels add up, and care does.
    pub(crate) fn over(mut self, general: &Self) -> Self {
        self.labels.extend(general.labels.iter().cloned());
        self.sink.extend(general.sink.iter().cloned());
        self.records = self.records.or(general.records);
        self.cost = self.cost.or_else(|| general.cost.clone());
        self.rate = self.rate.or(general.rate);
        self.strict |= general.strict;
        self.audit = self.audit.or(general.audit);
        self
    }
}

/// Everything wrong with what is said at a place.
pub(crate) fn faults(value: &Value, place: Place) -> Vec<Wrong> {
    let mut reader = Reader::new(place);
    reader.read(value);
    reader.wrong
}

/// What is said about an operation, a tag or a document.
pub(crate) fn words(value: &Value, place: Place) -> Result<Words, Wrong> {
    let mut reader = Reader::new(place);
    reader.read(value);
    reader
        .wrong
        .into_iter()
        .next()
        .map_or(Ok(reader.words), Err)
}

/// What is said about a parameter or a schema.
pub(crate) fn mark(value: &Value, place: Place) -> Result<FieldMark, Wrong> {
    let mut reader = Reader::new(place);
    reader.read(value);
    reader.wrong.into_iter().next().map_or(Ok(reader.mark), Err)
}

struct Reader {
    place: Place,
    words: Words,
    mark: FieldMark,
    wrong: Vec<Wrong>,
}

type Read<T> = Result<T, String>;

impl Reader {
    fn new(place: Place) -> Self {
        Self {
            place,
            words: Words::default(),
            mark: FieldMark::default(),
            wrong: Vec::new(),
        }
    }

    fn read(&mut self, value: &Value) {
        let Some(members) = value.as_object() else {
            self.wrong.push(Wrong {
                key: None,
                message: format!("`{KEY}` is an object"),
            });
            return;
        };
        for (key, value) in members {
            if let Err(message) = self.word(key, value) {
                self.wrong.push(Wrong {
                    key: Some(key.clone()),
                    message,
                });
            }
        }
        let kept = matches!(self.mark.audit, None | Some(AuditMode::Keep));
        if self.mark.quantity.is_some() && !kept {
            self.wrong.push(Wrong {
                key: Some("quantity".to_owned()),
                message: "what is summed up stands in the record of each call: `audit` is `keep`"
                    .to_owned(),
            });
        }
        if self.words.reviewed == Some(true) && self.words.effects.is_none() {
            self.wrong.push(Wrong {
                key: Some("reviewed".to_owned()),
                message: "a reviewed operation has an `effect`".to_owned(),
            });
        }
    }

    fn word(&mut self, key: &str, value: &Value) -> Read<()> {
        if !self.place.words().contains(&key) {
            return Err(self.stranger(key));
        }
        match key {
            "reviewed" => self.words.reviewed = Some(flag(value)?),
            "effect" => self.words.effects = Some(effects(value)?),
            "labels" if self.place == Place::Schema => self.mark.labels = labels(value)?,
            "labels" => self.words.labels = labels(value)?,
            "sink" => self.words.sink = labels(value)?,
            "records" => {
                let most = value.as_u64().filter(|most| *most > 0);
                self.words.records =
                    Some(most.ok_or("the most records one call gives: a whole number above 0")?);
            }
            "cost" => self.words.cost = Some(cost(value)?),
            "rate" => {
                let rate = text(value)?.parse();
                self.words.rate = Some(rate.map_err(|fault: RateError| fault.to_string())?);
            }
            "stream" => self.words.stream = flag(value)?,
            "strict" => self.words.strict = flag(value)?,
            "audit" => {
                let mode = audit(value)?;
                self.words.audit = Some(mode);
                self.mark.audit = Some(mode);
            }
            "asks" => {
                let asks = texts(value)?.into_iter().map(str::parse);
                self.words.asks = asks.collect::<Result<_, _>>()?;
            }
            "sensitive" => self.mark.sensitive = Some(kind(value)?),
            "payload" => self.mark.payload = flag(value)?,
            "subject" => self.mark.subject = flag(value)?,
            "fanout" => self.mark.fanout = flag(value)?,
            "source" => self.mark.source = Some(source(value)?),
            "quantity" => self.mark.quantity = Some(quantity(value)?),
            _ => return Err(self.stranger(key)),
        }
        Ok(())
    }

    /// A word that does not belong here, or is none.
    fn stranger(&self, key: &str) -> String {
        let elsewhere: Vec<&str> = PLACES
            .into_iter()
            .filter(|place| place.words().contains(&key))
            .map(Place::name)
            .collect();
        if elsewhere.is_empty() {
            return unknown(key, self.place.words().iter().copied());
        }
        format!(
            "`{key}` belongs to {}, not to {}",
            elsewhere.join(" or "),
            self.place.name()
        )
    }
}

/// Says that a key is not known, and which it might have been.
pub(crate) fn unknown<'k, I>(key: &str, known: I) -> String
where
    I: Iterator<Item = &'k str> + Clone,
{
    let shown: String = key.chars().take(40).collect();
    let near = known
        .clone()
        .map(|word| (distance(&shown, word), word))
        .min()
        .filter(|(distance, _)| *distance <= 2);
    match near {
        Some((_, word)) => format!("unknown key `{shown}`: did you mean `{word}`?"),
        None => {
            let all: Vec<&str> = known.collect();
            format!("unknown key `{shown}`: here stand {}", all.join(", "))
        }
    }
}

/// How many letters must change, come or go (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, char) in one.chars().enumerate() {
        let mut before = row.first().copied().unwrap_or_default();
        let mut next = vec![index.saturating_add(1)];
        for (above, wanted) in row.iter().skip(1).zip(&other) {
            let changed = before.saturating_add(usize::from(char != *wanted));
            let left = next.last().copied().unwrap_or_default().saturating_add(1);
            next.push(changed.min(left).min(above.saturating_add(1)));
            before = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

fn flag(value: &Value) -> Read<bool> {
    value
        .as_bool()
        .ok_or_else(|| "`true` or `false`".to_owned())
}

fn text(value: &Value) -> Read<&str> {
    value.as_str().ok_or_else(|| "not a text".to_owned())
}

/// One text, or a list of them.
fn texts(value: &Value) -> Read<Vec<&str>> {
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(items) => items.iter().map(text).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err("not a text or a list of texts".to_owned())
        }
    }
}

fn labels(value: &Value) -> Read<BTreeSet<Label>> {
    let label = |text: &str| {
        text.parse()
            .map_err(|fault: writ_types::NameError| fault.to_string())
    };
    texts(value)?.into_iter().map(label).collect()
}

fn kind(value: &Value) -> Read<Kind> {
    if text(value)? == UNREVIEWED {
        return Err("`unreviewed` is what every text is until somebody says more".to_owned());
    }
    text(value)?
        .parse()
        .map_err(|fault: writ_types::NameError| fault.to_string())
}

/// Exactly one of `read`, `write`, `delete`, and any of `irreversible`, `external_send`.
fn effects(value: &Value) -> Read<Effects> {
    let mut kinds = Vec::new();
    let (mut irreversible, mut external_send) = (false, false);
    for text in texts(value)? {
        let again = match text {
            "irreversible" => std::mem::replace(&mut irreversible, true),
            "external_send" => std::mem::replace(&mut external_send, true),
            other => {
                kinds.push(other.parse::<Effect>()?);
                false
            }
        };
        if again {
            return Err(format!("`{text}` stands twice"));
        }
    }
    match kinds.as_slice() {
        [kind] => Ok(Effects {
            kind: *kind,
            irreversible,
            external_send,
        }),
        _ => Err("exactly one of `read`, `write` and `delete`".to_owned()),
    }
}

fn cost(value: &Value) -> Read<Decimal> {
    let exact = match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_decimal(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    exact
        .filter(|cost: &Decimal| !cost.is_negative())
        .ok_or_else(|| "the most one call costs: an amount such as \"0.02\"".to_owned())
}

fn audit(value: &Value) -> Read<AuditMode> {
    match text(value)? {
        "keep" => Ok(AuditMode::Keep),
        "hash" => Ok(AuditMode::Hash),
        "drop" => Ok(AuditMode::Drop),
        _ => Err("`keep`, `hash` or `drop`".to_owned()),
    }
}

fn source(value: &Value) -> Read<Source> {
    let wanted = "`{trust: trusted, kind: …}` or `{trust: party, kind: …}`";
    let members: &BTreeMap<String, Value> = value.as_object().ok_or(wanted)?;
    let known = ["trust", "kind"];
    if let Some(key) = members.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(unknown(key, known.into_iter()));
    }
    let trust = members.get("trust").and_then(Value::as_str);
    let trust: Trust = trust.ok_or(wanted)?.parse().map_err(|_unknown| wanted)?;
    let kind = kind(members.get("kind").ok_or(wanted)?)?;
    Ok(Source { trust, kind })
}

fn quantity(value: &Value) -> Read<Quantified> {
    let wanted = "`{name: payment}` or `{name: payment, per: currency}`";
    let members: &BTreeMap<String, Value> = value.as_object().ok_or(wanted)?;
    let known = ["name", "per"];
    if let Some(key) = members.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(unknown(key, known.into_iter()));
    }
    let name = text(members.get("name").ok_or(wanted)?)?;
    let per = members.get("per").map(text).transpose()?;
    Ok(Quantified {
        name: name
            .parse()
            .map_err(|fault: writ_types::NameError| fault.to_string())?,
        per: per.map(str::to_owned),
    })
}
