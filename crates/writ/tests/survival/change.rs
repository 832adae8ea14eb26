//! Changes: a good one counts for the next call, a broken one for none, and what cannot be used is refused at the start.

use std::sync::Arc;

use hyper::Method;
use rustix::process::Signal;
use writ_audit::Event;
use writ_store::{CredentialSealer, Store};
use writ_testkit::{Project, free_port, open, project, runtime};
use writ_types::{RevisionId, Secret, Tenant, Timestamp};

use crate::depot::{Depot, STOCK, task};
use crate::process::{Process, done, records, refused};

const NEW_CALL: &str = "/depot/items?marker=c.1";

/// A rule that forbids reading, with no condition.
const NO_READING: &str = "@id(\"no-reading\")\n@owner(\"o@example.org\")\nforbid (principal, action == Api_depot::Action::\"listItems\", resource);\n";

#[test]
fn a_good_change_counts_for_the_next_call_and_not_for_one_in_flight() {
    runtime().block_on(async {
        let project = project!();
        let depot = Depot::open(&project).await;
        let process = Process::start(&project);
        project.sign_in();
        let client = Arc::new(project.client());
        let held = Arc::new(open(&client, &task(10, 10)).await);
        assert_eq!(client.call(&held, Method::GET, NEW_CALL, None).await.unwrap().status, 200);
        let (agent, mine) = (Arc::clone(&client), Arc::clone(&held));
        let waiting = tokio::spawn(async move {
            agent.call(&mine, Method::GET, "/depot/gate?marker=c.2", None).await
        });
        depot.arrived(2).await;

        // The agent is switched off: the next call is refused, the one in flight finishes.
        let uid = rustix::process::geteuid().as_raw();
        project.write("agents/bot.toml", &format!("owner = \"o@example.org\"\nmode = \"autonomous\"\npurposes = [\"stock\"]\nenabled = false\nselectors = [\"unix:uid:{uid}\"]\n"));
        assert!(done(&project, &["apply"]).contains("in force:"));
        let answer = client.call(&held, Method::GET, NEW_CALL, None).await.unwrap();
        assert_ne!(answer.status, 200, "{}", answer.json());
        depot.open_gate();
        assert_eq!(waiting.await.unwrap().unwrap().status, 200);
        assert!(done(&project, &["apply"]).contains("nothing has changed"));
        assert!(process.stop().0.success());

        // Each record names the revision it was decided under.
        let records = records(&project);
        let changed = records.iter().position(|record| record.event.kind() == "revision_activated").unwrap();
        let before = records[changed].header.revision;
        let Event::RevisionActivated(activated) = &records[changed].event else {
            panic!("{:?}", records[changed]);
        };
        assert_eq!(activated.from, before);
        let outcome = records[changed..].iter().find(|record| record.event.kind() == "outcome").unwrap();
        assert_eq!(outcome.header.revision, before, "it finished on the revision it began with");
    });
}

/// What is broken, and what the refusal must say of the place.
fn broken(depot: &Depot) -> Vec<(&'static str, String, &'static str)> {
    vec![
        (
            "policies/own.cedar",
            "permit (principal, action, resource);\nforbid (\n".to_owned(),
            "policies/own.cedar:",
        ),
        (
            "policies/own.cedar",
            format!(
                "{NO_READING}\n\nforbid (principal, action == Api_depot::Action::\"noSuch\", resource);\n"
            ),
            "policies/own.cedar:",
        ),
        (
            "apis/depot.openapi.yaml",
            "openapi: 3.1.0\npaths:\n  /items: [\n".to_owned(),
            "apis/depot.openapi.yaml:",
        ),
        (
            "apis/depot.toml",
            depot.registration().replace("owner", "\n\nownr"),
            "apis/depot.toml:3:",
        ),
        (
            "purposes/stock.toml",
            STOCK.replace("depot:listItems", "depot:nothing"),
            "purposes/stock.toml:2:",
        ),
        (
            "agents/bot.toml",
            "mode = \"reckless\"\nowner = \"o@example.org\"\npurposes = [\"stock\"]\n".to_owned(),
            "agents/bot.toml:1:",
        ),
    ]
}

