//! Who vouches for what a task is opened with: registered clients, by asking themselves or by a ticket; never the agent.

use hyper::Method;
use writ::agent::random_id;
use writ::http::Answer;
use writ_testkit::{Project, runtime};
use writ_types::Value;

use crate::kit::{
    BOT, EXCHANGE, JWT, JWT_SPIFFE, Key, OTHER, READ, Stage, hash, now, opened, refused, text,
    with, without,
};
use crate::trust::{Issuer, jwks};

pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const CLIENT: &str = "invalid_client";
const GRANT: &str = "invalid_grant";

pub(crate) const CLIENT_SETTINGS: &str =
    "[[client]]\nid = \"planner\"\nagents = [\"bot\"]\njwks_file = \"planner.jwks\"\n";

/// An orchestrator that may open tasks for the one agent and not for the other.
pub(crate) struct Planner(pub(crate) Key);

impl Planner {
    pub(crate) fn configure(&self, project: &Project) {
        project.write("planner.jwks", &jwks(&self.0).to_string());
        project.settings(CLIENT_SETTINGS);
    }

    fn header(&self, typ: &str) -> Value {
        let texts = [("alg", "ES256"), ("kid", self.0.kid.as_str()), ("typ", typ)];
        Value::object(texts.map(|(name, value)| (name, Value::from(value))))
    }

    fn claims(stage: &Stage) -> Value {
        let second = now().secs_since_epoch();
        Value::object([
            ("iss", Value::from("planner")),
            ("sub", Value::from("planner")),
            ("aud", Value::from(stage.control(""))),
            ("jti", Value::from(random_id().unwrap())),
            ("iat", Value::from_u64(second)),
            ("exp", Value::from_u64(second + 60)),
        ])
    }

    fn sign(&self, typ: &str, claims: &Value) -> String {
        self.0
            .sign(&self.header(typ).to_string(), &claims.to_string())
    }

    pub(crate) fn assertion(&self, stage: &Stage) -> String {
        self.assertion_as("planner", stage)
    }

    pub(crate) fn assertion_as(&self, client: &str, stage: &Stage) -> String {
        let names = ["iss", "sub"].map(|name| (name, Value::from(client)));
        self.sign("JWT", &with(&Self::claims(stage), &Value::object(names)))
    }

    /// A ticket for the agent, its key and these details.
    pub(crate) fn ticket(&self, stage: &Stage, key: &Key, details: &str, change: &Value) -> String {
        let thumbprint = jkt(key);
        let claims = with(
            &Self::claims(stage),
            &Value::object([
                ("sub", Value::from(BOT)),
                ("cnf", Value::object([("jkt", Value::from(thumbprint))])),
                ("authorization_details#S256", Value::from(hash(details))),
            ]),
        );
        self.sign("writ-ticket+jwt", &with(&claims, change))
    }
}

/// The thumbprint of a key (RFC 7638).
pub(crate) fn jkt(key: &Key) -> String {
    key.kid.clone()
}

fn nothing() -> Value {
    Value::object::<&str>([])
}

impl Stage {
    /// Who vouches for the parts of a task, as operators see it.
    async fn vouching(&self, task: &str) -> String {
        let task = self.task(task).await;
        task.member("asserters").unwrap().to_string()
    }

    /// The orchestrator asks for the agent, which shows its own identity and proves its key.
    pub(crate) async fn plan(&self, key: &Key, assertion: &str, agent: &str) -> Answer {
        let (svid, resource) = (self.svid(agent).await, self.public(""));
        let pairs = [
            ("grant_type", EXCHANGE),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion),
            ("subject_token", svid.as_str()),
            ("subject_token_type", JWT),
            ("resource", &resource),
            ("authorization_details", READ),
        ];
        self.token(key, &pairs).await
    }

    /// The agent asks for itself and shows a ticket.
    pub(crate) async fn redeem(
        &self,
        agent: &str,
        key: &Key,
        details: &str,
        ticket: &str,
    ) -> Answer {
        let more = [("authorization_details", details), ("task_ticket", ticket)];
        self.ask(agent, key, &more).await
    }
}

const NOBODY: &str = r#"{"bounds":"agent","plan":"agent","prompt":"agent"}"#;
const PLANNER: &str =
    r#"{"bounds":"client:planner","plan":"client:planner","prompt":"client:planner"}"#;

