//! How tokens of an outside issuer are recognised as an agent's own: Kubernetes service accounts, CI jobs, cloud workloads.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::Value;

/// Why a text names no claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no claim: write `repository`, or `/kubernetes.io/namespace` for one inside another"
)]
pub struct ClaimNameError(String);

/// Where a claim stands: a name, or a pointer (RFC 6901) into claims that are objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimName(Vec<String>);

impl ClaimName {
    /// The claim among `claims`, if it is there.
    #[must_use]
    pub fn find<'a>(&self, claims: &'a BTreeMap<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter()
            .try_fold(claims.get(first)?, |value, name| value.member(name))
    }
}

impl FromStr for ClaimName {
    type Err = ClaimNameError;

    fn from_str(text: &str) -> Result<Self, ClaimNameError> {
        let refused = || ClaimNameError(text.chars().take(128).collect());
        let parts: Vec<String> = match text.strip_prefix('/') {
            None => vec![text.to_owned()],
            Some(pointer) => pointer
                .split('/')
                .map(|part| part.replace("~1", "/").replace("~0", "~"))
                .collect(),
        };
        let printable = |part: &String| !part.is_empty() && !part.chars().any(char::is_control);
        if text.len() <= 256 && parts.iter().all(printable) {
            Ok(Self(parts))
        } else {
            Err(refused())
        }
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] if !only.starts_with('/') => f.write_str(only),
            parts => parts
                .iter()
                .try_for_each(|part| write!(f, "/{}", part.replace('~', "~0").replace('/', "~1"))),
        }
    }
}

/// One way in which tokens of an issuer are recognised as an agent's own. All claims must match.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Federation {
    issuer: String,
    claims: BTreeMap<ClaimName, String>,
}

impl Federation {
    /// Tokens of `issuer` whose claims have these values; none if there is no claim, since that would be everybody.
    #[must_use]
    pub fn new(issuer: String, claims: BTreeMap<ClaimName, String>) -> Option<Self> {
        (!issuer.is_empty() && !claims.is_empty()).then_some(Self { issuer, claims })
    }

    /// The issuer, as its tokens spell it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The claims and their values.
    #[must_use]
    pub const fn claims(&self) -> &BTreeMap<ClaimName, String> {
        &self.claims
    }

    /// Whether a verified token of `issuer` with these claims is the agent's. A claim that is absent, is no text, or has
    /// another value never matches; nothing is a pattern.
    #[must_use]
    pub fn matches(&self, issuer: &str, claims: &BTreeMap<String, Value>) -> bool {
        let same = |(name, wanted): (&ClaimName, &String)| {
            name.find(claims).and_then(Value::as_str) == Some(wanted)
        };
        !self.claims.is_empty() && self.issuer == issuer && self.claims.iter().all(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JsonLimits;

    const ISSUER: &str = "https://ci.example";
    const JOB: &str = r#"{"sub":"repo:acme/app:ref:refs/heads/main","repository":"acme/app","run":7,
        "kubernetes.io":{"namespace":"prod","a/b":{"c":"d"}},"list":["acme/app"],"empty":""}"#;

    fn federation(claims: &[(&str, &str)]) -> Federation {
        let claims = claims
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), (*value).to_owned()));
        Federation::new(ISSUER.to_owned(), claims.collect()).unwrap()
    }

    #[test]
    fn every_claim_must_be_there_with_that_very_value() {
        let job = Value::parse(JOB.as_bytes(), &JsonLimits::REQUEST).unwrap();
        let job = job.as_object().unwrap();
        let rows: &[(&[(&str, &str)], bool)] = &[
            (&[("repository", "acme/app")], true),
            (
                &[
                    ("repository", "acme/app"),
                    ("/kubernetes.io/namespace", "prod"),
                ],
                true,
            ),
            (&[("/kubernetes.io/a~1b/c", "d")], true),
            (&[("empty", "")], true),
            (&[("repository", "acme/app2")], false),
            (&[("repository", "acme/ap")], false),
            (&[("repository", "ACME/app")], false),
            (&[("repository", "acme/*")], false),
            (&[("repository", "")], false),
            (&[("absent", "")], false),
            (&[("repository", "acme/app"), ("absent", "x")], false),
            (&[("kubernetes.io", "prod")], false),
            (&[("/kubernetes.io/absent", "prod")], false),
            (&[("/repository/x", "acme/app")], false),
            (&[("list", "acme/app")], false),
            (&[("run", "7")], false),
        ];
        for (claims, matches) in rows {
            assert_eq!(
                federation(claims).matches(ISSUER, job),
                *matches,
                "{claims:?}"
            );
        }
        let own = federation(&[("repository", "acme/app")]);
        for other in ["https://ci.example/", "https://ci2.example", ""] {
            assert!(!own.matches(other, job), "{other}");
        }
    }

    #[test]
    fn without_a_claim_there_is_no_federation() {
        assert_eq!(Federation::new(ISSUER.to_owned(), BTreeMap::new()), None);
        let claims = BTreeMap::from([("sub".parse().unwrap(), "x".to_owned())]);
        assert_eq!(Federation::new(String::new(), claims), None);
    }

    #[test]
    fn names_read_and_print() {
        for text in ["sub", "a.b", "/kubernetes.io/namespace", "/a~1b/~0"] {
            assert_eq!(text.parse::<ClaimName>().unwrap().to_string(), text);
        }
        for bad in ["", "/", "//", "/a/", "a\n", &"a".repeat(257)] {
            assert!(bad.parse::<ClaimName>().is_err(), "{bad:?}");
        }
    }
}
