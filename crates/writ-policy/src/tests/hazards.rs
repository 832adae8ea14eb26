//! The ways in which a Cedar deployment fails open, each with the test that fails when its closure is taken out.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{
    Context, Decision, Entities, EntityUid, EvalResult, PolicySet, Request, RestrictedExpression,
};
use writ_types::{Attr, Projection, ReasonCode};

use super::fixture::{
    Call, NOW, action, attrs, bank, compile, dns, findings, source, text, transfer,
};
use crate::context::{self, Sys};
use crate::decide::{Denied, Outcome};
use crate::index::Facts;
use crate::{Coverage, Pdp, baseline};

const PERMIT_ALL: &str = r#"@id("t.all") permit(principal, action, resource);"#;

/// Cedar alone, with rules our loader would refuse: what it says, and what we make of it.
fn raw(
    policies: &str,
    context: Context,
    entities: &Entities,
) -> (Decision, Result<Vec<String>, Denied>) {
    let uid = |text: &str| text.parse::<EntityUid>().unwrap();
    let request = Request::new(
        uid(r#"Writ::Task::"t""#),
        uid(r#"Api_bank::Action::"transfer""#),
        uid(r#"Writ::Upstream::"bank""#),
        context,
        None,
    )
    .unwrap();
    let set: PolicySet = policies.parse().unwrap();
    let cedar = cedar_policy::Authorizer::new().is_authorized(&request, &set, entities);
    let mut outcome = Outcome::default();
    outcome.add(&request, &set, entities);
    (cedar.decision(), outcome.verdict())
}

fn amount(value: i64) -> Context {
    let body = RestrictedExpression::new_record([(
        "amount".to_owned(),
        RestrictedExpression::new_long(value),
    )]);
    Context::from_pairs([("body".to_owned(), body.unwrap())]).unwrap()
}

#[test]
fn an_erring_forbid_denies() {
    let policies = "permit(principal, action, resource); forbid(principal, action, resource) when { context.body.amount + 1 > 1000 };";
    let (cedar, ours) = raw(policies, amount(i64::MAX), &Entities::empty());
    assert_eq!(
        cedar,
        Decision::Allow,
        "Cedar skips the forbid that overflows"
    );
    let denied = ours.unwrap_err();
    assert_eq!(denied.reason, ReasonCode::PolicyError);
    assert_eq!(denied.rules, ["policy1"]);
    assert!(denied.errors[0].contains("overflow"), "{denied:?}");
    let (_, fits) = raw(policies, amount(5), &Entities::empty());
    assert!(fits.is_ok());
    // And such a rule is not loaded to begin with.
    let text = r#"@id("a") forbid(principal, action == Api_bank::Action::"transfer", resource) when { context.body.amount + 1 > 1000 };"#;
    assert!(findings(text).contains("can overflow"));
}

#[test]
fn a_missing_entity_denies() {
    let policies = r#"permit(principal, action, resource); forbid(principal, action, resource) when { Writ::Agent::"a".owner == "eve" };"#;
    let (cedar, ours) = raw(policies, amount(5), &Entities::empty());
    assert_eq!(
        cedar,
        Decision::Allow,
        "Cedar skips the forbid that finds no entity"
    );
    assert_eq!(ours.unwrap_err().reason, ReasonCode::PolicyError);
    // A rule may follow the request's own entities, two steps deep: those we always supply. Others it may not.
    let literal = findings(
        r#"@id("a") forbid(principal, action, resource) when { Writ::User::"x".subject == "eve" };"#,
    );
    assert!(literal.contains("cannot be dereferenced"), "{literal}");
}

#[test]
fn an_error_in_a_permit_denies_too() {
    let policies = "permit(principal, action, resource); permit(principal, action, resource) when { context.body.nothing };";
    let (_, ours) = raw(policies, amount(5), &Entities::empty());
    assert_eq!(ours.unwrap_err().reason, ReasonCode::PolicyError);
}

#[test]
fn a_typo_in_has_is_found_where_the_validator_finds_nothing() {
    // Each of these passes strict validation with at most the warning that it never matches, and the last without any.
    for (condition, wrong) in [
        ("context has bdoy && context.bdoy.amount > 5", "bdoy"),
        (
            "context has body && context.body has amuont && context.body.amuont > 5",
            "amuont",
        ),
        (
            "context.body.recipient == \"eve\" || (context.body has mmeo && context.body.mmeo == \"x\")",
            "mmeo",
        ),
    ] {
        let rule = format!(
            r#"@id("a") forbid(principal, action == Api_bank::Action::"transfer", resource) when {{ {condition} }};"#
        );
        assert!(
            findings(&rule).contains(&format!("`{wrong}`")),
            "{condition}"
        );
    }
}

#[test]
fn a_rule_that_can_never_match_is_refused_and_one_that_matches_somewhere_is_not() {
    let never = findings(
        r#"@id("a") forbid(principal, action == Api_bank::Action::"transfer", resource) when { context.body.amount > 5 && context.body has memo && !(context.body has amount) };"#,
    );
    assert!(never.contains("can never match"), "{never}");
    let somewhere = r#"@id("a") forbid(principal, action in Writ::Action::"write", resource) when { context has body && context.body has amount };"#;
    assert!(
        compile(somewhere).is_ok(),
        "in the bank, though nowhere in the name server"
    );
}

#[test]
fn coverage_shows_a_forbid_that_is_narrower_than_its_scope() {
    let pdp = compile(
        r#"@id("t.size") forbid(principal, action in Writ::Action::"write", resource) when { context has body && context.body has amount && context.body.amount > 5 };
           @id("t.label") forbid(principal, action in Writ::Action::"write", resource) when { context.sys.labels.contains("pii") };"#,
    )
    .unwrap();
    let covered = |rule: &str| {
        pdp.coverage(rule)
            .into_iter()
            .map(|Coverage { action, can_match }| (action.to_string(), can_match))
            .collect::<BTreeMap<_, _>>()
    };
    let expect = |all: &[(&str, bool)]| -> BTreeMap<String, bool> {
        all.iter()
            .map(|(action, can)| ((*action).to_owned(), *can))
            .collect()
    };
    assert_eq!(
        covered("t.size"),
        expect(&[
            ("bank:note", false),
            ("bank:transfer", true),
            ("dns:deleteZone", false),
            ("dns:patchZone", false)
        ]),
        "an action without that body is not covered, whatever the scope says"
    );
    assert!(covered("t.label").values().all(|can| *can));
    assert!(pdp.coverage("t.none").is_empty());
}

#[test]
fn cedars_json_escapes_in_a_body_stay_plain_values() {
    let escape = |member: &str, inner: &[(&str, &str)]| {
        let inner: Vec<(&str, Attr)> = inner
            .iter()
            .map(|(name, value)| (*name, text(value)))
            .collect();
        attrs(&[(member, attrs(&inner))])
    };
    let body = attrs(&[
        (
            "entity",
            escape("__entity", &[("type", "Writ::User"), ("id", "root")]),
        ),
        (
            "extn",
            escape("__extn", &[("fn", "decimal"), ("arg", "1.0")]),
        ),
        (
            "text",
            text(r#"{"__entity":{"type":"Writ::User","id":"root"}}"#),
        ),
    ]);
    let Attr::Record(parts) = attrs(&[("body", body)]) else {
        panic!("a record")
    };
    let call = Call::of("bank:transfer", attrs(&[]));
    let sys = Sys {
        action: &call.action,
        facts: &call.facts,
        extra: &BTreeSet::new(),
        nulls: &BTreeSet::new(),
        wanted: &Facts::default(),
    };
    let context = context::build(sys, Some((&parts, &Projection::All))).unwrap();
    let Some(EvalResult::Record(body)) = context.get("body") else {
        panic!("a record")
    };
    let Some(EvalResult::Record(entity)) = body.get("entity") else {
        panic!("an entity reference: {body:?}")
    };
    assert!(matches!(
        entity.get("__entity"),
        Some(EvalResult::Record(_))
    ));
    let Some(EvalResult::Record(extn)) = body.get("extn") else {
        panic!("an extension value: {body:?}")
    };
    assert!(matches!(extn.get("__extn"), Some(EvalResult::Record(_))));
    assert!(
        matches!(body.get("text"), Some(EvalResult::String(text)) if text.starts_with("{\"__entity\""))
    );
}

#[test]
fn an_escape_sent_as_a_recipient_is_not_the_entity_it_names() {
    let pdp = compile(
        r#"@id("t.a") permit(principal, action == Api_bank::Action::"transfer", resource) when { context.body.recipient == "{\"__entity\":{\"type\":\"Writ::User\",\"id\":\"root\"}}" };"#,
    )
    .unwrap();
    let sent = r#"{"__entity":{"type":"Writ::User","id":"root"}}"#;
    assert_eq!(
        Call::of("bank:transfer", transfer(1, sent)).word(&pdp),
        "allow"
    );
}

#[test]
fn the_schema_never_takes_names_that_cedar_reserves() {
    let mut api = bank();
    api.operations[1].attributes = super::fixture::record(&[(
        "body",
        super::fixture::record(&[("__entity", writ_types::AttrType::String, true)]),
        true,
    )]);
    let found = Pdp::compile(&[api], &[], NOW).unwrap_err();
    assert!(found[0].message.contains("reserved"), "{found:?}");
}

#[test]
fn text_that_hides_or_imitates_is_refused() {
    let on = |value: &str| {
        format!(
            r#"@id("a") forbid(principal, action == Api_bank::Action::"transfer", resource) when {{ context.body.recipient == "{value}" }};"#
        )
    };
    assert!(compile(&on("admin")).is_ok());
    assert!(compile(&on("müller@example.org")).is_ok());
    // A Cyrillic letter among Latin ones; Cedar warns, and warnings are errors.
    let mixed = findings(&on("say_һello"));
    assert!(mixed.contains("mixed scripts"), "{mixed}");
    // A direction override in a string, and in a comment, where Cedar does not look.
    let bidi = findings(&on("user\u{202E} \u{2066}// x"));
    assert!(bidi.contains("U+202E"), "{bidi}");
    let comment = findings(&format!("// harmless \u{202E} txet\n{PERMIT_ALL}"));
    assert!(
        comment.contains("test.cedar:1:13: error[hidden-character]: the text holds U+202E"),
        "{comment}"
    );
}

#[test]
fn an_optional_attribute_needs_its_guard() {
    let on = |condition: &str| {
        format!(
            r#"@id("a") forbid(principal, action == Api_bank::Action::"transfer", resource) when {{ {condition} }};"#
        )
    };
    let unguarded = findings(&on(r#"context.body.memo == "x""#));
    assert!(unguarded.contains("memo"), "{unguarded}");
    // A negated guard is no guard.
    assert!(
        compile(&on(
            r#"!(context.body has memo) || context.body.memo == "x""#
        ))
        .is_err()
    );
    assert!(
        compile(&on(
            r#"if context.body has memo then context.body.memo == "x" else true"#
        ))
        .is_ok()
    );
    assert!(compile(&on(r#"context.body has memo && context.body.memo == "x""#)).is_ok());
    // A part that only some of the rule's operations have is optional, too.
    let some = r#"@id("a") forbid(principal, action in Writ::Action::"write", resource) when { context.body.amount > 5 };"#;
    assert!(findings(some).contains("(API `dns`)"));
}

#[test]
fn entities_are_followed_two_steps_and_no_further() {
    assert!(
        compile(
            r#"@id("a") forbid(principal, action, resource) when { principal.agent.owner == "x" };"#
        )
        .is_ok()
    );
    let pdp = Pdp::compile(&[dns(), bank()], &[baseline(), source("")], NOW).unwrap();
    let call = Call::of("bank:account", attrs(&[]));
    let prepared = pdp.prepare(&call.agent, &call.grant).unwrap();
    // Everything an attribute or a parent names is there.
    for entity in prepared.entities.iter() {
        for ancestor in prepared.entities.ancestors(&entity.uid()).unwrap() {
            assert!(prepared.entities.get(ancestor).is_some(), "{ancestor}");
        }
        for (name, value) in entity.attrs() {
            if let EvalResult::EntityUid(uid) = value.unwrap() {
                assert!(prepared.entities.get(&uid).is_some(), "{name}: {uid}");
            }
        }
    }
    assert!(pdp.projection(&action("bank:account")).is_nothing());
}

#[test]
fn numbers_beyond_63_bits_count_as_the_largest() {
    let pdp = compile(r#"@id("t.all") permit(principal, action, resource); @id("t.many") forbid(principal, action, resource) when { context.sys.count.calls > 1000 };"#).unwrap();
    let mut call = Call::of("bank:account", attrs(&[]));
    call.facts.spent.calls = u64::MAX;
    assert_eq!(call.word(&pdp), "forbidden");
}
