//! What a message must be, and what is said about one that is not.

use writ_testkit::{Caller, runtime};

use super::{Client, META, at, fault, words};
use crate::installation::{CANARY, Installation};

/// The fields of a good `tools/list`, with one of them changed.
fn fields<'a>(change: &[(&'a str, Option<&'a str>)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/list"),
    ];
    for (name, value) in change {
        fields.retain(|(known, _)| known != name);
        fields.extend(value.map(|value| (*name, value)));
    }
    fields
}

/// A good `tools/list`.
fn good() -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{META}}}}}"#)
}

/// What of the good message is replaced, by what, and the code.
const BROKEN: [(&str, &str, &str); 16] = [
    (r#""id":1"#, r#""id":1,"id":1"#, "-32700"),
    ("{}}}}", r#"{}},"a":{"b":1,"b":2}}}"#, "-32700"),
    (r#""id":1"#, r#""id":"\ud800""#, "-32700"),
    (r#""id":1"#, r#""id":01"#, "-32700"),
    ("2.0", "1.0", "-32600"),
    (r#""jsonrpc":"2.0","#, "", "-32600"),
    (r#""method":"tools/list","#, "", "-32600"),
    (r#""method":"tools/list""#, r#""method":1"#, "-32600"),
    (r#""method":"tools/list","#, r#""result":{},"#, "-32600"),
    (r#""id":1"#, r#""id":1,"result":{}"#, "-32600"),
    (r#""id":1"#, r#""id":null"#, "-32600"),
    (r#""id":1"#, r#""id":1.5"#, "-32600"),
    (r#""id":1"#, r#""id":[1]"#, "-32600"),
    ("clientCapabilities\":{}", "else\":{}", "-32602"),
    ("{}}}}", r#"{}},"cursor":1}}"#, "-32602"),
    ("{}}}}", r#"{}},"cursor":"c4n4ry"}}"#, "-32602"),
];

#[test]
fn a_message_that_is_not_exactly_one_is_refused_with_its_code() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let client = Client::new(&installation.project, &task, "/mcp");
        let answer = client.send(&fields(&[]), &good()).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let mut table: Vec<(String, &str)> = BROKEN
            .into_iter()
            .map(|(from, to, code)| {
                assert!(good().contains(from), "{from}");
                (good().replacen(from, to, 1), code)
            })
            .collect();
        let deep = format!("\"a\":{}{}", "[".repeat(70), "]".repeat(70));
        let huge = format!("\"id\":\"{}\"", "i".repeat(300));
        table.extend([
            (format!("{}x", good()), "-32700"),
            (good().replace(META, &deep), "-32700"),
            (good().replace("\"id\":1", &huge), "-32600"),
            (good().replace(&format!("{{{META}}}"), "[]"), "-32600"),
            (format!("[{}]", good()), "-32600"),
            ("[]".to_owned(), "-32600"),
            ("\"tools/list\"".to_owned(), "-32600"),
            (good().replace(META, ""), "-32602"),
        ]);
        for (body, code) in table {
            let answer = client.send(&fields(&[]), &body).await;
            assert_eq!(fault(&answer), (400, code.to_owned()), "{body}");
            assert!(!answer.json().to_string().contains(CANARY), "{body}");
        }
    });
}

#[test]
fn fields_and_message_must_agree() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let client = Client::new(&installation.project, &task, "/mcp");
        let list = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{META}}}}}"#);
        let mismatch = (400, "-32020".to_owned());
        for change in [
            &[("mcp-method", None)][..],
            &[("mcp-method", Some("tools/call"))],
            &[("mcp-method", Some("Tools/List"))],
            &[("mcp-protocol-version", None)],
            &[("mcp-protocol-version", Some("2025-11-25"))],
            &[("mcp-name", Some("anything"))],
            &[("mcp-param-region", Some("eu"))],
        ] {
            let answer = client.send(&fields(change), &list).await;
            assert_eq!(fault(&answer), mismatch, "{change:?}: {}", answer.json());
        }
        for name in ["mcp-method", "mcp-protocol-version"] {
            let mut doubled = fields(&[]);
            let again = doubled.iter().copied().find(|(known, _)| *known == name);
            doubled.extend(again);
            assert_eq!(fault(&client.send(&doubled, &list).await), mismatch, "{name} twice");
        }
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{META},"name":"odd_echo"}}}}"#
        );
        let table = [
            (None, false),
            (Some("helpdesk_closeTicket"), false),
            (Some("odd_echo"), true),
            // base64 of the name, of another name, and of nothing.
            (Some("=?base64?b2RkX2VjaG8=?="), true),
            (Some("=?base64?b2RkX2VjaG9v?="), false),
            (Some("=?base64?***?="), false),
        ];
        for (name, agrees) in table {
            let fields = fields(&[("mcp-method", Some("tools/call")), ("mcp-name", name)]);
            let answer = client.send(&fields, &call).await;
            if agrees {
                assert_eq!(answer.status, 200, "{name:?}: {}", answer.json());
            } else {
                assert_eq!(fault(&answer), mismatch, "{name:?}: {}", answer.json());
            }
        }
        let other = list.replace("2026-07-28", "2099-01-01");
        let answer = client
            .send(&fields(&[("mcp-protocol-version", Some("2099-01-01"))]), &other)
            .await;
        assert_eq!(fault(&answer), (400, "-32022".to_owned()));
        let data = at(&answer.json(), &["error", "data"]);
        assert_eq!(data.to_string(), r#"{"requested":"2099-01-01","supported":["2026-07-28"]}"#);
    });
}

