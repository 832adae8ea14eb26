//! The built-in issuer: a SPIFFE-style trust domain for one machine. Arithmetic only; who is attested and where keys lie
//! is the control plane's.

mod x509_authority;

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use writ_types::{Secret, SpiffeId, Timestamp, TokenId, TrustDomain, Value};

use crate::{Algorithm, BundleError, KeyPins, SignError, Signer, TrustBundle};

pub use x509_authority::{CertifiedLeaf, IssueError, SubjectKey, X509Authority};

/// Makes a new P-256 private key in PKCS#8.
///
/// This is the one place of the cores that draws random bytes: the library makes keys only from its own source, which is
/// also the one its signatures use.
///
/// # Errors
///
/// [`SignError::Library`] if the source fails.
pub fn generate_signing_key() -> Result<Secret<Vec<u8>>, SignError> {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
        .map_err(|_unspecified| SignError::Library)?;
    Ok(Secret::new(document.as_ref().to_vec()))
}

/// Signs the JWT-SVIDs of one trust domain.
#[derive(Debug)]
pub struct JwtSvidSigner {
    domain: TrustDomain,
    signer: Signer,
}

impl JwtSvidSigner {
    /// Longest life of a JWT-SVID of ours.
    pub const LONGEST_LIFE: Duration = Duration::from_secs(3600);

    /// A signer with a PKCS#8 private key of P-256.
    ///
    /// # Errors
    ///
    /// `Key`, or `NotForSvid` for an Ed25519 key.
    pub fn from_pkcs8(domain: TrustDomain, pkcs8: &Secret<Vec<u8>>) -> Result<Self, SignError> {
        let signer = Signer::from_pkcs8(pkcs8)?;
        if !Algorithm::SVID.contains(&signer.algorithm()) {
            return Err(SignError::NotForSvid);
        }
        Ok(Self { domain, signer })
    }

    /// Signs a JWT-SVID (JWT-SVID §2, §3). Writ itself takes one that is for it alone.
    ///
    /// # Errors
    ///
    /// `TrustDomain`, `Life` (nothing, or beyond [`JwtSvidSigner::LONGEST_LIFE`]), `Library`.
    pub fn sign(
        &self,
        spiffe: &SpiffeId,
        audiences: &[&str],
        life: Duration,
        now: Timestamp,
        jti: TokenId,
    ) -> Result<String, SignError> {
        if *spiffe.trust_domain() != self.domain {
            return Err(SignError::TrustDomain);
        }
        if life.as_secs() == 0 || life > Self::LONGEST_LIFE {
            return Err(SignError::Life);
        }
        let claims = Value::object([
            ("sub", Value::from(spiffe.as_str())),
            (
                "aud",
                Value::Array(audiences.iter().copied().map(Value::from).collect()),
            ),
            ("iat", Value::from_u64(now.secs_since_epoch())),
            ("exp", Value::from_u64(now.plus(life).secs_since_epoch())),
            ("jti", Value::from(jti.to_string())),
        ]);
        self.signer.sign_compact("JWT", &claims)
    }

    /// Its entry in the bundle. Without `alg`, as SPIFFE has it: the curve pins it.
    fn bundle_entry(&self) -> Value {
        let public = self.signer.public().to_value();
        let mut members = public.as_object().cloned().unwrap_or_default();
        members.insert("use".to_owned(), Value::from("jwt-svid"));
        Value::Object(members)
    }
}

/// Both authorities of the built-in trust domain.
#[derive(Debug)]
pub struct TrustDomainAuthority {
    jwt: JwtSvidSigner,
    x509: X509Authority,
}

impl TrustDomainAuthority {
    /// From both authorities.
    ///
    /// # Errors
    ///
    /// `TrustDomain` if they are of different domains.
    pub fn new(jwt: JwtSvidSigner, x509: X509Authority) -> Result<Self, SignError> {
        if jwt.domain == *x509.domain() {
            Ok(Self { jwt, x509 })
        } else {
            Err(SignError::TrustDomain)
        }
    }

    /// The trust domain.
    #[must_use]
    pub const fn domain(&self) -> &TrustDomain {
        &self.jwt.domain
    }

    /// Signs JWT-SVIDs.
    #[must_use]
    pub const fn jwt(&self) -> &JwtSvidSigner {
        &self.jwt
    }

    /// Signs X.509-SVIDs.
    #[must_use]
    pub const fn x509(&self) -> &X509Authority {
        &self.x509
    }

    /// The SPIFFE bundle document: what others need to verify its SVIDs. `sequence` only ever grows.
    #[must_use]
    pub fn bundle(&self, sequence: u64, refresh_hint: Duration) -> Value {
        let keys = vec![self.jwt.bundle_entry(), self.x509.bundle_entry()];
        Value::object([
            ("keys", Value::Array(keys)),
            ("spiffe_sequence", Value::from_u64(sequence)),
            (
                "spiffe_refresh_hint",
                Value::from_u64(refresh_hint.as_secs()),
            ),
        ])
    }

    /// The bundle as a verifier reads it.
    ///
    /// # Errors
    ///
    /// [`BundleError`]; it would be a fault of this crate.
    pub fn trust_bundle(&self) -> Result<TrustBundle, BundleError> {
        let document = self.bundle(1, Duration::from_secs(300));
        TrustBundle::of_value(self.domain().clone(), &document, &KeyPins::default())
    }
}

#[cfg(test)]
mod tests;
