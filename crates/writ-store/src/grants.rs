//! Grants as they are stored: everything, so that a task can be put back after a restart.

use writ_types::{Asserters, Bounds, Charge, Grant, Plan, Requester, Value};

use crate::StoreError;
use crate::fields::{Fields, instant, texts};
use crate::purposes::budget;

const WHAT: &str = "grant";

pub(crate) fn to_value(grant: &Grant) -> Value {
    let Grant {
        tenant,
        task,
        agent,
        requester,
        purpose,
        mode,
        actions,
        bounds,
        plan,
        budget,
        opened,
        deadline,
        parent,
        prompt,
        asserters,
    } = grant;
    let requester = requester.as_ref().map(|Requester { issuer, subject }| {
        let members = [
            ("issuer", Value::from(issuer.as_str())),
            ("subject", Value::from(subject.as_str())),
        ];
        ("requester", Value::object(members))
    });
    let parent = parent.map(|parent| ("parent", Value::from(parent.to_string())));
    let prompt = prompt.map(|prompt| ("prompt", Value::from(prompt.to_string())));
    let members = [
        ("tenant", Value::from(tenant.as_str())),
        ("task", Value::from(task.to_string())),
        ("agent", Value::from(agent.to_string())),
        ("purpose", Value::from(purpose.as_str())),
        ("mode", Value::from(mode.as_str())),
        ("actions", texts(actions)),
        ("bounds", bounds.to_value()),
        ("budget", budget.to_value()),
        ("opened", instant(*opened)),
        ("deadline", instant(*deadline)),
    ];
    let asserters = (!asserters.is_none()).then(|| {
        let parts = asserters.parts();
        let parts = parts.map(|(part, asserter)| (part, Value::from(asserter.to_string())));
        ("asserters", Value::object(parts))
    });
    let plan = (!plan.is_none()).then(|| ("plan", plan.to_value()));
    let optional = [requester, parent, prompt, plan, asserters]
        .into_iter()
        .flatten();
    Value::object(members.into_iter().chain(optional))
}

pub(crate) fn from_value(value: &Value) -> Result<Grant, StoreError> {
    let known = [
        "tenant",
        "task",
        "agent",
        "requester",
        "purpose",
        "mode",
        "actions",
        "bounds",
        "plan",
        "budget",
        "opened",
        "deadline",
        "parent",
        "prompt",
        "asserters",
    ];
    let fields = Fields::of(WHAT, value, &known)?;
    let requester = fields.optional("requester").map(requester).transpose()?;
    let bounds = Bounds::parse(fields.member("bounds")?);
    let plan = fields.optional("plan").map(Plan::parse).transpose();
    let plan = plan.map_err(|fault| StoreError::damaged(WHAT, &fault))?;
    Ok(Grant {
        tenant: fields.parsed("tenant")?,
        task: fields.parsed("task")?,
        agent: fields.parsed("agent")?,
        requester,
        purpose: fields.parsed("purpose")?,
        mode: fields.parsed("mode")?,
        actions: fields.set("actions")?,
        bounds: bounds.map_err(|fault| StoreError::damaged(WHAT, &fault))?,
        plan: plan.unwrap_or_default(),
        budget: budget(WHAT, fields.member("budget")?)?,
        opened: fields.instant("opened")?,
        deadline: fields.instant("deadline")?,
        parent: fields.maybe("parent")?,
        prompt: fields.maybe("prompt")?,
        asserters: match fields.optional("asserters") {
            None => Asserters::default(),
            Some(value) => asserters(value)?,
        },
    })
}

fn asserters(value: &Value) -> Result<Asserters, StoreError> {
    let fields = Fields::of("asserters", value, &["bounds", "plan", "prompt"])?;
    Ok(Asserters {
        prompt: fields.parsed("prompt")?,
        bounds: fields.parsed("bounds")?,
        plan: fields.parsed("plan")?,
    })
}

fn requester(value: &Value) -> Result<Requester, StoreError> {
    let fields = Fields::of("requester", value, &["issuer", "subject"])?;
    Ok(Requester {
        issuer: fields.text("issuer")?.to_owned(),
        subject: fields.text("subject")?.to_owned(),
    })
}

pub(crate) fn charge_to_value(charge: Charge) -> Value {
    let Charge {
        calls,
        writes,
        deletes,
        irreversible,
    } = charge;
    Value::object([
        ("calls", Value::from_u64(calls)),
        ("writes", Value::from_u64(writes)),
        ("deletes", Value::from_u64(deletes)),
        ("irreversible", Value::from_u64(irreversible)),
    ])
}

pub(crate) fn charge_from_value(value: &Value) -> Result<Charge, StoreError> {
    let known = ["calls", "writes", "deletes", "irreversible"];
    let fields = Fields::of("task", value, &known)?;
    Ok(Charge {
        calls: fields.number("calls")?,
        writes: fields.number("writes")?,
        deletes: fields.number("deletes")?,
        irreversible: fields.number("irreversible")?,
    })
}
