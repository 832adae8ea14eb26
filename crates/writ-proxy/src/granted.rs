//! Tokens of an API's own authorization server: obtained behind the permit and the intent of the call that needs one first, kept
//! until shortly before they end, and in nobody's hands but the upstream's.
//!
//! One request at a time for each key; who waits gets what it brought, and its failure too. A token of an exchange belongs to one
//! task and is gone with it; what was refused by the upstream is obtained anew once.

mod endpoint;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{self, HeaderMap, HeaderValue};
use memchr::memmem::Finder;
use writ_audit::{Durability, Event, Header, Record, UpstreamToken};
use writ_policy::Permit;
use writ_task::TaskState;
use writ_token::{IssuerUrl, Signer};
use writ_types::{
    ApiId, AuthorizationServer, CredentialName, Monotonic, ReasonCode, Scope, Secret, TaskId,
    Tenant, UpstreamGrant,
};

use crate::completion::Completion;
use crate::gateway::Gateway;
use crate::leak::LeakGuard;
use crate::pool::Pool;
use crate::snapshot::ApiSnapshot;
use crate::transaction::Transaction;
use endpoint::{Answer, Fault};

/// Most tokens that are kept.
const MOST: usize = 4096;
/// How long before its end a token is used no more: the way to the upstream, and clocks that differ.
const MARGIN: Duration = Duration::from_secs(30);
/// How long a token is used at most, whatever its server says.
const LONGEST: Duration = Duration::from_secs(3600);
/// How long a failure is an answer to those who ask for the same.
const FAILED: Duration = Duration::from_secs(1);

/// What obtains the tokens of one API.
pub struct TokenClient {
    server: Arc<AuthorizationServer>,
    /// With which version of which secret Writ proves itself.
    credential: Option<(CredentialName, u32)>,
    secret: Option<Secret<String>>,
    issuer: IssuerUrl,
    signer: Arc<Signer>,
}

impl TokenClient {
    /// A client of `server`. `issuer` and `signer` are Writ's own; the secret is one that the server shares.
    #[must_use]
    pub fn new(
        server: AuthorizationServer,
        credential: Option<(CredentialName, u32)>,
        secret: Option<Secret<String>>,
        (issuer, signer): (IssuerUrl, Arc<Signer>),
    ) -> Self {
        Self {
            server: Arc::new(server),
            credential,
            secret,
            issuer,
            signer,
        }
    }

    /// The value of `Authorization` at the token endpoint, where the client has a secret: both halves encoded as in a form
    /// (RFC 6749 §2.3.1).
    fn basic(&self) -> Option<Secret<String>> {
        let secret = self.secret.as_ref()?;
        let both = Secret::new(format!(
            "{}:{}",
            endpoint::encoded(&self.server.client_id),
            endpoint::encoded(secret.expose())
        ));
        Some(Secret::new(STANDARD.encode(both.expose())))
    }
}

impl fmt::Debug for TokenClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenClient")
            .field("token_endpoint", &self.server.token_endpoint)
            .finish_non_exhaustive()
    }
}

/// What tells two tokens apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    tenant: Tenant,
    api: ApiId,
    /// For whom an exchange was; none if the token is every task's.
    task: Option<TaskId>,
    scopes: BTreeSet<Scope>,
    credential: Option<(CredentialName, u32)>,
    server: Arc<AuthorizationServer>,
}

/// A token, ready to be attached. Nothing gives its value back.
pub(crate) struct Granted {
    key: Key,
    value: HeaderValue,
    finders: Vec<Finder<'static>>,
    asked: Monotonic,
    /// How long after that it is used; nothing: by one call.
    life: Duration,
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted")
            .field("api", &self.key.api)
            .finish_non_exhaustive()
    }
}

impl Granted {
    /// Attaches it to a permitted call, in place of whatever stands in that field. What it returns is to be looked for in the
    /// response.
    pub(crate) fn attach(&self, _permit: &Permit, headers: &mut HeaderMap) -> &[Finder<'static>] {
        headers.insert(header::AUTHORIZATION, self.value.clone());
        &self.finders
    }
}

