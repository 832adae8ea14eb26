use writ_types::{Binding, CallId, Digest, ReasonCode, Resource, Secret, Value};

use super::{AuthError, Authenticated, Authenticator, ClientCertificate, Presented, UnboundTokens};
use crate::jose::base64url;
use crate::testing::{
    access_claims, agent, authority, ed25519, now, p256, public_url, secs, verifier,
};
use crate::{
    DpopError, HttpUri, NonceIssuer, ReplayCache, ReplayError, Signer, TokenCache, TokenVerifier,
};

/// A gateway, an issuer and an agent with its key.
struct World {
    issuer: Signer,
    verifier: TokenVerifier,
    tokens: TokenCache,
    nonces: NonceIssuer,
    replays: ReplayCache,
    agent: Signer,
    uri: HttpUri,
    resource: Resource,
    certificate: ClientCertificate,
}

/// What the agent sends.
struct Sent {
    authorization: Vec<String>,
    dpop: Vec<String>,
    certificate: Option<ClientCertificate>,
}

impl World {
    fn new() -> Self {
        let issuer = p256();
        Self {
            verifier: verifier(&issuer),
            issuer,
            tokens: TokenCache::new(100),
            nonces: NonceIssuer::new(Secret::new([1; 32])),
            replays: ReplayCache::new(1000),
            agent: p256(),
            uri: HttpUri::at(&public_url(), "/dns/zones").unwrap(),
            resource: Resource::Api("dns".parse().unwrap()),
            certificate: ClientCertificate {
                digest: Digest::from_bytes([6; 32]),
                spiffe: agent(),
            },
        }
    }

    fn token(&self, binding: Binding) -> String {
        self.issuer
            .sign(&access_claims(binding), &public_url())
            .unwrap()
    }

    fn dpop_token(&self) -> String {
        self.token(Binding::Dpop(self.agent.public().thumbprint()))
    }

    fn mtls_token(&self) -> String {
        self.token(Binding::Mtls(self.certificate.digest))
    }

    fn proof(&self, signer: &Signer, token: &str, jti: &str, nonce: Option<&str>) -> String {
        let header = Value::object([
            ("typ", Value::from("dpop+jwt")),
            ("alg", Value::from(signer.algorithm().as_str())),
            ("jwk", signer.public().to_value()),
        ]);
        let ath = base64url::encode(Digest::of(token.as_bytes()).as_bytes());
        let mut claims = vec![
            ("jti", Value::from(jti)),
            ("htm", Value::from("GET")),
            ("htu", Value::from("https://writ.example/dns/zones")),
            ("iat", Value::from_u64(now().secs_since_epoch())),
            ("ath", Value::from(ath)),
        ];
        claims.extend(nonce.map(|nonce| ("nonce", Value::from(nonce))));
        signer
            .sign_parts(&header.to_string(), &Value::object(claims).to_string())
            .unwrap()
    }

    fn good_proof(&self, token: &str, jti: &str) -> String {
        self.proof(&self.agent, token, jti, Some(&self.nonces.issue(now())))
    }

    fn call(&self, sent: &Sent, unbound: UnboundTokens) -> Result<Authenticated, AuthError> {
        let bytes = |texts: &'_ [String]| -> Vec<Vec<u8>> {
            texts.iter().map(|text| text.as_bytes().to_vec()).collect()
        };
        let (authorization, dpop) = (bytes(&sent.authorization), bytes(&sent.dpop));
        let authorization: Vec<&[u8]> = authorization.iter().map(Vec::as_slice).collect();
        let dpop: Vec<&[u8]> = dpop.iter().map(Vec::as_slice).collect();
        let presented = Presented {
            authorization: &authorization,
            dpop: &dpop,
            certificate: sent.certificate.as_ref(),
            method: "GET",
            uri: &self.uri,
            resource: &self.resource,
        };
        let authenticator = Authenticator {
            verifier: &self.verifier,
            tokens: &self.tokens,
            nonces: &self.nonces,
            replays: &self.replays,
            proof_age: Authenticator::PROOF_AGE,
        };
        authenticator.authenticate(&presented, unbound, CallId::new(now(), [4; 10]), now())
    }

    fn refused(&self, sent: &Sent) -> AuthError {
        self.call(sent, UnboundTokens::Refused).err().unwrap()
    }
}

fn sent(scheme: &str, token: &str, dpop: &[&str]) -> Sent {
    Sent {
        authorization: vec![format!("{scheme} {token}")],
        dpop: dpop.iter().map(|proof| (*proof).to_owned()).collect(),
        certificate: None,
    }
}

