//! A live task comes to hold more because people said yes to the difference, and less because its agent said so.

use hyper::Method;
use writ::agent::{AgentClient, Identity, OpenTask};
use writ::http::Answer;
use writ_testkit::{Caller, json, reason, runtime};
use writ_types::Value;

use crate::stage::{Person, Stage, comment, text};

/// An agent with a task that reads tickets, 10 calls and no writes.
pub(crate) struct Holder {
    client: AgentClient,
    identity: Identity,
    pub(crate) task: OpenTask,
}

const READS: &str = r#""actions":["helpdesk:getTicket"]"#;
const MORE: &str =
    r#""actions":["helpdesk:getTicket","helpdesk:updateTicket"],"budget":{"calls":20,"writes":2}"#;

impl Holder {
    pub(crate) async fn open(stage: &Stage, agent: &str, members: &str) -> Self {
        let client = stage.project.client();
        let spiffe = format!("spiffe://writ.local/agent/{agent}");
        let identity = client.identity(Some(&spiffe)).await.unwrap();
        let details = json(&format!(
            r#"[{{"type":"writ_task","purpose":"triage",{members}}}]"#
        ));
        let opened = client.open(&identity, &details).await.unwrap();
        let task = opened.unwrap_or_else(|answer| panic!("{}", answer.json()));
        Self {
            client,
            identity,
            task,
        }
    }

    async fn reader(stage: &Stage) -> Self {
        let members = format!(r#"{READS},"budget":{{"calls":10,"writes":0}},"expires_in":600"#);
        Self::open(stage, "bot", &members).await
    }

    async fn ask(&self, members: &str, why: &str) -> Answer {
        self.ask_waiting(members, why, "wait=0").await
    }

    async fn ask_waiting(&self, members: &str, why: &str, prefer: &str) -> Answer {
        let details = json(&format!(
            r#"[{{"type":"writ_task","purpose":"triage",{members}}}]"#
        ));
        let asked = self.client.amend(&self.task, (&details, why), prefer);
        asked.await.unwrap()
    }

    async fn renew(&self) -> OpenTask {
        let renewed = self.client.renew(&self.identity, &self.task).await;
        renewed
            .unwrap()
            .unwrap_or_else(|answer| panic!("{}", answer.json()))
    }
}

/// The approval that the request for more names.
fn asked(answer: &Answer) -> String {
    let json = answer.json();
    let found = (answer.status, reason(answer), text(&json, "verdict"));
    let wanted = (403, "approval_required".to_owned(), "STEP_UP".to_owned());
    assert_eq!(found, wanted, "{json}");
    text(json.member("approval").unwrap(), "id")
}

fn state(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.json());
    text(&answer.json(), "state")
}

async fn owner(stage: &Stage) -> Person<'_> {
    stage.person("owner@example.org", "approver", &[]).await
}

const TICKET: &str = "/helpdesk/tickets/T-1001";

async fn read(caller: &Caller<'_>) -> String {
    let answer = caller.send("GET", TICKET, &[], "").await;
    if answer.status == 200 {
        "read".to_owned()
    } else {
        reason(&answer)
    }
}

async fn update(caller: &Caller<'_>) -> String {
    let headers = [("content-type", "application/json")];
    let body = r#"{"priority":"high"}"#;
    reason(&caller.send("PATCH", TICKET, &headers, body).await)
}

