//! A mail server for tests: takes what it is given, remembers it byte for byte, and goes wrong where it is told to.
//!
//! It speaks SMTP on a free port of this machine, with a certificate from an authority of its own. It never goes on by
//! itself after a fault that stops it: [`Fault::Silence`] holds the connection until the client gives up.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;

/// How long anything may take before a test is called broken.
const PATIENCE: Duration = Duration::from_secs(60);
/// The only account there is.
pub const USERNAME: &str = "shop";
/// Its password.
pub const PASSWORD: &str = "pässword with a space";
/// What is asked with CRAM-MD5: RFC 2195's own challenge.
const CHALLENGE: &str = "<1896.697170952@postoffice.reston.mci.net>";
/// HMAC-MD5 of the challenge under the password, as Python's `hmac` computes it.
const DIGEST: &str = "fd6513f4162838931acb97154be5606a";

/// Where in the conversation a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Instead of the greeting.
    Greeting,
    /// After EHLO, the first.
    Hello,
    /// After STARTTLS.
    StartTls,
    /// After the handshake, at the second EHLO.
    HelloAgain,
    /// After AUTH.
    Auth,
    /// After MAIL FROM.
    Sender,
    /// After RCPT TO.
    Recipient,
    /// After DATA.
    Data,
    /// In the middle of the mail: after its first line.
    Middle,
    /// After the whole mail.
    End,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This reply, without its line end, instead of the right one.
    Reply(Vec<u8>),
    /// Nothing more, on a connection that stays open.
    Silence,
    /// The connection is closed.
    Hangup,
}

impl Fault {
    pub fn reply(text: &str) -> Self {
        Self::Reply(text.into())
    }
}

/// What the server is like. The default is a friendly one with STARTTLS and every mechanism.
#[derive(Clone)]
pub struct Manner {
    /// TLS from the first byte.
    pub implicit: bool,
    /// Offers STARTTLS.
    pub starttls: bool,
    /// The mechanisms it offers, after STARTTLS (or at once when it is not offered). Empty: anybody may send.
    pub auth: &'static str,
    /// Offers SMTPUTF8 and 8BITMIME.
    pub utf8: bool,
    /// What its certificate names.
    pub name: &'static str,
    /// What goes wrong, and where.
    pub fault: Option<(At, Fault)>,
    /// Ends a connection after so many mails, as busy servers do.
    pub mails_each: usize,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            implicit: false,
            starttls: true,
            auth: "",
            utf8: false,
            name: "localhost",
            fault: None,
            mails_each: usize::MAX,
        }
    }
}

/// A mail as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The parameter of MAIL FROM.
    pub from: String,
    /// The parameter of RCPT TO.
    pub to: String,
    /// What came after DATA, dots still doubled, up to and without the line with the dot.
    pub raw: Vec<u8>,
    /// By which mechanism the sender signed in.
    pub signed_in: Option<String>,
    /// Whether the connection was encrypted.
    pub encrypted: bool,
    /// The number of the connection, from 1.
    pub connection: usize,
}

impl Received {
    /// The mail as it was written, dots undone.
    pub fn text(&self) -> String {
        let raw = String::from_utf8(self.raw.clone()).expect("our mails are text");
        let undone = raw.split("\r\n").map(|line| line.strip_prefix('.').unwrap_or(line));
        undone.collect::<Vec<_>>().join("\r\n")
    }

    /// The value of its `Message-ID`.
    pub fn message_id(&self) -> String {
        let text = self.text();
        let line = text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).expect("a Message-ID");
        line.to_owned()
    }
}

/// The server.
pub struct Sink {
    address: SocketAddr,
    ca: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    manner: Mutex<Manner>,
    acceptor: TlsAcceptor,
    received: watch::Sender<Vec<Received>>,
    connections: watch::Sender<usize>,
    commands: Mutex<Vec<String>>,
    /// How often a fault struck.
    struck: watch::Sender<usize>,
}

