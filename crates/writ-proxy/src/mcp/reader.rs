//! A stream of events as it is read (HTML §9.2.6, as far as MCP uses it: the data of events, and nothing else of them).

use memchr::memchr2;

/// Takes a stream in parts and gives the data of its events. Bounded by whoever bounds the stream.
///
/// The only reader of such streams: two that disagree about where an event ends would see different messages.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    data: Vec<u8>,
    /// The part before ended in a carriage return: a line feed that follows ends no other line.
    returned: bool,
}

impl Reader {
    /// The data of all events of a stream that was read whole.
    #[must_use]
    pub fn all(stream: &[u8]) -> Vec<Vec<u8>> {
        let mut reader = Self::default();
        let mut events = reader.pass(stream);
        events.extend(reader.end());
        events
    }

    /// Takes a part, and gives the data of the events that are whole now. An event without data is none.
    pub fn pass(&mut self, part: &[u8]) -> Vec<Vec<u8>> {
        let mut events = Vec::new();
        let mut rest = part;
        if std::mem::take(&mut self.returned) {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(at) = memchr2(b'\n', b'\r', rest) {
            let (before, after) = rest.split_at_checked(at).unwrap_or_default();
            let (end, after) = after.split_at_checked(1).unwrap_or_default();
            self.line.extend_from_slice(before);
            let returned = end == b"\r";
            self.returned = returned && after.is_empty();
            rest = if returned {
                after.strip_prefix(b"\n").unwrap_or(after)
            } else {
                after
            };
            events.extend(self.end_line());
        }
        self.line.extend_from_slice(rest);
        events
    }

    /// The end of the stream: an event that no empty line ended counts too.
    #[must_use]
    pub fn end(mut self) -> Option<Vec<u8>> {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.end_line()
    }

    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            // Each line of data was ended; the last end is none of the data's.
            let data = data.strip_suffix(b"\n").unwrap_or_default();
            return (!data.is_empty()).then(|| data.to_vec());
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            self.data
                .extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
            self.data.push(b'\n');
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(parts: &[&[u8]]) -> Vec<String> {
        let mut reader = Reader::default();
        let mut events: Vec<_> = parts.iter().flat_map(|part| reader.pass(part)).collect();
        events.extend(reader.end());
        let text = |data: Vec<u8>| String::from_utf8(data).unwrap();
        events.into_iter().map(text).collect()
    }

    #[test]
    fn the_data_of_events_is_read() {
        for (stream, events) in [
            ("data: a\n\n", vec!["a"]),
            (
                "data:a\r\n\r\ndata: b\r\rdata:  c\n\n",
                vec!["a", "b", " c"],
            ),
            ("event: message\nid: 1\ndata: a\ndata: b\n\n", vec!["a\nb"]),
            (
                ": nothing\n\nid: 0\nretry: 3000\ndata:\n\ndata: a\n\n",
                vec!["a"],
            ),
            ("data: a\n\ndata: b", vec!["a", "b"]),
            ("datum: a\n\ndata\n\n data: a\n\n", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(read(&[stream.as_bytes()]), events, "{stream:?}");
        }
    }

    proptest! {
        #[test]
        fn however_a_stream_is_split_its_events_are_the_same(
            stream in "((data: ?[a-c]{0,3}|:|id: 1)?(\n|\r|\r\n)){0,12}", cuts in prop::collection::vec(0usize..80, 0..8),
        ) {
            let bytes = stream.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<_> = cuts.windows(2).map(|cut| bytes.get(cut[0]..cut[1]).unwrap()).collect();
            prop_assert_eq!(read(&parts), read(&[bytes]));
        }
    }
}
