//! A request body that is passed on as it comes: files, whose bytes nobody looks at.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use writ::agent::OpenTask;
use writ::http::Answer;
use writ_testkit::{Caller, runtime};
use writ_types::Value;

use crate::installation::Installation;
use crate::wire;

const FILE: &str = "content-type: application/octet-stream\r\n";

/// An upload of which the upstream has seen `start`, of `length` bytes.
async fn begin(
    installation: &Installation,
    task: &OpenTask,
    start: &str,
    length: usize,
) -> TcpStream {
    let caller = Caller::new(&installation.project, task);
    caller.learn().await;
    let head = wire::head(&installation.project, &caller, "PUT", "/odd/upload");
    let mut stream = wire::connect(&installation.project).await;
    let mut seen = installation.odd.uploaded.subscribe();
    let request =
        format!("{head}{FILE}connection: close\r\ncontent-length: {length}\r\n\r\n{start}");
    stream.write_all(request.as_bytes()).await.unwrap();
    seen.wait_for(|text| text == start).await.unwrap();
    stream
}

async fn answer(mut stream: TcpStream) -> Answer {
    use tokio::io::AsyncReadExt as _;
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes).await);
    wire::parse(&String::from_utf8_lossy(&bytes))
}

#[test]
fn the_upstream_has_the_first_part_before_the_last_is_sent() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let mut stream = begin(&installation, &task, "first ", 10).await;
        stream.write_all(b"last").await.unwrap();
        let answer = answer(stream).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(*installation.odd.uploaded.borrow(), "first last");

        // The intent was there before the bytes and has their announced length; the outcome commits to what passed.
        let call = answer.header("writ-call-id").unwrap();
        assert_eq!(installation.outcome(call).await, "completed");
        let intent = installation.detail(call, "intent").await;
        assert_eq!(intent.member("request_bytes"), Some(&Value::from_u64(10)));
        let outcome = installation.detail(call, "outcome").await;
        assert_eq!(outcome.member("request_bytes"), Some(&Value::from_u64(10)));
        let digest = outcome.member("request").and_then(Value::as_str).unwrap();
        assert!(digest.starts_with("hmac:"), "{digest}");
    });
}

#[test]
fn a_kill_cuts_an_upload() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let stream = begin(&installation, &task, "first ", 10).await;
        installation.kill(&task).await;
        let mut seen = installation.odd.uploaded.subscribe();
        seen.wait_for(|text| text == "first !").await.unwrap();
        let answer = answer(stream).await;
        assert_eq!(answer.status, 401);
        let call = answer.header("writ-call-id").unwrap();
        assert_eq!(installation.outcome(call).await, "cut");
    });
}

#[test]
fn what_is_read_while_an_upload_passes_does_not_leave_with_it() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        // No stranger's word may be uploaded, and none was read when this began.
        let mut stream = begin(&installation, &task, "first ", 10).await;
        let caller = Caller::new(&installation.project, &task);
        caller.learn().await;
        let read = caller
            .send("GET", "/helpdesk/tickets/T-1001", &[], "")
            .await;
        assert_eq!(read.status, 200);
        let mut seen = installation.odd.uploaded.subscribe();
        stream.write_all(b"last").await.unwrap();
        seen.wait_for(|text| text != "first ").await.unwrap();
        assert_eq!(*installation.odd.uploaded.borrow(), "first !");
        let answer = answer(stream).await;
        assert_eq!(
            (answer.status, writ_testkit::reason(&answer).as_str()),
            (502, "effect_unknown")
        );
        let call = answer.header("writ-call-id").unwrap();
        assert_eq!(installation.outcome(call).await, "cut");
    });
}

#[test]
fn a_client_that_stops_in_the_middle_is_no_fault_of_the_upstream() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        // Silent for longer than it may be.
        let stream = begin(&installation, &task, "first ", 10).await;
        let silent = answer(stream).await;
        assert_eq!(silent.status, 408, "{}", silent.json());
        let call = silent.header("writ-call-id").unwrap();
        assert_eq!(installation.outcome(call).await, "unknown");
        // Gone: the upstream's request ends without having been whole.
        let stream = begin(&installation, &task, "second ", 10).await;
        drop(stream);
        let mut seen = installation.odd.uploaded.subscribe();
        seen.wait_for(|text| text == "second !").await.unwrap();
    });
}

#[test]
fn what_is_not_announced_or_too_long_is_never_begun() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let project = &installation.project;
        let caller = Caller::new(project, &task);
        caller.learn().await;
        for (status, reason, fields) in [
            (
                411,
                "length_required",
                format!("{FILE}transfer-encoding: chunked\r\n"),
            ),
            (
                413,
                "body_too_large",
                format!("{FILE}content-length: 16385\r\n"),
            ),
            (
                415,
                "unsupported_media_type",
                "content-type: text/plain\r\ncontent-length: 5\r\n".to_owned(),
            ),
            (
                415,
                "unsupported_encoding",
                format!("{FILE}content-encoding: gzip\r\ncontent-length: 5\r\n"),
            ),
        ] {
            let head = wire::head(project, &caller, "PUT", "/odd/upload");
            let text =
                wire::exchange(project, &format!("{head}{fields}connection: close\r\n\r\n")).await;
            let answer = wire::parse(&text);
            assert_eq!(answer.status, status, "{fields}: {text}");
            assert_eq!(
                answer.json().member("reason_code"),
                Some(&Value::from(reason))
            );
        }
        assert!(
            installation
                .odd
                .seen()
                .iter()
                .all(|request| !request.contains("/upload"))
        );
    });
}