#[test]
fn what_is_not_served_is_not_found() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let client = Client::new(&installation.project, &task, "/mcp");
        for method in [
            "initialize",
            "ping",
            "resources/list",
            "prompts/get",
            "completion/complete",
            "resources/subscribe",
            "tasks/result",
            "tasks/list",
            "logging/setLevel",
            "Tools/List",
            "nonsense",
        ] {
            let name = (method == "prompts/get").then_some("x");
            let params = name.map(|_| ",\"name\":\"x\"").unwrap_or_default();
            let answer = client.ask(method, name, params).await;
            assert_eq!(fault(&answer), (404, "-32601".to_owned()), "{method}");
            assert_eq!(at(&answer.json(), &["id"]).to_string(), "7");
        }
        let answer = client.ask("server/discover", None, "").await;
        let result = at(&answer.json(), &["result"]);
        assert_eq!(
            at(&result, &["capabilities"]).to_string(),
            r#"{"extensions":{"io.modelcontextprotocol/tasks":{}},"logging":{},"tools":{"listChanged":true}}"#
        );
        assert_eq!(
            at(&result, &["supportedVersions"]).to_string(),
            r#"["2026-07-28"]"#
        );
        assert_eq!(words(&result, "resultType"), "complete");
        assert_eq!(words(&result, "cacheScope"), "private");

        let caller = Caller::new(&installation.project, &task);
        for (method, path, status) in [
            ("GET", "/mcp", 405),
            ("PUT", "/mcp", 405),
            ("POST", "/mcp/", 400),
            ("POST", "/mcp/odd/echo", 400),
            ("POST", "/mcp?x=1", 400),
            ("POST", "/mcp/nothing", 404),
        ] {
            let answer = caller.send(method, path, &[], "").await;
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.json());
        }
        for (headers, status) in [
            (&[("content-type", "text/plain")][..], 415),
            (&[], 415),
            (
                &[
                    ("content-type", "application/json"),
                    ("content-encoding", "gzip"),
                ],
                415,
            ),
        ] {
            let answer = caller.send("POST", "/mcp", headers, "{}").await;
            assert_eq!(answer.status, status, "{headers:?}");
        }
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(5000));
        let json = [("content-type", "application/json")];
        let answer = caller.send("POST", "/mcp", &json, large).await;
        assert_eq!(answer.status, 413);
    });
}

#[test]
fn a_page_of_another_origin_and_a_stranger_learn_nothing() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let project = &installation.project;
        let client = Client::new(project, &task, "/mcp");
        let own = format!("http://127.0.0.1:{}", project.gateway);
        let list = good();
        for (origin, status) in [
            ("https://evil.example", 403),
            ("null", 403),
            (own.as_str(), 200),
        ] {
            let mut fields = fields(&[]);
            fields.push(("origin", origin));
            assert_eq!(client.send(&fields, &list).await.status, status, "{origin}");
        }
        let gateway = project.gateway();
        for (path, metadata) in [
            ("/mcp", "/mcp"),
            ("/mcp/odd", "/mcp/odd"),
            ("/mcp/nothing", "/mcp/nothing"),
        ] {
            let json = [("content-type", "application/json")];
            let answer = gateway
                .send(hyper::Method::POST, path, &json, list.clone())
                .await
                .unwrap();
            assert_eq!(answer.status, 401, "{path}");
            let challenge = answer.header("www-authenticate").unwrap().to_owned();
            let at_ = format!(
                "resource_metadata=\"{own}/.well-known/oauth-protected-resource{metadata}\""
            );
            assert!(challenge.contains(&at_), "{challenge}");
            let document = format!("/.well-known/oauth-protected-resource{metadata}");
            let answer = gateway
                .send(hyper::Method::GET, &document, &[], "")
                .await
                .unwrap();
            assert_eq!(words(&answer.json(), "resource"), format!("{own}{path}"));
        }
        // A token alone opens nothing here either.
        let authorization = format!("DPoP {}", task.token);
        let fields = [
            ("content-type", "application/json"),
            ("authorization", authorization.as_str()),
        ];
        let answer = gateway
            .send(hyper::Method::POST, "/mcp", &fields, list)
            .await
            .unwrap();
        assert_eq!(answer.status, 401);
    });
}
