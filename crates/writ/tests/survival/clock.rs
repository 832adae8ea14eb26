//! A clock that is behind what the log has seen: nothing is issued and nothing is called until it has caught up.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use writ_audit::{Append as _, Durability, Event, Header, OperatorAction, Record, Signer};
use writ_control::log::{LogWriter, origin};
use writ_store::{Store, keyfile};
use writ_testkit::{TestClock, json, open, project, reason, runtime};
use writ_types::{
    Clock, Digest, Limits, ManualClock, OperatorId, RecordId, Tenant, Timeouts, Timestamp,
};

use crate::depot::{Depot, task};
use crate::process::{Process, refused};

/// Appends a record dated `time` to the log of a project whose process has stopped, as that process would have.
async fn append_dated(project: &writ_testkit::Project, time: Timestamp) {
    let data = project.path(".writ");
    let store = Store::open(&data.join("writ.db")).await.unwrap();
    let node = "node1".parse().unwrap();
    let tenant = Tenant::default_tenant();
    let name = origin(store.install_id(), &tenant, &node).unwrap();
    let seed = keyfile::load_or_create(&data.join("keys/log.key")).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(time));
    let (writer, _) = LogWriter::open(
        &data,
        Signer::new(name, &seed).unwrap(),
        clock,
        &Limits::default(),
        &Timeouts::default(),
    )
    .unwrap();
    let header = Header {
        id: RecordId::new(time, [7; 10]),
        tenant,
        time,
        node,
        revision: None,
    };
    let event = Event::OperatorAction(OperatorAction {
        by: OperatorId::new(time, [8; 10]),
        action: "revision.reload".parse().unwrap(),
        target: String::new(),
        digest: Digest::of(b""),
    });
    let appended = writer
        .append(Record::new(header, event), None, Durability::Durable)
        .await;
    assert!(appended.is_ok());
    writer.shutdown().await.unwrap();
}

#[test]
fn a_clock_behind_the_log_issues_nothing_however_often_the_process_is_restarted() {
    runtime().block_on(async {
        let project = project!();
        let depot = Depot::open(&project).await;
        let process = Process::start(&project);
        project.sign_in();
        let client = project.client();
        let held = open(&client, &task(10, 10)).await;
        assert!(process.stop().0.success());
        let ahead = TestClock::start().now().plus(Duration::from_secs(3600));
        append_dated(&project, ahead).await;

        for _ in 0..3 {
            let process = Process::start(&project);
            let ready = project
                .control()
                .send(Method::GET, "/readyz", &[], "")
                .await
                .unwrap();
            let said = String::from_utf8_lossy(&ready.body).into_owned();
            assert_eq!(ready.status, 503);
            assert!(said.contains("the wall clock went back by 3"), "{said}");
            assert!(refused(&project, &["doctor"]).contains("the wall clock went back"));

            let answer = client
                .call(&held, Method::GET, "/depot/items?marker=m.1", None)
                .await;
            let answer = answer.unwrap();
            assert_eq!(
                (answer.status, reason(&answer).as_str()),
                (503, "not_ready")
            );
            let identity = client.identity(None).await;
            if let Ok(identity) = identity {
                let opened = client.open(&identity, &json(&task(1, 1))).await.unwrap();
                let answer = opened.expect_err("a token was issued");
                assert_eq!(answer.status, 503, "{}", answer.json());
            }
            // Operators can still stop things, and what they do is dated by the clock there is.
            let kill = project.operator(Method::POST, "/v1/reload", "").await;
            assert_eq!(kill.status, 200, "{}", kill.json());
            process.kill();
        }
        assert!(depot.seen().is_empty());
    });
}
