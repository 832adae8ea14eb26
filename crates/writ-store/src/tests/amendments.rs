//! What tasks come to hold: kept with the use of the approval that it rests on, or not at all.

use std::time::Duration;

use writ_types::{ApprovalState, Grant};

use super::approvals::approval;
use super::support::{Bench, NOON, bare_grant, other, task, tenant};

fn wider(number: u8) -> Grant {
    let before = bare_grant(number);
    Grant {
        deadline: before.deadline.plus(Duration::from_secs(600)),
        ..before
    }
}

#[tokio::test]
async fn the_approval_is_used_and_the_grant_is_kept_in_one_step() {
    use ApprovalState::{Approved, Pending, Used, Withdrawn};
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    for number in [1, 2] {
        store.put_task(&bare_grant(number), None).await.unwrap();
    }
    let amend = "writ:amendTask";
    let rows = [
        approval(1, task(1), amend, Approved),
        approval(2, task(1), amend, Pending),
        approval(3, task(1), "dns:putZone", Pending),
        approval(4, task(2), amend, Pending),
    ];
    for row in &rows {
        store.put_approval(&tenant(), row).await.unwrap();
    }
    let amended = async |grant: &Grant, number: usize| {
        let approval = rows.get(number.wrapping_sub(1)).map(|row| row.id);
        store.amend_task(grant, approval, NOON).await.unwrap()
    };
    // Nobody has said yes to the second.
    assert!(!amended(&wider(1), 2).await);
    let kept = store.live_amendments(&tenant(), NOON).await.unwrap();
    assert!(kept.is_empty(), "{kept:?}");
    assert!(amended(&wider(1), 1).await);
    assert!(!amended(&wider(1), 1).await, "it is good once");
    let kept = store.live_amendments(&tenant(), NOON).await.unwrap();
    assert_eq!(kept, [(task(1), vec![wider(1)])].into());
    let elsewhere = store.live_amendments(&other(), NOON).await.unwrap();
    assert!(elsewhere.is_empty(), "another tenant");
    let mut states = Vec::new();
    for row in &rows {
        let found = store.approval(&tenant(), row.id).await.unwrap();
        states.push(found.unwrap().state);
    }
    assert_eq!(states, [Used, Withdrawn, Pending, Pending]);
    let own = store.amendments(&tenant(), task(1)).await.unwrap();
    assert_eq!(own, [wider(1)]);
    // It lives as long as the longest that it may live by any of its grants.
    let after = bare_grant(1).deadline;
    let live = store.live_tasks(&tenant(), None, after).await.unwrap();
    let live: Vec<_> = live.iter().map(|stored| &stored.grant).collect();
    assert_eq!(live, [&bare_grant(1)], "and what it was opened with stays");
    // What narrows needs nobody.
    assert!(amended(&bare_grant(2), 0).await);
    // One that is over holds nothing, whatever was approved.
    store.end_task(&tenant(), task(2), "revoked").await.unwrap();
    assert!(!amended(&wider(2), 0).await);
    let kept = store.live_amendments(&tenant(), NOON).await.unwrap();
    assert_eq!(kept.keys().collect::<Vec<_>>(), [&task(1)]);
}
