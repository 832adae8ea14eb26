//! What records tell: one variant for each kind of thing that is written down.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use writ_types::{
    ActionName, AgentId, ApiId, ApprovalId, Asserters, Binding, Budget, CallId, Charge,
    Conformance, CredentialName, Digest, Effects, Grant, KeyedDigest, Label, Mode, OperatorId,
    Principal, PurposeName, Quantities, ReasonCode, Requester, RevisionId, SpiffeId, TaskId,
    Timestamp, TokenId, ValueDigests, Verdict,
};

use super::part::{EvidenceRef, Method, Source, TraceId, Word};

/// What happened. The list is closed: a new kind makes every reader decide what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A call was permitted and is about to be sent.
    Intent(Box<Intent>),
    /// What became of a call that was sent.
    Outcome(Outcome),
    /// A call of a live task was refused.
    Refused(Box<Refused>),
    /// A task was opened.
    TaskOpened(Box<TaskOpened>),
    /// A live task came to hold something else.
    TaskAmended(Box<TaskAmended>),
    /// A task ended.
    TaskClosed(TaskClosed),
    /// A token was issued.
    TokenIssued(TokenIssued),
    /// A registered agent's request for a token was refused.
    TokenRefused(TokenRefused),
    /// A token for calls of an API was asked for at its authorization server.
    UpstreamToken(Box<UpstreamToken>),
    /// The process began to write this log.
    Started(Started),
    /// A revision came into force.
    RevisionActivated(RevisionActivated),
    /// An operator did something.
    OperatorAction(OperatorAction),
    /// A key was made or replaced.
    KeyRotated(KeyRotated),
    /// Something became of an approval.
    Approval(Box<Approval>),
    /// Somebody did what an honest agent does not do.
    Alarm(Box<Alarm>),
}

impl Event {
    /// The word of its kind in records.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Intent(_) => "intent",
            Self::Outcome(_) => "outcome",
            Self::Refused(_) => "refused",
            Self::TaskOpened(_) => "task_opened",
            Self::TaskAmended(_) => "task_amended",
            Self::TaskClosed(_) => "task_closed",
            Self::TokenIssued(_) => "token_issued",
            Self::TokenRefused(_) => "token_refused",
            Self::UpstreamToken(_) => "upstream_token",
            Self::Started(_) => "started",
            Self::RevisionActivated(_) => "revision_activated",
            Self::OperatorAction(_) => "operator_action",
            Self::KeyRotated(_) => "key_rotated",
            Self::Approval(_) => "approval",
            Self::Alarm(_) => "alarm",
        }
    }
}

/// Who calls, as proven. The tenant is the header's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The agent.
    pub agent: AgentId,
    /// Its workload identity.
    pub spiffe: SpiffeId,
    /// The user it acts for, if any.
    pub requester: Option<Requester>,
    /// The task.
    pub task: TaskId,
    /// The token.
    pub token: TokenId,
    /// The key it is bound to.
    pub binding: Binding,
}

impl From<&Principal> for Subject {
    fn from(principal: &Principal) -> Self {
        Self {
            agent: principal.agent,
            spiffe: principal.spiffe.clone(),
            requester: principal.requester.clone(),
            task: principal.task,
            token: principal.token,
            binding: principal.binding.clone(),
        }
    }
}

/// What was decided about a call, by which rules, at which instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// The ids of the rules that made it. Free-form: may be cut.
    pub rules: BTreeSet<String>,
    /// The instant it was made for.
    pub at: Timestamp,
    /// The digest of the policies.
    pub policy: Digest,
    /// What is done to the response, as policies write it. Free-form: may be cut.
    pub obligations: BTreeSet<String>,
    /// The approval or deferral that it rests on, or that it asks for.
    pub approval: Option<ApprovalId>,
    /// What a draft that was tried made of the call, where that is another verdict.
    pub shadow: Option<Shadowed>,
}

/// What a draft of policies would have decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// The verdict.
    pub verdict: Verdict,
    /// The ids of the rules that made it. Free-form: may be cut.
    pub rules: BTreeSet<String>,
    /// The digest of the draft's policies.
    pub policy: Digest,
}

