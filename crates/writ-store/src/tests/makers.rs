//! Who brought whom along: added to, never forgotten.

use std::collections::BTreeSet;

use super::support::{Bench, NOON, operator, other, tenant};
use crate::{Operator, Role};
use writ_types::{Digest, OperatorId};

fn made_by(maker: Option<u8>) -> Operator {
    Operator {
        id: operator(2),
        name: "ben".to_owned(),
        role: Role::Admin,
        approves: [].into(),
        identity: None,
        certificate: None,
        created: NOON,
        since: NOON,
        made_by: maker.map(operator),
        signed_in: None,
    }
}

#[tokio::test]
async fn who_registered_and_invited_somebody_stays_and_who_gave_the_last_role_too() {
    let bench = Bench::new().await;
    let store = &bench.store;
    let makers = async || {
        let makers = store.operator_makers(&tenant()).await.unwrap();
        let of_ben: Option<BTreeSet<OperatorId>> = makers.get(&operator(2)).cloned();
        of_ben.unwrap_or_default()
    };
    let wanted = |numbers: &[u8]| {
        numbers
            .iter()
            .copied()
            .map(operator)
            .collect::<BTreeSet<_>>()
    };
    store
        .put_operator(&tenant(), &made_by(Some(1)))
        .await
        .unwrap();
    assert_eq!(makers().await, wanted(&[1]), "registered");
    for (giver, all) in [(3, [1, 3]), (4, [1, 4])] {
        store
            .change_operator(&tenant(), &made_by(Some(giver)))
            .await
            .unwrap();
        assert_eq!(makers().await, wanted(&all), "given a role by {giver}");
    }
    for inviter in [5, 5] {
        let ben = (operator(2), operator(inviter));
        let token = Digest::of(b"token");
        store
            .put_invitation(&tenant(), ben, &token, NOON)
            .await
            .unwrap();
        assert_eq!(makers().await, wanted(&[1, 4, 5]), "invited");
    }
    store.remove_operator(&tenant(), operator(2)).await.unwrap();
    assert_eq!(
        makers().await,
        wanted(&[1, 4, 5]),
        "gone, and not forgotten"
    );
    assert!(store.operator_makers(&other()).await.unwrap().is_empty());
}

/// Who is new by themselves is of nobody's making.
#[tokio::test]
async fn nobody_is_made_by_nobody() {
    let bench = Bench::new().await;
    bench
        .store
        .put_operator(&tenant(), &made_by(None))
        .await
        .unwrap();
    bench
        .store
        .remove_operator(&tenant(), operator(2))
        .await
        .unwrap();
    assert!(
        bench
            .store
            .operator_makers(&tenant())
            .await
            .unwrap()
            .is_empty()
    );
}
