//! writ-contract.
