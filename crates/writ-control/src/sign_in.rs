//! Signing in with the account that people have elsewhere: OIDC, authorization code with PKCE, for the command line
//! on the same machine as the browser (RFC 8252 §7.3).
//!
//! The control plane remembers nothing of who only begins: `state`, `nonce` and the PKCE verifier follow from a *handle*
//! under a key of this process, and the handle is with whoever began. Only they can end it, once, within ten minutes. Where
//! the browser is sent back to is written here: loopback, and a port.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use tokio::sync::Semaphore;
use writ_store::{Operator, Role};
use writ_token::{ClientId, Issuer, IssuerUrl, KeyPins, KeySet, OidcToken, SignedBy};
use writ_types::{
    ClaimName, Digest, JsonLimits, KeyedDigest, OperatorId, Requester, Secret, Timestamp, Value,
};

use crate::admin::{AdminError, begin_session, people};
use crate::plane::{Connection, Plane};
use crate::routes::rank;

/// How long somebody may take to sign in.
const PATIENCE: Duration = Duration::from_secs(600);
/// How far the issuer's clock may be behind ours.
const LEEWAY: Duration = Duration::from_secs(30);
/// How long what the issuer says of itself is believed.
const GOOD_FOR: Duration = Duration::from_secs(300);
/// How long an issuer that did not answer is not asked again.
const PAUSE: Duration = Duration::from_secs(5);
/// Most codes that are exchanged at once: a stranger can send any number that are none.
const MOST_AT_ONCE: usize = 4;
/// Largest code.
const MOST_CODE: usize = 2048;
/// Whose handles are spent, among those whose assertions are.
const SPENDER: &str = "writ:sign-in";
/// Where the browser comes back to.
const CALLBACK: &str = "/v1/sign-in/callback";

/// Who is registered when they sign in for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accounts {
    /// Nobody: the account names a person who is registered.
    Registered,
    /// Whoever the claims let in, as a viewer.
    Viewer,
}

/// Up to which role a claim lets people in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRule {
    /// The claim: a text, or a list of texts.
    pub claim: ClaimName,
    /// The text.
    pub value: String,
    /// The highest role in which they sign in.
    pub role: Role,
}

/// The one issuer whose accounts operators sign in with.
#[derive(Debug)]
pub struct SignInSettings {
    /// Its `iss`, exactly.
    pub issuer: IssuerUrl,
    /// Who we are there.
    pub client_id: String,
    /// What proves that, where the client is a confidential one.
    pub client_secret: Option<Secret<String>>,
    /// Who is registered at their first sign-in.
    pub accounts: Accounts,
    /// Which claims let in whom; without any, whoever is registered.
    pub roles: Vec<RoleRule>,
}

impl SignInSettings {
    /// The name of this trust root.
    #[must_use]
    pub fn root(&self) -> String {
        format!("sign-in {}", self.issuer)
    }
}

