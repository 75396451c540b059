//! Keystead: an auth server in one file.
pub mod crypto;
pub mod env;
pub mod token;
