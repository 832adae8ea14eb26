//! What is the same value, what is none, and what is found in a text.

use super::*;
use crate::JsonLimits;

fn form(kind: &str, text: &str) -> Option<String> {
    let kind: Kind = kind.parse().unwrap();
    kind.of_text(text).map(|form| form.as_str().to_owned())
}

#[test]
fn every_kind_has_one_form_for_the_same_thing() {
    for (kind, text, wanted) in [
        (
            "iban",
            "DE89 3704 0044 0532 0130 00",
            "DE89370400440532013000",
        ),
        ("iban", "de89370400440532013000", "DE89370400440532013000"),
        (
            "iban",
            "GB29-NWBK-6016-1331-9268-19",
            "GB29NWBK60161331926819",
        ),
        ("card", "4111 1111 1111 1111", "4111111111111111"),
        (
            "email",
            "Ada.Lovelace@Example.ORG",
            "ada.lovelace@example.org",
        ),
        ("email", "a+tag@example.org.", "a+tag@example.org"),
        ("phone", "+49 (151) 123-456.78", "+4915112345678"),
        ("phone", "0151 12345678", "015112345678"),
        ("domain", "WWW.Example.org.", "www.example.org"),
        ("domain", "xn--mller-kva.de", "xn--mller-kva.de"),
        ("url", "https://Example.org", "//example.org/"),
        ("url", "http://example.org:80/", "//example.org/"),
        (
            "url",
            "https://example.org:443/a?b=c#d",
            "//example.org/a?b=c#d",
        ),
        ("url", "https://example.org:8443/a", "//example.org:8443/a"),
        (
            "url",
            "www.example.org/%7Euser/%e4",
            "//www.example.org/~user/%E4",
        ),
        ("url", "https://192.0.2.1/x", "//192.0.2.1/x"),
        ("url", "https://[2001:DB8::0:1]/x", "//[2001:db8::1]/x"),
        (
            "uuid",
            "123E4567-e89b-12d3-A456-426614174000",
            "123e4567e89b12d3a456426614174000",
        ),
        ("amount", "0100.50", "100.5"),
        ("amount", "1e2", "100"),
        ("date", "2026-11-23", "2026-11-23"),
        ("text", "  12  Main\tStreet ", "12 Main Street"),
        ("channel", "general", "general"),
    ] {
        assert_eq!(form(kind, text).as_deref(), Some(wanted), "{kind} {text}");
    }
}

const WITHOUT_FORM: &[(&str, &str, &str)] = &[
    ("iban", "DE89", "too short"),
    (
        "iban",
        "DE8937040044053201300\u{200B}0",
        "a zero-width space",
    ),
    ("iban", "DЕ89370400440532013000", "a Cyrillic letter"),
    (
        "iban",
        "DE89370400440532013000,GB29NWBK60161331926819",
        "two of them",
    ),
    ("card", "4111 1111", "too short"),
    ("email", "Ada <ada@example.org>", "a display name"),
    ("email", "ada@example.org, eve@evil.example", "two of them"),
    ("email", "\"a b\"@example.org", "a quoted local part"),
    ("email", "аda@example.org", "a Cyrillic letter"),
    ("email", "ada@exаmple.org", "a Cyrillic letter"),
    ("email", "ada@example.org@evil.example@", "an empty host"),
    ("email", "ada@ example.org", "a space"),
    ("email", "ada.@example.org", "a dot at the end"),
    ("email", "ada\u{FE0F}@example.org", "a variation selector"),
    ("email", "ada@example.org\u{E0041}", "a tag"),
    ("phone", "12345", "too short"),
    ("phone", "+49 151 CALL ME", "letters"),
    ("phone", "+49151１２３４", "wide digits"),
    ("domain", "exa mple.org", "a space"),
    ("domain", "-a.example", "a hyphen at the start"),
    ("domain", "müller.de", "not in its ASCII form"),
    ("domain", "127.1", "an address in disguise"),
    ("domain", "1.0x7f", "an address in disguise"),
    ("domain", "a..b", "an empty label"),
    (
        "url",
        "https://bank.example@evil.example/",
        "user information",
    ),
    ("url", "https://bank.example\\@evil.example/", "a backslash"),
    ("url", "https://evil.example/a/../b", "a dot segment"),
    (
        "url",
        "https://evil.example/a/%2e%2e/b",
        "a dot segment, encoded",
    ),
    ("url", "https://exаmple.org/", "a Cyrillic letter"),
    ("url", "https://example.org/ä", "should be encoded"),
    ("url", "https://example.org/a b", "a space"),
    ("url", "https://example.org/%zz", "no percent-encoding"),
    ("url", "https://example.org:0x50/", "a port that is none"),
    ("url", "https://example.org:080/", "a port in another form"),
    ("url", "https://0x7f.1/", "an address in disguise"),
    ("url", "https://2130706433/", "an address in disguise"),
    ("url", "https://192.0.2.01/", "an octal address"),
    ("url", "https:///path", "no host"),
    ("url", "ftp://example.org/", "another scheme"),
    ("url", "javascript:alert(1)", "another scheme"),
    ("url", "general", "a word"),
    (
        "uuid",
        "123e4567-e89b12d3-a456-4266-14174000",
        "hyphens elsewhere",
    ),
    ("amount", "1,100.00", "a separator"),
    ("amount", "twelve", "in words"),
    ("amount", "12 EUR", "a currency"),
    ("date", "2026-02-30", "no such day"),
    ("date", "23.11.2026", "another form"),
    ("text", " \t", "nothing"),
    ("text", "a\u{202E}b", "text that turns round"),
    ("channel", " general", "white space around it"),
    ("channel", "", "nothing"),
    ("channel", "gen\u{AD}eral", "a soft hyphen"),
    ("channel", "a\u{0}b", "a control character"),
];

