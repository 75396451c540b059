//! The network's edge: bind, accept, shake hands, limit, and say who is calling.
//!
//! | file | what it holds |
//! |---|---|
//! | `listen` | addresses and the sockets bound to them: IPv4, IPv6, unix |
//! | `inherited` | sockets the process was started with, by systemd's socket activation |
//! | `tls` | the TLS configuration, whose certificate can be swapped while connections live |
//! | `client_tls` | TLS as a client: whom we trust when we call others |
//! | `certificate_files` | a certificate and its key from the operator's files |
//! | `local_ca` | a certificate authority of our own, for machines without a public name |
//! | `private_file` | files only their owner may read, written whole or not at all |
//! | `serve` | the accept loop and the life of one connection |
//! | `descriptors` | how many connections the system's limit of open files affords |
//! | `limits` | every bound on connections and requests, and who uses how much |
//! | `wire` | an accepted socket of either kind |
//! | `pulse` | what a connection is doing, and when it has done too little for too long |
//! | `body` | request and answer bodies that may not stall |
//! | `client_address` | the client's address, through trusted proxies only |
//!
//! Nothing here routes or answers a request, but for the refusals that cost less than a request (431, 503).

mod body;
mod certificate_files;
mod client_address;
mod client_tls;
mod crowd;
mod descriptors;
mod inherited;
mod limits;
mod listen;
mod local_ca;
mod private_file;
mod pulse;
mod serve;
mod tls;
mod wire;

#[cfg(test)]
mod tests;

pub use body::BodyTooSlow;
pub use certificate_files::{CertificateFileError, load_certificate};
pub use client_address::{ClientAddress, PeerAddress, Trust, is_secure};
pub use client_tls::{CaFile, ClientStream, ClientTls, HandshakeError, tls_version};
pub use descriptors::{affordable_connections, raise_descriptor_limit};
pub use inherited::Inherited;
pub use limits::{Limits, LiveLimits};
pub use listen::{
    BindError, Bound, BoundAddress, InvalidListenAddress, ListenAddress, bind, bind_all, bind_or_inherit, bind_unix,
};
pub use local_ca::{LocalCa, LocalCaError};
pub use private_file::{create_dir as create_private_dir, write as write_private_file};
pub use serve::{Drained, Peer, PeerUid, Terms, serve};
pub use tls::{Answering, Identity, Tls, TlsError};
