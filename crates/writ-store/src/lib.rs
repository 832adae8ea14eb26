//! writ-store.
