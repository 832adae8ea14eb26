//! Who vouches for what a task was opened with (DESIGN section 5).

use std::fmt;
use std::str::FromStr;

/// Who said what a part of a task is, as proven by that party's own authentication.
///
/// What an agent itself sends narrows its task, whatever tokens of users it holds, but vouches for nothing: an agent that was
/// talked round would vouch for the attacker's account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Asserter {
    /// The agent itself.
    #[default]
    Agent,
    /// The agent itself, for a purpose whose owner accepts that.
    AgentAccepted,
    /// A registered client: its id.
    Client(String),
}

impl Asserter {
    /// Whether what it said vouches for values.
    #[must_use]
    pub const fn vouches(&self) -> bool {
        match self {
            Self::Agent => false,
            Self::AgentAccepted | Self::Client(_) => true,
        }
    }
}

impl fmt::Display for Asserter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent => f.write_str("agent"),
            Self::AgentAccepted => f.write_str("agent_accepted"),
            Self::Client(id) => write!(f, "client:{id}"),
        }
    }
}

impl FromStr for Asserter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "agent" => Ok(Self::Agent),
            "agent_accepted" => Ok(Self::AgentAccepted),
            _ => text
                .strip_prefix("client:")
                .filter(|id| !id.is_empty())
                .map(|id| Self::Client(id.to_owned()))
                .ok_or("an asserter is `agent`, `agent_accepted` or `client:…`"),
        }
    }
}

/// Who vouches for each part of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asserters {
    /// For the prompt.
    pub prompt: Asserter,
    /// For the bounds.
    pub bounds: Asserter,
    /// For the plan.
    pub plan: Asserter,
}

impl Asserters {
    /// One asserter for all.
    #[must_use]
    pub fn all(asserter: Asserter) -> Self {
        Self {
            prompt: asserter.clone(),
            bounds: asserter.clone(),
            plan: asserter,
        }
    }

    /// Each part with its asserter, in the order of their names.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &Asserter)> {
        [
            ("bounds", &self.bounds),
            ("plan", &self.plan),
            ("prompt", &self.prompt),
        ]
        .into_iter()
    }

    /// The parts that vouch for values.
    pub fn vouched(&self) -> impl Iterator<Item = &'static str> {
        let vouched =
            |(part, asserter): (&'static str, &Asserter)| asserter.vouches().then_some(part);
        self.parts().filter_map(vouched)
    }

    /// Whether nobody but the agent said anything.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_agent_says_vouches_only_where_that_was_accepted() {
        for (text, vouches) in [
            ("agent", false),
            ("agent_accepted", true),
            ("client:planner", true),
            ("client:agent", true),
        ] {
            let asserter: Asserter = text.parse().unwrap();
            assert_eq!(asserter.vouches(), vouches, "{text}");
            assert_eq!(asserter.to_string(), text);
            let asserters = Asserters::all(asserter);
            assert_eq!(asserters.vouched().count(), if vouches { 3 } else { 0 });
        }
        for bad in ["", "client:", "Agent", "user", "agent_accepted "] {
            assert!(bad.parse::<Asserter>().is_err(), "{bad}");
        }
        assert!(Asserters::default().is_none());
    }
}
