//! Recorded traffic, decided again by a project that is not in force.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use writ_audit::Record;
use writ_store::Registry;
use writ_types::{RevisionId, TaskId, Timestamp, Value};

use crate::admin::changes::project_files;
use crate::admin::look::unavailable;
use crate::admin::{AdminError, Call};
use crate::http::object;
use crate::plan::Side;
use crate::plane::Plane;
use crate::project::ProjectFault;
use crate::reload;
use crate::replay::{Replay, Sides};
use crate::trace::Recorded;

/// The newest decisions that are looked at, where nobody says how many, and the most that are.
const USUAL: u64 = 2_000;
const MOST: u64 = 20_000;
/// Most revisions that are compiled again, the newest first: a large contract takes a second.
const MOST_REVISIONS: usize = 8;

/// Decides the newest recorded calls again by the project that was sent. Nothing is changed, and nothing is sent to anybody.
pub(super) async fn replay(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let body = object(call.body)?;
    let files = project_files(&body)?;
    let last = body.member("last").map_or(Some(USUAL), Value::as_u64);
    let last = last
        .filter(|last| (1..=MOST).contains(last))
        .ok_or_else(|| AdminError::Invalid(format!("`last` is a number from 1 to {MOST}")))?;
    let _one_at_a_time = plane.replaying.try_lock().map_err(|_busy| {
        AdminError::Unavailable(
            "another replay is being made: try again when it is over".to_owned(),
        )
    })?;
    let now = plane.clock.now();
    let loaded = plane.loaded();
    let known = |spiffe: &writ_types::SpiffeId| loaded.agent_of(spiffe).map(|agent| agent.id);
    let project = reload::read_project(&files, &plane.settings.trust_domain, now, known)
        .map_err(AdminError::Project)?;
    let draft = reload::registry(&project);
    let (records, before) = decisions(plane, last).await?;
    let grants = grants(plane, &records).await?;
    let then = revisions(plane, &records).await?;
    let logs = plane.logs.clone();
    let replayed = tokio::task::spawn_blocking(move || {
        let sides = Sides {
            then: compiled(then),
            draft: Side::of_registry(draft, now)?,
            grants,
        };
        let mut replay = Replay::default();
        for record in &records {
            let kept = logs.kept(record).ok();
            replay.take(record, kept.as_ref(), &sides);
        }
        Ok::<_, Vec<ProjectFault>>(replay)
    });
    let replayed = replayed.await;
    let replayed = replayed
        .map_err(|_panic| AdminError::Unavailable("the replay ended unexpectedly".to_owned()))?;
    Ok(replayed.map_err(AdminError::Project)?.to_value(before))
}

/// The newest decisions, in their order, and how many older records were not looked at.
async fn decisions(plane: &Plane, last: u64) -> Result<(VecDeque<Record>, u64), AdminError> {
    let most = usize::try_from(last).unwrap_or(usize::MAX);
    let folded = plane.logs.fold(VecDeque::new(), move |newest, record| {
        if Recorded::of(record).is_none() {
            return;
        }
        if newest.len() >= most {
            newest.pop_front();
        }
        newest.push_back(record.clone());
    });
    folded.await.map_err(|fault| unavailable(&fault))
}

/// The tasks that called, as far as they are kept. One that came to hold something else held now this and now that: its calls are not made
/// again.
async fn grants(
    plane: &Plane,
    records: &VecDeque<Record>,
) -> Result<BTreeMap<TaskId, writ_types::Grant>, AdminError> {
    let called = records.iter().filter_map(Recorded::of);
    let called: BTreeSet<TaskId> = called
        .filter_map(|recorded| Some(recorded.call?.1))
        .collect();
    let mut grants = BTreeMap::new();
    for task in called {
        let stored = plane.store.task(&plane.tenant, task).await;
        let amended = plane.store.amendments(&plane.tenant, task).await;
        let amended = amended.map_err(|fault| unavailable(&fault))?;
        if let Some(stored) = stored.map_err(|fault| unavailable(&fault))?
            && amended.is_empty()
        {
            grants.insert(task, stored.grant);
        }
    }
    Ok(grants)
}

/// The revisions that decided, with the instant of the first decision that is looked at, as far as they are kept.
async fn revisions(
    plane: &Plane,
    records: &VecDeque<Record>,
) -> Result<Vec<(RevisionId, Timestamp, Registry)>, AdminError> {
    let mut first: BTreeMap<RevisionId, Timestamp> = BTreeMap::new();
    for record in records {
        if let Some(revision) = record.header.revision {
            first.entry(revision).or_insert(record.header.time);
        }
    }
    let mut kept = Vec::new();
    for (revision, at) in first.into_iter().rev().take(MOST_REVISIONS) {
        // Old revisions are cleared away some day; their decisions are counted as not kept.
        if let Ok(registry) = plane.store.load(&plane.tenant, revision).await {
            kept.push((revision, at, registry));
        }
    }
    Ok(kept)
}

fn compiled(kept: Vec<(RevisionId, Timestamp, Registry)>) -> BTreeMap<RevisionId, Side> {
    let sides = kept.into_iter().filter_map(|(revision, at, registry)| {
        let side = Side::of_registry(registry, at).ok()?;
        Some((revision, side))
    });
    sides.collect()
}
