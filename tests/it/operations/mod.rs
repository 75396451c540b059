//! What an operator sees of a running server: health, metrics, names of requests.

#![expect(clippy::panic, reason = "a test says so when it cannot go on")]

mod health;
mod metrics;
pub mod open_metrics;
mod request_names;
