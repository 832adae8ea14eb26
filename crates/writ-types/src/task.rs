//! What a task may do, as it is asked for and as it is granted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{
    ActionName, AgentId, Asserters, Bounds, BoundsError, Budget, Digest, Input, Mode, Plan,
    PlanError, PurposeName, Requester, TaskId, Tenant, Timestamp, Value,
};

/// Why `authorization_details` was refused (`invalid_authorization_details`, RFC 9396 §5). The text is for the developer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskRequestError {
    /// Not one object of type `writ_task`.
    #[error("`authorization_details` is an array of exactly one object with `type` `writ_task`")]
    Type,
    /// A member that is not known.
    #[error(
        "`writ_task` has no such member: it has type, purpose, prompt, actions, bounds, plan, budget, expires_in, mode"
    )]
    Member,
    /// A member that is missing or of the wrong type.
    #[error("`{0}` is missing or of the wrong type")]
    Value(&'static str),
    /// An action that is none.
    #[error("`actions` holds something that is no action: {0}")]
    Action(crate::NameError),
    /// Bounds that are none.
    #[error(transparent)]
    Bounds(BoundsError),
    /// Bounds for an action that is not asked for.
    #[error("`bounds` names an action that `actions` does not")]
    UnusedBounds,
    /// A plan that is none.
    #[error(transparent)]
    Plan(PlanError),
    /// A plan with an action that is not asked for.
    #[error("`plan` names an action that `actions` does not")]
    UnusedPlan,
    /// A budget that is none.
    #[error("{0}")]
    Budget(String),
}

/// A task as it is asked for: one `authorization_details` object of type `writ_task` (RFC 9396).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRequest {
    /// The registered reason.
    pub purpose: PurposeName,
    /// What the agent was told, word for word. Kept encrypted; the record has a keyed digest.
    pub prompt: Option<String>,
    /// The actions asked for; never empty.
    pub actions: BTreeSet<ActionName>,
    /// Bounds on their arguments.
    pub bounds: Bounds,
    /// What it will do, step by step; [`Plan::none`] if nobody has said that.
    pub plan: Plan,
    /// The budget asked for, where one is named.
    pub budget: Option<Budget>,
    /// The life asked for, where one is named.
    pub expires_in: Option<Duration>,
    /// The mode asked for, where one is named.
    pub mode: Option<Mode>,
}

impl TaskRequest {
    /// Most actions of one task.
    pub const MOST_ACTIONS: usize = 256;

    /// Reads the value of the `authorization_details` parameter.
    ///
    /// # Errors
    ///
    /// [`TaskRequestError`]: unknown types and members are refused, not ignored (RFC 9396 §5).
    pub fn parse(details: &Value) -> Result<Self, TaskRequestError> {
        let members = Members::of(details)?;
        let purpose = members
            .text("purpose")?
            .and_then(|purpose| purpose.parse().ok());
        let actions = members.actions()?;
        let bounds = match members.0.get("bounds") {
            Some(value) => Bounds::parse(value).map_err(TaskRequestError::Bounds)?,
            None => Bounds::none(),
        };
        if bounds.iter().any(|(action, _)| !actions.contains(action)) {
            return Err(TaskRequestError::UnusedBounds);
        }
        let plan = match members.0.get("plan") {
            Some(value) => Plan::parse(value).map_err(TaskRequestError::Plan)?,
            None => Plan::none(),
        };
        let steps = plan.steps();
        if steps.iter().any(|step| !actions.contains(step.action())) {
            return Err(TaskRequestError::UnusedPlan);
        }
        let budget = members
            .0
            .get("budget")
            .map(|value| Budget::parse(value, Budget::DEFAULT));
        let mode = |mode: &str| {
            mode.parse()
                .map_err(|_unknown| TaskRequestError::Value("mode"))
        };
        Ok(Self {
            purpose: purpose.ok_or(TaskRequestError::Value("purpose"))?,
            prompt: members.text("prompt")?.map(str::to_owned),
            actions,
            bounds,
            plan,
            budget: budget.transpose().map_err(TaskRequestError::Budget)?,
            expires_in: members.life()?,
            mode: members.text("mode")?.map(mode).transpose()?,
        })
    }
}

/// The members of the one `writ_task` object.
struct Members<'a>(&'a BTreeMap<String, Value>);

