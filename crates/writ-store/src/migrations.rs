//! The schema, one numbered step after the other; steps are only ever added.

use sqlx::SqliteConnection;

use crate::StoreError;

/// Step `n` of the schema is the `n`th text, counted from one. A step that was released never changes.
const STEPS: &[&str] = &[
    include_str!("../migrations/0001_begin.sql"),
    include_str!("../migrations/0002_approvals.sql"),
    include_str!("../migrations/0003_operators.sql"),
    include_str!("../migrations/0004_makers.sql"),
    include_str!("../migrations/0005_stops.sql"),
    include_str!("../migrations/0006_amendments.sql"),
];

const HAS_META: &str = "SELECT count(*) FROM sqlite_schema WHERE name = 'meta' AND type = 'table'";
const TABLES: &str = "SELECT count(*) FROM sqlite_schema";
const VERSION: &str = "SELECT value FROM meta WHERE name = 'schema_version'";
const SET_VERSION: &str = "INSERT INTO meta (name, value) VALUES ('schema_version', ?1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// What stands in a file before this binary has touched it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Empty,
    /// A store of this schema version.
    Store(u32),
    /// Someone else's tables.
    Foreign,
}

/// The newest schema version that this binary knows.
pub(crate) fn newest() -> u32 {
    u32::try_from(STEPS.len()).unwrap_or(u32::MAX)
}

/// What the database holds. Read it in the transaction that goes on to change it.
pub(crate) async fn look(connection: &mut SqliteConnection) -> Result<Found, StoreError> {
    let (has_meta,): (i64,) = sqlx::query_as(HAS_META).fetch_one(&mut *connection).await?;
    if has_meta == 0 {
        let (tables,): (i64,) = sqlx::query_as(TABLES).fetch_one(connection).await?;
        return Ok(if tables == 0 {
            Found::Empty
        } else {
            Found::Foreign
        });
    }
    // Someone else's database may have a table of that name, but hardly with these columns and this row.
    let version: Result<Option<(String,)>, _> =
        sqlx::query_as(VERSION).fetch_optional(connection).await;
    let Ok(Some((version,))) = version else {
        return Ok(Found::Foreign);
    };
    let version = version.parse();
    version
        .map(Found::Store)
        .map_err(|fault| StoreError::damaged("schema version", &fault))
}

/// Takes the schema from version `from` to the newest. The caller commits all of it or nothing.
pub(crate) async fn advance(
    connection: &mut SqliteConnection,
    from: u32,
) -> Result<(), StoreError> {
    let done = usize::try_from(from).unwrap_or(usize::MAX);
    for step in STEPS.iter().skip(done) {
        sqlx::raw_sql(*step).execute(&mut *connection).await?;
    }
    sqlx::query(SET_VERSION)
        .bind(newest().to_string())
        .execute(connection)
        .await?;
    Ok(())
}
