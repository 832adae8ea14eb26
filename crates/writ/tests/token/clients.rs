//! OAuth clients of other hands, unchanged, against the authorization server and the gateway.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_testkit::runtime;
use writ_token::generate_signing_key;

use crate::kit::{BOT, Key, READ, Stage, TICKETS};
use crate::vouching::Planner;

/// Where `cargo xtask test` has put the clients; none, loudly, where it has not.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn modules() -> Option<PathBuf> {
    let folder = std::env::var_os("WRIT_TEST_CLIENTS_DIR").map(PathBuf::from);
    if folder.is_none() {
        eprintln!(
            "SKIPPED: WRIT_TEST_CLIENTS_DIR is not set; `cargo xtask test` installs the clients"
        );
    }
    folder.map(|folder| folder.join("node_modules"))
}

/// oauth4webapi: RFC 8414, 9728, 8693, 7523, 9449, 7662 and 7009 as it understands them.
#[test]
fn oauth4webapi_gets_along() {
    let Some(modules) = modules() else { return };
    runtime().block_on(async {
        let pkcs8 = generate_signing_key().unwrap();
        let planner = Planner(Key::of(&pkcs8));
        let stage = Stage::prepared(|project| {
            planner.configure(project);
            let settings = std::fs::read_to_string(project.path("writ.toml")).unwrap();
            project.write("writ.toml", &format!("{settings}introspects = true\n"));
        })
        .await;
        let svid = stage.svid(BOT).await;
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/token/clients/oauth4webapi.mjs");
        let mut command = Command::new("node");
        command
            .arg(script)
            .env("WRIT_MODULES", modules)
            .env("WRIT_ISSUER", stage.control(""))
            .env("WRIT_RESOURCE", stage.public("/helpdesk"))
            .env("WRIT_CALL", stage.public(TICKETS))
            .env("WRIT_SVID", svid)
            .env("WRIT_DETAILS", READ)
            .env("WRIT_CLIENT", "planner")
            .env("WRIT_KEY", STANDARD.encode(pkcs8.expose()))
            .env("WRIT_KID", &planner.0.kid);
        // The help desk answers on this thread meanwhile.
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let fault = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}{fault}");
        assert_eq!(said.lines().count(), 6, "{said}");
    });
}
