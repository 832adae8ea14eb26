//! What is listed is what can be called, and nothing else.

use writ_testkit::{json, runtime};

use super::{Client, at, listed, words};
use crate::installation::Installation;

#[test]
fn a_task_sees_the_tools_it_holds_and_no_policy_forbids() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let project = &installation.project;
        let actions = [
            "helpdesk:getTicket",
            "helpdesk:closeTicket",
            "odd:echo",
            "odd:measure",
            "odd:upload",
        ];
        let task = installation.task_with(&actions, "").await;
        let client = Client::new(project, &task, "/mcp");
        assert_eq!(
            listed(&client).await,
            ["helpdesk_getTicket", "odd_echo", "odd_measure"],
            "`closeTicket` is forbidden whatever its arguments, an upload is no tool"
        );
        let answer = client.ask("tools/list", None, "").await;
        let hidden = at(&answer.json(), &["result", "_meta", "writ/hidden"]);
        assert_eq!(hidden, json(r#"{"forbidden":1,"not_a_tool":1}"#));
        let client = Client::new(project, &task, "/mcp/odd");
        assert_eq!(listed(&client).await, ["odd_echo", "odd_measure"]);
        // An endpoint that would be empty says why.
        let client = Client::new(project, &task, "/mcp/basic");
        let answer = client.ask("tools/list", None, "").await;
        assert_eq!(answer.status, 403);
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(
            challenge.contains("error=\"insufficient_scope\""),
            "{challenge}"
        );
    });
}

/// Rules that look at what was done within a time hide no tool: they are asked with a call's arguments.
#[test]
fn an_agent_of_the_autonomous_pack_sees_the_tools_that_write() {
    runtime().block_on(async {
        let installation = Installation::start_by(|project| {
            project.write("policies/packs.toml", "packs = [\"autonomous\"]\n");
            project.command(&["serve"])
        })
        .await;
        let actions = ["helpdesk:getTicket", "helpdesk:addComment"];
        let task = installation.task_with(&actions, "").await;
        let client = Client::new(&installation.project, &task, "/mcp");
        assert_eq!(
            listed(&client).await,
            ["helpdesk_addComment", "helpdesk_getTicket"]
        );
    });
}

#[test]
fn what_is_spent_is_not_listed_any_more() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let actions = ["helpdesk:addComment", "odd:echo"];
        let budget = r#","budget":{"calls":9,"writes":1}"#;
        let task = installation.task_with(&actions, budget).await;
        let client = Client::new(&installation.project, &task, "/mcp");
        // Looking costs nothing.
        for _ in 0..12 {
            assert_eq!(listed(&client).await, ["helpdesk_addComment", "odd_echo"]);
        }
        let comment = r#"{"path":{"ticket_id":"T-1001"},"body":{"body":"hello"}}"#;
        let outcome = client.call("helpdesk_addComment", comment).await;
        assert!(!outcome.is_error, "{}", outcome.whole);
        assert_eq!(listed(&client).await, ["odd_echo"]);
        let outcome = client.call("helpdesk_addComment", comment).await;
        assert_eq!(words(&outcome.denial(), "reason_code"), "budget_exhausted");
    });
}

#[test]
fn a_tool_says_what_it_is_and_whose_words_are_whose() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task_with(&["helpdesk:addComment"], "").await;
        let client = Client::new(&installation.project, &task, "/mcp");
        let answer = client.ask("tools/list", None, "").await;
        let tools = at(&answer.json(), &["result", "tools"]);
        let [tool] = tools.as_array().unwrap() else {
            panic!("{tools}")
        };
        assert_eq!(words(tool, "title"), "helpdesk:addComment");
        let description = words(tool, "description");
        assert!(
            description.starts_with(
                "POST /tickets/{ticket_id}/comments of the API helpdesk. In the API's own words: "
            ),
            "{description}"
        );
        let schema = at(tool, &["inputSchema"]);
        assert_eq!(at(&schema, &["required"]), json(r#"["path","body"]"#));
        assert_eq!(at(&schema, &["type"]), json("\"object\""));
        let promised = at(tool, &["outputSchema"]);
        assert_eq!(at(&promised, &["required"]), json(r#"["status"]"#));
        assert!(
            promised
                .member("properties")
                .and_then(|all| all.member("body"))
                .is_some(),
            "{promised}"
        );
        let meta = at(tool, &["_meta"]);
        assert_eq!(words(&meta, "writ/action"), "helpdesk:addComment");
        assert!(words(&meta, "writ/contract").len() > 32, "{meta}");
        assert_eq!(
            at(tool, &["annotations"])
                .member("readOnlyHint")
                .map(ToString::to_string),
            Some("false".to_owned())
        );
    });
}
