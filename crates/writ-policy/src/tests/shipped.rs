//! The shipped policies.

use std::collections::BTreeSet;

use writ_types::{Attr, Budget, Facts, Mode, Origin, ReasonCode};

use super::fixture::{Call, NOW, action, attrs, bank, dns, patch, transfer};
use crate::{FREEZES, Freeze, FreezeError, InputView, Pack, Pdp, PolicySource, baseline, decide};

fn pdp() -> Pdp {
    Pdp::compile(&[dns(), bank()], &[baseline()], NOW).unwrap()
}

fn delete() -> Call {
    let zone = Attr::String("example.org.".to_owned());
    Call::of(
        "dns:deleteZone",
        attrs(&[("path", attrs(&[("zone_id", zone)]))]),
    )
}

fn rules(call: &Call) -> Vec<String> {
    let denied = call.decide(&pdp()).unwrap_err();
    assert_eq!(denied.reason, ReasonCode::Forbidden);
    denied.rules
}

#[test]
fn the_baseline_loads_for_any_set_of_apis() {
    for apis in [vec![], vec![dns()], vec![bank()], vec![dns(), bank()]] {
        let pdp = Pdp::compile(&apis, &[baseline()], NOW).unwrap();
        assert!(pdp.notices().is_empty());
        assert_eq!(
            pdp.rules().collect::<Vec<_>>(),
            [
                "core.declared",
                "core.read",
                "core.write",
                "core.delete",
                "core.irreversible",
                "core.extra",
                "core.flow",
                "core.vouched",
                "core.unready",
                "core.planned"
            ]
        );
    }
}

#[test]
fn every_shipped_rule_says_what_it_is_for() {
    let text = baseline().text;
    assert_eq!(
        text.matches("\n@id(").count(),
        text.matches("\n@doc(").count()
    );
}

#[test]
fn declared_actions_are_allowed() {
    assert_eq!(
        Call::of("bank:transfer", transfer(5, "bob")).word(&pdp()),
        "allow"
    );
    assert_eq!(
        Call::of("dns:patchZone", patch("a.", "b.", "TXT"))
            .autonomous()
            .word(&pdp()),
        "allow"
    );
    assert_eq!(delete().word(&pdp()), "allow");
}

#[test]
fn what_was_not_declared_is_refused_by_gate_and_by_rule() {
    let mut call = Call::of("bank:transfer", transfer(5, "bob"));
    call.grant.actions = BTreeSet::from([action("bank:account")]);
    assert_eq!(call.word(&pdp()), "action_not_granted");
    // The gate stands before the rule, so the rule is asked alone: a task that declared something else.
    let entities = pdp().prepare(&call.agent, &call.grant).unwrap();
    let index = pdp();
    let action = action("bank:transfer");
    let index = index.action(&action).unwrap();
    let question = call.question();
    let InputView::Typed(input) = question.input else {
        panic!("typed")
    };
    let request = decide::request(&question, index, &entities, Some(input)).unwrap();
    let outcome = decide::evaluate(&request, index, &entities.entities, |set| &set.all);
    assert_eq!(outcome.forbids, ["core.declared"]);
}

#[test]
fn autonomous_agents_delete_and_destroy_only_what_was_granted_by_number() {
    let none = Budget {
        deletes: 0,
        irreversible: 0,
        ..Budget::DEFAULT
    };
    assert_eq!(
        rules(&delete().autonomous().budget(none)),
        ["core.delete", "core.irreversible"]
    );
    let deletes = Budget { deletes: 1, ..none };
    assert_eq!(
        rules(&delete().autonomous().budget(deletes)),
        ["core.irreversible"]
    );
    let both = Budget {
        irreversible: 1,
        ..deletes
    };
    assert_eq!(delete().autonomous().budget(both).word(&pdp()), "allow");
    // The agent's own mode counts though the task was opened in another.
    let mut promoted = delete().budget(none);
    promoted.agent.mode = Mode::Autonomous;
    assert_eq!(rules(&promoted), ["core.delete", "core.irreversible"]);
    // An operation that nobody has reviewed counts as irreversible, a read too.
    let unreviewed = Call::of("dns:GET:/servers/{id}", attrs(&[]))
        .autonomous()
        .budget(none);
    assert_eq!(rules(&unreviewed), ["core.irreversible"]);
}

