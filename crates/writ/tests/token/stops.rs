//! Owners that a person stops: what acts by their word ends, and nothing begins, until they go on.

use hyper::Method;
use writ::http::Answer;
use writ_store::{Stopped, Store};
use writ_testkit::{Project, reason, runtime};
use writ_types::{OperatorId, Stop, Tenant};

use crate::kit::{BOT, JWT_SPIFFE, Key, OTHER, Opened, READ, Stage, TICKETS, now, opened, refused};

/// The owner of the first agent, and that of the purpose.
const ANN: &str = "ann@example.org";
const PAT: &str = "pat@example.org";

fn owners(project: &Project) {
    for (file, before, after) in [
        ("agents/bot.toml", "owner@example.org", ANN),
        ("purposes/triage.toml", "o@example.org", PAT),
    ] {
        let text = std::fs::read_to_string(project.path(file)).unwrap();
        assert!(text.contains(before));
        project.write(file, &text.replace(before, after));
    }
}

/// Asks for a task as an agent whose identity was issued before.
async fn ask(stage: &Stage, svid: &str, key: &Key, more: (&str, &str)) -> Answer {
    let public = stage.public("");
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_SPIFFE),
        ("client_assertion", svid),
        ("resource", &public),
        more,
    ];
    stage.token(key, &pairs).await
}

async fn lives(stage: &Stage, task: &Opened) -> bool {
    let answer = stage.call(task, Method::GET, TICKETS).await;
    if answer.status == 200 {
        return true;
    }
    assert_eq!((answer.status, &*reason(&answer)), (401, "task_ended"));
    false
}

#[test]
fn an_owner_who_is_stopped_ends_what_acts_by_their_word() {
    runtime().block_on(async {
        for (owner, code, other_lives) in
            [(ANN, "invalid_client", true), (PAT, "invalid_grant", false)]
        {
            let mut stage = Stage::prepared(owners).await;
            let (svid, others) = (stage.svid(BOT).await, stage.svid(OTHER).await);
            let (task, other) = (stage.grant(BOT, READ).await, stage.grant(OTHER, READ).await);
            let kill = format!(r#"{{"owner":"{owner}"}}"#);
            let cut = stage.order("/v1/kill", &kill).await;
            let ended = cut.member("tasks").unwrap().as_array().unwrap().len();
            assert_eq!(ended, if other_lives { 1 } else { 2 }, "{owner}: {cut}");
            let opening = ("authorization_details", READ);
            for after in ["at once", "after a crash"] {
                assert!(!lives(&stage, &task).await, "{owner} {after}");
                assert_eq!(lives(&stage, &other).await, other_lives, "{owner} {after}");
                let answer = ask(&stage, &svid, &Key::new(), opening).await;
                refused(&answer, code, after);
                let answer = ask(&stage, &others, &Key::new(), opening).await;
                assert_eq!(answer.status == 200, other_lives, "{owner} {after}");
                let renewing = ("task_id", task.task.as_str());
                let answer = ask(&stage, &svid, &Key::new(), renewing).await;
                refused(&answer, code, after);
                if after == "at once" {
                    stage.server.take().unwrap().kill();
                    stage.server = Some(stage.project.start());
                }
            }
            let identity = stage.project.client().identity(Some(BOT)).await;
            assert_eq!(
                identity.is_err(),
                owner == ANN,
                "{owner}: nobody vouches for the agent"
            );

            let (exit, said, fault) = stage.project.run(&["resume", "owner", owner]);
            assert_eq!(exit, 0, "{fault}");
            assert!(said.contains("goes on"), "{said}");
            assert!(!lives(&stage, &task).await, "what has ended stays so");
            let key = Key::new();
            let answer = ask(&stage, &svid, &key, opening).await;
            assert!(lives(&stage, &opened(&answer, key)).await);
        }
    });
}

/// An owner was stopped and the process died before their tasks had ended: what still lives calls nothing.
#[test]
fn a_task_that_outlived_a_kill_of_its_owner_calls_nothing() {
    runtime().block_on(async {
        for owner in [ANN, PAT] {
            let mut stage = Stage::prepared(owners).await;
            let task = stage.grant(BOT, READ).await;
            stage.server.take().unwrap().kill();
            let store = Store::open(&stage.project.path(".writ/writ.db")).await;
            let store = store.unwrap();
            let now = now();
            let stopped = Stopped {
                stop: Stop::Owner(owner.parse().unwrap()),
                version: 0,
                by: OperatorId::new(now, [1; 10]),
                at: now,
            };
            let tenant = Tenant::default_tenant();
            store.put_stop(&tenant, &stopped).await.unwrap();
            store.close().await;
            stage.server = Some(stage.project.start());
            let answer = stage.call(&task, Method::GET, TICKETS).await;
            assert_eq!(
                (answer.status, &*reason(&answer)),
                (403, "stopped"),
                "{owner}"
            );
            // Killed again, the task ends.
            stage
                .order("/v1/kill", &format!(r#"{{"owner":"{owner}"}}"#))
                .await;
            assert!(!lives(&stage, &task).await, "{owner}");
        }
    });
}
