//! The OAuth core: who calls, with which token, bound to which key.
//!
//! Sans-I/O: texts, certificates, keys, time and identifiers come in as arguments; verified values go out. Read in this
//! order: `jose` (the one entry point for signed texts), `claims` (strict reading of what was signed), `access` (our own
//! tokens), `dpop`, `authenticated` (the proof a call needs), `request` (the token endpoint's form), then who vouches:
//! `bundle`, `svid`, `x509`, `oidc`, `client_assertion`, `ticket`; and `issuer`, the built-in trust domain.

mod access;
mod authenticated;
mod bundle;
mod claims;
mod client_assertion;
mod dpop;
mod handover;
mod identifier;
mod issuer;
mod jose;
mod oauth_error;
mod oidc;
mod outside;
mod request;
mod svid;
#[cfg(test)]
mod testing;
mod ticket;
mod transaction;
mod x509;

pub use access::{AccessTokenClaims, TokenCache, TokenError, TokenVerifier, VerifiedToken};
pub use authenticated::{
    AuthError, Authenticated, Authenticator, ClientCertificate, Presented, UnboundTokens,
};
pub use bundle::{BundleError, TrustBundle, TrustBundles};
pub use claims::{ClaimError, Claims};
pub use client_assertion::{ClientAssertion, ClientError, RegisteredClient};
pub use dpop::{
    DpopError, DpopExpectation, DpopProof, HttpUri, HttpUriError, NonceCheck, NonceIssuer,
    ProofKey, ReplayCache, ReplayError, SignedBy,
};
pub use handover::Handover;
pub use identifier::{ClientId, IdentifierError, IssuerUrl};
pub use issuer::{
    CertifiedLeaf, IssueError, JwtSvidSigner, SubjectKey, TrustDomainAuthority, X509Authority,
    generate_signing_key,
};
pub use jose::{
    Algorithm, JoseError, Jwk, JwkError, Jws, KeyPins, KeySet, KeySetError, KeyUse, Profile,
    SignError, Signer, SkippedKey, Typ, Verified, VerifyingKey,
};
pub use oauth_error::{OauthError, OauthErrorCode};
pub use oidc::{Issuer, OidcError, OidcToken, Vouches};
pub use outside::{OutsideClient, OutsideSubject};
pub use request::{
    Authority, ClientAuthentication, GrantRequest, Opening, PresentedToken, TokenExchange,
    TokenInquiry, TokenRequest, TokenType, disarmed,
};
pub use svid::{JwtSvid, SvidError};
pub use ticket::TaskTicket;
pub use transaction::TransactionToken;
pub use x509::{X509Error, X509Svid};