/// A token for a call.
#[derive(Debug)]
pub(crate) struct Obtained {
    pub(crate) token: Arc<Granted>,
    /// Whether it was obtained for this very call.
    pub(crate) fresh: bool,
}

/// The place of one token; who holds it may ask for the next.
#[derive(Debug, Default)]
struct Place {
    held: Option<Arc<Granted>>,
    failed: Option<Monotonic>,
}

/// The tokens that are good still.
#[derive(Debug, Default)]
pub(crate) struct GrantedTokens(Mutex<BTreeMap<Key, Arc<tokio::sync::Mutex<Place>>>>);

impl GrantedTokens {
    fn places(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<tokio::sync::Mutex<Place>>>> {
        // Each change is one insertion or removal, so what a panic left behind is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place for a key; none if there is no room, because everything that is kept is in use.
    fn place(&self, key: &Key, now: Monotonic) -> Option<Arc<tokio::sync::Mutex<Place>>> {
        let mut places = self.places();
        if let Some(place) = places.get(key) {
            return Some(Arc::clone(place));
        }
        if places.len() >= MOST {
            let good = |place: &Arc<tokio::sync::Mutex<Place>>| match place.try_lock() {
                Ok(place) => place.held.as_ref().is_some_and(|held| held.lives(now)),
                Err(_in_use) => true,
            };
            places.retain(|_, place| good(place));
        }
        if places.len() >= MOST {
            let idle = |place: &Arc<tokio::sync::Mutex<Place>>| Arc::strong_count(place) == 1;
            let some = places.iter().find(|(_, place)| idle(place));
            let some = some.map(|(key, _)| key.clone())?;
            places.remove(&some);
        }
        Some(Arc::clone(places.entry(key.clone()).or_default()))
    }

    /// Uses a token no more, because the upstream did not take it.
    pub(crate) async fn forget(&self, refused: &Arc<Granted>) {
        let place = self.places().get(&refused.key).cloned();
        if let Some(place) = place {
            let mut place = place.lock().await;
            place.held.take_if(|held| Arc::ptr_eq(held, refused));
        }
    }

    /// Forgets the tokens of tasks that are over.
    pub(crate) async fn forget_ended(&self, gateway: &Gateway) {
        let of_tasks: Vec<_> = {
            let places = self.places();
            let of_tasks = places.keys().filter_map(|key| Some((key.task?, key)));
            of_tasks.map(|(task, key)| (task, key.clone())).collect()
        };
        let now = gateway.parts.clock.now();
        for (task, key) in of_tasks {
            let status = gateway.parts.ledger.status(&key.tenant, task, now).await;
            if status.is_none_or(|status| status.state != TaskState::Live) {
                self.places().remove(&key);
            }
        }
    }
}

impl Granted {
    fn lives(&self, now: Monotonic) -> bool {
        now.since(self.asked) < self.life
    }
}

/// What asks: one call.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) pool: &'a Arc<Pool>,
    pub(crate) api: &'a ApiSnapshot,
    pub(crate) completion: &'a Completion,
    pub(crate) transaction: Transaction<'a>,
}

/// The token for a permitted call; none if its API has no authorization server.
///
/// # Errors
///
/// `credential_unavailable` if there is none to be had, `not_ready` if that cannot be recorded or there is no room.
pub(crate) async fn obtain(
    asking: Asking<'_>,
    permit: &Permit,
) -> Result<Option<Obtained>, ReasonCode> {
    let api = asking.api;
    let client = match (&api.token_client, &api.api.authorization_server) {
        (Some(client), Some(_)) => client,
        (None, None) => return Ok(None),
        (None, Some(_)) | (Some(_), None) => return Err(ReasonCode::CredentialUnavailable),
    };
    // Boxed: asking is rare, and its state is large.
    Box::pin(of_server(asking, client, permit)).await.map(Some)
}

async fn of_server(
    asking: Asking<'_>,
    client: &TokenClient,
    permit: &Permit,
) -> Result<Obtained, ReasonCode> {
    let api = asking.api;
    let grant = asking.completion.entered().grant();
    let server = &client.server;
    let key = Key {
        tenant: grant.tenant.clone(),
        api: api.api.id.clone(),
        task: (server.grant == UpstreamGrant::TokenExchange).then_some(grant.task),
        scopes: server
            .scopes_of(&asking.transaction.action.operation)
            .clone(),
        credential: client.credential.clone(),
        server: Arc::clone(server),
    };
    let gateway = asking.completion.gateway();
    let clock = &gateway.parts.clock;
    let place = gateway.granted().place(&key, clock.monotonic());
    let place = place.ok_or(ReasonCode::NotReady)?;
    let mut place = place.lock().await;
    let now = clock.monotonic();
    if let Some(token) = place.held.as_ref().filter(|held| held.lives(now)) {
        let token = Arc::clone(token);
        return Ok(Obtained {
            token,
            fresh: false,
        });
    }
    place.held = None;
    if place
        .failed
        .is_some_and(|failed| now.since(failed) < FAILED)
    {
        return Err(ReasonCode::CredentialUnavailable);
    }
    let answer = endpoint::ask(&asking, client, &key.scopes).await;
    place.failed = answer.is_err().then(|| clock.monotonic());
    if let Err(fault) = &answer {
        let (call, api) = (permit.call(), &api.api.id);
        tracing::warn!(call.id = %call, %api, %fault, "no token was had from the authorization server");
    }
    record(&asking, client, &key, &answer).await?;
    let answer = answer.map_err(|_recorded| ReasonCode::CredentialUnavailable)?;
    let token = granted(client, key, &answer, now)?;
    let token = Arc::new(token);
    if !token.life.is_zero() {
        place.held = Some(Arc::clone(&token));
    }
    Ok(Obtained { token, fresh: true })
}

/// How long a token is used, of what its server says: to shortly before its end, and by one call where that is not said or near.
fn life(answer: &Answer) -> Duration {
    let said = answer.expires_in.unwrap_or_default();
    said.saturating_sub(MARGIN).min(LONGEST)
}

fn granted(
    client: &TokenClient,
    key: Key,
    answer: &Answer,
    asked: Monotonic,
) -> Result<Granted, ReasonCode> {
    let token = answer.token.expose();
    let bearer = Secret::new(format!("Bearer {token}"));
    let value = HeaderValue::try_from(bearer.expose().as_str());
    let mut value = value.map_err(|_control| ReasonCode::CredentialUnavailable)?;
    value.set_sensitive(true);
    let mut finders: Vec<_> = LeakGuard::finders(token).collect();
    // Of a JWT the signature is enough to find it in parts.
    if let Some((_, signature)) = token.rsplit_once('.') {
        finders.extend(LeakGuard::finders(signature));
    }
    let basic = client.basic();
    finders.extend(
        basic
            .iter()
            .flat_map(|basic| LeakGuard::finders(basic.expose())),
    );
    Ok(Granted {
        key,
        value,
        finders,
        asked,
        life: life(answer),
    })
}

/// Records that a token was asked for, and what came of it; never the token.
async fn record(
    asking: &Asking<'_>,
    client: &TokenClient,
    key: &Key,
    answer: &Result<Answer, Fault>,
) -> Result<(), ReasonCode> {
    let (completion, gateway) = (asking.completion, asking.completion.gateway());
    let grant = completion.entered().grant();
    let word = |word: &str| word.parse().map_err(|_no_word| ReasonCode::NotReady);
    let now = gateway.parts.clock.now();
    let error = answer
        .as_ref()
        .err()
        .map(|fault| word(fault.word()))
        .transpose()?;
    let event = Event::UpstreamToken(Box::new(UpstreamToken {
        call: completion.call(),
        task: grant.task,
        agent: grant.agent,
        api: key.api.clone(),
        credential: key.credential.as_ref().map(|(name, _)| name.clone()),
        grant: word(client.server.grant.as_str())?,
        scope: endpoint::joined(&key.scopes),
        expires: answer.as_ref().ok().map(|answer| now.plus(life(answer))),
        error,
    }));
    let header = Header {
        id: gateway.new_record(),
        time: now,
        ..completion.header().clone()
    };
    let appending =
        gateway
            .parts
            .audit
            .append(Record::new(header, event), None, Durability::Handed);
    let recorded = tokio::time::timeout(gateway.parts.timeouts.record, appending).await;
    match recorded {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(ReasonCode::NotReady),
    }
}
