//! What is stopped: it stays, and goes on when a person says so.

use writ_types::Stop;

use super::support::{Bench, NOON, operator, other, tenant};
use crate::Stopped;

fn stopped(kind: &str, name: &str, version: u32) -> Stopped {
    Stopped {
        stop: Stop::parse(kind, name).unwrap().unwrap(),
        version,
        by: operator(1),
        at: NOON,
    }
}

#[tokio::test]
async fn what_was_stopped_stays_so_until_it_is_let_go_on() {
    let bench = Bench::new().await;
    let store = &bench.store;
    let all = [
        stopped("api", "desk", 0),
        stopped("credential", "desk-key", 3),
        stopped("owner", "desk@example.org", 0),
    ];
    for one in all.iter().rev() {
        store.put_stop(&tenant(), one).await.unwrap();
    }
    assert_eq!(store.stops(&tenant()).await.unwrap(), all);
    assert_eq!(store.stops(&other()).await.unwrap(), [], "another tenant");
    let (api, own) = (&all[0].stop, &all[1..]);
    assert!(!store.remove_stop(&other(), api).await.unwrap());
    assert!(store.remove_stop(&tenant(), api).await.unwrap());
    assert!(!store.remove_stop(&tenant(), api).await.unwrap(), "no more");
    assert_eq!(store.stops(&tenant()).await.unwrap(), own);
}

#[tokio::test]
async fn a_credential_that_is_stopped_again_is_stopped_as_far_as_either_wanted() {
    let bench = Bench::new().await;
    for (version, newest) in [(2, 2), (3, 3), (1, 3)] {
        let again = Stopped {
            by: operator(u8::try_from(version).unwrap()),
            ..stopped("credential", "desk-key", version)
        };
        bench.store.put_stop(&tenant(), &again).await.unwrap();
        let found = bench.store.stops(&tenant()).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].version, found[0].by),
            (newest, operator(2)),
            "who was first"
        );
    }
}
