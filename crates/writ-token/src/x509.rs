//! X.509-SVIDs (X509-SVID §5): path validation per trust domain, then the leaf rules.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, VerifiedPath, anchor_from_trusted_cert,
};
use writ_types::{Digest, SpiffeError, SpiffeId, Timestamp};
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OID_X509_EXT_BASIC_CONSTRAINTS;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::TrustBundle;

/// Why a certificate or chain was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum X509Error {
    /// No certificate, more than [`X509Svid::MOST_CERTIFICATES`], or one larger than [`X509Svid::MOST_BYTES`].
    #[error("the chain is empty or too large")]
    Chain,
    /// Not exactly one well-formed certificate in DER, or an extension is malformed or stands twice.
    #[error("the certificate is malformed")]
    Malformed,
    /// Not exactly one URI among the subject alternative names (X509-SVID §2).
    #[error("an X.509-SVID has exactly one URI SAN")]
    UriSan,
    /// The URI is no SPIFFE id of a workload.
    #[error("the URI SAN is not the SPIFFE id of a workload")]
    SpiffeId(#[source] SpiffeError),
    /// The leaf is an authority (X509-SVID §4.1).
    #[error("the leaf is an authority, and an authority does not authenticate")]
    Authority,
    /// Key usage is absent, not critical, lacks `digitalSignature`, or has `keyCertSign` or `cRLSign` (X509-SVID §4.3).
    #[error("the leaf's key usage is not that of an X.509-SVID")]
    KeyUsage,
    /// Extended key usage is there without `serverAuth` or without `clientAuth` (X509-SVID §4.4).
    #[error("the leaf's extended key usage lacks serverAuth or clientAuth")]
    ExtendedKeyUsage,
    /// The SPIFFE id belongs to a trust domain that the authorities do not speak for.
    #[error("the SPIFFE id belongs to a trust domain that is not trusted here")]
    TrustDomain,
    /// No path of good signatures and dates leads to an authority of the trust domain (RFC 5280 §6).
    #[error("no valid path leads to an authority of the trust domain")]
    Path,
    /// The authority's certificate is no authority's.
    #[error("the certificate is not that of an authority")]
    NotAuthority,
}

/// An authority of a trust domain.
#[derive(Debug, Clone)]
pub(crate) struct Anchor {
    anchor: TrustAnchor<'static>,
    not_before: Timestamp,
    not_after: Timestamp,
    most_intermediates: Option<u32>,
}

impl Anchor {
    /// Reads an authority's certificate: a CA that may sign certificates.
    pub(crate) fn parse(der: &[u8]) -> Result<Self, X509Error> {
        let certificate = parse(der)?;
        if !is_authority(&certificate)? {
            return Err(X509Error::NotAuthority);
        }
        let der = CertificateDer::from(der);
        let anchor = anchor_from_trusted_cert(&der).map_err(|_refused| X509Error::NotAuthority)?;
        let (not_before, not_after) = validity(&certificate)?;
        let constraints = certificate.basic_constraints();
        let constraints = constraints.map_err(|_malformed| X509Error::Malformed)?;
        Ok(Self {
            most_intermediates: constraints.and_then(|own| own.value.path_len_constraint),
            anchor: anchor.to_owned(),
            not_before,
            not_after,
        })
    }

    pub(crate) fn subject(&self) -> &[u8] {
        &self.anchor.subject
    }
}

/// A verified X.509-SVID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X509Svid {
    spiffe: SpiffeId,
    leaf_digest: Digest,
    not_after: Timestamp,
}

impl X509Svid {
    /// Most certificates of a chain.
    pub const MOST_CERTIFICATES: usize = 8;
    /// Largest certificate, in bytes.
    pub const MOST_BYTES: usize = 16 * 1024;

    /// Verifies a chain, leaf first, against the authorities of one trust domain.
    ///
    /// That the peer holds the leaf's key is TLS's to prove.
    ///
    /// # Errors
    ///
    /// [`X509Error`].
    pub fn verify(
        chain: &[&[u8]],
        bundle: &TrustBundle,
        now: Timestamp,
    ) -> Result<Self, X509Error> {
        let (leaf, intermediates) = chain.split_first().ok_or(X509Error::Chain)?;
        let too_large = chain.iter().any(|der| der.len() > Self::MOST_BYTES);
        if chain.len() > Self::MOST_CERTIFICATES || too_large {
            return Err(X509Error::Chain);
        }
        let certificate = parse(leaf)?;
        let spiffe = leaf_rules(&certificate)?;
        if spiffe.trust_domain() != bundle.domain() {
            return Err(X509Error::TrustDomain);
        }
        // Where extended key usage is stated, the leaf rules have demanded both; one of them stands for the path.
        verify_path(leaf, intermediates, bundle, KeyUsage::client_auth(), now)?;
        let (_, not_after) = validity(&certificate)?;
        Ok(Self {
            spiffe,
            leaf_digest: Digest::of(leaf),
            not_after,
        })
    }

    /// The workload.
    #[must_use]
    pub const fn spiffe(&self) -> &SpiffeId {
        &self.spiffe
    }

    /// The SHA-256 digest of the leaf's DER form (`x5t#S256`).
    #[must_use]
    pub const fn leaf_digest(&self) -> Digest {
        self.leaf_digest
    }

    /// The leaf's last instant.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }
}

/// The SPIFFE id that a leaf claims, before anything is proven: only to choose whose authorities must verify it.
pub(crate) fn claimed_id(leaf: &[u8]) -> Result<SpiffeId, X509Error> {
    if leaf.len() > X509Svid::MOST_BYTES {
        return Err(X509Error::Chain);
    }
    leaf_rules(&parse(leaf)?)
}

