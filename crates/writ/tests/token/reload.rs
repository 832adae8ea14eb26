//! Who vouches for others, read again while the server runs: what is gone is believed no more and what it opened ends, what is
//! new waits for people, and a fault changes nothing.

use hyper::Method;
use writ::http::Answer;
use writ_testkit::{reason, runtime};
use writ_types::Value;

use crate::kit::{BOT, Key, Opened, READ, Stage, opened, refused, text};
use crate::trust::{Domain, GUEST, Issuer, federate, guest, until};
use crate::vouching::Planner;

const CLIENT: &str = "invalid_client";
const GRANT: &str = "invalid_grant";

/// An installation with the parts of settings that can be taken away one by one.
struct House {
    stage: Stage,
    issuer: Issuer,
    planner: Planner,
    domain: Domain,
}

const ISSUER: &str = "issuer";
const PLANNER: &str = "planner";
const DOMAIN: &str = "domain";
const ALL: [&str; 3] = [ISSUER, PLANNER, DOMAIN];

impl House {
    async fn open(vouches_for: &str) -> Self {
        let (issuer, planner) = (Issuer::new(), Planner(Key::new()));
        let domain = Domain::new("guest.example");
        let all = settings(vouches_for, &ALL);
        let stage = Stage::prepared(|project| {
            issuer.configure(project, vouches_for);
            planner.configure(project);
            project.write("guest.bundle", &domain.bundle(1));
            guest(project);
            if vouches_for == "workloads" {
                federate(project, "other");
            }
            project.settings(&all);
        })
        .await;
        Self {
            stage,
            issuer,
            planner,
            domain,
        }
    }

    /// Takes settings away, or gives them back, and has them read again.
    async fn say(&self, settings: &str) -> Answer {
        self.stage.project.settings(settings);
        self.reload().await
    }

    async fn reload(&self) -> Answer {
        let project = &self.stage.project;
        project.operator(Method::POST, "/v1/reload", "{}").await
    }

    async fn status(&self) -> Value {
        let project = &self.stage.project;
        let answer = project.operator(Method::GET, "/v1/status", "").await;
        answer.json()
    }

    /// A task for a user, whom the issuer vouches for.
    async fn of_user(&self, key: &Key) -> Answer {
        let user = self.issuer.sign(&Issuer::claims());
        let actor = self.stage.svid(BOT).await;
        self.stage.exchanged_with(key, &user, Some(&actor)).await
    }

    /// A task that the orchestrator opens.
    async fn of_planner(&self, key: &Key) -> Answer {
        let assertion = self.planner.assertion(&self.stage);
        self.stage.plan(key, &assertion, BOT).await
    }

    /// A task of an agent whom another trust domain vouches for.
    async fn of_guest(&self, key: &Key) -> Answer {
        let svid = self.domain.svid(&self.stage, GUEST);
        self.stage.exchanged_with(key, &svid, None).await
    }

    async fn lives(&self, task: &Opened, row: &str) {
        let answer = self
            .stage
            .call(task, Method::GET, "/helpdesk/tickets")
            .await;
        assert_eq!(answer.status, 200, "{row}: {}", answer.json());
    }

    async fn is_over(&self, task: &Opened, row: &str) {
        let answer = self
            .stage
            .call(task, Method::GET, "/helpdesk/tickets")
            .await;
        assert_eq!(reason(&answer), "task_ended", "{row}");
    }

    async fn states(&self) -> String {
        let project = &self.stage.project;
        let trust = project.operator(Method::GET, "/v1/trust", "").await.json();
        let roots = trust.member("roots").and_then(Value::as_array);
        let state = |root: &Value| {
            let text = |name| {
                root.member(name)
                    .and_then(Value::as_str)
                    .unwrap()
                    .to_owned()
            };
            format!("{} {}", text("name"), text("state"))
        };
        let states: Vec<_> = roots.unwrap().iter().map(state).collect();
        states.join("\n")
    }

