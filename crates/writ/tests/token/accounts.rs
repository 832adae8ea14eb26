//! Operators sign in with the account they have at an outside issuer: OIDC, authorization code with PKCE.

mod attacks;
mod held;
mod provider;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use hyper::Method;
use writ::http::Answer;
use writ_testkit::{Project, Server, project, runtime};
use writ_types::{Digest, Value};

use crate::kit::{Key, base64url, now, text, with, without};
use crate::trust::jwks;

const CLIENT: &str = "writ-console";
const PORT: u16 = 50_123;

/// What the issuer does, besides what it should.
#[derive(Default)]
struct Script {
    /// Laid over its metadata.
    metadata: Option<Value>,
    /// The ID token it answers with, or another answer of the token endpoint.
    token: Option<Result<String, String>>,
    /// The forms that were posted to the token endpoint.
    posted: Vec<BTreeMap<String, String>>,
    /// Whom the token endpoint tells that it was asked, and for whom it waits before it answers.
    held: Option<(Sender<()>, Receiver<()>)>,
}

/// An issuer on loopback, on a thread of its own.
#[derive(Clone)]
struct Issuer {
    url: String,
    key: Arc<Key>,
    script: Arc<Mutex<Script>>,
}

fn answer_of(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// One request: its first line and its body.
fn request(stream: &mut TcpStream) -> (String, String) {
    let mut read = BufReader::new(stream);
    let mut first = String::new();
    read.read_line(&mut first).unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        read.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body).unwrap();
    (first, String::from_utf8(body).unwrap())
}

/// Decodes what a URL or a form has.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte.unwrap()).to_digit(16).unwrap();
            let (high, low) = (digit(rest.next()), digit(rest.next()));
            u8::try_from(high * 16 + low).unwrap()
        } else {
            byte
        });
    }
    String::from_utf8(bytes).unwrap()
}

fn pairs(query: &str) -> BTreeMap<String, String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

impl Issuer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            key: Arc::new(Key::new()),
            script: Arc::default(),
        };
        let own = issuer.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (first, body) = request(&mut stream);
                let answer = own.answer(&first, &body);
                drop(stream.write_all(answer.as_bytes()));
            }
        });
        issuer
    }

    fn answer(&self, first: &str, body: &str) -> String {
        let mut script = self.script.lock().unwrap();
        match first.split(' ').nth(1).unwrap() {
            "/.well-known/openid-configuration" => {
                let url = |path: &str| Value::from(format!("{}{path}", self.url));
                let methods = Value::Array(vec![Value::from("S256")]);
                let metadata = Value::object([
                    ("issuer", Value::from(self.url.as_str())),
                    ("authorization_endpoint", url("/auth?tenant=a")),
                    ("token_endpoint", url("/token")),
                    ("jwks_uri", url("/jwks")),
                    ("code_challenge_methods_supported", methods),
                    (
                        "authorization_response_iss_parameter_supported",
                        Value::from(true),
                    ),
                ]);
                let change = script.metadata.clone();
                let change = change.unwrap_or_else(|| Value::object::<&str>([]));
                answer_of("200 x", &with(&metadata, &change).to_string())
            }
            "/jwks" => answer_of("200 x", &jwks(&self.key).to_string()),
            "/token" => {
                script.posted.push(pairs(body));
                if let Some((asked, answers)) = script.held.take() {
                    asked.send(()).unwrap();
                    answers.recv().unwrap();
                }
                match script.token.take() {
                    Some(Ok(token)) => {
                        let members = [
                            ("id_token", Value::from(token)),
                            ("access_token", Value::from("x")),
                            ("token_type", Value::from("Bearer")),
                        ];
                        answer_of("200 x", &Value::object(members).to_string())
                    }
                    Some(Err(answer)) => answer,
                    None => answer_of("400 x", r#"{"error":"invalid_grant"}"#),
                }
            }
            _ => answer_of("404 x", ""),
        }
    }

    fn settings(&self, more: &str) -> String {
        format!(
            "[sign_in]\nissuer = \"{}\"\nclient_id = \"{CLIENT}\"\n{more}",
            self.url
        )
    }

    fn header(&self) -> Value {
        let texts = [
            ("alg", "ES256"),
            ("kid", self.key.kid.as_str()),
            ("typ", "JWT"),
        ];
        Value::object(texts.map(|(name, value)| (name, Value::from(value))))
    }

    /// What its ID token says of somebody who has just signed in.
    fn claims(&self, subject: &str, nonce: &str) -> Value {
        let second = now().secs_since_epoch();
        Value::object([
            ("iss", Value::from(self.url.as_str())),
            ("sub", Value::from(subject)),
            ("aud", Value::from(CLIENT)),
            ("nonce", Value::from(nonce)),
            ("iat", Value::from_u64(second)),
            ("exp", Value::from_u64(second + 60)),
            ("auth_time", Value::from_u64(second)),
        ])
    }

    fn sign(&self, claims: &Value) -> String {
        self.key
            .sign(&self.header().to_string(), &claims.to_string())
    }

    /// The token endpoint says when it is asked, and answers when it may.
    fn hold(&self) -> (Receiver<()>, Sender<()>) {
        let ((asked, told), (may, answers)) = (channel(), channel());
        self.script.lock().unwrap().held = Some((asked, answers));
        (told, may)
    }

    fn will_answer(&self, token: Result<String, String>) {
        self.script.lock().unwrap().token = Some(token);
    }
}

