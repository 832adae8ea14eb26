//! What is known of a call so far, and the records made of it.
//!
//! Refused or permitted, a call is recorded with everything that was known by then. The call path tells the story as it
//! goes; only this file knows the form of records.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::header::HeaderMap;
use writ_audit::{
    Decision, Durability, Event, EvidenceKind, Header, Intent, Method, Receipt, Record, Refused,
    Shadowed, Source, Subject, TraceId,
};
use writ_contract::{AuditMode, Fault, Operation};
use writ_policy::{Denied, Disagreement, Permit};
use writ_task::ReserveError;
use writ_token::Authenticated;
use writ_types::{
    ActionName, ApprovalId, CallId, Charge, Digest, Effects, Facts, Grant, Inputs, KeyedDigest,
    Monotonic, Quantities, ReasonCode, Timestamp, Value,
};

use crate::asked::Read;
use crate::completion::Armed;
use crate::flow::Written;
use crate::gateway::{Downstream, Gateway};
use crate::kept;
use crate::mcp::Errand;
use crate::refusal::Refusal;
use crate::snapshot::{ApiSnapshot, Snapshot};
use crate::windows;

/// The story of one call.
pub(crate) struct Story {
    gateway: Arc<Gateway>,
    call: CallId,
    arrived: Monotonic,
    source: Source,
    trace: Option<TraceId>,
    known: Option<Known>,
    resolved: Option<Resolved>,
    request: Option<(KeyedDigest, u64)>,
    inputs: Inputs,
    answers: Option<Value>,
    quantities: Quantities,
    decision: Option<Decision>,
    approval: Option<ApprovalId>,
    shadow: Option<Shadowed>,
    errors: u64,
    pauses: bool,
    recorded: bool,
}

/// Who calls.
struct Known {
    subject: Subject,
    grant: Arc<Grant>,
    snapshot: Arc<Snapshot>,
    now: Timestamp,
}

/// What is called.
struct Resolved {
    action: ActionName,
    method: Option<Method>,
    template: String,
    contract: Digest,
    effects: Effects,
    durable: bool,
}

impl Story {
    pub(crate) fn begin(
        gateway: &Arc<Gateway>,
        call: CallId,
        from: &Downstream,
        headers: &HeaderMap,
    ) -> Self {
        // The caller's word for what the call is part of: it is recorded, and believed by nobody.
        let mut parents = headers.get_all("traceparent").iter();
        let trace = match (parents.next(), parents.next()) {
            (Some(parent), None) => parent.to_str().ok().and_then(trace_id),
            _ => None,
        };
        Self {
            gateway: Arc::clone(gateway),
            call,
            arrived: gateway.parts.clock.monotonic(),
            source: Source::of(from.peer.ip()),
            trace,
            known: None,
            resolved: None,
            request: None,
            inputs: Inputs::default(),
            answers: None,
            quantities: Quantities::default(),
            decision: None,
            approval: None,
            shadow: None,
            errors: 0,
            pauses: false,
            recorded: false,
        }
    }

    pub(crate) const fn call(&self) -> CallId {
        self.call
    }

    /// Whether the caller is known, so that a refusal is a record.
    pub(crate) const fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// The call's refusal pauses its task.
    pub(crate) const fn pauses(&mut self) {
        self.pauses = true;
    }

    /// Whether the intent is in the log, so that the outcome tells the rest.
    pub(crate) const fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// The caller is known, and so is its task.
    pub(crate) fn known(
        &mut self,
        caller: &Authenticated,
        grant: &Arc<Grant>,
        snapshot: &Arc<Snapshot>,
        now: Timestamp,
    ) {
        self.known = Some(Known {
            subject: Subject::from(caller.principal()),
            grant: Arc::clone(grant),
            snapshot: Arc::clone(snapshot),
            now,
        });
    }

    /// The operation is known.
    pub(crate) fn resolved(&mut self, api: &ApiSnapshot, operation: &Operation) {
        self.resolved = Some(Resolved {
            action: operation.action().clone(),
            method: operation.method().parse().ok(),
            template: operation.template().to_owned(),
            contract: api.contract.digest(),
            effects: operation.effects(),
            durable: !operation.effects().is_plain_read()
                || operation
                    .labels()
                    .iter()
                    .any(writ_types::Label::needs_durable_intent),
        });
    }

