//! Durations and sizes as text with a unit.

use std::time::Duration;

/// `"250ms"`, `"30s"`, `"5m"` or `"2h"`; at most a year.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = split(text)?;
    let millis = match unit {
        "ms" => digits,
        "s" => digits.checked_mul(1000)?,
        "m" => digits.checked_mul(60_000)?,
        "h" => digits.checked_mul(3_600_000)?,
        _ => return None,
    };
    (millis <= 31_536_000_000).then(|| Duration::from_millis(millis))
}

/// `"512"`, `"64 KiB"`, `"8 MiB"` or `"1 GiB"`, in bytes or as a count.
#[must_use]
pub fn parse_size(text: &str) -> Option<usize> {
    let (digits, unit) = split(text)?;
    let factor: u64 = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    usize::try_from(digits.checked_mul(factor)?).ok()
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, unit.strip_prefix(' ').unwrap_or(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_units_read() {
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse("5m"), Some(Duration::from_secs(300)));
        for bad in ["", "5", "m", "-1s", "1.5s", "1d", "9999999h", "5 m m"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse_size("64 KiB"), Some(65_536));
        assert_eq!(parse_size("512"), Some(512));
        assert_eq!(parse_size("1 KB"), None);
    }
}
