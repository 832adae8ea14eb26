//! The only way to an upstream.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use writ_audit::Receipt;
use writ_contract::McpRevision;
use writ_policy::Permit;
use writ_task::Reservation;
use writ_types::{CallId, Obligations, ProgramName, ReasonCode, Upstream};

use crate::body::RequestBody;
use crate::coming::Coming;
use crate::completion::{Completion, End};
use crate::gateway::Gateway;
use crate::granted::{self, Asking, Granted, Obtained};
use crate::leak::LeakGuard;
use crate::mcp;
use crate::pool::{Lease, Pool, Unanswered};
use crate::snapshot::ApiSnapshot;
use crate::transaction::Transaction;
use crate::upload::Upload;

/// A request as it will be sent, but for its credential.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The method, one the contract declares.
    pub(crate) method: Method,
    /// Path and query, rebuilt from the typed input.
    pub(crate) target: String,
    /// The fields that travel on.
    pub(crate) headers: HeaderMap,
    /// The bytes that were decided on, or those that nobody looks at and the client still has.
    pub(crate) body: RequestBody,
    /// What it is to an MCP server.
    pub(crate) sent: mcp::upstream::Sent,
}

impl Outgoing {
    /// The same request once more, where all of it is at hand.
    fn copy(&self) -> Option<Self> {
        let RequestBody::Whole(body) = &self.body else {
            return None;
        };
        Some(Self {
            method: self.method.clone(),
            target: self.target.clone(),
            headers: self.headers.clone(),
            body: RequestBody::Whole(body.clone()),
            sent: self.sent,
        })
    }
}

/// A request as it leaves.
enum Leaving {
    Http(Box<Request<Upload>>, mcp::upstream::Sent),
    /// A message for a program, and what that is started with if it does not run.
    Program(mcp::upstream::Starting, Bytes, mcp::upstream::Sent),
}

/// A response whose head has arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// The response.
    pub(crate) response: Response<Coming>,
    /// The connection it came on.
    pub(crate) lease: Option<Lease>,
    /// What records its end.
    pub(crate) completion: Completion,
    /// What has to be done to it.
    pub(crate) obligations: Obligations,
    /// Keeps what was attached out of the response.
    pub(crate) guard: LeakGuard,
}

/// Sends a permitted call: the one place where a credential is attached and bytes leave for an upstream.
///
/// The three proofs are taken by value, so that none can be skipped and none used twice; all must be of one call. The
/// kill flag is read after the last wait and before anything is sent. Whatever happens from here on, `completion`
/// records it, also if this future is dropped.
///
/// # Errors
///
/// The reason for the caller; the outcome is recorded by then.
pub(crate) async fn send(
    pool: &Arc<Pool>,
    api: &ApiSnapshot,
    (permit, reservation, receipt): (Permit, Reservation, Receipt),
    mut completion: Completion,
    transaction: Transaction<'_>,
    outgoing: Outgoing,
) -> Result<Arrived, ReasonCode> {
    let call = permit.call();
    if reservation.call() != call || receipt.call() != Some(call) || completion.call() != call {
        tracing::error!(call.id = %call, "proofs of different calls met; nothing was sent");
        return Err(completion.refuse(ReasonCode::NotReady));
    }
    let asking = Asking {
        pool,
        api,
        completion: &completion,
        transaction,
    };
    let (token, again) = match obtained(asking, &permit, &outgoing).await {
        Ok(obtained) => obtained,
        Err(reason) => return Err(completion.refuse(reason)),
    };
    let carried = (transaction, token.as_deref());
    let prepared = prepare(api, &permit, carried, outgoing, &mut completion);
    let (leaving, guard) = match prepared {
        Ok(prepared) => prepared,
        Err(reason) => return Err(completion.refuse(reason)),
    };
    let held = match session(pool, api, &completion) {
        Ok(held) => held,
        Err(fault) => return Err(completion.fail(End::NotSent, fault)),
    };
    let mut cut = completion.entered().cut();
    if cut.is_cut() {
        let reason = completion.cut();
        return Err(completion.refuse(reason));
    }
    completion.sent(reservation);
    let gateway = Arc::clone(completion.gateway());
    let exchange = exchange(pool, (&gateway, api), held, call, leaving);
    let answer = tokio::select! {
        biased;
        () = &mut cut => Ok(None),
        answer = exchange => answer.map(Some),
    };
    let answer = match answer {
        Ok(Some(answer)) if answer.0.status() == StatusCode::UNAUTHORIZED && again.is_some() => {
            let whose = (&permit, transaction);
            taken_back(answer, again, (pool, api), whose, &mut completion).await
        }
        Ok(answer) => Ok(answer.map(|answer| (answer, None))),
        Err(fault) => Err(fault),
    };
    match answer {
        Ok(None) => {
            let reason = completion.cut();
            completion.finish(End::Cut);
            Err(reason)
        }
        Ok(Some(((response, lease), other))) => {
            completion.head(response.status());
            Ok(Arrived {
                response,
                lease,
                completion,
                guard: other.unwrap_or(guard),
                obligations: permit.obligations().clone(),
            })
        }
        Err(fault) => Err(completion.fail(End::UpstreamError, fault)),
    }
}

