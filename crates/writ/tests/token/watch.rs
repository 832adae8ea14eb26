//! What an honest agent does not do: one key in two places, two keys of one agent, and what was laid for thieves.

use std::net::IpAddr;
use std::time::Duration;

use hyper::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use writ::http::Answer;
use writ_testkit::{Project, reason, runtime};
use writ_token::JwtSvidSigner;
use writ_types::{Digest, TokenId, Value};

use crate::kit::{
    BOT, DOMAIN, JWT_SPIFFE, Key, OTHER, Opened, Proof, READ, Stage, TICKETS, now, opened,
    random_bytes, refused, stolen, text,
};
use crate::vouching::Planner;

const GRANT: &str = "invalid_grant";
const CLIENT: &str = "invalid_client";
/// Three networks of one machine.
const HERE: &str = "127.0.0.1";
const BESIDE: &str = "127.0.0.77";
const ELSEWHERE: &str = "127.0.1.1";

/// Adds lines to an agent's file.
fn says(project: &Project, agent: &str, lines: &str) {
    let path = format!("agents/{agent}.toml");
    let file = std::fs::read_to_string(project.path(&path)).unwrap();
    project.write(&path, &format!("{file}{lines}\n"));
}

/// The status and the body of an answer of the token endpoint.
type Asked = (u16, String);

impl Stage {
    /// A call with a good proof, from an address of this machine: the status, and the reason of a refusal.
    async fn call_from(&self, address: &str, task: &Opened) -> (u16, String) {
        let proof = Proof::new(&task.key, ("GET", &self.public(TICKETS)), Some(&task.token))
            .claim("nonce", self.nonce("gateway").await)
            .sign(&task.key);
        let request = format!(
            "GET {TICKETS} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: DPoP {}\r\ndpop: {proof}\r\n\r\n",
            task.token
        );
        let answer = self.raw_from(address, &request).await;
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let code = answer.split("\"reason_code\":\"").nth(1);
        let code = code.and_then(|rest| rest.split('"').next());
        (status, code.unwrap_or_default().to_owned())
    }

