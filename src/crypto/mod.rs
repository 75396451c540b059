//! Password hashing, sealing at rest, and the types secrets travel in.
//!
//! Nothing here knows the network, the store or a token; [`ClientGroup`] is a bare number for that reason.

mod password;
mod pool;
mod queue;
mod seal;
mod secret;

pub use password::{BadCost, HashCost, ImportError, StoredHash};
pub use pool::{Busy, HashPool, PoolSettings, Verdict};
pub use queue::ClientGroup;
pub use seal::{MasterKey, SealError};
pub use secret::{Digest, DigestKey, Secret, hex};
