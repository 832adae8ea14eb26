//! A server changes its contract under a running task: what was approved flows on, what changed waits for its owner.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use hyper::Method;
use writ::agent::OpenTask;
use writ_testkit::{Caller, Project, Server, json, open, project, reason, runtime};
use writ_types::Value;

/// What the owner approved.
const PINNED: &str = r#"{"openapi": "3.0.3", "info": {"title": "zones", "version": "1"}, "paths": {
 "/zones": {"get": {"operationId": "listZones", "parameters": [
   {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}}],
   "responses": {"200": {"description": "ok"}}}},
 "/zones/{id}": {"parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
   "get": {"operationId": "getZone", "responses": {"200": {"description": "ok"}}},
   "delete": {"operationId": "deleteZone", "responses": {"200": {"description": "ok"}}}}}}"#;

/// The next version: fewer at once, another name, one parameter more on the deletion, and a new operation.
fn next_version() -> String {
    PINNED
        .replace("\"maximum\": 100", "\"maximum\": 50")
        .replace("getZone", "showZone")
        .replace(
            "\"operationId\": \"deleteZone\",",
            "\"operationId\": \"deleteZone\", \"parameters\": [{\"name\": \"force\", \"in\": \"query\", \"schema\": {\"type\": \"boolean\"}}],",
        )
        .replace(
            "\"/zones\": {",
            "\"/zones\": {\"post\": {\"operationId\": \"makeZone\", \"responses\": {\"200\": {\"description\": \"ok\"}}},",
        )
}

/// An upstream that publishes a document and says yes to everything else.
struct Upstream {
    port: u16,
    published: Arc<Mutex<String>>,
    /// The request lines and fields it was sent.
    heard: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let upstream = Self {
            port: listener.local_addr()?.port(),
            published: Arc::new(Mutex::new(PINNED.to_owned())),
            heard: Arc::default(),
        };
        let (published, heard) = (Arc::clone(&upstream.published), Arc::clone(&upstream.heard));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (published, heard) = (Arc::clone(&published), Arc::clone(&heard));
                std::thread::spawn(move || drop(answer(stream, &published, &heard)));
            }
        });
        Ok(upstream)
    }

    fn publishes(&self, document: &str) {
        if let Ok(mut published) = self.published.lock() {
            document.clone_into(&mut published);
        }
    }
}