#[test]
fn more_is_held_after_a_yes_to_the_difference_and_by_a_new_token() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let owner = owner(&stage).await;
        let holder = Holder::reader(&stage).await;
        let old = Caller::new(&stage.project, &holder.task);
        assert_eq!(read(&old).await, "read");
        let approval = asked(&holder.ask(MORE, "the ticket has to be raised").await);
        assert_eq!(asked(&holder.ask(MORE, "the ticket has to be raised").await), approval);
        // Nothing has changed before the yes, and the agent asks how it stands as for any approval.
        assert_eq!(update(&old).await, "action_not_granted");
        assert_eq!(crate::stage::status(&old, &approval).await, "pending");
        let shown = owner
            .send(Method::GET, &format!("/v1/approvals/{approval}"), "")
            .await
            .json();
        let card = shown.member("card").unwrap();
        assert_eq!(text(card, "agent_says"), "the ticket has to be raised");
        let difference = card.member("difference").unwrap().to_string();
        for said in [
            r#""action":"helpdesk:updateTicket""#,
            r#""effects":"write""#,
            r#""grade":"#,
            r#""bounded":false"#,
            r#""budget":{"after":{"calls":20,"deletes":0,"irreversible":0,"writes":2},"before":{"calls":10,"deletes":0,"irreversible":0,"writes":0}}"#,
            r#""blast_radius":{"after":38,"before":10}"#,
        ] {
            assert!(difference.contains(said), "{said}\n{difference}");
        }
        assert_eq!(owner.yes(&approval).await.status, 200);
        let amended = holder.ask(MORE, "the ticket has to be raised").await;
        assert_eq!(state(&amended), "amended");
        let held = amended.json().member("authorization_details").unwrap().to_string();
        assert!(held.contains("updateTicket") && held.contains(r#""writes":2"#), "{held}");
        // The old token keeps what it named; the renewed one names the new.
        assert_eq!(read(&old).await, "read");
        assert_eq!(update(&old).await, "action_not_granted");
        let renewed = holder.renew().await;
        let new = Caller::new(&stage.project, &renewed);
        assert_eq!(update(&new).await, "deferred", "held, and the rules ask what they ask");
        assert_eq!(state(&holder.ask(MORE, "").await), "unchanged");
        // One record, with both digests and the approval.
        let (_, log, _) = stage.project.run(&["--json", "audit", "search", &holder.task.task]);
        let records = log.lines().map(json).filter_map(|row| {
            let record = row.member("record")?;
            let amended = text(record, "kind") == "task_amended";
            record.member("detail").filter(|_| amended).cloned()
        });
        let records: Vec<Value> = records.collect();
        let [record] = &*records else {
            panic!("{log}")
        };
        assert_eq!(text(record, "approval"), approval);
        assert!(text(record, "from") != text(record, "grant"));
        assert!(!log.contains("has to be raised"), "no word of the agent is in a record");
    });
}

/// Rules that look at what was done within a time are no refusal of what has not been done yet.
#[test]
fn an_agent_of_the_autonomous_pack_may_come_to_write() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let members = format!(r#"{READS},"budget":{{"calls":10,"writes":0}},"expires_in":600"#);
        let holder = Holder::open(&stage, "packed", &members).await;
        let approval = asked(&holder.ask(MORE, "the ticket has to be raised").await);
        let owner = owner(&stage).await;
        assert_eq!(owner.yes(&approval).await.status, 200);
        assert_eq!(
            state(&holder.ask(MORE, "the ticket has to be raised").await),
            "amended"
        );
    });
}

#[test]
fn what_only_narrows_happens_at_once() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let all = r#""actions":["helpdesk:getTicket","helpdesk:addComment"],"budget":{"calls":20,"writes":5},"expires_in":900"#;
        let holder = Holder::open(&stage, "bot", all).await;
        let caller = Caller::new(&stage.project, &holder.task);
        let less = format!(r#"{READS},"expires_in":600,"budget":{{"writes":0}}"#);
        assert_eq!(state(&holder.ask(&less, "").await), "amended");
        // For the token that named it too.
        assert_eq!(reason(&comment(&caller).await), "action_not_granted");
        assert_eq!(read(&caller).await, "read");
        let bound = format!(r#"{READS},"bounds":{{"helpdesk:getTicket":{{"/path/ticketId":["T-1002"]}}}}"#);
        assert_eq!(state(&holder.ask(&bound, "").await), "amended");
        assert_eq!(read(&caller).await, "outside_bounds");
        // What was given up is more again.
        asked(&holder.ask(all, "again").await);
    });
}

