//! A Writ before PowerDNS: the registration, the robot, the purpose, the policy.

use std::path::Path;
use std::sync::Mutex;

use hyper::Method;
use writ::agent::OpenTask;
use writ::http::Answer;
use writ_testkit::{Caller, Project, Server, project, reason};
use writ_types::{ReasonCode, Value};

use crate::attempts::{Attempt, Layers};
use crate::powerdns::PowerDns;

/// The policy of the installation; `ZONE` stands for the robot's zone.
const POLICY: &str = include_str!("dns.cedar");

/// A running Writ before a PowerDNS.
#[derive(Debug)]
pub(crate) struct Installation {
    pub(crate) project: Project,
    pub(crate) server: PowerDns,
    pub(crate) layers: Layers,
    writ: Server,
    /// Everything the robot was answered, heads and bodies.
    answers: Mutex<Vec<u8>>,
}

impl Installation {
    /// Starts it with what is to hold the robot back.
    pub(crate) async fn start(server: PowerDns, layers: Layers) -> Self {
        server.make_zones().await;
        let project = project!();
        project.write("apis/powerdns.yaml", &server.contract().await);
        let registration = format!(
            "owner = \"dns-team@example.org\"\nupstream = \"{}\"\ncontract = \"powerdns.yaml\"\n[credential]\nname = \"powerdns\"\nattach = \"header\"\nheader = \"x-api-key\"\n[operations.patchZone]\neffect = \"write\"\n",
            server.url
        );
        project.write("apis/dns.toml", &registration);
        project.write(
            "purposes/acme-renewal.toml",
            "owner = \"tls-team@example.org\"\nactions = [\"dns:patchZone\"]\n[budget]\ncalls = 200\nwrites = 200\ndeletes = 0\nirreversible = 0\n",
        );
        project.agent("certificate-robot", "autonomous", &["acme-renewal"]);
        if layers != Layers::Bounds {
            project.write(
                "policies/dns.cedar",
                &POLICY.replace("ZONE", &server.zones.own),
            );
        }
        let mut command = project.command(&["serve"]);
        // What might show the key is to be said.
        command.env("WRIT_LOG", "trace");
        let writ = project.serve(command).unwrap();
        project.sign_in();
        project.credential("powerdns", &server.key);
        Self {
            project,
            server,
            layers,
            writ,
            answers: Mutex::default(),
        }
    }

    /// What the robot asks for when it opens its task.
    pub(crate) fn task(&self) -> String {
        let zone = &self.server.zones.own;
        let bounds = if self.layers == Layers::Policy {
            String::new()
        } else {
            // The TXT records' contents begin with a quotation mark, so there is at least one record.
            format!(
                r#","bounds":{{"dns:patchZone":{{
                    "/path/server_id":["localhost"],
                    "/path/zone_id":["{zone}"],
                    "/body/rrsets/*/name":["_acme-challenge.{zone}"],
                    "/body/rrsets/*/type":["TXT"],
                    "/body/rrsets/*/changetype":["REPLACE"],
                    "/body/rrsets/*/records/*/content":{{"prefix":"\""}}}}}}"#
            )
        };
        format!(
            r#"[{{"type":"writ_task","purpose":"acme-renewal","actions":["dns:patchZone"]{bounds}}}]"#
        )
    }

    /// The robot tries something.
    pub(crate) async fn attempt(&self, task: &OpenTask, attempt: &Attempt) -> Answer {
        let caller = Caller::new(&self.project, task);
        let path = format!("/dns{}", attempt.path);
        let mut headers = attempt.headers.clone();
        if !attempt.body.is_empty() && headers.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        let answer = caller
            .send(attempt.method, &path, &headers, attempt.body.clone())
            .await;
        let mut answers = self.answers.lock().unwrap();
        for (name, value) in &answer.headers {
            answers.extend_from_slice(name.as_str().as_bytes());
            answers.extend_from_slice(value.as_bytes());
        }
        answers.extend_from_slice(&answer.body);
        drop(answers);
        answer
    }

    /// The refusal is a problem with the status of its reason, and the log has it.
    pub(crate) async fn is_refused_and_recorded(
        &self,
        attempt: &Attempt,
        said: &Answer,
        wanted: &str,
    ) {
        let what = attempt.what;
        let status = ReasonCode::parse(wanted).map(ReasonCode::status);
        assert_eq!(Some(said.status), status, "{what}");
        assert_eq!(
            said.header("content-type"),
            Some("application/problem+json"),
            "{what}"
        );
        let call = said.header("writ-call-id").unwrap();
        let json = said.json();
        assert_eq!(
            json.member("decision_id").and_then(Value::as_str),
            Some(call),
            "{what}"
        );
        let records = self.explain(call).await;
        let [record] = records.as_slice() else {
            panic!("{what}: {} records", records.len());
        };
        assert_eq!(text(record, "kind"), "refused", "{what}");
        assert_eq!(text(detail(record), "reason"), reason(said), "{what}");
    }

    /// An intent that names the action and the credential, never its value.
    pub(crate) async fn is_allowed_and_recorded(&self, attempt: &Attempt, said: &Answer) {
        let records = self.explain(said.header("writ-call-id").unwrap()).await;
        let intent = records.first().unwrap();
        assert_eq!(text(intent, "kind"), "intent", "{}", attempt.what);
        assert_eq!(text(detail(intent), "action"), "dns:patchZone");
        assert_eq!(text(detail(intent), "credential"), "powerdns");
    }

    async fn explain(&self, call: &str) -> Vec<Value> {
        let answer = self
            .project
            .operator(Method::GET, &format!("/v1/explain/{call}"), "")
            .await;
        assert_eq!(answer.status, 200, "no record of {call}: {}", answer.json());
        let json = answer.json();
        let rows = json.member("records").and_then(Value::as_array).unwrap();
        rows.iter()
            .map(|row| row.member("record").unwrap().clone())
            .collect()
    }

    /// The operator stops the robot's task.
    pub(crate) async fn kill(&self, task: &OpenTask) {
        let body = format!(r#"{{"task":"{}"}}"#, task.task);
        let answer = self.project.operator(Method::POST, "/v1/kill", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
    }

    /// Ends Writ and looks for the key in all it has left behind.
    pub(crate) fn nothing_shows_the_key(self) {
        let key = self.server.key.as_bytes();
        let shows = |bytes: &[u8]| bytes.windows(key.len()).any(|window| window == key);
        let answers = self.answers.into_inner().unwrap();
        assert!(
            !answers.is_empty() && !shows(&answers),
            "the key is in an answer"
        );
        let said = self.writ.stop_and_tell();
        assert!(
            said.contains("writ gateway") && !shows(said.as_bytes()),
            "the key is in what Writ said"
        );
        let mut seen = Vec::new();
        files(self.project.folder.path(), &mut |path, bytes| {
            assert!(!shows(bytes), "the key is in {}", path.display());
            seen.push(path.to_owned());
        });
        let log = self.project.path(".writ/log");
        assert!(
            seen.iter().any(|path| path.starts_with(&log)),
            "no log among {seen:?}"
        );
    }
}

fn detail(record: &Value) -> &Value {
    record.member("detail").unwrap()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value
        .member(member)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn files(folder: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, look);
        } else if path.is_file() {
            look(&path, &std::fs::read(&path).unwrap());
        }
    }
}
