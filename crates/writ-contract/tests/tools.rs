//! Real documents as tools: GitHub's 1,200 operations, and the tools of its MCP server.

#[cfg(test)]
mod tools {
    use std::path::PathBuf;

    use writ_contract::{Contract, Reviews, Severity};
    use writ_types::Value;

    /// A file of the shared test data; none, loudly, if it is not there and not demanded.
    #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
    #[expect(
        clippy::disallowed_methods,
        reason = "test data is found through the environment"
    )]
    fn shared(path: &str) -> Option<Vec<u8>> {
        let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
        let folder = std::env::var("WRIT_SHARED").unwrap_or_else(|_| beside.to_owned());
        let file = PathBuf::from(folder).join(path);
        if let Ok(bytes) = std::fs::read(&file) {
            let packed = file.extension().is_some_and(|name| name == "zst");
            return Some(if packed {
                zstd::decode_all(bytes.as_slice()).unwrap()
            } else {
                bytes
            });
        }
        assert!(
            std::env::var("WRIT_REQUIRE_SHARED").is_err(),
            "there is no {}",
            file.display()
        );
        eprintln!("SKIPPED: this test needs WRIT_SHARED");
        None
    }

    fn compile(document: &[u8]) -> Contract {
        let api = "github".parse().unwrap();
        let (contract, diagnostics) = Contract::compile(&api, document, &Reviews::default());
        let refused = contract
            .as_ref()
            .map(|contract| contract.refused().to_vec());
        let errors = diagnostics
            .iter()
            .filter(|one| one.severity == Severity::Error);
        assert_eq!(refused.map(|refused| refused.len()), Some(errors.count()));
        contract.unwrap()
    }

    #[test]
    fn every_operation_has_a_name_that_leads_back_and_a_schema_of_bounded_size() {
        let path = "specs/github/api.github.com.octokit-23.0.2.json.zst";
        let Some(document) = shared(path) else {
            return;
        };
        let contract = compile(&document);
        let tools: Vec<_> = contract.tools().collect();
        assert!(tools.len() > 1000, "{}", tools.len());
        assert_eq!(tools.len(), contract.operations().count());
        for (name, operation) in tools {
            let found = contract.tool(name).map(|found| found.id());
            assert_eq!(found, Some(operation.id()), "{name}");
            let schema = operation.tool_schema();
            assert_eq!(
                schema.member("type"),
                Some(&Value::from("object")),
                "{name}"
            );
            assert!(schema.to_string().len() < 256 * 1024, "{name}");
        }
    }

    #[test]
    fn the_tools_of_a_real_server_are_pinned_whole() {
        let Some(document) = shared("specs/mcp/github-mcp-server.tools.json") else {
            return;
        };
        let contract = compile(&document);
        let said = Value::parse(&document, &writ_types::JsonLimits::DOCUMENT).unwrap();
        let said = said.member("tools").and_then(Value::as_array).unwrap();
        assert_eq!(contract.operations().count(), said.len());
        for tool in said {
            let name = tool.member("name").and_then(Value::as_str).unwrap();
            let operation = contract.operation(&name.parse().unwrap()).unwrap();
            assert!(contract.tool_name(operation).is_some(), "{name}");
            assert_eq!(Some(&operation.tool_schema()), tool.member("inputSchema"));
            let pinned = operation.pinned_tool().unwrap();
            let words = tool.member("description").and_then(Value::as_str);
            assert_eq!(pinned.description.as_deref(), words, "{name}");
        }
    }
}
