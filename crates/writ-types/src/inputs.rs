//! What a call was decided from, as the vault keeps it beside the call's record: enough to decide it again.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ArgumentOrigins, Budget, Charge, Facts, Input, Label, OperationId, Origin, PlanStanding,
    Timestamp, Value, Vouchers, Windowed,
};

/// The inputs of a decision. What was not known when the call stopped is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The arguments, where they were read and kept.
    pub input: Option<Input>,
    /// The places of arguments that are not kept as they were, because the API's owner wants them out of records.
    pub masked: BTreeSet<String>,
    /// What was wrong with them: places and static texts.
    pub faults: Vec<(String, String)>,
    /// What the gateway knew.
    pub facts: Option<Facts>,
    /// What was left of the budget that did not cover the call.
    pub left: Option<Budget>,
}

/// Most faults of an input that are kept.
const MOST_FAULTS: usize = 32;

impl Inputs {
    /// As JSON.
    #[must_use]
    pub fn into_value(mut self) -> Value {
        let masked = std::mem::take(&mut self.masked);
        let outer = |places: &mut BTreeSet<String>| {
            *places = places.iter().map(|place| outer(place, &masked)).collect();
        };
        if let Some(input) = &mut self.input {
            outer(&mut input.extra);
            outer(&mut input.nulls);
        }
        let facts = self.facts.iter_mut();
        facts
            .filter_map(|facts| facts.arguments.free.as_mut())
            .for_each(outer);
        for (at, _) in &mut self.faults {
            *at = self::outer(at, &masked);
        }
        self.masked = masked;
        self.said()
    }

    /// The places below those that are not kept whose names are not kept either and that a call was decided on.
    pub fn unnamed(&self) -> impl Iterator<Item = &String> {
        let input = self.input.iter();
        let strange = input.flat_map(|input| input.extra.iter().chain(&input.nulls));
        let free = self.facts.iter();
        let free = free.filter_map(|facts| facts.arguments.free.as_ref());
        strange.chain(free.flatten()).filter(|place| {
            let within = place.strip_suffix("/*");
            within.is_some_and(|within| self.masked.contains(within))
        })
    }

    fn said(self) -> Value {
        let mut members = Vec::new();
        if let Some(input) = self.input {
            members.push(("extra", texts(input.extra.iter())));
            members.push(("nulls", texts(input.nulls.iter())));
            members.push(("input", input.into_value()));
        }
        if !self.masked.is_empty() {
            members.push(("masked", texts(self.masked.iter())));
        }
        if !self.faults.is_empty() {
            let faults = self.faults.iter().take(MOST_FAULTS);
            let fault = |(at, what): &(String, String)| texts([at, what].into_iter());
            members.push(("faults", Value::Array(faults.map(fault).collect())));
        }
        if let Some(facts) = &self.facts {
            members.extend(of_facts(facts));
        }
        // What is left after a call, or what was left of a budget that did not cover it.
        let left = self.facts.as_ref().map(|facts| facts.left).or(self.left);
        members.extend(left.map(|left| ("left", left.to_value())));
        Value::object(members)
    }

    /// Reads what [`Self::into_value`] writes, for a call of `operation`; `sinks` are those of its contract. What does not read
    /// is not there.
    #[must_use]
    pub fn from_value(value: &Value, operation: &OperationId, sinks: &BTreeSet<Label>) -> Self {
        let left = value
            .member("left")
            .and_then(|left| Budget::parse(left, NOTHING).ok());
        let facts = left.and_then(|left| facts_of(value, operation, sinks, left));
        let input = value.member("input").and_then(Value::as_object);
        let faults = value.member("faults").and_then(Value::as_array);
        let fault = |pair: &Value| {
            let pair = pair.as_array()?;
            Some((
                pair.first()?.as_str()?.to_owned(),
                pair.get(1)?.as_str()?.to_owned(),
            ))
        };
        Self {
            input: input.map(|parts| Input {
                path: group(parts, "path"),
                query: group(parts, "query"),
                header: group(parts, "header"),
                body: parts.get("body").cloned(),
                extra: set_of(value, "extra"),
                nulls: set_of(value, "nulls"),
            }),
            masked: set_of(value, "masked"),
            faults: faults
                .unwrap_or_default()
                .iter()
                .filter_map(fault)
                .collect(),
            left: left.filter(|_| facts.is_none()),
            facts,
        }
    }
}

/// A place; of one below what is not kept no name.
fn outer(place: &str, masked: &BTreeSet<String>) -> String {
    let mut around = masked.iter().filter(|masked| {
        let below = place.strip_prefix(masked.as_str());
        below.is_some_and(|below| below.starts_with('/'))
    });
    around
        .next()
        .map_or_else(|| place.to_owned(), |masked| format!("{masked}/*"))
}

