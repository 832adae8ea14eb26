use proptest::prelude::*;

use super::*;

fn tenant(text: &str) -> Tenant {
    text.parse().unwrap()
}

fn name(text: &str) -> CredentialName {
    text.parse().unwrap()
}

fn sealer(byte: u8) -> CredentialSealer {
    CredentialSealer::new(&Secret::new([byte; 32])).unwrap()
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

#[test]
fn it_opens_for_what_it_was_sealed_for_and_nothing_else() {
    let sealer_one = sealer(1);
    let sealed = sealer_one
        .seal(&tenant("default"), &name("dns-key"), 3, &secret("hunter2"))
        .unwrap();
    let opened = sealer_one
        .open(&tenant("default"), &name("dns-key"), 3, &sealed)
        .unwrap();
    assert_eq!(opened.expose(), "hunter2");
    let refused = Err(SealError::DoesNotOpen);
    for (who, what, version) in [
        ("acme", "dns-key", 3),
        ("default", "crm-key", 3),
        ("default", "dns-key", 2),
        ("default", "dns-key", 4),
        // The same letters, cut elsewhere.
        ("defaultd", "ns-key", 3),
    ] {
        let opened = sealer_one.open(&tenant(who), &name(what), version, &sealed);
        assert_eq!(opened.map(drop), refused, "{who} {what} {version}");
    }
    let other_key = sealer(2).open(&tenant("default"), &name("dns-key"), 3, &sealed);
    assert_eq!(other_key.map(drop), refused);
}

#[test]
fn any_flipped_bit_and_any_missing_byte_is_noticed() {
    let sealer = sealer(1);
    let open = |bytes: Vec<u8>| {
        let sealed = Sealed::from_bytes(bytes);
        sealer
            .open(&tenant("default"), &name("k"), 1, &sealed)
            .map(drop)
    };
    let sealed = sealer
        .seal(&tenant("default"), &name("k"), 1, &secret("value"))
        .unwrap();
    for bit in 0..sealed.as_bytes().len() * 8 {
        let mut bytes = sealed.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let expected = if bit < 8 {
            SealError::Layout
        } else {
            SealError::DoesNotOpen
        };
        assert_eq!(open(bytes), Err(expected), "bit {bit}");
    }
    for length in 0..sealed.as_bytes().len() {
        assert!(
            open(sealed.as_bytes()[..length].to_vec()).is_err(),
            "{length} bytes"
        );
    }
    assert_eq!(open(sealed.as_bytes().to_vec()), Ok(()));
}

#[test]
fn the_two_layers_cannot_stand_in_for_each_other() {
    let (tenant, name) = (tenant("default"), name("k"));
    assert_ne!(
        context(Layer::Key, &tenant, &name, 1),
        context(Layer::Value, &tenant, &name, 1)
    );
}

#[test]
fn nothing_is_shown_and_no_two_are_the_same() {
    let sealer = sealer(7);
    let seal = || {
        sealer
            .seal(&tenant("default"), &name("k"), 1, &secret("the-value"))
            .unwrap()
    };
    let (one, two) = (seal(), seal());
    assert_ne!(one, two, "key and nonces are drawn each time");
    assert!(!one.as_bytes().windows(9).any(|part| part == b"the-value"));
    let shown = format!("{one:?} {sealer:?}");
    assert!(
        !shown.contains("the-value") && !shown.contains('7'),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn every_value_comes_back(value in ".{0,300}", version in any::<u32>()) {
        let sealer = sealer(9);
        let sealed = sealer.seal(&tenant("default"), &name("k"), version, &secret(&value)).unwrap();
        let opened = sealer.open(&tenant("default"), &name("k"), version, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), &value);
    }

    #[test]
    fn strange_bytes_never_open_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let sealed = Sealed::from_bytes(bytes);
        prop_assert!(sealer(9).open(&tenant("default"), &name("k"), 1, &sealed).is_err());
    }
}
