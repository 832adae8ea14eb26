//! writ-proxy.
