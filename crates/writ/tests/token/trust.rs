//! Issuers of workloads and their claims, keys that are fetched and grow old, other trust domains, and clients that ask
//! about tokens.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::Method;
use writ::agent::form;
use writ::http::Answer;
use writ_testkit::{Project, runtime};
use writ_token::{
    JwtSvidSigner, SubjectKey, TrustBundle, TrustDomainAuthority, X509Authority,
    generate_signing_key,
};
use writ_types::{TokenId, Value};

use crate::kit::{
    BOT, EXCHANGE, JWT, Key, OTHER, READ, Stage, now, random_bytes, refused, text, with, without,
};
use crate::vouching::{JWT_BEARER, Planner};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "writ-test";
const CLIENT: &str = "invalid_client";
const GRANT: &str = "invalid_grant";

/// The key set that holds a key.
pub(crate) fn jwks(key: &Key) -> Value {
    let mut entry = key.jwk();
    for (name, value) in [("kid", key.kid.as_str()), ("alg", "ES256"), ("use", "sig")] {
        entry = with(&entry, &Value::object([(name, Value::from(value))]));
    }
    Value::object([("keys", Value::Array(vec![entry]))])
}

/// An issuer that the installation believes.
pub(crate) struct Issuer(pub(crate) Key);

impl Issuer {
    pub(crate) fn new() -> Self {
        Self(Key::new())
    }

    pub(crate) fn configure(&self, project: &Project, vouches_for: &str) {
        project.write("issuer.jwks", &jwks(&self.0).to_string());
        project.settings(&self.settings(vouches_for));
    }

    pub(crate) fn settings(&self, vouches_for: &str) -> String {
        format!(
            "[[issuer]]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\nvouches_for = \"{vouches_for}\"\njwks_file = \"issuer.jwks\"\n"
        )
    }

    pub(crate) fn claims() -> Value {
        let second = now().secs_since_epoch();
        Value::object([
            ("iss", Value::from(ISSUER)),
            ("aud", Value::from(AUDIENCE)),
            ("sub", Value::from("alice")),
            ("iat", Value::from_u64(second)),
            ("exp", Value::from_u64(second + 120)),
        ])
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = [
            ("alg", "ES256"),
            ("kid", self.0.kid.as_str()),
            ("typ", "JWT"),
        ];
        let header = Value::object(header.map(|(name, value)| (name, Value::from(value))));
        self.0.sign(&header.to_string(), &claims.to_string())
    }

    /// The token of a job in a pod.
    pub(crate) fn job(&self, change: &Value) -> String {
        self.sign(&with(&Self::claims(), &with(&job(), change)))
    }
}

fn job() -> Value {
    let place = Value::object([("namespace", Value::from("prod"))]);
    Value::object([
        ("sub", Value::from("repo:acme/app:ref:refs/heads/main")),
        ("repository", Value::from("acme/app")),
        ("kubernetes.io", place),
    ])
}

/// Lets the tokens of jobs be the agent's.
pub(crate) fn federate(project: &Project, agent: &str) {
    let path = format!("agents/{agent}.toml");
    let text = std::fs::read_to_string(project.path(&path)).unwrap();
    let federation = format!(
        "{text}\n[[federation]]\nissuer = \"{ISSUER}\"\nclaims = {{ repository = \"acme/app\", \"/kubernetes.io/namespace\" = \"prod\" }}\n"
    );
    project.write(&path, &federation);
}

impl Stage {
    /// A job asks for a task with its own token.
    async fn federated(&self, token: &str, client_id: Option<&str>) -> Answer {
        self.federated_with(&Key::new(), token, client_id).await
    }

    pub(crate) async fn federated_with(
        &self,
        key: &Key,
        token: &str,
        client_id: Option<&str>,
    ) -> Answer {
        let resource = self.public("");
        let mut pairs = vec![
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", token),
            ("resource", &resource),
            ("authorization_details", READ),
        ];
        pairs.extend(client_id.map(|id| ("client_id", id)));
        self.token(key, &pairs).await
    }

    /// The same as the subject of an exchange.
    async fn exchanged(&self, token: &str, actor: Option<&str>) -> Answer {
        self.exchanged_with(&Key::new(), token, actor).await
    }

    pub(crate) async fn exchanged_with(
        &self,
        key: &Key,
        token: &str,
        actor: Option<&str>,
    ) -> Answer {
        let resource = self.public("");
        let mut pairs = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", token),
            ("subject_token_type", JWT),
            ("resource", &resource),
            ("authorization_details", READ),
        ];
        if let Some(actor) = actor {
            pairs.extend([("actor_token", actor), ("actor_token_type", JWT)]);
        }
        self.token(key, &pairs).await
    }
}

