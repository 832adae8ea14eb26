//! How fast an API is called: by what is said of it, and where nobody says it by Writ's own limits.

use writ::http::Answer;
use writ_testkit::{Caller, Project, open, reason, runtime};
use writ_types::Value;

/// Of `told` the document says that its server limits calls, of `figure` how often it may be called; of the others nothing.
const CONTRACT: &str = r#"{"openapi":"3.0.3","info":{"title":"T","version":"1"},"paths":{
 "/plain":{"get":{"operationId":"plain","summary":"Says nothing of how often","responses":{"200":{"description":"ok"}}}},
 "/own":{"get":{"operationId":"own","summary":"Its owner says how often","responses":{"200":{"description":"ok"}}}},
 "/told":{"get":{"operationId":"told","summary":"Says there is a limit","responses":{"200":{"description":"ok"},
   "429":{"description":"Slow down"}}}},
 "/figure":{"get":{"operationId":"figure","summary":"Says how often","responses":{"200":{"description":"ok"},
   "429":{"description":"At most 2 requests per day"}}}}}}"#;
/// Nothing listens at the upstream: a call that is let through ends there.
const API: &str = "owner = \"o@example.org\"\nupstream = \"http://127.0.0.1:1\"\ncontract = \"slow.json\"\n\
[operations.plain]\neffect = \"read\"\n[operations.told]\neffect = \"read\"\n[operations.figure]\neffect = \"read\"\n\
[operations.own]\neffect = \"read\"\nrate = \"1/h burst 3\"\n";
/// The owner says one rate for both of its operations.
const SHARED: &str = "owner = \"o@example.org\"\nupstream = \"http://127.0.0.1:1\"\ncontract = \"shared.json\"\nrate = \"1/h burst 4\"\n\
[operations.one]\neffect = \"read\"\n[operations.other]\neffect = \"read\"\n";
const SHARED_CONTRACT: &str = r#"{"openapi":"3.0.3","info":{"title":"T","version":"1"},"paths":{
 "/one":{"get":{"operationId":"one","summary":"Says nothing","responses":{"200":{"description":"ok"}}}},
 "/other":{"get":{"operationId":"other","summary":"Says nothing","responses":{"200":{"description":"ok"}}}}}}"#;
const ACTIONS: &str =
    r#"["slow:plain","slow:own","slow:told","slow:figure","shared:one","shared:other"]"#;
const SENT: (u16, &str) = (502, "upstream_unreachable");
const TOO_FAST: (u16, &str) = (429, "rate_limited");

fn project() -> Project {
    let project = writ_testkit::project!();
    project.settings("[limits]\ntask_rate = \"1\"\ntask_burst = \"20\"\nagent_rate = \"1\"\nagent_burst = \"45\"\n");
    project.write("apis/slow.toml", API);
    project.write("apis/slow.json", CONTRACT);
    project.write("apis/shared.toml", SHARED);
    project.write("apis/shared.json", SHARED_CONTRACT);
    project.write(
        "purposes/trial.toml",
        &format!("owner = \"o@example.org\"\nactions = {ACTIONS}\n[budget]\ncalls = 2000\n"),
    );
    project.agent("bot", "copilot", &["trial"]);
    project
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status, reason(answer))
}

fn is(answer: &Answer, wanted: (u16, &str)) -> bool {
    told(answer) == (wanted.0, wanted.1.to_owned())
}

/// How many calls go through before one is refused; at most 300 are tried.
async fn until_refused(caller: &Caller<'_>, path: &str) -> usize {
    for count in 0..300 {
        let answer = caller.send("GET", path, &[], "").await;
        if is(&answer, TOO_FAST) {
            return count;
        }
        assert!(is(&answer, SENT), "{}", answer.json());
    }
    300
}

#[test]
fn an_api_is_called_as_fast_as_is_said_and_otherwise_as_fast_as_the_gateway_lets() {
    runtime().block_on(async {
        let project = project();
        let server = project.start();
        project.sign_in();
        let details = format!(
            r#"[{{"type":"writ_task","purpose":"trial","actions":{ACTIONS},"budget":{{"calls":900}}}}]"#
        );
        let (one, other, third) = (
            open(&project.client(), &details).await,
            open(&project.client(), &details).await,
            open(&project.client(), &details).await,
        );
        let [one, other, third] = [&one, &other, &third].map(|task| Caller::new(&project, task));
        for caller in [&one, &other, &third] {
            caller.learn().await;
        }

        // What is documented is kept, by the agent in whatever task; and the server is told nothing of the third call.
        assert_eq!(until_refused(&one, "/slow/figure").await, 2);
        let refused = other.send("GET", "/slow/figure", &[], "").await;
        assert!(is(&refused, TOO_FAST), "{}", refused.json());
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((43_000..=43_200).contains(&wait), "{wait} seconds");
        let json = refused.json();
        assert_eq!(json.member("retry_after").and_then(Value::as_u64), Some(wait));
        assert_eq!(json.member("retryable").and_then(Value::as_bool), Some(true));
        // So is what the owner says, in place of our own.
        assert_eq!(until_refused(&other, "/slow/own").await, 3);
        // What is said of an API is for all its operations together.
        for path in ["/shared/one", "/shared/other", "/shared/one", "/shared/other"] {
            let sent = one.send("GET", path, &[], "").await;
            assert!(is(&sent, SENT), "{}", sent.json());
        }
        let refused = other.send("GET", "/shared/one", &[], "").await;
        assert!(is(&refused, TOO_FAST), "{}", refused.json());
        // A server that limits calls itself is not limited by us.
        for _ in 0..40 {
            let sent = one.send("GET", "/slow/told", &[], "").await;
            assert!(is(&sent, SENT), "{}", sent.json());
        }
        // Where nobody says it: first the task's limit, then that of all the agent's tasks together.
        let first = until_refused(&one, "/slow/plain").await;
        assert!((20..45).contains(&first), "{first} calls of one task");
        let refused = one.send("GET", "/slow/plain", &[], "").await;
        let soon = refused.header("retry-after").map(str::to_owned);
        assert!(is(&refused, SENT) || soon.as_deref() == Some("1"), "{soon:?}");
        let second = until_refused(&other, "/slow/plain").await;
        let last = until_refused(&third, "/slow/plain").await;
        assert!(last < 20, "{last} calls after {first} and {second} of the same agent");
        server.stop();
    });
}
