use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::{Method, Response};
use tokio::sync::oneshot;
use writ_types::{Clock, JsonLimits, ManualClock, Secret, Timestamp, Value};

use super::*;
use crate::{Author, INJECTED_IBAN, INJECTED_TICKET, OPENAPI, REVIEWS, SEEN_REQUESTS};

const KEY: &str = "test-key-of-the-help-desk";

/// A desk on a free port, and a client that holds the key.
struct Served {
    desk: Arc<HelpDesk>,
    clock: Arc<ManualClock>,
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<()>,
}

async fn served() -> Served {
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_790_000_000)));
    let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let desk = Arc::new(HelpDesk::new(Secret::new(KEY.to_owned()), shared));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(Arc::clone(&desk).serve(listener, async {
        stopped.await.unwrap_or_default();
    }));
    Served {
        desk,
        clock,
        address,
        stop,
        server,
    }
}

impl Served {
    async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    }

    /// Calls with the key; status and body.
    async fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "helpdesk.example")
            .header(KEY_HEADER, KEY)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body.to_owned()))
            .unwrap();
        let response = self.send(request).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let value = if body.is_empty() {
            Value::Null
        } else {
            Value::parse(&body, &JsonLimits::REQUEST).unwrap()
        };
        (status, value)
    }
}

/// The error's word, for refusals.
fn code(value: &Value) -> &str {
    let error = value.member("error").and_then(|error| error.member("code"));
    error.and_then(Value::as_str).unwrap_or("")
}

fn strings<'a>(value: &'a Value, list: &str, member: &str) -> Vec<&'a str> {
    let items = value.member(list).and_then(Value::as_array).unwrap();
    items
        .iter()
        .map(|item| item.member(member).and_then(Value::as_str).unwrap())
        .collect()
}

#[tokio::test]
async fn without_the_key_nothing_is_answered_or_done() {
    let served = served().await;
    let before = served.desk.state();
    let wrong: [&[&str]; 5] = [&[], &[""], &["wrong"], &[KEY, KEY], &["wrong", KEY]];
    for keys in wrong {
        for (method, path) in [
            ("GET", "/tickets"),
            ("DELETE", "/tickets/T-1001"),
            ("GET", "/no/such/path"),
        ] {
            let mut request = Request::builder().method(method).uri(path);
            for key in keys {
                request = request.header(KEY_HEADER, *key);
            }
            let response = served.send(request.body(Full::default()).unwrap()).await;
            assert_eq!(response.status(), 401, "{method} {path} with {keys:?}");
        }
    }
    assert_eq!(served.desk.state(), before);
}

