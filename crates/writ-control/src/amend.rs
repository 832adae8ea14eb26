//! `POST /v1/tasks/{task}/amend`: a live task comes to hold something else (ARCHITECTURE "What a live task holds").
//!
//! The holder of a token of the task asks, in the words in which tasks are opened. What only narrows happens at once. What
//! widens in anything is decided as if it were opened anew, and asks people: they see the difference and where each value that
//! the agent names is known from. Their yes is for this difference and used up by it; the request that uses it is decided in
//! full again.

mod allowed;
mod caller;
mod card;
mod waiters;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use writ_audit::{Actor, AppendError, Closing, Durability, Event, TaskAmended};
use writ_task::{
    AmendError, Approvals as _, Ask, Ending, Known, Ledger as _, Standing, Status, TaskStatus, Want,
};
use writ_types::{
    ActionName, Agent, Amendment, ApprovalId, BoundChange, CallId, Difference, Digest, Effect,
    Grant, JsonLimits, KeyedDigest, Pending, Problem, ReasonCode, Resource, Timestamp, Value,
    Verdict, preferred_wait,
};

use crate::ending::settle;
use crate::http::respond;
use crate::loaded::Loaded;
use crate::oauth::blast_radius;
use crate::plane::{Connection, Plane};
use allowed::Allowed;
#[cfg(test)]
pub(crate) use allowed::covered;
use caller::Caller;
use card::Card;
pub(crate) use waiters::Waiters;

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
const CALL_ID: HeaderName = HeaderName::from_static("writ-call-id");

/// Longest reason of an agent, in characters.
const LONGEST_REASON: usize = 1000;

/// Why a task holds what it held.
#[derive(Debug)]
pub(crate) struct Refused {
    reason: ReasonCode,
    /// The places of the request that are at fault, and static texts.
    faults: Vec<(String, String)>,
    pending: Option<Box<Pending>>,
    challenge: Option<String>,
}

impl From<ReasonCode> for Refused {
    fn from(reason: ReasonCode) -> Self {
        Self {
            reason,
            faults: Vec::new(),
            pending: None,
            challenge: None,
        }
    }
}

impl Refused {
    /// What was asked for in this member is beyond what the task can come to hold.
    fn beyond(member: &str, why: impl Into<String>) -> Self {
        Self {
            faults: vec![(format!("/authorization_details/0/{member}"), why.into())],
            ..ReasonCode::AmendmentRefused.into()
        }
    }

    /// The request does not read.
    fn unread(pointer: &str, why: impl Into<String>) -> Self {
        Self {
            faults: vec![(pointer.to_owned(), why.into())],
            ..ReasonCode::InvalidInput.into()
        }
    }
}

/// A request to amend a task, as it came.
pub(crate) struct Asked<'a> {
    /// The task of the path.
    pub(crate) task: &'a str,
    /// The path, as a proof names it.
    pub(crate) path: &'a str,
    /// The header fields.
    pub(crate) headers: &'a HeaderMap,
    /// The body.
    pub(crate) body: &'a Bytes,
}

/// Serves one request.
pub(crate) async fn amend(
    plane: &Plane,
    from: &Connection,
    asked: &Asked<'_>,
) -> Response<Full<Bytes>> {
    let now = plane.clock.now();
    let call = CallId::new(now, crate::random());
    let nonce = plane.nonces.issue(now);
    let mut response = match serve(plane, from, asked, call).await {
        Ok(answer) => crate::http::json(StatusCode::OK, &answer),
        Err(refused) => refusal(refused, call),
    };
    let headers = response.headers_mut();
    for (name, value) in [(DPOP_NONCE, nonce), (CALL_ID, call.to_string())] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}

