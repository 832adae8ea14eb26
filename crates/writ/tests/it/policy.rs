//! `writ policy check` and `writ policy test`, as a person and a build would use them: files alone, nothing running.

use writ_testkit::{Project, json};
use writ_types::Value;

const API: &str = "owner = \"o@example.org\"\nupstream = \"http://127.0.0.1:1/v1\"\ncontract = \"dns.yaml\"\n\
[operations.listZones]\neffect = \"read\"\n\
[operations.dropZone]\neffect = \"delete\"\nirreversible = true\n";
const CONTRACT: &str = "openapi: 3.0.3\ninfo: {title: T, version: '1'}\npaths:\n  /zones:\n    get:\n      operationId: listZones\n      responses: {'200': {description: ok}}\n    delete:\n      operationId: dropZone\n      responses: {'200': {description: ok}}\n";
const PURPOSE: &str = "owner = \"o@example.org\"\nactions = [\"dns:listZones\", \"dns:dropZone\"]\n[budget]\ndeletes = 1\nirreversible = 1\n";
const RULES: &str = "@id(\"t.often\") forbid (principal, action in Writ::Action::\"read\", resource) when { context.sys.count.calls > 5 };\n\
@id(\"t.drop\") @approval(\"dns-team\") forbid (principal, action == Api_dns::Action::\"dropZone\", resource);\n";
const CASES: &str = "[default]\nagent = \"bot\"\npurpose = \"renewal\"\n\
[[case]]\nname = \"zones are listed\"\naction = \"dns:listZones\"\nexpect = \"ALLOW\"\n\
[[case]]\nname = \"dropping one takes the team\"\naction = \"dns:dropZone\"\nexpect = { decision = \"STEP_UP\", needs = [\"dns-team\"] }\n";

fn project() -> Project {
    let project = writ_testkit::project!();
    project.write("apis/dns.toml", API);
    project.write("apis/dns.yaml", CONTRACT);
    project.write("purposes/renewal.toml", PURPOSE);
    project.write("policies/local.cedar", RULES);
    project.write("policies/tests/dns.toml", CASES);
    project.agent("bot", "copilot", &["renewal"]);
    project
}

fn ran(project: &Project, arguments: &[&str]) -> (i32, String) {
    let (code, text, errors) = project.run(&[&["policy"], arguments].concat());
    (code, format!("{text}{errors}"))
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(json).collect()
}

