//! One case on the road of a call: every gate in its order, then the policies.

use std::collections::{BTreeMap, BTreeSet};

use writ_contract::{Contract, Operation, Parsed};
use writ_policy::{Explanation, InputView, Question, ResponseView, Step};
use writ_types::{
    Agent, Amount, ArgumentOrigins, Asserters, Bounds, Budget, CallId, Charge, Facts, Grant,
    JsonLimits, Label, Limits, Mode, Number, Obligations, Origin, Plan, PlanStanding, Purpose,
    ReasonCode, Requester, Sum, TaskId, Tenant, Timestamp, Value, Verdict, Vouchers, WindowName,
    Windowed,
};

use super::Case;
use super::raw::{RawCase, RawCounts, RawWindow};
use crate::plan::Side;
use crate::project::instant;

/// The explanation and the reason as the agent would read it.
pub(super) type Answer = (Explanation, Option<ReasonCode>);

/// What can be said of a case without a project: that its texts read.
pub(super) fn check(raw: &RawCase) -> Result<(), String> {
    arguments(raw)?;
    labels(raw)?;
    origins(raw)?;
    if let Some(now) = &raw.facts.now {
        instant(now).ok_or("`now` is an instant such as `2026-12-24T18:00:00Z`, in UTC")?;
    }
    if let Some(mode) = &raw.mode {
        mode.parse::<Mode>()?;
    }
    if let Some(requester) = &raw.requester {
        requester_of(requester)?;
    }
    Ok(())
}

/// Asks the case.
pub(super) fn ask(case: &Case, side: &Side, now: Timestamp) -> Result<Answer, String> {
    let raw = &case.raw;
    let now = raw.facts.now.as_deref().and_then(instant).unwrap_or(now);
    let agent = agent(side, case.ask.agent.as_deref().unwrap_or_default())?;
    let name = case.ask.purpose.as_deref().unwrap_or_default();
    let purposes = &side.registry.purposes;
    let purpose = name.parse().ok().and_then(|name| purposes.get(&name));
    let purpose = purpose.ok_or_else(|| format!("there is no purpose `{name}`"))?;
    let contract = side.contracts.get(&case.action.api);
    let contract = contract.ok_or_else(|| format!("there is no API `{}`", case.action.api))?;
    let operation = contract.operation(&case.action.operation);
    let operation = operation.ok_or_else(|| {
        let api = &case.action.api;
        format!(
            "the contract of `{api}` has no operation `{}`",
            case.action.operation
        )
    })?;
    let call = Call {
        case,
        side,
        agent,
        purpose,
        operation,
        now,
    };
    call.decide(contract)
}

fn agent<'s>(side: &'s Side, name: &str) -> Result<&'s Agent, String> {
    let ending = format!("/{name}");
    let mut meant =
        side.registry.agents.values().filter(|agent| {
            agent.spiffe.as_str() == name || agent.spiffe.as_str().ends_with(&ending)
        });
    match (meant.next(), meant.next()) {
        (Some(agent), None) => Ok(agent),
        (Some(_), Some(_)) => Err(format!("several agents are called `{name}`")),
        (None, _) => Err(format!("there is no agent `{name}`")),
    }
}

struct Call<'a> {
    case: &'a Case,
    side: &'a Side,
    agent: &'a Agent,
    purpose: &'a Purpose,
    operation: &'a Operation,
    now: Timestamp,
}

/// What has to hold before any rule is asked, in the order of a call.
const GATES: [(&str, ReasonCode); 6] = [
    ("the agent is enabled", ReasonCode::AgentDisabled),
    ("the agent has the purpose", ReasonCode::ActionNotGranted),
    ("the purpose needs the action", ReasonCode::ActionNotGranted),
    (
        "the purpose reaches the API",
        ReasonCode::OutsideEnvironment,
    ),
    ("the purpose is open", ReasonCode::OutsideHours),
    ("the budget covers the call", ReasonCode::BudgetExhausted),
];

