//! Time comes in as an argument: the wall clock dates things, the monotonic clock measures them.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

/// An instant of the wall clock, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the epoch (a JWT `NumericDate`).
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis_since_epoch(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn secs_since_epoch(self) -> u64 {
        self.0 / 1000
    }

    /// This instant and `span`; it stops at the end of time.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// This instant less `span`; it stops at the epoch.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// How long after `earlier`; nothing if it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Reads what [`Self`] prints: RFC 3339 in UTC with exactly three decimals, in the years 1970 to 9999.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |from: usize, to: usize| {
            let part = text.get(from..to)?;
            part.bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| part.parse::<u64>().ok())?
        };
        let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
        let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
        // Howard Hinnant's days-from-civil; the comparison below refuses what is no date and every other spelling.
        let year_from_march = year.checked_sub(u64::from(month <= 2))?;
        let era = year_from_march / 400;
        let year_of_era = year_from_march % 400;
        let month_from_march = month
            .checked_add(if month > 2 { 0 } else { 12 })?
            .checked_sub(3)?;
        let day_of_year = (month_from_march.checked_mul(153)?.checked_add(2)? / 5)
            .checked_add(day)?
            .checked_sub(1)?;
        let day_of_era = year_of_era
            .checked_mul(365)?
            .checked_add(year_of_era / 4)?
            .checked_sub(year_of_era / 100)?
            .checked_add(day_of_year)?;
        let days = era
            .checked_mul(146_097)?
            .checked_add(day_of_era)?
            .checked_sub(719_468)?;
        let minutes = days
            .checked_mul(24)?
            .checked_add(hour)?
            .checked_mul(60)?
            .checked_add(minute)?;
        let seconds = minutes.checked_mul(60)?.checked_add(second)?;
        let instant = Self(seconds.checked_mul(1000)?.checked_add(digits(20, 23)?)?);
        (instant.to_string() == text).then_some(instant)
    }

    /// The UTC calendar date, year, month and day (proleptic Gregorian).
    #[must_use]
    pub fn date(self) -> (u64, u64, u64) {
        // Howard Hinnant's days-to-civil, for days since the epoch that are never negative.
        let days = (self.0 / 86_400_000).saturating_add(719_468);
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era = day_of_era
            .saturating_sub(day_of_era / 1_460)
            .saturating_add(day_of_era / 36_524)
            .saturating_sub(day_of_era / 146_096)
            / 365;
        let before = year_of_era
            .saturating_mul(365)
            .saturating_add(year_of_era / 4)
            .saturating_sub(year_of_era / 100);
        let day_of_year = day_of_era.saturating_sub(before);
        let shifted = day_of_year.saturating_mul(5).saturating_add(2) / 153;
        let day = day_of_year
            .saturating_sub(shifted.saturating_mul(153).saturating_add(2) / 5)
            .saturating_add(1);
        let month = if shifted < 10 {
            shifted.saturating_add(3)
        } else {
            shifted.saturating_sub(9)
        };
        let year = year_of_era
            .saturating_add(era.saturating_mul(400))
            .saturating_add(u64::from(month <= 2));
        (year, month, day)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with milliseconds, in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let millis = self.0 % 86_400_000;
        let (hours, minutes, seconds) =
            (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z",
            millis % 1000
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An instant of a clock that never goes back; only differences mean anything, and only within one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// From the time since the process began.
    #[must_use]
    pub const fn from_start(since: Duration) -> Self {
        Self(since)
    }

    /// How long after `earlier`; nothing if it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This instant and `span`.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

/// Where time comes from. The binary has the real one; tests own theirs.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// The monotonic clock.
    fn monotonic(&self) -> Monotonic;
}

/// The wall clock went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the wall clock went back by {} ms; nothing is issued until it is right again", .by.as_millis())]
pub struct ClockError {
    /// By how much, against the latest instant seen.
    pub by: Duration,
}

/// Notices a wall clock that goes back.
///
/// Lifetimes are wall-clock instants, so a clock set back would stretch every token and task. Small corrections are
/// normal (NTP slews, but virtual machines step); more than [`Self::TOLERANCE`] stops issuing until the clock has
/// caught up with the latest instant seen.
#[derive(Debug, Default)]
pub struct WallGuard {
    latest: Mutex<Option<Timestamp>>,
}

impl WallGuard {
    /// The largest step back that is taken as a correction.
    pub const TOLERANCE: Duration = Duration::from_secs(2);

    /// A guard that has seen nothing, or the latest instant that an earlier process wrote down.
    #[must_use]
    pub fn new(latest: Option<Timestamp>) -> Self {
        Self {
            latest: Mutex::new(latest),
        }
    }

    /// Notes `now` and says whether it may date anything new.
    ///
    /// # Errors
    ///
    /// [`ClockError`] if `now` lies more than [`Self::TOLERANCE`] before the latest instant seen.
    pub fn check(&self, now: Timestamp) -> Result<Timestamp, ClockError> {
        let mut latest = self
            .latest
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let seen = latest.map_or(now, |seen| seen.max(now));
        *latest = Some(seen);
        let by = seen.since(now);
        if by > Self::TOLERANCE {
            Err(ClockError { by })
        } else {
            Ok(now)
        }
    }
}

/// A clock that moves only when told; for tests.
#[derive(Debug)]
pub struct ManualClock(Mutex<(Timestamp, Duration)>);

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new((now, Duration::ZERO)))
    }

    /// Both clocks move on by `span`.
    pub fn advance(&self, span: Duration) {
        let mut state = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *state = (state.0.plus(span), state.1.saturating_add(span));
    }

    /// The wall clock alone is set to `now`, as an administrator or NTP would.
    pub fn set_wall(&self, now: Timestamp) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .0 = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .0
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(
            self.0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .1,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_as_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
            assert_eq!(Timestamp::parse(text), Some(Timestamp::from_millis(millis)));
        }
    }

    #[test]
    fn only_the_printed_form_reads_back() {
        for day in 0..40_000 {
            let instant = Timestamp::from_millis(day * 86_400_000 + day);
            assert_eq!(Timestamp::parse(&instant.to_string()), Some(instant));
        }
        for bad in [
            "",
            "1969-12-31T23:59:59.999Z",
            "2023-02-29T00:00:00.000Z",
            "2023-13-01T00:00:00.000Z",
            "2023-00-01T00:00:00.000Z",
            "2023-01-00T00:00:00.000Z",
            "2023-01-01T24:00:00.000Z",
            "2023-01-01T00:60:00.000Z",
            "2023-01-01T00:00:60.000Z",
            "2023-01-01 00:00:00.000Z",
            "2023-01-01T00:00:00Z",
            "2023-01-01T00:00:00.000+00:00",
            "2023-01-01T00:00:00.000Zx",
            "+023-01-01T00:00:00.000Z",
        ] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_stops_issuing_until_it_has_caught_up() {
        let guard = WallGuard::default();
        let noon = Timestamp::from_secs(1_700_000_000);
        assert!(guard.check(noon).is_ok());
        assert!(
            guard.check(noon.minus(Duration::from_secs(1))).is_ok(),
            "a small correction is normal"
        );
        let back = guard.check(noon.minus(Duration::from_secs(60)));
        assert_eq!(
            back,
            Err(ClockError {
                by: Duration::from_secs(60)
            })
        );
        assert!(
            guard.check(noon.minus(Duration::from_secs(30))).is_err(),
            "still behind"
        );
        assert!(guard.check(noon.plus(Duration::from_secs(1))).is_ok());
    }
}
