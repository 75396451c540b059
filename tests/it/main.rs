//! Every integration test, in one binary: personas over HTTPS against the real server in process.

mod binary;
mod bot;
mod leaks;
mod mail;
mod mail_server;
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