/// What no person can give: beyond the purpose, and what the policies let nobody lift.
#[test]
fn never_beyond_the_purpose_and_what_rules_refuse_for_good() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let holder = Holder::reader(&stage).await;
        for (members, refused) in [
            (
                r#""actions":["helpdesk:getTicket","helpdesk:createRefund"]"#,
                "amendment_refused",
            ),
            (
                r#""actions":["helpdesk:getTicket","helpdesk:deleteTicket"]"#,
                "forbidden",
            ),
            (
                r#""actions":["helpdesk:getTicket"],"budget":{"calls":501}"#,
                "amendment_refused",
            ),
            (
                r#""actions":["helpdesk:getTicket"],"expires_in":3601"#,
                "amendment_refused",
            ),
            (
                r#""actions":["helpdesk:getTicket"],"prompt":"do more""#,
                "invalid_input",
            ),
            (
                r#""actions":["helpdesk:getTicket"],"mode":"copilot""#,
                "invalid_input",
            ),
            (
                r#""actions":["helpdesk:getTicket"],"plan":[{"action":"helpdesk:getTicket"}]"#,
                "invalid_input",
            ),
            (r#""actions":["writ:amendTask"]"#, "amendment_refused"),
        ] {
            let answer = holder.ask(members, "because").await;
            assert_eq!(reason(&answer), refused, "{members}: {}", answer.json());
        }
        let other = r#"[{"type":"writ_task","purpose":"other","actions":["helpdesk:getTicket"]}]"#;
        let other = json(other);
        let asked = holder.client.amend(&holder.task, (&other, "why"), "wait=0");
        assert_eq!(reason(&asked.await.unwrap()), "invalid_input");
        // Without a word of why nobody is asked.
        assert_eq!(reason(&holder.ask(MORE, " ").await), "invalid_input");
        assert_eq!(state(&holder.ask(READS, "").await), "unchanged");
    });
}

#[test]
fn a_no_is_remembered_and_one_amendment_waits_at_a_time() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let owner = owner(&stage).await;
        let holder = Holder::reader(&stage).await;
        let calls = format!(r#"{READS},"budget":{{"calls":30}}"#);
        let first = asked(&holder.ask(MORE, "why").await);
        assert_eq!(
            reason(&holder.ask(&calls, "why").await),
            "too_many_approvals"
        );
        let no = owner.no(&first, "{}").await;
        assert_eq!(no.status, 200, "{}", no.json());
        assert_eq!(reason(&holder.ask(MORE, "why").await), "approval_denied");
        // Neither less of the same, nor another reason, nor another task of the same owner's agents starts clean.
        let update = r#""actions":["helpdesk:getTicket","helpdesk:updateTicket"]"#;
        assert_eq!(
            reason(&holder.ask(update, "another why").await),
            "approval_denied"
        );
        let members = format!(r#"{READS},"budget":{{"calls":10,"writes":0}}"#);
        let other = Holder::open(&stage, "other", &members).await;
        assert_eq!(reason(&other.ask(update, "why").await), "approval_denied");
        let comment = r#""actions":["helpdesk:getTicket","helpdesk:getCustomer"]"#;
        asked(&other.ask(comment, "why").await);
    });
}

#[test]
fn a_yes_is_for_this_difference_and_used_once() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let owner = owner(&stage).await;
        let holder = Holder::reader(&stage).await;
        // Narrowed meanwhile: the difference is another, and what was asked is withdrawn.
        let first = asked(&holder.ask(MORE, "why").await);
        assert_eq!(owner.yes(&first).await.status, 200);
        let less = format!(r#"{READS},"budget":{{"calls":9}}"#);
        assert_eq!(state(&holder.ask(&less, "").await), "amended");
        let second = asked(&holder.ask(MORE, "why").await);
        assert_ne!(first, second);
        // One word of the reason, one call more: another card, another approval.
        let caller = Caller::new(&stage.project, &holder.task);
        assert_eq!(crate::stage::status(&caller, &first).await, "expired");
        assert_eq!(owner.yes(&second).await.status, 200);
        let third = MORE.replace("\"calls\":20", "\"calls\":21");
        assert_eq!(
            reason(&holder.ask(&third, "why").await),
            "too_many_approvals"
        );
        assert_eq!(state(&holder.ask(MORE, "why").await), "amended");
        // Given up and wanted again: it is asked for again.
        assert_eq!(state(&holder.ask(&less, "").await), "amended");
        let fourth = asked(&holder.ask(MORE, "why").await);
        assert_ne!(fourth, second);
    });
}

#[test]
fn two_that_race_for_one_yes_amend_once() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let owner = owner(&stage).await;
        let holder = Holder::reader(&stage).await;
        let approval = asked(&holder.ask(MORE, "why").await);
        assert_eq!(owner.yes(&approval).await.status, 200);
        let (one, two) = tokio::join!(holder.ask(MORE, "why"), holder.ask(MORE, "why"));
        let mut states = [state(&one), state(&two)];
        states.sort();
        assert_eq!(states, ["amended", "unchanged"]);
    });
}

