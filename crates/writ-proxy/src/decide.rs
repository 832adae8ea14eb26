//! The questions of a call, each one function, in the order they are asked.

use std::sync::Arc;

use hyper::Method;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use writ_contract::{Operation, Parsed, RawCall, Route, RouteError};
use writ_policy::{Denied, Disagreement, InputView, Pdp, Permit, Question, ResponseView, both};
use writ_task::Entered;
use writ_token::Authenticated;
use writ_types::{
    ActionName, Agent, AgentId, Attr, CallId, Facts, Grant, Limits, ReasonCode, Timestamp, Verdict,
};

use crate::asked::{Asked, Read};
use crate::mcp;
use crate::refusal::Refusal;
use crate::snapshot::{ApiSnapshot, Snapshot};
use crate::story::Story;
use crate::target::Target;
use crate::upstream::Outgoing;

/// The agent of the task, if it and those that handed the task on to it may act and the token is its own: what the token says of agent, user and grant is what
/// the ledger and the registry say, so that no member of it can be another's.
pub(crate) fn agent(
    snapshot: &Snapshot,
    caller: &Authenticated,
    entered: &Entered,
) -> Result<Arc<Agent>, ReasonCode> {
    let (principal, token, grant) = (caller.principal(), caller.token(), entered.grant());
    let own = grant.agent == principal.agent
        && grant.tenant == principal.tenant
        && grant.requester == principal.requester
        && entered.is_named_by(token.details());
    if !own {
        return Err(ReasonCode::Unauthenticated);
    }
    let agent = acting(snapshot, entered)?;
    // The agent is the client of its own tokens; an identity it had before is not its own any more.
    if agent.spiffe != principal.spiffe || token.client().as_str() != agent.spiffe.as_str() {
        return Err(ReasonCode::Unauthenticated);
    }
    Ok(Arc::clone(agent))
}

/// The agent of a task, if it and those that handed the task on to it may act.
pub(crate) fn acting<'s>(
    snapshot: &'s Snapshot,
    entered: &Entered,
) -> Result<&'s Arc<Agent>, ReasonCode> {
    let enabled = |agent: &AgentId| {
        let agent = snapshot.agents.get(agent);
        agent.filter(|agent| agent.enabled)
    };
    let above = entered.above().iter().all(|above| enabled(above).is_some());
    let own = enabled(&entered.grant().agent).filter(|_| above);
    own.ok_or(ReasonCode::AgentDisabled)
}

/// Whether the user has authenticated as the task's purpose wants it, by the token that is shown (RFC 9470). A purpose that
/// is gone wants nothing, and covers nothing either.
pub(crate) fn user(
    snapshot: &Snapshot,
    caller: &Authenticated,
    entered: &Entered,
    now: Timestamp,
) -> Result<(), Refusal> {
    let purpose = snapshot.purposes.get(&entered.grant().purpose);
    let known = caller.token().authentication();
    match purpose.and_then(|purpose| purpose.wants(known, now)) {
        None => Ok(()),
        Some(wanted) => Err(Refusal {
            wanted: Some(Box::new(wanted.clone())),
            ..ReasonCode::InsufficientUserAuthentication.into()
        }),
    }
}

/// Whether the task holds the action, and its purpose still covers it, reaches the API and is open. What was taken from a
/// purpose or an agent is taken from live tasks too, and what was taken from an agent is taken from whom it handed a task on to.
pub(crate) fn granted(
    snapshot: &Snapshot,
    agent: &Agent,
    entered: &Entered,
    action: &ActionName,
    now: Timestamp,
) -> Result<(), ReasonCode> {
    let name = &entered.grant().purpose;
    let holds = |above: &AgentId| {
        let agent = snapshot.agents.get(above);
        agent.is_some_and(|agent| agent.purposes.contains(name))
    };
    let purpose = snapshot
        .purposes
        .get(name)
        .filter(|_| agent.purposes.contains(name) && entered.above().iter().all(holds));
    let purpose = purpose
        .filter(|purpose| purpose.actions.contains(action) && entered.grant().holds(action))
        .ok_or(ReasonCode::ActionNotGranted)?;
    if purpose.plan_required && entered.plan().is_none() {
        return Err(ReasonCode::ActionNotGranted);
    }
    let api = snapshot.apis.get(&action.api);
    if !api.is_some_and(|api| purpose.reaches(&api.api)) {
        return Err(ReasonCode::OutsideEnvironment);
    }
    if !purpose.is_open(now) {
        return Err(ReasonCode::OutsideHours);
    }
    Ok(())
}

