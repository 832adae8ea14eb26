//! The life of a call. This is the product; read it from top to bottom.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::body::Incoming;
use hyper::{Request, Response};
use writ_types::{ApiId, Charge, ReasonCode, Resource};

use crate::body::{self, Body};
use crate::completion::Completion;
use crate::gateway::{Downstream, Gateway};
use crate::pool::Pool;
use crate::refusal::{CALL_ID, Challenge, Refusal};
use crate::story::Story;
use crate::{authenticate, decide, metadata, response, target, upstream};

/// Serves one request: proves who asks, decides, records, forwards. There is always a response.
///
/// The call runs on a task of its own: a client that hangs up does not stop a call between its record and its sending,
/// and a panic ends one call, not the connection's others.
pub async fn handle(
    gateway: Arc<Gateway>,
    pool: Arc<Pool>,
    from: Downstream,
    request: Request<Incoming>,
) -> Response<Body> {
    if let Some(response) = metadata::answer(&gateway, &request) {
        return response;
    }
    let id = gateway.new_call();
    let asked_for = target::api_of(request.uri().path());
    let served = tokio::spawn(async move {
        let mut story = Story::begin(&gateway, id, &from, request.headers());
        match Box::pin(call(&gateway, &pool, &from, request, &mut story)).await {
            Ok(response) => {
                gateway.counters().forwarded.fetch_add(1, Ordering::Relaxed);
                response
            }
            Err(refusal) => refuse(&gateway, story, refusal, asked_for).await,
        }
    });
    let mut response = served.await.unwrap_or_else(|fault| {
        tracing::error!(call.id = %id, %fault, "a call ended in a panic");
        Refusal::from(ReasonCode::NotReady).into_response(id, None)
    });
    if let Ok(value) = id.to_string().try_into() {
        response.headers_mut().insert(CALL_ID, value);
    }
    response
}

/// The call itself. Every refusal leaves by `?` and becomes a response in [`refuse`], nowhere else.
///
/// The order is the argument. Nothing but the token is looked at before the caller is known, so strangers learn
/// nothing. The body is read only when the task holds the action, so nobody makes us buffer what could never be
/// allowed. The decision is made on the parsed input, the record is written before the upstream hears of the call, and
/// the three proofs that this happened are handed over by value.
async fn call(
    gateway: &Arc<Gateway>,
    pool: &Arc<Pool>,
    from: &Downstream,
    request: Request<Incoming>,
    story: &mut Story,
) -> Result<Response<Body>, Refusal> {
    let parts = &gateway.parts;
    let now = parts
        .wall
        .check(parts.clock.now())
        .map_err(|_clock_went_back| ReasonCode::NotReady)?;
    let snapshot = gateway.snapshot()?;
    let (head, body) = request.into_parts();
    let target = target::parse(&head, parts.limits.target_bytes);

    let caller =
        authenticate::authenticate(gateway, &snapshot, from, &head, &target, story.call(), now)?;
    let entered = parts
        .ledger
        .enter(&snapshot.tenant, caller.principal().task, story.call(), now)
        .await;
    let entered = entered.map_err(|fault| fault.reason())?;
    story.known(&caller, &entered, &snapshot, now);

    let agent = decide::agent(&snapshot, &caller, &entered)?;
    let (api, route) = decide::resolve(&snapshot, &target, &head)?;
    let operation = route.operation();
    story.resolved(api, operation);
    if !entered.grant().holds(operation.action()) {
        return Err(ReasonCode::ActionNotGranted.into());
    }
    decide::purpose(&snapshot, &agent, &entered, operation.action())?;

    let content_type = body::check_type(operation, &head.headers)?;
    let body = body::take(body, operation, content_type, parts).await?;
    let parsed = decide::parse(
        operation,
        &route,
        &target,
        &head,
        content_type,
        body.at_hand(),
        &parts.limits,
    );
    story.read(&parsed, content_type, &body);

    let charge = Charge::of(operation.effects());
    let reserved = parts
        .ledger
        .reserve(&entered, operation.action(), charge, now)
        .await;
    let (mut reservation, facts) = reserved.map_err(|fault| fault.reason())?;
    let permit = decide::decide(
        &snapshot, &agent, &entered, operation, &parsed, &facts, story,
    )?;

    parts
        .ledger
        .add_labels(&entered, operation.labels())
        .await
        .map_err(|fault| fault.reason())?;
    let outgoing = decide::outgoing(operation, target.forwarded, parsed, body)?;

    let (receipt, armed) = story.intend(&permit, &facts, api, charge).await?;
    reservation.commit();
    let completion = Completion::arm(gateway, entered, &receipt, armed);
    let arrived = upstream::send(
        pool,
        api,
        (permit, reservation, receipt),
        completion,
        outgoing,
    )
    .await?;
    response::forward(gateway, api, operation, arrived)
        .await
        .map_err(Refusal::from)
}

/// Turns a refusal into its record and its response.
///
/// Refusals of callers that are known are records; if that record cannot be written, the answer is that, since a
/// refusal nobody can look up teaches nobody. Strangers are counted.
async fn refuse(
    gateway: &Gateway,
    story: Story,
    mut refusal: Refusal,
    asked_for: Option<ApiId>,
) -> Response<Body> {
    let call = story.call();
    if story.is_known() {
        gateway.counters().refused.fetch_add(1, Ordering::Relaxed);
        if story.is_recorded() {
            // An intent stands in the log, and its outcome says the rest.
        } else if let Err(reason) = story.refused(&refusal).await {
            refusal = reason.into();
        }
    } else {
        gateway.counters().strangers.fetch_add(1, Ordering::Relaxed);
    }
    tracing::debug!(call.id = %call, reason = %refusal.reason, "refused");
    let challenge = gateway.snapshot().ok().map(|snapshot| Challenge {
        public_url: snapshot.public_url.clone(),
        resource: asked_for.map_or(Resource::All, Resource::Api),
        nonce: gateway.parts.nonces.issue(gateway.parts.clock.now()),
    });
    refusal.into_response(call, challenge.as_ref())
}
