//! What is kept when another registry takes the place of one.

use std::collections::BTreeMap;

use writ_store::{Contract, Registry};
use writ_types::Timestamp;

use super::{keep, keep_of_both, promote};
use crate::reload;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const API: &str = "owner = \"o@example.org\"\nupstream = \"http://127.0.0.1:1/v1\"\ncontract = \"dns.yaml\"\ndrift = \"http://127.0.0.1:1/doc\"\n";
const CONTRACT: &str = "openapi: 3.0.3\ninfo: {title: T, version: '1'}\npaths:\n  /zones:\n    get:\n      operationId: listZones\n      responses: {'200': {description: ok}}\n";

fn registry(api: &str, contract: &str) -> Registry {
    let files = [("apis/dns.toml", api), ("apis/dns.yaml", contract)];
    let files = files.map(|(file, text)| (file.to_owned(), text.as_bytes().to_vec()));
    let domain = "writ.local".parse().unwrap();
    let project = reload::read_project(&BTreeMap::from(files), &domain, NOW, |_| None);
    reload::registry(&project.unwrap())
}

fn form(text: &str) -> Contract {
    promote::unreviewed(text.as_bytes().to_vec())
}

/// How many forms are approved beside the contract once `next` has taken the place of one with two.
fn kept(mut next: Registry, keep: fn(&mut Registry, Registry)) -> usize {
    let mut before = registry(API, CONTRACT);
    let dns = "dns".parse().unwrap();
    before.beside.insert(dns, vec![form("one"), form("two")]);
    keep(&mut next, before);
    next.beside.values().map(Vec::len).sum()
}

#[test]
fn what_is_approved_beside_a_contract_is_of_that_contract_and_that_server() {
    let title = CONTRACT.replace("title: T", "title: U");
    let doc = API.replace("/doc", "/other");
    let port = API.replace("127.0.0.1:1/v1", "127.0.0.1:2/v1");
    for (name, api, contract, left) in [
        ("the same", API, CONTRACT, 2),
        ("another contract", API, title.as_str(), 0),
        ("another place of the document", doc.as_str(), CONTRACT, 0),
        ("another server", port.as_str(), CONTRACT, 0),
    ] {
        assert_eq!(kept(registry(api, contract), keep), left, "{name}");
    }
    assert_eq!(kept(Registry::default(), keep), 0, "the API is gone");
}

/// An approval that came after the revision that is gone back to is taken back with it; one of that revision that is none any
/// more does not come back.
#[test]
fn going_back_keeps_only_what_was_approved_then_and_is_now() {
    let mut earlier = registry(API, CONTRACT);
    assert_eq!(kept(earlier.clone(), keep_of_both), 0);
    let dns = "dns".parse().unwrap();
    earlier.beside.insert(dns, vec![form("two"), form("three")]);
    assert_eq!(kept(earlier, keep_of_both), 1);
}
