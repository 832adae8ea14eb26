//! Changes that take two people: proposed by one, kept, judged, and then done as they were proposed.

use std::collections::{BTreeMap, BTreeSet};

use writ_policy::{SHADOW, WINDOWS, declared_windows, exceptions};
use writ_store::{Registry, StoreError, StoredChange};
use writ_types::{ChangeId, Digest, OperatorId, Timestamp, Value};

use crate::admin::{AdminError, Call, Operator, changes, keys, operators, trust};
use crate::four_eyes::{self, Approved, Need, People, Refusal, WAITING, waits};
use crate::http::object;
use crate::plane::Plane;

/// What a change does: the effect of one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Registers somebody.
    AddOperator,
    /// Gives somebody another role, or another way to sign in.
    ChangeOperator,
    /// Removes somebody.
    RemoveOperator,
    /// Lets the next key sign access tokens.
    RotateKeys,
    /// Believes the vouchers that the settings name.
    ApproveTrust,
    /// Applies a project that changes who is asked, or whose tokens are an agent's.
    Apply,
    /// Puts an earlier revision in force that changes the same.
    Rollback,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::AddOperator,
        Self::ChangeOperator,
        Self::RemoveOperator,
        Self::RotateKeys,
        Self::ApproveTrust,
        Self::Apply,
        Self::Rollback,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::AddOperator => "operator.add",
            Self::ChangeOperator => "operator.change",
            Self::RemoveOperator => "operator.remove",
            Self::RotateKeys => "key.rotate",
            Self::ApproveTrust => "trust.approve",
            Self::Apply => "project.apply",
            Self::Rollback => "revision.rollback",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The operator that a change is about, if it is about one.
    fn about(self, target: &str) -> Option<OperatorId> {
        match self {
            Self::ChangeOperator | Self::RemoveOperator => target.parse().ok(),
            Self::AddOperator
            | Self::RotateKeys
            | Self::ApproveTrust
            | Self::Apply
            | Self::Rollback => None,
        }
    }

    /// Whether it could be done as things are: what cannot be is not put before anybody.
    async fn check(self, plane: &Plane, call: &Call<'_>) -> Result<(), AdminError> {
        match self {
            Self::AddOperator => operators::wanted(plane, call).await.map(drop),
            Self::ChangeOperator => operators::changed(plane, call).await.map(drop),
            Self::RemoveOperator => operators::removed(plane, call).await.map(drop),
            Self::ApproveTrust => trust::check(plane, call),
            Self::RotateKeys | Self::Apply | Self::Rollback => Ok(()),
        }
    }

    /// Does it. The lock on changes is held.
    async fn done(self, plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
        match self {
            Self::AddOperator => operators::add(plane, call).await,
            Self::ChangeOperator => operators::change(plane, call).await,
            Self::RemoveOperator => operators::remove(plane, call).await,
            Self::RotateKeys => keys::rotate(plane, call).await,
            Self::ApproveTrust => trust::approve(plane, call).await,
            Self::Apply => changes::apply(plane, call).await,
            Self::Rollback => changes::roll_back(plane, call).await,
        }
    }
}

/// Checks a change and proposes it.
pub(super) async fn enter(plane: &Plane, call: &Call<'_>, kind: Kind) -> Result<Value, AdminError> {
    let _one_at_a_time = plane.changing.lock().await;
    kind.check(plane, call).await?;
    propose(plane, call, kind).await
}

