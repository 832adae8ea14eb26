//! What the tests stand on: a project with two agents before one help desk, and a client that can also say what no
//! honest client says.

use std::cell::RefCell;
use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Method;
use writ::agent::{form, random_id};
use writ::http::{Answer, Peer};
use writ_testkit::{Desk, Project, Server, TestClock, project, reason};
use writ_token::{Signer, generate_signing_key};
use writ_types::{Digest, JsonLimits, Secret, Timestamp, Value};

/// The agent that the tests play.
pub(crate) const BOT: &str = "spiffe://writ.local/agent/bot";
/// Another agent, for which this very process may speak as well.
pub(crate) const OTHER: &str = "spiffe://writ.local/agent/other";
/// An agent that is registered and disabled.
pub(crate) const DISABLED: &str = "spiffe://writ.local/agent/disabled";
/// The built-in trust domain.
pub(crate) const DOMAIN: &str = "writ.local";
/// What the tests ask for unless they ask for more.
pub(crate) const READ: &str = r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets"],"budget":{"calls":100000}}]"#;
/// The operation that they call.
pub(crate) const TICKETS: &str = "/helpdesk/tickets";

pub(crate) const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";
pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Now, as clients know it.
pub(crate) fn now() -> Timestamp {
    TestClock::start().now()
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}

/// A JSON object with the members of `change` laid over it.
pub(crate) fn with(value: &Value, change: &Value) -> Value {
    let mut members = value.as_object().unwrap().clone();
    members.extend(change.as_object().unwrap().clone());
    Value::Object(members)
}

/// A JSON object without one member.
pub(crate) fn without(value: &Value, name: &str) -> Value {
    let mut members = value.as_object().unwrap().clone();
    assert!(members.remove(name).is_some(), "there is no `{name}`");
    Value::Object(members)
}

/// The text of a JSON object in which one member stands twice.
pub(crate) fn doubled(value: &Value, name: &str) -> String {
    let once = Value::object([(name, value.member(name).unwrap().clone())]).to_string();
    let (member, rest) = (once.trim_end_matches('}'), value.to_string());
    format!("{member},{}", rest.trim_start_matches('{'))
}

/// A text member of an answer.
pub(crate) fn text(answer: &Answer, name: &str) -> String {
    let value = answer.json();
    let found = value.member(name).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}

/// A P-256 key that signs whatever it is given.
pub(crate) struct Key {
    pair: EcdsaKeyPair,
    public: Value,
    pub(crate) kid: String,
}

impl Key {
    pub(crate) fn new() -> Self {
        Self::of(&generate_signing_key().unwrap())
    }

    pub(crate) fn of(pkcs8: &Secret<Vec<u8>>) -> Self {
        let signer = Signer::from_pkcs8(pkcs8).unwrap();
        Self {
            pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.expose())
                .unwrap(),
            public: without(&signer.public().to_value(), "kid"),
            kid: signer.kid().to_owned(),
        }
    }

    /// One of the server's own keys.
    pub(crate) fn stolen(project: &Project, name: &str) -> Self {
        Self::of(&stolen(project, name))
    }

    /// The public JWK.
    pub(crate) fn jwk(&self) -> Value {
        self.public.clone()
    }

    /// A compact JWS of these exact texts.
    pub(crate) fn sign(&self, header: &str, payload: &str) -> String {
        let signed = format!(
            "{}.{}",
            base64url(header.as_bytes()),
            base64url(payload.as_bytes())
        );
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        format!("{signed}.{}", base64url(signature.unwrap().as_ref()))
    }
}

/// The PKCS#8 text of one of the server's own keys.
pub(crate) fn stolen(project: &Project, name: &str) -> Secret<Vec<u8>> {
    Secret::new(std::fs::read(project.path(&format!(".writ/keys/{name}"))).unwrap())
}

/// Header and payload of a compact JWS.
pub(crate) fn decoded(token: &str) -> (Value, Value) {
    let part = |number| {
        let bytes = URL_SAFE_NO_PAD
            .decode(token.split('.').nth(number).unwrap())
            .unwrap();
        Value::parse(&bytes, &JsonLimits::DOCUMENT).unwrap()
    };
    (part(0), part(1))
}

/// A proof of possession, before it is signed.
#[derive(Clone)]
pub(crate) struct Proof {
    pub(crate) header: Value,
    pub(crate) claims: Value,
}

