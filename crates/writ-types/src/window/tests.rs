use super::*;
use crate::JsonLimits;

fn json(text: &str) -> Value {
    Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap()
}

fn name(text: &str) -> WindowName {
    text.parse().unwrap()
}

fn said(of: &str, unit: &str, amount: &str) -> Quantity {
    Quantity {
        name: name(of),
        unit: Unit::of(unit).unwrap(),
        amount: Amount::of(&json(amount)),
    }
}

fn quantities(all: &[Quantity]) -> Quantities {
    let mut sum = Quantities::default();
    for one in all {
        sum.add(one.clone());
    }
    sum
}

#[test]
fn amounts_are_exact_or_none() {
    for (value, amount) in [
        ("12.5", Some("12.5000")),
        ("\"12.50\"", Some("12.5000")),
        ("1e3", Some("1000.0000")),
        ("0.0001", Some("0.0001")),
        ("922337203685477.5807", Some("922337203685477.5807")),
        ("922337203685477.5808", None),
        ("0.00001", None),
        ("-1", None),
        ("\"-0.5\"", None),
        ("\"12,50\"", None),
        ("\" 12\"", None),
        ("\"\"", None),
        ("true", None),
        ("[1]", None),
    ] {
        let found = Amount::of(&json(value)).map(|amount| amount.to_string());
        assert_eq!(found.as_deref(), amount, "{value}");
    }
}

#[test]
fn names_are_members_of_a_record() {
    for (text, good) in [
        ("paid_day", true),
        ("a", true),
        ("a1", true),
        ("", false),
        ("1a", false),
        ("Paid", false),
        ("paid-day", false),
        ("a__b", false),
        ("abcdefghijklmnopqrstuvwxyzabcdefg", false),
    ] {
        assert_eq!(text.parse::<WindowName>().is_ok(), good, "{text}");
    }
}

#[test]
fn what_a_call_says_is_added_up_for_each_unit() {
    let euros = Summed {
        quantity: name("payment"),
        unit: Unit::of("eur").unwrap(),
    };
    let of = |all: &[Quantity]| {
        let all = quantities(all);
        (
            all.in_unit(&euros).to_string(),
            all.wholly(&euros).is_some(),
        )
    };
    let one = said("payment", "EUR", "1.5");
    let two = said("payment", "eur", "\"2.25\"");
    let dollars = said("payment", "USD", "9");
    let other = said("fee", "USD", "9");
    let unread = said("payment", "EUR", "\"much\"");
    assert_eq!(of(&[one.clone(), two]), ("3.7500".to_owned(), true));
    assert_eq!(of(&[one.clone(), other]), ("1.5000".to_owned(), true));
    assert_eq!(of(&[one.clone(), dollars]), ("1.5000".to_owned(), false));
    assert_eq!(of(&[one, unread]), ("0.0000".to_owned(), false));
    assert_eq!(of(&[]), ("0.0000".to_owned(), false));
}

#[test]
fn records_say_quantities_in_one_spelling() {
    let all = quantities(&[
        said("payment", "EUR", "1.5"),
        said("payment", "a:b,c%3A", "2"),
        said("fee", "", "\"none\""),
    ]);
    let text = all.to_string();
    assert_eq!(
        text,
        "fee::?,payment:A%3AB%2CC%253A:2.0000,payment:EUR:1.5000"
    );
    assert_eq!(text.parse(), Ok(all));
    for bad in [
        "",
        "payment",
        "payment:EUR",
        "payment:eur:1.0000",
        "payment:EUR:1",
        "payment:EUR:1.0000,fee::?",
        "payment:EUR:-1.0000",
    ] {
        assert_eq!(bad.parse::<Quantities>(), Err(QuantitiesError), "{bad}");
    }
}

#[test]
fn more_units_than_are_kept_are_not_known() {
    let mut all = Quantities::default();
    for number in 0..100 {
        all.add(said("payment", &format!("C{number}"), "1"));
    }
    let first = Summed {
        quantity: name("payment"),
        unit: Unit::of("C0").unwrap(),
    };
    assert_eq!(all.wholly(&first), None);
    assert!(all.iter().count() <= 64 && all.iter().all(|one| one.amount.is_none()));
    assert_eq!(all.to_string().parse(), Ok(all));
}

#[test]
fn a_window_counts_something_for_a_time() {
    let window = |within: u64, groups: &[&str]| Window {
        name: name("w"),
        by: WindowScope::Agent,
        within: Duration::from_secs(within),
        actions: BTreeSet::new(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        sum: None,
    };
    assert_eq!(window(60, &["write"]).check(), Ok(()));
    assert_eq!(window(59, &["write"]).check(), Err(WindowError::Short));
    assert_eq!(
        window(31 * 24 * 3600 + 1, &["write"]).check(),
        Err(WindowError::Long)
    );
    assert_eq!(window(60, &[]).check(), Err(WindowError::Nothing));
    assert_eq!(
        window(60, &["writes"]).check(),
        Err(WindowError::Group("writes".to_owned()))
    );
    let mut windows = Windows::default();
    windows.add(window(60, &["write"])).unwrap();
    assert_eq!(
        windows.add(window(90, &["read"])),
        Err(WindowError::Twice(name("w")))
    );
    for number in 1..32 {
        let named = Window {
            name: name(&format!("w{number}")),
            ..window(60, &["write"])
        };
        windows.add(named).unwrap();
    }
    let more = Window {
        name: name("more"),
        ..window(60, &["write"])
    };
    assert_eq!(windows.add(more), Err(WindowError::Many));
}
