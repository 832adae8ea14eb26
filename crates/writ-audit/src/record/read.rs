//! Reads records. Members that are not asked for are found by [`Record::decode`], which writes what it read again.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use writ_types::{
    Asserters, Binding, Budget, Charge, Conformance, Digest, Effect, Effects, JsonLimits,
    ReasonCode, Requester, Timestamp, Value, Verdict,
};

use super::event::{
    Alarm, AlarmKind, AlarmResponse, Approval, ApprovalStep, CheckpointRef, Closing, Decision,
    Event, Intent, KeyRotated, OperatorAction, Outcome, OutcomeKind, Phases, Refused,
    RevisionActivated, Shadowed, Started, Subject, TaskAmended, TaskClosed, TaskOpened,
    TokenIssued, TokenRefused, UpstreamToken,
};
use super::form::PAUSED;
use super::part::EvidenceRef;
use super::{Header, RECORD_VERSION, Record, RecordError};

/// A record has at most four levels and a few hundred values.
const LIMITS: JsonLimits = JsonLimits {
    depth: 8,
    values: 65_536,
    number_chars: 20,
};

/// Reads a record; the version before anything else.
pub(super) fn record(bytes: &[u8]) -> Result<Record, RecordError> {
    let value = Value::parse(bytes, &LIMITS).map_err(|_fault| RecordError::NotJson)?;
    let members = Members(value.as_object().ok_or(RecordError::NotJson)?);
    match members.number("v")? {
        RECORD_VERSION => {}
        0 => return Err(RecordError::Member("v")),
        found => return Err(RecordError::Newer { found }),
    }
    let header = Header {
        id: members.parse("id")?,
        tenant: members.parse("tenant")?,
        time: members.time("time")?,
        node: members.parse("node")?,
        revision: members.parse_if("revision")?,
    };
    let detail = members
        .object("detail")?
        .ok_or(RecordError::Member("detail"))?;
    Ok(Record {
        header,
        event: detail.event(members.text("kind")?)?,
        truncated: members.number_if("truncated")?.unwrap_or(0),
    })
}

struct Members<'a>(&'a BTreeMap<String, Value>);

type Read<T> = Result<T, RecordError>;

