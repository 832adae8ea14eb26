//! What a policy holds back until a person says yes or time has passed: the decision with what was given for this call.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts as Head;
use hyper::{Method, Response};
use writ_contract::{Operation, Parsed};
use writ_policy::{Denied, Needs, Pdp, Permit};
use writ_task::{Ask, Entered, Standing, Status, Used, Want};
use writ_types::{
    Agent, ApprovalId, Digest, Facts, KeyedDigest, KeyedHasher, Origin, Pending, ReasonCode,
    Verdict, preferred_wait,
};

use crate::asked::Read;
use crate::body::{Body, RequestBody};
use crate::flow::Unvouched;
use crate::gateway::Gateway;
use crate::mcp::Errand;
use crate::mcp::asking::Answers;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use crate::story::Story;
use crate::target::Target;
use crate::{card, decide};

/// A call as it would be sent, to the byte: what an approval is for.
pub(crate) struct Canonical<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) parsed: &'a Parsed,
    /// The fields that travel on, the content type among them.
    pub(crate) forwarded: &'a HeaderMap,
    pub(crate) body: &'a RequestBody,
    /// What else travels on.
    pub(crate) answers: Option<&'a Answers>,
    /// What is asked for.
    pub(crate) errand: Errand,
    /// Its values that nothing vouches for, where they could be entered.
    pub(crate) unvouched: Option<&'a [Unvouched]>,
}

/// Most times a call is decided. Each time after the first something more was given for it; a policy can ask for a wait and
/// for approvals, and the last one is for what another call was faster to use.
const MOST_DECISIONS: usize = 4;

/// Decides a call with what people and time have given for it. A refusal for a value that nothing vouches for counts
/// against its parameter.
///
/// # Errors
///
/// The refusal; `approval_required` or `deferred` where somebody has been asked now, or was before.
pub(crate) async fn permit(
    gateway: &Gateway,
    snapshot: &Snapshot,
    who: (&Agent, &Entered),
    call: &Canonical<'_>,
    facts: &mut Facts,
    story: &mut Story,
) -> Result<Permit, Refusal> {
    let (_agent, entered) = who;
    approved(gateway, snapshot, entered, call, facts).await?;
    let refusal = match settle(gateway, snapshot, who, call, facts, story).await {
        Ok(permit) => return Ok(permit),
        Err(refusal) => refusal,
    };
    story.weighed(facts);
    // A call that waits for a person is asked again and again; it is one try.
    if refusal.reason == ReasonCode::ValueNotVouched && !refusal.waits_already {
        let places = facts.arguments.unvouched().map(str::to_owned).collect();
        let ledger = &gateway.parts.ledger;
        let action = call.operation.action();
        if ledger.count_unvouched(entered, action, &places).await {
            story.pauses();
        }
    }
    Err(refusal)
}

/// Whether a call would be permitted with nothing given for it. Nobody is asked, and nothing is counted or used up.
pub(crate) async fn would_permit(
    gateway: &Gateway,
    snapshot: &Snapshot,
    (agent, entered): (&Agent, &Entered),
    call: &Canonical<'_>,
    facts: &mut Facts,
) -> bool {
    let known = approved(gateway, snapshot, entered, call, facts).await;
    let is_within = decide::bounds(entered, call.operation, call.parsed);
    if known.is_err() || is_within.is_err() {
        return false;
    }
    let memory = memory(gateway, snapshot, agent, entered, call);
    let approvals = &gateway.parts.approvals;
    let is_refused = |memory| approvals.remembers_no(memory, facts.now);
    if memory.iter().any(is_refused) {
        return false;
    }
    let what = (call.operation, call.parsed);
    let (decided, _draft) = decide::weigh(snapshot, agent, entered, what, facts);
    decided.is_ok()
}

