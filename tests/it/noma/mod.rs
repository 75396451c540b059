//! The NomaCMS dialect as its contract says it, one file a capability.

mod api_keys;
mod errors;
mod isolation;
mod lockout;
mod refresh;
mod secrets;
mod sessions;
mod sign_in;
mod sign_up;
mod tokens;
mod transport;
mod verification;
