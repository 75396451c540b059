//! Keystead: an auth server in one file.
pub mod env;
pub mod store;
pub mod crypto;
pub mod token;
pub mod config;
pub mod net;
