//! OAuth clients of other hands, unchanged, against the authorization server and the gateway; and an `OpenID` provider of
//! another hand as the outside issuer.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_testkit::{Project, python, runtime};
use writ_token::generate_signing_key;
use writ_types::{Secret, Value};

use crate::kit::{BOT, EXCHANGE, JWT, Key, READ, Stage, TICKETS, decoded, refused, text};
use crate::provider::{AUDIENCE, Provider, modules};
use crate::vouching::{JWT_BEARER, Planner};

const CLIENT: &str = "invalid_client";
const GRANT: &str = "invalid_grant";

/// A script of `tests/token/clients`.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/token/clients")
        .join(name)
}

/// An installation with a registered client that may ask about every token, and the client's key.
struct Registered {
    stage: Stage,
    planner: Planner,
    pkcs8: Secret<Vec<u8>>,
}

impl Registered {
    /// With `more` settings.
    async fn prepared(more: &str) -> Self {
        let pkcs8 = generate_signing_key().unwrap();
        let planner = Planner(Key::of(&pkcs8));
        let stage = Stage::prepared(|project| {
            planner.configure(project);
            let settings = std::fs::read_to_string(project.path("writ.toml")).unwrap();
            project.write(
                "writ.toml",
                &format!("{settings}introspects = true\n{more}"),
            );
        })
        .await;
        Self {
            stage,
            planner,
            pkcs8,
        }
    }

    /// Lets a client loose: what it says while everything is as it expects, a line for each thing it did.
    async fn meets(&self, mut command: Command) -> Vec<String> {
        let stage = &self.stage;
        command
            .env("WRIT_ISSUER", stage.control(""))
            .env("WRIT_RESOURCE", stage.public("/helpdesk"))
            .env("WRIT_CALL", stage.public(TICKETS))
            .env("WRIT_SVID", stage.svid(BOT).await)
            .env("WRIT_DETAILS", READ)
            .env("WRIT_CLIENT", "planner")
            .env("WRIT_KEY", STANDARD.encode(self.pkcs8.expose()))
            .env("WRIT_KID", &self.planner.0.kid);
        // The help desk answers on this thread meanwhile.
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let fault = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}{fault}");
        said.lines().map(str::to_owned).collect()
    }
}

/// oauth4webapi: RFC 8414, 9728, 8693, 7523, 9449, 7662 and 7009 as it understands them.
#[test]
fn oauth4webapi_gets_along() {
    let Some(modules) = modules() else { return };
    runtime().block_on(async {
        let registered = Registered::prepared("").await;
        let mut command = Command::new("node");
        command
            .arg(script("oauth4webapi.mjs"))
            .env("WRIT_MODULES", modules);
        let said = registered.meets(command).await;
        assert_eq!(said.len(), 6, "{said:?}");
    });
}

/// Authlib, as a client and as a resource server: RFC 8414, 8693, 7523, 9449, 9068, 7662 and 7009 as it understands them.
#[test]
fn authlib_gets_along() {
    let Some(python) = python() else { return };
    runtime().block_on(async {
        let registered = Registered::prepared("").await;
        let mut command = Command::new(python);
        // `-I`: the script's own folder is no place to import from.
        command.arg("-I").arg(script("authlib.py"));
        let said = registered.meets(command).await;
        assert_eq!(said.len(), 6, "{said:?}");
    });
}

/// openid-client: a user signs in at oidc-provider, and the ID token becomes a task of the agent.
#[test]
fn openid_client_brings_a_user_of_an_outside_issuer() {
    let (Some(modules), Some(provider)) = (modules(), Provider::start()) else {
        return;
    };
    runtime().block_on(async {
        let registered = Registered::prepared(&provider.settings("users")).await;
        let mut command = Command::new("node");
        command
            .arg(script("openid-client.mjs"))
            .env("WRIT_MODULES", modules)
            .env("WRIT_PROVIDER", &provider.issuer)
            .env("WRIT_AUDIENCE", AUDIENCE);
        let said = registered.meets(command).await;
        assert_eq!(said.len(), 7, "{said:?}");
    });
}

