//! A rule is lifted for whom, what and when an exception says, and for nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use writ_types::Timestamp;

use super::fixture::{Call, NOW, action, attrs, bank, dns, patch, transfer};
use crate::{
    EXCEPTIONS, Exception, ExceptionError, FREEZES, Freeze, Holds, Pdp, PolicySource, baseline,
    exceptions,
};

const HOUR: Duration = Duration::from_secs(3600);
const RULES: &str = r#"
@id("team.no-patch") forbid (principal, action == Api_dns::Action::"patchZone", resource);
@id("team.large") @approval("finance") forbid (principal, action == Api_bank::Action::"transfer", resource);
@id("team.free") permit (principal, action == Api_bank::Action::"transfer", resource) when { context.body.amount < 3 };
"#;

fn exception(rule: &str, name: &str) -> Exception {
    Exception {
        name: "ops-4711".to_owned(),
        rule: rule.to_owned(),
        agent: "spiffe://writ.local/agent/dns".parse().unwrap(),
        purpose: None,
        actions: BTreeSet::from([action(name)]),
        owner: "ops@example.org".parse().unwrap(),
        reason: "the zone moves on Saturday".to_owned(),
        ticket: "OPS-4711".to_owned(),
        from: NOW,
        until: NOW.plus(HOUR),
    }
}

fn file(name: &str, text: String) -> PolicySource {
    PolicySource {
        name: name.to_owned(),
        text,
    }
}

fn compiled_at(exceptions: &[Exception], now: Timestamp) -> Result<Pdp, String> {
    let freeze = Freeze {
        name: "never".to_owned(),
        reason: "an example".to_owned(),
        from: NOW.plus(Exception::LONGEST),
        until: NOW.plus(Exception::LONGEST).plus(HOUR),
        apis: BTreeSet::new(),
    };
    let texts: String = exceptions
        .iter()
        .map(|exception| exception.text().unwrap())
        .collect();
    let sources = [
        baseline(),
        file("team.cedar", RULES.to_owned()),
        file(FREEZES, freeze.rules().unwrap()),
        file(EXCEPTIONS, texts),
    ];
    Pdp::compile(&[dns(), bank()], &sources, now)
        .map_err(|found| found.iter().map(|finding| format!("{finding}\n")).collect())
}

fn compiled(exceptions: &[Exception]) -> Pdp {
    compiled_at(exceptions, NOW).unwrap()
}

#[test]
fn it_lifts_its_rule_for_its_agent_actions_purpose_and_time_alone() {
    let pdp = compiled(&[exception("team.no-patch", "dns:patchZone")]);
    let of_purpose = compiled(&[Exception {
        purpose: Some("acme-renewal".parse().unwrap()),
        ..exception("team.no-patch", "dns:patchZone")
    }]);
    let of_other_purpose = compiled(&[Exception {
        purpose: Some("something-else".parse().unwrap()),
        ..exception("team.no-patch", "dns:patchZone")
    }]);
    let of_other_agent = compiled(&[Exception {
        agent: "spiffe://writ.local/agent/dns2".parse().unwrap(),
        ..exception("team.no-patch", "dns:patchZone")
    }]);
    let millisecond = Duration::from_millis(1);
    let at = |pdp: &Pdp, now: Timestamp| {
        let mut call = Call::of("dns:patchZone", patch("a.", "b.", "TXT"));
        call.facts.now = now;
        call.word(pdp)
    };
    for (who, pdp, now, word) in [
        ("nobody excepted", &compiled(&[]), NOW, "forbidden"),
        (
            "before it begins",
            &pdp,
            NOW.minus(millisecond),
            "forbidden",
        ),
        ("from its begin", &pdp, NOW, "allow"),
        (
            "its last instant",
            &pdp,
            NOW.plus(HOUR).minus(millisecond),
            "allow",
        ),
        ("its end", &pdp, NOW.plus(HOUR), "forbidden"),
        ("its purpose", &of_purpose, NOW, "allow"),
        ("another purpose", &of_other_purpose, NOW, "forbidden"),
        ("another agent", &of_other_agent, NOW, "forbidden"),
    ] {
        assert_eq!(at(pdp, now), word, "{who}");
    }
    // Another action, and another rule about the same one.
    let transfer = || Call::of("bank:transfer", transfer(5, "bob"));
    assert_eq!(transfer().word(&pdp), "approval_required");
    let mut extra = Call::of("dns:patchZone", patch("a.", "b.", "TXT"));
    extra.extra.insert("/body/x".to_owned());
    assert_eq!(extra.word(&pdp), "forbidden");
    let asked = compiled(&[exception("team.large", "bank:transfer")]);
    assert_eq!(transfer().word(&asked), "allow", "nobody is asked");
}

