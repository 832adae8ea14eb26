//! What a purpose says beside its actions: hours, environments, and how much one task may do at worst.

use std::time::Duration;

use hyper::Method;
use writ_testkit::{Caller, TestClock, json, reason, runtime};
use writ_types::{Timestamp, Value};

use crate::stage::{ACTIONS, Stage, text};

const TICKET: &str = "/helpdesk/tickets/T-1001";

/// Two hours of every day around an instant.
fn around(now: Timestamp) -> String {
    hours(now.minus(HOUR), now.plus(HOUR))
}

/// An hour of every day that the instant is not in.
fn later(now: Timestamp) -> String {
    hours(now.plus(HOUR), now.plus(HOUR).plus(HOUR))
}

const HOUR: Duration = Duration::from_secs(3600);

fn hours(from: Timestamp, until: Timestamp) -> String {
    let clock = |at: Timestamp| -> String { at.to_string().chars().skip(11).take(5).collect() };
    format!(
        "[hours]\ndays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\nfrom = \"{}\"\nuntil = \"{}\"\nzone = \"Z\"\n",
        clock(from),
        clock(until)
    )
}

impl Stage {
    /// Puts the purpose in force with more lines before its budget, and more tables after it.
    fn purpose(&self, lines: &str, tables: &str) {
        self.project.write(
            "purposes/triage.toml",
            &format!("owner = \"o@example.org\"\nmax_task_life = \"1h\"\nactions = {ACTIONS}\n{lines}\n[budget]\ncalls = 500\nwrites = 100\ndeletes = 5\nirreversible = 5\n{tables}"),
        );
        self.apply();
    }

    fn apply(&self) {
        let (code, out, err) = self.project.run(&["apply"]);
        assert_eq!(code, 0, "{out}{err}");
    }

    /// Opens a task of some actions with a budget: what it is given, or why there is none.
    async fn opened(&self, actions: &str, budget: &str) -> Result<Value, Value> {
        let client = self.project.client();
        let agent = "spiffe://writ.local/agent/bot";
        let identity = client.identity(Some(agent)).await.unwrap();
        let details = format!(
            r#"[{{"type":"writ_task","purpose":"triage","actions":{actions},"budget":{budget}}}]"#
        );
        let opened = client.open(&identity, &json(&details)).await.unwrap();
        opened
            .map(|task| task.answer)
            .map_err(|answer| answer.json())
    }
}

#[test]
fn a_purpose_has_hours_for_opening_tasks_and_for_every_call() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let now = TestClock::start().now();
        stage.purpose("", &around(now));
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        assert_eq!(caller.send("GET", TICKET, &[], "").await.status, 200);
        // The hours of live tasks are those of the revision in force.
        stage.purpose("", &later(now));
        let refused = caller.send("GET", TICKET, &[], "").await;
        assert_eq!(
            (refused.status, reason(&refused).as_str()),
            (403, "outside_hours")
        );
        let call = refused.header("writ-call-id").unwrap().to_owned();
        let (code, out, err) = stage.project.run(&["explain", &call]);
        assert_eq!(code, 0, "{err}");
        assert!(
            out.contains("it is made within the hours of the purpose `triage`"),
            "{out}"
        );
        let none = stage
            .opened(r#"["helpdesk:getTicket"]"#, "{}")
            .await
            .unwrap_err();
        assert_eq!(
            text(&none, "error"),
            "invalid_authorization_details",
            "{none}"
        );
        assert!(
            text(&none, "error_description").starts_with("outside_hours"),
            "{none}"
        );
        stage.purpose("", &around(now));
        assert_eq!(caller.send("GET", TICKET, &[], "").await.status, 200);
    });
}

#[test]
fn a_purpose_reaches_the_apis_of_its_environments_and_none_that_is_in_no_environment() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let api = std::fs::read_to_string(stage.project.path("apis/helpdesk.toml")).unwrap();
        let placed = |environment: &str| {
            let text = format!("environment = \"{environment}\"\n{api}");
            stage.project.write("apis/helpdesk.toml", &text);
            stage.apply();
        };
        stage.purpose("environments = [\"staging\"]", "");
        for (environment, reached) in [
            (None, false),
            (Some("production"), false),
            (Some("staging"), true),
        ] {
            if let Some(environment) = environment {
                placed(environment);
            }
            let answer = caller.send("GET", TICKET, &[], "").await;
            let opened = stage.opened(r#"["helpdesk:getTicket"]"#, "{}").await;
            assert_eq!(opened.is_ok(), reached, "{environment:?}");
            if reached {
                assert_eq!(answer.status, 200);
            } else {
                assert_eq!(
                    (answer.status, reason(&answer).as_str()),
                    (403, "outside_environment")
                );
            }
        }
    });
}

#[test]
fn a_task_that_could_do_too_much_at_once_is_not_opened() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        stage.purpose("max_blast_radius = 130", "");
        let read = r#"["helpdesk:getTicket"]"#;
        // 130 reads, and no more.
        let opened = stage.opened(read, r#"{"calls":130}"#).await.unwrap();
        assert_eq!(
            opened.member("blast_radius"),
            Some(&Value::from_u64(130)),
            "{opened}"
        );
        let none = stage.opened(read, r#"{"calls":131}"#).await.unwrap_err();
        assert!(
            text(&none, "error_description").starts_with("blast_radius"),
            "{none}"
        );
        // What the purpose covers in full is shown where people look.
        let (code, out, _) = stage
            .project
            .run(&["can-i", "--agent", "bot", "helpdesk:getTicket"]);
        assert_eq!(code, 0);
        assert!(
            out.contains("blast radius of a task for it 500 (at most 130)"),
            "{out}"
        );
        let purposes = stage
            .project
            .operator(Method::GET, "/v1/purposes", "")
            .await
            .json();
        let purpose = purposes.as_array().unwrap().first().unwrap().clone();
        assert!(
            purpose.member("blast_radius").and_then(Value::as_u64) > Some(500),
            "{purpose}"
        );
    });
}
