//! Handing a task on: another agent gets a task below it, from the holder of its token and nobody else.

use hyper::Method;
use writ::agent::random_id;
use writ::http::Answer;
use writ_testkit::{reason, runtime};
use writ_types::Value;

use crate::kit::{
    ACCESS_TOKEN, BOT, EXCHANGE, JWT_SPIFFE, Key, OTHER, Opened, READ, Stage, TICKETS, decoded,
    hash, now, opened, refused, with, without,
};
use crate::vouching::jkt;

const GRANT: &str = "invalid_grant";
const NARROWER: &str = r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets"],"budget":{"calls":2}}]"#;

/// What the holder of `parent` signs for the other agent, its key and these details.
fn claims(stage: &Stage, parent: &Opened, key: &Key, details: &str) -> Value {
    let second = now().secs_since_epoch();
    Value::object([
        ("aud", Value::from(stage.control(""))),
        ("sub", Value::from(OTHER)),
        ("cnf", Value::object([("jkt", Value::from(jkt(key)))])),
        ("ath", Value::from(hash(&parent.token))),
        ("authorization_details#S256", Value::from(hash(details))),
        ("jti", Value::from(random_id().unwrap())),
        ("iat", Value::from_u64(second)),
        ("exp", Value::from_u64(second + 60)),
    ])
}

fn signed(key: &Key, typ: &str, claims: &Value) -> String {
    let header = Value::object([
        ("alg", Value::from("ES256")),
        ("jwk", key.jwk()),
        ("typ", Value::from(typ)),
    ]);
    key.sign(&header.to_string(), &claims.to_string())
}

fn handover(parent: &Opened, claims: &Value) -> String {
    signed(&parent.key, "writ-handover+jwt", claims)
}

/// The other agent asks for a task below the one whose token it was given.
async fn take(
    stage: &Stage,
    parent: &Opened,
    (agent, key): (&str, &Key),
    details: &str,
    ticket: Option<&str>,
) -> Answer {
    let (svid, public) = (stage.svid(agent).await, stage.public(""));
    let mut pairs = vec![
        ("grant_type", EXCHANGE),
        ("subject_token", parent.token.as_str()),
        ("subject_token_type", ACCESS_TOKEN),
        ("client_assertion_type", JWT_SPIFFE),
        ("client_assertion", &svid),
        ("resource", &public),
        ("authorization_details", details),
    ];
    pairs.extend(ticket.map(|ticket| ("task_ticket", ticket)));
    stage.token(key, &pairs).await
}

#[test]
fn a_task_is_handed_on_to_another_agent_and_ends_with_it() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let parent = stage.grant(BOT, READ).await;
        let key = Key::new();
        let ticket = handover(&parent, &claims(&stage, &parent, &key, NARROWER));
        let answer = take(&stage, &parent, (OTHER, &key), NARROWER, Some(&ticket)).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let again = take(&stage, &parent, (OTHER, &key), NARROWER, Some(&ticket)).await;
        refused(&again, GRANT, "used before");
        let child = opened(&answer, key);
        let shown = stage.task(&child.task).await;
        let holder = stage.task(&parent.task).await;
        assert_ne!(shown.member("agent"), holder.member("agent"));
        assert_eq!(
            shown.member("parent").and_then(Value::as_str),
            Some(&*parent.task)
        );
        let asserters = shown.member("asserters").unwrap().to_string();
        assert!(
            !asserters.contains("client") && !asserters.contains("accepted"),
            "{asserters}"
        );
        let renewed = stage
            .ask(OTHER, &Key::new(), &[("task_id", &child.task)])
            .await;
        assert_eq!(renewed.status, 200, "it is the other agent's own");
        // What it spends its parent has spent, and with its parent it ends.
        for status in [200, 200, 403] {
            assert_eq!(
                stage.call(&child, Method::GET, TICKETS).await.status,
                status
            );
        }
        let spent = stage.task(&parent.task).await;
        assert_eq!(spent.member("calls_spent").and_then(Value::as_u64), Some(2));
        stage
            .order("/v1/kill", &format!(r#"{{"task":"{}"}}"#, parent.task))
            .await;
        let ended = stage.call(&child, Method::GET, TICKETS).await;
        assert_eq!((ended.status, reason(&ended).as_str()), (401, "task_ended"));
    });
}

