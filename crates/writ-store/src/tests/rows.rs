//! Tasks, credentials and operators: what is written is read, and what must not be is not.

use std::time::Duration;

use writ_types::{Charge, CredentialName, Digest, Grant, Secret};

use super::support::{Bench, NOON, bare_grant, grant, grant_below, operator, other, task, tenant};
use crate::{CredentialSealer, Operator, Role, Sealed, StoreError, StoredTask};

#[tokio::test]
async fn a_task_comes_back_as_it_was() {
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    for (grant, index) in [
        (grant(1), Some(7)),
        (bare_grant(2), None),
        (grant_below(3, 1), None),
    ] {
        let number = grant.task;
        store.put_task(&grant, index).await.unwrap();
        let stored = StoredTask {
            grant,
            ended: None,
            spent: Charge::default(),
            log_index: index,
        };
        assert_eq!(store.task(&tenant(), number).await.unwrap(), Some(stored));
    }
    let twice = store.put_task(&bare_grant(1), None).await;
    assert!(
        matches!(twice, Err(StoreError::Exists("task"))),
        "{twice:?}"
    );
    assert_eq!(store.task(&other(), task(1)).await.unwrap(), None);
    assert!(store.tasks(&other(), None).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_first_ending_stays_and_ended_tasks_are_not_live() {
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    for number in 1..=3 {
        store.put_task(&grant(number), None).await.unwrap();
    }
    store.end_task(&tenant(), task(2), "revoked").await.unwrap();
    store.end_task(&tenant(), task(2), "closed").await.unwrap();
    let ended = store.task(&tenant(), task(2)).await.unwrap().unwrap().ended;
    assert_eq!(ended.as_deref(), Some("revoked"));
    let live = async |after, at| {
        let live = store.live_tasks(&tenant(), after, at).await.unwrap();
        live.into_iter()
            .map(|stored| stored.grant.task)
            .collect::<Vec<_>>()
    };
    assert_eq!(live(None, NOON).await, [task(1), task(3)]);
    assert_eq!(live(Some(task(1)), NOON).await, [task(3)]);
    assert!(
        live(None, NOON.plus(Duration::from_secs(60)))
            .await
            .is_empty(),
        "their deadline has passed"
    );
    assert_eq!(
        store.tasks(&tenant(), Some(task(1))).await.unwrap().len(),
        2
    );
    let missing = store.end_task(&other(), task(1), "revoked").await;
    assert!(matches!(missing, Err(StoreError::Missing("task"))));
}

#[tokio::test]
async fn a_live_tree_is_put_back_whole_and_a_dead_one_not_at_all() {
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    let longer = |mut grant: Grant| {
        grant.deadline = NOON.plus(Duration::from_secs(600));
        grant
    };
    store.put_task(&longer(grant(1)), None).await.unwrap();
    store.put_task(&grant_below(2, 1), None).await.unwrap();
    store.put_task(&grant_below(3, 2), None).await.unwrap();
    store.put_task(&longer(grant(4)), None).await.unwrap();
    store
        .put_task(&longer(grant_below(5, 4)), None)
        .await
        .unwrap();
    store.end_task(&tenant(), task(3), "closed").await.unwrap();
    store.end_task(&tenant(), task(4), "revoked").await.unwrap();
    // The deadline of 2 and 3 has passed, that of their root has not: what they spent is the root's.
    let later = NOON.plus(Duration::from_secs(300));
    let live = store.live_tasks(&tenant(), None, later).await.unwrap();
    let live: Vec<_> = live
        .iter()
        .map(|found| (found.grant.task, found.ended.as_deref()))
        .collect();
    assert_eq!(
        live,
        [(task(1), None), (task(2), None), (task(3), Some("closed"))]
    );
    let orphan = store.put_task(&grant_below(6, 9), None).await;
    assert!(matches!(orphan, Err(StoreError::Missing("parent task"))));
    let foreign = Grant {
        tenant: other(),
        ..grant_below(7, 1)
    };
    let orphan = store.put_task(&foreign, None).await;
    assert!(matches!(orphan, Err(StoreError::Missing("parent task"))));
}

#[tokio::test]
async fn a_snapshot_never_goes_back() {
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    store.put_task(&grant(1), Some(5)).await.unwrap();
    let spent = |calls| Charge {
        calls,
        ..Charge::default()
    };
    for (calls, index) in [(3, 9), (1, 6), (u64::MAX, 9)] {
        store
            .snapshot_task(&tenant(), task(1), spent(calls), index)
            .await
            .unwrap();
    }
    let stored = store.task(&tenant(), task(1)).await.unwrap().unwrap();
    assert_eq!((stored.spent, stored.log_index), (spent(u64::MAX), Some(9)));
    let beyond = store
        .snapshot_task(&tenant(), task(1), spent(1), u64::MAX)
        .await;
    assert!(matches!(beyond, Err(StoreError::TooLarge(_))));
}

#[tokio::test]
async fn a_damaged_task_is_not_put_back() {
    for damage in [
        "UPDATE tasks SET granted = replace(granted, '\"copilot\"', '\"root\"')",
        "UPDATE tasks SET granted = replace(granted, '\"mode\"', '\"made\"')",
        "UPDATE tasks SET granted = replace(granted, '\"default\"', '\"acme\"')",
        "UPDATE tasks SET granted = replace(granted, '\"bounds\"', '\"budget\"')",
        "UPDATE tasks SET spent = '{}'",
        "UPDATE tasks SET log_index = -1",
    ] {
        let Bench {
            store,
            folder: _folder,
        } = Bench::new().await;
        store.put_task(&grant(1), None).await.unwrap();
        sqlx::query(damage).execute(store.writer()).await.unwrap();
        let read = store.task(&tenant(), task(1)).await;
        assert!(
            matches!(read, Err(StoreError::Damaged { .. })),
            "{damage}: {read:?}"
        );
    }
}

#[tokio::test]
async fn credentials_are_sealed_versions_written_once() {
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    let name: CredentialName = "dns-key".parse().unwrap();
    let sealer = CredentialSealer::new(&Secret::new([3; 32])).unwrap();
    for value in ["first-value", "second-value"] {
        let version = store
            .next_credential_version(&tenant(), &name)
            .await
            .unwrap();
        let value = Secret::new(value.to_owned());
        let sealed = sealer.seal(&tenant(), &name, version, &value).unwrap();
        store
            .put_credential(&tenant(), &name, version, &sealed, NOON)
            .await
            .unwrap();
    }
    let (version, sealed) = store.sealed(&tenant(), &name).await.unwrap().unwrap();
    assert_eq!(version, 2);
    let opened = sealer.open(&tenant(), &name, version, &sealed).unwrap();
    assert_eq!(opened.expose(), "second-value");
    assert_eq!(store.sealed(&other(), &name).await.unwrap(), None);
    for version in [0, 1, 2, 4] {
        let late = store
            .put_credential(&tenant(), &name, version, &sealed, NOON)
            .await;
        assert!(
            matches!(late, Err(StoreError::CredentialVersion { .. })),
            "{version}: {late:?}"
        );
    }
}

#[tokio::test]
async fn a_forgotten_credential_is_gone_from_the_file() {
    let Bench { store, folder } = Bench::new().await;
    let name: CredentialName = "dns-key".parse().unwrap();
    let sealed = Sealed::from_bytes(b"a ciphertext long enough to be found again".to_vec());
    for version in [1, 2] {
        store
            .put_credential(&tenant(), &name, version, &sealed, NOON)
            .await
            .unwrap();
    }
    let spare = "spare".parse().unwrap();
    store
        .put_credential(&tenant(), &spare, 1, &Sealed::from_bytes(vec![1]), NOON)
        .await
        .unwrap();
    store.forget_credential(&tenant(), &name).await.unwrap();
    assert_eq!(store.sealed(&tenant(), &name).await.unwrap(), None);
    assert_eq!(
        store
            .next_credential_version(&tenant(), &name)
            .await
            .unwrap(),
        3,
        "numbers are not used again"
    );
    let listed = store.credentials(&tenant(), None).await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|found| (found.name.as_str(), found.version, found.forgotten))
        .collect();
    assert_eq!(listed, [("dns-key", 2, true), ("spare", 1, false)]);
    assert_eq!(
        store
            .credentials(&tenant(), Some(&name))
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(matches!(
        store.forget_credential(&other(), &name).await,
        Err(StoreError::Missing(_))
    ));
    store.close().await;
    let file = std::fs::read(folder.path().join("writ.db")).unwrap();
    let gone = sealed.as_bytes();
    assert!(!file.windows(gone.len()).any(|part| part == gone));
}

fn person(number: u8, name: &str, role: Role) -> Operator {
    Operator {
        id: operator(number),
        name: name.to_owned(),
        role,
        approves: [].into(),
        identity: None,
        certificate: None,
        created: NOON,
        since: NOON,
        made_by: None,
        signed_in: None,
    }
}

/// The same person, who has signed in at noon.
fn signed_in(person: &Operator) -> Operator {
    Operator {
        signed_in: Some(NOON),
        ..person.clone()
    }
}

#[tokio::test]
async fn sessions_are_found_by_their_digest_until_they_expire() {
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    let (alice, bob) = (
        person(1, "alice", Role::Operator),
        person(2, "bob", Role::Viewer),
    );
    let (token, later) = (Digest::of(b"token"), NOON.plus(Duration::from_secs(60)));
    store.put_operator(&tenant(), &alice).await.unwrap();
    store.put_operator(&tenant(), &bob).await.unwrap();
    store
        .put_session(&tenant(), &token, alice.id, (NOON, later))
        .await
        .unwrap();
    let session = store
        .session(&tenant(), &token, NOON)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (session.operator, session.begun, session.expires),
        (signed_in(&alice), NOON, later)
    );
    assert_eq!(
        store.session(&tenant(), &token, later).await.unwrap(),
        None,
        "expired"
    );
    assert_eq!(
        store.session(&other(), &token, NOON).await.unwrap(),
        None,
        "another tenant"
    );
    assert_eq!(
        store
            .session(&tenant(), &Digest::of(b"toker"), NOON)
            .await
            .unwrap(),
        None
    );
    let twice = store
        .put_session(&tenant(), &token, bob.id, (NOON, later))
        .await;
    assert!(
        matches!(twice, Err(StoreError::Exists("session"))),
        "a token is one operator's"
    );
    let nobody = store
        .put_session(&tenant(), &Digest::of(b"x"), operator(9), (NOON, later))
        .await;
    assert!(matches!(nobody, Err(StoreError::Missing("operator"))));
}

#[tokio::test]
async fn sessions_end_when_they_are_told_to_or_with_their_operator() {
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    let (alice, bob) = (
        person(1, "alice", Role::Operator),
        person(2, "bob", Role::Viewer),
    );
    let (token, later) = (Digest::of(b"token"), NOON.plus(Duration::from_secs(60)));
    store.put_operator(&tenant(), &alice).await.unwrap();
    store.put_operator(&tenant(), &bob).await.unwrap();
    store
        .put_session(&tenant(), &token, alice.id, (NOON, later))
        .await
        .unwrap();
    store.expire_sessions(&tenant(), NOON).await.unwrap();
    assert!(
        store
            .session(&tenant(), &token, NOON)
            .await
            .unwrap()
            .is_some()
    );
    store.end_session(&tenant(), &token).await.unwrap();
    assert_eq!(store.session(&tenant(), &token, NOON).await.unwrap(), None);
    store
        .put_session(&tenant(), &token, alice.id, (NOON, later))
        .await
        .unwrap();
    store.remove_operator(&tenant(), alice.id).await.unwrap();
    assert_eq!(
        store.session(&tenant(), &token, NOON).await.unwrap(),
        None,
        "it went with its operator"
    );
    assert!(matches!(
        store.remove_operator(&tenant(), alice.id).await,
        Err(StoreError::Missing(_))
    ));
    assert_eq!(store.operators(&tenant(), None).await.unwrap(), [bob]);
    assert!(
        store
            .operators(&tenant(), Some(operator(2)))
            .await
            .unwrap()
            .is_empty()
    );
}

/// A process may end after it has noted the digest and before it has written the token down.
#[tokio::test]
async fn a_first_boot_token_that_nobody_used_is_replaced_and_one_that_was_used_is_not() {
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    let (lost, kept, late) = (
        Digest::of(b"lost"),
        Digest::of(b"kept"),
        Digest::of(b"late"),
    );
    let put = async |token| {
        store
            .put_first_boot_token(&tenant(), token, NOON)
            .await
            .unwrap()
    };
    let good = async |token| store.is_first_boot_token(&tenant(), token).await.unwrap();
    assert!(put(&lost).await && good(&lost).await);
    assert!(put(&kept).await && good(&kept).await && !good(&lost).await);
    let admin = person(1, "alice", Role::Admin);
    let session = (&Digest::of(b"session"), NOON.plus(Duration::from_secs(60)));
    store
        .redeem_first_boot_token(&tenant(), &kept, &admin, session, NOON)
        .await
        .unwrap();
    assert!(!good(&kept).await && !put(&late).await && !good(&late).await);
    store.remove_operator(&tenant(), admin.id).await.unwrap();
    assert!(!put(&late).await, "one was used, admin or not");
}

#[tokio::test]
async fn the_first_boot_token_lets_one_admin_in_once() {
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    let (token, wrong) = (Digest::of(b"right"), Digest::of(b"wrong"));
    let admin = person(1, "alice", Role::Admin);
    let redeem = async |token: &Digest, who: &Operator| {
        let session = Digest::of(who.name.as_bytes());
        let later = NOON.plus(Duration::from_secs(3600));
        store
            .redeem_first_boot_token(&tenant(), token, who, (&session, later), NOON)
            .await
    };
    assert!(
        matches!(redeem(&token, &admin).await, Err(StoreError::FirstBoot)),
        "none was made"
    );
    assert!(
        store
            .put_first_boot_token(&tenant(), &token, NOON)
            .await
            .unwrap()
    );
    assert!(matches!(
        redeem(&wrong, &admin).await,
        Err(StoreError::FirstBoot)
    ));
    let viewer = person(2, "bob", Role::Viewer);
    assert!(
        matches!(redeem(&token, &viewer).await, Err(StoreError::FirstBoot)),
        "only an admin"
    );
    store
        .put_operator(&tenant(), &person(3, "alice", Role::Viewer))
        .await
        .unwrap();
    assert!(matches!(
        redeem(&token, &admin).await,
        Err(StoreError::Exists("operator"))
    ));
    let carol = person(4, "carol", Role::Admin);
    redeem(&token, &carol).await.unwrap();
    let session = store
        .session(&tenant(), &Digest::of(b"carol"), NOON)
        .await
        .unwrap();
    assert_eq!(
        session.unwrap().operator,
        signed_in(&carol),
        "who is let in is in"
    );
    let dave = person(5, "dave", Role::Admin);
    assert!(
        matches!(redeem(&token, &dave).await, Err(StoreError::FirstBoot)),
        "used"
    );
    assert!(
        !store
            .put_first_boot_token(&tenant(), &wrong, NOON)
            .await
            .unwrap(),
        "there is an admin"
    );
    assert!(
        store
            .operators(&tenant(), None)
            .await
            .unwrap()
            .contains(&signed_in(&carol))
    );
}
