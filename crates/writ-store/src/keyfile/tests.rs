use std::fs::{self, Permissions};

use super::*;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_is_made_once_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kek");
    let made = load_or_create(&path).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(fs::metadata(&path).unwrap().len(), 32);
    assert_eq!(load_or_create(&path).unwrap().expose(), made.expose());
    let other = load_or_create(&folder.path().join("other")).unwrap();
    assert_ne!(other.expose(), made.expose());
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "no drafts are left behind: {left:?}");
}

#[test]
fn a_key_that_others_can_read_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kek");
    let made = load_or_create(&path).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o602, 0o610, 0o777] {
        set_mode(&path, mode);
        let refused = load_or_create(&path).map(drop);
        assert!(
            matches!(refused, Err(KeyFileError::Exposed { mode: found, .. }) if found == mode),
            "{refused:?}"
        );
    }
    set_mode(&path, 0o400);
    assert_eq!(load_or_create(&path).unwrap().expose(), made.expose());
}

#[test]
fn a_file_of_another_length_is_no_key_and_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kek");
    for length in [0, 31, 33, 64] {
        fs::write(&path, vec![7; length]).unwrap();
        set_mode(&path, 0o600);
        let refused = load_or_create(&path).map(drop);
        assert!(
            matches!(refused, Err(KeyFileError::Length { found, .. }) if found == length),
            "{refused:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), vec![7; length]);
    }
}

#[test]
fn a_folder_is_no_key_and_a_missing_folder_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let refused = load_or_create(folder.path()).map(drop);
    assert!(
        matches!(refused, Err(KeyFileError::NoFile { .. })),
        "{refused:?}"
    );
    let refused = load_or_create(&folder.path().join("a/b")).map(drop);
    assert!(
        matches!(refused, Err(KeyFileError::File { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_generated_key_is_generated_only_if_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("issuer.p8");
    let made = load_or_create_with(&path, || Secret::new(b"first".to_vec())).unwrap();
    assert_eq!(made.expose(), b"first");
    let again = load_or_create_with(&path, || panic!("there is one already")).unwrap();
    assert_eq!(again.expose(), b"first");
    let empty = folder.path().join("empty");
    let refused = load_or_create_with(&empty, || Secret::new(Vec::new())).map(drop);
    assert!(
        matches!(refused, Err(KeyFileError::Length { found: 0, .. })),
        "{refused:?}"
    );
}

/// Whoever comes second uses the key of whoever came first, however close they are.
#[test]
fn racing_processes_agree_on_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kek");
    let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| *load_or_create(&path).unwrap().expose()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
}
