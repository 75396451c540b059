//! Listening sockets the process was started with: systemd's socket activation (sd_listen_fds(3)).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use rustix::net::sockopt;

/// The sockets that were handed over, until listeners are made of them.
#[derive(Debug, Default)]
pub struct Inherited(Vec<Handed>);

#[derive(Debug)]
struct Handed {
    at: Place,
    /// `None` once a listener was made of it.
    socket: Option<Socket>,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// `dual`: an IPv6 socket that takes IPv4 connections as well, as systemd makes of a bare port.
    Tcp { address: SocketAddr, dual: bool },
    /// Without a path: an abstract socket.
    Unix(Option<PathBuf>),
}

/// A socket that was handed over.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(std::net::TcpListener, SocketAddr),
    Unix(std::os::unix::net::UnixListener, Option<PathBuf>),
}

/// What is there for a wanted address.
pub(super) enum Found {
    Socket(Socket),
    /// A socket that serves another listener's address as well: there is nothing left to bind.
    Served,
    Nothing,
}

impl Inherited {
    /// Takes over what `LISTEN_FDS` and `LISTEN_PID` speak of. Once, and before there are threads: the variables are
    /// cleared, so that no child takes them for its own.
    ///
    /// # Errors
    /// When one of them is no listening TCP or unix stream socket.
    pub fn take() -> io::Result<Self> {
        let mut handed = ListenFd::from_env();
        let mut all = Vec::new();
        for number in 0..handed.len() {
            let odd = |error: io::Error| {
                let what = "is no TCP or unix stream socket that listens (Accept=no, ListenStream=)";
                io::Error::new(error.kind(), format!("socket {number} of LISTEN_FDS {what}: {error}"))
            };
            let socket = match handed.take_tcp_listener(number) {
                Ok(Some(listener)) => Handed::tcp(listener),
                // Untouched by the failure: it may be of the other kind.
                Ok(None) | Err(_) => match handed.take_unix_listener(number) {
                    Ok(Some(listener)) => Handed::unix(listener),
                    Ok(None) => continue,
                    Err(error) => Err(error),
                },
            };
            all.push(socket.map_err(odd)?);
        }
        Ok(Self(all))
    }

    /// The addresses other machines may know the server by, for its certificate.
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().filter_map(|handed| match &handed.at {
            Place::Tcp { address, .. } => Some(address.ip()),
            Place::Unix(_) => None,
        })
    }

    pub(super) fn for_tcp(&mut self, wanted: SocketAddr) -> Found {
        self.find(|at| match at {
            Place::Tcp { address, dual } => {
                let any = |address: &SocketAddr| address.ip().is_unspecified();
                *address == wanted || (*dual && any(address) && any(&wanted) && address.port() == wanted.port())
            }
            Place::Unix(_) => false,
        })
    }

    pub(super) fn for_unix(&mut self, wanted: &Path) -> Found {
        self.find(|at| *at == Place::Unix(Some(wanted.to_owned())))
    }

    fn find(&mut self, fits: impl Fn(&Place) -> bool) -> Found {
        match self.0.iter_mut().find(|handed| fits(&handed.at)) {
            Some(handed) => handed.socket.take().map_or(Found::Served, Found::Socket),
            None => Found::Nothing,
        }
    }

    /// Those no address asked for.
    pub(super) fn rest(&mut self) -> Vec<Socket> {
        self.0.iter_mut().filter_map(|handed| handed.socket.take()).collect()
    }
}

impl Handed {
    fn tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        prepare(&listener)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let dual = address.is_ipv6() && !sockopt::ipv6_v6only(&listener)?;
        Ok(Self { at: Place::Tcp { address, dual }, socket: Some(Socket::Tcp(listener, address)) })
    }

    fn unix(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        prepare(&listener)?;
        listener.set_nonblocking(true)?;
        let path = listener.local_addr()?.as_pathname().map(Path::to_owned);
        Ok(Self { at: Place::Unix(path.clone()), socket: Some(Socket::Unix(listener, path)) })
    }
}

/// A connection handed over in a listener's place would only fail at every accept.
fn prepare(socket: impl AsFd) -> io::Result<()> {
    if sockopt::socket_acceptconn(socket)? {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited(addresses: &[&str]) -> Inherited {
        let all = addresses.iter().map(|address| Handed::tcp(std::net::TcpListener::bind(address).unwrap()).unwrap());
        Inherited(all.collect())
    }

    fn address(inherited: &Inherited, number: usize) -> SocketAddr {
        match &inherited.0[number].at {
            Place::Tcp { address, .. } => *address,
            Place::Unix(_) => unreachable!("a TCP socket"),
        }
    }

    #[test]
    fn a_socket_is_found_by_where_it_is_bound_and_only_once() {
        let mut inherited = inherited(&["127.0.0.1:0", "127.0.0.1:0"]);
        let (first, second) = (address(&inherited, 0), address(&inherited, 1));
        let elsewhere = SocketAddr::new("127.0.0.2".parse().unwrap(), first.port());
        assert!(matches!(inherited.for_tcp(elsewhere), Found::Nothing));
        assert!(matches!(inherited.for_tcp(first), Found::Socket(Socket::Tcp(_, at)) if at == first));
        assert!(matches!(inherited.for_tcp(first), Found::Served));
        let rest = inherited.rest();
        assert!(matches!(rest.as_slice(), [Socket::Tcp(_, at)] if *at == second));
    }

    #[test]
    fn a_dual_socket_serves_both_families() {
        let mut inherited = inherited(&["[::]:0"]);
        let port = address(&inherited, 0).port();
        assert!(matches!(inherited.for_tcp(SocketAddr::new("0.0.0.0".parse().unwrap(), port)), Found::Socket(_)));
        assert!(matches!(inherited.for_tcp(SocketAddr::new("::".parse().unwrap(), port)), Found::Served));
        assert!(matches!(inherited.for_tcp(SocketAddr::new("127.0.0.1".parse().unwrap(), port)), Found::Nothing));
    }

    #[test]
    fn a_unix_socket_is_found_by_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let mut inherited = Inherited(vec![Handed::unix(listener).unwrap()]);
        assert!(matches!(inherited.for_unix(&dir.path().join("t")), Found::Nothing));
        assert!(matches!(inherited.for_unix(&path), Found::Socket(Socket::Unix(_, Some(at))) if at == path));
    }

    #[test]
    fn a_connection_is_no_listener() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(Handed::tcp(std::os::fd::OwnedFd::from(connection).into()).is_err());
    }
}
