//! What goes together with an upstream that is a program, and with one that is none.

use writ_contract::{Contract, McpRevision, Reviews};
use writ_types::{Api, Attach, Upstream};

/// What of a registration its upstream has no use for.
pub(super) fn mismatch(api: &Api, document: &[u8], reviews: &Reviews) -> Option<&'static str> {
    let attach = api.credential.as_ref().map(|(_, attach)| attach);
    if let Upstream::Http(_) = api.upstream {
        if matches!(api.drift, Some(Upstream::Program(_))) {
            return Some("what is reached over HTTP is asked over HTTP: `drift` is a URL");
        }
        let lost = attach == Some(&Attach::Environment);
        return lost.then_some(
            "`attach = \"environment\"` is for programs: over HTTP a credential travels in a field",
        );
    }
    let (contract, _) = Contract::compile(&api.id, document, reviews);
    if contract
        .as_ref()
        .is_some_and(|contract| contract.mcp().is_none())
    {
        return Some(
            "a program is spoken to in MCP: its contract is what the lists of an MCP server say",
        );
    }
    if attach.is_some_and(|attach| *attach != Attach::Environment) {
        return Some("a program has no header fields: `attach = \"environment\"`");
    }
    if api.transaction_tokens.is_some() {
        return Some("a program has no header fields, so that transaction tokens cannot reach it");
    }
    if contract.as_ref().is_some_and(asks_in_vain) {
        return Some(
            "a program of revision 2025-11-25 does not say in which call it asks, so that its questions reach nobody: take `asks` away",
        );
    }
    let elsewhere = api
        .drift
        .as_ref()
        .is_some_and(|drift| *drift != api.upstream);
    elsewhere
        .then_some("a program is asked what it has where it is called: `drift` is its `upstream`")
}

/// Whether the overlay lets a program ask what it could not be answered.
fn asks_in_vain(contract: &Contract) -> bool {
    let asks = |operation: &writ_contract::Operation| !operation.handling().asks.is_empty();
    contract.mcp() == Some(McpRevision::Sessions) && contract.operations().any(asks)
}
