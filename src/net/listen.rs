//! Addresses to listen on, and the sockets bound to them: IPv4, IPv6, unix.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::task::{Context, Poll};

use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket, UnixStream, lookup_host};

use super::inherited::{self, Found, Inherited};
use super::tls::Tls;
use super::wire::Wire;

/// Connections the kernel holds for us while all places are taken.
const BACKLOG: u32 = 1024;

/// Where to listen, as configured: `host:port`, `[::1]:port` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A host name or address (without brackets), and a port; port 0 is any free one.
    Tcp {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// A unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether only this machine can reach it: a loopback address, `localhost` or a unix socket.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
            Self::Unix(_) => true,
        }
    }
}

/// Text that is not a listener's address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected \"host:port\", \"[::1]:port\" or \"unix:/path\"")]
pub struct InvalidListenAddress;

impl FromStr for ListenAddress {
    type Err = InvalidListenAddress;

    fn from_str(text: &str) -> Result<Self, InvalidListenAddress> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(InvalidListenAddress) } else { Ok(Self::Unix(path.into())) };
        }
        let (host, port) = text.rsplit_once(':').ok_or(InvalidListenAddress)?;
        let port = port.parse().map_err(|_| InvalidListenAddress)?;
        let host = match host.strip_prefix('[').map(|h| h.strip_suffix(']')) {
            Some(Some(v6)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => v6,
            None if !host.is_empty() && !host.contains([':', ']', '/', ' ']) => host,
            _ => return Err(InvalidListenAddress),
        };
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a listener could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}")]
pub struct BindError {
    /// The address that was asked for.
    pub address: ListenAddress,
    /// What the system said.
    pub error: io::Error,
}

/// Where a socket really listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundAddress {
    /// With the port the system chose.
    Tcp(SocketAddr),
    /// The socket's file.
    Unix(PathBuf),
}

/// A listening socket. The file of a unix socket that was bound here is removed with it.
#[derive(Debug)]
pub struct Bound {
    socket: Socket,
    address: BoundAddress,
    tls: Option<Tls>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// `None`: somebody else made it and removes it.
        _file: Option<SocketFile>,
    },
}