impl Proof {
    /// A good proof for one request.
    pub(crate) fn new(key: &Key, (method, uri): (&str, &str), token: Option<&str>) -> Self {
        let header = Value::object([
            ("typ", Value::from("dpop+jwt")),
            ("alg", Value::from("ES256")),
            ("jwk", key.jwk()),
        ]);
        let claims = Value::object([
            ("jti", Value::from(random_id().unwrap())),
            ("htm", Value::from(method)),
            ("htu", Value::from(uri)),
            ("iat", Value::from_u64(now().secs_since_epoch())),
        ]);
        let proof = Self { header, claims };
        match token {
            Some(token) => proof.claim("ath", hash(token)),
            None => proof,
        }
    }

    /// The same proof with another claim.
    pub(crate) fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims = with(&self.claims, &Value::object([(name, value.into())]));
        self
    }

    pub(crate) fn sign(&self, key: &Key) -> String {
        key.sign(&self.header.to_string(), &self.claims.to_string())
    }
}

/// `ath` of a token (RFC 9449 §4.2).
pub(crate) fn hash(token: &str) -> String {
    base64url(Digest::of(token.as_bytes()).as_bytes())
}

/// An open task, and what belongs to it.
pub(crate) struct Opened {
    pub(crate) answer: Value,
    pub(crate) task: String,
    pub(crate) token: String,
    pub(crate) key: Key,
}

/// A running installation with its help desk.
pub(crate) struct Stage {
    pub(crate) project: Project,
    pub(crate) desk: Desk,
    pub(crate) server: Option<Server>,
    nonces: RefCell<BTreeMap<&'static str, String>>,
}

impl Stage {
    /// An installation with the usual agents and purposes, started, with an admin and the help desk's key.
    pub(crate) async fn open() -> Self {
        Self::prepared(|_project| ()).await
    }

    /// The same, with something done to the project before it starts.
    pub(crate) async fn prepared(prepare: impl FnOnce(&Project)) -> Self {
        let project = project!();
        let desk = Desk::open(&project).await;
        registrations(&project);
        prepare(&project);
        let server = project.start();
        project.sign_in();
        project.credential("helpdesk-key", &desk.key);
        Self {
            project,
            desk,
            server: Some(server),
            nonces: RefCell::default(),
        }
    }

    /// Stops the server and starts it again on the same project.
    pub(crate) fn restart(&mut self) {
        if let Some(server) = self.server.take() {
            assert!(server.stop().success());
        }
        self.server = Some(self.project.start());
    }

    pub(crate) fn public(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.project.gateway)
    }

    pub(crate) fn control(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.project.control)
    }

    /// How many requests have reached the help desk.
    pub(crate) fn reached(&self) -> usize {
        self.desk.desk.requests().len()
    }

    /// A JWT-SVID of the agent socket.
    pub(crate) async fn svid(&self, spiffe: &str) -> String {
        let identity = self.project.client().identity(Some(spiffe)).await;
        identity.unwrap().svid
    }

    /// The newest nonce of the gateway or of the token endpoint.
    pub(crate) async fn nonce(&self, plane: &'static str) -> String {
        if let Some(known) = self.nonces.borrow().get(plane) {
            return known.clone();
        }
        let answer = match plane {
            "gateway" => {
                let peer = self.project.gateway();
                peer.send(Method::GET, "/", &[], Vec::new()).await.unwrap()
            }
            _ => self.post_form(&[], "").await,
        };
        let nonce = answer.header("dpop-nonce").unwrap().to_owned();
        self.nonces.borrow_mut().insert(plane, nonce.clone());
        nonce
    }

    fn forget_nonces(&self) {
        self.nonces.borrow_mut().clear();
    }

    /// `POST /oauth/token` with these header fields.
    pub(crate) async fn post_form(&self, headers: &[(&str, &str)], form: &str) -> Answer {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let headers: Vec<_> = std::iter::once(kind)
            .chain(headers.iter().copied())
            .collect();
        let peer = self.project.control();
        let sent = peer.send(Method::POST, "/oauth/token", &headers, form.to_owned());
        sent.await.unwrap()
    }

    /// A token request with a good proof of `key`.
    pub(crate) async fn token(&self, key: &Key, pairs: &[(&str, &str)]) -> Answer {
        self.token_form(key, &form(pairs)).await
    }

    /// A token request of this very form, with a good proof of `key`.
    pub(crate) async fn token_form(&self, key: &Key, form: &str) -> Answer {
        let uri = self.control("/oauth/token");
        for _ in 0..2 {
            let proof = Proof::new(key, ("POST", &uri), None)
                .claim("nonce", self.nonce("control").await)
                .sign(key);
            let answer = self.post_form(&[("dpop", &proof)], form).await;
            if text(&answer, "error") != "use_dpop_nonce" {
                return answer;
            }
            self.forget_nonces();
        }
        panic!("the token endpoint asks for one nonce after another")
    }

    /// Opens a task as one of the agents; the answer, whatever it is.
    pub(crate) async fn ask(&self, spiffe: &str, key: &Key, more: &[(&str, &str)]) -> Answer {
        let (svid, resource) = (self.svid(spiffe).await, self.public(""));
        let mut pairs = vec![
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_SPIFFE),
            ("client_assertion", svid.as_str()),
        ];
        if !more.iter().any(|(name, _)| *name == "resource") {
            pairs.push(("resource", &resource));
        }
        pairs.extend_from_slice(more);
        self.token(key, &pairs).await
    }

    /// Opens a task that must be granted.
    pub(crate) async fn grant(&self, spiffe: &str, details: &str) -> Opened {
        let key = Key::new();
        let answer = self
            .ask(spiffe, &key, &[("authorization_details", details)])
            .await;
        opened(&answer, key)
    }

    /// Calls an operation with a good proof.
    pub(crate) async fn call(&self, task: &Opened, method: Method, path: &str) -> Answer {
        self.present(&task.token, &task.key, method, path, None)
            .await
    }

    /// Calls with this token and a good proof of `key`.
    pub(crate) async fn present(
        &self,
        token: &str,
        key: &Key,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Answer {
        let uri = self.public(path.split('?').next().unwrap());
        let authorization = format!("DPoP {token}");
        for _ in 0..2 {
            let proof = Proof::new(key, (method.as_str(), &uri), Some(token))
                .claim("nonce", self.nonce("gateway").await)
                .sign(key);
            let mut headers = vec![("authorization", authorization.as_str()), ("dpop", &proof)];
            if body.is_some() {
                headers.push(("content-type", "application/json"));
            }
            let body = body.unwrap_or_default().to_owned();
            let gateway: Peer = self.project.gateway();
            let answer = gateway.send(method.clone(), path, &headers, body).await;
            let answer = answer.unwrap();
            if reason(&answer) != "use_dpop_nonce" {
                return answer;
            }
            self.forget_nonces();
        }
        panic!("the gateway asks for one nonce after another")
    }

    /// What an operator sees of a task.
    pub(crate) async fn task(&self, task: &str) -> Value {
        let path = format!("/v1/tasks/{task}");
        let answer = self.project.operator(Method::GET, &path, "").await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer.json()
    }

    /// An operator's request that must succeed.
    pub(crate) async fn order(&self, path: &str, body: &str) -> Value {
        let answer = self.project.operator(Method::POST, path, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.json());
        answer.json()
    }
}

