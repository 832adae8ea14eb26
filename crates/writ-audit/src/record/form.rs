//! The members of each kind of record, in the order of their names.

use std::cell::Cell;
use std::fmt::Display;
use std::time::Duration;

use writ_types::{Asserter, Binding, Budget, Charge, Digest, Requester};

use super::event::{
    Alarm, Approval, Decision, Event, Intent, KeyRotated, OperatorAction, Outcome, Refused,
    RevisionActivated, Shadowed, Started, Subject, TaskAmended, TaskClosed, TaskOpened,
    TokenIssued, TokenRefused, UpstreamToken,
};
use super::part::EvidenceRef;
use super::write::Object;
use super::{RECORD_VERSION, Record};

/// Cuts free-form parts to `room` bytes each and counts what that drops.
struct Scissors {
    room: usize,
    dropped: Cell<usize>,
}

impl Scissors {
    fn drop_bytes(&self, count: usize) {
        self.dropped.set(self.dropped.get().saturating_add(count));
    }

    /// The beginning of `text` that fits.
    fn text<'a>(&self, text: &'a str) -> &'a str {
        let kept = text
            .get(..text.floor_char_boundary(self.room))
            .unwrap_or(text);
        self.drop_bytes(text.len().saturating_sub(kept.len()));
        kept
    }

    /// The first items that fit; an item is kept whole or not at all.
    fn items(&self, items: impl Iterator<Item = impl Display>) -> Vec<String> {
        let mut left = self.room;
        let mut kept = Vec::new();
        for item in items.map(|item| item.to_string()) {
            if let Some(rest) = left.checked_sub(item.len()) {
                left = rest;
                kept.push(item);
            } else {
                left = 0;
                self.drop_bytes(item.len());
            }
        }
        kept
    }
}

impl Record {
    /// The canonical text with at most `room` bytes in each free-form part.
    pub(super) fn write(&self, room: usize) -> String {
        let scissors = Scissors {
            room,
            dropped: Cell::new(0),
        };
        let mut text = String::with_capacity(1536);
        let mut object = Object::begin(&mut text);
        object.object("detail", |detail| self.event.write(detail, &scissors));
        let header = &self.header;
        object.text("id", header.id);
        object.text("kind", self.event.kind());
        object.text("node", &header.node);
        object.text_if("revision", header.revision);
        object.text("tenant", &header.tenant);
        object.text("time", header.time);
        let dropped = u64::try_from(scissors.dropped.get()).unwrap_or(u64::MAX);
        let truncated = self.truncated.saturating_add(dropped);
        object.number_if("truncated", (truncated > 0).then_some(truncated));
        object.number("v", RECORD_VERSION);
        object.end();
        text
    }
}

impl Event {
    fn write(&self, detail: &mut Object<'_>, scissors: &Scissors) {
        match self {
            Self::Intent(intent) => intent.write(detail, scissors),
            Self::Outcome(outcome) => outcome.write(detail),
            Self::Refused(refused) => refused.write(detail, scissors),
            Self::TaskOpened(opened) => opened.write(detail, scissors),
            Self::TaskAmended(amended) => amended.write(detail, scissors),
            Self::TaskClosed(closed) => closed.write(detail),
            Self::TokenIssued(issued) => issued.write(detail),
            Self::TokenRefused(refused) => refused.write(detail),
            Self::UpstreamToken(token) => token.write(detail, scissors),
            Self::Started(started) => started.write(detail, scissors),
            Self::RevisionActivated(activated) => activated.write(detail),
            Self::OperatorAction(action) => action.write(detail, scissors),
            Self::KeyRotated(rotated) => rotated.write(detail),
            Self::Approval(approval) => approval.write(detail, scissors),
            Self::Alarm(alarm) => alarm.write(detail, scissors),
        }
    }
}

