use super::*;
use crate::{AgentId, Asserters, JsonLimits, Mode, Plan, TaskId, Tenant};

fn json(text: &str) -> Value {
    Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap()
}

const OPENED: Timestamp = Timestamp::from_millis(1_795_000_000_250);

/// A task of `a:read` and `a:pay`, which pays DE1 at most 100.
fn held() -> Grant {
    let bounds = r#"{"a:pay":{"/body/to":["DE1"],"/body/amount":{"max":"100"}}}"#;
    Grant {
        tenant: Tenant::default_tenant(),
        task: TaskId::new(OPENED, [1; 10]),
        agent: AgentId::new(OPENED, [2; 10]),
        requester: None,
        purpose: "pay".parse().unwrap(),
        mode: Mode::Autonomous,
        actions: ["a:read", "a:pay"].map(|name| name.parse().unwrap()).into(),
        bounds: Bounds::parse(&json(bounds)).unwrap(),
        plan: Plan::none(),
        budget: Budget {
            calls: 10,
            writes: 2,
            deletes: 0,
            irreversible: 0,
        },
        opened: OPENED,
        deadline: OPENED.plus(Duration::from_millis(300_900)),
        parent: None,
        prompt: None,
        asserters: Asserters::all(Asserter::AgentAccepted),
    }
}

