use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use writ_audit::{
    Actor, Closing, Decision, Event, Header, Intent, Outcome, OutcomeKind, Phases, Record, Subject,
    TaskAmended, TaskClosed, TaskOpened,
};
use writ_task::Ledger as _;
use writ_types::{
    AgentId, Binding, Bounds, Budget, CallId, Charge, Conformance, Digest, Effect, Effects, Grant,
    KeyedDigest, Limits, Mode, Plan, RecordId, Secret, TaskId, Tenant, Timestamp, TokenId, Verdict,
};

use super::{LedgerRebuild, StartError};

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

pub(crate) fn grant() -> Grant {
    Grant {
        tenant: Tenant::default_tenant(),
        task: TaskId::new(NOW, [1; 10]),
        agent: AgentId::new(NOW, [2; 10]),
        requester: None,
        purpose: "triage".parse().unwrap(),
        mode: Mode::Autonomous,
        actions: BTreeSet::from(["desk:read".parse().unwrap()]),
        bounds: Bounds::none(),
        plan: Plan::none(),
        budget: Budget {
            calls: 5,
            ..Budget::DEFAULT
        },
        opened: NOW,
        deadline: NOW.plus(Duration::from_secs(600)),
        parent: None,
        prompt: None,
        asserters: writ_types::Asserters::default(),
    }
}

pub(crate) fn record(event: Event) -> Record {
    let header = Header {
        id: RecordId::new(NOW, [3; 10]),
        tenant: Tenant::default_tenant(),
        time: NOW,
        node: "node1".parse().unwrap(),
        revision: None,
    };
    Record::new(header, event)
}

pub(crate) fn opened(grant: &Grant) -> Record {
    let spiffe = "spiffe://writ.local/agent/a".parse().unwrap();
    record(Event::TaskOpened(Box::new(TaskOpened::of(
        grant, &spiffe, None, None,
    ))))
}

pub(crate) fn closed(grant: &Grant) -> Record {
    let (task, agent) = (grant.task, grant.agent);
    record(Event::TaskClosed(TaskClosed {
        task,
        agent,
        how: Closing::Revoked,
        by: Actor::System,
        spent: Charge::default(),
    }))
}

/// Rebuilds from a store with `stored` and a log of `records`; whether the task lives then.
async fn lives(stored: Grant, records: &[Record]) -> Result<bool, StartError> {
    let (tenant, task) = (stored.tenant.clone(), stored.task);
    let tasks = BTreeMap::from([(task, stored)]);
    let mut rebuild = LedgerRebuild::new(
        tenant.clone(),
        tasks,
        |_| BTreeSet::new(),
        &writ_types::Windows::default(),
        &Limits::default(),
    );
    for record in records {
        rebuild.take(record)?;
    }
    let status = rebuild.finish(NOW).0.status(&tenant, task, NOW).await;
    Ok(status.is_some_and(|status| status.state == writ_task::TaskState::Live))
}

#[tokio::test]
async fn a_task_lives_on_if_the_log_opened_it_and_did_not_end_it() {
    let grant = grant();
    assert!(lives(grant.clone(), &[opened(&grant)]).await.unwrap());
    assert!(
        !lives(grant.clone(), &[opened(&grant), closed(&grant)])
            .await
            .unwrap()
    );
    assert!(
        !lives(grant, &[]).await.unwrap(),
        "what was stored and never recorded did not happen"
    );
}

