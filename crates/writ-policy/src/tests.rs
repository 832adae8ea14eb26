//! Tests over the whole crate; each file is one subject.

mod findings;
mod fixture;

mod corpus;
mod decisions;
mod exceptions;
mod hazards;
mod lints;
mod load;
mod matrix;
mod properties;
mod shadow;
mod shipped;
mod softened;
mod survey;
mod windows;
