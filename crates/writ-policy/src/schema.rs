//! One Cedar schema per API: the `Writ` namespace and the API's own, made from plain attribute types.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema};
use serde_json::{Map, Value, json};
use writ_types::{
    ActionName, ApiId, AttrField, AttrType, Digest, Domains, Effects, OperationId, WindowName,
};

use crate::diagnostic::{Diagnostic, Severity};
use crate::findings::Lint;
use crate::index::Facts;
use crate::vocabulary::{
    self, CoreType, ENTITIES, Field, GROUPS, INPUT_PARTS, NAMESPACE, SENSITIVE, SYS, UNREADY,
};

/// An API's operations as its contract sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiActions {
    /// The API.
    pub api: ApiId,
    /// The digest of the contract these were made from.
    pub contract: Digest,
    /// Its operations.
    pub operations: Vec<ActionShape>,
}

/// One operation: what it does and what a policy can see of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionShape {
    /// The operation.
    pub operation: OperationId,
    /// Its reviewed effects.
    pub effects: Effects,
    /// Whether something must vouch for one of its arguments.
    pub sensitive: bool,
    /// Whether its document is so bad that a person looks at each call until it is reviewed.
    pub unready: bool,
    /// A record of at most `path`, `query`, `header` and `body`, each a closed record or, for `body`, any type.
    pub attributes: AttrType,
    /// The texts that attributes can have, where the contract names them all and refuses every other.
    pub domains: Domains,
    /// The quantities that its arguments are, as the overlay names them.
    pub quantities: BTreeSet<WindowName>,
}

/// One operation, ready.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) action: ActionName,
    pub(crate) effects: Effects,
    pub(crate) sensitive: bool,
    pub(crate) unready: bool,
    pub(crate) attributes: BTreeMap<String, AttrField>,
    pub(crate) domains: Domains,
    pub(crate) quantities: BTreeSet<WindowName>,
    /// What `context.sys.windows` is.
    pub(crate) windows: Arc<AttrType>,
    /// The action as policies and records write it.
    pub(crate) name: String,
    pub(crate) uid: EntityUid,
}

impl Operation {
    /// The action groups it belongs to.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &'static str> {
        let sensitive = self.sensitive.then_some(SENSITIVE);
        let unready = self.unready.then_some(UNREADY);
        self.effects.groups().chain(sensitive).chain(unready)
    }
}

/// One API, ready.
#[derive(Debug)]
pub(crate) struct ApiModel {
    pub(crate) id: ApiId,
    pub(crate) contract: Digest,
    pub(crate) operations: BTreeMap<OperationId, Operation>,
    windows: Arc<AttrType>,
    pub(crate) upstream: EntityUid,
    /// Of the schema's text: what a policy's validation depends on.
    pub(crate) digest: Digest,
    pub(crate) schema: Arc<Schema>,
}

/// The Cedar types of ours that are named while deciding.
#[derive(Debug, Clone)]
pub(crate) struct CoreNames {
    pub(crate) task: EntityTypeName,
    pub(crate) agent: EntityTypeName,
    pub(crate) group: EntityTypeName,
    pub(crate) user: EntityTypeName,
    pub(crate) upstream: EntityTypeName,
    pub(crate) action: EntityTypeName,
}

impl CoreNames {
    pub(crate) fn new() -> Option<Self> {
        let name = |basename: &str| format!("{NAMESPACE}::{basename}").parse().ok();
        Some(Self {
            task: name("Task")?,
            agent: name("Agent")?,
            group: name("AgentGroup")?,
            user: name("User")?,
            upstream: name("Upstream")?,
            action: name("Action")?,
        })
    }
}

pub(crate) fn uid(name: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id))
}

/// The Cedar namespace of an API.
pub(crate) fn namespace(api: &ApiId) -> String {
    format!("Api_{api}")
}

