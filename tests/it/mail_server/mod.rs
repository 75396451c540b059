//! A mail server of the tests' own, and the transports against it and against a receiver of webhooks.

pub mod sink;
mod smtp;
mod webhook;
