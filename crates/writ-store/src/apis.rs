//! APIs, as a revision names them.

mod authorization_server;

use writ_types::{Api, Attach, Value};

use crate::StoreError;
use crate::fields::{Fields, millis};

/// Content-addressed, so the same definition twice is once.
pub(crate) const PUT: &str = "INSERT INTO apis (tenant, digest, definition) VALUES (?1, ?2, ?3)
    ON CONFLICT (tenant, digest) DO NOTHING";
pub(crate) const BY_DIGEST: &str = "SELECT definition FROM apis WHERE tenant = ?1 AND digest = ?2";

const WHAT: &str = "API";

pub(crate) fn to_value(api: &Api) -> Value {
    let Api {
        id,
        owner,
        upstream,
        drift,
        credential,
        transaction_tokens,
        authorization_server,
        allow_unbound_tokens,
        max_token_life,
        environment,
    } = api;
    let credential = credential.as_ref().map(|(name, attach)| {
        let name = ("name", Value::from(name.as_str()));
        let (how, header) = match attach {
            Attach::Header(header) => ("header", Some(("header", Value::from(header.as_str())))),
            Attach::Bearer => ("bearer", None),
            Attach::Basic => ("basic", None),
            Attach::Environment => ("environment", None),
            Attach::ClientSecret => ("client_secret", None),
        };
        let how = ("attach", Value::from(how));
        let members = [name, how].into_iter().chain(header);
        ("credential", Value::object(members))
    });
    let members = [
        ("id", Value::from(id.as_str())),
        ("owner", Value::from(owner.as_str())),
        ("upstream", Value::from(upstream.to_string())),
        ("allow_unbound_tokens", Value::from(*allow_unbound_tokens)),
        ("max_token_life_ms", millis(*max_token_life)),
    ];
    let domain = transaction_tokens.as_ref();
    let domain = domain.map(|domain| ("transaction_tokens", Value::from(domain.as_str())));
    let server = authorization_server.as_ref();
    let server = server.map(|server| {
        (
            "authorization_server",
            authorization_server::to_value(server),
        )
    });
    let drift = drift
        .as_ref()
        .map(|url| ("drift", Value::from(url.to_string())));
    let environment = environment.as_ref();
    let environment = environment.map(|name| ("environment", Value::from(name.as_str())));
    Value::object(
        members
            .into_iter()
            .chain(credential)
            .chain(domain)
            .chain(server)
            .chain(drift)
            .chain(environment),
    )
}

pub(crate) fn from_value(value: &Value) -> Result<Api, StoreError> {
    let known = [
        "id",
        "owner",
        "upstream",
        "drift",
        "credential",
        "transaction_tokens",
        "authorization_server",
        "allow_unbound_tokens",
        "max_token_life_ms",
        "environment",
    ];
    let fields = Fields::of(WHAT, value, &known)?;
    let credential = match fields.optional("credential") {
        Some(credential) => {
            let credential = Fields::of(WHAT, credential, &["name", "attach", "header"])?;
            Some((credential.parsed("name")?, attach(&credential)?))
        }
        None => None,
    };
    Ok(Api {
        id: fields.parsed("id")?,
        owner: fields.parsed("owner")?,
        upstream: fields.parsed("upstream")?,
        drift: fields
            .optional("drift")
            .map(|_| fields.parsed("drift"))
            .transpose()?,
        credential,
        transaction_tokens: fields.maybe("transaction_tokens")?,
        authorization_server: fields
            .optional("authorization_server")
            .map(authorization_server::from_value)
            .transpose()?,
        allow_unbound_tokens: fields.flag("allow_unbound_tokens")?,
        max_token_life: fields.life("max_token_life_ms")?,
        environment: fields.maybe("environment")?,
    })
}

fn attach(credential: &Fields<'_>) -> Result<Attach, StoreError> {
    match credential.text("attach")? {
        "header" => Ok(Attach::Header(credential.text("header")?.to_owned())),
        "bearer" => Ok(Attach::Bearer),
        "basic" => Ok(Attach::Basic),
        "environment" => Ok(Attach::Environment),
        "client_secret" => Ok(Attach::ClientSecret),
        other => Err(StoreError::damaged(
            WHAT,
            &format!("a credential cannot be attached as `{other}`"),
        )),
    }
}
