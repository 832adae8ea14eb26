//! Which operations a rule is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cedar_policy::pst::{ActionConstraint, EntityOrSlot, EntityUID, ResourceConstraint};
use writ_types::{ApiId, OperationId};

use crate::diagnostic::Diagnostic;
use crate::findings::Lint;
use crate::rule::Rule;
use crate::schema::{ApiModel, Operation, namespace};
use crate::suggest;
use crate::vocabulary::{GROUPS, NAMESPACE};

/// The APIs of a bundle.
pub(crate) type Apis = BTreeMap<ApiId, Arc<ApiModel>>;

/// What a rule's action scope covers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    /// No action is named: everything.
    pub(crate) any: bool,
    /// The groups named.
    pub(crate) groups: BTreeSet<&'static str>,
    /// The operations named.
    pub(crate) operations: BTreeMap<ApiId, BTreeSet<OperationId>>,
    /// The one API the resource scope names.
    pub(crate) upstream: Option<ApiId>,
}

impl Scope {
    /// Resolves a rule's scope. A name that does not exist would make a forbid that never fires, so it is a fault.
    pub(crate) fn of(rule: &Rule<'_>, apis: &Apis) -> Result<Self, Vec<Diagnostic>> {
        let mut scope = Self::default();
        let mut faults = Vec::new();
        let named: &[EntityUID] = match &rule.action {
            ActionConstraint::Any => {
                scope.any = true;
                &[]
            }
            ActionConstraint::Eq(action) => std::slice::from_ref(action),
            ActionConstraint::In(actions) => actions,
        };
        if let ActionConstraint::In(actions) = &rule.action
            && actions.is_empty()
        {
            let help = Some("name the actions, or leave `action` unconstrained".to_owned());
            faults.push(rule.fault(
                Lint::UnknownName,
                "action",
                "the rule names no action".to_owned(),
                help,
            ));
        }
        for action in named {
            match scope.add(action, apis) {
                Ok(Named::Group) if matches!(rule.action, ActionConstraint::Eq(_)) => {
                    let message = format!(
                        "`action == {action}` compares with a group, which no call's action is"
                    );
                    faults.push(rule.fault(
                        Lint::UnknownName,
                        "action",
                        message,
                        Some(format!("write `action in {action}`")),
                    ));
                }
                Ok(Named::Group | Named::Operation) => {}
                Err((message, help)) => {
                    faults.push(rule.fault(Lint::UnknownName, &action.eid, message, help))
                }
            }
        }
        let types: BTreeSet<String> = named.iter().map(|action| action.ty.to_string()).collect();
        if types.len() > 1 {
            let message = format!(
                "one list names actions of {}",
                Vec::from_iter(types).join(" and ")
            );
            let help = "Cedar wants one kind in a list: make a rule for each".to_owned();
            faults.push(rule.fault(Lint::UnknownName, "action", message, Some(help)));
        }
        for entity in &rule.reads.entities {
            faults.extend(upstream_fault(rule, entity, apis));
        }
        scope.upstream = match &rule.resource {
            ResourceConstraint::Eq(EntityOrSlot::Entity(upstream)) => upstream.eid.parse().ok(),
            ResourceConstraint::Any
            | ResourceConstraint::Eq(EntityOrSlot::Slot(_))
            | ResourceConstraint::In(_)
            | ResourceConstraint::Is(_)
            | ResourceConstraint::IsIn(_, _) => None,
        };
        if faults.is_empty() {
            Ok(scope)
        } else {
            Err(faults)
        }
    }

