use writ_types::{JsonLimits, Value};

use super::Query;

fn json(text: &str) -> Value {
    Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap()
}

/// What a query selects: the values, as JSON, with blanks between them.
fn selected(query: &str, document: &str) -> String {
    let root = json(document);
    let query = Query::parse(query).unwrap_or_else(|fault| panic!("{query}: {fault}"));
    let places = query.select(&root).unwrap();
    let values = places
        .iter()
        .map(|place| root.at(place).unwrap().to_string());
    values.collect::<Vec<_>>().join(" ")
}

const STORE: &str = r#"{"store":{"book":[
  {"category":"reference","author":"Nigel Rees","title":"Sayings of the Century","price":8.95},
  {"category":"fiction","author":"Evelyn Waugh","title":"Sword of Honour","price":12.99},
  {"category":"fiction","author":"Herman Melville","title":"Moby Dick","isbn":"0-553-21311-3","price":8.99},
  {"category":"fiction","author":"J. R. R. Tolkien","title":"The Lord of the Rings","isbn":"0-395-19395-8","price":22.99}],
  "bicycle":{"color":"red","price":399}}}"#;
const FILTERS: &str = r#"{"a":[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}],"o":{"p":1,"q":2,"r":3,"s":5,"t":{"u":6}},"e":"f"}"#;
const COMPARISONS: &str = r#"{"arr":[2,3],"obj":{"x":"y"}}"#;
const BOTH: &str = r#"[2,3] {"x":"y"}"#;
const LETTERS: &str = r#"["a","b","c","d","e","f","g"]"#;
const NAMES: &str = r#"{"'":{"@":2},"o":{"j j":{"k.k":3}}}"#;
const WILD: &str = r#"{"a":[5,3],"o":{"j":1,"k":2}}"#;
const DEEP: &str = r#"{"a":[5,3,[{"j":4},{"k":6}]],"o":{"j":1,"k":2}}"#;

