//! The store keeps what the sequences say: who there is, who brought whom along, and how far each change has come.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use writ_store::{Store, StoreError};
use writ_types::Tenant;

use super::sequences::{stories, told as tale};
use super::world::Told;
use super::*;

/// Tells the store; of those who decide at the same moment exactly one is heard. Gives who.
async fn tell(store: &Store, tenant: &Tenant, told: &Told, place: usize) -> Option<OperatorId> {
    let fresh = |what: &str| Digest::of(format!("{what} {tenant} {place}").as_bytes());
    match told {
        Told::Put(operator) => store.put_operator(tenant, operator).await.unwrap(),
        Told::Changed(operator) => store.change_operator(tenant, operator).await.unwrap(),
        Told::Invited(whom, by) => {
            let token = fresh("invitation");
            let put = store.put_invitation(tenant, (*whom, *by), &token, START.plus(LIFE));
            put.await.unwrap();
        }
        Told::Removed(id) => store.remove_operator(tenant, *id).await.unwrap(),
        Told::SignedIn(who, at) => {
            let times = (*at, at.plus(LIFE));
            let session = fresh("session");
            store
                .put_session(tenant, &session, *who, times)
                .await
                .unwrap();
        }
        Told::Proposed(change) => store.put_change(tenant, change).await.unwrap(),
        Told::Decided(change, by, at) => {
            let decide = |(who, state): (OperatorId, &'static str)| async move {
                let decided = store.decide_change(tenant, *change, state, who, *at).await;
                match decided {
                    Ok(()) => Some(who),
                    Err(StoreError::Missing(_)) => None,
                    Err(fault) => panic!("{fault}"),
                }
            };
            let second = by.get(1).copied();
            let second = async {
                match second {
                    Some(second) => decide(second).await,
                    None => None,
                }
            };
            let heard: [Option<OperatorId>; 2] = tokio::join!(decide(by[0]), second).into();
            assert_eq!(heard.iter().flatten().count(), 1, "{by:?}: one is heard");
            return heard.into_iter().flatten().next();
        }
    }
    None
}

#[tokio::test]
async fn the_store_keeps_what_the_sequences_say() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("writ.db")).await.unwrap();
    let mut runner = TestRunner::deterministic();
    for sequence in 0..60 {
        let tenant: Tenant = format!("t{sequence}").parse().unwrap();
        let world = tale(stories().new_tree(&mut runner).unwrap().current());
        let mut heard = BTreeMap::new();
        for (place, told) in world.told.iter().enumerate() {
            if let (Told::Decided(change, ..), Some(who)) =
                (told, tell(&store, &tenant, told, place).await)
            {
                heard.insert(*change, who);
            }
        }
        let people = People::read(&store, &tenant).await.unwrap();
        let by_id = |all: &[Operator]| -> BTreeMap<OperatorId, Operator> {
            all.iter().map(|one| (one.id, one.clone())).collect()
        };
        assert_eq!(by_id(people.all()), by_id(&world.all));
        let mut everybody: BTreeSet<OperatorId> = (1..8).map(id).collect();
        everybody.extend(world.makers.keys());
        let expected = world.people();
        for maker in &everybody {
            for other in &everybody {
                let brought = expected.brought(*maker, *other);
                assert_eq!(people.brought(*maker, *other), brought, "{maker} {other}");
            }
        }
        let kept = store.changes_proposed(&tenant, None).await.unwrap();
        let mut wanted: Vec<StoredChange> = Vec::new();
        for (change, _) in &world.changes {
            wanted.push(StoredChange {
                decided_by: heard.get(&change.id).copied(),
                ..change.clone()
            });
        }
        wanted.sort_by_key(|change| change.id.to_string());
        assert_eq!(kept, wanted);
    }
}

/// More people than the store hands out at once: the second admin is seen, and it takes them.
#[tokio::test]
async fn nobody_is_overlooked_behind_a_thousand_viewers() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("writ.db")).await.unwrap();
    let tenant = Tenant::default_tenant();
    let at = |number: u16| {
        let mut random = [0; 10];
        random[8..].copy_from_slice(&number.to_be_bytes());
        OperatorId::new(START, random)
    };
    for number in 0..1_002_u16 {
        let role = if number == 0 || number == 1_001 {
            Role::Admin
        } else {
            Role::Viewer
        };
        let one = Operator {
            id: at(number),
            name: number.to_string(),
            ..person(1, role, None)
        };
        store.put_operator(&tenant, &one).await.unwrap();
    }
    let people = People::read(&store, &tenant).await.unwrap();
    assert_eq!(people.all().len(), 1_002);
    assert!(!single_operator(&people));
}
