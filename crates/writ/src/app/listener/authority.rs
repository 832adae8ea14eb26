//! The authority of a request on a Unix socket, which is the socket's path.
//!
//! gRPC's C core, and with it the clients in Python, C++, Ruby and PHP, names as `:authority` the percent-encoded path
//! (`tmp%2Fagent.sock`). RFC 3986 §3.2.2 allows that in a host; the reader of HTTP/2 here does not, and refuses every call
//! of such a client. Nobody reads the authority on this socket, so each `%` of it is exchanged for a `-` on the way in: one
//! byte for one, so that no length changes. The C core writes it without Huffman coding; what is coded passes as it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What an HTTP/2 connection begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length of a frame's head.
const HEAD: usize = 9;
/// Largest frame that the other side may send (RFC 9113 §4.2, the initial value, which is never raised here).
const LARGEST: usize = 16_384;
/// A frame that opens a request, and its flags (RFC 9113 §6.2).
const HEADERS: u8 = 1;
const END_HEADERS: u8 = 0x04;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;

/// A connection whose requests have an authority that can be read.
#[derive(Debug)]
pub(super) struct Readable<S> {
    stream: S,
    words: Words,
    given: usize,
}

impl<S> Readable<S> {
    pub(super) const fn of(stream: S) -> Self {
        Self {
            stream,
            words: Words {
                state: State::Preface,
                waiting: Vec::new(),
                ready: Vec::new(),
            },
            given: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Readable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let own = &mut *self;
            let ready = own.words.ready.get(own.given..).unwrap_or_default();
            if !ready.is_empty() {
                let part = ready.get(..buffer.remaining()).unwrap_or(ready);
                buffer.put_slice(part);
                own.given = own.given.saturating_add(part.len());
                return Poll::Ready(Ok(()));
            }
            own.words.ready.clear();
            own.given = 0;
            let mut bytes = [0; 4096];
            let mut more = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut own.stream).poll_read(context, &mut more))?;
            if more.filled().is_empty() {
                // The end; what waits for the rest of its frame is no frame.
                return Poll::Ready(Ok(()));
            }
            own.words.take(more.filled());
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Readable<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preface,
    /// At a frame's head.
    Frame,
    /// So many bytes of a frame that is none of ours.
    Passing(usize),
    /// No HTTP/2, or nothing we would understand.
    Everything,
}

/// Bytes as they come, and as they may be read. At most one frame waits.
#[derive(Debug)]
struct Words {
    state: State,
    waiting: Vec<u8>,
    ready: Vec<u8>,
}

impl Words {
    fn take(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        while self.step() {}
    }

    /// One step; whether another may be possible.
    fn step(&mut self) -> bool {
        match self.state {
            State::Preface => {
                let seen = self.waiting.get(..PREFACE.len()).unwrap_or(&self.waiting);
                if !PREFACE.starts_with(seen) {
                    self.state = State::Everything;
                } else if seen.len() == PREFACE.len() {
                    self.state = State::Frame;
                    self.pass(PREFACE.len());
                } else {
                    return false;
                }
                true
            }
            State::Frame => {
                let Some([high, middle, low, kind, flags, ..]) = self.waiting.get(..HEAD) else {
                    return false;
                };
                let (kind, flags) = (*kind, *flags);
                let length = u32::from_be_bytes([0, *high, *middle, *low]);
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if kind != HEADERS || length > LARGEST {
                    self.state = State::Passing(length.saturating_add(HEAD));
                    return true;
                }
                let whole = length.saturating_add(HEAD);
                if self.waiting.len() < whole {
                    return false;
                }
                if flags & END_HEADERS != 0
                    && let Some(payload) = self.waiting.get_mut(HEAD..whole)
                {
                    // What is malformed is left for the reader to refuse.
                    let _malformed: Option<()> = mend(payload, flags);
                }
                self.pass(whole);
                true
            }
            State::Passing(0) => {
                self.state = State::Frame;
                true
            }
            State::Passing(left) => {
                let here = left.min(self.waiting.len());
                self.pass(here);
                self.state = State::Passing(left.saturating_sub(here));
                here > 0
            }
            State::Everything => {
                self.pass(self.waiting.len());
                false
            }
        }
    }

    fn pass(&mut self, length: usize) {
        let length = length.min(self.waiting.len());
        self.ready.extend(self.waiting.drain(..length));
    }
}

/// Exchanges `%` in the authority of a request's fields (RFC 7541 §6). None where the fields cannot be read to their end.
fn mend(payload: &mut [u8], flags: u8) -> Option<()> {
    let mut at = 0_usize;
    if flags & PADDED != 0 {
        at = at.checked_add(1)?;
    }
    if flags & PRIORITY != 0 {
        at = at.checked_add(5)?;
    }
    while at < payload.len() {
        let first = *payload.get(at)?;
        let bits = match first {
            // An indexed field, a field that joins the table, a change of the table's size, a field that stays out of it.
            0x80.. => 7,
            0x40..0x80 => 6,
            0x20..0x40 => 5,
            0x00..0x20 => 4,
        };
        let index = integer(payload, &mut at, bits)?;
        if matches!(bits, 7 | 5) {
            continue;
        }
        let authority = if index == 0 {
            let name = text(payload, &mut at)?;
            payload.get(name)? == b":authority"
        } else {
            index == 1
        };
        let coded = *payload.get(at)? & 0x80 != 0;
        let value = text(payload, &mut at)?;
        if authority && !coded {
            let value = payload.get_mut(value)?;
            value
                .iter_mut()
                .filter(|byte| **byte == b'%')
                .for_each(|byte| *byte = b'-');
        }
    }
    Some(())
}