/// Tells the facts what people have approved of this task, where a rule looks at that.
async fn approved(
    gateway: &Gateway,
    snapshot: &Snapshot,
    entered: &Entered,
    call: &Canonical<'_>,
    facts: &mut Facts,
) -> Result<(), ReasonCode> {
    let looks = |pdp: &Pdp| pdp.looks_at_approved(call.operation.action());
    let (in_force, draft) = (&snapshot.pdp, snapshot.pdp.shadow(facts.now));
    if looks(in_force) || draft.is_some_and(looks) {
        let approved = gateway.parts.approvals.approved(entered.grant()).await;
        facts.approved = match approved {
            Ok(approved) => approved.iter().map(ToString::to_string).collect(),
            Err(fault) if looks(in_force) => return Err(fault.reason()),
            // A draft holds no call up.
            Err(_) => BTreeSet::new(),
        };
    }
    Ok(())
}

/// The decision is made in full each time, on the facts as they are now: what was given lifts the rules it was given for
/// and no other. It is used up only when the call is permitted, all of it at once.
async fn settle(
    gateway: &Gateway,
    snapshot: &Snapshot,
    (agent, entered): (&Agent, &Entered),
    call: &Canonical<'_>,
    facts: &mut Facts,
    story: &mut Story,
) -> Result<Permit, Refusal> {
    let parts = &gateway.parts;
    let (operation, parsed) = (call.operation, call.parsed);
    decide::bounds(entered, operation, parsed)?;
    let memory = memory(gateway, snapshot, agent, entered, call);
    let is_refused = |memory| parts.approvals.remembers_no(memory, facts.now);
    if memory.iter().any(is_refused) {
        return Err(ReasonCode::ApprovalDenied.into());
    }
    let (mut claims, mut confirmed): (Vec<ApprovalId>, bool) = (Vec::new(), false);
    for _ in 0..MOST_DECISIONS {
        let decided = decide::decide(snapshot, agent, entered, operation, parsed, facts, story);
        let denied = match decided {
            Ok(permit) if claims.is_empty() => return Ok(permit),
            Ok(permit) => {
                if use_up(gateway, entered, call, (&claims, confirmed), facts, story).await? {
                    return Ok(permit);
                }
                // Another call was faster: this one has nothing, and begins anew.
                (claims, confirmed) = (Vec::new(), false);
                continue;
            }
            Err(denied) => denied,
        };
        let Some(needs) = denied.needs.clone() else {
            return Err(decide::refusal(&denied, parsed, story, snapshot, facts));
        };
        // A body that is not here cannot be what a person says yes to.
        // And a yes is to one call: it is none to what comes of a subscription for as long as that lasts, nor is a yes to a reading
        // one to be told of what is read from then on.
        if call.lasts() || matches!(call.body, RequestBody::Streamed(..)) {
            return Err(ReasonCode::Forbidden.into());
        }
        // What nobody could enter nobody is asked for.
        if needs.confirm && call.unvouched.is_none() {
            let mut refusal = decide::refusal(&denied, parsed, story, snapshot, facts);
            refusal.verdict = Verdict::Deny;
            return Err(refusal);
        }
        let ask = ask(
            gateway,
            snapshot,
            (agent, entered),
            call,
            facts,
            (&denied, &needs),
            memory.clone(),
            story,
        );
        let standing = parts.approvals.stand(ask).await;
        let (status, waits_already) = match standing.map_err(|fault| fault.reason())? {
            Standing::Ready(id) => {
                claims.push(id);
                confirmed |= needs.confirm;
                if needs.waits.is_empty() {
                    facts.approvals.extend(needs.roles.iter().cloned());
                } else {
                    facts.deferred.extend(needs.waits.iter().cloned());
                }
                continue;
            }
            Standing::Begun(status) => (status, false),
            Standing::Waiting(status) => (status, true),
            Standing::Denied(id) => {
                story.rests_on(Some(id));
                return Err(ReasonCode::ApprovalDenied.into());
            }
        };
        story.rests_on(Some(status.id));
        let mut refusal = decide::refusal(&denied, parsed, story, snapshot, facts);
        refusal.waits_already = waits_already;
        return Err(waiting(refusal, call, &status));
    }
    Err(ReasonCode::ApprovalUnavailable.into())
}

