//! writ-policy.
