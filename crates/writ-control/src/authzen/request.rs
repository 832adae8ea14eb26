//! What is asked (Authorization API 1.0 §5, §6). Members that are not known are passed over, as the standard has it.

use writ_types::Value;

use crate::admin::AdminError;

/// Most evaluations of one request.
const MOST_EVALUATIONS: usize = 256;

/// A subject or a resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entity<'a> {
    pub(super) kind: &'a str,
    /// None only where the entity is searched for.
    pub(super) id: Option<&'a str>,
    pub(super) properties: Option<&'a Value>,
}

/// An action.
#[derive(Debug, Clone, Copy)]
pub(super) struct Action<'a> {
    pub(super) name: &'a str,
    pub(super) properties: Option<&'a Value>,
}

/// One question. Where the action is searched for there is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evaluation<'a> {
    pub(super) subject: Entity<'a>,
    pub(super) action: Option<Action<'a>>,
    pub(super) resource: Entity<'a>,
    pub(super) purpose: Option<&'a str>,
}

/// What is searched for, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    Nothing,
    Subject,
    Resource,
    Action,
}

fn invalid(what: &str) -> AdminError {
    AdminError::Invalid(what.to_owned())
}

impl<'a> Evaluation<'a> {
    /// Reads a question; a whole entity that it lacks is taken from the defaults.
    pub(super) fn read(item: &'a Value, defaults: Option<&'a Value>) -> Result<Self, AdminError> {
        Self::of(item, defaults, Search::Nothing)
    }

    /// Reads a search: the id of what is searched for is not read.
    pub(super) fn search(body: &'a Value, search: Search) -> Result<Self, AdminError> {
        Self::of(body, None, search)
    }

    fn of(
        item: &'a Value,
        defaults: Option<&'a Value>,
        search: Search,
    ) -> Result<Self, AdminError> {
        if item.as_object().is_none() {
            return Err(invalid("an evaluation is an object"));
        }
        let member = |name| {
            let default = || defaults.and_then(|defaults| defaults.member(name));
            item.member(name).or_else(default)
        };
        let (subject, resource) = (
            entity("subject", member("subject"), search == Search::Subject)?,
            entity("resource", member("resource"), search == Search::Resource)?,
        );
        let action = if search == Search::Action {
            None
        } else {
            Some(action(member("action"))?)
        };
        let context = object("context", member("context"))?;
        let purpose = match context.and_then(|context| context.member("purpose")) {
            Some(purpose) => Some(
                purpose
                    .as_str()
                    .ok_or_else(|| invalid("`context.purpose` is a text"))?,
            ),
            None => None,
        };
        Ok(Self {
            subject,
            action,
            resource,
            purpose,
        })
    }
}

#[expect(
    clippy::fn_params_excessive_bools,
    reason = "whether this one of three is searched for"
)]
fn entity<'a>(
    name: &str,
    value: Option<&'a Value>,
    searched: bool,
) -> Result<Entity<'a>, AdminError> {
    let value = value.ok_or_else(|| AdminError::Invalid(format!("`{name}` is missing")))?;
    let text = |member: &str| {
        let text = value.member(member).and_then(Value::as_str);
        text.ok_or_else(|| AdminError::Invalid(format!("`{name}.{member}` is a text")))
    };
    Ok(Entity {
        kind: text("type")?,
        id: if searched { None } else { Some(text("id")?) },
        properties: object(name, value.member("properties"))?,
    })
}

fn action(value: Option<&Value>) -> Result<Action<'_>, AdminError> {
    let value = value.ok_or_else(|| invalid("`action` is missing"))?;
    let name = value.member("name").and_then(Value::as_str);
    Ok(Action {
        name: name.ok_or_else(|| invalid("`action.name` is a text"))?,
        properties: object("action", value.member("properties"))?,
    })
}

fn object<'a>(of: &str, value: Option<&'a Value>) -> Result<Option<&'a Value>, AdminError> {
    match value {
        Some(value) if value.as_object().is_none() => Err(AdminError::Invalid(format!(
            "what is said of `{of}` is an object"
        ))),
        other => Ok(other),
    }
}

/// When several evaluations stop (§7.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Semantic {
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

/// The evaluations of a request; none if it has none.
pub(super) fn items(body: &Value) -> Result<Option<(&[Value], Semantic)>, AdminError> {
    let options = object("options", body.member("options"))?;
    let semantic = options.and_then(|options| options.member("evaluations_semantic"));
    let semantic = match semantic.map(|word| word.as_str().unwrap_or_default()) {
        None | Some("execute_all") => Semantic::ExecuteAll,
        Some("deny_on_first_deny") => Semantic::DenyOnFirstDeny,
        Some("permit_on_first_permit") => Semantic::PermitOnFirstPermit,
        Some(_) => {
            return Err(invalid(
                "`evaluations_semantic` is `execute_all`, `deny_on_first_deny` or `permit_on_first_permit`",
            ));
        }
    };
    let Some(items) = body.member("evaluations") else {
        return Ok(None);
    };
    let items = items
        .as_array()
        .ok_or_else(|| invalid("`evaluations` is an array"))?;
    if items.len() > MOST_EVALUATIONS {
        return Err(invalid("one request has at most 256 evaluations"));
    }
    Ok((!items.is_empty()).then_some((items, semantic)))
}
