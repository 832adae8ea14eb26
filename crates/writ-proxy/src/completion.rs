//! What must survive a client that hangs up: the outcome of a call is recorded however it ends.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use writ_audit::{Event, Header, Outcome, OutcomeKind, Phases, Receipt, Record};
use writ_contract::CheckedResponse;
use writ_task::{EnterError, Entered, Hearing, LedgerFuture, Reservation};
use writ_types::{
    ActionName, AgentId, CallId, Charge, Conformance, KeyedDigest, KeyedHasher, Label, Monotonic,
    ReasonCode, TaskId, ValueDigest,
};

use crate::body::RequestBody;
use crate::gateway::Gateway;
use crate::pool::Unanswered;
use crate::upload::{Upload, UploadEnd, UploadWatch};

/// How a call ended, as the forwarding code sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The last byte of the response was forwarded.
    Completed,
    /// The upstream did not answer, or broke off.
    UpstreamError,
    /// A kill cut it.
    Cut,
    /// The response held the upstream's credential, or was larger than the limit.
    Withheld,
    /// Nothing was sent.
    NotSent,
    /// The client went away.
    ClientGone,
}

/// The guard of a call whose intent is recorded. Finishing it, or dropping it, records the outcome.
pub(crate) struct Completion {
    gateway: Arc<Gateway>,
    header: Header,
    call: CallId,
    intent: u64,
    task: TaskId,
    agent: AgentId,
    action: ActionName,
    charge: Charge,
    arrived: Monotonic,
    sent: Option<Monotonic>,
    head: Option<Monotonic>,
    status: Option<u16>,
    upload: Option<Arc<UploadWatch>>,
    response: Option<KeyedHasher>,
    bytes: u64,
    checked: Option<(Conformance, u64)>,
    labels: BTreeSet<Label>,
    said: Option<BTreeSet<ValueDigest>>,
    hearing: Option<Hearing>,
    /// Registered until the last byte, so that a kill can cut the call while it streams.
    entered: Entered,
    finished: bool,
}

/// What a completion is told when it is armed.
pub(crate) struct Armed {
    pub(crate) header: Header,
    pub(crate) action: ActionName,
    pub(crate) charge: Charge,
    pub(crate) arrived: Monotonic,
    /// The forms of what the call says and nothing vouches for; none if there is more than can be told.
    pub(crate) said: Option<BTreeSet<ValueDigest>>,
}

impl Completion {
    /// Arms the guard. From here on the outcome will be recorded.
    pub(crate) fn arm(
        gateway: &Arc<Gateway>,
        entered: Entered,
        receipt: &Receipt,
        armed: Armed,
    ) -> Self {
        Self {
            gateway: Arc::clone(gateway),
            header: armed.header,
            call: entered.call(),
            intent: receipt.index(),
            task: entered.grant().task,
            agent: entered.grant().agent,
            action: armed.action,
            charge: armed.charge,
            arrived: armed.arrived,
            sent: None,
            head: None,
            status: None,
            upload: None,
            response: None,
            bytes: 0,
            checked: None,
            labels: BTreeSet::new(),
            said: armed.said,
            hearing: None,
            entered,
            finished: false,
        }
    }

    /// What cuts a body that passes as it comes, beside a kill.
    pub(crate) fn listening(mut self, hearing: Option<Hearing>) -> Self {
        self.hearing = hearing;
        self
    }

    /// Whether a value of this form was said by the call itself, so that its response says nothing with it.
    pub(crate) fn echoes(&self, form: ValueDigest) -> bool {
        self.said.as_ref().is_none_or(|said| said.contains(&form))
    }

    pub(crate) const fn call(&self) -> CallId {
        self.call
    }

    pub(crate) const fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    pub(crate) const fn entered(&self) -> &Entered {
        &self.entered
    }

    /// What its records begin with.
    pub(crate) const fn header(&self) -> &Header {
        &self.header
    }

    /// Whether the call may be made a second time with nothing done twice: it only reads.
    pub(crate) const fn only_reads(&self) -> bool {
        self.charge.writes == 0 && self.charge.irreversible == 0
    }

    /// Nothing will be sent.
    pub(crate) fn refuse(self, reason: ReasonCode) -> ReasonCode {
        self.finish(End::NotSent);
        reason
    }

    /// The request's body as it will leave, its bytes committed to as they pass.
    pub(crate) fn upload(&mut self, body: RequestBody) -> Upload {
        let (incoming, parts) = match body {
            RequestBody::Whole(bytes) => return Upload::whole(bytes),
            RequestBody::Streamed(incoming, _) => (incoming, &self.gateway.parts),
        };
        let watch = UploadWatch::new(KeyedDigest::begin(&parts.audit_key, "request body"));
        self.upload = Some(Arc::clone(&watch));
        let patience = parts.timeouts.request_body;
        let ends = (self.entered.cut(), self.hearing.take());
        Upload::streamed(incoming, ends, patience, watch)
    }

