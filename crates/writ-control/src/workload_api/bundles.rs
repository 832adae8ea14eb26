//! The bundles in force as the Workload API hands them out: keyed by trust domain, never merged, and only while they may be
//! believed.

use writ_token::TrustBundle;
use writ_types::Timestamp;

use super::message::Bundles;
use crate::plane::Plane;

/// The X.509 authorities of every trust domain, in DER one behind the other.
pub(super) fn x509(plane: &Plane, now: Timestamp) -> Bundles {
    let concatenated = |bundle: &TrustBundle| bundle.authorities().flatten().copied().collect();
    of(plane, now, concatenated)
}

/// The X.509 authorities of every trust domain but the built-in one, which stands beside each identity.
pub(super) fn federated(plane: &Plane, now: Timestamp) -> Bundles {
    let mut bundles = x509(plane, now);
    bundles.remove(&format!("spiffe://{}", plane.settings.trust_domain));
    bundles
}

/// The JWKS of every trust domain.
pub(super) fn jwt(plane: &Plane, now: Timestamp) -> Bundles {
    of(plane, now, |bundle| bundle.jwks().to_string().into_bytes())
}

fn of(plane: &Plane, now: Timestamp, what: impl Fn(&TrustBundle) -> Vec<u8>) -> Bundles {
    let bundles = plane.trust.bundles();
    let named = bundles
        .believed_at(now)
        .map(|bundle| (format!("spiffe://{}", bundle.domain()), what(bundle)));
    named.collect()
}
