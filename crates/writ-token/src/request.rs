//! The form of `POST /oauth/token`, parsed once into what is asked (RFC 6749 §4.4, RFC 8693 §2.1, RFC 7521 §4.2).

mod form;
mod inquiry;

use std::borrow::Cow;

use writ_types::{
    BoundsError, JsonLimits, PlanError, PublicUrl, Resource, Secret, TaskId, TaskRequest,
    TaskRequestError, Value,
};

use crate::{ClientId, OauthError, OauthErrorCode};
use form::{Form, FormFault};

pub use form::disarmed;
pub use inquiry::TokenInquiry;

/// A token request.
#[derive(Debug)]
pub struct TokenRequest {
    /// How authority is claimed.
    pub grant: GrantRequest,
    /// What the token is for (RFC 8707); exactly one.
    pub resource: Resource,
    /// What is asked for.
    pub authority: Authority,
}

/// What is asked for: a new task, or a fresh token of a live one.
#[derive(Debug)]
pub enum Authority {
    /// Open this task.
    Open(Box<Opening>),
    /// A fresh token for a live task, with fresh proof.
    Renew(TaskId),
}

/// A task that is to be opened.
#[derive(Debug)]
pub struct Opening {
    /// The task.
    pub task: TaskRequest,
    /// The exact text of `authorization_details`: what a ticket commits to.
    pub details: String,
    /// The ticket of who vouches for it (`task_ticket`), where one is shown.
    pub ticket: Option<Secret<String>>,
}

/// The grant types.
#[derive(Debug)]
pub enum GrantRequest {
    /// `client_credentials`: the agent for itself, by its client authentication.
    ClientCredentials(ClientAuthentication),
    /// `urn:ietf:params:oauth:grant-type:token-exchange`.
    TokenExchange(TokenExchange),
}

/// A token exchange (RFC 8693 §2.1).
#[derive(Debug)]
pub struct TokenExchange {
    /// Whose authority: the user's token, or the agent's own.
    pub subject: PresentedToken,
    /// Who acts: the agent's token, where the subject is a user.
    pub actor: Option<PresentedToken>,
    /// Client authentication, where the request carries one.
    pub client: Option<ClientAuthentication>,
}

/// A token as presented, with the type the client says it has. Nothing about it is proven.
#[derive(Debug)]
pub struct PresentedToken {
    /// The token.
    pub token: Secret<String>,
    /// What the client says it is.
    pub kind: TokenType,
}

/// The token types that are taken (RFC 8693 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenType {
    /// `…:token-type:jwt`: a JWT-SVID, or another signed JWT.
    Jwt,
    /// `…:token-type:id_token`: an OIDC ID token.
    IdToken,
    /// `…:token-type:access_token`: a signed access token.
    AccessToken,
}

impl TokenType {
    const ALL: [Self; 3] = [Self::Jwt, Self::IdToken, Self::AccessToken];

    /// The URI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
        }
    }
}

/// How the client proves who it is. Nothing about it is proven yet.
#[derive(Debug)]
pub enum ClientAuthentication {
    /// A JWT-SVID (`…:client-assertion-type:jwt-spiffe`).
    JwtSpiffe {
        /// `client_id`, where sent: must be the SVID's `sub`.
        client_id: Option<ClientId>,
        /// The JWT-SVID.
        assertion: Secret<String>,
    },
    /// A `private_key_jwt` assertion (`…:client-assertion-type:jwt-bearer`, RFC 7523).
    JwtBearer {
        /// `client_id`, where sent: must be the assertion's `sub`.
        client_id: Option<ClientId>,
        /// The assertion.
        assertion: Secret<String>,
    },
    /// The client certificate of the connection (RFC 8705 §2); `client_id` is required.
    Certificate {
        /// `client_id`: must be the certificate's SPIFFE id.
        client_id: ClientId,
    },
}

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

const fn invalid(description: &'static str) -> OauthError {
    OauthError::new(OauthErrorCode::InvalidRequest, description)
}

