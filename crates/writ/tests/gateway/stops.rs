//! APIs and credentials that a person stops: what is in flight is cut, what comes next is refused, until it goes on.

use hyper::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use writ::agent::OpenTask;
use writ::http::Answer;
use writ_testkit::{Caller, Project, json, reason, runtime};
use writ_types::Value;

use crate::installation::Installation;
use crate::mcp::{Client, at};
use crate::odd::KEY;
use crate::wire;

/// A call of the task that is on its way: the upstream has heard of it, and goes on when it is told to.
async fn in_flight(
    installation: &Installation,
    task: &OpenTask,
    (method, path): (&str, &str),
) -> TcpStream {
    let project = &installation.project;
    let caller = Caller::new(project, task);
    caller.learn().await;
    let mut stream = wire::connect(project).await;
    let head = wire::head(project, &caller, method, path);
    let request = format!("{head}content-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let line = format!("{method} {} ", path.trim_start_matches("/odd"));
    while !installation
        .odd
        .seen()
        .iter()
        .any(|seen| seen.starts_with(&line))
    {
        project.operator(Method::GET, "/v1/status", "").await;
    }
    stream
}

async fn rest(mut stream: TcpStream) -> String {
    let mut seen = Vec::new();
    drop(stream.read_to_end(&mut seen).await);
    String::from_utf8_lossy(&seen).into_owned()
}

async fn get(project: &Project, task: &OpenTask, path: &str) -> (u16, String) {
    let answer = Caller::new(project, task).send("GET", path, &[], "").await;
    (answer.status, reason_of(&answer))
}

fn reason_of(answer: &Answer) -> String {
    if answer.status < 300 {
        String::new()
    } else {
        reason(answer)
    }
}

fn stopped() -> (u16, String) {
    (403, "stopped".to_owned())
}

const FINE: (u16, String) = (200, String::new());

/// How many calls an operator's kill has cut, and how many tasks it has ended.
async fn killed(project: &Project, kind: &str, name: &str) -> (usize, usize) {
    let body = format!(r#"{{"{kind}":"{name}"}}"#);
    let answer = project.operator(Method::POST, "/v1/kill", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let answer = answer.json();
    let count = |list| answer.member(list).unwrap().as_array().unwrap().len();
    (count("calls_cut"), count("tasks"))
}

fn run(project: &Project, arguments: &[&str]) -> String {
    let (code, out, err) = project.run(arguments);
    assert_eq!(code, 0, "{arguments:?}: {err}");
    out
}

/// An API, and its credential: stopping either stops the API's calls and no others.
const WAYS: [(&str, &str); 2] = [("api", "odd"), ("credential", "odd-key")];

#[test]
fn what_is_stopped_cuts_the_calls_that_need_it() {
    runtime().block_on(async {
        for (kind, name) in WAYS {
            let installation = Installation::start().await;
            let (one, two) = (installation.task().await, installation.task().await);
            let streaming = in_flight(&installation, &one, ("GET", "/odd/stream")).await;
            let reading = in_flight(&installation, &one, ("GET", "/odd/silent")).await;
            let writing = in_flight(&installation, &two, ("POST", "/odd/answer?how=silent")).await;

            assert_eq!(
                killed(&installation.project, kind, name).await,
                (3, 0),
                "{kind}"
            );
            let streamed = rest(streaming).await;
            assert!(
                !streamed.ends_with("0\r\n\r\n"),
                "as if it were whole: {streamed}"
            );
            let read = wire::parse(&rest(reading).await);
            assert_eq!((read.status, reason(&read)), stopped());
            let written = wire::parse(&rest(writing).await);
            assert_eq!(
                reason(&written),
                "effect_unknown",
                "it may have had its effect"
            );
            let call = written.header("writ-call-id").unwrap();
            assert_eq!(installation.outcome(call).await, "cut");
            assert_eq!(
                get(&installation.project, &two, "/basic/echo").await,
                FINE,
                "the task lives on"
            );
        }
    });
}

#[test]
fn what_is_stopped_is_refused_until_it_goes_on() {
    runtime().block_on(async {
        for (kind, name) in WAYS {
            let installation = Installation::start().await;
            let one = installation.task().await;
            let project = &installation.project;
            assert_eq!(get(project, &one, "/odd/echo").await, FINE);
            assert_eq!(killed(project, kind, name).await, (0, 0));
            let before = installation.odd.seen().len();
            let caller = Caller::new(project, &one);
            let answer = caller.send("GET", "/odd/echo", &[], "").await;
            assert_eq!((answer.status, reason(&answer)), stopped(), "{kind}");
            let said = run(
                project,
                &["explain", answer.header("writ-call-id").unwrap()],
            );
            let gate = "NO  the operation is as it was approved, and nothing it needs is stopped";
            assert!(said.contains(gate), "{said}");
            assert_eq!(installation.odd.seen().len(), before, "nothing was sent");
            assert_eq!(get(project, &one, "/basic/echo").await, FINE, "another API");
            assert_eq!(get(project, &one, "/helpdesk/tickets").await, FINE);
            assert_eq!(killed(project, kind, name).await, (0, 0), "again");

            let said = run(project, &["kill", "list"]);
            assert!(said.contains(&format!("{kind} {name} since")), "{said}");
            let (_, said, _) = project.run(&["doctor"]);
            assert!(
                said.contains(&format!("writ resume {kind} {name}")),
                "{said}"
            );

            let Installation {
                project,
                server,
                odd: _odd,
                desk: _desk,
            } = installation;
            server.kill();
            let _server = project.start();
            assert_eq!(
                get(&project, &one, "/odd/echo").await,
                stopped(),
                "after a crash"
            );
            assert_eq!(
                get(&project, &one, "/basic/echo").await,
                FINE,
                "after a crash"
            );
            let said = run(&project, &["resume", kind, name]);
            assert!(said.contains("goes on"), "{said}");
            assert_eq!(
                get(&project, &one, "/odd/echo").await,
                FINE,
                "the task lives on"
            );
            let said = run(&project, &["kill", "list"]);
            assert!(said.contains("nothing is stopped"), "{said}");
            let (code, _, said) = project.run(&["resume", kind, name]);
            assert_eq!(code, 1);
            assert!(said.contains("it is not stopped"), "{said}");
        }
    });
}

#[test]
fn a_credential_that_was_killed_is_used_again_when_it_is_another() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let (project, task) = (&installation.project, installation.task().await);
        let said = run(project, &["kill", "credential", "odd-key"]);
        assert!(said.contains("writ resume credential odd-key"), "{said}");
        assert_eq!(get(project, &task, "/odd/echo").await, stopped());
        project.credential("odd-key", "another-key-0123456789");
        assert_eq!(get(project, &task, "/odd/echo").await, FINE);
        let carried = installation.odd.seen().pop().unwrap();
        assert!(carried.contains("another-key-0123456789") && !carried.contains(KEY));
        let listed = project.operator(Method::GET, "/v1/stops", "").await.json();
        let row = &listed.as_array().unwrap()[0];
        assert_eq!(row.member("holds"), Some(&Value::from(false)), "{listed}");
        // The one that took its place can be killed as well, and neither is used then.
        run(project, &["kill", "credential", "odd-key"]);
        assert_eq!(get(project, &task, "/odd/echo").await, stopped());
        run(project, &["resume", "credential", "odd-key"]);
        assert_eq!(get(project, &task, "/odd/echo").await, FINE);
    });
}

