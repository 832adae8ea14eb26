//! Changing: recorded first, then in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use writ_audit::{Actor, Durability, Event, RevisionActivated};
use writ_store::{Registry, StoreError};
use writ_types::{
    Agent, AgentId, ApiId, CredentialName, Digest, RevisionId, Secret, Timestamp, Value,
};

use crate::admin::history::was_in_force;
use crate::admin::proposals::{self, Kind};
use crate::admin::{AdminError, Call, record};
use crate::cases;
use crate::drift;
use crate::http::object;
use crate::loaded::Loaded;
use crate::plan::Side;
use crate::plane::Plane;
use crate::reload;

/// Stores a new version of a credential, and puts it in force.
pub(super) async fn set_credential(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let name: CredentialName = call
        .parameter
        .parse()
        .map_err(|fault: writ_types::NameError| AdminError::Invalid(fault.to_string()))?;
    let body = object(call.body)?;
    let value = body
        .member("value")
        .and_then(Value::as_str)
        .filter(|value| !value.is_empty());
    let value =
        value.ok_or_else(|| AdminError::Invalid("`value` is missing or empty".to_owned()))?;
    if value.len() > 16 * 1024 || value.chars().any(char::is_control) {
        return Err(AdminError::Invalid(
            "a credential is one line of at most 16 KiB".to_owned(),
        ));
    }
    let _one_at_a_time = plane.changing.lock().await;
    let version = plane
        .store
        .next_credential_version(&plane.tenant, &name)
        .await
        .map_err(|fault| store(&fault))?;
    let secret = Secret::new(value.to_owned());
    let sealed = plane
        .keys
        .sealer
        .seal(&plane.tenant, &name, version, &secret);
    let sealed = sealed.map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
    record(
        plane,
        call.operator.id,
        "credential.set",
        &format!("{name} {version}"),
        Digest::of(sealed.as_bytes()),
    )
    .await?;
    plane
        .store
        .put_credential(&plane.tenant, &name, version, &sealed, plane.clock.now())
        .await
        .map_err(|fault| store(&fault))?;
    reload::reload(plane)
        .await
        .map_err(AdminError::Unavailable)?;
    Ok(Value::object([
        ("name", Value::from(name.as_str())),
        ("version", Value::from_u64(u64::from(version))),
    ]))
}

/// Checks a whole project and, unless it is only checked, puts it in force; if it changes who is asked before calls, or whose
/// tokens are an agent's, when two people want it.
pub(super) async fn enter(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let _one_at_a_time = plane.changing.lock().await;
    let wanted = Wanted::read(plane, call).await?;
    wanted.enter(call, Kind::Apply).await
}

/// Puts a project in force that was approved for one revision. The lock on changes is held.
pub(super) async fn apply(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let wanted = Wanted::read(plane, call).await?;
    wanted.done(call).await
}

/// Puts what was in force before in force again, as a revision of its own; with two people, where a project that says the same
/// would take two.
pub(super) async fn enter_rollback(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let _one_at_a_time = plane.changing.lock().await;
    let (wanted, revision) = Wanted::earlier(plane, call).await?;
    if wanted.effect == Effect::Changes {
        wanted.goes_back_to(call, revision).await?;
    }
    wanted.enter(call, Kind::Rollback).await
}

/// Puts an earlier revision in force that was approved for one revision. The lock on changes is held.
pub(super) async fn roll_back(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let (wanted, revision) = Wanted::earlier(plane, call).await?;
    wanted.goes_back_to(call, revision).await?;
    wanted.done(call).await
}

/// Whether an agent of an earlier revision stays stopped.
pub(super) fn stays_stopped(before: &Loaded, agent: &Agent) -> bool {
    let known = before.agents.get(&agent.id);
    known.is_none_or(|known| !known.enabled)
}

fn now(plane: &Plane) -> Result<Timestamp, AdminError> {
    let checked = plane.wall.check(plane.clock.now());
    checked.map_err(|fault| AdminError::Unavailable(fault.to_string()))
}

/// What a registry keeps of the one that was in force.
type Keep = fn(&mut Registry, Registry);

/// What becomes of what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It is what is in force.
    Same,
    /// It is another, and was only to be checked.
    CheckedOnly { changed: bool },
    /// It is put in force.
    Changes,
    /// It is put in force when two people want it.
    TakesTwo,
}

