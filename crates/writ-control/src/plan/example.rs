//! A call that a change lets through: the prover's example, asked again of both sides' policies as they decide, and made as
//! plain as it can be while that still holds.

use std::collections::{BTreeMap, BTreeSet};

use writ_policy::{InputView, Pdp, Question, ResponseView};
use writ_types::{
    ActionName, Agent, AgentId, Amount, Attr, AttrField, AttrType, Bounds, Budget, CallId, Charge,
    Facts, Grant, Label, Mode, Obligations, Origin, Plan, PlanStanding, Projection, Requester, Sum,
    TaskId, Tenant, Timestamp, Value, WindowName, Windowed,
};

use super::side::Side;
use super::strings;

/// A call that is allowed after and was not before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    call: Call,
    /// What the policies of either side look at in it.
    seen: Projection,
}

/// A call with everything a decision depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    agent: Agent,
    grant: Grant,
    action: ActionName,
    input: BTreeMap<String, Attr>,
    facts: Facts,
    extra: BTreeSet<String>,
    nulls: BTreeSet<String>,
}

impl Example {
    /// Reads the prover's example and asks both sides about it; none if it is not what it is said to be.
    pub(super) fn replayed(
        example: &Value,
        before: &Side,
        after: &Side,
        action: &ActionName,
        now: Timestamp,
    ) -> Option<Self> {
        let operation = after.operation(action)?;
        let call = Call::read(example, action, operation.attributes(), now)?;
        let replay = Replay {
            before: &before.pdp,
            after: &after.pdp,
        };
        if !replay.is_wider(&call) {
            return None;
        }
        let call = replay.plain(call, after, operation.attributes(), now);
        let mut seen = before.pdp.projection(action).clone();
        widen(&mut seen, after.pdp.projection(action));
        Some(Self { call, seen })
    }

    /// The call in words: who, and what of its input the rules look at.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Call {
            agent,
            grant,
            facts,
            ..
        } = &self.call;
        let mut said = vec![format!("{} for {}", agent.spiffe, grant.purpose)];
        if grant.mode != agent.mode {
            said.push(format!("in mode {}", grant.mode.as_str()));
        }
        if let Some(requester) = &grant.requester {
            said.push(format!("asked by `{}`", requester.subject));
        }
        let values = self.values();
        if !values.is_empty() {
            let values: Vec<String> = values
                .iter()
                .map(|(place, value)| format!("{place} = {value}"))
                .collect();
            said.push(format!("with {}", values.join(", ")));
        }
        let list = |what: &str, names: Vec<String>| {
            (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
        };
        said.extend(list(
            "having read",
            facts.labels.iter().map(ToString::to_string).collect(),
        ));
        said.extend(list("after", facts.seen.iter().cloned().collect()));
        said.extend(list(
            "after a person approved",
            facts.approved.iter().cloned().collect(),
        ));
        said.extend(list(
            "approved by",
            facts.approvals.iter().cloned().collect(),
        ));
        said.extend(list(
            "having waited",
            facts.deferred.iter().cloned().collect(),
        ));
        said.join(", ")
    }

    /// What the rules look at in the input, by pointer.
    fn values(&self) -> BTreeMap<String, String> {
        let mut values = BTreeMap::new();
        flatten(
            "",
            &Attr::Record(self.call.input.clone()),
            &self.seen,
            &mut values,
        );
        values
    }

    pub(super) fn to_value(&self) -> Value {
        let Call {
            agent,
            grant,
            facts,
            extra,
            nulls,
            action,
            ..
        } = &self.call;
        let values = self
            .values()
            .into_iter()
            .map(|(place, value)| (place, Value::from(value)));
        let requester = grant.requester.as_ref().map_or(Value::Null, |requester| {
            Value::from(requester.subject.as_str())
        });
        Value::object([
            ("sentence", Value::from(self.sentence())),
            ("agent", Value::from(agent.spiffe.as_str())),
            ("agent_mode", Value::from(agent.mode.as_str())),
            ("groups", strings(agent.groups.iter().map(String::as_str))),
            ("purpose", Value::from(grant.purpose.as_str())),
            ("mode", Value::from(grant.mode.as_str())),
            ("requester", requester),
            ("budget", grant.budget.to_value()),
            ("action", Value::from(action.to_string())),
            ("input", Value::object(values)),
            (
                "labels",
                strings(facts.labels.iter().map(ToString::to_string)),
            ),
            ("seen", strings(facts.seen.iter().map(String::as_str))),
            (
                "approved",
                strings(facts.approved.iter().map(String::as_str)),
            ),
            (
                "approvals",
                strings(facts.approvals.iter().map(String::as_str)),
            ),
            (
                "deferred",
                strings(facts.deferred.iter().map(String::as_str)),
            ),
            ("left", facts.left.to_value()),
            ("now", Value::from(facts.now.to_string())),
            ("extra", strings(extra.iter().map(String::as_str))),
            ("nulls", strings(nulls.iter().map(String::as_str))),
        ])
    }
}

