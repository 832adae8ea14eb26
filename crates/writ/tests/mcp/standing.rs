//! What lasts is decided anew: a subscription goes on for as long as it would be permitted as it stands.

use hyper::Method;
use writ_testkit::{json, runtime};
use writ_types::Value;

use crate::beside::Session;
use crate::client::{at, error};
use crate::keeper::{Beside, kept_whole};
use crate::listening::Stream;
use crate::server::{Stage, purpose};
use crate::updates::{ONE, OTHER, Standing, asking, opened, post, subscribe, updates};

const TOOLS: &str = "notifications/tools/list_changed";

/// The call of a subscription that is held.
async fn held(session: &Session<'_>, uri: &str) -> String {
    let answer = subscribe(session, uri).await;
    let result = at(&answer.json(), &["result"]).map(ToString::to_string);
    assert_eq!(result.as_deref(), Some("{}"), "{}", answer.json());
    answer.header("writ-call-id").unwrap().to_owned()
}

#[test]
fn each_subscription_of_a_stream_is_decided_on_what_is_in_force_when_its_turn_comes() {
    runtime().block_on(async {
        let kept = kept_whole();
        let task = kept.task().await;
        kept.keeper.says([Beside::Stays(String::new())]);
        let wanted = r#"{"resourceSubscriptions":["test://slow","test://a"]}"#;
        let mut stream = Stream::of(&kept.project, &task, "/mcp/keeper", wanted).await;
        let keeper = kept.keeper.clone();
        let slow = tokio::task::spawn_blocking(move || keeper.wait_for("resources/subscribe", 1));
        assert!(slow.await.unwrap()[0].body.contains("test://slow"));
        // While the server takes its time, a revision is put in force in which nobody may read of it.
        let left = ["keeper:waits".to_owned(), "keeper:slow".to_owned()];
        purpose(&kept.project, &left);
        let (code, said, errors) = kept.project.run(&["apply"]);
        assert_eq!(code, 0, "{said}{errors}");
        kept.keeper.release();
        stream.until("}}}\n\n").await.unwrap();
        let nothing = r#""notifications":{}}}"#;
        assert!(stream.seen.contains(nothing), "{}", stream.seen);
        let over = kept.keeper.wait_for("resources/unsubscribe", 1);
        assert!(over[0].body.contains("test://slow"), "{}", over[0].body);
        assert_eq!(kept.keeper.heard_of("resources/subscribe").len(), 1);
    });
}

#[test]
fn a_client_that_goes_while_its_stream_is_opened_subscribes_to_nothing_more() {
    runtime().block_on(async {
        let kept = kept_whole();
        let task = kept.task().await;
        kept.keeper.says([Beside::Stays(String::new())]);
        let wanted = r#"{"resourceSubscriptions":["test://slow","test://a"]}"#;
        let stream = Stream::of(&kept.project, &task, "/mcp/keeper", wanted).await;
        let keeper = kept.keeper.clone();
        let slow = tokio::task::spawn_blocking(move || keeper.wait_for("resources/subscribe", 1));
        let sent = json(&slow.await.unwrap()[0].body);
        let call = sent.member("id").and_then(Value::as_str).unwrap();
        drop(stream);
        // The server does not answer, and the call is over all the same.
        let path = format!("/v1/explain/{call}");
        let mut records = String::new();
        for _ in 0..500 {
            let answer = kept.project.operator(Method::GET, &path, "").await;
            records = answer.json().to_string();
            if records.contains(r#""kind":"outcome""#) {
                break;
            }
        }
        assert!(records.contains(r#""kind":"outcome""#), "{records}");
        kept.keeper.release();
        assert_eq!(kept.keeper.heard_of("resources/subscribe").len(), 1);
    });
}

#[test]
fn what_a_person_would_have_to_say_yes_to_is_not_subscribed_and_ends_where_it_is() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.task(&stage.actions, "").await;
        let session = Session::open(&stage.project, &task, "{}").await;
        let mut own = Standing::of(&session, stage.project.gateway).await;
        let call = held(&session, ONE).await;
        let rule = r#"@id("trial.read") @approval("operator")
forbid (principal, action == Api_fixture::Action::"resources/read", resource);
"#;
        stage.project.write("policies/trial.cedar", rule);
        let (code, said, errors) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{said}{errors}");
        assert_eq!(stage.ended(&call).await, ["intent", "outcome"]);
        stage.fixture.update(ONE).await;
        assert!(own.end().await, "{}", own.seen);
        assert_eq!(updates(&own.seen), Vec::<String>::new());
        // A yes is to one reading: for a subscription nobody is asked.
        assert_eq!(error(&subscribe(&session, ONE).await).2, "forbidden");
        let waiting = stage.project.operator(Method::GET, "/v1/approvals", "");
        let waiting = waiting.await.json().to_string();
        assert!(!waiting.contains("resources/read"), "{waiting}");
        let read = session.post(&asking("resources/read", ONE)).await;
        assert_eq!(error(&read).2, "approval_required");
        let waiting = stage.project.operator(Method::GET, "/v1/approvals", "");
        let waiting = waiting.await.json().to_string();
        assert!(waiting.contains("resources/read"), "{waiting}");
    });
}