impl ApiModel {
    /// Compiles an API's actions; `previous` is taken over if nothing in it changed.
    pub(crate) fn compile(
        actions: &ApiActions,
        names: &CoreNames,
        windows: &Arc<AttrType>,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Diagnostic> {
        let fault = |message: String| Diagnostic {
            severity: Severity::Error,
            lint: Lint::Contract,
            file: format!("api {}", actions.api),
            line: 0,
            column: 0,
            policy: None,
            message,
            help: Some(
                "this is a fault of the contract or its compiler, not of a policy".to_owned(),
            ),
        };
        let action_type: EntityTypeName = format!("{}::Action", namespace(&actions.api))
            .parse()
            .map_err(|error| fault(format!("the API's id makes no Cedar namespace: {error}")))?;
        let mut operations = BTreeMap::new();
        for shape in &actions.operations {
            let operation = Operation {
                action: ActionName {
                    api: actions.api.clone(),
                    operation: shape.operation.clone(),
                },
                effects: shape.effects,
                sensitive: shape.sensitive,
                unready: shape.unready,
                attributes: parts(&shape.attributes)
                    .map_err(|why| fault(format!("operation `{}`: {why}", shape.operation)))?
                    .clone(),
                domains: shape.domains.clone(),
                quantities: shape.quantities.clone(),
                windows: Arc::clone(windows),
                name: format!("{}:{}", actions.api, shape.operation),
                uid: uid(&action_type, shape.operation.as_str()),
            };
            if operations
                .insert(shape.operation.clone(), operation)
                .is_some()
            {
                return Err(fault(format!(
                    "operation `{}` is there twice",
                    shape.operation
                )));
            }
        }
        let json = fragment(
            &actions.api,
            &operations.values().collect::<Vec<_>>(),
            windows,
            |_| true,
        );
        let text = json.to_string();
        let digest = Digest::of_parts(&[b"writ cedar schema v1\n", text.as_bytes()]);
        if let Some(previous) = previous
            .filter(|previous| previous.digest == digest && previous.contract == actions.contract)
        {
            return Ok(Arc::clone(previous));
        }
        let schema = Schema::from_json_value(json)
            .map_err(|error| fault(format!("Cedar refuses the schema: {error}")))?;
        Ok(Arc::new(Self {
            id: actions.api.clone(),
            contract: actions.contract,
            operations,
            windows: Arc::clone(windows),
            upstream: uid(&names.upstream, actions.api.as_str()),
            digest,
            schema: Arc::new(schema),
        }))
    }

    /// A schema of some of the API's operations alone; much cheaper to validate against than the whole.
    pub(crate) fn slice(&self, wanted: &BTreeSet<OperationId>) -> Result<Schema, String> {
        let operations: Vec<&Operation> = self
            .operations
            .iter()
            .filter(|(id, _)| wanted.contains(*id))
            .map(|(_, operation)| operation)
            .collect();
        Schema::from_json_value(fragment(&self.id, &operations, &self.windows, |_| true))
            .map_err(|error| error.to_string())
    }
}

/// A schema of one operation whose input has the given attributes, and `context.sys` the given members.
pub(crate) fn of_one(
    operation: &Operation,
    attributes: BTreeMap<String, AttrField>,
    facts: &Facts,
) -> Result<Schema, String> {
    Schema::from_json_value(json_of_one(operation, attributes, facts))
        .map_err(|error| error.to_string())
}

/// The same in Cedar's JSON form.
pub(crate) fn json_of_one(
    operation: &Operation,
    attributes: BTreeMap<String, AttrField>,
    facts: &Facts,
) -> Value {
    let narrowed = Operation {
        action: operation.action.clone(),
        effects: operation.effects,
        sensitive: operation.sensitive,
        unready: operation.unready,
        attributes,
        domains: Domains::new(),
        quantities: BTreeSet::new(),
        windows: Arc::clone(&operation.windows),
        name: operation.name.clone(),
        uid: operation.uid.clone(),
    };
    let wanted = |name: &str| facts.wants(name);
    let windows = &operation.windows;
    fragment(&operation.action.api, &[&narrowed], windows, wanted)
}

/// The record of parts, checked.
fn parts(attributes: &AttrType) -> Result<&BTreeMap<String, AttrField>, String> {
    let AttrType::Record(parts) = attributes else {
        return Err("its attributes are no record".to_owned());
    };
    if let Some(part) = parts
        .keys()
        .find(|part| !INPUT_PARTS.contains(&part.as_str()))
    {
        return Err(format!("`{part}` is no part of an input"));
    }
    let mut open: Vec<&AttrType> = vec![attributes];
    while let Some(ty) = open.pop() {
        match ty {
            AttrType::Record(fields) => {
                if let Some(name) = fields.keys().find(|name| name.starts_with("__")) {
                    return Err(format!("the attribute name `{name}` is reserved in Cedar"));
                }
                open.extend(fields.values().map(|field| &field.ty));
            }
            AttrType::Set(element) => open.push(element),
            AttrType::Bool
            | AttrType::Long
            | AttrType::String
            | AttrType::Decimal
            | AttrType::Datetime => {}
        }
    }
    Ok(parts)
}

fn fragment(
    api: &ApiId,
    operations: &[&Operation],
    windows: &AttrType,
    facts: impl Fn(&str) -> bool,
) -> Value {
    let mut actions = Map::new();
    for operation in operations {
        let groups: Vec<Value> = operation
            .groups()
            .map(|group| json!({"type": format!("{NAMESPACE}::Action"), "id": group}))
            .collect();
        let mut context: Map<String, Value> = operation
            .attributes
            .iter()
            .map(|(name, field)| (name.clone(), attribute(field)))
            .collect();
        context.insert(
            "sys".to_owned(),
            json!({"type": format!("{NAMESPACE}::Sys")}),
        );
        let applies = json!({
            "principalTypes": [format!("{NAMESPACE}::Task")],
            "resourceTypes": [format!("{NAMESPACE}::Upstream")],
            "context": {"type": "Record", "attributes": context},
        });
        actions.insert(
            operation.action.operation.as_str().to_owned(),
            json!({"memberOf": groups, "appliesTo": applies}),
        );
    }
    let mut namespaces = Map::new();
    namespaces.insert(NAMESPACE.to_owned(), core_namespace(windows, facts));
    namespaces.insert(
        namespace(api),
        json!({"entityTypes": {}, "actions": actions}),
    );
    Value::Object(namespaces)
}

fn core_namespace(windows: &AttrType, facts: impl Fn(&str) -> bool) -> Value {
    let core_type = |ty| core_type(ty, windows);
    let mut types = Map::new();
    for kind in ENTITIES {
        types.insert(
            kind.name.to_owned(),
            json!({"memberOfTypes": kind.member_of, "shape": core_type(CoreType::Record(kind.fields))}),
        );
    }
    let mut groups = Map::new();
    for (group, parent) in GROUPS {
        let member_of: Vec<Value> = parent.iter().map(|parent| json!({"id": parent})).collect();
        groups.insert((*group).to_owned(), json!({"memberOf": member_of}));
    }
    let sys = SYS.iter().filter(|field| facts(field.name));
    json!({
        "commonTypes": {"Sys": core_record(sys, windows)},
        "entityTypes": types,
        "actions": groups,
    })
}

fn core_type(ty: CoreType, windows: &AttrType) -> Value {
    match ty {
        CoreType::Text => json!({"type": "String"}),
        CoreType::Texts => json!({"type": "Set", "element": {"type": "String"}}),
        CoreType::Long => json!({"type": "Long"}),
        CoreType::Instant => json!({"type": "Extension", "name": "datetime"}),
        CoreType::Entity(name) => json!({"type": "Entity", "name": name}),
        CoreType::Record(fields) => core_record(fields.iter(), windows),
        CoreType::Windows => attribute_type(windows),
    }
}

fn core_record(fields: impl Iterator<Item = &'static Field>, windows: &AttrType) -> Value {
    let attribute = |field: &Field| {
        let ty = core_type(field.ty, windows);
        if field.required { ty } else { optional(ty) }
    };
    let attributes: Map<String, Value> = fields
        .map(|field| (field.name.to_owned(), attribute(field)))
        .collect();
    json!({"type": "Record", "attributes": attributes})
}

fn attribute(field: &AttrField) -> Value {
    let ty = attribute_type(&field.ty);
    if field.required { ty } else { optional(ty) }
}

fn attribute_type(ty: &AttrType) -> Value {
    match ty {
        AttrType::Bool => json!({"type": "Boolean"}),
        AttrType::Long => json!({"type": "Long"}),
        AttrType::String => json!({"type": "String"}),
        AttrType::Decimal => json!({"type": "Extension", "name": "decimal"}),
        AttrType::Datetime => json!({"type": "Extension", "name": "datetime"}),
        AttrType::Set(element) => json!({"type": "Set", "element": attribute_type(element)}),
        AttrType::Record(fields) => {
            let attributes: Map<String, Value> = fields
                .iter()
                .map(|(name, field)| (name.clone(), attribute(field)))
                .collect();
            json!({"type": "Record", "attributes": attributes})
        }
    }
}

fn optional(mut ty: Value) -> Value {
    if let Value::Object(members) = &mut ty {
        members.insert("required".to_owned(), Value::Bool(false));
    }
    ty
}

/// A variable of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Root {
    Principal,
    Action,
    Resource,
    Context,
}

