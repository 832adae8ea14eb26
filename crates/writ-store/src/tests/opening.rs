//! What is opened and what is refused.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::support::{Bench, NOON, grant, task, tenant};
use crate::{Store, StoreError};

/// Another program's hands in the file.
async fn run(path: &Path, statement: &'static str) {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(statement)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn every_file_is_its_owners_alone() {
    let bench = Bench::new().await;
    bench.store.put_task(&grant(1), None).await.unwrap();
    let mut files = 0;
    for entry in fs::read_dir(bench.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
        files += 1;
    }
    assert_eq!(
        files, 4,
        "the database, its lock, its write-ahead log, its shared memory"
    );
}

#[tokio::test]
async fn a_store_that_others_can_read_is_refused() {
    let bench = Bench::new().await;
    let path = bench.path();
    bench.store.close().await;
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let refused = Store::open(&path).await;
    assert!(
        matches!(refused, Err(StoreError::Exposed { mode: 0o644, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn it_writes_as_it_promises() {
    let bench = Bench::new().await;
    for (pragma, wanted) in [
        ("PRAGMA journal_mode", "wal"),
        ("PRAGMA synchronous", "2"),
        ("PRAGMA foreign_keys", "1"),
        ("PRAGMA secure_delete", "1"),
        ("PRAGMA busy_timeout", "5000"),
    ] {
        let row = sqlx::query(pragma)
            .fetch_one(bench.store.writer())
            .await
            .unwrap();
        let number = sqlx::Row::try_get::<i64, _>(&row, 0).map(|number| number.to_string());
        let found = number
            .or_else(|_| sqlx::Row::try_get::<String, _>(&row, 0))
            .unwrap();
        assert_eq!(found, wanted, "{pragma}");
    }
    let written = sqlx::query("DELETE FROM tasks")
        .execute(bench.store.readers())
        .await;
    assert!(written.is_err(), "readers only read");
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let bench = Bench::new().await;
    let install = bench.store.install_id().to_owned();
    assert!(
        install.starts_with("ins_") && install.len() == 36,
        "{install}"
    );
    bench.store.put_task(&grant(1), None).await.unwrap();
    let path = bench.path();
    drop(bench.store);
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.install_id(), install);
    assert!(store.task(&tenant(), task(1)).await.unwrap().is_some());
    store.close().await;
    let store = Store::open(&path).await.unwrap();
    assert_eq!(
        store.live_tasks(&tenant(), None, NOON).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let bench = Bench::new().await;
    let path = bench.path();
    bench.store.close().await;
    run(
        &path,
        "UPDATE meta SET value = '7' WHERE name = 'schema_version'",
    )
    .await;
    let before = fs::read(&path).unwrap();
    let refused = Store::open(&path).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the store has schema version 7, this binary knows up to 6: use the newer binary, or restore a backup"
    );
    assert!(fs::read(&path).unwrap() == before, "not a byte was changed");
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(
        &text,
        "these are notes, and they are long enough to be taken for a header",
    )
    .unwrap();
    fs::set_permissions(&text, Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(
        Store::open(&text).await,
        Err(StoreError::Database(_))
    ));
    for (name, statement) in [
        ("theirs.db", "CREATE TABLE users (id INTEGER PRIMARY KEY)"),
        ("alike.db", "CREATE TABLE meta (key TEXT, value TEXT)"),
        ("empty.db", "CREATE TABLE meta (name TEXT, value TEXT)"),
    ] {
        let path = folder.path().join(name);
        run(&path, statement).await;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let before = fs::read(&path).unwrap();
        let refused = Store::open(&path).await;
        assert!(
            matches!(refused, Err(StoreError::NotAStore { .. })),
            "{name}: {refused:?}"
        );
        assert!(
            fs::read(&path).unwrap() == before,
            "{name}: not a byte was changed"
        );
    }
    let missing = Store::open(&folder.path().join("no/such/folder")).await;
    assert!(
        matches!(missing, Err(StoreError::File { .. })),
        "{missing:?}"
    );
}

#[tokio::test]
async fn it_is_open_once_at_a_time() {
    let bench = Bench::new().await;
    let path = bench.path();
    let clone = bench.store.clone();
    drop(bench.store);
    let refused = Store::open(&path).await;
    assert!(
        matches!(refused, Err(StoreError::InUse { .. })),
        "{refused:?}"
    );
    drop(clone);
    assert!(Store::open(&path).await.is_ok());
}
