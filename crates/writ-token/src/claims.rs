//! Claims (RFC 7519 §4), read strictly: absent is refused, never a default.

use std::collections::BTreeMap;
use std::time::Duration;

use writ_types::{JsonLimits, Timestamp, Value};

/// Why the claims of a signed text were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The payload is no strict JSON object.
    #[error("the payload is not a strict JSON object")]
    NotClaims,
    /// A required claim is not there.
    #[error("the claim `{0}` is absent")]
    Absent(&'static str),
    /// A claim has the wrong type or form.
    #[error("the claim `{0}` is malformed")]
    Malformed(&'static str),
    /// A claim has another value than the one that is wanted.
    #[error("the claim `{0}` has another value than the one wanted here")]
    Wrong(&'static str),
    /// A claim that this kind of token does not have.
    #[error("the token has a claim that is not known")]
    Unknown,
    /// `exp` has passed (RFC 7519 §4.1.4).
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come yet (RFC 7519 §4.1.5).
    #[error("the token is not valid yet")]
    NotYet,
    /// `iat` lies in the future.
    #[error("the token says it was issued in the future")]
    FromTheFuture,
    /// It would live longer than this kind of token may, or `exp` does not lie after `iat`.
    #[error("the token's life is empty or too long")]
    Life,
}

/// How far the issuer's clock may differ from ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leeway {
    /// Ahead of ours: for `iat` and `nbf`.
    pub(crate) ahead: Duration,
    /// Behind ours: for `exp`.
    pub(crate) late: Duration,
}

/// When a token is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    /// `iat`, where present.
    pub(crate) issued: Option<Timestamp>,
    /// `exp`.
    pub(crate) expires: Timestamp,
    /// `nbf`, where present.
    pub(crate) not_before: Option<Timestamp>,
}

impl Validity {
    /// Whether the token is good at `now` and does not live longer than `longest`.
    pub(crate) fn check(
        &self,
        now: Timestamp,
        leeway: Leeway,
        longest: Duration,
    ) -> Result<(), ClaimError> {
        if self.expires.plus(leeway.late) <= now {
            return Err(ClaimError::Expired);
        }
        let ahead = now.plus(leeway.ahead);
        if self.not_before.is_some_and(|not_before| ahead < not_before) {
            return Err(ClaimError::NotYet);
        }
        if self.issued.is_some_and(|issued| ahead < issued) {
            return Err(ClaimError::FromTheFuture);
        }
        let from = self.issued.unwrap_or(now);
        if self.expires <= from && self.issued.is_some() || self.expires.since(from) > longest {
            return Err(ClaimError::Life);
        }
        Ok(())
    }
}

/// The claims of a text whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims(BTreeMap<String, Value>);

impl Claims {
    /// Reads a payload.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, ClaimError> {
        match Value::parse(payload, &JsonLimits::REQUEST) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) | Err(_) => Err(ClaimError::NotClaims),
        }
    }

    /// All of them.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<String, Value> {
        &self.0
    }

    /// The claim, whatever its type.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A required claim.
    /// All claims as one object.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    pub(crate) fn value(&self, name: &'static str) -> Result<&Value, ClaimError> {
        self.0.get(name).ok_or(ClaimError::Absent(name))
    }

    /// A required text that is not empty.
    ///
    /// # Errors
    ///
    /// `Absent` or `Malformed`.
    pub fn text(&self, name: &'static str) -> Result<&str, ClaimError> {
        let text = self.value(name)?.as_str();
        text.filter(|text| !text.is_empty())
            .ok_or(ClaimError::Malformed(name))
    }

    /// A required text that reads as `T`.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, ClaimError> {
        let parsed = self.text(name)?.parse();
        parsed.map_err(|_other_form| ClaimError::Malformed(name))
    }

    /// A required `NumericDate` (RFC 7519 §2), to the millisecond, rounded down.
    ///
    /// # Errors
    ///
    /// `Absent` or `Malformed`.
    pub fn instant(&self, name: &'static str) -> Result<Timestamp, ClaimError> {
        numeric_date(self.value(name)?).ok_or(ClaimError::Malformed(name))
    }

    /// A `NumericDate` that may be absent.
    ///
    /// # Errors
    ///
    /// `Malformed`.
    pub fn instant_if_present(&self, name: &'static str) -> Result<Option<Timestamp>, ClaimError> {
        self.0.get(name).map(|_| self.instant(name)).transpose()
    }

    /// The only audience: a text, or an array of exactly one (RFC 7519 §4.1.3).
    ///
    /// # Errors
    ///
    /// `Absent`, or `Malformed` if there is none or more than one.
    pub fn only_audience(&self) -> Result<&str, ClaimError> {
        let only = match self.value("aud")? {
            Value::String(audience) => Some(audience.as_str()),
            Value::Array(audiences) => match audiences.as_slice() {
                [only] => only.as_str(),
                _ => None,
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
        };
        only.filter(|audience| !audience.is_empty())
            .ok_or(ClaimError::Malformed("aud"))
    }

    /// Every audience: a text, or an array of texts, none of them empty.
    ///
    /// # Errors
    ///
    /// `Absent`, or `Malformed` if there is none.
    pub fn audiences(&self) -> Result<Vec<&str>, ClaimError> {
        let audiences: Option<Vec<&str>> = match self.value("aud")? {
            Value::String(audience) => Some(vec![audience.as_str()]),
            Value::Array(audiences) => audiences.iter().map(Value::as_str).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
        };
        audiences
            .filter(|audiences| !audiences.is_empty() && !audiences.contains(&""))
            .ok_or(ClaimError::Malformed("aud"))
    }

    /// Refuses claims that are not in `known`.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ClaimError> {
        if self.0.keys().all(|name| known.contains(&name.as_str())) {
            Ok(())
        } else {
            Err(ClaimError::Unknown)
        }
    }
}

