//! Revisions: whole, immutable, moved by compare-and-set.

use super::support::{Bench, NOON, api, other, registry, revision, tenant};
use crate::{ActiveRevision, Registry, StoreError};

#[tokio::test]
async fn what_is_proposed_is_loaded() {
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    store
        .propose(&tenant(), None, revision(1), &registry(), NOON)
        .await
        .unwrap();
    assert_eq!(
        store.load(&tenant(), revision(1)).await.unwrap(),
        registry()
    );
    let smaller = Registry {
        policies: registry().policies,
        ..Registry::default()
    };
    store
        .propose(&tenant(), Some(revision(1)), revision(2), &smaller, NOON)
        .await
        .unwrap();
    assert_eq!(store.load(&tenant(), revision(2)).await.unwrap(), smaller);
    assert_eq!(
        store.load(&tenant(), revision(1)).await.unwrap(),
        registry(),
        "the first stays as it was"
    );
    let listed = store.revisions(&tenant(), None).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[1].base, Some(revision(1)));
    assert_eq!(
        store.revisions(&tenant(), Some(revision(1))).await.unwrap(),
        listed[1..]
    );
}

#[tokio::test]
async fn only_one_of_two_changes_wins() {
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    let tenant = tenant();
    assert_eq!(store.active_revision(&tenant).await.unwrap(), None);
    for number in 1..=3 {
        store
            .propose(&tenant, None, revision(number), &registry(), NOON)
            .await
            .unwrap();
    }
    store
        .activate(&tenant, None, revision(1), NOON)
        .await
        .unwrap();
    let again = store.activate(&tenant, None, revision(2), NOON).await;
    assert!(
        matches!(again, Err(StoreError::Conflict { found: Some(found) }) if found == revision(1))
    );
    let (one, two) = tokio::join!(
        store.activate(&tenant, Some(revision(1)), revision(2), NOON),
        store.activate(&tenant, Some(revision(1)), revision(3), NOON),
    );
    let winner = if one.is_ok() {
        revision(2)
    } else {
        revision(3)
    };
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    let lost = one.and(two);
    assert!(matches!(lost, Err(StoreError::Conflict { found: Some(found) }) if found == winner));
    let active = store.active_revision(&tenant).await.unwrap();
    assert_eq!(
        active,
        Some(ActiveRevision {
            id: winner,
            activated: NOON
        })
    );
}

#[tokio::test]
async fn what_is_not_there_is_not_put_in_force() {
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    store
        .propose(&tenant(), None, revision(1), &registry(), NOON)
        .await
        .unwrap();
    let unknown = |result: Result<(), StoreError>, number| matches!(result, Err(StoreError::UnknownRevision(id)) if id == revision(number));
    assert!(unknown(
        store.activate(&tenant(), None, revision(2), NOON).await,
        2
    ));
    assert!(
        unknown(store.activate(&other(), None, revision(1), NOON).await, 1),
        "another tenant's"
    );
    assert!(unknown(
        store.load(&other(), revision(1)).await.map(drop),
        1
    ));
    let based = store
        .propose(&tenant(), Some(revision(9)), revision(2), &registry(), NOON)
        .await;
    assert!(unknown(based, 9));
    let twice = store
        .propose(&tenant(), None, revision(1), &registry(), NOON)
        .await;
    assert!(matches!(twice, Err(StoreError::Exists("revision"))));
    store
        .activate(&tenant(), None, revision(1), NOON)
        .await
        .unwrap();
    assert_eq!(store.active_revision(&other()).await.unwrap(), None);
}

#[tokio::test]
async fn a_registry_that_contradicts_itself_is_not_stored() {
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    let mut misnamed = registry();
    misnamed
        .apis
        .insert("spare".parse().unwrap(), api("dns", None));
    let mut orphaned = registry();
    orphaned.apis.clear();
    for wrong in [misnamed, orphaned] {
        let refused = store
            .propose(&tenant(), None, revision(1), &wrong, NOON)
            .await;
        assert!(
            matches!(refused, Err(StoreError::Damaged { .. })),
            "{refused:?}"
        );
    }
    assert!(store.revisions(&tenant(), None).await.unwrap().is_empty());
}