#[test]
fn the_holder_of_token_and_key_is_authenticated() {
    let world = World::new();
    let token = world.dpop_token();
    for (count, scheme) in ["DPoP", "dpop", "DPOP"].iter().enumerate() {
        let proof = world.good_proof(&token, &count.to_string());
        let call = world
            .call(&sent(scheme, &token, &[&proof]), UnboundTokens::Refused)
            .unwrap();
        assert_eq!(call.call(), CallId::new(now(), [4; 10]));
        assert_eq!(call.principal().spiffe, agent());
        assert_eq!(call.resource(), &world.resource);
        assert_eq!(call.expires(), now().plus(secs(300)));
        assert_eq!(call.token().digest(), Digest::of(token.as_bytes()));
    }
    let mut mtls = sent("Bearer", &world.mtls_token(), &[]);
    mtls.certificate = Some(world.certificate.clone());
    assert!(world.call(&mtls, UnboundTokens::Refused).is_ok());
    let unbound = sent("bearer", &world.token(Binding::Unbound), &[]);
    assert!(world.call(&unbound, UnboundTokens::Accepted).is_ok());
    assert_eq!(world.refused(&unbound), AuthError::Unbound);
}

#[test]
fn a_stolen_token_is_worth_nothing() {
    let world = World::new();
    let token = world.dpop_token();
    let nonce = world.nonces.issue(now());
    let thief = p256();
    let own = world.good_proof(&token, "1");
    for (what, sent, expect) in [
        (
            "as Bearer",
            sent("Bearer", &token, &[]),
            AuthError::SchemeForBinding,
        ),
        (
            "as Bearer with a proof",
            sent("Bearer", &token, &[&own]),
            AuthError::SchemeForBinding,
        ),
        (
            "without a proof",
            sent("DPoP", &token, &[]),
            AuthError::Dpop(DpopError::Count),
        ),
        (
            "with two proofs",
            sent("DPoP", &token, &[&own, &own]),
            AuthError::Dpop(DpopError::Count),
        ),
        (
            "with the thief's key",
            sent(
                "DPoP",
                &token,
                &[&world.proof(&thief, &token, "2", Some(&nonce))],
            ),
            AuthError::Dpop(DpopError::Binding),
        ),
        (
            "with a proof for another token",
            sent("DPoP", &token, &[&world.good_proof("other", "3")]),
            AuthError::Dpop(DpopError::AccessToken),
        ),
        (
            "without a nonce",
            sent(
                "DPoP",
                &token,
                &[&world.proof(&world.agent, &token, "4", None)],
            ),
            AuthError::Dpop(DpopError::Nonce),
        ),
    ] {
        assert_eq!(world.refused(&sent), expect, "{what}");
    }
    assert!(
        world
            .call(&sent("DPoP", &token, &[&own]), UnboundTokens::Refused)
            .is_ok()
    );
    assert_eq!(
        world.refused(&sent("DPoP", &token, &[&own])),
        AuthError::Replay(ReplayError::Replayed),
        "the same proof again"
    );
}

#[test]
fn a_certificate_bound_token_needs_its_connection() {
    let world = World::new();
    let token = world.mtls_token();
    let with = |certificate: Option<ClientCertificate>| {
        let mut sent = sent("Bearer", &token, &[]);
        sent.certificate = certificate;
        world.refused(&sent)
    };
    assert_eq!(with(None), AuthError::Certificate);
    let mut other = world.certificate.clone();
    other.digest = Digest::from_bytes([7; 32]);
    assert_eq!(with(Some(other)), AuthError::Certificate);
    let mut renamed = world.certificate.clone();
    renamed.spiffe = "spiffe://writ.local/agent/other".parse().unwrap();
    assert_eq!(
        with(Some(renamed)),
        AuthError::Certificate,
        "a certificate of somebody else"
    );
    let proof = world.good_proof(&token, "1");
    assert_eq!(
        world.refused(&sent("DPoP", &token, &[&proof])),
        AuthError::SchemeForBinding
    );
    assert_eq!(
        world.refused(&sent("Bearer", &token, &[&proof])),
        AuthError::UnusedProof
    );
    let unbound = world.token(Binding::Unbound);
    let mut sent = sent("DPoP", &unbound, &[&world.good_proof(&unbound, "2")]);
    let refused = world.call(&sent, UnboundTokens::Accepted).err();
    assert_eq!(
        refused,
        Some(AuthError::SchemeForBinding),
        "no key is no key"
    );
    sent.authorization = vec![format!("Bearer {unbound}")];
    let refused = world.call(&sent, UnboundTokens::Accepted).err();
    assert_eq!(refused, Some(AuthError::UnusedProof));
}

