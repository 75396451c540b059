//! Every integration test, in one binary: personas over HTTPS against the real server in process.

#![expect(clippy::panic, reason = "a test says so when it cannot go on")]

mod binary;
mod bot;
mod disk;
mod leaks;
mod mail;
mod mail_server;
mod model;
mod nhost;
mod nhost_mail;
mod noma;
mod nora;
mod openapi;
mod operations;
mod persona;
mod receiver;
mod reload;
mod scenarios;
mod smoke;
mod webhooks;
