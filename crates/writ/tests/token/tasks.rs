//! What a task may become: narrowed, renewed, divided, ended.

use std::time::Duration;

use hyper::Method;
use writ::http::Answer;
use writ_testkit::{reason, runtime};
use writ_types::Value;

use crate::kit::{
    ACCESS_TOKEN, BOT, EXCHANGE, JWT_SPIFFE, Key, OTHER, Opened, READ, Stage, TICKETS, decoded,
    now, opened, refused, text, with,
};

const GRANT: &str = "invalid_grant";
const DETAILS: &str = "invalid_authorization_details";

/// The one object of the granted `authorization_details`.
fn granted(answer: &Value) -> &Value {
    &answer
        .member("authorization_details")
        .unwrap()
        .as_array()
        .unwrap()[0]
}

fn seconds(answer: &Value, name: &str) -> u64 {
    answer.member(name).and_then(Value::as_u64).unwrap()
}

async fn list(stage: &Stage, task: &Opened) -> Answer {
    stage.call(task, Method::GET, TICKETS).await
}

async fn ended(stage: &Stage, task: &Opened, row: &str) {
    let before = stage.reached();
    let answer = list(stage, task).await;
    assert_eq!(
        (answer.status, reason(&answer).as_str()),
        (401, "task_ended"),
        "{row}"
    );
    assert_eq!(stage.reached(), before, "{row}");
}

/// Asks for a fresh token of a live task, with fresh proof.
async fn renew(stage: &Stage, agent: &str, task: &str) -> Answer {
    stage.ask(agent, &Key::new(), &[("task_id", task)]).await
}

/// Asks for a task below the one whose token it shows, with the key that token is bound to.
async fn narrow(stage: &Stage, parent: &Opened, key: &Key, details: &str) -> Answer {
    let public = stage.public("");
    let pairs = [
        ("grant_type", EXCHANGE),
        ("subject_token", parent.token.as_str()),
        ("subject_token_type", ACCESS_TOKEN),
        ("resource", &public),
        ("authorization_details", details),
    ];
    stage.token(key, &pairs).await
}

/// The same, granted; the token is bound to the parent's key, which comes along to prove it.
async fn below(stage: &Stage, parent: &Opened, details: &str) -> (String, String, Value) {
    let answer = narrow(stage, parent, &parent.key, details).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    (
        text(&answer, "task_id"),
        text(&answer, "access_token"),
        answer.json(),
    )
}

#[test]
fn what_is_granted_is_said() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage
            .grant(BOT, r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets","helpdesk:createRefund","nothing:at-all"],"budget":{"calls":5000000,"writes":50,"deletes":3},"expires_in":86400,"prompt":"secret words"}]"#)
            .await;
        let detail = granted(&task.answer);
        assert_eq!(detail.member("actions").unwrap().to_string(), r#"["helpdesk:listTickets"]"#);
        let budget = detail.member("budget").unwrap().to_string();
        assert_eq!(budget, r#"{"calls":1000000,"deletes":0,"irreversible":0,"writes":10}"#);
        assert!(seconds(detail, "expires_in") <= 900, "the purpose's longest life");
        assert!(!task.answer.to_string().contains("secret words") && !decoded(&task.token).1.to_string().contains("secret words"));
        let (_, claims) = decoded(&task.token);
        assert_eq!(claims.member("authorization_details"), task.answer.member("authorization_details"));
        let refund = stage.call(&task, Method::GET, "/helpdesk/refunds").await;
        assert_eq!((refund.status, reason(&refund).as_str()), (403, "action_not_granted"));
    });
}

