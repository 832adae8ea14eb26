//! What outlives a task or passes between tasks: what was read, and what was written.

use hyper::Method;
use writ_testkit::{Project, reason, runtime};

use crate::kit::{ACCESS_TOKEN, BOT, EXCHANGE, Key, OTHER, Opened, Stage, opened};

/// Subjects of tickets are names of tickets here, so that a task can write what vouches.
const OVERLAY: &str = r"overlay: 1.0.0
info: {title: Help desk, version: '1'}
actions:
  - target: $.components.parameters.TicketId
    update: {x-writ: {sensitive: ticket}}
  - target: $.components.schemas.Ticket.properties['id','subject']
    update: {x-writ: {source: {trust: trusted, kind: ticket}}}
";

/// Nothing is commented on after strangers were read.
const RULE: &str = r#"@id("desk.quiet")
forbid (principal, action == Api_helpdesk::Action::"addComment", resource)
when { context.sys.labels.contains("untrusted") };
"#;

const ALL: &str = r#"[{"type":"writ_task","purpose":"desk","actions":["helpdesk:listTickets","helpdesk:getTicket","helpdesk:updateTicket","helpdesk:addComment"]}]"#;
const COMMENT: &str = "/helpdesk/tickets/T-1001/comments";

fn prepare(project: &Project) {
    project.agent("bot", "copilot", &["desk"]);
    project.agent("other", "copilot", &["desk"]);
    project.write(
        "purposes/desk.toml",
        "owner = \"o@example.org\"\nagent_vouches = false\nactions = [\"helpdesk:listTickets\", \"helpdesk:getTicket\", \"helpdesk:updateTicket\", \"helpdesk:addComment\"]\n",
    );
}

async fn send(
    stage: &Stage,
    task: &Opened,
    method: Method,
    path: &str,
    body: &str,
) -> (u16, String) {
    let body = (!body.is_empty()).then_some(body);
    let answer = stage.present(&task.token, &task.key, method, path, body);
    let answer = answer.await;
    (answer.status, reason(&answer))
}

async fn comment(stage: &Stage, task: &Opened) -> (u16, String) {
    send(
        stage,
        task,
        Method::POST,
        COMMENT,
        r#"{"body":"Looked at it."}"#,
    )
    .await
}

async fn list(stage: &Stage, task: &Opened) {
    let answer = send(stage, task, Method::GET, "/helpdesk/tickets", "").await;
    assert_eq!(answer.0, 200);
}

fn forbidden() -> (u16, String) {
    (403, "forbidden".to_owned())
}

#[test]
fn a_fresh_task_of_an_agent_that_has_read_is_not_fresh() {
    runtime().block_on(async {
        let stage = Stage::prepared(|project| {
            prepare(project);
            project.write("policies/quiet.cedar", RULE);
        })
        .await;
        let poisoned = stage.grant(BOT, ALL).await;
        assert_eq!(comment(&stage, &poisoned).await.0, 201);
        list(&stage, &poisoned).await;
        assert_eq!(comment(&stage, &poisoned).await, forbidden());
        let closed = format!("/v1/tasks/{}/close", poisoned.task);
        stage.order(&closed, "{}").await;
        let fresh = stage.grant(BOT, ALL).await;
        assert_eq!(
            comment(&stage, &fresh).await,
            forbidden(),
            "the agent knows what it read"
        );
        let other = stage.grant(OTHER, ALL).await;
        assert_eq!(comment(&stage, &other).await.0, 201);
    });
}

#[test]
fn what_a_sub_task_has_read_its_parent_may_know() {
    runtime().block_on(async {
        let stage = Stage::prepared(|project| {
            prepare(project);
            project.write("policies/quiet.cedar", RULE);
        })
        .await;
        let parent = stage.grant(BOT, ALL).await;
        let resource = stage.public("");
        let pairs = [
            ("grant_type", EXCHANGE),
            ("subject_token", parent.token.as_str()),
            ("subject_token_type", ACCESS_TOKEN),
            ("resource", &resource),
            (
                "authorization_details",
                r#"[{"type":"writ_task","purpose":"desk","actions":["helpdesk:listTickets"]}]"#,
            ),
        ];
        let child = opened(&stage.token(&parent.key, &pairs).await, Key::new());
        assert_eq!(comment(&stage, &parent).await.0, 201);
        // The same key: a sub-task's token is bound to its parent's.
        let listed = stage
            .present(
                &child.token,
                &parent.key,
                Method::GET,
                "/helpdesk/tickets",
                None,
            )
            .await;
        assert_eq!(listed.status, 200);
        assert_eq!(comment(&stage, &parent).await, forbidden());
    });
}

#[test]
fn what_one_task_writes_does_not_vouch_in_the_next() {
    runtime().block_on(async {
        let stage = Stage::prepared(|project| {
            prepare(project);
            project.write("apis/helpdesk.overlay.yaml", OVERLAY);
        })
        .await;
        let secret = "/helpdesk/tickets/T-7777";
        let refused = (403, "value_not_vouched".to_owned());
        let writes = stage.grant(BOT, ALL).await;
        list(&stage, &writes).await;
        let path = "/helpdesk/tickets/T-1001";
        let written = send(
            &stage,
            &writes,
            Method::PATCH,
            path,
            r#"{"subject":"T-7777"}"#,
        )
        .await;
        assert_eq!(written.0, 200);
        list(&stage, &writes).await;
        assert_eq!(
            send(&stage, &writes, Method::GET, secret, "").await,
            refused
        );
        let reads = stage.grant(BOT, ALL).await;
        list(&stage, &reads).await;
        assert_eq!(send(&stage, &reads, Method::GET, secret, "").await, refused);
        // Somebody else's task reads it from a field that the owner trusts: to the desk there is no such ticket.
        let other = stage.grant(OTHER, ALL).await;
        list(&stage, &other).await;
        assert_eq!(send(&stage, &other, Method::GET, secret, "").await.0, 404);
    });
}