/// Proposes a change: done at once where there is nobody else and the installation is being set up, otherwise kept.
///
/// The lock on changes is held.
pub(super) async fn propose(
    plane: &Plane,
    call: &Call<'_>,
    kind: Kind,
) -> Result<Value, AdminError> {
    let now = now(plane)?;
    let people = everybody(plane).await?;
    let author = call.operator.id;
    let need = four_eyes::need(&people, author, now, now).ok_or(AdminError::Forbidden)?;
    let digest = digest(kind, call.parameter, call.body);
    if need == Need::Nothing {
        record(
            plane,
            call.operator,
            "change.single_operator",
            kind,
            call.parameter,
            digest,
        )
        .await?;
        let done = kind.done(plane, call).await?;
        return Ok(with(&done, "single_operator", Value::from(true)));
    }
    let waiting = plane
        .store
        .changes_waiting(&plane.tenant, author, now)
        .await;
    if waiting.map_err(|fault| unavailable(&fault))? >= four_eyes::MOST_WAITING {
        let message = "too many of your changes wait: let them be decided on, or withdraw some";
        return Err(AdminError::Invalid(message.to_owned()));
    }
    let body = std::str::from_utf8(call.body);
    let body = body.map_err(|_not_text| AdminError::Invalid("the body is no text".to_owned()))?;
    let change = StoredChange {
        id: ChangeId::new(now, crate::random()),
        author,
        kind: kind.as_str().to_owned(),
        target: call.parameter.to_owned(),
        body: body.to_owned(),
        state: WAITING.to_owned(),
        proposed: now,
        expires: now.plus(four_eyes::LIFE),
        decided_by: None,
    };
    record(
        plane,
        call.operator,
        "change.propose",
        kind,
        call.parameter,
        digest,
    )
    .await?;
    let forgotten = plane.store.forget_changes(&plane.tenant, now).await;
    forgotten.map_err(|fault| unavailable(&fault))?;
    let kept = plane.store.put_change(&plane.tenant, &change).await;
    kept.map_err(|fault| unavailable(&fault))?;
    Ok(shown(&change, need, now))
}

/// One page of changes, in the order of their proposal: those that wait, or with `all=true` every one that is kept.
pub(super) async fn list(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let after = call
        .query("after")
        .map(str::parse::<ChangeId>)
        .transpose()
        .map_err(|fault| AdminError::Invalid(fault.to_string()))?;
    let now = plane.clock.now();
    let people = everybody(plane).await?;
    let all = call.query("all") == Some("true");
    let page = plane.store.changes_proposed(&plane.tenant, after).await;
    let page = page.map_err(|fault| unavailable(&fault))?;
    let wanted = page.iter().filter(|change| all || waits(change, now));
    let row = |change: &StoredChange| shown(change, needed(&people, change, now), now);
    Ok(Value::Array(wanted.map(row).collect()))
}

/// One change, with what exactly it does.
pub(super) async fn show(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let change = find(plane, call).await?;
    let now = plane.clock.now();
    let people = everybody(plane).await?;
    let body = object(&change.body.clone().into()).unwrap_or(Value::Null);
    let row = shown(&change, needed(&people, &change, now), now);
    Ok(with(&row, "body", body))
}

/// Says yes to a change, by its digest. If the yes counts, it is recorded, and then the change is done as it was proposed.
pub(super) async fn approve(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let _one_at_a_time = plane.changing.lock().await;
    let change = find(plane, call).await?;
    let now = now(plane)?;
    let kind = kind_of(&change)?;
    let digest = digest_of(&change)?;
    // The yes is to what was seen.
    let seen = object(call.body)?;
    if seen.member("digest").and_then(Value::as_str) != Some(&digest.to_string()) {
        let message = "`digest` is that of the change you have seen, and it is another: look again";
        return Err(AdminError::Invalid(message.to_owned()));
    }
    let people = everybody(plane).await?;
    let judged = four_eyes::judge(
        &people,
        &change,
        kind.about(&change.target),
        (call.operator.id, call.operator.begun),
        now,
    );
    let how = judged.map_err(|refusal| {
        if refusal == Refusal::Over {
            over()
        } else {
            AdminError::NotYours(refusal.to_string())
        }
    })?;
    let author = people.find(change.author).cloned();
    let author = Operator::of(author.ok_or(AdminError::Forbidden)?, change.proposed);
    let action = match how {
        Approved::ByAnother => "change.approve",
        Approved::Alone => "change.single_operator",
    };
    record(
        plane,
        call.operator,
        action,
        kind,
        &change.id.to_string(),
        digest,
    )
    .await?;
    decide(plane, &change, "approved", call.operator.id, now).await?;
    let body = change.body.clone().into();
    let proposed = Call {
        operator: &author,
        parameter: &change.target,
        query: None,
        body: &body,
    };
    let done = kind.done(plane, &proposed).await?;
    // Whoever approves a person does not get the means to sign in as them.
    let done = done.as_object().cloned().unwrap_or_default();
    let done = done
        .into_iter()
        .filter(|(name, _)| name != operators::INVITATION);
    Ok(Value::object([
        ("change", Value::from(change.id.to_string())),
        ("state", Value::from("approved")),
        ("single_operator", Value::from(how == Approved::Alone)),
        ("done", Value::object(done)),
    ]))
}

