//! What is decided, and in which order things are looked at.

use std::collections::BTreeSet;
use std::time::Duration;

use writ_types::{AgentId, Attr, AttrType, Mode, Projection, ReasonCode, Requester, Tenant};

use super::fixture::{
    Call, NOW, action, attrs, bank, compile, dns, patch, record, source, text, transfer,
    with_baseline,
};
use crate::{Pdp, RuleOutcome, Step, baseline};

const ALL: &str = r#"@id("t.all") permit(principal, action, resource);"#;

fn read() -> Call {
    Call::of("dns:listZones", attrs(&[("query", attrs(&[]))]))
}

#[test]
fn a_permit_says_what_it_is_for() {
    let pdp = with_baseline("");
    let call = read();
    let permit = call.decide(&pdp).unwrap();
    assert_eq!(permit.call(), call.question().call);
    assert_eq!(permit.task(), call.grant.task);
    assert_eq!(permit.action(), &call.action);
    assert_eq!(permit.rules(), ["core.read"]);
    assert_eq!(permit.policy(), pdp.digest());
    assert_eq!(permit.instant(), NOW);
}

#[test]
fn the_gates_come_before_the_rules_each_with_its_reason() {
    let pdp = compile(ALL).unwrap();
    let with = |change: &dyn Fn(&mut Call)| {
        let mut call = read();
        change(&mut call);
        call.word(&pdp)
    };
    assert_eq!(with(&|_| ()), "allow");
    assert_eq!(with(&|call| call.agent.enabled = false), "agent_disabled");
    assert_eq!(
        with(&|call| call.grant.actions = BTreeSet::from([action("dns:patchZone")])),
        "action_not_granted"
    );
    assert_eq!(
        with(&|call| call.agent.id = AgentId::new(NOW, [9; 10])),
        "policy_error"
    );
    assert_eq!(
        with(&|call| call.tenant = "other".parse::<Tenant>().unwrap()),
        "policy_error"
    );
    assert_eq!(
        with(&|call| call.facts.operation = "patchZone".parse().unwrap()),
        "policy_error"
    );
    let unknown = |call: &mut Call| {
        call.action = action("dns:nothing");
        call.facts.operation = call.action.operation.clone();
        call.grant.actions.insert(call.action.clone());
    };
    assert_eq!(
        with(&unknown),
        "policy_error",
        "a snapshot that does not fit together decides nothing"
    );
}

#[test]
fn no_permit_is_no_and_a_forbid_beats_every_permit() {
    let nothing = compile("").unwrap();
    assert_eq!(read().word(&nothing), "not_permitted");
    let pdp = compile(
        r#"@id("t.all") permit(principal, action, resource);
           @id("t.b") forbid(principal, action in Writ::Action::"read", resource);
           @id("t.a") forbid(principal, action == Api_dns::Action::"listZones", resource);"#,
    )
    .unwrap();
    let denied = read().decide(&pdp).unwrap_err();
    assert_eq!(denied.reason, ReasonCode::Forbidden);
    assert_eq!(denied.rules, ["t.a", "t.b"], "from both sets, in order");
}

#[test]
fn rules_about_a_class_and_rules_about_an_operation_are_all_asked_however_many_there_are() {
    for many in [0, 15, 16, 17, 40] {
        let wide: String = (0..many)
            .map(|number| {
                format!(
                    r#"@id("w{number}") forbid(principal, action in Writ::Action::"write", resource) when {{ context.sys.count.thisOp == {number} }};"#
                )
            })
            .collect();
        let text = format!(
            r#"{ALL} {wide} @id("own") forbid(principal, action == Api_bank::Action::"transfer", resource) when {{ context.body.amount > 5 }};"#
        );
        let pdp = compile(&text).unwrap();
        let rules = |amount: i64, count: u64| {
            let mut call = Call::of("bank:transfer", transfer(amount, "bob"));
            call.facts.this_operation = count;
            call.decide(&pdp).err().map(|denied| denied.rules)
        };
        assert_eq!(rules(1, 1000), None);
        assert_eq!(rules(9, 1000), Some(vec!["own".to_owned()]), "{many}");
        if many > 0 {
            let last = many - 1;
            assert_eq!(rules(1, last), Some(vec![format!("w{last}")]), "{many}");
            assert_eq!(
                rules(9, last),
                Some(vec!["own".to_owned(), format!("w{last}")]),
                "{many}"
            );
        }
    }
}

