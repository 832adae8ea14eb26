//! The transaction token of a call: signed for this call alone, and in nobody's hands but the upstream's.

use std::fmt;
use std::sync::Arc;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use memchr::memmem::Finder;
use writ_policy::Permit;
use writ_token::{IssuerUrl, Signer, TransactionToken};
use writ_types::{ActionName, Agent, Grant, ReasonCode, Timestamp, TrustDomain};

use crate::leak::LeakGuard;

/// The field that a transaction token travels in.
pub(crate) const TXN_TOKEN: HeaderName = HeaderName::from_static(TransactionToken::HEADER);

/// Signs the transaction tokens of one API.
pub struct TransactionTokens {
    issuer: IssuerUrl,
    trust_domain: TrustDomain,
    signer: Arc<Signer>,
}

/// Who makes a call, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transaction<'a> {
    pub(crate) agent: &'a Agent,
    pub(crate) action: &'a ActionName,
    pub(crate) now: Timestamp,
}

impl TransactionTokens {
    /// Tokens of `issuer`, for the services of `trust_domain`.
    #[must_use]
    pub const fn new(issuer: IssuerUrl, trust_domain: TrustDomain, signer: Arc<Signer>) -> Self {
        Self {
            issuer,
            trust_domain,
            signer,
        }
    }

    /// Signs one for a permitted call and attaches it, in place of whatever stands in that field. What it returns is to be
    /// looked for in the response: with the signature, a token could be shown to other services.
    ///
    /// # Errors
    ///
    /// `credential_unavailable` if it cannot be signed.
    pub(crate) fn attach(
        &self,
        permit: &Permit,
        grant: &Grant,
        transaction: Transaction<'_>,
        headers: &mut HeaderMap,
    ) -> Result<Option<Finder<'static>>, ReasonCode> {
        let token = TransactionToken {
            issuer: &self.issuer,
            trust_domain: &self.trust_domain,
            call: permit.call(),
            requester: grant.requester.as_ref(),
            spiffe: &transaction.agent.spiffe,
            action: transaction.action,
            purpose: &grant.purpose,
            task: grant.task,
            agent: grant.agent,
            now: transaction.now,
        };
        let signed = token.sign(&self.signer).map_err(|fault| {
            tracing::error!(call.id = %permit.call(), %fault, "a transaction token could not be signed");
            ReasonCode::CredentialUnavailable
        })?;
        let mut value =
            HeaderValue::try_from(&signed).map_err(|_control| ReasonCode::CredentialUnavailable)?;
        value.set_sensitive(true);
        headers.insert(TXN_TOKEN, value);
        let signature = signed.rsplit_once('.').map(|(_, signature)| signature);
        // Base64url has nothing that is escaped.
        Ok(signature.and_then(|signature| LeakGuard::finders(signature).next()))
    }
}

impl fmt::Debug for TransactionTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionTokens")
            .field("trust_domain", &self.trust_domain)
            .finish_non_exhaustive()
    }
}