#[test]
fn what_a_task_gives_up_it_does_not_hear_of_any_more() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.task(&stage.actions, "").await;
        let session = Session::open(&stage.project, &task, "{}").await;
        let mut own = Standing::of(&session, stage.project.gateway).await;
        let mut lists = Stream::begin(&stage, &task, "/mcp/fixture", r#"{"toolsListChanged":true}"#).await;
        let (one, other) = (held(&session, ONE).await, held(&session, OTHER).await);
        let less: Vec<Value> = stage
            .actions
            .iter()
            .filter(|action| !action.ends_with("test_simple_text"))
            .map(|action| Value::from(action.as_str()))
            .collect();
        let details = format!(
            r#"[{{"type":"writ_task","purpose":"trial","actions":{},"bounds":{{"fixture:resources/read":{{"/body/uri":["{OTHER}"]}}}}}}]"#,
            Value::Array(less)
        );
        let client = stage.project.client();
        let amended = client.amend(&task, (&json(&details), ""), "wait=0").await.unwrap();
        let state = at(&amended.json(), &["state"]).map(ToString::to_string);
        assert_eq!(state.as_deref(), Some(r#""amended""#), "{}", amended.json());
        assert_eq!(stage.ended(&one).await, ["intent", "outcome"]);
        lists.hears(TOOLS).await;
        // What it may read still, it hears of still.
        assert_eq!(stage.records(&other).await, ["intent"]);
        stage.fixture.update(ONE).await;
        assert!(own.end().await, "{}", own.seen);
        assert_eq!(updates(&own.seen), Vec::<String>::new());
    });
}

#[test]
fn after_a_stop_the_stream_ends_because_something_may_be_missed() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.task(&stage.actions, "").await;
        let session = Session::open(&stage.project, &task, "{}").await;
        let mut own = Standing::of(&session, stage.project.gateway).await;
        let call = held(&session, ONE).await;
        let stop = stage
            .project
            .operator(Method::POST, "/v1/kill", r#"{"api":"fixture"}"#)
            .await;
        assert_eq!(stop.status, 200, "{}", stop.json());
        assert!(own.end().await, "{}", own.seen);
        assert_eq!(updates(&own.seen), Vec::<String>::new());
        assert_eq!(stage.ended(&call).await, ["intent", "outcome"]);
    });
}

#[test]
fn a_server_that_says_too_much_before_it_holds_a_subscription_holds_none() {
    runtime().block_on(async {
        let kept = kept_whole();
        let task = kept.task().await;
        let (caller, session) = opened(&kept, &task).await;
        let stays = || Beside::Stays(String::new());
        kept.keeper.says([stays(), stays()]);
        for (uri, wanted) in [
            ("test://loud", Some("upstream_invalid")),
            ("test://a", None),
        ] {
            let answer = post(&caller, &session, &asking("resources/subscribe", uri)).await;
            match wanted {
                Some(reason) => assert_eq!(error(&answer).2, reason),
                None => assert!(
                    at(&answer.json(), &["result"]).is_some(),
                    "{}",
                    answer.json()
                ),
            }
        }
    });
}
