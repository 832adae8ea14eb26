//! A draft decides beside the rules in force, for a time, and changes nothing they decide.

use std::collections::BTreeSet;
use std::time::Duration;

use writ_types::{Timestamp, Verdict};

use super::fixture::{Call, NOW, bank, dns, patch, transfer};
use crate::{Pdp, PolicySource, SHADOW_TIME, ShadowError, ShadowTime, baseline};

const DAY: Duration = Duration::from_secs(24 * 3600);
const IN_FORCE: &str = r#"
@id("team.large") @approval("finance") forbid (principal, action == Api_bank::Action::"transfer", resource) when { context.body.amount > 100 };
@id("team.no-patch") forbid (principal, action == Api_dns::Action::"patchZone", resource);
"#;
const DRAFT: &str = r#"
@id("team.large") @approval("finance") forbid (principal, action == Api_bank::Action::"transfer", resource) when { context.body.amount > 10 };
"#;

fn file(name: &str, text: impl Into<String>) -> PolicySource {
    PolicySource {
        name: name.to_owned(),
        text: text.into(),
    }
}

fn time(without: &[&str]) -> ShadowTime {
    ShadowTime {
        from: NOW,
        until: NOW.plus(DAY),
        without: without.iter().map(ToString::to_string).collect(),
    }
}

fn compiled(draft: &str, without: &[&str], now: Timestamp) -> Result<Pdp, String> {
    let sources = [
        baseline(),
        file("policies/team.cedar", IN_FORCE),
        file("policies/shadow/team.cedar", draft),
        file(SHADOW_TIME, time(without).text().unwrap()),
    ];
    sound(&sources, now)
}

/// The bundle, or what is wrong with its draft. That is never wrong with the bundle.
fn sound(sources: &[PolicySource], now: Timestamp) -> Result<Pdp, String> {
    let pdp = Pdp::compile(&[dns(), bank()], sources, now).unwrap();
    let faults = pdp.shadow_faults().iter();
    let faults: String = faults.map(|finding| format!("{finding}\n")).collect();
    if faults.is_empty() {
        Ok(pdp)
    } else {
        Err(faults)
    }
}

fn in_force() -> Pdp {
    let sources = [baseline(), file("policies/team.cedar", IN_FORCE)];
    Pdp::compile(&[dns(), bank()], &sources, NOW).unwrap()
}

/// What is decided, and what the draft would have.
fn asked(pdp: &Pdp, call: &Call) -> (&'static str, Option<(Verdict, Vec<String>)>) {
    let decided = call.decide(pdp);
    let other = pdp.shadow(call.facts.now).and_then(|draft| {
        let drafted = draft.decide(&call.question());
        draft.disagreement(&decided, drafted)
    });
    let word = call.word(pdp);
    (word, other.map(|other| (other.verdict, other.rules)))
}

#[test]
fn what_is_in_force_decides_and_the_draft_is_heard() {
    let pdp = compiled(DRAFT, &["team.no-patch"], NOW).unwrap();
    let plain = in_force();
    assert_eq!(
        pdp.digest(),
        plain.digest(),
        "a draft is no part of what is in force"
    );
    assert_eq!(pdp.bundle(), plain.bundle());
    let large = || vec!["team.large".to_owned()];
    for (call, word, other) in [
        (Call::of("bank:transfer", transfer(5, "bob")), "allow", None),
        (
            Call::of("bank:transfer", transfer(50, "bob")),
            "allow",
            Some((Verdict::StepUp, large())),
        ),
        (
            Call::of("bank:transfer", transfer(500, "bob")),
            "approval_required",
            None,
        ),
        (
            Call::of("dns:patchZone", patch("a.", "b.", "TXT")),
            "forbidden",
            Some((Verdict::Allow, vec!["core.write".to_owned()])),
        ),
    ] {
        assert_eq!(asked(&pdp, &call), (word, other));
        assert_eq!(call.word(&plain), word);
    }
}

#[test]
fn it_is_tried_from_its_begin_until_its_end() {
    let pdp = compiled(DRAFT, &[], NOW.minus(DAY)).unwrap();
    let millisecond = Duration::from_millis(1);
    for (now, tried) in [
        (NOW.minus(millisecond), false),
        (NOW, true),
        (NOW.plus(DAY).minus(millisecond), true),
        (NOW.plus(DAY), false),
    ] {
        assert_eq!(pdp.shadow(now).is_some(), tried, "{now}");
    }
    let over = compiled(DRAFT, &[], NOW.plus(DAY)).unwrap();
    assert!(over.shadow(NOW).is_none() && over.shadow_time().is_some());
    assert!(
        over.notices()
            .iter()
            .any(|notice| notice.message.contains("was tried until")),
        "{:?}",
        over.notices()
    );
    // One that is over is not even read: what it names may be gone.
    assert!(
        compiled(
            "@id(\"a\") forbid (principal, action == Api_x::Action::\"y\", resource);",
            &[],
            NOW.plus(DAY)
        )
        .is_ok()
    );
}