#[test]
fn a_broken_change_is_refused_with_its_place_and_calls_go_on() {
    runtime().block_on(async {
        let project = project!();
        let depot = Depot::open(&project).await;
        let process = Process::start(&project);
        project.sign_in();
        let client = project.client();
        let held = open(&client, &task(100, 10)).await;
        for (file, text, place) in broken(&depot) {
            let before = std::fs::read(project.path(file)).ok();
            project.write(file, &text);
            let said = refused(&project, &["apply"]);
            assert!(
                said.contains("the revision before stays in force"),
                "{said}"
            );
            assert!(said.contains(place), "{place}: {said}");
            let rest = said.split(place).nth(1).unwrap_or_default();
            let line = place.ends_with("1:") || place.ends_with("2:") || place.ends_with("3:");
            assert!(
                line || rest.starts_with(|first: char| first.is_ascii_digit()),
                "no line: {said}"
            );
            let answer = client
                .call(&held, Method::GET, NEW_CALL, None)
                .await
                .unwrap();
            assert_eq!(answer.status, 200, "{file}");
            // A reload reads the store, which knows nothing of the broken files.
            process.signal(Signal::HUP);
            let reloaded = project.operator(Method::POST, "/v1/reload", "").await;
            assert_eq!(reloaded.status, 200, "{}", reloaded.json());
            assert!(refused(&project, &["doctor"]).contains(place));
            match before {
                Some(bytes) => std::fs::write(project.path(file), bytes).unwrap(),
                None => std::fs::remove_file(project.path(file)).unwrap(),
            }
        }
        done(&project, &["doctor"]);
    });
}

#[test]
fn a_project_that_is_broken_from_the_beginning_starts_nothing() {
    let project = project!();
    project.write(
        "purposes/p.toml",
        "owner = \"o@example.org\"\nactions = 7\n",
    );
    let (code, _, said) = project.run(&["serve"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("purposes/p.toml:2:"), "{said}");
    std::fs::remove_file(project.path("purposes/p.toml")).unwrap();
    assert!(Process::start(&project).stop().0.success());
}

/// Another hand in the store of a process that runs.
async fn behind_its_back(project: &Project) -> Store {
    // The lock keeps processes out that ask for it. Removing it is what a careless person would do.
    std::fs::remove_file(project.path(".writ/writ.db.lock")).unwrap();
    Store::open(&project.path(".writ/writ.db")).await.unwrap()
}

#[test]
fn a_stored_revision_that_does_not_compile_stays_out_of_force_and_stops_the_next_start() {
    runtime().block_on(async {
        let project = project!();
        let _depot = Depot::open(&project).await;
        let process = Process::start(&project);
        project.sign_in();
        let client = project.client();
        let held = open(&client, &task(100, 10)).await;
        let tenant = Tenant::default_tenant();
        let store = behind_its_back(&project).await;
        let active = store.active_revision(&tenant).await.unwrap().unwrap();
        let mut registry = store.load(&tenant, active.id).await.unwrap();
        registry
            .policies
            .insert("own.cedar".to_owned(), "forbid (".to_owned());
        let now = Timestamp::from_secs(1);
        let next = RevisionId::new(now, [1; 10]);
        store
            .propose(&tenant, Some(active.id), next, &registry, now)
            .await
            .unwrap();
        store
            .activate(&tenant, Some(active.id), next, now)
            .await
            .unwrap();

        process.signal(Signal::HUP);
        process.says("was not put in force");
        let reloaded = project.operator(Method::POST, "/v1/reload", "").await;
        assert_eq!(reloaded.status, 503, "{}", reloaded.json());
        let answer = client
            .call(&held, Method::GET, NEW_CALL, None)
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "the old one is in force");
        let said = refused(&project, &["doctor"]);
        assert!(
            said.contains("own.cedar:1") && said.contains(&next.to_string()),
            "{said}"
        );
        let ready = project
            .control()
            .send(Method::GET, "/readyz", &[], "")
            .await
            .unwrap();
        assert_eq!(ready.status, 200);
        assert!(String::from_utf8_lossy(&ready.body).contains("not in force"));

        process.kill();
        store.close().await;
        let (code, _, said) = project.run(&["serve"]);
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains("cannot be put in force") && said.contains("own.cedar:1"),
            "{said}"
        );
        let store = Store::open(&project.path(".writ/writ.db")).await.unwrap();
        store
            .activate(&tenant, Some(next), active.id, now)
            .await
            .unwrap();
        store.close().await;
        let process = Process::start(&project);
        let answer = client
            .call(&held, Method::GET, NEW_CALL, None)
            .await
            .unwrap();
        assert_eq!(answer.status, 200);
        assert!(process.stop().0.success());
    });
}

