//! The wire itself: HTTP/2 means what HTTP/1.1 means, and no shape of HTTP/1.1 brings a second request past the first
//! (RFC 9112 §11.2).

use std::net::Ipv4Addr;

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use writ_testkit::{Caller, runtime};

use crate::installation::Installation;
use crate::wire;

const COMMENTS: &str = "/helpdesk/tickets/T-1001/comments";

#[test]
fn a_call_over_http_2_is_the_call_it_is_over_http_1() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let project = &installation.project;
        let caller = Caller::new(project, &task);
        let one = caller
            .send("GET", "/helpdesk/tickets?limit=2", &[], "")
            .await;
        assert_eq!(one.status, 200);

        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, project.gateway))
            .await
            .unwrap();
        let (mut sender, connection) = hyper::client::conn::http2::handshake::<
            _,
            _,
            Full<bytes::Bytes>,
        >(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
        let driver = tokio::spawn(connection);
        // Refused and allowed calls share the connection.
        for (path, status) in [
            ("/helpdesk/tickets?limit=2", 200),
            ("/helpdesk/refunds", 403),
            ("/helpdesk/tickets?limit=2", 200),
        ] {
            let mut request = Request::builder()
                .version(Version::HTTP_2)
                .uri(format!("http://127.0.0.1:{}{path}", project.gateway));
            for (name, value) in caller.fields("GET", path) {
                request = request.header(name, value);
            }
            let response = sender
                .send_request(request.body(Full::default()).unwrap())
                .await
                .unwrap();
            assert_eq!(
                (response.status().as_u16(), response.version()),
                (status, Version::HTTP_2),
                "{path}"
            );
            assert!(response.headers().contains_key("writ-call-id"));
            let body = response.into_body().collect().await.unwrap().to_bytes();
            if status == 200 {
                assert_eq!(body, one.body);
            }
        }
        driver.abort();
        assert_eq!(installation.desk.desk.requests().len(), 3);
    });
}

/// What it is, the framing of the first request, and the bytes that follow its head, with the hidden request in them.
type Shape = (&'static str, &'static str, fn(&str) -> String);

/// Each shape hides a second request in or behind a first one that is allowed. Whatever happens to the first, the second
/// must not be served, and the help desk must not see it.
#[test]
fn no_second_request_hides_in_a_first() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let project = &installation.project;
        let caller = Caller::new(project, &task);
        caller.learn().await;
        let before = installation.desk.desk.state();
        let hidden = || {
            let head = wire::head(project, &caller, "POST", COMMENTS);
            format!("{head}content-type: application/json\r\ncontent-length: 17\r\nconnection: close\r\n\r\n{{\"body\":\"hidden\"}}")
        };
        #[rustfmt::skip]
        let shapes: [Shape; 13] = [
            ("a length and a coding", "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n", |hidden| format!("0\r\n\r\n{hidden}")),
            ("a coding and a length of all", "content-length: 9999\r\ntransfer-encoding: chunked\r\n\r\n", |hidden| format!("0\r\n\r\n{hidden}")),
            ("two lengths", "content-length: 2\r\ncontent-length: 0\r\n\r\n", |hidden| format!("{{}}{hidden}")),
            ("two lengths in one field", "content-length: 2, 0\r\n\r\n", |hidden| format!("{{}}{hidden}")),
            ("a length with a sign", "content-length: +0\r\n\r\n", str::to_owned),
            ("a length that is no number", "content-length: 0x0\r\n\r\n", str::to_owned),
            ("a coding that is not the last", "transfer-encoding: chunked, identity\r\n\r\n", |hidden| format!("0\r\n\r\n{hidden}")),
            ("an unknown coding", "transfer-encoding: xchunked\r\n\r\n", |hidden| format!("0\r\n\r\n{hidden}")),
            ("a folded field", "x-fold: a\r\n content-length: 0\r\n\r\n", str::to_owned),
            ("a blank before the colon", "content-length : 0\r\n\r\n", str::to_owned),
            ("a chunk whose size overflows", "transfer-encoding: chunked\r\n\r\n", |hidden| format!("10000000000000000\r\n{hidden}")),
            ("a chunk size that is no number", "transfer-encoding: chunked\r\n\r\n", |hidden| format!("-1\r\n{hidden}")),
            ("a zero byte in a field", "x-zero: a\0b\r\ncontent-length: 0\r\n\r\n", str::to_owned),
        ];
        for (what, framing, rest) in shapes {
            let first = wire::head(project, &caller, "POST", COMMENTS);
            let request = format!("{first}content-type: application/json\r\n{framing}{}", rest(&hidden()));
            let answer = wire::exchange(project, &request).await;
            let served = answer.matches("HTTP/1.1 2").count();
            assert_eq!(served, 0, "{what}: {answer}");
            assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{what}: {answer}");
            assert_eq!(installation.desk.desk.state(), before, "{what}");
        }
        assert_eq!(installation.desk.desk.requests(), []);

        // The same bytes behind an honest first request are an honest second one: the test can tell the difference.
        let first = wire::head(project, &caller, "GET", "/helpdesk/tickets");
        let answer = wire::exchange(project, &format!("{first}\r\n{}", hidden())).await;
        assert_eq!(answer.matches("HTTP/1.1 20").count(), 2, "{answer}");
        assert_eq!(installation.desk.desk.requests().len(), 2);
    });
}

/// Bare line feeds end lines for some readers (RFC 9112 §2.2) and not for others: what matters is that all that follow
/// read what we read.
#[test]
fn bare_line_feeds_bring_nothing_to_the_upstream_that_was_not_decided() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let project = &installation.project;
        let caller = Caller::new(project, &task);
        caller.learn().await;
        let first = wire::head(project, &caller, "GET", "/odd/echo").replace("\r\n", "\n");
        let answer = wire::exchange(
            project,
            &format!("{first}x-a: 1\ny: 2\nconnection: close\n\n"),
        )
        .await;
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
        for request in installation.odd.seen() {
            assert_eq!(request.matches("\r\n\r\n").count(), 1, "{request}");
            assert!(!request.replace("\r\n", "").contains('\n'), "{request}");
            assert!(!request.contains("x-a"), "{request}");
        }
        // A line feed inside a field's value ends the field: what follows is a field of its own and stays here.
        let first = wire::head(project, &caller, "GET", "/odd/echo");
        let answer = wire::exchange(
            project,
            &format!("{first}accept: a\nx-odd-key: forged\r\nconnection: close\r\n\r\n"),
        )
        .await;
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
        assert!(
            installation
                .odd
                .seen()
                .iter()
                .all(|request| !request.contains("forged"))
        );
    });
}