/// The token for a call, unless its task is killed first, and what is done if the upstream does not take it.
async fn obtained(
    asking: Asking<'_>,
    permit: &Permit,
    outgoing: &Outgoing,
) -> Result<(Option<Arc<Granted>>, Option<Again>), ReasonCode> {
    let mut cut = asking.completion.entered().cut();
    let obtained = tokio::select! {
        biased;
        () = &mut cut => Err(asking.completion.cut()),
        obtained = granted::obtain(asking, permit) => obtained,
    };
    let obtained = obtained?;
    let again = Again::of(obtained.as_ref(), asking.completion, outgoing);
    Ok((obtained.map(|obtained| obtained.token), again))
}

/// The answer to a call whose token the upstream did not take: the one to a second call with what keeps the token of that out of it, or
/// the first. None if the task is killed meanwhile.
async fn taken_back(
    answer: Answer,
    again: Option<Again>,
    way: (&Arc<Pool>, &ApiSnapshot),
    whose: (&Permit, Transaction<'_>),
    completion: &mut Completion,
) -> Result<Option<(Answer, Option<LeakGuard>)>, Unanswered> {
    let Some(again) = again else {
        return Ok(Some((answer, None)));
    };
    let mut cut = completion.entered().cut();
    // Boxed: a token that ended early is rare.
    let making = Box::pin(again.make(way, whose, completion, answer));
    tokio::select! {
        biased;
        () = &mut cut => Ok(None),
        made = making => made.map(Some),
    }
}

/// An answer's head, and the connection it came on.
type Answer = (Response<Coming>, Option<Lease>);

/// What is done when the upstream does not take a token: it is used no more, and where the call only reads, all of it is at hand and
/// the token was not obtained for this very call, the call is made once more with another.
struct Again {
    refused: Arc<Granted>,
    outgoing: Option<Box<Outgoing>>,
}

impl Again {
    fn of(
        obtained: Option<&Obtained>,
        completion: &Completion,
        outgoing: &Outgoing,
    ) -> Option<Self> {
        let obtained = obtained?;
        let safe = !obtained.fresh && completion.only_reads();
        Some(Self {
            refused: Arc::clone(&obtained.token),
            outgoing: safe.then(|| outgoing.copy()).flatten().map(Box::new),
        })
    }

    /// The answer to the second call with what keeps its token out of it; the first answer, where there is no second call.
    async fn make(
        self,
        (pool, api): (&Arc<Pool>, &ApiSnapshot),
        (permit, transaction): (&Permit, Transaction<'_>),
        completion: &mut Completion,
        first: Answer,
    ) -> Result<(Answer, Option<LeakGuard>), Unanswered> {
        let gateway = Arc::clone(completion.gateway());
        gateway.granted().forget(&self.refused).await;
        let Some(outgoing) = self.outgoing else {
            return Ok((first, None));
        };
        let asking = Asking {
            pool,
            api,
            completion,
            transaction,
        };
        let Ok(Some(obtained)) = granted::obtain(asking, permit).await else {
            return Ok((first, None));
        };
        let token = Some(&*obtained.token);
        let prepared = prepare(api, permit, (transaction, token), *outgoing, completion);
        let Ok((leaving, guard)) = prepared else {
            return Ok((first, None));
        };
        drop(first);
        let answer = exchange(pool, (&gateway, api), None, permit.call(), leaving).await?;
        if answer.0.status() == StatusCode::UNAUTHORIZED {
            gateway.granted().forget(&obtained.token).await;
        }
        Ok((answer, Some(guard)))
    }
}

/// The place of the task's session with the server, where it is one that keeps sessions, or of its process.
fn session(
    pool: &Arc<Pool>,
    api: &ApiSnapshot,
    completion: &Completion,
) -> Result<Option<mcp::upstream::Held>, Unanswered> {
    let stateless = api.contract.mcp() != Some(McpRevision::Sessions);
    if stateless && api.api.upstream.url().is_some() {
        return Ok(None);
    }
    let (gateway, grant) = (completion.gateway(), completion.entered().grant());
    let (sessions, clock) = (gateway.server_sessions(), &gateway.parts.clock);
    let held = sessions.hold(grant, api, clock, pool);
    held.map(Some).map_err(|full| {
        tracing::warn!(api = %api.api.id, fault = %full, "a call was not sent");
        Unanswered {
            reason: ReasonCode::NotReady,
            heard: false,
        }
    })
}

/// The exchange itself.
async fn exchange(
    pool: &Arc<Pool>,
    (gateway, api): (&Arc<Gateway>, &ApiSnapshot),
    held: Option<mcp::upstream::Held>,
    call: CallId,
    leaving: Leaving,
) -> Result<(Response<Coming>, Option<Lease>), Unanswered> {
    // Boxed: the state of opening a session is large, and rare.
    let (response, lease) = match (leaving, held, api.api.upstream.url()) {
        (Leaving::Program(starting, message, sent), Some(held), None) => {
            let asked = (call, sent, message);
            let answer = mcp::upstream::ask_program(gateway, api, &starting, held, asked);
            return Ok((Box::pin(answer).await?, None));
        }
        (Leaving::Http(request, sent), Some(held), Some(upstream)) => {
            let exchange = mcp::upstream::exchange(pool, upstream, held, (call, sent), *request);
            Box::pin(exchange).await?
        }
        (Leaving::Http(request, _), None, Some(upstream)) => {
            let (response, lease) = pool.exchange(upstream, *request).await?;
            (response.map(Coming::from), lease)
        }
        (Leaving::Program(..) | Leaving::Http(..), _, _) => {
            return Err(Unanswered {
                reason: ReasonCode::NotReady,
                heard: false,
            });
        }
    };
    Ok((response, Some(lease)))
}

/// The request with its credential and its transaction token, and what keeps both out of the response.
fn prepare(
    api: &ApiSnapshot,
    permit: &Permit,
    (transaction, token): (Transaction<'_>, Option<&Granted>),
    outgoing: Outgoing,
    completion: &mut Completion,
) -> Result<(Leaving, LeakGuard), ReasonCode> {
    let upstream = match &api.api.upstream {
        Upstream::Http(upstream) => upstream,
        Upstream::Program(name) => return for_program(api, name, permit, outgoing),
    };
    let (has_body, sent) = (outgoing.body.length() > 0, outgoing.sent);
    let mut request = Request::new(completion.upload(outgoing.body));
    *request.method_mut() = outgoing.method;
    let mut target = format!("{}{}", upstream.base_path, outgoing.target);
    if target.is_empty() {
        // An MCP server at the root of its host.
        target.push('/');
    }
    *request.uri_mut() = Uri::try_from(target).map_err(|_too_long| ReasonCode::MalformedRequest)?;
    let headers = request.headers_mut();
    *headers = outgoing.headers;
    if !has_body {
        headers.remove(header::CONTENT_TYPE);
    }
    let host =
        HeaderValue::try_from(upstream.authority()).map_err(|_malformed| ReasonCode::NotReady)?;
    headers.insert(header::HOST, host);
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("writ/", env!("CARGO_PKG_VERSION"))),
    );
    // What cannot be read cannot be checked on its way back.
    headers.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static("identity"),
    );
    let mut finders = match (&api.credential, &api.api.credential) {
        (Some(credential), Some(_)) => {
            credential.attach(permit, headers);
            credential.finders()
        }
        (None, None) => Arc::from([]),
        (None, Some(_)) | (Some(_), None) => return Err(ReasonCode::CredentialUnavailable),
    };
    match (token, &api.api.authorization_server) {
        (Some(token), Some(_)) => {
            let found = token.attach(permit, headers);
            finders = finders.iter().chain(found).cloned().collect();
        }
        (None, None) => {}
        (None, Some(_)) | (Some(_), None) => return Err(ReasonCode::CredentialUnavailable),
    }
    match (&api.transaction_tokens, &api.api.transaction_tokens) {
        (Some(tokens), Some(_)) => {
            let grant = completion.entered().grant();
            let found = tokens.attach(permit, grant, transaction, headers)?;
            finders = finders.iter().cloned().chain(found).collect();
        }
        (None, None) => {}
        (None, Some(_)) | (Some(_), None) => return Err(ReasonCode::CredentialUnavailable),
    }
    let guard = LeakGuard::new(&finders);
    Ok((Leaving::Http(Box::new(request), sent), guard))
}