impl Call<'_> {
    fn decide(&self, contract: &Contract) -> Result<Answer, String> {
        let raw = &self.case.raw;
        let budget = narrowed(self.purpose.budget, raw.budget);
        let charge = Charge::of(self.operation.effects());
        let spent = spent(charge, raw.facts.spent);
        let action = &self.case.action;
        let api = self.side.registry.apis.get(&action.api);
        let reaches = api.is_some_and(|api| self.purpose.reaches(api));
        let hold = [
            self.agent.enabled,
            self.agent.purposes.contains(&self.purpose.name),
            self.purpose.actions.contains(action),
            reaches,
            self.purpose.is_open(self.now),
            budget.covers(spent),
        ];
        let mut steps = Vec::new();
        for ((name, reason), passed) in GATES.into_iter().zip(hold) {
            steps.push(Step::Gate { name, passed });
            if !passed {
                return Ok(refused(reason, steps));
            }
        }
        let parsed = contract
            .read_tool_call(self.operation, &arguments(raw)?, &Limits::default())
            .parsed;
        let sound = parsed.faults.is_empty();
        steps.push(Step::Gate {
            name: "the contract takes the arguments",
            passed: sound,
        });
        let faults = parsed.faults.iter();
        steps.extend(faults.map(|fault| Step::Error(format!("{}: {}", fault.pointer, fault.kind))));
        let grant = self.grant(budget)?;
        let inside = !sound || grant.violation(action, &parsed.input).is_none();
        if !grant.bounds.is_empty() {
            steps.push(Step::Gate {
                name: "the arguments lie within the bounds",
                passed: inside,
            });
        }
        if !inside {
            return Ok(refused(ReasonCode::OutsideBounds, steps));
        }
        let facts = self.facts(budget, spent, &parsed)?;
        let mut explanation = self.explain(&parsed, &grant, &facts);
        // The gates of the PDP are those above, asked once more of what was made here.
        let rules = explanation.steps.into_iter();
        steps.extend(rules.filter(|step| !matches!(step, Step::Gate { passed: true, .. })));
        explanation.steps = steps;
        let reason = self.as_told(&explanation, &facts);
        Ok((explanation, reason))
    }

    fn explain(&self, parsed: &Parsed, grant: &Grant, facts: &Facts) -> Explanation {
        let pdp = &self.side.pdp;
        let action = &self.case.action;
        let projected = self
            .operation
            .project(&parsed.input, pdp.projection(action));
        pdp.explain(&Question {
            tenant: &grant.tenant,
            call: CallId::new(self.now, [0; 10]),
            agent: self.agent,
            grant,
            action,
            input: match &projected {
                _ if !parsed.faults.is_empty() => InputView::Faulty,
                Ok(attributes) => InputView::Typed(attributes),
                Err(_unrepresentable) => InputView::Unrepresentable,
            },
            facts,
            extra: &parsed.input.extra,
            nulls: &parsed.input.nulls,
            response: if self.operation.stream() {
                ResponseView::Streamed
            } else {
                ResponseView::Buffered
            },
        })
    }

    /// The gateway has the same words for a value that nothing vouches for, whether a person is asked or not.
    fn as_told(&self, explanation: &Explanation, facts: &Facts) -> Option<ReasonCode> {
        let reason = explanation.reason?;
        let by_rule = matches!(reason, ReasonCode::Forbidden | ReasonCode::ApprovalRequired);
        let unvouched = facts.arguments.unvouched().next().is_some()
            && by_rule
            && self.side.pdp.asks_what_vouches(&explanation.rules);
        Some(if unvouched {
            ReasonCode::ValueNotVouched
        } else {
            reason
        })
    }

    fn grant(&self, budget: Budget) -> Result<Grant, String> {
        let Self {
            case, agent, now, ..
        } = self;
        let ask = &case.ask;
        let mode = match ask.mode.as_deref() {
            Some(mode) => mode.parse()?,
            None => agent.mode,
        };
        let requester = ask.requester.as_deref().map(requester_of).transpose()?;
        let bounds = match &case.raw.bounds {
            Some(bounds) => {
                let bounds = value(&toml::Value::Table(bounds.clone()))?;
                let of_action = Value::object([(case.action.to_string(), bounds)]);
                Bounds::parse(&of_action).map_err(|error| format!("`bounds`: {error}"))?
            }
            None => Bounds::none(),
        };
        Ok(Grant {
            tenant: Tenant::default_tenant(),
            task: TaskId::new(*now, [0; 10]),
            agent: agent.id,
            requester,
            purpose: self.purpose.name.clone(),
            mode,
            actions: BTreeSet::from([case.action.clone()]),
            bounds,
            plan: Plan::none(),
            budget,
            opened: *now,
            deadline: now.plus(self.purpose.max_task_life),
            parent: None,
            prompt: None,
            asserters: Asserters::default(),
        })
    }

    /// What windows show: what the case says they held before, and the call.
    fn windows(&self, parsed: &Parsed) -> Result<BTreeMap<WindowName, Windowed>, String> {
        let (operation, action) = (self.operation, &self.case.action);
        let windows = self.side.pdp.windows();
        let quantities = operation.quantities(&parsed.input);
        let mut shown = windows.with_first(action, operation.effects(), &quantities);
        for (name, before) in &self.case.raw.facts.windows {
            let known = name.parse().ok().and_then(|name| shown.get_mut(&name));
            let held =
                known.ok_or_else(|| format!("`facts.windows`: there is no window `{name}`"))?;
            let joined = added(before, held);
            *held = joined.map_err(|why| format!("`facts.windows.{name}`: {why}"))?;
        }
        Ok(shown)
    }

    fn facts(&self, budget: Budget, spent: Charge, parsed: &Parsed) -> Result<Facts, String> {
        let facts = &self.case.raw.facts;
        Ok(Facts {
            now: self.now,
            labels: labels(&self.case.raw)?,
            sinks: self.operation.handling().sink.clone(),
            spent,
            this_operation: facts.this_operation.unwrap_or(1),
            left: budget.less(spent),
            seen: facts.seen.iter().cloned().collect(),
            approved: facts.approved.iter().cloned().collect(),
            windows: self.windows(parsed)?,
            operation: self.case.action.operation.clone(),
            vouchers: Vouchers::default(),
            arguments: origins(&self.case.raw)?,
            plan: plan(facts.plan.as_deref())?,
            approvals: facts.approvals.iter().cloned().collect(),
            deferred: facts.deferred.iter().cloned().collect(),
        })
    }
}

