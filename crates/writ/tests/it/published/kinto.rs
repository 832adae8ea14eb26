//! Kinto publishes what its settings let in.

use std::process::Command;

use hyper::Method;
use writ::http::Peer;
use writ_testkit::{Caller, Project, Server, open, project, reason, runtime};
use writ_types::Value;

use super::process::{Running, installed, port};
use super::{Looked, pinned};

/// Without the plugin that keeps a history, with which the document was taken.
const SETTINGS: &str = "\
[app:main]
use = egg:kinto
kinto.includes = kinto.plugins.accounts
multiauth.policies = account
multiauth.policy.account.use = kinto.plugins.accounts.authentication.AccountsAuthenticationPolicy
kinto.account_create_principals = system.Everyone
kinto.bucket_create_principals = system.Authenticated
kinto.storage_backend = kinto.core.storage.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.userid_hmac_secret = only-of-the-test
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = PORT
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = INFO
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stdout,)
level = NOTSET
formatter = plain
[formatter_plain]
format = %(message)s
";

fn start() -> Option<Running> {
    let program = installed("kinto")?;
    let port = port();
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("kinto.ini");
    std::fs::write(&settings, SETTINGS.replace("PORT", &port.to_string())).unwrap();
    let mut command = Command::new(program);
    command.args(["start", "--ini"]).arg(settings);
    command.env("PYTHONUNBUFFERED", "1");
    Some(Running::start(command, folder, port, "Serving on "))
}

/// A request past the gateway, with the account that the gateway has too.
async fn ask(server: &Running, method: Method, path: &str, body: &str) -> (u16, Value) {
    // `writ:of-the-test`
    let headers = [
        ("authorization", "Basic d3JpdDpvZi10aGUtdGVzdA=="),
        ("content-type", "application/json"),
    ];
    let peer = Peer::url(&server.url(), None).unwrap();
    let answer = peer.send(method, path, &headers, body.to_owned()).await;
    let answer = answer.unwrap();
    (answer.status, answer.json())
}

/// The document as it was taken, but that it was older: buckets could be listed page by page, and records were made without a condition.
fn older(document: Value) -> Value {
    let mut document = document;
    let parameters = |document: &mut Value,
                      path: &str,
                      method: &str,
                      change: &mut dyn FnMut(&mut Vec<Value>)| {
        let mut at = document;
        for name in ["paths", path, method, "parameters"] {
            let Value::Object(members) = at else {
                panic!("{name}")
            };
            at = members.get_mut(name).unwrap();
        }
        let Value::Array(parameters) = at else {
            panic!()
        };
        change(parameters);
    };
    parameters(&mut document, "/buckets", "get", &mut |list| {
        list.push(Value::object([
            ("name", Value::from("_page")),
            ("in", Value::from("query")),
            ("type", Value::from("integer")),
        ]));
    });
    let records = "/buckets/{bucket_id}/collections/{collection_id}/records";
    parameters(&mut document, records, "post", &mut |list| {
        let before = list.len();
        list.retain(|one| one.member("name") != Some(&Value::from("If-None-Match")));
        assert_eq!(before.checked_sub(list.len()), Some(1));
    });
    document
}

fn installation(server: &Running, document: &Value) -> (Project, Server) {
    let project = project!();
    project.write("apis/kinto.json", &document.to_string());
    let url = server.url();
    project.write(
        "apis/kinto.toml",
        &format!(
            "owner = \"data-team@example.org\"\nupstream = \"{url}\"\ncontract = \"kinto.json\"\ndrift = \"{url}/__api__\"\n[credential]\nname = \"kinto-account\"\nattach = \"basic\"\n[operations.get_buckets]\neffect = \"read\"\n[operations.create_record]\neffect = \"write\"\n",
        ),
    );
    project.write(
        "purposes/data.toml",
        "owner = \"data-team@example.org\"\nactions = [\"kinto:get_buckets\", \"kinto:create_record\"]\n[budget]\ncalls = 50\nwrites = 20\n",
    );
    project.agent("keeper", "autonomous", &["data"]);
    let writ = project.start();
    project.sign_in();
    project.credential("kinto-account", "writ:of-the-test");
    (project, writ)
}

const TASK: &str = r#"[{"type":"writ_task","purpose":"data","actions":["kinto:get_buckets","kinto:create_record"],"budget":{"calls":20,"writes":10}}]"#;
const RECORDS: &str = "/buckets/shop/collections/orders/records";

/// Status and reason of a call that lists, and of one that writes.
async fn calls(caller: &Caller<'_>) -> [(u16, String); 2] {
    let records = format!("/kinto{RECORDS}");
    let fields = [("content-type", "application/json")];
    let mut said = Vec::new();
    for (method, path, body) in [
        ("GET", "/kinto/buckets", ""),
        ("POST", records.as_str(), r#"{"data":{"sum":3}}"#),
    ] {
        let fields = if body.is_empty() { &[][..] } else { &fields };
        let answer = caller.send(method, path, fields, body).await;
        let refused = answer.status >= 400;
        said.push((
            answer.status,
            if refused {
                reason(&answer)
            } else {
                String::new()
            },
        ));
    }
    said.try_into().unwrap()
}

#[test]
fn a_plugin_that_is_gone_is_accepted_and_a_condition_that_came_waits_for_its_owner() {
    let Some(document) = pinned("kinto/openapi.served-26.5.0.json") else {
        return;
    };
    let Some(server) = start() else { return };
    runtime().block_on(async {
        for (path, body) in [
            ("/accounts/writ", r#"{"data":{"password":"of-the-test"}}"#),
            ("/buckets/shop", "{}"),
            ("/buckets/shop/collections/orders", "{}"),
        ] {
            assert_eq!(ask(&server, Method::PUT, path, body).await.0, 201, "{path}");
        }
        let (project, writ) = installation(&server, &older(document));
        let task = open(&project.client(), TASK).await;
        let caller = Caller::new(&project, &task);
        let looked = Looked::at(&project, "kinto");
        assert_eq!(looked.code, 2);
        assert_eq!(looked.list("quarantined"), ["create_record"]);
        assert_eq!(
            looked.list("narrowed"),
            [
                "delete_history",
                "get_buckets",
                "get_history",
                "get_history_snapshot"
            ]
        );
        assert_eq!(looked.list("added"), [""; 0]);
        assert!(looked.lines() < 4, "{}", looked.seen);

        let records = async || ask(&server, Method::GET, RECORDS, "").await;
        let before = records().await;
        let waits = (403, "contract_quarantined".to_owned());
        assert_eq!(calls(&caller).await, [(200, String::new()), waits]);
        assert_eq!(records().await, before);

        looked.promote(&project, "kinto", &[]);
        let flows = |status| (status, String::new());
        assert_eq!(calls(&caller).await, [flows(200), flows(201)]);
        assert_ne!(records().await, before);
        assert_eq!(Looked::at(&project, "kinto").code, 0);
        writ.stop();
    });
}