#[tokio::test]
async fn a_kill_that_overtakes_the_record_of_the_opening_still_counts() {
    let grant = grant();
    assert!(
        !lives(grant.clone(), &[closed(&grant), opened(&grant)])
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_row_that_was_widened_in_the_store_stops_the_start() {
    let grant = grant();
    let log = [opened(&grant)];
    let mut wider = vec![grant.clone(); 4];
    wider[0].budget.calls = 500;
    wider[1].actions.insert("desk:delete".parse().unwrap());
    wider[2].deadline = grant.deadline.plus(Duration::from_secs(1));
    wider[3].mode = Mode::Copilot;
    for row in wider {
        assert!(matches!(
            lives(row, &log).await,
            Err(StartError::Altered(_))
        ));
    }
}

fn call(number: u8) -> CallId {
    CallId::new(NOW, [number; 10])
}

pub(crate) fn intent(grant: &Grant, number: u8) -> Record {
    record(Event::Intent(Box::new(Intent {
        call: call(number),
        subject: Subject {
            agent: grant.agent,
            spiffe: "spiffe://writ.local/agent/a".parse().unwrap(),
            requester: None,
            task: grant.task,
            token: TokenId::new(NOW, [2; 10]),
            binding: Binding::Unbound,
        },
        purpose: grant.purpose.clone(),
        prompt: None,
        action: "desk:read".parse().unwrap(),
        method: "GET".parse().unwrap(),
        path: "/".to_owned(),
        contract: Digest::of(b"contract"),
        effects: Effects::plain(Effect::Read),
        decision: Decision {
            verdict: Verdict::Allow,
            rules: BTreeSet::new(),
            at: NOW,
            policy: Digest::of(b"policy"),
            obligations: [].into(),
            approval: None,
            shadow: None,
        },
        credential: None,
        request: KeyedDigest::of(&Secret::new([3; 32]), "request", b""),
        request_bytes: 0,
        source: None,
        trace: None,
        spent: Charge::default(),
        left: Budget::DEFAULT,
        step: None,
        quantities: None,
        written: None,
        evidence: None,
    })))
}

fn outcome(grant: &Grant, number: u8, conformance: Option<Conformance>) -> Record {
    record(Event::Outcome(Outcome {
        call: call(number),
        intent: 0,
        task: grant.task,
        agent: grant.agent,
        action: "desk:read".parse().unwrap(),
        result: OutcomeKind::Completed,
        status: Some(200),
        request: None,
        request_bytes: None,
        response: None,
        response_bytes: 0,
        conformance,
        response_faults: None,
        labels: BTreeSet::new(),
        phases: Phases::default(),
        settled: Charge::default(),
    }))
}

#[tokio::test]
async fn what_broke_its_contract_or_has_no_outcome_still_marks_its_task() {
    let grant = grant();
    let ended = |conformance| outcome(&grant, 1, conformance);
    let table = [
        (vec![ended(Some(Conformance::Conforms))], false),
        (vec![ended(Some(Conformance::Unchecked))], false),
        (vec![ended(None)], false),
        (vec![ended(Some(Conformance::Breaks))], true),
        (vec![], true),
    ];
    for (rest, marked) in table {
        let tasks = BTreeMap::from([(grant.task, grant.clone())]);
        let limits = Limits::default();
        let mut rebuild = LedgerRebuild::new(
            grant.tenant.clone(),
            tasks,
            |_| BTreeSet::new(),
            &writ_types::Windows::default(),
            &limits,
        );
        for record in [opened(&grant), intent(&grant, 1)].iter().chain(&rest) {
            rebuild.take(record).unwrap();
        }
        let (ledger, _) = rebuild.finish(NOW);
        let entered = ledger.enter(&grant.tenant, grant.task, call(9), NOW).await;
        let action = "desk:read".parse().unwrap();
        let charge = Charge::of(Effects::plain(Effect::Read));
        let reserved = ledger
            .reserve(&entered.unwrap(), (&action, charge), None, NOW)
            .await;
        let (_reservation, facts) = reserved.unwrap();
        assert_eq!(
            facts
                .labels
                .iter()
                .any(|label| label.as_str() == "untrusted"),
            marked,
            "{rest:?}"
        );
    }
}

/// A task's amendment, as the log has it.
fn amended(from: &Grant, to: &Grant) -> Record {
    record(Event::TaskAmended(Box::new(TaskAmended::of(
        from, to, None, None,
    ))))
}

/// What a task holds after a restart: what the log says, and only as the store has it under that digest.
#[tokio::test]
async fn an_amendment_counts_if_the_log_has_it_and_the_store_has_kept_it() {
    let before = grant();
    let after = Grant {
        budget: Budget {
            calls: 9,
            ..before.budget
        },
        deadline: before.deadline.plus(Duration::from_secs(60)),
        ..before.clone()
    };
    let altered = Grant {
        budget: Budget {
            calls: 900,
            ..before.budget
        },
        ..after.clone()
    };
    let log = [opened(&before), amended(&before, &after)];
    for (kept, log, holds) in [
        (vec![after.clone()], &log[..], Some(&after)),
        // It was kept, and the process died before it was recorded.
        (vec![after.clone()], &log[..1], Some(&before)),
        (vec![altered.clone()], &log[..], None),
        (vec![], &log[..], None),
        // Given up again: what it was opened with is with the task.
        (
            vec![after.clone()],
            &[log[0].clone(), log[1].clone(), amended(&after, &before)][..],
            Some(&before),
        ),
        (
            vec![after.clone(), altered],
            // It holds that already: the record was written twice.
            &[log[0].clone(), amended(&after, &before)][..],
            Some(&before),
        ),
    ] {
        let tasks = BTreeMap::from([(before.task, before.clone())]);
        let limits = Limits::default();
        let rebuild = LedgerRebuild::new(
            before.tenant.clone(),
            tasks,
            |_| BTreeSet::new(),
            &writ_types::Windows::default(),
            &limits,
        );
        let mut rebuild = rebuild.with_amendments(BTreeMap::from([(before.task, kept)]));
        let taken: Result<(), StartError> = log.iter().try_for_each(|record| rebuild.take(record));
        let Some(holds) = holds else {
            let refused = taken.unwrap_err();
            let told = matches!(refused, StartError::Altered(_) | StartError::Rebuild(_));
            assert!(told, "{refused:?}");
            continue;
        };
        taken.unwrap();
        let status = rebuild
            .finish(NOW)
            .0
            .status(&before.tenant, before.task, NOW)
            .await;
        assert_eq!(*status.unwrap().grant, *holds);
    }
}

/// A refusal that paused its task.
fn pausing(grant: &Grant) -> Record {
    let Event::Intent(intent) = intent(grant, 1).event else {
        panic!("an intent");
    };
    record(Event::Refused(Box::new(writ_audit::Refused {
        call: intent.call,
        subject: intent.subject,
        reason: writ_types::ReasonCode::ValueNotVouched,
        decision: None,
        purpose: None,
        action: Some(intent.action),
        method: None,
        contract: None,
        request: None,
        request_bytes: None,
        errors: 0,
        pauses: true,
        source: None,
        trace: None,
        evidence: None,
    })))
}

/// A yes to a call lets a paused task go on; one to what the task is to hold does not.
#[tokio::test]
async fn a_yes_to_an_amendment_lets_no_task_go_on() {
    let grant = grant();
    let yes = |action: &str| {
        record(Event::Approval(Box::new(writ_audit::Approval {
            approval: writ_types::ApprovalId::new(NOW, [9; 10]),
            step: writ_audit::ApprovalStep::Approved,
            call: None,
            task: grant.task,
            agent: grant.agent,
            action: action.parse().unwrap(),
            roles: BTreeSet::new(),
            by: Actor::System,
            binding: KeyedDigest::of(&Secret::new([5; 32]), "x", b"x"),
            card: Digest::of(b"card"),
            expires: NOW,
            evidence: None,
        })))
    };
    for (action, paused) in [("desk:read", false), ("writ:amendTask", true)] {
        let tasks = BTreeMap::from([(grant.task, grant.clone())]);
        let limits = Limits::default();
        let mut rebuild = LedgerRebuild::new(
            grant.tenant.clone(),
            tasks,
            |_| BTreeSet::new(),
            &writ_types::Windows::default(),
            &limits,
        );
        for record in [opened(&grant), pausing(&grant), yes(action)] {
            rebuild.take(&record).unwrap();
        }
        let (ledger, _) = rebuild.finish(NOW);
        let status = ledger.status(&grant.tenant, grant.task, NOW).await;
        assert_eq!(status.unwrap().paused, paused, "{action}");
    }
}
