//! MODIFY: what a policy wants left out of a response never reaches the agent.

use writ_testkit::{Caller, reason, runtime};
use writ_types::Value;

use crate::stage::{Stage, text};

#[test]
fn what_is_redacted_does_not_reach_the_agent() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let ticket = caller
            .send("GET", "/helpdesk/tickets/T-1001", &[], "")
            .await
            .json();
        let path = format!("/helpdesk/customers/{}", text(&ticket, "customer_id"));
        let answer = caller.send("GET", &path, &[], "").await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let customer = answer.json();
        assert_eq!(
            (customer.member("email"), customer.member("address")),
            (Some(&Value::Null), Some(&Value::Null)),
            "{customer}"
        );
        assert!(
            !text(&customer, "name").is_empty(),
            "the rest is as it was: {customer}"
        );
        assert!(!String::from_utf8_lossy(&answer.body).contains('@'));
        let call = answer.header("writ-call-id").unwrap().to_owned();
        let (code, out, err) = stage.project.run(&["explain", &call]);
        assert_eq!(code, 0, "{err}");
        for word in ["MODIFY", "redact:/address", "redact:/email"] {
            assert!(out.contains(word), "{word}\n{out}");
        }
    });
}

#[test]
fn a_response_beyond_its_limit_is_withheld() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let answer = caller.send("GET", "/helpdesk/refunds", &[], "").await;
        // An empty list fits; what does not is not cut but withheld.
        let fits = answer.status == 200 && answer.body.len() <= 40;
        let withheld = answer.status == 502 && reason(&answer) == "upstream_invalid";
        assert!(fits || withheld, "{} {}", answer.status, answer.json());
    });
}

#[test]
fn an_operation_that_streams_is_refused_where_its_response_would_have_to_change() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let file = std::fs::read_to_string(stage.project.path("apis/helpdesk.toml")).unwrap();
        let streams = file.replace(
            "[operations.getCustomer]\n",
            "[operations.getCustomer]\nstream = true\n",
        );
        assert_ne!(streams, file);
        stage.project.write("apis/helpdesk.toml", &streams);
        let (code, _, err) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{err}");
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let before = stage.desk.desk.requests().len();
        let ticket = caller
            .send("GET", "/helpdesk/tickets/T-1001", &[], "")
            .await
            .json();
        let path = format!("/helpdesk/customers/{}", text(&ticket, "customer_id"));
        let answer = caller.send("GET", &path, &[], "").await;
        assert_eq!(
            (answer.status, reason(&answer).as_str()),
            (403, "obligation_unmet")
        );
        assert_eq!(
            stage.desk.desk.requests().len(),
            before + 1,
            "the upstream has not heard of it"
        );
    });
}