impl Intent {
    fn write(&self, detail: &mut Object<'_>, scissors: &Scissors) {
        let Subject {
            agent,
            spiffe,
            requester,
            task,
            token,
            binding,
        } = &self.subject;
        let Decision {
            verdict,
            rules,
            at,
            policy,
            obligations,
            approval,
            shadow: shadowed,
        } = &self.decision;
        detail.text("action", &self.action);
        detail.text("agent", agent);
        detail.text_if("approval", *approval);
        detail.text("binding", binding.as_str());
        detail.text("call", self.call);
        detail.text("contract", self.contract);
        detail.text_if("credential", self.credential.as_ref());
        detail.text("decided", at);
        detail.text("effects", self.effects);
        evidence(detail, self.evidence);
        detail.text_if("key", thumbprint(binding));
        budget(detail, "left", self.left);
        detail.text("method", &self.method);
        detail.list_if("obligations", scissors.items(obligations.iter()));
        detail.text("path", scissors.text(&self.path));
        detail.text("policy", policy);
        detail.text_if("prompt", self.prompt);
        detail.text("purpose", &self.purpose);
        detail.text_if("quantities", self.quantities.as_ref());
        detail.text("request", self.request);
        detail.number("request_bytes", self.request_bytes);
        write_requester(detail, requester.as_ref(), scissors);
        detail.list_if("rules", scissors.items(rules.iter()));
        shadow(detail, shadowed.as_ref(), scissors);
        detail.text_if("source", self.source);
        charge(detail, "spent", self.spent);
        detail.text("spiffe", spiffe);
        detail.number_if("step", self.step.map(u64::from));
        detail.text("task", task);
        detail.text("token", token);
        detail.text_if("trace", self.trace);
        detail.text("verdict", verdict.as_str());
        detail.text_if("written", self.written.as_ref());
    }
}

impl Outcome {
    fn write(&self, detail: &mut Object<'_>) {
        detail.text("action", &self.action);
        detail.text("agent", self.agent);
        detail.text("call", self.call);
        detail.text_if("conformance", self.conformance);
        detail.number_if("head_ms", self.phases.head.map(millis));
        detail.number("intent", self.intent);
        detail.list_if("labels", &self.labels);
        detail.number("queue_ms", millis(self.phases.queue));
        detail.text_if("request", self.request);
        detail.number_if("request_bytes", self.request_bytes);
        detail.text_if("response", self.response);
        detail.number("response_bytes", self.response_bytes);
        detail.number_if("response_faults", self.response_faults);
        detail.text("result", self.result.as_str());
        charge(detail, "settled", self.settled);
        detail.number_if("status", self.status.map(u64::from));
        detail.text("task", self.task);
        detail.number("total_ms", millis(self.phases.total));
    }
}

/// What a refusal says that it pauses.
pub(super) const PAUSED: &str = "task";

impl Refused {
    fn write(&self, detail: &mut Object<'_>, scissors: &Scissors) {
        let Subject {
            agent,
            spiffe,
            requester,
            task,
            token,
            binding,
        } = &self.subject;
        let decision = self.decision.as_ref();
        detail.text_if("action", self.action.as_ref());
        detail.text("agent", agent);
        detail.text_if("approval", decision.and_then(|decision| decision.approval));
        detail.text("binding", binding.as_str());
        detail.text("call", self.call);
        detail.text_if("contract", self.contract);
        detail.text_if("decided", decision.map(|decision| decision.at));
        detail.number("errors", self.errors);
        evidence(detail, self.evidence);
        detail.text_if("key", thumbprint(binding));
        detail.text_if("method", self.method.as_ref());
        let obligations = decision
            .into_iter()
            .flat_map(|decision| &decision.obligations);
        detail.list_if("obligations", scissors.items(obligations));
        detail.text_if("pauses", self.pauses.then_some(PAUSED));
        detail.text_if("policy", decision.map(|decision| decision.policy));
        detail.text_if("purpose", self.purpose.as_ref());
        detail.text("reason", self.reason);
        detail.text_if("request", self.request);
        detail.number_if("request_bytes", self.request_bytes);
        write_requester(detail, requester.as_ref(), scissors);
        let rules = decision.into_iter().flat_map(|decision| &decision.rules);
        detail.list_if("rules", scissors.items(rules));
        let shadowed = decision.and_then(|decision| decision.shadow.as_ref());
        shadow(detail, shadowed, scissors);
        detail.text_if("source", self.source);
        detail.text("spiffe", spiffe);
        detail.text("task", task);
        detail.text("token", token);
        detail.text_if("trace", self.trace);
        detail.text_if(
            "verdict",
            decision.map(|decision| decision.verdict.as_str()),
        );
    }
}

