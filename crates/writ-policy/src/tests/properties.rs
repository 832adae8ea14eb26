//! Properties over random questions and random texts.

use std::sync::LazyLock;

use proptest::prelude::*;
use writ_types::{Attr, ReasonCode};

use super::fixture::{Call, NOW, attrs, bank, compile, dns, patch, source, text, transfer};
use crate::{Pdp, baseline};

const RULES: &str = r#"
    @id("t.big") forbid(principal, action in Writ::Action::"write", resource) when { context has body && context.body has amount && context.body.amount > 1000 };
    @id("t.to") forbid(principal, action == Api_bank::Action::"transfer", resource) when { context.body.recipient like "*eve*" };
    @id("t.zone") forbid(principal, action == Api_dns::Action::"patchZone", resource) unless { ["TXT", "A"].containsAll(context.body.rrsets.type) };
    @id("t.calls") forbid(principal, action, resource) when { context.sys.count.calls > 40 };"#;

static WITH_BASELINE: LazyLock<Pdp> =
    LazyLock::new(|| Pdp::compile(&[dns(), bank()], &[baseline(), source(RULES)], NOW).unwrap());
static OPEN: LazyLock<Pdp> = LazyLock::new(|| {
    compile(&format!(
        r#"{RULES} @id("t.all") permit(principal, action, resource);"#
    ))
    .unwrap()
});
static TYPES: LazyLock<Pdp> = LazyLock::new(|| {
    compile(r#"@id("t.types") permit(principal, action == Api_dns::Action::"patchZone", resource) when { context.body.rrsets.type.contains(context.path.zone_id) };"#).unwrap()
});

fn attr() -> impl Strategy<Value = Attr> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Attr::Bool),
        any::<i64>().prop_map(Attr::Long),
        ".{0,12}".prop_map(Attr::String),
        "-?[0-9]{1,20}(\\.[0-9]{0,6})?".prop_map(Attr::Decimal),
        any::<u64>().prop_map(|millis| Attr::Datetime(writ_types::Timestamp::from_millis(millis))),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop_oneof![
            Just("body".to_owned()),
            Just("amount".to_owned()),
            Just("recipient".to_owned()),
            Just("rrsets".to_owned()),
            Just("type".to_owned()),
            Just("path".to_owned()),
            Just("__entity".to_owned()),
            ".{0,6}",
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Attr::Set),
            proptest::collection::btree_map(name, inner, 0..4).prop_map(Attr::Record),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any input at all, however wrong its types: an answer, the same each time, and never a yes to what a rule forbids.
    #[test]
    fn any_input_gets_one_answer(input in attr(), wrapped in any::<bool>(), bank_call in any::<bool>()) {
        let pdp = &*WITH_BASELINE;
        let input = if wrapped { attrs(&[("body", input)]) } else { input };
        let call = Call::of(if bank_call { "bank:transfer" } else { "dns:patchZone" }, input);
        let answer = |call: &Call| pdp.decide(&call.question()).map(|permit| permit.rules().to_vec());
        let first = answer(&call);
        prop_assert_eq!(&first, &answer(&call));
        let explained = pdp.explain(&call.question());
        prop_assert_eq!(explained.reason, first.as_ref().err().map(|denied| denied.reason));
        if let Ok(checked) = pdp.decide_checked(&call.question()) {
            prop_assert_eq!(first.unwrap(), checked.rules().to_vec(), "what passes the schema decides alike");
        }
    }

    /// Our decision is what the rules say in plain words.
    #[test]
    fn decisions_follow_the_rules(amount in prop_oneof![any::<i64>(), 990..1010i64], to in "[a-e]{0,4}(eve)?[a-e]{0,4}", calls in 35..45u64) {
        let pdp = &*OPEN;
        let mut call = Call::of("bank:transfer", transfer(amount, &to));
        call.facts.spent.calls = calls;
        let mut expected = Vec::new();
        if amount > 1000 { expected.push("t.big"); }
        if calls > 40 { expected.push("t.calls"); }
        if to.contains("eve") { expected.push("t.to"); }
        match pdp.decide(&call.question()) {
            Ok(_) => prop_assert!(expected.is_empty()),
            Err(denied) => {
                prop_assert_eq!(denied.reason, ReasonCode::Forbidden);
                prop_assert_eq!(denied.rules, expected);
            }
        }
    }

    /// Texts from a caller are compared letter by letter, whatever is in them.
    #[test]
    fn any_text_stays_itself(value in any::<String>()) {
        let pdp = &*TYPES;
        prop_assert_eq!(Call::of("dns:patchZone", patch(&value, "n", &value)).word(pdp), "allow");
        let other = format!("{value}.");
        prop_assert_eq!(Call::of("dns:patchZone", patch(&value, "n", &other)).word(pdp), "not_permitted");
    }

    /// The loader answers any text; it does not fall over.
    #[test]
    fn any_policy_text_gets_an_answer(junk in any::<String>(), cut in 0..400usize) {
        let _answered = compile(&junk).is_ok();
        let whole = baseline().text;
        let cut = whole.chars().take(cut.saturating_mul(6)).collect::<String>();
        let _answered = Pdp::compile(&[dns()], &[source(&cut)], NOW).is_ok();
        let _answered = text(&junk);
    }
}