/// Whoever changes a row in the file, by hand or by a failing disk, is noticed.
#[tokio::test]
async fn a_damaged_revision_is_not_loaded() {
    for damage in [
        "UPDATE apis SET definition = replace(definition, '8081', '8082')",
        "UPDATE contracts SET document = x'00ff7b'",
        "UPDATE contracts SET reviews = '{}'",
        "UPDATE agents SET definition = replace(definition, 'autonomous', 'copilot')",
        "UPDATE purposes SET definition = replace(definition, '3600000', '7200000')",
        "UPDATE policies SET text = 'permit (principal, action, resource);'",
        "DELETE FROM policies",
        "DELETE FROM contracts",
        "UPDATE revisions SET manifest = '{}'",
        "UPDATE revisions SET manifest = replace(manifest, '\"crm\"', '\"cry\"')",
        "UPDATE revisions SET manifest = replace(manifest, 'policies', 'politics')",
    ] {
        let bench = Bench::new().await;
        bench
            .store
            .propose(&tenant(), None, revision(1), &registry(), NOON)
            .await
            .unwrap();
        let damaged = sqlx::query(damage)
            .execute(bench.store.writer())
            .await
            .unwrap();
        assert!(damaged.rows_affected() > 0, "{damage}");
        let loaded = bench.store.load(&tenant(), revision(1)).await;
        assert!(
            matches!(loaded, Err(StoreError::Damaged { .. })),
            "{damage}: {loaded:?}"
        );
    }
}

#[tokio::test]
async fn the_same_content_is_stored_once() {
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    for number in 1..=5 {
        store
            .propose(&tenant(), None, revision(number), &registry(), NOON)
            .await
            .unwrap();
    }
    let count = "SELECT (SELECT count(*) FROM contracts) + (SELECT count(*) FROM agents)";
    let (count,): (i64,) = sqlx::query_as(count)
        .fetch_one(store.readers())
        .await
        .unwrap();
    // An agent, the contract that is live too, and the one beside it.
    assert_eq!(count, 3);
}

#[tokio::test]
async fn the_history_is_what_was_in_force_and_what_each_changed() {
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    let tenant = tenant();
    assert!(store.history(&tenant, 10).await.unwrap().is_empty());
    let small = |text: &str| Registry {
        policies: [("policies/a.cedar".to_owned(), text.to_owned())].into(),
        ..Registry::default()
    };
    // The second is proposed beside the third and never comes into force.
    let steps = [
        (None, 1, registry(), true),
        (Some(1), 2, small("never"), false),
        (Some(1), 3, small("one"), true),
        (Some(3), 4, small("two"), true),
    ];
    for (base, number, registry, comes) in steps {
        let base = base.map(revision);
        let id = revision(number);
        store
            .propose(&tenant, base, id, &registry, NOON)
            .await
            .unwrap();
        if comes {
            store.activate(&tenant, base, id, NOON).await.unwrap();
        }
    }
    let history = store.history(&tenant, 10).await.unwrap();
    let shown: Vec<String> = history
        .iter()
        .map(|past| {
            let parts = past.changed.iter();
            let parts = parts.map(|one| format!("{} {}/{}", one.step.as_str(), one.part, one.name));
            parts.collect::<Vec<_>>().join(", ")
        })
        .collect();
    let ids: Vec<_> = history.iter().map(|past| past.revision.id).collect();
    assert_eq!(ids, [revision(4), revision(3), revision(1)]);
    assert_eq!(shown[0], "changed policies/policies/a.cedar");
    assert!(
        shown[1].contains("added policies/policies/a.cedar"),
        "{shown:?}"
    );
    assert!(shown[1].contains("removed agents/"), "{shown:?}");
    assert!(
        !shown[2].contains("removed") && shown[2].contains("added apis/"),
        "{shown:?}"
    );
    assert_eq!(store.history(&tenant, 2).await.unwrap(), history[..2]);
}
