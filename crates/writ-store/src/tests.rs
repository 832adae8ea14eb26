//! The store against real files.

mod crash;
mod opening;
mod revisions;
mod rows;
mod schema;
mod support;
