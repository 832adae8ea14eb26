//! What an MCP server has beside tools: its prompts, its resources, and the completion of their arguments.
//!
//! They are served at the server's own endpoint alone: a prompt's name and a resource's URI say nothing of whose they are. Each is an
//! operation, asked for, decided and recorded as every other; what is not pinned is not there.

use writ_contract::{Operation, Pinned, PinnedResources};
use writ_types::Value;

use super::envelope::Envelope;
use super::{Caller, Errand, Fault, ToolCall, tools};
use crate::again;
use crate::decide;
use crate::refusal::Refusal;
use crate::snapshot::ApiSnapshot;

/// Most entries on one page.
const PAGE: usize = 100;
/// Longest URI that is said again, in bytes.
const LONGEST_URI: usize = 1024;

/// What the task holds of an endpoint's server, beside tools.
pub(super) struct Offered<'s> {
    api: Option<&'s ApiSnapshot>,
    prompts: Vec<&'s Operation>,
    reading: Option<&'s Operation>,
    completion: Option<&'s Operation>,
    /// A server may tell something on the way to a result.
    logs: bool,
}

/// The lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Resources,
    Templates,
    Prompts,
}

/// One entry of a list: the operation that would be called, with what, and what is shown.
struct Entry<'s> {
    operation: &'s Operation,
    /// None where they are not known before the call.
    arguments: Option<Value>,
    shown: &'s Value,
}

impl<'s> Offered<'s> {
    /// Looks at what the task holds of an API; of all APIs nothing is offered.
    pub(super) fn of(api: Option<&'s ApiSnapshot>, caller: &Caller<'_, 's>) -> Self {
        let mut offered = Self {
            api,
            prompts: Vec::new(),
            reading: None,
            completion: None,
            logs: false,
        };
        let grant = caller.entered.grant();
        let mut held = grant.actions.iter();
        offered.logs = held.any(|action| {
            let own = match api {
                Some(api) => Some(api).filter(|api| *api.contract.api() == action.api),
                None => caller.snapshot.apis.get(&action.api),
            };
            let operation = own.and_then(|api| api.contract.operation(&action.operation));
            operation.is_some_and(|operation| operation.pinned().is_some())
        });
        let Some(api) = api else { return offered };
        for operation in api.contract.operations() {
            if !grant.holds(operation.action()) {
                continue;
            }
            match operation.pinned() {
                Some(Pinned::Prompt(_)) => offered.prompts.push(operation),
                Some(Pinned::Resources(_)) => offered.reading = Some(operation),
                Some(Pinned::Completion) => offered.completion = Some(operation),
                Some(Pinned::Tool(_)) | None => {}
            }
        }
        offered
    }

