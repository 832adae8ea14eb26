//! Trust bundles: what vouches for the workloads of one trust domain (SPIFFE Trust Domain and Bundle §4).

mod served;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_types::{JsonFault, JsonLimits, SpiffeId, Timestamp, TrustDomain, Value};

use crate::svid;
use crate::x509::{self, Anchor};
use crate::{JwtSvid, KeyPins, KeySet, KeySetError, KeyUse, SvidError, X509Error, X509Svid};

/// Why a trust bundle was refused. The last good one stays in force until its own limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The text is no JSON.
    #[error("the bundle is not strict JSON: {0}")]
    Json(JsonFault),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeySetError),
    /// An `x509-svid` entry without exactly one certificate in `x5c`, or with one that is no authority.
    #[error("an `x509-svid` key of the bundle holds no usable authority certificate")]
    Certificate(#[source] X509Error),
    /// `x5c` does not hold exactly one certificate in base64.
    #[error("an `x509-svid` key of the bundle has exactly one certificate in `x5c`")]
    X5c,
    /// `spiffe_sequence` or `spiffe_refresh_hint` is no whole number.
    #[error("`spiffe_sequence` and `spiffe_refresh_hint` are whole numbers")]
    Number,
}

/// The keys and authorities of one trust domain. Bundles of different domains are never merged.
#[derive(Debug, Clone)]
pub struct TrustBundle {
    domain: TrustDomain,
    jwt: KeySet,
    jwks: Value,
    anchors: Vec<Anchor>,
    authorities: Vec<Vec<u8>>,
    sequence: Option<u64>,
    refresh_hint: Option<Duration>,
    until: Option<Timestamp>,
}

impl TrustBundle {
    /// Reads a SPIFFE bundle document for `domain`, which is configured and never taken from the document.
    ///
    /// Keys of unknown use or type are left out; an empty `keys` revokes everything.
    ///
    /// # Errors
    ///
    /// [`BundleError`].
    pub fn parse(
        domain: TrustDomain,
        document: &[u8],
        pins: &KeyPins,
    ) -> Result<Self, BundleError> {
        let value = Value::parse(document, &JsonLimits::REQUEST).map_err(BundleError::Json)?;
        Self::of_value(domain, &value, pins)
    }

    /// As [`TrustBundle::parse`], from a value.
    ///
    /// # Errors
    ///
    /// [`BundleError`].
    pub fn of_value(
        domain: TrustDomain,
        value: &Value,
        pins: &KeyPins,
    ) -> Result<Self, BundleError> {
        let jwt = KeySet::of_use(value, KeyUse::JwtSvid, pins)?;
        let keys = value
            .member("keys")
            .and_then(Value::as_array)
            .unwrap_or_default();
        let authorities = keys.iter().filter(|key| used(key, "x509-svid"));
        let authorities: Vec<_> = authorities.map(read_authority).collect::<Result<_, _>>()?;
        let anchors: Result<_, _> = authorities.iter().map(|der| Anchor::parse(der)).collect();
        let number = |name| match value.member(name) {
            None => Ok(None),
            Some(number) => number.as_u64().map(Some).ok_or(BundleError::Number),
        };
        Ok(Self {
            domain,
            jwt,
            jwks: signing(value),
            anchors: anchors.map_err(BundleError::Certificate)?,
            authorities,
            sequence: number("spiffe_sequence")?,
            refresh_hint: number("spiffe_refresh_hint")?.map(Duration::from_secs),
            until: None,
        })
    }

    /// The same bundle, believed until an instant and no longer: it came from elsewhere and may have been replaced there.
    #[must_use]
    pub fn until(self, until: Timestamp) -> Self {
        Self {
            until: Some(until),
            ..self
        }
    }

    /// A bundle of authorities that are already at hand.
    #[cfg(test)]
    pub(crate) fn of_anchors(domain: TrustDomain, anchors: Vec<Anchor>) -> Self {
        let nobody = Value::object([("keys", Value::Array(Vec::new()))]);
        let bundle = Self::of_value(domain, &nobody, &KeyPins::default());
        Self {
            anchors,
            ..bundle.expect("an empty bundle reads")
        }
    }

    /// The trust domain.
    #[must_use]
    pub const fn domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// The keys that sign its JWT-SVIDs.
    #[must_use]
    pub const fn jwt_keys(&self) -> &KeySet {
        &self.jwt
    }

    /// The keys that sign its JWT-SVIDs, as they were published: a JWKS.
    #[must_use]
    pub const fn jwks(&self) -> &Value {
        &self.jwks
    }

    /// The certificates of the authorities that sign its X.509-SVIDs, in DER.
    pub fn authorities(&self) -> impl Iterator<Item = &[u8]> {
        self.authorities.iter().map(Vec::as_slice)
    }

    /// The authorities that sign its X.509-SVIDs.
    pub(crate) fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// The subject names of its authorities in DER, for a TLS server's hint to its clients.
    pub fn authority_subjects(&self) -> impl Iterator<Item = &[u8]> {
        self.anchors.iter().map(Anchor::subject)
    }

    /// `spiffe_sequence`: a document with a lower one is older.
    #[must_use]
    pub const fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// `spiffe_refresh_hint`: how often to look again.
    #[must_use]
    pub const fn refresh_hint(&self) -> Option<Duration> {
        self.refresh_hint
    }
}