impl Root {
    /// Cedar's word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Action => "action",
            Self::Resource => "resource",
            Self::Context => "context",
        }
    }
}

/// What stands at a path in one environment.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape<'a> {
    Context(Option<&'a Operation>),
    Sys(Option<&'a Operation>),
    Attr(&'a AttrType),
    Core(CoreType),
    Nothing,
}

impl<'a> Shape<'a> {
    /// What the variable is. Without an operation only what is ours is known.
    pub(crate) fn root(root: Root, operation: Option<&'a Operation>) -> Self {
        match root {
            Root::Principal => Self::Core(CoreType::Entity("Task")),
            Root::Action => Self::Nothing,
            Root::Resource => Self::Core(CoreType::Entity("Upstream")),
            Root::Context => Self::Context(operation),
        }
    }

    /// What the attribute `name` of this is, if it has one.
    pub(crate) fn child(self, name: &str) -> Option<Self> {
        let of_core = |fields: &'static [Field]| {
            vocabulary::member(fields, name).map(|field| Self::Core(field.ty))
        };
        match self {
            Self::Context(operation) if name == "sys" => Some(Self::Sys(operation)),
            Self::Sys(operation) => match vocabulary::member(SYS, name)?.ty {
                // Which there are the bundle says, and each of its operations with it.
                CoreType::Windows => operation.map(|known| Self::Attr(&known.windows)),
                own @ (CoreType::Text
                | CoreType::Texts
                | CoreType::Long
                | CoreType::Instant
                | CoreType::Entity(_)
                | CoreType::Record(_)) => Some(Self::Core(own)),
            },
            Self::Context(operation) => operation?
                .attributes
                .get(name)
                .map(|field| Self::Attr(&field.ty)),
            Self::Attr(AttrType::Record(fields)) => {
                fields.get(name).map(|field| Self::Attr(&field.ty))
            }
            Self::Core(CoreType::Record(fields)) => of_core(fields),
            Self::Core(CoreType::Entity(kind)) => of_core(vocabulary::entity(kind)?.fields),
            Self::Attr(_) | Self::Core(_) | Self::Nothing => None,
        }
    }

    /// What stands at `path` below this.
    pub(crate) fn at(self, path: &[String]) -> Option<Self> {
        path.iter().try_fold(self, |shape, name| shape.child(name))
    }

    /// Whether this is a record of the input.
    pub(crate) fn is_input_record(self) -> bool {
        matches!(self, Self::Attr(AttrType::Record(_)))
    }

    /// The attributes it has.
    pub(crate) fn names(self) -> Vec<&'a str> {
        let of_core = |fields: &'static [Field]| fields.iter().map(|field| field.name).collect();
        match self {
            Self::Context(operation) => operation
                .into_iter()
                .flat_map(|operation| operation.attributes.keys().map(String::as_str))
                .chain(std::iter::once("sys"))
                .collect(),
            Self::Attr(AttrType::Record(fields)) => fields.keys().map(String::as_str).collect(),
            Self::Sys(_) => of_core(SYS),
            Self::Core(CoreType::Record(fields)) => of_core(fields),
            Self::Core(CoreType::Entity(kind)) => {
                vocabulary::entity(kind).map_or_else(Vec::new, |kind| of_core(kind.fields))
            }
            Self::Attr(_) | Self::Core(_) | Self::Nothing => Vec::new(),
        }
    }
}
