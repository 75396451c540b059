//! Every integration test, in one binary: personas over HTTPS against the real server in process.

mod binary;
mod noma;
mod nora;
mod persona;
mod scenarios;
mod smoke;