    /// Asks for a token with a good proof, from an address of this machine: the status, and the error and its description.
    async fn ask_from(&self, address: &str, agent: &str, key: &Key, more: (&str, &str)) -> Asked {
        let (svid, resource) = (self.svid(agent).await, self.public(""));
        let form = writ::agent::form(&[
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_SPIFFE),
            ("client_assertion", &svid),
            ("resource", &resource),
            more,
        ]);
        let proof = Proof::new(key, ("POST", &self.control("/oauth/token")), None)
            .claim("nonce", self.nonce("control").await)
            .sign(key);
        let length = form.len();
        let request = format!(
            "POST /oauth/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\ndpop: {proof}\r\n\r\n{form}"
        );
        let answer = self.raw_at(address, self.project.control, &request).await;
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        (status, body.to_owned())
    }

    async fn raw_from(&self, address: &str, request: &str) -> String {
        self.raw_at(address, self.project.gateway, request).await
    }

    async fn raw_at(&self, address: &str, port: u16, request: &str) -> String {
        let address: IpAddr = address.parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        let mut stream = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// The alarms that are recorded, once there are so many: what, response and trap of each.
    async fn alarms(&self, count: usize) -> Vec<String> {
        let wait = async {
            loop {
                let path = "/v1/records?tail=400";
                let answer = self.project.operator(Method::GET, path, "").await.json();
                let found = alarms(&answer);
                if found.len() >= count {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait)
            .await
            .unwrap()
    }
}

fn alarms(records: &Value) -> Vec<String> {
    let rows = records.as_array();
    let records = rows.unwrap().iter().filter_map(|row| row.member("record"));
    let alarms = records.filter(|record| word(record, "kind") == "alarm");
    alarms
        .map(|record| {
            let detail = record.member("detail").unwrap();
            let parts = ["what", "response", "trap"].map(|name| word(detail, name));
            parts.join(" ").trim_end().to_owned()
        })
        .collect()
}

fn word(value: &Value, name: &str) -> String {
    let found = value.member(name).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}

#[test]
fn a_key_is_in_use_at_one_place() {
    runtime().block_on(async {
        let stage = Stage::prepared(|project| {
            says(project, "other", "second_source = \"raise\"");
        })
        .await;
        let task = stage.grant(BOT, READ).await;
        let before = stage.reached();
        let good = (200, String::new());
        assert_eq!(stage.call_from(HERE, &task).await, good);
        assert_eq!(
            stage.call_from(BESIDE, &task).await,
            good,
            "the same network"
        );
        let thief = (401, "second_source".to_owned());
        for _ in 0..3 {
            assert_eq!(stage.call_from(ELSEWHERE, &task).await, thief);
            assert_eq!(
                stage.call_from(HERE, &task).await,
                good,
                "the holder goes on"
            );
        }
        assert_eq!(stage.reached(), before + 5);
        assert_eq!(
            stage.alarms(1).await,
            ["second_source refused"],
            "once a minute"
        );
        let records = stage.records().await;
        let wanted = r#""before":"127.0.0.0/24""#;
        assert!(records.contains(wanted), "{records}");
        assert!(records.contains(r#""source":"127.0.1.0/24""#));
        assert!(
            records.contains(r#""reason":"second_source""#),
            "and as a refused call"
        );

        // An agent that has moved renews its token with another key, as the refusal says.
        let key = Key::new();
        let renewed = stage.ask(BOT, &key, &[("task_id", &task.task)]).await;
        let moved = opened(&renewed, key);
        assert_eq!(stage.call_from(ELSEWHERE, &moved).await, good);
        assert_eq!(stage.call_from(HERE, &moved).await, thief);

        // Another key of another agent, whose file lets it go on and tells.
        let other = stage.grant(OTHER, READ).await;
        for place in [HERE, ELSEWHERE, HERE] {
            assert_eq!(stage.call_from(place, &other).await, good, "{place}");
        }
        let told = stage.alarms(2).await;
        assert!(
            told.contains(&"second_source raised".to_owned()),
            "{told:?}"
        );
        let (_, said, _) = stage.project.run(&["doctor"]);
        assert!(said.contains("second_source"), "{said}");
    });
}

/// A thief who has the agent's identity too asks for tokens of its own: with the key that is in use elsewhere it gets none, to
/// renew a task or to open one.
#[test]
fn a_key_in_use_asks_for_tokens_where_it_is_in_use() {
    runtime().block_on(async {
        let stage = Stage::prepared(|project| {
            says(project, "other", "second_source = \"raise\"");
        })
        .await;
        let task = stage.grant(BOT, READ).await;
        let details = ("authorization_details", READ);
        let renewal = ("task_id", task.task.as_str());
        // The first token came by one way and the first call comes by another: no two calls, no two askings.
        assert_eq!(stage.call_from(ELSEWHERE, &task).await.0, 200);
        // From then on whoever asks is where the calls come from.
        for (row, more) in [("to renew", renewal), ("to open", details)] {
            let (status, body) = stage.ask_from(BESIDE, BOT, &task.key, more).await;
            assert_eq!(status, 400, "{row}: {body}");
            assert!(
                body.contains("invalid_grant") && body.contains("second_source"),
                "{row}: {body}"
            );
            assert!(!body.contains("access_token"), "{row}");
        }
        assert_eq!(
            stage.call_from(ELSEWHERE, &task).await.0,
            200,
            "the holder goes on"
        );
        let told = stage.alarms(1).await;
        assert_eq!(told, ["second_source refused"], "once a minute");
        let records = stage.records().await;
        assert!(records.contains(r#""before":"127.0.1.0/24""#), "{records}");
        assert!(records.contains(r#""source":"127.0.0.0/24""#));
        // Another key may ask, and is where it asks.
        let key = Key::new();
        let (status, body) = stage.ask_from(ELSEWHERE, BOT, &key, renewal).await;
        assert_eq!(status, 200, "{body}");
        let (status, body) = stage.ask_from(HERE, BOT, &key, renewal).await;
        assert!(
            status == 400 && body.contains("second_source"),
            "two askings: {body}"
        );
        assert_eq!(stage.ask_from(ELSEWHERE, BOT, &key, renewal).await.0, 200);

        // Another agent, whose file lets it go on and tells.
        let other = stage.grant(OTHER, READ).await;
        assert_eq!(stage.call_from(HERE, &other).await.0, 200);
        let (status, body) = stage.ask_from(ELSEWHERE, OTHER, &other.key, details).await;
        assert_eq!(status, 200, "{body}");
        let told = stage.alarms(2).await;
        assert!(
            told.contains(&"second_source raised".to_owned()),
            "{told:?}"
        );
    });
}

#[test]
fn an_agent_that_moves_about_says_so() {
    runtime().block_on(async {
        let stage =
            Stage::prepared(|project| says(project, "bot", "second_source = \"allow\"")).await;
        let task = stage.grant(BOT, READ).await;
        for place in [HERE, ELSEWHERE, HERE] {
            assert_eq!(stage.call_from(place, &task).await.0, 200, "{place}");
            let renewal = ("task_id", task.task.as_str());
            let asked = stage.ask_from(place, BOT, &task.key, renewal).await;
            assert_eq!(asked.0, 200, "{place}: {}", asked.1);
        }
        assert!(!stage.records().await.contains("\"alarm\""));
        for (line, fault) in [
            ("second_source = \"warn\"", "`allow`, `raise` or `refuse`"),
            ("second_instance = true", "invalid type"),
            ("[[planted]]\nname = \"x\"", "missing field `digest`"),
            (
                "[[planted]]\nname = \"x\"\ndigest = \"sha256:00\"",
                "digest",
            ),
        ] {
            stage.project.agent("bot", "autonomous", &["triage"]);
            says(&stage.project, "bot", line);
            let (code, _, said) = stage.project.run(&["apply"]);
            assert_eq!(code, 1, "{line}: {said}");
            assert!(said.contains(fault), "{line}: {said}");
        }
    });
}

#[test]
fn an_agent_that_runs_once_has_one_key() {
    runtime().block_on(async {
        let mut stage = Stage::prepared(|project| {
            says(project, "bot", "second_instance = \"refuse\"");
            says(project, "other", "second_instance = \"raise\"");
        })
        .await;
        let ask = async |stage: &Stage, agent: &str, key: &Key| {
            let more = [("authorization_details", READ)];
            stage.ask(agent, key, &more).await
        };
        let (first, second) = (Key::new(), Key::new());
        let task = text(&ask(&stage, BOT, &first).await, "task_id");
        refused(&ask(&stage, BOT, &second).await, GRANT, "a second key");
        let renewed = stage.ask(BOT, &second, &[("task_id", &task)]).await;
        refused(&renewed, GRANT, "a second key for the same task");
        let more = ask(&stage, BOT, &first).await;
        assert_eq!(more.status, 200, "the first goes on: {}", more.json());
        let told = stage.alarms(1).await;
        assert_eq!(told, ["second_instance refused"], "once a minute");

        // The tokens are good after a restart, so the keys count.
        stage.restart();
        refused(&ask(&stage, BOT, &second).await, GRANT, "after a restart");
        for task in [task, text(&more, "task_id")] {
            refused(&ask(&stage, BOT, &second).await, GRANT, "one task lives");
            stage.order(&format!("/v1/tasks/{task}/close"), "{}").await;
        }
        let answer = ask(&stage, BOT, &second).await;
        assert_eq!(answer.status, 200, "the first is gone: {}", answer.json());
        refused(&ask(&stage, BOT, &first).await, GRANT, "and now the first");

        for key in [Key::new(), Key::new()] {
            assert_eq!(ask(&stage, OTHER, &key).await.status, 200);
        }
        let told = stage.alarms(3).await;
        assert!(
            told.contains(&"second_instance raised".to_owned()),
            "{told:?}"
        );
    });
}

/// Of two keys that ask at the same time one is the second.
#[test]
fn of_two_keys_that_race_one_is_let_in() {
    runtime().block_on(async {
        let stage = Stage::prepared(|project| {
            says(project, "bot", "second_instance = \"refuse\"");
        })
        .await;
        let (svid, resource) = (stage.svid(BOT).await, stage.public(""));
        stage.nonce("control").await;
        let keys: Vec<Key> = (0..4).map(|_| Key::new()).collect();
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_SPIFFE),
            ("client_assertion", svid.as_str()),
            ("resource", resource.as_str()),
            ("authorization_details", READ),
        ];
        let [one, two, three, four] = keys.as_slice() else {
            panic!("four keys")
        };
        let (one, two, three, four) = tokio::join!(
            stage.token(one, &pairs),
            stage.token(two, &pairs),
            stage.token(three, &pairs),
            stage.token(four, &pairs)
        );
        let good = [one, two, three, four];
        let good = good.iter().filter(|answer| answer.status == 200);
        assert_eq!(good.count(), 1);
    });
}

/// An answer without what differs from answer to answer.
fn told(answer: &Answer) -> String {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .filter(|(name, _)| !["dpop-nonce", "writ-call-id", "date"].contains(&name.as_str()))
        .collect();
    headers.sort();
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let call = body
        .split("cal_")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let body = call.map_or_else(|| body.clone(), |call| body.replace(call, ""));
    format!("{} {headers:?} {body}", answer.status)
}

/// What is laid for thieves in these tests.
const PLANTED: [&str; 2] = [
    "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJib3QifQ.c2lnbmF0dXJl",
    "wos_laid-for-thieves",
];

fn planted(project: &Project) {
    for (agent, name, text, stop) in [
        ("bot", "environment", PLANTED[0], true),
        ("other", "wiki", PLANTED[1], false),
    ] {
        let digest = Digest::of(text.as_bytes());
        let entry = format!("[[planted]]\nname = \"{name}\"\ndigest = \"{digest}\"\nstop = {stop}");
        says(project, agent, &entry);
    }
}

#[test]
fn what_was_laid_for_thieves_is_refused_like_anything_else_and_told() {
    runtime().block_on(async {
        let stage = Stage::prepared(planted).await;
        let task = stage.grant(OTHER, READ).await;
        let wrong = "wos_never-laid-anywhere";
        let gateway = async |authorization: &str| {
            let headers = [("authorization", authorization)];
            let peer = stage.project.gateway();
            let answer = peer.send(Method::GET, TICKETS, &headers, Vec::new()).await;
            told(&answer.unwrap())
        };
        let control = async |text: &str, path: &str| {
            let bearer = format!("Bearer {text}");
            let body = Value::object([("token", Value::from(text))]).to_string();
            let peer = stage.project.control();
            let (method, headers, body) = if path == "/v1/login" {
                (Method::POST, ("content-type", "application/json"), body)
            } else {
                (
                    Method::GET,
                    ("authorization", bearer.as_str()),
                    String::new(),
                )
            };
            told(&peer.send(method, path, &[headers], body).await.unwrap())
        };
        let form = async |name: &str, text: &str| {
            let svid = stage.svid(OTHER).await;
            let resource = stage.public("");
            let mut pairs = vec![
                ("grant_type", "client_credentials"),
                ("client_assertion_type", JWT_SPIFFE),
                ("client_assertion", svid.as_str()),
                ("resource", &resource),
                ("authorization_details", READ),
            ];
            pairs.retain(|(other, _)| *other != name);
            pairs.push((name, text));
            told(&stage.token(&Key::new(), &pairs).await)
        };
        let laid = PLANTED[1];
        // More often than is recorded: whoever has found it fills no log.
        for _ in 0..20 {
            for scheme in ["Bearer ", "DPoP ", "Basic ", ""] {
                let (of_laid, of_wrong) = (
                    gateway(&format!("{scheme}{laid}")).await,
                    gateway(&format!("{scheme}{wrong}")).await,
                );
                assert_eq!(of_laid, of_wrong, "`{scheme}`");
            }
        }
        for path in ["/v1/status", "/v1/nothing", "/v1/login"] {
            assert_eq!(
                control(laid, path).await,
                control(wrong, path).await,
                "{path}"
            );
        }
        for name in ["client_assertion", "client_secret", "task_ticket"] {
            assert_eq!(form(name, laid).await, form(name, wrong).await, "{name}");
        }
        assert_eq!(stage.alarms(1).await, ["honey refused wiki"]);
        // It was laid with that agent, which goes on as it did.
        assert_eq!(stage.call(&task, Method::GET, TICKETS).await.status, 200);
        let (_, said, _) = stage.project.run(&["doctor"]);
        assert!(said.contains("`wiki`"), "{said}");
    });
}

#[test]
fn the_agent_that_is_read_is_stopped() {
    runtime().block_on(async {
        let stage = Stage::prepared(planted).await;
        let task = stage.grant(BOT, READ).await;
        assert_eq!(stage.call(&task, Method::GET, TICKETS).await.status, 200);
        let bearer = format!("Bearer {}", PLANTED[0]);
        let headers = [("authorization", bearer.as_str())];
        let gateway = stage.project.gateway();
        let answer = gateway
            .send(Method::GET, TICKETS, &headers, Vec::new())
            .await;
        assert_eq!(reason(&answer.unwrap()), "unauthenticated");
        // The alarm is recorded after what it does.
        assert_eq!(stage.alarms(1).await, ["honey stopped environment"]);
        let answer = stage.call(&task, Method::GET, TICKETS).await;
        assert_eq!(
            (answer.status, reason(&answer).as_str()),
            (401, "task_ended")
        );
        let more = [("authorization_details", READ)];
        let agents = stage.project.operator(Method::GET, "/v1/agents", "").await;
        let agents = agents.json().to_string();
        assert!(agents.contains(r#""enabled":false"#), "{agents}");
        let told = stage.project.client().identity(Some(BOT)).await;
        assert!(told.is_err(), "it gets no identity either");
        let answer = stage.ask(OTHER, &Key::new(), &more).await;
        assert_eq!(answer.status, 200, "others are not stopped");
        let records = stage.records().await;
        assert!(records.contains(r#""by":"system""#), "{records}");
    });
}

/// What is good to the letter and was laid for thieves is refused all the same, as if it were not good.
#[test]
fn what_is_good_and_laid_for_thieves_is_not_good() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let svid = stage.svid(BOT).await;
        let task = stage.grant(OTHER, READ).await;
        for (name, text) in [("svid", &svid), ("token", &task.token)] {
            let digest = Digest::of(text.as_bytes());
            let entry = format!("[[planted]]\nname = \"{name}\"\ndigest = \"{digest}\"");
            says(&stage.project, "other", &entry);
        }
        let (code, _, said) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{said}");
        let resource = stage.public("");
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_SPIFFE),
            ("client_assertion", svid.as_str()),
            ("resource", resource.as_str()),
            ("authorization_details", READ),
        ];
        refused(&stage.token(&Key::new(), &pairs).await, CLIENT, "an SVID");
        let answer = stage.call(&task, Method::GET, TICKETS).await;
        assert_eq!(reason(&answer), "unauthenticated");
        let found = stage.alarms(2).await;
        assert_eq!(found.len(), 2, "{found:?}");
    });
}

#[test]
fn nobody_is_an_agent_or_a_client_that_is_a_trap() {
    runtime().block_on(async {
        let planner = Planner(Key::new());
        let stage = Stage::prepared(|project| {
            planner.configure(project);
            let settings = std::fs::read_to_string(project.path("writ.toml")).unwrap();
            project.write("writ.toml", &format!("{settings}honey = true\n"));
            project.agent("admin", "autonomous", &["triage"]);
            says(project, "admin", "honey = true");
        })
        .await;
        let trap = "spiffe://writ.local/agent/admin";
        let domain = DOMAIN.parse().unwrap();
        let signer = JwtSvidSigner::from_pkcs8(domain, &stolen(&stage.project, "svid.p8")).unwrap();
        let ask = async |spiffe: &str| {
            let id = TokenId::new(now(), random_bytes());
            let (audience, minute) = (stage.control(""), Duration::from_secs(60));
            let svid = signer
                .sign(&spiffe.parse().unwrap(), &[&audience], minute, now(), id)
                .unwrap();
            let resource = stage.public("");
            let pairs = [
                ("grant_type", "client_credentials"),
                ("client_assertion_type", JWT_SPIFFE),
                ("client_assertion", svid.as_str()),
                ("resource", resource.as_str()),
                ("authorization_details", READ),
            ];
            let answer = stage.token(&Key::new(), &pairs).await;
            refused(&answer, CLIENT, spiffe);
            told(&answer)
        };
        let unknown = ask("spiffe://writ.local/agent/nobody").await;
        assert_eq!(ask(trap).await, unknown);
        let told_alone = stage.alarms(1).await;
        assert_eq!(told_alone, ["honey refused"]);
        let identity = stage.project.client().identity(Some(trap)).await;
        assert!(identity.is_err(), "no process is it");

        // The client's own key, and one that it never had.
        let forged = Planner(Key::new());
        let mut answers = Vec::new();
        for planner in [&planner, &forged] {
            let assertion = planner.assertion(&stage);
            let answer = stage.plan(&Key::new(), &assertion, BOT).await;
            refused(&answer, CLIENT, "a client");
            let key = Key::new();
            let ticket = planner.ticket(&stage, &key, READ, &Value::object::<&str>([]));
            let ticket = stage.redeem(BOT, &key, READ, &ticket).await;
            refused(&ticket, GRANT, "a ticket");
            answers.push((told(&answer), told(&ticket)));
        }
        assert_eq!(answers[0], answers[1]);
        let found = stage.alarms(2).await;
        assert!(
            found.contains(&"honey refused planner".to_owned()),
            "{found:?}"
        );
        // A trap does not become an agent again by a change of its file alone.
        stage.project.agent("admin", "autonomous", &["triage"]);
        let (code, _, said) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(ask(trap).await, unknown);
    });
}
