//! The authority for X.509-SVIDs.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
    SignatureAlgorithm, date_time_ymd,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use writ_types::{Secret, SpiffeId, Timestamp, TrustDomain, Value};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::jose::base64url;
use crate::x509::Anchor;

/// Why no certificate was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The bytes are no PKCS#8 private key of P-256.
    #[error("not a PKCS#8 private key of P-256")]
    Key,
    /// The public key is no point of P-256 in a `SubjectPublicKeyInfo`.
    #[error("the public key is not one of P-256")]
    PublicKey,
    /// The stored certificate is not this key's, not this trust domain's, or no authority's.
    #[error("the stored certificate does not belong to this key and trust domain")]
    Certificate,
    /// The SPIFFE id belongs to another trust domain.
    #[error("the SPIFFE id belongs to another trust domain")]
    TrustDomain,
    /// A host that is neither an IP address nor a DNS name.
    #[error("a host is an IP address or a DNS name in lower case")]
    HostName,
    /// A life of nothing, or beyond the longest.
    #[error("the certificate would live for nothing or too long")]
    Life,
    /// The library failed.
    #[error("the certificate could not be made")]
    Library,
}

/// A public key of P-256 to be certified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectKey(Vec<u8>);

/// DER of a `SubjectPublicKeyInfo` of P-256 (RFC 5480 §2) up to the uncompressed point of 65 bytes.
const P256_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A,
    0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

impl SubjectKey {
    /// Reads a `SubjectPublicKeyInfo` in DER.
    ///
    /// # Errors
    ///
    /// [`IssueError::PublicKey`].
    pub fn from_spki(der: &[u8]) -> Result<Self, IssueError> {
        let point = der
            .strip_prefix(&P256_SPKI)
            .filter(|point| point.first() == Some(&4));
        let point = point.ok_or(IssueError::PublicKey)?;
        match ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point) {
            Ok(_on_the_curve) => Ok(Self(point.to_vec())),
            Err(_rejected) => Err(IssueError::PublicKey),
        }
    }

    /// The public key of a PKCS#8 private key.
    ///
    /// # Errors
    ///
    /// [`IssueError::Key`].
    pub fn of_pkcs8(pkcs8: &Secret<Vec<u8>>) -> Result<Self, IssueError> {
        Ok(Self(load(pkcs8)?.public_key_raw().to_vec()))
    }
}

impl PublicKeyData for SubjectKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// An issued X.509-SVID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertifiedLeaf {
    /// The certificate in DER; the authority's own certificate is not part of the chain.
    pub der: Vec<u8>,
    /// Its last instant.
    pub not_after: Timestamp,
}

/// A self-signed authority of one trust domain.
pub struct X509Authority {
    domain: TrustDomain,
    key: KeyPair,
    certificate: Vec<u8>,
    not_after: Timestamp,
}

impl fmt::Debug for X509Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509Authority")
            .field("domain", &self.domain)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// Certificates begin a little in the past: a verifier's clock may run behind.
const BACKDATE: Duration = Duration::from_secs(30);

impl X509Authority {
    /// Longest life of an X.509-SVID.
    pub const LONGEST_LEAF_LIFE: Duration = Duration::from_secs(3600);
    /// Longest life of the authority.
    pub const LONGEST_LIFE: Duration = Duration::from_secs(3650 * 86_400);

    /// Makes a new authority over a private key of P-256, with 16 random bytes for its serial number.
    ///
    /// # Errors
    ///
    /// [`IssueError`].
    pub fn create(
        domain: TrustDomain,
        pkcs8: &Secret<Vec<u8>>,
        now: Timestamp,
        life: Duration,
        serial: [u8; 16],
    ) -> Result<Self, IssueError> {
        if life.as_secs() == 0 || life > Self::LONGEST_LIFE {
            return Err(IssueError::Life);
        }
        let key = load(pkcs8)?;
        let mut params = authority(&domain)?;
        let not_after = dates(&mut params, now, life);
        params.serial_number = Some(serial_number(serial));
        let certificate = params
            .self_signed(&key)
            .map_err(|_failed| IssueError::Library)?;
        let certificate = certificate.der().to_vec();
        Ok(Self {
            domain,
            key,
            certificate,
            not_after,
        })
    }

    /// An authority that was made before.
    ///
    /// # Errors
    ///
    /// `Certificate` if the stored certificate is not this key's and domain's.
    pub fn load(
        domain: TrustDomain,
        pkcs8: &Secret<Vec<u8>>,
        certificate: Vec<u8>,
    ) -> Result<Self, IssueError> {
        let key = load(pkcs8)?;
        let wrong = IssueError::Certificate;
        Anchor::parse(&certificate).map_err(|_no_authority| wrong)?;
        let not_after = {
            let (_, parsed) =
                X509Certificate::from_der(&certificate).map_err(|_malformed| wrong)?;
            let mut names = parsed.subject().iter_common_name();
            let named = names.next().and_then(|name| name.as_str().ok());
            let public = parsed.public_key().subject_public_key.data.as_ref();
            if named != Some(domain.as_str()) || public != key.public_key_raw() {
                return Err(wrong);
            }
            let end = parsed.validity().not_after.timestamp();
            Timestamp::from_secs(u64::try_from(end).map_err(|_before_1970| wrong)?)
        };
        Ok(Self {
            domain,
            key,
            certificate,
            not_after,
        })
    }

