//! Plans: a task does its steps, in their order and so often; whatever else it would change a person looks at.

use writ::agent::OpenTask;
use writ::http::Answer;
use writ_testkit::{Caller, json, reason, runtime};

use crate::stage::{ACTIONS, Stage, asked, text};

/// Tickets are named by what vouches for them.
const OVERLAY: &str = r"overlay: 1.0.0
info: {title: Help desk, version: '1'}
actions:
  - target: $.components.parameters.TicketId
    update: {x-writ: {sensitive: ticket}}
";

/// Two comments at most to the second ticket, and then it is closed.
const PLAN: &str = r#"[
    {"action":"helpdesk:addComment","arguments":{"/path/ticket_id":["T-1002"]},"times":2},
    {"action":"helpdesk:closeTicket","arguments":{"/path/ticket_id":["T-1002"],"/body/resolution":["solved"]}}
]"#;

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const SOLVED: &str = r#"{"resolution":"solved"}"#;

impl Stage {
    /// No rule but the baseline's.
    fn plain(&self) {
        let project = &self.project;
        project.write("policies/desk.cedar", "");
        project.write(
            "purposes/triage.toml",
            &format!("owner = \"o@example.org\"\nmax_task_life = \"1h\"\nactions = {ACTIONS}\n[budget]\ncalls = 500\nwrites = 100\n"),
        );
        let (code, out, err) = project.run(&["apply"]);
        assert_eq!(code, 0, "{out}{err}");
    }

    async fn planned(&self, plan: &str) -> Result<OpenTask, Answer> {
        let client = self.project.client();
        let agent = "spiffe://writ.local/agent/bot";
        let identity = client.identity(Some(agent)).await.unwrap();
        let details = format!(
            r#"[{{"type":"writ_task","purpose":"triage","prompt":"Look after T-1001","actions":{ACTIONS},"budget":{{"calls":60,"writes":20}},"expires_in":3000,"plan":{plan}}}]"#
        );
        client.open(&identity, &json(&details)).await.unwrap()
    }
}