#[test]
fn a_token_lives_as_long_as_the_least_of_its_limits() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let details = |action: &str, more: &str| {
            format!(r#"[{{"type":"writ_task","purpose":"triage","actions":["{action}"]{more}}}]"#)
        };
        for (row, details, most) in [
            ("five minutes", details("helpdesk:listTickets", ""), 300),
            ("the API's maximum", details("second:listTickets", ""), 60),
            (
                "the least of both APIs",
                details("helpdesk:listTickets\",\"second:listTickets", ""),
                60,
            ),
            (
                "the task's deadline",
                details("helpdesk:listTickets", r#","expires_in":30"#),
                30,
            ),
        ] {
            let task = stage.grant(BOT, &details).await;
            let lives = seconds(&task.answer, "expires_in");
            assert!(lives <= most && lives + 2 >= most, "{row}: {lives}");
            let (_, claims) = decoded(&task.token);
            let life = seconds(&claims, "exp") - seconds(&claims, "iat");
            assert!(life <= most && life + 2 >= most, "{row}: {life}");
            assert!(seconds(&task.answer, "task_expires_in") >= lives, "{row}");
        }
    });
}

#[test]
fn a_live_task_is_renewed_and_no_other() {
    runtime().block_on(async {
        let mut stage = Stage::open().await;
        let task = stage.grant(BOT, READ).await;
        let key = Key::new();
        let again = opened(&stage.ask(BOT, &key, &[("task_id", &task.task)]).await, key);
        assert_eq!((&again.task, granted(&again.answer)), (&task.task, granted(&task.answer)));
        assert_ne!(again.token, task.token);
        for token in [&task, &again] {
            assert_eq!(list(&stage, token).await.status, 200);
        }
        let swapped = stage.present(&again.token, &task.key, Method::GET, TICKETS, None).await;
        assert_eq!(swapped.status, 401, "the new token is bound to the new key");
        refused(&renew(&stage, OTHER, &task.task).await, GRANT, "another agent");
        refused(&renew(&stage, BOT, &stage.grant(OTHER, READ).await.task).await, GRANT, "another agent's task");
        let nothing = writ_types::TaskId::new(now(), [7; 10]).to_string();
        refused(&renew(&stage, BOT, &nothing).await, GRANT, "no such task");
        stage.restart();
        assert_eq!(renew(&stage, BOT, &task.task).await.status, 200, "after a restart");
        stage.order(&format!("/v1/tasks/{}/close", task.task), "").await;
        refused(&renew(&stage, BOT, &task.task).await, GRANT, "closed");
        ended(&stage, &task, "closed").await;
        let killed = stage.grant(BOT, READ).await;
        stage.order("/v1/kill", &format!(r#"{{"task":"{}"}}"#, killed.task)).await;
        refused(&renew(&stage, BOT, &killed.task).await, GRANT, "killed");
        ended(&stage, &killed, "killed").await;
        let spent = stage.grant(BOT, r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets"],"budget":{"calls":1}}]"#).await;
        assert_eq!(list(&stage, &spent).await.status, 200);
        let over = list(&stage, &spent).await;
        assert_eq!((over.status, reason(&over).as_str()), (403, "budget_exhausted"));
        refused(&renew(&stage, BOT, &spent.task).await, GRANT, "budget spent");
    });
}

/// A token is authority over its own task, and over no other: renewing takes the agent's own identity.
#[test]
fn a_token_renews_nothing_and_leads_to_no_other_resource() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let (key, helpdesk) = (Key::new(), stage.public("/helpdesk"));
        let both = r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets","second:listTickets"]}]"#;
        let more = [("resource", helpdesk.as_str()), ("authorization_details", both)];
        let answer = stage.ask(BOT, &key, &more).await;
        let task = opened(&answer, key);
        let sibling = stage.grant(BOT, READ).await;
        for (row, renewed) in [("itself", &task.task), ("another task of the agent", &sibling.task)] {
            let pairs = [
                ("grant_type", EXCHANGE),
                ("subject_token", task.token.as_str()),
                ("subject_token_type", ACCESS_TOKEN),
                ("resource", &helpdesk),
                ("task_id", renewed),
            ];
            refused(&stage.token(&task.key, &pairs).await, GRANT, row);
        }
        let elsewhere = narrow(&stage, &task, &task.key, READ).await;
        assert!(elsewhere.status == 400 && elsewhere.json().member("access_token").is_none(), "{}", elsewhere.json());
        assert_eq!(list(&stage, &task).await.status, 200);
        let second = stage.call(&task, Method::GET, "/second/tickets").await;
        assert_eq!((second.status, reason(&second).as_str()), (401, "wrong_audience"));
    });
}

