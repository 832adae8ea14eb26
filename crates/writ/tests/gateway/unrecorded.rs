//! A call that has no record does not happen.

use std::process::Command;

use writ_testkit::{Caller, reason, runtime};

use crate::installation::Installation;
use crate::refusals::{is_clean, line};

#[test]
fn a_log_that_cannot_be_written_stops_every_call_before_the_upstream_hears_of_it() {
    runtime().block_on(async {
        let installation = Installation::start_by(|project| {
            // A file that reaches its size limit is an error of the write, and not the end of the process.
            let serve = project.command(&["serve"]);
            let mut command = Command::new("sh");
            command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
            command.arg(serve.get_program()).args(serve.get_args());
            command
        })
        .await;
        let task = installation.task().await;
        let caller = Caller::new(&installation.project, &task);
        assert_eq!(caller.send("GET", "/odd/echo", &[], "").await.status, 200);
        let before = (
            installation.odd.seen().len(),
            installation.desk.desk.requests().len(),
        );

        installation.server.let_no_file_grow();
        for (method, path, body) in [
            (
                "POST",
                "/helpdesk/tickets/T-1001/comments",
                r#"{"body":"unrecorded"}"#,
            ),
            ("GET", "/odd/echo", ""),
            ("GET", "/helpdesk/tickets", ""),
            // A refusal that nobody can look up teaches nobody.
            ("GET", "/helpdesk/refunds", ""),
        ] {
            let headers = [("content-type", "application/json")];
            let answer = caller
                .send(
                    method,
                    path,
                    if body.is_empty() { &[] } else { &headers },
                    body,
                )
                .await;
            is_clean(path, &answer);
            assert_eq!(
                (answer.status, reason(&answer).as_str()),
                (503, "record_unavailable"),
                "{method} {path}"
            );
            if method == "POST" {
                insta::assert_snapshot!(
                    "unrecorded",
                    line("a log that cannot be written", &answer)
                );
            }
        }
        let after = (
            installation.odd.seen().len(),
            installation.desk.desk.requests().len(),
        );
        assert_eq!(
            before, after,
            "something reached an upstream without a record"
        );
    });
}
