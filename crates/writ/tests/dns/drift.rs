//! The contract was taken from a newer PowerDNS than the one that runs: what the server publishes is held against it.

use std::path::PathBuf;

use writ_testkit::{Caller, json, open, project, reason, runtime};
use writ_types::Value;

use crate::powerdns::PowerDns;

/// PowerDNS's own document of a later version; none, loudly, where the shared test data is not.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "test data is found through the environment, and a skipped test must be seen"
)]
fn newer_contract(test: &str) -> Option<String> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let folder = PathBuf::from(std::env::var("WRIT_SHARED").unwrap_or_else(|_| beside.to_owned()));
    let found = std::fs::read_to_string(folder.join("specs/powerdns/authoritative.master.yaml"));
    if found.is_err() {
        assert!(
            std::env::var("WRIT_REQUIRE_SHARED").is_err(),
            "{test} needs WRIT_SHARED"
        );
        eprintln!("SKIPPED: {test} needs WRIT_SHARED");
    }
    found.ok()
}

#[test]
fn an_older_server_than_its_contract_has_drifted() {
    let test = "an_older_server_than_its_contract_has_drifted";
    let (Some(server), Some(newer)) = (PowerDns::find(test), newer_contract(test)) else {
        return;
    };
    runtime().block_on(async {
        server.make_zones().await;
        let project = project!();
        project.write("apis/powerdns.yaml", &newer);
        let origin = server.url.strip_suffix("/api/v1").unwrap();
        project.write(
            "apis/dns.toml",
            &format!(
                "owner = \"dns-team@example.org\"\nupstream = \"{}\"\ncontract = \"powerdns.yaml\"\ndrift = \"{origin}/api/docs\"\n[credential]\nname = \"powerdns\"\nattach = \"header\"\nheader = \"x-api-key\"\n[operations.patchZone]\neffect = \"write\"\n[operations.axfrExportZone]\neffect = \"read\"\n",
                server.url
            ),
        );
        project.write(
            "purposes/dns.toml",
            "owner = \"dns-team@example.org\"\nactions = [\"dns:patchZone\", \"dns:axfrExportZone\"]\n",
        );
        project.agent("robot", "autonomous", &["dns"]);
        let writ = project.start();
        project.sign_in();
        project.credential("powerdns", &server.key);
        let (code, seen, fault) = project.run(&["--json", "api", "drift", "dns"]);
        assert_eq!(code, 2, "{fault}");
        let seen = json(&seen);
        let list = |name: &str| -> Vec<String> {
            let list = seen.member(name).and_then(Value::as_array).unwrap();
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        // A record may hold what the newer contract does not let through; an export is what it was.
        assert!(list("quarantined").contains(&"patchZone".to_owned()));
        assert!(!list("quarantined").contains(&"axfrExportZone".to_owned()));
        assert!(list("narrowed").contains(&"listViews".to_owned()), "views came later");
        let review = seen.member("review").and_then(Value::as_array).unwrap();
        assert!(review.len() < 60, "{} lines are no review of minutes", review.len());

        let task = open(&project.client(), r#"[{"type":"writ_task","purpose":"dns","actions":["dns:patchZone","dns:axfrExportZone"]}]"#).await;
        let caller = Caller::new(&project, &task);
        let zone = format!("/dns{}", server.zone_path());
        let before = server.state().await;
        let body = format!(r#"{{"rrsets":[{{"name":"x.{}","type":"TXT","changetype":"DELETE"}}]}}"#, server.zones.own);
        let fields = [("content-type", "application/json")];
        let patched = caller.send("PATCH", &zone, &fields, body).await;
        assert_eq!((patched.status, reason(&patched).as_str()), (403, "contract_quarantined"));
        assert_eq!(server.state().await, before);
        let exported = caller.send("GET", &format!("{zone}/export"), &[], String::new()).await;
        assert_eq!(exported.status, 200, "{}", exported.json());
        writ.stop();
    });
}

#[test]
fn a_server_that_publishes_what_is_pinned_has_not_drifted() {
    let test = "a_server_that_publishes_what_is_pinned_has_not_drifted";
    let Some(server) = PowerDns::find(test) else {
        return;
    };
    runtime().block_on(async {
        let project = project!();
        project.write("apis/powerdns.yaml", &server.contract().await);
        let origin = server.url.strip_suffix("/api/v1").unwrap();
        project.write(
            "apis/dns.toml",
            &format!(
                "owner = \"dns-team@example.org\"\nupstream = \"{}\"\ncontract = \"powerdns.yaml\"\ndrift = \"{origin}/api/docs\"\n[credential]\nname = \"powerdns\"\nattach = \"header\"\nheader = \"x-api-key\"\n",
                server.url
            ),
        );
        let writ = project.start();
        project.sign_in();
        project.credential("powerdns", &server.key);
        let (code, said, fault) = project.run(&["api", "drift", "dns"]);
        assert_eq!(code, 0, "{said}{fault}");
        writ.stop();
    });
}
