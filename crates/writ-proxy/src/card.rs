//! What a person is shown before they say yes or no: the contract's words, the policies' words, and the call's values,
//! which are marked as such and bounded.

use writ_contract::{Operation, Parsed};
use writ_policy::{Needs, Pdp};
use writ_types::{Agent, Canonical, Digest, Facts, Grant, Plan, PlanStanding, Value};

use crate::flow::Unvouched;

/// Most values on a card, and most characters of each.
const MOST_VALUES: usize = 64;
const LONGEST: usize = 512;

/// The card of a call. The same call, with the same labels in its task, always has the same card.
///
/// `untold` is the body, if nobody has taken it apart. The values in `confirm` are to be entered by whoever says yes. They stand under `confirm`, for the comparison; whoever is
/// shown the card sees what they are and where they stand, and of the values themselves as much as [`veiled`] leaves. A call that is no step
/// of its task's plan is shown beside it.
pub(crate) fn render(
    (operation, parsed, untold): (&Operation, &Parsed, &[u8]),
    confirm: &[Unvouched],
    (agent, grant, planned): (&Agent, &Grant, Option<&Plan>),
    facts: &Facts,
    (rules, needs, pdp): (&[String], &Needs, &Pdp),
) -> Value {
    let texts =
        |texts: &mut dyn Iterator<Item = String>| Value::Array(texts.map(Value::String).collect());
    let rule = |id: &String| {
        let doc = pdp.doc(id).unwrap_or_default();
        Value::object([("id", Value::from(id.as_str())), ("doc", Value::from(doc))])
    };
    let mut values = Values {
        confirm,
        ..Values::default()
    };
    values.add("", &parsed.input.to_value());
    values.add_untold(untold);
    let entered = confirm.iter().map(|value| {
        Value::object([
            ("place", Value::from(value.place.as_str())),
            ("kind", Value::from(value.kind.as_str())),
            ("origin", Value::from(value.origin.as_str())),
            ("shown", Value::from(veil(&value.text))),
            ("value", Value::from(value.text.as_str())),
        ])
    });
    let plan = facts.plan == PlanStanding::Outside;
    let plan = planned
        .filter(|_| plan)
        .map(|plan| ("plan", plan.to_value()));
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
        ("grade", grade(operation)),
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
        ("confirm", Value::Array(entered.collect())),
        ("values", Value::Array(values.shown)),
        ("not_shown", Value::from_u64(values.hidden)),
    ];
    Value::object(members.into_iter().chain(requester).chain(plan))
}

/// What the operation's document is worth to an agent, as `F (12 of 100)`; none for what an MCP server has.
fn grade(operation: &Operation) -> Value {
    operation.score().map_or(Value::Null, |score| {
        Value::from(format!("{} ({} of 100)", score.grade(), score.points()))
    })
}

/// The values of a call, each with its place; what is too much is counted, never left out in silence.
#[derive(Default)]
struct Values<'a> {
    shown: Vec<Value>,
    hidden: u64,
    confirm: &'a [Unvouched],
}

