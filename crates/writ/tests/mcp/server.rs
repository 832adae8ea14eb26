//! A server of another hand, and a Writ before it with a task that holds all of it.

use std::net::SocketAddr;

use writ::agent::OpenTask;
use writ_mcp_fixture::Fixture;
use writ_testkit::{Caller, Project, Server, json, open, project};
use writ_types::{ApiId, Value};

use crate::shim::Shim;

/// The server, and both ways to it.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) fixture: Fixture,
    /// Adds the task's token and proofs, and nothing else.
    pub(crate) shim: Shim,
    /// The installation, until it is dropped.
    _writ: (Project, Server),
}

impl Stage {
    pub(crate) async fn open() -> Self {
        let fixture = Fixture::start().await;
        let project = project!();
        let actions = register(&project, fixture.address);
        project.agent("bot", "autonomous", &["trial"]);
        project.write(
            "purposes/trial.toml",
            &format!(
                "owner = \"o@example.org\"\nactions = {actions:?}\n[budget]\ncalls = 5000\nwrites = 500\n"
            ),
        );
        let server = project.start();
        let task = task(&project, &actions).await;
        // The shim's connections may outlive this function.
        let task: &'static OpenTask = Box::leak(Box::new(task));
        let shim = Shim::start(&project, Caller::new(&project, task)).await;
        Self {
            fixture,
            shim,
            _writ: (project, server),
        }
    }

    /// The endpoint of the server itself, and the one through Writ.
    pub(crate) fn endpoints(&self) -> [String; 2] {
        [
            format!("http://{}/mcp", self.fixture.address),
            format!("http://{}/mcp/fixture", self.shim.address),
        ]
    }
}

async fn task(project: &Project, actions: &[String]) -> OpenTask {
    let actions = actions.iter().map(|action| Value::from(action.as_str()));
    let details = format!(
        r#"[{{"type":"writ_task","purpose":"trial","actions":{},"budget":{{"calls":5000,"writes":500}},"expires_in":600}}]"#,
        Value::Array(actions.collect())
    );
    open(&project.client(), &details).await
}

/// Pins the server's lists and reviews every operation as a plain read; gives their actions.
fn register(project: &Project, address: SocketAddr) -> Vec<String> {
    let pinned = Fixture::pinned().to_string();
    let api: ApiId = "fixture".parse().unwrap();
    let (contract, _) = writ_contract::Contract::compile(
        &api,
        pinned.as_bytes(),
        &writ_contract::Reviews::default(),
    );
    let contract = contract.unwrap();
    let mut text = format!(
        "owner = \"o@example.org\"\nupstream = \"http://{address}/mcp\"\ncontract = \"fixture.json\"\n"
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
