//! What an operator sees of a running server: health, metrics, names of requests.

mod backups;
mod health;
mod metrics;
pub mod open_metrics;
mod request_names;