#[test]
fn a_job_is_the_agent_whose_claims_it_has() {
    runtime().block_on(async {
        let issuer = Issuer::new();
        let stage = Stage::prepared(|project| {
            issuer.configure(project, "workloads");
            federate(project, "bot");
            federate(project, "disabled");
        })
        .await;
        let nothing = Value::object::<&str>([]);
        let good = issuer.job(&nothing);
        for (row, answer) in [
            ("client", stage.federated(&good, None).await),
            ("named", stage.federated(&good, Some(BOT)).await),
            ("subject", stage.exchanged(&good, None).await),
        ] {
            assert_eq!(answer.status, 200, "{row}: {}", answer.json());
            assert!(
                stage
                    .task(&text(&answer, "task_id"))
                    .await
                    .member("agent")
                    .is_some()
            );
        }
        let other = stage.federated(&good, Some(OTHER)).await;
        refused(&other, CLIENT, "an agent that has no such claims");

        let change = |name: &str, value: Value| issuer.job(&Value::object([(name, value)]));
        let place = |place: &str| Value::object([("namespace", Value::from(place))]);
        let absent = issuer.sign(&without(&with(&Issuer::claims(), &job()), "repository"));
        for (row, token) in [
            ("a missing claim", absent),
            (
                "another repository",
                change("repository", Value::from("acme/app2")),
            ),
            (
                "a list of repositories",
                change("repository", Value::Array(vec![Value::from("acme/app")])),
            ),
            ("another namespace", change("kubernetes.io", place("dev"))),
            (
                "no namespace",
                change("kubernetes.io", Value::object::<&str>([])),
            ),
            ("another audience", change("aud", Value::from("other"))),
            (
                "another issuer",
                change("iss", Value::from("https://issuer.example/")),
            ),
            (
                "over",
                change("exp", Value::from_u64(now().secs_since_epoch() - 31)),
            ),
            ("another key", Issuer::new().job(&nothing)),
        ] {
            refused(&stage.federated(&token, None).await, CLIENT, row);
            refused(&stage.exchanged(&token, None).await, GRANT, row);
        }
    });
}

#[test]
fn claims_that_fit_two_agents_name_neither() {
    runtime().block_on(async {
        let issuer = Issuer::new();
        let stage = Stage::prepared(|project| {
            issuer.configure(project, "workloads");
            federate(project, "bot");
            federate(project, "other");
        })
        .await;
        let good = issuer.job(&Value::object::<&str>([]));
        refused(&stage.federated(&good, None).await, CLIENT, "either");
        refused(&stage.exchanged(&good, None).await, GRANT, "either");
        for agent in [BOT, OTHER] {
            let answer = stage.federated(&good, Some(agent)).await;
            assert_eq!(answer.status, 200, "{agent}: {}", answer.json());
        }
    });
}

/// An issuer vouches for users or for workloads, never for both.
#[test]
fn a_job_is_no_user_and_a_user_is_no_job() {
    runtime().block_on(async {
        for (vouches_for, row) in [
            ("workloads", "a job as a user"),
            ("users", "a user as a job"),
        ] {
            let issuer = Issuer::new();
            let stage = Stage::prepared(|project| {
                issuer.configure(project, vouches_for);
                federate(project, "other");
            })
            .await;
            let token = issuer.job(&Value::object::<&str>([]));
            if vouches_for == "workloads" {
                let actor = stage.svid(BOT).await;
                refused(&stage.exchanged(&token, Some(&actor)).await, GRANT, row);
            } else {
                refused(&stage.federated(&token, None).await, CLIENT, row);
                refused(&stage.exchanged(&token, None).await, GRANT, row);
            }
        }
    });
}

/// A server on loopback that gives one document, or nothing. On a thread of its own: it answers while Writ starts.
#[derive(Clone)]
struct Publisher {
    document: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicU64>,
    url: String,
}

impl Publisher {
    fn publish(document: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let publisher = Self {
            document: Arc::new(Mutex::new(document)),
            asked: Arc::default(),
            url: format!("http://{}/keys", listener.local_addr().unwrap()),
        };
        let shared = publisher.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                drop(stream.read(&mut [0; 4096]));
                let document = shared.document.lock().unwrap().clone();
                let answer = document.map_or_else(
                    || "HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n".to_owned(),
                    |text| match text.strip_prefix("location: ") {
                        Some(url) => format!(
                            "HTTP/1.1 302 x\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n"
                        ),
                        None => {
                            let length = text.len();
                            format!("HTTP/1.1 200 x\r\ncontent-length: {length}\r\n\r\n{text}")
                        }
                    },
                );
                drop(stream.write_all(answer.as_bytes()));
                shared.asked.fetch_add(1, Ordering::SeqCst);
            }
        });
        publisher
    }

    fn set(&self, document: Option<String>) {
        *self.document.lock().unwrap() = document;
    }

    /// Waits until somebody has asked and asked again: what was published before the first is in force then.
    async fn asked_again(&self) {
        let before = self.asked.load(Ordering::SeqCst);
        until(1, "nobody asks", async || {
            u16::from(self.asked.load(Ordering::SeqCst) >= before + 3)
        })
        .await;
    }
}

