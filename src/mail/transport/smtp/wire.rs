//! The socket under an SMTP conversation: bounded lines in, TLS begun in place, and what was said told to a listener.
//!
//! lettre speaks the protocol on it. What it must not be given reaches it in no form: a line without end, bytes that
//! are no text, what a server said in clear before TLS and meant to be read after it.

use std::fmt;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;

use crate::net::{ClientStream, ClientTls, HandshakeError, tls_version};

/// The longest line of a reply, bytes. RFC 5321 (4.5.3.1.5) asks for 512.
const MAX_LINE: usize = 998;

/// The most lines of a reply; answers to EHLO have about twenty.
const MAX_LINES: usize = 200;

/// Who hears every line of a conversation, for `keystead mail test`.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    /// Takes lines as they come. Their number is bounded by the conversation's.
    pub lines: UnboundedSender<String>,
    /// Never told, even when the server repeats them.
    pub secrets: Vec<String>,
}

/// A connection to a server, in clear or encrypted. Clones are the same connection.
#[derive(Clone)]
pub(super) struct Wire(Arc<Mutex<State>>);

struct State {
    socket: Socket,
    /// Came from the server, not yet a whole line.
    raw: Vec<u8>,
    /// A line on its way to the reader.
    line: Vec<u8>,
    /// The lines since the last command.
    reply: Vec<String>,
    /// Written since the last flush, for the listener.
    written: Vec<u8>,
    /// What the listener hears instead.
    instead: Option<String>,
    listener: Option<Listener>,
}

enum Socket {
    Plain(TcpStream),
    Encrypted(Box<ClientStream>),
    /// A handshake is on, or failed.
    Gone,
}

/// Why TLS did not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncryptError {
    /// The server said something in clear after it agreed to begin TLS: to be read as if it had come encrypted.
    #[error("it sent more in clear after it had agreed to begin TLS")]
    Injected,
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

impl Wire {
    pub fn new(socket: TcpStream, listener: Option<Listener>) -> Self {
        Self(Arc::new(Mutex::new(State {
            socket: Socket::Plain(socket),
            raw: Vec::new(),
            line: Vec::new(),
            reply: Vec::new(),
            written: Vec::new(),
            instead: None,
            listener,
        })))
    }

    /// Begins TLS with the server that is to be `host`.
    pub async fn encrypt(&self, tls: &ClientTls, host: &str) -> Result<(), EncryptError> {
        let socket = {
            let mut state = self.state();
            if !state.raw.is_empty() || !state.line.is_empty() {
                return Err(EncryptError::Injected);
            }
            match mem::replace(&mut state.socket, Socket::Gone) {
                Socket::Plain(socket) => socket,
                // Asked twice: nothing is sent over it any more.
                Socket::Encrypted(_) | Socket::Gone => return Err(EncryptError::Injected),
            }
        };
        let encrypted = tls.connect(host, socket).await?;
        self.remark(&format!("{}, the certificate names {host} and is trusted", tls_version(&encrypted)));
        self.state().socket = Socket::Encrypted(Box::new(encrypted));
        Ok(())
    }

    /// Tells the listener something that is not part of the conversation.
    pub fn remark(&self, text: &str) {
        self.state().tell("--", text);
    }

    /// What the listener hears instead of the next thing written.
    pub fn instead(&self, text: &str) {
        let mut state = self.state();
        if state.listener.is_some() {
            state.instead = Some(text.to_owned());
        }
    }

    /// The lines the server sent since the last command: printable, without their ends.
    pub fn reply(&self) -> Vec<String> {
        self.state().reply.clone()
    }

    /// Where it lies in memory: no other connection lies there as long as it lives.
    pub fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic under the lock leaves a conversation that ends; nobody else's.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&self, who: &str, text: &str) {
        if let Some(listener) = &self.listener {
            let text = listener.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "…"));
            // Who does not listen any more misses nothing.
            let _ = listener.lines.send(format!("{who} {text}"));
        }
    }

    /// Takes a whole line out of what came.
    fn next_line(&mut self) -> Option<Vec<u8>> {
        let end = self.raw.iter().position(|byte| *byte == b'\n')?;
        Some(self.raw.drain(..=end).collect())
    }

    /// Takes note of a line and readies it for the reader.
    fn hear(&mut self, raw: &[u8]) {
        let text = printable(raw);
        self.tell("S:", &text);
        self.line.extend_from_slice(text.as_bytes());
        if text.len() == 3 {
            // RFC 5321, section 4.2: a reply may come without the space that its grammar asks for.
            self.line.push(b' ');
        }
        self.line.extend_from_slice(b"\r\n");
        self.reply.push(text);
    }

    /// Tells the listener what was written.
    fn said(&mut self) {
        let written = mem::take(&mut self.written);
        match self.instead.take() {
            Some(instead) => self.tell("C:", &instead),
            None => {
                let text = String::from_utf8_lossy(&written);
                text.lines().filter(|line| !line.is_empty()).for_each(|line| self.tell("C:", line));
            }
        }
    }
}

/// A server's line as text that nothing obeys, without its end.
fn printable(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let shown = |c| match c {
        '\t' => ' ',
        c if c.is_control() || c == char::REPLACEMENT_CHARACTER => '?',
        c => c,
    };
    text.trim_end_matches(['\r', '\n']).chars().map(shown).collect()
}

impl AsyncRead for Wire {
    /// At most one line at a time: nothing that came in clear is in the reader's hand when TLS begins.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        let state = &mut *state;
        loop {
            if !state.line.is_empty() {
                let count = state.line.len().min(out.remaining());
                out.put_slice(&state.line[..count]);
                state.line.drain(..count);
                return Poll::Ready(Ok(()));
            }
            if let Some(raw) = state.next_line() {
                if state.reply.len() >= MAX_LINES {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "its reply has no end")));
                }
                state.hear(&raw);
                continue;
            }
            if state.raw.len() > MAX_LINE {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "a line of its reply has no end")));
            }
            let mut bytes = [0; 1024];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(match &mut state.socket {
                Socket::Plain(socket) => Pin::new(socket).poll_read(cx, &mut buffer),
                Socket::Encrypted(socket) => Pin::new(socket).poll_read(cx, &mut buffer),
                Socket::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            })?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            state.raw.extend_from_slice(buffer.filled());
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        state.reply.clear();
        let count = ready!(match &mut state.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::Encrypted(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        })?;
        if state.listener.is_some() {
            state.written.extend_from_slice(&bytes[..count]);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        ready!(match &mut state.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Encrypted(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Gone => Poll::Ready(Ok(())),
        })?;
        if !state.written.is_empty() {
            state.said();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state().socket {
            Socket::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Encrypted(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.state().socket {
            Socket::Plain(socket) => socket.peer_addr(),
            Socket::Encrypted(socket) => socket.get_ref().0.peer_addr(),
            Socket::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_from_a_server_is_text() {
        assert_eq!(printable(b"550 Empf\xe4nger\tunbekannt\x1b[2J\0\r\n"), "550 Empf?nger unbekannt?[2J?");
        assert_eq!(printable("250 grüß dich\n".as_bytes()), "250 grüß dich");
    }
}