/// What is no hand-over of this task to the other agent with this key, and why.
fn no_handovers(
    stage: &Stage,
    (parent, other): (&Opened, &Opened),
    key: &Key,
) -> Vec<(&'static str, String, &'static str)> {
    let good = claims(stage, parent, key, NARROWER);
    let change = |name: &str, value: Value| with(&good, &Value::object([(name, value)]));
    let late = now().secs_since_epoch() - 120;
    let old = with(
        &good,
        &Value::object([
            ("iat", Value::from_u64(late - 60)),
            ("exp", Value::from_u64(late)),
        ]),
    );
    let long = change("exp", Value::from_u64(now().secs_since_epoch() + 7200));
    vec![
        (
            "the thief of a token",
            signed(&Key::new(), "writ-handover+jwt", &good),
            NARROWER,
        ),
        ("a proof", signed(&parent.key, "dpop+jwt", &good), NARROWER),
        (
            "a ticket",
            signed(&parent.key, "writ-ticket+jwt", &good),
            NARROWER,
        ),
        (
            "for another agent",
            handover(parent, &change("sub", Value::from(BOT))),
            NARROWER,
        ),
        (
            "for another key",
            handover(
                parent,
                &change(
                    "cnf",
                    Value::object([("jkt", Value::from(jkt(&Key::new())))]),
                ),
            ),
            NARROWER,
        ),
        (
            "of another token",
            handover(parent, &change("ath", Value::from(hash(&other.token)))),
            NARROWER,
        ),
        ("for another task", handover(parent, &good), READ),
        (
            "for another server",
            handover(parent, &change("aud", Value::from("https://other.example"))),
            NARROWER,
        ),
        ("of an hour ago", handover(parent, &old), NARROWER),
        ("for two hours", handover(parent, &long), NARROWER),
        (
            "without an id",
            handover(parent, &without(&good, "jti")),
            NARROWER,
        ),
        (
            "with more than is understood",
            handover(parent, &change("scope", Value::from("all"))),
            NARROWER,
        ),
    ]
}

#[test]
fn nobody_hands_on_what_they_do_not_hold() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let parent = stage.grant(BOT, READ).await;
        let key = Key::new();
        let wider =
            r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:addComment"]}]"#;
        let spare = r#"[{"type":"writ_task","purpose":"spare","actions":["helpdesk:getTicket"]}]"#;
        let other = stage.grant(BOT, READ).await;
        let rows = no_handovers(&stage, (&parent, &other), &key);
        for (row, ticket, details) in rows {
            let answer = take(&stage, &parent, (OTHER, &key), details, Some(&ticket)).await;
            refused(&answer, GRANT, row);
        }
        refused(
            &take(&stage, &parent, (OTHER, &key), NARROWER, None).await,
            GRANT,
            "no word of the holder",
        );
        // What is signed does not widen.
        for (row, details) in [
            ("an action that the parent has not", wider),
            ("another purpose", spare),
        ] {
            let ticket = handover(&parent, &claims(&stage, &parent, &key, details));
            let answer = take(&stage, &parent, (OTHER, &key), details, Some(&ticket)).await;
            refused(&answer, "invalid_authorization_details", row);
        }
        stage
            .order("/v1/kill", &format!(r#"{{"task":"{}"}}"#, parent.task))
            .await;
        let ticket = handover(&parent, &claims(&stage, &parent, &key, NARROWER));
        let answer = take(&stage, &parent, (OTHER, &key), NARROWER, Some(&ticket)).await;
        refused(&answer, GRANT, "of a task that was killed");
    });
}

/// An agent's file, and a word about it.
struct Registered<'a>(&'a Stage, &'static str, String);

impl<'a> Registered<'a> {
    fn new(stage: &'a Stage, name: &'static str) -> Self {
        let text = std::fs::read_to_string(stage.project.path(name)).unwrap();
        Self(stage, name, text)
    }

    /// Puts the file as this makes it into force.
    fn becomes(&self, change: impl Fn(&str) -> String) {
        let Self(stage, name, text) = self;
        stage.project.write(name, &change(text));
        let (code, _, said) = stage
            .project
            .run(&["apply", "--resume", BOT, "--resume", OTHER]);
        assert_eq!(code, 0, "{said}");
    }
}

/// The other agent gets a task below, and keeps a key for it.
async fn handed(stage: &Stage, parent: &Opened, agent: &str) -> Opened {
    let key = Key::new();
    let claims = with(
        &claims(stage, parent, &key, NARROWER),
        &Value::object([("sub", Value::from(agent))]),
    );
    let ticket = handover(parent, &claims);
    let answer = take(stage, parent, (agent, &key), NARROWER, Some(&ticket)).await;
    opened(&answer, key)
}

