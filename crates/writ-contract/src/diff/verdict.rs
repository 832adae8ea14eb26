//! What a change means, for callers and for the authorizer.

/// What a change means for a caller of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// What worked goes on working.
    Compatible,
    /// It cannot be told from the documents.
    Unclear,
    /// What worked may stop working.
    Breaking,
}

impl Caller {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compatible => "compatible",
            Self::Unclear => "unclear",
            Self::Breaking => "breaking",
        }
    }
}

/// What a change means for whoever authorized the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authority {
    /// Nothing.
    Neutral,
    /// An approved agent can do less than was approved: proven.
    Narrows,
    /// Nothing is proven; its owner must look.
    Unproven,
    /// An approved agent can do more than was approved.
    Widens,
}

impl Authority {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Neutral => "neutral",
            Self::Narrows => "narrows",
            Self::Unproven => "unproven",
            Self::Widens => "widens",
        }
    }

    /// Whether its owner must look before the changed operation is called again.
    #[must_use]
    pub const fn needs_owner(self) -> bool {
        matches!(self, Self::Unproven | Self::Widens)
    }
}

/// What a change is about, in the order of review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Who may call.
    Security,
    /// An operation came, went or moved.
    Operation,
    /// What a call may hold.
    Request,
    /// What a value means that is not sent.
    Default,
    /// What comes back.
    Response,
    /// What a model reads.
    Text,
    /// The document as a whole.
    Document,
}

impl Topic {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Security => "security",
            Self::Operation => "operation",
            Self::Request => "request",
            Self::Default => "default",
            Self::Response => "response",
            Self::Text => "text",
            Self::Document => "document",
        }
    }
}

/// What a change does to the set of values that a schema admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// More values, and all of before.
    Grows,
    /// Fewer values, and none that were not before.
    Shrinks,
    /// Other values, or it cannot be told.
    Differs,
    /// The value that is meant where none is given.
    Default,
    /// Words only.
    Text,
    /// Nothing that is admitted or meant.
    Nothing,
}

/// Whether a part's growth is its whole's growth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Polarity {
    /// It is.
    Same,
    /// It is the whole's shrinking: below `not`.
    Flipped,
    /// It cannot be told: below `oneOf`, `if` and their kin.
    Unknown,
}

impl Polarity {
    pub(super) const fn flipped(self) -> Self {
        match self {
            Self::Same => Self::Flipped,
            Self::Flipped => Self::Same,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// The direction in which a value travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    Request,
    Response,
}

/// The two verdicts on a change of a schema.
pub(super) fn of_schema(
    effect: Effect,
    polarity: Polarity,
    direction: Direction,
) -> (Topic, Caller, Authority) {
    let own = effect;
    let effect = match (effect, polarity) {
        (Effect::Grows, Polarity::Flipped) => Effect::Shrinks,
        (Effect::Shrinks, Polarity::Flipped) => Effect::Grows,
        (Effect::Grows | Effect::Shrinks, Polarity::Unknown) => Effect::Differs,
        (other, _) => other,
    };
    let topic = match direction {
        Direction::Request => Topic::Request,
        Direction::Response => Topic::Response,
    };
    let authority = match (effect, direction) {
        (Effect::Grows, Direction::Request) => Authority::Widens,
        // More can come back than was looked at; whether it matters is its owner's to say.
        (Effect::Grows, Direction::Response) => Authority::Unproven,
        (Effect::Shrinks, _) => Authority::Narrows,
        (Effect::Differs | Effect::Text, _) | (Effect::Default, Direction::Response) => {
            Authority::Unproven
        }
        // The same call means another thing.
        (Effect::Default, Direction::Request) => Authority::Widens,
        (Effect::Nothing, _) => Authority::Neutral,
    };
    // For a caller the part itself is what it sends or reads; the whole's logic seldom changes that.
    let caller = match (own, direction) {
        (Effect::Grows, Direction::Request) | (Effect::Shrinks, Direction::Response) => {
            Caller::Compatible
        }
        (Effect::Shrinks, Direction::Request)
        | (Effect::Grows, Direction::Response)
        | (Effect::Differs, _) => Caller::Breaking,
        (Effect::Default, _) => Caller::Unclear,
        (Effect::Text | Effect::Nothing, _) => Caller::Compatible,
    };
    match effect {
        Effect::Text => (Topic::Text, caller, authority),
        Effect::Default if direction == Direction::Request => (Topic::Default, caller, authority),
        Effect::Grows | Effect::Shrinks | Effect::Differs | Effect::Default | Effect::Nothing => {
            (topic, caller, authority)
        }
    }
}