/// Uses up what was given for the call, all of it at once; `false` if another call was faster. `confirmed`: people have
/// entered what nothing vouches for.
async fn use_up(
    gateway: &Gateway,
    entered: &Entered,
    call: &Canonical<'_>,
    (claims, confirmed): (&[ApprovalId], bool),
    facts: &mut Facts,
    story: &mut Story,
) -> Result<bool, Refusal> {
    let (approvals, tenant) = (&gateway.parts.approvals, &entered.grant().tenant);
    let used = approvals
        .consume(tenant, claims, story.call(), facts.now)
        .await;
    let Some(used) = used.map_err(|fault| fault.reason())? else {
        facts.approvals.clear();
        facts.deferred.clear();
        return Ok(false);
    };
    story.rests_on(claims.last().copied());
    if confirmed {
        endorse(gateway, entered, call, used, facts).await?;
    }
    Ok(true)
}

/// The values that a person has entered for this call count from now on: for these arguments, in this task, and where they
/// want it remembered, for a day in every task of the same requester.
async fn endorse(
    gateway: &Gateway,
    entered: &Entered,
    call: &Canonical<'_>,
    used: Used,
    facts: &mut Facts,
) -> Result<(), Refusal> {
    let parts = &gateway.parts;
    let mut values = Vec::new();
    for value in call.unvouched.unwrap_or_default() {
        let place = value.place.clone();
        facts.arguments.weakest.insert(place, Origin::Endorsement);
        values.extend(value.endorsement(&parts.audit_key, call.operation.action()));
    }
    let until = used.remembered.then(|| facts.now.plus(REMEMBERED));
    let grant = entered.grant();
    let kept = parts.ledger.endorse(grant, &values, until).await;
    kept.map_err(|_gone| ReasonCode::TaskEnded.into())
}

/// How long a yes to a value is remembered for its requester, where they say so. A no is remembered as long.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

fn waiting(mut refusal: Refusal, call: &Canonical<'_>, status: &Status) -> Refusal {
    refusal.pending = Some(Box::new(Pending {
        id: status.id,
        href: format!("{PATH}{}/{}", call.operation.action().api, status.id),
        not_before: status.not_before,
        expires: status.expires,
    }));
    refusal
}

#[expect(
    clippy::too_many_arguments,
    reason = "an ask is everything there is about a call"
)]
fn ask(
    gateway: &Gateway,
    snapshot: &Snapshot,
    (agent, entered): (&Agent, &Entered),
    call: &Canonical<'_>,
    facts: &Facts,
    (denied, needs): (&Denied, &Needs),
    memory: Vec<KeyedDigest>,
    story: &Story,
) -> Ask {
    let grant = entered.grant();
    let about = (denied.rules.as_slice(), needs, &*snapshot.pdp);
    let confirm = call.unvouched.filter(|_| needs.confirm).unwrap_or_default();
    let card = card::render(
        (call.operation, call.parsed, call.untold()),
        confirm,
        (agent, grant, entered.plan()),
        facts,
        about,
    );
    let card_digest = Digest::of(card.to_string().as_bytes());
    let want = if denied.verdict == Verdict::Defer {
        Want::Wait {
            until: facts.now.plus(needs.span),
        }
    } else {
        Want::Approval {
            roles: needs.roles.clone(),
            four_eyes: needs.four_eyes,
        }
    };
    let mut hasher = Parted::begin(gateway, "approval v1");
    hasher.add(snapshot.tenant.as_str().as_bytes());
    hasher.add(needs.rules.as_bytes());
    match &want {
        // An approval is one task's.
        Want::Approval { .. } => {
            hasher.add(b"approval");
            hasher.add(&grant.task.to_bytes());
            hasher.add(card_digest.as_bytes());
        }
        // A wait is longer than a task lives: it is the agent's, for the same user and purpose. Its card names the task.
        Want::Wait { .. } => {
            hasher.add(b"wait");
            hasher.add(&agent.id.to_bytes());
            hasher.requester(entered);
            hasher.add(grant.purpose.as_str().as_bytes());
        }
    }
    call.commit(&mut hasher);
    Ask {
        tenant: snapshot.tenant.clone(),
        revision: snapshot.revision,
        call: story.call(),
        grant: Arc::clone(grant),
        owner: agent.owner.clone(),
        action: call.operation.action().clone(),
        effect: call.operation.effects().kind,
        binding: hasher.0.finish(),
        memory,
        want,
        rules: denied.rules.clone(),
        card,
        card_digest,
        now: facts.now,
    }
}