/// An integer with a prefix of so many bits (RFC 7541 §5.1); nothing a frame could not hold.
fn integer(payload: &[u8], at: &mut usize, bits: u32) -> Option<usize> {
    let mask = 0xFF_u8.checked_shr(8_u32.checked_sub(bits)?)?;
    let mut number = usize::from(*payload.get(*at)? & mask);
    *at = at.checked_add(1)?;
    if number < usize::from(mask) {
        return Some(number);
    }
    for shift in [0, 7, 14] {
        let byte = *payload.get(*at)?;
        *at = at.checked_add(1)?;
        number = number.checked_add(usize::from(byte & 0x7F).checked_shl(shift)?)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Where a text stands (RFC 7541 §5.2).
fn text(payload: &[u8], at: &mut usize) -> Option<std::ops::Range<usize>> {
    let length = integer(payload, at, 7)?;
    let begin = *at;
    let end = begin.checked_add(length)?;
    payload.get(begin..end)?;
    *at = end;
    Some(begin..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What grpcio 1.85 sends for its first call on `unix:/tmp/a/t/x.sock`, but for its settings.
    const CALL: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x31\x01\x04\x00\x00\x00\x01@\x05:path\x04/A/B@\n:authority\x16tmp%2Fspf%2Ft%2Fx.sock\x83\x86\x00\x00\x05\x00\x01\x00\x00\x00\x01%%%%%";

    fn through(parts: &[&[u8]]) -> Vec<u8> {
        let mut words = Readable::of(()).words;
        parts.iter().for_each(|part| words.take(part));
        words.ready
    }

    #[test]
    fn the_path_of_a_socket_becomes_a_name() {
        let text = String::from_utf8_lossy(CALL).replace("tmp%2Fspf%2Ft%2F", "tmp-2Fspf-2Ft-2F");
        let wanted: Vec<u8> = CALL
            .iter()
            .enumerate()
            .map(|(place, byte)| {
                let authority = CALL
                    .windows(4)
                    .position(|at| at == b"tmp%")
                    .unwrap_or_default();
                let inside = (authority..authority.saturating_add(22)).contains(&place);
                if inside && *byte == b'%' { b'-' } else { *byte }
            })
            .collect();
        assert!(text.contains("tmp-2Fspf-2Ft-2Fx.sock"));
        assert_eq!(through(&[CALL]), wanted, "the body's bytes stay");
        for split in 0..CALL.len() {
            let (one, other) = CALL.split_at(split);
            assert_eq!(through(&[one, other]), wanted, "{split}");
        }
        let bytes: Vec<&[u8]> = CALL.chunks(1).collect();
        assert_eq!(through(&bytes), wanted);
    }

    #[test]
    fn what_is_no_call_passes_as_it_is() {
        for bytes in [
            &b"GET /%2F HTTP/1.1\r\nHost: a%2Fb\r\n\r\n"[..],
            b"P",
            b"PRI * HTTP/1.1\r\n",
        ] {
            let passed = through(&[bytes]);
            assert!(bytes.starts_with(&passed), "{bytes:?}");
            assert!(passed == bytes || PREFACE.starts_with(bytes), "{bytes:?}");
        }
        for (row, flags, fields) in [
            ("another field", 4, &b"@\x04nameA\x01%"[..]),
            ("Huffman coding", 4, b"\x41\x83%%%"),
            ("more to come", 0, b"\x41\x03a%b"),
            ("a text beyond the end", 4, b"\x41\x7Fa%b"),
            ("a number beyond the end", 4, b"\x41\x7F\xFF\xFF\xFF\xFF%"),
            ("padding that is not there", 0x2C, b"\x41\x03a"),
        ] {
            let mut frame = PREFACE.to_vec();
            let length = u8::try_from(fields.len()).unwrap_or_default();
            frame.extend([0, 0, length, HEADERS, flags, 0, 0, 0, 1]);
            frame.extend(fields);
            assert_eq!(through(&[&frame]), frame, "{row}");
        }
    }

    #[test]
    fn an_authority_is_found_by_its_index_behind_padding_and_priority() {
        let mut frame = PREFACE.to_vec();
        frame.extend([0, 0, 15, HEADERS, 0x2C, 0, 0, 0, 1]);
        frame.extend(b"\x02\x00\x00\x00\x00\x10\x3F\x01\x82\x01\x03a%b\x00");
        let passed = through(&[&frame]);
        assert!(passed.windows(3).any(|at| at == b"a-b"), "{passed:?}");
    }
}