/// A budget of nothing.
const NOTHING: Budget = Budget {
    calls: 0,
    writes: 0,
    deletes: 0,
    irreversible: 0,
};

fn of_facts(facts: &Facts) -> Vec<(&'static str, Value)> {
    let arguments = &facts.arguments;
    let origins = arguments.weakest.iter();
    let origins = origins.map(|(place, origin)| (place.clone(), Value::from(origin.as_str())));
    let mut members = vec![
        ("now", Value::from(facts.now.to_string())),
        ("labels", texts(facts.labels.iter())),
        ("seen", texts(facts.seen.iter())),
        ("approved", texts(facts.approved.iter())),
        ("calls", Value::from_u64(facts.spent.calls)),
        ("writes", Value::from_u64(facts.spent.writes)),
        ("deletes", Value::from_u64(facts.spent.deletes)),
        ("irreversible", Value::from_u64(facts.spent.irreversible)),
        ("this_operation", Value::from_u64(facts.this_operation)),
        ("origins", Value::object(origins)),
        ("unreviewed", Value::from(arguments.unreviewed)),
        ("approvals", texts(facts.approvals.iter())),
        ("deferred", texts(facts.deferred.iter())),
        ("plan", Value::from(facts.plan.as_str())),
    ];
    let step = facts.plan.step();
    members.extend(step.map(|step| ("plan_step", Value::from_u64(u64::from(step)))));
    members.extend(
        arguments
            .free
            .as_ref()
            .map(|free| ("free", texts(free.iter()))),
    );
    if !facts.windows.is_empty() {
        let windows = facts.windows.iter();
        let windows = windows.map(|(name, held)| (name.to_string(), held.to_value()));
        members.push(("windows", Value::object(windows)));
    }
    members
}

fn facts_of(
    value: &Value,
    operation: &OperationId,
    sinks: &BTreeSet<Label>,
    left: Budget,
) -> Option<Facts> {
    let count = |name| value.member(name).and_then(Value::as_u64);
    let labels = set_of(value, "labels").into_iter();
    let mut arguments = ArgumentOrigins {
        free: value.member("free").map(|_| set_of(value, "free")),
        unreviewed: value.member("unreviewed").and_then(Value::as_bool)?,
        ..ArgumentOrigins::default()
    };
    for (place, origin) in value.member("origins")?.as_object()? {
        arguments.add(place, Origin::parse(origin.as_str()?)?);
    }
    let plan = match value.member("plan").and_then(Value::as_str) {
        None | Some("free") => PlanStanding::Free,
        Some("outside") => PlanStanding::Outside,
        Some("follows") => PlanStanding::Follows(u16::try_from(count("plan_step")?).ok()?),
        Some(_) => return None,
    };
    let windows = match value.member("windows") {
        None => BTreeMap::new(),
        Some(windows) => {
            let read = |(name, held): (&String, &Value)| {
                Some((name.parse().ok()?, Windowed::from_value(held)?))
            };
            windows
                .as_object()?
                .iter()
                .map(read)
                .collect::<Option<_>>()?
        }
    };
    Some(Facts {
        now: Timestamp::parse(value.member("now")?.as_str()?)?,
        labels: labels
            .map(|label| label.parse().ok())
            .collect::<Option<_>>()?,
        sinks: sinks.clone(),
        spent: Charge {
            calls: count("calls")?,
            writes: count("writes")?,
            deletes: count("deletes")?,
            irreversible: count("irreversible")?,
        },
        this_operation: count("this_operation")?,
        left,
        seen: set_of(value, "seen"),
        approved: set_of(value, "approved"),
        windows,
        operation: operation.clone(),
        vouchers: Vouchers::default(),
        arguments,
        plan,
        approvals: set_of(value, "approvals"),
        deferred: set_of(value, "deferred"),
    })
}

fn texts<T: ToString>(items: impl Iterator<Item = T>) -> Value {
    Value::Array(items.map(|item| Value::from(item.to_string())).collect())
}