/// Whether the operation is still what was approved. Asked after whether the task holds it: only then may it know.
pub(crate) fn unchanged(api: &ApiSnapshot, operation: &Operation) -> Result<(), Refusal> {
    if api.quarantined.contains(operation.id()) {
        return Err(Refusal {
            verdict: Verdict::Defer,
            ..ReasonCode::ContractQuarantined.into()
        });
    }
    Ok(())
}

/// The operation at the target.
pub(crate) fn resolve<'s>(
    snapshot: &'s Snapshot,
    target: Target,
    head: &'s Parts,
    body: Incoming,
) -> Result<Asked<'s>, Refusal> {
    if target.malformed {
        return Err(ReasonCode::MalformedRequest.into());
    }
    let api = target
        .endpoint
        .api
        .as_ref()
        .and_then(|api| snapshot.apis.get(api))
        .ok_or(ReasonCode::UnknownOperation)?;
    match api.contract.resolve_call(
        &target.method,
        &target.path,
        target.query.as_deref(),
        &fields(head),
    ) {
        Ok(route) => Ok(Asked::Http {
            api,
            route,
            target: Box::new(target),
            head,
            body,
        }),
        Err(RouteError::Malformed) => Err(ReasonCode::MalformedRequest.into()),
        Err(RouteError::NotFound) => Err(ReasonCode::UnknownOperation.into()),
        Err(RouteError::MethodNotAllowed { allow }) => {
            let allow = Some(allow.join(", "));
            Err(Refusal {
                allow,
                ..ReasonCode::MethodNotAllowed.into()
            })
        }
    }
}

/// The typed input. Its faults are kept: the policy may have more to say than the parser.
pub(crate) fn parse(
    operation: &Operation,
    route: &Route<'_>,
    target: &Target,
    head: &Parts,
    content_type: Option<&str>,
    body: &[u8],
    limits: &Limits,
) -> Parsed {
    let headers = fields(head);
    let raw = RawCall {
        query: target.query.as_deref(),
        headers: &headers,
        content_type,
        body,
        limits,
    };
    operation.parse(route, &raw)
}

/// The fields as the contract reads them, in the order of the wire.
fn fields(head: &Parts) -> Vec<(&str, &[u8])> {
    head.headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}

/// Whether the call lies within what the task was opened for.
pub(crate) fn bounds(
    entered: &Entered,
    operation: &Operation,
    parsed: &Parsed,
) -> Result<(), Refusal> {
    if !parsed.faults.is_empty() {
        return Ok(());
    }
    match entered.grant().violation(operation.action(), &parsed.input) {
        None => Ok(()),
        Some(place) => Err(Refusal {
            bound: Some(place.to_string()),
            ..ReasonCode::OutsideBounds.into()
        }),
    }
}

/// The decision of the policies.
///
/// With a faulty input only what reads nothing of it is decided: a forbid there is the answer, otherwise the faults are.
pub(crate) fn decide(
    snapshot: &Snapshot,
    agent: &Agent,
    entered: &Entered,
    operation: &Operation,
    parsed: &Parsed,
    facts: &Facts,
    story: &mut Story,
) -> Result<Permit, Denied> {
    let what = (operation, parsed);
    let (decided, disagreement) = weigh(snapshot, agent, entered, what, facts);
    story.shadowed(disagreement);
    decided
}

/// The same, and what a draft that is tried makes of it, where that is another verdict.
pub(crate) fn weigh(
    snapshot: &Snapshot,
    agent: &Agent,
    entered: &Entered,
    (operation, parsed): (&Operation, &Parsed),
    facts: &Facts,
) -> (Result<Permit, Denied>, Option<Disagreement>) {
    let (grant, action) = (entered.grant(), operation.action());
    let asked = |pdp: &Pdp,
                 (agent, grant): (&Agent, &Grant),
                 decide: &dyn Fn(&Question<'_>) -> Result<Permit, Denied>| {
        let projected = operation.project(&parsed.input, pdp.projection(action));
        decide(&Question {
            tenant: &snapshot.tenant,
            call: entered.call(),
            agent,
            grant,
            action,
            input: view(parsed, &projected),
            facts,
            extra: &parsed.input.extra,
            nulls: &parsed.input.nulls,
            response: if operation.stream() {
                ResponseView::Streamed
            } else {
                ResponseView::Buffered
            },
        })
    };
    let prepared = snapshot.prepared(agent, grant);
    let decided = prepared.and_then(|prepared| {
        asked(&snapshot.pdp, (agent, grant), &|question| {
            snapshot.pdp.decide_prepared(&prepared, question)
        })
    });
    // What was handed on is decided as its own agent's and as that of each agent above: nobody sheds a rule by handing on.
    let with_above = |pdp: &Pdp, decided| {
        entered.above().iter().fold(decided, |decided, id| {
            // One that is not there has no entity, and the question is refused.
            let above = snapshot.agents.get(id).map_or(agent, |above| &**above);
            let grant = Grant {
                agent: *id,
                ..Grant::clone(grant)
            };
            let as_theirs = asked(pdp, (above, &grant), &|question| pdp.decide(question));
            both(decided, as_theirs)
        })
    };
    let decided = with_above(&snapshot.pdp, decided);
    let draft = snapshot.pdp.shadow(facts.now);
    let disagreement = draft.and_then(|draft| {
        let drafted = asked(draft, (agent, grant), &|question| draft.decide(question));
        draft.disagreement(&decided, with_above(draft, drafted))
    });
    (decided, disagreement)
}