#[test]
fn what_is_taken_from_who_handed_on_is_taken_from_who_has_it() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let parent = stage.grant(BOT, READ).await;
        let child = handed(&stage, &parent, OTHER).await;
        let below = handed(&stage, &child, BOT).await;
        let file = Registered::new(&stage, "agents/bot.toml");
        let disabled = |text: &str| format!("{text}enabled = false\n");
        let stripped = file.2.replace(r#"["triage"]"#, r#"["spare"]"#);
        for (row, changed, wanted) in [
            ("disabled", disabled(&file.2), "agent_disabled"),
            ("without the purpose", stripped, "action_not_granted"),
        ] {
            file.becomes(|_before| changed.clone());
            let answer = stage.call(&child, Method::GET, TICKETS).await;
            assert_eq!((answer.status, &*reason(&answer)), (403, wanted), "{row}");
            let renewed = stage
                .ask(OTHER, &Key::new(), &[("task_id", &child.task)])
                .await;
            refused(&renewed, GRANT, row);
            // Neither narrowed for itself nor handed on once more.
            let (svid, public) = (stage.svid(OTHER).await, stage.public(""));
            let narrowed = [
                ("grant_type", EXCHANGE),
                ("subject_token", &child.token),
                ("subject_token_type", ACCESS_TOKEN),
                ("client_assertion_type", JWT_SPIFFE),
                ("client_assertion", &svid),
                ("resource", &public),
                ("authorization_details", NARROWER),
            ];
            refused(&stage.token(&child.key, &narrowed).await, GRANT, row);
            file.becomes(str::to_owned);
        }
        // The task of the first agent above the other's asks nothing of the other: it is above it.
        let file = Registered::new(&stage, "agents/other.toml");
        file.becomes(disabled);
        for (task, wanted) in [(&parent, 200), (&child, 403), (&below, 403)] {
            let answer = stage.call(task, Method::GET, TICKETS).await;
            assert_eq!(answer.status, wanted);
        }
        file.becomes(str::to_owned);
        let answer = stage.call(&child, Method::GET, TICKETS).await;
        assert_eq!(answer.status, 200);
    });
}

/// What policies say of an agent they say of whoever has its task, and what they let another do is not lent.
#[test]
fn nobody_sheds_a_rule_by_handing_on() {
    const OF_BOT: &str = "@id(\"t.bot\") forbid (principal, action, resource) when { principal.agent.spiffe == \"spiffe://writ.local/agent/bot\" };";
    const OF_ALL: &str = "@id(\"t.all\") forbid (principal, action == Api_helpdesk::Action::\"listTickets\", resource);";
    runtime().block_on(async {
        let stage = Stage::open().await;
        let parent = stage.grant(BOT, READ).await;
        let child = handed(&stage, &parent, OTHER).await;
        let below = handed(&stage, &child, BOT).await;
        let own = stage.grant(OTHER, READ).await;
        let apply = |text: &str| {
            stage.project.write("policies/own.cedar", text);
            let (code, out, said) = stage.project.run(&["apply"]);
            assert_eq!(code, 0, "{out}{said}");
        };
        let statuses = async || {
            let mut statuses = Vec::new();
            for task in [&parent, &child, &below, &own] {
                statuses.push(stage.call(task, Method::GET, TICKETS).await.status);
            }
            statuses
        };
        assert_eq!(statuses().await, [200, 200, 200, 200]);
        apply(OF_BOT);
        assert_eq!(statuses().await, [403, 403, 403, 200]);
        apply(OF_ALL);
        let except = [
            "exception",
            "add",
            "x",
            "--rule",
            "t.all",
            "--agent",
            "other",
            "--action",
            "helpdesk:listTickets",
            "--owner",
            "o",
            "--reason",
            "r",
            "--ticket",
            "t",
        ];
        assert_eq!(stage.project.run(&except).0, 0);
        apply(OF_ALL);
        assert_eq!(
            statuses().await,
            [403, 403, 403, 200],
            "an exception is not lent"
        );
    });
}

/// RFC 8693 §4.1: who acted before is nested, and history.
#[test]
fn a_token_says_who_handed_its_task_on() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let parent = stage.grant(BOT, READ).await;
        let child = handed(&stage, &parent, OTHER).await;
        let below = handed(&stage, &child, BOT).await;
        let renewed = stage
            .ask(OTHER, &Key::new(), &[("task_id", &child.task)])
            .await;
        let renewed = opened(&renewed, Key::new());
        let to_other = format!(r#"{{"act":{{"sub":"{BOT}"}},"sub":"{OTHER}"}}"#);
        let back = format!(r#"{{"act":{{"sub":"{OTHER}"}},"sub":"{BOT}"}}"#);
        let alone = format!(r#"{{"sub":"{BOT}"}}"#);
        for (task, wanted) in [
            (&parent, &alone),
            (&child, &to_other),
            (&renewed, &to_other),
            (&below, &back),
        ] {
            let (_, claims) = decoded(&task.token);
            assert_eq!(claims.member("act").unwrap().to_string(), *wanted);
        }
        assert_eq!(stage.call(&child, Method::GET, TICKETS).await.status, 200);
    });
}

