//! Keystead: an auth server in one file.
pub mod config;
pub mod crypto;
pub mod env;
pub mod net;
pub mod store;
pub mod token;
