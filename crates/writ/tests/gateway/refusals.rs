//! Every refusal there is over HTTP, as the agent sees it, in one table: `snapshots/`. A change there is a change of what
//! agents, and the models that read their answers, are told.

use std::collections::BTreeSet;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use writ::agent::{OpenTask, form, random_id};
use writ::http::Answer;
use writ_testkit::{Caller, TestClock, open, reason, runtime};
use writ_types::{ReasonCode, Value};

use crate::installation::{CANARY, Installation};
use crate::odd::{KEY, base64};
use crate::wire;

/// What no caller can bring about with the rules that are shipped, or not without stopping the machine's clock or disk.
const ELSEWHERE: [ReasonCode; 22] = [
    // A freeze is of a time; writ-policy's tests choose the instant.
    ReasonCode::Frozen,
    // Asked for at the control plane; the tests of approvals bring it about.
    ReasonCode::AmendmentRefused,
    // The tests of approvals bring these about, and the proxy's a store that fails.
    ReasonCode::ApprovalRequired,
    ReasonCode::ApprovalDenied,
    ReasonCode::TooManyApprovals,
    ReasonCode::ApprovalUnavailable,
    ReasonCode::Deferred,
    ReasonCode::ObligationUnmet,
    // The shipped baseline permits whatever a task has declared; writ-policy's tests take it away.
    ReasonCode::NotPermitted,
    // Policies that may fail are refused when they are loaded; writ-policy's tests make one fail.
    ReasonCode::PolicyError,
    // `mcp/cancelled.rs`, at the other door.
    ReasonCode::Cancelled,
    // `token/watch.rs`, from two networks.
    ReasonCode::SecondSource,
    // `token/step_up.rs`, with a user's issuer.
    ReasonCode::InsufficientUserAuthentication,
    // `pace.rs`, with limits that are reached.
    ReasonCode::RateLimited,
    // `flow.rs`, with an overlay.
    ReasonCode::ValueNotVouched,
    ReasonCode::TaskPaused,
    // The tests of drift, with a server that changes its document.
    ReasonCode::ContractQuarantined,
    // The tests of intent, with purposes that have hours and environments.
    ReasonCode::OutsideEnvironment,
    ReasonCode::OutsideHours,
    // The tests of questions, with a server that asks.
    ReasonCode::InputUnanswered,
    // `unrecorded.rs`, with a log that cannot be written.
    ReasonCode::RecordUnavailable,
    // Before the first revision and after the last: a listener is open in neither.
    ReasonCode::NotReady,
];

#[test]
fn every_refusal_is_as_it_was_agreed() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let mut table = Table::default();
        proofs(&installation, &mut table).await;
        contract(&installation, &mut table).await;
        // One whose agent has read nothing that a stranger could have written.
        policy(&Installation::start().await, &mut table).await;
        upstream(&installation, &mut table).await;
        endings(&installation, &mut table).await;
        let missing: Vec<_> = ReasonCode::ALL
            .iter()
            .filter(|reason| !table.reasons.contains(reason) && !ELSEWHERE.contains(reason))
            .collect();
        assert!(missing.is_empty(), "nothing brings about {missing:?}");
        insta::assert_snapshot!("refusals", table.lines.join("\n"));
    });
}

#[derive(Debug, Default)]
struct Table {
    lines: Vec<String>,
    reasons: BTreeSet<ReasonCode>,
}

impl Table {
    fn add(&mut self, what: &str, wanted: ReasonCode, answer: &Answer) {
        is_clean(what, answer);
        assert_eq!(reason(answer), wanted.as_str(), "{what}: {}", answer.json());
        assert_eq!(answer.status, wanted.status(), "{what}");
        self.reasons.insert(wanted);
        self.lines.push(line(what, answer));
    }
}