/// The attack of DESIGN section 5: an agent that was talked round has a user's good token, and puts the attacker's account
/// where it will be looked for.
#[test]
fn what_an_agent_says_vouches_for_nothing_whoever_it_acts_for() {
    runtime().block_on(async {
        let issuer = Issuer::new();
        let stage = Stage::prepared(|project| issuer.configure(project, "users")).await;
        let (user, actor) = (issuer.sign(&Issuer::claims()), stage.svid(BOT).await);
        let attackers = "DE00ATTACKER";
        for (row, details) in [
            (
                "in the prompt",
                READ.replace("\"actions\"", &format!("\"prompt\":\"pay {attackers}\",\"actions\"")),
            ),
            (
                "in the bounds",
                READ.replace(
                    "\"budget\"",
                    &format!("\"bounds\":{{\"helpdesk:listTickets\":{{\"/query/status\":[\"{attackers}\"]}}}},\"budget\""),
                ),
            ),
        ] {
            let resource = stage.public("");
            let pairs = [
                ("grant_type", EXCHANGE),
                ("subject_token", user.as_str()),
                ("subject_token_type", JWT),
                ("actor_token", &actor),
                ("actor_token_type", JWT),
                ("resource", &resource),
                ("authorization_details", &details),
            ];
            let answer = stage.token(&Key::new(), &pairs).await;
            let task = opened(&answer, Key::new());
            assert_eq!(stage.vouching(&task.task).await, NOBODY, "{row}");
            let records = stage.records().await;
            assert!(!records.contains("vouched_"), "{row}: {records}");
        }
    });
}

impl Stage {
    pub(crate) async fn records(&self) -> String {
        let answer = self
            .project
            .operator(Method::GET, "/v1/records?tail=200", "")
            .await;
        answer.json().to_string()
    }
}

#[test]
fn a_purpose_can_accept_the_agents_own_word() {
    runtime().block_on(async {
        let stage = Stage::prepared(|project| {
            let path = "purposes/triage.toml";
            let text = std::fs::read_to_string(project.path(path)).unwrap();
            project.write(path, &format!("agent_vouches = true\n{text}"));
        })
        .await;
        let task = stage.grant(BOT, READ).await;
        let accepted = NOBODY.replace("\"agent\"", "\"agent_accepted\"");
        assert_eq!(stage.vouching(&task.task).await, accepted);
        assert!(
            stage
                .records()
                .await
                .contains("\"vouched_prompt\":\"agent_accepted\"")
        );
    });
}

#[test]
fn a_client_that_asks_for_an_agent_vouches() {
    runtime().block_on(async {
        let planner = Planner(Key::new());
        let mut stage = Stage::prepared(|project| planner.configure(project)).await;
        let key = Key::new();
        let answer = stage.plan(&key, &planner.assertion(&stage), BOT).await;
        let task = opened(&answer, key);
        assert_eq!(stage.vouching(&task.task).await, PLANNER);
        assert!(
            stage
                .records()
                .await
                .contains("\"vouched_bounds\":\"client:planner\"")
        );
        // What the agent opens below it is its own word again.
        let resource = stage.public("");
        let pairs = [
            ("grant_type", EXCHANGE),
            ("subject_token", task.token.as_str()),
            ("subject_token_type", crate::kit::ACCESS_TOKEN),
            ("resource", &resource),
            ("authorization_details", READ),
        ];
        let child = opened(&stage.token(&task.key, &pairs).await, Key::new());
        assert_eq!(stage.vouching(&child.task).await, NOBODY);
        stage.restart();
        assert_eq!(stage.vouching(&task.task).await, PLANNER);
        assert_eq!(stage.vouching(&child.task).await, NOBODY);
    });
}

/// rfc7523bis: who does not prove itself in exactly this way is nobody, and a client is no agent.
#[test]
fn a_client_proves_itself_anew_for_each_request() {
    runtime().block_on(async {
        let planner = Planner(Key::new());
        let stage = Stage::prepared(|project| planner.configure(project)).await;
        let good = Planner::claims(&stage);
        let change = |name: &str, value: Value| with(&good, &Value::object([(name, value)]));
        let past = now().secs_since_epoch() - 1000;
        let endpoint = stage.control("/oauth/token");
        let both = Value::Array(vec![
            Value::from(stage.control("")),
            Value::from(endpoint.as_str()),
        ]);
        let rows = [
            ("the token endpoint", change("aud", Value::from(endpoint))),
            ("two audiences", change("aud", both)),
            ("another subject", change("sub", Value::from(BOT))),
            ("another issuer", change("iss", Value::from("other"))),
            ("no id", without(&good, "jti")),
            ("no end", without(&good, "exp")),
            ("no beginning", without(&good, "iat")),
            ("over", change("exp", Value::from_u64(past))),
            (
                "from before the start",
                change("iat", Value::from_u64(past)),
            ),
        ];
        for (row, claims) in rows {
            let assertion = planner.sign("JWT", &claims);
            refused(&stage.plan(&Key::new(), &assertion, BOT).await, CLIENT, row);
        }
        let forged = Planner(Key::new()).assertion(&stage);
        refused(
            &stage.plan(&Key::new(), &forged, BOT).await,
            CLIENT,
            "another key",
        );
        let ticket = planner.sign("writ-ticket+jwt", &good);
        refused(
            &stage.plan(&Key::new(), &ticket, BOT).await,
            CLIENT,
            "a ticket",
        );

        let once = planner.sign("JWT", &good);
        let other = stage.plan(&Key::new(), &once, OTHER).await;
        refused(
            &other,
            "unauthorized_client",
            "an agent that is not its own",
        );
        let again = stage.plan(&Key::new(), &once, BOT).await;
        refused(&again, CLIENT, "used before, in vain");

        let (resource, own) = (stage.public(""), planner.assertion(&stage));
        let alone = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", own.as_str()),
            ("resource", &resource),
            ("authorization_details", READ),
        ];
        let alone = stage.token(&Key::new(), &alone).await;
        refused(&alone, "unauthorized_client", "without an agent");
    });
}