#[test]
fn a_parent_that_lost_its_purpose_hands_nothing_on() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let parent = stage.grant(BOT, READ).await;
        let file = Registered::new(&stage, "agents/bot.toml");
        file.becomes(|text| text.replace(r#"["triage"]"#, r#"["spare"]"#));
        let key = Key::new();
        let ticket = handover(&parent, &claims(&stage, &parent, &key, NARROWER));
        let answer = take(&stage, &parent, (OTHER, &key), NARROWER, Some(&ticket)).await;
        refused(&answer, GRANT, "without the purpose");
    });
}

#[test]
fn what_was_handed_on_is_the_same_after_a_crash() {
    runtime().block_on(async {
        let mut stage = Stage::open().await;
        let parent = stage.grant(BOT, READ).await;
        let child = handed(&stage, &parent, OTHER).await;
        let below = handed(&stage, &child, BOT).await;
        let key = Key::new();
        let past = now().secs_since_epoch() - 10;
        let early = with(
            &claims(&stage, &parent, &key, NARROWER),
            &Value::object([("iat", Value::from_u64(past))]),
        );
        let early = handover(&parent, &early);
        assert_eq!(stage.call(&below, Method::GET, TICKETS).await.status, 200);
        stage.server.take().unwrap().kill();
        stage.server = Some(stage.project.start());
        let answer = take(&stage, &parent, (OTHER, &key), NARROWER, Some(&early)).await;
        refused(&answer, GRANT, "signed before the server began");
        // What the one below spent, both above it have spent; each falls with who stands above it.
        for (task, wanted) in [(&child, 200), (&below, 403), (&parent, 200)] {
            let answer = stage.call(task, Method::GET, TICKETS).await;
            assert_eq!(answer.status, wanted, "{}", answer.json());
        }
        stage
            .order("/v1/kill", &format!(r#"{{"task":"{}"}}"#, child.task))
            .await;
        for (task, wanted) in [(&child, 401), (&below, 401), (&parent, 200)] {
            let answer = stage.call(task, Method::GET, TICKETS).await;
            assert_eq!(answer.status, wanted, "{}", answer.json());
        }
        stage.restart();
        for (task, wanted) in [(&child, 401), (&below, 401), (&parent, 200)] {
            let answer = stage.call(task, Method::GET, TICKETS).await;
            assert_eq!(answer.status, wanted, "{}", answer.json());
        }
    });
}

#[test]
fn a_hand_over_is_spent_by_a_task_that_is_refused_too() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let parent = stage.grant(BOT, READ).await;
        let key = Key::new();
        let wider =
            r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:addComment"]}]"#;
        let ticket = handover(&parent, &claims(&stage, &parent, &key, wider));
        let answer = take(&stage, &parent, (OTHER, &key), wider, Some(&ticket)).await;
        refused(&answer, "invalid_authorization_details", "wider");
        let again = take(&stage, &parent, (OTHER, &key), wider, Some(&ticket)).await;
        refused(&again, GRANT, "used before");
    });
}

#[test]
fn the_agents_own_word_counts_for_the_other_agent_only_where_the_purpose_says_so() {
    runtime().block_on(async {
        for (row, word, wanted) in [
            ("nothing said", "", "agent"),
            ("accepted", "agent_vouches = true\n", "agent_accepted"),
        ] {
            let stage = Stage::prepared(|project| {
                let text = std::fs::read_to_string(project.path("purposes/triage.toml")).unwrap();
                project.write("purposes/triage.toml", &format!("{word}{text}"));
            })
            .await;
            let parent = stage.grant(BOT, READ).await;
            let child = handed(&stage, &parent, OTHER).await;
            let shown = stage.task(&child.task).await;
            let asserters = shown.member("asserters").unwrap();
            for what in ["prompt", "bounds", "plan"] {
                let said = asserters.member(what).unwrap().to_string();
                assert_eq!(said, format!("\"{wanted}\""), "{row}: {what}");
            }
        }
    });
}
