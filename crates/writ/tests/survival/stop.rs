//! An orderly stop: calls in flight finish, everything is under a checkpoint, nothing is left behind.

use std::sync::Arc;

use hyper::Method;
use rustix::process::Signal;
use writ_audit::{Event, OutcomeKind};
use writ_testkit::{json, open, project, reason, runtime};
use writ_types::Value;

use crate::depot::{Depot, task};
use crate::process::{Process, done, records};

const WAIT: &str = "/depot/gate?marker=t.1";

/// Verifies the log of a process that has stopped: all of it is under a checkpoint.
fn everything_is_covered(project: &writ_testkit::Project) {
    let report = json(&done(project, &["--json", "audit", "verify"]));
    let number = |name| report.member(name).and_then(Value::as_u64);
    assert_eq!(number("not_yet_under_a_checkpoint"), Some(0), "{report}");
    assert_eq!(
        number("entries"),
        u64::try_from(records(project).len()).ok()
    );
    assert_eq!(report.member("torn").and_then(Value::as_bool), Some(false));
}

#[test]
fn a_call_in_flight_finishes_before_the_process_ends() {
    runtime().block_on(async {
        let project = project!();
        let depot = Depot::open(&project).await;
        let mut process = Process::start(&project);
        let client = Arc::new(project.client());
        let held = Arc::new(open(&client, &task(10, 10)).await);
        let (agent, mine) = (Arc::clone(&client), Arc::clone(&held));
        let waiting = tokio::spawn(async move { agent.call(&mine, Method::GET, WAIT, None).await });
        depot.arrived(1).await;
        process.signal(Signal::TERM);
        process.says("stopping: calls in flight finish");
        depot.open_gate();
        let answer = waiting.await.unwrap().unwrap();
        assert_eq!(answer.status, 200);
        let (status, words) = process.last_words();
        assert!(status.success(), "{words}");
        assert!(!project.path(".writ-agent.sock").exists());
        everything_is_covered(&project);
        let outcome = records(&project)
            .into_iter()
            .find_map(|record| match record.event {
                Event::Outcome(outcome) => Some(outcome.result),
                _ => None,
            });
        assert_eq!(outcome, Some(OutcomeKind::Completed));

        let process = Process::start(&project);
        let last = records(&project).pop().unwrap();
        assert!(matches!(last.event, Event::Started(started) if started.orphans == 0));
        assert!(process.stop().0.success());
    });
}

#[test]
fn a_call_that_does_not_finish_is_cut_and_its_outcome_is_recorded() {
    runtime().block_on(async {
        let project = project!();
        project.settings("[timeouts]\ndrain = \"200ms\"\n");
        let depot = Depot::open(&project).await;
        let process = Process::start(&project);
        let client = Arc::new(project.client());
        let held = Arc::new(open(&client, &task(10, 10)).await);
        let (agent, mine) = (Arc::clone(&client), Arc::clone(&held));
        let waiting = tokio::spawn(async move { agent.call(&mine, Method::GET, WAIT, None).await });
        depot.arrived(1).await;
        // The gate stays shut: the upstream would keep the call for half a minute.
        let begun = std::time::Duration::from_secs(15);
        let stopped = tokio::task::spawn_blocking(move || process.stop());
        let (status, words) = tokio::time::timeout(begun, stopped)
            .await
            .expect("the process waits for a call that does not end")
            .unwrap();
        assert!(status.success(), "{words}");
        assert!(
            waiting.await.unwrap().is_err(),
            "the client is told nothing"
        );
        everything_is_covered(&project);
        let outcomes: Vec<_> = records(&project)
            .into_iter()
            .filter_map(|record| match record.event {
                Event::Outcome(outcome) => Some(outcome.result),
                _ => None,
            })
            .collect();
        assert_eq!(outcomes, [OutcomeKind::Unknown]);
    });
}

#[test]
fn nothing_new_is_taken_while_stopping_and_a_client_that_leaves_leaves_an_outcome() {
    runtime().block_on(async {
        let project = project!();
        let depot = Depot::open(&project).await;
        let mut process = Process::start(&project);
        let client = Arc::new(project.client());
        let held = Arc::new(open(&client, &task(10, 10)).await);
        let (agent, mine) = (Arc::clone(&client), Arc::clone(&held));
        let leaving = tokio::spawn(async move { agent.call(&mine, Method::GET, WAIT, None).await });
        depot.arrived(1).await;
        leaving.abort();
        assert!(leaving.await.unwrap_err().is_cancelled());
        let (agent, mine) = (Arc::clone(&client), Arc::clone(&held));
        let staying = tokio::spawn(async move { agent.call(&mine, Method::GET, WAIT, None).await });
        depot.arrived(2).await;
        process.signal(Signal::TERM);
        process.says("stopping: calls in flight finish");
        let late = client
            .call(&held, Method::GET, "/depot/items?marker=t.3", None)
            .await;
        if let Ok(answer) = late {
            assert_eq!(
                (answer.status, reason(&answer).as_str()),
                (503, "not_ready")
            );
        }
        depot.open_gate();
        assert_eq!(staying.await.unwrap().unwrap().status, 200);
        assert!(process.last_words().0.success());
        everything_is_covered(&project);
        let count = |wanted: &str| {
            let of = |record: &writ_audit::Record| record.event.kind() == wanted;
            records(&project).iter().filter(|record| of(record)).count()
        };
        assert_eq!((count("intent"), count("outcome")), (2, 2));
        assert_eq!(depot.seen().len(), 2);
    });
}
