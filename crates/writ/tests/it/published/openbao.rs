//! `OpenBao` publishes what is mounted, and does not publish the same twice.

use std::process::Command;

use hyper::Method;
use writ::http::Peer;
use writ_testkit::{Caller, Project, Server, open, project, reason, runtime};

use super::process::{Running, installed, port};
use super::{Looked, pinned};

const KEY: &str = "root-of-the-test";
/// Operations that it calls, and describes, `list` or `scan` by the order of a map.
const FLAPPING: [&str; 3] = [
    "namespaces-scan-namespaces",
    "workflows-scan-workflows-manage",
    "kv-scan-detailed-metadata-path",
];

fn start() -> Option<Running> {
    let program = installed("bao")?;
    let port = port();
    let mut command = Command::new(program);
    command.args(["server", "-dev", "-dev-no-store-token"]);
    command.arg(format!("-dev-root-token-id={KEY}"));
    command.arg(format!("-dev-listen-address=127.0.0.1:{port}"));
    let folder = tempfile::tempdir().unwrap();
    Some(Running::start(command, folder, port, "Root Token: "))
}

/// A request past the gateway: its status, and what was said.
async fn ask(server: &Running, method: Method, path: &str, body: &str) -> (u16, String) {
    let headers = [("x-vault-token", KEY), ("content-type", "application/json")];
    let peer = Peer::url(&server.url(), None).unwrap();
    let answer = peer.send(method, path, &headers, body.to_owned()).await;
    let answer = answer.unwrap();
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    (answer.status, text)
}

/// Its document says 200 of what it answers with 204.
const OVERLAY: &str = "\
overlay: 1.0.0
info: {title: what the server answers, version: 1.0.0}
actions:
  - target: $.paths['/secret/config'].post.responses
    update: {'204': {description: done}}
";

fn installation(server: &Running, document: &str) -> (Project, Server) {
    let project = project!();
    project.write("apis/bao.json", document);
    project.write("apis/bao.overlay.yaml", OVERLAY);
    let url = server.url();
    project.write(
        "apis/bao.toml",
        &format!(
            "owner = \"vault-team@example.org\"\nupstream = \"{url}\"\ncontract = \"bao.json\"\ndrift = \"{url}/sys/internal/specs/openapi\"\n[credential]\nname = \"bao-token\"\nattach = \"header\"\nheader = \"x-vault-token\"\n[operations.mounts-list-secrets-engines]\neffect = \"read\"\n[operations.kv-write-config]\neffect = \"write\"\n",
        ),
    );
    project.write(
        "purposes/vault.toml",
        "owner = \"vault-team@example.org\"\nactions = [\"bao:mounts-list-secrets-engines\", \"bao:kv-write-config\"]\n[budget]\ncalls = 50\nwrites = 20\n",
    );
    project.agent("keeper", "autonomous", &["vault"]);
    let writ = project.start();
    project.sign_in();
    project.credential("bao-token", KEY);
    (project, writ)
}

const TASK: &str = r#"[{"type":"writ_task","purpose":"vault","actions":["bao:mounts-list-secrets-engines","bao:kv-write-config"],"budget":{"calls":20,"writes":10}}]"#;
const CONFIG: &str = r#"{"max_versions":3}"#;

async fn configures(caller: &Caller<'_>) -> (u16, String) {
    let fields = [("content-type", "application/json")];
    let path = "/bao/secret/config";
    let answer = caller.send("POST", path, &fields, CONFIG).await;
    let refused = answer.status >= 400;
    let why = if refused {
        reason(&answer)
    } else {
        String::new()
    };
    (answer.status, why)
}

#[test]
fn another_engine_where_the_approved_one_was_waits_for_its_owner() {
    let Some(document) = pinned("openbao/openapi.served-2.7.2.json") else {
        return;
    };
    let Some(server) = start() else { return };
    runtime().block_on(async {
        let (project, writ) = installation(&server, &document.to_string());
        let task = open(&project.client(), TASK).await;
        let caller = Caller::new(&project, &task);
        assert_eq!(configures(&caller).await, (204, String::new()));
        // What was published when it was pinned is still published, but for what is never published twice.
        let looked = Looked::at(&project, "bao");
        assert!(
            looked
                .list("quarantined")
                .iter()
                .all(|id| FLAPPING.contains(id))
        );
        assert_eq!(looked.list("added"), [""; 0]);

        // The key-value store goes, a broker of cluster credentials takes its path; and one more engine elsewhere.
        for (method, mount, body) in [
            (Method::DELETE, "secret", ""),
            (Method::POST, "secret", r#"{"type":"kubernetes"}"#),
            (Method::POST, "transit", r#"{"type":"transit"}"#),
        ] {
            let path = format!("/sys/mounts/{mount}");
            assert_eq!(ask(&server, method, &path, body).await.0, 204, "{mount}");
        }
        let looked = Looked::at(&project, "bao");
        assert_eq!(looked.code, 2);
        let mut waiting = looked.list("quarantined");
        waiting.retain(|id| !FLAPPING.contains(id));
        assert_eq!(waiting, ["kv-read-config", "kv-write-config"]);
        assert!(
            looked.list("narrowed").contains(&"kv-write-data-path"),
            "it is gone"
        );
        assert!(looked.list("added").contains(&"transit-rotate-key"));
        assert!(
            looked.lines() < 15,
            "{} lines: {}",
            looked.lines(),
            looked.seen
        );

        // The approved call is now another engine's, which hears nothing of it.
        let before = ask(&server, Method::GET, "/secret/config", "").await;
        assert_eq!(
            configures(&caller).await,
            (403, "contract_quarantined".to_owned())
        );
        assert_eq!(
            ask(&server, Method::GET, "/secret/config", "").await,
            before
        );
        let listed = caller.send("GET", "/bao/sys/mounts", &[], "").await;
        assert_eq!(listed.status, 200, "{}", listed.json());

        // It has a name of its own, and no grant of the old one holds for it.
        looked.promote(&project, "bao", &[]);
        assert_eq!(
            configures(&caller).await,
            (403, "action_not_granted".to_owned())
        );
        let looked = Looked::at(&project, "bao");
        assert!(
            looked
                .list("quarantined")
                .iter()
                .all(|id| id.contains("namespaces") || id.contains("workflows"))
        );
        writ.stop();
    });
}

#[test]
fn a_document_that_is_never_the_same_wakes_its_owner_once_for_each_form() {
    let Some(document) = pinned("openbao/openapi.served-2.7.2.json") else {
        return;
    };
    let Some(server) = start() else { return };
    runtime().block_on(async {
        let (project, writ) = installation(&server, &document.to_string());
        let mut woken = 0;
        for _ in 0..20 {
            let looked = Looked::at(&project, "bao");
            if looked.code == 2 {
                assert!(
                    looked
                        .list("quarantined")
                        .iter()
                        .all(|id| FLAPPING.contains(id))
                );
                looked.promote(&project, "bao", &["--beside"]);
                woken += 1;
            }
        }
        // Two of them are described otherwise, each in one other way.
        assert!(woken <= 2, "{woken}");
        let kept = std::fs::read_to_string(project.path("apis/bao.json")).unwrap();
        assert_eq!(kept, document.to_string(), "what is pinned stays");
        writ.stop();
    });
}
