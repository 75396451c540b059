//! One conversation with a mail server (RFC 5321): greeted, encrypted, signed in, mails handed over.
//!
//! Every step has a time limit, and every way it can go wrong becomes a [`SendError`] that says which step it was and
//! what an operator can do. Only a refusal of the recipient or of the mail itself is for good: a wrong password or a
//! refused sender is the operator's to correct, and mails wait for it.

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lettre::transport::smtp;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Ehlo, Mail, Quit, Rcpt, Rset, Starttls};
use lettre::transport::smtp::extension::{ClientId, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::auth::{self, Mechanism};
use super::wire::{EncryptError, Listener, Wire};
use super::{Limits, Login, SmtpSettings, SmtpTls};
use crate::env::Resolver;
use crate::mail::SendError;
use crate::mail::transport::written::Written;
use crate::net::{ClientTls, HandshakeError};

/// The longest piece of a server's reply that an error repeats, characters.
const MAX_REPEATED: usize = 300;
/// The shortest piece of a link that is looked for in a reply, characters; a secret is much longer.
const SECRET_PIECE: usize = 12;

/// How servers are found and trusted.
pub(super) struct Way {
    pub resolver: Arc<dyn Resolver>,
    pub tls: ClientTls,
}

/// A conversation, ready for mails.
pub(super) struct Session {
    smtp: AsyncSmtpConnection,
    wire: Wire,
    limits: Limits,
    /// `host:port`, for errors.
    place: String,
    /// The last answer to EHLO.
    offers: Vec<String>,
    /// Mails handed over.
    pub sent: u32,
}

/// Where in the conversation something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Greeting,
    StartTls,
    Auth,
    Sender,
    Recipient,
    Data,
    Content,
    Reset,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Greeting => "the greeting",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Sender => "MAIL FROM",
            Self::Recipient => "RCPT TO",
            Self::Data => "DATA",
            Self::Content => "the mail",
            Self::Reset => "RSET",
        }
    }
}

impl Session {
    /// Connects, and goes as far as the first mail.
    pub async fn open(
        server: &SmtpSettings,
        way: &Way,
        limits: Limits,
        listener: Option<Listener>,
    ) -> Result<Self, SendError> {
        let place = format!("{}:{}", server.host, server.port);
        let socket = timeout(limits.connect, connect(server, way))
            .await
            .map_err(|_| later(format!("{place} does not answer: {}", within(limits.connect))))?
            .map_err(|error| later(format!("{place} cannot be reached: {error}; check mail.smtp.host and port")))?;
        let broken = |error: io::Error| later(format!("{place} cannot be reached: {error}"));
        // Commands are small and each waits for its answer.
        socket.set_nodelay(true).map_err(broken)?;
        let (peer, own) = (socket.peer_addr().map_err(broken)?, socket.local_addr().map_err(broken)?);
        if server.tls == SmtpTls::None && !peer.ip().is_loopback() {
            let reason =
                format!("{} is {peer}, not this machine: mail is not sent in clear over a network", server.host);
            return Err(later(format!("{reason}; set mail.smtp.tls")));
        }
        let wire = Wire::new(socket, listener);
        wire.remark(&format!("connected to {peer}"));
        if server.tls == SmtpTls::Implicit {
            encrypt(&wire, server, &way.tls, limits).await?;
        }
        let hello = hello(server.helo_name.as_deref(), own.ip());
        let greeting = AsyncSmtpConnection::connect_with_transport(Box::new(wire.clone()), &hello);
        let smtp = match timeout(limits.step, greeting).await {
            Ok(Ok(smtp)) => smtp,
            Ok(Err(error)) => return Err(fault(&place, Step::Greeting, &error, &[])),
            Err(_) => return Err(late(&place, Step::Greeting, limits.step)),
        };
        let offers = wire.reply();
        let mut session = Self { smtp, wire, limits, place, offers, sent: 0 };
        if server.tls == SmtpTls::StartTls {
            session.start_tls(server, &way.tls, &hello).await?;
        }
        if let Some(login) = &server.login {
            session.sign_in(login, server.tls != SmtpTls::None).await?;
        }
        Ok(session)
    }

    /// What was said before TLS counts for nothing afterwards (RFC 3207, section 4.2).
    async fn start_tls(&mut self, server: &SmtpSettings, tls: &ClientTls, hello: &ClientId) -> Result<(), SendError> {
        if !self.offers("STARTTLS") {
            return Err(later(format!(
                "{} does not offer STARTTLS, and mail is not sent in clear: set mail.smtp.tls = \"tls\" (port 465) if \
                 it speaks TLS from the start",
                self.place
            )));
        }
        self.command(Step::StartTls, Starttls).await?;
        encrypt(&self.wire, server, tls, self.limits).await?;
        self.command(Step::StartTls, Ehlo::new(hello.clone())).await?;
        self.offers = self.wire.reply();
        Ok(())
    }