fn verify_path(
    leaf: &[u8],
    intermediates: &[&[u8]],
    bundle: &TrustBundle,
    usage: KeyUsage,
    now: Timestamp,
) -> Result<(), X509Error> {
    // RFC 5280 §6.1.1 leaves an anchor's dates to its owner; ours end.
    let in_force = |anchor: &&Anchor| anchor.not_before <= now && now <= anchor.not_after;
    let anchors: Vec<_> = bundle.anchors().iter().filter(in_force).collect();
    let anchors: Vec<_> = anchors
        .into_iter()
        .map(|anchor| anchor.anchor.clone())
        .collect();
    let intermediates: Vec<_> = intermediates
        .iter()
        .map(|der| CertificateDer::from(*der))
        .collect();
    let leaf = CertificateDer::from(leaf);
    let leaf = EndEntityCert::try_from(&leaf).map_err(|_malformed| X509Error::Malformed)?;
    // webpki checks `cA` and the path lengths of intermediates, but neither key usage (X509-SVID §4.3 demands
    // `keyCertSign` of signers) nor the path length of the anchor.
    let judge = |path: &VerifiedPath<'_>| {
        let signs = |der: &CertificateDer<'_>| {
            parse(der).and_then(|signer| is_authority(&signer)) == Ok(true)
        };
        let count = u32::try_from(path.intermediate_certificates().count()).unwrap_or(u32::MAX);
        // Two certificates of one authority may state different lengths; the shorter holds.
        let own = |anchor: &&Anchor| anchor.anchor == *path.anchor();
        let admits = |anchor: &Anchor| anchor.most_intermediates.is_none_or(|most| count <= most);
        let short = bundle.anchors().iter().filter(own).all(admits);
        if !short {
            Err(webpki::Error::PathLenConstraintViolated)
        } else if !path
            .intermediate_certificates()
            .all(|signer| signs(&signer.der()))
        {
            Err(webpki::Error::EndEntityUsedAsCa)
        } else {
            Ok(())
        }
    };
    let time = UnixTime::since_unix_epoch(Duration::from_millis(now.millis_since_epoch()));
    leaf.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors,
        &intermediates,
        time,
        usage,
        None,
        Some(&judge),
    )
    .map_err(|_no_path| X509Error::Path)?;
    Ok(())
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, X509Error> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) | Err(_) => Err(X509Error::Malformed),
    }
}

fn validity(certificate: &X509Certificate<'_>) -> Result<(Timestamp, Timestamp), X509Error> {
    let instant = |seconds: i64| {
        let seconds = u64::try_from(seconds).map_err(|_before_1970| X509Error::Malformed)?;
        Ok(Timestamp::from_secs(seconds))
    };
    let validity = certificate.validity();
    let (begin, end) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    Ok((instant(begin)?, instant(end)?))
}

/// Whether the certificate may sign others: `cA`, and `keyCertSign` where key usage is stated.
fn is_authority(certificate: &X509Certificate<'_>) -> Result<bool, X509Error> {
    let usage = certificate
        .key_usage()
        .map_err(|_malformed| X509Error::Malformed)?;
    let signs = usage.is_none_or(|usage| usage.value.key_cert_sign());
    Ok(is_ca(certificate)? && signs)
}

fn is_ca(certificate: &X509Certificate<'_>) -> Result<bool, X509Error> {
    let malformed = |_error| X509Error::Malformed;
    let stated = certificate.get_extension_unique(&OID_X509_EXT_BASIC_CONSTRAINTS);
    let stated = stated.map_err(malformed)?.is_some();
    let constraints = certificate.basic_constraints().map_err(malformed)?;
    match constraints {
        // The extension stands there and could not be read.
        None if stated => Err(X509Error::Malformed),
        None => Ok(false),
        Some(constraints) => Ok(constraints.value.ca),
    }
}

/// The rules for leaves of X509-SVID §2 and §4, and the SPIFFE id.
fn leaf_rules(certificate: &X509Certificate<'_>) -> Result<SpiffeId, X509Error> {
    let malformed = |_error| X509Error::Malformed;
    let names = certificate.subject_alternative_name().map_err(malformed)?;
    let names = names
        .map(|names| names.value.general_names.as_slice())
        .unwrap_or_default();
    // Counted as they stand, also those that are no text: another verifier may read the second one.
    if names
        .iter()
        .any(|name| matches!(name, GeneralName::Invalid(..)))
    {
        return Err(X509Error::Malformed);
    }
    let uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        GeneralName::OtherName(..)
        | GeneralName::RFC822Name(_)
        | GeneralName::DNSName(_)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::IPAddress(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    });
    let uris: Vec<&str> = uris.collect();
    let [uri] = uris.as_slice() else {
        return Err(X509Error::UriSan);
    };
    if is_ca(certificate)? {
        return Err(X509Error::Authority);
    }
    let usage = certificate
        .key_usage()
        .map_err(malformed)?
        .ok_or(X509Error::KeyUsage)?;
    let signs = usage.value.key_cert_sign() || usage.value.crl_sign();
    if !usage.critical || !usage.value.digital_signature() || signs {
        return Err(X509Error::KeyUsage);
    }
    let extended = certificate.extended_key_usage().map_err(malformed)?;
    if extended.is_some_and(|usage| !usage.value.server_auth || !usage.value.client_auth) {
        return Err(X509Error::ExtendedKeyUsage);
    }
    uri.parse().map_err(X509Error::SpiffeId)
}

#[cfg(test)]
mod limbo;
#[cfg(test)]
mod tests;
