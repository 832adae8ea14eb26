use super::*;
use crate::JsonLimits;

fn json(text: &str) -> Value {
    Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap()
}

fn bounds(text: &str) -> Bounds {
    Bounds::parse(&json(text)).unwrap()
}

/// One row a form: the bound, the value, whether it is admitted.
#[test]
fn bound_table() {
    for (bound, value, admitted) in [
        (r#"["DE89","DE90"]"#, r#""DE89""#, true),
        (r#"["DE89"]"#, r#""de89""#, false),
        ("[1]", "1.0", true),
        ("[1]", r#""1""#, false),
        ("[]", "1", false),
        (r#"{"max":"100.00"}"#, "100", true),
        (r#"{"max":"100.00"}"#, r#""100.00""#, true),
        (r#"{"max":"100.00"}"#, "100.00000000000000000001", false),
        (r#"{"min":0,"max":5}"#, "-1", false),
        (r#"{"min":0}"#, r#""abc""#, false),
        (r#"{"prefix":"agent/"}"#, r#""agent/x""#, true),
        (r#"{"prefix":"agent/"}"#, r#""main""#, false),
        (r#"{"prefix":"agent/"}"#, r#""agent/../main""#, false),
        (r#"{"prefix":"agent/"}"#, r#""agent/a..b""#, true),
        (r#"{"prefix":"v1."}"#, r#""v1../x""#, true),
        (
            r#"{"from":"2026-01-01","to":"2026-12-31"}"#,
            r#""2026-11-23""#,
            true,
        ),
        (r#"{"from":"2026-01-01"}"#, r#""2025-12-31""#, false),
        (r#"{"from":"2026-01-01"}"#, r#""2026-1-1""#, false),
        (r#"{"to":"2026-01-01"}"#, r#""""#, false),
    ] {
        let parsed = Bound::parse(&json(bound)).unwrap();
        assert_eq!(
            parsed.admits(&json(value)),
            admitted,
            "{bound} admits {value}"
        );
        assert_eq!(
            Bound::parse(&parsed.to_value()),
            Ok(parsed),
            "{bound} reads back"
        );
    }
}

/// What both admit: one row of two bounds, and the bound that is neither's to exceed.
#[test]
fn meet_table() {
    for (one, other, both) in [
        (r#"["a","b"]"#, r#"["b","c"]"#, r#"["b"]"#),
        (r#"["a","b"]"#, r#"{"prefix":"b"}"#, r#"["b"]"#),
        (
            r#"{"max":"10"}"#,
            r#"{"min":"2","max":"20"}"#,
            r#"{"max":"10","min":"2"}"#,
        ),
        (
            r#"{"min":"1"}"#,
            r#"{"max":"0"}"#,
            r#"{"max":"0","min":"1"}"#,
        ),
        (
            r#"{"prefix":"a"}"#,
            r#"{"prefix":"ab"}"#,
            r#"{"prefix":"ab"}"#,
        ),
        (r#"{"prefix":"a"}"#, r#"{"prefix":"b"}"#, "[]"),
        (r#"{"prefix":"2026"}"#, r#"{"from":"2026-01-01"}"#, "[]"),
        (
            r#"{"from":"2026-01-01"}"#,
            r#"{"from":"2026-02-01","to":"2026-03-01"}"#,
            r#"{"from":"2026-02-01","to":"2026-03-01"}"#,
        ),
        (
            r#"{"to":"2026-02-01"}"#,
            r#"{"from":"2026-01-01","to":"2026-03-01"}"#,
            r#"{"from":"2026-01-01","to":"2026-02-01"}"#,
        ),
    ] {
        let read = |text| Bound::parse(&json(text)).unwrap();
        let (one, other) = (read(one), read(other));
        for met in [one.meet(&other), other.meet(&one)] {
            assert_eq!(met.to_value().to_string(), both);
            assert!(met.within(&one) && met.within(&other), "{both}");
        }
    }
}

#[test]
fn unknown_forms_are_refused() {
    for bad in [
        r#""x""#,
        "{}",
        r#"{"min":"x"}"#,
        r#"{"prefix":""}"#,
        r#"{"prefix":"a","min":1}"#,
        r#"{"regex":"a"}"#,
        r#"{"from":"tomorrow"}"#,
        "[[1]]",
        "[null]",
        "null",
    ] {
        assert_eq!(Bound::parse(&json(bad)), Err(BoundsError::Form), "{bad}");
    }
    for bad in [
        r#"{"a:b":{"/cookie/x":[1]}}"#,
        r#"{"a:b":{"/body":[1]}}"#,
        r#"{"a:b":{"/path/":[1]}}"#,
    ] {
        assert_eq!(
            Bounds::parse(&json(bad)),
            Err(BoundsError::Pointer),
            "{bad}"
        );
    }
    assert!(matches!(
        Bounds::parse(&json(r#"{"ab":{}}"#)),
        Err(BoundsError::Action(_))
    ));
    assert_eq!(Bounds::parse(&json("[]")), Err(BoundsError::Shape));
}

#[test]
fn a_missing_value_lies_outside_and_every_item_counts() {
    let bounds = bounds(r#"{"dns:patch":{"/path/zone":["a."],"/body/rrsets/*/type":["TXT"]}}"#);
    let action: ActionName = "dns:patch".parse().unwrap();
    let call = |zone: Option<&str>, body: &str| Input {
        path: zone
            .into_iter()
            .map(|zone| ("zone".to_owned(), Value::from(zone)))
            .collect(),
        body: Some(json(body)),
        ..Input::default()
    };
    let outside = |input: &Input| bounds.violation(&action, input).map(ToString::to_string);
    assert_eq!(
        outside(&call(
            Some("a."),
            r#"{"rrsets":[{"type":"TXT"},{"type":"TXT"}]}"#
        )),
        None
    );
    assert_eq!(
        outside(&call(None, r#"{"rrsets":[{"type":"TXT"}]}"#)).as_deref(),
        Some("/path/zone")
    );
    for body in [
        r#"{"rrsets":[{"type":"TXT"},{"type":"NS"}]}"#,
        r#"{"rrsets":[{"type":"TXT"},{}]}"#,
        r#"{"rrsets":[]}"#,
        "{}",
    ] {
        assert_eq!(
            outside(&call(Some("a."), body)).as_deref(),
            Some("/body/rrsets/*/type"),
            "{body}"
        );
    }
    assert_eq!(
        bounds.violation(&"dns:list".parse().unwrap(), &Input::default()),
        None,
        "another action is not bounded"
    );
}

#[test]
fn every_member_counts_and_none_may_be_called_a_star() {
    let bounds = bounds(r#"{"mail:send":{"/body/to/*":["bob@x.example"]}}"#);
    let action: ActionName = "mail:send".parse().unwrap();
    for (body, within) in [
        (r#"{"to":{"a":"bob@x.example"}}"#, true),
        (r#"{"to":{"a":"bob@x.example","b":"bob@x.example"}}"#, true),
        (r#"{"to":["bob@x.example"]}"#, true),
        (r#"{"to":{"*":"bob@x.example","b":"eve@x.example"}}"#, false),
        (r#"{"to":{"a":"bob@x.example","b":"eve@x.example"}}"#, false),
        (r#"{"to":{"*":"eve@x.example"}}"#, false),
        (r#"{"to":{"a":["bob@x.example"]}}"#, false),
        (r#"{"to":{}}"#, false),
        (r#"{"to":"bob@x.example"}"#, false),
    ] {
        let input = Input {
            body: Some(json(body)),
            ..Input::default()
        };
        assert_eq!(
            bounds.violation(&action, &input).is_none(),
            within,
            "{body}"
        );
    }
}

#[test]
fn narrowing_is_decided_per_place() {
    let wide = bounds(r#"{"a:b":{"/body/x":{"max":100}}}"#);
    let actions = BTreeSet::from(["a:b".parse().unwrap()]);
    for (narrow, within) in [
        (r#"{"a:b":{"/body/x":{"max":50}}}"#, true),
        (r#"{"a:b":{"/body/x":[1,2]}}"#, true),
        (r#"{"a:b":{"/body/x":[101]}}"#, false),
        (r#"{"a:b":{"/body/x":{"min":5}}}"#, false),
        (r#"{"a:b":{"/body/y":{"max":1}}}"#, false),
        ("{}", false),
        (r#"{"a:b":{"/body/x":{"max":50},"/body/y":[1]}}"#, true),
    ] {
        assert_eq!(bounds(narrow).within(&wide, &actions), within, "{narrow}");
    }
    assert!(
        bounds("{}").within(&wide, &BTreeSet::new()),
        "an action the child does not hold needs no bound"
    );
}