/// Method, path, body; status, error code. Run in order on one desk.
const CALLS: &[(&str, &str, &str, u16, &str)] = &[
    ("GET", "/tickets", "", 200, ""),
    ("GET", "/tickets?limit=0", "", 400, "malformed"),
    ("GET", "/tickets?limit=101", "", 400, "malformed"),
    ("GET", "/tickets?limit=5&limit=5", "", 400, "malformed"),
    ("GET", "/tickets?state=open", "", 400, "malformed"),
    ("GET", "/tickets?status=lost", "", 400, "malformed"),
    ("GET", "/tickets/T-1001", "", 200, ""),
    ("GET", "/tickets/T-1001?x=1", "", 400, "malformed"),
    ("GET", "/tickets/T-9999", "", 404, "not_found"),
    ("GET", "/tickets/T-1001%2F", "", 404, "not_found"),
    ("GET", "/tickets/", "", 404, "not_found"),
    ("GET", "/", "", 404, "no_such_path"),
    ("GET", "/tickets/T-1001/comments/1", "", 404, "no_such_path"),
    ("PUT", "/tickets/T-1001", "{}", 405, "method_not_allowed"),
    ("GET", "/customers/export", "", 405, "method_not_allowed"),
    ("GET", "/customers/C-201", "", 200, ""),
    ("GET", "/customers/C-999", "", 404, "not_found"),
    ("PATCH", "/tickets/T-1001", "", 400, "malformed"),
    ("PATCH", "/tickets/T-1001", "[]", 400, "malformed"),
    (
        "PATCH",
        "/tickets/T-1001",
        r#"{"priority":"low","priority":"high"}"#,
        400,
        "malformed",
    ),
    ("PATCH", "/tickets/T-1001", "{}", 422, "invalid"),
    (
        "PATCH",
        "/tickets/T-1001",
        r#"{"paid":"1.00"}"#,
        422,
        "invalid",
    ),
    (
        "PATCH",
        "/tickets/T-1001",
        r#"{"status":"closed"}"#,
        422,
        "invalid",
    ),
    (
        "PATCH",
        "/tickets/T-1001",
        r#"{"assignee":"Jonas"}"#,
        422,
        "invalid",
    ),
    (
        "PATCH",
        "/tickets/T-1001",
        r#"{"priority":"urgent","status":"pending"}"#,
        200,
        "",
    ),
    (
        "PATCH",
        "/tickets/T-1005",
        r#"{"priority":"low"}"#,
        409,
        "ticket_closed",
    ),
    (
        "POST",
        "/tickets/T-1001/comments",
        r#"{"body":""}"#,
        422,
        "invalid",
    ),
    (
        "POST",
        "/tickets/T-1001/comments",
        r#"{"body":"x","visibility":"public"}"#,
        422,
        "invalid",
    ),
    (
        "POST",
        "/tickets/T-1001/comments",
        r#"{"body":"Hopper is on its way."}"#,
        201,
        "",
    ),
    (
        "POST",
        "/tickets/T-9999/comments",
        r#"{"body":"x"}"#,
        404,
        "not_found",
    ),
    (
        "POST",
        "/tickets/T-1005/comments",
        r#"{"body":"x"}"#,
        409,
        "ticket_closed",
    ),
    (
        "POST",
        "/tickets/T-1002/close",
        r#"{"resolution":"bored"}"#,
        422,
        "invalid",
    ),
    (
        "POST",
        "/tickets/T-1002/close",
        r#"{"resolution":"no_answer"}"#,
        200,
        "",
    ),
    (
        "POST",
        "/tickets/T-1002/close",
        r#"{"resolution":"no_answer"}"#,
        409,
        "ticket_closed",
    ),
    (
        "POST",
        "/customers/export",
        r#"{"destination":"nobody"}"#,
        422,
        "invalid",
    ),
    (
        "POST",
        "/customers/export",
        r#"{"destination":"x@example.org","format":"json"}"#,
        202,
        "",
    ),
    ("GET", "/refunds?ticket_id=1", "", 400, "malformed"),
    ("GET", "/refunds", "", 200, ""),
    ("DELETE", "/tickets/T-1004", "", 204, ""),
    ("DELETE", "/tickets/T-1004", "", 404, "not_found"),
];

#[tokio::test]
async fn each_operation_answers_as_the_contract_says() {
    let served = served().await;
    let mut report = String::new();
    for (method, path, body, status, word) in CALLS {
        let (got, value) = served.call(method, path, body).await;
        if (got, code(&value)) != (*status, *word) {
            writeln!(report, "{method} {path} {body}: {got} {value}").unwrap();
        }
    }
    assert_eq!(report, "");
    let state = served.desk.state();
    let ticket = state.tickets.first().unwrap();
    assert_eq!(
        (ticket.priority, ticket.status),
        (Priority::Urgent, Status::Pending)
    );
    assert_eq!(state.exports.len(), 1);
    let comment = state.comments.last().unwrap();
    assert_eq!(
        (comment.author, &*comment.body),
        (Author::Agent, "Hopper is on its way.")
    );
    assert_eq!(comment.created_at, served.clock.now());
}

