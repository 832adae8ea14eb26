//! Who vouches for what, as a table.

use super::*;
use crate::Kind;

const KEY: Secret<[u8; 32]> = Secret::new([7; 32]);

fn value(kind: &str, text: &str) -> Canonical {
    let kind: Kind = kind.parse().unwrap();
    kind.of_text(text).unwrap()
}

fn sighting(value: &Canonical) -> Sighting {
    Sighting {
        value: ValueDigest::of(&KEY, value),
        form: ValueDigest::of_form(&KEY, value),
        origin: Origin::Field,
    }
}

/// The origin of `kind:text` as `/body/to` of `bank:send`, in a task that has read, written and been told things.
fn origin(vouching: &Vouchers, kind: &str, text: &str) -> &'static str {
    of(vouching, "/body/to", kind, text, &[])
}

fn of(
    vouching: &Vouchers,
    place: &str,
    kind: &str,
    text: &str,
    objects: &[Canonical],
) -> &'static str {
    let argument = Argument {
        action: &"bank:send".parse().unwrap(),
        place: &BoundPointer::parse(place).unwrap(),
        objects,
    };
    vouching
        .origin(&KEY, &argument, &value(kind, text))
        .as_str()
}

fn with(prompt: &str, act: impl FnOnce(&mut Origins)) -> Vouchers {
    let mut origins = Origins::default();
    act(&mut origins);
    Vouchers {
        prompts: vec![prompt.into()],
        bounds: Vec::new(),
        step: None,
        origins: Some(Arc::new(origins)),
    }
}

#[test]
fn a_value_is_vouched_for_by_prompt_field_or_endorsement_and_by_nothing_else() {
    let (landlord, attacker) = ("GB29NWBK60161331926819", "US133000000121212121212");
    let call = CallId::new(crate::Timestamp::from_secs(1), [0; 10]);
    let task = with("Pay Bob; the file is 13", |origins| {
        assert!(origins.note(&sighting(&value("iban", landlord))));
        origins.see(
            &[ValueDigest::of_form(&KEY, &value("iban", attacker))],
            call,
        );
        let argument =
            ValueDigest::of_argument(&KEY, "bank:send", "/body/to", &value("user", "Eve"));
        assert!(origins.endorse(argument, ValueDigest::of_form(&KEY, &value("user", "Eve"))));
    });
    for (kind, text, wanted) in [
        ("user", "Bob", "prompt"),
        ("iban", landlord, "field"),
        ("account", landlord, "unseen"),
        ("iban", attacker, "seen"),
        ("iban", "DE89370400440532013000", "unseen"),
        ("user", "Eve", "endorsement"),
        ("file_id", "13", "unseen"),
    ] {
        assert_eq!(origin(&task, kind, text), wanted, "{kind} {text}");
    }
    assert_eq!(
        of(&task, "/body/cc", "user", "Eve", &[]),
        "unseen",
        "an endorsement is for one argument"
    );
    assert_eq!(origin(&Vouchers::default(), "user", "Bob"), "unseen");
}

#[test]
fn what_the_task_wrote_does_not_come_back_as_trusted() {
    let (own, other) = (
        value("iban", "US133000000121212121212"),
        value("iban", "GB29NWBK60161331926819"),
    );
    let task = with("", |origins| {
        origins.write(&[ValueDigest::of_form(&KEY, &own)]);
        assert!(
            !origins.note(&sighting(&own)),
            "read back from a trusted field"
        );
        assert!(
            origins.note(&sighting(&other)),
            "what others wrote is not touched"
        );
    });
    assert_eq!(origin(&task, "iban", own.as_str()), "seen");
    assert_eq!(origin(&task, "iban", other.as_str()), "field");
    // Read first, then written: it vouched when it was written.
    let task = with("", |origins| {
        assert!(origins.note(&sighting(&own)));
        assert!(origins.knows_form(ValueDigest::of_form(&KEY, &own)));
    });
    assert_eq!(origin(&task, "iban", own.as_str()), "field");
}

#[test]
fn a_party_is_vouched_for_where_it_is_answered_and_nowhere_else() {
    let (mail, other, sender) = (
        value("mail", "17"),
        value("mail", "18"),
        value("email", "eve@evil.example"),
    );
    let task = with("", |origins| {
        origins.note(&Sighting {
            value: ValueDigest::of_reply(&KEY, &mail, &sender),
            form: ValueDigest::of_form(&KEY, &sender),
            origin: Origin::Party,
        });
    });
    let asked = |objects: &[Canonical]| of(&task, "/body/to", "email", sender.as_str(), objects);
    assert_eq!(asked(&[mail]), "party");
    assert_eq!(asked(&[other]), "unseen", "another message");
    assert_eq!(asked(&[]), "unseen", "no message at all");
}

#[test]
fn a_yes_and_a_partys_word_are_not_laundered_by_writing() {
    let (endorsed, party) = (value("user", "Eve"), value("email", "eve@evil.example"));
    let task = with("", |origins| {
        let argument = ValueDigest::of_argument(&KEY, "bank:send", "/body/to", &endorsed);
        let forms = [&endorsed, &party].map(|value| ValueDigest::of_form(&KEY, value));
        origins.endorse(argument, forms[0]);
        origins.note(&Sighting {
            value: ValueDigest::of_reply(&KEY, &value("mail", "17"), &party),
            form: forms[1],
            origin: Origin::Party,
        });
        for form in forms {
            assert!(
                !origins.knows_form(form),
                "so that writing it is remembered"
            );
        }
    });
    assert_eq!(origin(&task, "user", "Eve"), "endorsement");
}

#[test]
fn what_finds_no_room_vouches_for_nothing() {
    let many = |from: usize, to: usize| {
        (from..to).map(|number| value("account", &format!("account-{number}")))
    };
    let task = with("", |origins| {
        for value in many(0, Origins::MOST) {
            assert!(origins.note(&sighting(&value)));
        }
        for value in many(Origins::MOST, Origins::MOST + 10) {
            assert!(!origins.note(&sighting(&value)));
            assert!(!origins.endorse(
                ValueDigest::of(&KEY, &value),
                ValueDigest::of_form(&KEY, &value)
            ));
        }
    });
    assert_eq!(origin(&task, "account", "account-0"), "field");
    assert_eq!(
        origin(&task, "account", &format!("account-{}", Origins::MOST)),
        "unseen"
    );
    // More written than can be remembered: anything that is read from then on could be it.
    let task = with("", |origins| {
        let forms: Vec<ValueDigest> = many(0, Origins::MOST + 1)
            .map(|value| ValueDigest::of_form(&KEY, &value))
            .collect();
        origins.write(&forms);
        assert!(!origins.note(&sighting(&value("account", "innocent"))));
    });
    assert_eq!(origin(&task, "account", "innocent"), "seen");
}

#[test]
fn a_bound_that_vouches_is_enough_and_binds_its_own_argument_alone() {
    let bounds = br#"{"bank:send":{"/body/to":["Bob"],"/body/cc/*":["Ann"]}}"#;
    let bounds = crate::Value::parse(bounds, &crate::JsonLimits::REQUEST).unwrap();
    let bounds = Bounds::parse(&bounds).unwrap();
    let binds = |action: &str, place: &str| {
        bounds.binds(
            &action.parse().unwrap(),
            &BoundPointer::parse(place).unwrap(),
        )
    };
    assert!(binds("bank:send", "/body/to"));
    assert!(
        binds("bank:send", "/body/cc"),
        "each item of the array is bounded"
    );
    assert!(!binds("bank:send", "/body/bcc"));
    assert!(!binds("bank:read", "/body/to"));
}
