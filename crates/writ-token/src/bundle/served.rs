//! Trust bundles as a Workload API hands them out: certificates one behind the other, and a plain JWKS (SPIFFE Workload API
//! §5.2.2, §6.2.2).

use writ_types::{JsonLimits, TrustDomain, Value};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{BundleError, TrustBundle, signing};
use crate::x509::{Anchor, X509Error};
use crate::{KeyPins, KeySet, KeyUse, X509Svid};

/// Most authorities of one trust domain.
const MOST_AUTHORITIES: usize = 128;

impl TrustBundle {
    /// Reads what a Workload API says of `domain`, which is configured: the authorities of its X.509-SVIDs in DER one behind
    /// the other, and the JWKS of its JWT-SVIDs. Where it says nothing of one of them there are none of that kind.
    ///
    /// Every key of the JWKS signs JWT-SVIDs, whether its `use` says so or stands nowhere; one with another `use` is left out.
    ///
    /// # Errors
    ///
    /// [`BundleError`].
    pub fn of_workload_api(
        domain: TrustDomain,
        authorities: Option<&[u8]>,
        jwks: Option<&[u8]>,
        pins: &KeyPins,
    ) -> Result<Self, BundleError> {
        let jwks = match jwks {
            Some(document) => {
                Value::parse(document, &JsonLimits::REQUEST).map_err(BundleError::Json)?
            }
            None => Value::object([("keys", Value::Array(Vec::new()))]),
        };
        let keys = jwks.member("keys").and_then(Value::as_array);
        let keys = keys.ok_or(crate::KeySetError::Shape)?;
        let keys = keys.iter().cloned().map(with_its_use).collect();
        let jwks = Value::object([("keys", Value::Array(keys))]);
        let jwt = KeySet::of_use(&jwks, KeyUse::JwtSvid, pins)?;
        let authorities = split(authorities.unwrap_or_default());
        let authorities = authorities.map_err(BundleError::Certificate)?;
        let anchors: Result<_, _> = authorities.iter().map(|der| Anchor::parse(der)).collect();
        Ok(Self {
            domain,
            jwt,
            jwks: signing(&jwks),
            anchors: anchors.map_err(BundleError::Certificate)?,
            authorities,
            sequence: None,
            refresh_hint: None,
            until: None,
        })
    }
}

/// The key with its use said: in these sets a key without one signs JWT-SVIDs.
fn with_its_use(key: Value) -> Value {
    match key.as_object().cloned() {
        Some(mut members) if !members.contains_key("use") => {
            members.insert("use".to_owned(), Value::from("jwt-svid"));
            Value::Object(members)
        }
        Some(_) | None => key,
    }
}

/// The certificates that stand one behind the other, to the last byte.
fn split(mut concatenated: &[u8]) -> Result<Vec<Vec<u8>>, X509Error> {
    let mut authorities = Vec::new();
    while !concatenated.is_empty() {
        let parsed = X509Certificate::from_der(concatenated);
        let (rest, _) = parsed.map_err(|_malformed| X509Error::Malformed)?;
        let length = concatenated.len().saturating_sub(rest.len());
        let der = concatenated.get(..length).ok_or(X509Error::Malformed)?;
        if authorities.len() == MOST_AUTHORITIES || der.len() > X509Svid::MOST_BYTES {
            return Err(X509Error::Chain);
        }
        authorities.push(der.to_vec());
        concatenated = rest;
    }
    Ok(authorities)
}
