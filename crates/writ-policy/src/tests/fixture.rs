//! Two small APIs, two agents, a task: enough to ask any question.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use writ_types::{
    ActionName, Agent, AgentId, Attr, AttrField, AttrType, Bounds, Budget, CallId, Charge, Digest,
    Domains, Effect, Effects, Facts, Grant, Mode, Plan, PlanStanding, TaskId, Tenant, Timestamp,
};

use crate::{
    ActionShape, ApiActions, Denied, Diagnostic, Explanation, InputView, Pdp, Permit, PolicySource,
    Question, ResponseView, baseline,
};

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_795_000_000); // 2026-11-18

pub(super) fn record(fields: &[(&str, AttrType, bool)]) -> AttrType {
    let field = |(name, ty, required): &(&str, AttrType, bool)| {
        let (ty, required) = (ty.clone(), *required);
        ((*name).to_owned(), AttrField { ty, required })
    };
    AttrType::Record(fields.iter().map(field).collect())
}

fn texts() -> AttrType {
    AttrType::Set(Box::new(AttrType::String))
}

fn shape(operation: &str, effects: Effects, attributes: AttrType) -> ActionShape {
    ActionShape {
        operation: operation.parse().unwrap(),
        effects,
        sensitive: true,
        unready: false,
        attributes,
        domains: Domains::new(),
        quantities: BTreeSet::new(),
    }
}

/// The same operation, which takes only these texts at a place.
fn only(mut shape: ActionShape, place: &[&str], texts: &[&str]) -> ActionShape {
    let owned = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    let domain = owned(texts).into_iter().collect();
    shape.domains.insert(owned(place), domain);
    shape
}

/// A name server in the manner of PowerDNS: zones are listed, changed record by record, removed.
pub(super) fn dns() -> ApiActions {
    let zone = record(&[("zone_id", AttrType::String, true)]);
    let rrsets = record(&[
        ("count", AttrType::Long, true),
        ("name", texts(), true),
        ("type", texts(), true),
    ]);
    let gone = Effects {
        irreversible: true,
        ..Effects::plain(Effect::Delete)
    };
    ApiActions {
        api: "dns".parse().unwrap(),
        contract: Digest::of(b"dns contract"),
        operations: vec![
            shape(
                "listZones",
                Effects::plain(Effect::Read),
                record(&[("query", record(&[("zone", AttrType::String, false)]), true)]),
            ),
            shape(
                "patchZone",
                Effects::plain(Effect::Write),
                record(&[
                    ("path", zone.clone(), true),
                    ("body", record(&[("rrsets", rrsets, true)]), true),
                ]),
            ),
            shape("deleteZone", gone, record(&[("path", zone, true)])),
            shape(
                "GET:/servers/{id}",
                Effects::unreviewed(Effect::Read),
                record(&[]),
            ),
        ],
    }
}

/// A bank: an account is read, money is sent to others.
pub(super) fn bank() -> ApiActions {
    let sends = Effects {
        external_send: true,
        ..Effects::plain(Effect::Write)
    };
    let transfer = record(&[
        ("amount", AttrType::Long, true),
        ("recipient", AttrType::String, true),
        ("fee", AttrType::Decimal, false),
        ("due", AttrType::Datetime, false),
        ("memo", AttrType::String, false),
        ("x-trace", AttrType::String, false),
        ("speed", AttrType::String, false),
    ]);
    ApiActions {
        api: "bank".parse().unwrap(),
        contract: Digest::of(b"bank contract"),
        operations: vec![
            shape("account", Effects::plain(Effect::Read), record(&[])),
            ActionShape {
                quantities: BTreeSet::from(["payment".parse().unwrap()]),
                ..only(
                    shape("transfer", sends, record(&[("body", transfer, true)])),
                    &["body", "speed"],
                    &["instant", "standard"],
                )
            },
            shape(
                "note",
                Effects::plain(Effect::Write),
                record(&[("body", record(&[("text", AttrType::String, true)]), false)]),
            ),
        ],
    }
}