/// The leaves that are looked at, by their pointer.
fn flatten(place: &str, attr: &Attr, seen: &Projection, values: &mut BTreeMap<String, String>) {
    if let Attr::Record(members) = attr {
        for (name, member) in members {
            let seen = seen.child(name);
            if !seen.is_nothing() {
                flatten(&format!("{place}/{name}"), member, seen, values);
            }
        }
        return;
    }
    values.insert(place.to_owned(), shown(attr));
}

fn shown(attr: &Attr) -> String {
    match attr {
        Attr::Bool(truth) => truth.to_string(),
        Attr::Long(number) => number.to_string(),
        Attr::String(text) => Value::from(text.as_str()).to_string(),
        Attr::Decimal(literal) => literal.clone(),
        Attr::Datetime(instant) => instant.to_string(),
        Attr::Set(items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        Attr::Record(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, member)| format!("{name}: {}", shown(member)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// The wider of two projections.
fn widen(one: &mut Projection, other: &Projection) {
    match (&mut *one, other) {
        (Projection::All, _) | (_, Projection::Nothing) => {}
        (_, Projection::All) | (Projection::Nothing, Projection::Some(_)) => one.clone_from(other),
        (Projection::Some(children), Projection::Some(others)) => {
            for (name, other) in others {
                widen(children.entry(name.clone()).or_default(), other);
            }
        }
    }
}

struct Replay<'a> {
    before: &'a Pdp,
    after: &'a Pdp,
}

impl Replay<'_> {
    /// Whether the call is let through after, and before was not, or had to do more.
    fn is_wider(&self, call: &Call) -> bool {
        let Some(after) = call.decide(self.after) else {
            return false;
        };
        let Some(before) = call.decide(self.before) else {
            return true;
        };
        let mut both = after.clone();
        both.join(&before);
        both != after
    }

    /// The same widening with plainer values: agents and purposes that are registered, nothing read, nothing spent, short
    /// texts, small numbers. Each is kept only if the call is still one that the change lets through.
    fn plain(&self, mut call: Call, side: &Side, ty: &AttrType, now: Timestamp) -> Call {
        let attempt = |call: &mut Call, change: &dyn Fn(&mut Call)| {
            let mut changed = call.clone();
            change(&mut changed);
            let holds = changed != *call && self.is_wider(&changed);
            if holds {
                *call = changed;
            }
            holds
        };
        let registered = real_tasks(side, &call.action);
        for (agent, purpose) in &registered {
            let real = |call: &mut Call| {
                call.grant.agent = agent.id;
                call.grant.mode = agent.mode;
                call.grant.purpose = purpose.name.clone();
                call.grant.budget = purpose.budget;
                call.grant.actions.clone_from(&purpose.actions);
                call.agent.clone_from(agent);
            };
            if attempt(&mut call, &real) {
                break;
            }
        }
        attempt(&mut call, &|call| call.grant.requester = None);
        attempt(&mut call, &|call| call.facts.labels.clear());
        attempt(&mut call, &|call| call.facts.seen.clear());
        attempt(&mut call, &|call| call.facts.approved.clear());
        attempt(&mut call, &|call| call.facts.approvals.clear());
        attempt(&mut call, &|call| call.facts.deferred.clear());
        attempt(&mut call, &|call| call.extra.clear());
        attempt(&mut call, &|call| call.nulls.clear());
        attempt(&mut call, &|call| call.facts.arguments.weakest.clear());
        attempt(&mut call, &|call| call.facts.now = now);
        attempt(&mut call, &|call| call.facts.spent = Charge::default());
        attempt(&mut call, &|call| call.facts.this_operation = 1);
        attempt(&mut call, &|call| call.facts.left = call.grant.budget);
        if let AttrType::Record(parts) = ty {
            for place in places(parts) {
                for plainer in [
                    Plainer::Gone,
                    Plainer::Empty,
                    Plainer::Example,
                    Plainer::Small,
                ] {
                    if attempt(&mut call, &|call| {
                        plainer.make(&mut call.input, parts, &place)
                    }) {
                        break;
                    }
                }
            }
        }
        call
    }
}

/// Registered agents with the purposes of theirs that name the action.
fn real_tasks<'s>(
    side: &'s Side,
    action: &ActionName,
) -> Vec<(&'s Agent, &'s writ_types::Purpose)> {
    let agents = side.registry.agents.values().filter(|agent| agent.enabled);
    agents
        .flat_map(|agent| agent.purposes.iter().map(move |purpose| (agent, purpose)))
        .filter_map(|(agent, purpose)| Some((agent, side.registry.purposes.get(purpose)?)))
        .filter(|(_, purpose)| purpose.actions.contains(action))
        .take(100)
        .collect()
}

/// The paths of everything in the record, what is deeper first.
fn places(fields: &BTreeMap<String, AttrField>) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open: Vec<(Vec<String>, &BTreeMap<String, AttrField>)> = vec![(Vec::new(), fields)];
    while let Some((path, fields)) = open.pop() {
        for (name, field) in fields {
            let mut here = path.clone();
            here.push(name.clone());
            if let AttrType::Record(fields) = &field.ty {
                open.push((here.clone(), fields));
            }
            found.push(here);
        }
    }
    found.reverse();
    found
}