/// Who asked for what to which: what is remembered when a person says no, so that another operation, sub-task or agent of
/// the same user on the same resource does not start clean. Values that nothing vouches for are the resource where there are
/// some, each by itself: they are what is looked at, and what the same no is for under every other name. Otherwise it is the
/// API and the values of the path's parameters; without any, the operation.
fn memory(
    gateway: &Gateway,
    snapshot: &Snapshot,
    agent: &Agent,
    entered: &Entered,
    call: &Canonical<'_>,
) -> Vec<KeyedDigest> {
    // Where the task was handed on, the people of everybody above were asked, too.
    let above = entered.above().iter();
    let above = above.filter_map(|id| snapshot.agents.get(id));
    let owners: BTreeSet<&str> = match entered.grant().requester {
        Some(_) => BTreeSet::from([""]),
        None => above
            .map(|agent| agent.owner.as_str())
            .chain([agent.owner.as_str()])
            .collect(),
    };
    let of_owner = |owner| memory_of(gateway, snapshot, owner, entered, call);
    owners.into_iter().flat_map(of_owner).collect()
}

fn memory_of(
    gateway: &Gateway,
    snapshot: &Snapshot,
    owner: &str,
    entered: &Entered,
    call: &Canonical<'_>,
) -> Vec<KeyedDigest> {
    let begun = |context| {
        let mut hasher = Parted::begin(gateway, context);
        hasher.add(snapshot.tenant.as_str().as_bytes());
        if entered.grant().requester.is_some() {
            hasher.requester(entered);
        } else {
            hasher.add(b"owner");
            hasher.add(owner.as_bytes());
        }
        hasher.add(call.operation.effects().kind.as_str().as_bytes());
        hasher
    };
    let unvouched = call.unvouched.unwrap_or_default();
    if !unvouched.is_empty() {
        let of_value = |value: &Unvouched| {
            let mut hasher = begun("refusal of a value v1");
            hasher.add(value.kind.as_str().as_bytes());
            let form = value
                .form
                .as_ref()
                .map_or(&*value.text, |form| form.as_str());
            hasher.add(form.as_bytes());
            hasher.0.finish()
        };
        return unvouched.iter().map(of_value).collect();
    }
    let mut hasher = begun("refusal v1");
    let action = call.operation.action();
    hasher.add(action.api.as_str().as_bytes());
    let path = &call.parsed.input.path;
    if path.is_empty() {
        hasher.add(action.operation.as_str().as_bytes());
    }
    for value in path.values() {
        hasher.add(value.to_string().as_bytes());
    }
    vec![hasher.0.finish()]
}

/// A commitment whose parts cannot run together: each is preceded by its length.
struct Parted(KeyedHasher);

impl Parted {
    fn begin(gateway: &Gateway, context: &str) -> Self {
        Self(KeyedDigest::begin(&gateway.parts.audit_key, context))
    }

    fn add(&mut self, part: &[u8]) {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        self.0.update(&length.to_be_bytes());
        self.0.update(part);
    }

    fn requester(&mut self, entered: &Entered) {
        let requester = entered.grant().requester.as_ref();
        for part in requester.map_or(["", ""], |user| [&user.issuer, &user.subject]) {
            self.add(part.as_bytes());
        }
    }
}

