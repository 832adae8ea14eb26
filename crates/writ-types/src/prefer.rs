//! How long a client would wait for an answer.

use std::time::Duration;

/// Longest wait for a change.
const LONGEST: Duration = Duration::from_secs(60);

/// The wait that a client prefers (`Prefer: wait=…`, RFC 7240 §4.3), a minute at most; none if it says nothing that reads.
pub fn preferred_wait(fields: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Duration {
    let seconds = fields.into_iter().find_map(|field| wait(field.as_ref()));
    Duration::from_secs(seconds.unwrap_or(0)).min(LONGEST)
}

fn wait(field: &[u8]) -> Option<u64> {
    let mut preferences = str::from_utf8(field).ok()?.split([',', ';']);
    preferences.find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case("wait");
        let seconds = value.trim().trim_matches('"').parse::<u64>().ok();
        seconds.filter(|_| named)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_what_is_preferred_and_a_minute_at_most() {
        for (text, secs) in [
            ("wait=10", 10),
            ("respond-async, wait=20", 20),
            ("respond-async; Wait=\"5\"", 5),
            ("wait=600", 60),
            ("wait=-1", 0),
            ("wait", 0),
            ("", 0),
        ] {
            let wait = preferred_wait([text.as_bytes()]);
            assert_eq!(wait, Duration::from_secs(secs), "{text}");
        }
        assert_eq!(preferred_wait(std::iter::empty::<&[u8]>()), Duration::ZERO);
        assert_eq!(
            preferred_wait([&b"\xff"[..], b"wait=7"]),
            Duration::from_secs(7)
        );
    }
}
