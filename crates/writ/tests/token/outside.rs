//! APIs with an authorization server of their own: which tokens reach them, when one is obtained, and what becomes of everything that
//! such a server can say instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::Method;
use writ::http::Answer;
use writ_testkit::{Project, TestClock, reason, runtime};
use writ_token::{Jwk, KeyPins, KeySet};
use writ_types::Value;

use crate::kit::{BOT, Opened, Stage, decoded};
use crate::provider::Provider;
use crate::scripted::{Reply, Scripted, Seen};

const SECRET: &str = "a secret: with +signs/&%";
const RESOURCE: &str = "https://items.example/v1";
const DETAILS: &str = r#"[{"type":"writ_task","purpose":"outside","actions":["items:listItems","items:addItem"],"budget":{"calls":1000,"writes":10}}]"#;
const CONTRACT: &str = r#"{"openapi":"3.0.3","info":{"title":"Items","version":"1"},"paths":{"/items":{"get":{"operationId":"listItems","responses":{"200":{"description":"all","content":{"application/json":{"schema":{"type":"object"}}}}}},"post":{"operationId":"addItem","responses":{"200":{"description":"added","content":{"application/json":{"schema":{"type":"object"}}}}}}}}}"#;
const EXCHANGE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";

/// How long a failure is an answer for those who ask for the same, and when it is one no more.
const REMEMBERED: Duration = Duration::from_secs(1);
const OVER: Duration = Duration::from_millis(1010);

/// An API whose calls carry tokens.
fn register(project: &Project, upstream: &str, credential: &str, server: &str) {
    project.agent("bot", "autonomous", &["triage", "outside"]);
    project.write(
        "purposes/outside.toml",
        "owner = \"o@example.org\"\nactions = [\"items:listItems\", \"items:addItem\"]\n[budget]\ncalls = 1000\nwrites = 10\n",
    );
    project.write("apis/items.openapi.json", CONTRACT);
    project.write(
        "apis/items.toml",
        &format!(
            "owner = \"o@example.org\"\nupstream = \"{upstream}\"\ncontract = \"items.openapi.json\"\nrate = \"1000000/s\"\n{credential}[authorization_server]\n{server}[operations.listItems]\neffect = \"read\"\n[operations.addItem]\neffect = \"write\"\n"
        ),
    );
}

const BASIC: &str = "[credential]\nname = \"items-client\"\nattach = \"client_secret\"\n";
const SCOPES: &str =
    "scopes = [\"items.read\", \"items.write\"]\noperations = { listItems = [\"items.read\"] }\n";

fn by_secret(token_endpoint: &str) -> String {
    format!(
        "grant = \"client_credentials\"\ntoken_endpoint = \"{token_endpoint}\"\nclient_id = \"writ-secret\"\nauthentication = \"client_secret_basic\"\nresource = \"{RESOURCE}\"\n{SCOPES}"
    )
}

fn by_key(grant: &str, token_endpoint: &str, issuer: &str) -> String {
    format!(
        "grant = \"{grant}\"\ntoken_endpoint = \"{token_endpoint}\"\nclient_id = \"writ-key\"\nauthentication = \"private_key_jwt\"\nissuer = \"{issuer}\"\nresource = \"{RESOURCE}\"\n{SCOPES}"
    )
}

