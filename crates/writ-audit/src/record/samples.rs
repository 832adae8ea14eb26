//! One record of each kind, for tests.

use std::time::Duration;

use writ_types::{
    ActionName, AgentId, ApprovalId, Asserter, Asserters, Binding, Budget, CallId, Charge,
    Conformance, Digest, Effect, Effects, KeyedDigest, Mode, OperatorId, ReasonCode, RecordId,
    Requester, RevisionId, Secret, TaskId, Timestamp, TokenId, Verdict,
};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_123);

fn keyed(bytes: &[u8]) -> KeyedDigest {
    KeyedDigest::of(&Secret::new([5; 32]), "sample", bytes)
}

pub(crate) fn record_id(seed: u8) -> RecordId {
    RecordId::new(NOW, [seed; 10])
}

pub(crate) fn header(seed: u8) -> Header {
    Header {
        id: record_id(seed),
        tenant: Tenant::default_tenant(),
        time: NOW,
        node: "node-1".parse().unwrap(),
        revision: Some(RevisionId::new(NOW, [1; 10])),
    }
}

fn action() -> ActionName {
    "dns:patchZone".parse().unwrap()
}

pub(crate) fn call_id() -> CallId {
    CallId::new(NOW, [2; 10])
}

fn subject() -> Subject {
    Subject {
        agent: AgentId::new(NOW, [3; 10]),
        spiffe: "spiffe://writ.local/agent/dns".parse().unwrap(),
        requester: Some(Requester {
            issuer: "https://id.example".to_owned(),
            subject: "ann \"the\" owner\n".to_owned(),
        }),
        task: TaskId::new(NOW, [4; 10]),
        token: TokenId::new(NOW, [5; 10]),
        binding: Binding::Dpop(Digest::of(b"key")),
    }
}

fn decision() -> Decision {
    Decision {
        verdict: Verdict::Allow,
        rules: ["acme.writes".to_owned(), "base.reads".to_owned()].into(),
        at: NOW,
        policy: Digest::of(b"policy"),
        obligations: [].into(),
        approval: None,
        shadow: Some(Shadowed {
            verdict: Verdict::Deny,
            rules: ["acme.less".to_owned()].into(),
            policy: Digest::of(b"draft"),
        }),
    }
}

fn budget() -> Budget {
    Budget {
        calls: 49,
        writes: 4,
        deletes: 0,
        irreversible: 0,
    }
}

fn evidence() -> Option<EvidenceRef> {
    Some(EvidenceRef {
        day: Day::of(NOW),
        digest: Digest::of(b"sealed"),
    })
}

pub(crate) fn intent() -> Record {
    let event = Event::Intent(Box::new(Intent {
        call: call_id(),
        subject: subject(),
        purpose: "acme-renewal".parse().unwrap(),
        prompt: Some(keyed(b"prompt")),
        action: action(),
        method: "PATCH".parse().unwrap(),
        path: "/servers/{server_id}/zones/{zone_id}".to_owned(),
        contract: Digest::of(b"contract"),
        effects: Effects {
            kind: Effect::Write,
            irreversible: true,
            external_send: true,
        },
        decision: decision(),
        credential: Some("powerdns".parse().unwrap()),
        request: keyed(b"request"),
        request_bytes: 311,
        source: Some(Source::of("203.0.113.9".parse().unwrap())),
        trace: TraceId::from_bytes([7; 16]),
        spent: Charge::of(Effects::unreviewed(Effect::Write)),
        left: budget(),
        step: Some(2),
        quantities: Some("payment:EUR:12.5000,seats::?".parse().unwrap()),
        written: Some("00112233445566778899aabbccddeeff".parse().unwrap()),
        evidence: evidence(),
    }));
    Record::new(header(10), event)
}

pub(crate) fn outcome() -> Record {
    let event = Event::Outcome(Outcome {
        call: call_id(),
        intent: 17,
        task: subject().task,
        agent: subject().agent,
        action: action(),
        result: OutcomeKind::Completed,
        status: Some(204),
        request: Some(keyed(b"streamed")),
        request_bytes: Some(8),
        response: Some(keyed(b"")),
        response_bytes: 0,
        conformance: Some(Conformance::Breaks),
        response_faults: Some(2),
        labels: ["pii".parse().unwrap()].into(),
        phases: Phases {
            queue: Duration::from_millis(1),
            head: Some(Duration::from_millis(12)),
            total: Duration::from_millis(14),
        },
        settled: Charge::of(Effects::plain(Effect::Write)),
    });
    Record::new(header(11), event)
}

pub(crate) fn refused() -> Record {
    let event = Event::Refused(Box::new(Refused {
        call: call_id(),
        subject: Subject {
            requester: None,
            binding: Binding::Unbound,
            ..subject()
        },
        reason: ReasonCode::Forbidden,
        decision: Some(Decision {
            verdict: Verdict::StepUp,
            obligations: ["limit-bytes:9".to_owned(), "redact:/a".to_owned()].into(),
            approval: Some(ApprovalId::new(NOW, [9; 10])),
            ..decision()
        }),
        purpose: Some("acme-renewal".parse().unwrap()),
        action: Some(action()),
        method: Some("PATCH".parse().unwrap()),
        contract: None,
        request: Some(keyed(b"request")),
        request_bytes: Some(12),
        errors: 2,
        pauses: true,
        source: Some(Source::of("2001:db8:1::9".parse().unwrap())),
        trace: None,
        evidence: None,
    }));
    Record::new(header(12), event)
}