/// Says no to a change, or withdraws one's own.
pub(super) async fn refuse(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let _one_at_a_time = plane.changing.lock().await;
    let change = find(plane, call).await?;
    let now = now(plane)?;
    let kind = kind_of(&change)?;
    let people = everybody(plane).await?;
    let me = people.find(call.operator.id);
    if change.author != call.operator.id && !me.is_some_and(four_eyes::decides) {
        return Err(AdminError::Forbidden);
    }
    if !waits(&change, now) {
        return Err(over());
    }
    let digest = digest_of(&change)?;
    record(
        plane,
        call.operator,
        "change.refuse",
        kind,
        &change.id.to_string(),
        digest,
    )
    .await?;
    decide(plane, &change, "refused", call.operator.id, now).await?;
    Ok(Value::object([
        ("change", Value::from(change.id.to_string())),
        ("state", Value::from("refused")),
    ]))
}

/// Whether a revision changes who is asked before a call, or whose tokens are an agent's: the texts of policies that could have
/// rules which ask, but no draft's; exceptions that were not there; windows that count otherwise; owner and groups of agents that are in both; and selectors and federations that were not there.
pub(super) fn changes_who_decides(before: &Registry, after: &Registry) -> bool {
    // Cedar allows blanks and comments between `@` and the word, so that only the words themselves are looked for.
    const ASKING: [&str; 3] = ["approval", "four_eyes", "defer"];
    let asks = |text: &str| text.contains('@') && ASKING.iter().any(|word| text.contains(word));
    let asking = |registry: &Registry| {
        let policies = registry.policies.clone().into_iter();
        policies
            .filter(|(name, text)| !name.starts_with(SHADOW) && asks(text))
            .collect::<BTreeMap<_, _>>()
    };
    let lifted = |registry: &Registry| {
        let policies = registry.policies.iter();
        exceptions(policies.map(|(name, text)| (name.as_str(), text.as_str())))
    };
    let lifted_before = lifted(before);
    let lifts = lifted(after).iter().any(|one| !lifted_before.contains(one));
    let other_agent = before.agents.iter().any(|(id, agent)| {
        after.agents.get(id).is_some_and(|next| {
            next.owner != agent.owner
                || next.groups != agent.groups
                || !next.selectors.is_subset(&agent.selectors)
        })
    });
    let vouched = |registry: &Registry| {
        let agents = registry.agents.values();
        let pairs = agents.flat_map(|agent| {
            let federations = agent.federations.iter().cloned();
            federations.map(|federation| (agent.spiffe.clone(), federation))
        });
        pairs.collect::<BTreeSet<_>>()
    };
    let counted = |registry: &Registry| {
        let text = registry.policies.get(WINDOWS).map_or("", String::as_str);
        let declared = declared_windows(text).unwrap_or_default();
        declared
            .into_iter()
            .map(|one| one.window)
            .collect::<Vec<_>>()
    };
    let still_counted = counted(after);
    let counts_less = counted(before)
        .iter()
        .any(|one| !still_counted.contains(one));
    lifts
        || counts_less
        || other_agent
        || asking(before) != asking(after)
        || !vouched(after).is_subset(&vouched(before))
}

fn needed(people: &People, change: &StoredChange, now: Timestamp) -> Need {
    four_eyes::need(people, change.author, change.proposed, now).unwrap_or(Need::Another)
}