#[test]
fn a_write_with_unknown_members_is_refused() {
    let mut call = Call::of("bank:transfer", transfer(5, "bob"));
    call.extra.insert("/body/callback_url".to_owned());
    assert_eq!(rules(&call), ["core.extra"]);
    let mut read = Call::of("bank:account", attrs(&[]));
    read.extra.insert("/query/x".to_owned());
    assert_eq!(read.word(&pdp()), "allow");
}

#[test]
fn a_value_that_nothing_vouches_for_is_entered_by_a_person() {
    let mut call = Call::of("bank:transfer", transfer(5, "bob"));
    call.facts.arguments.add("/body/recipient", Origin::Unseen);
    let denied = call.decide(&pdp()).unwrap_err();
    assert_eq!(denied.rules, ["core.vouched"]);
    let needs = denied.needs.unwrap();
    assert!(needs.confirm, "a click could be to anything");
    assert_eq!(needs.roles, ["requester".to_owned()].into());
    // With another rule beside it, it is not softer.
    call.agent.groups.insert(Pack::Copilot.group());
    let needs = call.decide(&packed()).unwrap_err().needs.unwrap();
    assert!(needs.confirm);
    assert!(!needs.four_eyes);
}

fn packed() -> Pdp {
    let sources: Vec<PolicySource> = std::iter::once(baseline())
        .chain(Pack::ALL.map(Pack::source))
        .collect();
    let pdp = Pdp::compile(&[dns(), bank()], &sources, NOW).unwrap();
    assert!(pdp.notices().is_empty());
    pdp
}

/// The call of an agent that has chosen these packs.
fn with(packs: &[Pack], mut call: Call) -> Call {
    call.agent
        .groups
        .extend(packs.iter().map(|pack| pack.group()));
    call
}

#[test]
fn packs_are_for_agents_that_have_chosen_them_and_load_for_any_set_of_apis() {
    for apis in [vec![], vec![dns()], vec![dns(), bank()]] {
        for pack in Pack::ALL {
            let pdp = Pdp::compile(&apis, &[baseline(), pack.source()], NOW).unwrap();
            assert!(pdp.notices().is_empty());
            assert_eq!(Pack::named(pack.as_str()), Some(pack));
            let text = pack.source().text;
            assert_eq!(
                text.matches("\n@id(").count(),
                text.matches("\n@doc(").count()
            );
            let scoped = format!("principal in Writ::AgentGroup::\"{}\"", pack.group());
            assert_eq!(
                text.matches("forbid (").count(),
                text.matches(&scoped).count()
            );
            assert!(!text.contains("permit"), "a pack only narrows");
        }
    }
    assert_eq!(Pack::named("none"), None);
}

