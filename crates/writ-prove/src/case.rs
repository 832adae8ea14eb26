//! One case: an action with the rules about it before and after.

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, RequestEnv, Schema};
use serde_json::Value;

/// The id of the rule that forbids what no call can be; no `@id` has a space.
const ASSUMPTION: &str = "an assumption";

/// A case, read.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) schema: Schema,
    pub(crate) env: RequestEnv,
    pub(crate) assume: Policy,
    pub(crate) before: Side,
    pub(crate) after: Side,
}

/// The rules of one side.
#[derive(Debug, Default)]
pub(crate) struct Side {
    /// What permits and forbids.
    pub(crate) access: Vec<Policy>,
    /// What obliges, with to what.
    pub(crate) obliging: Vec<(String, Policy)>,
}

impl Case {
    /// Reads one line of the input.
    pub(crate) fn read(line: &Value) -> Result<Self, String> {
        let text = |name: &str| {
            line.get(name)
                .and_then(Value::as_str)
                .ok_or_else(|| format!("`{name}` is missing"))
        };
        let action = text("action")?;
        let fault = |error: &dyn std::fmt::Display| format!("{action}: {error}");
        let schema = Schema::from_json_str(text("schema")?).map_err(|error| fault(&error))?;
        let mut envs = schema.request_envs();
        let (Some(env), None) = (envs.next(), envs.next()) else {
            return Err(fault(&"the schema is not of one action"));
        };
        drop(envs);
        let assume = Policy::parse(Some(PolicyId::new(ASSUMPTION)), text("assume")?)
            .map_err(|error| fault(&error))?;
        if assume.effect() != Effect::Forbid {
            return Err(fault(&"the assumption is no forbid"));
        }
        let side = |name: &str| Side::read(line.get(name)).map_err(|error| fault(&error));
        Ok(Self {
            before: side("before")?,
            after: side("after")?,
            assume,
            env,
            schema,
        })
    }

    /// The rules that only one side has: added, removed, or changed.
    pub(crate) fn changed(&self) -> impl Iterator<Item = &Policy> {
        let missing =
            |side: &Side, policy: &Policy| !side.all().any(|known| said(known) == said(policy));
        let gone = self
            .before
            .all()
            .filter(move |policy| missing(&self.after, policy));
        let new = self
            .after
            .all()
            .filter(move |policy| missing(&self.before, policy));
        gone.chain(new)
    }

    /// A set of rules under the assumption.
    pub(crate) fn assuming<'p>(
        &'p self,
        rules: impl IntoIterator<Item = &'p Policy>,
    ) -> Result<PolicySet, String> {
        let mut set = PolicySet::new();
        for policy in rules.into_iter().chain([&self.assume]) {
            set.add(policy.clone()).map_err(|error| error.to_string())?;
        }
        Ok(set)
    }
}

/// What a policy says, by which two are the same.
fn said(policy: &Policy) -> Option<Value> {
    policy.to_json().ok()
}

impl Side {
    fn read(rules: Option<&Value>) -> Result<Self, String> {
        let rules = rules
            .and_then(Value::as_array)
            .ok_or("a side has no rules")?;
        let mut side = Self::default();
        for rule in rules {
            let text = |name: &str| rule.get(name).and_then(Value::as_str);
            let id = text("id").ok_or("a rule has no `id`")?;
            if id == ASSUMPTION {
                return Err("a rule is named like the assumption".to_owned());
            }
            let json = text("policy").ok_or("a rule has no `policy`")?;
            let json = serde_json::from_str(json).map_err(|error| error.to_string())?;
            let policy = Policy::from_json(Some(PolicyId::new(id)), json)
                .map_err(|error| format!("rule `{id}`: {error}"))?;
            match text("obliges") {
                Some(what) => side.obliging.push((what.to_owned(), policy)),
                None => side.access.push(policy),
            }
        }
        Ok(side)
    }

    /// Every rule.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Policy> {
        self.access
            .iter()
            .chain(self.obliging.iter().map(|(_, policy)| policy))
    }

    /// The rules that refuse.
    pub(crate) fn forbids(&self) -> impl Iterator<Item = &Policy> {
        self.access
            .iter()
            .filter(|policy| policy.effect() == Effect::Forbid)
    }

    /// The rules that oblige to `what`.
    pub(crate) fn obliging_to<'a>(&'a self, what: &'a str) -> impl Iterator<Item = &'a Policy> {
        let same = move |(known, _): &&(String, Policy)| known == what;
        self.obliging.iter().filter(same).map(|(_, policy)| policy)
    }
}
