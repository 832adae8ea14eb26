//! The shipped policies.

use std::collections::BTreeSet;

use writ_types::{Attr, Budget, Mode, ReasonCode};

use super::fixture::{Call, NOW, action, attrs, bank, dns, patch, transfer};
use crate::{InputView, Pdp, baseline, decide};

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
                "core.extra"
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