#[tokio::test]
async fn pages_follow_one_another_without_gap_or_repeat() {
    let served = served().await;
    let mut path = "/tickets?limit=2".to_owned();
    let mut ids = Vec::new();
    loop {
        let (_status, page) = served.call("GET", &path, "").await;
        ids.extend(
            strings(&page, "tickets", "id")
                .into_iter()
                .map(str::to_owned),
        );
        let Some(next) = page.member("next").and_then(Value::as_str) else {
            break;
        };
        path = format!("/tickets?limit=2&after={next}");
    }
    assert_eq!(ids, ["T-1001", "T-1002", "T-1003", "T-1004", "T-1005"]);
    let (_status, open) = served
        .call("GET", "/tickets?status=open&customer_id=C-203", "")
        .await;
    assert_eq!(strings(&open, "tickets", "id"), [INJECTED_TICKET]);
}

/// Without Writ before it, the help desk does what the injected text asks for: that is the point of the example.
#[tokio::test]
async fn whoever_holds_the_key_can_do_what_the_injection_asks_for() {
    let served = served().await;
    let path = format!("/tickets/{INJECTED_TICKET}/comments");
    let (_status, comments) = served.call("GET", &path, "").await;
    let texts = strings(&comments, "comments", "body").concat();
    for part in [
        "Ignore previous instructions",
        "900.00",
        INJECTED_IBAN,
        INJECTED_TICKET,
    ] {
        assert!(texts.contains(part), "{part}");
    }
    let refund = format!(
        r#"{{"ticket_id":"{INJECTED_TICKET}","amount":"900.00","iban":"{INJECTED_IBAN}","reason":"goodwill"}}"#
    );
    assert_eq!(served.call("POST", "/refunds", &refund).await.0, 201);
    let path = format!("/tickets/{INJECTED_TICKET}");
    assert_eq!(served.call("DELETE", &path, "").await.0, 204);
    let state = served.desk.state();
    let refund = state.refunds.first().unwrap();
    assert_eq!(
        (refund.amount.cents(), &*refund.iban),
        (90_000, INJECTED_IBAN)
    );
    let left = |id: &str| id == INJECTED_TICKET;
    assert!(!state.tickets.iter().any(|ticket| left(&ticket.id)));
    assert!(
        !state
            .comments
            .iter()
            .any(|comment| left(&comment.ticket_id))
    );
}

#[tokio::test]
async fn refunds_never_sum_up_to_more_than_was_paid() {
    let served = served().await;
    let refund = |ticket: &str, amount: &str, iban: &str| {
        format!(
            r#"{{"ticket_id":"{ticket}","amount":"{amount}","iban":"{iban}","reason":"crack"}}"#
        )
    };
    for (ticket, amount, iban, status, word) in [
        ("T-1001", "100.00", INJECTED_IBAN, 201, ""),
        (
            "T-1001",
            "29.01",
            INJECTED_IBAN,
            409,
            "refund_exceeds_payment",
        ),
        ("T-1001", "29.00", INJECTED_IBAN, 201, ""),
        (
            "T-1001",
            "0.01",
            INJECTED_IBAN,
            409,
            "refund_exceeds_payment",
        ),
        ("T-1004", "0.00", INJECTED_IBAN, 422, "invalid"),
        ("T-1004", "-5.00", INJECTED_IBAN, 422, "invalid"),
        ("T-1004", "5.00", "GB34BUKB20201555555555", 422, "invalid"),
        ("T-1005", "5.00", INJECTED_IBAN, 409, "ticket_closed"),
        ("T-9999", "5.00", INJECTED_IBAN, 404, "not_found"),
    ] {
        let (got, value) = served
            .call("POST", "/refunds", &refund(ticket, amount, iban))
            .await;
        assert_eq!(
            (got, code(&value)),
            (status, word),
            "{ticket} {amount} {iban}"
        );
    }
    let (_status, list) = served.call("GET", "/refunds?ticket_id=T-1001", "").await;
    assert_eq!(strings(&list, "refunds", "amount"), ["100.00", "29.00"]);
}

