//! Refusals, and the one table that turns them into the wire (RFC 9457, RFC 9110 §15, RFC 6750 §3, RFC 9449 §7.1).

use std::num::NonZeroU32;

use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use writ_types::{
    CallId, Pending, Problem, PublicUrl, ReasonCode, Remedy, RemedyKind, Verdict,
    WantedAuthentication,
};

use crate::body::Body;
use crate::target::Endpoint;
use crate::{mcp, metadata};

/// The header that names the call in every response.
pub(crate) const CALL_ID: HeaderName = HeaderName::from_static("writ-call-id");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// A call that is not served.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Why.
    pub(crate) reason: ReasonCode,
    /// Places of the contract or of the task's bounds where something is wrong, each with static text.
    pub(crate) faults: Vec<(String, String)>,
    /// The methods that a path has, for 405.
    pub(crate) allow: Option<String>,
    /// The place of the task's own bounds that was left, if that is why.
    pub(crate) bound: Option<String>,
    /// The fault of the MCP message, if that is why.
    pub(crate) mcp: Option<mcp::Fault>,
    /// The task holds nothing at all of what the endpoint serves: another token would (MCP, authorization).
    pub(crate) insufficient_scope: bool,
    /// How the user has to authenticate, if that is why.
    pub(crate) wanted: Option<Box<WantedAuthentication>>,
    /// What was decided: a no for good, or for now.
    pub(crate) verdict: Verdict,
    /// What is waited for, if something is.
    pub(crate) pending: Option<Box<Pending>>,
    /// After how many seconds the same call may be repeated, where that is known.
    pub(crate) wait: Option<NonZeroU32>,
    /// Whether that was waited for before: the same call again is no other try.
    pub(crate) waits_already: bool,
}

impl From<ReasonCode> for Refusal {
    fn from(reason: ReasonCode) -> Self {
        Self {
            reason,
            faults: Vec::new(),
            allow: None,
            bound: None,
            mcp: None,
            insufficient_scope: false,
            wanted: None,
            verdict: Verdict::Deny,
            pending: None,
            wait: None,
            waits_already: false,
        }
    }
}

/// What a challenge says beside the reason.
pub(crate) struct Challenge {
    /// Where the gateway is reached.
    pub(crate) public_url: PublicUrl,
    /// What the request was for. Whether there is such an API, strangers do not learn.
    pub(crate) endpoint: Endpoint,
    /// A fresh nonce.
    pub(crate) nonce: String,
}

impl Refusal {
    /// The denial object. Nothing of the request is in it.
    pub(crate) fn problem(&self, call: CallId) -> Problem {
        let mut problem = Problem::refusal(self.reason, call);
        problem.faults.clone_from(&self.faults);
        problem.verdict = self.verdict;
        problem.pending = self.pending.as_deref().cloned();
        problem.retry_after = self.wait.map(|seconds| u64::from(seconds.get()));
        problem
            .remedies
            .extend(self.bound.clone().map(|place| Remedy {
                kind: RemedyKind::NarrowArguments,
                place: Some(place),
            }));
        problem
    }

    /// The response. Nothing of the request is in it, but for the well-formed id of the API it was for in a challenge.
    pub(crate) fn into_response(
        self,
        call: CallId,
        challenge: Option<&Challenge>,
    ) -> Response<Body> {
        let reason = self.reason;
        let problem = self.problem(call);
        let mut response = Response::new(Body::Full(Bytes::from(problem.to_value().to_string())));
        *response.status_mut() = status(reason);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(Problem::MEDIA_TYPE),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let challenged = reason.status() == 401 || self.insufficient_scope;
        if let Some(challenge) = challenge.filter(|_| challenged) {
            let (challenges, nonce) = challenge.fields(reason, self.wanted.as_deref());
            for value in challenges
                .into_iter()
                .filter_map(|text| HeaderValue::try_from(text).ok())
            {
                headers.append(header::WWW_AUTHENTICATE, value);
            }
            if let Ok(value) = HeaderValue::try_from(nonce) {
                headers.insert(DPOP_NONCE, value);
            }
        }
        if let Some(value) = self
            .allow
            .and_then(|allow| HeaderValue::try_from(allow).ok())
        {
            headers.insert(header::ALLOW, value);
        }
        if reason.is_retryable() {
            let seconds = self.wait.map_or(1, NonZeroU32::get);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl Challenge {
    /// The `WWW-Authenticate` fields, one for each scheme, and the nonce.
    fn fields(
        &self,
        reason: ReasonCode,
        wanted: Option<&WantedAuthentication>,
    ) -> ([String; 2], String) {
        // The metadata of what was asked for: the token it leads to is for that (RFC 9728 §5.1).
        let metadata = format!(
            "resource_metadata=\"{}{}{}\"",
            self.public_url,
            metadata::PATH,
            self.endpoint
        );
        if let Some(wanted) = wanted {
            let how = step_up(wanted);
            let dpop = format!("DPoP {how}, algs=\"ES256 EdDSA\", {metadata}");
            let bearer = format!("Bearer {how}, {metadata}");
            return ([dpop, bearer], self.nonce.clone());
        }
        // Strangers learn which part of a proof to mend and nothing else (RFC 9449 §7.1).
        let error = if reason == ReasonCode::InvalidDpopProof {
            "error=\"invalid_dpop_proof\", "
        } else if reason == ReasonCode::UseDpopNonce {
            "error=\"use_dpop_nonce\", "
        } else if reason.status() == 403 {
            "error=\"insufficient_scope\", "
        } else {
            "error=\"invalid_token\", "
        };
        let dpop = format!("DPoP {error}algs=\"ES256 EdDSA\", {metadata}");
        // The bearer scheme knows no proof errors (RFC 6750 §3.1).
        let error = if reason.status() == 403 {
            "insufficient_scope"
        } else {
            "invalid_token"
        };
        let bearer = format!("Bearer error=\"{error}\", {metadata}");
        ([dpop, bearer], self.nonce.clone())
    }
}

/// How the user has to authenticate (RFC 9470 §3). Classes have no character that a quoted string could not hold.
fn step_up(wanted: &WantedAuthentication) -> String {
    let mut how = "error=\"insufficient_user_authentication\", error_description=\"a fresher or stronger authentication of the user is wanted\"".to_owned();
    if let Some(acr) = wanted.acr_values() {
        how.push_str(&format!(", acr_values=\"{acr}\""));
    }
    if let Some(age) = wanted.max_age() {
        how.push_str(&format!(", max_age=\"{}\"", age.as_secs()));
    }
    how
}

/// The status of a reason; the registry holds 4xx and 5xx only.
fn status(reason: ReasonCode) -> StatusCode {
    StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