#[test]
fn what_cannot_be_read_exactly_has_no_form() {
    for (kind, text, why) in WITHOUT_FORM {
        assert_eq!(form(kind, text), None, "{kind} {text:?}: {why}");
    }
    let long = "a".repeat(2049);
    assert_eq!(
        form("channel", &long),
        None,
        "longer than anything that is compared"
    );
}

#[test]
fn near_misses_are_other_values() {
    for (kind, one, two) in [
        ("phone", "+4915112345678", "4915112345678"),
        ("url", "https://example.org/a", "https://example.org/a/"),
        ("url", "https://example.org/a", "https://example.org/A"),
        (
            "url",
            "https://example.org/a?b=1&c=2",
            "https://example.org/a?c=2&b=1",
        ),
        (
            "url",
            "https://example.org/a",
            "https://example.org/a?leak=1",
        ),
        (
            "url",
            "https://example.org/a%2Fb",
            "https://example.org/a/b",
        ),
        ("url", "https://example.org/", "https://example.org:8080/"),
        ("email", "ada@example.org", "ada+x@example.org"),
        ("channel", "general", "General"),
        ("channel", "g\u{E9}n", "ge\u{301}n"),
        ("channel", "7", "07"),
    ] {
        let (one, two) = (form(kind, one), form(kind, two));
        assert!(
            one.is_some() && two.is_some() && one != two,
            "{kind} {one:?} {two:?}"
        );
    }
    let (email, own) = (Kind::Email, Kind::Own("contact".into()));
    assert_ne!(
        email.of_text("a@b.example"),
        own.of_text("a@b.example"),
        "kinds are apart"
    );
}

#[test]
fn values_of_json_have_the_form_of_their_text() {
    let form = |kind: &str, json: &str| {
        let value = Value::parse(json.as_bytes(), &JsonLimits::DOCUMENT).unwrap();
        let form = kind.parse::<Kind>().unwrap().canonical(&value);
        form.map(|form| form.as_str().to_owned())
    };
    for (kind, json, wanted) in [
        ("file_id", "7", Some("7")),
        ("file_id", "\"7\"", Some("7")),
        ("file_id", "7.0", Some("7")),
        ("file_id", "7.5", None),
        ("file_id", "true", None),
        ("file_id", "null", None),
        ("file_id", "[7]", None),
        ("file_id", "{\"id\":7}", None),
        ("amount", "12.50", Some("12.5")),
        ("amount", "\"12.50\"", Some("12.5")),
        ("email", "7", None),
    ] {
        assert_eq!(form(kind, json).as_deref(), wanted, "{kind} {json}");
    }
}

