//! Exact decimal numbers: what a JSON number or an amount says, without rounding.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A text is not a decimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal number")]
pub struct DecimalError;

/// An exact decimal number of any size: `±0.d₁d₂… × 10^point`.
///
/// Kept in one normal form (no leading or trailing zero digits, one zero), so that `1`, `1.0` and `10e-1` are equal.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Decimal {
    negative: bool,
    digits: Box<str>,
    point: i64,
}

impl Decimal {
    /// The number as an `i64`, if it is a whole number in range.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        let whole = self.scaled_i128(0)?;
        i64::try_from(whole).ok()
    }

    /// The number times `10^places` as an integer, if that is exact and fits.
    #[must_use]
    pub fn scaled_i128(&self, places: u32) -> Option<i128> {
        let length = i64::try_from(self.digits.len()).ok()?;
        let zeros = self
            .point
            .checked_add(i64::from(places))?
            .checked_sub(length)?;
        if self.digits.is_empty() {
            return Some(0);
        }
        if !(0..=38).contains(&zeros) {
            return None;
        }
        let magnitude: i128 = self.digits.parse().ok()?;
        let magnitude = magnitude.checked_mul(10i128.checked_pow(u32::try_from(zeros).ok()?)?)?;
        Some(if self.negative {
            magnitude.checked_neg()?
        } else {
            magnitude
        })
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether the number has no fraction.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        i64::try_from(self.digits.len()).is_ok_and(|length| self.point >= length)
            || self.digits.is_empty()
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Reads `[-+]digits[.digits][e[-+]digits]`; at least one digit before the exponent.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() && fraction.is_empty() || !plain(whole) || !plain(fraction) {
            return Err(DecimalError);
        }
        let joined = format!("{whole}{fraction}");
        let trimmed = joined.trim_start_matches('0');
        let leading = i64::try_from(joined.len().saturating_sub(trimmed.len()))
            .map_err(|_too_long| DecimalError)?;
        let digits = trimmed.trim_end_matches('0');
        if digits.is_empty() {
            return Ok(Self {
                negative: false,
                digits: "".into(),
                point: 0,
            });
        }
        let length = i64::try_from(whole.len()).map_err(|_too_long| DecimalError)?;
        let point = length
            .checked_add(exponent)
            .and_then(|sum| sum.checked_sub(leading))
            .ok_or(DecimalError)?;
        Ok(Self {
            negative,
            digits: digits.into(),
            point,
        })
    }
}

fn exponent_of(text: &str) -> Result<i64, DecimalError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DecimalError);
    }
    // An exponent beyond this names no quantity that an API means; a bound keeps the arithmetic exact.
    let value: i64 = text
        .strip_prefix('+')
        .unwrap_or(text)
        .parse()
        .map_err(|_too_large| DecimalError)?;
    if value.unsigned_abs() > 1_000_000 {
        Err(DecimalError)
    } else {
        Ok(value)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0i8,
            (false, true) => -1,
            (false, false) => 1,
        };
        // Digits have no leading zero, so a larger point is a larger magnitude, and equal points compare as text.
        let magnitude = || {
            self.point
                .cmp(&other.point)
                .then_with(|| self.digits.cmp(&other.digits))
        };
        sign(self).cmp(&sign(other)).then_with(|| match sign(self) {
            0 => Ordering::Equal,
            1 => magnitude(),
            _ => magnitude().reverse(),
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    /// Plain notation where it is short (`100.5`), scientific else.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.digits.is_empty() {
            return f.write_str("0");
        }
        if self.negative {
            f.write_str("-")?;
        }
        let length = i64::try_from(self.digits.len()).unwrap_or(i64::MAX);
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        match self.point {
            point if !(-30..=30).contains(&point) => write!(f, "0.{}e{point}", self.digits),
            point if point <= 0 => write!(f, "0.{}{}", zeros(point.saturating_neg()), self.digits),
            point if point >= length => {
                write!(f, "{}{}", self.digits, zeros(point.saturating_sub(length)))
            }
            point => {
                let (whole, fraction) = self.digits.split_at(usize::try_from(point).unwrap_or(0));
                write!(f, "{whole}.{fraction}")
            }
        }
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn equal_numbers_are_equal_however_written() {
        for (left, right) in [
            ("1", "1.0"),
            ("10e-1", "1"),
            ("-0", "0"),
            ("0.00", "0e7"),
            ("1e2", "100"),
            ("0.050", "5e-2"),
        ] {
            assert_eq!(decimal(left), decimal(right), "{left} and {right}");
        }
    }

    #[test]
    fn nothing_is_rounded() {
        assert!(decimal("100.00000000000000000001") > decimal("100"));
        assert!(decimal("2.00004") > decimal("2"));
        assert!(decimal("-2.5") < decimal("-2.4"));
        assert_eq!(decimal("9223372036854775808").as_i64(), None);
        assert_eq!(decimal("-9223372036854775808").as_i64(), Some(i64::MIN));
        assert_eq!(decimal("12.3400").scaled_i128(4), Some(123_400));
        assert_eq!(decimal("12.34001").scaled_i128(4), None);
        assert!(decimal("1e3").is_integer() && !decimal("1e-3").is_integer());
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            ".",
            "-",
            "1e",
            "1e+",
            "0x1",
            "1_0",
            "1e99999999999999999999",
            "1e1000001",
            "NaN",
            "1.2.3",
            " 1",
        ] {
            assert!(bad.parse::<Decimal>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn order_agrees_with_integers(left in any::<i64>(), right in any::<i64>()) {
            prop_assert_eq!(decimal(&left.to_string()).cmp(&decimal(&right.to_string())), left.cmp(&right));
            prop_assert_eq!(decimal(&left.to_string()).as_i64(), Some(left));
        }

        #[test]
        fn what_is_printed_reads_back(whole in any::<i64>(), exponent in -60i32..60) {
            let number = decimal(&format!("{whole}e{exponent}"));
            prop_assert_eq!(decimal(&number.to_string()), number);
        }
    }
}