/// A request to the issuer.
pub struct Asked {
    /// The URL.
    pub url: String,
    /// The form that is posted; none for a look.
    pub form: Option<Secret<String>>,
    /// The value of `Authorization`.
    pub authorization: Option<Secret<String>>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// The answer of the issuer: the status and the body, bounded in time and size. Redirects are not followed.
pub type Answering = Pin<Box<dyn Future<Output = Result<(u16, Vec<u8>), String>> + Send>>;
/// Asks the issuer.
pub type AskIssuer = Box<dyn Fn(Asked) -> Answering + Send + Sync>;

/// Signing in with accounts of an outside issuer, where it is configured.
pub struct SignIn {
    settings: SignInSettings,
    ask: AskIssuer,
    /// Of this process alone: what was begun before a restart is begun anew.
    key: Secret<[u8; 32]>,
    known: Mutex<Option<(Timestamp, Metadata)>>,
    failed: Mutex<Option<Timestamp>>,
    room: Semaphore,
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What the issuer says of itself (OIDC Discovery §3).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Metadata {
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    /// Whether its answers name it (RFC 9207 §3).
    names_itself: bool,
}

impl Metadata {
    fn parse(document: &[u8], issuer: &IssuerUrl) -> Result<Self, String> {
        let value = Value::parse(document, &JsonLimits::DOCUMENT)
            .map_err(|_fault| "its metadata is no JSON".to_owned())?;
        let text = |name: &str| value.member(name).and_then(Value::as_str);
        if text("issuer") != Some(issuer.as_str()) {
            return Err("its metadata names another issuer".to_owned());
        }
        let url = |name: &str| {
            let url = text(name).unwrap_or_default();
            let good = url.starts_with("https://") || url.starts_with("http://127.0.0.1:");
            let plain = url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains('#');
            if good && plain {
                Ok(url.to_owned())
            } else {
                Err(format!("its `{name}` is no https URL"))
            }
        };
        let methods = value.member("code_challenge_methods_supported");
        let methods = methods.and_then(Value::as_array).unwrap_or_default();
        // Without it a stolen code would be as good as a sign-in (RFC 9700 §2.1.1).
        if !methods.iter().any(|method| method.as_str() == Some("S256")) {
            return Err("it does not say that it checks PKCE with `S256`".to_owned());
        }
        let names_itself = value.member("authorization_response_iss_parameter_supported");
        Ok(Self {
            authorization_endpoint: url("authorization_endpoint")?,
            token_endpoint: url("token_endpoint")?,
            jwks_uri: url("jwks_uri")?,
            names_itself: names_itself.and_then(Value::as_bool) == Some(true),
        })
    }
}

/// One sign-in that was begun, as its handle says.
struct Begun {
    at: Timestamp,
    port: u16,
    state: String,
    nonce: String,
    verifier: String,
}

impl SignIn {
    /// Nothing was begun yet. `key` is drawn for this process.
    #[must_use]
    pub fn new(settings: SignInSettings, key: Secret<[u8; 32]>, ask: AskIssuer) -> Self {
        Self {
            settings,
            ask,
            key,
            known: Mutex::default(),
            failed: Mutex::default(),
            room: Semaphore::new(MOST_AT_ONCE),
        }
    }

    /// Whether another is configured like this one.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let SignInSettings {
            issuer,
            client_id,
            client_secret,
            accounts,
            roles,
        } = &self.settings;
        let secret = |secret: &Option<Secret<String>>| {
            let secret = secret.as_ref();
            secret.map(|secret| Digest::of(secret.expose().as_bytes()))
        };
        *issuer == other.settings.issuer
            && *client_id == other.settings.client_id
            && secret(client_secret) == secret(&other.settings.client_secret)
            && *accounts == other.settings.accounts
            && *roles == other.settings.roles
    }

    fn derived(&self, what: &str, handle: &str) -> String {
        let derived = KeyedDigest::of(&self.key, what, handle.as_bytes());
        URL_SAFE_NO_PAD.encode(derived.as_bytes())
    }

    /// A fresh handle: when, where to, a random part, and what shows that it is ours.
    fn handle(&self, port: u16, now: Timestamp) -> String {
        let random: [u8; 16] = crate::random();
        let body = format!(
            "{}.{port}.{}",
            now.millis_since_epoch(),
            URL_SAFE_NO_PAD.encode(random)
        );
        format!("{body}.{}", self.derived("sign-in handle", &body))
    }

    fn begun(&self, handle: &str, now: Timestamp) -> Option<Begun> {
        let (body, shown) = handle.rsplit_once('.')?;
        // Both sides are digests under our key: where they differ says nothing of either.
        if Digest::of(shown.as_bytes())
            != Digest::of(self.derived("sign-in handle", body).as_bytes())
        {
            return None;
        }
        let mut parts = body.split('.');
        let at = Timestamp::from_millis(parts.next()?.parse().ok()?);
        let port = parts.next()?.parse().ok()?;
        (now.since(at) < PATIENCE).then(|| Begun {
            at,
            port,
            state: self.derived("sign-in state", handle),
            nonce: self.derived("sign-in nonce", handle),
            verifier: self.derived("sign-in verifier", handle),
        })
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        let asked = Asked {
            url: url.to_owned(),
            form: None,
            authorization: None,
        };
        match (self.ask)(asked).await? {
            (200, body) => Ok(body),
            (status, _) => Err(format!("status {status}")),
        }
    }

