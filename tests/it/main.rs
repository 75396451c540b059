//! Every integration test, in one binary: personas over HTTPS against the real server in process.

mod binary;
mod bot;
mod leaks;
mod mail;
mod noma;
mod nora;
mod openapi;
mod operations;
mod persona;
mod receiver;
mod scenarios;
mod smoke;