#[test]
fn a_draft_is_as_sound_as_rules_and_stands_in_no_place_of_the_baseline() {
    for (draft, without, why) in [
        (
            "forbid (principal, action, resource);",
            &[][..],
            "the policy has no `@id`",
        ),
        (
            "@id(\"a\") forbid (principal, action in Writ::Action::\"wirte\", resource);",
            &[],
            "no action group `wirte`",
        ),
        (
            "@id(\"core.declared\") forbid (principal, action, resource) when { context.sys.labels.contains(\"x\") };",
            &[],
            "is of the baseline",
        ),
        ("", &["core.vouched"], "is of the baseline"),
        ("", &["team.larg"], "there is no rule `team.larg`"),
    ] {
        let found = compiled(draft, without, NOW).unwrap_err();
        assert!(found.contains(why), "{why}: {found}");
    }
    let alone = [baseline(), file("policies/shadow/a.cedar", DRAFT)];
    let found = sound(&alone, NOW).unwrap_err();
    assert!(found.contains("says once when it is tried"), "{found}");
    let damaged = [baseline(), file(SHADOW_TIME, "now\nthen\n")];
    assert!(sound(&damaged, NOW).is_err());
}

#[test]
fn what_runs_out_in_a_draft_or_beside_it_stops_no_rule_in_force() {
    const ENDS: &str =
        "@id(\"team.temp\") @expires(\"2000-01-01\") permit (principal, action, resource);";
    let sources = |draft: &str, without: &[&str]| {
        [
            baseline(),
            file("policies/team.cedar", format!("{IN_FORCE}{ENDS}")),
            file("policies/shadow/team.cedar", draft),
            file(SHADOW_TIME, time(without).text().unwrap()),
        ]
    };
    let expired = ENDS
        .replace("permit", "forbid")
        .replace("team.temp", "draft.temp");
    for (draft, without) in [("", &["team.temp"][..]), (expired.as_str(), &[])] {
        let pdp = Pdp::compile(&[dns(), bank()], &sources(draft, without), NOW).unwrap();
        assert_eq!(pdp.shadow_faults().len(), 1);
        assert!(pdp.shadow(NOW).is_none());
        let call = Call::of("dns:patchZone", patch("a.", "b.", "TXT"));
        assert_eq!(call.word(&pdp), "forbidden");
        // Long after, nobody reads it at all.
        let over = Pdp::compile(&[dns(), bank()], &sources(draft, without), NOW.plus(DAY)).unwrap();
        assert!(over.shadow_faults().is_empty());
    }
}

#[test]
fn who_is_asked_and_what_is_hidden_are_decisions_too() {
    let asks = |draft: &str| compiled(draft, &[], NOW).unwrap();
    let large = Call::of("bank:transfer", transfer(500, "bob"));
    let same = IN_FORCE.split("@id(\"team.no-patch\")").next().unwrap();
    assert_eq!(asked(&asks(same), &large).1, None);
    for (from, to) in [
        ("\"finance\"", "\"operator\""),
        (
            "@approval(\"finance\")",
            "@approval(\"finance\") @four_eyes",
        ),
    ] {
        let other = asked(&asks(&same.replace(from, to)), &large).1;
        assert_eq!(other.unwrap().0, Verdict::StepUp, "{to}");
    }
    let hides = "@id(\"d.hide\") @oblige(\"redact:/iban\") permit (principal, action == Api_bank::Action::\"account\", resource);";
    let read = Call::of("bank:account", super::fixture::attrs(&[]));
    assert_eq!(asked(&asks(hides), &read).1.unwrap().0, Verdict::Modify);
}

#[test]
fn a_trial_has_an_end() {
    let with = |change: &dyn Fn(&mut ShadowTime)| {
        let mut other = time(&[]);
        change(&mut other);
        other.text()
    };
    assert_eq!(
        with(&|time| time.until = time.from),
        Err(ShadowError::Order)
    );
    assert_eq!(
        with(&|time| time.until = time.from.plus(ShadowTime::LONGEST).plus(DAY)),
        Err(ShadowError::Long)
    );
    assert_eq!(
        with(&|time| time.without = BTreeSet::from(["a\nb".to_owned()])),
        Err(ShadowError::Rule)
    );
    assert!(with(&|time| time.until = time.from.plus(ShadowTime::LONGEST)).is_ok());
}
