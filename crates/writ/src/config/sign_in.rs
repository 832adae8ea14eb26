//! `[sign_in]` of `writ.toml`: the issuer whose accounts operators sign in with.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use writ_control::{Accounts, RoleRule};
use writ_token::IssuerUrl;

use super::{ConfigError, Meaning};

/// The issuer whose accounts operators sign in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignInConfig {
    /// Its `iss`, exactly.
    pub(crate) issuer: IssuerUrl,
    /// Who we are there.
    pub(crate) client_id: String,
    /// The file with what proves that.
    pub(crate) client_secret: Option<PathBuf>,
    /// Who is registered at their first sign-in.
    pub(crate) accounts: Accounts,
    /// Which claims let in whom.
    pub(crate) roles: Vec<RoleRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSignIn {
    issuer: String,
    client_id: String,
    client_secret_file: Option<PathBuf>,
    #[serde(default)]
    accounts: RawAccounts,
    #[serde(default)]
    role: Vec<RawRole>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawAccounts {
    #[default]
    Registered,
    Viewer,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRole {
    claim: String,
    value: String,
    role: String,
}

impl Meaning<'_> {
    pub(super) fn sign_in(
        &self,
        project: &Path,
        raw: RawSignIn,
    ) -> Result<SignInConfig, ConfigError> {
        let issuer: IssuerUrl = self.parse("sign_in.issuer", &raw.issuer)?;
        let url = issuer.as_str();
        if !(url.starts_with("https://") || url.starts_with("http://127.0.0.1:")) {
            let message = "an issuer is asked over `https://` only (or `http://127.0.0.1:port`)";
            return Err(self.value("sign_in.issuer", message));
        }
        if raw.client_id.is_empty() {
            return Err(self.value("sign_in.client_id", "who we are at the issuer is missing"));
        }
        let rule = |raw: RawRole| {
            Ok(RoleRule {
                claim: self.parse("sign_in.role.claim", &raw.claim)?,
                value: raw.value,
                role: self.parse("sign_in.role.role", &raw.role)?,
            })
        };
        let roles: Vec<RoleRule> = raw.role.into_iter().map(rule).collect::<Result<_, _>>()?;
        let accounts = match raw.accounts {
            RawAccounts::Registered => Accounts::Registered,
            RawAccounts::Viewer if roles.is_empty() => {
                let message = "without a `[[sign_in.role]]` everybody whom the issuer knows would be a viewer: say which claims let in whom";
                return Err(self.value("sign_in.accounts", message));
            }
            RawAccounts::Viewer => Accounts::Viewer,
        };
        Ok(SignInConfig {
            issuer,
            client_id: raw.client_id,
            client_secret: raw.client_secret_file.map(|file| project.join(file)),
            accounts,
            roles,
        })
    }
}
