//! The hours of a purpose: when its tasks are opened and used.
//!
//! A zone is a fixed offset from UTC. The rules of a named zone change by decree, several times a year somewhere, and a gateway
//! that decides by tables it cannot keep would be wrong in the hour that counts; an offset is always what was agreed.

use std::collections::BTreeSet;
use std::fmt;

use crate::Timestamp;

/// The days of a week, Monday first.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const MINUTES: i64 = 24 * 60;

/// Why hours are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// A day that is none.
    #[error("`days` holds at least one of `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`")]
    Day,
    /// A time of day that is none, or an empty span.
    #[error(
        "`from` and `until` are times of day such as `08:30`, and not the same; `until` may be `24:00`"
    )]
    Time,
    /// A zone that is no offset.
    #[error(
        "`zone` is an offset from UTC such as `+01:00`, or `Z`; names of zones are not taken, because their rules change"
    )]
    Zone,
}

/// A span of hours on some days of the week. Where it ends before it begins it ends on the day after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hours {
    /// 0 is Monday.
    days: BTreeSet<u8>,
    /// Minutes of the day; the first that is in.
    from: u16,
    /// Minutes of the day; the first that is not in any more.
    until: u16,
    /// Minutes east of UTC.
    offset: i16,
}

impl Hours {
    /// Reads hours as a purpose's file has them.
    ///
    /// # Errors
    ///
    /// [`HoursError`].
    pub fn parse(
        days: impl IntoIterator<Item = impl AsRef<str>>,
        from: &str,
        until: &str,
        zone: &str,
    ) -> Result<Self, HoursError> {
        let day = |word: &str| {
            let place = DAYS.iter().position(|day| *day == word);
            place.and_then(|place| u8::try_from(place).ok())
        };
        let days = days.into_iter().map(|word| day(word.as_ref()));
        let days: BTreeSet<u8> = days.collect::<Option<_>>().ok_or(HoursError::Day)?;
        if days.is_empty() {
            return Err(HoursError::Day);
        }
        let begin = time(from).filter(|minute| i64::from(*minute) < MINUTES);
        let begin = begin.ok_or(HoursError::Time)?;
        let end = time(until).ok_or(HoursError::Time)?;
        if begin == end {
            return Err(HoursError::Time);
        }
        Ok(Self {
            days,
            from: begin,
            until: end,
            offset: offset(zone).ok_or(HoursError::Zone)?,
        })
    }

    /// Whether an instant is within.
    #[must_use]
    pub fn admit(&self, now: Timestamp) -> bool {
        let seconds = now.since(Timestamp::from_millis(0)).as_secs();
        let minutes = i64::try_from(seconds / 60).unwrap_or(i64::MAX);
        let local = minutes.saturating_add(i64::from(self.offset));
        // The first of January 1970 was a Thursday.
        let day = local.div_euclid(MINUTES).saturating_add(3).rem_euclid(7);
        let day = u8::try_from(day).unwrap_or(u8::MAX);
        let minute = local.rem_euclid(MINUTES);
        let (from, until) = (i64::from(self.from), i64::from(self.until));
        if from < until {
            return self.days.contains(&day) && (from..until).contains(&minute);
        }
        let before = if day == 0 { 6 } else { day.saturating_sub(1) };
        (self.days.contains(&day) && minute >= from)
            || (self.days.contains(&before) && minute < until)
    }
}

/// `08:30`, in minutes; up to `24:00`.
fn time(text: &str) -> Option<u16> {
    let (hours, minutes) = pair(text)?;
    let time = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && i64::from(time) <= MINUTES).then_some(time)
}

/// `+01:00`, in minutes; at most 14 hours either way.
fn offset(text: &str) -> Option<i16> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (None, Some(rest)) => (-1, rest),
        (None, None) => return None,
    };
    let minutes = time(rest).filter(|minutes| *minutes <= 14 * 60)?;
    i16::try_from(minutes).ok()?.checked_mul(sign)
}

/// `08:30` as two numbers of two digits.
fn pair(text: &str) -> Option<(u16, u16)> {
    let (first, second) = text.split_once(':')?;
    let two = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    Some((two(first)?, two(second)?))
}