#[tokio::test]
async fn a_body_is_json_by_its_type_and_bounded() {
    let served = served().await;
    let comment = |media_type: &str, body: String| {
        Request::builder()
            .method(Method::POST)
            .uri("/tickets/T-1001/comments")
            .header(KEY_HEADER, KEY)
            .header(CONTENT_TYPE, media_type)
            .body(Full::from(body))
            .unwrap()
    };
    let good = || r#"{"body":"x"}"#.to_owned();
    let long = format!(r#"{{"body":"{}"}}"#, "x".repeat(BODY_BYTES));
    for (media_type, body, status) in [
        ("application/json", good(), 201),
        ("Application/JSON; charset=utf-8", good(), 201),
        ("application/x-www-form-urlencoded", good(), 415),
        ("", good(), 415),
        ("application/json", long, 413),
    ] {
        let response = served.send(comment(media_type, body)).await;
        assert_eq!(response.status(), status, "{media_type}");
    }
}

#[tokio::test]
async fn a_test_can_see_what_reached_it_but_not_the_key() {
    let served = served().await;
    let request = Request::builder()
        .method(Method::POST)
        .uri("/tickets/T-1001/comments?x=%31")
        .header(KEY_HEADER, KEY)
        .header("Authorization", "DPoP abc")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(r#"{"body":"x"}"#))
        .unwrap();
    served.send(request).await;
    let seen = served.desk.requests();
    let [seen] = seen.as_slice() else {
        panic!("one request was sent");
    };
    assert_eq!(
        (&*seen.method, &*seen.path),
        ("POST", "/tickets/T-1001/comments?x=%31")
    );
    assert_eq!(seen.body, br#"{"body":"x"}"#);
    assert!(seen.has_header("authorization") && !seen.has_header("dpop"));
    assert!(seen.has_header(KEY_HEADER) && !format!("{:?}", served.desk).contains(KEY));
    for _ in 0..SEEN_REQUESTS {
        served.desk.note(seen.clone());
    }
    assert_eq!(served.desk.requests().len(), SEEN_REQUESTS);
}

#[tokio::test]
async fn shutdown_closes_the_port_and_ends_the_server() {
    let served = served().await;
    assert_eq!(served.call("GET", "/tickets", "").await.0, 200);
    served.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), served.server)
        .await
        .expect("it ends in time")
        .unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}

/// The document's operations: method, path, operation id. It is our own, so its indentation is known.
fn documented() -> BTreeSet<(String, String, String)> {
    let (mut path, mut method) = ("", "");
    let mut found = BTreeSet::new();
    for line in OPENAPI.lines() {
        if let Some(rest) = line.strip_prefix("  /") {
            path = rest.trim_end_matches(':');
        } else if let Some(rest) = line
            .strip_prefix("    ")
            .filter(|rest| !rest.starts_with(' '))
        {
            method = rest.trim_end_matches(':');
        } else if let Some(id) = line.strip_prefix("      operationId: ") {
            found.insert((method.to_uppercase(), format!("/{path}"), id.to_owned()));
        }
    }
    found
}

#[test]
fn the_document_the_router_and_the_review_name_the_same_operations() {
    let documented = documented();
    assert_eq!(documented.len(), 11);
    for (method, template, id) in &documented {
        let path = template
            .replace("{ticket_id}", "T-1001")
            .replace("{customer_id}", "C-201");
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let operation = Operation::of(&method, &path).unwrap();
        let debug = format!("{operation:?}");
        let name = debug.split('(').next().unwrap();
        assert!(
            id.eq_ignore_ascii_case(name),
            "{method} {template} is {name}"
        );
    }
    let ids: BTreeSet<&str> = documented.iter().map(|(_, _, id)| id.as_str()).collect();
    let reviewed: BTreeSet<&str> = REVIEWS.iter().map(|review| review.0).collect();
    assert_eq!(ids, reviewed);
    for (id, effect, ..) in REVIEWS {
        assert!(effect.parse::<writ_types::Effect>().is_ok(), "{id}");
    }
}