impl<'a> Members<'a> {
    const KNOWN: [&'static str; 9] = [
        "type",
        "purpose",
        "prompt",
        "actions",
        "bounds",
        "plan",
        "budget",
        "expires_in",
        "mode",
    ];

    fn of(details: &'a Value) -> Result<Self, TaskRequestError> {
        let [detail] = details.as_array().ok_or(TaskRequestError::Type)? else {
            return Err(TaskRequestError::Type);
        };
        let members = detail.as_object().ok_or(TaskRequestError::Type)?;
        if members.get("type").and_then(Value::as_str) != Some("writ_task") {
            return Err(TaskRequestError::Type);
        }
        if members
            .keys()
            .any(|name| !Self::KNOWN.contains(&name.as_str()))
        {
            return Err(TaskRequestError::Member);
        }
        Ok(Self(members))
    }

    fn text(&self, name: &'static str) -> Result<Option<&'a str>, TaskRequestError> {
        let text = |value: &'a Value| value.as_str().ok_or(TaskRequestError::Value(name));
        self.0.get(name).map(text).transpose()
    }

    fn actions(&self) -> Result<BTreeSet<ActionName>, TaskRequestError> {
        let wrong = TaskRequestError::Value("actions");
        let listed = self
            .0
            .get("actions")
            .and_then(Value::as_array)
            .ok_or_else(|| wrong.clone())?;
        if listed.is_empty() || listed.len() > TaskRequest::MOST_ACTIONS {
            return Err(wrong);
        }
        let action = |value: &Value| {
            value
                .as_str()
                .ok_or_else(|| wrong.clone())?
                .parse()
                .map_err(TaskRequestError::Action)
        };
        listed.iter().map(action).collect()
    }

    fn life(&self) -> Result<Option<Duration>, TaskRequestError> {
        let seconds = |value: &Value| {
            let secs = value
                .as_u64()
                .filter(|secs| (1..=31_536_000).contains(secs));
            secs.map(Duration::from_secs)
                .ok_or(TaskRequestError::Value("expires_in"))
        };
        self.0.get("expires_in").map(seconds).transpose()
    }
}

/// A task as it was granted. It never changes; what it has spent and whether it lives is the ledger's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The tenant.
    pub tenant: Tenant,
    /// The task.
    pub task: TaskId,
    /// The agent that may use it.
    pub agent: AgentId,
    /// The user it acts for, if any.
    pub requester: Option<Requester>,
    /// The registered reason.
    pub purpose: PurposeName,
    /// Copilot or autonomous.
    pub mode: Mode,
    /// The actions held.
    pub actions: BTreeSet<ActionName>,
    /// Bounds on their arguments.
    pub bounds: Bounds,
    /// What it does, step by step, where that was said.
    pub plan: Plan,
    /// What it may spend.
    pub budget: Budget,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it ends by itself.
    pub deadline: Timestamp,
    /// The task it was narrowed from, if any.
    pub parent: Option<TaskId>,
    /// The keyed digest of the prompt, if there was one.
    pub prompt: Option<crate::KeyedDigest>,
    /// Who said what prompt, bounds and plan are.
    pub asserters: Asserters,
}

impl Grant {
    /// Whether the task holds the action at all.
    #[must_use]
    pub fn holds(&self, action: &ActionName) -> bool {
        self.actions.contains(action)
    }

    /// The first place where a call lies outside the task's bounds, if there is one.
    #[must_use]
    pub fn violation(&self, action: &ActionName, input: &Input) -> Option<&crate::BoundPointer> {
        self.bounds.violation(action, input)
    }

    /// The `authorization_details` object that says what was granted (RFC 9396 §7). The prompt is not repeated.
    #[must_use]
    pub fn to_details(&self) -> Value {
        let seconds = self.deadline.since(self.opened).as_secs();
        let plan = (!self.plan.is_none()).then(|| ("plan", self.plan.to_value()));
        let members = [
            ("type", Value::from("writ_task")),
            ("purpose", Value::from(self.purpose.as_str())),
            (
                "actions",
                Value::Array(
                    self.actions
                        .iter()
                        .map(|action| Value::from(action.to_string()))
                        .collect(),
                ),
            ),
            ("bounds", self.bounds.to_value()),
            ("budget", self.budget.to_value()),
            ("expires_in", Value::from_u64(seconds)),
            ("mode", Value::from(self.mode.as_str())),
        ];
        Value::Array(vec![Value::object(members.into_iter().chain(plan))])
    }

