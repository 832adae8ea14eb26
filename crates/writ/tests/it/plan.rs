//! `writ plan`, as a person and a build would use it.

use writ_testkit::Project;
use writ_types::{JsonLimits, Value};

const API: &str = "owner = \"o@example.org\"\nupstream = \"http://127.0.0.1:1/v1\"\ncontract = \"dns.yaml\"\n\
[operations.listZones]\neffect = \"read\"\n\
[operations.dropZone]\neffect = \"delete\"\nirreversible = true\n";
const CONTRACT: &str = "openapi: 3.0.3\ninfo: {title: T, version: '1'}\npaths:\n  /zones:\n    get:\n      operationId: listZones\n      responses: {'200': {description: ok}}\n    delete:\n      operationId: dropZone\n      responses: {'200': {description: ok}}\n";
const PURPOSE: &str = "owner = \"o@example.org\"\nactions = [\"dns:listZones\"]\n";
const RULE: &str = "@id(\"t\") forbid (principal, action in Writ::Action::\"read\", resource) when { context.sys.count.calls > 5 };";

fn project() -> Project {
    let project = writ_testkit::project!();
    project.write("apis/dns.toml", API);
    project.write("apis/dns.yaml", CONTRACT);
    project.write("purposes/renewal.toml", PURPOSE);
    project.write("policies/local.cedar", RULE);
    project.agent("bot", "copilot", &["renewal"]);
    project
}

fn planned(project: &Project, arguments: &[&str]) -> (i32, String) {
    let arguments = [&["plan", "--prover", "/nonexistent"], arguments].concat();
    let (code, text, errors) = project.run(&arguments);
    (code, format!("{text}{errors}"))
}

#[test]
fn a_plan_compares_with_what_is_in_force_and_exits_2_on_changes() {
    let project = project();
    let (code, text) = planned(&project, &["--offline"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("nothing: the store is empty"), "{text}");
    let (code, text) = planned(&project, &[]);
    assert_eq!(code, 1, "nothing runs: {text}");

    let server = project.start();
    project.sign_in();
    let (code, text) = planned(&project, &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("no changes"), "{text}");

    project.write("policies/local.cedar", &RULE.replace("> 5", "> 9"));
    project.write(
        "purposes/renewal.toml",
        &format!(
            "{}\n[budget]\ndeletes = 1\nirreversible = 1\n",
            PURPOSE.replace("Zones\"]", "Zones\", \"dns:dropZone\"]")
        ),
    );
    says_who_gains(&project, &[]);
    let (code, text, _) = project.run(&["--json", "plan", "--proof-seconds", "0"]);
    assert_eq!(code, 2);
    let plan = Value::parse(text.as_bytes(), &JsonLimits::DOCUMENT).unwrap();
    assert_eq!(plan.member("second_approver"), Some(&Value::from(true)));
    let first = plan.member("access").and_then(Value::as_array).unwrap();
    let action = first.first().and_then(|shift| shift.member("action"));
    assert_eq!(action, Some(&Value::from("dns:dropZone")));

    server.stop();
    says_who_gains(&project, &["--offline"]);

    project.write("policies/local.cedar", "permit (principal");
    let (code, text) = planned(&project, &["--offline"]);
    assert_eq!(code, 1, "a fault is no change: {text}");
}

fn says_who_gains(project: &Project, arguments: &[&str]) {
    let (code, text) = planned(project, arguments);
    assert_eq!(code, 2, "{text}");
    for part in [
        "rule `t` changed",
        "actions + dns:dropZone",
        "irreversible or sent outside",
        "bot for renewal: dns:dropZone (delete+irreversible)",
        "there is no `/nonexistent`",
        "a second person has to approve this",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn two_projects_are_compared_without_a_server() {
    let (old, new) = (project(), project());
    let from = old.path("");
    let from = from.to_str().unwrap();
    assert_eq!(planned(&new, &["--from", from]).0, 0);
    new.write("policies/local.cedar", "// nothing\n");
    let (code, text) = planned(&new, &["--from", from]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("May allow more"), "{text}");
    assert!(text.contains("`t` removed"), "{text}");
    let (code, text) = planned(&new, &["--from", "/nonexistent"]);
    assert_eq!(code, 1, "{text}");
}
