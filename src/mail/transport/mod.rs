//! How a mail leaves: one variant a way, built from the settings.

mod file;
mod log;
mod smtp;
mod written;

#[cfg(test)]
mod tests;

pub use file::Files;
pub use smtp::{Limits, Login, Smtp, SmtpSettings, SmtpTls};