fn refusal(refused: Refused, call: CallId) -> Response<Full<Bytes>> {
    let reason = refused.reason;
    let problem = Problem {
        verdict: if reason == ReasonCode::ApprovalRequired {
            Verdict::StepUp
        } else if reason == ReasonCode::ContractQuarantined {
            Verdict::Defer
        } else {
            Verdict::Deny
        },
        faults: refused.faults,
        pending: refused.pending.map(|pending| *pending),
        ..Problem::refusal(reason, call)
    };
    let status = StatusCode::from_u16(reason.status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = problem.to_value().to_string();
    let mut response = respond(status, Problem::MEDIA_TYPE, body);
    let challenge = refused.challenge.as_deref();
    let challenge = challenge.unwrap_or("DPoP error=\"invalid_token\", algs=\"ES256 EdDSA\"");
    if status == StatusCode::UNAUTHORIZED
        && let Ok(challenge) = HeaderValue::try_from(challenge)
    {
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Proves who asks; what of their request is refused from then on is a record.
async fn serve(
    plane: &Plane,
    from: &Connection,
    asked: &Asked<'_>,
    call: CallId,
) -> Result<Value, Refused> {
    let clock = |_went_back| ReasonCode::NotReady;
    let now = plane.wall.check(plane.clock.now()).map_err(clock)?;
    let loaded = plane.loaded();
    let place = (asked.headers, asked.path);
    let caller = Caller::prove(plane, from, place, (call, now))?;
    // Nobody learns of a task that is not theirs whether there is one.
    if caller.subject().task.to_string() != asked.task {
        return Err(ReasonCode::UnknownOperation.into());
    }
    let (status, agent) = caller.task(plane, &loaded, now).await?;
    let request = Request {
        plane,
        from,
        caller: &caller,
    };
    let answered = match caller.stands(plane, from, &agent, now) {
        Ok(()) => request.answer(asked, &status).await,
        Err(refused) => Err(refused),
    };
    if let Err(refused) = &answered {
        request.note_refused(refused, &status).await?;
    }
    answered
}

/// A request whose caller is proven.
struct Request<'a> {
    plane: &'a Plane,
    from: &'a Connection,
    caller: &'a Caller,
}

/// What is asked for.
struct Wanted {
    details: Value,
    reason: String,
}

impl Wanted {
    fn read(asked: &Asked<'_>) -> Result<Self, Refused> {
        let kind = asked.headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
        if !kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
            return Err(ReasonCode::UnsupportedMediaType.into());
        }
        let body = Value::parse(asked.body, &JsonLimits::REQUEST);
        let body = body.map_err(|_no_json| Refused::unread("", "the body is a JSON object"))?;
        let members = body.as_object();
        let members = members.ok_or_else(|| Refused::unread("", "the body is a JSON object"))?;
        let known = ["authorization_details", "reason"];
        if members.keys().any(|name| !known.contains(&name.as_str())) {
            let why = "there is no such member: it has authorization_details and reason";
            return Err(Refused::unread("", why));
        }
        let details = members.get("authorization_details").cloned();
        let reason = match members.get("reason") {
            None => String::new(),
            Some(value) => value
                .as_str()
                .filter(|text| text.chars().nth(LONGEST_REASON).is_none())
                .ok_or_else(|| Refused::unread("/reason", "a text of 1,000 characters at most"))?
                .to_owned(),
        };
        Ok(Self {
            details: details.unwrap_or(Value::Null),
            reason,
        })
    }
}

/// How far a request has come.
enum Step {
    /// The task holds what was asked for.
    Done(Value),
    /// A person is asked.
    Waits(Status, Arc<Grant>),
}

impl Request<'_> {
    async fn answer(&self, asked: &Asked<'_>, status: &TaskStatus) -> Result<Value, Refused> {
        let wanted = Wanted::read(asked)?;
        let prefer = asked.headers.get_all("prefer").iter();
        let wait = preferred_wait(prefer.map(HeaderValue::as_bytes));
        let place = self.plane.waiters.enter(status.grant.task);
        let wait = if place.is_some() {
            wait
        } else {
            Duration::ZERO
        };
        let deadline = tokio::time::sleep(wait.min(left(status, self.plane.clock.now())));
        tokio::pin!(deadline);
        loop {
            // Before the look: what changes after it is not missed.
            let changed = self.plane.approvals.changed();
            let (waits, held) = match self.step(&wanted).await? {
                Step::Done(answer) => return Ok(answer),
                Step::Waits(waits, held) => (waits, held),
            };
            tokio::select! {
                biased;
                () = &mut deadline => return Err(self.waiting(&waits, &held)),
                () = changed => {}
            }
        }
    }

    fn waiting(&self, waits: &Status, held: &Grant) -> Refused {
        let api = match self.caller.proof().resource() {
            Resource::Api(api) => api.to_string(),
            Resource::All => {
                let mut actions = held.actions.iter();
                actions
                    .next()
                    .map(|action| action.api.to_string())
                    .unwrap_or_default()
            }
        };
        Refused {
            pending: Some(Box::new(Pending {
                id: waits.id,
                href: format!("/writ/approvals/{api}/{}", waits.id),
                not_before: None,
                expires: waits.expires,
            })),
            ..ReasonCode::ApprovalRequired.into()
        }
    }

    /// Decides the whole request on the task as it is now, and does it if nothing is missing. One after another: what a task
    /// holds is changed here alone.
    async fn step(&self, wanted: &Wanted) -> Result<Step, Refused> {
        let plane = self.plane;
        let _one_at_a_time = plane.amending.lock().await;
        let clock = |_went_back| ReasonCode::NotReady;
        let now = plane.wall.check(plane.clock.now()).map_err(clock)?;
        let loaded = plane.loaded();
        let (status, agent) = self.caller.task(plane, &loaded, now).await?;
        let before = &status.grant;
        let amendment = Amendment::parse(&wanted.details, before);
        let amendment = amendment
            .map_err(|fault| Refused::unread("/authorization_details", fault.to_string()))?;
        let after = amendment.applied_to(before);
        let difference = Difference::between(before, &after);
        if difference.is_none() {
            return Ok(Step::Done(told(&loaded, "unchanged", before, now)));
        }
        allowed::is_for(self.caller.proof().resource(), &difference)?;
        let from = before.digest();
        let known = plane.ledger.look_at_amendment(&after, &from, now).await;
        let known = known.map_err(ledger)?;
        if !difference.widens() {
            return self.become_it(before, after, None, &loaded, now).await;
        }
        let allowed = Allowed {
            plane,
            loaded: &loaded,
            caller: self.caller.proof(),
            agent: &agent,
            status: &status,
            now,
        };
        allowed.judge(&after, &known)?;
        if wanted.reason.trim().is_empty() {
            let why = "say why the task needs more: a person reads it";
            return Err(Refused::unread("/reason", why));
        }
        let ask = self.ask(&loaded, (&agent, &status), (&after, &known), wanted, now);
        match self.stand(ask).await? {
            Standing::Ready(id) => self.become_it(before, after, Some(id), &loaded, now).await,
            Standing::Begun(waits) | Standing::Waiting(waits) => {
                Ok(Step::Waits(waits, Arc::clone(before)))
            }
            Standing::Denied(_) => Err(ReasonCode::ApprovalDenied.into()),
        }
    }

    /// How the matter stands. One amendment of a task waits at a time: another is asked for when it is answered or over; the
    /// same with another card, because the task knows more by now, takes its place.
    async fn stand(&self, ask: Ask) -> Result<Standing, Refused> {
        let plane = self.plane;
        let refuses = |memory| plane.approvals.remembers_no(memory, ask.now);
        if ask.memory.iter().any(refuses) {
            return Err(ReasonCode::ApprovalDenied.into());
        }
        let open = plane
            .store
            .open_amendment(&ask.tenant, ask.grant.task, ask.now);
        let open = open.await.map_err(|fault| {
            tracing::error!(%fault, "amendments cannot be looked up");
            ReasonCode::ApprovalUnavailable
        })?;
        if let Some(open) = open.filter(|open| open.binding != ask.binding) {
            if open.asked.memory.first() != ask.memory.first() {
                return Err(ReasonCode::TooManyApprovals.into());
            }
            let withdrawn = plane.store.withdraw_amendments(&ask.tenant, ask.grant.task);
            withdrawn.await.map_err(|fault| {
                tracing::error!(%fault, "an amendment cannot be withdrawn");
                ReasonCode::ApprovalUnavailable
            })?;
        }
        let standing = plane.approvals.stand(ask).await;
        standing.map_err(|fault| fault.reason().into())
    }

    /// What people are asked.
    fn ask(
        &self,
        loaded: &Loaded,
        (agent, status): (&Agent, &TaskStatus),
        (after, known): (&Grant, &Known),
        wanted: &Wanted,
        now: Timestamp,
    ) -> Ask {
        let (plane, before) = (self.plane, &status.grant);
        let roles = roles(loaded, Difference::between(before, after));
        let card = Card {
            loaded,
            agent,
            before,
            after,
            known,
            reason: &wanted.reason,
            roles: &roles,
            key: &plane.keys.audit,
        };
        let card = card.render();
        let card_digest = Digest::of(card.to_string().as_bytes());
        let mut hasher = KeyedDigest::begin(&plane.keys.audit, "amendment v1");
        let (from, to) = (before.digest(), after.digest());
        for part in [&from, &to, &card_digest] {
            hasher.update(part.as_bytes());
        }
        Ask {
            tenant: plane.tenant.clone(),
            revision: loaded.revision,
            call: self.caller.proof().call(),
            grant: Arc::clone(before),
            owner: agent.owner.clone(),
            action: ActionName::amend_task(),
            effect: Effect::Write,
            binding: hasher.finish(),
            memory: self.memory(loaded, (agent, status), after),
            want: Want::Approval {
                roles: roles.into_iter().map(str::to_owned).collect(),
                four_eyes: false,
            },
            rules: Vec::new(),
            card,
            card_digest,
            now,
        }
    }

    /// What is remembered when a person says no: for the requester, or whoever answers for the agent and for those above it,
    /// the amendment as a whole first, and then each thing that it widens, so that neither another task nor less of the
    /// same starts clean.
    fn memory(
        &self,
        loaded: &Loaded,
        (agent, status): (&Agent, &TaskStatus),
        after: &Grant,
    ) -> Vec<KeyedDigest> {
        let difference = Difference::between(&status.grant, after);
        let mut widened = vec![format!(
            "whole {} {}",
            status.grant.digest(),
            after.digest()
        )];
        widened.extend(difference.added().map(|action| format!("action {action}")));
        // Without its value: one more beside it, or a shorter prefix, is the same wish.
        let bounds = difference.bounds().into_iter();
        let wider = bounds.filter(BoundChange::widens);
        widened.extend(wider.map(|change| format!("bound {} {}", change.action, change.place)));
        let purpose = &after.purpose;
        if difference
            .budget()
            .is_some_and(|(before, after)| !after.within(before))
        {
            widened.push(format!("budget {purpose}"));
        }
        if difference
            .deadline()
            .is_some_and(|(before, after)| after > before)
        {
            widened.push(format!("deadline {purpose}"));
        }
        let owners = match &after.requester {
            Some(user) => BTreeSet::from([format!("requester {} {}", user.issuer, user.subject)]),
            None => {
                let above = status.above.iter();
                let above = above.filter_map(|id| loaded.agents.get(id));
                let above = above.map(|agent| format!("owner {}", agent.owner));
                above.chain([format!("owner {}", agent.owner)]).collect()
            }
        };
        let tenant = self.plane.tenant.as_str();
        let of_owner = |what: &String, owner: &String| {
            let mut hasher =
                KeyedDigest::begin(&self.plane.keys.audit, "refusal of an amendment v1");
            for part in [tenant, owner, what] {
                let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
                hasher.update(&length.to_be_bytes());
                hasher.update(part.as_bytes());
            }
            hasher.finish()
        };
        let all = widened.iter();
        all.flat_map(|what| owners.iter().map(move |owner| (what, owner)))
            .map(|(what, owner)| of_owner(what, owner))
            .collect()
    }

    /// Puts another grant in place: kept with the use of the approval, recorded, and then in force. What the log has, a restart
    /// has; what it does not have did not happen, and an approval that was used for it is asked for again. Where nobody knows
    /// whether the log has it, the task ends: it would hold something else after the next restart.
    #[expect(
        clippy::cognitive_complexity,
        reason = "one step after another, each with what becomes of the task if it fails"
    )]
    async fn become_it(
        &self,
        before: &Grant,
        after: Grant,
        approval: Option<ApprovalId>,
        loaded: &Loaded,
        now: Timestamp,
    ) -> Result<Step, Refused> {
        let (plane, task) = (self.plane, after.task);
        self.keep(&after, approval, now).await?;
        let answer = told(loaded, "amended", &after, now);
        let in_force = match self.note_amended(before, &after, approval, now).await {
            Ok(()) => {
                let amended = plane.ledger.amend(after, &before.digest(), now).await;
                amended.map_err(ledger)
            }
            Err(fault) => {
                tracing::error!(%task, %fault, "an amendment could not be recorded");
                let refused = Refused::from(ReasonCode::RecordUnavailable);
                if is_not_written(&fault) {
                    return Err(refused);
                }
                Err(refused)
            }
        };
        // Sub-tasks that held what it gave up, which the log ends again after a restart. Where it ended itself between its record
        // and now, that the log has it amended gives nobody anything: it ends there, too.
        let (cut, named) = match &in_force {
            Ok(cut) => (cut.clone(), None),
            Err(_ended_or_unknown) => {
                let cut = plane.ledger.revoke(&plane.tenant, task, Ending::Revoked);
                (cut.await.unwrap_or_default(), Some(task))
            }
        };
        let by = Actor::Agent(before.agent);
        if let Err(fault) = settle(plane, by, named, &cut, Closing::Revoked).await {
            tracing::error!(%task, fault, "tasks have ended, and that could not be kept");
        }
        in_force.map(|_cut| Step::Done(answer))
    }

    /// Uses up the approval and keeps the grant, in one step.
    async fn keep(
        &self,
        after: &Grant,
        approval: Option<ApprovalId>,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let (plane, task) = (self.plane, after.task);
        let kept = plane.store.amend_task(after, approval, now).await;
        let kept = kept.map_err(|fault| {
            tracing::error!(%task, %fault, "an amendment could not be kept");
            ReasonCode::ApprovalUnavailable
        })?;
        // It expired in this moment, or the task is over.
        if kept {
            Ok(())
        } else {
            Err(ReasonCode::TaskEnded.into())
        }
    }

    async fn note_amended(
        &self,
        before: &Grant,
        after: &Grant,
        approval: Option<ApprovalId>,
        now: Timestamp,
    ) -> Result<(), AppendError> {
        let plane = self.plane;
        let amended = TaskAmended::of(before, after, approval, self.from.source());
        let event = Event::TaskAmended(Box::new(amended));
        let recorded = plane.record(plane.header(now), event, None, Durability::Durable);
        recorded.await
    }

    /// Records a refusal; if that cannot be written, the answer is that.
    async fn note_refused(&self, refused: &Refused, status: &TaskStatus) -> Result<(), Refused> {
        let event = Event::Refused(Box::new(writ_audit::Refused {
            call: self.caller.proof().call(),
            subject: self.caller.subject(),
            reason: refused.reason,
            decision: None,
            purpose: Some(status.grant.purpose.clone()),
            action: Some(ActionName::amend_task()),
            method: None,
            contract: None,
            request: None,
            request_bytes: None,
            errors: u64::try_from(refused.faults.len()).unwrap_or(u64::MAX),
            pauses: false,
            source: self.from.source(),
            trace: None,
            evidence: None,
        }));
        let header = self.plane.header(self.plane.clock.now());
        let recorded = self.plane.record(header, event, None, Durability::Handed);
        recorded
            .await
            .map_err(|_fault| ReasonCode::RecordUnavailable.into())
    }
}