/// A token of a task that is over is refused each time, and recorded so often and no more: it pays for nothing.
#[test]
fn calls_after_the_end_are_recorded_but_fill_no_log() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.grant(BOT, READ).await;
        let kill = format!(r#"{{"task":"{}"}}"#, task.task);
        stage.order("/v1/kill", &kill).await;
        for _ in 0..100 {
            ended(&stage, &task, "killed").await;
        }
        let records = stage.records().await;
        let of_it = records.matches(r#""reason":"task_ended""#).count();
        assert_eq!(of_it, 64);
    });
}

/// A killed agent has no task and gets none: not with an identity it still holds, and it gets no new one.
#[test]
fn a_killed_agent_stays_stopped() {
    runtime().block_on(async {
        let mut stage = Stage::open().await;
        let (task, svid) = (stage.grant(BOT, READ).await, stage.svid(BOT).await);
        stage
            .order("/v1/kill", &format!(r#"{{"agent":"{BOT}"}}"#))
            .await;
        for restarted in [false, true] {
            if restarted {
                stage.restart();
            }
            let before = stage.reached();
            let answer = list(&stage, &task).await;
            assert_eq!(
                (answer.status, reason(&answer).as_str()),
                (401, "task_ended")
            );
            assert_eq!(stage.reached(), before);
            let public = stage.public("");
            for more in [
                ("authorization_details", READ),
                ("task_id", task.task.as_str()),
            ] {
                let pairs = [
                    ("grant_type", "client_credentials"),
                    ("client_assertion_type", JWT_SPIFFE),
                    ("client_assertion", svid.as_str()),
                    ("resource", &public),
                    more,
                ];
                refused(
                    &stage.token(&Key::new(), &pairs).await,
                    "invalid_client",
                    more.0,
                );
            }
            assert!(stage.project.client().identity(Some(BOT)).await.is_err());
        }
    });
}

#[test]
fn a_task_ends_at_its_deadline_whatever_its_token_says() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let short = r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets"],"budget":{"calls":1000000},"expires_in":1}]"#;
        let task = stage.grant(BOT, short).await;
        // As if a token had been given that outlives its task: what ends is the task.
        let (header, claims) = decoded(&task.token);
        let later = Value::from_u64(now().plus(Duration::from_secs(120)).secs_since_epoch());
        let longer = with(&claims, &Value::object([("exp", later)]));
        let longer = Key::stolen(&stage.project, "token.p8").sign(&header.to_string(), &longer.to_string());
        let begun = now();
        let mut refusal = None;
        for _ in 0..100_000 {
            let answer = stage.present(&longer, &task.key, Method::GET, TICKETS, None).await;
            if answer.status != 200 {
                refusal = Some((answer.status, reason(&answer)));
                break;
            }
            assert!(now().since(begun) < Duration::from_secs(20), "the task outlives its deadline");
        }
        assert_eq!(refusal, Some((401, "task_ended".to_owned())));
        assert_eq!(list(&stage, &task).await.status, 401, "the token as it was issued");
        refused(&renew(&stage, BOT, &task.task).await, GRANT, "past its deadline");
    });
}

