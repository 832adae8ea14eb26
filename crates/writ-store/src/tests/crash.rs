//! The process dies, the power fails: what was committed is there, and nothing is half there.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::support::{Bench, NOON, registry, revision, tenant};
use crate::Store;

/// The files as another process would find them if this one died now; the shared memory dies with it.
fn copy(from: &Path, to: &Path, keep_of_log: impl FnOnce(usize) -> usize) {
    let log = |path: &Path| path.with_extension("db-wal");
    fs::copy(from, to).unwrap();
    let mut written = fs::read(log(from)).unwrap();
    written.truncate(keep_of_log(written.len()));
    fs::write(log(to), written).unwrap();
    fs::set_permissions(to, Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn what_was_committed_survives_the_death_of_the_process() {
    let bench = Bench::new().await;
    let mut expected = None;
    for number in 1..=10 {
        bench
            .store
            .propose(&tenant(), expected, revision(number), &registry(), NOON)
            .await
            .unwrap();
        bench
            .store
            .activate(&tenant(), expected, revision(number), NOON)
            .await
            .unwrap();
        expected = Some(revision(number));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("writ.db");
        copy(&bench.path(), &path, |all| all);
        let found = Store::open(&path).await.unwrap();
        let active = found.active_revision(&tenant()).await.unwrap().unwrap();
        assert_eq!(Some(active.id), expected);
        assert_eq!(found.load(&tenant(), active.id).await.unwrap(), registry());
    }
}

/// A log torn anywhere, as by a power cut before its last bytes were on disk: some earlier state, and a whole one.
#[tokio::test]
async fn a_torn_log_leaves_an_earlier_state_whole() {
    let bench = Bench::new().await;
    let mut expected = None;
    for number in 1..=5 {
        bench
            .store
            .propose(&tenant(), expected, revision(number), &registry(), NOON)
            .await
            .unwrap();
        bench
            .store
            .activate(&tenant(), expected, revision(number), NOON)
            .await
            .unwrap();
        expected = Some(revision(number));
    }
    let mut latest = None;
    for part in 0..40usize {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("writ.db");
        // An odd length tears pages and frame headers alike.
        copy(&bench.path(), &path, |all| {
            all.saturating_mul(part)
                .div_euclid(39)
                .saturating_sub(part % 3)
        });
        let found = Store::open(&path).await.unwrap();
        let Some(active) = found.active_revision(&tenant()).await.unwrap() else {
            assert_eq!(latest, None, "states follow each other");
            continue;
        };
        assert_eq!(found.load(&tenant(), active.id).await.unwrap(), registry());
        assert!(latest <= Some(active.id), "states follow each other");
        latest = Some(active.id);
    }
    assert_eq!(latest, expected, "the whole log has the last state");
}

#[tokio::test]
async fn a_change_that_is_dropped_never_happened() {
    let bench = Bench::new().await;
    let mut change = bench.store.change().await.unwrap();
    sqlx::query("INSERT INTO first_boot_token VALUES ('default', 'x', 0, NULL)")
        .execute(&mut *change)
        .await
        .unwrap();
    drop(change);
    let made = bench
        .store
        .put_first_boot_token(&tenant(), &writ_types::Digest::of(b"t"), NOON)
        .await;
    assert!(made.unwrap(), "nothing stood in its way");
}
