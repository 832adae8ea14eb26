//! What goes together with an upstream that is a program, and with one that is none.

use writ_contract::{Contract, Reviews};
use writ_types::{Api, Attach, Upstream};

/// What of a registration its upstream has no use for.
pub(super) fn mismatch(api: &Api, document: &[u8]) -> Option<&'static str> {
    let attach = api.credential.as_ref().map(|(_, attach)| attach);
    if let Upstream::Http(_) = api.upstream {
        let lost = attach == Some(&Attach::Environment);
        return lost.then_some(
            "`attach = \"environment\"` is for programs: over HTTP a credential travels in a field",
        );
    }
    let (contract, _) = Contract::compile(&api.id, document, &Reviews::default());
    let mcp = contract.is_none_or(|contract| contract.mcp().is_some());
    if !mcp {
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
    api.drift.is_some().then_some(
        "what a program says of itself is not looked at beside its calls: take `drift` away",
    )
}