/// Whether the log has not got a record, and will not: it never took it. Of any other fault that is not known.
const fn is_not_written(fault: &AppendError) -> bool {
    match fault {
        AppendError::Pushback | AppendError::Record(_) | AppendError::Evidence => true,
        AppendError::Late | AppendError::Unavailable(_) => false,
    }
}

/// What the task holds now. A token of before keeps what it named.
fn told(loaded: &Loaded, state: &'static str, grant: &Grant, now: Timestamp) -> Value {
    let radius = blast_radius(loaded, &grant.actions, grant.budget);
    let left = grant.deadline.since(now).as_secs();
    Value::object([
        ("task_id", Value::from(grant.task.to_string())),
        ("state", Value::from(state)),
        ("authorization_details", grant.to_details()),
        ("blast_radius", Value::from_u64(radius.weight())),
        ("task_expires_in", Value::from_u64(left)),
    ])
}

/// Who is asked: the user the agent acts for or, without one, its owner; and whoever runs Writ, where the task could delete,
/// undo nothing, or send something out that it could not before.
fn roles(loaded: &Loaded, difference: Difference<'_>) -> Vec<&'static str> {
    let is_grave = |action: &ActionName| {
        let api = loaded.apis.get(&action.api);
        let operation = api.and_then(|api| api.contract.operation(&action.operation));
        operation.is_none_or(|operation| {
            let effects = operation.effects();
            effects.kind == Effect::Delete || effects.irreversible || effects.external_send
        })
    };
    let bounds = difference.bounds();
    let wider = bounds.iter().filter(|change| change.widens());
    let mut actions = difference.added().chain(wider.map(|change| change.action));
    let more = difference.budget().is_some_and(|(before, after)| {
        after.deletes > before.deletes || after.irreversible > before.irreversible
    });
    if more || actions.any(is_grave) {
        vec!["operator", "requester"]
    } else {
        vec!["requester"]
    }
}

/// How long the task lives.
fn left(status: &TaskStatus, now: Timestamp) -> Duration {
    status.grant.deadline.since(now)
}

/// What the ledger says of an amendment, for the wire.
fn ledger(fault: AmendError) -> Refused {
    match fault {
        AmendError::Unknown | AmendError::Ended(_) => ReasonCode::TaskEnded.into(),
        AmendError::Paused => ReasonCode::TaskPaused.into(),
        AmendError::Changed => ReasonCode::NotReady.into(),
        AmendError::NotWithinParent(_) => {
            Refused::beyond("", "the task above holds less, or has less left")
        }
        AmendError::Vouched => Refused::beyond(
            "",
            "the party that opened the task vouches for what it holds, and opens another",
        ),
        AmendError::Planned => {
            Refused::beyond("actions", "the task has a plan, which does not grow")
        }
        AmendError::DeadlinePast => Refused::beyond("expires_in", "the task would be over by now"),
        AmendError::TooOften { most: _ } => {
            Refused::beyond("", "the task was amended too often: open another")
        }
        AmendError::Another => ReasonCode::AmendmentRefused.into(),
    }
}

#[cfg(test)]
mod tests;
