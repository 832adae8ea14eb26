//! Strangers who hold connections: they are given so long, and no longer.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use writ_testkit::project;

/// Reads until the server closes; `true` if it closed before the test lost patience.
fn is_closed(mut stream: TcpStream) -> bool {
    let patient = stream.set_read_timeout(Some(std::time::Duration::from_secs(20)));
    let mut rest = Vec::new();
    match patient.and_then(|()| stream.read_to_end(&mut rest)) {
        Ok(_) => true,
        Err(fault) => fault.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn who_says_nothing_or_half_of_something_is_shown_the_door() {
    let project = project!();
    project.settings("[timeouts]\nrequest_head = \"300ms\"\nrequest_body = \"300ms\"\n");
    let _server = project.start();
    for port in [project.gateway, project.control] {
        let address = ("127.0.0.1", port);
        assert!(
            is_closed(TcpStream::connect(address).unwrap()),
            "silence on {port}"
        );
        let mut half = TcpStream::connect(address).unwrap();
        half.write_all(b"GET /heal").unwrap();
        assert!(is_closed(half), "half a head on {port}");
        let mut preface = TcpStream::connect(address).unwrap();
        preface
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
            .unwrap();
        assert!(is_closed(preface), "HTTP/2 without a request on {port}");
    }
    let mut trickle = TcpStream::connect(("127.0.0.1", project.control)).unwrap();
    let head = "POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\nConnection: close\r\n\r\ngrant";
    trickle.write_all(head.as_bytes()).unwrap();
    assert!(is_closed(trickle), "half a form");
}

#[test]
fn the_agent_socket_serves_on_while_others_dawdle() {
    let project = project!();
    let _server = project.start();
    let socket = project.path(".writ-agent.sock");
    let _dawdling: Vec<UnixStream> = (0..64)
        .map(|_| UnixStream::connect(&socket).unwrap())
        .collect();
    let mut asking = UnixStream::connect(&socket).unwrap();
    asking
        .write_all(b"GET /v1/bundle HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    asking.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
