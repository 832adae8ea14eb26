//! Our own lints, each with what it says and what it suggests.

use super::fixture::{compile, findings};

/// `text` is refused, with `said` in what is said.
fn refused(text: &str, said: &[&str]) {
    let found = findings(text);
    for said in said {
        assert!(found.contains(said), "`{said}` is not in:\n{found}");
    }
}

/// `text` is taken.
fn taken(text: &str) {
    if let Err(found) = compile(text) {
        panic!("{text}\n{found:?}");
    }
}

#[test]
fn an_attribute_that_no_operation_of_the_rule_has() {
    refused(
        "@id(\"a\")\nforbid(principal, action, resource)\n  when { context has bdoy && context.bdoy.amount > 5 };",
        &[
            "test.cedar:3:22: error[unknown-attribute]: `bdoy` is asked for with `has`",
            "(policy `a`)",
            "help: did you mean `body`?",
        ],
    );
    // Inside `||` Cedar's validator says nothing at all.
    refused(
        r#"@id("a") forbid(principal, action == Api_bank::Action::"transfer", resource) when { context.body.amount > 5 || context.body has mmeo };"#,
        &["`mmeo`", "did you mean `memo`?"],
    );
    // In a chain, behind a guard that is false, and on our own attributes.
    refused(
        r#"@id("a") forbid(principal, action == Api_bank::Action::"transfer", resource) when { context has body.recipint };"#,
        &["`recipint`", "did you mean `recipient`?"],
    );
    refused(
        r#"@id("a") forbid(principal, action == Api_bank::Action::"transfer", resource) when { context.sys.op == "x" || (context has path && context.path.zone == "x") };"#,
        &["`path`", "there is: body, sys"],
    );
    refused(
        r#"@id("a") forbid(principal, action, resource) when { principal has requestr || principal.mode == "x" };"#,
        &["`requestr`", "did you mean `requester`?"],
    );
    refused(
        r#"@id("a") forbid(principal, action, resource) when { context.sys has labls || principal.mode == "x" };"#,
        &["`labls`", "did you mean `labels`?"],
    );
    refused(
        r#"@id("a") forbid(principal, action, resource) when { resource has tier || principal.mode == "x" };"#,
        &["`tier`"],
    );
    // It is enough that one operation has it.
    taken(
        r#"@id("a") forbid(principal, action, resource) when { context has body && context.body has amount && context.body.amount > 5 };"#,
    );
    taken(
        r#"@id("a") forbid(principal, action in Writ::Action::"write", resource) when { context has body.memo };"#,
    );
}

#[test]
fn has_on_something_that_is_no_path() {
    refused(
        r#"@id("a") forbid(principal, action == Api_bank::Action::"transfer", resource) when { (if context.sys.op == "x" then context.body else context.body) has mmeo };"#,
        &["`has mmeo` is asked of something that is no attribute path"],
    );
}

#[test]
fn arithmetic() {
    for (condition, sign) in [
        ("context.body.amount + 1 > 5", "`+`"),
        ("context.body.amount - 1 > 5", "`-`"),
        ("context.body.amount * 2 > 5", "`*`"),
        ("-context.body.amount > 5", "`-`"),
        ("context.sys.count.calls + 1 > 5", "`+`"),
        ("9223372036854775807 + 1 > 5", "`+`"),
        (
            "context.body has due && context.body.due.offset(duration(\"1d\")) > context.sys.now",
            "`offset`",
        ),
        (
            "context.body has due && context.sys.now.durationSince(context.body.due) > duration(\"1d\")",
            "`durationSince`",
        ),
    ] {
        refused(
            &format!(
                r#"@id("a") forbid(principal, action == Api_bank::Action::"transfer", resource) when {{ {condition} }};"#
            ),
            &[sign, "compare with a constant or a counter"],
        );
    }
    taken(
        r#"@id("a") forbid(principal, action == Api_bank::Action::"transfer", resource) when { context.body.amount > -5 };"#,
    );
    taken(
        r#"@id("a") forbid(principal, action, resource) when { context.sys.now.toTime() > duration("20h") };"#,
    );
}

#[test]
fn free_text_is_nowhere_to_be_mentioned() {
    for attribute in ["prompt", "intent", "description"] {
        refused(
            &format!(
                r#"@id("a") forbid(principal, action, resource) when {{ principal.{attribute} like "*refund*" }};"#
            ),
            &[&format!("`{attribute}`")],
        );
    }
}

