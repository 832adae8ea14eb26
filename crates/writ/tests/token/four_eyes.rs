//! Changes that take two people, against the real binary: roles, keys, trust roots, and who is asked before calls.

use std::time::Duration;

use hyper::Method;
use writ::http::Answer;
use writ_store::{Operator, Role, Store};
use writ_testkit::{Project, Server, project, runtime};
use writ_types::{Digest, OperatorId, Tenant, Timestamp, Value};

use crate::kit::{BOT, EXCHANGE, JWT, Key, READ, Stage, now, random_bytes, refused, text};
use crate::trust::Issuer;

const DAY: Duration = Duration::from_secs(86_400);

/// An instant so long ago.
pub(crate) fn ago(span: Duration) -> Timestamp {
    Timestamp::from_millis((now().secs_since_epoch() - span.as_secs()) * 1000)
}

/// An operator, as they stand in the store.
pub(crate) fn person(
    name: &str,
    role: Role,
    since: Timestamp,
    made_by: Option<OperatorId>,
) -> Operator {
    Operator {
        id: OperatorId::new(since, random_bytes()),
        name: name.to_owned(),
        role,
        approves: [].into(),
        identity: None,
        certificate: None,
        created: since,
        since,
        made_by,
        signed_in: Some(since),
    }
}

pub(crate) async fn put(store: &Store, operator: &Operator) {
    let tenant = Tenant::default_tenant();
    store.put_operator(&tenant, operator).await.unwrap();
    let session = format!("wos_{}", operator.name);
    let digest = Digest::of_parts(&[b"writ operator token v1\n", session.as_bytes()]);
    let times = (now(), now().plus(DAY));
    let begun = store.put_session(&tenant, &digest, operator.id, times);
    begun.await.unwrap();
}

/// An installation with `ann`, whom nobody made, and `ben`, whom she did, both admins since the day before yesterday; `cat`, an
/// admin since an hour; `vic`, who looks.
struct House {
    project: Project,
    people: Vec<Operator>,
}

impl House {
    async fn prepared(project: Project) -> Self {
        // The first start makes the store; operators are put into it while nobody has it open.
        assert!(project.start().stop().success());
        let ann = person("ann", Role::Admin, ago(2 * DAY), None);
        let ben = person("ben", Role::Admin, ago(2 * DAY), Some(ann.id));
        let cat = person("cat", Role::Admin, ago(DAY / 24), None);
        let vic = person("vic", Role::Viewer, ago(2 * DAY), None);
        let store = Store::open(&project.path(".writ/writ.db")).await.unwrap();
        let people = vec![ann, ben, cat, vic];
        for one in &people {
            put(&store, one).await;
        }
        store.close().await;
        Self { project, people }
    }

    async fn open() -> (Self, Server) {
        let house = Self::prepared(project!()).await;
        let server = house.project.start();
        (house, server)
    }

    fn id(&self, name: &str) -> OperatorId {
        self.people.iter().find(|one| one.name == name).unwrap().id
    }

    async fn send(&self, who: &str, method: Method, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer wos_{who}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let peer = self.project.control();
        let sent = peer.send(method, path, &headers, body.to_owned());
        sent.await.unwrap()
    }

    async fn post(&self, who: &str, path: &str, body: &str) -> Answer {
        self.send(who, Method::POST, path, body).await
    }

    async fn get(&self, who: &str, path: &str) -> Value {
        let answer = self.send(who, Method::GET, path, "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.json());
        answer.json()
    }

    /// Proposes something; the change that waits.
    async fn proposes(&self, who: &str, path: &str, body: &str) -> Waiting<'_> {
        let answer = self.post(who, path, body).await;
        assert_eq!(answer.status, 202, "{path}: {}", answer.json());
        assert_eq!(text(&answer, "needs"), "another_person");
        Waiting {
            house: self,
            id: text(&answer, "change"),
            digest: text(&answer, "digest"),
        }
    }

    /// Who is registered.
    async fn names(&self) -> Vec<String> {
        let operators = self.get("ann", "/v1/operators").await;
        let name = |one: &Value| {
            one.member("name")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        operators
            .as_array()
            .unwrap()
            .iter()
            .filter_map(name)
            .collect()
    }
}

struct Waiting<'a> {
    house: &'a House,
    id: String,
    digest: String,
}