/// A change as it is listed.
fn shown(change: &StoredChange, need: Need, now: Timestamp) -> Value {
    let text = |text: &str| Value::from(text);
    let state = if change.state == WAITING && now >= change.expires {
        "expired"
    } else {
        &change.state
    };
    let mut members = vec![
        ("change", Value::from(change.id.to_string())),
        ("kind", text(&change.kind)),
        ("target", text(&change.target)),
        ("author", Value::from(change.author.to_string())),
        ("state", text(state)),
        ("proposed", Value::from(change.proposed.to_string())),
        ("expires", Value::from(change.expires.to_string())),
    ];
    if let Ok(digest) = digest_of(change) {
        members.push(("digest", Value::from(digest.to_string())));
    }
    if let Some(by) = change.decided_by {
        members.push(("decided_by", Value::from(by.to_string())));
    }
    if state == WAITING {
        members.push((
            "needs",
            text(match need {
                Need::Another => "another_person",
                Need::Alone { .. } => "single_operator",
                Need::Nothing => "nothing",
            }),
        ));
        if let Need::Alone { from } = need {
            members.push(("from", Value::from(from.to_string())));
        }
    }
    Value::object(members)
}

/// What a change is: its yes names it.
fn digest(kind: Kind, target: &str, body: &[u8]) -> Digest {
    Digest::of_parts(&[
        b"writ change v1\n",
        kind.as_str().as_bytes(),
        b"\n",
        target.as_bytes(),
        b"\n",
        body,
    ])
}

fn digest_of(change: &StoredChange) -> Result<Digest, AdminError> {
    let kind = kind_of(change)?;
    Ok(digest(kind, &change.target, change.body.as_bytes()))
}

fn kind_of(change: &StoredChange) -> Result<Kind, AdminError> {
    Kind::of(&change.kind).ok_or(AdminError::NotFound("this program knows no such change"))
}

async fn find(plane: &Plane, call: &Call<'_>) -> Result<StoredChange, AdminError> {
    let id: ChangeId = call
        .parameter
        .parse()
        .map_err(|fault: writ_types::IdError| AdminError::Invalid(fault.to_string()))?;
    let found = plane.store.change_proposed(&plane.tenant, id).await;
    let found = found.map_err(|fault| unavailable(&fault))?;
    found.ok_or(AdminError::NotFound("there is no such change"))
}

async fn decide(
    plane: &Plane,
    change: &StoredChange,
    state: &'static str,
    by: OperatorId,
    now: Timestamp,
) -> Result<(), AdminError> {
    let decided = plane
        .store
        .decide_change(&plane.tenant, change.id, state, by, now)
        .await;
    decided.map_err(|fault| {
        if matches!(fault, StoreError::Missing(_)) {
            over()
        } else {
            unavailable(&fault)
        }
    })
}

/// Everybody who is registered.
pub(crate) async fn people(plane: &Plane) -> Result<Vec<writ_store::Operator>, AdminError> {
    Ok(everybody(plane).await?.into_all())
}

/// Everybody who is registered, and who brought whom along.
pub(crate) async fn everybody(plane: &Plane) -> Result<People, AdminError> {
    let people = People::read(&plane.store, &plane.tenant).await;
    people.map_err(|fault| unavailable(&fault))
}

async fn record(
    plane: &Plane,
    by: &Operator,
    action: &str,
    kind: Kind,
    target: &str,
    digest: Digest,
) -> Result<(), AdminError> {
    let target = format!("{} {target}", kind.as_str());
    super::record(plane, by.id, action, &target, digest).await
}

fn with(value: &Value, name: &str, member: Value) -> Value {
    let mut members = value.as_object().cloned().unwrap_or_default();
    members.insert(name.to_owned(), member);
    Value::Object(members)
}

fn now(plane: &Plane) -> Result<Timestamp, AdminError> {
    let now = plane.wall.check(plane.clock.now());
    now.map_err(|fault| unavailable(&fault))
}

fn over() -> AdminError {
    AdminError::Invalid("the change does not wait any more".to_owned())
}

fn unavailable(fault: &dyn std::fmt::Display) -> AdminError {
    AdminError::Unavailable(fault.to_string())
}
