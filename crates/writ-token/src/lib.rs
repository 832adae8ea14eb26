//! writ-token.
