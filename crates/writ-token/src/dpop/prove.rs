//! The client's side: making proofs of possession (RFC 9449 §4.2).

use writ_types::{Digest, Secret, Timestamp, Value};

use crate::jose::base64url;
use crate::{SignError, Signer};

/// A client's key, with which it proves that its tokens are its own.
#[derive(Debug)]
pub struct ProofKey(Signer);

impl ProofKey {
    /// From a PKCS#8 private key of P-256 or Ed25519.
    ///
    /// # Errors
    ///
    /// `Key`.
    pub fn from_pkcs8(pkcs8: &Secret<Vec<u8>>) -> Result<Self, SignError> {
        Signer::from_pkcs8(pkcs8).map(Self)
    }

    /// The RFC 7638 thumbprint of the public key: what a token's `cnf.jkt` says.
    #[must_use]
    pub fn thumbprint(&self) -> Digest {
        self.0.public().thumbprint()
    }

    /// A proof for one request. `uri` is without query and fragment; `token` is given for a call with a token; `nonce` is
    /// the server's latest; `jti` has to be new each time.
    ///
    /// # Errors
    ///
    /// `Library`.
    pub fn prove(
        &self,
        (method, uri): (&str, &str),
        token: Option<&str>,
        nonce: Option<&str>,
        jti: &str,
        now: Timestamp,
    ) -> Result<String, SignError> {
        let mut public = self
            .0
            .public()
            .to_value()
            .as_object()
            .cloned()
            .unwrap_or_default();
        public.remove("kid");
        let header = Value::object([
            ("typ", Value::from("dpop+jwt")),
            ("alg", Value::from(self.0.algorithm().as_str())),
            ("jwk", Value::Object(public)),
        ]);
        let mut claims = vec![
            ("jti", Value::from(jti)),
            ("htm", Value::from(method)),
            ("htu", Value::from(uri)),
            ("iat", Value::from_u64(now.secs_since_epoch())),
        ];
        claims.extend(nonce.map(|nonce| ("nonce", Value::from(nonce))));
        let hash =
            |token: &str| Value::from(base64url::encode(Digest::of(token.as_bytes()).as_bytes()));
        claims.extend(token.map(|token| ("ath", hash(token))));
        self.0
            .sign_parts(&header.to_string(), &Value::object(claims).to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{DpopExpectation, DpopProof, NonceCheck, NonceIssuer, generate_signing_key};

    #[test]
    fn what_the_client_makes_the_server_accepts() {
        let key = ProofKey::from_pkcs8(&generate_signing_key().unwrap()).unwrap();
        let (now, nonces) = (
            Timestamp::from_secs(1_700_000_000),
            NonceIssuer::new(Secret::new([1; 32])),
        );
        let nonce = nonces.issue(now);
        let request = ("GET", "http://127.0.0.1:8080/dns/zones");
        let proof = key
            .prove(request, Some("token"), Some(&nonce), "1", now)
            .unwrap();
        let expect = DpopExpectation {
            method: "GET",
            uri: &request.1.parse().unwrap(),
            access_token: Some("token"),
            nonce: NonceCheck::Required(&nonces),
            now,
            max_age: Duration::from_secs(60),
        };
        assert_eq!(
            DpopProof::verify(&proof, &expect).unwrap().jkt(),
            key.thumbprint()
        );
    }
}
