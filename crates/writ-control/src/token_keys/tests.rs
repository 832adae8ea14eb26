use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

struct World {
    folder: tempfile::TempDir,
    keys: TokenKeys,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = TokenKeys::open(folder.path()).unwrap();
        Self { folder, keys }
    }

    fn restarted(&self) -> TokenKeys {
        TokenKeys::open(self.folder.path()).unwrap()
    }
}

fn kids(jwks: &Value) -> Vec<String> {
    let keys = jwks.member("keys").and_then(Value::as_array).unwrap();
    let kid = |key: &Value| key.member("kid").and_then(Value::as_str).map(str::to_owned);
    keys.iter().filter_map(kid).collect()
}

fn accepted(keys: &TokenKeys, now: Timestamp) -> Vec<String> {
    let set = keys.verifying(now).unwrap();
    let kid = |key: &VerifyingKey| key.kid().map(str::to_owned);
    set.keys().iter().filter_map(kid).collect()
}

fn names(keys: &TokenKeys) -> (String, String) {
    (keys.current.kid().to_owned(), keys.next.kid().to_owned())
}

#[test]
fn a_key_is_published_before_it_signs_and_after_it_signed() {
    let world = World::new();
    let (first, second) = names(&world.keys);
    assert_eq!(kids(&world.keys.jwks(NOW)), [first.as_str(), &second]);
    assert_eq!(accepted(&world.keys, NOW), [first.as_str()]);

    let rotated = world.keys.rotated(Rotation::Retire, NOW).unwrap();
    let (now_signs, third) = names(&rotated);
    assert_eq!(now_signs, second);
    assert_eq!(kids(&rotated.jwks(NOW)), [second.as_str(), &third, &first]);
    assert_eq!(accepted(&rotated, NOW), [second.as_str(), &first]);

    // The last token of the first key lives five minutes; a minute more for clocks that differ.
    let (still, over) = (359, 360);
    for (seconds, known) in [(still, true), (over, false)] {
        let later = NOW.plus(Duration::from_secs(seconds));
        assert_eq!(kids(&rotated.jwks(later)).contains(&first), known);
        assert_eq!(accepted(&rotated, later).contains(&first), known);
    }
}

#[test]
fn a_restart_finds_the_same_generation() {
    let world = World::new();
    assert_eq!(names(&world.restarted()), names(&world.keys));
    let rotated = world.keys.rotated(Rotation::Retire, NOW).unwrap();
    let restarted = world.restarted();
    assert_eq!(names(&restarted), names(&rotated));
    assert_eq!(kids(&restarted.jwks(NOW)), kids(&rotated.jwks(NOW)));
    assert_eq!(accepted(&restarted, NOW), accepted(&rotated, NOW));
}

#[test]
fn a_revoked_key_is_neither_published_nor_accepted() {
    let world = World::new();
    let (first, second) = names(&world.keys);
    let retired = world.keys.rotated(Rotation::Retire, NOW).unwrap();
    let (_, announced) = names(&retired);
    let fresh = retired.with_another_next().unwrap();
    let revoked = fresh.rotated(Rotation::Revoke, NOW).unwrap();
    for keys in [&revoked, &world.restarted()] {
        for gone in [&first, &second, &announced] {
            assert!(!kids(&keys.jwks(NOW)).contains(gone));
            assert!(!accepted(keys, NOW).contains(gone));
        }
        assert_eq!(accepted(keys, NOW).len(), 1);
    }
}

#[test]
fn a_rotation_cut_short_leaves_one_generation() {
    // After the list was written, before the next key took the name of the one that signs.
    let world = World::new();
    let before = names(&world.keys);
    let list = world.folder.path().join(RETIRED);
    let entry = Value::object([
        ("key", world.keys.current.to_jwks_entry()),
        ("until", Value::from_u64(NOW.secs_since_epoch() + 360)),
    ]);
    std::fs::write(&list, Value::Array(vec![entry]).to_string()).unwrap();
    let restarted = world.restarted();
    assert_eq!(names(&restarted), before);
    assert_eq!(accepted(&restarted, NOW), [before.0.as_str()]);

    // After it did, before another next key was made.
    let next = world.folder.path().join(NEXT);
    keyfile::succeed(&next, &world.folder.path().join(CURRENT)).unwrap();
    let restarted = world.restarted();
    assert_eq!(names(&restarted).0, before.1);
    assert_eq!(accepted(&restarted, NOW), [before.1.as_str(), &before.0]);
}

#[test]
fn a_list_that_is_damaged_is_not_guessed_at() {
    for damaged in [
        "",
        "{}",
        "[{}]",
        r#"[{"key":{"kty":"oct","k":"AA"},"until":1}]"#,
        r#"[{"key":{"kty":"EC"},"until":1}]"#,
    ] {
        let world = World::new();
        std::fs::write(world.folder.path().join(RETIRED), damaged).unwrap();
        let opened = TokenKeys::open(world.folder.path());
        assert!(
            matches!(opened, Err(TokenKeyError::Damaged(_))),
            "{damaged}"
        );
    }
}