#[test]
fn what_each_pack_says() {
    use Pack::{Autonomous, Copilot, ReadOnly};
    let pdp = packed();
    let read = || Call::of("bank:account", attrs(&[]));
    let write = || Call::of("dns:patchZone", patch("a.", "b.", "TXT"));
    let send = || Call::of("bank:transfer", transfer(5, "bob"));
    let unreviewed = || Call::of("dns:GET:/servers/{id}", attrs(&[]));
    let tainted = |mut call: Call| {
        call.facts.labels.insert("untrusted".parse().unwrap());
        call
    };
    let named = |mut call: Call, origin| {
        call.facts.arguments.add("/body/recipient", origin);
        call
    };
    let often = |mut call: Call, times: u64| {
        call.facts.this_operation = times;
        call.facts.spent.writes = times;
        call
    };
    for (packs, call, word) in [
        (&[][..], send(), "allow"),
        (&[Copilot], read(), "allow"),
        (&[Copilot], write(), "allow"),
        (&[Copilot], often(write(), 20), "allow"),
        (&[Copilot], often(write(), 21), "approval_required"),
        (&[Copilot], send(), "approval_required"),
        (&[Copilot], named(send(), Origin::Prompt), "allow"),
        (
            &[Copilot],
            named(send(), Origin::Field),
            "approval_required",
        ),
        (&[Copilot], delete(), "approval_required"),
        (&[Copilot], unreviewed(), "approval_required"),
        (&[Autonomous], send(), "allow"),
        (&[Autonomous], tainted(send()), "approval_required"),
        (&[Autonomous], tainted(write()), "allow"),
        (&[Autonomous], delete(), "approval_required"),
        (&[Autonomous], unreviewed(), "approval_required"),
        (&[Autonomous], often(read(), 50), "allow"),
        (&[Autonomous], often(read(), 51), "approval_required"),
        (&[ReadOnly], read(), "allow"),
        (&[ReadOnly], write(), "forbidden"),
        (&[ReadOnly], send(), "forbidden"),
        (&[ReadOnly], unreviewed(), "forbidden"),
        (&[Copilot, ReadOnly], delete(), "forbidden"),
    ] {
        let action = call.action.to_string();
        assert_eq!(with(packs, call).word(&pdp), word, "{packs:?} {action}");
    }
    // A pack asks whom it says it asks.
    let needs = with(&[Copilot], send())
        .decide(&pdp)
        .unwrap_err()
        .needs
        .unwrap();
    assert_eq!(needs.roles, ["requester".to_owned()].into());
    let needs = with(&[Autonomous], delete())
        .decide(&pdp)
        .unwrap_err()
        .needs
        .unwrap();
    assert_eq!(needs.roles, ["operator".to_owned()].into());
}

#[test]
fn what_strangers_and_confidants_said_does_not_leave_together_without_a_person() {
    let labelled = |labels: &[&str]| {
        let mut call = Call::of("bank:transfer", transfer(5, "bob"));
        call.facts.labels = labels.iter().map(|label| label.parse().unwrap()).collect();
        call.word(&pdp())
    };
    for (labels, word) in [
        (&[][..], "allow"),
        (&["untrusted"], "allow"),
        (&["pii"], "allow"),
        (&["untrusted", "pii"], "approval_required"),
        (&["untrusted", "confidential"], "approval_required"),
        (&["secret", "untrusted"], "approval_required"),
        (&["untrusted", "public"], "allow"),
    ] {
        assert_eq!(labelled(labels), word, "{labels:?}");
    }
    let mut note = Call::of("bank:note", attrs(&[]));
    note.facts.labels = ["untrusted".parse().unwrap(), "pii".parse().unwrap()].into();
    assert_eq!(
        note.word(&pdp()),
        "allow",
        "what stays inside may be written down"
    );
}

/// What is known of a transfer after the task has read `untrusted` and `pii`, and what becomes of it.
type Leaves = (&'static str, fn(&mut Facts), &'static str);
const LEAVES: &[Leaves] = &[
    ("it says nothing at all", |_facts| (), "allow"),
    ("in bounds", |facts| to(facts, Origin::Bounds), "allow"),
    ("prompted", |facts| to(facts, Origin::Prompt), "allow"),
    ("entered", |facts| to(facts, Origin::Endorsement), "allow"),
    (
        "from a field",
        |facts| to(facts, Origin::Field),
        "approval_required",
    ),
    (
        "from a party",
        |facts| to(facts, Origin::Party),
        "approval_required",
    ),
    (
        "something beside it is free",
        |facts| {
            to(facts, Origin::Bounds);
            facts.arguments.free = Some(["/body/subject".to_owned()].into());
        },
        "approval_required",
    ),
    (
        "nobody has looked",
        |facts| facts.arguments.free = None,
        "approval_required",
    ),
    (
        "nobody has said what it means",
        |facts| {
            to(facts, Origin::Bounds);
            facts.arguments.unreviewed = true;
        },
        "approval_required",
    ),
    (
        "a sink of this label",
        |facts| {
            facts.arguments.free = None;
            facts.sinks = ["pii".parse().unwrap()].into();
        },
        "allow",
    ),
    (
        "a sink of another label",
        |facts| {
            facts.arguments.free = None;
            facts.sinks = ["confidential".parse().unwrap()].into();
        },
        "approval_required",
    ),
];

fn to(facts: &mut Facts, origin: Origin) {
    facts.arguments.add("/body/recipient", origin);
}

