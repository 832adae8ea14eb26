//! What is wrong with a call's input. Nothing the caller chose is in a fault.

use writ_types::JsonFaultKind;

/// One fault, at a place that the contract names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `/path/x`, `/query/x`, `/header/x` or `/body/…`. Items of an array are their index, members of a map
    /// `*`. For a member or parameter that the contract does not declare it is the declared place that holds it.
    pub pointer: String,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What is wrong with a value. A closed set of static texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// A required parameter or member is absent.
    #[error("required and missing")]
    Missing,
    /// A parameter or member that the contract does not declare.
    #[error("holds something the contract does not declare")]
    Undeclared,
    /// A parameter or form field given more than once.
    #[error("given more than once")]
    Repeated,
    /// A bad percent-encoding, bytes that are not UTF-8, or a control character.
    #[error("not well encoded")]
    Encoding,
    /// Not of the declared type.
    #[error("not of the declared type")]
    Type,
    /// Not one of the declared values.
    #[error("not one of the declared values")]
    Enum,
    /// Not in the declared format, or outside its range.
    #[error("not in the declared format")]
    Format,
    /// Does not follow the declared pattern.
    #[error("does not follow the declared pattern")]
    Pattern,
    /// Below the least or above the most that is declared, or no multiple.
    #[error("outside the declared range")]
    Range,
    /// Shorter or longer than declared.
    #[error("outside the declared length")]
    Length,
    /// Fewer or more items or members than declared.
    #[error("outside the declared count")]
    Count,
    /// Two equal items where items are unique.
    #[error("items are not unique")]
    Unique,
    /// None, or more than one where exactly one must, of the alternatives fits.
    #[error("fits none of the declared alternatives, or more than one")]
    Alternatives,
    /// Fits a schema that it must not fit.
    #[error("is what the contract excludes")]
    Excluded,
    /// The schema admits no value here.
    #[error("not allowed here")]
    Forbidden,
    /// The schemas are too entangled to check this value within bounds.
    #[error("too complex to check")]
    Complexity,
    /// A required body is missing.
    #[error("a body is required")]
    BodyMissing,
    /// A body where the contract declares none.
    #[error("the contract declares no body")]
    BodyUndeclared,
    /// A content type that the contract does not declare, or none with a body.
    #[error("not a declared content type")]
    MediaType,
    /// The body is longer than the limit.
    #[error("larger than the limit")]
    Size,
    /// The body, or a parameter of JSON content, is not strict JSON; the offset is in bytes.
    #[error("not strict JSON: {0} (byte {1})")]
    Json(JsonFaultKind, usize),
    /// The form is not well formed, or its field names contradict each other.
    #[error("not a well-formed form")]
    Form,
    /// A tool's argument that the contract's way of writing this place cannot carry.
    #[error(
        "cannot be written as the contract declares it; leave it out or give it in another form"
    )]
    Unwritable,
    /// A status that the contract does not declare for the operation.
    #[error("not a declared status")]
    Status,
    /// The call could also be another operation on the same path.
    #[error("the call could also be another operation")]
    Ambiguous,
}
