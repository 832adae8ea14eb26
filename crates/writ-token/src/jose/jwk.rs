//! Public keys (RFC 7517, RFC 7518 §6, RFC 8037 §2).

use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents};
use writ_types::{Digest, Value};

use super::{Algorithm, base64url, roca};

/// Why a JWK is not a public key that Writ uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// Not an object, or a member of the wrong type or form.
    #[error("the member `{0}` of the JWK is missing or malformed")]
    Member(&'static str),
    /// A symmetric key: whoever verifies with it could sign.
    #[error("a symmetric key (`oct`) cannot be a public key")]
    Symmetric,
    /// A private member; the key is burnt wherever it came from.
    #[error("the JWK holds private members: replace the key, it has been published")]
    Private,
    /// `kty` or `crv` is not known here.
    #[error(
        "the key type or curve is not supported: use EC P-256, P-384, P-521, OKP Ed25519 or RSA"
    )]
    UnknownType,
    /// `alg` is not known here, is not for signatures, or does not fit the key.
    #[error("the algorithm is unknown or does not fit the key")]
    Algorithm,
    /// `use` or `key_ops` says that the key is for something else than verifying signatures.
    #[error("the key is not for verifying signatures")]
    Use,
    /// An RSA modulus outside 2,048 to 8,192 bits, or an exponent that is even, 1 or larger than 33 bits.
    #[error("an RSA key has 2048 to 8192 bits and an odd exponent above 1")]
    Size,
    /// An RSA modulus of the generator of CVE-2017-15361.
    #[error("the RSA key was made by a broken generator (CVE-2017-15361)")]
    Weak,
    /// A point that is not on the curve.
    #[error("the point is not on the curve")]
    Point,
}

/// What a key is for (`use`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyUse {
    /// `sig`, or absent: signatures of an OAuth or OIDC issuer.
    Signature,
    /// `jwt-svid`: JWT-SVIDs of a SPIFFE trust domain (SPIFFE Trust Domain and Bundle §4.2.2).
    JwtSvid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Bytes of a coordinate, which is never shortened (RFC 7518 §6.2.1.2).
    const fn width(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    const fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::ES256,
            Self::P384 => Algorithm::ES384,
            Self::P521 => Algorithm::ES512,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Ec {
        curve: Curve,
        x: Vec<u8>,
        y: Vec<u8>,
    },
    Ed25519 {
        x: [u8; 32],
    },
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

/// A public key as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk {
    material: Material,
    kid: Option<String>,
    public_use: Option<String>,
    alg: Option<Algorithm>,
}

/// Members that only a private or symmetric key has (RFC 7518 §6.2.2, §6.3.2, §6.4).
const PRIVATE: [&str; 10] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv", "seed"];

impl Jwk {
    /// Reads a public key.
    ///
    /// # Errors
    ///
    /// [`JwkError`]; `Symmetric` and `Private` mean that a secret was published.
    pub fn parse(value: &Value) -> Result<Self, JwkError> {
        let members = value.as_object().ok_or(JwkError::Member("kty"))?;
        let text = |name: &'static str| match members.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(JwkError::Member(name)),
        };
        let kty = text("kty")?.ok_or(JwkError::Member("kty"))?;
        if kty == "oct" {
            return Err(JwkError::Symmetric);
        }
        if PRIVATE.iter().any(|name| members.contains_key(*name)) {
            return Err(JwkError::Private);
        }
        let material = Material::parse(kty, &text)?;
        let alg = match text("alg")? {
            None => None,
            Some(name) => Some(Algorithm::parse(name).ok_or(JwkError::Algorithm)?),
        };
        if let Some(operations) = members.get("key_ops") {
            let operations = operations.as_array().ok_or(JwkError::Member("key_ops"))?;
            if !operations
                .iter()
                .any(|operation| operation.as_str() == Some("verify"))
            {
                return Err(JwkError::Use);
            }
        }
        let jwk = Self {
            material,
            kid: text("kid")?.map(str::to_owned),
            public_use: text("use")?.map(str::to_owned),
            alg,
        };
        match jwk.alg {
            Some(alg) if !jwk.fits(alg) => Err(JwkError::Algorithm),
            Some(_) | None => Ok(jwk),
        }
    }

    /// The key's own name.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithm the key's publisher pinned, if any.
    #[must_use]
    pub const fn algorithm(&self) -> Option<Algorithm> {
        self.alg
    }

    /// The RFC 7638 SHA-256 thumbprint.
    #[must_use]
    pub fn thumbprint(&self) -> Digest {
        Digest::of(self.required().canonical().as_bytes())
    }

    /// The public members: those of RFC 7638 §3.2, and `kid`.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut members = self.required().as_object().cloned().unwrap_or_default();
        if let Some(kid) = &self.kid {
            members.insert("kid".to_owned(), Value::from(kid.as_str()));
        }
        Value::Object(members)
    }

    /// Makes it a key that verifies with exactly one algorithm: its own `alg`, else the curve's only one, else `pin`.
    ///
    /// # Errors
    ///
    /// `Algorithm` if `pin` contradicts `alg` or the key's type, `Use` if the key is for something else than `wanted`,
    /// `Point`, `Size`.
    pub fn verifying_key(
        &self,
        wanted: KeyUse,
        pin: Option<Algorithm>,
    ) -> Result<VerifyingKey, JwkError> {
        let for_it = match (wanted, self.public_use.as_deref()) {
            (KeyUse::Signature, None | Some("sig")) | (KeyUse::JwtSvid, Some("jwt-svid")) => true,
            (KeyUse::Signature | KeyUse::JwtSvid, _) => false,
        };
        if !for_it {
            return Err(JwkError::Use);
        }
        let own = self.alg.or_else(|| self.only_algorithm());
        let algorithm = own.or(pin).ok_or(JwkError::Algorithm)?;
        if pin.is_some_and(|pin| pin != algorithm) || !self.fits(algorithm) {
            return Err(JwkError::Algorithm);
        }
        Ok(VerifyingKey {
            key: self.material.load(algorithm)?,
            algorithm,
            kid: self.kid.clone(),
            thumbprint: self.thumbprint(),
        })
    }

    fn only_algorithm(&self) -> Option<Algorithm> {
        match &self.material {
            Material::Ec { curve, .. } => Some(curve.algorithm()),
            Material::Ed25519 { .. } => Some(Algorithm::EdDSA),
            Material::Rsa { .. } => None,
        }
    }

    /// Whether a key of this type can be used with `algorithm` at all.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        match self.only_algorithm() {
            Some(only) => only == algorithm,
            None => algorithm.of_rsa().is_some(),
        }
    }

    /// The members that RFC 7638 §3.2 hashes.
    fn required(&self) -> Value {
        let text = |bytes: &[u8]| Value::from(base64url::encode(bytes));
        match &self.material {
            Material::Ec { curve, x, y } => Value::object([
                ("crv", Value::from(curve.name())),
                ("kty", Value::from("EC")),
                ("x", text(x)),
                ("y", text(y)),
            ]),
            Material::Ed25519 { x } => Value::object([
                ("crv", Value::from("Ed25519")),
                ("kty", Value::from("OKP")),
                ("x", text(x)),
            ]),
            Material::Rsa { n, e } => {
                Value::object([("e", text(e)), ("kty", Value::from("RSA")), ("n", text(n))])
            }
        }
    }
}