/// A way in which a value is plainer.
#[derive(Debug, Clone, Copy)]
enum Plainer {
    Gone,
    Empty,
    Example,
    Small,
}

impl Plainer {
    /// Puts the plainer value in; changes nothing where it is none for this type.
    fn make(
        self,
        members: &mut BTreeMap<String, Attr>,
        fields: &BTreeMap<String, AttrField>,
        path: &[String],
    ) {
        let Some((name, below)) = path.split_first() else {
            return;
        };
        let Some(field) = fields.get(name) else {
            return;
        };
        if !below.is_empty() {
            if let (Some(Attr::Record(members)), AttrType::Record(fields)) =
                (members.get_mut(name), &field.ty)
            {
                self.make(members, fields, below);
            }
            return;
        }
        let plain = match (self, members.get(name)) {
            (_, None) => return,
            (Self::Gone, Some(_)) => {
                if !field.required {
                    members.remove(name);
                }
                return;
            }
            (Self::Empty, Some(Attr::Set(_))) => Attr::Set(Vec::new()),
            (Self::Empty, Some(Attr::Bool(_))) => Attr::Bool(false),
            (Self::Example, Some(Attr::String(_))) => Attr::String("example".to_owned()),
            (Self::Example, Some(Attr::Long(_))) => Attr::Long(1),
            (Self::Example, Some(Attr::Decimal(_))) => Attr::Decimal("1.0".to_owned()),
            (Self::Small, Some(Attr::Long(_))) => Attr::Long(0),
            (Self::Small, Some(Attr::Decimal(_))) => Attr::Decimal("0.0".to_owned()),
            (Self::Empty | Self::Example | Self::Small, Some(_)) => return,
        };
        members.insert(name.clone(), plain);
    }
}

impl Call {
    /// What is done to the response, if the call is let through.
    fn decide(&self, pdp: &Pdp) -> Option<Obligations> {
        let input = Attr::Record(self.input.clone());
        let question = Question {
            tenant: &self.grant.tenant,
            call: CallId::new(self.facts.now, [0; 10]),
            agent: &self.agent,
            grant: &self.grant,
            action: &self.action,
            input: InputView::Typed(&input),
            facts: &self.facts,
            extra: &self.extra,
            nulls: &self.nulls,
            // An obligation that cannot be met refuses; what is compared is what is asked for.
            response: ResponseView::Buffered,
        };
        let permit = pdp.decide(&question).ok()?;
        Some(permit.obligations().clone())
    }

