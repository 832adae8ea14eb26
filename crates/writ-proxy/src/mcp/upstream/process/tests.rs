use crate::leak::LeakGuard;

use super::*;

const KEY: &str = "mail-key-0123456789abcdef";

fn finders() -> Arc<[Finder<'static>]> {
    LeakGuard::finders(KEY).collect()
}

/// A program whose whole text is this script, and which is given the credential as `KEY`.
fn shell(script: &str) -> Program {
    let words = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let environment = BTreeMap::from([("LANG".to_owned(), "C".to_owned())]);
    Program::new(
        words,
        Some("/usr".to_owned()),
        environment,
        Some("KEY".to_owned()),
    )
    .unwrap()
}

fn started(script: &str) -> Arc<Process> {
    let (name, secret) = ("test".parse().unwrap(), Secret::new(KEY.to_owned()));
    Process::start(&name, &shell(script), Some(&secret), finders()).unwrap()
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(test)
}

/// What the program answers to the request `a`; none if it ends.
async fn answer(process: &Process) -> Option<String> {
    let message = Bytes::from_static(b"{\"id\":\"a\",\n\"method\":\"x\"}");
    let line = process.ask("a", message)?.answer().await?;
    Some(String::from_utf8_lossy(&line).into_owned())
}

#[test]
fn a_program_has_what_the_settings_say_and_nothing_else() {
    run(async {
        // The shell adds these of its own: they are not Writ's.
        let script = r#"read line; printf '{"id":"a","result":"%s"}\n' "$(pwd) $(env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | sort | tr '\n' ' ')""#;
        let said = answer(&started(&script.replace("env", "/usr/bin/env"))).await;
        assert_eq!(
            said.as_deref(),
            Some(&*format!(
                r#"{{"id":"a","result":"/usr KEY={KEY} LANG=C "}}"#
            ))
        );
    });
}

