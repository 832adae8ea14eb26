//! The shortest way through all of it.

use hyper::Method;

use writ_testkit::{Desk, open, project, reason, runtime};

#[test]
fn one_call_goes_all_the_way_and_one_does_not() {
    runtime().block_on(async {
        let project = project!();
        let desk = Desk::open(&project).await;
        project.agent("bot", "autonomous", &["triage"]);
        project.write(
            "purposes/triage.toml",
            "owner = \"o@example.org\"\nactions = [\"helpdesk:listTickets\", \"helpdesk:addComment\"]\n",
        );
        let _server = project.start();
        project.sign_in();
        project.credential("helpdesk-key", &desk.key);
        let client = project.client();
        let task = open(&client, r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets"]}]"#).await;
        let answer = client.call(&task, Method::GET, "/helpdesk/tickets", None).await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.header("writ-call-id").is_some());
        let answer = client.call(&task, Method::GET, "/helpdesk/refunds", None).await.unwrap();
        assert_eq!((answer.status, reason(&answer).as_str()), (403, "action_not_granted"));
        for request in desk.desk.requests() {
            for hidden in ["authorization", "dpop", "cookie"] {
                assert!(!request.has_header(hidden), "{hidden} reached the upstream");
            }
        }
    });
}
