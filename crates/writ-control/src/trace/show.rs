//! A trace for people and for programs. The text is the same wherever it is printed.

use std::fmt;

use writ_policy::{RuleEffect, RuleOutcome, Saw, Step};
use writ_types::{ReasonCode, Value};

use super::{Passage, Trace};

impl Trace {
    /// As JSON, with the text for people beside.
    pub(crate) fn to_value(&self) -> Value {
        let texts =
            |texts: &[String]| Value::Array(texts.iter().cloned().map(Value::from).collect());
        let gates = self.gates.iter().map(|(gate, passage)| {
            Value::object([
                ("gate", Value::from(gate.as_str())),
                ("passage", Value::from(passage.as_str())),
            ])
        });
        let turns = self.turns.iter().map(|turned| {
            Value::object([
                ("changes", texts(&turned.what)),
                (
                    "by",
                    Value::Array(
                        turned
                            .who
                            .iter()
                            .map(|who| Value::from(who.as_str()))
                            .collect(),
                    ),
                ),
                ("decision", Value::from(turned.becomes.as_str())),
            ])
        });
        let ask = self.ask.iter().map(|whom| {
            Value::object([
                ("role", Value::from(whom.role.as_str())),
                ("people", texts(&whom.names)),
            ])
        });
        let recorded = &self.recorded;
        let call = recorded
            .call
            .map_or(Value::Null, |(call, _)| Value::from(call.to_string()));
        let reason = recorded
            .reason
            .map_or(Value::Null, |reason| Value::from(reason.as_str()));
        Value::object([
            ("call", call),
            ("decision", Value::from(recorded.verdict.as_str())),
            ("reason", reason),
            ("gates", Value::Array(gates.collect())),
            ("details", texts(&self.details)),
            (
                "rules",
                Value::Array(self.rules().filter_map(rule_value).collect()),
            ),
            ("turns", Value::Array(turns.collect())),
            (
                "turns_tried",
                Value::from_u64(u64::try_from(self.tried).unwrap_or(u64::MAX)),
            ),
            ("ask", Value::Array(ask.collect())),
            ("notes", texts(&self.notes)),
            ("text", Value::from(self.to_string())),
        ])
    }

    /// The rules that took part: those that applied or erred.
    fn rules(&self) -> impl Iterator<Item = &Step> {
        let steps = self.explanation.iter().flat_map(|found| &found.steps);
        steps.filter(|step| match step {
            Step::Rule { outcome, .. } => !is_idle(outcome),
            Step::Error(_) => true,
            Step::Gate { .. } => false,
        })
    }

    /// The rules that could have permitted and did not: what is shown where nothing permits.
    fn idle_permits(&self) -> impl Iterator<Item = &Step> {
        let none_permits = self.recorded.reason == Some(ReasonCode::NotPermitted);
        let steps = self.explanation.iter().flat_map(|found| &found.steps);
        steps.filter(move |step| {
            none_permits
                && matches!(
                    step,
                    Step::Rule {
                        effect: RuleEffect::Permit,
                        outcome: RuleOutcome::DoesNotApply,
                        ..
                    }
                )
        })
    }
}

/// Whether it is what the loader adds to a rule that can be lifted, and nothing was given.
fn is_added(saw: &Saw) -> bool {
    let path: Vec<&str> = saw.attribute.iter().map(String::as_str).collect();
    matches!(
        path.as_slice(),
        ["context", "sys", "approvals" | "deferred"]
    ) && saw.value.as_deref() == Some("[]")
}

const fn is_idle(outcome: &RuleOutcome) -> bool {
    matches!(outcome, RuleOutcome::DoesNotApply | RuleOutcome::NotAsked)
}

impl Passage {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Stopped => "stopped",
            Self::NotReached => "not_reached",
        }
    }
}