    /// Whether `details` is what [`Self::to_details`] gives: a token that says of its task something else than the ledger
    /// does is not one that was issued for it. Asked for every call, so nothing is built that is not there.
    #[must_use]
    pub fn is_described_by(&self, details: &Value) -> bool {
        let Some([detail]) = details.as_array() else {
            return false;
        };
        let text = |name, value: &str| detail.member(name).and_then(Value::as_str) == Some(value);
        let bounds = detail.member("bounds");
        let unbounded = self.bounds.is_empty()
            && bounds
                .and_then(Value::as_object)
                .is_some_and(BTreeMap::is_empty);
        let seconds = self.deadline.since(self.opened).as_secs();
        let (plan, known) = match detail.member("plan") {
            None => (self.plan.is_none(), 7),
            Some(plan) => (!self.plan.is_none() && *plan == self.plan.to_value(), 8),
        };
        text("type", "writ_task")
            && text("purpose", self.purpose.as_str())
            && text("mode", self.mode.as_str())
            && self.describes_actions(detail)
            && (unbounded || bounds.is_some_and(|bounds| *bounds == self.bounds.to_value()))
            && detail.member("budget") == Some(&self.budget.to_value())
            && detail.member("expires_in").and_then(Value::as_u64) == Some(seconds)
            && plan
            && detail
                .as_object()
                .is_some_and(|members| members.len() == known)
    }

    fn describes_actions(&self, detail: &Value) -> bool {
        let listed = detail.member("actions").and_then(Value::as_array);
        let same = |(action, listed): (&ActionName, &Value)| {
            let parts = listed.as_str().and_then(|text| text.split_once(':'));
            parts == Some((action.api.as_str(), action.operation.as_str()))
        };
        listed.is_some_and(|listed| {
            listed.len() == self.actions.len() && self.actions.iter().zip(listed).all(same)
        })
    }

    /// The digest of everything granted: what the log commits to, and a restart compares the store with.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let text = |text: Option<String>| text.map_or(Value::Null, Value::String);
        let mut members = vec![
            ("tenant", Value::from(self.tenant.as_str())),
            ("task", Value::from(self.task.to_string())),
            ("agent", Value::from(self.agent.to_string())),
            (
                "requester",
                text(
                    self.requester
                        .as_ref()
                        .map(|user| format!("{} {}", user.issuer, user.subject)),
                ),
            ),
            ("details", self.to_details()),
            ("opened", Value::from(self.opened.to_string())),
            ("deadline", Value::from(self.deadline.to_string())),
            ("parent", text(self.parent.map(|parent| parent.to_string()))),
            ("prompt", text(self.prompt.map(|prompt| prompt.to_string()))),
        ];
        if !self.asserters.is_none() {
            let parts = self.asserters.parts();
            let parts = parts.map(|(part, asserter)| (part, Value::from(asserter.to_string())));
            members.push(("asserters", Value::object(parts)));
        }
        let whole = Value::object(members);
        Digest::of_parts(&[b"writ grant v1\n", whole.canonical().as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JsonLimits;

    fn parse(text: &str) -> Result<TaskRequest, TaskRequestError> {
        TaskRequest::parse(&Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap())
    }

    #[test]
    fn a_full_request_reads() {
        let request = parse(
            r#"[{"type":"writ_task","purpose":"acme-renewal","prompt":"renew the certificate","actions":["dns:patchZone"],
                "bounds":{"dns:patchZone":{"/path/zone_id":["example.org."]}},"budget":{"calls":3},"expires_in":300,"mode":"autonomous"}]"#,
        )
        .unwrap();
        assert_eq!(request.budget.unwrap().calls, 3);
        assert_eq!(request.mode, Some(Mode::Autonomous));
        assert_eq!(request.expires_in, Some(Duration::from_secs(300)));
    }