#[test]
fn whoever_reads_the_record_sees_it() {
    let pdp = compiled(&[exception("team.no-patch", "dns:patchZone")]);
    let mut call = Call::of("dns:patchZone", patch("a.", "b.", "TXT"));
    let permit = call.decide(&pdp).unwrap();
    assert_eq!(permit.rules(), ["core.write", "exception.ops-4711"]);
    assert_eq!(
        pdp.doc("exception.ops-4711"),
        Some("the zone moves on Saturday")
    );
    assert_eq!(pdp.owner("exception.ops-4711"), Some("ops@example.org"));
    assert_eq!(pdp.place("exception.ops-4711"), Some((EXCEPTIONS, 1)));
    call.facts.now = NOW.plus(HOUR);
    assert_eq!(call.decide(&pdp).unwrap_err().rules, ["team.no-patch"]);
    let other = Call::of("bank:account", attrs(&[]));
    assert_eq!(other.decide(&pdp).unwrap().rules(), ["core.read"]);
}

#[test]
fn a_plan_sees_the_rule_changed() {
    let name = action("bank:transfer");
    let said = |pdp: &Pdp| {
        pdp.survey()
            .about(&name)
            .get("team.large")
            .copied()
            .unwrap()
    };
    let (before, after) = (
        compiled(&[]),
        compiled(&[exception("team.large", "bank:transfer")]),
    );
    assert_ne!(said(&before), said(&after));
    assert_ne!(before.bundle(), after.bundle());
    // What was approved for the rule was not approved for the rule with an exception.
    let needed = |pdp: &Pdp| {
        let mut call = Call::of("bank:transfer", transfer(5, "bob"));
        call.facts.now = NOW.plus(HOUR);
        call.decide(pdp).unwrap_err().needs.unwrap().rules
    };
    assert_ne!(needed(&before), needed(&after));
}

#[test]
fn for_everybody_else_the_rule_holds_as_it_did() {
    let holds = |pdp: &Pdp, call: &Call| {
        let standings = pdp
            .survey()
            .standings(&call.agent, &call.grant, [call.action.clone()]);
        let standings = standings.unwrap().remove(&call.action).unwrap();
        standings
            .into_iter()
            .find(|standing| standing.rule == "team.no-patch")
            .unwrap()
            .holds
    };
    let pdp = compiled(&[exception("team.no-patch", "dns:patchZone")]);
    let own = Call::of("dns:patchZone", patch("a.", "b.", "TXT"));
    let mut other = Call::of("dns:patchZone", patch("a.", "b.", "TXT"));
    other.agent.spiffe = "spiffe://writ.local/agent/other".parse().unwrap();
    assert_eq!(holds(&pdp, &own), Holds::Depends);
    assert_eq!(holds(&pdp, &other), Holds::Always);
    assert_eq!(holds(&compiled(&[]), &own), Holds::Always);
}

#[test]
fn what_cannot_be_lifted_is_not() {
    for (rule, name, why) in [
        ("core.declared", "dns:patchZone", "the floor"),
        ("core.extra", "dns:patchZone", "the floor"),
        ("core.delete", "dns:deleteZone", "the floor"),
        (
            "freeze.never",
            "dns:patchZone",
            "a freeze is lifted by nothing",
        ),
        ("team.free", "bank:transfer", "forbids nothing"),
        ("team.larg", "bank:transfer", "there is no rule `team.larg`"),
        (
            "team.large",
            "bank:transfr",
            "there is no action `bank:transfr`",
        ),
        (
            "team.large",
            "crm:transfer",
            "there is no action `crm:transfer`",
        ),
        (
            "team.large",
            "dns:patchZone",
            "is not about `dns:patchZone`",
        ),
    ] {
        let found = compiled_at(&[exception(rule, name)], NOW).unwrap_err();
        assert!(
            found.contains(why) && found.contains("exceptions.cedar:"),
            "{rule} {name}: {found}"
        );
        assert_eq!(found.matches("error[exception]").count(), 1, "{found}");
    }
    // `core.vouched` can be lifted by a person, and so by an exception that two people made.
    assert!(compiled_at(&[exception("core.vouched", "bank:transfer")], NOW).is_ok());
    let twice = exception("team.no-patch", "dns:patchZone");
    let found = compiled_at(&[twice.clone(), twice], NOW).unwrap_err();
    assert!(found.contains("two exceptions"), "{found}");
}