#[test]
fn authorization_is_one_scheme_and_one_token() {
    let world = World::new();
    let token = world.dpop_token();
    let one = format!("DPoP {token}");
    for (authorization, expect) in [
        (vec![], AuthError::NotOneAuthorization),
        (
            vec![one.clone(), one.clone()],
            AuthError::NotOneAuthorization,
        ),
        (vec![String::new()], AuthError::Scheme),
        (vec![token.clone()], AuthError::Scheme),
        (vec!["DPoP".to_owned()], AuthError::Scheme),
        (vec!["DPoP ".to_owned()], AuthError::Scheme),
        (vec![format!("Basic {token}")], AuthError::Scheme),
        (vec![format!("DPoP  {token}")], AuthError::Scheme),
        (vec![format!("DPoP\t{token}")], AuthError::Scheme),
        (vec![format!("{one} ")], AuthError::Scheme),
        (vec![format!("{one},{one}")], AuthError::Scheme),
        (vec![format!("{one}\u{e9}")], AuthError::Scheme),
    ] {
        let sent = Sent {
            authorization: authorization.clone(),
            dpop: vec![world.good_proof(&token, "1")],
            certificate: None,
        };
        assert_eq!(world.refused(&sent), expect, "{authorization:?}");
    }
}

#[test]
fn a_token_is_for_one_resource() {
    let mut world = World::new();
    let token = world.mtls_token();
    let call = |world: &World, token: &str| {
        let mut sent = sent("Bearer", token, &[]);
        sent.certificate = Some(world.certificate.clone());
        world.call(&sent, UnboundTokens::Refused).err()
    };
    world.resource = Resource::Api("crm".parse().unwrap());
    assert_eq!(call(&world, &token), Some(AuthError::Audience));
    world.resource = Resource::All;
    assert_eq!(
        call(&world, &token),
        Some(AuthError::Audience),
        "one API is not all"
    );
    let mut claims = access_claims(Binding::Mtls(world.certificate.digest));
    claims.resource = Resource::All;
    let wide = world.issuer.sign(&claims, &public_url()).unwrap();
    assert_eq!(call(&world, &wide), None);
    world.resource = Resource::Api("crm".parse().unwrap());
    assert_eq!(call(&world, &wide), None);
}

#[test]
fn other_kinds_of_token_are_no_access_tokens() {
    let world = World::new();
    let svid = authority();
    let jti = crate::testing::token_id();
    let svid = svid
        .jwt()
        .sign(
            &agent(),
            &["https://writ.example/dns"],
            secs(60),
            now(),
            jti,
        )
        .unwrap();
    let proof = world.good_proof("x", "1");
    for text in [svid.as_str(), &proof, "a.b.c", "opaque"] {
        let refused = world.refused(&sent("Bearer", text, &[]));
        assert!(matches!(refused, AuthError::Token(_)), "{text}");
    }
    let foreign = ed25519()
        .sign(&access_claims(Binding::Unbound), &public_url())
        .unwrap();
    let refused = world.call(&sent("Bearer", &foreign, &[]), UnboundTokens::Accepted);
    assert!(matches!(refused, Err(AuthError::Token(_))));
}

#[test]
fn strangers_learn_only_that_they_are_strangers() {
    for (error, reason) in [
        (AuthError::NotOneAuthorization, ReasonCode::Unauthenticated),
        (AuthError::SchemeForBinding, ReasonCode::Unauthenticated),
        (AuthError::Certificate, ReasonCode::Unauthenticated),
        (AuthError::Unbound, ReasonCode::Unauthenticated),
        (AuthError::Audience, ReasonCode::WrongAudience),
        (AuthError::Dpop(DpopError::Nonce), ReasonCode::UseDpopNonce),
        (
            AuthError::Dpop(DpopError::Method),
            ReasonCode::InvalidDpopProof,
        ),
        (
            AuthError::Replay(ReplayError::Replayed),
            ReasonCode::InvalidDpopProof,
        ),
        (AuthError::Replay(ReplayError::Full), ReasonCode::NotReady),
    ] {
        assert_eq!(error.reason(), reason, "{error}");
    }
    let algorithms = "algs=\"ES256 ES384 EdDSA PS256 RS256\"";
    for (error, challenge) in [
        (AuthError::NotOneAuthorization, format!("DPoP {algorithms}")),
        (
            AuthError::Dpop(DpopError::Nonce),
            format!("DPoP error=\"use_dpop_nonce\", {algorithms}"),
        ),
        (
            AuthError::Certificate,
            format!("DPoP error=\"invalid_token\", {algorithms}"),
        ),
    ] {
        assert_eq!(error.challenge(), challenge);
    }
}

#[test]
fn a_full_memory_refuses() {
    let mut world = World::new();
    // Room for one proof in each shard: the sixty-fifth finds its own shard full, if not one before.
    world.replays = ReplayCache::new(1);
    let token = world.dpop_token();
    let full = (0..65).any(|jti| {
        let proof = world.good_proof(&token, &jti.to_string());
        let answer = world.call(&sent("DPoP", &token, &[&proof]), UnboundTokens::Refused);
        answer.err() == Some(AuthError::Replay(ReplayError::Full))
    });
    assert!(full);
}
