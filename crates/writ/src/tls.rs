//! TLS of the listeners, with client certificates that are X.509-SVIDs.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    ServerConfig, SignatureScheme,
};
use writ_control::{Certificate, Trust};
use writ_token::X509Svid;
use writ_types::{Clock, Timestamp};

use crate::config::TlsFiles;
use crate::failure::Failure;

/// The cryptography of this process, for our code and for TLS.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Accepts connections without a client certificate, and those whose certificate is an X.509-SVID of a known trust
/// domain. Any other certificate ends the handshake.
#[derive(Debug)]
struct SvidVerifier {
    trust: Arc<Trust>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for SvidVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain: Vec<&[u8]> = std::iter::once(end_entity)
            .chain(intermediates)
            .map(AsRef::as_ref)
            .collect();
        let verified = self
            .trust
            .bundles()
            .verify_x509(&chain, Timestamp::from_secs(now.as_secs()));
        verified
            .map(|_svid| ClientCertVerified::assertion())
            .map_err(|fault| {
                tracing::debug!(%fault, "a client certificate was refused");
                Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The TLS configuration of the listeners.
pub(crate) fn server(files: &TlsFiles, trust: Arc<Trust>) -> Result<Arc<ServerConfig>, Failure> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&files.certificate)
        .map_err(|fault| {
            Failure::caused(
                format!("cannot read {}", files.certificate.display()),
                &fault,
            )
        })?
        .collect();
    let chain = chain.map_err(|fault| {
        Failure::caused(
            format!(
                "{} is no PEM certificate chain",
                files.certificate.display()
            ),
            &fault,
        )
    })?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|fault| {
        Failure::caused(
            format!("cannot read a private key from {}", files.key.display()),
            &fault,
        )
    })?;
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(SvidVerifier { trust, algorithms }))
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed session would skip the client certificate's verification; each handshake is whole.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Whom upstreams are believed by: the certificates in a PEM file, such as the system's.
pub(crate) fn client(roots: &[&std::path::Path]) -> Result<Arc<ClientConfig>, Failure> {
    let mut store = RootCertStore::empty();
    for path in roots.iter().filter(|path| path.exists()) {
        let failed = |fault: &dyn std::error::Error| {
            Failure::caused(format!("cannot read {}", path.display()), fault)
        };
        for certificate in CertificateDer::pem_file_iter(path).map_err(|fault| failed(&fault))? {
            let certificate = certificate.map_err(|fault| failed(&fault))?;
            // A certificate that rustls cannot use vouches for nobody; the system's file has some.
            drop(store.add(certificate));
        }
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The client certificate of a connection whose handshake verified it.
pub(crate) fn peer_certificate(
    connection: &rustls::ServerConnection,
    trust: &Trust,
    clock: &dyn Clock,
) -> Option<Certificate> {
    let chain: Vec<&[u8]> = connection
        .peer_certificates()?
        .iter()
        .map(AsRef::as_ref)
        .collect();
    let svid: X509Svid = trust.bundles().verify_x509(&chain, clock.now()).ok()?;
    Some(Certificate {
        digest: svid.leaf_digest(),
        spiffe: svid.spiffe().clone(),
        not_after: svid.not_after(),
    })
}