    /// Reads the prover's request and entities. What no call can have, such as a purpose without a name, is replaced by
    /// something plain; the replay shows whether the example stands without it.
    fn read(example: &Value, action: &ActionName, ty: &AttrType, now: Timestamp) -> Option<Self> {
        let entities = Entities(example.member("entities")?.as_array()?);
        let task = entities.named(example.member("principal")?)?;
        let agent_name = task.member("attrs")?.member("agent")?;
        let agent = agent(&entities, (agent_name.member("__entity")?, task), now)?;
        let context = example.member("context")?;
        let sys = context.member("sys").cloned().unwrap_or(Value::Null);
        let AttrType::Record(parts) = ty else {
            return None;
        };
        let Attr::Record(input) = record(context, parts) else {
            return None;
        };
        let texts = |name: &str| sys.member(name).map(texts).unwrap_or_default();
        let mut facts = Facts {
            now: sys.member("now").and_then(instant).unwrap_or(now),
            labels: texts("labels")
                .iter()
                .filter_map(|text| text.parse::<Label>().ok())
                .collect(),
            sinks: BTreeSet::new(),
            spent: Charge::default(),
            this_operation: 1,
            left: sys.member("left").map_or(Budget::DEFAULT, budget),
            seen: texts("seen"),
            approved: texts("approved"),
            windows: sys.member("windows").map(windows).unwrap_or_default(),
            operation: action.operation.clone(),
            vouchers: writ_types::Vouchers::default(),
            arguments: writ_types::ArgumentOrigins::default(),
            plan: plan(&sys),
            approvals: texts("approvals"),
            deferred: texts("deferred"),
        };
        if let Some(count) = sys.member("count") {
            let number = |name: &str| count.member(name).and_then(Value::as_u64).unwrap_or(0);
            facts.spent = Charge {
                calls: number("calls"),
                writes: number("writes"),
                deletes: number("deletes"),
                irreversible: number("irreversible"),
            };
            facts.this_operation = number("thisOp");
        }
        for (name, origin) in [
            ("prompted", Origin::Prompt),
            ("unvouched", Origin::Unseen),
            ("untrusted", Origin::Seen),
            ("named", Origin::Endorsement),
            ("unnamed", Origin::Field),
        ] {
            for place in texts(name) {
                facts.arguments.add(&place, origin);
            }
        }
        facts.arguments.free = Some(texts("free"));
        let held = texts("held");
        facts.sinks = facts.labels.clone();
        facts.sinks.retain(|label| !held.contains(label.as_str()));
        Some(Self {
            grant: grant(&entities, task, &agent, action, now)?,
            agent,
            action: action.clone(),
            input,
            facts,
            extra: texts("extra"),
            nulls: texts("nulls"),
        })
    }
}

/// The example's entities.
struct Entities<'a>(&'a [Value]);

impl<'a> Entities<'a> {
    /// The entity with the uid `{type, id}`.
    fn named(&self, uid: &Value) -> Option<&'a Value> {
        let mut all = self.0.iter();
        all.find(|entity| entity.member("uid") == Some(uid))
    }
}

fn plan(sys: &Value) -> PlanStanding {
    match sys.member("plan").and_then(Value::as_str) {
        Some("outside") => PlanStanding::Outside,
        Some("follows") => PlanStanding::Follows(0),
        _ => PlanStanding::Free,
    }
}

/// What the windows show in the example. One that cannot be is none, and the replay then refuses.
fn windows(shown: &Value) -> BTreeMap<WindowName, Windowed> {
    let number = |held: &Value, name: &str| held.member(name).and_then(Value::as_u64);
    let sum = |held: &Value| {
        let sum = extension(held.member("sum")?)?;
        Some(Sum::Exact(Amount::of(&Value::from(sum))?))
    };
    let read = |(name, held): (&String, &Value)| {
        let held = Windowed {
            calls: number(held, "calls")?,
            sum: match held.member("sum") {
                Some(_) => Some(sum(held)?),
                None => None,
            },
            others: number(held, "others").unwrap_or(0),
        };
        Some((name.parse().ok()?, held))
    };
    let shown = shown.as_object().into_iter().flatten();
    shown.filter_map(read).collect()
}

/// The first of these that reads.
fn parsed<T: std::str::FromStr>(text: Option<&str>, plain: &str) -> Option<T> {
    text.and_then(|text| text.parse().ok())
        .or_else(|| plain.parse().ok())
}

