//! An installation whose rules ask before tickets are changed, an agent, and the people who answer.

use hyper::Method;
use writ::agent::{AgentClient, OpenTask};
use writ::http::Answer;
use writ_testkit::{Caller, Desk, Project, Server, json, reason};
use writ_types::Value;

/// What the rules of this installation ask for.
pub(crate) const RULES: &str = r#"
@id("desk.comment") @doc("Security reads what is written to customers.") @approval("security")
forbid (principal, action == Api_helpdesk::Action::"addComment", resource);

@id("desk.close") @approval("security")
forbid (principal, action == Api_helpdesk::Action::"closeTicket", resource);

@id("desk.close-lead") @approval("lead")
forbid (principal, action == Api_helpdesk::Action::"closeTicket", resource);

@id("desk.update") @defer("24h")
forbid (principal, action == Api_helpdesk::Action::"updateTicket", resource);

@id("desk.never")
forbid (principal, action == Api_helpdesk::Action::"deleteTicket", resource);

@id("desk.mask") @oblige("redact:/email,/address")
permit (principal, action == Api_helpdesk::Action::"getCustomer", resource);

@id("desk.small") @oblige("limit-bytes:40")
permit (principal, action == Api_helpdesk::Action::"listRefunds", resource);
"#;

pub(crate) const ACTIONS: &str = r#"["helpdesk:addComment","helpdesk:closeTicket","helpdesk:updateTicket","helpdesk:deleteTicket","helpdesk:getCustomer","helpdesk:getTicket","helpdesk:listRefunds"]"#;

pub(crate) const COMMENT: &str = "/helpdesk/tickets/T-1001/comments";
pub(crate) const BODY: &str = r#"{"body":"looked into it"}"#;

pub(crate) struct Stage {
    pub(crate) desk: Desk,
    pub(crate) project: Project,
}

impl Stage {
    /// Writes the project, starts it, signs in and sets the key.
    pub(crate) async fn start() -> (Self, Server) {
        Self::start_with("").await
    }

    /// The same with more settings.
    pub(crate) async fn start_with(settings: &str) -> (Self, Server) {
        let project = writ_testkit::project!();
        project.settings(settings);
        let desk = Desk::open(&project).await;
        for name in ["bot", "other"] {
            project.agent(name, "autonomous", &["triage"]);
        }
        // One that the shipped rules for agents without a person are in force for.
        let packed = std::fs::read_to_string(project.path("agents/other.toml")).unwrap();
        let packed = format!("packs = [\"autonomous\"]\n{packed}");
        project.write("agents/packed.toml", &packed);
        project.write(
            "purposes/triage.toml",
            &format!("owner = \"o@example.org\"\nmax_task_life = \"1h\"\nactions = {ACTIONS}\n[budget]\ncalls = 500\nwrites = 100\ndeletes = 5\nirreversible = 5\n"),
        );
        project.write("policies/desk.cedar", RULES);
        let server = project.start();
        project.sign_in();
        project.credential("helpdesk-key", &desk.key);
        (Self { desk, project }, server)
    }

    pub(crate) async fn task(&self) -> OpenTask {
        self.task_of("bot").await
    }

    /// A task of one of the agents.
    pub(crate) async fn task_of(&self, agent: &str) -> OpenTask {
        let client: AgentClient = self.project.client();
        let identity = client
            .identity(Some(&format!("spiffe://writ.local/agent/{agent}")))
            .await
            .unwrap();
        let details = format!(
            r#"[{{"type":"writ_task","purpose":"triage","actions":{ACTIONS},"budget":{{"calls":200,"writes":50,"deletes":1,"irreversible":1}},"expires_in":3000}}]"#
        );
        client
            .open(&identity, &json(&details))
            .await
            .unwrap()
            .unwrap_or_else(|answer| panic!("{}", answer.json()))
    }