/// What a case says that a window held before the call, joined with what the call adds.
fn added(before: &RawWindow, own: &Windowed) -> Result<Windowed, String> {
    let (Some(Sum::Exact(own_sum)), Some(said)) = (own.sum, &before.sum) else {
        if before.sum.is_some() {
            return Err("the window sums nothing up".to_owned());
        }
        return Ok(Windowed {
            calls: before.calls.saturating_add(own.calls),
            others: before.others.saturating_add(own.others),
            sum: own.sum,
        });
    };
    let said = Amount::of(&Value::from(said.as_str()));
    let said = said.ok_or("a sum is an exact amount such as \"950.00\"")?;
    let sum =
        i128::from(own_sum.ten_thousandths()).saturating_add(i128::from(said.ten_thousandths()));
    Ok(Windowed {
        calls: before.calls.saturating_add(own.calls),
        others: before.others.saturating_add(own.others),
        sum: Some(Amount::of_ten_thousandths(sum).map_or(Sum::Unrepresentable, Sum::Exact)),
    })
}

/// How the case says the call stands to its task's plan.
fn plan(word: Option<&str>) -> Result<PlanStanding, String> {
    match word {
        None | Some("free") => Ok(PlanStanding::Free),
        Some("follows") => Ok(PlanStanding::Follows(0)),
        Some("outside") => Ok(PlanStanding::Outside),
        Some(other) => Err(format!(
            "`facts.plan` is `{other}`; it is `free`, `follows` or `outside`"
        )),
    }
}

fn refused(reason: ReasonCode, steps: Vec<Step>) -> Answer {
    let explanation = Explanation {
        verdict: Verdict::Deny,
        reason: Some(reason),
        rules: Vec::new(),
        obligations: Obligations::default(),
        needs: None,
        steps,
    };
    (explanation, Some(reason))
}

