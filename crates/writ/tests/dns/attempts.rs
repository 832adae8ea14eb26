//! What the robot tries. Each line says what, and who must refuse it with which reason.

use crate::powerdns::Zones;

/// What holds the robot back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layers {
    /// The bounds of its task alone.
    Bounds,
    /// The installation's policy alone.
    Policy,
    /// Both, as it should be.
    Both,
}

/// One attempt.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// In words.
    pub(crate) what: &'static str,
    pub(crate) method: &'static str,
    /// In PowerDNS's API.
    pub(crate) path: String,
    /// `content-type: application/json` if there are none and there is a body.
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: String,
    /// Why the bounds alone refuse it; none if they cannot see it.
    bounds: Option<&'static str>,
    /// Why the policy alone refuses it.
    policy: Option<&'static str>,
}

impl Attempt {
    /// Why it must be refused; none if the layers at hand do not concern themselves with it.
    pub(crate) fn refused_with(&self, layers: Layers) -> Option<&'static str> {
        match layers {
            Layers::Bounds => self.bounds,
            Layers::Policy => self.policy,
            // The task is asked before the policy.
            Layers::Both => self.bounds.or(self.policy),
        }
    }

    /// What is allowed: the same zone, spelt in the two ways that mean the same (RFC 3986 §6.2.2.2).
    pub(crate) fn allowed(zones: &Zones) -> [Self; 2] {
        let path = zone(&zones.own);
        let first = Self::allow("put the challenge into the zone", path.clone(), zones, 0);
        let encoded = path.replace("own-", "%6Fwn%2d");
        let again = Self::allow("renew it, with the zone percent-encoded", encoded, zones, 1);
        [first, again]
    }

    fn allow(what: &'static str, path: String, zones: &Zones, number: usize) -> Self {
        let mut set = Set::challenge(zones);
        let content = Self::challenge(number).replace('"', "\\\"");
        set.records = format!(r#"[{{"content":"{content}","disabled":false}}]"#);
        Self {
            what,
            method: "PATCH",
            path,
            headers: Vec::new(),
            body: sets(&[set]),
            bounds: None,
            policy: None,
        }
    }

    /// The content of the record of an allowed attempt, as PowerDNS shows it.
    pub(crate) fn challenge(number: usize) -> String {
        format!("\"evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr+oA{number}\"")
    }
}

fn zone(name: &str) -> String {
    format!("/servers/localhost/zones/{name}")
}

/// One record set of a change, as text, so that it can be wrong in every way.
#[derive(Debug, Clone)]
struct Set {
    name: String,
    kind: &'static str,
    change: &'static str,
    records: String,
}

impl Set {
    /// The one that is allowed.
    fn challenge(zones: &Zones) -> Self {
        Self {
            name: format!("_acme-challenge.{}", zones.own),
            kind: "TXT",
            change: "REPLACE",
            records: r#"[{"content":"\"token\"","disabled":false}]"#.to_owned(),
        }
    }

    fn named(self, name: &str) -> Self {
        let name = name.to_owned();
        Self { name, ..self }
    }