impl Values<'_> {
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

    /// A body that was not taken apart: as a text if it is one; otherwise how long it is, and that it is not shown.
    fn add_untold(&mut self, body: &[u8]) {
        if body.is_empty() {
            return;
        }
        if let Ok(text) = str::from_utf8(body) {
            self.leaf("/body", &Value::from(text));
        } else {
            let digest = Digest::of(body);
            let text = format!("{} bytes, SHA-256 {digest}", body.len());
            self.leaf("/body", &Value::from(text));
            self.hidden = self.hidden.saturating_add(1);
        }
    }

    fn leaf(&mut self, place: &str, value: &Value) {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let text = veiled(&text, self.confirm);
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

/// A text in which the values that are to be entered cannot be read: the card is no place to copy them from.
fn veiled(text: &str, confirm: &[Unvouched]) -> String {
    if confirm.is_empty() {
        return text.to_owned();
    }
    let holds = |text: &str| {
        let found = Canonical::identifiers(text, MOST_VALUES);
        found.is_none_or(|found| {
            let mut forms = found.iter().filter_map(|found| found.form.as_ref());
            forms.any(|form| {
                confirm
                    .iter()
                    .any(|value| value.form.as_ref() == Some(form))
            })
        })
    };
    let word = |word: &str| {
        let bare = word.trim_end();
        let mut shown = bare.to_owned();
        for value in confirm {
            shown = shown.replace(&value.text, &veil(&value.text));
        }
        if holds(&shown) {
            shown = veil(&shown);
        }
        let rest = word.get(bare.len()..).unwrap_or_default();
        format!("{shown}{rest}")
    };
    if confirm.iter().any(|value| value.text == text) {
        return veil(text);
    }
    let shown: String = text
        .split_inclusive(char::is_whitespace)
        .map(word)
        .collect();
    let mut shown = shown;
    for value in confirm {
        shown = shown.replace(&value.text, &veil(&value.text));
    }
    // One that is written in several words.
    if holds(&shown) { veil(text) } else { shown }
}

/// A value of which a person who knows it recognizes the ends.
fn veil(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let ends = match characters.len() {
        0..6 => 0usize,
        6..12 => 1,
        12.. => 3,
    };
    let last = characters.len().saturating_sub(ends);
    let shown = |(at, character): (usize, &char)| {
        if at < ends || at >= last {
            *character
        } else {
            '\u{2022}'
        }
    };
    characters.iter().enumerate().map(shown).collect()
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
    fn a_body_that_was_not_taken_apart_is_shown_or_counted() {
        for (body, shown, hidden) in [
            (&b""[..], None, 0),
            (b"pay eve", Some("pay eve"), 0),
            (b"\xFF\x00", Some("2 bytes, SHA-256 "), 1),
        ] {
            let mut values = Values::default();
            values.add_untold(body);
            let text = values.shown.first().and_then(|value| value.member("value"));
            let text = text.and_then(Value::as_str);
            let as_wanted = match (text, shown) {
                (Some(text), Some(shown)) => text.starts_with(shown),
                (text, shown) => text == shown,
            };
            assert!(as_wanted, "{text:?}");
            assert_eq!(values.hidden, hidden, "{body:?}");
        }
        let mut values = Values::default();
        values.add_untold("x".repeat(LONGEST + 1).as_bytes());
        assert_eq!(values.hidden, 1, "not shown whole");
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
    fn what_is_to_be_entered_cannot_be_read_off_the_card() {
        let unvouched = |kind: &str, text: &str| {
            let kind: writ_types::Kind = kind.parse().unwrap();
            Unvouched {
                place: "/body/x".to_owned(),
                form: kind.of_text(text),
                kind,
                text: text.to_owned(),
                origin: writ_types::Origin::Unseen,
            }
        };
        for (kind, value, text, shown) in [
            ("user", "Fred", "Fred", "••••"),
            ("user", "Fred", "Dear Fred, hello", "Dear ••••, hello"),
            (
                "iban",
                "GB29NWBK60161331926819",
                "GB29NWBK60161331926819",
                "GB2••••••••••••••••819",
            ),
            // Written in several words, or otherwise than it stands in the call.
            (
                "iban",
                "GB29NWBK60161331926819",
                "to GB29 NWBK 6016 1331 9268 19",
                "to •••••••••••••••••••••••• 19",
            ),
            (
                "url",
                "evil.example/x",
                "see https://EVIL.example/x now",
                "see htt••••••••••••••••e/x now",
            ),
            ("user", "Fred", "nothing of it", "nothing of it"),
        ] {
            let confirm = [unvouched(kind, value)];
            let found = veiled(text, &confirm);
            assert_eq!(found, shown, "{text}");
            assert!(!found.contains(value), "{found}");
            let read = Canonical::identifiers(&found, 64).unwrap();
            let forms = read.iter().filter_map(|found| found.form.as_ref());
            assert!(
                forms
                    .into_iter()
                    .all(|form| Some(form) != confirm[0].form.as_ref()),
                "{found}"
            );
        }
        assert_eq!(veiled("as it is", &[]), "as it is");
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