fn bearer(seen: &Seen) -> String {
    let value = seen.authorization();
    value
        .strip_prefix("Bearer ")
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

/// An upstream that is content.
fn content(_: &Seen) -> Reply {
    Reply::json(200, "{}")
}

/// A scripted installation: an authorization server, an upstream, and Writ between them.
struct House {
    stage: Stage,
    server: Arc<Scripted>,
    upstream: Arc<Scripted>,
}

/// A token that nobody has seen before.
fn token(number: usize) -> String {
    format!("opaque-token-number-{number:04}")
}

fn granted(token: &str, more: &str) -> String {
    format!("{{\"access_token\":\"{token}\",\"token_type\":\"Bearer\"{more}}}")
}

/// Grants one token after another, with more members.
fn granting(more: &'static str) -> impl Fn(&Seen) -> Reply + Send + 'static {
    let number = AtomicUsize::new(0);
    move |_| {
        let token = token(number.fetch_add(1, Ordering::SeqCst));
        Reply::json(200, &granted(&token, more))
    }
}

impl House {
    async fn open(grant: &str, always: impl Fn(&Seen) -> Reply + Send + 'static) -> Self {
        let (server, upstream) = (
            Scripted::serve(always).await,
            Scripted::serve(content).await,
        );
        let endpoint = format!("{}/token", server.url);
        let (credential, text) = match grant {
            "client_credentials" => (BASIC, by_secret(&endpoint)),
            _ => ("", by_key(grant, &endpoint, &server.url)),
        };
        let stage = Stage::prepared(|project| {
            project.settings("[timeouts]\nkey_fetch = \"1s\"\n");
            register(project, &upstream.url, credential, &text);
        })
        .await;
        if grant == "client_credentials" {
            stage.project.credential("items-client", SECRET);
        }
        Self {
            stage,
            server,
            upstream,
        }
    }

    async fn task(&self) -> Opened {
        self.stage.grant(BOT, DETAILS).await
    }

    async fn call(&self, task: &Opened, method: Method) -> Answer {
        self.stage.call(task, method, "/items/items").await
    }

    fn log(&self) -> String {
        let (code, log, fault) = self.stage.project.run(&["audit", "tail", "--json"]);
        assert_eq!(code, 0, "{fault}");
        log
    }
}

const LIFE: &str = ",\"expires_in\":300";

/// RFC 6749 §4.4, RFC 7523, RFC 8707, RFC 8693 at a server of another hand: what each way of asking brings to the upstream.
#[test]
fn a_server_of_another_hand_grants_what_an_operation_needs() {
    runtime().block_on(async {
        for (grant, client) in [
            ("client_credentials", "writ-secret"),
            ("client_credentials", "writ-key"),
            ("token_exchange", "writ-key"),
        ] {
            let row = format!("{grant} {client}");
            let upstream = Scripted::serve(content).await;
            let mut provider = None;
            let stage = Stage::prepared(|project| {
                let own = format!("http://127.0.0.1:{}", project.control);
                let variables = [("WRIT_ISSUER", own.as_str()), ("WRIT_RESOURCE", RESOURCE)];
                provider = Provider::run("authorization.mjs", &variables);
                let Some(provider) = &provider else { return };
                let endpoint = format!("{}/token", provider.issuer);
                let (credential, text) = match client {
                    "writ-secret" => (BASIC, by_secret(&endpoint)),
                    _ => ("", by_key(grant, &endpoint, &provider.issuer)),
                };
                register(project, &upstream.url, credential, &text);
            })
            .await;
            let Some(provider) = provider else { return };
            if client == "writ-secret" {
                stage.project.credential("items-client", SECRET);
            }
            let task = stage.grant(BOT, DETAILS).await;
            for method in [Method::GET, Method::GET, Method::POST] {
                let answer = stage.call(&task, method, "/items/items").await;
                assert_eq!(answer.status, 200, "{row}: {}", answer.json());
            }
            let seen = upstream.seen();
            let tokens: Vec<_> = seen.iter().map(bearer).collect();
            assert_eq!(tokens[0], tokens[1], "{row}: kept");
            assert_ne!(tokens[0], tokens[2], "{row}: another scope, another token");
            let published = provider
                .peer()
                .send(Method::GET, "/jwks", &[], "")
                .await
                .unwrap();
            for (token, scope) in [
                (&tokens[0], "items.read"),
                (&tokens[2], "items.read items.write"),
            ] {
                let keys = KeySet::parse(&published.body, &KeyPins::default()).unwrap();
                assert_eq!(keys.keys().len(), 1, "{row}");
                let (header, claims) = decoded(token);
                let text = |name: &str| {
                    claims
                        .member(name)
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                };
                assert_eq!(header.member("typ").and_then(Value::as_str), Some("at+jwt"));
                assert_eq!(
                    (text("iss"), text("aud")),
                    (provider.issuer.as_str(), RESOURCE),
                    "{row}"
                );
                assert_eq!((text("client_id"), text("scope")), (client, scope), "{row}");
                let subject = claims.member("for").map(ToString::to_string);
                let wanted = (grant == "token_exchange")
                    .then(|| format!("{{\"act\":{{\"sub\":\"{BOT}\"}},\"sub\":\"{BOT}\"}}"));
                assert_eq!(subject, wanted, "{row}");
            }
        }
    });
}

/// What the request says, byte for byte, and what the log says of it.
#[test]
fn a_token_is_asked_for_once_and_recorded_without_it() {
    runtime().block_on(async {
        let house = House::open("client_credentials", granting(LIFE)).await;
        let (first, second) = (house.task().await, house.task().await);
        for task in [&first, &second, &first] {
            assert_eq!(house.call(task, Method::GET).await.status, 200);
        }
        let asked = house.server.seen();
        assert_eq!(asked.len(), 1, "one token for every task");
        let (_, doctor, _) = house.stage.project.run(&["doctor"]);
        let told = format!(
            "calls of `items` carry tokens of {}/token (client_credentials as writ-secret by client_secret_basic)",
            house.server.url
        );
        assert!(doctor.contains(&told), "{doctor}");
        let [asked] = asked.as_slice() else { panic!() };
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/token"));
        assert_eq!(
            asked.body,
            "grant_type=client_credentials&resource=https%3A%2F%2Fitems.example%2Fv1&scope=items.read"
        );
        // RFC 6749 §2.3.1: `writ-secret`, a colon, and the secret as a form has it.
        assert_eq!(
            asked.authorization(),
            "Basic d3JpdC1zZWNyZXQ6YSUyMHNlY3JldCUzQSUyMHdpdGglMjAlMkJzaWducyUyRiUyNiUyNQ=="
        );
        let seen = house.upstream.seen();
        assert!(seen.iter().all(|seen| bearer(seen) == token(0)), "{seen:?}");
        let log = house.log();
        let recorded = log.lines().find(|line| line.contains("upstream_token")).unwrap();
        for told in ["items.read", "items-client", "client_credentials", "expires"] {
            assert!(recorded.contains(told), "{told}: {recorded}");
        }
        for never in [&token(0), SECRET, "d3JpdC1z"] {
            assert!(!log.contains(never), "{never}");
        }
    });
}

/// Each thing that a server can say instead of a token: the call is refused, nothing reaches the upstream, and the next one asks anew.
#[test]
fn without_a_token_nothing_is_sent() {
    runtime().block_on(async {
        let house = House::open("client_credentials", granting(LIFE)).await;
        let task = house.task().await;
        let elsewhere = Scripted::serve(granting(LIFE)).await;
        let to = |status, body: &str| Reply {
            status,
            headers: vec![("location", format!("{}/token", elsewhere.url))],
            body: body.to_owned(),
        };
        let json = |body: &str| Reply::json(200, body);
        let large = granted(&token(7), &format!(",\"more\":\"{}\"", "x".repeat(70_000)));
        let shy = granted(&token(7), LIFE);
        let clock = TestClock::start();
        for (row, reply, word) in [
            ("a redirect", to(302, ""), "status"),
            ("a redirect with a token", to(307, &shy), "status"),
            ("a huge answer", json(&large), "body"),
            ("no JSON", json("<html>"), "malformed"),
            ("a bound token", json(&shy.replace("Bearer", "DPoP")), "token_type"),
            ("no token of access", json(&shy.replace("Bearer", "N_A")), "token_type"),
            ("over already", json(&granted(&token(7), ",\"expires_in\":0")), "expires_in"),
            ("a negative life", json(&granted(&token(7), ",\"expires_in\":-5")), "expires_in"),
            ("a wider scope", json(&granted(&token(7), ",\"scope\":\"items.read admin\"")), "scope"),
            ("a line end in it", json(&granted("0123456789abcdef\\r\\nx: y", LIFE)), "malformed"),
            ("invalid_scope", Reply::json(400, r#"{"error":"invalid_scope"}"#), "invalid_scope"),
            (
                "the secret, and what moves a cursor",
                Reply::json(401, &format!("{{\"error\":\"invalid_client\",\"error_description\":\"\\u001b[2J {SECRET}\"}}")),
                "invalid_client",
            ),
            (
                "the secret as a code",
                Reply::json(400, &format!("{{\"error\":\"{SECRET}\"}}")),
                "status",
            ),
        ] {
            house.server.next(reply);
            let began = clock.monotonic();
            let answer = house.call(&task, Method::GET).await;
            assert_eq!(reason(&answer), "credential_unavailable", "{row}: {}", answer.json());
            assert_eq!(answer.status, 503, "{row}");
            let log = house.log();
            let said = log.lines().rev().find(|line| line.contains("upstream_token")).unwrap();
            assert!(said.contains(&format!("\"{word}\"")), "{row}: {said}");
            let told = format!("{}{log}", answer.json());
            assert!(!told.contains("a secret") && !told.contains(&token(7)), "{row}: {told}");
            let asked = house.server.count();
            let again = house.call(&task, Method::GET).await;
            // On a slow machine the moment may be over.
            if clock.monotonic().since(began) < REMEMBERED {
                assert_eq!(reason(&again), "credential_unavailable", "{row}");
                assert_eq!(house.server.count(), asked, "{row}: a failure is an answer for a moment");
            }
            tokio::time::sleep(OVER).await;
        }
        let gate = house.server.close();
        let late = house.call(&task, Method::GET).await;
        assert_eq!(reason(&late), "credential_unavailable", "nobody answers in time");
        assert!(house.log().contains("\"late\""));
        gate.notify_waiters();
        assert_eq!(house.upstream.count(), 0, "nothing was sent");
        assert_eq!(elsewhere.count(), 0, "nobody went there");
        // Taking the gate away lets everybody through again.
        let open = house.server.close();
        open.notify_one();
        tokio::time::sleep(OVER).await;
        assert_eq!(house.call(&task, Method::GET).await.status, 200);
        assert_eq!(house.upstream.count(), 1);
    });
}

/// Many calls at once ask once, and a token without a life, or with one that is nearly over, is one call's.
#[test]
fn a_token_is_kept_as_long_as_its_server_says() {
    runtime().block_on(async {
        let house = House::open("client_credentials", granting(LIFE)).await;
        let task = house.task().await;
        let gate = house.server.close();
        let released = async {
            while house.server.count() == 0 {
                tokio::task::yield_now().await;
            }
            gate.notify_one();
        };
        let calls = async {
            let call = || house.call(&task, Method::GET);
            tokio::join!(call(), call(), call(), call(), call(), call())
        };
        let ((a, b, c, d, e, f), ()) = tokio::join!(calls, released);
        for answer in [a, b, c, d, e, f] {
            assert_eq!(answer.status, 200, "{}", answer.json());
        }
        assert_eq!(house.server.count(), 1, "one request for all of them");
        for (more, kept) in [
            ("", false),
            (",\"expires_in\":30", false),
            (",\"expires_in\":60", true),
            (",\"expires_in\":18446744073709551615", true),
        ] {
            let house = House::open("client_credentials", granting(more)).await;
            let task = house.task().await;
            for _ in 0..2 {
                assert_eq!(house.call(&task, Method::GET).await.status, 200, "{more}");
            }
            assert_eq!(house.server.count() == 1, kept, "{more}");
        }
    });
}

/// A token that the upstream does not take is used no more. A read is made once more with another, a write is not, and a token that
/// was obtained just now is not tried again.
#[test]
fn a_token_that_is_refused_is_replaced_once() {
    runtime().block_on(async {
        let house = House::open("client_credentials", granting(LIFE)).await;
        let task = house.task().await;
        let scoped = "scope=items.read";
        assert_eq!(house.call(&task, Method::GET).await.status, 200);
        house.upstream.next(Reply::json(401, "{}"));
        assert_eq!(
            house.call(&task, Method::GET).await.status,
            200,
            "made again"
        );
        let used: Vec<_> = house.upstream.seen().iter().map(bearer).collect();
        assert_eq!(used, [token(0), token(0), token(1)]);
        assert!(
            house
                .server
                .seen()
                .iter()
                .all(|seen| seen.body.ends_with(scoped))
        );

        assert_eq!(house.call(&task, Method::POST).await.status, 200);
        let (asked, sent) = (house.server.count(), house.upstream.count());
        house.upstream.next(Reply::json(401, "{}"));
        assert_eq!(
            house.call(&task, Method::POST).await.status,
            401,
            "a write is not repeated"
        );
        assert_eq!(
            (house.server.count(), house.upstream.count()),
            (asked, sent + 1)
        );
        assert_eq!(house.call(&task, Method::POST).await.status, 200);
        assert_eq!(
            house.server.count(),
            asked + 1,
            "and the token was given up"
        );

        house.upstream.always(|_| Reply::json(401, "{}"));
        let (asked, sent) = (house.server.count(), house.upstream.count());
        assert_eq!(house.call(&task, Method::GET).await.status, 401);
        assert_eq!(
            (house.server.count(), house.upstream.count()),
            (asked + 1, sent + 2)
        );
        assert_eq!(house.call(&task, Method::GET).await.status, 401);
        assert_eq!(
            (house.server.count(), house.upstream.count()),
            (asked + 2, sent + 3),
            "fresh, and refused"
        );
    });
}

/// Nothing that Writ holds reaches the agent: the token, its signature alone, the client's secret, and how it was sent.
#[test]
fn what_an_upstream_repeats_is_withheld() {
    runtime().block_on(async {
        let jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ3cml0In0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg";
        let house = House::open("client_credentials", move |_| {
            Reply::json(200, &granted(jwt, LIFE))
        })
        .await;
        let task = house.task().await;
        for (row, leak) in [
            ("the token", jwt),
            ("its signature", "c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"),
            ("the secret", SECRET),
            (
                "how it was sent",
                "d3JpdC1zZWNyZXQ6YSUyMHNlY3JldCUzQSUyMHdpdGglMjAlMkJzaWducyUyRiUyNiUyNQ==",
            ),
        ] {
            house
                .upstream
                .next(Reply::json(200, &format!("{{\"said\":\"{leak}\"}}")));
            let answer = house.call(&task, Method::GET).await;
            assert_eq!(answer.status, 502, "{row}: {}", answer.json());
            assert!(!answer.json().to_string().contains(leak), "{row}");
            let mut reply = Reply::json(200, "{}");
            reply.headers.push(("x-said", leak.to_owned()));
            house.upstream.next(reply);
            let answer = house.call(&task, Method::GET).await;
            assert_eq!(answer.header("x-said"), None, "{row}");
        }
        assert_eq!(
            house.call(&task, Method::GET).await.status,
            200,
            "what is clean passes"
        );

        let house = House::open("client_credentials", granting(LIFE)).await;
        let task = house.task().await;
        let leak = format!("{{\"said\":\"{}\"}}", token(0));
        house.upstream.next(Reply::json(200, &leak));
        let answer = house.call(&task, Method::GET).await;
        assert_eq!(answer.status, 502, "a token that is no JWT");
    });
}

/// RFC 8693 §2: each task has a token of its own, for whom it acts, and with it the task's end.
#[test]
fn an_exchanged_token_is_of_one_task() {
    runtime().block_on(async {
        let issued = ",\"expires_in\":300,\"issued_token_type\":\"urn:ietf:params:oauth:token-type:access_token\"";
        let house = House::open("token_exchange", granting(issued)).await;
        let (first, second) = (house.task().await, house.task().await);
        for task in [&first, &second, &first] {
            let answer = house.call(task, Method::GET).await;
            assert_eq!(answer.status, 200, "{}", answer.json());
        }
        let used: Vec<_> = house.upstream.seen().iter().map(bearer).collect();
        assert_eq!(used, [token(0), token(1), token(0)], "one for each task");
        let asked = house.server.seen();
        let control = house.stage.project.control();
        let published = control.send(Method::GET, "/oauth/jwks", &[], "").await.unwrap().json();
        let keys = published.member("keys").and_then(Value::as_array).unwrap().to_vec();
        let kids: Vec<_> = keys.iter().map(|key| Jwk::parse(key).unwrap().kid().unwrap().to_owned()).collect();
        for (asked, task) in asked.iter().zip([&first, &second]) {
            assert_eq!(asked.parameter("grant_type"), Some(EXCHANGE));
            assert_eq!(asked.parameter("actor_token"), None);
            assert_eq!(asked.authorization(), "", "no secret");
            for name in ["subject_token", "client_assertion"] {
                let (header, claims) = decoded(asked.parameter(name).unwrap());
                let text = |value: &Value, name: &str| {
                    value.member(name).and_then(Value::as_str).unwrap_or_default().to_owned()
                };
                assert!(kids.contains(&text(&header, "kid")), "{header}");
                assert_ne!(text(&header, "typ"), "at+jwt", "{name}");
                assert_eq!(text(&claims, "aud"), house.server.url, "{name}: this server alone");
                let number = |name| claims.member(name).and_then(Value::as_u64).unwrap();
                assert_eq!(number("exp") - number("iat"), 60, "{name}");
                if name == "subject_token" {
                    assert_eq!((text(&claims, "sub"), text(&claims, "task_id")), (BOT.to_owned(), task.task.clone()));
                } else {
                    assert_eq!((text(&claims, "iss"), text(&claims, "sub")), ("writ-key".to_owned(), "writ-key".to_owned()));
                }
                // Worth nothing at Writ itself.
                let shown = house.stage.present(asked.parameter(name).unwrap(), &task.key, Method::GET, "/items/items", None);
                assert_eq!(shown.await.status, 401, "{name}");
            }
        }
        let kill = format!("{{\"task\":\"{}\"}}", first.task);
        house.stage.order("/v1/kill", &kill).await;
        let sent = house.upstream.count();
        assert_eq!(reason(&house.call(&first, Method::GET).await), "task_ended");
        assert_eq!(house.upstream.count(), sent);
        assert_eq!(house.call(&second, Method::GET).await.status, 200, "the other lives");

        let asked = house.server.count();
        let third = house.task().await;
        house.server.next(Reply::json(200, &granted(&token(9), LIFE)));
        let answer = house.call(&third, Method::GET).await;
        assert_eq!(reason(&answer), "credential_unavailable", "no `issued_token_type`");
        assert_eq!(house.server.count(), asked + 1);
    });
}

/// A kill while the token is asked for: nothing is sent.
#[test]
fn a_task_that_is_killed_while_its_token_is_asked_for_sends_nothing() {
    runtime().block_on(async {
        let house = House::open("client_credentials", granting(LIFE)).await;
        let task = house.task().await;
        let gate = house.server.close();
        let kill = async {
            while house.server.count() == 0 {
                tokio::task::yield_now().await;
            }
            let kill = format!("{{\"task\":\"{}\"}}", task.task);
            house.stage.order("/v1/kill", &kill).await;
        };
        let (answer, ()) = tokio::join!(house.call(&task, Method::GET), kill);
        assert_eq!(reason(&answer), "task_ended");
        gate.notify_one();
        assert_eq!(house.upstream.count(), 0);
    });
}

/// Parts of a registration that do not go together start nothing.
#[test]
fn a_registration_whose_parts_do_not_fit_is_refused() {
    let endpoint = "https://as.example/token";
    let good = by_secret(endpoint);
    let key = by_key("client_credentials", endpoint, "https://as.example");
    let bearer = BASIC.replace("client_secret", "bearer");
    for (row, credential, server, told) in [
        ("no secret", "", good.as_str(), "needs its secret"),
        (
            "a credential of the API as well",
            &bearer,
            &good,
            "needs its secret",
        ),
        ("a secret for nothing", BASIC, &key, "there is no secret"),
        (
            "in the clear",
            BASIC,
            &good.replace("https://as", "http://as"),
            "over `https://`",
        ),
        (
            "an unknown key",
            BASIC,
            &format!("{good}client_secret = \"x\"\n"),
            "unknown field",
        ),
        (
            "an unknown operation",
            BASIC,
            &good.replace("listItems", "listItem"),
            "the contract does not have",
        ),
        (
            "more than the API",
            BASIC,
            &good.replace(
                "{ listItems = [\"items.read\"] }",
                "{ listItems = [\"admin\"] }",
            ),
            "are among them",
        ),
        (
            "nobody to sign for",
            "",
            &key.replace("issuer = \"https://as.example\"\n", ""),
            "name the server's `issuer`",
        ),
        (
            "another grant",
            BASIC,
            &good.replace("client_credentials", "password"),
            "a grant is",
        ),
    ] {
        let project = writ_testkit::project!();
        register(&project, "http://127.0.0.1:9", credential, server);
        let (code, output, fault) = project.run(&["doctor"]);
        assert_eq!(code, 1, "{row}: {output}");
        assert!(output.contains(told), "{row}: {output}{fault}");
    }
}
