//! Password hashing, sealing at rest, and the types secrets travel in.
//!
//! Nothing here knows the network, the store or a token; [`ClientGroup`] is a bare number for that reason.

#[expect(dead_code, reason = "its pool follows")]
mod queue;
mod seal;
mod secret;

pub use queue::ClientGroup;
pub use seal::{MasterKey, SealError};
pub use secret::{Digest, Secret};