#[test]
fn a_killed_task_comes_to_hold_nothing() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let owner = owner(&stage).await;
        let holder = Holder::reader(&stage).await;
        let approval = asked(&holder.ask(MORE, "why").await);
        let waits = holder.ask_waiting(MORE, "why", "wait=30");
        let kill = async {
            let (code, _, _) = stage.project.run(&["kill", "task", &holder.task.task]);
            assert_eq!(code, 0);
            // The yes comes too late, whoever gives it, and wakes nobody for anything.
            owner.yes(&approval).await.status
        };
        let (answer, yes) = tokio::join!(waits, kill);
        assert_eq!(yes, 400);
        assert_eq!(reason(&answer), "task_ended");
    });
}

/// Who may ask: the holder of a token of this very task and of its key.
#[test]
fn only_the_holder_of_the_task_asks() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let holder = Holder::reader(&stage).await;
        let other = Holder::reader(&stage).await;
        let path = format!("/v1/tasks/{}/amend", holder.task.task);
        let control = stage.project.control();
        let body = format!(
            r#"{{"authorization_details":[{{"type":"writ_task","purpose":"triage",{READS},"expires_in":300}}]}}"#
        );
        let bearer = format!("Bearer {}", holder.task.token);
        let scheme = format!("DPoP {}", holder.task.token);
        let session = std::fs::read_to_string(stage.project.path(".writ/operator-session")).unwrap();
        let operator = format!("Bearer {}", session.trim());
        for fields in [
            vec![],
            vec![("authorization", bearer.as_str())],
            vec![("authorization", scheme.as_str())],
            vec![("authorization", operator.as_str())],
        ] {
            let mut headers = fields.clone();
            headers.push(("content-type", "application/json"));
            let answer = control.send(Method::POST, &path, &headers, body.clone()).await.unwrap();
            assert_eq!(answer.status, 401, "{fields:?} {}", answer.json());
        }
        // With a token and key of its own, for somebody else's task.
        let details = json(&format!(r#"[{{"type":"writ_task","purpose":"triage",{READS}}}]"#));
        let foreign = OpenTask::kept(&holder.task.task, &other.task.token, clone(&other.task));
        let answer = holder.client.amend(&foreign.unwrap(), (&details, "why"), "wait=0").await;
        assert_eq!(answer.unwrap().status, 404);
        // With its token and another key.
        let stolen = OpenTask::kept(&holder.task.task, &holder.task.token, clone(&other.task));
        let answer = holder.client.amend(&stolen.unwrap(), (&details, "why"), "wait=0").await;
        assert_eq!(reason(&answer.unwrap()), "invalid_dpop_proof");
    });
}

fn clone(task: &OpenTask) -> writ_types::Secret<Vec<u8>> {
    writ_types::Secret::new(task.pkcs8.expose().clone())
}