    /// The trust domain.
    #[must_use]
    pub const fn domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// Its own certificate in DER, to be stored beside the key.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Its own last instant.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Issues an X.509-SVID (X509-SVID §4) for the holder of `key`, with 16 random bytes for its serial number.
    ///
    /// # Errors
    ///
    /// `TrustDomain`; `Life` if it is nothing, beyond [`X509Authority::LONGEST_LEAF_LIFE`] or beyond the authority's own;
    /// `Library`.
    pub fn issue(
        &self,
        spiffe: &SpiffeId,
        key: &SubjectKey,
        now: Timestamp,
        life: Duration,
        serial: [u8; 16],
    ) -> Result<CertifiedLeaf, IssueError> {
        self.issue_server(spiffe, key, &[], now, life, serial)
    }

    /// Issues an X.509-SVID that also names hosts and addresses, for a listener that clients reach by them: other kinds of
    /// subject alternative name may stand beside the one URI (X509-SVID §2).
    ///
    /// # Errors
    ///
    /// As [`X509Authority::issue`]; `HostName` for what is neither an address nor a DNS name.
    pub fn issue_server(
        &self,
        spiffe: &SpiffeId,
        key: &SubjectKey,
        hosts: &[&str],
        now: Timestamp,
        life: Duration,
        serial: [u8; 16],
    ) -> Result<CertifiedLeaf, IssueError> {
        if *spiffe.trust_domain() != self.domain {
            return Err(IssueError::TrustDomain);
        }
        let beyond = life > Self::LONGEST_LEAF_LIFE || now.plus(life) > self.not_after;
        if life.as_secs() == 0 || beyond {
            return Err(IssueError::Life);
        }
        let mut params = CertificateParams::default();
        let not_after = dates(&mut params, now, life);
        params.serial_number = Some(serial_number(serial));
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Writ");
        params.subject_alt_names = vec![uri_san(spiffe.as_str())?];
        for host in hosts {
            params.subject_alt_names.push(host_san(host)?);
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let issuer = authority(&self.domain)?;
        let issuer = Issuer::from_params(&issuer, &self.key);
        let leaf = params
            .signed_by(key, &issuer)
            .map_err(|_failed| IssueError::Library)?;
        Ok(CertifiedLeaf {
            der: leaf.der().to_vec(),
            not_after,
        })
    }

    /// Its entry in the bundle (SPIFFE Trust Domain and Bundle §4.2.3): the certificate in `x5c`, no `kid`.
    pub(super) fn bundle_entry(&self) -> Value {
        let point = self.key.public_key_raw();
        let coordinate =
            |range| Value::from(point.get(range).map(base64url::encode).unwrap_or_default());
        Value::object([
            ("use", Value::from("x509-svid")),
            ("kty", Value::from("EC")),
            ("crv", Value::from("P-256")),
            ("x", coordinate(1..33)),
            ("y", coordinate(33..65)),
            (
                "x5c",
                Value::Array(vec![Value::from(STANDARD.encode(&self.certificate))]),
            ),
        ])
    }
}

fn load(pkcs8: &Secret<Vec<u8>>) -> Result<KeyPair, IssueError> {
    let der = PrivatePkcs8KeyDer::from(pkcs8.expose().as_slice());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256)
        .map_err(|_rejected| IssueError::Key)
}

/// What an authority of `domain` is, but for its dates and serial number (X509-SVID §4, signing certificates).
fn authority(domain: &TrustDomain) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Writ");
    params
        .distinguished_name
        .push(DnType::CommonName, domain.as_str());
    params.subject_alt_names = vec![uri_san(&format!("spiffe://{domain}"))?];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn uri_san(uri: &str) -> Result<SanType, IssueError> {
    let uri = uri
        .to_owned()
        .try_into()
        .map_err(|_not_ascii| IssueError::Library)?;
    Ok(SanType::URI(uri))
}

/// An address, or a DNS name without a wildcard (RFC 1123 §2.1).
fn host_san(host: &str) -> Result<SanType, IssueError> {
    if let Ok(address) = host.parse::<core::net::IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > 253 || !host.split('.').all(label) {
        return Err(IssueError::HostName);
    }
    let name = host
        .to_owned()
        .try_into()
        .map_err(|_not_ascii| IssueError::HostName)?;
    Ok(SanType::DnsName(name))
}

/// A positive serial number of at most 16 bytes (RFC 5280 §4.1.2.2).
fn serial_number(mut random: [u8; 16]) -> SerialNumber {
    if let Some(first) = random.first_mut() {
        *first = (*first & 0x7F) | 0x40;
    }
    SerialNumber::from_slice(&random)
}

/// Sets both dates, and says the end: whole seconds, as certificates have them.
fn dates(params: &mut CertificateParams, now: Timestamp, life: Duration) -> Timestamp {
    let end = Timestamp::from_secs(now.plus(life).secs_since_epoch());
    let (begin, last) = (
        now.minus(BACKDATE).secs_since_epoch(),
        end.secs_since_epoch(),
    );
    // The end of the year 9999, beyond which a certificate has no dates.
    let at = |seconds: u64| Duration::from_secs(seconds.min(253_402_300_799));
    let epoch = date_time_ymd(1970, 1, 1);
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "bounded by the year 9999 above"
    )]
    {
        params.not_before = epoch + at(begin);
        params.not_after = epoch + at(last);
    }
    end
}
