//! Configuration: flag > environment > file > default, checked as a whole before anything starts.

mod settings;

pub use settings::*;

/// What file, environment and flags said, kept for [`Settings::project`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared;