#[test]
fn ids() {
    refused(
        "permit(principal, action, resource);",
        &["has no `@id`", "give it a stable, unique name"],
    );
    refused(
        "@id(\"a\")\npermit(principal, action, resource);\n@id(\"a\")\nforbid(principal, action, resource);",
        &["test.cedar:3:2", "taken by the policy at test.cedar:1"],
    );
    for wrong in ["", "1a", "a b", "a\\u{e9}"] {
        refused(
            &format!(r#"@id("{wrong}") permit(principal, action, resource);"#),
            &["begins with a letter"],
        );
    }
    refused(
        "@id permit(principal, action, resource);",
        &["begins with a letter"],
    );
}

#[test]
fn annotations() {
    refused(
        r#"@id("a") @expire("2030-01-01") permit(principal, action, resource);"#,
        &["unknown annotation `@expire`", "did you mean `expires`?"],
    );
    for later in ["blind", "assume", "test"] {
        refused(
            &format!(r#"@id("a") @{later}("x") forbid(principal, action, resource);"#),
            &[&format!("`@{later}` is not available yet in this version")],
        );
    }
    refused(
        r#"@id("a") @severity("bad") forbid(principal, action, resource);"#,
        &["low, medium, high, critical"],
    );
    refused(
        r#"@id("a") @id("b") forbid(principal, action, resource);"#,
        &["duplicate annotation"],
    );
    taken(
        r#"@id("a") @doc("why") @owner("ops") @severity("high") @expires("2030-01-01") forbid(principal, action, resource);"#,
    );
}

#[test]
fn names_that_there_are_not() {
    let on = |scope: &str| format!(r#"@id("a") forbid(principal, {scope});"#);
    for (scope, said) in [
        (
            r#"action == Api_dns::Action::"listZone", resource"#,
            "did you mean `listZones`?",
        ),
        (
            r#"action == Api_dsn::Action::"listZones", resource"#,
            "did you mean `Api_dns`?",
        ),
        (
            r#"action in [Api_dns::Action::"listZones", Api_dns::Action::"x"], resource"#,
            "API `dns` has no operation `x`",
        ),
        (
            r#"action in Writ::Action::"delte", resource"#,
            "did you mean `delete`?",
        ),
        (
            r#"action == Writ::Action::"delete", resource"#,
            "write `action in Writ::Action::\"delete\"`",
        ),
        (
            r#"action == Action::"listZones", resource"#,
            "`Action` is no action type",
        ),
        (r#"action in [], resource"#, "names no action"),
        (
            r#"action, resource == Writ::Upstream::"dsn""#,
            "did you mean `dns`?",
        ),
    ] {
        refused(&on(scope), &[said]);
    }
    refused(
        r#"@id("a") forbid(principal, action, resource) when { resource == Writ::Upstream::"bnak" };"#,
        &["there is no API `bnak`", "did you mean `bank`?"],
    );
    refused(
        &on(r#"action in [Writ::Action::"read", Api_bank::Action::"transfer"], resource"#),
        &[
            "names actions of Api_bank::Action and Writ::Action",
            "make a rule for each",
        ],
    );
    taken(&on(
        r#"action in [Writ::Action::"read", Writ::Action::"delete"], resource == Writ::Upstream::"dns""#,
    ));
}

#[test]
fn conditions_have_a_largest_depth_and_up_to_it_they_are_decided() {
    let chain = |terms: usize| {
        let terms: Vec<String> = (0..terms)
            .map(|term| format!("principal.purpose != \"p{term}\""))
            .collect();
        format!(
            r#"@id("a") permit(principal, action, resource) when {{ {} }};"#,
            terms.join(" && ")
        )
    };
    refused(
        &chain(120),
        &["levels deep; at most 100 are taken", "compare with a set"],
    );
    let pdp = compile(&chain(97)).unwrap();
    let call = super::fixture::Call::of(
        "dns:listZones",
        super::fixture::attrs(&[("query", super::fixture::attrs(&[]))]),
    );
    // On a thread with little stack, too.
    let decided = std::thread::Builder::new()
        .stack_size(512 * 1024)
        .spawn(move || call.word(&pdp))
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(decided, "allow");
}