/// The token and task of an answer that must hold them.
pub(crate) fn opened(answer: &Answer, key: Key) -> Opened {
    assert_eq!(answer.status, 200, "{}", answer.json());
    Opened {
        answer: answer.json(),
        task: text(answer, "task_id"),
        token: text(answer, "access_token"),
        key,
    }
}

/// Asserts a refusal of the token endpoint: the code, its status, nothing to be stored, and never a token.
pub(crate) fn refused(answer: &Answer, code: &str, row: &str) {
    let status = match code {
        "invalid_client" => 401,
        _ => 400,
    };
    let value = answer.json();
    assert_eq!(text(answer, "error"), code, "{row}: {value}");
    assert_eq!(answer.status, status, "{row}: {value}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{row}");
    assert_eq!(answer.header("pragma"), Some("no-cache"), "{row}");
    for never in ["access_token", "task_id", "authorization_details"] {
        assert!(value.member(never).is_none(), "{row}: {value}");
    }
}

/// Two agents for which this process may speak, one that is disabled, a purpose for each, and one desk under two names.
pub(crate) fn registrations(project: &Project) {
    project.agent("bot", "autonomous", &["triage"]);
    project.agent("other", "autonomous", &["triage", "spare"]);
    project.agent("disabled", "autonomous", &["triage"]);
    let disabled = std::fs::read_to_string(project.path("agents/disabled.toml")).unwrap();
    project.write(
        "agents/disabled.toml",
        &format!("{disabled}enabled = false\n"),
    );
    project.write(
        "purposes/triage.toml",
        "owner = \"o@example.org\"\nactions = [\"helpdesk:listTickets\", \"helpdesk:getTicket\", \"helpdesk:listComments\", \"helpdesk:addComment\", \"second:listTickets\"]\n[budget]\ncalls = 1000000\nwrites = 10\n",
    );
    project.write(
        "purposes/spare.toml",
        "owner = \"o@example.org\"\nactions = [\"helpdesk:getTicket\"]\n",
    );
    let desk = std::fs::read_to_string(project.path("apis/helpdesk.toml")).unwrap();
    project.write(
        "apis/second.toml",
        &format!("max_token_life = \"60s\"\n{desk}"),
    );
}
