//! What a server says on the way to its result: how far it is (`notifications/progress`), and what it logs (`notifications/message`).
//!
//! It reaches the client where the client asked for it, on the stream of the very call it was said in. It is content of that
//! call like the result: the task carries the operation's labels, `untrusted` among them, before the server hears of the call;
//! what stands in the words themselves joins before they are handed on; and the credential is looked for in each message before
//! any of it leaves. Words follow no contract, so they vouch for nothing.
//!
//! Whatever reads messages of a server gives each of them to [`Telling::tell`], the result excepted; the rest is done here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{self, HeaderMap};
use writ_task::{Detector, Read};
use writ_types::{ApiId, Decimal, JsonLimits, Monotonic, Number, ReasonCode, Timestamp, Value};

use super::envelope::{self, Envelope};
use super::events::Line;
use super::{Exchange, Fault, Revision};
use crate::completion::{Completion, End};
use crate::flow::{self, Memory};
use crate::gateway::Gateway;
use crate::leak::LeakGuard;

/// Most messages that are told in one call.
const MOST: u32 = 1_000;
/// Most messages within one second.
const MOST_A_SECOND: u32 = 32;
/// Longest message of a server that is looked at, in bytes.
const LONGEST: usize = 64 * 1024;
/// Longest text that is told, in characters.
const LONGEST_TEXT: usize = 2_000;
/// Longest name of a logger, in characters.
const LONGEST_LOGGER: usize = 64;
/// Longest number, in digits and signs.
const LONGEST_NUMBER: usize = 32;

/// How grave a message is (RFC 5424 §6.2.1), the least grave first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Level {
    const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    pub(super) fn of(word: &Value) -> Option<Self> {
        let word = word.as_str()?;
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}

/// What a client wants to be told on the way to a result.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// The client's own token for progress. It goes nowhere but back.
    token: Option<Value>,
    /// The least grave messages of the log.
    level: Option<Level>,
}

impl Wishes {
    /// Reads what the client asked for; nothing of a client that takes no stream of events.
    ///
    /// `session`: what the client said for its whole session (2025-11-25); a request of 2026-07-28 says it itself.
    ///
    /// # Errors
    ///
    /// [`Fault::Parameters`] for a token or a level that is none.
    pub(super) fn read(
        envelope: &Envelope,
        headers: &HeaderMap,
        revision: Revision,
        session: Option<Level>,
    ) -> Result<Self, Fault> {
        let token = envelope.meta("progressToken").cloned();
        if token.as_ref().is_some_and(|token| !envelope::is_id(token)) {
            return Err(Fault::Parameters);
        }
        let own = envelope.meta(envelope::META_LEVEL);
        let level = match (revision, own) {
            (Revision::Sessions, _) => session,
            (Revision::Stateless, None) => None,
            (Revision::Stateless, Some(word)) => Some(Level::of(word).ok_or(Fault::Parameters)?),
        };
        if takes_events(headers) {
            Ok(Self { token, level })
        } else {
            Ok(Self::default())
        }
    }

    /// Whether the server is to say how far it is.
    pub(crate) const fn progress(&self) -> bool {
        self.token.is_some()
    }

    /// What the server is to log, at least.
    pub(crate) const fn level(&self) -> Option<Level> {
        self.level
    }

    const fn is_nothing(&self) -> bool {
        self.token.is_none() && self.level.is_none()
    }
}

/// Whether the client takes a stream of events (RFC 9110 §12.5.1).
pub(super) fn takes_events(headers: &HeaderMap) -> bool {
    taken(headers).any(|(kind, weight)| is(kind, EVENTS) && !is_nothing(weight))
}

/// Whether it does, and names that before JSON with no less weight than any: where weights do not decide, the order may.
pub(super) fn rather_takes_events(headers: &HeaderMap) -> bool {
    let mut kinds = taken(headers);
    let first = kinds.find(|(kind, _)| is(kind, EVENTS) || is(kind, "application/json"));
    first.is_some_and(|(kind, weight)| is(kind, EVENTS) && weight.is_none())
}

const EVENTS: &str = "text/event-stream";

fn is(kind: &str, known: &str) -> bool {
    kind.eq_ignore_ascii_case(known)
}

fn is_nothing(weight: Option<&str>) -> bool {
    weight.is_some_and(|weight| weight.trim_end_matches(['0', '.']).is_empty())
}