    /// The request was read: what it is committed to, and what it said.
    pub(crate) fn read(&mut self, operation: &Operation, read: &Read<'_>) {
        self.quantities = windows::quantities(operation, read);
        let Read { parsed, body, .. } = read;
        let mut hasher = KeyedDigest::begin(&self.gateway.parts.audit_key, "request");
        let method = self
            .resolved
            .as_ref()
            .and_then(|resolved| resolved.method.as_ref());
        for part in [
            method.map_or("", Method::as_str),
            &parsed.target,
            read.content_type.as_deref().unwrap_or_default(),
        ] {
            hasher.update(part.as_bytes());
            hasher.update(b"\n");
        }
        // Of a body that is not here yet, the outcome will hold the commitment.
        hasher.update(body.at_hand());
        if read.errand == Errand::Subscription {
            hasher.update(b"\nresources/subscribe");
        }
        if let Some(answers) = &read.answers {
            hasher.update(b"\n");
            hasher.update(&answers.bytes());
            let is_kept = matches!(operation.handling().audit, None | Some(AuditMode::Keep));
            // What is answered has no marks of its own: what is said of the operation counts.
            let answers = is_kept.then(|| answers.as_value().clone());
            self.answers = Some(answers.unwrap_or_else(|| Value::from("(not kept)")));
        }
        self.request = Some((hasher.finish(), body.length()));
        let fault = |fault: &Fault| (fault.pointer.clone(), fault.kind.to_string());
        let key = &self.gateway.parts.audit_key;
        // The digest of the same value is the same in every record.
        let digest = |value: &Value| {
            let value = value.canonical();
            format!(
                "(hash {})",
                KeyedDigest::of(key, "kept value", value.as_bytes())
            )
        };
        let kept = operation.kept(parsed, &digest);
        (self.inputs.input, self.inputs.masked) = (Some(kept.input), kept.masked);
        self.inputs.faults = parsed.faults.iter().map(fault).collect();
        self.errors = u64::try_from(parsed.faults.len()).unwrap_or(u64::MAX);
    }

    /// The budget does not cover the call, or the task is over or paused.
    pub(crate) const fn unpaid(&mut self, fault: ReserveError) -> ReasonCode {
        if let ReserveError::Exhausted { left, .. } = fault {
            self.inputs.left = Some(left);
        }
        fault.reason()
    }

    /// What was known of the call when it was refused.
    pub(crate) fn weighed(&mut self, facts: &Facts) {
        self.inputs.facts = Some(facts.clone());
    }

    /// The approval or wait that the call rests on, or asks for.
    pub(crate) const fn rests_on(&mut self, approval: Option<ApprovalId>) {
        self.approval = approval;
    }

    /// What a draft that is tried makes of the call, where that is another verdict; the last word of it counts.
    pub(crate) fn shadowed(&mut self, disagreement: Option<Disagreement>) {
        self.shadow = disagreement.map(|other| Shadowed {
            verdict: other.verdict,
            rules: other.rules.into_iter().collect(),
            policy: other.policy,
        });
    }

    /// A decision that is no yes.
    pub(crate) fn denied(&mut self, denied: &Denied, policy: Digest, at: Timestamp) {
        let rules = denied.rules.iter().cloned().collect();
        self.decision = Some(Decision {
            verdict: denied.verdict,
            rules,
            at,
            policy,
            obligations: BTreeSet::new(),
            approval: self.approval,
            shadow: self.shadow.clone(),
        });
        self.errors = self
            .errors
            .saturating_add(u64::try_from(denied.errors.len()).unwrap_or(u64::MAX));
    }

    fn permitted(&self, permit: &Permit) -> Decision {
        Decision {
            verdict: permit.verdict(),
            rules: permit.rules().iter().cloned().collect(),
            at: permit.instant(),
            policy: permit.policy(),
            obligations: permit.obligations().words().collect(),
            approval: self.approval,
            shadow: self.shadow.clone(),
        }
    }

    /// Writes the intent and waits until it has got as far as the call's effects demand (DESIGN §4 step 11).
    pub(crate) async fn intend(
        &mut self,
        permit: &Permit,
        (facts, charge): (&Facts, Charge),
        api: &ApiSnapshot,
        written: &Written,
    ) -> Result<(Receipt, Armed), ReasonCode> {
        let unavailable = ReasonCode::RecordUnavailable;
        let (Some(known), Some(resolved)) = (&self.known, &self.resolved) else {
            return Err(unavailable);
        };
        let (Some((request, request_bytes)), Some(method)) =
            (self.request, resolved.method.clone())
        else {
            return Err(unavailable);
        };
        let header = self.new_header(known);
        let inputs = Inputs {
            facts: Some(facts.clone()),
            ..std::mem::take(&mut self.inputs)
        };
        let evidence = self.seal(&header, inputs)?;
        let intent = Intent {
            call: self.call,
            subject: known.subject.clone(),
            purpose: known.grant.purpose.clone(),
            prompt: known.grant.prompt,
            action: resolved.action.clone(),
            method,
            path: resolved.template.clone(),
            contract: resolved.contract,
            effects: resolved.effects,
            decision: self.permitted(permit),
            credential: api
                .credential
                .as_ref()
                .map(|credential| credential.name().clone()),
            request,
            request_bytes,
            source: Some(self.source),
            trace: self.trace,
            spent: facts.spent,
            left: facts.left,
            step: facts.plan.step(),
            quantities: Some(self.quantities.clone()).filter(|all| !all.is_empty()),
            written: written.recorded(charge, self.gateway.parts.limits.record_bytes),
            evidence: Some(evidence.reference()),
        };
        let durability = if resolved.durable {
            Durability::Durable
        } else {
            Durability::Handed
        };
        let record = Record::new(header.clone(), Event::Intent(Box::new(intent)));
        let receipt = self
            .gateway
            .parts
            .audit
            .append(record, Some(evidence), durability)
            .await;
        let receipt = receipt.map_err(|fault| self.unrecorded(&fault))?;
        let armed = Armed {
            header,
            action: resolved.action.clone(),
            charge,
            arrived: self.arrived,
            said: written.said(),
        };
        self.recorded = true;
        Ok((receipt, armed))
    }