impl<'a> Members<'a> {
    fn text_if(&self, name: &'static str) -> Read<Option<&'a str>> {
        let text = |value: &'a Value| value.as_str().ok_or(RecordError::Member(name));
        self.0.get(name).map(text).transpose()
    }

    fn text(&self, name: &'static str) -> Read<&'a str> {
        self.text_if(name)?.ok_or(RecordError::Member(name))
    }

    fn parse_if<T: FromStr>(&self, name: &'static str) -> Read<Option<T>> {
        let parse = |text: &str| text.parse().map_err(|_refused| RecordError::Member(name));
        self.text_if(name)?.map(parse).transpose()
    }

    fn parse<T: FromStr>(&self, name: &'static str) -> Read<T> {
        self.parse_if(name)?.ok_or(RecordError::Member(name))
    }

    /// The one of `all` that has this word.
    fn word<T: Copy>(&self, name: &'static str, all: &[T], word: fn(T) -> &'static str) -> Read<T> {
        let text = self.text(name)?;
        let found = all.iter().copied().find(|one| word(*one) == text);
        found.ok_or(RecordError::Member(name))
    }

    fn time_if(&self, name: &'static str) -> Read<Option<Timestamp>> {
        let parse = |text| Timestamp::parse(text).ok_or(RecordError::Member(name));
        self.text_if(name)?.map(parse).transpose()
    }

    fn time(&self, name: &'static str) -> Read<Timestamp> {
        self.time_if(name)?.ok_or(RecordError::Member(name))
    }

    fn number_if(&self, name: &'static str) -> Read<Option<u64>> {
        let number = |value: &Value| value.as_u64().ok_or(RecordError::Member(name));
        self.0.get(name).map(number).transpose()
    }

    fn number(&self, name: &'static str) -> Read<u64> {
        self.number_if(name)?.ok_or(RecordError::Member(name))
    }

    fn object(&self, name: &'static str) -> Read<Option<Self>> {
        let object =
            |value: &'a Value| value.as_object().map(Self).ok_or(RecordError::Member(name));
        self.0.get(name).map(object).transpose()
    }

    fn set<T: FromStr + Ord>(&self, name: &'static str) -> Read<BTreeSet<T>> {
        let Some(value) = self.0.get(name) else {
            return Ok(BTreeSet::new());
        };
        let item = |value: &Value| value.as_str()?.parse().ok();
        let items = value.as_array().ok_or(RecordError::Member(name))?;
        items
            .iter()
            .map(item)
            .collect::<Option<_>>()
            .ok_or(RecordError::Member(name))
    }

    fn counts(&self, name: &'static str) -> Read<[u64; 4]> {
        let counts = self.object(name)?.ok_or(RecordError::Member(name))?;
        Ok([
            counts.number("calls")?,
            counts.number("deletes")?,
            counts.number("irreversible")?,
            counts.number("writes")?,
        ])
    }

    fn charge(&self, name: &'static str) -> Read<Charge> {
        let [calls, deletes, irreversible, writes] = self.counts(name)?;
        Ok(Charge {
            calls,
            writes,
            deletes,
            irreversible,
        })
    }

    fn budget(&self, name: &'static str) -> Read<Budget> {
        let [calls, deletes, irreversible, writes] = self.counts(name)?;
        Ok(Budget {
            calls,
            writes,
            deletes,
            irreversible,
        })
    }

    fn span(&self, name: &'static str) -> Read<Option<Duration>> {
        Ok(self.number_if(name)?.map(Duration::from_millis))
    }

    fn binding(&self) -> Read<Binding> {
        let key = self.parse_if::<Digest>("key")?;
        match (self.text("binding")?, key) {
            ("dpop", Some(key)) => Ok(Binding::Dpop(key)),
            ("mtls", Some(key)) => Ok(Binding::Mtls(key)),
            ("none", None) => Ok(Binding::Unbound),
            _ => Err(RecordError::Member("binding")),
        }
    }

    fn requester(&self) -> Read<Option<Requester>> {
        let Some(requester) = self.object("requester")? else {
            return Ok(None);
        };
        Ok(Some(Requester {
            issuer: requester.text("issuer")?.to_owned(),
            subject: requester.text("subject")?.to_owned(),
        }))
    }

    fn evidence(&self) -> Read<Option<EvidenceRef>> {
        let Some(evidence) = self.object("evidence")? else {
            return Ok(None);
        };
        Ok(Some(EvidenceRef {
            day: evidence.parse("day")?,
            digest: evidence.parse("digest")?,
        }))
    }

    fn subject(&self) -> Read<Subject> {
        Ok(Subject {
            agent: self.parse("agent")?,
            spiffe: self.parse("spiffe")?,
            requester: self.requester()?,
            task: self.parse("task")?,
            token: self.parse("token")?,
            binding: self.binding()?,
        })
    }

    fn decision(&self) -> Read<Option<Decision>> {
        let Some(at) = self.time_if("decided")? else {
            return Ok(None);
        };
        Ok(Some(Decision {
            verdict: self.word("verdict", &VERDICTS, Verdict::as_str)?,
            rules: self.set("rules")?,
            at,
            policy: self.parse("policy")?,
            obligations: self.set("obligations")?,
            approval: self.parse_if("approval")?,
            shadow: self.shadow()?,
        }))
    }

    fn shadow(&self) -> Read<Option<Shadowed>> {
        let Some(policy) = self.parse_if("shadow_policy")? else {
            return Ok(None);
        };
        Ok(Some(Shadowed {
            verdict: self.word("shadow_verdict", &VERDICTS, Verdict::as_str)?,
            rules: self.set("shadow_rules")?,
            policy,
        }))
    }

    fn effects(&self) -> Read<Effects> {
        let wrong = RecordError::Member("effects");
        let mut words = self.text("effects")?.split('+');
        let kind: Option<Effect> = words.next().and_then(|word| word.parse().ok());
        let mut effects = Effects::plain(kind.ok_or_else(|| wrong.clone())?);
        for flag in words {
            match flag {
                "irreversible" => effects.irreversible = true,
                "external_send" => effects.external_send = true,
                _ => return Err(wrong),
            }
        }
        Ok(effects)
    }
}

const VERDICTS: [Verdict; 5] = [
    Verdict::Allow,
    Verdict::Modify,
    Verdict::StepUp,
    Verdict::Defer,
    Verdict::Deny,
];

impl Members<'_> {
    fn event(&self, kind: &str) -> Read<Event> {
        match kind {
            "intent" => self.intent().map(|intent| Event::Intent(Box::new(intent))),
            "outcome" => self.outcome().map(Event::Outcome),
            "refused" => self
                .refused()
                .map(|refused| Event::Refused(Box::new(refused))),
            "task_opened" => self
                .task_opened()
                .map(|opened| Event::TaskOpened(Box::new(opened))),
            "task_amended" => self
                .task_amended()
                .map(|amended| Event::TaskAmended(Box::new(amended))),
            "task_closed" => self.task_closed().map(Event::TaskClosed),
            "token_issued" => self.token_issued().map(Event::TokenIssued),
            "token_refused" => self.token_refused().map(Event::TokenRefused),
            "upstream_token" => {
                let token = self.upstream_token();
                token.map(|token| Event::UpstreamToken(Box::new(token)))
            }
            "started" => self.started().map(Event::Started),
            "revision_activated" => self.revision_activated().map(Event::RevisionActivated),
            "operator_action" => self.operator_action().map(Event::OperatorAction),
            "key_rotated" => self.key_rotated().map(Event::KeyRotated),
            "alarm" => self.alarm().map(|alarm| Event::Alarm(Box::new(alarm))),
            "approval" => self
                .approval()
                .map(|approval| Event::Approval(Box::new(approval))),
            _ => Err(RecordError::Member("kind")),
        }
    }

    fn intent(&self) -> Read<Intent> {
        Ok(Intent {
            call: self.parse("call")?,
            subject: self.subject()?,
            purpose: self.parse("purpose")?,
            prompt: self.parse_if("prompt")?,
            action: self.parse("action")?,
            method: self.parse("method")?,
            path: self.text("path")?.to_owned(),
            contract: self.parse("contract")?,
            effects: self.effects()?,
            decision: self.decision()?.ok_or(RecordError::Member("decided"))?,
            credential: self.parse_if("credential")?,
            request: self.parse("request")?,
            request_bytes: self.number("request_bytes")?,
            source: self.parse_if("source")?,
            trace: self.parse_if("trace")?,
            spent: self.charge("spent")?,
            left: self.budget("left")?,
            step: self
                .number_if("step")?
                .map(u16::try_from)
                .transpose()
                .map_err(|_beyond| RecordError::Member("step"))?,
            quantities: self.parse_if("quantities")?,
            written: self.parse_if("written")?,
            evidence: self.evidence()?,
        })
    }

    fn outcome(&self) -> Read<Outcome> {
        let status =
            |number: u64| u16::try_from(number).map_err(|_beyond| RecordError::Member("status"));
        Ok(Outcome {
            call: self.parse("call")?,
            intent: self.number("intent")?,
            task: self.parse("task")?,
            agent: self.parse("agent")?,
            action: self.parse("action")?,
            result: self.word("result", &OutcomeKind::ALL, OutcomeKind::as_str)?,
            status: self.number_if("status")?.map(status).transpose()?,
            request: self.parse_if("request")?,
            request_bytes: self.number_if("request_bytes")?,
            response: self.parse_if("response")?,
            response_bytes: self.number("response_bytes")?,
            conformance: self.conformance()?,
            response_faults: self.number_if("response_faults")?,
            labels: self.set("labels")?,
            phases: Phases {
                queue: self
                    .span("queue_ms")?
                    .ok_or(RecordError::Member("queue_ms"))?,
                head: self.span("head_ms")?,
                total: self
                    .span("total_ms")?
                    .ok_or(RecordError::Member("total_ms"))?,
            },
            settled: self.charge("settled")?,
        })
    }

    fn conformance(&self) -> Read<Option<Conformance>> {
        let name = "conformance";
        if self.text_if(name)?.is_none() {
            return Ok(None);
        }
        self.word(name, &Conformance::ALL, Conformance::as_str)
            .map(Some)
    }

    fn refused(&self) -> Read<Refused> {
        let reason = ReasonCode::parse(self.text("reason")?);
        Ok(Refused {
            call: self.parse("call")?,
            subject: self.subject()?,
            reason: reason.ok_or(RecordError::Member("reason"))?,
            decision: self.decision()?,
            purpose: self.parse_if("purpose")?,
            action: self.parse_if("action")?,
            method: self.parse_if("method")?,
            contract: self.parse_if("contract")?,
            request: self.parse_if("request")?,
            request_bytes: self.number_if("request_bytes")?,
            errors: self.number("errors")?,
            pauses: match self.text_if("pauses")? {
                None => false,
                Some(PAUSED) => true,
                Some(_) => return Err(RecordError::Member("pauses")),
            },
            source: self.parse_if("source")?,
            trace: self.parse_if("trace")?,
            evidence: self.evidence()?,
        })
    }

    fn task_opened(&self) -> Read<TaskOpened> {
        Ok(TaskOpened {
            task: self.parse("task")?,
            agent: self.parse("agent")?,
            spiffe: self.parse("spiffe")?,
            requester: self.requester()?,
            purpose: self.parse("purpose")?,
            mode: self.parse("mode")?,
            actions: self.set("actions")?,
            grant: self.parse("grant")?,
            budget: self.budget("budget")?,
            opened: self.time("opened")?,
            deadline: self.time("deadline")?,
            parent: self.parse_if("parent")?,
            prompt: self.parse_if("prompt")?,
            asserters: Asserters {
                prompt: self.parse_if("vouched_prompt")?.unwrap_or_default(),
                bounds: self.parse_if("vouched_bounds")?.unwrap_or_default(),
                plan: self.parse_if("vouched_plan")?.unwrap_or_default(),
            },
            source: self.parse_if("source")?,
            evidence: self.evidence()?,
        })
    }

    fn task_amended(&self) -> Read<TaskAmended> {
        Ok(TaskAmended {
            task: self.parse("task")?,
            agent: self.parse("agent")?,
            from: self.parse("from")?,
            grant: self.parse("grant")?,
            actions: self.set("actions")?,
            budget: self.budget("budget")?,
            deadline: self.time("deadline")?,
            approval: self.parse_if("approval")?,
            source: self.parse_if("source")?,
        })
    }

    fn task_closed(&self) -> Read<TaskClosed> {
        Ok(TaskClosed {
            task: self.parse("task")?,
            agent: self.parse("agent")?,
            how: self.word("how", &Closing::ALL, Closing::as_str)?,
            by: self.parse("by")?,
            spent: self.charge("spent")?,
        })
    }

    fn token_issued(&self) -> Read<TokenIssued> {
        Ok(TokenIssued {
            token: self.parse("token")?,
            task: self.parse("task")?,
            agent: self.parse("agent")?,
            api: self.parse_if("api")?,
            binding: self.binding()?,
            expires: self.time("expires")?,
            source: self.parse_if("source")?,
        })
    }

    fn token_refused(&self) -> Read<TokenRefused> {
        Ok(TokenRefused {
            agent: self.parse("agent")?,
            error: self.parse("error")?,
            source: self.parse_if("source")?,
        })
    }

    fn upstream_token(&self) -> Read<UpstreamToken> {
        Ok(UpstreamToken {
            call: self.parse("call")?,
            task: self.parse("task")?,
            agent: self.parse("agent")?,
            api: self.parse("api")?,
            credential: self.parse_if("credential")?,
            grant: self.parse("grant")?,
            scope: self.text("scope")?.to_owned(),
            expires: self.time_if("expires")?,
            error: self.parse_if("error")?,
        })
    }

    fn started(&self) -> Read<Started> {
        let previous = match self.object("previous")? {
            Some(previous) => Some(CheckpointRef {
                size: previous.number("size")?,
                root: previous.parse("root")?,
            }),
            None => None,
        };
        Ok(Started {
            orphans: self.number("orphans")?,
            entries: self.number("entries")?,
            previous,
            program: self.text("program")?.to_owned(),
        })
    }

    fn revision_activated(&self) -> Read<RevisionActivated> {
        Ok(RevisionActivated {
            from: self.parse_if("from")?,
            to: self.parse("to")?,
            digest: self.parse("digest")?,
            by: self.parse("by")?,
        })
    }

    fn operator_action(&self) -> Read<OperatorAction> {
        Ok(OperatorAction {
            by: self.parse("by")?,
            action: self.parse("action")?,
            target: self.text("target")?.to_owned(),
            digest: self.parse("digest")?,
        })
    }

    fn approval(&self) -> Read<Approval> {
        Ok(Approval {
            approval: self.parse("approval")?,
            step: self.word("step", &ApprovalStep::ALL, ApprovalStep::as_str)?,
            call: self.parse_if("call")?,
            task: self.parse("task")?,
            agent: self.parse("agent")?,
            action: self.parse("action")?,
            roles: self.set("roles")?,
            by: self.parse("by")?,
            binding: self.parse("binding")?,
            card: self.parse("card")?,
            expires: self.time("expires")?,
            evidence: self.evidence()?,
        })
    }

    fn alarm(&self) -> Read<Alarm> {
        Ok(Alarm {
            what: self.word("what", &AlarmKind::ALL, AlarmKind::as_str)?,
            agent: self.parse_if("agent")?,
            task: self.parse_if("task")?,
            key: self.parse_if("key")?,
            trap: self.text_if("trap")?.map(str::to_owned),
            source: self.parse_if("source")?,
            before: self.parse_if("before")?,
            response: self.word("response", &AlarmResponse::ALL, AlarmResponse::as_str)?,
        })
    }

    fn key_rotated(&self) -> Read<KeyRotated> {
        Ok(KeyRotated {
            purpose: self.parse("purpose")?,
            old: self.parse_if("old")?,
            new: self.parse("new")?,
            by: self.parse("by")?,
        })
    }
}
