//! Every integration test, in one binary: personas over HTTPS against the real server in process.

mod binary;
mod mail;
mod noma;
mod persona;
mod smoke;
