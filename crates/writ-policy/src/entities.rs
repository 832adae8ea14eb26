//! The entities of a task: made once, used for each of its calls.

use std::collections::BTreeSet;

use cedar_policy::{Entities, Entity, EntityUid, RestrictedExpression};
use writ_types::{ActionName, Agent, Budget, Digest, Grant, Requester};

use crate::pdp::Pdp;
use crate::schema::{CoreNames, uid};
use crate::vocabulary::{GROUPS, NAMESPACE};

/// A task's entities, ready for deciding its calls; see [`Pdp::prepare`].
///
/// It is a cache and carries no authority: [`Pdp::decide_prepared`] compares it with the question and makes the entities
/// anew when agent, grant or bundle are others.
#[derive(Debug)]
pub struct Prepared {
    bundle: Digest,
    agent: Agent,
    grant: Grant,
    pub(crate) task: EntityUid,
    pub(crate) entities: Entities,
}

impl Prepared {
    /// Whether these are the entities for that agent, grant and bundle.
    pub(crate) fn fits(&self, bundle: Digest, agent: &Agent, grant: &Grant) -> bool {
        self.bundle == bundle && self.agent == *agent && self.grant == *grant
    }

    /// Makes the entities: the task, its agent with groups, its requester, the upstreams of its actions, and the actions
    /// with their groups. Nothing a validated rule can follow is missing.
    pub(crate) fn new(pdp: &Pdp, agent: &Agent, grant: &Grant) -> Result<Self, String> {
        let names = pdp.names();
        let task = uid(&names.task, &grant.task.to_string());
        let mut entities = people(names, agent, grant, &task)?;
        entities.extend(actions(pdp, &grant.actions));
        let entities =
            Entities::from_entities(entities, None).map_err(|error| error.to_string())?;
        Ok(Self {
            bundle: pdp.bundle(),
            agent: agent.clone(),
            grant: grant.clone(),
            task,
            entities,
        })
    }
}

fn people(
    names: &CoreNames,
    agent: &Agent,
    grant: &Grant,
    task: &EntityUid,
) -> Result<Vec<Entity>, String> {
    let mut entities = Vec::new();
    let agent_uid = uid(&names.agent, &agent.id.to_string());
    let groups: Vec<EntityUid> = agent
        .groups
        .iter()
        .map(|group| uid(&names.group, group))
        .collect();
    entities.extend(groups.iter().cloned().map(Entity::with_uid));
    let purposes = agent.purposes.iter().map(|purpose| purpose.to_string());
    entities.push(entity(
        agent_uid.clone(),
        [
            ("owner", text(agent.owner.as_str())),
            ("mode", text(agent.mode.as_str())),
            ("spiffe", text(agent.spiffe.as_str())),
            ("purposes", texts(purposes)),
        ],
        groups,
    )?);
    let declared = grant.actions.iter().map(ActionName::to_string);
    let mut attributes = vec![
        (
            "agent",
            RestrictedExpression::new_entity_uid(agent_uid.clone()),
        ),
        ("owner", text(agent.owner.as_str())),
        ("purpose", text(grant.purpose.as_str())),
        ("mode", text(grant.mode.as_str())),
        ("declared", texts(declared)),
        (
            "vouched",
            texts(grant.asserters.vouched().map(str::to_owned)),
        ),
        ("budget", budget(grant.budget)?),
    ];
    let mut parents = vec![agent_uid];
    if let Some(requester) = &grant.requester {
        let user = user(names, requester)?;
        attributes.push((
            "requester",
            RestrictedExpression::new_entity_uid(user.uid()),
        ));
        parents.push(user.uid());
        entities.push(user);
    }
    entities.push(entity(task.clone(), attributes, parents)?);
    Ok(entities)
}

/// The requester as `<issuer>#<subject>`. An issuer is a URL without a fragment (`OpenID` Connect Core §2), so the first `#`
/// parts them and no two users share an id; one that has a `#` all the same is refused.
fn user(names: &CoreNames, requester: &Requester) -> Result<Entity, String> {
    if requester.issuer.contains('#') {
        return Err("the requester's issuer holds a `#`".to_owned());
    }
    entity(
        uid(
            &names.user,
            &format!("{}#{}", requester.issuer, requester.subject),
        ),
        [
            ("issuer", text(&requester.issuer)),
            ("subject", text(&requester.subject)),
        ],
        [],
    )
}

fn actions(pdp: &Pdp, granted: &BTreeSet<ActionName>) -> Vec<Entity> {
    let names = pdp.names();
    let mut entities: Vec<Entity> = GROUPS
        .iter()
        .map(|(group, parent)| {
            let parents = parent.iter().map(|parent| uid(&names.action, parent));
            Entity::new_no_attrs(uid(&names.action, group), parents.collect())
        })
        .collect();
    let mut upstreams = BTreeSet::new();
    for action in granted {
        let Some((model, operation)) = pdp.operation(action) else {
            continue;
        };
        let groups = operation.groups().map(|group| uid(&names.action, group));
        entities.push(Entity::new_no_attrs(
            operation.uid.clone(),
            groups.collect(),
        ));
        if upstreams.insert(&model.id) {
            entities.push(Entity::with_uid(model.upstream.clone()));
        }
    }
    entities
}

/// Whether an entity is an action; a schema brings its own.
pub(crate) fn is_action(entity: &Entity) -> bool {
    let uid = entity.uid();
    let name = uid.type_name();
    name.basename() == "Action"
        && (name.namespace() == NAMESPACE || name.namespace().starts_with("Api_"))
}

fn entity(
    uid: EntityUid,
    attributes: impl IntoIterator<Item = (&'static str, RestrictedExpression)>,
    parents: impl IntoIterator<Item = EntityUid>,
) -> Result<Entity, String> {
    let attributes = attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Entity::new_with_tags(uid, attributes, parents, []).map_err(|error| error.to_string())
}

pub(crate) fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

pub(crate) fn texts(texts: impl IntoIterator<Item = String>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.into_iter().map(RestrictedExpression::new_string))
}

/// A count. Beyond 63 bits it stays at the largest: such a count is over every limit, such a rest is without one.
pub(crate) fn count(number: u64) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(crate) fn budget(budget: Budget) -> Result<RestrictedExpression, String> {
    record([
        ("calls", count(budget.calls)),
        ("writes", count(budget.writes)),
        ("deletes", count(budget.deletes)),
        ("irreversible", count(budget.irreversible)),
    ])
}

pub(crate) fn record(
    members: impl IntoIterator<Item = (&'static str, RestrictedExpression)>,
) -> Result<RestrictedExpression, String> {
    let members = members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    RestrictedExpression::new_record(members).map_err(|error| error.to_string())
}
