//! AuthZEN Authorization API 1.0: the certification scenario (its section numbers stand in the rows), decided by the PDP
//! from a contract, purposes and policies. The scenario's users are agents here, and `role` is the group that the registry has.

use hyper::Method;
use writ::http::Answer;
use writ_testkit::{Project, Server, json, project, runtime};
use writ_types::Value;

const CONTRACT: &str = r#"{"openapi":"3.0.3","info":{"title":"record","version":"1"},"paths":{"/records/{id}":{
"parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string","enum":["record-1","record-2"]}},
{"name":"status","in":"query","schema":{"type":"string"}}],
"get":{"operationId":"read","responses":{"200":{"description":"done"}}},
"put":{"operationId":"write","responses":{"200":{"description":"done"}}},
"delete":{"operationId":"delete","parameters":[{"name":"soft","in":"query","schema":{"type":"boolean"}}],"responses":{"200":{"description":"done"}}}}}}"#;

const POLICY: &str = r#"
@id("record.archived")
@doc("What is archived is written by administrators.")
forbid (principal, action == Api_record::Action::"write", resource)
when { context.query has status && context.query.status == "archived" }
unless { principal.agent in Writ::AgentGroup::"admin" };

@id("record.active")
@doc("Administrators write nothing that is in use.")
forbid (principal, action == Api_record::Action::"write", resource)
when { principal.agent in Writ::AgentGroup::"admin" }
unless { context.query has status && context.query.status == "archived" };

@id("record.soft")
@doc("Deleting is soft.")
forbid (principal, action == Api_record::Action::"delete", resource)
unless { context.query has soft && context.query.soft };
"#;

fn installed() -> (Project, Server) {
    let project = project!();
    project.write("apis/record.openapi.json", CONTRACT);
    project.write(
        "apis/record.toml",
        "owner = \"o@example.org\"\nupstream = \"http://127.0.0.1:9\"\ncontract = \"record.openapi.json\"\n[operations.read]\neffect = \"read\"\n[operations.write]\neffect = \"write\"\n[operations.delete]\neffect = \"delete\"\n",
    );
    project.write(
        "purposes/records.toml",
        "owner = \"o@example.org\"\nactions = [\"record:read\", \"record:write\", \"record:delete\"]\n[budget]\ncalls = 10\nwrites = 10\ndeletes = 10\n",
    );
    project.write("policies/record.cedar", POLICY);
    for (name, groups) in [("alice", "[]"), ("bob", "[\"admin\"]")] {
        project.write(
            &format!("agents/{name}.toml"),
            &format!("owner = \"o@example.org\"\nmode = \"autonomous\"\npurposes = [\"records\"]\ngroups = {groups}\n"),
        );
    }
    let server = project.start();
    project.sign_in();
    (project, server)
}

async fn ask(project: &Project, path: &str, body: &str) -> Answer {
    project
        .operator(Method::POST, &format!("/access/v1/{path}"), body)
        .await
}