    /// What the issuer says of itself, asked for at most every five minutes, and after a failure not at once again.
    async fn metadata(&self, now: Timestamp) -> Result<Metadata, String> {
        let locked = |slot: &Mutex<Option<(Timestamp, Metadata)>>| {
            slot.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        if let Some((at, known)) = locked(&self.known)
            && now.since(at) < GOOD_FOR
        {
            return Ok(known);
        }
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_some_and(|at| now.since(at) < PAUSE) {
            return Err("it did not answer a moment ago".to_owned());
        }
        let base = self.settings.issuer.as_str().trim_end_matches('/');
        let found = self
            .get(&format!("{base}/.well-known/openid-configuration"))
            .await
            .and_then(|document| Metadata::parse(&document, &self.settings.issuer));
        match &found {
            Ok(metadata) => {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                *known = Some((now, metadata.clone()));
            }
            Err(_) => {
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
            }
        }
        found
    }

    /// Exchanges a code for an ID token (OIDC Core §3.1.3).
    async fn redeem(
        &self,
        metadata: &Metadata,
        begun: &Begun,
        code: &str,
    ) -> Result<String, String> {
        let settings = &self.settings;
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_id", settings.client_id.as_str()),
            ("redirect_uri", &redirect_uri(begun.port)),
            ("code", code),
            ("code_verifier", &begun.verifier),
        ];
        let basic = |secret: &Secret<String>| {
            // Both parts are form-encoded before they are joined (RFC 6749 §2.3.1).
            let joined = format!(
                "{}:{}",
                encoded(&settings.client_id),
                encoded(secret.expose())
            );
            Secret::new(format!("Basic {}", STANDARD.encode(joined)))
        };
        let asked = Asked {
            url: metadata.token_endpoint.clone(),
            form: Some(Secret::new(form(&pairs))),
            authorization: settings.client_secret.as_ref().map(basic),
        };
        let (status, body) = (self.ask)(asked).await?;
        if status != 200 {
            return Err(format!("it refused the code with status {status}"));
        }
        let answer = Value::parse(&body, &JsonLimits::REQUEST)
            .map_err(|_fault| "its answer is no JSON".to_owned())?;
        let token = answer.member("id_token").and_then(Value::as_str);
        token
            .map(str::to_owned)
            .ok_or_else(|| "its answer has no ID token".to_owned())
    }

    /// Verifies the ID token: it is of this issuer, for us, of this very sign-in, and of somebody who has just shown who they
    /// are (OIDC Core §3.1.3.7, `nonce` and `auth_time` required).
    async fn verified(
        &self,
        metadata: &Metadata,
        begun: &Begun,
        text: &str,
        now: Timestamp,
    ) -> Result<OidcToken, String> {
        let keys = self.get(&metadata.jwks_uri).await?;
        let keys = KeySet::parse(&keys, &KeyPins::default()).map_err(|fault| fault.to_string())?;
        let settings = &self.settings;
        let issuer = Issuer::new(settings.issuer.clone(), settings.client_id.clone(), keys);
        let token = OidcToken::verify(text, &issuer, now).map_err(|fault| fault.to_string())?;
        let claims = token.claims();
        if claims.text("nonce").ok() != Some(begun.nonce.as_str()) {
            return Err("its token is of another sign-in".to_owned());
        }
        let signed_in = claims
            .instant("auth_time")
            .map_err(|fault| fault.to_string())?;
        if signed_in.plus(LEEWAY) < begun.at {
            return Err("the person has not signed in for this".to_owned());
        }
        Ok(token)
    }

