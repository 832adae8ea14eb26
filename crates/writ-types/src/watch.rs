//! What an honest agent does not do, and what follows when somebody does it in its name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::{Agent, AgentId, Digest};

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reaction {
    /// Nothing: this agent does it.
    Allow,
    /// An alarm; it goes on.
    Raise,
    /// An alarm, and a refusal.
    Refuse,
}

impl Reaction {
    /// The word in the agent's file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Raise => "raise",
            Self::Refuse => "refuse",
        }
    }
}

impl fmt::Display for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reaction {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "allow" => Ok(Self::Allow),
            "raise" => Ok(Self::Raise),
            "refuse" => Ok(Self::Refuse),
            _ => Err("what follows is `allow`, `raise` or `refuse`"),
        }
    }
}

/// A text that lies where only a thief finds it, and opens nothing. Writ knows its digest alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Planted {
    /// Where it was laid, for people.
    pub name: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Whether the agent it was laid with is stopped when somebody uses it.
    pub stop: bool,
}

/// What is watched for in the name of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// A key of a live task is used from a second network while the first is in use.
    pub second_source: Reaction,
    /// A second key gets a token while another one has a live one.
    pub second_instance: Reaction,
    /// Nobody is this agent: whoever proves to be is reported, and refused like an agent that may not act.
    pub honey: bool,
    /// What was laid for thieves with this agent.
    pub planted: BTreeSet<Planted>,
}

impl Default for Watch {
    /// A key is one place's. An agent may run more than once: that many do, and each has a key of its own.
    fn default() -> Self {
        Self {
            second_source: Reaction::Refuse,
            second_instance: Reaction::Allow,
            honey: false,
            planted: BTreeSet::new(),
        }
    }
}

/// Whose trap a text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// The agent it was laid with.
    pub agent: AgentId,
    /// Where it was laid.
    pub name: String,
    /// Whether that agent is stopped.
    pub stop: bool,
}

/// Everything that was laid for thieves in one revision.
#[derive(Debug, Clone, Default)]
pub struct Traps(BTreeMap<Digest, Trap>);

impl Traps {
    /// What was laid with these agents.
    #[must_use]
    pub fn of<A: AsRef<Agent>>(agents: impl IntoIterator<Item = A>) -> Self {
        let mut laid = BTreeMap::new();
        for agent in agents {
            let agent = agent.as_ref();
            for planted in &agent.watch.planted {
                let trap = Trap {
                    agent: agent.id,
                    name: planted.name.clone(),
                    stop: planted.stop,
                };
                laid.insert(planted.digest, trap);
            }
        }
        Self(laid)
    }

    /// The trap that a text is, if it is one. Where there are none, nothing is computed.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Option<&Trap> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&Digest::of(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_and_others_do_not() {
        for reaction in [Reaction::Allow, Reaction::Raise, Reaction::Refuse] {
            assert_eq!(reaction.to_string().parse(), Ok(reaction));
        }
        for text in ["", "Refuse", "deny", "refuse "] {
            assert!(text.parse::<Reaction>().is_err(), "{text}");
        }
    }
}