impl Material {
    fn parse<'a>(
        kty: &str,
        text: &impl Fn(&'static str) -> Result<Option<&'a str>, JwkError>,
    ) -> Result<Self, JwkError> {
        let bytes = |name: &'static str| {
            let text = text(name)?.ok_or(JwkError::Member(name))?;
            base64url::decode(text).ok_or(JwkError::Member(name))
        };
        let crv = text("crv")?;
        match kty {
            "EC" => {
                let named = |curve: &Curve| crv == Some(curve.name());
                let curve = Curve::ALL
                    .into_iter()
                    .find(named)
                    .ok_or(JwkError::UnknownType)?;
                let coordinate = |name: &'static str| {
                    Some(bytes(name)?)
                        .filter(|bytes| bytes.len() == curve.width())
                        .ok_or(JwkError::Member(name))
                };
                let (x, y) = (coordinate("x")?, coordinate("y")?);
                Ok(Self::Ec { curve, x, y })
            }
            "OKP" if crv == Some("Ed25519") => {
                let x = bytes("x")?.try_into();
                let x = x.map_err(|_other_length| JwkError::Member("x"))?;
                Ok(Self::Ed25519 { x })
            }
            "RSA" => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                check_rsa(&n, &e)?;
                Ok(Self::Rsa { n, e })
            }
            _ => Err(JwkError::UnknownType),
        }
    }

    fn load(&self, algorithm: Algorithm) -> Result<ParsedPublicKey, JwkError> {
        let point = |bytes: &[u8]| {
            let verifier = algorithm.of_points().ok_or(JwkError::Algorithm)?;
            ParsedPublicKey::new(verifier, bytes).map_err(|_rejected| JwkError::Point)
        };
        match self {
            Self::Ec { x, y, .. } => {
                // SEC 1 §2.3.3, uncompressed.
                let mut bytes = vec![4];
                bytes.extend_from_slice(x);
                bytes.extend_from_slice(y);
                point(&bytes)
            }
            Self::Ed25519 { x } => point(x),
            Self::Rsa { n, e } => {
                let verifier = algorithm.of_rsa().ok_or(JwkError::Algorithm)?;
                let components = RsaPublicKeyComponents { n, e };
                components
                    .to_parsed_public_key(verifier)
                    .map_err(|_rejected| JwkError::Size)
            }
        }
    }
}

fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), JwkError> {
    let (Some(first), Some(last)) = (n.first(), n.last()) else {
        return Err(JwkError::Member("n"));
    };
    let top = usize::try_from(first.leading_zeros()).unwrap_or(8);
    let bits = n.len().saturating_mul(8).saturating_sub(top);
    if *first == 0 || e.first() == Some(&0) {
        return Err(JwkError::Member("n"));
    }
    let exponent = e
        .iter()
        .fold(0u64, |value, byte| (value << 8) | u64::from(*byte));
    let good_exponent = e.len() <= 5 && exponent > 1 && exponent % 2 == 1 && exponent < 1 << 33;
    if !(2048..=8192).contains(&bits) || last % 2 == 0 || !good_exponent {
        return Err(JwkError::Size);
    }
    if roca::is_suspect(n) {
        return Err(JwkError::Weak);
    }
    Ok(())
}

/// A public key that verifies with exactly one algorithm.
#[derive(Debug, Clone)]
pub struct VerifyingKey {
    key: ParsedPublicKey,
    algorithm: Algorithm,
    kid: Option<String>,
    thumbprint: Digest,
}

impl VerifyingKey {
    /// The only algorithm it verifies with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's own name.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The RFC 7638 SHA-256 thumbprint.
    #[must_use]
    pub const fn thumbprint(&self) -> Digest {
        self.thumbprint
    }

    /// Whether `signature` is this key's over `message`.
    pub(super) fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}