fn rule_value(step: &Step) -> Option<Value> {
    let Step::Rule {
        id,
        effect,
        outcome,
        place: (file, line),
        saw,
        ..
    } = step
    else {
        return None;
    };
    let saw = saw.iter().map(|Saw { attribute, value }| {
        let value = value.as_deref().map_or(Value::Null, Value::from);
        Value::object([
            ("attribute", Value::from(attribute.join("."))),
            ("value", value),
        ])
    });
    Some(Value::object([
        ("rule", Value::from(id.as_str())),
        ("effect", Value::from(effect.as_str())),
        ("outcome", Value::from(outcome.to_string().trim())),
        ("file", Value::from(file.as_str())),
        ("line", Value::from_u64(u64::from(*line))),
        ("saw", Value::Array(saw.collect())),
    ]))
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recorded = &self.recorded;
        f.write_str(recorded.verdict.as_str())?;
        if let Some(reason) = recorded.reason {
            write!(f, " {reason}: {}", reason.title())?;
        }
        writeln!(f)?;
        let action = recorded.action.as_ref().map(ToString::to_string);
        let purpose = recorded.purpose.as_ref().map(ToString::to_string);
        writeln!(
            f,
            "  {} by {} ({}) for {}",
            action.as_deref().unwrap_or("no operation"),
            self.agent,
            self.mode,
            purpose.as_deref().unwrap_or("no purpose"),
        )?;
        if let Some((call, task)) = recorded.call {
            writeln!(f, "  {call} of {task} at {}", recorded.at)?;
        }
        self.write_gates(f)?;
        self.write_rules(f)?;
        self.write_turns(f)?;
        if !self.ask.is_empty() {
            writeln!(f, "ask")?;
        }
        for whom in &self.ask {
            let names = if whom.names.is_empty() {
                "nobody who is registered here".to_owned()
            } else {
                whom.names.join(", ")
            };
            writeln!(f, "  {}: {names}", whom.role)?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

impl Trace {
    fn write_gates(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "gates")?;
        for (gate, passage) in &self.gates {
            let word = match passage {
                Passage::Passed => "yes",
                Passage::Stopped => "NO ",
                Passage::NotReached => "-  ",
            };
            writeln!(f, "  {word} {}", gate.as_str())?;
            if *passage == Passage::Stopped {
                for detail in &self.details {
                    writeln!(f, "        {detail}")?;
                }
            }
        }
        Ok(())
    }

    fn write_rules(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(explanation) = &self.explanation else {
            return Ok(());
        };
        writeln!(f, "rules")?;
        for step in self.rules().chain(self.idle_permits()) {
            writeln!(f, "  {step}")?;
            if let Step::Rule { saw, .. } = step {
                for saw in saw.iter().filter(|saw| !is_added(saw)) {
                    writeln!(f, "        {saw}")?;
                }
            }
        }
        let count = |wanted: &RuleOutcome| {
            let steps = explanation.steps.iter();
            let found = steps
                .filter(|step| matches!(step, Step::Rule { outcome, .. } if outcome == wanted));
            found.count()
        };
        let (idle, unasked) = (
            count(&RuleOutcome::DoesNotApply),
            count(&RuleOutcome::NotAsked),
        );
        if idle > 0 {
            writeln!(f, "  {idle} more about the action did not apply")?;
        }
        if unasked > 0 {
            writeln!(
                f,
                "  {unasked} more look at the arguments, and were not asked"
            )?;
        }
        if !explanation.obligations.is_empty() {
            writeln!(f, "  done to the response: {}", explanation.obligations)?;
        }
        Ok(())
    }

    fn write_turns(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tried == 0 {
            return Ok(());
        }
        if self.turns.is_empty() {
            return writeln!(
                f,
                "no change that was tried turns it ({} were decided again)",
                self.tried
            );
        }
        writeln!(f, "smallest change (decided again by the same policies)")?;
        for turned in &self.turns {
            let who: Vec<&str> = turned.who.iter().map(|who| who.as_str()).collect();
            writeln!(
                f,
                "  {}: {} (by {})",
                turned.what.join(", and "),
                turned.becomes,
                who.join(" and "),
            )?;
        }
        Ok(())
    }
}