    /// The capabilities that are declared: those whose methods are served.
    pub(super) fn capabilities(&self) -> impl Iterator<Item = &'static str> {
        [
            ("completions", self.completion.is_some()),
            ("logging", self.logs),
            ("prompts", !self.prompts.is_empty()),
            ("resources", self.reading.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, has)| has.then_some(name))
    }

    /// Whether one can hear that a list changed, by its word in a filter (`subscriptions/listen`): of tools everywhere.
    pub(super) fn changes(&self, word: &str) -> bool {
        match word {
            "toolsListChanged" => true,
            "promptsListChanged" => !self.prompts.is_empty(),
            "resourcesListChanged" => self.reading.is_some(),
            _ => false,
        }
    }

    /// Whether the server tells who subscribes to a resource that it was updated.
    pub(super) fn updates(&self) -> bool {
        let pinned = self.reading.and_then(Operation::pinned);
        matches!(pinned, Some(Pinned::Resources(all)) if all.subscribe)
    }

    /// A subscription to a resource.
    ///
    /// # Errors
    ///
    /// [`Fault::UnknownMethod`] where the server tells of no updates.
    pub(super) fn subscribe(&self, uri: &str) -> Result<ToolCall<'s>, Fault> {
        let operation = self.reading.filter(|_| self.updates());
        let operation = operation.ok_or(Fault::UnknownMethod)?;
        let arguments = Value::object([("uri", Value::from(uri))]);
        let call = self.call(operation, arguments)?;
        Ok(ToolCall {
            errand: Errand::Subscription,
            ..call
        })
    }

    /// Whether a subscription to a resource would be permitted now.
    pub(super) async fn may_hear(&self, caller: &Caller<'_, 's>, uri: &str) -> bool {
        let Ok(call) = self.subscribe(uri) else {
            return false;
        };
        let who = (caller.agent, caller.entered);
        again::is_permitted(caller.gateway, caller.snapshot, who, call, caller.now).await
    }

    /// Whether a server may log something in a call.
    pub(super) const fn logs(&self) -> bool {
        self.logs
    }

    /// The reading of a resource.
    ///
    /// # Errors
    ///
    /// [`Fault::UnknownMethod`] where nothing of the kind is offered, [`Fault::Parameters`].
    pub(super) fn read(&self, envelope: &Envelope) -> Result<ToolCall<'s>, Fault> {
        let operation = self.reading.ok_or(Fault::UnknownMethod)?;
        envelope.text("uri")?;
        self.call(operation, envelope.parameters(&["uri"]))
    }

    /// The completion of an argument.
    ///
    /// # Errors
    ///
    /// [`Fault::UnknownMethod`] where nothing of the kind is offered.
    pub(super) fn complete(&self, envelope: &Envelope) -> Result<ToolCall<'s>, Fault> {
        let operation = self.completion.ok_or(Fault::UnknownMethod)?;
        let names = ["ref", "argument", "context"];
        self.call(operation, envelope.parameters(&names))
    }

    /// The getting of a prompt. One that the task does not hold is decided on, as a tool is.
    ///
    /// # Errors
    ///
    /// [`Fault::UnknownMethod`] where nothing of the kind is offered, [`Fault::UnknownPrompt`], [`Fault::Parameters`].
    pub(super) fn get(&self, envelope: &Envelope) -> Result<ToolCall<'s>, Fault> {
        let api = self.api.filter(|_| !self.prompts.is_empty());
        let api = api.ok_or(Fault::UnknownMethod)?;
        let name = envelope.text("name")?;
        let prompt = |one: &&Operation| {
            let pinned = one.pinned();
            let pinned = pinned.filter(|pinned| matches!(pinned, Pinned::Prompt(_)));
            pinned.and_then(|pinned| pinned.name(one.id().as_str())) == Some(name)
        };
        let found = api.contract.operations().find(prompt);
        let found = found.ok_or(Fault::UnknownPrompt)?;
        self.call(found, envelope.arguments()?)
    }

    fn call(&self, operation: &'s Operation, arguments: Value) -> Result<ToolCall<'s>, Fault> {
        let api = self.api.ok_or(Fault::UnknownMethod)?;
        Ok(ToolCall {
            api,
            operation,
            arguments,
            answers: None,
            errand: Errand::Call,
        })
    }

    /// The page of a list after `cursor`, which is the number of its first entry.
    ///
    /// What is held and yet could not be called is left out and counted, as of tools.
    pub(super) async fn list(
        &self,
        caller: &Caller<'_, 's>,
        list: List,
        cursor: Option<&str>,
    ) -> Result<Value, Refusal> {
        let api = self.api.ok_or(Fault::UnknownMethod)?;
        let (name, entries) = match list {
            List::Resources => ("resources", self.resources(|all| &all.resources)),
            List::Templates => ("resourceTemplates", self.resources(|all| &all.templates)),
            List::Prompts => ("prompts", self.prompts()),
        };
        let entries = entries.ok_or(Fault::UnknownMethod)?;
        let first = match cursor {
            None => 0,
            Some(text) => text.parse().map_err(|_no_number| Fault::Parameters)?,
        };
        if first > 0 && first >= entries.len() {
            return Err(Fault::Parameters.into());
        }
        let (mut shown, mut hidden) = (Vec::new(), 0_u64);
        for entry in entries.iter().skip(first).take(PAGE) {
            if entry.stands(api, caller).await {
                shown.push(labelled(api, entry.shown));
            } else {
                hidden = hidden.saturating_add(1);
            }
        }
        let next = first.saturating_add(PAGE);
        let mut members = vec![(name, Value::Array(shown))];
        if next < entries.len() {
            members.push(("nextCursor", Value::from(next.to_string())));
        }
        members.extend(tools::uncached());
        if hidden > 0 {
            let counts = Value::object([("refused", Value::from_u64(hidden))]);
            members.push(("_meta", Value::object([("writ/hidden", counts)])));
        }
        Ok(Value::object(members))
    }

    /// The resources, or the templates, which have no URI before they are read.
    fn resources(
        &self,
        which: impl Fn(&'s PinnedResources) -> &'s Vec<Value>,
    ) -> Option<Vec<Entry<'s>>> {
        let operation = self.reading?;
        let Some(Pinned::Resources(all)) = operation.pinned() else {
            return None;
        };
        let entry = |shown: &'s Value| {
            let uri = shown.member("uri");
            Entry {
                operation,
                arguments: uri.map(|uri| Value::object([("uri", uri.clone())])),
                shown,
            }
        };
        Some(which(all).iter().map(entry).collect())
    }

    fn prompts(&self) -> Option<Vec<Entry<'s>>> {
        let entry = |operation: &&'s Operation| {
            let Some(Pinned::Prompt(shown)) = operation.pinned() else {
                return None;
            };
            Some(Entry {
                operation,
                arguments: None,
                shown,
            })
        };
        let entries: Vec<_> = self.prompts.iter().filter_map(entry).collect();
        (!entries.is_empty()).then_some(entries)
    }
}

impl Entry<'_> {
    /// Whether a call could be allowed: the very questions that it would be asked, bounds and policies over known arguments included.
    async fn stands(&self, api: &ApiSnapshot, caller: &Caller<'_, '_>) -> bool {
        // What waits for its owner is promised in no list.
        if decide::unchanged(api, self.operation).is_err() {
            return false;
        }
        let limits = &caller.gateway.parts.limits;
        let parsed = self.arguments.as_ref().map(|arguments| {
            let call = api
                .contract
                .read_tool_call(self.operation, arguments, limits);
            call.parsed
        });
        tools::standing(caller, self.operation, parsed.as_ref())
            .await
            .is_ok()
    }
}

/// A URI that may be said again to whoever asked for it: in nothing but the characters of a URI (RFC 3986 §2) there is no
/// room for words, and it is no longer than one.
pub(super) fn plain(uri: Option<&str>) -> Option<String> {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    let uri = uri.filter(|uri| uri.len() <= LONGEST_URI && uri.bytes().all(is_plain));
    uri.map(str::to_owned)
}

/// An entry whose description says whose words it is.
fn labelled(api: &ApiSnapshot, shown: &Value) -> Value {
    let mut shown = shown.clone();
    if let Value::Object(members) = &mut shown {
        let mut text = format!("Of the MCP server {}.", api.contract.api());
        if let Some(words) = members.get("description").and_then(Value::as_str) {
            text.push_str(" In its own words: ");
            text.push_str(words);
        }
        members.insert("description".to_owned(), Value::from(text));
    }
    shown
}