#[test]
fn one_that_is_over_lifts_nothing_and_is_told() {
    let over = [exception("team.no-patch", "dns:patchZone")];
    let pdp = compiled_at(&over, NOW.plus(HOUR)).unwrap();
    assert_eq!(pdp.exceptions().count(), 1, "it is still shown");
    let notices: Vec<String> = pdp.notices().iter().map(ToString::to_string).collect();
    assert!(
        matches!(&notices[..], [one] if one.contains("ops-4711")),
        "{notices:?}"
    );
    let mut call = Call::of("dns:patchZone", patch("a.", "b.", "TXT"));
    call.facts.now = NOW.plus(HOUR);
    assert_eq!(call.word(&pdp), "forbidden");
}

#[test]
fn what_is_written_is_what_is_read_and_nothing_else_is_taken() {
    let written = Exception {
        purpose: Some("acme-renewal".parse().unwrap()),
        actions: BTreeSet::from([action("bank:transfer"), action("dns:patchZone")]),
        ..exception("team.no-patch", "dns:patchZone")
    };
    let text = written.text().unwrap();
    assert_eq!(exceptions([(EXCEPTIONS, text.as_str())]), [written]);
    assert!(exceptions([("team.cedar", text.as_str())]).is_empty());
    let sound = exception("team.no-patch", "dns:patchZone").text().unwrap();
    for (from, to) in [
        ("@until(\"2026-", "@until(\"2029-"),
        ("context.sys.now < datetime", "context.sys.now <= datetime"),
        (
            "permit (principal, action, resource)",
            "forbid (principal, action, resource)",
        ),
        ("&& context.sys.now >=", "|| context.sys.now >="),
        ("@owner(\"ops@example.org\")\n", ""),
        ("@ticket(\"OPS-4711\")\n", ""),
    ] {
        assert!(sound.contains(from), "{from} is not in {sound}");
        let text = sound.replace(from, to);
        let sources = [
            baseline(),
            file("team.cedar", RULES.to_owned()),
            file(EXCEPTIONS, text),
        ];
        let found = Pdp::compile(&[dns(), bank()], &sources, NOW).unwrap_err();
        assert!(
            found
                .iter()
                .any(|finding| finding.message.contains("no exception as Writ")),
            "{from}"
        );
    }
    let taken =
        super::fixture::findings(r#"@id("exception.mine") forbid(principal, action, resource);"#);
    assert!(taken.contains("policies/exceptions.toml"), "{taken}");
}

#[test]
fn it_has_a_name_an_end_and_somebody_who_can_be_asked() {
    let with = |change: &dyn Fn(&mut Exception)| {
        let mut other = exception("team.no-patch", "dns:patchZone");
        change(&mut other);
        other.text().unwrap_err()
    };
    for (found, expected) in [
        (with(&|e| e.name = "a\"b".to_owned()), ExceptionError::Name),
        (
            with(&|e| e.reason = "x\") forbid (".to_owned()),
            ExceptionError::Reason,
        ),
        (with(&|e| e.reason.clear()), ExceptionError::Reason),
        (with(&|e| e.ticket.clear()), ExceptionError::Ticket),
        (with(&|e| e.rule = "a\"b".to_owned()), ExceptionError::Rule),
        (with(&|e| e.actions.clear()), ExceptionError::Actions),
        (with(&|e| e.until = e.from), ExceptionError::Order),
        (
            with(&|e| e.until = e.from.plus(Exception::LONGEST).plus(HOUR)),
            ExceptionError::Long,
        ),
    ] {
        assert_eq!(found, expected);
    }
    let longest = Exception {
        until: NOW.plus(Exception::LONGEST),
        ..exception("team.no-patch", "dns:patchZone")
    };
    assert!(longest.text().is_ok());
}
