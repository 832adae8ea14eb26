//! The MCP Inspector's command line, unchanged: it lists and calls through Writ what it finds in the server itself.

use writ_testkit::{json, runtime};
use writ_types::Value;

use crate::node;
use crate::server::Stage;

const INSPECTOR: &str = "@modelcontextprotocol/inspector/clients/launcher/build/index.js";

/// What the Inspector prints for a request.
async fn ask(url: &str, request: &[&str]) -> Value {
    let mut arguments = vec!["--cli", url, "--transport", "http", "--method"];
    arguments.extend_from_slice(request);
    let (succeeded, said) = node::run(INSPECTOR, &arguments).await;
    assert!(succeeded, "{request:?}: {said}");
    json(&said)
}

#[test]
fn the_inspector_lists_and_calls_through_writ() {
    if node::folder().is_none() {
        return;
    }
    runtime().block_on(async {
        let stage = Stage::open().await;
        let [direct, through] = stage.endpoints().await;
        let (there, here) = (
            ask(&direct, &["tools/list"]).await,
            ask(&through, &["tools/list"]).await,
        );
        let shown = |list: &Value| -> Vec<(String, Option<Value>)> {
            let tools = list.member("tools").and_then(Value::as_array).unwrap();
            let name = |tool: &Value| {
                tool.member("name")
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            };
            let mut shown: Vec<_> = tools
                .iter()
                .map(|tool| (name(tool).unwrap(), tool.member("inputSchema").cloned()))
                .collect();
            shown.sort_unstable_by(|one, other| one.0.cmp(&other.0));
            shown
        };
        assert_eq!(shown(&here), shown(&there));
        let call = ["tools/call", "--tool-name", "test_multiple_content_types"];
        let (there, here) = (ask(&direct, &call).await, ask(&through, &call).await);
        assert!(there.member("content").is_some(), "{there}");
        assert_eq!(here.member("content"), there.member("content"));
    });
}
