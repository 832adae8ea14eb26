//! What is fixed before a call, and what the prover gets to read.

use writ_types::ActionName;

use super::fixture::{Call, action, attrs, compile, with_baseline};
use crate::{Holds, Part, Standing, Unprovable};

/// How the rule `t` of `text` stands to `name` for a copilot's task.
fn standing(text: &str, name: &str) -> Option<Standing> {
    let pdp = with_baseline(text);
    let call = Call::of(name, attrs(&[]));
    let actions: [ActionName; 1] = [action(name)];
    let survey = pdp.survey();
    let mut all = survey
        .standings(&call.agent, &call.grant, actions)
        .expect("the entities are made");
    let standings = all.remove(&action(name)).expect("it was asked for");
    standings.into_iter().find(|standing| standing.rule == "t")
}

/// A rule after its `@id`, and how it stands to `bank:transfer` of a copilot in the group `infra`.
const RULES: &[(&str, Option<Holds>)] = &[
    ("permit (principal, action, resource)", Some(Holds::Always)),
    (
        "permit (principal, action, resource) when { principal.mode == \"copilot\" }",
        Some(Holds::Always),
    ),
    (
        "permit (principal, action, resource) when { principal.mode == \"autonomous\" }",
        Some(Holds::Never),
    ),
    (
        "permit (principal, action, resource) when { principal.mode == \"autonomous\" && context.sys.count.calls > 3 }",
        Some(Holds::Never),
    ),
    (
        "permit (principal, action, resource) when { principal.mode == \"copilot\" && context.sys.count.calls > 3 }",
        Some(Holds::Depends),
    ),
    (
        "permit (principal, action, resource) unless { principal.mode == \"copilot\" || context.sys.count.calls > 3 }",
        Some(Holds::Never),
    ),
    (
        "permit (principal, action, resource) when { principal.mode == \"copilot\" || context.sys.count.calls > 3 }",
        Some(Holds::Depends),
    ),
    (
        "permit (principal, action, resource) when { !(principal.mode == \"autonomous\") }",
        Some(Holds::Always),
    ),
    (
        "forbid (principal in Writ::AgentGroup::\"infra\", action, resource)",
        Some(Holds::Always),
    ),
    (
        "forbid (principal in Writ::AgentGroup::\"other\", action, resource)",
        Some(Holds::Never),
    ),
    (
        "forbid (principal in Writ::User::\"i#s\", action, resource)",
        Some(Holds::Depends),
    ),
    (
        "forbid (principal, action, resource) when { principal has requester }",
        Some(Holds::Depends),
    ),
    (
        "forbid (principal, action, resource) when { context.sys.labels.contains(\"untrusted\") }",
        Some(Holds::Depends),
    ),
    (
        "forbid (principal, action == Api_bank::Action::\"transfer\", resource) when { context.body.amount > 5 }",
        Some(Holds::Depends),
    ),
    (
        "forbid (principal, action, resource) when { context.sys.action == \"bank:transfer\" }",
        Some(Holds::Always),
    ),
    (
        "forbid (principal, action, resource) when { context.sys.op == \"account\" }",
        Some(Holds::Never),
    ),
    (
        "forbid (principal, action in Writ::Action::\"read\", resource)",
        None,
    ),
];

#[test]
fn a_rule_applies_always_never_or_it_depends() {
    for (rule, holds) in RULES {
        let found = standing(&format!("@id(\"t\") {rule};"), "bank:transfer");
        assert_eq!(found.map(|standing| standing.holds), *holds, "{rule}");
    }
}

#[test]
fn what_a_rule_says_is_its_digest_and_not_its_layout() {
    let digest = |text: &str| standing(text, "bank:account").map(|found| found.digest);
    let plain = digest("@id(\"t\") permit (principal, action, resource);");
    let spaced =
        digest("// why\n@id(\"t\")\n@doc(\"words\")\npermit (principal,\n action, resource);");
    assert_eq!(plain, spaced);
    let other = digest("@id(\"t\") permit (principal, action, resource) when { true };");
    assert_ne!(plain, other);
    let annotated = digest("@id(\"t\") @severity(\"high\") permit (principal, action, resource);");
    assert_ne!(plain, annotated);
}

#[test]
fn a_plain_rule_permits_or_forbids() {
    let part = |text: &str| standing(text, "bank:account").map(|found| found.part);
    assert_eq!(
        part("@id(\"t\") permit (principal, action, resource);"),
        Some(Part::Permits)
    );
    assert_eq!(
        part("@id(\"t\") forbid (principal, action, resource);"),
        Some(Part::Forbids)
    );
}

#[test]
fn the_prover_reads_what_the_rules_of_both_sides_look_at() {
    let before = with_baseline(
        "@id(\"t\") forbid (principal, action == Api_bank::Action::\"transfer\", resource) when { context.body.amount > 5 };",
    );
    let after = with_baseline(
        "@id(\"t\") forbid (principal, action == Api_bank::Action::\"transfer\", resource) when { context.body.recipient == \"x\" };",
    );
    let case = before
        .proof_case(&after, &action("bank:transfer"))
        .expect("it can be compared");
    for name in ["amount", "recipient", "extra", "labels"] {
        assert!(case.schema.contains(name), "{name}: {}", case.schema);
    }
    assert!(!case.schema.contains("memo"), "nobody looks at it");
    assert!(
        case.assume
            .contains("principal.declared.contains(\"bank:transfer\")")
    );
    assert_eq!(case.before.len(), case.after.len());
    assert!(
        case.before
            .iter()
            .all(|rule| !rule.policy.contains("Action")),
        "no scope names an action"
    );
    let missing = before.proof_case(&after, &action("bank:nothing"));
    assert_eq!(missing, Err(Unprovable::OneSide));
}

#[test]
fn only_the_views_count_is_assumed_to_be_none_below_zero() {
    let text = "@id(\"t\") forbid (principal, action == Api_dns::Action::\"patchZone\", resource) when { context.body.rrsets.count > 3 };";
    let pdp = compile(text).expect("it is sound");
    let case = pdp
        .proof_case(&pdp, &action("dns:patchZone"))
        .expect("it can be compared");
    assert!(
        case.assume
            .contains("context[\"body\"][\"rrsets\"][\"count\"] >= 0"),
        "{}",
        case.assume
    );
    let text = "@id(\"t\") forbid (principal, action == Api_bank::Action::\"transfer\", resource) when { context.body.amount > 3 };";
    let pdp = compile(text).expect("it is sound");
    let case = pdp
        .proof_case(&pdp, &action("bank:transfer"))
        .expect("it can be compared");
    assert!(!case.assume.contains("amount"), "{}", case.assume);
}