/// What is to be in force, compiled.
struct Wanted<'a> {
    change: Change<'a>,
    next: Arc<Loaded>,
    effect: Effect,
    stopped: Vec<writ_types::SpiffeId>,
    now: Timestamp,
}

impl<'a> Wanted<'a> {
    /// An agent that was stopped stays stopped until it is named in `resume`.
    async fn read(plane: &'a Plane, call: &Call<'_>) -> Result<Self, AdminError> {
        let body = object(call.body)?;
        let files = project_files(&body)?;
        let before = plane.loaded();
        let now = now(plane)?;
        let known = |spiffe: &writ_types::SpiffeId| before.agent_of(spiffe).map(|agent| agent.id);
        let project = reload::read_project(&files, &plane.settings.trust_domain, now, known)
            .map_err(AdminError::Project)?;
        let resumed = body.member("resume").and_then(Value::as_array);
        let resumed: Vec<AgentId> = resumed
            .unwrap_or_default()
            .iter()
            .filter_map(Value::as_str)
            .filter_map(|name| before.agent_named(name))
            .map(|agent| agent.id)
            .collect();
        let mut registry = reload::registry(&project);
        let tests = tests(&body)?;
        // What the files say is tried, not who was killed meanwhile.
        let written = (!tests.is_empty()).then(|| registry.clone());
        let stopped = reload::keep_stopped(&mut registry, |agent| {
            let known = before.agents.get(&agent.id);
            known.is_some_and(|known| !known.enabled) && !resumed.contains(&agent.id)
        });
        let wanted = Self::of(plane, call, (registry, drift::keep), stopped, now).await?;
        if let Some(written) = written {
            passes(tests, written, now).await?;
        }
        Ok(wanted)
    }

    /// A revision that was in force before. An agent that is stopped stays so, and one that is gone comes back stopped: who was
    /// stopped and then taken out is not let go on by it.
    async fn earlier(plane: &'a Plane, call: &Call<'_>) -> Result<(Self, RevisionId), AdminError> {
        let body = object(call.body)?;
        let revision = body.member("revision").and_then(Value::as_str);
        let revision: RevisionId =
            revision.and_then(|text| text.parse().ok()).ok_or_else(|| {
                AdminError::Invalid("this is no revision: `writ revisions` lists them".to_owned())
            })?;
        was_in_force(plane, revision).await?;
        let registry = plane.store.load(&plane.tenant, revision).await;
        let mut registry = registry.map_err(|fault| store(&fault))?;
        let before = plane.loaded();
        let stopped = reload::keep_stopped(&mut registry, |agent| stays_stopped(&before, agent));
        let registry: (Registry, Keep) = (registry, drift::keep_of_both);
        let wanted = Self::of(plane, call, registry, stopped, now(plane)?).await?;
        Ok((wanted, revision))
    }

    /// Compiles what is wanted, with what it keeps of what is in force, and says what becomes of it.
    async fn of(
        plane: &'a Plane,
        call: &Call<'_>,
        (mut registry, keep): (Registry, Keep),
        stopped: Vec<writ_types::SpiffeId>,
        now: Timestamp,
    ) -> Result<Self, AdminError> {
        let check = object(call.body)?
            .member("check")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let unknown = reload::unknown_programs(&registry, &plane.settings.programs);
        if !unknown.is_empty() {
            return Err(AdminError::Project(unknown));
        }
        let before = plane.loaded();
        let stored = plane.store.load(&plane.tenant, before.revision).await;
        let stored = stored.map_err(|fault| store(&fault))?;
        let changes_who_decides = proposals::changes_who_decides(&stored, &registry);
        keep(&mut registry, stored);
        let change = Change {
            plane,
            by: Actor::Operator(call.operator.id),
            before: before.revision,
            registry,
        };
        let next = change.compile(now).await?;
        reload::sound_draft(&next.pdp).map_err(AdminError::Project)?;
        let changed = next.digest != before.digest;
        let effect = match (check, changed, changes_who_decides) {
            (true, changed, _) => Effect::CheckedOnly { changed },
            (false, false, _) => Effect::Same,
            (false, true, false) => Effect::Changes,
            (false, true, true) => Effect::TakesTwo,
        };
        Ok(Self {
            change,
            next,
            effect,
            stopped,
            now,
        })
    }