/// The message for a program, with the credential that it is started with, and what keeps that out of its answers.
fn for_program(
    api: &ApiSnapshot,
    name: &ProgramName,
    permit: &Permit,
    outgoing: Outgoing,
) -> Result<(Leaving, LeakGuard), ReasonCode> {
    let RequestBody::Whole(message) = outgoing.body else {
        return Err(ReasonCode::MalformedRequest);
    };
    let (credential, finders) = match (&api.credential, &api.api.credential) {
        (Some(credential), Some(_)) => {
            let secret = credential.of_program(permit);
            let secret = secret.ok_or(ReasonCode::CredentialUnavailable)?;
            (Some(secret), credential.finders())
        }
        (None, None) => (None, Arc::from([])),
        (None, Some(_)) | (Some(_), None) => return Err(ReasonCode::CredentialUnavailable),
    };
    let guard = LeakGuard::new(&finders);
    let starting = mcp::upstream::Starting {
        name: name.clone(),
        credential,
        finders,
    };
    Ok((Leaving::Program(starting, message, outgoing.sent), guard))
}

/// Response fields that stay here: of the connection, of the upstream's own sessions, machines and addresses, and ours. An
/// address of the upstream would lead a client around the gateway.
const KEPT: [&str; 25] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "set-cookie",
    "dpop-nonce",
    "location",
    "content-location",
    "link",
    "refresh",
    "www-authenticate",
    "authentication-info",
    "server",
    "via",
    "x-powered-by",
    "alt-svc",
    "strict-transport-security",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "clear-site-data",
];

/// Removes the response fields that stay here (RFC 9110 §7.6.1), those that `Connection` names included.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in KEPT {
        headers.remove(name);
    }
    let own: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("writ-"))
        .cloned()
        .collect();
    for name in own {
        headers.remove(name);
    }
}
