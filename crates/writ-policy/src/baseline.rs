//! The policies that are shipped with Writ.

use std::collections::BTreeSet;

use writ_types::{ApiId, Timestamp};

use crate::source::PolicySource;

/// `baseline.cedar`: what every installation starts with. It works without being edited; see the file's own comments.
#[must_use]
pub fn baseline() -> PolicySource {
    PolicySource {
        name: "baseline.cedar".to_owned(),
        text: include_str!("../policies/baseline.cedar").to_owned(),
    }
}

/// A pack of rules that an installation, or a single agent, chooses by name. It works without being edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pack {
    /// A person is present and says yes to what matters.
    Copilot,
    /// Nobody is present: an operator is asked before what cannot be taken back.
    Autonomous,
    /// Nothing is changed, nothing leaves.
    ReadOnly,
}

impl Pack {
    /// Every pack.
    pub const ALL: [Self; 3] = [Self::Copilot, Self::Autonomous, Self::ReadOnly];

    /// Its name in project files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Copilot => "copilot",
            Self::Autonomous => "autonomous",
            Self::ReadOnly => "read-only",
        }
    }

    /// The pack of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pack| pack.as_str() == name)
    }

    /// The group of the agents it is for. Groups of people's own cannot begin with [`Self::GROUPS`].
    #[must_use]
    pub fn group(self) -> String {
        format!("{}{}", Self::GROUPS, self.as_str())
    }

    /// How the names of packs' groups begin.
    pub const GROUPS: &'static str = "pack:";

    /// Its rules.
    #[must_use]
    pub fn source(self) -> PolicySource {
        let text = match self {
            Self::Copilot => include_str!("../policies/copilot.cedar"),
            Self::Autonomous => include_str!("../policies/autonomous.cedar"),
            Self::ReadOnly => include_str!("../policies/read-only.cedar"),
        };
        PolicySource {
            name: format!("{}.cedar", self.as_str()),
            text: text.to_owned(),
        }
    }
}

/// A time in which nothing is changed and nothing leaves: policy state with a begin and an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// A short name: letters, digits and `-`.
    pub name: String,
    /// Why, for people.
    pub reason: String,
    /// Its first instant.
    pub from: Timestamp,
    /// Its end, not included.
    pub until: Timestamp,
    /// The APIs it is for; none means all.
    pub apis: BTreeSet<ApiId>,
}

/// Why a freeze is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FreezeError {
    /// Its name would be no part of a rule's id.
    #[error("a freeze's name has 1 to 24 lower-case letters, digits and `-`")]
    Name,
    /// Its reason could not be quoted.
    #[error("a freeze's reason has 1 to 200 printable characters without quotes and backslashes")]
    Reason,
    /// It ends before it begins.
    #[error("a freeze ends after it begins")]
    Order,
}

/// The file that freezes become, and how their rules' ids begin. Nobody else's file and ids are called so.
pub const FREEZES: &str = "freezes.cedar";
pub(crate) const FREEZE_ID: &str = "freeze.";

/// Whether a name that people give can be part of a rule's id.
pub(crate) fn is_part_of_an_id(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=24).contains(&name.len()) && name.bytes().all(plain)
}

/// Whether a text that people write, of at most so many characters, can stand in quotes.
pub(crate) fn is_quotable(text: &str, most: usize) -> bool {
    let plain = |char: char| !char.is_control() && !matches!(char, '"' | '\\');
    (1..=most).contains(&text.chars().count()) && text.chars().all(plain)
}

impl Freeze {
    /// The rules that hold for its time.
    ///
    /// # Errors
    ///
    /// [`FreezeError`].
    pub fn rules(&self) -> Result<String, FreezeError> {
        if !is_part_of_an_id(&self.name) {
            return Err(FreezeError::Name);
        }
        if !is_quotable(&self.reason, 200) {
            return Err(FreezeError::Reason);
        }
        if self.until <= self.from {
            return Err(FreezeError::Order);
        }
        let rule = |id: &str, resource: &str| {
            format!(
                "@id(\"{FREEZE_ID}{id}\")\n@doc(\"Frozen until {until}: {reason}\")\nforbid (principal, action in [Writ::Action::\"write\", Writ::Action::\"external_send\"], {resource})\nwhen {{ context.sys.now >= datetime(\"{from}\") && context.sys.now < datetime(\"{until}\") }};\n\n",
                reason = self.reason,
                from = self.from,
                until = self.until,
            )
        };
        if self.apis.is_empty() {
            return Ok(rule(&self.name, "resource"));
        }
        let rules = self.apis.iter().map(|api| {
            let resource = format!("resource == Writ::Upstream::\"{api}\"");
            rule(&format!("{}.{api}", self.name), &resource)
        });
        Ok(rules.collect())
    }
}