/// A permitted call, before the upstream hears of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The call.
    pub call: CallId,
    /// Who calls.
    pub subject: Subject,
    /// What the task is for.
    pub purpose: PurposeName,
    /// The commitment to the prompt, if there was one.
    pub prompt: Option<KeyedDigest>,
    /// The action.
    pub action: ActionName,
    /// The request method.
    pub method: Method,
    /// The path of the contract with its parameters' names, never their values. Free-form: may be cut.
    pub path: String,
    /// The digest of the API's contract.
    pub contract: Digest,
    /// The operation's effects; what the call is charged follows from them.
    pub effects: Effects,
    /// The decision.
    pub decision: Decision,
    /// The name of the credential that is attached, if any.
    pub credential: Option<CredentialName>,
    /// The commitment to the canonical request: method, target, forwarded content type, body.
    pub request: KeyedDigest,
    /// The size of the request's body, in bytes.
    pub request_bytes: u64,
    /// Where the call came from.
    pub source: Option<Source>,
    /// The trace it belongs to.
    pub trace: Option<TraceId>,
    /// What the task has spent, this call included.
    pub spent: Charge,
    /// What is left after this call.
    pub left: Budget,
    /// The step of the plan that it is, counted from zero, where the task or one above it has a plan.
    pub step: Option<u16>,
    /// What its arguments come to, as the API's owner calls them: what windows sum up.
    pub quantities: Option<Quantities>,
    /// Of a call that writes, the values that nothing vouches for, in every form they could be read back in; none if that is
    /// more than a record holds, or not known.
    pub written: Option<ValueDigests>,
    /// The arguments and the decision's inputs in the vault.
    pub evidence: Option<EvidenceRef>,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeKind {
    /// The last byte of the response was forwarded.
    Completed,
    /// The upstream did not answer, or broke off.
    UpstreamError,
    /// Writ cut it: a kill, a limit, a violation.
    Cut,
    /// The client went away.
    ClientGone,
    /// It is not known; whether it had an effect is not either.
    Unknown,
}

impl OutcomeKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Completed,
        Self::UpstreamError,
        Self::Cut,
        Self::ClientGone,
        Self::Unknown,
    ];

    /// The word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::UpstreamError => "upstream_error",
            Self::Cut => "cut",
            Self::ClientGone => "client_gone",
            Self::Unknown => "unknown",
        }
    }
}

/// How long the phases of a call took; whole milliseconds are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases {
    /// From the request's arrival to its sending, the wait for the record included.
    pub queue: Duration,
    /// From its sending to the response's head, if one came.
    pub head: Option<Duration>,
    /// From its arrival to its end.
    pub total: Duration,
}

/// The end of a call that had an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The call.
    pub call: CallId,
    /// The index of its intent.
    pub intent: u64,
    /// Its task.
    pub task: TaskId,
    /// Its agent.
    pub agent: AgentId,
    /// Its action.
    pub action: ActionName,
    /// What became of it.
    pub result: OutcomeKind,
    /// The upstream's status code, if it answered.
    pub status: Option<u16>,
    /// The commitment to the request's body as far as it was forwarded, if it was passed on as it came; otherwise the
    /// intent has it.
    pub request: Option<KeyedDigest>,
    /// The bytes of it that were forwarded.
    pub request_bytes: Option<u64>,
    /// The commitment to the response's body as far as it was forwarded.
    pub response: Option<KeyedDigest>,
    /// The bytes of it that were forwarded.
    pub response_bytes: u64,
    /// How the response stood to the contract, if it was read whole.
    pub conformance: Option<Conformance>,
    /// How many faults it had.
    pub response_faults: Option<u64>,
    /// What its task was marked with because of what it held: the overlay's labels are the intent's.
    pub labels: BTreeSet<Label>,
    /// How long it took.
    pub phases: Phases,
    /// What it was charged in the end.
    pub settled: Charge,
}

/// A call of a live task that was refused, with what was known by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The call.
    pub call: CallId,
    /// Who called.
    pub subject: Subject,
    /// Why.
    pub reason: ReasonCode,
    /// The decision, if it came to one.
    pub decision: Option<Decision>,
    /// What the task is for, if that was known.
    pub purpose: Option<PurposeName>,
    /// The action, if it was resolved.
    pub action: Option<ActionName>,
    /// The request method, if it was one.
    pub method: Option<Method>,
    /// The digest of the API's contract, if the API was known.
    pub contract: Option<Digest>,
    /// The commitment to the canonical request, if it was read.
    pub request: Option<KeyedDigest>,
    /// The size of its body in bytes, if it was read.
    pub request_bytes: Option<u64>,
    /// How many faults the input or the policies' evaluation had.
    pub errors: u64,
    /// Whether it has paused the task: too many values were tried that nothing vouched for.
    pub pauses: bool,
    /// Where it came from.
    pub source: Option<Source>,
    /// The trace it belongs to.
    pub trace: Option<TraceId>,
    /// The arguments and the decision's inputs in the vault.
    pub evidence: Option<EvidenceRef>,
}