/// The media ranges that the client names, with their weights.
fn taken(headers: &HeaderMap) -> impl Iterator<Item = (&str, Option<&str>)> {
    let fields = headers.get_all(header::ACCEPT).iter();
    let ranges = fields.filter_map(|value| value.to_str().ok());
    ranges.flat_map(|ranges| ranges.split(',')).map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let mut weights =
            parts.filter_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        (kind, weights.next())
    })
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It says how far the call is: the server is at work.
    Progress,
    /// Anything else.
    Other,
}

/// Tells a client what the server says in one call.
pub(crate) struct Telling<'e> {
    gateway: &'e Arc<Gateway>,
    line: &'e Line,
    wishes: &'e Wishes,
    /// Whose words they are.
    api: &'e ApiId,
    guard: LeakGuard,
    memory: Memory,
    pace: Pace,
    /// How far the server said that it is.
    progress: Option<Decimal>,
}

/// How much was told.
#[derive(Debug, Default)]
struct Pace {
    told: u32,
    second: Option<(Monotonic, u32)>,
    /// What was not told since the last message that was.
    left_out: u64,
}

impl Pace {
    /// Whether another message may be told now.
    fn admits(&mut self, now: Monotonic) -> bool {
        let (begun, count) = match self.second {
            Some((begun, count)) if now.since(begun) < Duration::from_secs(1) => (begun, count),
            Some(_) | None => (now, 0),
        };
        let admits = count < MOST_A_SECOND && self.told < MOST;
        if admits {
            self.told = self.told.saturating_add(1);
            self.second = Some((begun, count.saturating_add(1)));
        } else {
            self.second = Some((begun, count));
            self.left_out = self.left_out.saturating_add(1);
        }
        admits
    }
}

impl Exchange {
    /// What tells the client what the server says in the call; none if the client wants to hear nothing.
    pub(crate) fn telling<'e>(
        &'e self,
        gateway: &'e Arc<Gateway>,
        api: &'e ApiId,
        completion: &Completion,
        guard: &LeakGuard,
    ) -> Option<Telling<'e>> {
        if self.wishes.is_nothing() {
            return None;
        }
        let grant = completion.entered().grant();
        let snapshot = gateway.snapshot();
        let memory = snapshot.map_or(Memory::Sources, |snapshot| Memory::of(&snapshot, grant));
        Some(Telling {
            gateway,
            line: self.line.as_ref()?,
            wishes: &self.wishes,
            api,
            guard: guard.fresh(),
            memory,
            pace: Pace::default(),
            progress: None,
        })
    }
}

