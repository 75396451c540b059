//! Why a server does not start, in words for the operator.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::auth;
use crate::net::{BindError, CertificateFileError, LocalCaError, TlsError};
use crate::outbound::SetupError;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process holds the data directory.
    #[error(
        "{} is in use by another keystead process; stop that one, or choose another directory with --data-dir",
        data_dir.display()
    )]
    InUse {
        /// The directory.
        data_dir: PathBuf,
    },
    /// There is something else where the data directory should be.
    #[error("{} is not a directory; choose another one with --data-dir", .0.display())]
    NotADirectory(PathBuf),
    /// A file or directory cannot be used.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// There is no master key, and a backup that needs one is to be restored.
    #[error(
        "the keys in this backup are sealed under a master key that is not in it: put the one it was made with at {} \
         (32 bytes, mode 0600), or name it with master_key_file, and restore again",
        .0.display()
    )]
    NoMasterKey(PathBuf),
    /// The hashing settings cannot be used.
    #[error("hashing: {0}")]
    Hashing(String),
    /// A listener cannot be had.
    #[error("{0}; choose another address with --listen or listen.addresses")]
    Listen(#[from] BindError),
    /// A socket that was handed over would send passwords in clear.
    #[error(
        "the inherited socket on {0} would send passwords in clear with tls.mode = \"off\": switch TLS on, or say by \
         `listen.behind_proxy = true` that a proxy in front ends it"
    )]
    Exposed(SocketAddr),
    /// The operator's certificate cannot be used.
    #[error("tls: {0}")]
    Certificate(#[from] CertificateFileError),
    /// TLS cannot be set up.
    #[error("tls: {0}")]
    Tls(#[from] TlsError),
    /// The local CA cannot be used.
    #[error("tls: {0}")]
    LocalCa(#[from] LocalCaError),
    /// The client for calls to others cannot be set up.
    #[error("outbound: {0}")]
    Outbound(#[from] SetupError),
    /// A defect: making the certificates panicked.
    #[error("tls: making the certificates failed unexpectedly; the log says where")]
    Panicked,
    /// The projects cannot be opened.
    #[error("{0}")]
    Projects(#[from] auth::Error),
}

impl StartError {
    pub(super) fn file(path: &Path, error: io::Error) -> Self {
        Self::File { path: path.to_owned(), error }
    }
}