    fn of_type(self, kind: &'static str, content: &str) -> Self {
        let records = format!(r#"[{{"content":"{content}"}}]"#);
        Self {
            kind,
            records,
            ..self
        }
    }

    fn changed_by(self, change: &'static str) -> Self {
        Self { change, ..self }
    }

    fn without_records(self) -> Self {
        let records = "[]".to_owned();
        Self { records, ..self }
    }

    fn json(&self) -> String {
        let Self {
            name,
            kind,
            change,
            records,
        } = self;
        format!(
            r#"{{"name":"{name}","type":"{kind}","ttl":60,"changetype":"{change}","records":{records}}}"#
        )
    }
}

fn sets(sets: &[Set]) -> String {
    let all: Vec<String> = sets.iter().map(Set::json).collect();
    format!(r#"{{"rrsets":[{}]}}"#, all.join(","))
}

/// Everything that must be refused.
pub(crate) fn attempts(zones: &Zones) -> Vec<Attempt> {
    let mut all = other_operations(zones);
    all.extend(other_records(zones));
    all.extend(other_spellings(zones));
    all.extend(other_bodies(zones));
    all
}

fn attempt(
    what: &'static str,
    method: &'static str,
    path: String,
    body: String,
    reasons: [&'static str; 2],
) -> Attempt {
    let [bounds, policy] = reasons.map(|reason| (!reason.is_empty()).then_some(reason));
    Attempt {
        what,
        method,
        path,
        headers: Vec::new(),
        body,
        bounds,
        policy,
    }
}

/// Things that PowerDNS can do and the task does not hold: neither layer is even asked.
fn other_operations(zones: &Zones) -> Vec<Attempt> {
    let Zones { own, other, none } = zones;
    let new_zone = format!(r#"{{"name":"{none}","kind":"Native","nameservers":["ns1.{none}"]}}"#);
    #[rustfmt::skip]
    let rows = [
        ("delete the zone", "DELETE", zone(own), String::new()),
        ("delete another zone", "DELETE", zone(other), String::new()),
        ("make a zone", "POST", zone("").trim_end_matches('/').to_owned(), new_zone),
        ("turn the zone into a slave", "PUT", zone(own), r#"{"kind":"Slave","masters":["192.0.2.66"]}"#.to_owned()),
        ("list the zones", "GET", "/servers/localhost/zones".to_owned(), String::new()),
        ("read the zone", "GET", zone(own), String::new()),
        ("export the zone", "GET", format!("{}/export", zone(own)), String::new()),
        ("notify the slaves", "PUT", format!("{}/notify", zone(own)), String::new()),
        ("read the server's configuration", "GET", "/servers/localhost/config".to_owned(), String::new()),
        ("read the key among the settings", "GET", "/servers/localhost/config/api-key".to_owned(), String::new()),
        ("read the statistics", "GET", "/servers/localhost/statistics".to_owned(), String::new()),
        ("search all zones", "GET", "/servers/localhost/search-data?q=*&max=100".to_owned(), String::new()),
        ("read the signing keys", "GET", format!("{}/cryptokeys", zone(own)), String::new()),
        ("make a signing key", "POST", format!("{}/cryptokeys", zone(own)), r#"{"keytype":"csk","active":true}"#.to_owned()),
        ("allow transfers to anyone", "PUT", format!("{}/metadata/ALLOW-AXFR-FROM", zone(own)), r#"{"kind":"ALLOW-AXFR-FROM","metadata":["0.0.0.0/0"]}"#.to_owned()),
        ("list the transfer keys", "GET", "/servers/localhost/tsigkeys".to_owned(), String::new()),
        ("flush the cache", "PUT", format!("/servers/localhost/cache/flush?domain={own}"), String::new()),
        ("list the servers", "GET", "/servers".to_owned(), String::new()),
    ];
    rows.into_iter()
        .map(|(what, method, path, body)| {
            attempt(what, method, path, body, ["action_not_granted"; 2])
        })
        .collect()
}

/// Changes of records that are not the one change.
fn other_records(zones: &Zones) -> Vec<Attempt> {
    let Zones { own, other, .. } = zones;
    let good = || Set::challenge(zones);
    let bad = || good().named(&format!("www.{own}"));
    let refused = ["outside_bounds", "forbidden"];
    let own_name = format!("_acme-challenge.{own}");
    #[rustfmt::skip]
    let rows = [
        ("another name", vec![bad()]),
        ("the zone's own name", vec![good().named(own)]),
        ("a name below the challenge", vec![good().named(&format!("x.{own_name}"))]),
        ("a name that only begins like it", vec![good().named(&format!("_acme-challenge2.{own}"))]),
        ("the name in upper case", vec![good().named(&own_name.to_uppercase())]),
        ("the name without its last dot", vec![good().named(own_name.trim_end_matches('.'))]),
        ("the name of another zone", vec![good().named(&format!("_acme-challenge.{other}"))]),
        ("an address", vec![good().of_type("A", "192.0.2.66")]),
        ("an alias", vec![good().of_type("CNAME", "evil.example.")]),
        ("a delegation", vec![good().of_type("NS", "ns.evil.example.")]),
        ("the type in lower case", vec![good().of_type("txt", "\\\"token\\\"")]),
        ("the type by its number", vec![good().of_type("TYPE16", "\\\"token\\\"")]),
        ("deleting the challenge", vec![good().changed_by("DELETE").without_records()]),
        ("deleting another name", vec![bad().changed_by("DELETE").without_records()]),
        ("deleting, in lower case", vec![good().changed_by("delete").without_records()]),
        ("a change that is none", vec![good().changed_by("EXTEND")]),
        ("replacing by nothing, which deletes", vec![good().without_records()]),
        ("one good and one bad", vec![good(), bad()]),
        ("one bad and one good", vec![bad(), good()]),
        ("one good and one of another type", vec![good(), good().of_type("A", "192.0.2.66")]),
        ("no record sets at all", vec![]),
    ];
    let mut all: Vec<Attempt> = rows
        .into_iter()
        .map(|(what, rrsets)| attempt(what, "PATCH", zone(own), sets(&rrsets), refused))
        .collect();
    all.push(attempt(
        "an empty change",
        "PATCH",
        zone(own),
        "{}".to_owned(),
        refused,
    ));
    all
}

/// The right change under a zone that is spelt otherwise. What means the zone is the zone; the rest is another.
fn other_spellings(zones: &Zones) -> Vec<Attempt> {
    let Zones { own, other, none } = zones;
    let body = sets(&[Set::challenge(zones)]);
    let outside = ["outside_bounds", "forbidden"];
    let malformed = ["malformed_request"; 2];
    let bare = own.trim_end_matches('.');
    #[rustfmt::skip]
    let rows = [
        ("another zone", zone(other), outside),
        ("a zone that is not there", zone(none), outside),
        ("the zone without its last dot", zone(bare), outside),
        ("the zone in upper case", zone(&own.to_uppercase()), outside),
        ("the zone, percent-encoded twice", zone(&own.replace("own", "%256Fwn")), outside),
        ("the zone in PowerDNS's own escapes", zone(&own.replace('.', "=2E")), outside),
        ("the zone with a space after it", zone(&format!("{own}%20")), outside),
        ("the zone and a slash, encoded", zone(&format!("{own}%2f")), outside),
        ("another zone behind the zone, encoded", zone(&format!("{own}%2F{other}")), outside),
        ("the zone with a semicolon parameter", zone(&format!("{own};x=y")), outside),
        ("another server", zone(own).replace("localhost", "elsewhere"), outside),
        ("a step back to another zone", zone(&format!("{own}/../{other}")), malformed),
        ("a step back, encoded", zone(&format!("{own}/%2e%2e/{other}")), malformed),
        ("a step back with its slashes encoded", zone(&format!("{own}%2f..%2f{other}")), malformed),
        ("a step back with backslashes", zone(&format!("{own}%5C..%5c{other}")), malformed),
        ("a zero byte", zone(&format!("{own}%00")), malformed),
        ("a broken escape", zone(&format!("{own}%2")), malformed),
        ("half a character", zone(&format!("{own}%C3")), malformed),
        ("a doubled slash", zone(own).replace("/zones", "//zones"), malformed),
        ("a slash at the end", zone(&format!("{own}/")), ["unknown_operation"; 2]),
        ("the API's own prefix once more", format!("/api/v1{}", zone(own)), ["unknown_operation"; 2]),
        ("a parameter that nobody declared", zone(&format!("{own}?zone={other}")), ["invalid_input"; 2]),
    ];
    let mut all: Vec<Attempt> = rows
        .into_iter()
        .map(|(what, path, reasons)| attempt(what, "PATCH", path, body.clone(), reasons))
        .collect();
    all.push(attempt(
        "a method the zone does not have",
        "POST",
        zone(own),
        body,
        ["method_not_allowed"; 2],
    ));
    all
}

/// The right change, written so that two readers might read it in two ways, or with more than the right change in it.
fn other_bodies(zones: &Zones) -> Vec<Attempt> {
    let Zones { own, .. } = zones;
    let good = Set::challenge(zones).json();
    let bad = Set::challenge(zones).named(&format!("www.{own}")).json();
    let whole = format!(r#"{{"rrsets":[{good}]}}"#);
    let with = |member: &str| whole.replacen('{', &format!("{{{member},"), 1);
    let within = |from: &str, to: &str| whole.replacen(from, to, 1);
    let faulty = ["invalid_input"; 2];
    let extra = ["forbidden"; 2];
    #[rustfmt::skip]
    let rows = [
        ("two members `rrsets`, the good one last", format!(r#"{{"rrsets":[{bad}],"rrsets":[{good}]}}"#), faulty),
        ("two members `rrsets`, the good one first", format!(r#"{{"rrsets":[{good}],"rrsets":[{bad}]}}"#), faulty),
        ("two members `type`", within(r#""type":"TXT""#, r#""type":"A","type":"TXT""#), faulty),
        ("two members `type`, one escaped", within(r#""type":"TXT""#, r#""type":"TXT","\u0074ype":"A""#), faulty),
        ("a number as text", within("60", r#""60""#), faulty),
        ("a member missing", within(r#""ttl":60,"#, ""), faulty),
        ("a null where the list is", r#"{"rrsets":null}"#.to_owned(), faulty),
        ("a list where the object is", format!("[{whole}]"), ["outside_bounds", "unrepresentable"]),
        ("two documents in one body", format!("{whole}{whole}"), faulty),
        ("a comment", format!("/* x */{whole}"), faulty),
        ("a byte order mark", format!("\u{feff}{whole}"), faulty),
        ("half a document", whole.trim_end_matches('}').to_owned(), faulty),
        ("an unknown member of the zone", with(r#""x-unknown":1"#), extra),
        ("an unknown member of a record set", within(r#""ttl":60"#, r#""ttl":60,"priority":1"#), extra),
        ("a member in other letters", with(r#""RRsets":[]"#), extra),
        ("the zone's kind too", with(r#""kind":"Slave""#), ["", "forbidden"]),
        ("the zone's masters too", with(r#""masters":["192.0.2.66"]"#), ["", "forbidden"]),
    ];
    let mut all: Vec<Attempt> = rows
        .into_iter()
        .map(|(what, body, reasons)| attempt(what, "PATCH", zone(own), body, reasons))
        .collect();
    let mut typed = |what, headers: &[(&'static str, &'static str)], reason| {
        let mut row = attempt(what, "PATCH", zone(own), whole.clone(), [reason; 2]);
        row.headers = headers.to_vec();
        all.push(row);
    };
    let json = ("content-type", "application/json");
    typed(
        "a body that is called text",
        &[("content-type", "text/plain")],
        "unsupported_media_type",
    );
    typed(
        "a body that is called a form",
        &[("content-type", "application/x-www-form-urlencoded")],
        "unsupported_media_type",
    );
    typed(
        "a body in another character set",
        &[("content-type", "application/json; charset=utf-16")],
        "unsupported_media_type",
    );
    typed(
        "a body that is called compressed",
        &[json, ("content-encoding", "gzip")],
        "unsupported_encoding",
    );
    typed(
        "two content types",
        &[json, ("content-type", "text/plain")],
        "malformed_request",
    );
    all
}