#[test]
fn a_sub_task_only_narrows() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let parent = stage
            .grant(BOT, r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets","helpdesk:getTicket"],"bounds":{"helpdesk:getTicket":{"/path/ticket_id":["T-1001","T-1002"]}},"budget":{"calls":10,"writes":0},"expires_in":60}]"#)
            .await;
        let get = |more: &str| format!(r#"[{{"type":"writ_task","purpose":"triage","actions":["helpdesk:getTicket"]{more}}}]"#);
        for (row, details) in [
            ("a wider bound", get(r#","bounds":{"helpdesk:getTicket":{"/path/ticket_id":["T-1001","T-1003"]}},"budget":{"calls":1,"writes":0}"#)),
            ("no bound", get(r#","budget":{"calls":1,"writes":0}"#)),
            ("a bound elsewhere", get(r#","bounds":{"helpdesk:getTicket":{"/query/x":["T-1001"]}},"budget":{"calls":1,"writes":0}"#)),
            ("another action", r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listComments"],"budget":{"calls":1,"writes":0}}]"#.to_owned()),
            ("one action more", r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets","helpdesk:listComments"],"budget":{"calls":1,"writes":0}}]"#.to_owned()),
            ("a purpose of another agent", r#"[{"type":"writ_task","purpose":"spare","actions":["helpdesk:getTicket"]}]"#.to_owned()),
        ] {
            refused(&narrow(&stage, &parent, &parent.key, &details).await, DETAILS, row);
        }
        let narrower = get(r#","bounds":{"helpdesk:getTicket":{"/path/ticket_id":["T-1001"]}},"budget":{"calls":1000,"writes":1000},"expires_in":86400"#);
        refused(&narrow(&stage, &parent, &Key::new(), &narrower).await, GRANT, "a stolen token with another key");
        let (_, token, answer) = below(&stage, &parent, &narrower).await;
        let detail = granted(&answer);
        assert_eq!(detail.member("budget").unwrap().member("calls"), Some(&Value::from_u64(10)), "cut to the parent's");
        assert_eq!(detail.member("budget").unwrap().member("writes"), Some(&Value::from_u64(0)));
        assert!(seconds(detail, "expires_in") <= 60 && seconds(&answer, "expires_in") <= 60, "{answer}");
        let get = async |ticket: &str| {
            let path = format!("/helpdesk/tickets/{ticket}");
            let answer = stage.present(&token, &parent.key, Method::GET, &path, None).await;
            (answer.status, reason(&answer))
        };
        assert_eq!(get("T-1001").await.0, 200);
        assert_eq!(get("T-1002").await, (403, "outside_bounds".to_owned()), "the parent's, not its own");
        let sub = Opened { answer, task: String::new(), token: token.clone(), key: Key::new() };
        let wider = r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets"],"budget":{"calls":1,"writes":0}}]"#;
        refused(&narrow(&stage, &sub, &parent.key, wider).await, DETAILS, "back to what the grandparent has");
    });
}

#[test]
fn a_parent_pays_for_its_children_and_ends_with_them() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let with_budget = |calls: u64| format!(r#"[{{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets"],"budget":{{"calls":{calls},"writes":0}}}}]"#);
        let parent = stage.grant(BOT, &with_budget(3)).await;
        let (child, child_token, _) = below(&stage, &parent, &with_budget(2)).await;
        let (_, second_token, _) = below(&stage, &parent, &with_budget(3)).await;
        let call = async |token: &str| {
            let answer = stage.present(token, &parent.key, Method::GET, TICKETS, None).await;
            (answer.status, reason(&answer))
        };
        let spent = (403, "budget_exhausted".to_owned());
        assert_eq!(call(&child_token).await.0, 200);
        assert_eq!(call(&child_token).await.0, 200);
        assert_eq!(call(&child_token).await, spent, "the child's own budget");
        let seen = stage.task(&parent.task).await;
        assert_eq!(seconds(&seen, "calls_spent"), 2, "the child's calls are the parent's");
        let (_, _, late) = below(&stage, &parent, &with_budget(3)).await;
        let calls = granted(&late).member("budget").unwrap().member("calls").cloned();
        assert_eq!(calls, Some(Value::from_u64(1)), "no more than is left");
        assert_eq!(call(&second_token).await.0, 200);
        assert_eq!(call(&second_token).await, spent, "the parent's budget");
        assert_eq!(call(&parent.token).await, spent);

        let parent = stage.grant(BOT, &with_budget(100)).await;
        let (_, token, _) = below(&stage, &parent, &with_budget(50)).await;
        let grandchild = Opened { answer: Value::Null, task: String::new(), token, key: Key::new() };
        let answer = narrow(&stage, &grandchild, &parent.key, &with_budget(10)).await;
        let token = text(&answer, "access_token");
        assert_eq!(stage.present(&token, &parent.key, Method::GET, TICKETS, None).await.status, 200);
        let cut = stage.order("/v1/kill", &format!(r#"{{"task":"{}"}}"#, parent.task)).await;
        assert_eq!(cut.member("tasks").unwrap().as_array().unwrap().len(), 3, "{cut}");
        for token in [&parent.token, &grandchild.token, &token] {
            let answer = stage.present(token, &parent.key, Method::GET, TICKETS, None).await;
            assert_eq!((answer.status, reason(&answer).as_str()), (401, "task_ended"));
        }
        refused(&narrow(&stage, &parent, &parent.key, &with_budget(1)).await, GRANT, "below a task that was killed");
        refused(&renew(&stage, BOT, &text(&answer, "task_id")).await, GRANT, "the grandchild");
        let seen = stage.task(&child).await;
        assert_eq!(seen.member("state"), Some(&Value::from("live")), "another tree");
    });
}

/// An agent that is disabled while it works stops, and what it opened with it.
#[test]
fn a_disabled_agent_has_no_task() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let (task, others) = (stage.grant(BOT, READ).await, stage.grant(OTHER, READ).await);
        let file = std::fs::read_to_string(stage.project.path("agents/bot.toml")).unwrap();
        stage
            .project
            .write("agents/bot.toml", &format!("{file}enabled = false\n"));
        let (code, _, said) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{said}");
        let before = stage.reached();
        let answer = list(&stage, &task).await;
        assert_eq!(
            (answer.status, reason(&answer).as_str()),
            (403, "agent_disabled")
        );
        assert_eq!(stage.reached(), before);
        assert_eq!(list(&stage, &others).await.status, 200);
    });
}

/// The gateway holds a token to the grant it names, and the grant is read back from the store: every form of bound must
/// come back as it was said.
#[test]
fn a_bounded_token_is_its_own_after_a_restart() {
    runtime().block_on(async {
        let mut stage = Stage::open().await;
        let details = |bounds: &str| format!(r#"[{{"type":"writ_task","purpose":"triage","actions":["helpdesk:getTicket"],"bounds":{{"helpdesk:getTicket":{{{bounds}}}}}}}]"#);
        let mut tasks = Vec::new();
        for (bounds, wanted) in [
            (r#""/path/ticket_id":["T-1001","T-1002"]"#, (200, "")),
            (r#""/path/ticket_id":{"prefix":"T-"}"#, (200, "")),
            (r#""/query/amount":{"min":"0.50","max":100.00}"#, (403, "outside_bounds")),
            (r#""/query/day":{"from":"2026-01-01","to":"2026-12-31"}"#, (403, "outside_bounds")),
            (r#""/query/mixed":[1,1.50,true,"1"]"#, (403, "outside_bounds")),
        ] {
            tasks.push((stage.grant(BOT, &details(bounds)).await, bounds, wanted));
        }
        for restarted in [false, true] {
            if restarted {
                stage.restart();
            }
            for (task, bounds, wanted) in &tasks {
                let answer = stage.call(task, Method::GET, "/helpdesk/tickets/T-1001").await;
                let why = reason(&answer);
                assert_eq!((answer.status, why.as_str()), *wanted, "{bounds}, restarted: {restarted}");
            }
        }
    });
}