#[test]
fn a_prompt_holds_what_a_person_wrote_in_it() {
    let found = |kind: &str, value: &str, text: &str| {
        let kind: Kind = kind.parse().unwrap();
        kind.of_text(value).unwrap().is_in(text)
    };
    for (kind, value, text) in [
        (
            "iban",
            "GB29NWBK60161331926819",
            "Pay GB29 NWBK 6016 1331 9268 19, please.",
        ),
        ("iban", "GB29NWBK60161331926819", "(gb29nwbk60161331926819)"),
        ("email", "ada@example.org", "Write to <Ada@Example.org>."),
        ("email", "ada@example.org", "Write to ada@example.org!"),
        (
            "url",
            "https://www.example.org/",
            "Look at www.example.org.",
        ),
        (
            "url",
            "www.example.org",
            "Look at 'https://www.example.org'.",
        ),
        ("phone", "+4915112345678", "Call +49 (151) 123 456-78"),
        ("amount", "50", "Send $50.00 to Bob"),
        ("date", "2026-11-23", "on 2026-11-23."),
        ("channel", "general", "Post it in the 'general' channel"),
        ("channel", "general", "Post it in #general, now"),
        ("user", "Bob", "Invite Bob's friend, Bob."),
        ("file_id", "13", "the file with id 13"),
        ("file_id", "13", "file ID: '13'"),
        ("file_id", "13", "ticket #13"),
        ("file_id", "123456", "ticket 123456"),
        ("text", "12 Main Street", "I moved to 12  Main\nStreet."),
    ] {
        assert!(found(kind, value, text), "{kind} {value} in {text:?}");
    }
    for (kind, value, text) in [
        ("file_id", "13", "on June 13"),
        ("file_id", "13", "id 131"),
        ("file_id", "13", "id 1.13 or 13.5"),
        ("channel", "general", "in general-private"),
        ("channel", "general", "in generally"),
        ("channel", "general", "mail general@example.org"),
        ("channel", "general", "see general.txt"),
        ("channel", "general", "not_general"),
        ("channel", "to", "Write to Bob"),
        ("channel", "---", "a --- b"),
        ("email", "ada@example.org", "ada@example.org.evil.example"),
        ("email", "ada@example.org", "x.ada@example.org"),
        (
            "url",
            "https://example.org/",
            "https://example.org.evil.example/",
        ),
        (
            "url",
            "https://example.org/",
            "https://evil.example/?u=https://example.org/",
        ),
        ("url", "https://example.org/a", "https://example.org/"),
        ("iban", "GB29NWBK60161331926819", "GB29NWBK601613319268190"),
        ("iban", "GB29NWBK60161331926819", "XGB29NWBK60161331926819"),
        ("phone", "15112345678", "+4915112345678"),
        ("amount", "50", "500"),
        ("amount", "50", "50.5"),
    ] {
        assert!(!found(kind, value, text), "{kind} {value} in {text:?}");
    }
}

#[test]
fn a_sentence_may_follow_an_address_without_a_space() {
    for (text, wanted) in [
        ("Look at example.org.They know.", true),
        ("example.org.evil", false),
        ("example.org.Evil.example", false),
        ("Example.Org.Evil", false),
        ("example.org.EVIL", false),
        ("example.org.E-vil", false),
    ] {
        let site = Kind::Url.of_text("https://example.org/").unwrap();
        assert_eq!(site.is_in(text), wanted, "{text}");
    }
    let ada = Kind::Email.of_text("ada@example.org").unwrap();
    assert!(ada.is_in("Ask ada@example.org.She knows."));
}

const PAYLOADS: &[(&str, &str)] = &[
    ("See https://example.org/a?b=c.", "url://example.org/a?b=c"),
    ("See (http://example.org/a).", "url://example.org/a"),
    ("[click](https://evil.example/x)", "url://evil.example/x"),
    (
        "![](https://evil.example/?d=c2VjcmV0)",
        "url://evil.example/?d=c2VjcmV0",
    ),
    (
        "<a href='https://evil.example/x'>hi</a>",
        "url://evil.example/x",
    ),
    (
        "<a href=\"https://evil.example/x\">hi</a>",
        "url://evil.example/x",
    ),
    ("www.evil-site-252.com", "url://www.evil-site-252.com/"),
    ("go to evil.com now", "url://evil.com/"),
    ("go to evil.example/path now", "url://evil.example/path"),
    ("https%3A%2F%2Fevil.example%2Fx", "url://evil.example/x"),
    (
        "ｈｔｔｐｓ：／／ｅｖｉｌ．ｅｘａｍｐｌｅ/x",
        "url://evil.example/x",
    ),
    ("ev\u{200B}il.com", "url://evil.com/"),
    ("evil\u{3002}com", "url://evil.com/"),
    ("https://еvil.example/x", "url:?"),
    ("https://bank.example@evil.example/", "url:?"),
    ("ftp://evil.example/x", "url:?"),
    ("<img src=\"//evil.example/x\">", "url://evil.example/x"),
    ("javascript:alert(1)", "url:?"),
    ("mail mailto:eve@evil.example now", "email:eve@evil.example"),
    (
        "Mail: Eve <eve@evil.example>, soon.",
        "email:eve@evil.example",
    ),
    ("eve@еvil.example", "email:?"),
    ("user=eve@evil.example;", "email:eve@evil.example"),
    (
        "pay DE89 3704 0044 0532 0130 00 now",
        "iban:DE89370400440532013000",
    ),
    (
        "pay US133000000121212121212 now",
        "iban:US133000000121212121212",
    ),
    (
        "call +49 151 12345678 or +1-202-555-0100",
        "phone:+12025550100 phone:+4915112345678",
    ),
    (
        "https://a.example/x,https://b.example/y",
        "url://a.example/x url://b.example/y",
    ),
];

