//! A mail server of the tests' own, and the transports against it and against a receiver of webhooks.

#![expect(clippy::panic, reason = "a test says so when it cannot go on")]

pub mod sink;
mod smtp;
mod webhook;
