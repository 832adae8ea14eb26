//! Approvals: what waits for an answer, the card, and the answer of a person who may give it.

use std::collections::BTreeSet;

use writ_store::StoredApproval;
use writ_task::{Approver, Ledger as _, Subject, TaskState};
use writ_types::{ApprovalId, ApprovalState, Kind, TaskId, Timestamp, Value};

use crate::admin::{AdminError, Call, RESUMED, record};
use crate::approvals::{AnswerError, Memory};
use crate::http::object;
use crate::plane::Plane;

fn strings(texts: &BTreeSet<String>) -> Value {
    Value::Array(
        texts
            .iter()
            .map(|text| Value::from(text.as_str()))
            .collect(),
    )
}

fn unavailable(fault: &dyn std::fmt::Display) -> AdminError {
    AdminError::Unavailable(fault.to_string())
}

/// One page, in the order of their asking: those that wait for an answer, or with `all=true` every one that is kept.
pub(super) async fn list(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let after = call
        .query("after")
        .map(str::parse::<ApprovalId>)
        .transpose()
        .map_err(|fault| AdminError::Invalid(fault.to_string()))?;
    let now = plane.clock.now();
    let open = (call.query("all") != Some("true")).then_some(now);
    let page = plane.store.approvals(&plane.tenant, after, open).await;
    let page = page.map_err(|fault| unavailable(&fault))?;
    let mut rows = Vec::new();
    for approval in page {
        let life = life(plane, &approval, now).await;
        if life == Life::Live || open.is_none() {
            rows.push(summary(&approval, call, life, now));
        }
    }
    Ok(Value::Array(rows))
}

/// One approval with its card. The card holds values of the call: only for those who could answer, and operators.
pub(super) async fn show(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let (approval, now) = find(plane, call).await?;
    let life = life(plane, &approval, now).await;
    let summary = summary(&approval, call, life, now);
    let answered = approval.given.values().any(|by| *by == call.operator.id);
    let is_operator = call.operator.as_approver().is_operator;
    if !is_operator && !answered && gives(call, &approval).is_empty() {
        return Err(AdminError::Forbidden);
    }
    let card = plane.approvals.card(&approval).await;
    let card = card.map_err(|fault| unavailable(&fault))?;
    Ok(Value::object([
        ("approval", summary),
        ("card", shown(card)),
    ]))
}

/// Says yes, in every role that is needed and that this person can give. A task that was paused goes on: a person has looked.
pub(super) async fn yes(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let (approval, now) = find(plane, call).await?;
    let body = object(call.body)?;
    if !approval.of_task {
        let message = "this is a wait: time lifts it, and a person can only say no";
        return Err(AdminError::Invalid(message.to_owned()));
    }
    if life(plane, &approval, now).await == Life::Over {
        return Err(over());
    }
    let gives = gives(call, &approval);
    if gives.is_empty() {
        return Err(AdminError::Forbidden);
    }
    // The yes is to what was seen.
    if body.member("card").and_then(Value::as_str) != Some(&approval.asked.card.to_string()) {
        let message =
            "`card` is the digest of the card you have seen, and it is another: look again";
        return Err(AdminError::Invalid(message.to_owned()));
    }
    let card = plane.approvals.card(&approval).await;
    let card = card.map_err(|fault| unavailable(&fault))?;
    let hidden = card.member("not_shown").and_then(Value::as_u64) != Some(0);
    if hidden
        && body
            .member("although_not_all_is_shown")
            .and_then(Value::as_bool)
            != Some(true)
    {
        let message = "not all values of the call are on the card: a yes to it says `although_not_all_is_shown`";
        return Err(AdminError::Invalid(message.to_owned()));
    }
    confirmed(&card, &body)?;
    let remember = body.member("remember").and_then(Value::as_bool) == Some(true);
    let memory = if remember { Memory::Kept } else { Memory::None };
    let header = plane.header(now);
    let given = plane
        .approvals
        .give(header, &approval, &gives, call.operator.id, memory)
        .await;
    let state = given.map_err(answer)?;
    // A person has looked at it, unless it was at what the task is to hold.
    if !approval.asked.action.is_amend_task() {
        go_on(plane, call, approval.task, now).await?;
    }
    Ok(Value::object([
        ("approval", Value::from(approval.id.to_string())),
        ("state", Value::from(state.as_str())),
        ("gave", strings(&gives)),
    ]))
}

