//! How often an operation may be called: what its owner says, else what its document says.

use std::time::Duration;

use writ_types::{Pointer, Rate, Value};

use crate::document::follow;

/// How often an operation may be called by one agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// All operations of the API together.
    pub api: Option<Rate>,
    /// This operation.
    pub operation: Option<Rate>,
    /// Whether that is all there is to keep: the owner has reviewed the operation and says how often, or its document says that its
    /// server limits calls. Otherwise the gateway's own limits hold beside it.
    pub is_said: bool,
}

/// What a document says of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Documented {
    /// The figure, where there is one that can be read.
    pub(crate) rate: Option<Rate>,
}

/// Extensions in which vendors write their limits.
const EXTENSIONS: [&str; 2] = ["x-ratelimit", "x-rate-limit"];

/// The figure in an extension of the document or of an operation; none if there is none that can be read.
pub(crate) fn extension(value: &Value) -> Option<Rate> {
    let found = EXTENSIONS.iter().find_map(|name| value.member(name))?;
    let number = |names: &[&str]| {
        let value = names.iter().find_map(|name| found.member(name))?;
        u32::try_from(value.as_u64()?).ok()
    };
    match found {
        Value::String(text) => text.parse().ok().or_else(|| in_words(text)),
        Value::Object(_) => number(&["limit", "requests"]).and_then(|calls| {
            let seconds = number(&["window", "period"])?;
            Rate::new(calls, Duration::from_secs(u64::from(seconds)), calls)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

/// What an operation's own words say: an extension, a 429 among its responses, or header fields that tell of a limit.
pub(crate) fn documented(document: &Value, operation: &Value) -> Option<Documented> {
    if let Some(rate) = extension(operation) {
        return Some(Documented { rate: Some(rate) });
    }
    let responses = operation.member("responses").and_then(Value::as_object)?;
    let mut limited = false;
    for (code, response) in responses {
        let Ok((response, _)) = follow(document, response, &Pointer::root()) else {
            continue;
        };
        if code == "429" {
            let text = response.member("description").and_then(Value::as_str);
            let rate = text.and_then(in_words);
            return Some(Documented { rate });
        }
        let headers = response.member("headers").and_then(Value::as_object);
        limited |= headers.into_iter().flatten().any(|(name, _)| {
            let name = name.to_ascii_lowercase();
            name.contains("ratelimit") || name.contains("rate-limit")
        });
    }
    limited.then_some(Documented { rate: None })
}

/// The strictest figure of a text such as `at most 100 requests per minute`; none if there is none.
fn in_words(text: &str) -> Option<Rate> {
    let words: Vec<&str> = text.split_whitespace().take(500).collect();
    let rates = words.windows(5).chain(words.windows(4)).filter_map(figure);
    rates.max_by_key(|rate| rate.interval())
}

/// `100 requests per minute`, `5 calls every 30 seconds`.
fn figure(words: &[&str]) -> Option<Rate> {
    let bare = |word: &str| -> String {
        let kept = word.chars().filter(char::is_ascii_alphanumeric);
        kept.collect::<String>().to_ascii_lowercase()
    };
    let [calls, what, per, rest @ ..] = words else {
        return None;
    };
    let calls: u32 = bare(calls).parse().ok()?;
    let is_call = matches!(
        bare(what).as_str(),
        "request" | "requests" | "call" | "calls"
    );
    let is_per = matches!(*per, "per" | "a" | "an" | "every" | "in" | "/" | "each");
    if !is_call || !is_per {
        return None;
    }
    let (many, unit) = match rest {
        [unit] => (1, bare(unit)),
        [many, unit] => (bare(many).parse().ok()?, bare(unit)),
        _ => return None,
    };
    let seconds = match unit.as_str() {
        "s" | "sec" | "second" | "seconds" => 1u64,
        "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3600,
        "day" | "days" => 24 * 3600,
        _ => return None,
    };
    let per = Duration::from_secs(seconds.saturating_mul(many));
    Rate::new(calls, per, calls)
}

#[cfg(test)]
mod tests;