impl TokenRequest {
    /// Largest form, in bytes: a prompt of 64 KiB can take three times that in escapes.
    pub const MOST_BYTES: usize = 256 * 1024;

    /// Reads the form of a token request. Resources are those under `public_url`.
    ///
    /// Unknown parameters are ignored (RFC 6749 §3.2), but no parameter may stand twice, known or not.
    ///
    /// # Errors
    ///
    /// [`OauthError`] with the code of the RFC.
    pub fn parse(form: &str, public_url: &PublicUrl) -> Result<Self, OauthError> {
        let form = read(form)?;
        if let Some(repeated) = form.repeated().next() {
            // Repeating these is good grammar (RFC 8693 §2.1), but a token of ours is for exactly one.
            return Err(match repeated {
                "resource" | "audience" => OauthError::new(
                    OauthErrorCode::InvalidTarget,
                    "a token is for exactly one resource",
                ),
                _ => invalid("a parameter stands twice"),
            });
        }
        let grant = match form.get("grant_type") {
            None => return Err(invalid("`grant_type` is missing")),
            Some("client_credentials") => GrantRequest::ClientCredentials(required_client(&form)?),
            Some(EXCHANGE) => GrantRequest::TokenExchange(exchange(&form)?),
            Some(_) => {
                return Err(OauthError::new(
                    OauthErrorCode::UnsupportedGrantType,
                    "use client_credentials or token-exchange",
                ));
            }
        };
        if form.get("scope").is_some() {
            return Err(OauthError::new(
                OauthErrorCode::InvalidScope,
                "ask with `authorization_details`, not with scopes",
            ));
        }
        Ok(Self {
            grant,
            resource: resource(&form, public_url)?,
            authority: authority(&form)?,
        })
    }
}

/// Reads a form of at most [`TokenRequest::MOST_BYTES`].
fn read(form: &str) -> Result<Form, OauthError> {
    Form::parse(form, TokenRequest::MOST_BYTES).map_err(|fault| match fault {
        FormFault::Size => invalid("the form is too large"),
        FormFault::Syntax => invalid("the form is not application/x-www-form-urlencoded"),
    })
}

fn resource(form: &Form, public_url: &PublicUrl) -> Result<Resource, OauthError> {
    let target = |description| OauthError::new(OauthErrorCode::InvalidTarget, description);
    let text = form
        .get("resource")
        .ok_or_else(|| target("`resource` is missing"))?;
    if form
        .get("audience")
        .is_some_and(|audience| audience != text)
    {
        return Err(target("`audience` differs from `resource`"));
    }
    Resource::requested(public_url, text)
        .ok_or_else(|| target("`resource` is not one of this gateway"))
}

fn authority(form: &Form) -> Result<Authority, OauthError> {
    let ticket = form.get("task_ticket");
    match (form.get("authorization_details"), form.get("task_id")) {
        (Some(_), Some(_)) => Err(invalid(
            "`task_id` renews a task as it is: leave `authorization_details` out",
        )),
        (None, None) => Err(invalid("`authorization_details` or `task_id` is missing")),
        (None, Some(_)) if ticket.is_some() => {
            Err(invalid("a `task_ticket` opens a task; it renews none"))
        }
        (None, Some(task)) => {
            let task = task
                .parse()
                .map_err(|_no_id| invalid("`task_id` is no task id"))?;
            Ok(Authority::Renew(task))
        }
        (Some(details), None) => {
            let value = Value::parse(details.as_bytes(), &JsonLimits::REQUEST)
                .map_err(|_fault| details_error("`authorization_details` is not strict JSON"))?;
            let task = TaskRequest::parse(&value).map_err(|fault| task_error(&fault))?;
            Ok(Authority::Open(Box::new(Opening {
                task,
                details: details.to_owned(),
                ticket: ticket.map(|text| Secret::new(text.to_owned())),
            })))
        }
    }
}

fn details_error(description: impl Into<Cow<'static, str>>) -> OauthError {
    OauthError {
        description: description.into(),
        ..OauthError::new(OauthErrorCode::InvalidAuthorizationDetails, "")
    }
}