/// An installation whose operators have accounts at an issuer.
struct House {
    project: Project,
    issuer: Issuer,
    server: Option<Server>,
}

/// One sign-in that was begun.
struct Begun {
    handle: String,
    state: String,
    asked: BTreeMap<String, String>,
}

fn claim(name: &str, value: impl Into<Value>) -> Value {
    Value::object([(name, value.into())])
}

impl House {
    fn open(more: &str) -> Self {
        let (project, issuer) = (project!(), Issuer::start());
        project.settings(&issuer.settings(more));
        let server = project.start();
        project.sign_in();
        Self {
            project,
            issuer,
            server: Some(server),
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        let control = self.project.control();
        let sent = control.send(Method::POST, path, &json, body.to_string());
        sent.await.unwrap()
    }

    /// Registers somebody with an account.
    async fn person(&self, name: &str, role: &str) {
        let members = [
            ("name", Value::from(name)),
            ("role", Value::from(role)),
            (
                "identity",
                Value::from(format!("{}#{name}", self.issuer.url)),
            ),
        ];
        let body = Value::object(members).to_string();
        let added = self.project.operator(Method::POST, "/v1/operators", &body);
        let added = added.await;
        assert_eq!(added.status, 200, "{}", added.json());
    }

    async fn begin(&self) -> Begun {
        let port = Value::object([("port", Value::from_u64(u64::from(PORT)))]);
        let answer = self.post("/v1/sign-in", &port).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let url = text(&answer, "url");
        let (_, query) = url.split_once('?').unwrap();
        Begun {
            handle: text(&answer, "handle"),
            state: text(&answer, "state"),
            asked: pairs(query),
        }
    }

    /// What the command line sends when the browser is back.
    fn back(&self, begun: &Begun) -> Value {
        Value::object([
            ("handle", Value::from(begun.handle.as_str())),
            ("state", Value::from(begun.state.as_str())),
            ("code", Value::from("c0de")),
            ("iss", Value::from(self.issuer.url.as_str())),
        ])
    }

    /// Signs somebody in from the beginning, with claims laid over what the issuer says.
    async fn sign_in(&self, subject: &str, change: &Value) -> Answer {
        let begun = self.begin().await;
        let claims = self.issuer.claims(subject, &begun.asked["nonce"]);
        self.issuer
            .will_answer(Ok(self.issuer.sign(&with(&claims, change))));
        let body = self.back(&begun);
        self.post("/v1/sign-in/complete", &body).await
    }

    /// What a session may look at.
    async fn status(&self, session: &str, path: &str) -> u16 {
        let bearer = format!("Bearer {session}");
        let headers = [("authorization", bearer.as_str())];
        let control = self.project.control();
        let sent = control.send(Method::GET, path, &headers, Vec::new());
        sent.await.unwrap().status
    }
}

fn nothing() -> Value {
    Value::object::<&str>([])
}

#[test]
fn somebody_signs_in_with_the_account_that_is_theirs() {
    runtime().block_on(async {
        let house = House::open("");
        house.person("ann", "operator").await;
        let begun = house.begin().await;
        let asked = |name: &str| begun.asked[name].as_str();
        assert_eq!(asked("tenant"), "a", "the endpoint's own query stays");
        assert_eq!(
            (asked("response_type"), asked("client_id"), asked("scope")),
            ("code", CLIENT, "openid")
        );
        let callback = format!("http://127.0.0.1:{PORT}/v1/sign-in/callback");
        assert_eq!(asked("redirect_uri"), callback);
        assert_eq!(asked("code_challenge_method"), "S256");
        assert_eq!(
            (asked("state"), asked("max_age")),
            (begun.state.as_str(), "0")
        );

        let claims = house.issuer.claims("ann", asked("nonce"));
        house.issuer.will_answer(Ok(house.issuer.sign(&claims)));
        let answer = house
            .post("/v1/sign-in/complete", &house.back(&begun))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(
            (
                text(&answer, "name").as_str(),
                text(&answer, "role").as_str()
            ),
            ("ann", "operator")
        );
        let posted = house.issuer.script.lock().unwrap().posted.clone();
        let [form] = posted.as_slice() else {
            panic!("one exchange: {posted:?}")
        };
        let challenge = base64url(Digest::of(form["code_verifier"].as_bytes()).as_bytes());
        assert_eq!(challenge, asked("code_challenge"), "RFC 7636 §4.6");
        assert_eq!(
            (form["code"].as_str(), form["redirect_uri"].as_str()),
            ("c0de", callback.as_str())
        );
        let session = text(&answer, "session");
        assert_eq!(house.status(&session, "/v1/registry").await, 200);
        assert_eq!(house.status(&session, "/v1/operators").await, 403);
        let records = house
            .project
            .operator(Method::GET, "/v1/records?tail=50", "")
            .await;
        assert!(records.json().to_string().contains("operator.oidc_sign_in"));

        let stranger = house.sign_in("mallory", &nothing()).await;
        assert_eq!(
            stranger.status, 401,
            "nobody is registered with that account"
        );
        let other = claim("iss", "https://elsewhere.example");
        assert_eq!(house.sign_in("ann", &other).await.status, 401);
    });
}

/// Makes a token of claims that are good.
type Forge = fn(&Issuer, &Value) -> String;

/// Every way in which what comes back is not what was begun. Each begins anew; none becomes a session.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases, one after another")]
fn what_comes_back_is_of_this_sign_in_or_nothing() {
    runtime().block_on(async {
        let house = House::open("");
        house.person("ann", "operator").await;
        let issuer = &house.issuer;
        let good = async |row: &str| {
            let answer = house.sign_in("ann", &nothing()).await;
            assert_eq!(answer.status, 200, "{row}: {}", answer.json());
        };
        good("to begin with").await;

        // What the browser brings.
        let other = house.begin().await;
        let text_of = |value: &str| Value::from(value);
        let tampered = format!("{}A", other.handle);
        for (row, name, value) in [
            ("no state", "state", None),
            ("an empty state", "state", Some(text_of(""))),
            (
                "another sign-in's state",
                "state",
                Some(text_of(&other.state)),
            ),
            (
                "a state that is no text",
                "state",
                Some(Value::Array(vec![])),
            ),
            ("no handle", "handle", None),
            (
                "another sign-in's handle",
                "handle",
                Some(text_of(&other.handle)),
            ),
            (
                "a handle that was changed",
                "handle",
                Some(text_of(&tampered)),
            ),
            ("no code", "code", None),
            ("an empty code", "code", Some(text_of(""))),
            (
                "a code beyond all measure",
                "code",
                Some(Value::from("c".repeat(4096))),
            ),
            ("no issuer", "iss", None),
            (
                "another issuer",
                "iss",
                Some(text_of("https://elsewhere.example")),
            ),
            (
                "an issuer that is nearly it",
                "iss",
                Some(Value::from(format!("{}/", issuer.url))),
            ),
        ] {
            let begun = house.begin().await;
            let claims = issuer.claims("ann", &begun.asked["nonce"]);
            issuer.will_answer(Ok(issuer.sign(&claims)));
            let back = house.back(&begun);
            let back = match value {
                Some(value) => with(&back, &claim(name, value)),
                None => without(&back, name),
            };
            let answer = house.post("/v1/sign-in/complete", &back).await;
            assert_eq!(answer.status, 401, "{row}: {}", answer.json());
            assert!(answer.json().member("session").is_none(), "{row}");
        }

        // The same twice, good as it was: the handle is spent, also by what came to nothing.
        let begun = house.begin().await;
        let claims = issuer.claims("ann", &begun.asked["nonce"]);
        for status in [200, 401] {
            issuer.will_answer(Ok(issuer.sign(&claims)));
            let answer = house
                .post("/v1/sign-in/complete", &house.back(&begun))
                .await;
            assert_eq!(answer.status, status, "a code that is used twice");
        }
        let spent = house.begin().await;
        for _ in 0..2 {
            let answer = house
                .post("/v1/sign-in/complete", &house.back(&spent))
                .await;
            assert_eq!(answer.status, 401);
            let claims = issuer.claims("ann", &spent.asked["nonce"]);
            issuer.will_answer(Ok(issuer.sign(&claims)));
        }
        good("after that").await;

        // What the token endpoint answers.
        let second = now().secs_since_epoch();
        let shared = base64url(b"0123456789abcdef0123456789abcdef");
        let hmac = r#"{"alg":"HS256","typ":"JWT"}"#;
        let forged = Key::new();
        for (row, token) in [
            (
                "another nonce",
                claim("nonce", other.asked["nonce"].as_str()),
            ),
            ("an empty nonce", claim("nonce", "")),
            ("another audience", claim("aud", "elsewhere")),
            ("another issuer", claim("iss", "https://elsewhere.example")),
            ("another party", claim("azp", "elsewhere")),
            ("over", claim("exp", Value::from_u64(second - 100))),
            (
                "not issued yet",
                claim("iat", Value::from_u64(second + 100)),
            ),
            (
                "signed in long ago",
                claim("auth_time", Value::from_u64(second - 3600)),
            ),
            ("a time that is none", claim("auth_time", "now")),
        ] {
            assert_eq!(house.sign_in("ann", &token).await.status, 401, "{row}");
        }
        let rows: [(&str, Forge); 6] = [
            ("no algorithm", |_issuer, claims| {
                let header = base64url(br#"{"alg":"none","typ":"JWT"}"#);
                format!("{header}.{}.", base64url(claims.to_string().as_bytes()))
            }),
            ("the public key as a secret", |issuer, claims| {
                let header = base64url(
                    format!(r#"{{"alg":"HS256","kid":"{}"}}"#, issuer.key.kid).as_bytes(),
                );
                let payload = base64url(claims.to_string().as_bytes());
                let key = aws_lc_rs::hmac::Key::new(
                    aws_lc_rs::hmac::HMAC_SHA256,
                    jwks(&issuer.key).to_string().as_bytes(),
                );
                let signed = format!("{header}.{payload}");
                let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
                format!("{signed}.{}", base64url(tag.as_ref()))
            }),
            ("no nonce", |issuer, claims| {
                issuer.sign(&without(claims, "nonce"))
            }),
            ("no time of signing in", |issuer, claims| {
                issuer.sign(&without(claims, "auth_time"))
            }),
            ("no subject", |issuer, claims| {
                issuer.sign(&without(claims, "sub"))
            }),
            ("an access token", |issuer, claims| {
                let header = with(&issuer.header(), &claim("typ", "at+jwt"));
                issuer.key.sign(&header.to_string(), &claims.to_string())
            }),
        ];
        for (row, token) in rows {
            let begun = house.begin().await;
            let claims = issuer.claims("ann", &begun.asked["nonce"]);
            issuer.will_answer(Ok(token(issuer, &claims)));
            let answer = house
                .post("/v1/sign-in/complete", &house.back(&begun))
                .await;
            assert_eq!(answer.status, 401, "{row}");
        }
        let begun = house.begin().await;
        let claims = issuer.claims("ann", &begun.asked["nonce"]).to_string();
        let stolen = [
            issuer.key.sign(hmac, &claims),
            forged.sign(&issuer.header().to_string(), &claims),
        ];
        for (row, answer) in [
            ("another algorithm's name", Ok(stolen[0].clone())),
            ("another key", Ok(stolen[1].clone())),
            ("no token", Ok(shared)),
            (
                "a refusal",
                Err(answer_of("400 x", r#"{"error":"invalid_grant"}"#)),
            ),
            (
                "a redirect",
                Err(
                    "HTTP/1.1 302 x\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
                        .to_owned(),
                ),
            ),
            ("no JSON", Err(answer_of("200 x", "id_token=x"))),
            (
                "no ID token",
                Err(answer_of("200 x", r#"{"access_token":"x"}"#)),
            ),
            ("nothing", Err(String::new())),
        ] {
            let begun = house.begin().await;
            issuer.will_answer(answer);
            let answer = house
                .post("/v1/sign-in/complete", &house.back(&begun))
                .await;
            assert_eq!(answer.status, 401, "{row}");
        }
        good("at the end").await;
    });
}

/// Where the browser is sent to and back is not the caller's to say, and an issuer that does not check PKCE is not used.
#[test]
fn where_the_browser_goes_is_settled_here() {
    runtime().block_on(async {
        let house = House::open("");
        for port in ["0", "80", "70000", "-1", "\"50123\"", "null"] {
            let body = format!(r#"{{"port":{port},"redirect_uri":"https://evil.example"}}"#);
            let json = [("content-type", "application/json")];
            let control = house.project.control();
            let sent = control.send(Method::POST, "/v1/sign-in", &json, body).await;
            assert_eq!(sent.unwrap().status, 400, "{port}");
        }
        let evil = Value::object([
            ("port", Value::from_u64(u64::from(PORT))),
            ("redirect_uri", Value::from("https://evil.example/")),
        ]);
        let answer = house.post("/v1/sign-in", &evil).await;
        assert!(!text(&answer, "url").contains("evil"), "{}", answer.json());
        for (row, change) in [
            (
                "plain PKCE alone",
                claim(
                    "code_challenge_methods_supported",
                    Value::Array(vec![Value::from("plain")]),
                ),
            ),
            (
                "another issuer",
                claim("issuer", "https://elsewhere.example"),
            ),
            (
                "a token endpoint in the clear",
                claim("token_endpoint", "http://elsewhere.example/token"),
            ),
        ] {
            let house = House::open("");
            house.issuer.script.lock().unwrap().metadata = Some(change);
            let port = Value::object([("port", Value::from_u64(u64::from(PORT)))]);
            let answer = house.post("/v1/sign-in", &port).await;
            assert_eq!(answer.status, 503, "{row}: {}", answer.json());
        }
        // Where it is not configured there is nothing.
        let project = project!();
        let _server = project.start();
        for path in ["/v1/sign-in", "/v1/sign-in/complete"] {
            let json = [("content-type", "application/json")];
            let sent = project
                .control()
                .send(Method::POST, path, &json, "{}")
                .await;
            assert_eq!(sent.unwrap().status, 401, "{path}");
        }
    });
}

/// The role is the one that people gave, and no more than the claims let in; who is new is a viewer.
#[test]
fn claims_let_in_and_give_nothing() {
    const RULES: &str = "accounts = \"viewer\"\n[[sign_in.role]]\nclaim = \"groups\"\nvalue = \"writ\"\nrole = \"operator\"\n[[sign_in.role]]\nclaim = \"/org/unit\"\nvalue = \"risk\"\nrole = \"viewer\"\n";
    runtime().block_on(async {
        let house = House::open(RULES);
        house.person("ann", "operator").await;
        house.person("eve", "admin").await;
        let groups = |names: &[&str]| {
            let names = names.iter().map(|name| Value::from(*name)).collect();
            claim("groups", Value::Array(names))
        };
        let unit = claim("org", claim("unit", "risk"));
        for (subject, change, role) in [
            ("ann", groups(&["x", "writ"]), Some("operator")),
            ("ann", claim("groups", "writ"), Some("operator")),
            ("ann", unit.clone(), None),
            ("ann", groups(&["writ-admins"]), None),
            ("ann", groups(&["WRIT"]), None),
            ("ann", nothing(), None),
            ("eve", groups(&["writ"]), None),
            ("bob", nothing(), None),
            ("bob", groups(&["writ"]), Some("viewer")),
            ("bob", unit.clone(), Some("viewer")),
        ] {
            let answer = house.sign_in(subject, &change).await;
            let found = (answer.status == 200).then(|| text(&answer, "role"));
            assert_eq!(found.as_deref(), role, "{subject} {change}");
        }
        let people = house
            .project
            .operator(Method::GET, "/v1/operators", "")
            .await;
        let people = people.json();
        let bob = format!("{}#bob", house.issuer.url);
        let people = people.as_array().unwrap().iter();
        let found: Vec<_> = people
            .filter(|one| one.member("identity").and_then(Value::as_str) == Some(&bob))
            .collect();
        let [bob] = found.as_slice() else {
            panic!("one account, one person: {found:?}")
        };
        assert_eq!(bob.member("made_by"), Some(&Value::Null));
        assert_eq!(
            bob.member("since"),
            bob.member("created"),
            "their role is as old as the account"
        );
        // The settings are read strictly.
        for (settings, fault) in [
            ("accounts = \"viewer\"\n", "[[sign_in.role]]"),
            ("accounts = \"admin\"\n", "unknown variant"),
            (
                "[[sign_in.role]]\nclaim = \"g\"\nvalue = \"v\"\nrole = \"root\"\n",
                "a role is",
            ),
            ("scope = \"email\"\n", "unknown field"),
        ] {
            house.project.settings(&house.issuer.settings(settings));
            let (code, _, said) = house.project.run(&["doctor"]);
            assert_ne!(code, 0, "{settings}");
            assert!(said.contains(fault), "{settings}: {said}");
        }
    });
}

/// `writ login --oidc`: the address is printed, a browser of this machine brings back the code.
#[test]
fn the_command_line_signs_in_through_a_browser() {
    runtime().block_on(async {
        let house = House::open("");
        house.person("ann", "operator").await;
        let mut command = house.project.command(&["login", "--oidc"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = said.find_map(|line| {
            let line = line.unwrap();
            line.contains("http://").then(|| line.trim().to_owned())
        });
        let asked = pairs(url.unwrap().split_once('?').unwrap().1);
        let claims = house.issuer.claims("ann", &asked["nonce"]);
        house.issuer.will_answer(Ok(house.issuer.sign(&claims)));
        let (origin, path) = asked["redirect_uri"].split_at("http://127.0.0.1:".len() + 5);
        let origin = origin.trim_start_matches("http://");
        let get = |query: &str| {
            let mut stream = TcpStream::connect(origin).unwrap();
            let head = format!("GET {path}?{query} HTTP/1.1\r\nhost: {origin}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        // Any page of the browser can come here; it ends nothing.
        for query in [
            "code=c0de",
            "code=c0de&state=guessed",
            "error=x&state=guessed",
        ] {
            assert!(get(query).starts_with("HTTP/1.1 404"), "{query}");
        }
        let issuer = house.issuer.url.replace(':', "%3A").replace('/', "%2F");
        let good = format!("code=c0de&state={}&iss={issuer}", asked["state"]);
        assert!(get(&good).starts_with("HTTP/1.1 200"));
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{told}");
        assert!(told.contains("ann (operator)"), "{told}");
        assert!(!told.contains("wos_"), "never the session");
        let (code, told, _) = house.project.run(&["task", "list"]);
        assert_eq!(code, 0, "{told}");
        let answer = house
            .project
            .operator(Method::GET, "/v1/operators", "")
            .await;
        assert_eq!(answer.status, 403, "the session is an operator's now");
    });
}
