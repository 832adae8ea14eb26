//! Methods of OpenAPI 3.2: what is called is what the upstream hears, by the method that the contract has.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};

use writ_testkit::{Caller, json, open, project, reason, runtime};

const LIBRARY: &str = include_str!("../../../writ-contract/testdata/library-3.2.yaml");

/// An upstream that answers everything, and what it hears: the request line, and the body.
fn listen() -> (SocketAddr, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (heard, hears) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
            drop(reader.read_line(&mut first));
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                let value = line.to_lowercase();
                let value = value.strip_prefix("content-length:");
                length = value.map_or(length, |value| value.trim().parse().unwrap());
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body = String::from_utf8(body).unwrap();
            let first = first.trim_end().to_owned();
            drop(heard.send((first, body)));
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            drop(reader.get_mut().write_all(answer.as_bytes()));
        }
    });
    (address, hears)
}

#[test]
fn methods_of_3_2_reach_the_upstream_as_they_were_decided() {
    runtime().block_on(async {
        let (address, hears) = listen();
        let project = project!();
        let actions = ["findBooks", "copyBook", "readBook"].map(|id| format!("library:{id}"));
        project.write("apis/library.yaml", LIBRARY);
        project.write(
            "apis/library.toml",
            &format!("owner = \"o@example.org\"\nupstream = \"http://{address}\"\ncontract = \"library.yaml\"\n[operations.findBooks]\neffect = \"read\"\n[operations.copyBook]\neffect = \"write\"\n[operations.readBook]\neffect = \"read\"\n"),
        );
        project.write(
            "purposes/trial.toml",
            &format!("owner = \"o@example.org\"\nactions = {actions:?}\n[budget]\ncalls = 50\nwrites = 1\n"),
        );
        project.agent("bot", "autonomous", &["trial"]);
        let _server = project.start();
        let held = json(&format!("{:?}", &actions[..2]));
        let details = format!(
            r#"[{{"type":"writ_task","purpose":"trial","actions":{held},"budget":{{"calls":20,"writes":1}}}}]"#
        );
        let task = open(&project.client(), &details).await;
        let caller = Caller::new(&project, &task);
        let (kind, to) = (("content-type", "application/json"), ("destination", "/books/2"));
        #[rustfmt::skip]
        let rows = [
            ("QUERY", "/library/books", vec![kind], r#"{"title": "Emma"}"#, 200, "", Some("QUERY /books HTTP/1.1")),
            ("QUERY", "/library/books", vec![kind], r#"{"author":"Austen"}"#, 400, "invalid_input", None),
            ("COPY", "/library/books/1", vec![("destination", "/shelves/2")], "", 400, "invalid_input", None),
            ("COPY", "/library/books/1", vec![to], "", 200, "", Some("COPY /books/1 HTTP/1.1")),
            // It writes, and the budget knows that.
            ("COPY", "/library/books/1", vec![to], "", 403, "budget_exhausted", None),
            ("GET", "/library/books/1", vec![], "", 403, "action_not_granted", None),
            ("LOCK", "/library/books/1", vec![], "", 403, "action_not_granted", None),
            ("STEAL", "/library/books/1", vec![], "", 405, "method_not_allowed", None),
            ("copy", "/library/books/1", vec![to], "", 405, "method_not_allowed", None),
        ];
        for (method, path, headers, body, status, why, heard) in rows {
            let answer = caller.send(method, path, &headers, body).await;
            let said = if status == 200 { String::new() } else { reason(&answer) };
            assert_eq!((answer.status, &*said), (status, why), "{method} {path}");
            let sent = heard.map(|line| (line.to_owned(), body.to_owned()));
            assert_eq!(hears.try_recv().ok(), sent, "{method} {path}");
        }
    });
}
