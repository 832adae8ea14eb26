//! The upstream of these tests: it writes down every request before it answers, and holds answers back when told to.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use writ_testkit::Project;

/// Two operations that answer at once, and two that end when the gate opens.
const CONTRACT: &str = r##"openapi: 3.1.0
info: { title: Depot, version: 1.0.0 }
paths:
  /items:
    get:
      operationId: listItems
      parameters: [{ $ref: "#/components/parameters/Marker" }]
      responses: { "200": { $ref: "#/components/responses/Done" } }
    post:
      operationId: addItem
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [marker]
              properties: { marker: { type: string } }
              additionalProperties: false
      responses: { "200": { $ref: "#/components/responses/Done" } }
  /gate:
    get:
      operationId: waitAtGate
      parameters: [{ $ref: "#/components/parameters/Marker" }]
      responses: { "200": { $ref: "#/components/responses/Done" } }
components:
  parameters:
    Marker: { name: marker, in: query, required: true, schema: { type: string } }
  responses:
    Done: { description: Done. }
"##;

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

impl Seen {
    /// The marker that the client put into it: unique to the call.
    pub(crate) fn marker(&self) -> String {
        match self.target.split_once("marker=") {
            Some((_, marker)) => marker.to_owned(),
            None => {
                let text = String::from_utf8_lossy(&self.body).into_owned();
                text.split('"').nth(3).unwrap_or_default().to_owned()
            }
        }
    }
}

/// A running depot.
#[derive(Debug, Clone)]
pub(crate) struct Depot {
    seen: Arc<Mutex<Vec<Seen>>>,
    arrived: watch::Sender<usize>,
    gate: watch::Sender<bool>,
    pub(crate) address: SocketAddr,
}

impl Depot {
    /// Starts a depot and registers it in the project as the API `depot`.
    pub(crate) async fn open(project: &Project) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let depot = Self {
            seen: Arc::default(),
            arrived: watch::Sender::new(0),
            gate: watch::Sender::new(false),
            address: listener.local_addr().unwrap(),
        };
        project.write("apis/depot.openapi.yaml", CONTRACT);
        project.write("apis/depot.toml", &depot.registration());
        project.write("purposes/stock.toml", STOCK);
        project.agent("bot", "autonomous", &["stock"]);
        tokio::spawn(depot.clone().serve(listener));
        depot
    }

    /// `apis/depot.toml`.
    pub(crate) fn registration(&self) -> String {
        format!(
            "owner = \"depot@example.org\"\nupstream = \"http://{}\"\ncontract = \"depot.openapi.yaml\"\nrate = \"1000000/s\"\n[operations.listItems]\neffect = \"read\"\n[operations.addItem]\neffect = \"write\"\n[operations.waitAtGate]\neffect = \"read\"\n",
            self.address
        )
    }

    async fn serve(self, listener: tokio::net::TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let depot = self.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| depot.clone().answer(request));
                // The gateway may be killed at any moment; that is what this is for.
                drop(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await,
                );
            });
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let target = head.uri.path_and_query().unwrap().to_string();
        let content_type = head
            .headers
            .get("content-type")
            .map_or("", |value| value.to_str().unwrap());
        // A request whose body breaks off was heard of all the same; its body is then what came.
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let waits = target.starts_with("/gate");
        self.seen.lock().unwrap().push(Seen {
            method: head.method.to_string(),
            target,
            content_type: content_type.to_owned(),
            body: body.unwrap_or_default(),
        });
        let number = {
            self.arrived.send_modify(|count| *count += 1);
            *self.arrived.borrow()
        };
        if waits {
            drop(self.gate.subscribe().wait_for(|open| *open).await);
        } else {
            // So that calls are in flight when the process dies.
            tokio::time::sleep(Duration::from_millis(u64::try_from(number % 7).unwrap())).await;
        }
        Ok(Response::builder()
            .header("content-type", "application/json")
            .body(Full::from("{}"))
            .unwrap())
    }

    /// Everything that arrived.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until so many requests have arrived.
    pub(crate) async fn arrived(&self, count: usize) {
        self.arrived
            .subscribe()
            .wait_for(|arrived| *arrived >= count)
            .await
            .unwrap();
    }

    /// Lets every call that waits, and every later one, go on.
    pub(crate) fn open_gate(&self) {
        self.gate.send_replace(true);
    }
}

/// The purpose of all tasks here.
pub(crate) const STOCK: &str = "owner = \"stock@example.org\"\nactions = [\"depot:listItems\", \"depot:addItem\", \"depot:waitAtGate\"]\nbudget = { calls = 100000, writes = 100000 }\n";

/// What a task asks for.
pub(crate) fn task(calls: u64, writes: u64) -> String {
    format!(
        r#"[{{"type":"writ_task","purpose":"stock","actions":["depot:listItems","depot:addItem","depot:waitAtGate"],"budget":{{"calls":{calls},"writes":{writes}}}}}]"#
    )
}
