//! Every integration test, in one binary: personas over HTTPS against the real server in process.

mod binary;
mod noma;
mod operations;
mod persona;
mod smoke;