impl Waiting<'_> {
    async fn yes(&self, who: &str) -> Answer {
        let path = format!("/v1/changes/{}/approve", self.id);
        let body = format!(r#"{{"digest":"{}"}}"#, self.digest);
        self.house.post(who, &path, &body).await
    }

    /// A yes that does not count: the change goes on waiting, and says so.
    async fn not_by(&self, who: &str, why: &str) {
        let answer = self.yes(who).await;
        let row = format!("{who}: {}", answer.json());
        assert_eq!(answer.status, 403, "{row}");
        assert!(text(&answer, "detail").contains(why), "{row}");
        let path = format!("/v1/changes/{}", self.id);
        let seen = self.house.get("ann", &path).await;
        assert_eq!(seen.member("state"), Some(&Value::from("waiting")), "{row}");
    }

    async fn by(&self, who: &str) -> Value {
        let answer = self.yes(who).await;
        assert_eq!(answer.status, 200, "{who}: {}", answer.json());
        assert_eq!(
            answer.json().member("single_operator"),
            Some(&Value::from(false))
        );
        answer.json()
    }
}

#[test]
fn a_person_is_registered_by_two_and_nobody_gets_to_be_them() {
    runtime().block_on(async {
        let (house, _server) = House::open().await;
        let body = r#"{"name":"dan","role":"admin"}"#;
        let of_ann = house.proposes("ann", "/v1/operators", body).await;
        of_ann.not_by("ann", "another person than its author").await;
        of_ann.not_by("ben", "given you your role").await;
        of_ann.not_by("cat", "less than 24 hours").await;
        of_ann.not_by("vic", "role does not allow").await;
        let of_ben = house.proposes("ben", "/v1/operators", body).await;
        assert!(
            !house.names().await.contains(&"dan".to_owned()),
            "nobody yet"
        );
        // The yes is to what was seen.
        let path = format!("/v1/changes/{}/approve", of_ben.id);
        let other = format!(r#"{{"digest":"{}"}}"#, Digest::of(b"other"));
        for body in [other.as_str(), "{}"] {
            assert_eq!(house.post("ann", &path, body).await.status, 400);
        }
        let done = of_ben.by("ann").await;
        assert!(house.names().await.contains(&"dan".to_owned()));
        assert!(
            !done.to_string().contains("woi_"),
            "the invitation is not the approver's"
        );
        assert_eq!(of_ben.yes("ann").await.status, 400, "once");
        assert_eq!(of_ann.yes("ann").await.status, 403);
        // Who registered them invites them, and nobody else does.
        let dan = done.member("done").and_then(|done| done.member("operator"));
        let invite = format!(
            "/v1/operators/{}/invite",
            dan.and_then(Value::as_str).unwrap()
        );
        for other in ["ann", "cat"] {
            assert_eq!(
                house.post(other, &invite, "{}").await.status,
                403,
                "{other}"
            );
        }
        let invited = house.post("ben", &invite, "{}").await;
        let token = format!(r#"{{"token":"{}"}}"#, text(&invited, "invitation"));
        assert_eq!(house.post("nobody", "/v1/login", &token).await.status, 200);
        assert_eq!(house.post("nobody", "/v1/login", &token).await.status, 401);
        assert_eq!(
            house.post("ben", &invite, "{}").await.status,
            400,
            "signed in"
        );
    });
}

#[test]
fn roles_and_keys_change_by_two_and_stopping_waits_for_nobody() {
    runtime().block_on(async {
        let (house, _server) = House::open().await;
        let path = |name: &str| format!("/v1/operators/{}", house.id(name));
        let promoted = house
            .proposes("ben", &path("vic"), r#"{"role":"operator"}"#)
            .await;
        assert_eq!(
            house
                .send("vic", Method::POST, "/v1/reload", "{}")
                .await
                .status,
            403
        );
        promoted.by("ann").await;
        assert_eq!(house.post("vic", "/v1/reload", "{}").await.status, 200);
        // Nobody's yes to a change of their own role counts.
        let demoted = house
            .proposes("ben", &path("ann"), r#"{"role":"viewer"}"#)
            .await;
        demoted.not_by("ann", "about you").await;
        let removed = format!("{}/remove", path("vic"));
        let removed = house.proposes("ben", &removed, "{}").await;
        removed.by("ann").await;
        assert_eq!(house.post("vic", "/v1/reload", "{}").await.status, 401);
        // A change is refused, or withdrawn, by one.
        let gone = format!("/v1/changes/{}/refuse", demoted.id);
        assert_eq!(house.post("ben", &gone, "{}").await.status, 200);
        assert_eq!(demoted.yes("cat").await.status, 400);

        let rotated = house.proposes("ben", "/v1/keys/rotate", "{}").await;
        let keys = async || {
            house
                .project
                .control()
                .send(Method::GET, "/oauth/jwks", &[], Vec::new())
                .await
                .unwrap()
                .body
        };
        let before = keys().await;
        rotated.not_by("ben", "another person").await;
        assert_eq!(keys().await, before);
        rotated.by("ann").await;
        assert_ne!(keys().await, before);
        let revoked = house
            .post("ben", "/v1/keys/rotate", r#"{"revoke":true}"#)
            .await;
        assert_eq!(revoked.status, 200, "to revoke is to stop");
    });
}

/// A project as `writ apply` sends it.
fn project_body(project: &Project, policy: &str) -> String {
    let file = |path: &str| {
        let text = std::fs::read_to_string(project.path(path)).unwrap();
        (path.to_owned(), Value::from(text))
    };
    let files = Value::object([
        file("agents/bot.toml"),
        ("policies/own.cedar".to_owned(), Value::from(policy)),
    ]);
    Value::object([("files", files)]).to_string()
}

#[test]
fn who_is_asked_before_a_call_is_changed_by_two() {
    const PLAIN: &str = "@id(\"a\") forbid (principal, action, resource) when { context.sys.now.toDate() < datetime(\"2020-01-01\") };";
    const ASKS: &str = "@id(\"b\") @approval(\"finance\") forbid (principal, action, resource) when { context.sys.now.toDate() < datetime(\"2020-01-01\") };";
    runtime().block_on(async {
        let project = project!();
        project.agent("bot", "autonomous", &[]);
        let house = House::prepared(project).await;
        let _server = house.project.start();
        let revision = async || house.get("ann", "/v1/status").await.member("revision").cloned();
        let first = revision().await;
        let plain = house.post("ann", "/v1/apply", &project_body(&house.project, PLAIN)).await;
        assert_eq!(plain.status, 200, "{}", plain.json());
        let second = revision().await;
        assert_ne!(second, first);
        // A rule that asks, and then its end; meanwhile whoever is an agent by an outside token.
        let asks = house.proposes("ben", "/v1/apply", &project_body(&house.project, ASKS)).await;
        assert_eq!(revision().await, second, "it waits");
        let spaced = ASKS.replace("@approval", "@\n  approval");
        let other = house.proposes("ben", "/v1/apply", &project_body(&house.project, &spaced)).await;
        asks.by("ann").await;
        assert_ne!(revision().await, second);
        assert_eq!(other.yes("ann").await.status, 409, "it was approved for another revision");
        house.proposes("ben", "/v1/apply", &project_body(&house.project, PLAIN)).await;
        let agent = std::fs::read_to_string(house.project.path("agents/bot.toml")).unwrap();
        house.project.write("agents/bot.toml", &agent.replace("owner@example.org", "ben"));
        house.proposes("ben", "/v1/apply", &project_body(&house.project, ASKS)).await;
        let (before, after) = agent.split_once("selectors = [").unwrap();
        house.project.write("agents/bot.toml", &format!("{before}selectors = [\"unix:uid:54321\", {after}"));
        house.proposes("ben", "/v1/apply", &project_body(&house.project, ASKS)).await;
        house.project.write("agents/bot.toml", &format!("{agent}\n[[federation]]\nissuer = \"https://issuer.example\"\nclaims = {{ sub = \"mine\" }}\n"));
        house.proposes("ben", "/v1/apply", &project_body(&house.project, ASKS)).await;
    });
}

#[test]
fn a_rule_is_lifted_by_two_and_held_again_by_one() {
    const RULE: &str = "@id(\"a\") forbid (principal, action, resource) when { context.sys.now.toDate() < datetime(\"2020-01-01\") };";
    const API: &str = "owner = \"o@example.org\"\nupstream = \"http://127.0.0.1:1/v1\"\ncontract = \"dns.yaml\"\n";
    const CONTRACT: &str = "openapi: 3.0.3\ninfo: {title: T, version: '1'}\npaths:\n  /zones:\n    get:\n      operationId: listZones\n      responses: {'200': {description: ok}}\n";
    const EXCEPTION: &str = "[[exception]]\nname = \"x\"\nrule = \"a\"\nagent = \"bot\"\nactions = [\"dns:listZones\"]\nowner = \"ops\"\nreason = \"r\"\nticket = \"t\"\nfrom = \"2026-01-01T00:00:00Z\"\nuntil = \"2026-01-02T00:00:00Z\"\n";
    runtime().block_on(async {
        let project = project!();
        project.agent("bot", "autonomous", &[]);
        let house = House::prepared(project).await;
        let _server = house.project.start();
        let body = |exceptions: &str| {
            let agent = std::fs::read_to_string(house.project.path("agents/bot.toml")).unwrap();
            let files = [
                ("agents/bot.toml", agent.as_str()),
                ("apis/dns.toml", API),
                ("apis/dns.yaml", CONTRACT),
                ("policies/own.cedar", RULE),
                ("policies/exceptions.toml", exceptions),
            ];
            let files = files.map(|(path, text)| (path.to_owned(), Value::from(text)));
            Value::object([("files", Value::object(files))]).to_string()
        };
        let plain = house.post("ann", "/v1/apply", &body("")).await;
        assert_eq!(plain.status, 200, "{}", plain.json());
        let lifted = house.proposes("ben", "/v1/apply", &body(EXCEPTION)).await;
        lifted.by("ann").await;
        // The same once more is nothing new; a longer one is; none at all is stricter, and waits for nobody.
        assert_eq!(
            house
                .post("ben", "/v1/apply", &body(EXCEPTION))
                .await
                .status,
            200
        );
        house
            .proposes(
                "ben",
                "/v1/apply",
                &body(&EXCEPTION.replace("01-02", "01-03")),
            )
            .await;
        assert_eq!(house.post("ben", "/v1/apply", &body("")).await.status, 200);
    });
}

#[test]
fn whom_the_settings_add_is_believed_when_two_people_approve() {
    runtime().block_on(async {
        let issuer = Issuer::new();
        let mut stage = Stage::open().await;
        assert!(stage.server.take().unwrap().stop().success());
        let store = Store::open(&stage.project.path(".writ/writ.db"))
            .await
            .unwrap();
        let ann = person("ann", Role::Admin, ago(2 * DAY), None);
        let ben = person("ben", Role::Admin, ago(2 * DAY), None);
        for one in [&ann, &ben] {
            put(&store, one).await;
        }
        store.close().await;
        issuer.configure(&stage.project, "users");
        stage.restart();
        let (user, actor, resource) = (
            issuer.sign(&Issuer::claims()),
            stage.svid(BOT).await,
            stage.public(""),
        );
        let pairs = [
            ("grant_type", EXCHANGE),
            ("subject_token", user.as_str()),
            ("subject_token_type", JWT),
            ("actor_token", &actor),
            ("actor_token_type", JWT),
            ("resource", &resource),
            ("authorization_details", READ),
        ];
        let held = stage.token(&Key::new(), &pairs).await;
        refused(&held, "invalid_grant", "an issuer that one file names");
        let as_who = async |who: &str, method: Method, path: &str, body: &str| {
            let bearer = format!("Bearer wos_{who}");
            let headers = [("authorization", bearer.as_str())];
            let peer = stage.project.control();
            peer.send(method, path, &headers, body.to_owned())
                .await
                .unwrap()
        };
        let trust = as_who("ann", Method::GET, "/v1/trust", "").await;
        assert!(
            trust.json().to_string().contains("\"held\""),
            "{}",
            trust.json()
        );
        let digest = format!(r#"{{"digest":"{}"}}"#, text(&trust, "digest"));
        let wrong = format!(r#"{{"digest":"{}"}}"#, Digest::of(b"x"));
        let path = "/v1/trust/approve";
        assert_eq!(as_who("ann", Method::POST, path, &wrong).await.status, 400);
        let change = as_who("ann", Method::POST, path, &digest).await;
        assert_eq!(change.status, 202, "{}", change.json());
        let approve = format!("/v1/changes/{}/approve", text(&change, "change"));
        let seen = format!(r#"{{"digest":"{}"}}"#, text(&change, "digest"));
        assert_eq!(
            as_who("ann", Method::POST, &approve, &seen).await.status,
            403
        );
        let approved = as_who("ben", Method::POST, &approve, &seen).await;
        assert_eq!(approved.status, 200, "{}", approved.json());
        stage.restart();
        let answer = stage.token(&Key::new(), &pairs).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
    });
}

/// A fresh installation has one person, who sets it up; it says so.
#[test]
fn one_person_sets_an_installation_up_and_doctor_says_so() {
    runtime().block_on(async {
        let project = project!();
        let _server = project.start();
        project.sign_in();
        let body = r#"{"name":"bea","role":"admin"}"#;
        let added = project.operator(Method::POST, "/v1/operators", body).await;
        assert_eq!(added.status, 200, "{}", added.json());
        assert_eq!(
            added.json().member("single_operator"),
            Some(&Value::from(true))
        );
        let status = project.operator(Method::GET, "/v1/status", "").await.json();
        assert_eq!(status.member("single_operator"), Some(&Value::from(true)));
        let (_, said, _) = project.run(&["doctor"]);
        assert!(said.contains("single-operator mode"), "{said}");
        let records = project
            .operator(Method::GET, "/v1/records", "")
            .await
            .json();
        assert!(
            records.to_string().contains("change.single_operator"),
            "{records}"
        );
        // As soon as the other has signed in, it takes both.
        let token = format!(r#"{{"token":"{}"}}"#, text(&added, "invitation"));
        let json = [("content-type", "application/json")];
        let control = project.control();
        let in_now = control
            .send(Method::POST, "/v1/login", &json, token)
            .await
            .unwrap();
        assert_eq!(in_now.status, 200);
        let (code, said, _) = project.run(&["key", "rotate"]);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("proposed, not done"), "{said}");
        let status = project.operator(Method::GET, "/v1/status", "").await.json();
        assert_eq!(status.member("single_operator"), Some(&Value::from(false)));
    });
}
