//! Servers of other hands that publish their own document, running as they are installed: what they do to it when they are set
//! up otherwise is a drift as it comes in real life.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot be set up has failed"
)]

mod kinto;
mod openbao;
mod process;

use std::path::PathBuf;

use writ_testkit::{Project, json};
use writ_types::{JsonLimits, Value};

/// A document that was taken from a server once; none, loudly, where the shared test data is not.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "test data is found through the environment, and a skipped test must be seen"
)]
fn pinned(path: &str) -> Option<Value> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let folder = PathBuf::from(std::env::var("WRIT_SHARED").unwrap_or_else(|_| beside.to_owned()));
    let Ok(found) = std::fs::read(folder.join("specs").join(path)) else {
        assert!(
            std::env::var("WRIT_REQUIRE_SHARED").is_err(),
            "{path} needs WRIT_SHARED"
        );
        eprintln!("SKIPPED: {path} needs WRIT_SHARED");
        return None;
    };
    Some(Value::parse(&found, &JsonLimits::DOCUMENT).unwrap())
}

/// What `writ api drift` says.
struct Looked {
    code: i32,
    seen: Value,
}

impl Looked {
    fn at(project: &Project, api: &str) -> Self {
        let (code, seen, fault) = project.run(&["--json", "api", "drift", api]);
        assert!(code == 0 || code == 2, "{seen}{fault}");
        let seen = json(&seen);
        Self { code, seen }
    }

    fn list(&self, name: &str) -> Vec<&str> {
        let list = self.seen.member(name).and_then(Value::as_array).unwrap();
        list.iter().filter_map(Value::as_str).collect()
    }

    fn lines(&self) -> usize {
        let review = self.seen.member("review").and_then(Value::as_array);
        review.unwrap().len()
    }

    /// The owner's yes to these very bytes.
    fn promote(&self, project: &Project, api: &str, how: &[&str]) {
        let digest = self.seen.member("digest").and_then(Value::as_str).unwrap();
        let mut command = vec!["api", "promote", api, "--digest", digest];
        command.extend_from_slice(how);
        let (code, said, fault) = project.run(&command);
        assert_eq!(code, 0, "{said}{fault}");
    }
}
