//! A server of another hand, and a Writ before it with a task that holds all of it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use hyper::Method;
use writ::agent::OpenTask;
use writ_mcp_fixture::Fixture;
use writ_testkit::{Caller, Project, Server, json, open, project};
use writ_types::{ApiId, Value};

use crate::shim::Shim;

/// The owner lets the server ask whatever it may ask at all.
const OVERLAY: &str = r#"
overlay: 1.0.0
info: {title: fixture, version: "1"}
actions:
  - target: "$.paths.*.post"
    update: {x-writ: {asks: [elicitation, sampling, roots]}}
"#;

/// But for one tool.
const BUT_FOR_ONE: &str = r#"
  - target: "$.paths['/test_sampling'].post['x-writ']"
    remove: true
  - target: "$.paths['/test_sampling'].post"
    update: {x-writ: {asks: elicitation}}
"#;

/// The server, and a Writ before it.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) fixture: Fixture,
    pub(crate) project: Project,
    /// All that the server has.
    pub(crate) actions: Vec<String>,
    /// The installation, until it is dropped.
    pub(crate) writ: Server,
}

impl Stage {
    pub(crate) async fn open() -> Self {
        Self::open_with("2026-07-28", "").await
    }

    /// The server, spoken to in this revision, and free to ask for everything.
    pub(crate) async fn open_in(revision: &str) -> Self {
        Self::opened(revision, "", OVERLAY.to_owned()).await
    }

    /// The server, spoken to in this revision, with more settings.
    pub(crate) async fn open_with(revision: &str, settings: &str) -> Self {
        let overlay = format!("{}{}", OVERLAY.trim_end(), BUT_FOR_ONE);
        Self::opened(revision, settings, overlay).await
    }

    async fn opened(revision: &str, settings: &str, overlay: String) -> Self {
        let fixture = Fixture::start().await;
        let project = project!();
        project.settings(settings);
        project.write("apis/fixture.overlay.yaml", &overlay);
        let actions = register(&project, fixture.address, revision);
        project.agent("bot", "autonomous", &["trial"]);
        purpose(&project, &actions);
        let server = project.start();
        project.sign_in();
        Self {
            fixture,
            project,
            actions,
            writ: server,
        }
    }

    /// The same, but everything of the server waits for its owner: its API was one of HTTP before, whose server had changed it, and
    /// what cannot be compared with what was published is not let through.
    pub(crate) async fn quarantined() -> Self {
        let fixture = Fixture::start().await;
        let project = project!();
        let before = r#"{"openapi":"3.0.3","info":{"title":"t","version":"1"},"paths":{"/x":{"get":{"operationId":"x","responses":{"200":{"description":"ok"}}}}}}"#;
        let wider = r#""operationId":"x","parameters":[{"name":"force","in":"query","schema":{"type":"boolean"}}]"#;
        let published = publish(before.replace(r#""operationId":"x""#, wider));
        project.write("apis/fixture.json", before);
        project.write(
            "apis/fixture.toml",
            &format!("owner = \"o@example.org\"\nupstream = \"http://{published}\"\ncontract = \"fixture.json\"\ndrift = \"http://{published}/openapi.json\"\n"),
        );
        project.agent("bot", "autonomous", &["trial"]);
        purpose(&project, &["fixture:x".to_owned()]);
        let server = project.start();
        project.sign_in();
        let looked = project
            .operator(Method::POST, "/v1/apis/fixture/drift", "")
            .await;
        let waits = looked.json().member("quarantined").map(ToString::to_string);
        assert_eq!(waits.as_deref(), Some(r#"["x"]"#), "{}", looked.json());
        project.write("apis/fixture.overlay.yaml", OVERLAY);
        let actions = register(&project, fixture.address, "2026-07-28");
        purpose(&project, &actions);
        let (code, said, errors) = project.run(&["apply"]);
        assert_eq!(code, 0, "{said}{errors}");
        Self {
            fixture,
            project,
            actions,
            writ: server,
        }
    }

    /// A task of these actions, with more members of `writ_task`.
    pub(crate) async fn task(&self, actions: &[String], more: &str) -> OpenTask {
        let actions = actions.iter().map(|action| Value::from(action.as_str()));
        let details = format!(
            r#"[{{"type":"writ_task","purpose":"trial","actions":{},"budget":{{"calls":2000,"writes":100}},"expires_in":600{more}}}]"#,
            Value::Array(actions.collect())
        );
        open(&self.project.client(), &details).await
    }

    /// The endpoint of the server itself, and one through Writ for a task that holds everything.
    pub(crate) async fn endpoints(&self) -> [String; 2] {
        let task = self.task(&self.actions, "").await;
        // The shim's connections may outlive this function.
        let task: &'static OpenTask = Box::leak(Box::new(task));
        let shim = Shim::start(&self.project, Caller::new(&self.project, task)).await;
        [
            format!("http://{}/mcp", self.fixture.address),
            format!("http://{}/mcp/fixture", shim.address),
        ]
    }

    /// The kinds of a call's records, once its outcome is one of them.
    pub(crate) async fn ended(&self, call: &str) -> Vec<String> {
        for _ in 0..500 {
            let records = self.records(call).await;
            if records.iter().any(|kind| kind == "outcome") {
                return records;
            }
        }
        panic!("{call} has no outcome")
    }

    /// The kinds of a call's records.
    pub(crate) async fn records(&self, call: &str) -> Vec<String> {
        let path = format!("/v1/explain/{call}");
        let answer = self.project.operator(Method::GET, &path, "").await.json();
        let rows = answer.member("records").and_then(Value::as_array);
        let kind = |row: &Value| {
            let kind = row.member("record")?.member("kind")?;
            kind.as_str().map(str::to_owned)
        };
        rows.unwrap_or_default().iter().filter_map(kind).collect()
    }
}

/// Registers the agent's purpose.
pub(crate) fn purpose(project: &Project, actions: &[String]) {
    project.write(
        "purposes/trial.toml",
        &format!("owner = \"o@example.org\"\nactions = {actions:?}\n[budget]\ncalls = 5000\nwrites = 500\n"),
    );
}

/// A server that answers every request with one document, until the test ends.
fn publish(document: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1)
            {
                head.push(byte[0]);
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{document}",
                document.len()
            );
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    address
}

/// Pins the server's lists and reviews every operation as a plain read; gives their actions.
fn register(project: &Project, address: SocketAddr, revision: &str) -> Vec<String> {
    let pinned = Fixture::pinned().to_string();
    let pinned = pinned.replacen('{', &format!(r#"{{"protocolVersion":"{revision}","#), 1);
    let api: ApiId = "fixture".parse().unwrap();
    let (contract, _) = writ_contract::Contract::compile(
        &api,
        pinned.as_bytes(),
        &writ_contract::Reviews::default(),
    );
    let contract = contract.unwrap();
    let mut text = format!(
        "owner = \"o@example.org\"\nupstream = \"http://{address}/mcp\"\ncontract = \"fixture.json\"\nrate = \"1000000/s\"\n"
    );
    for operation in contract.operations() {
        text.push_str(&format!(
            "[operations.\"{}\"]\neffect = \"read\"\n",
            operation.id()
        ));
    }
    project.write("apis/fixture.json", &json(&pinned).to_string());
    project.write("apis/fixture.toml", &text);
    contract
        .operations()
        .map(|operation| operation.action().to_string())
        .collect()
}
