//! The pings of a server in the middle of its answer (MCP 2025-11-25, ping): answered as they come, and passed on to nobody.
//!
//! Everything else of a stream of events passes as it came, and is judged where the whole answer is. With any other request the stream is
//! over, unless somebody hears it: it will be refused, and the server would wait for an answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use tokio::time::Instant;
use writ_types::{JsonLimits, Value};

use crate::mcp::Reader;

/// Most pings of one answer that are answered; of a stream that lasts, in each [`SPAN`].
const MOST: u8 = 16;
const SPAN: Duration = Duration::from_secs(60);
/// Longest event that is looked at, in bytes, its name and fields included.
const LONGEST: usize = 64 * 1024;
/// What ends an event.
const ENDS: [&[u8]; 3] = [b"\n\n", b"\r\n\r\n", b"\r\r"];

/// Looks through a stream of events for pings.
pub(crate) struct Pings {
    pong: Box<dyn Fn(&Value) + Send + Sync>,
    answered: u8,
    /// Since when they are counted, where the stream lasts.
    since: Option<Instant>,
    /// An event that has not ended yet.
    held: BytesMut,
    /// How much of it is known to hold no end.
    looked: usize,
    /// The event in the middle of which the stream is was too long to be looked at.
    passing: bool,
    asks: Asks,
}

/// What becomes of what the server asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// It will be refused, and then nothing more comes.
    Refused,
    /// Somebody hears it.
    Heard,
    /// It has asked for what will be refused.
    Over,
}

/// What an event is, as far as that matters here.
enum Event {
    Ping(Value),
    Asks,
    Other,
}

impl std::fmt::Debug for Pings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pings")
            .field("answered", &self.answered)
            .finish_non_exhaustive()
    }
}

impl Pings {
    /// `pong` answers a ping, by the id it has.
    pub(crate) fn new(pong: impl Fn(&Value) + Send + Sync + 'static) -> Self {
        Self {
            pong: Box::new(pong),
            answered: 0,
            since: None,
            held: BytesMut::new(),
            looked: 0,
            passing: false,
            asks: Asks::Refused,
        }
    }

    /// The stream has no end: its pings are bounded in each span of time.
    pub(crate) fn lasting(mut self) -> Self {
        self.since = Some(Instant::now());
        self
    }

    /// Somebody hears what the server asks for: it passes, and the stream goes on.
    pub(crate) const fn let_ask(&mut self) {
        self.asks = Asks::Heard;
    }

    /// Whether the server has asked for what will be refused: nothing more comes then.
    pub(crate) const fn asked(&self) -> bool {
        matches!(self.asks, Asks::Over)
    }

    /// What passes of the stream with this part of it.
    pub(crate) fn pass(&mut self, part: &[u8]) -> Bytes {
        self.pass_at(part, Instant::now())
    }

    fn pass_at(&mut self, part: &[u8], now: Instant) -> Bytes {
        self.held.extend_from_slice(part);
        let mut passed = BytesMut::new();
        while let Some(end) = end_of(&self.held, self.looked) {
            let event = self.held.split_to(end);
            self.looked = 0;
            if !std::mem::take(&mut self.passing) && self.answers(&event, now) {
                continue;
            }
            passed.extend_from_slice(&event);
        }
        if self.held.len() > LONGEST {
            // What may be the first half of its end stays.
            let most = self.held.len().saturating_sub(4);
            passed.extend_from_slice(&self.held.split_to(most));
            self.passing = true;
        }
        // The first half of an end may stand there already.
        self.looked = self.held.len().saturating_sub(3);
        passed.freeze()
    }

    /// What passes when the stream has ended.
    pub(crate) fn end(self) -> Bytes {
        self.held.freeze()
    }

    /// Whether the event was a ping, and is answered.
    fn answers(&mut self, event: &[u8], now: Instant) -> bool {
        let is_over = |since: Instant| now.saturating_duration_since(since) >= SPAN;
        if self.since.is_some_and(is_over) {
            self.since = Some(now);
            self.answered = 0;
        }
        match read(event) {
            Event::Ping(id) if self.answered < MOST => {
                self.answered = self.answered.saturating_add(1);
                (self.pong)(&id);
                true
            }
            Event::Asks if self.asks == Asks::Heard => false,
            Event::Ping(_) | Event::Asks => {
                self.asks = Asks::Over;
                false
            }
            Event::Other => false,
        }
    }
}