    #[test]
    fn a_grant_knows_its_own_description_and_no_other() {
        let request = parse(
            r#"[{"type":"writ_task","purpose":"p","actions":["a:b","a:GET:/c"],"bounds":{"a:b":{"/body/x":{"max":"1.50"}}}}]"#,
        )
        .unwrap();
        let opened = Timestamp::from_millis(1_700_000_000_999);
        let mut grant = Grant {
            tenant: Tenant::default_tenant(),
            task: TaskId::new(opened, [1; 10]),
            agent: AgentId::new(opened, [2; 10]),
            requester: None,
            purpose: request.purpose,
            mode: Mode::Autonomous,
            actions: request.actions,
            bounds: request.bounds,
            plan: Plan::none(),
            budget: Budget::DEFAULT,
            opened,
            deadline: opened.plus(Duration::from_millis(60_500)),
            parent: None,
            prompt: None,
            asserters: Asserters::default(),
        };
        let plan = r#"[{"action":"a:b","arguments":{"/body/x":["7"]},"times":2},{"action":"a:b","times":1}]"#;
        let plan =
            Plan::parse(&Value::parse(plan.as_bytes(), &JsonLimits::REQUEST).unwrap()).unwrap();
        let bounds = grant.bounds.clone();
        for (bounds, plan) in [(bounds, Plan::none()), (Bounds::none(), plan)] {
            (grant.bounds, grant.plan) = (bounds, plan);
            // As a token carries it: written, and read again.
            let text = grant.to_details().to_string();
            let details = Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap();
            assert!(grant.is_described_by(&details), "{text}");
            let members = details.as_array().unwrap()[0].as_object().unwrap();
            for name in members.keys().map(String::as_str).chain(["more"]) {
                for value in [
                    None,
                    Some(Value::Null),
                    Some(Value::object([("a:b", Value::from_u64(1))])),
                ] {
                    let mut changed = members.clone();
                    match value {
                        None if name == "more" => continue,
                        None => changed.remove(name),
                        Some(value) => changed.insert(name.to_owned(), value),
                    };
                    let changed = Value::Array(vec![Value::Object(changed)]);
                    assert!(!grant.is_described_by(&changed), "{name}: {changed}");
                }
            }
            for (from, to) in [
                ("a:b\"]", "a:c\"]"),
                ("\"a:GET:/c\",", ""),
                ("calls\":50", "calls\":51"),
                ("60", "61"),
            ] {
                let changed = text.replacen(from, to, 1);
                assert_ne!(changed, text, "{from}");
                let changed = Value::parse(changed.as_bytes(), &JsonLimits::REQUEST).unwrap();
                assert!(!grant.is_described_by(&changed), "{changed}");
            }
            let twice = Value::Array(vec![details.as_array().unwrap()[0].clone(); 2]);
            assert!(!grant.is_described_by(&twice) && !grant.is_described_by(&Value::Null));
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            "{}",
            "[]",
            r#"[{"type":"other"}]"#,
            r#"[{"type":"writ_task"},{"type":"writ_task"}]"#,
            r#"[{"type":"writ_task","purpose":"p","actions":["a:b"],"scope":"x"}]"#,
            r#"[{"type":"writ_task","purpose":"p","actions":[]}]"#,
            r#"[{"type":"writ_task","purpose":"p","actions":["ab"]}]"#,
            r#"[{"type":"writ_task","purpose":"p"}]"#,
            r#"[{"type":"writ_task","actions":["a:b"]}]"#,
            r#"[{"type":"writ_task","purpose":"P P","actions":["a:b"]}]"#,
            r#"[{"type":"writ_task","purpose":"p","actions":["a:b"],"bounds":{"a:c":{"/body/x":[1]}}}]"#,
            r#"[{"type":"writ_task","purpose":"p","actions":["a:b"],"bounds":{"a:b":{"/body/x":{"regex":"."}}}}]"#,
            r#"[{"type":"writ_task","purpose":"p","actions":["a:b"],"expires_in":0}]"#,
            r#"[{"type":"writ_task","purpose":"p","actions":["a:b"],"mode":"god"}]"#,
            r#"[{"type":"writ_task","purpose":"p","actions":["a:b"],"prompt":7}]"#,
            r#"[{"type":"writ_task","purpose":"p","actions":["a:b"],"plan":[]}]"#,
            r#"[{"type":"writ_task","purpose":"p","actions":["a:b"],"plan":[{"action":"a:c"}]}]"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
