//! The Nhost dialect as its contract says it, one file a capability.

mod cors;
mod limits;

use keystead::testing::Server;

use crate::persona::Persona;

/// Somebody without an account.
pub fn anon(server: &Server) -> Persona {
    Persona::anon(server).speaking_nhost()
}