    /// A person, registered by the admin and signed in.
    pub(crate) async fn person(&self, name: &str, role: &str, approves: &[&str]) -> Person<'_> {
        let body = format!(r#"{{"name":"{name}","role":"{role}","approves":{approves:?}}}"#);
        let invited = self
            .project
            .operator(Method::POST, "/v1/operators", &body)
            .await;
        assert_eq!(invited.status, 200, "{}", invited.json());
        let token = text(&invited.json(), "invitation");
        let body = format!(r#"{{"token":"{token}"}}"#);
        let headers = [("content-type", "application/json")];
        let signed_in = self
            .project
            .control()
            .send(Method::POST, "/v1/login", &headers, body.clone())
            .await
            .unwrap();
        assert_eq!(signed_in.status, 200, "{}", signed_in.json());
        let again = self
            .project
            .control()
            .send(Method::POST, "/v1/login", &headers, body)
            .await
            .unwrap();
        assert_eq!(again.status, 401, "an invitation is good once");
        Person {
            stage: self,
            session: text(&signed_in.json(), "session"),
        }
    }

    /// The bodies of the comments that the desk has been sent, and how often.
    pub(crate) fn comments(&self) -> usize {
        let requests = self.desk.desk.requests();
        requests
            .iter()
            .filter(|request| request.method == "POST" && request.path.ends_with("/comments"))
            .count()
    }
}

/// Somebody who is signed in.
pub(crate) struct Person<'s> {
    stage: &'s Stage,
    session: String,
}

impl Person<'_> {
    pub(crate) async fn send(&self, method: Method, path: &str, body: &str) -> Answer {
        let authorization = format!("Bearer {}", self.session);
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        self.stage
            .project
            .control()
            .send(method, path, &headers, body.to_owned())
            .await
            .unwrap()
    }

    /// Looks at the card and says yes to it.
    pub(crate) async fn yes(&self, approval: &str) -> Answer {
        let shown = self
            .send(Method::GET, &format!("/v1/approvals/{approval}"), "")
            .await;
        assert_eq!(shown.status, 200, "{}", shown.json());
        let card = text(shown.json().member("approval").unwrap(), "card");
        let body = format!(r#"{{"card":"{card}"}}"#);
        self.send(
            Method::POST,
            &format!("/v1/approvals/{approval}/yes"),
            &body,
        )
        .await
    }

    pub(crate) async fn no(&self, approval: &str, body: &str) -> Answer {
        self.send(Method::POST, &format!("/v1/approvals/{approval}/no"), body)
            .await
    }
}

pub(crate) fn text(value: &Value, name: &str) -> String {
    value
        .member(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// A comment, as the agent would write it.
pub(crate) async fn comment(caller: &Caller<'_>) -> Answer {
    caller.send("POST", COMMENT, &JSON, BODY).await
}

/// Sends, and says status and reason.
pub(crate) async fn post(caller: &Caller<'_>, path: &str, body: &'static str) -> (u16, String) {
    let answer = caller.send("POST", path, &JSON, body).await;
    (answer.status, reason(&answer))
}

/// The approval that a refusal names.
pub(crate) fn asked(answer: &Answer) -> String {
    let json = answer.json();
    assert_eq!(
        (
            answer.status,
            reason(answer).as_str(),
            text(&json, "verdict").as_str()
        ),
        (403, "approval_required", "STEP_UP"),
        "{json}"
    );
    let approval = json.member("approval").unwrap();
    let id = text(approval, "id");
    assert_eq!(
        text(approval, "href"),
        format!("/writ/approvals/helpdesk/{id}")
    );
    id
}

/// What the agent is told of an approval.
pub(crate) async fn status(caller: &Caller<'_>, approval: &str) -> String {
    let answer = caller
        .send(
            "GET",
            &format!("/writ/approvals/helpdesk/{approval}"),
            &[],
            "",
        )
        .await;
    if answer.status == 200 {
        text(&answer.json(), "status")
    } else {
        reason(&answer)
    }
}
