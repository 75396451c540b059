//! Keystead: an auth server in one file.
pub mod admin;
pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod data;
pub mod dialect;
pub mod env;
pub mod http;
pub mod net;
pub mod store;
pub mod testing;
pub mod token;
