//! What a person is shown before they say yes or no: the contract's words, the policies' words, and the call's values,
//! which are marked as such and bounded.

use writ_contract::{Operation, Parsed};
use writ_policy::{Needs, Pdp};
use writ_types::{Agent, Facts, Grant, Value};

/// Most values on a card, and most characters of each.
const MOST_VALUES: usize = 64;
const LONGEST: usize = 512;

/// The card of a call. The same call, with the same labels in its task, always has the same card.
pub(crate) fn render(
    operation: &Operation,
    parsed: &Parsed,
    (agent, grant): (&Agent, &Grant),
    facts: &Facts,
    (rules, needs, pdp): (&[String], &Needs, &Pdp),
) -> Value {
    let texts =
        |texts: &mut dyn Iterator<Item = String>| Value::Array(texts.map(Value::String).collect());
    let rule = |id: &String| {
        let doc = pdp.doc(id).unwrap_or_default();
        Value::object([("id", Value::from(id.as_str())), ("doc", Value::from(doc))])
    };
    let mut values = Values::default();
    values.add("", &parsed.input.to_value());
    let requester = grant.requester.as_ref().map(|requester| {
        let text = format!("{} ({})", requester.subject, requester.issuer);
        ("requester", Value::from(text))
    });
    let members = [
        ("action", Value::from(operation.action().to_string())),
        (
            "summary",
            Value::from(operation.summary().unwrap_or_default()),
        ),
        ("method", Value::from(operation.method())),
        ("path", Value::from(operation.template())),
        ("effects", Value::from(operation.effects().to_string())),
        ("reviewed", Value::from(operation.reviewed())),
        ("agent", Value::from(agent.spiffe.as_str())),
        ("owner", Value::from(agent.owner.as_str())),
        ("mode", Value::from(grant.mode.as_str())),
        ("purpose", Value::from(grant.purpose.as_str())),
        ("task", Value::from(grant.task.to_string())),
        (
            "task_has_read",
            texts(&mut facts.labels.iter().map(ToString::to_string)),
        ),
        ("rules", Value::Array(rules.iter().map(rule).collect())),
        ("needs", texts(&mut needs.roles.iter().cloned())),
        ("four_eyes", Value::from(needs.four_eyes)),
        (
            "not_in_contract",
            texts(&mut parsed.input.extra.iter().take(MOST_VALUES).cloned()),
        ),
        ("values", Value::Array(values.shown)),
        ("not_shown", Value::from_u64(values.hidden)),
    ];
    Value::object(members.into_iter().chain(requester))
}

/// The values of a call, each with its place; what is too much is counted, never left out in silence.
#[derive(Default)]
struct Values {
    shown: Vec<Value>,
    hidden: u64,
}

impl Values {
    fn add(&mut self, place: &str, value: &Value) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                for (name, member) in members {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    self.add(&format!("{place}/{name}"), member);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    self.add(&format!("{place}/{index}"), item);
                }
            }
            // A group of parameters that has none says nothing.
            Value::Object(_)
                if !place.trim_start_matches('/').contains('/') && place != "/body" => {}
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => self.leaf(place, value),
        }
    }

    fn leaf(&mut self, place: &str, value: &Value) {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let whole = text.chars().nth(LONGEST).is_none() && place.chars().nth(LONGEST).is_none();
        if self.shown.len() >= MOST_VALUES {
            self.hidden = self.hidden.saturating_add(1);
            return;
        }
        // One that is cut is not shown, whatever of it is.
        self.hidden = self.hidden.saturating_add(u64::from(!whole));
        let cut = |text: &str| text.chars().take(LONGEST).collect::<String>();
        self.shown.push(Value::object([
            ("place", Value::from(cut(place))),
            ("value", Value::from(cut(&text))),
            ("type", Value::from(value.type_name())),
            ("whole", Value::from(whole)),
        ]));
    }
}

#[cfg(test)]
mod tests {
    use writ_types::JsonLimits;

    use super::*;

    fn values(text: &str) -> (Vec<String>, u64) {
        let mut values = Values::default();
        let value = Value::parse(text.as_bytes(), &JsonLimits::DOCUMENT).unwrap();
        values.add("", &value);
        let line = |shown: &Value| {
            let text = |name| shown.member(name).and_then(Value::as_str).unwrap();
            format!("{} {} {}", text("place"), text("type"), text("value"))
        };
        (values.shown.iter().map(line).collect(), values.hidden)
    }

    #[test]
    fn every_value_has_its_place() {
        let (shown, hidden) = values(
            r#"{"path":{"id":"7"},"query":{},"header":{},"body":{"to":["a","b"],"n":1.50,"s":"1.50","o":{},"x/y":null}}"#,
        );
        assert_eq!(
            shown,
            [
                "/body/n number 1.50",
                "/body/o object {}",
                "/body/s string 1.50",
                "/body/to/0 string a",
                "/body/to/1 string b",
                "/body/x~1y null null",
                "/path/id string 7",
            ]
        );
        assert_eq!(hidden, 0);
        assert_eq!(values(r#"{"body":{}}"#).0, ["/body object {}"]);
    }

    #[test]
    fn what_is_not_shown_whole_is_counted() {
        let long = "x".repeat(513);
        let (shown, hidden) = values(&format!(r#"{{"body":{{"a":"{long}","b":"y"}}}}"#));
        assert_eq!((shown.len(), hidden), (2, 1));
        let many: Vec<String> = (0..70).map(|number| number.to_string()).collect();
        let (shown, hidden) = values(&format!(r#"{{"body":[{}]}}"#, many.join(",")));
        assert_eq!((shown.len(), hidden), (64, 6));
    }
}