/// What a decision that is no yes becomes, for the record and for the caller.
pub(crate) fn refusal(
    denied: &Denied,
    parsed: &Parsed,
    story: &mut Story,
    snapshot: &Snapshot,
    facts: &Facts,
) -> Refusal {
    for error in &denied.errors {
        tracing::warn!(call.id = %story.call(), error, "a policy could not be evaluated");
    }
    story.denied(denied, snapshot.pdp.digest(), facts.now);
    // The same words whether a person is asked or not, and whatever is known of the value.
    let unvouched = facts.arguments.unvouched().next().is_some()
        && matches!(
            denied.reason,
            ReasonCode::Forbidden | ReasonCode::ApprovalRequired
        )
        && snapshot.pdp.asks_what_vouches(&denied.rules);
    let mut refusal = Refusal::from(if unvouched {
        ReasonCode::ValueNotVouched
    } else {
        denied.reason
    });
    refusal.verdict = denied.verdict;
    if denied.reason == ReasonCode::InvalidInput {
        refusal.faults = parsed
            .faults
            .iter()
            .map(|fault| (fault.pointer.clone(), fault.kind.to_string()))
            .collect();
    }
    refusal
}

/// What of an input the policies see.
pub(crate) fn view<'a>(
    parsed: &Parsed,
    projected: &'a Result<Attr, writ_contract::Unrepresentable>,
) -> InputView<'a> {
    match projected {
        _ if !parsed.faults.is_empty() => InputView::Faulty,
        Ok(attributes) => InputView::Typed(attributes),
        Err(_unrepresentable) => InputView::Unrepresentable,
    }
}

/// The request that will be sent: path and query as they were parsed, declared header parameters, the very
/// bytes, or those that the client still has.
pub(crate) fn outgoing(
    (api, operation): (&ApiSnapshot, &Operation),
    read: Read<'_>,
    call: CallId,
    exchange: Option<&mcp::Exchange>,
) -> Result<Outgoing, ReasonCode> {
    if let Some((pinned, revision)) = operation.pinned().zip(api.contract.mcp()) {
        if read.errand == mcp::Errand::Subscription {
            return mcp::upstream::subscription(revision, call, read.body.at_hand())
                .ok_or(ReasonCode::MalformedRequest);
        }
        let answering = exchange.and_then(mcp::Exchange::answering);
        if let Some((answering, answers)) = answering.zip(read.answers.as_ref()) {
            return mcp::upstream::answer(answering, answers).ok_or(ReasonCode::MalformedRequest);
        }
        let given = read.body.at_hand();
        let asking = exchange.and_then(mcp::Exchange::asking);
        let answers = read.answers.as_ref();
        let wishes = exchange.map(mcp::Exchange::wishes);
        let spoken = (operation, pinned, revision);
        return mcp::upstream::outgoing(spoken, call, given, asking, answers, wishes)
            .ok_or(ReasonCode::MalformedRequest);
    }
    let Read {
        parsed,
        body,
        forwarded: mut headers,
        ..
    } = read;
    let malformed = ReasonCode::MalformedRequest;
    let method = Method::from_bytes(operation.method().as_bytes()).map_err(|_unknown| malformed)?;
    for (name, value) in parsed.headers {
        let name = HeaderName::try_from(name).map_err(|_malformed| malformed)?;
        // A declared field stands in place of what would have travelled on by itself.
        headers.insert(
            name,
            HeaderValue::try_from(value).map_err(|_control| malformed)?,
        );
    }
    Ok(Outgoing {
        method,
        target: parsed.target,
        headers,
        body,
        sent: mcp::upstream::Sent::Call,
    })
}
