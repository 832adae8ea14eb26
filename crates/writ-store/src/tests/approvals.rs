//! What people approved counts as long as the task does that it was approved for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use writ_types::{ApprovalId, ApprovalState, Digest, RecordId, TaskId, Timestamp};

use super::support::{Bench, NOON, grant, task, tenant};
use crate::{Asked, StoredApproval};

pub(super) fn approval(
    number: u8,
    of: TaskId,
    action: &str,
    state: ApprovalState,
) -> StoredApproval {
    let grant = grant(number);
    StoredApproval {
        id: ApprovalId::new(NOON, [number; 10]),
        binding: grant.prompt.unwrap(),
        task: of,
        agent: grant.agent,
        of_task: true,
        state,
        asked: Asked {
            action: action.parse().unwrap(),
            purpose: grant.purpose,
            requester: None,
            owner: "ops@example.org".parse().unwrap(),
            roles: BTreeSet::from(["security".to_owned()]),
            four_eyes: false,
            rules: BTreeSet::new(),
            card: Digest::of(b"card"),
            record: RecordId::new(NOON, [number; 10]),
            evidence: None,
            memory: vec![grant.prompt.unwrap()],
        },
        given: BTreeMap::new(),
        not_before: NOON,
        expires: NOON.plus(Duration::from_secs(1)),
    }
}

fn actions(of: &BTreeSet<writ_types::ActionName>) -> Vec<String> {
    of.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn what_was_used_is_known_as_long_as_its_task_lives() {
    use ApprovalState::{Approved, Pending, Used};
    let Bench {
        store,
        folder: _folder,
    } = Bench::new().await;
    for number in [1, 2] {
        store.put_task(&grant(number), None).await.unwrap();
    }
    for row in [
        approval(1, task(1), "dns:patchZone", Used),
        approval(2, task(1), "dns:deleteZone", Approved),
        approval(3, task(1), "dns:listZones", Pending),
        approval(4, task(2), "dns:putZone", Used),
        StoredApproval {
            of_task: false,
            ..approval(5, task(1), "dns:wait", Used)
        },
    ] {
        store.put_approval(&tenant(), &row).await.unwrap();
    }
    let approved = async |number| actions(&store.approved(&tenant(), task(number)).await.unwrap());
    assert_eq!(approved(1).await, ["dns:patchZone"]);
    assert_eq!(approved(2).await, ["dns:putZone"]);
    assert!(approved(3).await.is_empty());
    // Long after it could be used, while one of the tasks lives and the other is over.
    store.end_task(&tenant(), task(2), "closed").await.unwrap();
    let deadline = grant(1).deadline;
    let forget = async |before: Timestamp| {
        store
            .forget_approvals(&tenant(), before, before)
            .await
            .unwrap();
    };
    forget(deadline).await;
    assert_eq!(approved(1).await, ["dns:patchZone"]);
    assert!(approved(2).await.is_empty());
    forget(deadline.plus(Duration::from_millis(1))).await;
    assert!(approved(1).await.is_empty());
}
