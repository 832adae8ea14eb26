//! The policies that are shipped with Writ.

use crate::source::PolicySource;

/// `baseline.cedar`: what every installation starts with. It works without being edited; see the file's own comments.
#[must_use]
pub fn baseline() -> PolicySource {
    PolicySource {
        name: "baseline.cedar".to_owned(),
        text: include_str!("../policies/baseline.cedar").to_owned(),
    }
}