/// Seconds since the epoch, with up to nine decimals and no exponent; nothing beyond the year 9999.
fn numeric_date(value: &Value) -> Option<Timestamp> {
    let text = value.as_number()?.as_str();
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let seconds: u64 = whole
        .parse()
        .ok()
        .filter(|seconds| *seconds <= 253_402_300_799)?;
    if decimals.len() > 9 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis: u64 = format!("{decimals:0<3}").get(..3)?.parse().ok()?;
    Some(Timestamp::from_secs(seconds).plus(Duration::from_millis(millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(text: &str) -> Claims {
        Claims::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_numeric_date_is_seconds() {
        for (text, millis) in [
            ("1700000000", Some(1_700_000_000_000)),
            ("1700000000.5", Some(1_700_000_000_500)),
            ("1700000000.1239", Some(1_700_000_000_123)),
            ("0", Some(0)),
            ("-1", None),
            ("1e9", None),
            ("1.5e9", None),
            ("253402300800", None),
            ("18446744073709551616", None),
            ("\"1700000000\"", None),
            ("true", None),
        ] {
            let claims = claims(&format!(r#"{{"exp":{text}}}"#));
            let read = claims
                .instant("exp")
                .ok()
                .map(Timestamp::millis_since_epoch);
            assert_eq!(read, millis, "{text}");
        }
        assert_eq!(claims("{}").instant("exp"), Err(ClaimError::Absent("exp")));
    }

    #[test]
    fn an_audience_is_one() {
        assert_eq!(claims(r#"{"aud":"a"}"#).only_audience(), Ok("a"));
        assert_eq!(claims(r#"{"aud":["a"]}"#).only_audience(), Ok("a"));
        for bad in [
            "{}",
            r#"{"aud":[]}"#,
            r#"{"aud":["a","a"]}"#,
            r#"{"aud":["a","b"]}"#,
            r#"{"aud":""}"#,
            r#"{"aud":[1]}"#,
            r#"{"aud":null}"#,
            r#"{"aud":{"a":"a"}}"#,
        ] {
            assert!(claims(bad).only_audience().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_doubled_claim_is_no_claim() {
        for bad in [r#"{"a":1,"a":1}"#, "[]", "7", "", "{}{}", "\u{feff}{}"] {
            assert_eq!(
                Claims::parse(bad.as_bytes()),
                Err(ClaimError::NotClaims),
                "{bad}"
            );
        }
    }

    #[test]
    fn validity_is_exact_to_the_millisecond() {
        let at = Timestamp::from_millis;
        let validity = Validity {
            issued: Some(at(1_000)),
            expires: at(2_000),
            not_before: Some(at(1_500)),
        };
        let leeway = |ahead, late| Leeway {
            ahead: Duration::from_millis(ahead),
            late: Duration::from_millis(late),
        };
        let exact = leeway(0, 0);
        let second = Duration::from_secs(1);
        let check = |now, leeway| validity.check(at(now), leeway, second);
        assert_eq!(check(1_999, exact), Ok(()));
        assert_eq!(check(2_000, exact), Err(ClaimError::Expired));
        assert_eq!(check(2_000, leeway(1, 0)), Err(ClaimError::Expired));
        assert_eq!(check(2_000, leeway(0, 1)), Ok(()));
        assert_eq!(check(1_499, exact), Err(ClaimError::NotYet));
        assert_eq!(check(1_499, leeway(0, 1)), Err(ClaimError::NotYet));
        assert_eq!(check(1_499, leeway(1, 0)), Ok(()));
        let shorter = Duration::from_millis(999);
        assert_eq!(
            validity.check(at(1_999), exact, shorter),
            Err(ClaimError::Life)
        );
        let early = Validity {
            not_before: None,
            ..validity
        };
        assert_eq!(
            early.check(at(999), exact, second),
            Err(ClaimError::FromTheFuture)
        );
        assert_eq!(early.check(at(999), leeway(1, 0), second), Ok(()));
        let backwards = Validity {
            issued: Some(at(2_000)),
            ..early
        };
        assert_eq!(
            backwards.check(at(1_999), leeway(9, 0), second),
            Err(ClaimError::Life)
        );
        let undated = Validity {
            issued: None,
            ..early
        };
        assert_eq!(
            undated.check(at(1_000), exact, shorter),
            Err(ClaimError::Life)
        );
    }
}