impl Sink {
    /// One of this manner, on a port of its own.
    pub async fn start(manner: Manner) -> Self {
        let (ca, acceptor) = certificate(manner.name);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            acceptor,
            received: watch::Sender::default(),
            connections: watch::Sender::default(),
            commands: Mutex::default(),
            struck: watch::Sender::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, ca, shared, _tasks: tasks }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The certificate of its authority, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca
    }

    /// From now on it is like this, for connections that come.
    pub fn behave(&self, change: impl FnOnce(&mut Manner)) {
        change(&mut self.shared.manner.lock().expect("no panic under this lock"));
    }

    /// What came so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.borrow().clone()
    }

    /// Waits until so many mails have come; all.
    pub async fn mails(&self, count: usize) -> Vec<Received> {
        let mut received = self.shared.received.subscribe();
        let waited = tokio::time::timeout(PATIENCE, received.wait_for(|mails| mails.len() >= count)).await;
        waited.expect("so many mails in time").expect("the sink lives").clone()
    }

    /// How many connections came so far.
    pub fn connections(&self) -> usize {
        *self.shared.connections.borrow()
    }

    /// How often a fault struck so far.
    pub fn struck(&self) -> usize {
        *self.shared.struck.borrow()
    }

    /// Waits until a fault has struck so often.
    pub async fn strikes(&self, count: usize) {
        let mut struck = self.shared.struck.subscribe();
        let waited = tokio::time::timeout(PATIENCE, struck.wait_for(|struck| *struck >= count)).await;
        waited.expect("a fault in time").expect("the sink lives");
    }

    /// Every line a client sent, but for the mails and the handshakes.
    pub fn commands(&self) -> Vec<String> {
        self.shared.commands.lock().expect("no panic under this lock").clone()
    }
}

/// A port on which nobody listens.
pub async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}

fn certificate(name: &str) -> (String, TlsAcceptor) {
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).expect("a certificate").pem();
    let key = KeyPair::generate().expect("a key");
    let own = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let own = own.signed_by(&key, &Issuer::new(ca, ca_key)).expect("a certificate");
    let chain = vec![CertificateDer::from(own.der().to_vec())];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has suites")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate with its key");
    (ca_pem, TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut all = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let manner = shared.manner.lock().expect("no panic under this lock").clone();
        let mut number = 0;
        shared.connections.send_modify(|connections| {
            *connections += 1;
            number = *connections;
        });
        let guest = Guest { shared: Arc::clone(&shared), manner, number, ..Guest::new(&shared) };
        // A client that goes away ends its conversation, not the server.
        all.spawn(async move {
            let _ = guest.serve(socket).await;
        });
    }
}

/// One connection.
struct Guest {
    shared: Arc<Shared>,
    manner: Manner,
    number: usize,
    encrypted: bool,
    signed_in: Option<String>,
    from: String,
    to: String,
    mails: usize,
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

/// What comes after a command.
enum Next {
    Go,
    Encrypt,
    End,
}

impl Guest {
    fn new(shared: &Arc<Shared>) -> Self {
        let manner = Manner::default();
        let (from, to) = (String::new(), String::new());
        Self { shared: Arc::clone(shared), manner, number: 0, encrypted: false, signed_in: None, from, to, mails: 0 }
    }

    async fn serve(mut self, socket: TcpStream) -> io::Result<()> {
        if self.manner.implicit {
            let socket = self.shared.acceptor.clone().accept(socket).await?;
            self.encrypted = true;
            let mut stream = BufStream::new(socket);
            self.greet(&mut stream).await?;
            return self.talk(&mut stream).await.map(|_| ());
        }
        let mut stream = BufStream::new(socket);
        self.greet(&mut stream).await?;
        if self.talk(&mut stream).await? {
            let socket = self.shared.acceptor.clone().accept(stream.into_inner()).await?;
            self.encrypted = true;
            self.talk(&mut BufStream::new(socket)).await?;
        }
        Ok(())
    }

    async fn greet(&self, stream: &mut BufStream<impl Socket>) -> io::Result<()> {
        self.say(stream, At::Greeting, "220 sink.example ESMTP").await
    }

    /// Until the end, or until TLS begins: then true.
    async fn talk(&mut self, stream: &mut BufStream<impl Socket>) -> io::Result<bool> {
        while let Some(line) = self.line(stream).await? {
            match self.obey(stream, &line).await? {
                Next::Go => {}
                Next::Encrypt => return Ok(true),
                Next::End => return Ok(false),
            }
        }
        Ok(false)
    }

    async fn obey(&mut self, stream: &mut BufStream<impl Socket>, line: &str) -> io::Result<Next> {
        let (verb, rest) = line.split_once([' ', ':']).unwrap_or((line, ""));
        match verb {
            "EHLO" => {
                let at = if self.encrypted && !self.manner.implicit { At::HelloAgain } else { At::Hello };
                self.say(stream, at, &self.offers()).await?;
            }
            "STARTTLS" => {
                self.say(stream, At::StartTls, "220 go on").await?;
                return Ok(Next::Encrypt);
            }
            "AUTH" => self.auth(stream, rest).await?,
            "MAIL" if !self.manner.auth.is_empty() && self.signed_in.is_none() => {
                self.say(stream, At::Sender, "530 5.7.0 Authentication required").await?;
            }
            "MAIL" => {
                self.from = rest.trim_start_matches("FROM:").to_owned();
                self.say(stream, At::Sender, "250 2.1.0 Ok").await?;
            }
            "RCPT" => {
                self.to = rest.trim_start_matches("TO:").to_owned();
                self.say(stream, At::Recipient, "250 2.1.5 Ok").await?;
            }
            "DATA" => {
                self.say(stream, At::Data, "354 End data with <CR><LF>.<CR><LF>").await?;
                if self.take(stream).await? && self.mails >= self.manner.mails_each {
                    return Ok(Next::End);
                }
            }
            "RSET" | "NOOP" => self.write(stream, "250 2.0.0 Ok").await?,
            "QUIT" => {
                self.write(stream, "221 2.0.0 Bye").await?;
                return Ok(Next::End);
            }
            _ => self.write(stream, "500 5.5.2 unknown").await?,
        }
        Ok(Next::Go)
    }