pub(super) fn source(text: &str) -> PolicySource {
    PolicySource {
        name: "test.cedar".to_owned(),
        text: text.to_owned(),
    }
}

/// What is counted within a time: a window on each line, as Writ writes them.
pub(super) fn windows(text: &str) -> PolicySource {
    PolicySource {
        name: crate::WINDOWS.to_owned(),
        text: text.to_owned(),
    }
}

/// Compiles `text` alone against both APIs.
pub(super) fn compile(text: &str) -> Result<Pdp, Vec<Diagnostic>> {
    Pdp::compile(&[dns(), bank()], &[source(text)], NOW)
}

/// Compiles `text` beside the baseline.
pub(super) fn with_baseline(text: &str) -> Pdp {
    Pdp::compile(&[dns(), bank()], &[baseline(), source(text)], NOW).unwrap()
}

/// The findings for `text`, printed.
pub(super) fn findings(text: &str) -> String {
    let found = compile(text).expect_err("the policy was taken");
    found.iter().map(|finding| format!("{finding}\n")).collect()
}

pub(super) fn action(name: &str) -> ActionName {
    name.parse().unwrap()
}

pub(super) fn text(value: &str) -> Attr {
    Attr::String(value.to_owned())
}

pub(super) fn attrs(members: &[(&str, Attr)]) -> Attr {
    let member = |(name, attr): &(&str, Attr)| ((*name).to_owned(), attr.clone());
    Attr::Record(members.iter().map(member).collect::<BTreeMap<_, _>>())
}

/// The input of `bank:transfer`.
pub(super) fn transfer(amount: i64, recipient: &str) -> Attr {
    attrs(&[(
        "body",
        attrs(&[
            ("amount", Attr::Long(amount)),
            ("recipient", text(recipient)),
        ]),
    )])
}

/// The input of `dns:patchZone`: one record set.
pub(super) fn patch(zone: &str, name: &str, kind: &str) -> Attr {
    let rrsets = attrs(&[
        ("count", Attr::Long(1)),
        ("name", Attr::Set(vec![text(name)])),
        ("type", Attr::Set(vec![text(kind)])),
    ]);
    attrs(&[
        ("path", attrs(&[("zone_id", text(zone))])),
        ("body", attrs(&[("rrsets", rrsets)])),
    ])
}

/// A call with everything around it. Change what a test is about.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) tenant: Tenant,
    pub(super) agent: Agent,
    pub(super) grant: Grant,
    pub(super) action: ActionName,
    pub(super) input: Input,
    pub(super) facts: Facts,
    pub(super) extra: BTreeSet<String>,
    pub(super) nulls: BTreeSet<String>,
    pub(super) response: ResponseView,
}

#[derive(Debug, Clone)]
pub(super) enum Input {
    Typed(Attr),
    Faulty,
    Unrepresentable,
}

impl Call {
    /// A copilot's call of an action that the task holds, with budget for everything.
    pub(super) fn of(name: &str, input: Attr) -> Self {
        let agent = AgentId::new(NOW, [1; 10]);
        let budget = Budget {
            calls: 50,
            writes: 5,
            deletes: 1,
            irreversible: 1,
        };
        let purpose = "acme-renewal".parse().unwrap();
        Self {
            tenant: Tenant::default_tenant(),
            agent: Agent {
                id: agent,
                spiffe: "spiffe://writ.local/agent/dns".parse().unwrap(),
                owner: "ops@example.org".parse().unwrap(),
                groups: BTreeSet::from(["infra".to_owned()]),
                mode: Mode::Copilot,
                purposes: BTreeSet::from(["acme-renewal".parse().unwrap()]),
                selectors: BTreeSet::new(),
                federations: BTreeSet::new(),
                enabled: true,
                watch: writ_types::Watch::default(),
            },
            grant: Grant {
                tenant: Tenant::default_tenant(),
                task: TaskId::new(NOW, [2; 10]),
                agent,
                requester: None,
                purpose,
                mode: Mode::Copilot,
                actions: BTreeSet::from([action(name)]),
                bounds: Bounds::none(),
                plan: Plan::none(),
                budget,
                opened: NOW,
                deadline: NOW.plus(Duration::from_secs(600)),
                parent: None,
                prompt: None,
                asserters: writ_types::Asserters::default(),
            },
            action: action(name),
            input: Input::Typed(input),
            facts: Facts {
                now: NOW,
                labels: BTreeSet::new(),
                sinks: BTreeSet::new(),
                spent: Charge {
                    calls: 1,
                    ..Charge::default()
                },
                windows: first_windows(),
                this_operation: 1,
                approvals: BTreeSet::new(),
                deferred: BTreeSet::new(),
                left: budget,
                seen: BTreeSet::new(),
                approved: BTreeSet::new(),
                operation: action(name).operation,
                vouchers: writ_types::Vouchers::default(),
                arguments: writ_types::ArgumentOrigins::default(),
                plan: PlanStanding::Free,
            },
            extra: BTreeSet::new(),
            nulls: BTreeSet::new(),
            response: ResponseView::Buffered,
        }
    }