/// A task that was opened. The grant itself is the store's; its digest commits to all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskOpened {
    /// The task.
    pub task: TaskId,
    /// The agent that holds it.
    pub agent: AgentId,
    /// Its workload identity.
    pub spiffe: SpiffeId,
    /// The user it acts for, if any.
    pub requester: Option<Requester>,
    /// What it is for.
    pub purpose: PurposeName,
    /// Copilot or autonomous.
    pub mode: Mode,
    /// The actions it holds. Free-form: may be cut.
    pub actions: BTreeSet<ActionName>,
    /// The digest of the whole grant, bounds included ([`Grant::digest`]).
    pub grant: Digest,
    /// What it may spend.
    pub budget: Budget,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it ends by itself.
    pub deadline: Timestamp,
    /// The task it was narrowed from, if any.
    pub parent: Option<TaskId>,
    /// The commitment to the prompt, if there was one.
    pub prompt: Option<KeyedDigest>,
    /// Who said what prompt, bounds and plan are.
    pub asserters: Asserters,
    /// Where the request came from.
    pub source: Option<Source>,
    /// The prompt in the vault.
    pub evidence: Option<EvidenceRef>,
}

impl TaskOpened {
    /// The opening of `grant` for the agent with the identity `spiffe`.
    #[must_use]
    pub fn of(
        grant: &Grant,
        spiffe: &SpiffeId,
        source: Option<Source>,
        evidence: Option<EvidenceRef>,
    ) -> Self {
        Self {
            task: grant.task,
            agent: grant.agent,
            spiffe: spiffe.clone(),
            requester: grant.requester.clone(),
            purpose: grant.purpose.clone(),
            mode: grant.mode,
            actions: grant.actions.clone(),
            grant: grant.digest(),
            budget: grant.budget,
            opened: grant.opened,
            deadline: grant.deadline,
            parent: grant.parent,
            prompt: grant.prompt,
            asserters: grant.asserters.clone(),
            source,
            evidence,
        }
    }
}

/// A live task that holds something else from here on. As of its opening, the grants are the store's, and the digests commit to
/// all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskAmended {
    /// The task.
    pub task: TaskId,
    /// The agent that holds it, and asked.
    pub agent: AgentId,
    /// The digest of what it held ([`Grant::digest`]).
    pub from: Digest,
    /// The digest of what it holds.
    pub grant: Digest,
    /// The actions it holds. Free-form: may be cut.
    pub actions: BTreeSet<ActionName>,
    /// What it may spend in its whole life.
    pub budget: Budget,
    /// When it ends by itself.
    pub deadline: Timestamp,
    /// The approval that was used; none if it holds nothing that it did not hold.
    pub approval: Option<ApprovalId>,
    /// Where the request came from.
    pub source: Option<Source>,
}

impl TaskAmended {
    /// The step from one grant of a task to another.
    #[must_use]
    pub fn of(
        from: &Grant,
        grant: &Grant,
        approval: Option<ApprovalId>,
        source: Option<Source>,
    ) -> Self {
        Self {
            task: grant.task,
            agent: grant.agent,
            from: from.digest(),
            grant: grant.digest(),
            actions: grant.actions.clone(),
            budget: grant.budget,
            deadline: grant.deadline,
            approval,
            source,
        }
    }
}

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// An operator.
    Operator(OperatorId),
    /// An agent.
    Agent(AgentId),
    /// Writ itself.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(id) => id.fmt(f),
            Self::Agent(id) => id.fmt(f),
            Self::System => f.write_str("system"),
        }
    }
}

impl FromStr for Actor {
    type Err = writ_types::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "system" {
            return Ok(Self::System);
        }
        text.parse()
            .map(Self::Operator)
            .or_else(|_no_operator| text.parse().map(Self::Agent))
    }
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Its holder closed it.
    Closed,
    /// It was killed.
    Revoked,
    /// Its deadline passed.
    Expired,
}

impl Closing {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Revoked, Self::Expired];

    /// The word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// A task that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskClosed {
    /// The task.
    pub task: TaskId,
    /// The agent that held it.
    pub agent: AgentId,
    /// How it ended.
    pub how: Closing,
    /// Who ended it.
    pub by: Actor,
    /// What it had spent.
    pub spent: Charge,
}

/// A token that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenIssued {
    /// The token.
    pub token: TokenId,
    /// Its task.
    pub task: TaskId,
    /// Its agent.
    pub agent: AgentId,
    /// The one API it is for; none if it is for all.
    pub api: Option<ApiId>,
    /// The key it is bound to.
    pub binding: Binding,
    /// When it ends.
    pub expires: Timestamp,
    /// Where the request came from.
    pub source: Option<Source>,
}

/// A registered agent's request for a token that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRefused {
    /// The agent.
    pub agent: AgentId,
    /// The OAuth error code (RFC 6749 §5.2).
    pub error: Word,
    /// Where the request came from.
    pub source: Option<Source>,
}

