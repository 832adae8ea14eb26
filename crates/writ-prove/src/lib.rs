//! The prover: whether a change of policies lets more through than before, over all requests that there can be.
//!
//! It is a program of its own, so that nothing of it is in the gateway. `writ plan` writes one case for each action whose
//! rules changed, and reads back one verdict for each. A proof is cvc5's (SMT-LIB), by Cedar's own symbolic compiler;
//! cvc5 is the user's to install, and without it nothing is said at all.
//!
//! What holds:
//!
//! - `narrower` and `equal` are said only of what the solver has refuted within its time. Unknown, late, broken, or a
//!   model that does not bear out when Cedar itself decides it, is `unproven`.
//! - A rule that can err is `unproven`: Cedar skips it, and the gateway refuses the call.
//! - `wider` comes with a request that is allowed after and was not before. The plan asks the real PDP about it again.
//!
//! | room | what |
//! |---|---|
//! | `case` | a case, read |
//! | `cluster` | cases that differ by the action's name alone are one |
//! | `solver` | cvc5: where it is, how long it may take |
//! | `verdict` | what is said of a case |
//! | `run` | all cases, side by side, until the time is up |

mod case;
mod cluster;
mod run;
mod solver;
mod verdict;

#[cfg(test)]
mod tests;

pub use run::{Outcome, run};
pub use solver::Cvc5;
