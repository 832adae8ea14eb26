//! How a user has authenticated, and how a purpose wants them to have (RFC 9470, OIDC Core §2: `auth_time` and `acr`).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::Timestamp;

/// An authentication context class: a name that an issuer and whoever reads its tokens have agreed on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acr(String);

/// Why a text is no authentication context class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an `acr` is 1 to 128 printable ASCII characters without spaces, quotes and backslashes")]
pub struct AcrError;

impl Acr {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Acr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Acr {
    type Err = AcrError;

    /// In a challenge several stand in one quoted string, with spaces between them (RFC 9470 §3).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if (1..=128).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(AcrError)
        }
    }
}

/// How a user has authenticated, as far as their issuer said it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserAuthentication {
    /// When, in whole seconds.
    pub at: Option<Timestamp>,
    /// In which context class.
    pub acr: Option<Acr>,
}

/// How users have to have authenticated for whom a purpose is used. At least one of the two is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedAuthentication {
    max_age: Option<Duration>,
    acr: Vec<Acr>,
}

/// Why nothing can be wanted like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WantedError {
    /// Neither an age nor a class.
    #[error("`user_authentication` asks for nothing: give it `max_age`, `acr` or both")]
    Nothing,
    /// The age is no whole number of seconds, or nothing, or longer than a day.
    #[error("`max_age` is from \"1s\" to \"24h\", in whole seconds")]
    Age,
    /// There are too many classes, or one of them twice.
    #[error("`acr` names at most eight classes, each once, the best first")]
    Classes,
}

impl WantedAuthentication {
    /// Longest age: what is older is no authentication of the same day.
    pub const LONGEST: Duration = Duration::from_secs(24 * 3600);
    /// Most classes.
    pub const MOST: usize = 8;

    /// An authentication that is at most so old, in one of these classes, the best first; none named is any.
    ///
    /// # Errors
    ///
    /// [`WantedError`].
    pub fn new(max_age: Option<Duration>, acr: Vec<Acr>) -> Result<Self, WantedError> {
        if max_age.is_none() && acr.is_empty() {
            return Err(WantedError::Nothing);
        }
        let good = |age: Duration| {
            (Duration::from_secs(1)..=Self::LONGEST).contains(&age) && age.subsec_nanos() == 0
        };
        if !max_age.is_none_or(good) {
            return Err(WantedError::Age);
        }
        let distinct: std::collections::BTreeSet<_> = acr.iter().collect();
        if acr.len() > Self::MOST || distinct.len() != acr.len() {
            return Err(WantedError::Classes);
        }
        Ok(Self { max_age, acr })
    }

    /// Whether a user's authentication is such at this instant. What their issuer did not say is not so, and where there is no
    /// user nobody has authenticated.
    #[must_use]
    pub fn is_met(&self, known: Option<&UserAuthentication>, now: Timestamp) -> bool {
        let Some(known) = known else {
            return false;
        };
        let fresh = |most: Duration| known.at.is_some_and(|at| now <= at.plus(most));
        let class = known.acr.as_ref();
        self.max_age.is_none_or(fresh)
            && (self.acr.is_empty() || class.is_some_and(|acr| self.acr.contains(acr)))
    }

    /// How old it may be.
    #[must_use]
    pub const fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// The classes, the best first.
    #[must_use]
    pub fn acr(&self) -> &[Acr] {
        &self.acr
    }

    /// The classes as a challenge has them (RFC 9470 §3): the best first, with spaces between; none where any will do.
    #[must_use]
    pub fn acr_values(&self) -> Option<String> {
        let names: Vec<_> = self.acr.iter().map(Acr::as_str).collect();
        (!names.is_empty()).then(|| names.join(" "))
    }
}

impl fmt::Display for WantedAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = self
            .max_age
            .map(|age| format!("at most {} s old", age.as_secs()));
        let acr = self.acr_values().map(|acr| format!("in {acr}"));
        let parts: Vec<_> = age.into_iter().chain(acr).collect();
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn wanted(seconds: Option<u64>, acr: &[&str]) -> Result<WantedAuthentication, WantedError> {
        let acr = acr.iter().map(|name| name.parse().unwrap()).collect();
        WantedAuthentication::new(seconds.map(Duration::from_secs), acr)
    }

    /// What is wanted, what is known (seconds ago, class), and whether it is enough.
    #[test]
    fn an_authentication_is_fresh_and_of_a_class() {
        let (age, class) = (Some(900), &["mfa", "phr"][..]);
        for (max_age, acr, ago, known, met) in [
            (age, &[][..], Some(0), None, true),
            (age, &[], Some(900), None, true),
            (age, &[], Some(901), None, false),
            (age, &[], None, Some("mfa"), false),
            (None, class, None, Some("mfa"), true),
            (None, class, None, Some("phr"), true),
            (None, class, None, Some("pwd"), false),
            (None, class, None, Some("MFA"), false),
            (None, class, Some(0), None, false),
            (age, class, Some(10), Some("phr"), true),
            (age, class, Some(1000), Some("phr"), false),
            (age, class, Some(10), Some("pwd"), false),
        ] {
            let known = UserAuthentication {
                at: ago.map(|ago| NOW.minus(Duration::from_secs(ago))),
                acr: known.map(|name: &str| name.parse().unwrap()),
            };
            let wanted = wanted(max_age, acr).unwrap();
            assert_eq!(wanted.is_met(Some(&known), NOW), met, "{wanted}: {known:?}");
            assert!(!wanted.is_met(None, NOW), "nobody: {wanted}");
        }
    }

    #[test]
    fn what_cannot_be_wanted_is_said() {
        assert_eq!(wanted(None, &[]), Err(WantedError::Nothing));
        for seconds in [0, 86_401] {
            assert_eq!(wanted(Some(seconds), &[]), Err(WantedError::Age));
        }
        let part = Some(Duration::from_millis(1500));
        assert_eq!(
            WantedAuthentication::new(part, Vec::new()),
            Err(WantedError::Age)
        );
        assert_eq!(wanted(None, &["a", "a"]), Err(WantedError::Classes));
        let nine = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
        assert_eq!(wanted(None, &nine), Err(WantedError::Classes));
        for bad in ["", "a b", "a\"", "a\\", "ä", "a\n"] {
            assert!(bad.parse::<Acr>().is_err(), "{bad}");
        }
        assert!("x".repeat(129).parse::<Acr>().is_err());
        let both = wanted(Some(900), &["phr", "mfa"]).unwrap();
        assert_eq!(both.to_string(), "at most 900 s old, in phr mfa");
    }
}
