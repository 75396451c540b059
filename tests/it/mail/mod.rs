//! Mail, from the settings to the mail server: what arrives there, and what happens when it does not take it.

#![expect(clippy::panic, reason = "a test says so when it cannot go on")]

mod sink;
mod smtp;