/// The purpose's budget, and less where the case says so.
fn narrowed(budget: Budget, asked: Option<RawCounts>) -> Budget {
    let asked = asked.unwrap_or_default();
    budget.narrowed_to(Budget {
        calls: asked.calls.unwrap_or(budget.calls),
        writes: asked.writes.unwrap_or(budget.writes),
        deletes: asked.deletes.unwrap_or(budget.deletes),
        irreversible: asked.irreversible.unwrap_or(budget.irreversible),
    })
}

/// What was spent with this call: at least what it costs itself.
fn spent(charge: Charge, said: RawCounts) -> Charge {
    let at_least = |own: u64, said: Option<u64>| said.unwrap_or(own).max(own);
    Charge {
        calls: at_least(charge.calls, said.calls),
        writes: at_least(charge.writes, said.writes),
        deletes: at_least(charge.deletes, said.deletes),
        irreversible: at_least(charge.irreversible, said.irreversible),
    }
}

fn requester_of(text: &str) -> Result<Requester, String> {
    let (issuer, subject) = text
        .split_once('#')
        .ok_or("a `requester` is written `<issuer>#<subject>`")?;
    Ok(Requester {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
    })
}

fn labels(raw: &RawCase) -> Result<BTreeSet<Label>, String> {
    let labels = raw.facts.labels.iter();
    labels
        .map(|label| {
            let read = label.parse();
            read.map_err(|error| format!("`labels`: {error}"))
        })
        .collect()
}

fn origins(raw: &RawCase) -> Result<ArgumentOrigins, String> {
    let mut origins = ArgumentOrigins::default();
    for (pointer, word) in &raw.facts.origins {
        if !pointer.starts_with('/') {
            return Err(
                "a pointer in `origins` begins with `/path`, `/query`, `/header` or `/body`"
                    .to_owned(),
            );
        }
        let origin = Origin::parse(word).ok_or(
            "an origin is `bounds`, `endorsement`, `prompt`, `field`, `party`, `seen` or `unseen`",
        )?;
        origins.add(pointer, origin);
    }
    Ok(origins)
}

/// The call's arguments as a tool's.
fn arguments(raw: &RawCase) -> Result<Value, String> {
    let table = |table: &Option<toml::Table>| {
        table
            .as_ref()
            .map(|table| value(&toml::Value::Table(table.clone())))
            .transpose()
    };
    let parts = [
        ("path", table(&raw.path)?),
        ("query", table(&raw.query)?),
        ("header", table(&raw.header)?),
        ("body", raw.body.as_ref().map(value).transpose()?),
    ];
    let parts = parts
        .into_iter()
        .filter_map(|(name, part)| Some((name.to_owned(), part?)));
    let parts: BTreeMap<String, Value> = parts.collect();
    match &raw.arguments {
        None => Ok(Value::Object(parts)),
        Some(_) if !parts.is_empty() => Err(
            "`arguments` is all of them: it does not stand beside `path`, `query`, `header` or `body`".to_owned(),
        ),
        Some(text) => Value::parse(text.as_bytes(), &JsonLimits::REQUEST)
            .map_err(|error| format!("`arguments` is no JSON: {error}")),
    }
}

/// A value of TOML as one of JSON.
fn value(given: &toml::Value) -> Result<Value, String> {
    Ok(match given {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Boolean(truth) => Value::from(*truth),
        toml::Value::Integer(number) => Value::from_i64(*number),
        toml::Value::Float(number) => Number::parse(&number.to_string())
            .map(Value::Number)
            .ok_or("a number is finite")?,
        toml::Value::Datetime(_) => {
            return Err("an instant is a text in JSON: put it in quotes".to_owned());
        }
        toml::Value::Array(items) => {
            Value::Array(items.iter().map(value).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(members) => {
            let members = members
                .iter()
                .map(|(name, member)| Ok((name.clone(), value(member)?)));
            Value::Object(members.collect::<Result<_, String>>()?)
        }
    })
}
