//! Asks the issuer whose accounts operators sign in with.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use writ_control::{Accounts, AskIssuer, Asked, SignIn, SignInSettings};
use writ_types::{Digest, Secret};

use crate::config::SignInConfig;
use crate::failure::Failure;
use crate::http::Peer;
use crate::tls;

/// Largest answer of the issuer, in bytes.
const MOST: usize = 256 * 1024;

/// What the settings say, with the secret read from its file, which is for its owner alone.
pub(crate) fn settings(config: &SignInConfig) -> Result<SignInSettings, Failure> {
    let secret = config.client_secret.as_deref().map(secret).transpose()?;
    Ok(SignInSettings {
        issuer: config.issuer.clone(),
        client_id: config.client_id.clone(),
        client_secret: secret,
        accounts: config.accounts,
        roles: config.roles.clone(),
    })
}

fn secret(path: &Path) -> Result<Secret<String>, Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |fault: &std::io::Error| {
        Failure::caused(
            format!("cannot read the client secret `{}`", path.display()),
            fault,
        )
    };
    let mode = std::fs::metadata(path)
        .map_err(|fault| failed(&fault))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        let shown = path.display();
        return Err(Failure::new(format!(
            "others can read the client secret `{shown}`: `chmod 600` it"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|fault| failed(&fault))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::new(format!(
            "the client secret `{}` is empty",
            path.display()
        )));
    }
    Ok(Secret::new(text.to_owned()))
}

/// The digest of what the settings say, which people approve: each field with its name, its length and its bytes.
pub(crate) fn digest(settings: &SignInSettings) -> Digest {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        text.push_str(&format!("{name} {}\n{value}", value.len()));
    };
    field("issuer", settings.issuer.as_str());
    field("client_id", &settings.client_id);
    let accounts = match settings.accounts {
        Accounts::Registered => "registered",
        Accounts::Viewer => "viewer",
    };
    field("accounts", accounts);
    for rule in &settings.roles {
        field("claim", &rule.claim.to_string());
        field("value", &rule.value);
        field("role", rule.role.as_str());
    }
    Digest::of_parts(&[b"writ sign-in v1\n", text.as_bytes()])
}

/// Signing in as the settings say, with a key of this process.
pub(crate) fn start(settings: SignInSettings, patience: Duration) -> Result<SignIn, Failure> {
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key)
        .map_err(|_unspecified| Failure::new("the random source failed"))?;
    Ok(SignIn::new(settings, Secret::new(key), ask(patience)?))
}

/// One request with a bound on time and size, to exactly the place that is named.
fn ask(patience: Duration) -> Result<AskIssuer, Failure> {
    let roots = tls::client(&[Path::new("/etc/ssl/certs/ca-certificates.crt")])?;
    Ok(Box::new(move |asked: Asked| {
        let roots = Arc::clone(&roots);
        Box::pin(async move {
            let (origin, path) = split(&asked.url);
            let peer = Peer::url(origin, Some(roots)).map_err(|fault| fault.to_string())?;
            let mut headers = vec![("accept", "application/json")];
            let authorization = asked.authorization.as_ref();
            headers.extend(authorization.map(|value| ("authorization", value.expose().as_str())));
            let (method, body) = match &asked.form {
                None => (Method::GET, String::new()),
                Some(form) => {
                    headers.push(("content-type", "application/x-www-form-urlencoded"));
                    (Method::POST, form.expose().clone())
                }
            };
            let exchange = peer.send(method, path, &headers, body);
            let answer = tokio::time::timeout(patience, exchange)
                .await
                .map_err(|_late| "no answer in time".to_owned())?;
            let answer = answer.map_err(|fault| fault.to_string())?;
            if answer.body.len() > MOST {
                return Err("more than 256 KiB".to_owned());
            }
            Ok((answer.status, answer.body.to_vec()))
        })
    }))
}

/// Origin and path of a URL; the path begins with `/`.
fn split(url: &str) -> (&str, &str) {
    let scheme = url.find("://").map_or(0, |at| at.saturating_add(3));
    let path = url.get(scheme..).and_then(|rest| rest.find('/'));
    let split = path.and_then(|at| url.split_at_checked(at.saturating_add(scheme)));
    split.unwrap_or((url, "/"))
}