/// Whether a key of a bundle is for this.
fn used(key: &Value, wanted: &str) -> bool {
    key.member("use").and_then(Value::as_str) == Some(wanted)
}

/// The keys of a set that sign JWT-SVIDs, as they stand there: a JWKS.
fn signing(set: &Value) -> Value {
    let keys = set.member("keys").and_then(Value::as_array);
    let keys = keys.unwrap_or_default().iter();
    let signing = keys.filter(|key| used(key, "jwt-svid"));
    Value::object([("keys", Value::Array(signing.cloned().collect()))])
}

fn read_authority(key: &Value) -> Result<Vec<u8>, BundleError> {
    let chain = key
        .member("x5c")
        .and_then(Value::as_array)
        .ok_or(BundleError::X5c)?;
    let [certificate] = chain else {
        return Err(BundleError::X5c);
    };
    let text = certificate.as_str().ok_or(BundleError::X5c)?;
    STANDARD
        .decode(text)
        .map_err(|_not_base64| BundleError::X5c)
}

/// The bundles of all trust domains that are trusted, each for its own workloads alone.
#[derive(Debug, Clone, Default)]
pub struct TrustBundles(BTreeMap<TrustDomain, TrustBundle>);

impl TrustBundles {
    /// The bundles, by their domains. Of two for one domain the later stands.
    #[must_use]
    pub fn of(bundles: impl IntoIterator<Item = TrustBundle>) -> Self {
        let by_domain = |bundle: TrustBundle| (bundle.domain.clone(), bundle);
        Self(bundles.into_iter().map(by_domain).collect())
    }

    /// The bundle of one domain, whether it can still be believed or not.
    #[must_use]
    pub fn get(&self, domain: &TrustDomain) -> Option<&TrustBundle> {
        self.0.get(domain)
    }

    /// These bundles, and this one in place of the one of its domain. One that is older than what is there is left out: its
    /// sequence number is lower (SPIFFE Trust Domain and Bundle §4.1.1), or it has none and that one has.
    #[must_use]
    pub fn with(&self, bundle: TrustBundle) -> Self {
        let mut bundles = self.clone();
        let known = self.get(&bundle.domain).and_then(TrustBundle::sequence);
        if known <= bundle.sequence {
            bundles.0.insert(bundle.domain.clone(), bundle);
        }
        bundles
    }

    /// These bundles but the one of a domain.
    #[must_use]
    pub fn without(&self, domain: &TrustDomain) -> Self {
        let mut bundles = self.clone();
        bundles.0.remove(domain);
        bundles
    }

    /// The bundle of one domain, if it may be believed at `now`.
    fn believed(&self, domain: &TrustDomain, now: Timestamp) -> Option<&TrustBundle> {
        self.get(domain)
            .filter(|bundle| bundle.until.is_none_or(|until| now < until))
    }

    /// The bundles that may be believed at `now`, in the order of their domains.
    pub fn believed_at(&self, now: Timestamp) -> impl Iterator<Item = &TrustBundle> {
        let believed = move |bundle: &&TrustBundle| bundle.until.is_none_or(|until| now < until);
        self.iter().filter(believed)
    }

    /// When the next of them may not be believed any more.
    #[must_use]
    pub fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.believed_at(now)
            .filter_map(|bundle| bundle.until)
            .min()
    }

    /// All bundles, in the order of their domains.
    pub fn iter(&self) -> impl Iterator<Item = &TrustBundle> {
        self.0.values()
    }

    /// Verifies a JWT-SVID with the bundle of the trust domain its `sub` claims.
    ///
    /// # Errors
    ///
    /// As [`JwtSvid::verify`]; `TrustDomain` where that domain is not trusted, or its bundle is too old to be believed.
    pub fn verify_jwt(
        &self,
        text: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<JwtSvid, SvidError> {
        let claimed: SpiffeId = svid::claimed_subject(text)?;
        let bundle = self
            .believed(claimed.trust_domain(), now)
            .ok_or(SvidError::TrustDomain)?;
        JwtSvid::verify(text, bundle, audience, now)
    }

    /// Validates a JWT-SVID for a workload that is one of its audiences, with the bundle of the trust domain its `sub`
    /// claims.
    ///
    /// # Errors
    ///
    /// As [`TrustBundles::verify_jwt`].
    pub fn validate_jwt(
        &self,
        text: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<JwtSvid, SvidError> {
        let claimed: SpiffeId = svid::claimed_subject(text)?;
        let bundle = self
            .believed(claimed.trust_domain(), now)
            .ok_or(SvidError::TrustDomain)?;
        JwtSvid::validate(text, bundle, audience, now)
    }

    /// Verifies an X.509-SVID, leaf first, with the bundle of the trust domain its URI SAN claims.
    ///
    /// # Errors
    ///
    /// As [`X509Svid::verify`]; `TrustDomain` where that domain is not trusted, or its bundle is too old to be believed.
    pub fn verify_x509(&self, chain: &[&[u8]], now: Timestamp) -> Result<X509Svid, X509Error> {
        let leaf = chain.first().ok_or(X509Error::Chain)?;
        let claimed = x509::claimed_id(leaf)?;
        let bundle = self
            .believed(claimed.trust_domain(), now)
            .ok_or(X509Error::TrustDomain)?;
        X509Svid::verify(chain, bundle, now)
    }
}

#[cfg(test)]
mod tests;