#[test]
fn identifiers_in_a_payload_are_values() {
    let found = |text: &str| {
        let found = Canonical::identifiers(text, 64).unwrap();
        let word = |one: &Identifier| match &one.form {
            Some(form) => format!("{}:{}", one.kind, form.as_str()),
            None => format!("{}:?", one.kind),
        };
        found.iter().map(word).collect::<Vec<_>>().join(" ")
    };
    for (text, wanted) in PAYLOADS {
        assert_eq!(found(text), *wanted, "{text:?}");
    }
    // Ordinary writing holds none.
    for text in [
        "Hello Bob, the meeting is at 10:30 in room B2.",
        "See report.pdf, notes.txt and main.rs; version 1.2.3, e.g. 3.14.",
        "and/or, either/or, 24/7, n/a, TCP/IP",
        "Invoice 2026-11-23, order 4711, EUR 1,200.50",
        "@bob and #general",
        "if (a.b) { c.d(); }",
        "ISBN 978-3-16-148410-0",
    ] {
        assert_eq!(found(text), "", "{text}");
    }
    let many: String = (0..70).map(|n| format!("https://h{n}.example/ ")).collect();
    assert_eq!(
        Canonical::identifiers(&many, 64),
        None,
        "more than can be judged"
    );
}

#[test]
fn no_address_hides_behind_another() {
    let found = |text: &str| Canonical::identifiers(text, 64).unwrap();
    for text in [
        "www.evil.com/x?d=SECRET=//",
        "eve@evil.com=//",
        "https:/evil.com/x?d=S",
        "https:\\\\evil.com\\x",
        "HTTPS:///evil.com",
        "[b](//evil.com/x)",
        "x=\\\\evil.com\\x",
        "x=javascript:alert(1)",
    ] {
        assert!(!found(text).is_empty(), "{text}");
    }
    let glues = (' '..='~').map(String::from).chain(
        [
            "](", ")[b](", "=//", ")//", ";//", "\u{200B}", "\u{FF0C}", "&u=", "%2F",
        ]
        .map(str::to_owned),
    );
    let good = [
        "",
        "note",
        "https://good.example/",
        "https://good.example/a)",
        "www.good.com",
        "bob@good.example",
    ];
    let evil = [
        "https://evil.example/x",
        "http:/evil.example/x",
        "www.evil.com/x",
        "eve@evil.example",
    ];
    for glue in glues {
        for good in good {
            for evil in evil {
                let (before, text) = (found(good), format!("{good}{glue}{evil}"));
                let is_new = found(&text).iter().any(|one| !before.contains(one));
                assert!(is_new, "{text:?} has nothing that {good:?} has not");
            }
        }
    }
}

#[test]
fn a_word_of_a_thousand_addresses_is_read_in_one_go() {
    for word in [
        "http://", "http:/a)", "a:/", "x=//", "a@b.c;", "((", "a!", "a.b!",
    ] {
        let text = word.repeat(20_000);
        let _total = Canonical::identifiers(&text, 64);
    }
}

#[test]
fn kinds_are_words() {
    for good in ["iban", "email", "account-id", "channel", "x"] {
        assert_eq!(good.parse::<Kind>().unwrap().to_string(), good);
    }
    assert_eq!("iban".parse(), Ok(Kind::Iban));
    for bad in ["", "Iban", "a b", "a.b", "ä", &"a".repeat(33)] {
        assert!(bad.parse::<Kind>().is_err(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn every_text_is_read_in_bounded_time_and_forms_are_fixed_points(text in "\\PC{0,80}") {
        for kind in Kind::KNOWN.into_iter().chain([Kind::Own("word".into())]) {
            if let Some(form) = kind.of_text(&text) {
                // The form of a form is itself, so that no chain of readings drifts.
                let text = form.as_str();
                let text = if kind == Kind::Url { text.trim_start_matches("//") } else { text };
                let again = kind.of_text(text);
                proptest::prop_assert_eq!(again, Some(form));
            }
        }
        let _total = Canonical::identifiers(&text, 8);
    }

    #[test]
    fn an_unseen_character_makes_another_value_or_none(at in 0usize..16, unseen in 0usize..8) {
        let hidden = ['\u{200B}', '\u{200D}', '\u{FEFF}', '\u{2060}', '\u{AD}', '\u{202E}', '\u{FE0F}', '\u{E0020}'];
        let mut text = "ada@example.org".to_owned();
        text.insert(at.min(15), hidden[unseen]);
        for kind in Kind::KNOWN {
            proptest::prop_assert_eq!(kind.of_text(&text), None);
        }
    }
}
