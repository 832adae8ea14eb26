//! An operation that its document describes as badly as can be: a person is asked before each call, everybody is told so,
//! and a review ends it. What waits for review is listed by what is called.

use hyper::Method;
use writ::http::Answer;
use writ_testkit::{Caller, Project, open, reason, runtime};
use writ_types::Value;

/// Two operations with the worst grade, of which one is called, and one that is described well enough.
const CONTRACT: &str = "openapi: 3.0.3
info: {title: T, version: '1'}
paths:
  /wipe/now:
    get:
      operationId: wipeAll
      parameters: [{name: token, in: query, schema: {}}]
      requestBody: {content: {application/json: {schema: {}}}}
      responses: {'200': {description: ok}}
  /wipe/later:
    get:
      operationId: deleteLater
      parameters: [{name: token, in: query, schema: {}}]
      requestBody: {content: {application/json: {schema: {}}}}
      responses: {'200': {description: ok}}
  /zones:
    get:
      operationId: listZones
      summary: List all zones of the server
      responses: {'200': {description: ok}}
";
/// Nothing listens at the upstream: a call that is let through ends there.
const API: &str =
    "owner = \"o@example.org\"\nupstream = \"http://127.0.0.1:1/v1\"\ncontract = \"dns.yaml\"\n";
const PURPOSE: &str = "owner = \"o@example.org\"\nactions = [\"dns:wipeAll\", \"dns:deleteLater\", \"dns:listZones\"]\n[budget]\ncalls = 90\nirreversible = 90\n";
const REVIEW: &str = "overlay: 1.0.0\ninfo: {title: T, version: '1'}\nactions:\n- target: $.paths['/wipe/now'].get\n  update: {x-writ: {effect: read}}\n";
const FIX: &str = "the document of `dns:wipeAll` has grade F (30 of 100), so an operator is asked before each call: review it in `apis/dns.overlay.yaml` (`x-writ: {effect: …}`), and `writ api lint dns` says what is wrong with it";
const DETAILS: &str = r#"[{"type":"writ_task","purpose":"renewal","actions":["dns:wipeAll","dns:listZones"],"budget":{"calls":50,"irreversible":50}}]"#;

fn project() -> Project {
    let project = writ_testkit::project!();
    project.write("apis/dns.toml", API);
    project.write("apis/dns.yaml", CONTRACT);
    project.write("purposes/renewal.toml", PURPOSE);
    project.agent("bot", "copilot", &["renewal"]);
    project
}

/// What is said before anybody calls.
fn told(project: &Project, arguments: &[&str]) -> String {
    let (_, text, errors) = project.run(arguments);
    format!("{text}{errors}")
}

fn verdict(answer: &Answer) -> (u16, String) {
    let verdict = answer.json();
    let verdict = verdict.member("verdict").and_then(Value::as_str);
    (answer.status, verdict.unwrap_or_default().to_owned())
}

/// The review queue: calls that were let through, calls that were refused, action and grade of each row.
async fn queue(project: &Project, path: &str) -> Vec<String> {
    let queue = project.operator(Method::GET, path, "").await.json();
    let row = |row: &Value| {
        let member = |name| {
            row.member(name)
                .map(Value::to_string)
                .unwrap_or_default()
                .replace('"', "")
        };
        format!(
            "{} {} {} {} {}",
            member("sent"),
            member("refused"),
            member("action"),
            member("grade"),
            member("asks_each_time")
        )
    };
    let rows = queue.member("operations").and_then(Value::as_array);
    rows.unwrap_or_default().iter().map(row).collect()
}

#[test]
fn whoever_looks_is_told_what_is_asked_about_each_time_and_how_to_end_it() {
    let project = project();
    let plan = told(&project, &["plan", "--offline", "--proof-seconds", "0"]);
    assert!(
        plan.contains("Asked of an operator before each call") && plan.contains(FIX),
        "{plan}"
    );
    let server = project.start();
    project.sign_in();
    let said = told(&project, &["can-i", "--agent", "bot", "dns:wipeAll"]);
    assert!(
        said.contains("with approval for renewal: depends on the call, with approval by operator")
            && said.contains("core.unready")
            && said.contains(FIX),
        "{said}"
    );
    let said = told(&project, &["can-i", "--agent", "bot", "dns:listZones"]);
    assert!(
        !said.contains("core.unready") && !said.contains("fix"),
        "{said}"
    );
    let said = told(&project, &["doctor"]);
    assert!(
        said.contains("the document of `dns:deleteLater` has grade F")
            && said.contains("the same holds for 1 more operations of `dns`"),
        "{said}"
    );
    server.stop();
}

#[test]
fn the_worst_grade_asks_a_person_until_it_is_reviewed_and_what_is_called_most_comes_first() {
    let project = project();
    let server = project.start();
    project.sign_in();
    runtime().block_on(async {
        let task = open(&project.client(), DETAILS).await;
        let caller = Caller::new(&project, &task);
        assert_eq!(
            queue(&project, "/v1/reviews").await,
            [
                "0 0 dns:deleteLater F true",
                "0 0 dns:wipeAll F true",
                "0 0 dns:listZones A false"
            ],
            "nothing was called: the worst described first"
        );
        let refused = caller.send("GET", "/dns/wipe/now", &[], "").await;
        assert_eq!(verdict(&refused), (403, "STEP_UP".to_owned()));
        for _ in 0..2 {
            let gone = caller.send("GET", "/dns/zones", &[], "").await;
            assert_eq!(reason(&gone), "upstream_unreachable");
        }
        let asked = project
            .operator(Method::GET, "/v1/approvals", "")
            .await
            .json();
        let id = asked
            .as_array()
            .and_then(|all| all.first()?.member("id")?.as_str());
        let path = format!("/v1/approvals/{}", id.unwrap());
        let shown = project.operator(Method::GET, &path, "").await.json();
        let grade = shown.member("card").and_then(|card| card.member("grade"));
        assert_eq!(grade, Some(&Value::from("F (30 of 100)")));
        assert_eq!(
            queue(&project, "/v1/reviews?api=dns").await,
            [
                "2 0 dns:listZones A false",
                "0 1 dns:wipeAll F true",
                "0 0 dns:deleteLater F true"
            ],
            "the most called first"
        );
        let none = project
            .operator(Method::GET, "/v1/reviews?api=mail", "")
            .await;
        assert_eq!(none.status, 404);

        project.write("apis/dns.overlay.yaml", REVIEW);
        let (code, text, errors) = project.run(&["apply"]);
        assert_eq!(code, 0, "{text}{errors}");
        let sent = caller.send("GET", "/dns/wipe/now", &[], "").await;
        assert_eq!(reason(&sent), "upstream_unreachable");
        assert_eq!(
            queue(&project, "/v1/reviews").await,
            ["2 0 dns:listZones A false", "0 0 dns:deleteLater F true"]
        );
        let said = told(&project, &["api", "reviews", "dns"]);
        assert!(
            said.contains("SENT") && said.contains("dns:deleteLater"),
            "{said}"
        );
        assert!(!said.contains("dns:wipeAll"), "{said}");
    });
    server.stop();
}