/// Lets jobs of the outside issuer be the agent whose claims they have.
fn federate(project: &Project, issuer: &str) {
    let path = "agents/bot.toml";
    let agent = std::fs::read_to_string(project.path(path)).unwrap();
    let federation = format!(
        "{agent}\n[[federation]]\nissuer = \"{issuer}\"\nclaims = {{ repository = \"acme/app\", \"/kubernetes.io/namespace\" = \"prod\" }}\n"
    );
    project.write(path, &federation);
}

/// oidc-provider as the issuer of workloads: its RFC 9068 access tokens are an agent's if their claims are.
#[test]
fn jobs_of_an_outside_issuer_are_agents_by_their_claims() {
    let Some(provider) = Provider::start() else {
        return;
    };
    runtime().block_on(async {
        let stage = Stage::prepared(|project| {
            project.settings(&format!(
                "{}access_tokens = true\n",
                provider.settings("workloads")
            ));
            federate(project, &provider.issuer);
        })
        .await;
        let resource = stage.public("");
        let ask = async |token: &str, as_client: bool| {
            let whose = if as_client {
                [
                    ("grant_type", "client_credentials"),
                    ("client_assertion_type", JWT_BEARER),
                    ("client_assertion", token),
                ]
            } else {
                [
                    ("grant_type", EXCHANGE),
                    ("subject_token_type", JWT),
                    ("subject_token", token),
                ]
            };
            let what = [
                ("resource", resource.as_str()),
                ("authorization_details", READ),
            ];
            stage
                .token(&Key::new(), &[whose.as_slice(), &what].concat())
                .await
        };
        let good = provider.job("app").await;
        for as_client in [true, false] {
            let answer = ask(&good, as_client).await;
            assert_eq!(answer.status, 200, "{}", answer.json());
            let (_, claims) = decoded(&text(&answer, "access_token"));
            assert_eq!(claims.member("sub"), Some(&Value::from(BOT)));
        }
        let (head, tail) = good.rsplit_once('.').unwrap();
        let forged = format!("{head}.{}", tail.chars().rev().collect::<String>());
        for (row, token) in [
            ("another repository's job", provider.job("fork").await),
            ("a user", provider.id_token(AUDIENCE, "alice").await),
            ("another signature", forged),
        ] {
            refused(&ask(&token, true).await, CLIENT, row);
            refused(&ask(&token, false).await, GRANT, row);
        }
    });
}

/// oidc-provider as the issuer of users: a job's token is nobody's consent, and a sign-in elsewhere is none here.
#[test]
fn users_of_an_outside_issuer_are_those_who_signed_in_for_this_audience() {
    let Some(provider) = Provider::start() else {
        return;
    };
    runtime().block_on(async {
        let settings = provider.settings("users");
        let stage = Stage::prepared(|project| project.settings(&settings)).await;
        let actor = stage.svid(BOT).await;
        let resource = stage.public("");
        let ask = async |token: &str| {
            let pairs = [
                ("grant_type", EXCHANGE),
                ("subject_token", token),
                ("subject_token_type", JWT),
                ("actor_token", &actor),
                ("actor_token_type", JWT),
                ("resource", &resource),
                ("authorization_details", READ),
            ];
            stage.token(&Key::new(), &pairs).await
        };
        let answer = ask(&provider.id_token(AUDIENCE, "alice").await).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let task = stage.task(&text(&answer, "task_id")).await;
        assert_eq!(task.member("requester"), Some(&Value::from("alice")));
        for (row, token) in [
            (
                "signed in elsewhere",
                provider.id_token("elsewhere", "alice").await,
            ),
            ("a job", provider.job("app").await),
        ] {
            refused(&ask(&token).await, GRANT, row);
        }
        // What was fetched is believed until its limit, whether the provider still answers or not.
        let late = provider.id_token(AUDIENCE, "bob").await;
        drop(provider);
        let answer = ask(&late).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
    });
}
