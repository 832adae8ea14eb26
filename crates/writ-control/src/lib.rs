//! writ-control.