    async fn sign_in(&mut self, login: &Login, encrypted: bool) -> Result<(), SendError> {
        let Some(mechanism) = Mechanism::choose(&self.offers, encrypted) else {
            return Err(later(format!(
                "{} offers no sign-in that a password is good for (PLAIN, LOGIN or CRAM-MD5): remove \
                 mail.smtp.username, or choose another port or mail.smtp.tls",
                self.place
            )));
        };
        let first = format!("AUTH {}", mechanism.name());
        match mechanism {
            Mechanism::Plain => {
                let (response, shown) = (auth::plain(login), format!("{first} …"));
                self.secret(&format!("{first} {}", response.as_str()), &shown).await?;
            }
            Mechanism::Login => {
                self.command(Step::Auth, format!("{first}\r\n")).await?;
                for answer in auth::login(login) {
                    self.secret(&answer, "…").await?;
                }
            }
            Mechanism::CramMd5 => {
                let challenge = self.command(Step::Auth, format!("{first}\r\n")).await?;
                let Some(answer) = auth::cram_md5(login, challenge.first_line().unwrap_or_default()) else {
                    return Err(later(format!("{} asks for CRAM-MD5 with a challenge that is no Base64", self.place)));
                };
                self.secret(&answer, "…").await?;
            }
        }
        Ok(())
    }

    /// Sends a line of the sign-in, of which a listener hears `shown`.
    async fn secret(&mut self, line: &str, shown: &str) -> Result<Response, SendError> {
        self.wire.instead(shown);
        self.command(Step::Auth, zeroize::Zeroizing::new(format!("{line}\r\n")).as_str()).await
    }

