//! The upstream's credential: in memory only, attached to permitted calls only.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use memchr::memmem::Finder;
use writ_policy::Permit;
use writ_types::{Attach, CredentialName, Secret};

use crate::leak::LeakGuard;

/// A credential ready to be attached. Nothing gives its value back.
pub struct Credential {
    name: CredentialName,
    version: u32,
    sent: Sent,
    finders: Arc<[Finder<'static>]>,
}

/// How it reaches the upstream.
enum Sent {
    Field(HeaderName, HeaderValue),
    /// In the environment of a program, when it is started.
    Environment(Secret<String>),
    /// Not at all: it goes to the API's authorization server, which `granted` asks.
    Nowhere,
}

/// The credential cannot travel in a header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the credential holds characters that a header field cannot carry")]
pub struct CredentialError;

impl Credential {
    /// Prepares `secret` to be attached as the API's registration says.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] if it holds control characters, or the field's name is malformed.
    pub fn new(
        name: CredentialName,
        version: u32,
        attach: &Attach,
        secret: &Secret<String>,
    ) -> Result<Self, CredentialError> {
        let secret = secret.expose();
        let mut finders: Vec<_> = LeakGuard::finders(secret).collect();
        let (field, text) = match attach {
            Attach::ClientSecret => {
                return Ok(Self {
                    name,
                    version,
                    sent: Sent::Nowhere,
                    finders: finders.into(),
                });
            }
            Attach::Environment => {
                if secret.contains('\0') {
                    return Err(CredentialError);
                }
                return Ok(Self {
                    name,
                    version,
                    sent: Sent::Environment(Secret::new(secret.clone())),
                    finders: finders.into(),
                });
            }
            Attach::Header(field) => (
                HeaderName::try_from(field.as_str()).map_err(|_malformed| CredentialError)?,
                secret.clone(),
            ),
            Attach::Bearer => (header::AUTHORIZATION, format!("Bearer {secret}")),
            Attach::Basic => {
                let sent = STANDARD.encode(secret);
                // An upstream that repeats what it was sent repeats this; one that decodes it may repeat the password.
                finders.extend(LeakGuard::finders(&sent));
                let password = secret.split_once(':').map(|(_, password)| password);
                finders.extend(password.into_iter().flat_map(LeakGuard::finders));
                (header::AUTHORIZATION, format!("Basic {sent}"))
            }
        };
        let mut value = HeaderValue::try_from(text).map_err(|_control| CredentialError)?;
        // Never indexed by HPACK, never printed by `Debug`.
        value.set_sensitive(true);
        Ok(Self {
            name,
            version,
            sent: Sent::Field(field, value),
            finders: finders.into(),
        })
    }

    /// Its name, for the record.
    #[must_use]
    pub const fn name(&self) -> &CredentialName {
        &self.name
    }

    /// Its version, for the record.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// Attaches it to a permitted call, in place of whatever stands in that field.
    pub(crate) fn attach(&self, _permit: &Permit, headers: &mut HeaderMap) {
        if let Sent::Field(field, value) = &self.sent {
            headers.insert(field.clone(), value.clone());
        }
    }

    /// What a program is started with for a permitted call, if that is how it travels.
    pub(crate) fn of_program(&self, _permit: &Permit) -> Option<Secret<String>> {
        match &self.sent {
            Sent::Environment(secret) => Some(Secret::new(secret.expose().clone())),
            Sent::Field(..) | Sent::Nowhere => None,
        }
    }

    /// What is looked for in the response, to keep it out of there.
    pub(crate) fn finders(&self) -> Arc<[Finder<'static>]> {
        Arc::clone(&self.finders)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