/// A token for calls of an API that was asked for at its authorization server, for the call that needed it first; never the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamToken {
    /// The call.
    pub call: CallId,
    /// Its task.
    pub task: TaskId,
    /// Its agent.
    pub agent: AgentId,
    /// The API.
    pub api: ApiId,
    /// The secret that Writ proved itself with, if it was one.
    pub credential: Option<CredentialName>,
    /// The grant that was asked for.
    pub grant: Word,
    /// The scope that was asked for. Free-form: may be cut.
    pub scope: String,
    /// Until when the token is used, if one came.
    pub expires: Option<Timestamp>,
    /// Why none came.
    pub error: Option<Word>,
}

/// The head of a log at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointRef {
    /// How many entries it covers.
    pub size: u64,
    /// The root hash over them.
    pub root: Digest,
}

/// The first record of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Intents of the processes before that have no outcome and that no earlier start reported.
    pub orphans: u64,
    /// Entries the log had.
    pub entries: u64,
    /// The last checkpoint before, if there was one.
    pub previous: Option<CheckpointRef>,
    /// The program's version. Free-form: may be cut.
    pub program: String,
}

/// A revision that came into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionActivated {
    /// The revision before, if there was one.
    pub from: Option<RevisionId>,
    /// The revision now.
    pub to: RevisionId,
    /// The digest of its contents.
    pub digest: Digest,
    /// Who changed it.
    pub by: Actor,
}

/// Something an operator did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorAction {
    /// The operator.
    pub by: OperatorId,
    /// What they did: `agent.add`.
    pub action: Word,
    /// To what: an id or a name of the registry, never a value. Free-form: may be cut.
    pub target: String,
    /// The digest of what it then was.
    pub digest: Digest,
}

/// A key that was made or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRotated {
    /// What it is for: `log`, `token`, `trust` (all trust roots together).
    pub purpose: Word,
    /// The thumbprint of the key before, if there was one.
    pub old: Option<Digest>,
    /// The thumbprint of the key now.
    pub new: Digest,
    /// Who replaced it.
    pub by: Actor,
}

/// What became of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalStep {
    /// A call asked for it.
    Requested,
    /// A person has given some of what is needed.
    Given,
    /// A person has given all that was still needed.
    Approved,
    /// A person has said no.
    Denied,
    /// A wait began that a policy asks for.
    Deferred,
}

impl ApprovalStep {
    /// Every step.
    pub const ALL: [Self; 5] = [
        Self::Requested,
        Self::Given,
        Self::Approved,
        Self::Denied,
        Self::Deferred,
    ];

    /// The word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Given => "given",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Deferred => "deferred",
        }
    }
}

/// A step in the life of an approval; its use is in the intent of the call that used it. It commits to the one canonical call and to the card that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The approval.
    pub approval: ApprovalId,
    /// What became of it.
    pub step: ApprovalStep,
    /// The call that asked for it or used it; none for what a person does.
    pub call: Option<CallId>,
    /// The task.
    pub task: TaskId,
    /// Its agent.
    pub agent: AgentId,
    /// The action.
    pub action: ActionName,
    /// The roles that are needed, or were given in this step. Free-form: may be cut.
    pub roles: BTreeSet<String>,
    /// Who did it.
    pub by: Actor,
    /// The commitment to the canonical call, its task, the deciding rules and the card.
    pub binding: KeyedDigest,
    /// The digest of the card.
    pub card: Digest,
    /// Until when it can be used.
    pub expires: Timestamp,
    /// The card in the vault.
    pub evidence: Option<EvidenceRef>,
}

/// What an honest agent does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// A key of a live task was used from a second network while the first was in use.
    SecondSource,
    /// A second key asked for a token while another one had a live one.
    SecondInstance,
    /// Something was used that lies where only a thief finds it.
    Honey,
}

impl AlarmKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::SecondSource, Self::SecondInstance, Self::Honey];

    /// The word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SecondSource => "second_source",
            Self::SecondInstance => "second_instance",
            Self::Honey => "honey",
        }
    }
}

/// What followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmResponse {
    /// It went on.
    Raised,
    /// It was refused.
    Refused,
    /// It was refused, and the agent is to be stopped.
    Stopped,
}

impl AlarmResponse {
    /// Every response.
    pub const ALL: [Self; 3] = [Self::Raised, Self::Refused, Self::Stopped];

    /// The word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Refused => "refused",
            Self::Stopped => "stopped",
        }
    }
}

/// Somebody did what an honest agent does not do. The first of a minute is recorded; those after it are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What.
    pub what: AlarmKind,
    /// In whose name; none for a registered client's.
    pub agent: Option<AgentId>,
    /// With whose task, if with one's.
    pub task: Option<TaskId>,
    /// The thumbprint of the key, if one was proven.
    pub key: Option<Digest>,
    /// What was laid for thieves, by its name. Free-form: may be cut.
    pub trap: Option<String>,
    /// Where it came from.
    pub source: Option<Source>,
    /// Where the key was in use before, if that is what it is about.
    pub before: Option<Source>,
    /// What followed.
    pub response: AlarmResponse,
}