    pub(super) fn autonomous(mut self) -> Self {
        self.agent.mode = Mode::Autonomous;
        self.grant.mode = Mode::Autonomous;
        self
    }

    pub(super) fn budget(mut self, budget: Budget) -> Self {
        self.grant.budget = budget;
        self.facts.left = budget;
        self
    }

    pub(super) fn faulty(mut self) -> Self {
        self.input = Input::Faulty;
        self
    }

    pub(super) fn unrepresentable(mut self) -> Self {
        self.input = Input::Unrepresentable;
        self
    }

    pub(super) fn question(&self) -> Question<'_> {
        Question {
            tenant: &self.tenant,
            call: CallId::new(NOW, [3; 10]),
            agent: &self.agent,
            grant: &self.grant,
            action: &self.action,
            input: match &self.input {
                Input::Typed(attr) => InputView::Typed(attr),
                Input::Faulty => InputView::Faulty,
                Input::Unrepresentable => InputView::Unrepresentable,
            },
            facts: &self.facts,
            extra: &self.extra,
            nulls: &self.nulls,
            response: self.response,
        }
    }

    /// Decides by every road there is; all must agree.
    pub(super) fn decide(&self, pdp: &Pdp) -> Result<Permit, Denied> {
        let question = self.question();
        let decided = pdp.decide(&question);
        let plain = |answer: &Result<Permit, Denied>| match answer {
            Ok(permit) => Ok(permit.rules().to_vec()),
            Err(denied) => Err(denied.clone()),
        };
        if let Ok(prepared) = pdp.prepare(&self.agent, &self.grant) {
            assert_eq!(
                plain(&pdp.decide_prepared(&prepared, &question)),
                plain(&decided)
            );
        }
        assert_eq!(
            plain(&pdp.decide_checked(&question)),
            plain(&decided),
            "the schema agrees"
        );
        let explained: Explanation = pdp.explain(&question);
        assert_eq!(
            explained.reason,
            decided.as_ref().err().map(|denied| denied.reason)
        );
        assert_eq!(
            explained.rules,
            decided.as_ref().map_or_else(
                |denied| denied.rules.clone(),
                |permit| permit.rules().to_vec()
            )
        );
        decided
    }

    /// Decides once, where the input is none the contract would make.
    pub(super) fn decide_unchecked(&self, pdp: &Pdp) -> Result<Permit, Denied> {
        pdp.decide(&self.question())
    }

    /// The reason, or `allow`.
    pub(super) fn word(&self, pdp: &Pdp) -> &'static str {
        self.decide(pdp)
            .map_or_else(|denied| denied.reason.as_str(), |_| "allow")
    }
}

/// What the windows that are shipped show of a first call.
fn first_windows() -> BTreeMap<writ_types::WindowName, writ_types::Windowed> {
    let first = writ_types::Windowed {
        calls: 1,
        sum: None,
        others: 0,
    };
    [("writ_writes_hour".parse().unwrap(), first)].into()
}
