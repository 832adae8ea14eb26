//! `STEP_UP`, DEFER and MODIFY: what lifts a forbid, and what is done to a response.

use std::time::Duration;

use writ_types::{Attr, ReasonCode, Verdict};

use super::fixture::{Call, attrs, compile, findings, transfer};
use crate::{Denied, Needs, Pdp, ResponseView};

const ALL: &str = r#"@id("t.all") permit(principal, action, resource);"#;

/// A rule about transfers of more than `least`.
fn above(id: &str, annotation: &str, least: i64) -> String {
    format!(
        r#"@id("{id}") {annotation} forbid(principal, action == Api_bank::Action::"transfer", resource) when {{ context.body.amount > {least} }};"#
    )
}

fn pdp(rules: &[String]) -> Pdp {
    compile(&format!("{ALL} {}", rules.join(" "))).unwrap()
}

fn send(amount: i64) -> Call {
    Call::of("bank:transfer", transfer(amount, "bob"))
}

fn denied(call: &Call, pdp: &Pdp) -> Denied {
    call.decide(pdp).unwrap_err()
}

fn needs(call: &Call, pdp: &Pdp) -> Needs {
    *denied(call, pdp).needs.unwrap()
}

#[test]
fn the_strength_order() {
    // Each line: what is above 10, 20, 30, 40; the call's amount; what becomes of it.
    let rules = [
        above("r.oblige", r#"@oblige("redact:/balance")"#, 10).replace("forbid", "permit"),
        above("r.approval", r#"@approval("security")"#, 20),
        above("r.defer", r#"@defer("24h")"#, 30),
        above("r.forbid", "", 40),
    ];
    let pdp = pdp(&rules);
    for (amount, verdict) in [
        (5, Verdict::Allow),
        (15, Verdict::Modify),
        (25, Verdict::StepUp),
        (35, Verdict::Defer),
        (45, Verdict::Deny),
    ] {
        let decided = send(amount).decide(&pdp);
        let found = decided.map_or_else(|denied| denied.verdict, |permit| permit.verdict());
        assert_eq!(found, verdict, "{amount}");
    }
    assert!(Verdict::Deny > Verdict::Defer && Verdict::Defer > Verdict::StepUp);
    assert!(Verdict::StepUp > Verdict::Modify && Verdict::Modify > Verdict::Allow);
}

#[test]
fn an_approval_lifts_its_rule_and_no_other() {
    let pdp = pdp(&[
        above("a.low", r#"@approval("security")"#, 10),
        above("a.high", r#"@approval("treasury") @four_eyes"#, 20),
    ]);
    let call = send(15);
    let asked = denied(&call, &pdp);
    assert_eq!(
        (asked.verdict, asked.reason),
        (Verdict::StepUp, ReasonCode::ApprovalRequired)
    );
    assert_eq!(asked.rules, ["a.low"]);
    assert_eq!(needs(&call, &pdp).roles, ["security".to_owned()].into());
    assert!(!needs(&call, &pdp).four_eyes);

    let mut both = send(25);
    let asked = needs(&both, &pdp);
    assert_eq!(
        asked.roles,
        ["security".to_owned(), "treasury".to_owned()].into()
    );
    assert!(asked.four_eyes);
    assert_ne!(
        asked.rules,
        needs(&call, &pdp).rules,
        "what is given for one rule is not given for two"
    );
    both.facts.approvals.insert("security".to_owned());
    assert_eq!(needs(&both, &pdp).roles, ["treasury".to_owned()].into());
    both.facts.approvals.insert("treasury".to_owned());
    assert_eq!(both.word(&pdp), "allow");
    let mut other = send(25);
    other.facts.approvals.insert("janitor".to_owned());
    assert_eq!(other.word(&pdp), "approval_required");
}

#[test]
fn nobody_is_asked_for_what_would_not_help() {
    let soft = above("a.soft", r#"@approval("security")"#, 10);
    // A hard forbid beside it.
    let hard = pdp(&[soft.clone(), above("b.hard", "", 10)]);
    assert_eq!(denied(&send(15), &hard).rules, ["a.soft", "b.hard"]);
    assert_eq!(send(15).word(&hard), "forbidden");
    // No permit underneath.
    let none = compile(&soft).unwrap();
    assert_eq!(send(15).word(&none), "not_permitted");
    assert!(denied(&send(15), &none).needs.is_none());
    // An obligation that could not be met afterwards.
    let oblige = r#"@id("o") @oblige("redact:/x") permit(principal, action, resource);"#.to_owned();
    let unmet = pdp(&[soft, oblige]);
    let mut call = send(15);
    assert_eq!(call.word(&unmet), "approval_required");
    call.response = ResponseView::Streamed;
    assert_eq!(call.word(&unmet), "obligation_unmet");
}

#[test]
fn an_approval_never_covers_an_error() {
    use crate::decide::Outcome;
    use cedar_policy::{Context, Entities, PolicySet, Request};
    let set: PolicySet = "permit(principal, action, resource); forbid(principal, action, resource) when { context.nothing };".parse().unwrap();
    let uid = |text: &str| text.parse().unwrap();
    let request = Request::new(
        uid(r#"A::"a""#),
        uid(r#"Action::"b""#),
        uid(r#"C::"c""#),
        Context::empty(),
        None,
    )
    .unwrap();
    let mut outcome = Outcome::default();
    outcome.add(&request, &set, &Entities::empty());
    let denied = outcome.verdict().unwrap_err();
    assert_eq!(
        (denied.verdict, denied.reason),
        (Verdict::Deny, ReasonCode::PolicyError)
    );
    assert!(denied.needs.is_none());
}

#[test]
fn a_wait_is_for_its_rule_and_comes_before_an_approval() {
    let pdp = pdp(&[
        above("d.short", r#"@defer("90m")"#, 10),
        above("d.long", r#"@defer("24h")"#, 20),
        above("d.person", r#"@approval("operator")"#, 30),
    ]);
    let mut call = send(35);
    let asked = needs(&call, &pdp);
    assert_eq!(denied(&call, &pdp).reason, ReasonCode::Deferred);
    assert_eq!(asked.waits, ["24h".to_owned(), "90m".to_owned()].into());
    assert_eq!(asked.span, Duration::from_secs(86_400));
    call.facts.deferred = asked.waits;
    assert_eq!(denied(&call, &pdp).reason, ReasonCode::ApprovalRequired);
    call.facts.approvals.insert("operator".to_owned());
    assert_eq!(call.word(&pdp), "allow");
    call.facts.deferred.clear();
    assert_eq!(call.word(&pdp), "deferred");
}

#[test]
fn obligations_of_all_rules_that_apply_are_joined_and_none_grants() {
    let oblige = |id: &str, value: &str, least: i64| {
        above(id, &format!(r#"@oblige("{value}")"#), least).replace("forbid", "permit")
    };
    let rules = [
        oblige("o.a", "redact:/balance,/items/*/iban", 0),
        oblige("o.b", "limit-bytes:4096", 0),
        oblige("o.c", "limit-bytes:1024", 10),
    ];
    let pdp_ = pdp(&rules);
    let words = |amount: i64| {
        let permit = send(amount).decide(&pdp_).unwrap();
        assert_eq!(permit.rules(), ["t.all"], "an obligation is no permit");
        permit.obligations().to_string()
    };
    assert_eq!(
        words(5),
        "limit-bytes:4096 redact:/balance redact:/items/*/iban"
    );
    assert_eq!(
        words(15),
        "limit-bytes:1024 redact:/balance redact:/items/*/iban"
    );
    let permit = Call::of("bank:account", attrs(&[])).decide(&pdp_).unwrap();
    assert_eq!(
        (permit.verdict(), permit.obligations().is_empty()),
        (Verdict::Allow, true)
    );
    // Alone they grant nothing.
    assert_eq!(
        send(15).word(&compile(&rules.join(" ")).unwrap()),
        "not_permitted"
    );
}

#[test]
fn an_obligation_that_cannot_be_met_is_a_no() {
    let pdp = pdp(&[
        r#"@id("o") @oblige("limit-bytes:9") permit(principal, action, resource);"#.to_owned(),
    ]);
    let mut call = send(5);
    assert_eq!(call.word(&pdp), "allow");
    call.response = ResponseView::Streamed;
    let refused = denied(&call, &pdp);
    assert_eq!(
        (refused.verdict, refused.reason),
        (Verdict::Deny, ReasonCode::ObligationUnmet)
    );
    assert_eq!(refused.rules, ["o"]);
}

#[test]
fn with_a_faulty_input_nobody_is_asked() {
    let soft = compile(&format!(
        r#"{ALL} @id("s") @approval("operator") forbid(principal, action, resource);"#
    ))
    .unwrap();
    let call = Call::of("bank:transfer", attrs(&[]));
    assert_eq!(call.clone().faulty().word(&soft), "invalid_input");
    assert_eq!(
        call.clone().unrepresentable().word(&soft),
        "unrepresentable"
    );
    let hard = compile(&format!(
        r#"{ALL} @id("h") forbid(principal, action, resource);"#
    ))
    .unwrap();
    assert_eq!(call.faulty().word(&hard), "forbidden");
}

#[test]
fn the_clause_may_be_written_out_and_then_it_is_not_added_again() {
    let spelled = r#"@id("a") @approval("security") forbid(principal, action == Api_bank::Action::"transfer", resource) unless { context.sys.approvals.contains("security") };"#;
    let short = r#"@id("a") @approval("security") forbid(principal, action == Api_bank::Action::"transfer", resource);"#;
    for text in [spelled, short] {
        let pdp = compile(&format!("{ALL} {text}")).unwrap();
        let mut call = send(1);
        assert_eq!(call.word(&pdp), "approval_required");
        call.facts.approvals.insert("security".to_owned());
        assert_eq!(call.word(&pdp), "allow");
    }
}

#[test]
fn annotations_that_would_mean_nothing_are_refused() {
    let forbid = |annotations: &str, rest: &str| {
        format!(r#"@id("a") {annotations} forbid(principal, action, resource) {rest};"#)
    };
    let permit = |annotations: &str| {
        format!(r#"@id("a") {annotations} permit(principal, action, resource);"#)
    };
    #[rustfmt::skip]
    let cases = [
        (permit(r#"@approval("x")"#), "`@approval` stands on a permit",
        ),
        (permit(r#"@defer("1h")"#), "`@defer` stands on a permit"),
        (forbid(r#"@oblige("redact:/a")"#, ""), "`@oblige` stands on a forbid",
        ),
        (forbid("@four_eyes", ""), "`@four_eyes` stands alone"),
        (forbid(r#"@approval("x") @four_eyes("yes")"#, ""), "`@four_eyes` takes no value",
        ),
        (forbid("@confirm", ""), "`@confirm` stands alone"),
        (forbid(r#"@approval("x") @confirm("yes")"#, ""), "`@confirm` takes no value"),
        (forbid(r#"@approval("x") @confirm"#, ""), "`@confirm` stands on a rule that does not ask"),
        (forbid(r#"@approval("x y")"#, ""), "`@approval` names no role",
        ),
        (forbid("@approval", ""), "`@approval` names no role"),
        (forbid(r#"@defer("soon")"#, ""), "`@defer` names no time"),
        (forbid(r#"@approval("x") @defer("1h")"#, ""), "a rule has one of",
        ),
        (permit(r#"@oblige("log:full")"#), "`@oblige`: an obligation is",
        ),
        (permit(r#"@oblige("redact:x")"#), "`@oblige`: `redact:` takes JSON pointers",
        ),
        (forbid(r#"@aproval("x")"#, ""), "did you mean `approval`?"),
        // What only an annotation gives is looked at nowhere else.
        (forbid("", r#"unless { context.sys.approvals.contains("x") }"#), "looked at outside `@approval`",
        ),
        (forbid(r#"@approval("x")"#, r#"unless { context.sys.approvals.contains("y") }"#), "take it out: the annotation adds",
        ),
        (forbid(r#"@approval("x")"#, r#"when { context.sys.approvals.contains("x") }"#), "looked at outside",
        ),
        (forbid(r#"@defer("1h")"#, r#"unless { context.sys.deferred.contains("2h") }"#), "looked at outside",
        ),
    ];
    for (text, said) in cases {
        let found = findings(&text);
        assert!(found.contains(said), "{said}\n{found}");
        assert!(found.contains("test.cedar:1:"), "{found}");
        assert!(found.contains("help:"), "{found}");
    }
}

#[test]
fn an_expiry_and_an_approval_stand_together() {
    let pdp = compile(&format!(r#"{ALL} @id("a") @approval("x") @expires("2030-01-01") forbid(principal, action, resource);"#)).unwrap();
    let mut call = send(1);
    assert_eq!(call.word(&pdp), "approval_required");
    call.facts.approvals.insert("x".to_owned());
    assert_eq!(call.word(&pdp), "allow");
}

#[test]
fn what_was_approved_is_of_no_use_to_another_input() {
    // The facts are the call's own: nothing in an input can stand for them.
    let pdp = pdp(&[above("a", r#"@approval("security")"#, 10)]);
    let sys = attrs(&[(
        "approvals",
        Attr::Set(vec![Attr::String("security".to_owned())]),
    )]);
    let body = attrs(&[
        ("amount", Attr::Long(50)),
        ("recipient", Attr::String("bob".to_owned())),
        ("sys", sys.clone()),
    ]);
    let call = Call::of("bank:transfer", attrs(&[("body", body), ("sys", sys)]));
    assert_eq!(
        call.decide_unchecked(&pdp).unwrap_err().reason,
        ReasonCode::ApprovalRequired
    );
}