#[test]
fn an_instant_that_cedar_cannot_hold_is_the_gateways_fault_and_denies() {
    let pdp = compile(r#"@id("t.now") permit(principal, action, resource) when { context.sys.now > datetime("2026-01-01") };"#).unwrap();
    let mut call = read();
    call.facts.now = writ_types::Timestamp::from_millis(u64::MAX);
    assert_eq!(call.word(&pdp), "policy_error");
}

#[test]
fn everything_a_rule_can_read_is_there() {
    let pdp = compile(
        r#"@id("t.ok") permit(principal in Writ::AgentGroup::"infra", action == Api_bank::Action::"transfer", resource == Writ::Upstream::"bank")
           when {
             principal in Writ::User::"https://id.example.org#alice" &&
             principal.agent.owner == "ops@example.org" && principal.owner == "ops@example.org" &&
             principal.agent.mode == "autonomous" && principal.mode == "copilot" &&
             principal.agent.spiffe == "spiffe://writ.local/agent/dns" && principal.agent.purposes.contains("acme-renewal") &&
             principal.purpose == "acme-renewal" && principal.declared.contains("bank:transfer") &&
             principal.budget.writes == 5 &&
             principal has requester && principal.requester.subject == "alice" && principal.requester.issuer == "https://id.example.org" &&
             action in Writ::Action::"external_send" && action in Writ::Action::"write" &&
             context.sys.op == "transfer" && context.sys.action == "bank:transfer" &&
             context.sys.labels.contains("pii") && context.sys.seen.contains("bank:account") &&
             context.sys.now > datetime("2026-11-18") && context.sys.now < datetime("2026-11-19") &&
             context.sys.extra.contains("/body/x") && context.sys.nulls.contains("/body/memo") &&
             context.sys.count.calls == 3 && context.sys.count.thisOp == 2 && context.sys.left.irreversible == 1 &&
             context.body.amount == 12 && context.body.recipient == "bob" &&
             context.body has fee && context.body.fee.lessThan(decimal("0.51")) &&
             context.body has due && context.body.due == datetime("1970-01-01T00:00:01.500Z") &&
             !(context.body has memo) && context.body has "x-trace" && context.body["x-trace"] == "t"
           };"#,
    )
    .unwrap();
    let body = attrs(&[
        ("amount", Attr::Long(12)),
        ("recipient", text("bob")),
        ("fee", Attr::Decimal("0.5000".to_owned())),
        (
            "due",
            Attr::Datetime(writ_types::Timestamp::from_millis(1500)),
        ),
        ("x-trace", text("t")),
    ]);
    let mut call = Call::of("bank:transfer", attrs(&[("body", body)]));
    call.agent.mode = Mode::Autonomous;
    call.grant.requester = Some(Requester {
        issuer: "https://id.example.org".to_owned(),
        subject: "alice".to_owned(),
    });
    call.facts.labels.insert("pii".parse().unwrap());
    call.facts.seen.insert("bank:account".to_owned());
    call.facts.spent.calls = 3;
    call.facts.this_operation = 2;
    call.extra.insert("/body/x".to_owned());
    call.nulls.insert("/body/memo".to_owned());
    assert_eq!(
        call.word(&pdp),
        "allow",
        "{}",
        pdp.explain(&call.question())
    );
    call.facts.now = NOW.plus(Duration::from_secs(86_400));
    assert_eq!(call.word(&pdp), "not_permitted");
}

#[test]
fn two_users_never_share_an_id() {
    let pdp = compile(ALL).unwrap();
    let mut call = read();
    let requester = |issuer: &str, subject: &str| {
        Some(Requester {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
        })
    };
    call.grant.requester = requester("https://a", "b#c");
    assert_eq!(call.word(&pdp), "allow");
    call.grant.requester = requester("https://a#b", "c");
    assert_eq!(call.word(&pdp), "policy_error");
}

#[test]
fn only_what_some_rule_looks_at_is_projected() {
    let pdp = compile(
        r#"@id("t.a") forbid(principal, action in Writ::Action::"write", resource) when { context has body && context.body has amount && context.body.amount > 5 };
           @id("t.b") permit(principal, action == Api_dns::Action::"patchZone", resource) when { context.path.zone_id == "a." && ["TXT"].containsAll(context.body.rrsets.type) };
           @id("t.c") permit(principal, action == Api_bank::Action::"note", resource);"#,
    )
    .unwrap();
    let projection = |name: &str| pdp.projection(&action(name)).clone();
    let mut transfer = Projection::default();
    transfer.insert(&["body", "amount"]);
    assert_eq!(projection("bank:transfer"), transfer);
    let mut patch = Projection::default();
    patch.insert(&["path", "zone_id"]);
    patch.insert(&["body", "rrsets", "type"]);
    assert_eq!(projection("dns:patchZone"), patch);
    assert_eq!(
        projection("bank:note").child("body"),
        &Projection::Some(std::collections::BTreeMap::new()),
        "asked for with `has` alone: whether it is there, and nothing in it"
    );
    assert!(projection("dns:listZones").is_nothing());
    assert!(projection("no:such").is_nothing());
}

#[test]
fn what_is_beyond_the_projection_is_not_looked_at() {
    let pdp = compile(r#"@id("t.a") permit(principal, action, resource) when { context has body && context.body has recipient && context.body.recipient == "bob" };"#).unwrap();
    let mut body = transfer(1, "bob");
    let Attr::Record(parts) = &mut body else {
        panic!("a record")
    };
    let Some(Attr::Record(members)) = parts.get_mut("body") else {
        panic!("a record")
    };
    members.insert("fee".to_owned(), Attr::Decimal("not a number".to_owned()));
    assert_eq!(Call::of("bank:transfer", body).word(&pdp), "allow");
}

#[test]
fn a_faulty_input_is_decided_without_it() {
    let pdp = compile(
        r#"@id("t.all") permit(principal, action, resource);
           @id("t.big") forbid(principal, action == Api_bank::Action::"transfer", resource) when { context.body.amount > 5 };
           @id("t.extra") forbid(principal, action in Writ::Action::"write", resource) unless { context.sys.extra.isEmpty() };
           @id("t.pii") forbid(principal, action in Writ::Action::"external_send", resource) when { context.sys.labels.contains("pii") };"#,
    )
    .unwrap();
    let mut call = Call::of("bank:transfer", transfer(1, "bob"));
    call.extra.insert("/body/x".to_owned());
    assert_eq!(
        call.clone().faulty().word(&pdp),
        "invalid_input",
        "what reads the input is not asked, and never a yes"
    );
    assert_eq!(call.clone().unrepresentable().word(&pdp), "unrepresentable");
    call.facts.labels.insert("pii".parse().unwrap());
    for call in [call.clone().faulty(), call.unrepresentable()] {
        let denied = call.decide(&pdp).unwrap_err();
        assert_eq!(denied.reason, ReasonCode::Forbidden);
        assert_eq!(denied.rules, ["t.pii"]);
        let explained = pdp.explain(&call.question());
        let not_asked = |step: &Step| matches!(step, Step::Rule { id, outcome: RuleOutcome::NotAsked, .. } if id == "t.big");
        assert!(explained.steps.iter().any(not_asked), "{explained}");
    }
}

#[test]
fn a_value_that_is_none_of_cedars_is_unrepresentable() {
    let pdp = compile(r#"@id("t.fee") permit(principal, action == Api_bank::Action::"transfer", resource) when { context.body has fee && context.body.fee.lessThan(decimal("1.0")) };"#).unwrap();
    let with_fee = |fee: &str| {
        let body = attrs(&[
            ("amount", Attr::Long(1)),
            ("recipient", text("bob")),
            ("fee", Attr::Decimal(fee.to_owned())),
        ]);
        Call::of("bank:transfer", attrs(&[("body", body)])).word(&pdp)
    };
    assert_eq!(with_fee("0.5"), "allow");
    for wrong in ["0.12345", "1e3", "922337203685477.5808", ""] {
        assert_eq!(with_fee(wrong), "unrepresentable", "{wrong}");
    }
}

#[test]
fn an_input_that_lacks_what_the_contract_requires_is_an_error_not_a_yes() {
    let pdp = compile(r#"@id("t.all") permit(principal, action, resource);
        @id("t.big") forbid(principal, action == Api_bank::Action::"transfer", resource) when { context.body.amount > 5 };"#).unwrap();
    let question = Call::of("bank:transfer", attrs(&[]));
    assert_eq!(
        pdp.decide(&question.question()).unwrap_err().reason,
        ReasonCode::PolicyError
    );
    let no_record = Call::of("bank:transfer", Attr::Long(1));
    assert_eq!(no_record.word(&pdp), "policy_error");
}

#[test]
fn prepared_entities_change_the_cost_and_never_the_answer() {
    let pdp = compile(r#"@id("t.infra") permit(principal in Writ::AgentGroup::"infra", action, resource) when { principal.owner == "ops@example.org" };"#).unwrap();
    let call = read();
    let prepared = pdp.prepare(&call.agent, &call.grant).unwrap();
    let decide = |pdp: &Pdp, call: &Call| pdp.decide_prepared(&prepared, &call.question()).is_ok();
    assert!(decide(&pdp, &call));
    let mut moved = call.clone();
    moved.agent.groups.clear();
    assert!(!decide(&pdp, &moved), "the agent has left the group since");
    let mut narrowed = call.clone();
    narrowed.agent.owner = "eve@example.org".parse().unwrap();
    assert!(!decide(&pdp, &narrowed));
    let other = compile(r#"@id("t.no") forbid(principal, action, resource);"#).unwrap();
    assert!(!decide(&other, &call), "another bundle");
}

#[test]
fn an_explanation_names_gates_rules_and_places() {
    let pdp = with_baseline(
        r#"
@id("team.zone")
@doc("Only the example zone.")
forbid (principal, action == Api_dns::Action::"patchZone", resource)
unless { context.path.zone_id == "example.org." };"#,
    );
    let call = Call::of("dns:patchZone", patch("other.org.", "a.", "TXT"));
    let shown = pdp.explain(&call.question()).to_string();
    for wanted in [
        "gate    yes the task holds the action",
        "permit  yes core.write (baseline.cedar:",
        "forbid  no  core.declared",
        "forbid  yes team.zone (test.cedar:2): Only the example zone.",
        "DENY forbidden by team.zone",
    ] {
        assert!(shown.contains(wanted), "{wanted}\n{shown}");
    }
    let mut disabled = call;
    disabled.agent.enabled = false;
    let shown = pdp.explain(&disabled.question()).to_string();
    assert!(
        shown.ends_with("gate    NO  the agent is enabled\nDENY agent_disabled"),
        "{shown}"
    );
}

#[test]
fn recompiling_gives_the_same_bundle() {
    let first = Pdp::compile(&[dns(), bank()], &[baseline(), source(ALL)], NOW).unwrap();
    let again = Pdp::recompile(
        Some(&first),
        &[bank(), dns()],
        &[source(ALL), baseline()],
        NOW,
    )
    .unwrap();
    assert_eq!(
        (first.digest(), first.bundle()),
        (again.digest(), again.bundle()),
        "order of files is no matter"
    );
    assert_eq!(read().word(&again), "allow");
    let changed = Pdp::recompile(
        Some(&first),
        &[dns(), bank()],
        &[baseline(), source("")],
        NOW,
    )
    .unwrap();
    assert_ne!(first.digest(), changed.digest());
    assert_eq!(read().word(&changed), "allow", "by the baseline");
    let broken =
        source(r#"@id("t.all") permit(principal, action, resource) when { context.bdoy == 1 };"#);
    assert!(
        Pdp::recompile(Some(&first), &[dns(), bank()], &[broken], NOW).is_err(),
        "verdicts are by text, not by id"
    );
    // The same rule, an optional attribute where a required one was: what was valid is not.
    let rule = source(
        r#"@id("t.x") forbid(principal, action == Api_bank::Action::"note", resource) when { context has body && context.body.text == "x" };"#,
    );
    let with = Pdp::compile(&[bank()], std::slice::from_ref(&rule), NOW).unwrap();
    let mut other = bank();
    for shape in &mut other.operations {
        if shape.operation.as_str() == "note" {
            let body = record(&[("text", AttrType::String, false)]);
            shape.attributes = record(&[("body", body, false)]);
        }
    }
    let found = Pdp::recompile(Some(&with), &[other], &[rule], NOW);
    assert!(found.is_err(), "verdicts are by schema, too");
}
