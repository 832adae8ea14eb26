//! The store against real files.

mod amendments;
mod approvals;
mod crash;
mod makers;
mod opening;
mod revisions;
mod rows;
mod schema;
mod stops;
mod support;
