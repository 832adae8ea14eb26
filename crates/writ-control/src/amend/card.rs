//! What a person is shown before a task comes to hold more: the difference, and whose words are whose.

use writ_contract::Operation;
use writ_task::Known;
use writ_types::{
    ActionName, Agent, Argument, Bound, BoundChange, BoundPointer, Budget, Difference, Grant,
    Origin, Secret, Value, Vouchers,
};

use crate::loaded::Loaded;
use crate::oauth::blast_radius;

/// Most values on a card, and most characters of each.
const MOST_VALUES: usize = 64;
const LONGEST: usize = 512;

/// What a card is made of.
pub(super) struct Card<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) agent: &'a Agent,
    pub(super) before: &'a Grant,
    pub(super) after: &'a Grant,
    pub(super) known: &'a Known,
    pub(super) reason: &'a str,
    pub(super) roles: &'a [&'static str],
    pub(super) key: &'a Secret<[u8; 32]>,
}

impl Card<'_> {
    /// The card. The same amendment of a task that knows the same always has the same card.
    pub(super) fn render(&self) -> Value {
        let Self { agent, after, .. } = *self;
        let difference = Difference::between(self.before, after);
        let mut values = Values::default();
        let bounds = difference.bounds();
        for change in &bounds {
            values.add(self, change);
        }
        let labels = self.known.labels.iter().map(ToString::to_string);
        let requester = after.requester.as_ref().map(|requester| {
            let text = format!("{} ({})", requester.subject, requester.issuer);
            ("requester", Value::from(text))
        });
        let members = [
            ("action", Value::from(ActionName::AMEND_TASK)),
            ("summary", Value::from("a live task is to hold more")),
            ("agent", Value::from(agent.spiffe.as_str())),
            ("owner", Value::from(agent.owner.as_str())),
            ("mode", Value::from(after.mode.as_str())),
            ("purpose", Value::from(after.purpose.as_str())),
            ("task", Value::from(after.task.to_string())),
            ("task_has_read", texts(labels)),
            ("rules", Value::Array(Vec::new())),
            ("needs", texts(self.roles.iter().map(ToString::to_string))),
            ("four_eyes", Value::from(false)),
            ("agent_says", Value::from(self.reason)),
            ("difference", self.difference(difference, &bounds)),
            ("confirm", Value::Array(Vec::new())),
            ("values", Value::Array(values.shown)),
            ("not_shown", Value::from_u64(values.hidden)),
        ];
        Value::object(members.into_iter().chain(requester))
    }

    fn difference(&self, difference: Difference<'_>, bounds: &[BoundChange<'_>]) -> Value {
        let radius = |grant: &Grant| {
            let radius = blast_radius(self.loaded, &grant.actions, grant.budget);
            Value::from_u64(radius.weight())
        };
        let both =
            |before: Value, after: Value| Value::object([("before", before), ("after", after)]);
        let added = difference.added().map(|action| self.action(action));
        let bound = |change: &BoundChange<'_>| {
            let is_new = !self.before.holds(change.action);
            let said = |bound: Option<&Bound>| bound.map_or(Value::Null, shown);
            Value::object([
                ("action", Value::from(change.action.to_string())),
                ("place", Value::from(cut(&change.place.to_string()))),
                ("before", said(change.before)),
                ("after", said(change.after)),
                ("widens", Value::from(is_new || change.widens())),
            ])
        };
        let mut members = vec![
            ("added", Value::Array(added.collect())),
            (
                "dropped",
                texts(difference.dropped().map(ToString::to_string)),
            ),
            ("bounds", Value::Array(bounds.iter().map(bound).collect())),
            (
                "blast_radius",
                both(radius(self.before), radius(self.after)),
            ),
        ];
        let budget = difference.budget();
        members.extend(budget.map(|(before, after)| {
            (
                "budget",
                both(Budget::to_value(before), Budget::to_value(after)),
            )
        }));
        let deadline = difference.deadline();
        members.extend(deadline.map(|(before, after)| {
            let text = |at: writ_types::Timestamp| Value::from(at.to_string());
            ("deadline", both(text(before), text(after)))
        }));
        Value::object(members)
    }

    /// An action that is added: what its contract says of it, and whether the task would be bound in it.
    fn action(&self, action: &ActionName) -> Value {
        let operation = self.operation(action);
        let text = |of: fn(&Operation) -> String| {
            operation.map_or(Value::Null, |operation| Value::from(of(operation)))
        };
        let bounded = self
            .after
            .bounds
            .iter()
            .any(|(bound, places)| bound == action && !places.is_empty());
        Value::object([
            ("action", Value::from(action.to_string())),
            (
                "summary",
                text(|operation| operation.summary().unwrap_or_default().to_owned()),
            ),
            ("method", text(|operation| operation.method().to_owned())),
            ("path", text(|operation| operation.template().to_owned())),
            ("effects", text(|operation| operation.effects().to_string())),
            (
                "grade",
                operation
                    .and_then(Operation::score)
                    .map_or(Value::Null, |score| {
                        Value::from(format!("{} ({} of 100)", score.grade(), score.points()))
                    }),
            ),
            (
                "reviewed",
                Value::from(operation.is_some_and(Operation::reviewed)),
            ),
            ("bounded", Value::from(bounded)),
        ])
    }

    fn operation(&self, action: &ActionName) -> Option<&Operation> {
        let api = self.loaded.apis.get(&action.api)?;
        api.contract.operation(&action.operation)
    }

    /// Where a value that the agent names is known from: nothing that it says vouches for it.
    fn origin(&self, action: &ActionName, place: &BoundPointer, value: &Value) -> Origin {
        let pointer = place.to_string();
        let marks = self
            .operation(action)
            .map(Operation::marks)
            .unwrap_or_default();
        let marked = marks.iter().find(|marked| marked.pointer == pointer);
        let kind = marked.and_then(|marked| marked.mark.sensitive.as_ref());
        let forms = match kind.and_then(|kind| kind.canonical(value)) {
            Some(form) => vec![form],
            // No argument of a kind: what can be read in it as one.
            None => writ_types::Canonical::identifiers(&plain(value), MOST_VALUES)
                .unwrap_or_default()
                .into_iter()
                .filter_map(|found| found.form)
                .collect(),
        };
        let vouchers = Vouchers {
            bounds: Vec::new(),
            ..self.known.vouchers.clone()
        };
        let argument = Argument {
            action,
            place,
            objects: &[],
        };
        let origins = forms
            .iter()
            .map(|form| vouchers.origin(self.key, &argument, form));
        origins.max().unwrap_or(Origin::Unseen)
    }
}

