//! Where the keys of those who vouch come from, and how old they are: for whoever looks.

use writ_types::{Timestamp, Value};

/// Where somebody's keys come from and how they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOrigin {
    /// The file, URL or socket.
    pub from: String,
    /// When the keys that are believed were asked for; none if nobody has them.
    pub since: Option<Timestamp>,
    /// Until when they are believed; none if for as long as the settings name them.
    pub until: Option<Timestamp>,
    /// Why they could not be renewed when that was tried last.
    pub fault: Option<String>,
}

impl KeyOrigin {
    /// Nothing is known yet of what comes from there.
    #[must_use]
    pub const fn unknown(from: String) -> Self {
        Self {
            from,
            since: None,
            until: None,
            fault: None,
        }
    }

    /// One row of `/v1/status`.
    pub(crate) fn row(&self, name: &str, now: Timestamp) -> Value {
        let instant =
            |at: Option<Timestamp>| at.map_or(Value::Null, |at| Value::from(at.to_string()));
        let age = self.since.map(|since| now.since(since).as_secs());
        let believed = self.since.is_some() && self.until.is_none_or(|until| now < until);
        Value::object([
            ("name", Value::from(name)),
            ("from", Value::from(self.from.as_str())),
            ("since", instant(self.since)),
            ("age_seconds", age.map_or(Value::Null, Value::from_u64)),
            ("until", instant(self.until)),
            ("believed", Value::from(believed)),
            (
                "fault",
                self.fault.as_deref().map_or(Value::Null, Value::from),
            ),
        ])
    }
}
