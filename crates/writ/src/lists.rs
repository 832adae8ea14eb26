//! What an MCP server says it has: its lists, read page by page and written as the document that is pinned.
//!
//! Nothing of it is believed here: the document is compiled, compared and reviewed like any other. What the server says of itself beside its
//! lists (its name, its instructions) is not in it.

mod conversation;

use std::collections::BTreeSet;
use std::time::Duration;

use writ_contract::McpRevision;
use writ_types::Value;

pub(crate) use conversation::{Conversation, Endpoint, Place, Server};

/// Most pages of one list.
const MOST_PAGES: usize = 200;
/// How long it may take to read them all.
const LONGEST: Duration = Duration::from_secs(60);
/// Most entries of all lists together.
const MOST_ENTRIES: usize = 10_000;

/// The lists: the capability that says whether there is one, the method that reads it, and its member in the answer and in the document.
const LISTS: [(&str, &str, &str); 4] = [
    ("tools", "tools/list", "tools"),
    ("prompts", "prompts/list", "prompts"),
    ("resources", "resources/list", "resources"),
    ("resources", "resources/templates/list", "resourceTemplates"),
];

/// Reads all lists of a server and writes them down as they came.
///
/// # Errors
///
/// What went wrong, in words: nobody answers, the server speaks another revision, or it has more than is read.
pub(crate) async fn read(place: Place, revision: McpRevision) -> Result<Vec<u8>, String> {
    let server = Conversation::begin(place, revision).await?;
    let written = tokio::time::timeout(LONGEST, write_down(&server, revision)).await;
    server.end().await;
    let written = written.map_err(|_late| "it takes too long to say what it has".to_owned())??;
    // What is written down is shown to people and kept in projects.
    if server.server().is_told_its_credential(&written) {
        return Err("its lists hold the credential that it was shown".to_owned());
    }
    Ok(written)
}

async fn write_down(server: &Conversation, revision: McpRevision) -> Result<Vec<u8>, String> {
    let can = server.capabilities();
    let has = |name: &str| can.member(name).is_some();
    let completions = has("completions").then(|| ("completions", Value::object::<&str>([])));
    let updates = can
        .member("resources")
        .and_then(|own| own.member("subscribe"));
    let updates = (updates.and_then(Value::as_bool) == Some(true)).then(|| {
        (
            "resources",
            Value::object([("subscribe", Value::from(true))]),
        )
    });
    let capabilities = Value::object(completions.into_iter().chain(updates));
    let mut text = format!(
        "{{\"protocolVersion\": \"{}\",\n\"capabilities\": {capabilities}",
        revision.as_str()
    );
    let mut room = MOST_ENTRIES;
    for (capability, method, member) in LISTS {
        let entries = if has(capability) {
            list(server, method, member, room).await?
        } else {
            Vec::new()
        };
        room = room.saturating_sub(entries.len());
        // A server without tools has none; the other lists need not be there.
        if entries.is_empty() && member != "tools" {
            continue;
        }
        let lines: Vec<String> = entries.iter().map(|entry| format!("\n {entry}")).collect();
        text.push_str(&format!(",\n\"{member}\": [{}]", lines.join(",")));
    }
    text.push_str("}\n");
    Ok(text.into_bytes())
}

/// All pages of one list.
async fn list(
    server: &Conversation,
    method: &str,
    member: &str,
    room: usize,
) -> Result<Vec<Value>, String> {
    let mut entries = Vec::new();
    let mut seen = BTreeSet::new();
    let mut cursor: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let at = cursor
            .as_deref()
            .map(|cursor| ("cursor", Value::from(cursor)));
        let page = server.ask(method, at.into_iter().collect()).await?;
        let items = page.member(member).and_then(Value::as_array);
        let items = items.ok_or_else(|| format!("{method} is answered without `{member}`"))?;
        entries.extend_from_slice(items);
        if entries.len() > room {
            return Err(format!("it has more than {MOST_ENTRIES} entries"));
        }
        match page.member("nextCursor").and_then(Value::as_str) {
            None => return Ok(entries),
            Some(next) if seen.insert(next.to_owned()) => cursor = Some(next.to_owned()),
            Some(_) => return Err(format!("{method} gives the same page again")),
        }
    }
    Err(format!("{method} has more than {MOST_PAGES} pages"))
}