/// Nothing of the request and nothing of any secret is in a refusal, and it says what an agent needs.
pub(crate) fn is_clean(what: &str, answer: &Answer) {
    let mut all = String::from_utf8_lossy(&answer.body).to_lowercase();
    for (name, value) in &answer.headers {
        all.push_str(&format!(
            "\n{name}: {}",
            String::from_utf8_lossy(value.as_bytes()).to_lowercase()
        ));
    }
    for hidden in [
        CANARY,
        KEY,
        "desk-key-",
        "robot:",
        &base64(&format!("robot:{KEY}")).to_lowercase(),
    ] {
        assert!(
            !all.contains(hidden),
            "{what}: {hidden} is in the answer:\n{all}"
        );
    }
    let json = answer.json();
    let call = answer.header("writ-call-id");
    assert!(call.is_some_and(|call| call.starts_with("cal_")), "{what}");
    assert_eq!(
        json.member("decision_id").and_then(Value::as_str),
        call,
        "{what}"
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{what}"
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    let remedies = json.member("remedies").and_then(Value::as_array);
    assert!(
        remedies.is_some_and(|remedies| !remedies.is_empty()),
        "{what}: no remedy"
    );
}

/// One line of the table.
pub(crate) fn line(what: &str, answer: &Answer) -> String {
    let json = answer.json();
    let text = |value: &Value, name: &str| {
        value
            .member(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let list = |name: &str, show: &dyn Fn(&Value) -> String| {
        let items = json
            .member(name)
            .and_then(Value::as_array)
            .unwrap_or_default();
        items.iter().map(show).collect::<Vec<_>>().join("; ")
    };
    let mut line = format!(
        "{what}\n    {} {} ({})",
        answer.status,
        text(&json, "reason_code"),
        text(&json, "outlook")
    );
    let remedy = |remedy: &Value| {
        format!("{} {}", text(remedy, "kind"), text(remedy, "place"))
            .trim_end()
            .to_owned()
    };
    line.push_str(&format!("\n    do: {}", list("remedies", &remedy)));
    let faults = list("faults", &|fault| {
        format!("{} {}", text(fault, "pointer"), text(fault, "detail"))
    });
    if !faults.is_empty() {
        line.push_str(&format!("\n    faults: {faults}"));
    }
    for name in ["allow", "retry-after"] {
        if let Some(value) = answer.header(name) {
            line.push_str(&format!("\n    {name}: {value}"));
        }
    }
    for value in answer.headers.get_all("www-authenticate") {
        let value = value.to_str().unwrap();
        let shown = value.split(", resource_metadata").next().unwrap();
        line.push_str(&format!(
            "\n    www-authenticate: {shown}, resource_metadata=…"
        ));
    }
    line
}

const TICKETS: &str = "/helpdesk/tickets";
const COMMENTS: &str = "/helpdesk/tickets/T-1001/comments";
const JSON: (&str, &str) = ("content-type", "application/json");

/// Tokens that are none, or not the caller's, or not for here.
async fn proofs(installation: &Installation, table: &mut Table) {
    let (project, task) = (&installation.project, installation.task().await);
    let caller = Caller::new(project, &task);
    let without_nonce = caller.fields("GET", TICKETS);
    caller.learn().await;
    let used = caller.fields("GET", TICKETS);
    assert_eq!(get_tickets(installation, &used).await.status, 200);
    let only = |text: String| vec![("authorization", text)];
    let (proof, none) = (ReasonCode::InvalidDpopProof, ReasonCode::Unauthenticated);
    #[rustfmt::skip]
    let rows = [
        ("a proof without the gateway's nonce", ReasonCode::UseDpopNonce, without_nonce.to_vec()),
        ("a proof for another method", proof, caller.fields("POST", TICKETS).to_vec()),
        ("a proof for another path", proof, caller.fields("GET", "/helpdesk/refunds").to_vec()),
        ("the same proof again", proof, used.to_vec()),
        ("no proof", proof, only(format!("DPoP {}", task.token))),
        ("nothing", none, vec![]),
        ("the token as a bearer's", none, only(format!("Bearer {}", task.token))),
        ("no token", none, only(format!("DPoP {CANARY}"))),
    ];
    for (what, wanted, fields) in rows {
        table.add(what, wanted, &get_tickets(installation, &fields).await);
    }
    let other = token_for(installation, "odd").await;
    let answer = Caller::new(project, &other)
        .send("GET", TICKETS, &[], "")
        .await;
    table.add(
        "a token for another API",
        ReasonCode::WrongAudience,
        &answer,
    );
}

async fn get_tickets(installation: &Installation, fields: &[(&'static str, String)]) -> Answer {
    let headers: Vec<_> = fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let gateway = installation.project.gateway();
    let answer = gateway.send(hyper::Method::GET, TICKETS, &headers, "");
    answer.await.unwrap()
}

/// A task whose token is for one API alone.
async fn token_for(installation: &Installation, api: &str) -> OpenTask {
    let (project, mut task) = (&installation.project, installation.task().await);
    let identity = project.client().identity(None).await.unwrap();
    let resource = format!("http://127.0.0.1:{}/{api}", project.gateway);
    let form = form(&[
        ("grant_type", "client_credentials"),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe",
        ),
        ("client_assertion", &identity.svid),
        ("resource", &resource),
        (
            "authorization_details",
            &format!(r#"[{{"type":"writ_task","purpose":"trial","actions":["{api}:echo"]}}]"#),
        ),
    ]);
    let uri = format!("http://127.0.0.1:{}/oauth/token", project.control);
    let mut nonce = None;
    loop {
        let (jti, now) = (random_id().unwrap(), TestClock::start().now());
        let proof = task
            .key
            .prove(("POST", &uri), None, nonce.as_deref(), &jti, now)
            .unwrap();
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("dpop", proof.as_str()),
        ];
        let answer = project
            .control()
            .send(hyper::Method::POST, "/oauth/token", &headers, form.clone())
            .await
            .unwrap();
        let json = answer.json();
        if let Some(token) = json.member("access_token").and_then(Value::as_str) {
            token.clone_into(&mut task.token);
            return task;
        }
        assert!(nonce.is_none(), "{json}");
        nonce = answer.header("dpop-nonce").map(str::to_owned);
    }
}

/// What is tried, what refuses it, and the request: method, path, fields, body.
type Row<'a> = (
    &'a str,
    ReasonCode,
    &'a str,
    &'a str,
    &'a [(&'a str, &'a str)],
    &'a str,
);

/// Requests that are not what the contract describes.
async fn contract(installation: &Installation, table: &mut Table) {
    let task = installation.task().await;
    let caller = Caller::new(&installation.project, &task);
    let canary_body = format!(r#"{{"body":1,"{CANARY}":"{CANARY}"}}"#);
    let twice = format!(r#"{{"body":"{CANARY}","body":"{CANARY}"}}"#);
    let large = CANARY.repeat(1000);
    let deep = "[".repeat(200);
    let long = format!("/helpdesk/tickets?after={}", CANARY.repeat(2000));
    let (query, path) = (
        format!("{TICKETS}?{CANARY}={CANARY}"),
        format!("/helpdesk/{CANARY}"),
    );
    let (bad_id, unknown_api) = (
        format!("/helpdesk/tickets/{CANARY}"),
        format!("/{CANARY}/x"),
    );
    let bad_path = format!("{TICKETS}/{CANARY}/%2e%2e/x");
    let text = [("content-type", "text/x-c4n4ry")];
    #[rustfmt::skip]
    let rows: [Row<'_>; 21] = [
        ("a path with a step back", ReasonCode::MalformedRequest, "GET", &bad_path, &[], ""),
        ("two content types", ReasonCode::MalformedRequest, "POST", COMMENTS, &[JSON, JSON], "{}"),
        ("a target that is too long", ReasonCode::MalformedRequest, "GET", &long, &[], ""),
        ("a change of protocol", ReasonCode::MalformedRequest, "GET", TICKETS, &[("upgrade", CANARY), ("connection", "upgrade")], ""),
        ("no such API", ReasonCode::UnknownOperation, "GET", &unknown_api, &[], ""),
        ("no such path", ReasonCode::UnknownOperation, "GET", &path, &[], ""),
        ("no such method", ReasonCode::MethodNotAllowed, "PUT", TICKETS, &[], ""),
        ("a method nobody knows", ReasonCode::MethodNotAllowed, "C4N4RY", TICKETS, &[], ""),
        ("a parameter nobody declared", ReasonCode::InvalidInput, "GET", &query, &[], ""),
        ("a parameter of another form", ReasonCode::InvalidInput, "GET", &bad_id, &[], ""),
        ("a parameter out of range", ReasonCode::InvalidInput, "GET", "/helpdesk/tickets?limit=1000", &[], ""),
        ("a parameter twice", ReasonCode::InvalidInput, "GET", "/helpdesk/tickets?limit=1&limit=2", &[], ""),
        ("members of other types and names", ReasonCode::InvalidInput, "POST", COMMENTS, &[JSON], &canary_body),
        ("a member twice", ReasonCode::InvalidInput, "POST", COMMENTS, &[JSON], &twice),
        ("a body that is too deep", ReasonCode::InvalidInput, "POST", COMMENTS, &[JSON], &deep),
        ("no body", ReasonCode::InvalidInput, "POST", COMMENTS, &[], ""),
        ("a body where none belongs", ReasonCode::InvalidInput, "GET", TICKETS, &[JSON], &twice),
        ("a body that is too large", ReasonCode::BodyTooLarge, "POST", COMMENTS, &[JSON], &large),
        ("a body of another type", ReasonCode::UnsupportedMediaType, "POST", COMMENTS, &text, CANARY),
        ("a body of no type", ReasonCode::InvalidInput, "POST", COMMENTS, &[], CANARY),
        ("a compressed body", ReasonCode::UnsupportedEncoding, "POST", COMMENTS, &[JSON, ("content-encoding", CANARY)], CANARY),
    ];
    for (what, wanted, method, path, headers, body) in rows {
        let answer = caller.send(method, path, headers, body.to_owned()).await;
        table.add(what, wanted, &answer);
    }
    let head = wire::head(&installation.project, &caller, "POST", COMMENTS);
    let half = format!(
        "{head}content-type: application/json\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{{\"body\":"
    );
    let upload = wire::head(&installation.project, &caller, "PUT", "/odd/upload");
    let unannounced = format!(
        "{upload}content-type: application/octet-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    table.add(
        "a file that does not say how long it is",
        ReasonCode::LengthRequired,
        &wire::parse(&wire::exchange(&installation.project, &unannounced).await),
    );
    table.add(
        "half a body",
        ReasonCode::BodyTimeout,
        &wire::parse(&wire::exchange(&installation.project, &half).await),
    );
}

/// Requests that are well-formed and not allowed.
async fn policy(installation: &Installation, table: &mut Table) {
    let task = installation.task().await;
    let caller = Caller::new(&installation.project, &task);
    let comment = format!(r#"{{"body":"{CANARY}"}}"#);
    let refund = format!("/helpdesk/refunds?{CANARY}");
    // Beyond the limit: whoever reads it answers 413.
    let large = CANARY.repeat(1000);
    let close = "/helpdesk/tickets/T-1001/close";
    #[rustfmt::skip]
    let rows: [(&str, ReasonCode, &str, &str, &str); 6] = [
        ("an action of the API that the task does not hold", ReasonCode::ActionNotGranted, "GET", &refund, ""),
        ("the same with a body that is too large to read", ReasonCode::ActionNotGranted, "POST", "/helpdesk/refunds", &large),
        ("an argument outside the bounds", ReasonCode::OutsideBounds, "POST", "/helpdesk/tickets/T-1002/comments", &comment),
        ("what a policy forbids", ReasonCode::Forbidden, "POST", close, r#"{"resolution":"solved"}"#),
        ("what a policy forbids whatever the arguments", ReasonCode::Forbidden, "POST", close, &comment),
        ("a number that the policy cannot compare exactly", ReasonCode::Unrepresentable, "POST", "/odd/measure", r#"{"value":9.99999}"#),
    ];
    for (what, wanted, method, path, body) in rows {
        let headers = if body.is_empty() {
            &[][..]
        } else {
            &[JSON][..]
        };
        let answer = caller.send(method, path, headers, body.to_owned()).await;
        table.add(what, wanted, &answer);
    }
    let task = installation
        .task_with(&["odd:echo"], r#","budget":{"calls":1}"#)
        .await;
    let caller = Caller::new(&installation.project, &task);
    let answer = caller.send("POST", COMMENTS, &[JSON], large).await;
    let what = "an action of the purpose that the task does not hold, likewise";
    table.add(what, ReasonCode::ActionNotGranted, &answer);
    assert_eq!(caller.send("GET", "/odd/echo", &[], "").await.status, 200);
    let answer = caller.send("GET", "/odd/echo", &[], "").await;
    table.add(
        "one call more than the budget has",
        ReasonCode::BudgetExhausted,
        &answer,
    );
}

/// Calls that were allowed, and an upstream that is at fault.
async fn upstream(installation: &Installation, table: &mut Table) {
    let task = installation.task().await;
    let caller = Caller::new(&installation.project, &task);
    let (unreachable, invalid) = (ReasonCode::UpstreamUnreachable, ReasonCode::UpstreamInvalid);
    #[rustfmt::skip]
    let rows = [
        ("the upstream hangs up", unreachable, "/odd/closed", "upstream_error"),
        ("the upstream speaks something else", unreachable, "/odd/garbage", "upstream_error"),
        ("the upstream breaks off in the middle", unreachable, "/odd/half", "upstream_error"),
        ("the upstream says nothing", ReasonCode::UpstreamTimeout, "/odd/silent", "upstream_error"),
        ("an answer larger than the limit", invalid, "/odd/oversize", "cut"),
        ("the same without a length", invalid, "/odd/oversize-chunked", "cut"),
        ("an answer that repeats the credential", invalid, "/odd/leak-body", "cut"),
        ("a field that repeats the credential", invalid, "/odd/leak-header", "cut"),
        ("an answer that repeats the credential as it was sent", invalid, "/basic/leak-basic", "cut"),
        ("an answer in a coding that was not asked for", invalid, "/odd/coded", "cut"),
        ("a credential that nobody has set", ReasonCode::CredentialUnavailable, "/keyless/echo", "cut"),
    ];
    let rows = rows.map(|(what, wanted, path, result)| ("GET", what, wanted, path, result));
    let written = [(
        "POST",
        "a write that the upstream may have heard",
        ReasonCode::EffectUnknown,
        "/odd/vanish",
        "upstream_error",
    )];
    for (method, what, wanted, path, result) in rows.into_iter().chain(written) {
        let answer = caller.send(method, path, &[], "").await;
        table.add(what, wanted, &answer);
        // The upstream had heard of it, or could have: there is an intent and an outcome.
        let outcome = installation
            .outcome(answer.header("writ-call-id").unwrap())
            .await;
        assert_eq!(outcome, result, "{what}");
    }
}

/// Tasks and agents that are full, stopped or not wanted any more.
async fn endings(installation: &Installation, table: &mut Table) {
    let (project, task) = (&installation.project, installation.task().await);
    let caller = Caller::new(project, &task);
    caller.learn().await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = wire::connect(project).await;
        let head = wire::head(project, &caller, "GET", "/odd/stream");
        stream
            .write_all(format!("{head}\r\n").as_bytes())
            .await
            .unwrap();
        // The head of the answer is there: the call is in flight until the stream's last byte.
        assert_eq!(stream.read_u8().await.unwrap(), b'H');
        streams.push(stream);
    }
    let answer = caller.send("GET", "/odd/echo", &[], "").await;
    table.add(
        "a third call while two are in flight",
        ReasonCode::TooManyInFlight,
        &answer,
    );
    drop(streams);

    installation.kill(&task).await;
    let answer = caller.send("GET", TICKETS, &[], "").await;
    table.add("a task that was stopped", ReasonCode::TaskEnded, &answer);

    let task = open(
        &project.client(),
        r#"[{"type":"writ_task","purpose":"trial","actions":["odd:echo"]}]"#,
    )
    .await;
    for path in ["/v1/kill", "/v1/resume"] {
        let ordered = project.operator(hyper::Method::POST, path, r#"{"api":"odd"}"#);
        assert_eq!(ordered.await.status, 200);
        if path == "/v1/kill" {
            let caller = Caller::new(project, &task);
            let answer = caller.send("GET", "/odd/echo", &[], "").await;
            table.add("an API that was stopped", ReasonCode::Stopped, &answer);
        }
    }
    let path = project.path("agents/bot.toml");
    let agent = std::fs::read_to_string(&path).unwrap();
    project.write("agents/bot.toml", &format!("enabled = false\n{agent}"));
    let (code, _, said) = project.run(&["apply"]);
    assert_eq!(code, 0, "{said}");
    let answer = Caller::new(project, &task)
        .send("GET", "/odd/echo", &[], "")
        .await;
    table.add(
        "an agent that was disabled",
        ReasonCode::AgentDisabled,
        &answer,
    );
}