    /// Hands a mail over; what the server said to it. After an error the conversation is over.
    ///
    /// `secrets` are in the mail, and not to be repeated should the server quote them.
    pub async fn submit(&mut self, mail: &Written, secrets: &[String]) -> Result<String, SendError> {
        let mut parameters = Vec::new();
        if mail.needs_utf8() {
            if !self.offers("SMTPUTF8") {
                return Err(SendError::Never(format!(
                    "the address has letters beyond ASCII before its @, which {} does not take (it does not offer \
                     SMTPUTF8, RFC 6531)",
                    self.place
                )));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !mail.content.is_ascii() {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        self.command(Step::Sender, Mail::new(Some(mail.from.clone()), parameters)).await?;
        self.command(Step::Recipient, Rcpt::new(mail.to.clone(), Vec::new())).await?;
        let go_on = self.command(Step::Data, Data).await?;
        if go_on.code().severity != Severity::PositiveIntermediate {
            return Err(later(format!("{} answers DATA with {}", self.place, self.repeated(secrets))));
        }
        self.wire.instead(&format!("(the mail, {} bytes)", mail.content.len()));
        let content = mail.content.strip_suffix(b"\r\n").unwrap_or(&mail.content);
        let taken = match timeout(self.limits.content, self.smtp.message(content)).await {
            Ok(taken) => taken.map_err(|error| fault(&self.place, Step::Content, &error, secrets))?,
            Err(_) => return Err(late(&self.place, Step::Content, self.limits.content)),
        };
        if taken.code().severity != Severity::PositiveCompletion {
            return Err(later(format!("{} answers the mail with {}", self.place, self.repeated(secrets))));
        }
        self.sent += 1;
        Ok(self.repeated(secrets))
    }

    /// Tells it from other conversations, and from itself before the last mail.
    pub fn id(&self) -> (usize, u32) {
        (self.wire.address(), self.sent)
    }

    /// Whether the server is still there and ready for another mail.
    pub async fn is_ready(&mut self) -> bool {
        self.command(Step::Reset, Rset).await.is_ok()
    }

    /// Says goodbye; whether it is heard matters to nobody.
    pub async fn quit(mut self) {
        let _ = timeout(self.limits.step, self.smtp.command(Quit)).await;
    }

    fn offers(&self, extension: &str) -> bool {
        let keyword = |line: &str| line.get(4..).and_then(|rest| rest.split([' ', '=']).next()).map(str::to_owned);
        self.offers.iter().skip(1).filter_map(|line| keyword(line)).any(|name| name.eq_ignore_ascii_case(extension))
    }

    async fn command(&mut self, step: Step, command: impl Display) -> Result<Response, SendError> {
        match timeout(self.limits.step, self.smtp.command(command)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(fault(&self.place, step, &error, &[])),
            Err(_) => Err(late(&self.place, step, self.limits.step)),
        }
    }

    fn repeated(&self, secrets: &[String]) -> String {
        safe(&self.wire.reply().join(" "), secrets)
    }
}

/// How we introduce ourselves: by name, else by the address we call from (RFC 5321, section 4.1.4).
fn hello(name: Option<&str>, own: IpAddr) -> ClientId {
    match (name, own) {
        (Some(name), _) => ClientId::Domain(name.to_owned()),
        (None, IpAddr::V4(ip)) => ClientId::Ipv4(ip),
        (None, IpAddr::V6(ip)) => ip.to_ipv4_mapped().map_or(ClientId::Ipv6(ip), ClientId::Ipv4),
    }
}

/// A connection to the first address that takes one.
async fn connect(server: &SmtpSettings, way: &Way) -> io::Result<TcpStream> {
    let (resolver, host) = (Arc::clone(&way.resolver), server.host.clone());
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => tokio::task::spawn_blocking(move || resolver.lookup(&host)).await.map_err(io::Error::other)??,
    };
    let addresses: Vec<SocketAddr> = addresses.into_iter().map(|ip| (ip, server.port).into()).collect();
    TcpStream::connect(addresses.as_slice()).await
}

async fn encrypt(wire: &Wire, server: &SmtpSettings, tls: &ClientTls, limits: Limits) -> Result<(), SendError> {
    let place = format!("{}:{}", server.host, server.port);
    let begun = timeout(limits.step, wire.encrypt(tls, &server.host)).await;
    let advice = match begun {
        Ok(Ok(())) => return Ok(()),
        Err(_) => format!("TLS does not begin: {}; does the port fit mail.smtp.tls?", within(limits.step)),
        Ok(Err(EncryptError::Injected)) => format!("TLS does not begin: {}", EncryptError::Injected),
        Ok(Err(EncryptError::Handshake(HandshakeError::Certificate(reason)))) => format!(
            "its certificate is not accepted: {reason}; correct mail.smtp.host, or name the authority it is from in \
             mail.smtp.ca_file"
        ),
        Ok(Err(EncryptError::Handshake(error))) => {
            format!("TLS does not begin: {error}; does the port fit mail.smtp.tls?")
        }
    };
    Err(later(format!("{place}: {advice}")))
}

/// What a failed step means.
fn fault(place: &str, step: Step, error: &smtp::Error, secrets: &[String]) -> SendError {
    let Some(code) = error.status().map(u16::from) else {
        return later(broken(place, step, error));
    };
    // Not what the wire heard last: lettre may have said QUIT since.
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let said = safe(&format!("{code} {text}"), secrets);
    // 530, 534, 535, 538: the server wants a sign-in, or another one (RFC 4954, section 6).
    let wants_sign_in = matches!(code, 530 | 534 | 535 | 538);
    match step {
        // Not repeated: some servers quote what they could not make out, which here is the password.
        Step::Auth => {
            later(format!("{place} refuses the sign-in ({code}): check mail.smtp.username and mail.smtp.password"))
        }
        _ if wants_sign_in => later(format!(
            "{place} wants a sign-in first (\"{said}\"): check mail.smtp.username and mail.smtp.password"
        )),
        Step::Recipient | Step::Data | Step::Content if code >= 500 => {
            SendError::Never(format!("{place} refuses {}: \"{said}\"", step.name()))
        }
        Step::Sender if code >= 500 => later(format!(
            "{place} refuses the sender: \"{said}\"; check mail.from, and whether {place} lets you send as that"
        )),
        _ => later(format!("{place} answers {} with \"{said}\"", step.name())),
    }
}

fn broken(place: &str, step: Step, error: &smtp::Error) -> String {
    let mut source = std::error::Error::source(error);
    let mut reason = String::new();
    while let Some(inner) = source {
        reason = inner.to_string();
        source = inner.source();
    }
    match reason.as_str() {
        // lettre's words for the end of the stream.
        "incomplete response" => format!("{place} closed the connection at {}", step.name()),
        _ if error.is_response() => format!("{place} answers {} with what is not SMTP", step.name()),
        _ => format!("the connection to {place} broke at {}: {reason}", step.name()),
    }
}

fn late(place: &str, step: Step, limit: Duration) -> SendError {
    later(format!("{place} does not answer {}: {}", step.name(), within(limit)))
}

fn within(limit: Duration) -> String {
    format!("nothing for {} s", limit.as_secs_f32())
}

fn later(reason: String) -> SendError {
    SendError::Later(reason)
}

/// A server's words, short, without what it may have quoted from the mail.
fn safe(said: &str, secrets: &[String]) -> String {
    let text = secrets.iter().fold(said.trim().to_owned(), |text, secret| text.replace(secret, "…"));
    match text.char_indices().nth(MAX_REPEATED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What of a mail must not be in an error or a log: its code, and the pieces of its link and its ticket that nobody could
/// guess.
pub(super) fn secrets_of(message: &crate::mail::Message) -> Vec<String> {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let tickets = message.headers.iter().filter(|(name, _)| name == "X-Ticket").map(|(_, value)| value);
    let pieces = message.link.iter().chain(tickets).flat_map(|text| text.split(|c| !is_inside(c)));
    let pieces = pieces.filter(|piece| piece.len() >= SECRET_PIECE).map(str::to_owned);
    pieces.chain(message.code.clone().filter(|code| !code.is_empty())).collect()
}