    fn offers(&self) -> String {
        let mut lines = vec!["sink.example", "SIZE 1000000"];
        let auth = format!("AUTH {}", self.manner.auth);
        let open = self.encrypted || !self.manner.starttls;
        if open && !self.manner.auth.is_empty() {
            lines.push(&auth);
        }
        if !self.encrypted && self.manner.starttls {
            lines.push("STARTTLS");
        }
        if self.manner.utf8 {
            lines.extend(["8BITMIME", "SMTPUTF8"]);
        }
        lines.push("HELP");
        let (last, others) = lines.split_last().expect("never empty");
        others.iter().map(|line| format!("250-{line}\r\n")).collect::<String>() + "250 " + last
    }

    async fn auth(&mut self, stream: &mut BufStream<impl Socket>, rest: &str) -> io::Result<()> {
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let decode = |text: &str| String::from_utf8(STANDARD.decode(text).unwrap_or_default()).unwrap_or_default();
        let right = match mechanism {
            "PLAIN" => decode(initial) == format!("\0{USERNAME}\0{PASSWORD}"),
            "LOGIN" => {
                let mut answers = Vec::new();
                for question in ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"] {
                    self.write(stream, &format!("334 {question}")).await?;
                    answers.push(decode(&self.line(stream).await?.unwrap_or_default()));
                }
                answers == [USERNAME, PASSWORD]
            }
            "CRAM-MD5" => {
                self.write(stream, &format!("334 {}", STANDARD.encode(CHALLENGE))).await?;
                let answer = decode(&self.line(stream).await?.unwrap_or_default());
                answer == format!("{USERNAME} {DIGEST}")
            }
            _ => false,
        };
        if right {
            self.signed_in = Some(mechanism.to_owned());
            self.say(stream, At::Auth, "235 2.7.0 welcome").await
        } else {
            self.say(stream, At::Auth, "535 5.7.8 wrong").await
        }
    }

    /// Takes a mail up to its dot.
    async fn take(&mut self, stream: &mut BufStream<impl Socket>) -> io::Result<bool> {
        let mut raw = Vec::new();
        while !raw.ends_with(b"\r\n.\r\n") {
            let before = raw.len();
            if stream.read_until(b'\n', &mut raw).await? == 0 {
                return Ok(false);
            }
            if before == 0 && matches!(self.manner.fault, Some((At::Middle, _))) {
                self.say(stream, At::Middle, "").await?;
            }
        }
        raw.truncate(raw.len() - b".\r\n".len());
        if !matches!(self.manner.fault, Some((At::End, Fault::Reply(_)))) {
            let mail = Received {
                from: self.from.clone(),
                to: self.to.clone(),
                raw,
                signed_in: self.signed_in.clone(),
                encrypted: self.encrypted,
                connection: self.number,
            };
            self.shared.received.send_modify(|received| received.push(mail));
        }
        self.mails += 1;
        self.say(stream, At::End, "250 2.0.0 Ok: queued").await?;
        Ok(true)
    }

    async fn line(&self, stream: &mut BufStream<impl Socket>) -> io::Result<Option<String>> {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let line = line.trim_end_matches(['\r', '\n']).to_owned();
        self.shared.commands.lock().expect("no panic under this lock").push(line.clone());
        Ok(Some(line))
    }

    /// Says `right`, unless something goes wrong here.
    async fn say(&self, stream: &mut BufStream<impl Socket>, at: At, right: &str) -> io::Result<()> {
        let fault = match &self.manner.fault {
            Some((place, fault)) if *place == at => fault,
            _ => return self.write(stream, right).await,
        };
        self.shared.struck.send_modify(|struck| *struck += 1);
        match fault {
            Fault::Reply(reply) => {
                stream.write_all(reply).await?;
                self.write(stream, "").await
            }
            Fault::Silence => {
                // Whatever the client still sends, until it goes.
                let mut rest = [0; 4096];
                while stream.read(&mut rest).await? > 0 {}
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Fault::Hangup => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    async fn write(&self, stream: &mut BufStream<impl Socket>, line: &str) -> io::Result<()> {
        stream.write_all(line.as_bytes()).await?;
        stream.write_all(b"\r\n").await?;
        stream.flush().await
    }
}
