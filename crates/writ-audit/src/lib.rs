//! writ-audit.
