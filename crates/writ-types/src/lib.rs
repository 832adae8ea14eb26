//! The words every part of Writ shares: ids, names, values, effects, time, limits, reasons.
//!
//! Plain data only. Nothing here does I/O, reads a clock or draws random bytes: those come in as arguments, so that
//! every rule built on these types can be tested with one line. The crates above exchange exactly these types; proofs
//! of a check (`Authenticated`, `Permit`, `Reservation`, `Receipt`) stay with the crate that makes them.

mod amendment;
mod approval;
mod asserter;
mod attr;
mod authorization_server;
mod blast;
mod bounds;
mod budget;
mod conformance;
mod decimal;
mod digest;
mod effect;
mod federation;
mod hours;
mod id;
mod input;
mod inputs;
mod json;
mod kind;
mod label;
mod limits;
mod name;
mod obligation;
mod origin;
mod plan;
mod prefer;
mod principal;
mod problem;
mod program;
mod rate;
mod reason;
mod registry;
mod resource;
mod secret;
mod spiffe;
mod stop;
mod task;
mod time;
mod user_authentication;
mod vouchers;
mod watch;
mod window;

pub use amendment::{Amendment, AmendmentError, BoundChange, Difference};
pub use approval::ApprovalState;
pub use asserter::{Asserter, Asserters};
pub use attr::{Attr, AttrField, AttrType, Domains, Facts, Projection};
pub use authorization_server::{
    AuthorizationServer, AuthorizationServerError, Scope, UpstreamAuthentication, UpstreamGrant,
};
pub use blast::BlastRadius;
pub use bounds::{Bound, BoundPlace, BoundPointer, Bounds, BoundsError};
pub use budget::{Budget, Charge};
pub use conformance::Conformance;
pub use decimal::{Decimal, DecimalError};
pub use digest::{Digest, DigestError, KeyedDigest, KeyedHasher};
pub use effect::{Effect, Effects};
pub use federation::{ClaimName, ClaimNameError, Federation};
pub use hours::{Hours, HoursError};
pub use id::{
    AgentId, ApprovalId, CallId, ChangeId, IdError, OperatorId, RecordId, RequestId, RevisionId,
    TaskId, TokenId,
};
pub use input::Input;
pub use inputs::Inputs;
pub use json::{JsonFault, JsonFaultKind, JsonLimits, Number, Pointer, Value};
pub use kind::{Canonical, Identifier, Kind};
pub use label::Label;
pub use limits::{LIMIT_TABLE, LimitRow, Limits, TIMEOUT_TABLE, Timeouts};
pub use name::{
    ActionName, ApiId, CredentialName, EnvironmentName, NameError, OperationId, OwnerName,
    ProgramName, PurposeName, RESERVED_API_IDS, Tenant,
};
pub use obligation::{Obligations, ObligationsError};
pub use origin::{Origin, Source, Trust, ValueDigest, ValueDigests};
pub use plan::{Plan, PlanError, PlanStanding, Progress, Step};
pub use prefer::preferred_wait;
pub use principal::{Binding, Mode, Principal, Requester};
pub use problem::{Pending, Problem, Remedy, RemedyKind, Verdict};
pub use program::{Program, ProgramError, Upstream};
pub use rate::{Rate, RateError};
pub use reason::{Category, Outlook, ReasonCode};
pub use registry::{Agent, Api, Attach, Purpose, Selector, UpstreamUrl, UpstreamUrlError};
pub use resource::{PublicUrl, PublicUrlError, Resource};
pub use secret::Secret;
pub use spiffe::{SpiffeError, SpiffeId, TrustDomain};
pub use stop::Stop;
pub use task::{Grant, TaskRequest, TaskRequestError};
pub use time::{Clock, ClockError, ManualClock, Monotonic, Timestamp, WallGuard};
pub use user_authentication::{
    Acr, AcrError, UserAuthentication, WantedAuthentication, WantedError,
};
pub use vouchers::{Argument, ArgumentOrigins, Origins, Sighting, Vouchers};
pub use watch::{Planted, Reaction, Trap, Traps, Watch};
pub use window::{
    Amount, Quantities, QuantitiesError, Quantity, Sum, Summed, Unit, Window, WindowError,
    WindowName, WindowScope, Windowed, Windows,
};