    /// Writes the refusal.
    pub(crate) async fn refused(&self, refusal: &Refusal) -> Result<(), ReasonCode> {
        let Some(known) = &self.known else {
            return Ok(());
        };
        let header = self.new_header(known);
        let evidence = self.seal_refused(&header, known);
        let refused = Refused {
            call: self.call,
            subject: known.subject.clone(),
            reason: refusal.reason,
            decision: self.decision.clone(),
            purpose: Some(known.grant.purpose.clone()),
            action: self
                .resolved
                .as_ref()
                .map(|resolved| resolved.action.clone()),
            method: self
                .resolved
                .as_ref()
                .and_then(|resolved| resolved.method.clone()),
            contract: self.resolved.as_ref().map(|resolved| resolved.contract),
            request: self.request.map(|(digest, _)| digest),
            request_bytes: self.request.map(|(_, bytes)| bytes),
            errors: self.errors,
            pauses: self.pauses,
            source: Some(self.source),
            trace: self.trace,
            evidence: evidence.as_ref().map(writ_audit::Evidence::reference),
        };
        let record = Record::new(header, Event::Refused(Box::new(refused)));
        // A restart makes a paused task again from its record.
        let durability = match self.pauses {
            true => Durability::Durable,
            false => Durability::Handed,
        };
        let audit = &self.gateway.parts.audit;
        let appended = audit.append(record, evidence, durability).await;
        appended.map(drop).map_err(|fault| self.unrecorded(&fault))
    }

    fn new_header(&self, known: &Known) -> Header {
        Header {
            id: self.gateway.new_record(),
            tenant: known.snapshot.tenant.clone(),
            time: known.now,
            node: self.gateway.parts.node.clone(),
            revision: Some(known.snapshot.revision),
        }
    }

    /// The arguments and the decision's inputs, encrypted for the vault under the record's own id.
    fn seal(&self, header: &Header, inputs: Inputs) -> Result<writ_audit::Evidence, ReasonCode> {
        let mut kept = inputs.into_value();
        if let (Value::Object(members), Some(answers)) = (&mut kept, &self.answers) {
            members.insert("answers".to_owned(), answers.clone());
        }
        self.sealed(header, &kept.to_string())
    }

    /// The same of a refusal: bounded in size, and in how often it is done for one task.
    fn seal_refused(&self, header: &Header, known: &Known) -> Option<writ_audit::Evidence> {
        let is_known = self.inputs != Inputs::default();
        if !is_known || !self.gateway.kept().admits(known.grant.task) {
            return None;
        }
        let mut text = self.inputs.clone().into_value().to_string();
        if text.len() > kept::LONGEST {
            let without = Inputs {
                input: None,
                ..self.inputs.clone()
            };
            text = without.into_value().to_string();
        }
        // A refusal stands without it; that it is not there is said where it is asked for.
        let fits = text.len() <= kept::LONGEST;
        fits.then(|| self.sealed(header, &text).ok()).flatten()
    }

    fn sealed(&self, header: &Header, text: &str) -> Result<writ_audit::Evidence, ReasonCode> {
        let sealed = self
            .gateway
            .parts
            .vault
            .seal(header.id, EvidenceKind::Call, text.as_bytes());
        sealed.map_err(|fault| {
            tracing::error!(call.id = %self.call, %fault, "the evidence could not be sealed");
            ReasonCode::RecordUnavailable
        })
    }

    fn unrecorded(&self, fault: &writ_audit::AppendError) -> ReasonCode {
        tracing::error!(call.id = %self.call, %fault, "the call could not be recorded");
        ReasonCode::RecordUnavailable
    }
}

/// The trace id of a `traceparent` field (W3C Trace Context §3.2).
fn trace_id(parent: &str) -> Option<TraceId> {
    let mut parts = parent.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    (version.len() == 2 && version != "ff").then(|| trace.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_named_by_its_parent_or_not_at_all() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = trace_id(parent).map(|trace| trace.to_string());
        assert_eq!(trace.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in [
            "",
            "00",
            "00-",
            "00-00000000000000000000000000000000-1-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-1-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-1-01",
        ] {
            assert!(trace_id(bad).is_none(), "{bad}");
        }
    }
}