async fn comment(caller: &Caller<'_>, ticket: &str) -> Answer {
    let path = format!("/helpdesk/tickets/{ticket}/comments");
    caller
        .send("POST", &path, &JSON, r#"{"body":"hello"}"#)
        .await
}

async fn close(caller: &Caller<'_>, ticket: &str, body: &'static str) -> Answer {
    let path = format!("/helpdesk/tickets/{ticket}/close");
    caller.send("POST", &path, &JSON, body).await
}

#[test]
fn a_task_does_what_was_planned_in_its_order_and_so_often() {
    runtime().block_on(async {
        let (stage, server) = Stage::start().await;
        stage.plain();
        let owner = stage.person("owner@example.org", "approver", &[]).await;
        let task = stage
            .planned(PLAN)
            .await
            .map_err(|answer| answer.json())
            .unwrap();
        let caller = Caller::new(&stage.project, &task);

        let read = caller
            .send("GET", "/helpdesk/tickets/T-1001", &[], "")
            .await;
        assert_eq!(
            read.status,
            200,
            "what only reads is free: {}",
            reason(&read)
        );
        asked(&close(&caller, "T-1002", SOLVED).await);
        asked(&comment(&caller, "T-1001").await);
        assert_eq!(stage.comments(), 0);
        assert_eq!(
            comment(&caller, "T-1002").await.status,
            201,
            "the plan vouches for it"
        );
        server.kill();
        let _server = stage.project.start();
        let caller = Caller::new(&stage.project, &task);
        assert_eq!(comment(&caller, "T-1002").await.status, 201);
        asked(&close(&caller, "T-1002", r#"{"resolution":"spam"}"#).await);
        let third = comment(&caller, "T-1002").await;
        assert_eq!(
            (third.status, reason(&third).as_str(), stage.comments()),
            (403, "approval_required", 2),
            "twice is what was planned"
        );
        assert_eq!(close(&caller, "T-1002", SOLVED).await.status, 200);

        // One that is none of the steps is one question, and takes none of them.
        let elsewhere = asked(&comment(&caller, "T-1001").await);
        let path = format!("/v1/approvals/{elsewhere}");
        let shown = owner.send(hyper::Method::GET, &path, "").await.json();
        let card = shown.member("card").unwrap();
        assert_eq!(
            text(&card.member("rules").unwrap().as_array().unwrap()[0], "id"),
            "core.planned"
        );
        assert_eq!(card.member("plan").unwrap(), &{
            let shown = json(PLAN);
            let mut steps = shown.as_array().unwrap().to_vec();
            if let Some(writ_types::Value::Object(last)) = steps.last_mut() {
                last.insert("times".to_owned(), writ_types::Value::from_u64(1));
            }
            writ_types::Value::Array(steps)
        });
        assert_eq!(owner.yes(&elsewhere).await.status, 200);
        assert_eq!(comment(&caller, "T-1001").await.status, 201);
        let (_, out, _) = stage
            .project
            .run(&["--json", "audit", "search", &task.task]);
        let steps: Vec<&str> = [r#""step":0"#, r#""step":1"#]
            .into_iter()
            .filter(|step| out.contains(step))
            .collect();
        assert_eq!(steps.len(), 2, "{out}");
    });
}

#[test]
fn a_step_that_leaves_a_sensitive_argument_open_is_none() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let owner = stage.person("owner@example.org", "approver", &[]).await;
        let overlay = stage.project.path("apis/helpdesk.overlay.yaml");
        assert!(!overlay.exists());
        stage.project.write("apis/helpdesk.overlay.yaml", OVERLAY);
        stage.plain();
        let open = r#"[{"action":"helpdesk:addComment","times":9}]"#;
        for (plan, is_step) in [(open, false), (PLAN, true)] {
            let task = stage
                .planned(plan)
                .await
                .map_err(|answer| answer.json())
                .unwrap();
            let caller = Caller::new(&stage.project, &task);
            // Nobody vouches for what an agent plans for itself.
            let refused = comment(&caller, "T-1002").await;
            assert_eq!(reason(&refused), "value_not_vouched");
            let json = refused.json();
            let approval = text(json.member("approval").unwrap(), "id");
            let path = format!("/v1/approvals/{approval}");
            let shown = owner.send(hyper::Method::GET, &path, "").await.json();
            let rules = shown
                .member("card")
                .unwrap()
                .member("rules")
                .unwrap()
                .to_string();
            assert!(rules.contains("core.vouched"), "{rules}");
            assert_eq!(rules.contains("core.planned"), !is_step, "{rules}");
        }
    });
}

#[test]
fn a_plan_that_could_not_be_carried_out_opens_no_task() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        stage.plain();
        for (plan, wanted) in [
            (
                r#"[{"action":"helpdesk:exportCustomers"}]"#,
                "`plan` names an action that `actions` does not",
            ),
            (
                r#"[{"action":"helpdesk:addComment","arguments":{"/x":[1]}}]"#,
                "step 1 of `plan`",
            ),
            (
                r#"[{"action":"none"}]"#,
                "`plan` has a step whose action is none",
            ),
            ("[]", "`plan` is an array of 1 to 64 steps"),
        ] {
            let refused = stage.planned(plan).await.err().unwrap().json();
            assert_eq!(text(&refused, "error"), "invalid_authorization_details");
            let why = text(&refused, "error_description");
            assert!(why.contains(wanted), "{plan}: {why}");
        }
    });
}

#[test]
fn a_purpose_can_require_a_plan() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        stage.plain();
        let before = stage.task().await;
        let caller = Caller::new(&stage.project, &before);
        let free = caller
            .send("GET", "/helpdesk/tickets/T-1001", &[], "")
            .await;
        assert_eq!(free.status, 200);
        let file = stage.project.path("purposes/triage.toml");
        let before_it = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("plan_required = true\n{before_it}")).unwrap();
        let (_, out, _) = stage.project.run(&["plan"]);
        assert!(out.contains("plan_required"), "{out}");
        let (code, out, err) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{out}{err}");
        // One that was opened without is not used any more.
        let refused = caller
            .send("GET", "/helpdesk/tickets/T-1001", &[], "")
            .await;
        assert_eq!(
            (refused.status, reason(&refused).as_str()),
            (403, "action_not_granted")
        );
        let client = stage.project.client();
        let identity = client
            .identity(Some("spiffe://writ.local/agent/bot"))
            .await
            .unwrap();
        let details =
            json(r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:getTicket"]}]"#);
        let refused = client.open(&identity, &details).await.unwrap();
        let refused = refused.err().unwrap().json();
        assert!(
            text(&refused, "error_description").starts_with("plan_required"),
            "{refused}"
        );
        let planned = stage
            .planned(PLAN)
            .await
            .map_err(|answer| answer.json())
            .unwrap();
        let caller = Caller::new(&stage.project, &planned);
        let read = caller
            .send("GET", "/helpdesk/tickets/T-1001", &[], "")
            .await;
        assert_eq!(read.status, 200);
    });
}