#[test]
fn a_credential_of_another_key_is_a_fault_that_is_shown() {
    runtime().block_on(async {
        let project = project!();
        let depot = Depot::open(&project).await;
        let sealed = format!(
            "{}[credential]\nname = \"depot-key\"\nattach = \"bearer\"\n",
            depot.registration().split("[operations").next().unwrap()
        );
        let operations = depot.registration();
        let operations = operations.split_once("[operations").unwrap().1;
        project.write(
            "apis/depot.toml",
            &format!("{sealed}[operations{operations}"),
        );
        let process = Process::start(&project);
        project.sign_in();
        project.credential("depot-key", "right-0123456789");
        let client = project.client();
        let held = open(&client, &task(100, 10)).await;
        let tenant = Tenant::default_tenant();
        let name = "depot-key".parse().unwrap();
        let store = behind_its_back(&project).await;
        let other = CredentialSealer::new(&Secret::new([9; 32])).unwrap();
        let wrong = other
            .seal(&tenant, &name, 2, &Secret::new("wrong".to_owned()))
            .unwrap();
        store
            .put_credential(&tenant, &name, 2, &wrong, Timestamp::from_secs(1))
            .await
            .unwrap();
        store.close().await;
        process.signal(Signal::HUP);
        process.says("cannot be opened");
        assert!(
            refused(&project, &["doctor"]).contains("the credential `depot-key` cannot be opened")
        );
        let answer = client
            .call(&held, Method::GET, NEW_CALL, None)
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "with the credential that was in force");
        process.kill();
        let (code, _, said) = project.run(&["serve"]);
        assert_eq!(code, 1);
        assert!(
            said.contains("the credential `depot-key` cannot be opened"),
            "{said}"
        );
    });
}

#[test]
fn settings_ports_and_folders_that_cannot_be_used_are_named() {
    let project = project!();
    let serve = |project: &Project| {
        let (code, _, said) = project.run(&["serve"]);
        assert_eq!(code, 1, "{said}");
        said
    };
    project.settings("[limits\n");
    assert!(serve(&project).contains("writ.toml:9:"));
    project.settings("[timeouts]\nrecord = \"5\"\n");
    let said = serve(&project);
    assert!(
        said.contains("writ.toml") && said.contains("`timeouts.record`"),
        "{said}"
    );
    project.settings("");

    let process = Process::start(&project);
    let said = serve(&project);
    assert!(
        said.contains("is in use: stop the other process first"),
        "{said}"
    );

    // Another installation on the same ports: sockets that are shared between workers are not shared with it.
    for taken in [true, false] {
        let mut other = project!();
        let (gateway, control) = if taken {
            (project.gateway, free_port())
        } else {
            (free_port(), project.control)
        };
        (other.gateway, other.control) = (gateway, control);
        other.settings("");
        let said = serve(&other);
        let port = if taken { gateway } else { control };
        assert!(
            said.contains(&format!("cannot listen on 127.0.0.1:{port}")),
            "{said}"
        );
        assert!(said.contains("writ.toml"), "{said}");
    }
    assert!(process.stop().0.success());
}

