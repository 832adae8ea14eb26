//! What the tests of this crate share: fixed instants, keys and a signer of anything.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use writ_types::{
    AgentId, Binding, JsonLimits, PublicUrl, Requester, Resource, Secret, SpiffeId, TaskId, Tenant,
    Timestamp, TokenId, TrustDomain, UserAuthentication, Value,
};

use crate::{
    AccessTokenClaims, IssuerUrl, JwtSvidSigner, KeySet, Signer, TokenVerifier,
    TrustDomainAuthority, X509Authority, generate_signing_key,
};

pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(1_795_000_000)
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn p256() -> Signer {
    Signer::from_pkcs8(&generate_signing_key().unwrap()).unwrap()
}

pub(crate) fn ed25519() -> Signer {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Signer::from_pkcs8(&Secret::new(document.as_ref().to_vec())).unwrap()
}

pub(crate) fn keys_of(signer: &Signer) -> KeySet {
    KeySet::of(vec![signer.verifying_key().unwrap()]).unwrap()
}

pub(crate) fn json(text: &str) -> Value {
    Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap()
}

pub(crate) fn domain() -> TrustDomain {
    "writ.local".parse().unwrap()
}

pub(crate) fn agent() -> SpiffeId {
    "spiffe://writ.local/agent/dns".parse().unwrap()
}

pub(crate) fn token_id() -> TokenId {
    TokenId::new(now(), [9; 10])
}

pub(crate) fn authority() -> TrustDomainAuthority {
    let jwt = JwtSvidSigner::from_pkcs8(domain(), &generate_signing_key().unwrap()).unwrap();
    let key = generate_signing_key().unwrap();
    let x509 = X509Authority::create(domain(), &key, now(), secs(86_400), [1; 16]).unwrap();
    TrustDomainAuthority::new(jwt, x509).unwrap()
}

/// `value` with the member `name` set to the JSON text `member`, or taken away.
pub(crate) fn with(value: &Value, name: &str, member: Option<&str>) -> Value {
    let mut members = value.as_object().unwrap().clone();
    match member {
        Some(text) => members.insert(name.to_owned(), json(text)),
        None => members.remove(name),
    };
    Value::Object(members)
}

/// The JSON text of an object in which the first member stands twice.
pub(crate) fn doubled(value: &Value, name: &str) -> String {
    let member = value.member(name).unwrap();
    let text = value.to_string();
    format!("{{\"{name}\":{member},{}", text.strip_prefix('{').unwrap())
}

/// Every text that differs from `text` in one character, each character being replaced by a near one.
pub(crate) fn mutations(text: &str) -> impl Iterator<Item = String> {
    (0..text.len()).map(|place| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[place] = match bytes[place] {
            b'.' => b'A',
            b'A' => b'B',
            _ => b'A',
        };
        String::from_utf8(bytes).unwrap()
    })
}

/// A token of our own for the agent, with everything in it.
pub(crate) fn access_claims(binding: Binding) -> AccessTokenClaims {
    AccessTokenClaims {
        issuer: issuer_url(),
        resource: Resource::Api("dns".parse().unwrap()),
        client_id: agent().as_str().parse().unwrap(),
        requester: Some(Requester {
            issuer: "https://idp.example".to_owned(),
            subject: "alice".to_owned(),
        }),
        spiffe: agent(),
        prior_actors: vec!["spiffe://writ.local/agent/planner".parse().unwrap()],
        agent: AgentId::new(now(), [2; 10]),
        task: TaskId::new(now(), [3; 10]),
        token: token_id(),
        binding,
        details: json(r#"[{"type":"writ_task","actions":["dns:listZones"]}]"#),
        authentication: Some(UserAuthentication {
            at: Some(now().minus(secs(60))),
            acr: Some("phr".parse().unwrap()),
        }),
        issued: now(),
        not_before: Some(now()),
        expires: now().plus(secs(300)),
    }
}

pub(crate) fn issuer_url() -> IssuerUrl {
    "https://control.writ.example".parse().unwrap()
}

pub(crate) fn public_url() -> PublicUrl {
    "https://writ.example".parse().unwrap()
}

pub(crate) fn verifier(signer: &Signer) -> TokenVerifier {
    let (issuer, tenant) = (issuer_url(), Tenant::default_tenant());
    TokenVerifier::new(issuer, tenant, public_url(), keys_of(signer), 16 * 1024)
}

/// A row of a table of faults: a name, the value it is given (none for absent), and the refusal.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: Option<&'a str>,
    pub(crate) expect: &'a str,
}

/// The rows of a table: three columns divided by ` | `, `-` for absent, `#` before remarks.
pub(crate) fn rows(table: &str) -> Vec<Row<'_>> {
    let row = |line| {
        let columns: Vec<&str> = str::splitn(line, 3, " | ").collect();
        let [name, value, expect] = columns.as_slice() else {
            panic!("not three columns: {line}")
        };
        Row {
            name,
            value: (*value != "-").then_some(*value),
            expect,
        }
    };
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(row)
        .collect()
}
