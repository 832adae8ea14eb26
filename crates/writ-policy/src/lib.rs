//! The policy decision point: policies in Cedar, compiled against the APIs' contracts, decided per call.
//!
//! Beside the prover this is the only crate that names Cedar. It does no I/O and reads no clock: contracts come as plain attribute types,
//! policies as text, time as a [`writ_types::Timestamp`].
//!
//! What holds:
//!
//! - A bundle is compiled whole or not at all ([`Pdp::compile`]). Cedar's warnings are errors, and lints of our own close
//!   what Cedar's validator accepts: a misspelt attribute, arithmetic that can overflow, an unknown name.
//! - A decision fails closed ([`Pdp::decide`]). An error in any rule denies, though Cedar itself would skip the rule.
//! - A [`Permit`] has one maker and cannot be copied, so nothing is forwarded that was not decided.
//! - The same bundle and [`Question`] give the same answer, always.
//!
//! Evaluating Cedar needs stack. Decide on threads with at least 2 MiB (the default of Rust's and tokio's threads); where
//! less than 1 MiB is left, a decision moves to a stack of its own, which costs microseconds.
//!
//! | room | what |
//! |---|---|
//! | `vocabulary` | the `Writ` namespace: entities, action groups, `context.sys` |
//! | `schema` | Cedar schema of an API from attribute types |
//! | `source`, `rule`, `annotation`, `walk` | files, single policies, what they say of themselves, what they read |
//! | `scope`, `lint`, `guards`, `validate` | what is checked at load |
//! | `index`, `pdp` | the compiled bundle |
//! | `entities`, `context`, `decide`, `stack` | one call |
//! | `window` | what is counted within a time |
//! | `findings` | what a load can find wrong |
//! | `explain` | why |
//! | `survey` | what is fixed before a call, for comparing two bundles |
//! | `proof` | what the prover reads of two bundles |

mod annotation;
mod baseline;
mod context;
mod decide;
mod diagnostic;
mod entities;
mod exception;
mod explain;
mod findings;
mod guards;
mod index;
mod lint;
mod pdp;
mod projected;
mod proof;
mod rule;
mod schema;
mod scope;
mod shadow;
mod source;
mod stack;
mod suggest;
mod survey;
mod validate;
mod vocabulary;
mod walk;
mod window;

#[cfg(test)]
mod tests;

pub use baseline::{FREEZES, Freeze, FreezeError, Pack, baseline};
pub use decide::{Denied, InputView, Needs, Permit, Question, ResponseView, both};
pub use diagnostic::{Diagnostic, Severity};
pub use entities::Prepared;
pub use exception::{EXCEPTIONS, Exception, ExceptionError, ExceptionState, exceptions};
pub use explain::{Explanation, RuleOutcome, Saw, Step};
pub use findings::Lint;
pub use pdp::{Coverage, Named, Pdp};
pub use proof::{ProofCase, ProofRule, Unprovable};
pub use rule::{Comparison, Constant, RuleEffect};
pub use schema::{ActionShape, ApiActions};
pub use shadow::{Disagreement, SHADOW, SHADOW_TIME, ShadowError, ShadowTime};
pub use source::PolicySource;
pub use survey::{Holds, Part, Standing, Survey};
pub use window::{DeclaredWindow, WINDOWS, declared_windows, windows_text};
