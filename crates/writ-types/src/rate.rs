//! How often something may happen.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// So many in so long, and at most so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    calls: u32,
    per: Duration,
    burst: u32,
}

/// Why a text is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write a rate as `10/s`, `100/m`, `5/30s` or `10/s burst 40`: 1 to 1000000 calls in 1 second to 31 days"
)]
pub struct RateError;

/// Most calls of a rate, and most at once.
const MOST: u32 = 1_000_000;
/// The longest time of a rate.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);

impl Rate {
    /// `calls` in `per`, `burst` at once; none if one of them is nothing, or more than a rate can be.
    #[must_use]
    pub fn new(calls: u32, per: Duration, burst: u32) -> Option<Self> {
        let sound = (1..=MOST).contains(&calls)
            && (1..=MOST).contains(&burst)
            && (Duration::from_secs(1)..=LONGEST).contains(&per);
        sound.then_some(Self { calls, per, burst })
    }

    /// The time in which one more becomes possible; never nothing.
    #[must_use]
    pub fn interval(self) -> Duration {
        let interval = self.per.checked_div(self.calls).unwrap_or(self.per);
        interval.max(Duration::from_nanos(1))
    }

    /// How many at once.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (rate, burst) = match text.split_once(" burst ") {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let (calls, per) = rate.split_once('/').ok_or(RateError)?;
        let number = |digits: &str| -> Result<u32, RateError> {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| plain).ok_or(RateError)
        };
        let calls = number(calls)?;
        let unit = per.chars().last().ok_or(RateError)?;
        let many = per.get(..per.len().saturating_sub(1)).unwrap_or_default();
        let many = if many.is_empty() { 1 } else { number(many)? };
        let seconds = match unit {
            's' => 1u64,
            'm' => 60,
            'h' => 3600,
            'd' => 24 * 3600,
            _ => return Err(RateError),
        };
        let per = Duration::from_secs(seconds.saturating_mul(u64::from(many)));
        let burst = burst.map_or(Ok(calls), number)?;
        Self::new(calls, per, burst).ok_or(RateError)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}s burst {}",
            self.calls,
            self.per.as_secs(),
            self.burst
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written() {
        for (text, written) in [
            ("10/s", Some("10/1s burst 10")),
            ("100/m burst 20", Some("100/60s burst 20")),
            ("5/30s", Some("5/30s burst 5")),
            ("3600/h", Some("3600/3600s burst 3600")),
            ("1000000/31d", Some("1000000/2678400s burst 1000000")),
            ("1000001/d", None),
            ("1/32d", None),
            ("0/s", None),
            ("10/s burst 0", None),
            ("10/0s", None),
            ("10/s burst", None),
            ("+1/s", None),
            ("10", None),
            ("10/", None),
            ("/s", None),
            ("10/w", None),
            ("10/é", None),
        ] {
            let rate = text.parse::<Rate>().ok();
            assert_eq!(
                rate.map(|rate| rate.to_string()).as_deref(),
                written,
                "{text}"
            );
            if let Some(rate) = rate {
                assert_eq!(rate.to_string().parse(), Ok(rate));
            }
        }
    }
}
