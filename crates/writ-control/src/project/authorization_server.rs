//! `[authorization_server]` of an API's file, and what goes together with it.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use toml::Spanned;
use writ_contract::{Contract, McpRevision, Reviews};
use writ_types::{Api, Attach, AuthorizationServer, Scope, Upstream, UpstreamAuthentication};

use super::raw::RawAuthorizationServer;
use super::{Reader, line_of};

impl Reader<'_> {
    pub(super) fn authorization_server(
        &mut self,
        file: &str,
        text: &str,
        raw: &Spanned<RawAuthorizationServer>,
    ) -> Option<AuthorizationServer> {
        let read = read(raw.get_ref());
        let line = Some(line_of(text, raw.span().start));
        read.map_err(|fault| self.fault(file, line, fault)).ok()
    }
}

fn read(raw: &RawAuthorizationServer) -> Result<AuthorizationServer, String> {
    let scopes = |words: &Vec<String>| -> Result<BTreeSet<Scope>, String> {
        words.iter().map(|word| parsed(word)).collect()
    };
    let operations = raw.operations.iter().map(|(id, words)| {
        let id = parsed(id)?;
        Ok((id, scopes(words)?))
    });
    let server = AuthorizationServer {
        grant: parsed(&raw.grant)?,
        token_endpoint: parsed(&raw.token_endpoint)?,
        client_id: raw.client_id.clone(),
        authentication: parsed(&raw.authentication)?,
        issuer: raw.issuer.clone(),
        resource: raw.resource.clone(),
        audience: raw.audience.clone(),
        scopes: scopes(&raw.scopes)?,
        operations: operations.collect::<Result<_, String>>()?,
    };
    server.checked().map_err(|fault| fault.to_string())
}

fn parsed<T>(text: &str) -> Result<T, String>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(|fault: T::Err| fault.to_string())
}

/// What of a registration does not go with its authorization server, or with the lack of one.
pub(super) fn mismatch(api: &Api, document: &[u8]) -> Option<&'static str> {
    let attach = api.credential.as_ref().map(|(_, attach)| attach);
    let secret = attach == Some(&Attach::ClientSecret);
    let Some(server) = &api.authorization_server else {
        return secret.then_some("`attach = \"client_secret\"` is for an `[authorization_server]`");
    };
    match server.authentication {
        UpstreamAuthentication::ClientSecretBasic if !secret => {
            return Some(
                "`client_secret_basic` needs its secret: `[credential]` with `attach = \"client_secret\"`",
            );
        }
        UpstreamAuthentication::PrivateKeyJwt if attach.is_some() => {
            return Some(
                "with `private_key_jwt` there is no secret, and the token is the credential: take `[credential]` away",
            );
        }
        UpstreamAuthentication::ClientSecretBasic | UpstreamAuthentication::PrivateKeyJwt => {}
    }
    if let Upstream::Program(_) = api.upstream {
        return Some("a program has no header fields, so that no token can reach it");
    }
    let (contract, _) = Contract::compile(&api.id, document, &Reviews::default());
    // A document that cannot be compiled has its own faults.
    let contract = contract?;
    if contract.mcp() == Some(McpRevision::Sessions) {
        return Some(
            "a session with an MCP server outlives a token: an authorization server goes with revision 2026-07-28 only",
        );
    }
    let known = |id| contract.operation(id).is_some();
    (!server.operations.keys().all(known)).then_some(
        "`operations` of `[authorization_server]` names one that the contract does not have",
    )
}