/// Who may answer: the owner where there is no user, and whoever runs Writ too, where it is grave.
#[test]
fn what_is_grave_takes_two_roles() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let owner = owner(&stage).await;
        let security = stage.person("sue", "approver", &["security"]).await;
        let holder = Holder::reader(&stage).await;
        let approval = asked(&holder.ask(MORE, "why").await);
        let path = format!("/v1/approvals/{approval}/yes");
        let answer = security.send(Method::POST, &path, r#"{"card":"x"}"#);
        assert_eq!(answer.await.status, 403, "not theirs to give");
        assert_eq!(owner.no(&approval, r#"{"once":true}"#).await.status, 200);
        let grave = format!(r#"{READS},"budget":{{"irreversible":1}}"#);
        let approval = asked(&holder.ask(&grave, "why").await);
        assert_eq!(text(&owner.yes(&approval).await.json(), "state"), "pending");
        asked(&holder.ask(&grave, "why").await);
        let operator = stage.person("ops", "operator", &[]).await;
        assert_eq!(
            text(&operator.yes(&approval).await.json(), "state"),
            "approved"
        );
        assert_eq!(state(&holder.ask(&grave, "why").await), "amended");
    });
}

#[test]
fn after_a_kill_of_the_process_it_holds_what_it_came_to_hold() {
    runtime().block_on(async {
        let (stage, server) = Stage::start().await;
        let owner = owner(&stage).await;
        let holder = Holder::reader(&stage).await;
        let caller = Caller::new(&stage.project, &holder.task);
        for _ in 0..3 {
            assert_eq!(read(&caller).await, "read");
        }
        let longer = MORE.replace("\"calls\":20", "\"calls\":5") + r#","expires_in":1200"#;
        let approval = asked(&holder.ask(&longer, "why").await);
        assert_eq!(owner.yes(&approval).await.status, 200);
        assert_eq!(state(&holder.ask(&longer, "why").await), "amended");
        let before = stage
            .project
            .run(&["--json", "task", "show", &holder.task.task])
            .1;
        server.kill();
        let _server = stage.project.start();
        let after = stage
            .project
            .run(&["--json", "task", "show", &holder.task.task])
            .1;
        assert_eq!(
            json(&before).member("deadline"),
            json(&after).member("deadline")
        );
        assert_eq!(state(&holder.ask(&longer, "why").await), "unchanged");
        // The token of before keeps what it named, the budget is the one after, and what was spent is spent.
        assert_eq!(update(&caller).await, "action_not_granted");
        assert_eq!(read(&caller).await, "read");
        let renewed = holder.renew().await;
        let new = Caller::new(&stage.project, &renewed);
        assert_eq!(update(&new).await, "deferred");
        assert_eq!(read(&caller).await, "read");
        assert_eq!(read(&caller).await, "budget_exhausted");
    });
}

#[test]
fn a_value_that_the_agent_names_is_shown_as_the_agents_and_vouches_for_nothing() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let owner = owner(&stage).await;
        let holder = Holder::reader(&stage).await;
        let bounded = r#""actions":["helpdesk:getTicket","helpdesk:updateTicket"],"budget":{"writes":1},"bounds":{"helpdesk:updateTicket":{"/path/ticketId":["T-6666"]}}"#;
        let approval = asked(&holder.ask(bounded, "why\u{1b}[2K").await);
        let shown = owner
            .send(Method::GET, &format!("/v1/approvals/{approval}"), "")
            .await
            .json();
        let values = shown.member("card").unwrap().member("values").unwrap().to_string();
        assert!(values.contains(r#""value":"T-6666""#) && values.contains(r#""origin":"unseen""#), "{values}");
        let (code, out, _) = stage.project.run(&["approve", "show", &approval]);
        assert_eq!(code, 0);
        for said in ["+ action", "helpdesk:updateTicket", "T-6666\": never seen", "in the agent's words", "\\u{1b}[2K"] {
            assert!(out.contains(said), "{said}\n{out}");
        }
        assert_eq!(owner.yes(&approval).await.status, 200);
        assert_eq!(state(&holder.ask(bounded, "why\u{1b}[2K").await), "amended");
        let (_, _, log) = (0, 0, stage.project.run(&["--json", "audit", "search", &holder.task.task]).1);
        assert!(!log.contains("vouched_bounds"), "{log}");
    });
}

#[test]
fn from_the_command_line() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let owner = owner(&stage).await;
        let file = stage.project.path("task.json");
        let file = file.to_str().unwrap();
        let spiffe = "spiffe://writ.local/agent/bot";
        let open = [
            "task",
            "open",
            "--purpose",
            "triage",
            "--action",
            "helpdesk:getTicket",
            "--spiffe-id",
            spiffe,
            "--out",
            file,
        ];
        assert_eq!(stage.project.run(&open).0, 0);
        let amend = [
            "task",
            "amend",
            file,
            "--action",
            "helpdesk:getTicket",
            "--action",
            "helpdesk:getCustomer",
            "--reason",
            "whose ticket it is",
            "--spiffe-id",
            spiffe,
        ];
        let (code, _, said) = stage.project.run(&amend);
        assert_eq!(code, 1);
        assert!(
            said.contains("approval_required") && said.contains("writ approve show apr_"),
            "{said}"
        );
        let (_, listed, _) = stage.project.run(&["--json", "approve", "list"]);
        let listed = json(&listed);
        let approval = text(&listed.as_array().unwrap()[0], "id");
        assert_eq!(
            text(&listed.as_array().unwrap()[0], "action"),
            "writ:amendTask"
        );
        assert_eq!(owner.yes(&approval).await.status, 200);
        let (code, said, _) = stage.project.run(&amend);
        assert!(code == 0 && said.contains("amended"), "{said}");
        let kept = std::fs::read_to_string(file).unwrap();
        assert!(kept.contains("getCustomer"), "{kept}");
    });
}

