//! The certificate robot and the name server.
//!
//! PowerDNS Authoritative has one static key, and whoever holds it owns every zone. A robot that renews certificates
//! needs one thing of it: to put a TXT record named `_acme-challenge` into one zone (RFC 8555 §8.4). These tests put Writ
//! between the two, a real PowerDNS behind it, and look into PowerDNS itself after every attempt.
//!
//! The robot's authority is drawn twice, by the bounds of its task and by a policy of the installation, and each is
//! tested alone too: either must hold when the other is missing.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot be set up has failed"
)]

mod attempts;
mod drift;
mod installation;
mod powerdns;

use attempts::{Attempt, Layers, attempts};
use installation::Installation;
use powerdns::PowerDns;
use writ_testkit::{open, reason, runtime};

#[test]
fn the_robot_adds_its_challenge_and_nothing_else() {
    let Some(server) = PowerDns::find("the_robot_adds_its_challenge_and_nothing_else") else {
        return;
    };
    runtime().block_on(async {
        let installation = Installation::start(server, Layers::Both).await;
        scenario(&installation).await;
        installation.nothing_shows_the_key();
    });
}

#[test]
fn the_bounds_of_the_task_hold_without_the_policy() {
    let Some(server) = PowerDns::find("the_bounds_of_the_task_hold_without_the_policy") else {
        return;
    };
    runtime().block_on(async {
        scenario(&Installation::start(server, Layers::Bounds).await).await;
    });
}

#[test]
fn the_policy_holds_without_the_bounds_of_the_task() {
    let Some(server) = PowerDns::find("the_policy_holds_without_the_bounds_of_the_task") else {
        return;
    };
    runtime().block_on(async {
        scenario(&Installation::start(server, Layers::Policy).await).await;
    });
}

/// Everything the robot must not do, each refused, recorded and without a trace in PowerDNS; then the one thing it may.
async fn scenario(installation: &Installation) {
    let client = installation.project.client();
    let task = open(&client, &installation.task()).await;
    let before = installation.server.state().await;
    let mut wrong = Vec::new();
    for attempt in attempts(&installation.server.zones) {
        let Some(wanted) = attempt.refused_with(installation.layers) else {
            continue;
        };
        let said = installation.attempt(&task, &attempt).await;
        let after = installation.server.state().await;
        assert_eq!(before, after, "{} left something in PowerDNS", attempt.what);
        if reason(&said) == wanted {
            installation
                .is_refused_and_recorded(&attempt, &said, wanted)
                .await;
        } else {
            wrong.push(format!(
                "{}: {wanted} expected, {}",
                attempt.what,
                said.json()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "refused, but otherwise:\n{}",
        wrong.join("\n")
    );
    assert_eq!(installation.server.challenges().await, Vec::<String>::new());
    for (number, attempt) in Attempt::allowed(&installation.server.zones)
        .iter()
        .enumerate()
    {
        let said = installation.attempt(&task, attempt).await;
        assert_eq!(said.status, 204, "{}: {}", attempt.what, said.json());
        installation.is_allowed_and_recorded(attempt, &said).await;
        // Read from PowerDNS itself, with the key that the robot does not have.
        let challenges = installation.server.challenges().await;
        assert_eq!(challenges, [Attempt::challenge(number)], "{}", attempt.what);
    }
}

#[test]
fn a_stopped_robot_reaches_nothing() {
    let Some(server) = PowerDns::find("a_stopped_robot_reaches_nothing") else {
        return;
    };
    runtime().block_on(async {
        let installation = Installation::start(server, Layers::Both).await;
        let client = installation.project.client();
        let task = open(&client, &installation.task()).await;
        let [first, ..] = Attempt::allowed(&installation.server.zones);
        assert_eq!(installation.attempt(&task, &first).await.status, 204);
        let before = installation.server.state().await;

        installation.kill(&task).await;
        let said = installation.attempt(&task, &first).await;
        assert_eq!((said.status, reason(&said).as_str()), (401, "task_ended"));
        assert_eq!(installation.server.state().await, before);

        // Past the gateway there is a server that wants a key, and the robot has none: not its token, not nothing.
        for key in [None, Some(""), Some(task.token.as_str())] {
            for (method, path) in [
                ("PATCH", installation.server.zone_path()),
                ("DELETE", installation.server.zone_path()),
                ("GET", "/servers/localhost/config".to_owned()),
            ] {
                let status = installation
                    .server
                    .with_key(key, method, &path)
                    .await
                    .status;
                assert_eq!(status, 401, "{method} {path} with {key:?}");
            }
        }
        assert_eq!(installation.server.state().await, before);
    });
}