impl<'a> Canonical<'a> {
    /// The call as it was read, whichever door it came through.
    pub(crate) fn of(
        operation: &'a Operation,
        read: &'a Read<'_>,
        unvouched: Option<&'a [Unvouched]>,
    ) -> Self {
        Self {
            unvouched,
            operation,
            parsed: &read.parsed,
            forwarded: &read.forwarded,
            body: &read.body,
            answers: read.answers.as_ref(),
            errand: read.errand,
        }
    }

    /// Whether something comes of the call for as long as it goes on.
    fn lasts(&self) -> bool {
        self.errand == Errand::Subscription
    }

    /// The body, if it is at hand and was not taken apart.
    fn untold(&self) -> &[u8] {
        if self.parsed.input.body.is_some() {
            return &[];
        }
        self.body.at_hand()
    }

    /// Everything that will be sent but the credential.
    fn commit(&self, hasher: &mut Parted) {
        hasher.add(self.operation.action().to_string().as_bytes());
        hasher.add(self.operation.method().as_bytes());
        hasher.add(self.parsed.target.as_bytes());
        let mut fields: Vec<(&str, &[u8])> = self
            .forwarded
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let declared = self.parsed.headers.iter();
        fields.extend(declared.map(|(name, value)| (name.as_str(), value.as_bytes())));
        hasher.add(
            &u64::try_from(fields.len())
                .unwrap_or(u64::MAX)
                .to_be_bytes(),
        );
        for (name, value) in fields {
            hasher.add(name.to_ascii_lowercase().as_bytes());
            hasher.add(value);
        }
        hasher.add(self.body.at_hand());
        hasher.add(&self.answers.map(Answers::bytes).unwrap_or_default());
    }
}

/// Where an agent asks how its approvals stand: `/writ/approvals/{api}/{approval}`. No API can have the id `writ`.
pub(crate) const PATH: &str = "/writ/approvals/";

/// How an approval of the caller's own task stands.
///
/// With `Prefer: wait=…` the answer waits until a person has answered, the time is over, or the task has ended.
///
/// # Errors
///
/// `unknown_operation` for anybody else's, and for what is none; `task_ended` if the task ends meanwhile.
pub(crate) async fn status(
    gateway: &Gateway,
    entered: &Entered,
    head: &Head,
    target: &Target,
    id: &str,
) -> Result<Response<Body>, Refusal> {
    if target.malformed {
        return Err(ReasonCode::MalformedRequest.into());
    }
    if head.method != Method::GET {
        return Err(Refusal {
            allow: Some("GET".to_owned()),
            ..ReasonCode::MethodNotAllowed.into()
        });
    }
    let unknown = ReasonCode::UnknownOperation;
    let id: ApprovalId = id.parse().map_err(|_no_approval| unknown)?;
    let parts = &gateway.parts;
    let deadline = tokio::time::sleep(preferred_wait(
        head.headers
            .get_all("prefer")
            .iter()
            .map(HeaderValue::as_bytes),
    ));
    tokio::pin!(deadline);
    let mut cut = entered.cut();
    loop {
        // Before the look: what changes after it is not missed.
        let changed = parts.approvals.changed();
        let now = parts.clock.now();
        let found = parts.approvals.status(entered.grant(), id, now).await;
        let found = found.map_err(|fault| fault.reason())?.ok_or(unknown)?;
        let word = found.word(now);
        if word != "pending" {
            return Ok(answer(&found, word));
        }
        tokio::select! {
            biased;
            () = &mut cut => return Err(ReasonCode::TaskEnded.into()),
            () = &mut deadline => return Ok(answer(&found, word)),
            () = changed => {}
        }
    }
}

fn answer(found: &Status, word: &'static str) -> Response<Body> {
    let mut members = vec![
        ("approval", found.id.to_string()),
        ("status", word.to_owned()),
        ("expires", found.expires.to_string()),
    ];
    members.extend(found.not_before.map(|at| ("not_before", at.to_string())));
    let members = members
        .into_iter()
        .map(|(name, text)| (name, writ_types::Value::from(text)));
    let body = writ_types::Value::object(members).to_string();
    let mut response = Response::new(Body::Full(Bytes::from(body)));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
