use writ_types::{Pointer, Value};

use super::{ReferenceFault, follow, read, target};

/// The document as JSON text, or its fault with the line.
fn shown(text: &str) -> String {
    match read(text.as_bytes()) {
        Ok(value) => value.to_string(),
        Err(fault) => format!("{}: {}", fault.line.unwrap_or_default(), fault.message),
    }
}

#[test]
fn yaml_is_read_by_the_core_schema() {
    let table = [
        ("a: 1", r#"{"a":1}"#),
        (
            "200: x\ntrue: y\n1.5: z",
            r#"{"1.5":"z","200":"x","true":"y"}"#,
        ),
        (
            "- yes\n- no\n- on\n- ~\n- null\n- True\n- FALSE",
            r#"["yes","no","on",null,null,true,false]"#,
        ),
        (
            "- 007\n- +5\n- -0.50\n- .5\n- 1.\n- 1e3\n- 0x1F\n- 0o17",
            "[7,5,-0.50,0.5,1,1e3,31,15]",
        ),
        (
            "- '1'\n- \"true\"\n- !!str 5\n- ! 6",
            r#"["1","true","5","6"]"#,
        ),
        (
            "- 2026-11-23\n- 1_000\n- 0x\n- '~'\n- 1.2.3",
            r#"["2026-11-23","1_000","0x","~","1.2.3"]"#,
        ),
        (
            "a: |\n  x\n  y\nb: >-\n  x\n  y",
            r#"{"a":"x\ny\n","b":"x y"}"#,
        ),
        ("a: &x {b: 1}\nc: *x", r#"{"a":{"b":1},"c":{"b":1}}"#),
        (
            "a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3",
            r#"{"a":{"b":1,"c":2},"d":{"b":1,"c":3}}"#,
        ),
        (
            "a: &x {b: 1}\ne: &y {b: 2, f: 3}\nd:\n  <<: [*x, *y]",
            r#"{"a":{"b":1},"d":{"b":1,"f":3},"e":{"b":2,"f":3}}"#,
        ),
        ("'<<': 1", r#"{"<<":1}"#),
        (
            "a:\n  b: {\n    c: 1\n  }\nd: [\n  1\n]",
            r#"{"a":{"b":{"c":1}},"d":[1]}"#,
        ),
        ("", "1: the document is empty"),
        ("a: 1\nb: 2\na: 3", "3: the key `a` stands twice"),
        ("200: 1\n'200': 2", "2: the key `200` stands twice"),
        (
            "<<: 3",
            "2: a merge key (`<<`) takes a mapping or a list of mappings",
        ),
        ("? [a]\n: 1", "1: a key that is a collection"),
        ("a: .inf", "1: `.inf` is no JSON number"),
        (
            "a: !!binary aGk=",
            "1: the tag `tag:yaml.org,2002:!binary` is not understood",
        ),
        ("--- 1\n--- 2", "2: more than one YAML document"),
        (
            "a: &x [*x]",
            "1: an alias to an anchor that is not complete here",
        ),
    ];
    for (text, expect) in table {
        assert_eq!(shown(text), expect, "{text}");
    }
}

#[test]
fn json_faults_have_a_line_and_a_place() {
    let fault = read(b"{\n \"paths\": {\n  \"/x\": 1,\n  \"/x\": 2}}").unwrap_err();
    assert_eq!(fault.line, Some(4));
    assert_eq!(fault.message, "not strict JSON: a member name stands twice");
    assert_eq!(fault.pointer.as_str(), "/paths/~1x");
    assert!(read(b"{\"a\": 01}").is_err());
    assert!(read(b"a: \xff").is_err());
}

#[test]
fn yaml_faults_have_a_line_and_a_place() {
    for (text, line, place) in [
        (
            "paths:\n  /x:\n    - 1\n    - get: 1\n      get: 2",
            5,
            "/paths/~1x/1",
        ),
        ("a:\n  b: !!binary aGk=", 2, "/a/b"),
        ("- 1\n- <<: 2\n  a: 3", 4, "/1"),
    ] {
        let fault = read(text.as_bytes()).unwrap_err();
        assert_eq!(
            (fault.line, fault.pointer.as_str()),
            (Some(line), place),
            "{text}"
        );
    }
    let deep: String = (0..300)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    let fault = read(deep.as_bytes()).unwrap_err();
    assert!(
        fault.pointer.as_str().starts_with("/a/a/a/"),
        "{}",
        fault.pointer
    );
}

#[test]
fn a_billion_laughs_end_early() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = format!("*a{},", level - 1).repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    assert_eq!(
        shown(&text),
        "6: too many values, copies of anchors included"
    );
    let merged = format!("a: &a {{b: 1}}\nc: [{}]", "{<<: *a},".repeat(10));
    assert!(read(merged.as_bytes()).is_ok());
}

#[test]
fn depth_is_bounded_however_it_is_made() {
    for deep in [
        "[".repeat(300),
        "- ".repeat(300),
        format!("x: {}", "{a: ".repeat(300)),
    ] {
        let fault = read(deep.as_bytes()).unwrap_err();
        assert!(fault.line.is_some());
        assert!(
            fault.message.contains("nested too deeply")
                || fault.message.contains("recursion limit"),
            "{}",
            fault.message
        );
    }
    // Anchors nest what stands flat: each line is 20 deep below the one before.
    let mut text = "a0: &a0 x\n".to_owned();
    for level in 1..20 {
        let (open, close) = ("[".repeat(20), "]".repeat(20));
        text.push_str(&format!(
            "a{level}: &a{level} {open}*a{}{close}\n",
            level - 1
        ));
    }
    assert!(
        shown(&text).ends_with("nested too deeply"),
        "{}",
        shown(&text)
    );
}

#[test]
fn references_stay_in_the_document() {
    let document = Value::parse(
        br##"{"a":{"$ref":"#/b~1c"},"b/c":{"$ref":"#/d%20e"},"d e":{"x":1},"r":{"$ref":"#/r"},"s":{"$ref":"#/gone"}}"##,
        &writ_types::JsonLimits::DOCUMENT,
    )
    .unwrap();
    let at = |name: &str| follow(&document, document.member(name).unwrap(), &Pointer::root());
    let (value, pointer) = at("a").unwrap();
    assert_eq!(value.to_string(), r#"{"x":1}"#);
    assert_eq!(pointer.as_str(), "/d e");
    assert_eq!(at("r").unwrap_err(), ReferenceFault::Circle);
    assert_eq!(at("s").unwrap_err(), ReferenceFault::Missing);
    for remote in [
        "other.yaml#/a",
        "https://example.org/x",
        "file:///etc/passwd",
        "",
        "//x",
    ] {
        assert_eq!(
            target(&Value::from(remote)),
            Err(ReferenceFault::Remote),
            "{remote}"
        );
    }
    assert_eq!(
        target(&Value::from("#anchor")),
        Err(ReferenceFault::NotPointer)
    );
    assert_eq!(
        target(&Value::from("#/a~2")),
        Err(ReferenceFault::NotPointer)
    );
    assert_eq!(target(&Value::Null), Err(ReferenceFault::NotText));
}