impl Telling<'_> {
    /// Takes a message that the server sent in the call before its result, and tells the client what it wants to hear of it.
    ///
    /// # Errors
    ///
    /// The message holds the credential, or the call was cut.
    pub(crate) async fn tell(
        &mut self,
        message: &[u8],
        completion: &mut Completion,
    ) -> Result<Heard, (End, ReasonCode)> {
        if message.len() > LONGEST {
            return Ok(Heard::Other);
        }
        // What is no message at all is found when the whole answer is read.
        let Ok(said) = Value::parse(message, &JsonLimits::DOCUMENT) else {
            return Ok(Heard::Other);
        };
        let call = Value::from(completion.call().to_string());
        let Some((heard, mut params, content)) = self.heard(&said, &call) else {
            return Ok(Heard::Other);
        };
        let held = Bytes::copy_from_slice(message);
        if self.guard.fresh().pass(held).is_err() || self.guard.stands_in(message) {
            return Err((End::Withheld, ReasonCode::UpstreamInvalid));
        }
        let parts = &self.gateway.parts;
        if !self.pace.admits(parts.clock.monotonic()) {
            return Ok(heard);
        }
        self.mark(&content, completion, parts.clock.now()).await?;
        if let Value::Object(params) = &mut params {
            params.insert("_meta".to_owned(), self.meta());
        }
        let told = Value::object([
            ("jsonrpc", Value::from("2.0")),
            (
                "method",
                said.member("method").cloned().unwrap_or(Value::Null),
            ),
            ("params", params),
        ]);
        if self.line.tell(&told, completion.entered().cut()) {
            self.pace.left_out = 0;
        } else {
            self.pace.left_out = self.pace.left_out.saturating_add(1);
        }
        Ok(heard)
    }

    /// Marks the task with what stands in a message, before the client has it.
    async fn mark(
        &self,
        content: &Value,
        completion: &mut Completion,
        now: Timestamp,
    ) -> Result<(), (End, ReasonCode)> {
        let labels = Detector::labels_of(content.to_string().as_bytes());
        if !completion.has_marked(&labels) {
            let marked = completion.mark(&labels).await;
            marked.map_err(|ended| (End::Cut, ended.reason()))?;
        }
        if self.memory != Memory::Sights {
            return Ok(());
        }
        let seen = flow::seen(&self.gateway.parts.audit_key, content);
        let read = Read {
            seen,
            ..Read::default()
        };
        let ledger = &self.gateway.parts.ledger;
        let noted = ledger.note(completion.entered(), &read, now).await;
        noted.map_err(|ended| (End::Cut, ended.reason()))
    }

    /// What the client is told of a message, and the server's part in that; none if it did not ask for it, or the message is of
    /// another call or malformed.
    fn heard(&mut self, said: &Value, call: &Value) -> Option<(Heard, Value, Value)> {
        if said.member("id").is_some() {
            return None;
        }
        let params = said.member("params")?;
        match said.member("method")?.as_str()? {
            "notifications/progress" => self.progress(params, call),
            "notifications/message" => self.log(params),
            _ => None,
        }
    }

    /// How far the server is: ever further, or it is not told.
    fn progress(&mut self, params: &Value, call: &Value) -> Option<(Heard, Value, Value)> {
        let token = self.wishes.token.as_ref()?;
        if params.member("progressToken") != Some(call) {
            return None;
        }
        let progress = short(params.member("progress")?)?;
        let quantity = progress.to_decimal()?;
        if self
            .progress
            .as_ref()
            .is_some_and(|before| *before >= quantity)
        {
            return None;
        }
        self.progress = Some(quantity);
        let mut told = vec![
            ("progressToken", token.clone()),
            ("progress", Value::Number(progress.clone())),
        ];
        let total = params.member("total").and_then(short).cloned();
        told.extend(total.map(|total| ("total", Value::Number(total))));
        let words = params
            .member("message")
            .filter(|words| words.as_str().is_some());
        told.extend(words.map(|words| ("message", self.labelled(words))));
        let names = ["progress", "total", "message"];
        let content = names
            .into_iter()
            .filter_map(|name| params.member(name).cloned());
        let content = Value::Array(content.collect());
        Some((Heard::Progress, Value::object(told), content))
    }

    fn log(&self, params: &Value) -> Option<(Heard, Value, Value)> {
        let level = Level::of(params.member("level")?)?;
        let least = self.wishes.level?;
        let data = params.member("data")?;
        if level < least {
            return None;
        }
        let own = params.member("logger").and_then(Value::as_str);
        let logger = own.map_or_else(
            || self.api.to_string(),
            |own| format!("{}/{}", self.api, plain(own, LONGEST_LOGGER)),
        );
        let told = Value::object([
            ("level", Value::from(level.as_str())),
            ("logger", Value::from(logger)),
            ("data", self.labelled(data)),
        ]);
        let content = params.member("logger").into_iter().chain([data]);
        let content = Value::Array(content.cloned().collect());
        Some((Heard::Other, told, content))
    }

    /// A server's words, saying whose they are.
    fn labelled(&self, words: &Value) -> Value {
        let text = words
            .as_str()
            .map_or_else(|| words.to_string(), str::to_owned);
        let text = plain(&text, LONGEST_TEXT);
        Value::from(format!("The MCP server {} says: {text}", self.api))
    }

    fn meta(&self) -> Value {
        let mut meta = vec![
            ("writ/origin", Value::from(self.api.to_string())),
            ("writ/trust", Value::from("untrusted")),
        ];
        if self.pace.left_out > 0 {
            meta.push(("writ/left_out", Value::from_u64(self.pace.left_out)));
        }
        Value::object(meta)
    }
}

/// A number that is one.
fn short(value: &Value) -> Option<&Number> {
    let number = value.as_number()?;
    (number.as_str().len() <= LONGEST_NUMBER).then_some(number)
}

/// A text without control characters, cut to so many characters.
fn plain(text: &str, most: usize) -> String {
    let mut characters = text.chars();
    let mut plain: String = characters
        .by_ref()
        .take(most)
        .map(|one| if one.is_control() { ' ' } else { one })
        .collect();
    if characters.next().is_some() {
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_taken_rather_where_it_is_named_first_with_no_less_weight() {
        for (accept, takes, rather) in [
            ("text/event-stream, application/json", true, true),
            ("application/json, text/event-stream", true, false),
            ("Text/Event-Stream", true, true),
            ("*/*", false, false),
            ("application/json", false, false),
            ("text/event-stream;q=0.5, application/json", true, false),
            ("text/event-stream;q=0, application/json", false, false),
            (
                "text/event-stream;charset=utf-8, application/json",
                true,
                true,
            ),
            ("", false, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            let found = (takes_events(&headers), rather_takes_events(&headers));
            assert_eq!(found, (takes, rather), "{accept}");
        }
    }
}