fn asked(members: &str) -> Result<Grant, AmendmentError> {
    let text = format!(r#"[{{"type":"writ_task","purpose":"pay",{members}}}]"#);
    let held = held();
    Ok(Amendment::parse(&json(&text), &held)?.applied_to(&held))
}

/// What is asked for, and what becomes of the grant: `=` nothing, `<` it only narrows, `>` it widens in something.
#[test]
fn what_widens_in_anything_widens() {
    let both = r#""actions":["a:read","a:pay"]"#;
    for (members, becomes) in [
        (both.to_owned(), '='),
        (format!(r#"{both},"expires_in":300"#), '='),
        (format!(r#"{both},"budget":{{"calls":10}}"#), '='),
        (format!(r#"{both},"expires_in":299"#), '<'),
        (format!(r#"{both},"expires_in":301"#), '>'),
        (format!(r#"{both},"budget":{{"calls":9}}"#), '<'),
        (format!(r#"{both},"budget":{{"calls":9,"writes":3}}"#), '>'),
        (r#""actions":["a:read"]"#.to_owned(), '<'),
        (r#""actions":["a:read","a:other"]"#.to_owned(), '>'),
        (
            format!(
                r#"{both},"bounds":{{"a:pay":{{"/body/to":["DE1"],"/body/amount":{{"max":"99"}}}}}}"#
            ),
            '<',
        ),
        (
            format!(
                r#"{both},"bounds":{{"a:pay":{{"/body/to":["DE1","DE2"],"/body/amount":{{"max":"1"}}}}}}"#
            ),
            '>',
        ),
        // One bound less admits more, and so does none at all.
        (
            format!(r#"{both},"bounds":{{"a:pay":{{"/body/to":["DE1"]}}}}"#),
            '>',
        ),
        (format!(r#"{both},"bounds":{{}}"#), '>'),
        // One more narrows, also of what had none.
        (
            format!(
                r#"{both},"bounds":{{"a:pay":{{"/body/to":["DE1"],"/body/amount":{{"max":"100"}}}},"a:read":{{"/path/id":["1"]}}}}"#
            ),
            '<',
        ),
        (
            format!(
                r#"{both},"bounds":{{"a:pay":{{"/body/to":{{"prefix":"DE1"}},"/body/amount":{{"max":"100"}}}}}}"#
            ),
            '>',
        ),
    ] {
        let (held, after) = (held(), asked(&members).unwrap());
        let difference = Difference::between(&held, &after);
        let found = if difference.is_none() {
            '='
        } else if difference.widens() {
            '>'
        } else {
            '<'
        };
        assert_eq!(found, becomes, "{members}");
        assert!(after.amends(&held), "{members}");
    }
}

#[test]
fn what_a_task_was_opened_with_stays() {
    for (members, fault) in [
        (r#""actions":["a:pay"],"prompt":"pay more""#, "prompt"),
        (r#""actions":["a:pay"],"mode":"copilot""#, "mode"),
        (r#""actions":["a:pay"],"plan":[{"action":"a:pay"}]"#, "plan"),
    ] {
        assert_eq!(asked(members), Err(AmendmentError::Fixed(fault)));
    }
    let other = json(r#"[{"type":"writ_task","purpose":"other","actions":["a:pay"]}]"#);
    let refused = Amendment::parse(&other, &held());
    assert_eq!(refused, Err(AmendmentError::Fixed("purpose")));
    let plan = Plan::parse(&json(r#"[{"action":"a:pay"}]"#)).unwrap();
    let planned = Grant { plan, ..held() };
    let less = json(r#"[{"type":"writ_task","purpose":"pay","actions":["a:read"]}]"#);
    let refused = Amendment::parse(&less, &planned);
    assert_eq!(refused, Err(AmendmentError::Planned));
    assert!(matches!(
        asked(r#""bounds":{}"#),
        Err(AmendmentError::Details(_))
    ));
}

/// Bounds that are changed are the agent's own word: after what it has read, it vouches for nothing that it says.
#[test]
fn changed_bounds_are_the_agents_word() {
    let pay = r#""actions":["a:pay"]"#;
    for (members, asserter) in [
        (pay.to_owned(), Asserter::AgentAccepted),
        (
            format!(r#"{pay},"budget":{{"calls":20}}"#),
            Asserter::AgentAccepted,
        ),
        (
            format!(r#"{pay},"bounds":{{"a:pay":{{"/body/to":["DE1"],"/body/amount":["7"]}}}}"#),
            Asserter::Agent,
        ),
        (format!(r#"{pay},"bounds":{{}}"#), Asserter::Agent),
    ] {
        let after = asked(&members).unwrap();
        assert_eq!(after.asserters.bounds, asserter, "{members}");
        assert_eq!(after.asserters.prompt, Asserter::AgentAccepted);
    }
}

#[test]
fn a_token_of_before_names_what_is_held_before_and_after() {
    let held = held();
    let after = asked(
        r#""actions":["a:pay","a:other"],"bounds":{"a:pay":{"/body/to":["DE1","DE2"],"/body/amount":{"min":"5","max":"400"}}}"#,
    )
    .unwrap();
    let named = after.as_of(&held);
    assert_eq!(named.actions, ["a:pay".parse().unwrap()].into());
    let bounds = r#"{"a:pay":{"/body/amount":{"max":"100","min":"5"},"/body/to":["DE1"]}}"#;
    assert_eq!(named.bounds.to_value().to_string(), bounds);
    assert_eq!(named.budget, after.budget);
}

#[test]
fn what_the_difference_says_is_all_of_it() {
    let held = held();
    let after =
        asked(r#""actions":["a:pay","a:other"],"bounds":{"a:pay":{"/body/to":["DE2"]}}"#).unwrap();
    let difference = Difference::between(&held, &after);
    let names = |names: &mut dyn Iterator<Item = &ActionName>| {
        names.map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&mut difference.added()), "a:other");
    assert_eq!(names(&mut difference.dropped()), "a:read");
    let shown = |bound: Option<&Bound>| {
        bound.map_or_else(|| "-".to_owned(), |bound| bound.to_value().to_string())
    };
    let bounds = difference.bounds();
    let bounds = bounds.iter().map(|change| {
        format!(
            "{} {} {}",
            change.place,
            shown(change.before),
            shown(change.after)
        )
    });
    assert_eq!(
        bounds.collect::<Vec<_>>(),
        [
            r#"/body/amount {"max":"100"} -"#,
            r#"/body/to ["DE1"] ["DE2"]"#
        ]
    );
    assert!(difference.changes_bounds() && difference.widens_calls());
}
