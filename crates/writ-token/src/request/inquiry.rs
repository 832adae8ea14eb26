//! A request about one token: introspection (RFC 7662 §2.1) and revocation (RFC 7009 §2.1).

use writ_types::Secret;

use super::{ClientAuthentication, invalid, read, required_client};
use crate::OauthError;

/// What a client says about a token that it wants to know about, or to end.
#[derive(Debug)]
pub struct TokenInquiry {
    /// The token.
    pub token: Secret<String>,
    /// Who asks. There is no inquiry without client authentication (RFC 7662 §2.1, §4).
    pub client: ClientAuthentication,
}

impl TokenInquiry {
    /// Reads the form. `token_type_hint` is ignored, as both RFCs allow: there is one kind of token. Other unknown
    /// parameters are ignored too, but none may stand twice.
    ///
    /// # Errors
    ///
    /// [`OauthError`] with the code of the RFC.
    pub fn parse(form: &str) -> Result<Self, OauthError> {
        let form = read(form)?;
        if form.repeated().next().is_some() {
            return Err(invalid("a parameter stands twice"));
        }
        let client = required_client(&form)?;
        let token = form
            .get("token")
            .ok_or_else(|| invalid("`token` is missing"))?;
        Ok(Self {
            token: Secret::new(token.to_owned()),
            client,
        })
    }
}