/// The card without the values that whoever says yes enters themselves.
fn shown(mut card: Value) -> Value {
    if let Value::Object(members) = &mut card
        && let Some(Value::Array(confirm)) = members.get_mut("confirm")
    {
        for value in confirm {
            if let Value::Object(members) = value {
                members.remove("value");
            }
        }
    }
    card
}

/// Whether every value that nothing vouches for was entered, and no other: each the same in the form of its kind.
fn confirmed(card: &Value, body: &Value) -> Result<(), AdminError> {
    let wanted = card
        .member("confirm")
        .and_then(Value::as_array)
        .unwrap_or_default();
    let entered = body
        .member("values")
        .and_then(Value::as_array)
        .unwrap_or_default();
    let text = |value: &Value, name| {
        value
            .member(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let is_entered = |wanted: &Value, entered: &Value| {
        let (Some(kind), Some(value), Some(given)) = (
            text(wanted, "kind").and_then(|kind| kind.parse::<Kind>().ok()),
            text(wanted, "value"),
            entered.member("value"),
        ) else {
            return false;
        };
        // A person writes numbers as they like.
        let given = given
            .as_str()
            .map_or_else(|| given.to_string(), str::to_owned);
        let form = kind.of_text(&value);
        let same = value == given || form.is_some() && form == kind.of_text(given.trim());
        same && text(wanted, "place") == text(entered, "place")
    };
    let all = wanted
        .iter()
        .all(|wanted| entered.iter().any(|entered| is_entered(wanted, entered)));
    let only = entered
        .iter()
        .all(|entered| wanted.iter().any(|wanted| is_entered(wanted, entered)));
    if all && only {
        return Ok(());
    }
    let message = "nothing vouches for some values of this call: a yes to it enters them, as `values` with the `place` of each and the `value` you know it to have";
    Err(AdminError::Invalid(message.to_owned()))
}

/// Says no. It is remembered for the requester, the resource and the effect, unless `once` is set. With `resume` the task
/// goes on if it was paused.
pub(super) async fn no(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let (approval, now) = find(plane, call).await?;
    let body = object(call.body)?;
    // Whoever could stop the task can say no to a part of it.
    let may = call.operator.as_approver().is_operator || !gives(call, &approval).is_empty();
    if !may {
        return Err(AdminError::Forbidden);
    }
    let once = body.member("once").and_then(Value::as_bool) == Some(true);
    let memory = if once { Memory::None } else { Memory::Kept };
    let header = plane.header(now);
    let denied = plane
        .approvals
        .deny(header, &approval, call.operator.id, memory)
        .await;
    denied.map_err(answer)?;
    if body.member("resume").and_then(Value::as_bool) == Some(true) {
        go_on(plane, call, approval.task, now).await?;
    }
    Ok(Value::object([
        ("approval", Value::from(approval.id.to_string())),
        ("state", Value::from(ApprovalState::Denied.as_str())),
        ("remembered", Value::from(!once)),
    ]))
}

/// Lets a task go on that was paused, and records who did. If it has ended meanwhile, there is nothing that could go on.
async fn go_on(
    plane: &Plane,
    call: &Call<'_>,
    task: TaskId,
    now: Timestamp,
) -> Result<(), AdminError> {
    let status = plane.ledger.status(&plane.tenant, task, now).await;
    let Some(status) = status.filter(|status| status.paused) else {
        return Ok(());
    };
    let digest = status.grant.digest();
    record(plane, call.operator.id, RESUMED, &task.to_string(), digest).await?;
    let resumed = plane.ledger.resume(&plane.tenant, task).await;
    resumed.unwrap_or_default();
    Ok(())
}

async fn find(plane: &Plane, call: &Call<'_>) -> Result<(StoredApproval, Timestamp), AdminError> {
    let id: ApprovalId = call
        .parameter
        .parse()
        .map_err(|fault: writ_types::IdError| AdminError::Invalid(fault.to_string()))?;
    let now = plane
        .wall
        .check(plane.clock.now())
        .map_err(|fault| unavailable(&fault))?;
    let found = plane.store.approval(&plane.tenant, id).await;
    let found = found.map_err(|fault| unavailable(&fault))?;
    let found = found.ok_or(AdminError::NotFound("there is no such approval"))?;
    Ok((found, now))
}

/// Whether an approval could still be of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Live,
    Over,
}

/// It lives if it has not expired, and its task lives.
async fn life(plane: &Plane, approval: &StoredApproval, now: Timestamp) -> Life {
    if approval.expires <= now {
        return Life::Over;
    }
    if !approval.of_task {
        return Life::Live;
    }
    let task = plane.ledger.status(&plane.tenant, approval.task, now).await;
    match task.map(|task| task.state) {
        Some(TaskState::Live) => Life::Live,
        Some(TaskState::Ended(_)) | None => Life::Over,
    }
}

/// The roles still needed that this person can give.
fn gives(call: &Call<'_>, approval: &StoredApproval) -> BTreeSet<String> {
    let asked = &approval.asked;
    let subject = Subject {
        requester: asked.requester.as_ref(),
        owner: asked.owner.as_str(),
        four_eyes: asked.four_eyes,
    };
    let approver: Approver<'_> = call.operator.as_approver();
    let needed = asked.roles.iter();
    let needed = needed.filter(|role| !approval.given.contains_key(*role));
    needed
        .filter(|role| approver.can_give(role, subject))
        .cloned()
        .collect()
}

fn summary(approval: &StoredApproval, call: &Call<'_>, life: Life, now: Timestamp) -> Value {
    let asked = &approval.asked;
    let state = match approval.state {
        ApprovalState::Pending | ApprovalState::Approved if life == Life::Over => "expired",
        ApprovalState::Approved if approval.not_before > now => "waiting",
        state @ (ApprovalState::Pending
        | ApprovalState::Approved
        | ApprovalState::Denied
        | ApprovalState::Used
        | ApprovalState::Withdrawn) => state.as_str(),
    };
    let given = approval.given.iter();
    let given = given.map(|(role, by)| (role.clone(), Value::from(by.to_string())));
    let requester = asked.requester.as_ref();
    Value::object([
        ("id", Value::from(approval.id.to_string())),
        ("state", Value::from(state)),
        ("action", Value::from(asked.action.to_string())),
        ("purpose", Value::from(asked.purpose.as_str())),
        ("agent", Value::from(approval.agent.to_string())),
        ("task", Value::from(approval.task.to_string())),
        ("owner", Value::from(asked.owner.as_str())),
        (
            "requester",
            requester.map_or(Value::Null, |user| Value::from(user.subject.as_str())),
        ),
        ("needs", strings(&asked.roles)),
        ("four_eyes", Value::from(asked.four_eyes)),
        ("given", Value::object(given)),
        ("you_can_give", strings(&gives(call, approval))),
        ("rules", strings(&asked.rules)),
        ("card", Value::from(asked.card.to_string())),
        ("not_before", Value::from(approval.not_before.to_string())),
        ("expires", Value::from(approval.expires.to_string())),
    ])
}

fn over() -> AdminError {
    AdminError::Invalid(
        "it waits for no answer any more: it was answered, it expired, or its task has ended"
            .to_owned(),
    )
}

fn answer(fault: AnswerError) -> AdminError {
    match fault {
        AnswerError::Over => over(),
        AnswerError::Unavailable(message) => AdminError::Unavailable(message),
    }
}
