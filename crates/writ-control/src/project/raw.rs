//! The files as typed. Every unknown key is an error, because a misspelt bound would not bind.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use toml::Spanned;
use writ_types::Budget;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApi {
    pub(super) owner: Spanned<String>,
    pub(super) upstream: Spanned<String>,
    pub(super) contract: Spanned<String>,
    pub(super) drift: Option<Spanned<String>>,
    pub(super) credential: Option<RawCredential>,
    pub(super) transaction_tokens: Option<RawTransactionTokens>,
    pub(super) authorization_server: Option<Spanned<RawAuthorizationServer>>,
    pub(super) rate: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) allow_unbound_tokens: bool,
    #[serde(default = "five_minutes")]
    pub(super) max_token_life: Span,
    #[serde(default)]
    pub(super) operations: BTreeMap<Spanned<String>, RawOperation>,
    pub(super) environment: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCredential {
    pub(super) name: Spanned<String>,
    pub(super) attach: Spanned<RawAttach>,
    pub(super) header: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTransactionTokens {
    pub(super) trust_domain: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAuthorizationServer {
    pub(super) grant: String,
    pub(super) token_endpoint: String,
    pub(super) client_id: String,
    pub(super) authentication: String,
    pub(super) issuer: Option<String>,
    pub(super) resource: Option<String>,
    pub(super) audience: Option<String>,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    #[serde(default)]
    pub(super) operations: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawAttach {
    Header,
    Bearer,
    Basic,
    Environment,
    ClientSecret,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key that a person writes"
)]
pub(super) struct RawOperation {
    pub(super) effect: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) irreversible: bool,
    #[serde(default)]
    pub(super) external_send: bool,
    #[serde(default)]
    pub(super) labels: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) stream: bool,
    #[serde(default)]
    pub(super) strict: bool,
    pub(super) rate: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPurpose {
    pub(super) owner: Spanned<String>,
    #[serde(default)]
    pub(super) description: String,
    pub(super) actions: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) budget: RawBudget,
    #[serde(default = "fifteen_minutes")]
    pub(super) max_task_life: Span,
    #[serde(default)]
    pub(super) agent_vouches: bool,
    #[serde(default)]
    pub(super) plan_required: bool,
    pub(super) hours: Option<Spanned<RawHours>>,
    pub(super) environments: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) max_blast_radius: Option<u64>,
    pub(super) user_authentication: Option<Spanned<RawUserAuthentication>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUserAuthentication {
    pub(super) max_age: Option<Span>,
    pub(super) acr: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHours {
    pub(super) days: Vec<String>,
    pub(super) from: String,
    pub(super) until: String,
    pub(super) zone: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawBudget {
    pub(super) calls: u64,
    pub(super) writes: u64,
    pub(super) deletes: u64,
    pub(super) irreversible: u64,
}

impl Default for RawBudget {
    fn default() -> Self {
        let Budget {
            calls,
            writes,
            deletes,
            irreversible,
        } = Budget::DEFAULT;
        Self {
            calls,
            writes,
            deletes,
            irreversible,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAgent {
    pub(super) spiffe: Option<Spanned<String>>,
    pub(super) owner: Spanned<String>,
    pub(super) mode: Spanned<String>,
    #[serde(default)]
    pub(super) groups: Vec<String>,
    #[serde(default)]
    pub(super) packs: Vec<Spanned<String>>,
    pub(super) purposes: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) selectors: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) federation: Vec<RawFederation>,
    #[serde(default = "yes")]
    pub(super) enabled: bool,
    pub(super) second_source: Option<Spanned<String>>,
    pub(super) second_instance: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) honey: bool,
    #[serde(default)]
    pub(super) planted: Vec<RawPlanted>,
}

/// A text that was laid for thieves.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPlanted {
    pub(super) name: Spanned<String>,
    pub(super) digest: Spanned<String>,
    #[serde(default)]
    pub(super) stop: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFederation {
    pub(super) issuer: Spanned<String>,
    pub(super) claims: BTreeMap<Spanned<String>, String>,
}

/// `policies/packs.toml`: the packs that every agent has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPacks {
    pub(super) packs: Vec<Spanned<String>>,
}

/// `policies/freezes.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFreezes {
    #[serde(default)]
    pub(super) freeze: Vec<Spanned<RawFreeze>>,
}

/// One time in which nothing is changed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFreeze {
    pub(super) name: String,
    pub(super) reason: String,
    pub(super) from: Spanned<String>,
    pub(super) until: Spanned<String>,
    #[serde(default)]
    pub(super) apis: Vec<Spanned<String>>,
}

/// `policies/exceptions.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExceptions {
    #[serde(default)]
    pub(super) exception: Vec<Spanned<RawException>>,
}

/// One rule that is lifted for a time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawException {
    pub(super) name: String,
    pub(super) rule: String,
    pub(super) agent: Spanned<String>,
    pub(super) purpose: Option<Spanned<String>>,
    pub(super) actions: Vec<Spanned<String>>,
    pub(super) owner: Spanned<String>,
    pub(super) reason: String,
    pub(super) ticket: String,
    pub(super) from: Spanned<String>,
    pub(super) until: Spanned<String>,
}

/// `policies/shadow.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawShadow {
    pub(super) from: Spanned<String>,
    pub(super) until: Spanned<String>,
    #[serde(default)]
    pub(super) without: Vec<String>,
}

fn yes() -> bool {
    true
}

fn five_minutes() -> Span {
    Span(Duration::from_secs(300))
}

fn fifteen_minutes() -> Span {
    Span(Duration::from_secs(900))
}

/// A duration with its unit: `"250ms"`, `"30s"`, `"5m"`, `"2h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refused = || {
            serde::de::Error::custom(
                "a duration is a whole number with a unit, such as \"250ms\", \"30s\", \"5m\" or \"2h\"",
            )
        };
        super::super::span::parse(&text)
            .map(Span)
            .ok_or_else(refused)
    }
}