/// The values that the agent would be bound to, each with its place; what is too much is counted, never left out in silence.
#[derive(Default)]
struct Values {
    shown: Vec<Value>,
    hidden: u64,
}

impl Values {
    fn add(&mut self, card: &Card<'_>, change: &BoundChange<'_>) {
        let known = |value: &Value| change.before.is_some_and(|before| before.admits(value));
        let named: Vec<Value> = match change.after {
            Some(Bound::OneOf(values)) => values.clone(),
            Some(Bound::Prefix(prefix)) => vec![Value::from(prefix.as_str())],
            Some(Bound::Range { .. } | Bound::Dates { .. }) | None => Vec::new(),
        };
        for value in named.iter().filter(|value| !known(value)) {
            let origin = card.origin(change.action, change.place, value);
            let place = format!("{} {}", change.action, change.place);
            self.leaf(&place, value, origin);
        }
    }

    fn leaf(&mut self, place: &str, value: &Value, origin: Origin) {
        let text = plain(value);
        if self.shown.len() >= MOST_VALUES {
            self.hidden = self.hidden.saturating_add(1);
            return;
        }
        let whole = text.chars().nth(LONGEST).is_none() && place.chars().nth(LONGEST).is_none();
        // One that is cut is not shown, whatever of it is.
        self.hidden = self.hidden.saturating_add(u64::from(!whole));
        self.shown.push(Value::object([
            ("place", Value::from(cut(place))),
            ("value", Value::from(cut(&text))),
            ("type", Value::from(value.type_name())),
            ("whole", Value::from(whole)),
            ("origin", Value::from(origin.as_str())),
        ]));
    }
}

/// A bound as it is written; a long list is among the values, and told here by how many it has.
fn shown(bound: &Bound) -> Value {
    match bound {
        Bound::OneOf(values) if values.len() > 8 => {
            Value::from(format!("one of {} values", values.len()))
        }
        Bound::OneOf(_) | Bound::Range { .. } | Bound::Prefix(_) | Bound::Dates { .. } => {
            Value::from(cut(&bound.to_value().to_string()))
        }
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

fn texts(texts: impl Iterator<Item = String>) -> Value {
    Value::Array(texts.map(Value::String).collect())
}
