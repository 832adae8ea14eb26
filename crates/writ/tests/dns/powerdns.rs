//! The PowerDNS that `cargo xtask test` has started: zones of one test's own, and a look at what they hold.

use hyper::Method;
use writ::agent::random_id;
use writ::http::{Answer, Peer};
use writ_types::Value;

/// A server, and two zones in it that no other test uses.
#[derive(Debug)]
pub(crate) struct PowerDns {
    /// The root of its API, such as `http://127.0.0.1:8081/api/v1`.
    pub(crate) url: String,
    /// Its one all-powerful key.
    pub(crate) key: String,
    /// The zones of this test.
    pub(crate) zones: Zones,
}

/// The zones of one test. All names end with a dot.
#[derive(Debug, Clone)]
pub(crate) struct Zones {
    /// The robot's.
    pub(crate) own: String,
    /// Somebody else's.
    pub(crate) other: String,
    /// One that does not exist.
    pub(crate) none: String,
}

#[expect(
    clippy::disallowed_methods,
    reason = "`cargo xtask test` says where the server is by the environment"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl PowerDns {
    /// The server, if there is one; says so if the test is skipped.
    #[expect(
        clippy::print_stderr,
        reason = "a test that does not run must not look as if it had"
    )]
    pub(crate) fn find(test: &str) -> Option<Self> {
        let found = environment("WRIT_TEST_PDNS_URL").zip(environment("WRIT_TEST_PDNS_KEY"));
        let Some((url, key)) = found else {
            assert!(
                environment("WRIT_REQUIRE_SHARED").is_none(),
                "{test} needs WRIT_TEST_PDNS_URL (cargo xtask test)"
            );
            eprintln!("SKIPPED: {test} needs WRIT_TEST_PDNS_URL (cargo xtask test)");
            return None;
        };
        let id = random_id().unwrap();
        let zones = Zones {
            own: format!("own-{id}.example."),
            other: format!("other-{id}.example."),
            none: format!("none-{id}.example."),
        };
        Some(Self { url, key, zones })
    }

    /// Makes the two zones.
    pub(crate) async fn make_zones(&self) {
        for zone in [&self.zones.own, &self.zones.other] {
            let body = format!(
                r#"{{"name":"{zone}","kind":"Native","nameservers":["ns1.{zone}"],"rrsets":[{{"name":"www.{zone}","type":"A","ttl":60,"records":[{{"content":"192.0.2.7"}}]}}]}}"#
            );
            let answer = self.send(Some(&self.key), "POST", "/servers/localhost/zones", body);
            assert_eq!(answer.await.status, 201, "{zone}");
        }
    }

    /// Its own contract, as it serves it: a Swagger 2.0 document in YAML.
    pub(crate) async fn contract(&self) -> String {
        let origin = self.url.strip_suffix("/api/v1").unwrap();
        let headers = [("x-api-key", self.key.as_str())];
        let peer = Peer::url(origin, None).unwrap();
        let answer = peer.send(Method::GET, "/api/docs", &headers, "").await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200);
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    /// The path of the robot's zone in PowerDNS's API.
    pub(crate) fn zone_path(&self) -> String {
        format!("/servers/localhost/zones/{}", self.zones.own)
    }

    /// All there is to know about the zones of this test: what changes in PowerDNS by an attempt changes here.
    pub(crate) async fn state(&self) -> Vec<(String, u16, String)> {
        let mut state = Vec::new();
        let Zones { own, other, none } = &self.zones;
        for path in [own, other, none]
            .map(String::clone)
            .into_iter()
            .chain(["metadata", "cryptokeys"].map(|part| format!("{own}/{part}")))
        {
            let path = format!("/servers/localhost/zones/{path}");
            let answer = self.with_key(Some(&self.key), "GET", &path).await;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            state.push((path, answer.status, text));
        }
        state
    }

    /// The contents of the challenge's TXT records in the robot's zone.
    pub(crate) async fn challenges(&self) -> Vec<String> {
        let path = self.zone_path();
        let zone = self.with_key(Some(&self.key), "GET", &path).await.json();
        let name = format!("_acme-challenge.{}", self.zones.own);
        let is_challenge = |rrset: &&Value| {
            let text = |member| rrset.member(member).and_then(Value::as_str);
            text("name") == Some(&name) && text("type") == Some("TXT")
        };
        let records = |rrset: &Value| {
            rrset
                .member("records")
                .and_then(Value::as_array)
                .unwrap()
                .to_vec()
        };
        let content = |record: Value| {
            record
                .member("content")
                .and_then(Value::as_str)
                .unwrap()
                .to_owned()
        };
        let rrsets = zone.member("rrsets").and_then(Value::as_array).unwrap();
        rrsets
            .iter()
            .filter(is_challenge)
            .flat_map(records)
            .map(content)
            .collect()
    }

    /// A request past the gateway.
    pub(crate) async fn with_key(&self, key: Option<&str>, method: &str, path: &str) -> Answer {
        self.send(key, method, path, String::new()).await
    }

    async fn send(&self, key: Option<&str>, method: &str, path: &str, body: String) -> Answer {
        let peer = Peer::url(&self.url, None).unwrap();
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(key.map(|key| ("x-api-key", key)));
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        peer.send(method, path, &headers, body).await.unwrap()
    }
}