/// A request of the scenario: who, what, on which, and more members.
fn request(subject: &str, action: &str, resource: &str) -> String {
    let member = |name: &str, text: &str| match text {
        "" => String::new(),
        text => format!(r#""{name}":{text},"#),
    };
    let all = [
        member("subject", subject),
        member("action", action),
        member("resource", resource),
    ];
    format!("{{{}\"unknown\":[1]}}", all.concat())
}

const ALICE: &str = r#"{"type":"agent","id":"alice"}"#;
const BOB: &str = r#"{"type":"agent","id":"bob","properties":{"role":"admin"}}"#;
const ONE: &str = r#"{"type":"record","id":"record-1"}"#;
const TWO: &str = r#"{"type":"record","id":"record-2","properties":{"status":"archived"}}"#;
const SOFT: &str = r#"{"name":"delete","properties":{"soft":true}}"#;
const HARD: &str = r#"{"name":"delete","properties":{"soft":false}}"#;
const READ: &str = r#"{"name":"read"}"#;
const WRITE: &str = r#"{"name":"write"}"#;

fn decision(value: &Value) -> Option<bool> {
    value.member("decision").and_then(Value::as_bool)
}

fn reason(value: &Value) -> String {
    let reason = value
        .member("context")
        .and_then(|context| context.member("reason_code"));
    reason
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn decisions() {
    runtime().block_on(async {
        let (project, _server) = installed();
        for (row, subject, action, resource, wanted, why) in [
            ("1", ALICE, READ, ONE, true, ""),
            ("2", ALICE, WRITE, ONE, true, ""),
            ("3", BOB, READ, ONE, true, ""),
            ("4", BOB, WRITE, ONE, false, "forbidden"),
            ("5", ALICE, WRITE, TWO, false, "forbidden"),
            ("6", BOB, WRITE, TWO, true, ""),
            ("7", ALICE, SOFT, ONE, true, ""),
            ("8", ALICE, HARD, ONE, false, "forbidden"),
            ("a role that only the request says", r#"{"type":"agent","id":"alice","properties":{"role":"admin"}}"#, WRITE, TWO, false, "forbidden"),
            ("the action's whole name", ALICE, r#"{"name":"record:read"}"#, ONE, true, ""),
            ("nobody", r#"{"type":"agent","id":"carol"}"#, READ, ONE, false, "unknown_subject"),
            ("no agent", r#"{"type":"user","id":"alice"}"#, READ, ONE, false, "unknown_subject"),
            ("no operation", ALICE, r#"{"name":"burn"}"#, ONE, false, "unknown_operation"),
            ("no API", ALICE, READ, r#"{"type":"spaceship","id":"x"}"#, false, "unknown_operation"),
            ("a record the contract does not have", ALICE, READ, r#"{"type":"record","id":"record-3"}"#, false, "invalid_input"),
            ("an argument of another type", ALICE, r#"{"name":"delete","properties":{"soft":"very"}}"#, ONE, false, "invalid_input"),
        ] {
            for path in ["evaluation", "evaluations"] {
                let answer = ask(&project, path, &request(subject, action, resource)).await;
                assert_eq!(answer.status, 200, "{row}");
                assert_eq!(answer.header("content-type"), Some("application/json"), "{row}");
                assert_eq!(decision(&answer.json()), Some(wanted), "{row}: {}", answer.json());
                assert_eq!(reason(&answer.json()), why, "{row}");
                // Whoever may have calls explained is told how it came about.
                let trace = answer.json();
                let trace = trace.member("context").and_then(|context| context.member("trace"));
                let trace = trace.unwrap_or(&Value::Null).clone();
                let decided = trace.member("decision").and_then(Value::as_str);
                let text = trace.member("text").and_then(Value::as_str).unwrap_or_default();
                assert_eq!(decided == Some("ALLOW"), wanted, "{row}: {trace}");
                // Of what is not known there is nothing to trace.
                let known = !why.starts_with("unknown");
                assert_eq!(text.contains("the policies permit it"), known, "{row}: {text}");
            }
        }
        let only = |purpose: &str| format!(r#"{{"subject":{ALICE},"action":{READ},"resource":{ONE},"context":{{"purpose":"{purpose}","ip":"192.0.2.1"}}}}"#);
        for (purpose, wanted) in [("records", true), ("other", false)] {
            let answer = ask(&project, "evaluation", &only(purpose)).await.json();
            assert_eq!(decision(&answer), Some(wanted), "{purpose}: {answer}");
        }
    });
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_is_no_request() {
    runtime().block_on(async {
        let (project, _server) = installed();
        let rows = [
            ("2.4.1 subject", "evaluation", request("", READ, ONE)),
            ("2.4.1 action", "evaluation", request(ALICE, "", ONE)),
            ("2.4.1 resource", "evaluation", request(ALICE, READ, "")),
            (
                "2.4.2 type",
                "evaluation",
                request(r#"{"id":"alice"}"#, READ, ONE),
            ),
            (
                "2.4.2 id",
                "evaluation",
                request(r#"{"type":"agent"}"#, READ, ONE),
            ),
            ("2.4.2 name", "evaluation", request(ALICE, "{}", ONE)),
            (
                "2.4.2 resource type",
                "evaluation",
                request(ALICE, READ, r#"{"id":"record-1"}"#),
            ),
            (
                "2.4.2 resource id",
                "evaluation",
                request(ALICE, READ, r#"{"type":"record"}"#),
            ),
            ("2.4.4", "evaluation", "{".to_owned()),
            ("2.4.5", "evaluation", String::new()),
            (
                "2.4.6 subject",
                "evaluation",
                request("\"alice\"", READ, ONE),
            ),
            (
                "2.4.6 name",
                "evaluation",
                request(ALICE, r#"{"name":123}"#, ONE),
            ),
            (
                "properties",
                "evaluation",
                request(r#"{"type":"agent","id":"alice","properties":7}"#, READ, ONE),
            ),
            (
                "semantic",
                "evaluations",
                r#"{"options":{"evaluations_semantic":"some"},"evaluations":[{}]}"#.to_owned(),
            ),
            (
                "no array",
                "evaluations",
                r#"{"evaluations":{}}"#.to_owned(),
            ),
            (
                "too many",
                "evaluations",
                format!(r#"{{"evaluations":[{}{{}}]}}"#, "{},".repeat(256)),
            ),
            (
                "4.7.1 subject",
                "search/subject",
                request(r#"{"type":"agent"}"#, "", ONE),
            ),
            (
                "4.7.1 resource",
                "search/resource",
                request("", READ, r#"{"type":"record"}"#),
            ),
            ("4.7.1 action", "search/action", request(ALICE, "", "")),
            (
                "4.7.2 subject",
                "search/subject",
                request(r#"{"type":"agent"}"#, READ, r#"{"type":"record"}"#),
            ),
            (
                "4.7.2 resource",
                "search/resource",
                request(r#"{"type":"agent"}"#, READ, r#"{"type":"record"}"#),
            ),
            (
                "4.7.2 action",
                "search/action",
                request(r#"{"type":"agent"}"#, "", ONE),
            ),
        ];
        for (row, path, body) in rows {
            let answer = ask(&project, path, &body).await;
            assert_eq!(
                answer.status,
                400,
                "{row}: {}",
                String::from_utf8_lossy(&answer.body)
            );
            assert_eq!(
                answer.header("content-type"),
                Some("text/plain; charset=utf-8"),
                "{row}"
            );
        }
        let good = request(ALICE, READ, ONE);
        let session = std::fs::read_to_string(project.path(".writ/operator-session")).unwrap();
        let authorization = format!("Bearer {}", session.trim());
        for (row, authorization, kind, status) in [
            (
                "2.5.1",
                authorization.as_str(),
                "application/json; charset=utf-8",
                200,
            ),
            ("2.4.3", authorization.as_str(), "text/plain", 400),
            ("a stranger", "Bearer wos_unknown", "application/json", 401),
        ] {
            let headers = [
                ("authorization", authorization),
                ("content-type", kind),
                ("x-request-id", "bfe9eb29"),
            ];
            let control = project.control();
            let answer = control.send(
                Method::POST,
                "/access/v1/evaluation",
                &headers,
                good.clone(),
            );
            let answer = answer.await.unwrap();
            assert_eq!(answer.status, status, "{row}");
            assert_eq!(answer.header("x-request-id"), Some("bfe9eb29"), "{row}");
        }
    });
}

/// Decisions of several, and where each semantic stops.
#[test]
fn several_at_once() {
    runtime().block_on(async {
        let (project, _server) = installed();
        let items = format!(r#"[{{}},{{"subject":{BOB},"action":{WRITE}}},{{"action":{SOFT}}},{{"resource":7}},{{"resource":{TWO},"action":{WRITE}}}]"#);
        let all = vec![true, false, true, false, false];
        let swapped = format!(r#"[{{"subject":{BOB},"action":{WRITE}}},{{}},{{"action":{SOFT}}}]"#);
        for (semantic, items, wanted) in [
            ("", &items, all.clone()),
            ("execute_all", &items, all),
            ("deny_on_first_deny", &items, vec![true, false]),
            ("permit_on_first_permit", &items, vec![true]),
            ("deny_on_first_deny", &swapped, vec![false]),
            ("permit_on_first_permit", &swapped, vec![false, true]),
        ] {
            let options = match semantic {
                "" => String::new(),
                semantic => format!(r#","options":{{"evaluations_semantic":"{semantic}"}}"#),
            };
            let body = format!(r#"{{"subject":{ALICE},"action":{READ},"resource":{ONE},"evaluations":{items}{options}}}"#);
            let answer = ask(&project, "evaluations", &body).await.json();
            let decisions = answer.member("evaluations").and_then(Value::as_array).unwrap();
            let decisions: Vec<_> = decisions.iter().filter_map(decision).collect();
            assert_eq!(decisions, wanted, "{semantic}: {answer}");
        }
        let empty = format!(r#"{{"subject":{ALICE},"action":{READ},"resource":{ONE},"evaluations":[]}}"#);
        assert_eq!(decision(&ask(&project, "evaluations", &empty).await.json()), Some(true), "3.4.3");
    });
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn searches() {
    runtime().block_on(async {
        let (project, _server) = installed();
        let agents = |names: &[&str]| -> Vec<String> {
            names
                .iter()
                .map(|name| format!("spiffe://writ.local/agent/{name}"))
                .collect()
        };
        let texts = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let any = r#"{"type":"agent"}"#;
        let record = r#"{"type":"record"}"#;
        for (row, path, body, wanted) in [
            (
                "S1",
                "subject",
                request(any, READ, ONE),
                agents(&["alice", "bob"]),
            ),
            (
                "4.2.3: an id is not read",
                "subject",
                request(ALICE, READ, ONE),
                agents(&["alice", "bob"]),
            ),
            ("S4", "subject", request(any, WRITE, TWO), agents(&["bob"])),
            (
                "S2",
                "resource",
                request(ALICE, READ, record),
                texts(&["record-1", "record-2"]),
            ),
            (
                "4.3.3: an id is not read",
                "resource",
                request(ALICE, READ, TWO),
                texts(&["record-1", "record-2"]),
            ),
            (
                "S5",
                "resource",
                request(
                    BOB,
                    WRITE,
                    r#"{"type":"record","properties":{"status":"archived"}}"#,
                ),
                texts(&["record-1", "record-2"]),
            ),
            (
                "S3",
                "action",
                request(ALICE, "", ONE),
                texts(&["read", "write"]),
            ),
            (
                "S6",
                "action",
                request(BOB, "", TWO),
                texts(&["read", "write"]),
            ),
            (
                "4.6.1",
                "action",
                request(r#"{"type":"agent","id":"nobody"}"#, "", ONE),
                texts(&[]),
            ),
            (
                "4.6.2",
                "subject",
                request(r#"{"type":"spaceship"}"#, READ, ONE),
                texts(&[]),
            ),
            (
                "4.6.2",
                "resource",
                request(ALICE, READ, r#"{"type":"spaceship"}"#),
                texts(&[]),
            ),
        ] {
            let paged = body.replacen('{', r#"{"page":{"limit":1},"#, 1);
            for body in [body, paged] {
                let answer = ask(&project, &format!("search/{path}"), &body).await;
                assert_eq!(answer.status, 200, "{row}");
                let answer = answer.json();
                let found = answer.member("results").and_then(Value::as_array).unwrap();
                let name = |one: &Value| {
                    let name = one.member(if path == "action" { "name" } else { "id" });
                    name.and_then(Value::as_str).unwrap().to_owned()
                };
                let mut found: Vec<String> = found.iter().map(name).collect();
                found.sort();
                assert_eq!(found, wanted, "{row}");
                assert!(answer.member("page").is_none(), "{row}: one page");
            }
        }
    });
}

#[test]
fn it_says_where_it_is() {
    runtime().block_on(async {
        let (project, _server) = installed();
        let control = project.control();
        let answer = control.send(Method::GET, "/.well-known/authzen-configuration", &[], "").await;
        let base = format!("http://127.0.0.1:{}", project.control);
        let wanted = format!(
            r#"{{"policy_decision_point":"{base}","access_evaluation_endpoint":"{base}/access/v1/evaluation","access_evaluations_endpoint":"{base}/access/v1/evaluations","search_subject_endpoint":"{base}/access/v1/search/subject","search_resource_endpoint":"{base}/access/v1/search/resource","search_action_endpoint":"{base}/access/v1/search/action"}}"#
        );
        assert_eq!(answer.unwrap().json(), json(&wanted));
    });
}

#[test]
fn what_a_person_has_stopped_nobody_could_do() {
    runtime().block_on(async {
        let (project, _server) = installed();
        let read = async || {
            let answer = ask(&project, "evaluation", &request(ALICE, READ, ONE)).await;
            let answer = answer.json();
            (decision(&answer), reason(&answer))
        };
        for (row, body) in [
            ("the API", r#"{"api":"record"}"#),
            (
                "the owner of agent and purpose",
                r#"{"owner":"o@example.org"}"#,
            ),
        ] {
            for (path, wanted) in [
                ("/v1/kill", (Some(false), "stopped".to_owned())),
                ("/v1/resume", (Some(true), String::new())),
            ] {
                let answer = project.operator(Method::POST, path, body).await;
                assert_eq!(answer.status, 200, "{row}: {}", answer.json());
                assert_eq!(read().await, wanted, "{row}: {path}");
            }
        }
    });
}