    fn add(&mut self, action: &EntityUID, apis: &Apis) -> Result<Named, (String, Option<String>)> {
        let ty = action.ty.to_string();
        let Some(space) = ty.strip_suffix("::Action") else {
            return Err((
                format!("`{ty}` is no action type"),
                Some(format!(
                    "a group is `{NAMESPACE}::Action::\"read\"`, an operation `Api_<id>::Action::\"<operation>\"`"
                )),
            ));
        };
        if space == NAMESPACE {
            let names: Vec<&'static str> = GROUPS.iter().map(|(name, _)| *name).collect();
            let known = names.iter().copied().find(|name| *name == action.eid);
            let group = known.ok_or_else(|| {
                (
                    format!("there is no action group `{}`", action.eid),
                    suggest::help(&action.eid, &names),
                )
            })?;
            self.groups.insert(group);
            return Ok(Named::Group);
        }
        let api = space
            .strip_prefix("Api_")
            .and_then(|api| api.parse::<ApiId>().ok());
        let model = api.and_then(|api| apis.get(&api)).ok_or_else(|| {
            let spaces: Vec<String> = apis.keys().map(namespace).collect();
            let names: Vec<&str> = spaces
                .iter()
                .map(String::as_str)
                .chain([NAMESPACE])
                .collect();
            (
                format!("there is no API `{space}`"),
                suggest::help(space, &names),
            )
        })?;
        let operation = action.eid.parse::<OperationId>().ok();
        let operation = operation
            .filter(|operation| model.operations.contains_key(operation))
            .ok_or_else(|| {
                let names: Vec<&str> = model.operations.keys().map(OperationId::as_str).collect();
                (
                    format!("API `{}` has no operation `{}`", model.id, action.eid),
                    suggest::help(&action.eid, &names),
                )
            })?;
        self.operations
            .entry(model.id.clone())
            .or_default()
            .insert(operation);
        Ok(Named::Operation)
    }

    /// Whether the rule is about a whole class of operations and not about single ones.
    pub(crate) fn is_wide(&self) -> bool {
        self.any || !self.groups.is_empty()
    }

    /// Whether the rule covers the operation by a group, or because it names no action.
    pub(crate) fn covers_widely(&self, operation: &Operation) -> bool {
        self.reaches(&operation.action.api)
            && (self.any || operation.groups().any(|group| self.groups.contains(group)))
    }

    /// Whether the rule names the operation itself.
    pub(crate) fn names(&self, operation: &Operation) -> bool {
        self.reaches(&operation.action.api)
            && self
                .operations
                .get(&operation.action.api)
                .is_some_and(|named| named.contains(&operation.action.operation))
    }

    fn reaches(&self, api: &ApiId) -> bool {
        self.upstream
            .as_ref()
            .is_none_or(|upstream| upstream == api)
    }

    /// The operations of `model` that the rule is about.
    pub(crate) fn operations<'a>(
        &'a self,
        model: &'a ApiModel,
    ) -> impl Iterator<Item = &'a Operation> {
        let reached = self.reaches(&model.id).then_some(model);
        let named = self.operations.get(&model.id);
        let one_by_one = named
            .filter(|_| !self.is_wide())
            .into_iter()
            .flatten()
            .filter_map(move |id| reached?.operations.get(id));
        let all = reached
            .filter(|_| self.is_wide())
            .into_iter()
            .flat_map(|model| model.operations.values())
            .filter(|operation| self.covers_widely(operation) || self.names(operation));
        one_by_one.chain(all)
    }
}

enum Named {
    Group,
    Operation,
}

/// `Writ::Upstream::"…"` must be an API that there is.
fn upstream_fault(rule: &Rule<'_>, entity: &EntityUID, apis: &Apis) -> Option<Diagnostic> {
    let is_upstream = entity.ty.to_string() == format!("{NAMESPACE}::Upstream");
    if !is_upstream || apis.keys().any(|api| api.as_str() == entity.eid) {
        return None;
    }
    let names: Vec<&str> = apis.keys().map(ApiId::as_str).collect();
    let help = suggest::help(&entity.eid, &names);
    Some(rule.fault(
        Lint::UnknownName,
        &entity.eid,
        format!("there is no API `{}`", entity.eid),
        help,
    ))
}
