//! Every integration test, in one binary: personas over HTTPS against the real server in process.

#![expect(clippy::panic, reason = "a test that cannot go on says why and fails")]

mod binary;
mod noma;
mod persona;
mod smoke;
