//! An issuer of operators' accounts is a trust root: until two people have approved it, nobody signs in by it.

use std::time::Duration;

use writ_store::{Role, Store};

use super::*;
use crate::four_eyes::{ago, person, put};

const DAY: Duration = Duration::from_secs(86_400);

/// An installation of two admins, and `eve`, whose account is at the issuer.
struct Two {
    house: House,
}

impl Two {
    /// The issuer stands in the settings from before the first start with these people, or comes later.
    async fn open() -> Self {
        let (project, issuer) = (project!(), Issuer::start());
        assert!(project.start().stop().success());
        let store = Store::open(&project.path(".writ/writ.db")).await.unwrap();
        let (ann, ben) = (
            person("ann", Role::Admin, ago(2 * DAY), None),
            person("ben", Role::Admin, ago(2 * DAY), None),
        );
        let mut eve = person("eve", Role::Operator, ago(2 * DAY), None);
        eve.identity = Some(writ_types::Requester {
            issuer: issuer.url.clone(),
            subject: "eve".to_owned(),
        });
        for one in [&ann, &ben, &eve] {
            put(&store, one).await;
        }
        store.close().await;
        let server = Some(project.start());
        Self {
            house: House {
                project,
                issuer,
                server,
            },
        }
    }

    async fn send(&self, who: &str, method: Method, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer wos_{who}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let peer = self.house.project.control();
        peer.send(method, path, &headers, body.to_owned())
            .await
            .unwrap()
    }

    /// Reads the settings again, or starts anew with them.
    async fn read(&mut self, anew: &str) {
        if anew == "a start" {
            assert!(self.house.server.take().unwrap().stop().success());
            self.house.server = Some(self.house.project.start());
        } else {
            let answer = self.send("ann", Method::POST, "/v1/reload", "{}").await;
            assert_eq!(answer.status, 200, "{}", answer.json());
        }
    }

    /// One proposes, the other approves.
    async fn approve(&self) {
        let trust = self.send("ann", Method::GET, "/v1/trust", "").await;
        let digest = format!(r#"{{"digest":"{}"}}"#, text(&trust, "digest"));
        let change = self
            .send("ann", Method::POST, "/v1/trust/approve", &digest)
            .await;
        assert_eq!(change.status, 202, "{}", change.json());
        let path = format!("/v1/changes/{}/approve", text(&change, "change"));
        let seen = format!(r#"{{"digest":"{}"}}"#, text(&change, "digest"));
        assert_eq!(
            self.send("ann", Method::POST, &path, &seen).await.status,
            403
        );
        self.nobody_is_let_in("one has proposed it").await;
        let approved = self.send("ben", Method::POST, &path, &seen).await;
        assert_eq!(approved.status, 200, "{}", approved.json());
    }

    /// Neither the beginning nor the end of a sign-in, whatever is shown.
    async fn nobody_is_let_in(&self, row: &str) {
        let house = &self.house;
        let port = Value::object([("port", Value::from_u64(u64::from(PORT)))]);
        let answer = house.post("/v1/sign-in", &port).await;
        assert_eq!(answer.status, 503, "{row}: {}", answer.json());
        assert!(
            text(&answer, "detail").contains("nobody has approved it"),
            "{row}"
        );
        let claims = house.issuer.claims("eve", "nonce");
        house.issuer.will_answer(Ok(house.issuer.sign(&claims)));
        let guessed = Begun {
            handle: "1.50123.x.y".to_owned(),
            state: "guessed".to_owned(),
            asked: BTreeMap::new(),
        };
        let answer = house
            .post("/v1/sign-in/complete", &house.back(&guessed))
            .await;
        assert_eq!(answer.status, 503, "{row}");
        let posted = house.issuer.script.lock().unwrap().posted.clone();
        assert!(posted.is_empty(), "{row}: it was asked: {posted:?}");
    }
}

#[test]
fn nobody_signs_in_by_an_issuer_that_nobody_approved() {
    runtime().block_on(async {
        for how in ["a reload", "a start"] {
            let mut two = Two::open().await;
            two.house.project.settings(&two.house.issuer.settings(""));
            two.read(how).await;
            two.nobody_is_let_in(how).await;
            let trust = two.send("ben", Method::GET, "/v1/trust", "").await;
            let name = format!("sign-in {}", two.house.issuer.url);
            let shown = trust.json().to_string();
            assert!(
                shown.contains(&name) && shown.contains("held"),
                "{how}: {shown}"
            );
            two.approve().await;
            // At once, and without a restart.
            let answer = two.house.sign_in("eve", &nothing()).await;
            assert_eq!(answer.status, 200, "{how}: {}", answer.json());
        }
    });
}

/// Everything that is said of it is approved, not its name alone.
#[test]
fn an_issuer_of_which_something_else_is_said_is_another() {
    runtime().block_on(async {
        let mut two = Two::open().await;
        two.house.project.settings(&two.house.issuer.settings(""));
        two.read("a reload").await;
        two.approve().await;
        assert_eq!(two.house.sign_in("eve", &nothing()).await.status, 200);
        two.house.issuer.script.lock().unwrap().posted.clear();
        let good = two.house.issuer.settings("");
        let role = "[[sign_in.role]]\nclaim = \"groups\"\nvalue = \"all\"\nrole = \"admin\"\n";
        for (row, settings) in [
            ("another client", good.replace(CLIENT, "another")),
            ("a role that is let in", format!("{good}{role}")),
            (
                "whoever it knows",
                format!("{good}accounts = \"viewer\"\n{role}"),
            ),
        ] {
            two.house.project.settings(&settings);
            two.read("a reload").await;
            two.nobody_is_let_in(row).await;
        }
        // What was approved is so still.
        two.house.project.settings(&good);
        two.read("a reload").await;
        assert_eq!(two.house.sign_in("eve", &nothing()).await.status, 200);
    });
}