    /// There is no response to forward. A client that broke off its body is the reason before the upstream is, and of
    /// a call that writes and may have been heard, nobody knows whether it had its effect.
    pub(crate) fn fail(self, end: End, fault: Unanswered) -> ReasonCode {
        let writes = self.charge.writes > 0 && fault.reason != ReasonCode::TaskEnded;
        let (end, reason) = match self.upload.as_ref().and_then(|upload| upload.fault()) {
            Some(UploadEnd::Cut) => (End::Cut, self.cut()),
            Some(told @ UploadEnd::Told) => (End::Cut, told.reason()),
            Some(broken) => (End::ClientGone, broken.reason()),
            None if writes && fault.heard => (end, ReasonCode::EffectUnknown),
            None => (end, fault.reason),
        };
        self.finish(end);
        reason
    }

    /// What a call that was cut is told: its task is over, or what it needs was stopped and its task lives on. Then nobody knows of one
    /// that writes and has left whether it had its effect.
    pub(crate) fn cut(&self) -> ReasonCode {
        let has_left = self.sent.is_some() && self.charge.writes > 0;
        match (self.entered.cut().is_stopped(), has_left) {
            (false, _) => ReasonCode::TaskEnded,
            (true, false) => ReasonCode::Stopped,
            (true, true) => ReasonCode::EffectUnknown,
        }
    }

    /// The request is about to leave: what was reserved is used up.
    pub(crate) fn sent(&mut self, reservation: Reservation) {
        self.sent = Some(self.gateway.parts.clock.monotonic());
        reservation.settle(writ_task::Outcome::Sent);
    }

    /// The response's head has arrived.
    pub(crate) fn head(&mut self, status: StatusCode) {
        self.head = Some(self.gateway.parts.clock.monotonic());
        self.status = Some(status.as_u16());
        self.response = Some(KeyedDigest::begin(
            &self.gateway.parts.audit_key,
            "response",
        ));
    }

    /// The response was read whole and held against its contract.
    pub(crate) fn checked(&mut self, checked: &CheckedResponse) {
        let faults = u64::try_from(checked.faults.len()).unwrap_or(u64::MAX);
        self.checked = Some((checked.conformance, faults));
    }

    /// The task is marked because of what the response holds. The outcome says so, that a restart knows it too.
    pub(crate) fn mark<'a>(
        &'a mut self,
        labels: &BTreeSet<Label>,
    ) -> LedgerFuture<'a, Result<(), EnterError>> {
        self.labels.extend(labels.iter().cloned());
        self.gateway.parts.ledger.add_labels(&self.entered, labels)
    }

    /// Whether the response has raised all of these already.
    pub(crate) fn has_marked(&self, labels: &BTreeSet<Label>) -> bool {
        labels.is_subset(&self.labels)
    }

    /// Bytes of the response were forwarded.
    pub(crate) fn passed(&mut self, bytes: &Bytes) {
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if let Some(hasher) = &mut self.response {
            hasher.update(bytes);
        }
    }

    /// The call has ended.
    pub(crate) fn finish(mut self, end: End) {
        self.record(end);
    }

    fn record(&mut self, end: End) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let now = self.gateway.parts.clock.monotonic();
        let since = |from: Option<Monotonic>, to: Monotonic| from.map(|from| to.since(from));
        let result = match end {
            End::Completed => OutcomeKind::Completed,
            End::UpstreamError => OutcomeKind::UpstreamError,
            End::Cut | End::Withheld | End::NotSent => OutcomeKind::Cut,
            // Cut before the head arrived: whether it had an effect is not known.
            End::ClientGone if self.sent.is_some() && self.head.is_none() => OutcomeKind::Unknown,
            End::ClientGone => OutcomeKind::ClientGone,
        };
        let upload = self.upload.as_ref().map(|upload| upload.passed());
        let outcome = Outcome {
            call: self.call,
            intent: self.intent,
            task: self.task,
            agent: self.agent,
            action: self.action.clone(),
            result,
            status: self.status,
            request: upload.map(|(digest, _)| digest),
            request_bytes: upload.map(|(_, bytes)| bytes),
            response: self.response.take().map(KeyedHasher::finish),
            response_bytes: self.bytes,
            conformance: self.checked.map(|(conformance, _)| conformance),
            response_faults: self
                .checked
                .map(|(_, faults)| faults)
                .filter(|faults| *faults > 0),
            labels: std::mem::take(&mut self.labels),
            phases: Phases {
                queue: self.sent.unwrap_or(now).since(self.arrived),
                head: self.head.and_then(|head| since(self.sent, head)),
                total: now.since(self.arrived),
            },
            settled: self.charge,
        };
        let header = Header {
            id: self.gateway.new_record(),
            time: self.gateway.parts.clock.now(),
            ..self.header.clone()
        };
        self.gateway
            .parts
            .audit
            .note(Record::new(header, Event::Outcome(outcome)));
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.record(End::ClientGone);
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("call", &self.call)
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}
