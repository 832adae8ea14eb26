//! Revision 2025-11-25: a session belongs to the task and the endpoint that opened it, and gives no authority.

use writ::http::Answer;
use writ_testkit::runtime;

use super::{Client, at, fault, words};
use crate::installation::Installation;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

fn request(method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"a","method":"{method}"}}"#)
}

pub(super) async fn open(client: &Client<'_>) -> String {
    let answer = client.send(&[], INITIALIZE).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.header("mcp-session-id").unwrap().to_owned()
}

pub(super) async fn within(client: &Client<'_>, session: &str, body: &str) -> Answer {
    let fields = [
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-session-id", session),
    ];
    client.send(&fields, body).await
}

#[test]
fn a_session_is_opened_used_and_ended() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let client = Client::new(&installation.project, &task, "/mcp/odd");
        let answer = client.send(&[], INITIALIZE).await;
        let result = at(&answer.json(), &["result"]);
        assert_eq!(words(&result, "protocolVersion"), "2025-11-25");
        assert_eq!(words(&at(&result, &["serverInfo"]), "name"), "writ");
        let session = answer.header("mcp-session-id").unwrap().to_owned();

        let told = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(within(&client, &session, told).await.status, 202);
        let answer = within(&client, &session, &request("ping")).await;
        assert_eq!(answer.json().to_string(), r#"{"id":"a","jsonrpc":"2.0","result":{}}"#);
        let answer = within(&client, &session, &request("tools/list")).await;
        assert!(at(&answer.json(), &["result", "tools"]).as_array().unwrap().len() > 3);
        let call = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"odd_echo","arguments":{}}}"#;
        let answer = within(&client, &session, call).await;
        assert_eq!(at(&answer.json(), &["result", "isError"]).to_string(), "false");
        // What this revision does not have is no error of HTTP.
        let answer = within(&client, &session, &request("resources/list")).await;
        assert_eq!(fault(&answer), (200, "-32601".to_owned()));
        let answer = within(&client, &session, &request("server/discover")).await;
        assert_eq!(fault(&answer), (200, "-32601".to_owned()));

        let fields = [("mcp-session-id", session.as_str())];
        let answer = client.caller.send("DELETE", client.path, &fields, "").await;
        assert_eq!(answer.status, 204);
        let answer = within(&client, &session, &request("ping")).await;
        assert_eq!(fault(&answer), (404, "-32600".to_owned()));
    });
}

#[test]
fn a_session_is_nobody_elses() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let (mine, other) = (installation.task().await, installation.task().await);
        let project = &installation.project;
        let client = Client::new(project, &mine, "/mcp");
        let session = open(&client).await;
        assert_eq!(
            within(&client, &session, &request("ping")).await.status,
            200
        );
        let unknown = (404, "-32600".to_owned());
        for client in [
            Client::new(project, &other, "/mcp"),
            Client::new(project, &mine, "/mcp/odd"),
        ] {
            let answer = within(&client, &session, &request("ping")).await;
            assert_eq!(fault(&answer), unknown, "{}", client.path);
            let fields = [("mcp-session-id", session.as_str())];
            let answer = client.caller.send("DELETE", client.path, &fields, "").await;
            assert_eq!(fault(&answer), unknown, "{}", client.path);
        }
        assert_eq!(
            within(&client, &session, &request("ping")).await.status,
            200
        );
        let answer = client.send(&[], &request("ping")).await;
        assert_eq!(fault(&answer), (400, "-32600".to_owned()), "no session");
        let twice = [("mcp-session-id", session.as_str()); 2];
        let answer = client.send(&twice, &request("ping")).await;
        assert_eq!(fault(&answer), (400, "-32020".to_owned()), "two sessions");

        // The seventeenth ends the first.
        for _ in 0..16 {
            open(&client).await;
        }
        assert_eq!(
            fault(&within(&client, &session, &request("ping")).await),
            unknown
        );

        let session = open(&client).await;
        installation.kill(&mine).await;
        let answer = within(&client, &session, &request("ping")).await;
        assert_eq!(answer.status, 401);
    });
}