    /// Records which revision it is that comes into force again: what comes into force has an id of its own.
    async fn goes_back_to(&self, call: &Call<'_>, revision: RevisionId) -> Result<(), AdminError> {
        record(
            self.change.plane,
            call.operator.id,
            "revision.rollback",
            &revision.to_string(),
            self.next.digest,
        )
        .await
    }

    /// Puts it in force, or before another person.
    async fn enter(self, call: &Call<'_>, kind: Kind) -> Result<Value, AdminError> {
        if self.effect != Effect::TakesTwo {
            return self.put_in_force().await;
        }
        // It is approved as a change of the revision that it was compared with, and of no other.
        let revision = self.change.before.to_string();
        let call = Call {
            parameter: &revision,
            ..*call
        };
        proposals::propose(self.change.plane, &call, kind).await
    }

    /// Puts it in force as it was approved, for one revision.
    async fn done(self, call: &Call<'_>) -> Result<Value, AdminError> {
        if self.change.before.to_string() != call.parameter {
            return Err(AdminError::Conflict);
        }
        self.put_in_force().await
    }

    async fn put_in_force(self) -> Result<Value, AdminError> {
        let (changed, checked_only) = match self.effect {
            Effect::Same => (false, false),
            Effect::CheckedOnly { changed } => (changed, true),
            Effect::Changes | Effect::TakesTwo => (true, false),
        };
        if changed && !checked_only {
            self.change.put_in_force(&self.next, self.now).await?;
        }
        Ok(Value::object([
            ("revision", Value::from(self.next.revision.to_string())),
            ("digest", Value::from(self.next.digest.to_string())),
            ("changed", Value::from(changed)),
            ("checked_only", Value::from(checked_only)),
            (
                "still_stopped",
                Value::Array(
                    self.stopped
                        .iter()
                        .map(|spiffe| Value::from(spiffe.as_str()))
                        .collect(),
                ),
            ),
        ]))
    }
}

/// Whether the project passes its own tests: one that does not never comes into force. Tried when it is sent and, where two
/// people want it, again when it is approved.
async fn passes(
    tests: BTreeMap<String, Vec<u8>>,
    registry: Registry,
    now: Timestamp,
) -> Result<(), AdminError> {
    let tried = tokio::task::spawn_blocking(move || {
        let side = Side::of_registry(registry, now)?;
        let failed = cases::failures(&tests, &side, now);
        if failed.is_empty() {
            Ok(())
        } else {
            Err(failed)
        }
    });
    let tried = tried.await;
    tried
        .map_err(|_panic| AdminError::Unavailable("the tests ended unexpectedly".to_owned()))?
        .map_err(AdminError::Project)
}

/// The files of `policies/tests` that were sent with a project.
fn tests(body: &Value) -> Result<BTreeMap<String, Vec<u8>>, AdminError> {
    let malformed = || AdminError::Invalid("`tests` is an object of files, each a text".to_owned());
    let Some(tests) = body.member("tests") else {
        return Ok(BTreeMap::new());
    };
    let tests = tests.as_object().ok_or_else(malformed)?.iter();
    let file = |(path, text): (&String, &Value)| {
        let text = text.as_str().ok_or_else(malformed)?;
        Ok((path.clone(), text.as_bytes().to_vec()))
    };
    tests.map(file).collect()
}

/// Disables an agent: a revision of its own, so that it is durable and in force on the next call.
pub(super) async fn disable(plane: &Plane, by: Actor, agent: AgentId) -> Result<(), AdminError> {
    let _one_at_a_time = plane.changing.lock().await;
    let before = plane.loaded();
    let now = plane.clock.now();
    let mut registry = plane
        .store
        .load(&plane.tenant, before.revision)
        .await
        .map_err(|fault| store(&fault))?;
    match registry.agents.get_mut(&agent) {
        Some(found) if found.enabled => found.enabled = false,
        Some(_) | None => return Ok(()),
    }
    let change = Change {
        plane,
        by,
        before: before.revision,
        registry,
    };
    let next = change.compile(now).await?;
    change.put_in_force(&next, now).await
}