#[test]
fn a_list_leaves_out_what_is_stopped_and_says_so() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let project = &installation.project;
        let task = installation
            .task_with(&["odd:echo", "basic:echo"], "")
            .await;
        killed(project, "api", "odd").await;
        let client = Client::new(project, &task, "/mcp");
        let answer = client.ask("tools/list", None, "").await.json();
        let hidden = at(&answer, &["result", "_meta", "writ/hidden"]);
        assert_eq!(hidden, json(r#"{"stopped":1}"#));
        // Who plans for it hears the same.
        for (action, held) in [("odd:echo", true), ("basic:echo", false)] {
            let (_, out, _) = project.run(&[
                "--json",
                "can-i",
                action,
                "--agent",
                "bot",
                "--purpose",
                "trial",
            ]);
            assert_eq!(
                out.contains("A person has stopped"),
                held,
                "{action}: {out}"
            );
        }
    });
}

#[test]
fn what_is_not_there_is_not_stopped() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let project = &installation.project;
        for (arguments, wanted) in [
            (["kill", "api", "nothing"], "there is no such API"),
            (["kill", "api", "No API"], "`No API`"),
            (
                ["kill", "credential", "nothing"],
                "there is no such credential",
            ),
            (
                ["kill", "owner", "nobody@example.org"],
                "no agent and no purpose has this owner",
            ),
            (["kill", "owner", "desk@example.org"], "writ kill api"),
            (["resume", "api", "odd"], "it is not stopped"),
        ] {
            let (code, _, said) = project.run(&arguments);
            assert_eq!(code, 1, "{arguments:?}");
            assert!(said.contains(wanted), "{arguments:?}: {said}");
        }
        for body in [
            "{}",
            r#"{"api":"odd","credential":"odd-key"}"#,
            r#"{"api":"odd","task":"tsk_0"}"#,
            r#"{"api":7}"#,
            r#"{"owner":null}"#,
            r#"{"tenant":"default"}"#,
        ] {
            let answer = project.operator(Method::POST, "/v1/kill", body).await;
            assert_eq!(answer.status, 400, "{body}: {}", answer.json());
            let answer = project.operator(Method::POST, "/v1/resume", body).await;
            assert_eq!(answer.status, 400, "{body}: {}", answer.json());
        }
        let listed = project.operator(Method::GET, "/v1/stops", "").await.json();
        assert_eq!(listed, json("[]"));
        // A credential that is set and that no API uses yet is there.
        project.credential("spare-key", "spare-key-0123456789");
        assert_eq!(killed(project, "credential", "spare-key").await, (0, 0));
    });
}
