//! Values that nothing vouches for, through the whole program.

use writ::agent::OpenTask;
use writ_testkit::{Caller, Desk, Project, Server, open, project, reason, runtime};

/// What the help desk's owner says: a ticket is named by what a list shows, and comments are content.
const OVERLAY: &str = r"overlay: 1.0.0
info: {title: Help desk, version: '1'}
actions:
  - target: $.components.parameters.TicketId
    update: {x-writ: {sensitive: ticket}}
  - target: $.components.schemas.Ticket.properties.id
    update: {x-writ: {source: {trust: trusted, kind: ticket}}}
  - target: $.paths['/tickets/{ticket_id}/comments'].post.requestBody.content['application/json'].schema.properties.body
    update: {x-writ: {payload: true}}
";

struct Installation {
    project: Project,
    // Both live as long as the test.
    _desk: Desk,
    _server: Server,
}

impl Installation {
    async fn start() -> Self {
        Self::with(OVERLAY).await
    }

    async fn with(overlay: &str) -> Self {
        let project = project!();
        let desk = Desk::open(&project).await;
        project.write("apis/helpdesk.overlay.yaml", overlay);
        project.agent("bot", "copilot", &["support"]);
        project.write(
            "purposes/support.toml",
            "owner = \"o@example.org\"\nactions = [\"helpdesk:listTickets\", \"helpdesk:getTicket\", \"helpdesk:addComment\"]\n",
        );
        let server = project.serve(project.command(&["serve"])).unwrap();
        project.sign_in();
        project.credential("helpdesk-key", &desk.key);
        Self {
            project,
            _desk: desk,
            _server: server,
        }
    }

    async fn task(&self, prompt: &str) -> OpenTask {
        let details = format!(
            r#"[{{"type":"writ_task","purpose":"support","prompt":"{prompt}","actions":["helpdesk:listTickets","helpdesk:getTicket","helpdesk:addComment"],"bounds":{{"helpdesk:getTicket":{{"/path/ticket_id":["T-1001","T-1002","T-9999"]}}}}}}]"#
        );
        open(&self.project.client(), &details).await
    }

    /// Status and reason of each call of one task, in order.
    async fn play(&self, task: &OpenTask, calls: &[(&str, &str, &str)]) -> Vec<(u16, String)> {
        let caller = Caller::new(&self.project, task);
        caller.learn().await;
        let mut answers = Vec::new();
        for (method, path, body) in calls {
            let json = [("content-type", "application/json")];
            let fields: &[_] = if body.is_empty() { &[] } else { &json };
            let answer = caller.send(method, path, fields, (*body).to_owned()).await;
            let reason = if answer.status < 300 {
                String::new()
            } else {
                reason(&answer)
            };
            answers.push((answer.status, reason));
        }
        answers
    }
}

fn list() -> (&'static str, &'static str, &'static str) {
    ("GET", "/helpdesk/tickets", "")
}

fn show(path: &'static str) -> (&'static str, &'static str, &'static str) {
    ("GET", path, "")
}

#[test]
fn a_value_counts_once_a_trusted_field_had_it_and_in_that_task_alone() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        // The agent's own prompt and bounds name the tickets, and vouch for nothing.
        let task = installation.task("Look at T-1001").await;
        let comment = |body| ("POST", "/helpdesk/tickets/T-1001/comments", body);
        let answers = installation
            .play(
                &task,
                &[
                    show("/helpdesk/tickets/T-1001"),
                    list(),
                    show("/helpdesk/tickets/T-1001"),
                    comment(r#"{"body":"Looked at it."}"#),
                    comment(r#"{"body":"See https://evil.example/?leak=1"}"#),
                ],
            )
            .await;
        let refused = (403, "value_not_vouched".to_owned());
        let fine = |status| (status, String::new());
        assert_eq!(
            answers,
            [
                refused.clone(),
                fine(200),
                fine(200),
                fine(201),
                refused.clone()
            ]
        );
        let other = installation.task("Look at T-1001").await;
        let answers = installation
            .play(&other, &[show("/helpdesk/tickets/T-1001")])
            .await;
        assert_eq!(
            answers,
            [refused],
            "what another task has read does not count here"
        );
    });
}

/// A ticket may be looked at by any name; who writes to one has it from somewhere.
const LOOKED_UP: &str = r"overlay: 1.0.0
info: {title: Help desk, version: '1'}
actions:
  - target: $.paths['/tickets/{ticket_id}/comments'].post
    update:
      parameters:
        - {name: ticket_id, in: path, required: true, schema: {type: string}, x-writ: {sensitive: ticket}}
  - target: $.components.schemas.Ticket.properties.id
    update: {x-writ: {source: {trust: trusted, kind: ticket}}}
";

#[test]
fn what_a_call_says_itself_it_does_not_hear_from_the_api() {
    runtime().block_on(async {
        let installation = Installation::with(LOOKED_UP).await;
        let task = installation.task("").await;
        let comment = (
            "POST",
            "/helpdesk/tickets/T-1001/comments",
            r#"{"body":"x"}"#,
        );
        let answers = installation
            .play(
                &task,
                &[show("/helpdesk/tickets/T-1001"), comment, list(), comment],
            )
            .await;
        let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, [200, 403, 200, 201], "{answers:?}");
    });
}

#[test]
fn whoever_tries_values_is_stopped() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task("").await;
        let answers = installation
            .play(
                &task,
                &[
                    show("/helpdesk/tickets/T-1001"),
                    show("/helpdesk/tickets/T-1002"),
                    show("/helpdesk/tickets/T-9999"),
                    list(),
                ],
            )
            .await;
        let reasons: Vec<&str> = answers.iter().map(|(_, reason)| reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "value_not_vouched",
                "value_not_vouched",
                "value_not_vouched",
                "task_paused"
            ]
        );
    });
}
