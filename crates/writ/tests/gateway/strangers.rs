//! Strangers: whoever has no live token bound to a key of its own learns that, and nothing else.

use hyper::Method;
use tokio::io::AsyncWriteExt as _;
use writ_testkit::{reason, runtime};

use crate::installation::{CANARY, Installation};
use crate::refusals::is_clean;
use crate::wire;

#[test]
fn whatever_a_stranger_asks_for_the_answer_is_the_same() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let mut bodies = Vec::new();
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/helpdesk/tickets"),
            ("GET", "/helpdesk/tickets?c4n4ry=c4n4ry"),
            ("PUT", "/helpdesk/tickets"),
            ("C4N4RY", "/helpdesk/tickets"),
            ("GET", "/helpdesk/no-such-path"),
            ("GET", "/no-such-api/x"),
            ("GET", "/NO-API-AT-ALL/x"),
            ("GET", "/helpdesk/a%2"),
            ("GET", "/helpdesk/../keyless"),
            ("GET", "//helpdesk//tickets"),
            ("GET", "/helpdesk/%00c4n4ry"),
            ("GET", "/.well-known/oauth-authorization-server"),
            ("GET", "/.well-known/oauth-protected-resource/helpdesk/x"),
            ("GET", "/.well-known/oauth-protected-resource/NO-API"),
            ("POST", "/.well-known/oauth-protected-resource"),
            ("GET", "/v1/tasks"),
            ("GET", "/metrics"),
            ("OPTIONS", "/helpdesk/tickets"),
        ] {
            let what = format!("{method} {path}");
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let headers = [(CANARY, CANARY), ("cookie", CANARY)];
            let body = format!("{{\"{CANARY}\":1}}");
            let answer = installation
                .project
                .gateway()
                .send(method, path, &headers, body)
                .await;
            let answer = answer.unwrap();
            is_clean(&what, &answer);
            assert_eq!(
                (answer.status, reason(&answer).as_str()),
                (401, "unauthenticated"),
                "{what}"
            );
            let call = answer.header("writ-call-id").unwrap();
            assert_eq!(
                installation.records(call).await,
                [],
                "{what}: strangers are counted, not recorded"
            );
            let text = String::from_utf8(answer.body.to_vec()).unwrap();
            let names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
            bodies.push((text.replace(call, "cal_"), names));
        }
        let first = bodies.first().unwrap().clone();
        assert!(bodies.iter().all(|body| *body == first), "{bodies:#?}");
        assert_eq!(installation.desk.desk.requests(), []);
    });
}

/// What would be refused for another reason if the caller were known is refused for this one before.
#[test]
fn a_stranger_is_refused_before_its_request_is_looked_at() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let project = &installation.project;
        let host = format!(
            "host: 127.0.0.1:{}\r\nconnection: close\r\n",
            project.gateway
        );
        for (what, fields) in [
            ("a body beyond the limit", "content-length: 9999999\r\n"),
            (
                "a body that never comes",
                "content-length: 10\r\ncontent-type: application/json\r\n",
            ),
            (
                "a coding",
                "content-length: 0\r\ncontent-encoding: gzip\r\n",
            ),
            (
                "two types",
                "content-length: 0\r\ncontent-type: a/b\r\ncontent-type: c/d\r\n",
            ),
            ("another host", "host: elsewhere.example\r\n"),
            (
                "forwarding claims",
                "x-forwarded-for: 127.0.0.1\r\nforwarded: for=127.0.0.1\r\nwrit-agent: admin\r\n",
            ),
        ] {
            let request = format!("POST /helpdesk/refunds HTTP/1.1\r\n{host}{fields}\r\n");
            let answer = wire::parse(&wire::exchange(project, &request).await);
            is_clean(what, &answer);
            assert_eq!(
                (answer.status, reason(&answer).as_str()),
                (401, "unauthenticated"),
                "{what}"
            );
        }
        assert_eq!(installation.desk.desk.requests(), []);
    });
}

/// The one thing a stranger may ask (RFC 9728).
#[test]
fn the_resource_metadata_is_for_everyone() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let gateway = installation.project.gateway();
        for (path, resource) in [
            ("/.well-known/oauth-protected-resource", ""),
            (
                "/.well-known/oauth-protected-resource/helpdesk",
                "/helpdesk",
            ),
            // Whether there is such an API is not for strangers.
            (
                "/.well-known/oauth-protected-resource/nosuchapi",
                "/nosuchapi",
            ),
        ] {
            let answer = gateway.send(Method::GET, path, &[], "").await.unwrap();
            assert_eq!(answer.status, 200, "{path}");
            let wanted = format!(
                "http://127.0.0.1:{}{resource}",
                installation.project.gateway
            );
            let json = answer.json();
            assert_eq!(
                json.member("resource").and_then(writ_types::Value::as_str),
                Some(wanted.as_str())
            );
        }
    });
}

/// A challenge leads to the metadata of what was asked for (RFC 9728 §5.1), whether there is such an API or not.
#[test]
fn a_challenge_leads_to_the_metadata_of_the_resource() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let gateway = installation.project.gateway();
        let base = format!("http://127.0.0.1:{}", installation.project.gateway);
        for (path, resource) in [
            ("/", ""),
            ("/helpdesk/tickets", "/helpdesk"),
            ("/helpdesk", "/helpdesk"),
            ("/nosuchapi/x", "/nosuchapi"),
            ("/Not-An-Id/x", ""),
            ("//helpdesk/tickets", ""),
            ("/%68elpdesk/tickets", ""),
        ] {
            let answer = gateway.send(Method::GET, path, &[], "").await.unwrap();
            assert_eq!(answer.status, 401, "{path}");
            let wanted = format!(
                "resource_metadata=\"{base}/.well-known/oauth-protected-resource{resource}\""
            );
            let challenges = answer.headers.get_all("www-authenticate");
            let challenges: Vec<&str> = challenges.iter().map(|v| v.to_str().unwrap()).collect();
            assert_eq!(challenges.len(), 2, "{path}");
            for challenge in challenges {
                assert!(challenge.ends_with(&wanted), "{path}: {challenge}");
            }
        }
    });
}

/// Heads beyond the limits end before anything of Writ sees them.
#[test]
fn a_head_beyond_the_limits_is_refused_as_it_is_read() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let project = &installation.project;
        let host = format!(
            "host: 127.0.0.1:{}\r\nconnection: close\r\n",
            project.gateway
        );
        let many: String = (0..200)
            .map(|number| format!("x-{number}: {CANARY}\r\n"))
            .collect();
        let long = CANARY.repeat(20_000);
        for (what, request, status) in [
            (
                "too many fields",
                format!("GET / HTTP/1.1\r\n{host}{many}\r\n"),
                "431",
            ),
            (
                "a field that is too long",
                format!("GET / HTTP/1.1\r\n{host}x-long: {long}\r\n\r\n"),
                "431",
            ),
            (
                "a target that is too long",
                format!("GET /{long} HTTP/1.1\r\n{host}\r\n"),
                "431",
            ),
        ] {
            let answer = wire::exchange(project, &request).await;
            let said = answer.lines().next().unwrap_or_default().to_owned();
            assert!(
                said.starts_with(&format!("HTTP/1.1 {status} ")),
                "{what}: {said:?}"
            );
            assert!(!answer.contains(CANARY), "{what}");
        }
        let mut stream = wire::connect(project).await;
        stream
            .write_all(b"\x16\x03\x01 not HTTP at all\r\n\r\n")
            .await
            .unwrap();
    });
}