fn shadow(detail: &mut Object<'_>, shadowed: Option<&Shadowed>, scissors: &Scissors) {
    detail.text_if("shadow_policy", shadowed.map(|shadowed| shadowed.policy));
    let rules = shadowed.into_iter().flat_map(|shadowed| &shadowed.rules);
    detail.list_if("shadow_rules", scissors.items(rules));
    detail.text_if(
        "shadow_verdict",
        shadowed.map(|shadowed| shadowed.verdict.as_str()),
    );
}

impl TaskOpened {
    fn write(&self, detail: &mut Object<'_>, scissors: &Scissors) {
        detail.list_if("actions", scissors.items(self.actions.iter()));
        detail.text("agent", self.agent);
        budget(detail, "budget", self.budget);
        detail.text("deadline", self.deadline);
        evidence(detail, self.evidence);
        detail.text("grant", self.grant);
        detail.text("mode", self.mode);
        detail.text("opened", self.opened);
        detail.text_if("parent", self.parent);
        detail.text_if("prompt", self.prompt);
        detail.text("purpose", &self.purpose);
        write_requester(detail, self.requester.as_ref(), scissors);
        detail.text_if("source", self.source);
        detail.text("spiffe", &self.spiffe);
        detail.text("task", self.task);
        // The agent itself is the rule and stays unsaid.
        let other = |asserter: &Asserter| (*asserter != Asserter::Agent).then(|| asserter.clone());
        detail.text_if("vouched_bounds", other(&self.asserters.bounds));
        detail.text_if("vouched_plan", other(&self.asserters.plan));
        detail.text_if("vouched_prompt", other(&self.asserters.prompt));
    }
}

impl TaskAmended {
    fn write(&self, detail: &mut Object<'_>, scissors: &Scissors) {
        detail.list_if("actions", scissors.items(self.actions.iter()));
        detail.text("agent", self.agent);
        detail.text_if("approval", self.approval);
        budget(detail, "budget", self.budget);
        detail.text("deadline", self.deadline);
        detail.text("from", self.from);
        detail.text("grant", self.grant);
        detail.text_if("source", self.source);
        detail.text("task", self.task);
    }
}

impl TaskClosed {
    fn write(&self, detail: &mut Object<'_>) {
        detail.text("agent", self.agent);
        detail.text("by", self.by);
        detail.text("how", self.how.as_str());
        charge(detail, "spent", self.spent);
        detail.text("task", self.task);
    }
}

impl TokenIssued {
    fn write(&self, detail: &mut Object<'_>) {
        detail.text("agent", self.agent);
        detail.text_if("api", self.api.as_ref());
        detail.text("binding", self.binding.as_str());
        detail.text("expires", self.expires);
        detail.text_if("key", thumbprint(&self.binding));
        detail.text_if("source", self.source);
        detail.text("task", self.task);
        detail.text("token", self.token);
    }
}

impl TokenRefused {
    fn write(&self, detail: &mut Object<'_>) {
        detail.text("agent", self.agent);
        detail.text("error", &self.error);
        detail.text_if("source", self.source);
    }
}

impl UpstreamToken {
    fn write(&self, detail: &mut Object<'_>, scissors: &Scissors) {
        detail.text("agent", self.agent);
        detail.text("api", &self.api);
        detail.text("call", self.call);
        detail.text_if("credential", self.credential.as_ref());
        detail.text_if("error", self.error.as_ref());
        detail.text_if("expires", self.expires);
        detail.text("grant", &self.grant);
        detail.text("scope", scissors.text(&self.scope));
        detail.text("task", self.task);
    }
}