#[test]
fn a_ticket_vouches_for_the_task_it_was_made_for() {
    runtime().block_on(async {
        let planner = Planner(Key::new());
        let mut stage = Stage::prepared(|project| planner.configure(project)).await;
        let key = Key::new();
        let ticket = planner.ticket(&stage, &key, READ, &nothing());
        let answer = stage.redeem(BOT, &key, READ, &ticket).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(stage.vouching(&text(&answer, "task_id")).await, PLANNER);
        let again = stage.redeem(BOT, &key, READ, &ticket).await;
        refused(&again, GRANT, "used before");

        // After a restart nobody remembers what was used.
        let past = Value::object([("iat", Value::from_u64(now().secs_since_epoch() - 5))]);
        let before = planner.ticket(&stage, &key, READ, &past);
        stage.restart();
        refused(
            &stage.redeem(BOT, &key, READ, &before).await,
            GRANT,
            "from before",
        );
    });
}

#[test]
fn a_ticket_is_for_nobody_and_nothing_else() {
    runtime().block_on(async {
        let planner = Planner(Key::new());
        let stage = Stage::prepared(|project| planner.configure(project)).await;
        let key = Key::new();
        let change = |name: &str, value: Value| Value::object([(name, value)]);
        let rows = [
            ("another agent's", change("sub", Value::from(OTHER)), READ),
            ("a user's", change("sub_id", alice()), READ),
            (
                "of another task",
                nothing(),
                r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:getTicket"]}]"#,
            ),
            (
                "of another client",
                change("iss", Value::from("other")),
                READ,
            ),
            (
                "for another server",
                change("aud", Value::from("https://other.example")),
                READ,
            ),
            (
                "with more to say",
                change("only", Value::from("reads")),
                READ,
            ),
        ];
        for (row, change, details) in rows {
            let ticket = planner.ticket(&stage, &key, READ, &change);
            let answer = stage.redeem(BOT, &key, details, &ticket).await;
            refused(&answer, GRANT, row);
        }
        let stolen = planner.ticket(&stage, &key, READ, &nothing());
        refused(
            &stage.redeem(BOT, &Key::new(), READ, &stolen).await,
            GRANT,
            "another key",
        );
        refused(
            &stage.redeem(OTHER, &key, READ, &stolen).await,
            GRANT,
            "by another agent",
        );
        let forged = Planner(Key::new()).ticket(&stage, &key, READ, &nothing());
        refused(
            &stage.redeem(BOT, &key, READ, &forged).await,
            GRANT,
            "forged",
        );
        let assertion = planner.assertion(&stage);
        refused(
            &stage.redeem(BOT, &key, READ, &assertion).await,
            GRANT,
            "no ticket",
        );
        let unregistered = change("sub", Value::from(OTHER));
        let unregistered = planner.ticket(&stage, &key, READ, &unregistered);
        let answer = stage.redeem(OTHER, &key, READ, &unregistered).await;
        refused(&answer, GRANT, "for an agent that is not the client's");

        let answer = stage.redeem(BOT, &key, READ, &stolen).await;
        assert_eq!(answer.status, 200, "it was not spent: {}", answer.json());
    });
}

fn alice() -> Value {
    Value::object([
        ("format", Value::from("iss_sub")),
        ("iss", Value::from("https://issuer.example")),
        ("sub", Value::from("alice")),
    ])
}

/// With the user it was made for, a ticket is good.
#[test]
fn a_ticket_can_be_for_a_user() {
    runtime().block_on(async {
        let (planner, issuer, key) = (Planner(Key::new()), Issuer::new(), Key::new());
        let stage = Stage::prepared(|project| {
            project.write("planner.jwks", &jwks(&planner.0).to_string());
            project.write("issuer.jwks", &jwks(&issuer.0).to_string());
            project.settings(&format!("{CLIENT_SETTINGS}{}", issuer.settings("users")));
        })
        .await;
        let change = Value::object([("sub_id", alice())]);
        let ticket = planner.ticket(&stage, &key, READ, &change);
        let (user, svid) = (issuer.sign(&Issuer::claims()), stage.svid(BOT).await);
        let resource = stage.public("");
        let pairs = [
            ("grant_type", EXCHANGE),
            ("client_assertion_type", JWT_SPIFFE),
            ("client_assertion", svid.as_str()),
            ("subject_token", &user),
            ("subject_token_type", JWT),
            ("resource", &resource),
            ("authorization_details", READ),
            ("task_ticket", &ticket),
        ];
        let answer = stage.token(&key, &pairs).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(stage.vouching(&text(&answer, "task_id")).await, PLANNER);
    });
}
