//! Header fields: what stays between agent and gateway, and what stays between gateway and upstream.

use writ_testkit::{Caller, runtime};

use crate::installation::Installation;
use crate::odd::{KEY, base64};

#[test]
fn the_upstream_sees_what_the_contract_declares_and_nothing_of_the_caller() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let caller = Caller::new(&installation.project, &task);
        let headers = [
            ("accept", "application/json"),
            ("if-none-match", "\"7\""),
            ("cookie", "session=agent"),
            ("x-odd-key", "forged-by-the-agent"),
            ("proxy-authorization", "Basic Zm9v"),
            ("writ-call-id", "cal_forged"),
            ("writ-agent", "admin"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-host", "elsewhere.example"),
            ("x-real-ip", "192.0.2.1"),
            ("forwarded", "for=192.0.2.1"),
            ("via", "1.1 agent"),
            ("connection", "x-named, keep-alive"),
            ("x-named", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("x-http-method-override", "DELETE"),
            ("accept-encoding", "gzip"),
            ("user-agent", "agent/1"),
            ("origin", "https://elsewhere.example"),
            ("range", "bytes=0-1"),
            ("expect", "nothing"),
        ];
        let answer = caller.send("GET", "/odd/echo", &headers, "").await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let seen = installation.odd.seen();
        let [request] = seen.as_slice() else {
            panic!("{seen:?}")
        };
        let mut lines: Vec<&str> = request.trim_end().lines().collect();
        assert_eq!(lines.remove(0), "GET /echo HTTP/1.1");
        lines.sort_unstable();
        let host = format!("host: {}", installation.odd.address);
        let own = format!("user-agent: writ/{}", env!("CARGO_PKG_VERSION"));
        let key = format!("x-odd-key: {KEY}");
        let wanted = [
            "accept-encoding: identity",
            "accept: application/json",
            &host,
            "if-none-match: \"7\"",
            &own,
            &key,
        ];
        assert_eq!(lines, wanted);
        assert!(!request.contains(&task.token));

        // A basic credential takes the place of the agent's token in the same field.
        let answer = caller.send("GET", "/basic/echo", &[], "").await;
        assert_eq!(answer.status, 200);
        let seen = installation.odd.seen();
        let wanted = format!("authorization: Basic {}", base64(&format!("robot:{KEY}")));
        let fields: Vec<&str> = seen
            .last()
            .unwrap()
            .lines()
            .filter(|line| line.starts_with("authorization"))
            .collect();
        assert_eq!(fields, [wanted]);
    });
}

#[test]
fn the_agent_sees_nothing_of_the_upstreams_sessions_and_machines() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let answer = Caller::new(&installation.project, &task)
            .send("GET", "/odd/headers", &[], "")
            .await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let mut names: Vec<&str> = answer.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "content-length",
                "content-type",
                "date",
                "etag",
                "writ-call-id",
                "x-fine"
            ]
        );
        let call = answer.header("writ-call-id").unwrap();
        assert!(call != "cal_forged" && answer.headers.get_all("writ-call-id").iter().count() == 1);
        assert_eq!(installation.outcome(call).await, "completed");
    });
}