impl Bound {
    /// Where it listens.
    pub fn address(&self) -> &BoundAddress {
        &self.address
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether only programs of this machine reach it, and none that may speak for others, as at a unix socket.
    pub fn is_local(&self) -> bool {
        matches!(&self.address, BoundAddress::Tcp(address) if address.ip().is_loopback())
    }

    /// Whether passwords would cross a network in clear on it.
    pub fn is_exposed(&self) -> bool {
        match &self.address {
            BoundAddress::Tcp(address) => self.tls.is_none() && !address.ip().is_loopback(),
            BoundAddress::Unix(_) => false,
        }
    }

    fn inherited(socket: inherited::Socket, tls: Option<&Tls>) -> io::Result<Self> {
        Ok(match socket {
            inherited::Socket::Tcp(listener, address) => Self {
                socket: Socket::Tcp(TcpListener::from_std(listener)?),
                address: BoundAddress::Tcp(address),
                tls: tls.cloned(),
            },
            inherited::Socket::Unix(listener, path) => Self {
                socket: Socket::Unix { listener: UnixListener::from_std(listener)?, _file: None },
                address: BoundAddress::Unix(path.unwrap_or_default()),
                tls: None,
            },
        })
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Wire>> {
        match &self.socket {
            Socket::Tcp(listener) => listener.poll_accept(cx).map_ok(|(stream, from)| Wire::Tcp(stream, from.ip())),
            Socket::Unix { listener, .. } => listener.poll_accept(cx).map_ok(|(stream, _)| Wire::Unix(stream)),
        }
    }
}

/// Listens on `address`, with TLS if given: one socket for each address the host has. Unix sockets have mode 0660 and
/// are never spoken to with TLS.
///
/// Needs a tokio runtime.
pub async fn bind(address: &ListenAddress, tls: Option<&Tls>) -> Result<Vec<Bound>, BindError> {
    bind_or_inherit(address, tls, &mut Inherited::default()).await
}

/// Listens on all `addresses`, where a socket that is bound to one already was inherited, on that one; and on every
/// inherited socket besides.
///
/// # Errors
/// When one of them cannot be had.
pub async fn bind_all(
    addresses: &[ListenAddress],
    tls: Option<&Tls>,
    mut inherited: Inherited,
) -> Result<Vec<Bound>, BindError> {
    let mut all = Vec::new();
    for address in addresses {
        all.extend(bind_or_inherit(address, tls, &mut inherited).await?);
    }
    for socket in inherited.rest() {
        let named = match &socket {
            inherited::Socket::Tcp(_, at) => ListenAddress::Tcp { host: at.ip().to_string(), port: at.port() },
            inherited::Socket::Unix(_, path) => ListenAddress::Unix(path.clone().unwrap_or_default()),
        };
        all.push(Bound::inherited(socket, tls).map_err(|error| BindError { address: named, error })?);
    }
    Ok(all)
}

/// As [`bind`], on sockets that were inherited for that address where there are any.
///
/// # Errors
/// When it cannot be had.
pub async fn bind_or_inherit(
    address: &ListenAddress,
    tls: Option<&Tls>,
    inherited: &mut Inherited,
) -> Result<Vec<Bound>, BindError> {
    let fail = |error| BindError { address: address.clone(), error };
    match address {
        ListenAddress::Unix(path) => match inherited.for_unix(path) {
            Found::Socket(socket) => Ok(vec![Bound::inherited(socket, tls).map_err(fail)?]),
            Found::Served => Ok(Vec::new()),
            Found::Nothing => bind_unix(path, 0o660).await.map(|bound| vec![bound]),
        },
        ListenAddress::Tcp { host, port } => {
            let found = match host.parse::<IpAddr>() {
                Ok(ip) => vec![SocketAddr::new(ip, *port)],
                Err(_) => lookup_host((host.as_str(), *port)).await.map_err(fail)?.collect(),
            };
            let (mut all, mut to_bind) = (Vec::new(), Vec::new());
            for address in found {
                match inherited.for_tcp(address) {
                    Found::Socket(socket) => all.push(Bound::inherited(socket, tls).map_err(fail)?),
                    Found::Served => {}
                    Found::Nothing => to_bind.push(address),
                }
            }
            // Where the supervisor made a socket for one of a name's addresses, the others may well not exist.
            if !to_bind.is_empty() || all.is_empty() {
                match bind_tcp(&to_bind, tls) {
                    Ok(bound) => all.extend(bound),
                    Err(error) if all.is_empty() => return Err(fail(error)),
                    Err(error) if is_absent(&error) => {}
                    Err(error) => return Err(fail(error)),
                }
            }
            Ok(all)
        }
    }
}

/// Listens on a unix socket whose file has `mode` from the first moment on.
///
/// A socket file nobody listens on any more (its process was killed) is replaced; a live one, or a file of another
/// kind, is an error.
pub async fn bind_unix(path: &Path, mode: u32) -> Result<Bound, BindError> {
    let fail = |error| BindError { address: ListenAddress::Unix(path.to_owned()), error };
    remove_stale(path).await.map_err(fail)?;
    let listen = || {
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        // Nobody can connect before `listen`, so nobody gets in under the umask's mode.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        let file = SocketFile::of(path)?;
        Ok((socket.listen(BACKLOG)?, file))
    };
    let (listener, file) = listen().map_err(fail)?;
    Ok(Bound {
        socket: Socket::Unix { listener, _file: Some(file) },
        address: BoundAddress::Unix(path.to_owned()),
        tls: None,
    })
}

fn bind_tcp(addresses: &[SocketAddr], tls: Option<&Tls>) -> io::Result<Vec<Bound>> {
    let (mut bound, mut passed_over, mut port) = (Vec::<Bound>::new(), None, 0);
    for &(mut address) in addresses {
        if address.port() == 0 {
            address.set_port(port); // one name, one port, though the name has two addresses
        }
        match listen_tcp(address) {
            Ok((listener, address)) => {
                port = address.port();
                bound.push(Bound {
                    socket: Socket::Tcp(listener),
                    address: BoundAddress::Tcp(address),
                    tls: tls.cloned(),
                });
            }
            // The name has an address this machine does not: common for `localhost` without IPv6.
            Err(error) if is_absent(&error) => passed_over = Some(error),
            Err(error) => return Err(error),
        }
    }
    match passed_over {
        _ if !bound.is_empty() => Ok(bound),
        Some(error) => Err(error),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
}

fn listen_tcp(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() {
        // Explicit: `[::]` and `0.0.0.0` can stand side by side on one port, and each does what it says.
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is there"));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there")),
    }
}

/// Removes the socket's file when dropped, unless another has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity_of(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity_of(&self.path).is_ok_and(|now| now == self.identity) {
            // Left behind, it would only be found stale at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity_of(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in ["127.0.0.1:8443", "[::1]:0", "localhost:443", "unix:/run/keystead.sock", "0.0.0.0:65535"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for text in
            ["", "8443", ":8443", "host", "::1:8443", "[::1]", "[x]:1", "h:65536", "h:-1", "unix:", "a/b:1", "[::1:2"]
        {
            assert_eq!(text.parse::<ListenAddress>(), Err(InvalidListenAddress), "{text}");
        }
    }

    #[tokio::test]
    async fn the_real_port_is_told() {
        for text in ["127.0.0.1:0", "[::1]:0", "localhost:0"] {
            let all = bind(&text.parse().unwrap(), None).await.unwrap();
            let port = |b: &Bound| match b.address() {
                BoundAddress::Tcp(address) => address.port(),
                BoundAddress::Unix(_) => 0,
            };
            let ports: Vec<_> = all.iter().map(port).collect();
            assert!(ports.iter().all(|port| *port != 0 && *port == ports[0]), "{ports:?}");
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let first = bind(&"127.0.0.1:0".parse().unwrap(), None).await.unwrap().remove(0);
        let BoundAddress::Tcp(address) = first.address() else { unreachable!("a TCP listener") };
        let error = bind(&address.to_string().parse().unwrap(), None).await.unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("cannot listen on {address}: Address already in use")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn both_families_share_a_port() {
        // A port that is free in one family may be somebody's in the other; hardly so several times over.
        for _ in 0..16 {
            let v6 = bind(&"[::]:0".parse().unwrap(), None).await.unwrap().remove(0);
            let BoundAddress::Tcp(address) = v6.address() else { unreachable!("a TCP listener") };
            if bind(&format!("0.0.0.0:{}", address.port()).parse().unwrap(), None).await.is_ok() {
                return;
            }
        }
        unreachable!("no port can be had in both families");
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap()); // leaves its file, like a killed process
        let bound = bind_unix(&path, 0o660).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let error = bind_unix(&path, 0o660).await.unwrap_err().to_string();
        assert!(error.ends_with("another process listens there"), "{error}");
        drop(bound);
        assert!(!path.exists());
        std::fs::write(&path, "precious").unwrap();
        let error = bind_unix(&path, 0o660).await.unwrap_err().to_string();
        assert!(error.ends_with("a file that is no socket is there"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }
}