#[test]
fn a_message_is_one_line_and_answers_go_to_whom_they_are_for() {
    run(async {
        let script = r#"read line; echo '{"id":"b","result":1}'; echo '{"method":"notifications/progress"}'; echo; printf '{"id":"a","result":%s}\n' "$line"; read line"#;
        let process = started(script);
        let said = answer(&process).await;
        assert_eq!(
            said.as_deref(),
            Some(r#"{"id":"a","result":{"id":"a", "method":"x"}}"#)
        );
        assert!(!process.has_ended());
    });
}

/// What is told on the way to the answer to `a`, while others wait or not.
async fn told(script: &str, others: &[&str]) -> Vec<String> {
    let process = started(script);
    let message = Bytes::from_static(b"{\"method\":\"x\"}");
    let waits = |id: &&str| process.ask(id, message.clone()).unwrap();
    let _waiting: Vec<_> = others.iter().map(waits).collect();
    let mut coming = process.ask("a", message.clone()).unwrap();
    let mut told = Vec::new();
    while let Some(Said::Told(line)) = coming.next().await {
        told.push(String::from_utf8_lossy(&line).into_owned());
    }
    told
}

#[test]
fn what_is_told_reaches_the_call_it_is_of() {
    run(async {
        let own =
            r#"{"method":"notifications/progress","params":{"progressToken":"a","progress":1}}"#;
        let others = own.replace(r#""a""#, r#""b""#);
        let nobodys = own.replace(r#""a""#, "7");
        let log = r#"{"method":"notifications/message","params":{"level":"info","data":"x"}}"#;
        let list = r#"{"method":"notifications/tools/list_changed"}"#;
        let long = format!(
            r#"{{"method":"notifications/message","params":{{"data":"{}"}}}}"#,
            "x".repeat(70_000)
        );
        let says: String = [own, &others, &nobodys, log, list, &long, own]
            .map(|line| format!("echo '{line}'; "))
            .concat();
        let answer = r#"echo '{"id":"a","result":1}'; read line"#;
        let alone = format!("read line; {says}{answer}");
        assert_eq!(told(&alone, &[]).await, [own, log, own]);
        // What is logged while two wait is of neither.
        let two = format!("read line; read line; {says}{answer}");
        assert_eq!(told(&two, &["b"]).await, [own, own]);
        // Nobody reads: no more is kept than there is room for, and the answer is not lost.
        let many = format!("read line; for i in $(seq 300); do echo '{own}'; done; {answer}");
        let process = started(&many);
        let message = Bytes::from_static(b"{\"method\":\"x\"}");
        let mut coming = process.ask("a", message).unwrap();
        while !process.calls.all().calls.is_empty() {
            tokio::task::yield_now().await;
        }
        let mut heard = 0;
        let last = loop {
            match coming.next().await {
                Some(Said::Told(_)) => heard += 1,
                last => break last,
            }
        };
        assert!(matches!(last, Some(Said::Answer(_))));
        assert_eq!(heard, MOST_TOLD);
    });
}

#[test]
fn what_is_no_message_ends_the_program_and_everything_it_has_started() {
    run(async {
        for script in [
            "read line; echo hello; sleep 60",
            "read line; echo '[1]'; sleep 60",
            "read line; echo '{\"id\":\"a\",\"id\":\"a\"}'; sleep 60",
            "read line; printf '{\"id\":\"a\"}'",
            "read line; head -c 5000000 /dev/zero | tr '\\0' x; sleep 60",
            "exit 0",
            "sleep 60 & exit 0",
        ] {
            let process = started(script);
            assert_eq!(answer(&process).await, None, "{script}");
            // Whoever waited was told of the end after it was noted.
            assert!(process.has_ended(), "{script}");
            assert!(process.is_news() && !process.is_news(), "{script}");
            assert_eq!(answer(&process).await, None, "{script}");
        }
    });
}

#[test]
fn a_program_that_does_not_want_to_end_is_killed_with_its_children() {
    run(async {
        let script = r#"trap '' TERM; sleep 600 & printf '{"id":"a","result":[%s,%s]}\n' $$ $!; while :; do wait; done"#;
        let process = started(script);
        let said = answer(&process).await.unwrap();
        let numbers = said
            .split(['[', ',', ']'])
            .filter_map(|part| part.parse::<i32>().ok());
        let numbers: Vec<Pid> = numbers.filter_map(Pid::from_raw).collect();
        assert_eq!(numbers.len(), 2, "{said}");
        process.end();
        for pid in numbers {
            // A child whose leader is gone is waited for by the system's first process, a moment later.
            while is_running(pid) {
                tokio::task::yield_now().await;
            }
        }
    });
}

fn is_running(pid: Pid) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    state.is_ok_and(|state| !state.contains(") Z "))
}

#[test]
fn a_ping_is_answered_and_a_question_ends_the_calls_that_wait() {
    run(async {
        let script = r#"read line; echo '{"id":7,"method":"ping"}'; read pong; printf '{"id":"a","result":%s}\n' "$pong"; read line"#;
        let said = answer(&started(script)).await;
        assert_eq!(
            said.as_deref(),
            Some(r#"{"id":"a","result":{"jsonrpc":"2.0","id":7,"result":{}}}"#)
        );
        let script = r#"read line; echo '{"id":7,"method":"roots/list"}'; read no; read line"#;
        let process = started(script);
        let said = answer(&process).await;
        assert_eq!(
            said.as_deref(),
            Some(r#"{"id":7,"method":"roots/list"}"#),
            "it is refused where answers are judged"
        );
        assert!(!process.has_ended());
    });
}

#[test]
fn words_are_logged_short_and_without_the_credential() {
    let long = "word ".repeat(200);
    for (line, logged) in [
        ("ready\u{1b}[31m", "ready[31m".to_owned()),
        (
            &format!("the key is {KEY}!"),
            "[it holds the credential]".to_owned(),
        ),
        (
            long.get(..LONGEST_WORDS).unwrap(),
            "word ".repeat(102).trim_end().to_owned(),
        ),
    ] {
        assert_eq!(said(line.as_bytes(), &finders()), logged);
    }
}