/// The agent of a task. The prover may put the task into a group without its agent: no call can, so the agent is put into it, too.
fn agent(entities: &Entities<'_>, (uid, task): (&Value, &Value), now: Timestamp) -> Option<Agent> {
    let entity = entities.named(uid)?;
    let attrs = entity.member("attrs")?;
    let text = |name: &str| attrs.member(name).and_then(Value::as_str);
    let id = uid.member("id").and_then(Value::as_str);
    let parents = [entity, task].map(|one| one.member("parents").and_then(Value::as_array));
    let parents = parents.into_iter().flatten().flatten();
    let groups = parents.filter_map(|parent| {
        let is_group = parent.member("type").and_then(Value::as_str) == Some("Writ::AgentGroup");
        parent
            .member("id")
            .and_then(Value::as_str)
            .filter(|_| is_group)
    });
    let purposes = attrs.member("purposes").map(texts).unwrap_or_default();
    Some(Agent {
        id: id
            .and_then(|id| id.parse().ok())
            .unwrap_or_else(|| AgentId::new(now, [0; 10])),
        spiffe: parsed(text("spiffe"), "spiffe://example.org/agent/example")?,
        owner: parsed(text("owner"), "owner@example.org")?,
        groups: groups.map(str::to_owned).collect(),
        mode: parsed::<Mode>(text("mode"), "autonomous")?,
        purposes: purposes
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect(),
        selectors: BTreeSet::new(),
        federations: BTreeSet::new(),
        enabled: true,
        watch: writ_types::Watch::default(),
    })
}

fn grant(
    entities: &Entities<'_>,
    task: &Value,
    agent: &Agent,
    action: &ActionName,
    now: Timestamp,
) -> Option<Grant> {
    let attrs = task.member("attrs")?;
    let text = |name: &str| attrs.member(name).and_then(Value::as_str);
    let declared = attrs.member("declared").map(texts).unwrap_or_default();
    let mut actions: BTreeSet<ActionName> = declared
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect();
    actions.insert(action.clone());
    let requester = attrs.member("requester").and_then(|user| {
        let uid = user.member("__entity")?;
        entities.named(uid)?;
        let id = uid.member("id").and_then(Value::as_str)?;
        let (issuer, subject) = id.split_once('#').unwrap_or((id, ""));
        Some(Requester {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
        })
    });
    Some(Grant {
        tenant: Tenant::default_tenant(),
        task: TaskId::new(now, [0; 10]),
        agent: agent.id,
        requester,
        purpose: parsed(text("purpose"), "example")?,
        mode: parsed(text("mode"), "autonomous")?,
        actions,
        bounds: Bounds::none(),
        plan: Plan::none(),
        budget: attrs.member("budget").map_or(Budget::DEFAULT, budget),
        opened: now,
        deadline: now,
        parent: None,
        prompt: None,
        asserters: writ_types::Asserters::default(),
    })
}

fn texts(value: &Value) -> BTreeSet<String> {
    let items = value.as_array().unwrap_or_default().iter();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn budget(value: &Value) -> Budget {
    let number = |name: &str| value.member(name).and_then(Value::as_u64).unwrap_or(0);
    Budget {
        calls: number("calls"),
        writes: number("writes"),
        deletes: number("deletes"),
        irreversible: number("irreversible"),
    }
}

/// The argument of `{"__extn": {"fn": …, "arg": …}}`.
fn extension(value: &Value) -> Option<&str> {
    value.member("__extn")?.member("arg")?.as_str()
}

fn instant(value: &Value) -> Option<Timestamp> {
    Timestamp::parse(extension(value)?)
}

/// A record of the input. What the example leaves out, because no rule looks at it, is filled with something plain.
fn record(value: &Value, fields: &BTreeMap<String, AttrField>) -> Attr {
    let member = |(name, field): (&String, &AttrField)| match value.member(name) {
        Some(value) => Some((name.clone(), typed(value, &field.ty))),
        None if field.required => Some((name.clone(), typed(&Value::Null, &field.ty))),
        None => None,
    };
    Attr::Record(fields.iter().filter_map(member).collect())
}

fn typed(value: &Value, ty: &AttrType) -> Attr {
    match ty {
        AttrType::Bool => Attr::Bool(value.as_bool().unwrap_or(false)),
        AttrType::Long => Attr::Long(
            value
                .as_number()
                .and_then(|number| number.as_str().parse().ok())
                .unwrap_or(1),
        ),
        AttrType::String => Attr::String(value.as_str().unwrap_or("example").to_owned()),
        AttrType::Decimal => Attr::Decimal(extension(value).unwrap_or("1.0").to_owned()),
        AttrType::Datetime => Attr::Datetime(instant(value).unwrap_or(Timestamp::from_millis(0))),
        AttrType::Set(element) => {
            let items = value.as_array().unwrap_or_default().iter();
            Attr::Set(items.map(|item| typed(item, element)).collect())
        }
        AttrType::Record(fields) => record(value, fields),
    }
}