#[test]
fn a_call_that_says_only_what_a_person_named_tells_nobody_anything() {
    for (row, change, word) in LEAVES {
        let mut call = Call::of("bank:transfer", transfer(5, "bob"));
        call.facts.labels = ["untrusted", "pii"]
            .map(|label| label.parse().unwrap())
            .into();
        call.facts.arguments.free = Some(BTreeSet::new());
        change(&mut call.facts);
        assert_eq!(call.word(&pdp()), *word, "{row}");
    }
}

#[test]
fn a_freeze_has_a_begin_and_an_end() {
    let second = std::time::Duration::from_secs(1);
    let mut freeze = Freeze {
        name: "year-end".to_owned(),
        reason: "books are closed".to_owned(),
        from: NOW,
        until: NOW.plus(second * 60),
        apis: BTreeSet::new(),
    };
    let compiled = |freeze: &Freeze| {
        let source = PolicySource {
            name: FREEZES.to_owned(),
            text: freeze.rules().unwrap(),
        };
        Pdp::compile(&[dns(), bank()], &[baseline(), source], NOW).unwrap()
    };
    let at = |pdp: &Pdp, name: &str, input: Attr, now| {
        let mut call = Call::of(name, input);
        call.facts.now = now;
        call.word(pdp)
    };
    let all = compiled(&freeze);
    let write = || patch("a.", "b.", "TXT");
    let before = NOW.minus(std::time::Duration::from_millis(1));
    let last = freeze.until.minus(std::time::Duration::from_millis(1));
    for (now, word) in [
        (before, "allow"),
        (NOW, "frozen"),
        (last, "frozen"),
        (freeze.until, "allow"),
    ] {
        assert_eq!(at(&all, "dns:patchZone", write(), now), word);
    }
    assert_eq!(
        at(&all, "bank:account", attrs(&[]), NOW),
        "allow",
        "reads go on"
    );
    assert_eq!(at(&all, "bank:transfer", transfer(5, "bob"), NOW), "frozen");
    // A plain forbid beside it is a plain forbid.
    let mut extra = Call::of("bank:transfer", transfer(5, "bob"));
    extra.extra.insert("/body/x".to_owned());
    assert_eq!(extra.word(&all), "forbidden");
    freeze.apis = BTreeSet::from(["bank".parse().unwrap()]);
    let one = compiled(&freeze);
    assert_eq!(at(&one, "dns:patchZone", write(), NOW), "allow");
    assert_eq!(at(&one, "bank:transfer", transfer(5, "bob"), NOW), "frozen");
    let with = |change: &dyn Fn(&mut Freeze)| {
        let mut other = freeze.clone();
        change(&mut other);
        other.rules().unwrap_err()
    };
    assert_eq!(
        with(&|freeze| freeze.until = freeze.from),
        FreezeError::Order
    );
    assert_eq!(
        with(&|freeze| freeze.name = "a\"b".to_owned()),
        FreezeError::Name
    );
    assert_eq!(
        with(&|freeze| freeze.reason = "a\") permit(".to_owned()),
        FreezeError::Reason
    );
    let taken =
        super::fixture::findings(r#"@id("freeze.mine") forbid(principal, action, resource);"#);
    assert!(taken.contains("policies/freezes.toml"), "{taken}");
}

#[test]
fn what_its_document_describes_worst_is_asked_about_each_time() {
    let mut apis = bank();
    for shape in &mut apis.operations {
        shape.unready = true;
    }
    let pdp = Pdp::compile(&[apis], &[baseline()], NOW).unwrap();
    let mut call = Call::of("bank:transfer", transfer(5, "bob"));
    let denied = call.decide(&pdp).unwrap_err();
    assert_eq!(
        (denied.reason, denied.rules.as_slice()),
        (
            ReasonCode::ApprovalRequired,
            &["core.unready".to_owned()][..]
        )
    );
    let needs = denied.needs.unwrap();
    assert_eq!(needs.roles, ["operator".to_owned()].into());
    call.facts.approvals.insert("operator".to_owned());
    assert!(call.decide(&pdp).is_ok());
}
