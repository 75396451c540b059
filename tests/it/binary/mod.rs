//! The real executable, as operators and strangers meet it: started, stopped, killed, misconfigured, flooded.

mod audit;
mod client;
mod command_line;
mod configuration;
mod crash;
mod doctor;
mod elf;
mod ephemeral;
mod export;
mod first_start;
mod from_nhost;
mod full_disk;
mod hostile_clients;
mod import;
mod import_nhost;
mod ledger;
mod lifecycle;
mod listeners;
mod logs;
mod mail;
mod process;
mod reload;
mod secrets;
mod sign_in_failed;
mod supervision;
mod webhooks;
