//! An MCP server for tests, of both revisions and of another hand (rmcp): what the conformance suite wants to find in a server.
//!
//! `fixture.json` says what it has and what it answers; here is what it does: it asks, tells, and remembers what it asked.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot be set up has failed"
)]
#![expect(
    deprecated,
    reason = "revision 2025-11-25 has what later ones have not"
)]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientCapabilities, CompleteRequestParams,
    CompleteResult, ErrorData, GetPromptRequestParams, GetPromptResponse, InputRequests,
    InputRequiredResult, InputResponses, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, LoggingLevel, LoggingMessageNotificationParam,
    PaginatedRequestParams, ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, ResourceUpdatedNotificationParam, ServerConfig,
    ServerRequest, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, Tool,
    UnsubscribeRequestParams,
};
use rmcp::service::{Peer, RequestContext, RoleServer, SubscriptionContext, SubscriptionSink};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, ServiceExt as _};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

const FIXTURE: &str = include_str!("fixture.json");
/// Between the notifications of one call.
const PAUSE: Duration = Duration::from_millis(20);

/// A running server; it ends with the runtime.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// Where it listens; its endpoint is `/mcp`.
    pub address: SocketAddr,
    server: Server,
}

impl Fixture {
    /// Starts the server on a port of its own.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::default();
        let serving = server.clone();
        let config = StreamableHttpServerConfig::default()
            .with_allowed_origins([format!("http://{address}")]);
        let service = StreamableHttpService::new(
            move || Ok(serving.clone()),
            Arc::new(LocalSessionManager::default()),
            config,
        );
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    drop(
                        builder
                            .serve_connection(TokioIo::new(stream), service)
                            .await,
                    );
                });
            }
        });
        Self { address, server }
    }

    /// Starts the server on a port of its own where each connection is what a program's standard input and output would be.
    pub async fn start_streams() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::default();
        let serves = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = serves.clone();
                tokio::spawn(async move {
                    if let Ok(serving) = Box::pin(server.serve(stream)).await {
                        drop(serving.waiting().await);
                    }
                });
            }
        });
        Self { address, server }
    }

    /// Tells those who subscribed to a resource that it was updated.
    pub async fn update(&self, uri: &str) {
        let (sinks, subscribed) = {
            let state = self.server.state();
            (state.sinks.clone(), state.subscribed.clone())
        };
        for sink in sinks {
            // One that is gone, or asked for something else, is not told.
            drop(sink.notify_resource_updated(uri).await);
        }
        for (_, peer) in subscribed.iter().filter(|(own, _)| own == uri) {
            let updated = ResourceUpdatedNotificationParam::new(uri);
            drop(peer.notify_resource_updated(updated).await);
        }
    }

    /// What is subscribed in sessions.
    pub fn subscribed(&self) -> Vec<String> {
        let state = self.server.state();
        state
            .subscribed
            .iter()
            .map(|(uri, _)| uri.clone())
            .collect()
    }

    /// What an operator pins of it: its tools, resources, templates and prompts as the lists say them, and that it completes.
    pub fn pinned() -> Value {
        let fixture = fixture();
        let member = |name: &str| (name.to_owned(), fixture[name].clone());
        let names = ["tools", "resources", "resourceTemplates", "prompts"];
        let capabilities = (
            "capabilities".to_owned(),
            json!({"completions": {}, "resources": {"subscribe": true}}),
        );
        names
            .into_iter()
            .map(member)
            .chain([capabilities])
            .collect()
    }
}

fn fixture() -> Value {
    serde_json::from_str(FIXTURE).unwrap()
}

#[derive(Debug, Clone, Default)]
struct Server {
    state: Arc<Mutex<State>>,
}

/// What the server remembers.
#[derive(Debug, Default)]
struct State {
    /// The states of calls that were answered with a question: tool, round, number.
    asked: BTreeSet<String>,
    sinks: Vec<SubscriptionSink>,
    subscribed: Vec<(String, Peer<RoleServer>)>,
    level: Option<LoggingLevel>,
}

/// What a call answers to a question of an earlier round.
struct Answers {
    responses: Option<InputResponses>,
    state: Option<String>,
}

