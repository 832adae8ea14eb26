//! One key, use after use.

use super::*;

/// One key, call after call: the seconds since the first, where it comes from, and where it is in use if not there.
#[test]
fn a_key_is_at_one_place_of_each_family() {
    let places = Places::default();
    let (tenant, key) = (Tenant::default_tenant(), Digest::of(b"key"));
    let begin = Timestamp::from_millis(1_795_000_000_000);
    for (seconds, address, elsewhere) in [
        (0, "192.0.2.1", None),
        (1, "192.0.2.200", None),
        (2, "198.51.100.1", Some("192.0.2.0/24")),
        // The other family is no other place, and has one place too.
        (3, "2001:db8:1::1", None),
        (4, "2001:db8:1:ffff::1", None),
        (5, "2001:db8:2::1", Some("2001:db8:1::/48")),
        (6, "::ffff:192.0.2.7", None),
        (7, "::ffff:198.51.100.1", Some("192.0.2.0/24")),
        // Whoever was refused has not moved the key.
        (65, "198.51.100.1", Some("192.0.2.0/24")),
        (66, "198.51.100.1", None),
        (67, "192.0.2.1", Some("198.51.100.0/24")),
        (126, "192.0.2.1", None),
    ] {
        let address: IpAddr = address.parse().unwrap();
        let place = (KeyUse::Call, address);
        let now = begin.plus(Duration::from_secs(seconds));
        let stand = places.stand(&tenant, &key, place, now);
        let expected =
            elsewhere.map_or(Stand::Here, |text| Stand::Elsewhere(text.parse().unwrap()));
        assert_eq!(stand, expected, "{seconds} s, {address}");
        let other = places.stand(&tenant, &Digest::of(b"other"), place, now);
        assert!(seconds > 1 || other == Stand::Here, "another key");
    }
}

#[test]
fn what_finds_no_room_is_not_let_through_and_room_comes_back() {
    let places = Places::default();
    let tenant = Tenant::default_tenant();
    let place = (KeyUse::Call, "192.0.2.1".parse().unwrap());
    let begin = Timestamp::from_millis(1_795_000_000_000);
    let mut full = false;
    for number in 0..=u64::try_from(SHARDS * MOST).unwrap() {
        let key = Digest::of(&number.to_be_bytes());
        full |= places.stand(&tenant, &key, place, begin) == Stand::Full;
    }
    assert!(full, "one more than there is room for");
    let fresh = Digest::of(b"fresh");
    let later = begin.plus(QUIET);
    assert_eq!(places.stand(&tenant, &fresh, place, later), Stand::Here);
}

/// Calls and askings of one key: the seconds since the first, what it is, where from, and where the key is in use if not there.
#[test]
fn an_asking_is_held_against_calls_and_askings() {
    const ONE: &str = "192.0.2.1";
    const TWO: &str = "198.51.100.1";
    let places = Places::default();
    let (tenant, key) = (Tenant::default_tenant(), Digest::of(b"key"));
    let begin = Timestamp::from_millis(1_795_000_000_000);
    for (seconds, used, address, elsewhere) in [
        // The first token by one way, the first call by another.
        (0, KeyUse::Asking, TWO, None),
        (1, KeyUse::Call, ONE, None),
        // From then on who asks is where the calls are, and where the askings were.
        (2, KeyUse::Asking, TWO, Some(ONE)),
        (3, KeyUse::Asking, ONE, Some(TWO)),
        (3, KeyUse::Asking, "2001:db8:1::1", None),
        (4, KeyUse::Asking, "2001:db8:2::1", Some("2001:db8:1::1")),
        (60, KeyUse::Asking, ONE, None),
        (61, KeyUse::Asking, TWO, Some(ONE)),
        // Calls are held against calls alone.
        (62, KeyUse::Call, TWO, None),
        (63, KeyUse::Asking, TWO, Some(ONE)),
        (64, KeyUse::Asking, ONE, Some(TWO)),
        (120, KeyUse::Asking, TWO, None),
    ] {
        let place = (used, address.parse().unwrap());
        let stand = places.stand(
            &tenant,
            &key,
            place,
            begin.plus(Duration::from_secs(seconds)),
        );
        let before = |text: &str| Stand::Elsewhere(Source::of(text.parse().unwrap()));
        let expected = elsewhere.map_or(Stand::Here, before);
        assert_eq!(stand, expected, "{seconds} s, {used:?} from {address}");
    }
}
