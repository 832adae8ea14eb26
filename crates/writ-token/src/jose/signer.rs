//! Signing (RFC 7515 §5.1).

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use writ_types::{Secret, Value};

use super::{Algorithm, Jwk, KeyUse, VerifyingKey, base64url};

/// Why nothing was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The bytes are no PKCS#8 private key of P-256 or Ed25519.
    #[error("not a PKCS#8 private key of P-256 or Ed25519")]
    Key,
    /// A JWT-SVID is never signed with `EdDSA` (JWT-SVID §2.1).
    #[error("a JWT-SVID is signed with P-256, not with Ed25519")]
    NotForSvid,
    /// A life of nothing, or beyond the longest.
    #[error("the token would live for nothing or too long")]
    Life,
    /// A SPIFFE id of another trust domain.
    #[error("the SPIFFE id belongs to another trust domain")]
    TrustDomain,
    /// An action that is no word of a scope.
    #[error("the action cannot be a word of a scope")]
    Scope,
    /// The library failed.
    #[error("the signature could not be made")]
    Library,
}

enum PrivateKey {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A private key that signs with one algorithm. Its `kid` is the RFC 7638 thumbprint of its public key.
pub struct Signer {
    private: PrivateKey,
    public: Jwk,
    kid: String,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// From a PKCS#8 private key of P-256 (ES256) or Ed25519 (`EdDSA`).
    ///
    /// # Errors
    ///
    /// [`SignError::Key`].
    pub fn from_pkcs8(pkcs8: &Secret<Vec<u8>>) -> Result<Self, SignError> {
        let bytes = pkcs8.expose();
        let private = match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes) {
            Ok(pair) => PrivateKey::P256(pair),
            Err(_not_p256) => Ed25519KeyPair::from_pkcs8(bytes)
                .map(PrivateKey::Ed25519)
                .map_err(|_rejected| SignError::Key)?,
        };
        let public = private.public().ok_or(SignError::Key)?;
        let unnamed = Jwk::parse(&public).map_err(|_no_key| SignError::Key)?;
        let kid = base64url::encode(unnamed.thumbprint().as_bytes());
        let mut members = public.as_object().cloned().unwrap_or_default();
        members.insert("kid".to_owned(), Value::from(kid.as_str()));
        let public = Jwk::parse(&Value::Object(members)).map_err(|_no_key| SignError::Key)?;
        Ok(Self {
            private,
            public,
            kid,
        })
    }

    /// The algorithm it signs with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match &self.private {
            PrivateKey::P256(_) => Algorithm::ES256,
            PrivateKey::Ed25519(_) => Algorithm::EdDSA,
        }
    }

    /// The name of its public key: the thumbprint in base64url.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &Jwk {
        &self.public
    }

    /// The entry of its public key in a JWKS: `alg` and `use` `sig` included.
    #[must_use]
    pub fn to_jwks_entry(&self) -> Value {
        let mut members = self
            .public
            .to_value()
            .as_object()
            .cloned()
            .unwrap_or_default();
        members.insert("alg".to_owned(), Value::from(self.algorithm().as_str()));
        members.insert("use".to_owned(), Value::from("sig"));
        Value::Object(members)
    }

    /// The key that verifies what it signs.
    ///
    /// # Errors
    ///
    /// [`SignError::Key`].
    pub fn verifying_key(&self) -> Result<VerifyingKey, SignError> {
        self.public
            .verifying_key(KeyUse::Signature, Some(self.algorithm()))
            .map_err(|_no_key| SignError::Key)
    }

    /// Signs `payload` as a compact JWS with `alg`, `kid` and `typ` in its header.
    pub(crate) fn sign_compact(&self, typ: &str, payload: &Value) -> Result<String, SignError> {
        let header = Value::object([
            ("alg", Value::from(self.algorithm().as_str())),
            ("kid", Value::from(self.kid.as_str())),
            ("typ", Value::from(typ)),
        ]);
        self.sign_parts(&header.to_string(), &payload.to_string())
    }

    /// Signs these exact texts of header and payload.
    pub(crate) fn sign_parts(&self, header: &str, payload: &str) -> Result<String, SignError> {
        let mut text = base64url::encode(header.as_bytes());
        text.push('.');
        text.push_str(&base64url::encode(payload.as_bytes()));
        let signature = match &self.private {
            // An ECDSA signature needs a secret number of its own, which only the library may draw: a core draws no
            // random bytes otherwise.
            PrivateKey::P256(pair) => pair
                .sign(&SystemRandom::new(), text.as_bytes())
                .map_err(|_unspecified| SignError::Library)?,
            PrivateKey::Ed25519(pair) => pair
                .try_sign(text.as_bytes())
                .map_err(|_unspecified| SignError::Library)?,
        };
        text.push('.');
        text.push_str(&base64url::encode(signature.as_ref()));
        Ok(text)
    }
}

impl PrivateKey {
    /// The public key as a JWK.
    fn public(&self) -> Option<Value> {
        let text = |bytes: &[u8]| Value::from(base64url::encode(bytes));
        match self {
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                Some(Value::object([
                    ("kty", Value::from("EC")),
                    ("crv", Value::from("P-256")),
                    ("x", text(point.get(1..33)?)),
                    ("y", text(point.get(33..65)?)),
                ]))
            }
            Self::Ed25519(pair) => Some(Value::object([
                ("kty", Value::from("OKP")),
                ("crv", Value::from("Ed25519")),
                ("x", text(pair.public_key().as_ref())),
            ])),
        }
    }
}
