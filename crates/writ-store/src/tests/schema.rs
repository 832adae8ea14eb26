//! The schema as a whole: reviewed as text, and the tenant first in every key.

use super::support::Bench;
use crate::migrations;

const GOLDEN: &str = include_str!("../../schema.sql");

#[tokio::test]
async fn the_sum_of_the_migrations_is_the_schema() {
    let bench = Bench::new().await;
    let tables = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
    let tables: Vec<(String,)> = sqlx::query_as(tables)
        .fetch_all(bench.store.readers())
        .await
        .unwrap();
    let head = format!(
        "-- Schema version {}: the sum of the migrations. A test compares.\n",
        migrations::newest()
    );
    let sum = tables
        .iter()
        .fold(head, |sum, (sql,)| sum + "\n" + sql + ";\n");
    assert!(sum == GOLDEN, "schema.sql should be:\n{sum}");
}

#[tokio::test]
async fn every_key_begins_with_the_tenant() {
    let bench = Bench::new().await;
    let columns = "SELECT t.name, i.origin, c.seqno, c.name
        FROM sqlite_schema t, pragma_index_list(t.name) i, pragma_index_info(i.name) c
        WHERE t.type = 'table' AND t.name <> 'meta' AND c.seqno = 0";
    let firsts: Vec<(String, String, i64, String)> = sqlx::query_as(columns)
        .fetch_all(bench.store.readers())
        .await
        .unwrap();
    for (table, _, _, column) in &firsts {
        assert_eq!(column, "tenant", "an index of {table}");
    }
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'meta'";
    let tables: Vec<(String,)> = sqlx::query_as(tables)
        .fetch_all(bench.store.readers())
        .await
        .unwrap();
    assert!(tables.len() >= 12, "{tables:?}");
    for (table,) in &tables {
        let keyed = firsts
            .iter()
            .any(|(name, origin, ..)| name == table && origin == "pk");
        assert!(
            keyed,
            "{table} has a primary key that begins with the tenant"
        );
    }
    let foreign = "SELECT t.name, f.seq, f.\"from\", f.\"to\"
        FROM sqlite_schema t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table' AND f.seq = 0";
    let foreign: Vec<(String, i64, String, String)> = sqlx::query_as(foreign)
        .fetch_all(bench.store.readers())
        .await
        .unwrap();
    assert_eq!(foreign.len(), 6);
    for (table, _, from, to) in foreign {
        assert_eq!(
            (from.as_str(), to.as_str()),
            ("tenant", "tenant"),
            "{table} points into its own tenant"
        );
    }
}