    /// The highest role in which the claims let somebody in.
    fn allowed(&self, token: &OidcToken) -> Option<Role> {
        let claims = token.claims().members();
        let fits = |rule: &&RoleRule| {
            let wanted = Some(rule.value.as_str());
            rule.claim.find(claims).is_some_and(|value| {
                let items = value.as_array().unwrap_or_default();
                value.as_str() == wanted || items.iter().any(|item| item.as_str() == wanted)
            })
        };
        let roles = self.settings.roles.iter().filter(fits);
        roles.map(|rule| rule.role).max_by_key(|role| rank(*role))
    }
}

fn redirect_uri(port: u16) -> String {
    format!("http://127.0.0.1:{port}{CALLBACK}")
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn form(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn unavailable(fault: &dyn fmt::Display) -> AdminError {
    AdminError::Unavailable(fault.to_string())
}

/// Why a sign-in came to nothing, for the log; the answer is the same for all.
fn refused(why: &str) -> AdminError {
    tracing::info!(why, "a sign-in with an outside account was refused");
    AdminError::Unauthenticated
}

/// Where signing in is configured and its issuer is one that people have approved.
fn configured(plane: &Plane) -> Result<Arc<SignIn>, AdminError> {
    let sign_in = plane.sign_in.load_full();
    let sign_in = sign_in.ok_or(AdminError::Unauthenticated)?;
    if plane.roots().is_held(&sign_in.settings.root()) {
        let held = "the issuer is new or changed in the settings, and nobody has approved it: `writ trust list`";
        return Err(unavailable(&held));
    }
    Ok(sign_in)
}

/// Begins: where to send the browser, and the handle with which whoever began can end it.
pub(crate) async fn begin(plane: &Plane, body: &Value) -> Result<Value, AdminError> {
    let sign_in = configured(plane)?;
    let port = body.member("port").and_then(Value::as_u64);
    let port = port
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port >= 1024);
    let port = port.ok_or_else(|| {
        AdminError::Invalid("`port` is where a browser finds you on 127.0.0.1".to_owned())
    })?;
    let now = plane
        .wall
        .check(plane.clock.now())
        .map_err(|fault| unavailable(&fault))?;
    let metadata = sign_in.metadata(now).await;
    let metadata =
        metadata.map_err(|fault| unavailable(&format!("the issuer cannot be used: {fault}")))?;
    let handle = sign_in.handle(port, now);
    let begun = sign_in.begun(&handle, now);
    let begun = begun.ok_or_else(|| unavailable(&"the handle does not read back"))?;
    let challenge = URL_SAFE_NO_PAD.encode(Digest::of(begun.verifier.as_bytes()).as_bytes());
    let query = form(&[
        ("response_type", "code"),
        ("client_id", &sign_in.settings.client_id),
        ("redirect_uri", &redirect_uri(port)),
        ("scope", "openid"),
        ("state", &begun.state),
        ("nonce", &begun.nonce),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        // A session that lives on at the issuer is no sign-in: what counts as fresh here is fresh there.
        ("max_age", "0"),
    ]);
    let endpoint = &metadata.authorization_endpoint;
    let joint = if endpoint.contains('?') { '&' } else { '?' };
    Ok(Value::object([
        ("url", Value::from(format!("{endpoint}{joint}{query}"))),
        ("state", Value::from(begun.state)),
        ("expires", Value::from(now.plus(PATIENCE).to_string())),
        ("handle", Value::from(handle)),
    ]))
}

/// Ends what was begun: the code becomes a session. A handle is spent by its first use, whatever comes of it.
pub(crate) async fn complete(
    plane: &Plane,
    from: &Connection,
    body: &Value,
) -> Result<Value, AdminError> {
    let sign_in = configured(plane)?;
    let text = |name| body.member(name).and_then(Value::as_str);
    let now = plane
        .wall
        .check(plane.clock.now())
        .map_err(|fault| unavailable(&fault))?;
    let handle = text("handle").unwrap_or_default();
    let begun = sign_in.begun(handle, now);
    let begun = begun.ok_or_else(|| refused("its handle is not ours, or is over"))?;
    let code = text("code").filter(|code| !code.is_empty() && code.len() <= MOST_CODE);
    let code = code.ok_or_else(|| refused("there is no code"))?;
    if plane.is_trap(code, from) || plane.is_trap(handle, from) {
        return Err(AdminError::Unauthenticated);
    }
    if text("state") != Some(begun.state.as_str()) {
        return Err(refused("its state is another sign-in's"));
    }
    let _room = sign_in
        .room
        .try_acquire()
        .map_err(|_full| unavailable(&"too many sign in at once"))?;
    let end = begun.at.plus(PATIENCE);
    let spender: Result<ClientId, _> = SPENDER.parse();
    let spender = spender.map_err(|fault| unavailable(&fault))?;
    plane
        .spent
        .spend_once(&plane.tenant, SignedBy::Client(&spender), handle, end, now)
        .map_err(|_spent| refused("its handle was used before"))?;
    let metadata = sign_in.metadata(now).await;
    let metadata = metadata.map_err(|fault| unavailable(&fault))?;
    // Of which issuer the answer is, says the answer (RFC 9207 §2.4).
    match text("iss") {
        Some(named) if named == sign_in.settings.issuer.as_str() => {}
        None if !metadata.names_itself => {}
        Some(_) => return Err(refused("its answer is of another issuer")),
        None => return Err(refused("its answer does not name its issuer")),
    }
    let token = sign_in.redeem(&metadata, &begun, code).await;
    let token = token.map_err(|why| refused(&why))?;
    let token = sign_in.verified(&metadata, &begun, &token, now).await;
    let token = token.map_err(|why| refused(&why))?;
    // Nothing changes between who they are and their session.
    let _one_at_a_time = plane.changing.lock().await;
    if !configured(plane).is_ok_and(|current| Arc::ptr_eq(&current, &sign_in)) {
        return Err(refused("the settings have changed meanwhile"));
    }
    let operator = operator(plane, &sign_in, &token, now).await?;
    begin_session(plane, &operator, "operator.oidc_sign_in", now).await
}

/// The person whose account it is. The lock on changes is held. Their role is the one they are registered with, and no more than the claims let in.
async fn operator(
    plane: &Plane,
    sign_in: &SignIn,
    token: &OidcToken,
    now: Timestamp,
) -> Result<Operator, AdminError> {
    let allowed = sign_in.allowed(token);
    let requester = token.requester();
    let people = people(plane).await?;
    let known = people
        .iter()
        .find(|one| one.identity.as_ref() == Some(requester));
    let ruled = !sign_in.settings.roles.is_empty();
    match (known, allowed) {
        (Some(person), Some(role)) if rank(person.role) <= rank(role) => Ok(person.clone()),
        (Some(person), None) if !ruled => Ok(person.clone()),
        (Some(_), _) => Err(refused("the claims do not let in the role of the person")),
        (None, Some(_)) if sign_in.settings.accounts == Accounts::Viewer => {
            let name = name_of(requester);
            if people.iter().any(|one| one.name == name) {
                return Err(refused("somebody of that name is registered"));
            }
            let fresh = Operator {
                id: OperatorId::new(now, crate::random()),
                name,
                role: Role::Viewer,
                approves: [].into(),
                identity: Some(requester.clone()),
                certificate: None,
                created: now,
                since: now,
                made_by: None,
                signed_in: None,
            };
            let kept = plane.store.put_operator(&plane.tenant, &fresh).await;
            kept.map_err(|fault| unavailable(&fault))?;
            Ok(fresh)
        }
        (None, _) => Err(refused("nobody is registered with this account")),
    }
}

/// What somebody is called who was not registered by a person: the account itself, because a name that they chose could be
/// somebody else's.
fn name_of(requester: &Requester) -> String {
    let issuer = requester.issuer.split("://").nth(1).unwrap_or_default();
    let host = issuer.split('/').next().unwrap_or_default();
    let plain = |part: &str, most| {
        part.chars()
            .filter(char::is_ascii_graphic)
            .take(most)
            .collect::<String>()
    };
    let account = format!("{}#{}", requester.issuer, requester.subject);
    let mark = Digest::of(account.as_bytes()).to_string();
    // Cut texts of two accounts can be the same.
    let mark: String = mark.chars().skip("sha256:".len()).take(8).collect();
    format!(
        "{}@{} {mark}",
        plain(&requester.subject, 24),
        plain(host, 28)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign_in(roles: Vec<RoleRule>) -> SignIn {
        let settings = SignInSettings {
            issuer: "https://login.example".parse().unwrap(),
            client_id: "writ".to_owned(),
            client_secret: None,
            accounts: Accounts::Registered,
            roles,
        };
        let nobody: AskIssuer = Box::new(|_| Box::pin(async { Err("nobody".to_owned()) }));
        SignIn::new(settings, Secret::new([7; 32]), nobody)
    }

    #[test]
    fn a_handle_is_ours_for_ten_minutes_and_to_the_letter() {
        let (one, now) = (
            sign_in(Vec::new()),
            Timestamp::from_millis(1_795_000_000_000),
        );
        let handle = one.handle(4711, now);
        let begun = one.begun(&handle, now).unwrap();
        assert_eq!((begun.port, begun.at), (4711, now));
        assert_ne!(begun.state, begun.nonce);
        assert_ne!(begun.nonce, begun.verifier);
        assert!(begun.verifier.len() >= 43, "RFC 7636 §4.1");
        assert!(one.begun(&handle, now.plus(PATIENCE)).is_none());
        let other = one.handle(4711, now);
        assert_ne!(one.begun(&other, now).unwrap().state, begun.state);
        for place in 0..handle.len() {
            let mut changed = handle.clone().into_bytes();
            changed[place] = if changed[place] == b'1' { b'2' } else { b'1' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(one.begun(&changed, now).is_none(), "{changed}");
        }
        let key = Secret::new([8; 32]);
        let stranger = SignIn {
            key,
            ..sign_in(Vec::new())
        };
        assert!(stranger.begun(&handle, now).is_none(), "another process");
    }

    #[test]
    fn metadata_says_who_it_is_and_that_pkce_is_checked() {
        let good = r#"{"issuer":"https://login.example","authorization_endpoint":"https://login.example/auth","token_endpoint":"https://login.example/token","jwks_uri":"https://login.example/jwks","code_challenge_methods_supported":["plain","S256"],"authorization_response_iss_parameter_supported":true}"#;
        let issuer = "https://login.example".parse().unwrap();
        let parse = |text: &str| Metadata::parse(text.as_bytes(), &issuer);
        assert!(parse(good).unwrap().names_itself);
        for (part, other) in [
            (
                r#""issuer":"https://login.example""#,
                r#""issuer":"https://login.example/""#,
            ),
            (r#""issuer":"https://login.example","#, ""),
            (r#"["plain","S256"]"#, r#"["plain"]"#),
            (
                r#""code_challenge_methods_supported":["plain","S256"],"#,
                "",
            ),
            ("https://login.example/token", "http://login.example/token"),
            ("https://login.example/auth", "https://login.example/auth#x"),
            ("https://login.example/jwks", "file:///etc/passwd"),
            (r#""jwks_uri":"https://login.example/jwks","#, ""),
        ] {
            let changed = good.replacen(part, other, 1);
            assert_ne!(changed, good);
            assert!(parse(&changed).is_err(), "{changed}");
        }
    }

    #[test]
    fn a_name_that_nobody_chose() {
        let name = |subject: &str| {
            name_of(&Requester {
                issuer: "https://login.example/realm".to_owned(),
                subject: subject.to_owned(),
            })
        };
        assert!(name("alice").starts_with("alice@login.example "));
        let long = "x".repeat(300);
        assert!(name(&long).len() <= 64);
        assert_ne!(name(&long), name(&format!("{long}x")));
        assert!(name("a\u{202e}b\n").starts_with("ab@"));
    }
}