fn refused(message: &'static str, data: Option<Value>) -> ErrorData {
    ErrorData::invalid_params(message, data)
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// A result of 2026-07-28; rmcp leaves out for a client of 2025-11-25 what that does not know.
fn result<T: serde::de::DeserializeOwned>(mut value: Value) -> Result<T, ErrorData> {
    value["resultType"] = json!("complete");
    read(value)
}

/// The value with `{name}` replaced in every text.
fn filled(value: &Value, arguments: &Map<String, Value>) -> Value {
    match value {
        Value::String(text) => {
            let mut text = text.clone();
            for (name, value) in arguments {
                text = text.replace(&format!("{{{name}}}"), value.as_str().unwrap_or_default());
            }
            Value::String(text)
        }
        Value::Array(items) => items.iter().map(|item| filled(item, arguments)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), filled(value, arguments)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Whether the client can answer a request of this method.
fn answers(capabilities: Option<&ClientCapabilities>, method: &str) -> bool {
    capabilities.is_some_and(|can| match method {
        "elicitation/create" => can.elicitation.is_some(),
        "sampling/createMessage" => can.sampling.is_some(),
        _ => can.roots.is_some(),
    })
}

/// Whether a response has the form of an answer to a request of this method.
fn has_form(response: &Value, method: &str) -> bool {
    let name = match method {
        "elicitation/create" => "action",
        "sampling/createMessage" => "role",
        _ => "roots",
    };
    response.get(name).is_some()
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What must be asked before the call is done; none when all was answered.
    ///
    /// Revision 2026-07-28 is answered with the questions; a client of 2025-11-25 is asked while it waits.
    async fn ask(
        &self,
        name: &str,
        arguments: &Map<String, Value>,
        answered: Answers,
        context: &RequestContext<RoleServer>,
    ) -> Result<Option<InputRequiredResult>, ErrorData> {
        let fixture = fixture();
        let Some(rounds) = fixture["rounds"].get(name).and_then(Value::as_array) else {
            return Ok(None);
        };
        let capabilities = context.client_capabilities();
        let stateless = context.protocol_version() == Some(ProtocolVersion::V_2026_07_28);
        if !stateless {
            for request in rounds.iter().filter_map(Value::as_object).flatten() {
                let request: ServerRequest = read(filled(request.1, arguments))?;
                let answer = context.peer.send_request(request).await;
                answer.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
            }
            return Ok(None);
        }
        let round = match &answered.state {
            None => 0,
            Some(state) => {
                let known = self.state().asked.remove(state);
                let round = state.split(':').nth(1).and_then(|text| text.parse().ok());
                let round: Option<usize> = round.filter(|_| known);
                round.ok_or_else(|| refused("the state is not one that was given out", None))?
            }
        };
        let keeps = fixture["stateless"]
            .as_array()
            .unwrap()
            .contains(&json!(name));
        let at = if answered.responses.is_some() {
            round
        } else {
            0
        };
        let questions = rounds[at].as_object().unwrap();
        let given = answered.responses.as_ref();
        let is_answered = questions.iter().all(|(key, request)| {
            let method = request["method"].as_str().unwrap();
            given.is_some_and(|given| given.get(key).is_some_and(|said| has_form(said, method)))
        });
        let may = is_answered && (keeps || answered.state.is_some());
        let next = if may { at.saturating_add(1) } else { at };
        let Some(next_questions) = rounds.get(next).and_then(Value::as_object) else {
            return Ok(None);
        };
        let mut requests = InputRequests::new();
        for (key, request) in next_questions {
            let method = request["method"].as_str().unwrap();
            if answers(capabilities.as_ref(), method) {
                requests.insert(key.clone(), read(filled(request, arguments))?);
            }
        }
        if requests.is_empty() {
            let sampling = read(json!({"sampling": {}}))?;
            return Err(ErrorData::missing_required_client_capability(sampling));
        }
        let state = (!keeps).then(|| {
            let mut state = self.state();
            let text = format!("{name}:{next}:{}", state.asked.len());
            state.asked.insert(text.clone());
            text
        });
        Ok(Some(InputRequiredResult::new(Some(requests), state)))
    }

    /// What a call does beside its answer.
    async fn act(&self, name: &str, context: &RequestContext<RoleServer>) -> Result<(), ErrorData> {
        match name {
            "test_tool_with_logging" | "test_logging_tool" => {
                // 2025-11-25 has a level of the session, 2026-07-28 one of the request.
                let stateless = context.protocol_version() == Some(ProtocolVersion::V_2026_07_28);
                let level = if stateless {
                    context.meta.log_level()
                } else {
                    self.state().level
                };
                for text in [
                    "Tool execution started",
                    "Tool processing data",
                    "Tool execution completed",
                ] {
                    if level.is_some() {
                        let said =
                            LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(text));
                        drop(context.peer.notify_logging_message(said).await);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
            "test_tool_with_progress" => {
                for done in [0.0, 50.0, 100.0] {
                    if let Some(token) = context.meta.get_progress_token() {
                        let said = ProgressNotificationParam::new(token, done).with_total(100.0);
                        drop(context.peer.notify_progress(said).await);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
            "test_missing_capability" => {
                let capabilities = context.client_capabilities();
                if !answers(capabilities.as_ref(), "sampling/createMessage") {
                    let sampling = read(json!({"sampling": {}}))?;
                    return Err(ErrorData::missing_required_client_capability(sampling));
                }
            }
            "test_trigger_tool_change" | "test_trigger_prompt_change" => {
                let sinks = self.state().sinks.clone();
                for sink in sinks {
                    // One that is gone, or asked for something else, is not told.
                    drop(if name == "test_trigger_tool_change" {
                        sink.notify_tool_list_changed().await
                    } else {
                        sink.notify_prompt_list_changed().await
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = json!({
            "tools": {"listChanged": true}, "prompts": {"listChanged": true},
            "resources": {"subscribe": true}, "completions": {}, "logging": {},
        });
        ServerConfig::new(serde_json::from_value(capabilities).unwrap())
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        result(json!({"tools": fixture()["tools"], "ttlMs": 0, "cacheScope": "private"}))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let fixture = fixture();
        let tools = fixture["tools"].as_array()?;
        let tool = tools.iter().find(|tool| tool["name"] == name)?;
        serde_json::from_value(tool.clone()).ok()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.to_string();
        let fixture = fixture();
        let said = fixture["results"].get(&name);
        let said = said.ok_or_else(|| refused("no such tool", None))?;
        let arguments = request.arguments.unwrap_or_default();
        let answered = Answers {
            responses: request.input_responses,
            state: request.request_state,
        };
        if let Some(questions) = self.ask(&name, &arguments, answered, &context).await? {
            return Ok(questions.into());
        }
        self.act(&name, &context).await?;
        Ok(CallToolResponse::Complete(result(said.clone())?))
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        result(json!({"resources": fixture()["resources"], "ttlMs": 0, "cacheScope": "private"}))
    }

    async fn list_resource_templates(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let templates = fixture()["resourceTemplates"].clone();
        result(json!({"resourceTemplates": templates, "ttlMs": 0, "cacheScope": "private"}))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let fixture = fixture();
        let fixed = fixture["contents"].get(&request.uri).cloned();
        let id = request.uri.strip_prefix("test://template/");
        let id = id.and_then(|rest| rest.strip_suffix("/data"));
        let made = id.map(|id| {
            let text =
                json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            json!({"uri": request.uri, "mimeType": "application/json", "text": text.to_string()})
        });
        let contents = fixed.or(made);
        let contents = contents
            .ok_or_else(|| refused("no such resource", Some(json!({"uri": request.uri}))))?;
        let said = json!({"contents": [contents], "ttlMs": 0, "cacheScope": "private"});
        let said: ReadResourceResult = result(said)?;
        Ok(said.into())
    }

    async fn list_prompts(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        result(json!({"prompts": fixture()["prompts"], "ttlMs": 0, "cacheScope": "private"}))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let fixture = fixture();
        let messages = fixture["messages"].get(&request.name);
        let messages = messages.ok_or_else(|| refused("no such prompt", None))?;
        let arguments = request.arguments.unwrap_or_default();
        let answered = Answers {
            responses: request.input_responses,
            state: request.request_state,
        };
        if let Some(questions) = self
            .ask(&request.name, &arguments, answered, &context)
            .await?
        {
            return Ok(questions.into());
        }
        let said = json!({"messages": filled(messages, &arguments)});
        Ok(GetPromptResponse::Complete(result(said)?))
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let values = ["paris", "park", "party", "test"].map(str::to_owned);
        let fits = |value: &String| value.starts_with(&request.argument.value);
        let values: Vec<String> = values.into_iter().filter(fits).collect();
        result(json!({"completion": {"values": values, "hasMore": false}}))
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.state().level = Some(request.level);
        Ok(())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.state().subscribed.push((request.uri, context.peer));
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.state()
            .subscribed
            .retain(|(uri, _)| *uri != request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.state().sinks.push(context.sink().clone());
        context.cancelled().await;
        Ok(())
    }
}
