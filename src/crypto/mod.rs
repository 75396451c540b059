//! Secrets.
pub mod secret;