pub(crate) fn task_opened() -> Record {
    let event = Event::TaskOpened(Box::new(TaskOpened {
        task: subject().task,
        agent: subject().agent,
        spiffe: subject().spiffe,
        requester: None,
        purpose: "acme-renewal".parse().unwrap(),
        mode: Mode::Autonomous,
        actions: [action(), "dns:listZones".parse().unwrap()].into(),
        grant: Digest::of(b"grant"),
        budget: Budget::DEFAULT,
        opened: NOW,
        deadline: NOW.plus(Duration::from_secs(300)),
        parent: Some(TaskId::new(NOW, [6; 10])),
        prompt: Some(keyed(b"prompt")),
        asserters: Asserters {
            bounds: Asserter::Client("planner".to_owned()),
            prompt: Asserter::AgentAccepted,
            ..Asserters::default()
        },
        source: None,
        evidence: evidence(),
    }));
    Record::new(header(13), event)
}

fn task_amended(task: TaskId, agent: AgentId) -> Event {
    Event::TaskAmended(Box::new(TaskAmended {
        task,
        agent,
        from: Digest::of(b"grant"),
        grant: Digest::of(b"another grant"),
        actions: [action(), "dns:listZones".parse().unwrap()].into(),
        budget: Budget::DEFAULT,
        deadline: NOW.plus(Duration::from_secs(600)),
        approval: Some(ApprovalId::new(NOW, [9; 10])),
        source: Some(Source::of("192.0.2.7".parse().unwrap())),
    }))
}

fn approval() -> Event {
    Event::Approval(Box::new(Approval {
        approval: ApprovalId::new(NOW, [9; 10]),
        step: ApprovalStep::Requested,
        call: Some(call_id()),
        task: subject().task,
        agent: subject().agent,
        action: action(),
        roles: ["operator".to_owned(), "security".to_owned()].into(),
        by: Actor::Agent(subject().agent),
        binding: keyed(b"binding"),
        card: Digest::of(b"card"),
        expires: NOW.plus(Duration::from_secs(900)),
        evidence: evidence(),
    }))
}

fn upstream_token(task: TaskId, agent: AgentId) -> Event {
    Event::UpstreamToken(Box::new(UpstreamToken {
        call: CallId::new(NOW, [5; 10]),
        task,
        agent,
        api: "dns".parse().unwrap(),
        credential: Some("dns-client".parse().unwrap()),
        grant: "client_credentials".parse().unwrap(),
        scope: "zones.read".to_owned(),
        expires: Some(NOW),
        error: None,
    }))
}

fn activated(by: Actor) -> Event {
    Event::RevisionActivated(RevisionActivated {
        from: None,
        to: RevisionId::new(NOW, [1; 10]),
        digest: Digest::of(b"revision"),
        by,
    })
}

/// One record of each kind.
pub(crate) fn all() -> Vec<Record> {
    let (task, agent) = (subject().task, subject().agent);
    let by = Actor::Operator(OperatorId::new(NOW, [8; 10]));
    let events = [
        Event::TaskClosed(TaskClosed {
            task,
            agent,
            how: Closing::Revoked,
            by,
            spent: Charge::default(),
        }),
        Event::TokenIssued(TokenIssued {
            token: subject().token,
            task,
            agent,
            api: Some("dns".parse().unwrap()),
            binding: Binding::Mtls(Digest::of(b"certificate")),
            expires: NOW.plus(Duration::from_secs(300)),
            source: None,
        }),
        Event::TokenRefused(TokenRefused {
            agent,
            error: "invalid_grant".parse().unwrap(),
            source: Some(Source::of("127.0.0.1".parse().unwrap())),
        }),
        upstream_token(task, agent),
        Event::Started(Started {
            orphans: 1,
            entries: 18,
            previous: Some(CheckpointRef {
                size: 17,
                root: Digest::of(b"root"),
            }),
            program: "0.1.0".to_owned(),
        }),
        activated(by),
        Event::OperatorAction(OperatorAction {
            by: OperatorId::new(NOW, [8; 10]),
            action: "agent.add".parse().unwrap(),
            target: agent.to_string(),
            digest: Digest::of(b"agent"),
        }),
        Event::KeyRotated(KeyRotated {
            purpose: "log".parse().unwrap(),
            old: None,
            new: Digest::of(b"public key"),
            by: Actor::System,
        }),
        approval(),
        Event::Alarm(Box::new(Alarm {
            what: AlarmKind::SecondSource,
            agent: Some(agent),
            task: Some(task),
            key: Some(Digest::of(b"key")),
            trap: Some("environment of the build".to_owned()),
            source: Some(Source::of("192.0.2.7".parse().unwrap())),
            before: Some(Source::of("198.51.100.7".parse().unwrap())),
            response: AlarmResponse::Refused,
        })),
        task_amended(task, agent),
    ];
    let others = (20..)
        .zip(events)
        .map(|(seed, event)| Record::new(header(seed), event));
    [intent(), outcome(), refused(), task_opened()]
        .into_iter()
        .chain(others)
        .collect()
}
