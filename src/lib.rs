//! Keystead: an auth server in one file. This page is the map of the house.
//!
//! ```text
//!    net -> http -> dialect::{noma, nora}      admin      wide: spellings of the same things
//!                              \             /
//!                               auth              narrow: the verbs, all decisions, one closed error
//!                                 |
//!                               data -> store     records and their invariants, then ordered bytes in redb or memory
//!
//!    auth also uses:              token, crypto, outbound, env, and the policy values of config
//!    counted, whoever counts, in: metrics
//!    assembled by:                config, app, cli, testing; nothing below names them
//! ```
//!
//! A dialect *decodes, calls, encodes*; it never decides. A rule that holds for all lives once in [`auth`]. Who may name
//! whom is a table in `tests/tidy.rs`, kept by a test.
//!
//! One request: [`net`] accepts it within limits and settles the client's address; [`http`] finds the project and the
//! dialect and makes the one context with the one reading of the clock; the dialect parses into types and calls one verb
//! of [`auth`]; the verb hashes in the pool of [`crypto`], outside any transaction, and then checks and writes in one
//! transaction of [`store`]; an error becomes a reply in one place of the dialect.
//!
//! # For others
//!
//! The program is `keystead`, and its README says how to use it. A Rust program may rely on three names:
//!
//! - [`testing::Server`], the whole server in process, for tests;
//! - [`Settings`], the checked configuration it runs with;
//! - [`Env`], through which it knows time, randomness and names.
//!
//! Every other module is public for this repository's own tests, benchmarks and fuzz targets, and changes without notice.

pub mod admin;
pub mod app;
pub mod auth;
pub mod backup;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod data;
pub mod dialect;
pub mod env;
pub mod http;
pub mod mail;
pub mod metrics;
pub mod net;
pub mod outbound;
pub mod store;
pub mod testing;
pub mod token;

pub use config::Settings;
pub use env::Env;