impl Started {
    fn write(&self, detail: &mut Object<'_>, scissors: &Scissors) {
        detail.number("entries", self.entries);
        detail.number("orphans", self.orphans);
        if let Some(previous) = &self.previous {
            detail.object("previous", |object| {
                object.text("root", previous.root);
                object.number("size", previous.size);
            });
        }
        detail.text("program", scissors.text(&self.program));
    }
}

impl RevisionActivated {
    fn write(&self, detail: &mut Object<'_>) {
        detail.text("by", self.by);
        detail.text("digest", self.digest);
        detail.text_if("from", self.from);
        detail.text("to", self.to);
    }
}

impl OperatorAction {
    fn write(&self, detail: &mut Object<'_>, scissors: &Scissors) {
        detail.text("action", &self.action);
        detail.text("by", self.by);
        detail.text("digest", self.digest);
        detail.text("target", scissors.text(&self.target));
    }
}

impl KeyRotated {
    fn write(&self, detail: &mut Object<'_>) {
        detail.text("by", self.by);
        detail.text("new", self.new);
        detail.text_if("old", self.old);
        detail.text("purpose", &self.purpose);
    }
}

impl Alarm {
    fn write(&self, detail: &mut Object<'_>, scissors: &Scissors) {
        detail.text_if("agent", self.agent);
        detail.text_if("before", self.before);
        detail.text_if("key", self.key);
        detail.text("response", self.response.as_str());
        detail.text_if("source", self.source);
        detail.text_if("task", self.task);
        detail.text_if("trap", self.trap.as_deref().map(|trap| scissors.text(trap)));
        detail.text("what", self.what.as_str());
    }
}

impl Approval {
    fn write(&self, detail: &mut Object<'_>, scissors: &Scissors) {
        detail.text("action", &self.action);
        detail.text("agent", self.agent);
        detail.text("approval", self.approval);
        detail.text("binding", self.binding);
        detail.text("by", self.by);
        detail.text_if("call", self.call);
        detail.text("card", self.card);
        evidence(detail, self.evidence);
        detail.text("expires", self.expires);
        detail.list_if("roles", scissors.items(self.roles.iter()));
        detail.text("step", self.step.as_str());
        detail.text("task", self.task);
    }
}

const fn thumbprint(binding: &Binding) -> Option<&Digest> {
    match binding {
        Binding::Dpop(key) | Binding::Mtls(key) => Some(key),
        Binding::Unbound => None,
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn evidence(detail: &mut Object<'_>, evidence: Option<EvidenceRef>) {
    if let Some(EvidenceRef { day, digest }) = evidence {
        detail.object("evidence", |object| {
            object.text("day", day);
            object.text("digest", digest);
        });
    }
}

fn write_requester(detail: &mut Object<'_>, requester: Option<&Requester>, scissors: &Scissors) {
    if let Some(Requester { issuer, subject }) = requester {
        detail.object("requester", |object| {
            object.text("issuer", scissors.text(issuer));
            object.text("subject", scissors.text(subject));
        });
    }
}

fn charge(detail: &mut Object<'_>, name: &str, charge: Charge) {
    counts(
        detail,
        name,
        [
            charge.calls,
            charge.deletes,
            charge.irreversible,
            charge.writes,
        ],
    );
}

fn budget(detail: &mut Object<'_>, name: &str, budget: Budget) {
    counts(
        detail,
        name,
        [
            budget.calls,
            budget.deletes,
            budget.irreversible,
            budget.writes,
        ],
    );
}

fn counts(detail: &mut Object<'_>, name: &str, [calls, deletes, irreversible, writes]: [u64; 4]) {
    detail.object(name, |object| {
        object.number("calls", calls);
        object.number("deletes", deletes);
        object.number("irreversible", irreversible);
        object.number("writes", writes);
    });
}
