//! A project as text that lasts: JSON Lines, each a record with its type, which people and `jq` can read.
//!
//! The lines are apart from the records in the store, so that those may change and the file does not. What a line holds
//! is said by the types below, field by field; all of them are read strictly, for the file may come from anywhere.
//!
//! ```text
//! {"type":"keystead","format":1,"version":"0.1.0","exported_at":"…","secrets":false}
//! {"type":"project","id":"…","slug":"shop",…}        and what is its own:
//!   refresh_secret, signing_key…                       only with secrets
//!   user…  gone_user…  identity…  session…  device…  one_time…  code…  api_key…  personal_token…
//!   lockout_client…  lockout_account…  cooldown…  rate…  audit…  outbox…  dead_letter…
//! {"type":"project",…}                               the next, and so on
//! {"type":"end","counts":{"user":2,…},"sha256":"…"}  over all bytes before it
//! ```
//!
//! Rows that follow from others (indexes, counts) are not told; they are made anew by the functions that always make them.
//! Nothing here seals or opens: what is sealed in the store goes through the caller's hands.

pub mod access;
pub mod counters;
pub mod fields;
mod line;
pub mod people;
mod reading;
pub mod sending;
#[cfg(test)]
mod tests;
mod text;
pub mod trail;
pub mod whole;
mod writing;

pub use line::Line;
pub use reading::{Row, is_unused, read};
pub use text::{Lines, Pen, Wrong};
pub use writing::{Numbers, Refused, write};

/// The format of the file. Another number for whatever an earlier program would misread; fields and types may be added
/// without, which an earlier program refuses by name.
pub const FORMAT: u64 = 1;

/// The longest line, bytes: a picture and metadata at their largest, escaped.
pub const MAX_LINE: usize = 8 << 20;
