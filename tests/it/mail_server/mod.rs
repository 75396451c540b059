//! A mail server of the tests' own, and the SMTP transport against it.

#![expect(clippy::panic, reason = "a test says so when it cannot go on")]

pub mod sink;
mod smtp;