#[test]
fn sound_policies_are_sound_and_what_is_wrong_has_its_place_and_its_fix() {
    let project = project();
    let (code, text) = ran(&project, &["check"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("sound: 12 rules in force, 1 file of your own, 0 notices"),
        "{text}"
    );

    // All of them at once, each with file, line, column, what and fix.
    project.write(
        "policies/local.cedar",
        "@id(\"a\") forbid (principal, action, resource)\nwhen { context.sys has labls };\n\
         @id(\"b\") forbid (principal, action in Writ::Action::\"wirte\", resource);\n",
    );
    project.write(
        "policies/other.cedar",
        "permit (principal, action, resource);\n",
    );
    let (code, text) = ran(&project, &["check"]);
    assert_eq!(code, 1, "{text}");
    for part in [
        "policies/other.cedar:1:1: error[id]: the policy has no `@id`",
        "policies/local.cedar:2:24: error[unknown-attribute]: `labls` is asked for with `has`, but no operation this rule is about has it (rule `a`)\n  fix: did you mean `labels`?",
        "policies/local.cedar:3:54: error[unknown-name]: there is no action group `wirte` (rule `b`)\n  fix: did you mean `write`?",
        "writ: 3 errors",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    project.write("policies/other.cedar", "");
    project.write(
        "policies/local.cedar",
        "@id(\"a\") forbid (principal, action, resource)\nwhen { context.sys has labls };\n",
    );
    let (code, text, _) = project.run(&["--json", "policy", "check"]);
    assert_eq!(code, 1, "{text}");
    let [found, summary] = objects(&text).try_into().unwrap();
    for (member, value) in [
        ("kind", Value::from("finding")),
        ("severity", Value::from("error")),
        ("lint", Value::from("unknown-attribute")),
        ("file", Value::from("policies/local.cedar")),
        ("line", Value::from_u64(2)),
        ("column", Value::from_u64(24)),
        ("rule", Value::from("a")),
        ("fix", Value::from("did you mean `labels`?")),
    ] {
        assert_eq!(found.member(member), Some(&value), "{text}");
    }
    assert_eq!(summary.member("errors"), Some(&Value::from_u64(1)));
    // A case that cannot be read is found, too.
    project.write("policies/local.cedar", RULES);
    project.write("policies/tests/more.toml", "[[case]]\nname = 5\n");
    let (code, text) = ran(&project, &["check"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("policies/tests/more.toml:2: error[project]: "),
        "{text}"
    );
}

#[test]
fn cases_pass_or_say_what_was_and_why() {
    let project = project();
    let (code, text) = ran(&project, &["test"]);
    assert_eq!(code, 0, "{text}");
    for part in [
        "ok   policies/tests/dns.toml:4 zones are listed",
        "ok   policies/tests/dns.toml:8 dropping one takes the team",
        "2 passed, 0 failed",
        "in no case did these rules apply: t.often",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    project.write(
        "policies/tests/dns.toml",
        &CASES
            .replace("\"STEP_UP\"", "\"ALLOW\"")
            .replace("[\"dns-team\"]", "[]"),
    );
    let (code, text) = ran(&project, &["test"]);
    assert_eq!(code, 1, "{text}");
    for part in [
        "ok   policies/tests/dns.toml:4 zones are listed",
        "FAIL policies/tests/dns.toml:8 dropping one takes the team",
        "decision    expected ALLOW\n              was      STEP_UP",
        "needs       expected none\n              was      dns-team",
        "forbid  yes t.drop (policies/local.cedar:2)",
        "1 passed, 1 failed",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let (code, text, _) = project.run(&["--json", "policy", "test"]);
    assert_eq!(code, 1, "{text}");
    let [_, failed, summary] = objects(&text).try_into().unwrap();
    assert_eq!(failed.member("passed"), Some(&Value::from(false)));
    assert_eq!(failed.member("decision"), Some(&Value::from("STEP_UP")));
    assert_eq!(summary.member("failed"), Some(&Value::from_u64(1)));
    let (code, text) = ran(&project, &["test", "--only", "listed"]);
    assert_eq!(code, 0, "{text}");
    // Nothing tried is nothing shown, and a case about nobody is no case that passes.
    let (code, text) = ran(&project, &["test", "--only", "no such case"]);
    assert_eq!(
        (code, text.contains("there is nothing to test")),
        (1, true),
        "{text}"
    );
    project.write(
        "policies/tests/dns.toml",
        &CASES.replace("\"bot\"", "\"bott\""),
    );
    let (code, text) = ran(&project, &["test"]);
    assert_eq!(
        (code, text.contains("there is no agent `bott`")),
        (1, true),
        "{text}"
    );
}

#[test]
fn the_table_of_who_can_do_what_is_kept_and_held_against_what_is() {
    let project = project();
    assert_eq!(ran(&project, &["test", "--accept"]).0, 0);
    let kept = std::fs::read_to_string(project.path("policies/tests/matrix.txt")).unwrap();
    assert!(
        kept.ends_with(
            "\nspiffe://writ.local/agent/bot  renewal  dns:dropZone   depends on the call, with approval by dns-team\n\
             spiffe://writ.local/agent/bot  renewal  dns:listZones  depends on the call\n"
        ),
        "{kept}"
    );
    let (code, text) = ran(&project, &["test"]);
    assert_eq!(code, 0, "{text}");
    // Columns are no part of what it says.
    project.write(
        "policies/tests/matrix.txt",
        &kept.replace("  renewal", "    renewal"),
    );
    assert_eq!(ran(&project, &["test"]).0, 0);
    project.write("policies/tests/dns.toml", "");
    project.write("policies/local.cedar", "// none\n");
    let (code, text) = ran(&project, &["test"]);
    assert_eq!(code, 1, "{text}");
    for part in [
        "FAIL policies/tests/matrix.txt",
        "- spiffe://writ.local/agent/bot  renewal  dns:dropZone  depends on the call, with approval by dns-team",
        "+ spiffe://writ.local/agent/bot  renewal  dns:dropZone  depends on the call\n",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_fresh_project_is_sound_and_another_folder_can_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("fresh");
    let other = other.to_str().unwrap();
    let project = project();
    assert_eq!(project.run(&["init", other]).0, 0);
    let (code, text) = ran(&project, &["check", other]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = ran(&project, &["test", other]);
    assert_eq!(
        (code, text.contains("nothing to test")),
        (1, true),
        "{text}"
    );
    // The example that comes with it is one that reads.
    let example = format!("{other}/policies/tests/local.toml");
    std::fs::rename(format!("{example}.example"), &example).unwrap();
    let (code, text) = ran(&project, &["check", other]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn who_can_do_something_is_asked_of_files_of_the_store_and_of_what_runs() {
    let project = project();
    let who = |arguments: &[&str]| -> (i32, String) {
        let (code, text, errors) = project.run(&[&["who-can"], arguments].concat());
        (code, format!("{text}{errors}"))
    };
    let (code, text) = who(&["dns:dropZone", "--files"]);
    assert_eq!(code, 0, "{text}");
    for part in [
        "with approval  spiffe://writ.local/agent/bot  renewal  dns:dropZone",
        "with approval by dns-team",
        "t.drop",
        "o@example.org",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    // The other way round: what one agent can do.
    let (code, text) = who(&["--agent", "bot", "--files"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("dns:listZones") && text.contains("dns:dropZone"),
        "{text}"
    );
    let (code, text) = who(&["--agent", "nobody", "--files"]);
    assert_eq!((code, text.contains("no such agent")), (1, true), "{text}");
    let (code, text) = who(&["dns:none", "--files"]);
    assert_eq!(
        (code, text.contains("no contract has this operation")),
        (1, true),
        "{text}"
    );
    assert_eq!(who(&[]).0, 2);
    // What the purpose does not need, nobody can; why is told when it is asked for.
    project.write(
        "purposes/renewal.toml",
        &PURPOSE.replace(", \"dns:dropZone\"", ""),
    );
    let (code, text) = who(&["dns:dropZone", "--files"]);
    assert_eq!(
        (code, text.contains("nobody and nothing")),
        (0, true),
        "{text}"
    );
    let (_, text) = who(&["dns:dropZone", "--files", "--all"]);
    assert!(text.contains("no: the purpose does not name it"), "{text}");
    project.write("purposes/renewal.toml", PURPOSE);

    let _server = project.start();
    project.sign_in();
    let (code, text, _) = project.run(&["--json", "who-can", "dns:dropZone"]);
    assert_eq!(code, 0, "{text}");
    let [row] = objects(&text).try_into().unwrap();
    assert_eq!(row.member("answer"), Some(&Value::from("with_approval")));
    // An approval is no no.
    for (action, answer, code) in [
        ("dns:dropZone", "with_approval", 0),
        ("dns:listZones", "depends", 0),
    ] {
        let (was, text, _) = project.run(&["--json", "can-i", "--agent", "bot", action]);
        assert_eq!(was, code, "{text}");
        let said = json(&text);
        let purposes = said.member("purposes").and_then(Value::as_array).unwrap();
        assert_eq!(
            purposes[0].member("answer"),
            Some(&Value::from(answer)),
            "{text}"
        );
    }
    let (code, text, _) = project.run(&["can-i", "--agent", "bot", "dns:dropZone"]);
    assert_eq!(code, 0);
    assert!(text.contains("with approval for renewal"), "{text}");
}

#[test]
fn a_project_that_fails_its_own_tests_does_not_come_into_force() {
    let project = project();
    let _server = project.start();
    project.sign_in();
    let (code, out, err) = project.run(&["apply"]);
    assert_eq!(code, 0, "{out}{err}");
    // Dropping a zone would take nobody any more.
    project.write("policies/local.cedar", "");
    for arguments in [&["apply"][..], &["apply", "--check"], &["apply"]] {
        let (code, out, err) = project.run(arguments);
        assert_eq!(code, 1, "{out}");
        let fault = "policies/tests/dns.toml:8: the case `dropping one takes the team` fails: decision: expected STEP_UP, was ALLOW";
        assert!(err.contains(fault), "{err}");
    }
    let (_, rules, _) = project.run(&["can-i", "--agent", "bot", "dns:dropZone"]);
    assert!(
        rules.contains("dns-team"),
        "what was in force stays: {rules}"
    );
    // Nothing passes by the other door either, and a table that is another is a failure too.
    project.write("policies/local.cedar", RULES);
    project.write("policies/tests/matrix.txt", "nobody  can  do  anything\n");
    let (code, out, err) = project.run(&["apply"]);
    assert_eq!(code, 1, "{out}");
    assert!(
        err.contains("policies/tests/matrix.txt: who can do what is not as it is kept"),
        "{err}"
    );
    // A stopped agent is no reason not to change the rules.
    std::fs::remove_file(project.path("policies/tests/matrix.txt")).unwrap();
    let (code, _, err) = project.run(&["kill", "agent", "spiffe://writ.local/agent/bot"]);
    assert_eq!(code, 0, "{err}");
    project.write("policies/local.cedar", &format!("{RULES}\n"));
    let (code, out, err) = project.run(&["apply"]);
    assert_eq!(code, 0, "{out}{err}");
}