/// What is said of a task in the middle of its life is the agent's word: a pause stays, a freeze holds, and what is stopped is added
/// by nobody.
#[test]
fn nothing_is_added_in_a_freeze_and_of_what_is_stopped() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let owner = owner(&stage).await;
        let holder = Holder::reader(&stage).await;
        let approval = asked(&holder.ask(MORE, "why").await);
        assert_eq!(owner.yes(&approval).await.status, 200);
        // Approved, and not used before the freeze: it is decided anew.
        let freeze = "[[freeze]]\nname = \"code-freeze\"\nreason = \"release week\"\nfrom = \"2020-01-01T00:00:00Z\"\nuntil = \"2099-01-01T00:00:00Z\"\n";
        stage.project.write("policies/freezes.toml", freeze);
        let (code, _, fault) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{fault}");
        let refused = reason(&holder.ask(MORE, "why").await);
        assert!(matches!(&*refused, "frozen" | "forbidden"), "{refused}");
        let (code, _, _) = stage.project.run(&["kill", "api", "helpdesk"]);
        assert_eq!(code, 0);
        assert_eq!(reason(&holder.ask(MORE, "why").await), "stopped");
        // What only narrows is always the agent's to say.
        let less = format!(r#"{READS},"budget":{{"calls":3}}"#);
        assert_eq!(state(&holder.ask(&less, "").await), "amended");
        let (_, _, _) = stage.project.run(&["kill", "owner", "o@example.org"]);
        let over = holder.ask(&less, "").await;
        assert_eq!(reason(&over), "task_ended");
    });
}

/// A token from before hands on what it named, also to sub-tasks.
#[test]
fn a_token_of_before_opens_no_sub_task_with_more() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let owner = owner(&stage).await;
        let holder = Holder::reader(&stage).await;
        let approval = asked(&holder.ask(MORE, "why").await);
        assert_eq!(owner.yes(&approval).await.status, 200);
        assert_eq!(state(&holder.ask(MORE, "why").await), "amended");
        let more = r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:updateTicket"],"budget":{"calls":1,"writes":1}}]"#;
        let less = more.replace("updateTicket", "getTicket");
        for (old, new, wanted) in [(true, more, false), (true, &*less, true), (false, more, true)] {
            let renewed = holder.renew().await;
            let shown = if old { &holder.task } else { &renewed };
            let opened = holder.client.narrow(&holder.identity, shown, &json(new)).await;
            assert_eq!(opened.unwrap().is_ok(), wanted, "{old} {new}");
        }
        // Introspected, it is good for what it names.
        let shown = stage.project.run(&["--json", "task", "show", &holder.task.task]).1;
        assert!(shown.contains("updateTicket"), "{shown}");
        let (code, told, _) = stage.project.run(&["--json", "explain", &approval]);
        assert!(code == 0 && told.contains("amendTask"), "{told}");
    });
}

/// What a task held when it called is what its call is explained with.
#[test]
fn a_call_is_explained_with_what_its_token_named() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let owner = owner(&stage).await;
        let holder = Holder::reader(&stage).await;
        let old = Caller::new(&stage.project, &holder.task);
        let approval = asked(&holder.ask(MORE, "why").await);
        assert_eq!(owner.yes(&approval).await.status, 200);
        assert_eq!(state(&holder.ask(MORE, "why").await), "amended");
        let renewed = holder.renew().await;
        let new = Caller::new(&stage.project, &renewed);
        let headers = [("content-type", "application/json")];
        for (caller, verdict) in [(&old, "action_not_granted"), (&new, "deferred")] {
            let answer = caller
                .send("PATCH", TICKET, &headers, r#"{"priority":"high"}"#)
                .await;
            assert_eq!(reason(&answer), verdict);
            let call = text(&answer.json(), "decision_id");
            let (code, told, _) = stage.project.run(&["--json", "explain", &call]);
            assert_eq!(code, 0);
            let trace = json(&told).member("trace").unwrap().to_string();
            assert!(!trace.contains("otherwise"), "{trace}");
            assert_eq!(
                trace.contains(r#""reason":"deferred""#),
                verdict == "deferred",
                "{trace}"
            );
        }
    });
}
