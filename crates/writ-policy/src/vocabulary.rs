//! The `Writ` namespace: what every policy can name, whatever the API. One table each, from which the Cedar schema, the
//! lint of unknown attributes and the documentation of attributes are made.

/// The type of an attribute of ours.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CoreType {
    Text,
    Texts,
    Long,
    Instant,
    Entity(&'static str),
    Record(&'static [Field]),
    /// A record of the windows of the installation.
    Windows,
}

/// An attribute of ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) ty: CoreType,
    pub(crate) required: bool,
}

/// An entity type of ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntityKind {
    pub(crate) name: &'static str,
    pub(crate) member_of: &'static [&'static str],
    pub(crate) fields: &'static [Field],
}

const fn field(name: &'static str, ty: CoreType) -> Field {
    Field {
        name,
        ty,
        required: true,
    }
}

/// The Cedar namespace of everything below.
pub(crate) const NAMESPACE: &str = "Writ";

/// The action groups, each with the group it lies in. `delete` is in `write`: whoever forbids writes forbids deletes.
pub(crate) const GROUPS: &[(&str, Option<&str>)] = &[
    ("read", None),
    ("write", None),
    ("delete", Some("write")),
    ("irreversible", None),
    ("external_send", None),
    (SENSITIVE, None),
    (UNREADY, None),
];

/// The group of the actions with an argument that something must vouch for.
pub(crate) const SENSITIVE: &str = "sensitive";

/// The group of the actions whose document has the worst agent-readiness grade, and that nobody reviewed.
pub(crate) const UNREADY: &str = "unready";

const BUDGET: &[Field] = &[
    field("calls", CoreType::Long),
    field("writes", CoreType::Long),
    field("deletes", CoreType::Long),
    field("irreversible", CoreType::Long),
];

const COUNT: &[Field] = &[
    field("calls", CoreType::Long),
    field("writes", CoreType::Long),
    field("deletes", CoreType::Long),
    field("irreversible", CoreType::Long),
    field("thisOp", CoreType::Long),
];

/// The entity types.
///
/// Everything of a task is fixed when it is opened. There is no prompt, intent or description among the attributes:
/// free text is for people and the record, and a rule that looked at it could be talked round.
pub(crate) const ENTITIES: &[EntityKind] = &[
    EntityKind {
        name: "AgentGroup",
        member_of: &[],
        fields: &[],
    },
    EntityKind {
        name: "Agent",
        member_of: &["AgentGroup"],
        fields: &[
            field("owner", CoreType::Text),
            field("mode", CoreType::Text),
            field("spiffe", CoreType::Text),
            field("purposes", CoreType::Texts),
        ],
    },
    EntityKind {
        name: "User",
        member_of: &[],
        fields: &[
            field("issuer", CoreType::Text),
            field("subject", CoreType::Text),
        ],
    },
    EntityKind {
        name: "Task",
        member_of: &["Agent", "User"],
        fields: &[
            field("agent", CoreType::Entity("Agent")),
            field("owner", CoreType::Text),
            field("purpose", CoreType::Text),
            field("mode", CoreType::Text),
            field("declared", CoreType::Texts),
            field("vouched", CoreType::Texts),
            field("budget", CoreType::Record(BUDGET)),
            Field {
                name: "requester",
                ty: CoreType::Entity("User"),
                required: false,
            },
        ],
    },
    EntityKind {
        name: "Upstream",
        member_of: &[],
        fields: &[],
    },
];

/// `context.sys`: set by the gateway alone.
pub(crate) const SYS: &[Field] = &[
    field("op", CoreType::Text),
    field("action", CoreType::Text),
    field("labels", CoreType::Texts),
    field("held", CoreType::Texts),
    field("now", CoreType::Instant),
    field("seen", CoreType::Texts),
    field("approved", CoreType::Texts),
    field("extra", CoreType::Texts),
    field("nulls", CoreType::Texts),
    field("unvouched", CoreType::Texts),
    field("prompted", CoreType::Texts),
    field("untrusted", CoreType::Texts),
    field("named", CoreType::Texts),
    field("unnamed", CoreType::Texts),
    field("free", CoreType::Texts),
    field("plan", CoreType::Text),
    field("windows", CoreType::Windows),
    field("count", CoreType::Record(COUNT)),
    field("left", CoreType::Record(BUDGET)),
    field("approvals", CoreType::Texts),
    field("deferred", CoreType::Texts),
];

/// The parts of an input, in the order of the documentation.
pub(crate) const INPUT_PARTS: [&str; 4] = ["path", "query", "header", "body"];

/// The members of `context.sys` that are taken from the input.
pub(crate) const INPUT_FACTS: [&str; 9] = [
    "windows",
    "extra",
    "nulls",
    "unvouched",
    "prompted",
    "untrusted",
    "named",
    "unnamed",
    "free",
];

/// The entity type of the given name.
pub(crate) fn entity(name: &str) -> Option<&'static EntityKind> {
    ENTITIES.iter().find(|kind| kind.name == name)
}

/// The attribute `name` among `fields`.
pub(crate) fn member(fields: &'static [Field], name: &str) -> Option<&'static Field> {
    fields.iter().find(|field| field.name == name)
}