/// Answers one request and closes.
fn answer(
    mut stream: TcpStream,
    published: &Mutex<String>,
    heard: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let published = published
        .lock()
        .map(|text| text.clone())
        .unwrap_or_default();
    let body = if head.starts_with("GET /openapi.json ") {
        published
    } else {
        "{}".to_owned()
    };
    if let Ok(mut heard) = heard.lock() {
        heard.push(head);
    }
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn installation(upstream: &Upstream) -> (Project, Server) {
    let project = project!();
    project.write("apis/dns.json", PINNED);
    project.write(
        "apis/dns.toml",
        &format!(
            "owner = \"dns-team@example.org\"\nupstream = \"http://127.0.0.1:{port}\"\ncontract = \"dns.json\"\ndrift = \"http://127.0.0.1:{port}/openapi.json\"\n[credential]\nname = \"dns-key\"\nattach = \"header\"\nheader = \"x-api-key\"\n[operations.listZones]\neffect = \"read\"\n[operations.getZone]\neffect = \"read\"\n[operations.deleteZone]\neffect = \"delete\"\n",
            port = upstream.port
        ),
    );
    project.write(
        "purposes/housekeeping.toml",
        "owner = \"dns-team@example.org\"\nactions = [\"dns:listZones\", \"dns:getZone\", \"dns:deleteZone\"]\n[budget]\ncalls = 100\nwrites = 50\ndeletes = 50\nirreversible = 0\n",
    );
    project.agent("keeper", "autonomous", &["housekeeping"]);
    let server = project.start();
    project.sign_in();
    project.credential("dns-key", "k-1234567890");
    (project, server)
}

/// Status and reason of each call that was approved once.
async fn calls(project: &Project, task: &OpenTask) -> [(u16, String); 3] {
    let caller = Caller::new(project, task);
    let mut said = Vec::new();
    for (method, path) in [
        ("GET", "/dns/zones?limit=10"),
        ("GET", "/dns/zones/a"),
        ("DELETE", "/dns/zones/a"),
    ] {
        let answer = caller.send(method, path, &[], String::new()).await;
        let why = if answer.status == 200 {
            String::new()
        } else {
            assert_eq!(
                answer.json().member("verdict").and_then(Value::as_str),
                Some(if reason(&answer) == "contract_quarantined" {
                    "DEFER"
                } else {
                    "DENY"
                })
            );
            reason(&answer)
        };
        said.push((answer.status, why));
    }
    said.try_into().unwrap_or_default()
}

fn wants(list: &Value, name: &str) -> Vec<String> {
    let list = list
        .member(name)
        .and_then(Value::as_array)
        .unwrap_or_default();
    list.iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

const FLOWS: (u16, &str) = (200, "");
const WAITS: (u16, &str) = (403, "contract_quarantined");
const UNKNOWN: (u16, &str) = (403, "action_not_granted");

fn are(said: &[(u16, String); 3], expect: [(u16, &str); 3]) {
    let said: Vec<(u16, &str)> = said
        .iter()
        .map(|(status, why)| (*status, why.as_str()))
        .collect();
    assert_eq!(said, expect);
}

#[test]
fn what_changed_waits_for_its_owner_and_the_rest_flows_on() {
    runtime().block_on(async {
        let upstream = Upstream::start().unwrap();
        let (project, server) = installation(&upstream);
        let client = project.client();
        let task = open(&client, r#"[{"type":"writ_task","purpose":"housekeeping","actions":["dns:listZones","dns:getZone","dns:deleteZone"],"budget":{"calls":60,"writes":30,"deletes":30}}]"#).await;
        let narrow = open(&client, r#"[{"type":"writ_task","purpose":"housekeeping","actions":["dns:listZones"]}]"#).await;
        are(&calls(&project, &task).await, [FLOWS, FLOWS, FLOWS]);
        let (code, ..) = project.run(&["api", "drift", "dns"]);
        assert_eq!(code, 0, "nothing has changed yet");

        upstream.publishes(&next_version());
        let (code, seen, _) = project.run(&["--json", "api", "drift", "dns"]);
        assert_eq!(code, 2);
        let seen = json(&seen);
        assert_eq!(wants(&seen, "quarantined"), ["deleteZone"]);
        assert_eq!(wants(&seen, "in_use"), ["deleteZone"]);
        assert_eq!(wants(&seen, "narrowed"), ["listZones"]);
        assert_eq!(wants(&seen, "added"), ["makeZone"]);
        assert_eq!(seen.member("renamed").unwrap().member("getZone"), Some(&Value::from("showZone")));
        are(&calls(&project, &task).await, [FLOWS, FLOWS, WAITS]);
        // Who does not hold the operation does not learn what became of it.
        are(&calls(&project, &narrow).await, [FLOWS, UNKNOWN, UNKNOWN]);

        // Neither a restart nor the project's unchanged files set it free.
        let (code, ..) = project.run(&["apply"]);
        assert_eq!(code, 0);
        are(&calls(&project, &task).await, [FLOWS, FLOWS, WAITS]);
        server.stop();
        upstream.publishes("nothing of the kind");
        let server = project.start();
        are(&calls(&project, &task).await, [FLOWS, FLOWS, WAITS]);
        // What cannot be read is told, and changes nothing.
        let (code, _, fault) = project.run(&["api", "drift", "dns"]);
        assert!(code == 1 && fault.contains("/openapi.json"), "{fault}");
        let (_, status, _) = project.run(&["doctor"]);
        assert!(status.contains("drift goes unnoticed"), "{status}");

        // The server publishes again what is pinned.
        upstream.publishes(PINNED);
        let (code, ..) = project.run(&["api", "drift", "dns"]);
        assert_eq!(code, 0);
        are(&calls(&project, &task).await, [FLOWS, FLOWS, FLOWS]);
        server.stop();
    });
}

#[test]
fn the_owner_approves_the_bytes_that_were_looked_at() {
    runtime().block_on(async {
        let upstream = Upstream::start().unwrap();
        let (project, server) = installation(&upstream);
        let task = open(&project.client(), r#"[{"type":"writ_task","purpose":"housekeeping","actions":["dns:listZones","dns:getZone","dns:deleteZone"],"budget":{"calls":60,"writes":30,"deletes":30}}]"#).await;
        upstream.publishes(&next_version());
        let (_, seen, _) = project.run(&["--json", "api", "drift", "dns"]);
        let digest = json(&seen).member("digest").unwrap().as_str().unwrap().to_owned();

        // Other bytes than those that were reviewed are not approved with them.
        let other = format!("sha256:{}", "0".repeat(64));
        let (code, _, fault) = project.run(&["api", "promote", "dns", "--digest", &other]);
        assert!(code == 1 && fault.contains("writ api drift dns"), "{fault}");
        are(&calls(&project, &task).await, [FLOWS, FLOWS, WAITS]);

        let (code, said, fault) = project.run(&["api", "promote", "dns", "--digest", &digest]);
        assert_eq!(code, 0, "{fault}");
        assert!(said.contains("`getZone` is no operation any more"), "{said}");
        // The call has another name now, and no grant of the old name holds for it.
        are(&calls(&project, &task).await, [FLOWS, UNKNOWN, FLOWS]);
        let pinned = std::fs::read_to_string(project.path("apis/dns.json")).unwrap();
        assert_eq!(pinned, next_version());
        let (code, ..) = project.run(&["api", "drift", "dns"]);
        assert_eq!(code, 0);

        // The change and its owner stand in the log.
        let records = project.operator(Method::GET, "/v1/records?tail=50", "").await;
        assert!(records.json().to_string().contains("contract.promote"), "{}", records.json());
        // The document was asked for with the API's own key, at the API's own origin.
        let heard = upstream.heard.lock().unwrap().clone();
        let mut asked = heard
            .iter()
            .filter(|head| head.starts_with("GET /openapi.json "));
        // At the start there was no credential yet.
        let last = asked.next_back().unwrap();
        assert!(last.contains("k-1234567890"), "{last}");
        server.stop();
    });
}

#[test]
fn another_origin_does_not_learn_the_credential() {
    runtime().block_on(async {
        let (upstream, elsewhere) = (Upstream::start().unwrap(), Upstream::start().unwrap());
        let (project, server) = installation(&upstream);
        let registration = std::fs::read_to_string(project.path("apis/dns.toml")).unwrap();
        let moved = registration.replace(
            &format!("drift = \"http://127.0.0.1:{}/", upstream.port),
            &format!("drift = \"http://127.0.0.1:{}/", elsewhere.port),
        );
        project.write("apis/dns.toml", &moved);
        let (code, _, fault) = project.run(&["apply"]);
        assert_eq!(code, 0, "{fault}");
        let (code, ..) = project.run(&["api", "drift", "dns"]);
        assert_eq!(code, 0);
        let heard = elsewhere.heard.lock().unwrap().clone();
        assert!(
            heard
                .iter()
                .any(|head| head.starts_with("GET /openapi.json "))
        );
        assert!(
            heard.iter().all(|head| !head.contains("k-1234567890")),
            "{heard:?}"
        );
        server.stop();
    });
}

#[test]
fn what_is_stopped_is_not_asked_what_it_publishes() {
    runtime().block_on(async {
        let upstream = Upstream::start().unwrap();
        let (project, _server) = installation(&upstream);
        let asked = || {
            let heard = upstream.heard.lock().unwrap();
            let asks = heard
                .iter()
                .filter(|head| head.starts_with("GET /openapi.json "));
            asks.count()
        };
        // A start asks once by itself.
        while asked() == 0 {
            project.operator(Method::GET, "/v1/status", "").await;
        }
        for body in [r#"{"api":"dns"}"#, r#"{"credential":"dns-key"}"#] {
            let order = async |path: &str, body: &str| {
                project.operator(Method::POST, path, body).await.status
            };
            assert_eq!(order("/v1/kill", body).await, 200);
            let before = asked();
            assert_eq!(order("/v1/apis/dns/drift", "").await, 503, "{body}");
            assert_eq!(asked(), before, "{body}");
            assert_eq!(order("/v1/resume", body).await, 200);
            assert_eq!(order("/v1/apis/dns/drift", "").await, 200, "{body}");
            assert_eq!(asked(), before + 1, "{body}");
        }
    });
}

#[test]
fn a_server_that_publishes_now_this_now_that_has_both_approved() {
    runtime().block_on(async {
        let upstream = Upstream::start().unwrap();
        let (project, server) = installation(&upstream);
        let task = open(&project.client(), r#"[{"type":"writ_task","purpose":"housekeeping","actions":["dns:listZones","dns:getZone","dns:deleteZone"],"budget":{"calls":60,"writes":30,"deletes":30}}]"#).await;
        let other = PINNED.replace("\"getZone\",", "\"showZone\", \"summary\": \"Shows a zone.\",");
        let look = || {
            let (code, seen, _) = project.run(&["--json", "api", "drift", "dns"]);
            let seen = json(&seen);
            let digest = seen.member("digest").unwrap().as_str().unwrap().to_owned();
            (code, wants(&seen, "quarantined"), digest)
        };
        upstream.publishes(&other);
        let (code, waiting, digest) = look();
        assert_eq!((code, waiting), (2, vec!["getZone".to_owned()]));
        are(&calls(&project, &task).await, [FLOWS, WAITS, FLOWS]);
        let beside = ["api", "promote", "dns", "--beside", "--digest", &digest];
        let (code, said, fault) = project.run(&beside);
        assert_eq!(code, 0, "{said}{fault}");

        // What is pinned stays, with its names, and so do the grants.
        are(&calls(&project, &task).await, [FLOWS, FLOWS, FLOWS]);
        let pinned = std::fs::read_to_string(project.path("apis/dns.json")).unwrap();
        assert_eq!(pinned, PINNED);
        for document in [PINNED, &other, PINNED, &other] {
            upstream.publishes(document);
            assert_eq!(look().0, 0);
        }
        let (code, _, fault) = project.run(&beside);
        assert!(code == 1 && fault.contains("approved already"), "{fault}");
        let records = project.operator(Method::GET, "/v1/records?tail=50", "").await;
        assert!(records.json().to_string().contains("contract.beside"), "{}", records.json());

        // A third form is neither.
        let third = other.replace("Shows a zone.", "Shows a zone, and deletes it.");
        upstream.publishes(&third);
        assert_eq!(look().0, 2);
        are(&calls(&project, &task).await, [FLOWS, WAITS, FLOWS]);

        // It holds over restarts and for the contract that it was said of, and for no other.
        upstream.publishes(&other);
        assert_eq!(look().0, 0);
        server.stop();
        let server = project.start();
        assert_eq!(look().0, 0);
        project.write("apis/dns.json", &PINNED.replace("\"maximum\": 100", "\"maximum\": 90"));
        let (code, _, fault) = project.run(&["apply"]);
        assert_eq!(code, 0, "{fault}");
        assert_eq!(look().0, 2);
        server.stop();
    });
}