fn set_of(value: &Value, name: &str) -> BTreeSet<String> {
    let items = value.member(name).and_then(Value::as_array);
    let items = items.unwrap_or_default().iter();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn group(parts: &BTreeMap<String, Value>, name: &str) -> BTreeMap<String, Value> {
    let group = parts.get(name).and_then(Value::as_object);
    group.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Amount, JsonLimits, Sum, WindowName};

    fn window(name: &str, sum: Option<Sum>) -> (WindowName, Windowed) {
        let held = Windowed {
            calls: u64::MAX,
            sum,
            others: 2,
        };
        (name.parse().unwrap(), held)
    }

    fn whole() -> Inputs {
        let mut arguments = ArgumentOrigins {
            free: Some(BTreeSet::from(["/body/memo".to_owned()])),
            unreviewed: false,
            ..ArgumentOrigins::default()
        };
        arguments.add("/body/recipient", Origin::Seen);
        let body = Value::object([("recipient", Value::from("a@b.example"))]);
        Inputs {
            input: Some(Input {
                path: BTreeMap::from([("id".to_owned(), Value::from("7"))]),
                body: Some(body),
                extra: BTreeSet::from(["/body/more".to_owned()]),
                nulls: BTreeSet::from(["/body/none".to_owned()]),
                ..Input::default()
            }),
            masked: BTreeSet::from(["/body/pin".to_owned()]),
            faults: vec![("/body/amount".to_owned(), "is missing".to_owned())],
            facts: Some(Facts {
                now: Timestamp::from_millis(1_795_000_000_123),
                labels: BTreeSet::from(["untrusted".parse().unwrap()]),
                sinks: BTreeSet::new(),
                spent: Charge {
                    calls: 4,
                    writes: 3,
                    deletes: 2,
                    irreversible: 1,
                },
                this_operation: 2,
                left: Budget::DEFAULT,
                seen: BTreeSet::from(["bank:account".to_owned()]),
                approved: BTreeSet::from(["bank:payee".to_owned()]),
                windows: BTreeMap::from([
                    window(
                        "paid",
                        Some(Sum::Exact(Amount::of(&Value::from("12.5")).unwrap())),
                    ),
                    window("sent", None),
                    window("lost", Some(Sum::Unrepresentable)),
                ]),
                operation: "transfer".parse().unwrap(),
                vouchers: Vouchers::default(),
                arguments,
                plan: PlanStanding::Follows(3),
                approvals: BTreeSet::from(["treasury".to_owned()]),
                deferred: BTreeSet::from(["24h".to_owned()]),
            }),
            left: None,
        }
    }

    /// Written into the vault and read again.
    fn kept(inputs: &Inputs) -> Inputs {
        let text = inputs.clone().into_value().to_string();
        let value = Value::parse(text.as_bytes(), &JsonLimits::DOCUMENT).unwrap();
        Inputs::from_value(&value, &"transfer".parse().unwrap(), &BTreeSet::new())
    }

    #[test]
    fn what_is_kept_is_what_was() {
        let whole = whole();
        let no_facts = Inputs {
            facts: None,
            left: Some(Budget::DEFAULT),
            ..whole.clone()
        };
        let mut unlooked = whole.clone();
        if let Some(facts) = &mut unlooked.facts {
            facts.arguments.free = None;
        }
        let mut outside = whole.clone();
        if let Some(facts) = &mut outside.facts {
            facts.plan = PlanStanding::Outside;
        }
        for inputs in [whole, no_facts, unlooked, outside, Inputs::default()] {
            assert_eq!(kept(&inputs), inputs);
        }
    }

    #[test]
    fn facts_of_which_a_part_does_not_read_are_none() {
        let value = whole().into_value();
        let members = value.as_object().unwrap();
        for name in [
            "now",
            "calls",
            "writes",
            "deletes",
            "irreversible",
            "this_operation",
            "origins",
            "unreviewed",
            "left",
            "plan_step",
        ] {
            let mut members = members.clone();
            members.remove(name);
            let operation = "transfer".parse().unwrap();
            let read = Inputs::from_value(&Value::Object(members), &operation, &BTreeSet::new());
            assert!(read.facts.is_none() && read.input.is_some(), "{name}");
        }
    }

    /// Names below what is not kept are chosen by whoever calls, and are as much of it as the values.
    #[test]
    fn of_what_is_not_kept_no_names_are_kept() {
        let mut whole = whole();
        let places = || BTreeSet::from(["/body/pin/Ann".to_owned(), "/body/pinned".to_owned()]);
        let input = whole.input.as_mut().unwrap();
        (input.extra, input.nulls) = (places(), places());
        whole.facts.as_mut().unwrap().arguments.free = Some(places());
        whole.faults = vec![("/body/pin/Ann/x".to_owned(), "is missing".to_owned())];
        let kept = kept(&whole);
        let text = kept.clone().into_value().to_string();
        assert!(
            !text.contains("Ann") && text.contains("/body/pin/*"),
            "{text}"
        );
        assert_eq!(kept.unnamed().count(), 3);
        assert_eq!(text.matches("/body/pinned").count(), 3);
    }
}