/// A registry on its way into force.
pub(crate) struct Change<'a> {
    pub(crate) plane: &'a Plane,
    pub(crate) by: Actor,
    pub(crate) before: RevisionId,
    pub(crate) registry: Registry,
}

impl Change<'_> {
    /// Compiles it: whatever could keep it from coming into force shows here, before anything is written.
    pub(crate) async fn compile(&self, now: Timestamp) -> Result<Arc<Loaded>, AdminError> {
        let revision = RevisionId::new(now, crate::random());
        reload::compile(self.plane, revision, self.registry.clone())
            .await
            .map_err(AdminError::Project)
    }

    /// Stores and records it, moves the revision row, and reloads.
    pub(crate) async fn put_in_force(
        &self,
        next: &Loaded,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        let Self {
            plane,
            by,
            before,
            registry,
        } = self;
        let tenant = &plane.tenant;
        plane
            .store
            .propose(tenant, Some(*before), next.revision, registry, now)
            .await
            .map_err(|fault| store(&fault))?;
        let event = RevisionActivated {
            from: Some(*before),
            to: next.revision,
            digest: next.digest,
            by: *by,
        };
        let recorded = plane
            .record(
                plane.header(now),
                Event::RevisionActivated(event),
                None,
                Durability::Durable,
            )
            .await;
        recorded.map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
        plane
            .store
            .activate(tenant, Some(*before), next.revision, now)
            .await
            .map_err(|fault| store(&fault))?;
        reload::reload(plane)
            .await
            .map(drop)
            .map_err(AdminError::Unavailable)
    }
}

/// Looks at what an API publishes, now.
pub(super) async fn check_drift(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    drift::check(plane, &api_named(call)?, drift::Asked::ByPerson).await
}

/// Approves what an API publishes.
pub(super) async fn promote(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let id = api_named(call)?;
    let body = object(call.body)?;
    let digest = body.member("digest").and_then(Value::as_str);
    let digest: Digest = digest
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| AdminError::Invalid("`digest` is missing or none".to_owned()))?;
    let (how, recorded) = match body.member("beside") {
        None | Some(Value::Bool(false)) => (drift::Approved::Instead, "contract.promote"),
        Some(Value::Bool(true)) => (drift::Approved::Beside, "contract.beside"),
        Some(_) => {
            return Err(AdminError::Invalid(
                "`beside` is neither true nor false".to_owned(),
            ));
        }
    };
    record(plane, call.operator.id, recorded, id.as_str(), digest).await?;
    let by = Actor::Operator(call.operator.id);
    drift::promote(plane, &id, (digest, how), by).await
}

fn api_named(call: &Call<'_>) -> Result<ApiId, AdminError> {
    call.parameter
        .parse()
        .map_err(|fault: writ_types::NameError| AdminError::Invalid(fault.to_string()))
}

/// The texts of a project, by path.
pub(super) fn project_files(body: &Value) -> Result<BTreeMap<String, Vec<u8>>, AdminError> {
    let refused = || AdminError::Invalid("`files` is an object of texts by path".to_owned());
    let files = body
        .member("files")
        .and_then(Value::as_object)
        .ok_or_else(refused)?;
    let text = |value: &Value| value.as_str().map(|text| text.as_bytes().to_vec());
    let read = files
        .iter()
        .map(|(path, value)| Some((path.clone(), text(value)?)));
    read.collect::<Option<_>>().ok_or_else(refused)
}

/// Reads the settings of who vouches and the revision row again.
pub(super) async fn reload(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let _one_at_a_time = plane.changing.lock().await;
    record(
        plane,
        call.operator.id,
        "revision.reload",
        "",
        plane.loaded().digest,
    )
    .await?;
    let by = Actor::Operator(call.operator.id);
    let revision = reload::reload_all(plane, by)
        .await
        .map_err(AdminError::Unavailable)?;
    Ok(Value::object([(
        "revision",
        Value::from(revision.to_string()),
    )]))
}

fn store(fault: &StoreError) -> AdminError {
    if matches!(fault, StoreError::Conflict { .. }) {
        AdminError::Conflict
    } else {
        AdminError::Unavailable(fault.to_string())
    }
}
