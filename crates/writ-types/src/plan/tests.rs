use super::*;
use crate::JsonLimits;

fn parse(text: &str) -> Result<Plan, PlanError> {
    Plan::parse(&Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap())
}

/// Pays two invoices, at most twice the second, and then tells somebody.
fn paying() -> Plan {
    parse(
        r#"[
            {"action":"bank:pay","arguments":{"/body/to":["DE1"],"/body/amount":{"max":"100.00"}}},
            {"action":"bank:pay","arguments":{"/body/to":["DE2"],"/body/amount":{"max":"9.50"}},"times":2},
            {"action":"mail:send","arguments":{"/body/to":["ada@acme.example"]}}
        ]"#,
    )
    .unwrap()
}

fn body(text: &str) -> Input {
    Input {
        body: Some(Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap()),
        ..Input::default()
    }
}

fn places(places: &[&str]) -> BTreeSet<BoundPointer> {
    let places = places
        .iter()
        .map(|place| BoundPointer::parse(place).unwrap());
    places.collect()
}

#[test]
fn a_plan_reads_and_is_written_as_it_was() {
    let plan = paying();
    let text = plan.to_value().to_string();
    assert_eq!(parse(&text).unwrap(), plan, "{text}");
    assert_eq!((plan.steps().len(), plan.step(1).unwrap().times()), (3, 2));
    assert!(
        plan.names(&"mail:send".parse().unwrap()) && !plan.names(&"mail:list".parse().unwrap())
    );
}

#[test]
fn what_would_not_bind_is_refused() {
    let many = format!("[{}]", [r#"{"action":"a:b"}"#; 65].join(","));
    let long = format!(
        r#"[{{"action":"a:b","arguments":{{"/body/x":["{}"]}}}}]"#,
        "x".repeat(8200)
    );
    for bad in [
        "{}",
        "[]",
        "[7]",
        "[{}]",
        r#"[{"action":"ab"}]"#,
        r#"[{"action":"a:b","arguments":[]}]"#,
        r#"[{"action":"a:b","arguments":{"x":[1]}}]"#,
        r#"[{"action":"a:b","arguments":{"/body/x":{"regex":"."}}}]"#,
        r#"[{"action":"a:b","times":0}]"#,
        r#"[{"action":"a:b","times":1001}]"#,
        r#"[{"action":"a:b","times":1.5}]"#,
        r#"[{"action":"a:b","optional":true}]"#,
        &many,
        &long,
    ] {
        assert!(parse(bad).is_err(), "{bad:.60}");
    }
}

#[test]
fn a_call_fits_the_steps_that_bind_all_it_says() {
    let plan = paying();
    let pay: ActionName = "bank:pay".parse().unwrap();
    let (to, both) = (places(&["/body/to"]), places(&["/body/to", "/body/iban"]));
    for (text, sensitive, fitting) in [
        (r#"{"to":"DE1","amount":"100.00"}"#, &to, vec![0]),
        (r#"{"to":"DE1","amount":"100.01"}"#, &to, vec![]),
        (r#"{"to":"DE2","amount":9.5}"#, &to, vec![1]),
        (r#"{"to":"DE3","amount":"1"}"#, &to, vec![]),
        // The step said what the amount may be, so there has to be one.
        (r#"{"to":"DE1"}"#, &to, vec![]),
        // A sensitive argument that no step speaks of.
        (r#"{"to":"DE1","amount":"1","iban":"EVE"}"#, &both, vec![]),
    ] {
        assert_eq!(
            plan.fitting(&pay, &body(text), sensitive),
            fitting,
            "{text}"
        );
    }
    let other: ActionName = "bank:refund".parse().unwrap();
    assert!(
        plan.fitting(&other, &body(r#"{"to":"DE1","amount":"1"}"#), &to)
            .is_empty()
    );
    assert!(
        Plan::none()
            .fitting(&pay, &Input::default(), &BTreeSet::new())
            .is_empty()
    );
}

#[test]
fn steps_are_taken_in_their_order_and_so_often() {
    let plan = paying();
    let mut progress = Progress::default();
    assert_eq!(progress.reserve(&plan, &[1]), None, "the first comes first");
    assert_eq!(progress.reserve(&plan, &[2]), None);
    assert_eq!(progress.reserve(&plan, &[0]), Some(0));
    assert_eq!(
        progress.reserve(&plan, &[0]),
        None,
        "it is held by a call under way"
    );
    assert_eq!(
        progress.reserve(&plan, &[1]),
        None,
        "which is not recorded yet"
    );
    progress.release(0);
    assert_eq!(
        progress.reserve(&plan, &[1]),
        None,
        "and now never happened"
    );
    assert_eq!(progress.reserve(&plan, &[0]), Some(0));
    progress.release(0);
    progress.take(0);
    assert_eq!(
        progress.reserve(&plan, &[0]),
        None,
        "once is what was planned"
    );
    assert_eq!(
        progress.reserve(&plan, &[2]),
        None,
        "a step cannot be left out"
    );
    for _ in 0..2 {
        assert_eq!(progress.reserve(&plan, &[1]), Some(1));
        progress.release(1);
        progress.take(1);
    }
    assert_eq!(progress.reserve(&plan, &[0, 1]), None);
    assert_eq!(progress.reserve(&plan, &[2]), Some(2));
    progress.release(2);
    progress.take(2);
    assert_eq!((progress.due(), progress.taken(1)), (2, 2));
    assert_eq!(
        progress.reserve(&plan, &[0, 1, 2]),
        None,
        "the plan is done"
    );
}

#[test]
fn the_step_that_is_due_is_used_up_before_the_next_that_fits_too() {
    let twice = parse(r#"[{"action":"a:b","times":2},{"action":"a:b"}]"#).unwrap();
    let mut progress = Progress::default();
    let taken: Vec<_> = std::iter::repeat_with(|| {
        let step = progress.reserve(&twice, &[0, 1])?;
        progress.release(step);
        progress.take(step);
        Some(step)
    })
    .take(4)
    .collect();
    assert_eq!(taken, [Some(0), Some(0), Some(1), None]);
}