#[test]
fn a_store_of_a_newer_schema_is_refused_with_both_versions() {
    runtime().block_on(async {
        let project = project!();
        assert!(Process::start(&project).stop().0.success());
        // Closed, so that everything is in the one file.
        let path = project.path(".writ/writ.db");
        Store::open(&path).await.unwrap().close().await;
        let known = Store::schema_version().to_string();
        let mut bytes = std::fs::read(&path).unwrap();
        let row = format!("schema_version{known}");
        let at: Vec<usize> = bytes
            .windows(row.len())
            .enumerate()
            .filter(|(_, window)| *window == row.as_bytes())
            .map(|(at, _)| at)
            .collect();
        let [at] = at[..] else { panic!("{at:?}") };
        bytes[at + row.len() - 1] = b'9';
        std::fs::write(&path, &bytes).unwrap();
        let (code, _, said) = project.run(&["serve"]);
        assert_eq!(code, 1);
        assert!(
            said.contains("schema version 9") && said.contains(&format!("knows up to {known}")),
            "{said}"
        );
        assert_eq!(
            std::fs::read(&path).unwrap(),
            bytes,
            "and nothing was changed"
        );
    });
}

/// A store as another version of the program might have left it: its revision in force is not one for this one.
async fn leave_what_cannot_be_used(project: &Project) {
    let store = Store::open(&project.path(".writ/writ.db")).await.unwrap();
    let tenant = Tenant::default_tenant();
    let active = store.active_revision(&tenant).await.unwrap().unwrap().id;
    let mut registry = store.load(&tenant, active).await.unwrap();
    let stale = "@id(\"stale\")\npermit (principal, action, resource) when { context.gone };\n";
    registry
        .policies
        .insert("policies/stale.cedar".to_owned(), stale.to_owned());
    let (now, next) = (
        Timestamp::from_millis(1),
        RevisionId::new(Timestamp::from_millis(1), [7; 10]),
    );
    store
        .propose(&tenant, Some(active), next, &registry, now)
        .await
        .unwrap();
    store
        .activate(&tenant, Some(active), next, now)
        .await
        .unwrap();
    store.close().await;
}

#[test]
fn a_revision_that_cannot_be_used_is_replaced_while_nothing_runs() {
    runtime().block_on(async {
        let project = project!();
        let depot = Depot::open(&project).await;
        let process = Process::start(&project);
        project.sign_in();
        let client = project.client();
        let held = open(&client, &task(10, 10)).await;
        done(&project, &["kill", "agent", "bot"]);
        // Beside a running process nothing is replaced.
        let said = refused(&project, &["apply", "--offline"]);
        assert!(
            said.contains("another process") || said.contains("in use"),
            "{said}"
        );
        assert!(process.stop().0.success());

        leave_what_cannot_be_used(&project).await;
        let (status, words) = Process::spawn(&project).last_words();
        assert!(
            !status.success() && words.contains("policies/stale.cedar:"),
            "{words}"
        );
        assert!(words.contains("writ apply --offline"), "{words}");
        // Files with faults replace nothing either.
        project.write("policies/own.cedar", "forbid (\n");
        assert!(refused(&project, &["apply", "--offline"]).contains("policies/own.cedar:"));
        std::fs::remove_file(project.path("policies/own.cedar")).unwrap();

        let said = done(&project, &["apply", "--offline"]);
        assert!(
            said.contains("in force:") && said.contains("stays stopped"),
            "{said}"
        );
        let records = records(&project);
        let mut newest_first = records.iter().rev();
        let change = newest_first.find(|record| record.event.kind() == "revision_activated");
        assert!(change.unwrap().header.time > Timestamp::from_millis(1));

        // The agent is the one it was, stopped until somebody says otherwise, and the task it had is over.
        let process = Process::start(&project);
        let answer = client
            .call(&held, Method::GET, NEW_CALL, None)
            .await
            .unwrap();
        assert_eq!(answer.status, 401, "{}", answer.json());
        assert!(process.stop().0.success());
        assert!(
            !done(&project, &["apply", "--offline", "--resume", "bot"]).contains("stays stopped")
        );
        let process = Process::start(&project);
        let client = project.client();
        let held = open(&client, &task(10, 10)).await;
        assert_eq!(
            client
                .call(&held, Method::GET, NEW_CALL, None)
                .await
                .unwrap()
                .status,
            200
        );
        assert!(process.stop().0.success());
        drop(depot);
    });
}