    /// The first admin approves what the settings say.
    async fn approve(&self) -> Value {
        let project = &self.stage.project;
        let trust = project.operator(Method::GET, "/v1/trust", "").await;
        let body = format!(r#"{{"digest":"{}"}}"#, text(&trust, "digest"));
        self.stage.order("/v1/trust/approve", &body).await
    }
}

/// The settings of some.
fn settings(vouches_for: &str, parts: &[&str]) -> String {
    let part = |part: &&str| match *part {
        ISSUER => Issuer::new().settings(vouches_for),
        PLANNER => crate::vouching::CLIENT_SETTINGS.to_owned(),
        _ => "[[trust_domain]]\nname = \"guest.example\"\nbundle_file = \"guest.bundle\"\n"
            .to_owned(),
    };
    parts.iter().map(part).collect()
}

/// Each in turn is taken away: it vouches for nothing any more, what it opened is over, and the others notice nothing.
#[test]
fn who_is_gone_from_the_settings_is_believed_no_more() {
    runtime().block_on(async {
        for gone in ALL {
            let house = House::open("users").await;
            let own = house.stage.grant(BOT, READ).await;
            let user = Key::new();
            let user = opened(&house.of_user(&user).await, user);
            let planned = Key::new();
            let planned = opened(&house.of_planner(&planned).await, planned);
            let guest = Key::new();
            let guest = opened(&house.of_guest(&guest).await, guest);
            let tasks = [(ISSUER, &user), (PLANNER, &planned), (DOMAIN, &guest)];
            for (name, task) in tasks {
                house.lives(task, name).await;
            }
            let rest: Vec<_> = ALL.into_iter().filter(|part| *part != gone).collect();
            let answer = house.say(&settings("users", &rest)).await;
            assert_eq!(answer.status, 200, "{gone}: {}", answer.json());
            for (name, task) in tasks {
                if name == gone {
                    house.is_over(task, gone).await;
                } else {
                    house.lives(task, &format!("{name} without {gone}")).await;
                }
            }
            house.lives(&own, gone).await;
            let key = Key::new();
            for (name, answer, code) in [
                (ISSUER, house.of_user(&key).await, GRANT),
                (PLANNER, house.of_planner(&key).await, CLIENT),
                (DOMAIN, house.of_guest(&key).await, GRANT),
            ] {
                if name == gone {
                    refused(&answer, code, gone);
                } else {
                    assert_eq!(
                        answer.status,
                        200,
                        "{name} without {gone}: {}",
                        answer.json()
                    );
                }
            }
            let tail = house
                .stage
                .project
                .operator(Method::GET, "/v1/records?tail=50", "")
                .await;
            let tail = tail.json().to_string();
            assert!(
                tail.contains("key_rotated") && tail.contains("trust"),
                "{tail}"
            );
        }
    });
}

/// What is gone and comes back is new: people approve it again, and from then on it is believed, without a restart.
#[test]
fn who_comes_back_waits_for_people() {
    runtime().block_on(async {
        let house = House::open("users").await;
        let key = Key::new();
        assert_eq!(house.of_user(&key).await.status, 200);
        let all = settings("users", &ALL);
        house.say(&settings("users", &[PLANNER, DOMAIN])).await;
        refused(&house.of_user(&key).await, GRANT, "gone");
        assert_eq!(house.say(&all).await.status, 200);
        refused(&house.of_user(&key).await, GRANT, "nobody approved it");
        let states = house.states().await;
        assert!(states.contains("https://issuer.example held"), "{states}");
        assert!(states.contains("planner believed"), "{states}");
        let (_, said, _) = house.stage.project.run(&["doctor"]);
        assert!(
            said.contains("https://issuer.example is new or changed"),
            "{said}"
        );
        assert_eq!(
            house.approve().await.member("believed"),
            Some(&Value::from(true))
        );
        assert_eq!(house.of_user(&key).await.status, 200);
        let states = house.states().await;
        assert!(
            states.contains("https://issuer.example believed"),
            "{states}"
        );
        // A task that lived through it is not touched.
        let task = opened(&house.of_planner(&key).await, key);
        assert_eq!(house.reload().await.status, 200);
        house.lives(&task, "nothing changed").await;
    });
}

/// Other keys under the same name are other settings: the old ones are believed no more, the new ones not yet.
#[test]
fn other_keys_in_a_file_wait_for_people_and_those_before_are_gone() {
    runtime().block_on(async {
        let mut house = House::open("users").await;
        let key = Key::new();
        let task = opened(&house.of_user(&key).await, key);
        let before = std::mem::replace(&mut house.issuer, Issuer::new());
        house.issuer.configure(&house.stage.project, "users");
        assert_eq!(house.say(&settings("users", &ALL)).await.status, 200);
        let key = Key::new();
        refused(&house.of_user(&key).await, GRANT, "not approved yet");
        let new = std::mem::replace(&mut house.issuer, before);
        refused(&house.of_user(&key).await, GRANT, "the keys before");
        house
            .lives(&task, "whom it vouched for is no stranger now")
            .await;
        house.issuer = new;
        house.approve().await;
        assert_eq!(house.of_user(&key).await.status, 200);
    });
}

/// Whatever is wrong, and wherever, everything stays as it was; it is said, and the next reload is another try.
#[test]
fn a_fault_changes_nothing_and_is_said() {
    runtime().block_on(async {
        let house = House::open("users").await;
        let key = Key::new();
        let task = opened(&house.of_planner(&key).await, key);
        let project = &house.stage.project;
        project.write("broken.jwks", "{\"keys\":3}");
        let without_planner = settings("users", &[ISSUER, DOMAIN]);
        let broken = "[[issuer]]\nissuer = \"https://b.example\"\naudience = \"a\"\njwks_file = \"broken.jwks\"\n";
        let absent = broken.replace("broken.jwks", "absent.jwks");
        for (row, more, wanted) in [
            ("no TOML", "[[client", "writ.toml"),
            ("a key that is not known", "[extra]\na = 1\n", "unknown field"),
            ("keys that are none", broken, "https://b.example"),
            ("a file that is not there", absent.as_str(), "absent.jwks"),
        ] {
            let answer = house.say(&format!("{without_planner}{more}")).await;
            assert_eq!(answer.status, 503, "{row}: {}", answer.json());
            let fault = house.status().await;
            let fault = fault.member("settings_not_in_force").and_then(Value::as_str);
            assert!(fault.is_some_and(|fault| fault.contains(wanted)), "{row}: {fault:?}");
            house.lives(&task, row).await;
            let key = Key::new();
            assert_eq!(house.of_planner(&key).await.status, 200, "{row}");
            let ready = project.control().send(Method::GET, "/readyz", &[], Vec::new()).await;
            let said = String::from_utf8(ready.unwrap().body.to_vec()).unwrap();
            assert!(said.contains("not in force"), "{row}: {said}");
        }
        // The doctor reads the settings too; with those that are good it still says what the server has not read yet.
        project.settings(&settings("users", &ALL));
        let (code, said, _) = project.run(&["doctor"]);
        assert!(code != 0 && said.contains("absent.jwks"), "{said}");
        assert_eq!(house.reload().await.status, 200);
        assert_eq!(house.status().await.member("settings_not_in_force"), Some(&Value::Null));
    });
}

/// SIGHUP does the same, and what a start alone reads is said by its name.
#[test]
fn a_hangup_reads_the_settings_and_says_what_waits_for_a_start() {
    runtime().block_on(async {
        let house = House::open("users").await;
        let key = Key::new();
        let task = opened(&house.of_user(&key).await, key);
        let more = "[limits]\nbody_bytes = \"5 KiB\"\n[timeouts]\nrecord = \"9s\"\n";
        let rest = settings("users", &[PLANNER, DOMAIN]);
        house.stage.project.settings(&format!("{rest}{more}"));
        house.stage.server.as_ref().unwrap().hang_up();
        let call = async || {
            house
                .stage
                .call(&task, Method::GET, "/helpdesk/tickets")
                .await
                .status
        };
        until(401, "the task of the issuer that is gone", call).await;
        let names = house.status().await.member("after_a_restart").cloned();
        let wanted = ["limits", "timeouts"].map(Value::from);
        assert_eq!(names, Some(Value::Array(wanted.to_vec())));
        let (_, said, _) = house.stage.project.run(&["doctor"]);
        for name in ["limits", "timeouts"] {
            assert!(
                said.contains(&format!("`{name}` has changed in the settings")),
                "{said}"
            );
        }
    });
}

/// Which proof opened an agent's task is not known afterwards: where an issuer of workloads is gone, the tasks of those whose
/// tokens it signed end; and those of others live.
#[test]
fn the_agents_of_an_issuer_of_workloads_lose_their_tasks() {
    runtime().block_on(async {
        let house = House::open("workloads").await;
        let key = Key::new();
        let job = house.issuer.job(&Value::object::<&str>([]));
        let task = opened(&house.stage.federated_with(&key, &job, None).await, key);
        let own = house.stage.grant(BOT, READ).await;
        house.lives(&task, "to begin with").await;
        assert_eq!(
            house
                .say(&settings("workloads", &[PLANNER, DOMAIN]))
                .await
                .status,
            200
        );
        house.is_over(&task, "gone").await;
        house
            .lives(&own, "an agent that it does not vouch for")
            .await;
        let answer = house.stage.federated_with(&Key::new(), &job, None).await;
        refused(&answer, CLIENT, "gone");
    });
}

/// Taken away while nothing runs: the next start ends what it opened, as a reload would.
#[test]
fn a_start_ends_the_tasks_of_who_is_gone() {
    runtime().block_on(async {
        let mut house = House::open("users").await;
        let key = Key::new();
        let task = opened(&house.of_user(&key).await, key);
        let own = house.stage.grant(BOT, READ).await;
        house
            .stage
            .project
            .settings(&settings("users", &[PLANNER, DOMAIN]));
        house.stage.restart();
        house.is_over(&task, "gone").await;
        house.lives(&own, "the agent's own").await;
    });
}
