//! A response that is passed on as it comes, and what a kill and the credential's guard do to it.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use writ_testkit::{Caller, runtime};

use crate::installation::Installation;
use crate::odd::KEY;
use crate::wire;

/// Reads until the text is there; none if the connection ends first.
async fn read_until(stream: &mut TcpStream, seen: &mut String, wanted: &str) -> Option<()> {
    while !seen.contains(wanted) {
        let mut bytes = Vec::new();
        let read = stream
            .read_buf(&mut bytes)
            .await
            .ok()
            .filter(|read| *read > 0);
        read?;
        seen.push_str(&String::from_utf8_lossy(&bytes));
    }
    Some(())
}

#[test]
fn a_stream_passes_as_it_comes_and_a_kill_cuts_it() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let project = &installation.project;
        let caller = Caller::new(project, &task);
        caller.learn().await;
        let mut stream = wire::connect(project).await;
        let head = wire::head(project, &caller, "GET", "/odd/stream");
        stream
            .write_all(format!("{head}\r\n").as_bytes())
            .await
            .unwrap();
        let mut seen = String::new();
        // The upstream goes on only after the part before has arrived here.
        for number in 0..3 {
            read_until(&mut stream, &mut seen, &format!("part {number}: "))
                .await
                .unwrap();
            installation.odd.go_on.notify_one();
        }
        assert!(seen.starts_with("HTTP/1.1 200 OK\r\n"), "{seen}");
        let call = seen
            .lines()
            .find_map(|line| line.strip_prefix("writ-call-id: "))
            .unwrap()
            .to_owned();

        installation.kill(&task).await;
        // Nobody tells the upstream to go on: the end comes from the kill.
        assert_eq!(read_until(&mut stream, &mut seen, "never").await, None);
        assert!(
            !seen.ends_with("0\r\n\r\n"),
            "the stream ended as if it were whole"
        );
        assert_eq!(installation.outcome(&call).await, "cut");
    });
}

#[test]
fn the_credential_does_not_leave_in_two_parts() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let project = &installation.project;
        let caller = Caller::new(project, &task);
        caller.learn().await;
        let head = wire::head(project, &caller, "GET", "/odd/leak-stream");
        let seen = wire::exchange(project, &format!("{head}connection: close\r\n\r\n")).await;
        let (start, _) = KEY.split_at(5);
        assert!(!seen.contains(start), "{seen}");
        assert!(
            !seen.ends_with("0\r\n\r\n"),
            "the stream ended as if it were whole"
        );
        let call = seen
            .lines()
            .find_map(|line| line.strip_prefix("writ-call-id: "));
        assert_eq!(installation.outcome(call.unwrap()).await, "cut");
    });
}