/// How many random questions are asked again: few while working, more in the full run, and a million where that is asked
/// for (`WRIT_ROUNDS=1000000 cargo test -p writ-policy --release the_same_question -- --nocapture`).
fn rounds() -> u64 {
    let var = |wanted: &str| std::env::vars().find(|(name, _)| name == wanted);
    let asked = var("WRIT_ROUNDS").and_then(|(_, number)| number.parse().ok());
    let full = var("WRIT_REQUIRE_SHARED").is_some();
    asked.unwrap_or(if full { 20_000 } else { 1_000 })
}

#[test]
fn the_same_question_has_the_same_answer_however_often_it_is_asked() {
    let packs = crate::Pack::ALL.map(crate::Pack::source);
    let sources: Vec<_> = [baseline(), source(RULES)]
        .into_iter()
        .chain(packs)
        .collect();
    let compile = || Pdp::compile(&[dns(), bank()], &sources, NOW).unwrap();
    // Two bundles of the same texts: nothing of an answer is an accident of one of them.
    let (one, other) = (compile(), compile());
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut below = |end: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % end
    };
    let mut seen = std::collections::BTreeMap::<&str, u64>::new();
    // Of every answer in order: what a person compares from one machine to the next.
    let mut said = writ_types::KeyedDigest::begin(&writ_types::Secret::new([0; 32]), "answers");
    for _ in 0..rounds() {
        let amount = i64::try_from(below(2_000)).unwrap();
        let mut call = match below(4) {
            0 => Call::of("bank:transfer", transfer(amount, "bob")),
            1 => Call::of("dns:patchZone", patch("a.", "b.", "TXT")),
            2 => Call::of("dns:GET:/servers/{id}", attrs(&[])),
            _ => Call::of("bank:account", attrs(&[])),
        };
        call.facts.spent.calls = below(60);
        call.facts.this_operation = below(80);
        for label in ["untrusted", "pii"] {
            if below(3) == 0 {
                call.facts.labels.insert(label.parse().unwrap());
            }
        }
        for pack in crate::Pack::ALL {
            if below(4) == 0 {
                call.agent.groups.insert(pack.group());
            }
        }
        if below(5) == 0 {
            call.facts.approvals.insert("operator".to_owned());
        }
        if below(3) == 0 {
            call = call.autonomous();
        }
        match below(12) {
            0 => call = call.faulty(),
            1 => call = call.unrepresentable(),
            2 => drop(call.extra.insert("/body/x".to_owned())),
            3 => call
                .facts
                .arguments
                .add("/body/recipient", writ_types::Origin::Seen),
            4 => call = call.budget(writ_types::Budget::DEFAULT),
            _ => {}
        }
        let plain = |pdp: &Pdp| {
            let decided = pdp.decide(&call.question());
            decided.map(|permit| (permit.rules().to_vec(), permit.verdict()))
        };
        let first = plain(&one);
        assert_eq!(first, plain(&other));
        assert_eq!(first, plain(&one));
        said.update(format!("{first:?}\n").as_bytes());
        let word = first.map_or_else(|denied| denied.reason.as_str(), |_| "allow");
        *seen.entry(word).or_default() += 1;
    }
    for word in ["allow", "approval_required", "forbidden"] {
        assert!(seen.get(word).is_some_and(|count| *count > 20), "{seen:?}");
    }
    report(rounds(), &said.finish().to_string(), &seen);
}

#[expect(clippy::print_stdout, reason = "the result of a long run is kept")]
fn report(rounds: u64, said: &str, seen: &std::collections::BTreeMap<&str, u64>) {
    println!("{rounds} questions, each asked three times of two bundles: {said} {seen:?}");
}
