use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Value, JsonFaultKind> {
    Value::parse(text.as_bytes(), &JsonLimits::REQUEST).map_err(|fault| fault.kind)
}

/// What strict means, one row a decision. `-` reads; a word is the fault.
#[test]
fn strictness_table() {
    use JsonFaultKind::{
        Duplicate, Encoding, Number, String as Text, Trailing, Truncated, Unexpected,
    };
    for (text, wanted) in [
        ("{}", None),
        (" [1, 2 ] ", None),
        (r#""\ud83d\ude00""#, None),
        ("-0.0e+10", None),
        ("null", None),
        ("", Some(Truncated)),
        ("[1,]", Some(Unexpected)),
        ("{\"a\":1,}", Some(Unexpected)),
        ("{a:1}", Some(Unexpected)),
        ("{\"a\":1 \"b\":2}", Some(Unexpected)),
        ("{\"a\":1,\"a\":1}", Some(Duplicate)),
        ("{\"a\":1,\"\\u0061\":2}", Some(Duplicate)),
        ("01", Some(Number)),
        ("-", Some(Number)),
        ("1.", Some(Number)),
        (".5", Some(Unexpected)),
        ("+1", Some(Unexpected)),
        ("1e", Some(Number)),
        ("NaN", Some(Unexpected)),
        ("1 2", Some(Trailing)),
        ("{} //", Some(Trailing)),
        ("\"\u{1}\"", Some(Text)),
        (r#""\x""#, Some(Text)),
        (r#""\ud800""#, Some(Text)),
        (r#""\udc00""#, Some(Text)),
        (r#""\ud800\u0041""#, Some(Text)),
        (r#""\u12g4""#, Some(Text)),
        ("\"abc", Some(Truncated)),
        ("[1", Some(Truncated)),
        ("tru", Some(Unexpected)),
        ("\u{FEFF}{}", Some(Encoding)),
    ] {
        assert_eq!(read(text).err(), wanted, "{text}");
    }
    assert_eq!(
        Value::parse(b"\"\xff\"", &JsonLimits::REQUEST)
            .unwrap_err()
            .kind,
        Encoding
    );
}

#[test]
fn limits_hold() {
    let limits = JsonLimits {
        depth: 3,
        values: 5,
        number_chars: 4,
    };
    let kind = |text: &str| {
        Value::parse(text.as_bytes(), &limits)
            .err()
            .map(|fault| fault.kind)
    };
    assert_eq!(kind("[[[]]]"), None);
    assert_eq!(kind("[[[[]]]]"), Some(JsonFaultKind::Depth));
    assert_eq!(kind("[1,2,3,4]"), None);
    assert_eq!(kind("[1,2,3,4,5]"), Some(JsonFaultKind::Values));
    assert_eq!(kind("12345"), Some(JsonFaultKind::Number));
    let deep = "[".repeat(100_000);
    assert_eq!(
        read(&deep).err(),
        Some(JsonFaultKind::Depth),
        "depth is a fault, not a stack overflow"
    );
}

#[test]
fn a_fault_names_its_place() {
    let fault = Value::parse(
        br#"{"a/b":[{"c":1},{"c":{"d":1,"d":2}}]}"#,
        &JsonLimits::REQUEST,
    )
    .unwrap_err();
    assert_eq!(fault.pointer.as_str(), "/a~1b/1/c/d");
    assert_eq!(fault.kind, JsonFaultKind::Duplicate);
}

#[test]
fn pointers_find_values() {
    let value = read(r#"{"a/b":[{"c~":true}],"0":1}"#).unwrap();
    let at = |text: &str| value.at(&Pointer::parse(text).unwrap()).cloned();
    assert_eq!(at("/a~1b/0/c~0"), Some(Value::Bool(true)));
    assert_eq!(at(""), Some(value.clone()));
    assert_eq!(at("/a~1b/00"), None);
    assert_eq!(at("/a~1b/-"), None);
    assert!(Pointer::parse("a").is_none() && Pointer::parse("/~2").is_none());
}

/// RFC 8785 appendix B, and §3.2.2 and §3.2.3.
#[test]
fn canonical_form_follows_rfc_8785() {
    for (text, canonical) in [
        ("0.0", "0"),
        ("-0", "0"),
        ("5e-324", "5e-324"),
        ("-5e-324", "-5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("9007199254740992", "9007199254740992"),
        ("295147905179352830000", "295147905179352830000"),
        ("9.999999999999997e22", "9.999999999999997e+22"),
        ("1e23", "1e+23"),
        ("1.0000000000000001e23", "1.0000000000000001e+23"),
        ("999999999999999700000", "999999999999999700000"),
        ("1e21", "1e+21"),
        ("9.999999999999997e-7", "9.999999999999997e-7"),
        ("0.000001", "0.000001"),
        ("333333333.3333332", "333333333.3333332"),
        ("1E30", "1e+30"),
        ("4.50", "4.5"),
        ("2e-3", "0.002"),
        (
            r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew","1":"One","\ud83d\ude00":"Smiley","\u0080":"Control","\u00f6":"o"}"#,
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"\u{f6}\":\"o\",\"\u{20ac}\":\"Euro Sign\",\"\u{1F600}\":\"Smiley\",\"\u{fb33}\":\"Hebrew\"}",
        ),
        (
            "\"\\u000f\\n\\u0000A'\\u0042\\\"\\\\\\\"/\"",
            "\"\\u000f\\n\\u0000A'B\\\"\\\\\\\"/\"",
        ),
    ] {
        assert_eq!(read(text).unwrap().canonical(), canonical, "{text}");
    }
}

#[test]
fn numbers_keep_their_text_and_compare_by_quantity() {
    let value = read("[100.00000000000000000001, 1e400, 1.0]").unwrap();
    assert_eq!(value.to_string(), "[100.00000000000000000001,1e400,1.0]");
    assert_eq!(read("1.0").unwrap(), read("10e-1").unwrap());
    assert_ne!(
        read("100").unwrap(),
        read("100.00000000000000000001").unwrap()
    );
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from_i64),
        any::<f64>()
            .prop_filter("finite", |float| float.is_finite())
            .prop_filter_map("a number", |float| {
                Number::parse(&format!("{float:e}")).map(Value::Number)
            }),
        ".*".prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map(".*", inner, 0..6).prop_map(Value::Object),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(value in any_value()) {
        prop_assert_eq!(read(&value.to_string()), Ok(value.clone()));
        let canonical = value.canonical();
        prop_assert_eq!(read(&canonical).unwrap().canonical(), canonical);
    }

    #[test]
    fn no_text_panics_and_acceptance_agrees_with_another_reader(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let ours = Value::parse(&bytes, &JsonLimits::REQUEST);
        let theirs: Result<serde_json::Value, _> = serde_json::from_slice(&bytes);
        // We refuse more (duplicates), never less.
        prop_assert!(ours.is_err() || theirs.is_ok());
    }

    #[test]
    fn acceptance_agrees_on_json_like_text(text in "[\\[\\]{}:, \"a0-9eE.+\\-tfn\\\\u]{0,24}") {
        let ours = Value::parse(text.as_bytes(), &JsonLimits::REQUEST);
        let theirs: Result<serde_json::Value, _> = serde_json::from_str(&text);
        if let Err(fault) = &ours {
            prop_assert!(theirs.is_err() || fault.kind == JsonFaultKind::Duplicate, "{text}: {fault}");
        } else {
            // The other reader refuses numbers beyond `f64`; ours keeps them.
            prop_assert!(theirs.is_ok() || theirs.unwrap_err().to_string().contains("out of range"), "{text}");
        }
    }
}