fn end_of(held: &[u8], from: usize) -> Option<usize> {
    let rest = held.get(from..)?;
    let ends = ENDS
        .iter()
        .filter_map(|end| Some(memmem::find(rest, end)?.saturating_add(end.len())));
    Some(ends.min()?.saturating_add(from))
}

fn read(event: &[u8]) -> Event {
    if event.len() > LONGEST {
        return Event::Other;
    }
    let read = |data: &Vec<u8>| Value::parse(data, &JsonLimits::REQUEST).ok();
    let messages: Vec<_> = Reader::all(event).iter().filter_map(read).collect();
    let request = |message: &Value| {
        Some((
            message.member("method")?.clone(),
            message.member("id")?.clone(),
        ))
    };
    let mut requests = messages.iter().filter_map(request);
    match (requests.next(), messages.len()) {
        (None, _) => Event::Other,
        (Some((method, id)), 1) if method.as_str() == Some("ping") => Event::Ping(id),
        // Line ends of two kinds can make two events of what stands here as one: it is not cut in two.
        (Some(_), _) => Event::Asks,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const PING: &str =
        "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"ping\"}\n\n";

    /// What passes of a stream that comes in parts of this size, and the ids that were answered.
    fn passed(stream: &str, size: usize) -> (String, Vec<String>, bool) {
        let answered = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&answered);
        let mut pings = Pings::new(move |id| heard.lock().unwrap().push(id.to_string()));
        let mut whole = Vec::new();
        for part in stream.as_bytes().chunks(size) {
            whole.extend_from_slice(&pings.pass(part));
        }
        let asked = pings.asked();
        whole.extend_from_slice(&pings.end());
        let answered = answered.lock().unwrap().clone();
        (String::from_utf8(whole).unwrap(), answered, asked)
    }

    #[test]
    fn pings_are_answered_and_nothing_else_is_touched() {
        let large = format!("data: {{\"a\":\"{}\"}}\n\n", "x".repeat(90_000));
        let asks = "data: {\"id\":4,\"method\":\"sampling/createMessage\"}\r\n\r\n";
        let windows = PING.replace('\n', "\r\n");
        let quoted = "data: {\"text\":\"{\\\"id\\\":3,\\\"method\\\":\\\"ping\\\"}\"}\n\n";
        let told = "data: {\"method\":\"ping\"}\n\n";
        // Two events to whoever reads line by line.
        let mixed =
            "data: {\"method\":\"told\"}\n\r\ndata: {\"id\":4,\"method\":\"sampling/x\"}\n\n";
        for (stream, wanted, ids) in [
            (PING.to_owned(), String::new(), vec!["3"]),
            (windows, String::new(), vec!["3"]),
            (format!("{PING}{asks}"), asks.to_owned(), vec!["3"]),
            (format!("{large}{PING}"), large, vec!["3"]),
            (quoted.to_owned(), quoted.to_owned(), vec![]),
            (told.to_owned(), told.to_owned(), vec![]),
            (mixed.to_owned(), mixed.to_owned(), vec![]),
            (
                "{\"result\":1}".to_owned(),
                "{\"result\":1}".to_owned(),
                vec![],
            ),
        ] {
            for size in [7, 5_000, 200_000] {
                let (whole, answered, asked) = passed(&stream, size);
                let wanted = (wanted.as_str(), stream.contains("sampling"));
                assert_eq!((whole.as_str(), asked), wanted, "{size}: {stream:.60}");
                assert_eq!(answered, ids, "{size}: {stream:.60}");
            }
        }
    }

    #[test]
    fn a_stream_that_lasts_has_its_pings_in_each_span() {
        let answered = Arc::new(Mutex::new(0));
        let heard = Arc::clone(&answered);
        let mut pings = Pings::new(move |_| *heard.lock().unwrap() += 1).lasting();
        let begun = Instant::now();
        for (seconds, most) in [(0, 16), (70, 32), (140, 48)] {
            let now = begun + Duration::from_secs(seconds);
            pings.pass_at(PING.repeat(16).as_bytes(), now);
            assert_eq!((*answered.lock().unwrap(), pings.asked()), (most, false));
        }
        pings.pass_at(PING.as_bytes(), begun + Duration::from_secs(150));
        assert_eq!((*answered.lock().unwrap(), pings.asked()), (48, true));
    }

    #[test]
    fn a_server_that_does_nothing_but_ping_is_not_answered_for_ever() {
        let (whole, answered, asked) = passed(&PING.repeat(20), 64);
        assert!(asked);
        assert_eq!(answered.len(), usize::from(MOST));
        assert_eq!(
            whole,
            PING.repeat(4),
            "what is left is refused as a request"
        );
    }
}