/// Asks until the answer is the one that is waited for; what changes it happens elsewhere.
pub(crate) async fn until(status: u16, row: &str, ask: impl AsyncFn() -> u16) {
    let asked = async {
        while ask().await != status {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let patience = Duration::from_secs(60);
    assert!(tokio::time::timeout(patience, asked).await.is_ok(), "{row}");
}

/// An unreachable issuer: the last keys until their limit, then refusal; and what it publishes later is believed.
#[test]
fn fetched_keys_are_replaced_and_grow_old() {
    runtime().block_on(async {
        let (first, second) = (Issuer::new(), Issuer::new());
        let publisher = Publisher::publish(None);
        let settings = format!(
            "[[issuer]]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\nvouches_for = \"workloads\"\njwks_url = \"{}\"\nrefresh = \"1s\"\ngood_for = \"4s\"\n",
            publisher.url
        );
        let stage = Stage::prepared(|project| {
            project.settings(&settings);
            federate(project, "bot");
        })
        .await;
        let nothing = Value::object::<&str>([]);
        let ask = async |issuer: &Issuer| {
            let answer = stage.federated(&issuer.job(&nothing), None).await;
            answer.status
        };
        assert_eq!(ask(&first).await, 401, "nothing was fetched yet");
        publisher.set(Some(jwks(&first.0).to_string()));
        until(200, "the first keys", async || ask(&first).await).await;
        assert_eq!(ask(&second).await, 401);
        publisher.set(Some(jwks(&second.0).to_string()));
        until(200, "the second keys", async || ask(&second).await).await;
        assert_eq!(ask(&first).await, 401, "replaced, not added");
        publisher.set(Some("{}".to_owned()));
        assert_eq!(ask(&second).await, 200, "a set that is none changes nothing");
        publisher.set(None);
        assert_eq!(ask(&second).await, 200, "unreachable, and within the limit");
        until(401, "beyond the limit", async || ask(&second).await).await;
        publisher.set(Some(jwks(&second.0).to_string()));
        until(200, "reachable again", async || ask(&second).await).await;
    });
}

/// Keys come from where they were configured: a redirect could lead anywhere (CWE-918).
#[test]
fn fetched_keys_do_not_come_from_elsewhere() {
    runtime().block_on(async {
        let (issuer, other) = (Issuer::new(), Issuer::new());
        let elsewhere = Publisher::publish(Some(jwks(&other.0).to_string()));
        let publisher = Publisher::publish(Some(format!("location: {}", elsewhere.url)));
        let settings = format!(
            "[[issuer]]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\nvouches_for = \"workloads\"\njwks_url = \"{}\"\nrefresh = \"1s\"\n",
            publisher.url
        );
        let stage = Stage::prepared(|project| {
            project.settings(&settings);
            federate(project, "bot");
        })
        .await;
        let nothing = Value::object::<&str>([]);
        let ask = async |issuer: &Issuer| stage.federated(&issuer.job(&nothing), None).await.status;
        publisher.asked_again().await;
        assert_eq!(ask(&other).await, 401, "the keys behind a redirect");
        assert_eq!(elsewhere.asked.load(Ordering::SeqCst), 0, "nobody went there");
        publisher.set(Some(jwks(&issuer.0).to_string()));
        until(200, "its own keys", async || ask(&issuer).await).await;
        publisher.set(Some(format!("location: {}", elsewhere.url)));
        publisher.asked_again().await;
        assert_eq!((ask(&issuer).await, ask(&other).await), (200, 401));
    });
}

/// A trust domain that is no part of this installation.
pub(crate) struct Domain(TrustDomainAuthority);

impl Domain {
    pub(crate) fn new(name: &str) -> Self {
        let key = || generate_signing_key().unwrap();
        let jwt = JwtSvidSigner::from_pkcs8(name.parse().unwrap(), &key()).unwrap();
        let day = Duration::from_secs(86_400);
        let serial = random_bytes();
        let x509 = X509Authority::create(name.parse().unwrap(), &key(), now(), day, serial);
        Self(TrustDomainAuthority::new(jwt, x509.unwrap()).unwrap())
    }

    pub(crate) fn bundle(&self, sequence: u64) -> String {
        self.0.bundle(sequence, Duration::from_secs(1)).to_string()
    }

    pub(crate) fn trust_bundle(&self) -> TrustBundle {
        self.0.trust_bundle().unwrap()
    }

    /// The certificate of one of its workloads, and its key in PKCS #8.
    pub(crate) fn leaf(&self, spiffe: &str) -> (Vec<u8>, Vec<u8>) {
        let key = generate_signing_key().unwrap();
        let subject = SubjectKey::of_pkcs8(&key).unwrap();
        let (life, serial) = (Duration::from_secs(3600), random_bytes());
        let x509 = self.0.x509();
        let leaf = x509.issue(&spiffe.parse().unwrap(), &subject, now(), life, serial);
        (leaf.unwrap().der, key.expose().clone())
    }

    pub(crate) fn svid(&self, stage: &Stage, spiffe: &str) -> String {
        let id = TokenId::new(now(), random_bytes());
        let (audience, life) = (stage.control(""), Duration::from_secs(60));
        let jwt = self.0.jwt();
        jwt.sign(&spiffe.parse().unwrap(), &[&audience], life, now(), id)
            .unwrap()
    }
}

/// An agent of another trust domain.
pub(crate) const GUEST: &str = "spiffe://guest.example/worker";

/// Registers it.
pub(crate) fn guest(project: &Project) {
    project.write(
        "agents/guest.toml",
        &format!("spiffe = \"{GUEST}\"\nowner = \"o@example.org\"\nmode = \"autonomous\"\npurposes = [\"triage\"]\n"),
    );
}

/// SPIFFE Federation §5: a bundle endpoint is configured with its domain, an older sequence is no news, an empty bundle
/// revokes, and no domain vouches for another.
#[test]
fn another_trust_domain_vouches_for_its_own() {
    runtime().block_on(async {
        let guest = GUEST;
        let (first, second) = (Domain::new("guest.example"), Domain::new("guest.example"));
        let impostor = Domain::new("writ.local");
        let publisher = Publisher::publish(Some(first.bundle(7)));
        let settings = format!(
            "[[trust_domain]]\nname = \"guest.example\"\nbundle_url = \"{}\"\nrefresh = \"1s\"\ngood_for = \"1h\"\n",
            publisher.url
        );
        let stage = Stage::prepared(|project| {
            project.settings(&settings);
            crate::trust::guest(project);
        })
        .await;
        let ask = async |domain: &Domain| {
            let answer = stage.exchanged(&domain.svid(&stage, guest), None).await;
            answer.status
        };
        assert_eq!(ask(&first).await, 200);
        assert_eq!(ask(&second).await, 400, "not of the bundle");
        let forged = stage.exchanged(&impostor.svid(&stage, BOT), None).await;
        refused(&forged, GRANT, "the built-in domain's name, another's key");
        publisher.set(Some(second.bundle(8)));
        until(200, "a newer bundle", async || ask(&second).await).await;
        assert_eq!(ask(&first).await, 400, "replaced, not merged");
        publisher.set(Some(r#"{"keys":[],"spiffe_sequence":9}"#.to_owned()));
        until(400, "an empty bundle", async || ask(&second).await).await;
        publisher.set(Some(first.bundle(7)));
        publisher.asked_again().await;
        assert_eq!(ask(&first).await, 400, "an older bundle is no news");
    });
}

/// RFC 7662 §2: a resource server that is registered to ask may ask about every token, and no other client about any.
#[test]
fn a_client_that_may_ask_learns_what_a_token_is_worth() {
    runtime().block_on(async {
        let (planner, server) = (Planner(Key::new()), Planner(Key::new()));
        let stage = Stage::prepared(|project| {
            project.write("planner.jwks", &jwks(&planner.0).to_string());
            project.write("server.jwks", &jwks(&server.0).to_string());
            project.settings(
                "[[client]]\nid = \"planner\"\nagents = [\"bot\"]\njwks_file = \"planner.jwks\"\n[[client]]\nid = \"server\"\nintrospects = true\njwks_file = \"server.jwks\"\n",
            );
        })
        .await;
        let task = stage.grant(BOT, READ).await;
        let ask = async |assertion: String| {
            let pairs = [
                ("client_assertion_type", JWT_BEARER),
                ("client_assertion", assertion.as_str()),
                ("token", &task.token),
            ];
            let kind = [("content-type", "application/x-www-form-urlencoded")];
            let peer = stage.project.control();
            let sent = peer.send(Method::POST, "/oauth/introspect", &kind, form(&pairs));
            sent.await.unwrap()
        };
        let told = ask(server.assertion_as("server", &stage)).await;
        assert_eq!(
            told.json().member("active"),
            Some(&Value::from(true)),
            "{}",
            told.json()
        );
        assert_eq!(text(&told, "task_id"), task.task);
        let told = ask(planner.assertion(&stage)).await;
        assert_eq!(told.json().to_string(), r#"{"active":false}"#);
    });
}
