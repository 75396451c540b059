//! Every integration test, in one binary: personas over HTTPS against the real server in process.

mod binary;
mod bot;
mod mail;
mod noma;
mod persona;
mod receiver;
mod smoke;