/// Query, document, what is selected: the examples of RFC 9535 (tables 2 and 4 to 18), and a few of our own.
const TABLE: &[(&str, &str, &str)] = &[
    (
        "$.store.book[*].author",
        STORE,
        r#""Nigel Rees" "Evelyn Waugh" "Herman Melville" "J. R. R. Tolkien""#,
    ),
    (
        "$..author",
        STORE,
        r#""Nigel Rees" "Evelyn Waugh" "Herman Melville" "J. R. R. Tolkien""#,
    ),
    ("$.store..price", STORE, "399 8.95 12.99 8.99 22.99"),
    ("$..book[2].author", STORE, r#""Herman Melville""#),
    ("$..book[2].publisher", STORE, ""),
    ("$..book[-1].title", STORE, r#""The Lord of the Rings""#),
    ("$..book[0,1].price", STORE, "8.95 12.99"),
    ("$..book[:2].price", STORE, "8.95 12.99"),
    ("$..book[?@.isbn].price", STORE, "8.99 22.99"),
    ("$..book[?@.price<10].price", STORE, "8.95 8.99"),
    ("$.o['j j']['k.k']", NAMES, "3"),
    (r#"$.o["j j"]["k.k"]"#, NAMES, "3"),
    (r#"$["'"]["@"]"#, NAMES, "2"),
    ("$[*]", WILD, r#"[5,3] {"j":1,"k":2}"#),
    ("$.o[*, *]", WILD, "1 2 1 2"),
    ("$[1]", r#"["a","b"]"#, r#""b""#),
    ("$[-2]", r#"["a","b"]"#, r#""a""#),
    ("$[1:3]", LETTERS, r#""b" "c""#),
    ("$[5:]", LETTERS, r#""f" "g""#),
    ("$[1:5:2]", LETTERS, r#""b" "d""#),
    ("$[5:1:-2]", LETTERS, r#""f" "d""#),
    ("$[::-1]", LETTERS, r#""g" "f" "e" "d" "c" "b" "a""#),
    ("$[::0]", LETTERS, ""),
    ("$[9007199254740991:]", LETTERS, ""),
    ("$.a[?@.b == 'kilo']", FILTERS, r#"{"b":"kilo"}"#),
    ("$.a[?(@.b == 'kilo')]", FILTERS, r#"{"b":"kilo"}"#),
    ("$.a[?@>3.5]", FILTERS, "5 4 6"),
    (
        "$.a[?@.b]",
        FILTERS,
        r#"{"b":"j"} {"b":"k"} {"b":{}} {"b":"kilo"}"#,
    ),
    ("$[?@[?@.b]][9]", FILTERS, r#"{"b":"kilo"}"#),
    ("$.o[?@<3, ?@<3]", FILTERS, "1 2 1 2"),
    ("$.a[?@<2 || @.b == \"k\"]", FILTERS, r#"1 {"b":"k"}"#),
    (
        "$.a[?match(@.b, \"[jk]\")]",
        FILTERS,
        r#"{"b":"j"} {"b":"k"}"#,
    ),
    (
        "$.a[?search(@.b, \"[jk]\")]",
        FILTERS,
        r#"{"b":"j"} {"b":"k"} {"b":"kilo"}"#,
    ),
    ("$.a[?match(@.b, $.e)]", FILTERS, ""),
    ("$.o[?@>1 && @<4]", FILTERS, "2 3"),
    ("$.o[?@.u || @.x]", FILTERS, r#"{"u":6}"#),
    ("$.a[?@.b == $.x]", FILTERS, "3 5 1 2 4 6"),
    ("$.a[?@ == @][9]", FILTERS, ""),
    (
        "$[?length(@) < 3]",
        r#"["ab","abc",[1,2],7]"#,
        r#""ab" [1,2]"#,
    ),
    ("$[?count(@.*) == 2]", "[[1,2],[1]]", "[1,2]"),
    (
        "$[?value(@..color) == 'red']",
        r#"[{"x":{"color":"red"}},{"color":"red","y":{"color":"red"}}]"#,
        r#"{"x":{"color":"red"}}"#,
    ),
    ("$[?$.absent1 == $.absent2]", COMPARISONS, BOTH),
    ("$[?$.absent == 'g']", COMPARISONS, ""),
    ("$[?1 <= 2.0]", COMPARISONS, BOTH),
    ("$[?'a' <= 'b']", COMPARISONS, BOTH),
    ("$[?$.obj == $.arr]", COMPARISONS, ""),
    ("$[?$.arr == $.arr]", COMPARISONS, BOTH),
    ("$[?$.obj <= $.obj]", COMPARISONS, BOTH),
    ("$[?$.obj < $.obj]", COMPARISONS, ""),
    ("$[?true <= true]", COMPARISONS, BOTH),
    ("$[?true > true]", COMPARISONS, ""),
    ("$[?@ == 1e0]", "[1,1.0,10e-1,2]", "1 1.0 10e-1"),
    ("$[?!@.a]", r#"[{"a":1},{"b":1}]"#, r#"{"b":1}"#),
    ("$[?!(@.a == 1)]", r#"[{"a":1},{"b":1}]"#, r#"{"b":1}"#),
    ("$..[1]", DEEP, r#"3 {"k":6}"#),
    ("$..j", DEEP, "4 1"),
    ("$.a..[0, 1]", DEEP, r#"5 3 {"j":4} {"k":6}"#),
    ("$ .a [ 'b' ]", r#"{"a":{"b":1}}"#, "1"),
    ("$['\\u0061\\uD834\\uDD1E']", "{\"a\u{1D11E}\":1}", "1"),
    (
        "$.paths['/x/{id}'].get",
        r#"{"paths":{"/x/{id}":{"get":7}}}"#,
        "7",
    ),
];

#[test]
fn queries_select_what_the_rfc_says() {
    for (query, document, expect) in TABLE {
        assert_eq!(selected(query, document), *expect, "{query}");
    }
}

#[test]
fn what_is_no_query_is_refused_with_its_place() {
    for (query, at) in [
        ("", 0),
        ("paths", 0),
        ("$.", 2),
        ("$.a b", 3),
        ("$[", 2),
        ("$['a'", 5),
        ("$['a", 4),
        ("$[01]", 2),
        ("$[-0]", 2),
        ("$[9007199254740992]", 2),
        ("$.x-y", 3),
        ("$./x", 2),
        ("$[?@.a == @.*]", 13),
        ("$[?1]", 3),
        ("$[?length(@)]", 3),
        ("$[?!@.a == 1]", 8),
        ("$[?@.a == 'x]", 13),
        ("$[?count(1) > 1]", 9),
        ("$[?foo(@)]", 3),
        ("$[?@.a = 1]", 7),
        ("$['\\uD834']", 9),
        ("$['\\x']", 5),
        ("$ ", 1),
    ] {
        let fault = Query::parse(query).unwrap_err();
        assert_eq!(fault.at, at, "{query}: {fault}");
    }
    assert!(Query::parse(&format!("${}", ".a".repeat(3000))).is_err());
    assert!(Query::parse(&format!("$[?{}@.a{}]", "(".repeat(40), ")".repeat(40))).is_err());
    assert!(Query::parse(&format!("$[?@{}{}]", "[?@".repeat(40), "]".repeat(40))).is_err());
}

#[test]
fn a_query_that_looks_at_everything_again_and_again_ends() {
    let wide = Value::Array(vec![Value::Array(vec![Value::Null; 200]); 200]);
    let query = Query::parse("$..[?count($..*) > 1]").unwrap();
    assert!(query.select(&wide).is_err());
}
