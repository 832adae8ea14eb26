//! The ledger's rules, each through the public interface.

mod amended;
mod flow;
mod handed;
mod kill;
mod narrowing;
mod recall;
mod restart;
mod rules;
mod sequences;
mod stops;
mod support;
mod tally;
mod threads;
mod world;
