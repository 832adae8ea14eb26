//! Refusals of the token endpoint (RFC 6749 §5.2): one table of codes, statuses and bodies.

use std::borrow::Cow;
use std::fmt;

use writ_types::{Value, WantedAuthentication};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident $code:literal $status:literal;)+) => {
        /// An OAuth error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum OauthErrorCode {
            $($(#[doc = $doc])+ $name,)+
        }

        impl OauthErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word in `error`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }
        }
    };
}

codes! {
    /// The request lacks, repeats or malforms a parameter; or a subject or actor token is unacceptable (RFC 8693 §2.2.2).
    InvalidRequest "invalid_request" 400;
    /// The client is unknown, disabled, or did not prove itself (RFC 6749 §5.2).
    InvalidClient "invalid_client" 401;
    /// The grant is expired, revoked, or somebody else's (RFC 6749 §5.2).
    InvalidGrant "invalid_grant" 400;
    /// The client may not use this grant type (RFC 6749 §5.2).
    UnauthorizedClient "unauthorized_client" 400;
    /// The grant type is not one of ours (RFC 6749 §5.2).
    UnsupportedGrantType "unsupported_grant_type" 400;
    /// A scope was asked for; Writ grants `authorization_details` (RFC 6749 §5.2).
    InvalidScope "invalid_scope" 400;
    /// The resource or audience is unknown, missing, or more than one (RFC 8707 §2).
    InvalidTarget "invalid_target" 400;
    /// `authorization_details` is malformed, unknown or not allowed (RFC 9396 §5).
    InvalidAuthorizationDetails "invalid_authorization_details" 400;
    /// The `DPoP` proof is refused (RFC 9449 §5).
    InvalidDpopProof "invalid_dpop_proof" 400;
    /// The `DPoP` proof lacks the nonce sent along in `DPoP-Nonce` (RFC 9449 §8).
    UseDpopNonce "use_dpop_nonce" 400;
    /// The user has authenticated too long ago, or in another way than the purpose wants (RFC 9470 §3).
    InsufficientUserAuthentication "insufficient_user_authentication" 400;
    /// Writ is at fault.
    ServerError "server_error" 500;
    /// Writ cannot issue at the moment: no record, no clock, no revision.
    TemporarilyUnavailable "temporarily_unavailable" 503;
}

impl fmt::Display for OauthErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal of the token endpoint. Nothing that the caller sent stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {description}")]
pub struct OauthError {
    /// The code.
    pub code: OauthErrorCode,
    /// A sentence for the developer.
    pub description: Cow<'static, str>,
    /// How the user has to authenticate, if that is why.
    pub wanted: Option<Box<WantedAuthentication>>,
}

impl OauthError {
    /// Header fields every answer of the token endpoint has, refusals included (RFC 6749 §5.1).
    pub const HEADERS: [(&'static str, &'static str); 3] = [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("pragma", "no-cache"),
    ];

    /// A refusal with static text.
    #[must_use]
    pub const fn new(code: OauthErrorCode, description: &'static str) -> Self {
        Self {
            code,
            description: Cow::Borrowed(description),
            wanted: None,
        }
    }

    /// The user has to authenticate like this first.
    #[must_use]
    pub fn step_up(wanted: &WantedAuthentication) -> Self {
        Self {
            wanted: Some(Box::new(wanted.clone())),
            ..Self::new(
                OauthErrorCode::InsufficientUserAuthentication,
                "the purpose wants a fresher or stronger authentication of the user: `max_age` and `acr_values` say which",
            )
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.code.status()
    }

    /// The body (RFC 6749 §5.2). Characters that `error_description` may not hold are left out.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let allowed =
            |char: &char| matches!(char, '\u{20}'..='\u{7E}') && !matches!(char, '"' | '\\');
        let description: String = self.description.chars().filter(allowed).take(512).collect();
        let mut members = vec![
            ("error", Value::from(self.code.as_str())),
            ("error_description", Value::from(description)),
        ];
        if let Some(wanted) = &self.wanted {
            let acr = wanted.acr_values();
            members.extend(acr.map(|acr| ("acr_values", Value::from(acr))));
            let age = wanted.max_age();
            members.extend(age.map(|age| ("max_age", Value::from_u64(age.as_secs()))));
        }
        Value::object(members)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_none_is_a_success() {
        let words: BTreeSet<_> = OauthErrorCode::ALL
            .iter()
            .map(|code| code.as_str())
            .collect();
        assert_eq!(words.len(), OauthErrorCode::ALL.len());
        assert!(
            OauthErrorCode::ALL
                .iter()
                .all(|code| (400..600).contains(&code.status()))
        );
    }

    #[test]
    fn the_body_is_that_of_the_rfc() {
        let error = OauthError::new(OauthErrorCode::InvalidTarget, "name \"one\" \\ resource\n");
        assert_eq!(error.status(), 400);
        assert_eq!(
            error.to_value().to_string(),
            r#"{"error":"invalid_target","error_description":"name one  resource"}"#
        );
    }
}