/// The text of the fault without what the caller wrote.
fn task_error(fault: &TaskRequestError) -> OauthError {
    match fault {
        TaskRequestError::Action(_) => {
            details_error("`actions` holds something that is no action: write `api:operation`")
        }
        TaskRequestError::Bounds(BoundsError::Action(_)) => {
            details_error("`bounds` has a key that is no action: write `api:operation`")
        }
        TaskRequestError::Plan(PlanError::Action(..)) => {
            details_error("`plan` has a step whose action is none: write `api:operation`")
        }
        known @ (TaskRequestError::Type
        | TaskRequestError::Member
        | TaskRequestError::Value(_)
        | TaskRequestError::Bounds(
            BoundsError::Shape | BoundsError::Pointer | BoundsError::Form,
        )
        | TaskRequestError::UnusedBounds
        | TaskRequestError::UnusedPlan
        | TaskRequestError::Plan(
            PlanError::Shape | PlanError::Step(_) | PlanError::Arguments(..),
        )
        | TaskRequestError::Budget(_)) => details_error(known.to_string()),
    }
}

fn exchange(form: &Form) -> Result<TokenExchange, OauthError> {
    let subject = presented(form, "subject_token", "subject_token_type")?
        .ok_or(invalid("`subject_token` is missing"))?;
    let actor = presented(form, "actor_token", "actor_token_type")?;
    let wanted = form.get("requested_token_type");
    if wanted.is_some_and(|wanted| wanted != TokenType::AccessToken.as_str()) {
        return Err(invalid(
            "`requested_token_type` can only be an access token",
        ));
    }
    Ok(TokenExchange {
        subject,
        actor,
        client: client(form)?,
    })
}

/// A token and its type: both or neither (RFC 8693 §2.1).
fn presented(
    form: &Form,
    token: &'static str,
    kind: &'static str,
) -> Result<Option<PresentedToken>, OauthError> {
    match (form.get(token), form.get(kind)) {
        (None, None) => Ok(None),
        (Some(token), Some(kind)) => {
            let known = TokenType::ALL
                .into_iter()
                .find(|known| known.as_str() == kind);
            Ok(Some(PresentedToken {
                token: Secret::new(token.to_owned()),
                kind: known.ok_or(invalid("the token type is not supported"))?,
            }))
        }
        (Some(_), None) | (None, Some(_)) => {
            Err(invalid("a token and its type stand together or not at all"))
        }
    }
}

fn required_client(form: &Form) -> Result<ClientAuthentication, OauthError> {
    client(form)?.ok_or(OauthError::new(
        OauthErrorCode::InvalidClient,
        "the request carries no client authentication",
    ))
}

fn client(form: &Form) -> Result<Option<ClientAuthentication>, OauthError> {
    let refused = |description| OauthError::new(OauthErrorCode::InvalidClient, description);
    if form.get("client_secret").is_some() {
        return Err(refused("client secrets are not accepted: prove a key"));
    }
    let client_id = match form.get("client_id") {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_malformed| invalid("`client_id` is malformed"))?,
        ),
    };
    let assertion = form
        .get("client_assertion")
        .map(|text| Secret::new(text.to_owned()));
    match (form.get("client_assertion_type"), assertion, client_id) {
        (Some(JWT_SPIFFE), Some(assertion), client_id) => {
            Ok(Some(ClientAuthentication::JwtSpiffe {
                client_id,
                assertion,
            }))
        }
        (Some(JWT_BEARER), Some(assertion), client_id) => {
            Ok(Some(ClientAuthentication::JwtBearer {
                client_id,
                assertion,
            }))
        }
        (Some(_), Some(_), _) => Err(refused("the client assertion type is not supported")),
        (Some(_), None, _) | (None, Some(_), _) => Err(invalid(
            "a client assertion and its type stand together or not at all",
        )),
        (None, None, Some(client_id)) => Ok(Some(ClientAuthentication::Certificate { client_id })),
        (None, None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests;