impl fmt::Display for Hours {
    /// `mon,tue 08:00-18:00 +01:00`: what [`std::str::FromStr`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.days.iter();
        let days: Vec<&str> = days
            .filter_map(|day| DAYS.get(usize::from(*day)).copied())
            .collect();
        write!(f, "{} ", days.join(","))?;
        let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        write!(f, "{}-{} ", clock(self.from), clock(self.until))?;
        if self.offset == 0 {
            return f.write_str("Z");
        }
        let sign = if self.offset < 0 { '-' } else { '+' };
        write!(f, "{sign}{}", clock(self.offset.unsigned_abs()))
    }
}

impl std::str::FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let mut parts = text.split(' ');
        let (Some(days), Some(span), Some(zone), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HoursError::Time);
        };
        let (from, until) = span.split_once('-').ok_or(HoursError::Time)?;
        Self::parse(days.split(','), from, until, zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(&format!("{text}:00.000Z")).unwrap()
    }

    #[test]
    fn an_instant_is_within_or_not() {
        // 2026-11-23 is a Monday.
        for (hours, instant, within) in [
            (
                "mon,tue,wed,thu,fri 08:00-18:00 Z",
                "2026-11-23T08:00",
                true,
            ),
            (
                "mon,tue,wed,thu,fri 08:00-18:00 Z",
                "2026-11-23T07:59",
                false,
            ),
            (
                "mon,tue,wed,thu,fri 08:00-18:00 Z",
                "2026-11-23T18:00",
                false,
            ),
            (
                "mon,tue,wed,thu,fri 08:00-18:00 Z",
                "2026-11-22T12:00",
                false,
            ),
            // East of UTC the day begins earlier, west of it later.
            ("mon 00:00-24:00 +05:30", "2026-11-22T18:30", true),
            ("mon 00:00-24:00 +05:30", "2026-11-22T18:29", false),
            ("mon 00:00-24:00 -08:00", "2026-11-23T07:59", false),
            ("mon 00:00-24:00 -08:00", "2026-11-24T07:59", true),
            // Over midnight: the night belongs to the day it begins on.
            ("sun 22:00-06:00 Z", "2026-11-23T05:59", true),
            ("sun 22:00-06:00 Z", "2026-11-23T06:00", false),
            ("sun 22:00-06:00 Z", "2026-11-23T22:00", false),
            ("mon 22:00-06:00 Z", "2026-11-23T05:59", false),
            ("mon 22:00-06:00 Z", "2026-11-23T22:00", true),
        ] {
            let read: Hours = hours.parse().unwrap();
            assert_eq!(read.admit(at(instant)), within, "{hours} {instant}");
            assert_eq!(read.to_string(), hours);
        }
        let first: Hours = "thu 00:00-24:00 Z".parse().unwrap();
        assert!(first.admit(Timestamp::from_millis(0)));
        // Before the first day there is in the west.
        let west: Hours = "wed 00:00-24:00 -01:00".parse().unwrap();
        assert!(west.admit(Timestamp::from_millis(0)));
    }

    #[test]
    fn what_is_no_span_of_hours_is_refused() {
        for (hours, why) in [
            ("", HoursError::Time),
            (" 08:00-18:00 Z", HoursError::Day),
            ("mo 08:00-18:00 Z", HoursError::Day),
            ("mon 08:00-08:00 Z", HoursError::Time),
            ("mon 8:00-18:00 Z", HoursError::Time),
            ("mon 08:60-18:00 Z", HoursError::Time),
            ("mon 24:00-06:00 Z", HoursError::Time),
            ("mon 08:00-24:01 Z", HoursError::Time),
            ("mon 08:00 Z", HoursError::Time),
            ("mon 08:00-18:00 Europe/Berlin", HoursError::Zone),
            ("mon 08:00-18:00 +15:00", HoursError::Zone),
            ("mon 08:00-18:00 01:00", HoursError::Zone),
            ("mon 08:00-18:00 Z Z", HoursError::Time),
        ] {
            assert_eq!(hours.parse::<Hours>(), Err(why), "{hours}");
        }
    }
}
