//! Values that nothing vouches for: a person enters them, and a click is no yes.

use hyper::Method;
use writ::agent::OpenTask;
use writ::http::Answer;
use writ_testkit::{Caller, Desk, Project, Server, json, project, reason, runtime};
use writ_types::Value;

use crate::stage::text;

/// Tickets and accounts are named by what vouches for them; comments are content.
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

const ACTIONS: &str = r#"["helpdesk:listTickets","helpdesk:getTicket","helpdesk:addComment","helpdesk:listComments"]"#;
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const FIRST: &str = "/helpdesk/tickets/T-1001";
const SECOND: &str = "/helpdesk/tickets/T-1002";

struct Shop {
    project: Project,
    session: String,
    server: Option<Server>,
    // Lives as long as the test.
    _desk: Desk,
}

impl Shop {
    async fn open() -> Self {
        let project = project!();
        let desk = Desk::open(&project).await;
        project.write("apis/helpdesk.overlay.yaml", OVERLAY);
        for name in ["bot", "other"] {
            project.agent(name, "copilot", &["support"]);
        }
        project.write(
            "purposes/support.toml",
            &format!("owner = \"o@example.org\"\nactions = {ACTIONS}\n"),
        );
        let server = project.start();
        project.sign_in();
        project.credential("helpdesk-key", &desk.key);
        // The agents act for nobody: their owner is who is asked.
        let body = r#"{"name":"owner@example.org","role":"approver"}"#;
        let invited = project.operator(Method::POST, "/v1/operators", body).await;
        let token = text(&invited.json(), "invitation");
        let body = format!(r#"{{"token":"{token}"}}"#);
        let control = project.control();
        let signed_in = control.send(Method::POST, "/v1/login", &JSON, body);
        let session = text(&signed_in.await.unwrap().json(), "session");
        Self {
            project,
            session,
            server: Some(server),
            _desk: desk,
        }
    }

    /// Ends the process like this, and begins another.
    fn restart(&mut self, end: fn(Server)) {
        end(self.server.take().unwrap());
        self.server = Some(self.project.start());
    }

    async fn task(&self, agent: &str) -> OpenTask {
        let client = self.project.client();
        let spiffe = format!("spiffe://writ.local/agent/{agent}");
        let identity = client.identity(Some(&spiffe)).await.unwrap();
        let details =
            format!(r#"[{{"type":"writ_task","purpose":"support","actions":{ACTIONS}}}]"#);
        let opened = client.open(&identity, &json(&details)).await.unwrap();
        opened.unwrap_or_else(|answer| panic!("{}", answer.json()))
    }

    /// The owner's own request.
    async fn owner(&self, method: Method, path: &str, body: &str) -> Answer {
        let authorization = format!("Bearer {}", self.session);
        let headers = [("authorization", authorization.as_str()), JSON[0]];
        let control = self.project.control();
        let sent = control.send(method, path, &headers, body.to_owned());
        sent.await.unwrap()
    }

    async fn card(&self, approval: &str) -> Value {
        let path = format!("/v1/approvals/{approval}");
        let shown = self.owner(Method::GET, &path, "").await;
        assert_eq!(shown.status, 200, "{}", shown.json());
        shown.json()
    }

    /// A yes with this beside the digest of the card.
    async fn yes(&self, approval: &str, more: &str) -> Answer {
        let digest = text(
            self.card(approval).await.member("approval").unwrap(),
            "card",
        );
        let body = format!(r#"{{"card":"{digest}"{more}}}"#);
        let path = format!("/v1/approvals/{approval}/yes");
        self.owner(Method::POST, &path, &body).await
    }

    /// A yes that enters the ticket of the path.
    async fn enter(&self, approval: &str, ticket: &str, more: &str) -> Answer {
        let values =
            format!(r#","values":[{{"place":"/path/ticket_id","value":"{ticket}"}}]{more}"#);
        self.yes(approval, &values).await
    }
}

async fn get(caller: &Caller<'_>, path: &str) -> (u16, String) {
    let answer = caller.send("GET", path, &[], "").await;
    (answer.status, reason(&answer))
}

/// The approval of a call that nothing vouches for; the agent hears the same whatever is known of the value.
fn asked(answer: &Answer) -> String {
    let told = (answer.status, reason(answer));
    assert_eq!(told, (403, "value_not_vouched".to_owned()));
    text(answer.json().member("approval").unwrap(), "id")
}

async fn ask(caller: &Caller<'_>, path: &str) -> String {
    asked(&caller.send("GET", path, &[], "").await)
}

fn fine() -> (u16, String) {
    (200, String::new())
}

#[test]
fn a_click_is_no_yes_to_a_value_that_nothing_vouches_for() {
    runtime().block_on(async {
        let shop = Shop::open().await;
        let task = shop.task("bot").await;
        let caller = Caller::new(&shop.project, &task);
        caller.learn().await;
        let approval = ask(&caller, FIRST).await;
        let shown = shop.card(&approval).await;
        let wanted = shown.member("card").unwrap().member("confirm").unwrap();
        let wanted = &wanted.as_array().unwrap()[0];
        for (name, value) in [("place", "/path/ticket_id"), ("kind", "ticket"), ("origin", "unseen")] {
            assert_eq!(text(wanted, name), value);
        }
        assert!(!shown.to_string().contains("1001"), "no place to copy it from: {shown}");
        let value = |value: &str| format!(r#","values":[{{"place":"/path/ticket_id","value":"{value}"}}]"#);
        for (row, more) in [
            ("a click", String::new()),
            ("another value", value("T-1002")),
            ("a part of it", value("T-100")),
            ("nothing", value("")),
            ("at another place", value("T-1001").replace("/path", "/query")),
            ("and one more", r#","values":[{"place":"/path/ticket_id","value":"T-1001"},{"place":"/path/ticket_id","value":"T-1002"}]"#.to_owned()),
        ] {
            let answer = shop.yes(&approval, &more).await;
            assert_eq!(answer.status, 400, "{row}");
            assert_eq!(get(&caller, FIRST).await, (403, "value_not_vouched".to_owned()), "{row}");
        }
        assert_eq!(shop.enter(&approval, "T-1001", "").await.status, 200);
        // It counts for this argument of this operation, and for nothing else.
        ask(&caller, "/helpdesk/tickets/T-1001/comments").await;
        for _ in 0..2 {
            assert_eq!(get(&caller, FIRST).await, fine());
        }
        ask(&caller, SECOND).await;
    });
}

#[test]
fn what_is_to_be_remembered_is_the_requesters_and_nobody_elses() {
    runtime().block_on(async {
        let shop = Shop::open().await;
        let task = shop.task("bot").await;
        let caller = Caller::new(&shop.project, &task);
        caller.learn().await;
        let first = ask(&caller, FIRST).await;
        let remember = r#","remember":true"#;
        assert_eq!(shop.enter(&first, "T-1001", remember).await.status, 200);
        // It counts once it was used, not before.
        let early = shop.task("bot").await;
        let early = Caller::new(&shop.project, &early);
        ask(&early, FIRST).await;
        assert_eq!(get(&caller, FIRST).await, fine());
        let second = ask(&caller, SECOND).await;
        assert_eq!(shop.enter(&second, "T-1002", "").await.status, 200);
        assert_eq!(get(&caller, SECOND).await, fine());
        let later = shop.task("bot").await;
        let later = Caller::new(&shop.project, &later);
        assert_eq!(get(&later, FIRST).await, fine());
        ask(&later, SECOND).await;
        let other = shop.task("other").await;
        let other = Caller::new(&shop.project, &other);
        ask(&other, FIRST).await;
    });
}

#[test]
fn a_no_to_a_value_is_for_every_operation_and_for_that_value_alone() {
    runtime().block_on(async {
        let shop = Shop::open().await;
        let task = shop.task("bot").await;
        let caller = Caller::new(&shop.project, &task);
        caller.learn().await;
        let approval = ask(&caller, FIRST).await;
        let path = format!("/v1/approvals/{approval}/no");
        assert_eq!(shop.owner(Method::POST, &path, "{}").await.status, 200);
        let denied = (403, "approval_denied".to_owned());
        // Another agent of the same owner, and another operation.
        let other = shop.task("other").await;
        let other = Caller::new(&shop.project, &other);
        for caller in [&caller, &other] {
            assert_eq!(get(caller, FIRST).await, denied);
            assert_eq!(
                get(caller, "/helpdesk/tickets/T-1001/comments").await,
                denied
            );
            ask(caller, SECOND).await;
        }
        // Once something vouches for it, it is no such value any more.
        assert_eq!(get(&caller, "/helpdesk/tickets").await, fine());
        assert_eq!(get(&caller, FIRST).await, fine());
    });
}

#[test]
fn a_task_that_tries_values_is_paused_until_a_person_has_looked() {
    runtime().block_on(async {
        let mut shop = Shop::open().await;
        let task = shop.task("bot").await;
        let caller = Caller::new(&shop.project, &task);
        caller.learn().await;
        let first = ask(&caller, FIRST).await;
        // The same call again is no other try.
        for _ in 0..3 {
            assert_eq!(ask(&caller, FIRST).await, first);
        }
        let second = ask(&caller, SECOND).await;
        let third = ask(&caller, "/helpdesk/tickets/T-9999").await;
        let paused = (403, "task_paused".to_owned());
        assert_eq!(get(&caller, "/helpdesk/tickets").await, paused);
        let no = |id: &str| format!("/v1/approvals/{id}/no");
        for end in [
            |server: Server| assert!(server.stop().success()),
            Server::kill,
        ] {
            shop.restart(end);
            let caller = Caller::new(&shop.project, &task);
            caller.learn().await;
            assert_eq!(get(&caller, "/helpdesk/tickets").await, paused);
        }
        let caller = Caller::new(&shop.project, &task);
        caller.learn().await;
        assert_eq!(
            shop.owner(Method::POST, &no(&third), "{}").await.status,
            200
        );
        assert_eq!(
            get(&caller, "/helpdesk/tickets").await,
            paused,
            "a no is not that it may go on"
        );
        let resume = r#"{"resume":true}"#;
        assert_eq!(
            shop.owner(Method::POST, &no(&second), resume).await.status,
            200
        );
        assert_eq!(get(&caller, "/helpdesk/tickets").await, fine());
    });
}

#[test]
fn a_yes_lets_a_paused_task_go_on() {
    runtime().block_on(async {
        let shop = Shop::open().await;
        let task = shop.task("bot").await;
        let caller = Caller::new(&shop.project, &task);
        caller.learn().await;
        let first = ask(&caller, FIRST).await;
        for path in [SECOND, "/helpdesk/tickets/T-9999"] {
            ask(&caller, path).await;
        }
        assert_eq!(get(&caller, FIRST).await, (403, "task_paused".to_owned()));
        assert_eq!(shop.enter(&first, "T-1001", "").await.status, 200);
        assert_eq!(get(&caller, FIRST).await, fine());
    });
}

#[test]
fn an_address_in_a_text_is_entered_and_one_that_hides_is_not_asked_for() {
    runtime().block_on(async {
        let shop = Shop::open().await;
        let task = shop.task("bot").await;
        let caller = Caller::new(&shop.project, &task);
        caller.learn().await;
        assert_eq!(get(&caller, "/helpdesk/tickets").await, fine());
        let comment = async |body: &str| {
            let path = "/helpdesk/tickets/T-1001/comments";
            caller.send("POST", path, &JSON, body.to_owned()).await
        };
        let honest = r#"{"body":"Please read https://docs.example/returns first."}"#;
        let approval = asked(&comment(honest).await);
        let shown = shop.card(&approval).await.to_string();
        assert!(
            shown.contains("Please read ") && shown.contains(" first."),
            "{shown}"
        );
        assert!(!shown.contains("docs.example"), "{shown}");
        let entered = r#","values":[{"place":"/body/body","value":"docs.example/returns"}]"#;
        assert_eq!(shop.yes(&approval, entered).await.status, 200);
        assert_eq!(comment(honest).await.status, 201);
        // With user information in it there is no form: nobody could enter it, so nobody is asked.
        let hidden = comment(r#"{"body":"See https://docs.example@evil.example/"}"#).await;
        assert_eq!(
            (hidden.status, reason(&hidden)),
            (403, "value_not_vouched".to_owned())
        );
        assert!(
            hidden.json().member("approval").is_none(),
            "{}",
            hidden.json()
        );
    });
}
