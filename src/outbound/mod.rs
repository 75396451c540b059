//! The one HTTP client: every call Keystead makes to others goes through here. Webhooks, mail over HTTP, bot
//! checks, leaked passwords.
//!
//! | file | what it holds |
//! |---|---|
//! | `target` | a URL that may be called, parsed |
//! | `signature` | signatures by which a receiver knows a call for ours |
//! | `guard` | which addresses may be connected to, decided after the name was resolved (against SSRF) |
//! | `error` | why a call failed, and whether it may work later |
//!
//! What holds for every call, whoever makes it: TLS verified against the Mozilla roots and `outbound.ca_file`; plain
//! http and addresses outside the public internet only where `outbound.allow` names them; no proxy from the
//! environment, no redirect, no cookie, no decompression; one limit for the time of the whole call and one for the bytes
//! of the answer; a bounded number of calls in flight, of which one host has only a part.

mod error;
mod guard;
mod signature;
mod target;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use ipnet::IpNet;
use reqwest::{Url, redirect};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::env::Env;
pub use error::CallError;
use guard::{GuardedResolver, Reach};
pub use signature::SigningKey;
pub use target::Target;

/// Calls in flight; further ones wait, within their own time limit.
const IN_FLIGHT: usize = 128;
/// Calls in flight to one host; further ones are refused at once, so that one slow host cannot take all places.
const IN_FLIGHT_TO_HOST: usize = 32;
/// Names being looked up. A lookup cannot be called off, so it keeps its place until the system gives up.
const LOOKUPS: usize = 32;
/// How long a connection may take to come about, TLS apart.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);
/// Header lines of an answer.
const MAX_HEADERS: usize = 64;
/// Bytes of an answer's headers over HTTP/2.
const MAX_HEADER_BYTES: u32 = 32 * 1024;

/// Whom Keystead may call, and whom it believes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Networks that may be called although they are not of the public internet, in plain http too.
    pub allow: Vec<IpNet>,
    /// Further authorities to trust, as PEM.
    pub ca_file: Option<PathBuf>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file of further authorities cannot be used.
    #[error("{}: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The libraries refused the configuration.
    #[error("outbound: {0}")]
    Client(String),
}

/// The client. Clones share connections and limits.
#[derive(Clone)]
pub struct Outbound(Arc<Inner>);

struct Inner {
    env: Env,
    clients: ArcSwap<Clients>,
    places: Semaphore,
    lookups: Arc<Semaphore>,
    /// Calls in flight by host; a host without any is not in it.
    by_host: Mutex<HashMap<String, usize>>,
}

/// A policy about to be put in force.
pub struct Prepared(Clients);

/// What one policy makes: the two differ in which addresses they may connect to.
struct Clients {
    encrypted: Guarded,
    plain: Guarded,
}

struct Guarded {
    client: reqwest::Client,
    reach: Arc<Reach>,
}

/// A POST about to be made.
pub struct Call<'a> {
    /// Where to.
    pub target: &'a Target,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
    /// How long all of it may take, the answer's body included.
    pub time_limit: Duration,
    /// How many bytes of the answer's body are read.
    pub answer_limit: usize,
}

/// What came back, with any status.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, or its beginning: see [`Answer::whole`].
    pub body: Vec<u8>,
    end: End,
}

/// How the reading of a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    /// There is more than was asked for.
    TooLarge,
    /// The connection or the time ended first.
    Cut,
}

impl Outbound {
    /// A client under `policy`; the clock and the name resolution are those of `env`.
    ///
    /// # Errors
    /// When `ca_file` cannot be read or holds no certificate.
    pub fn new(env: &Env, policy: &Policy) -> Result<Self, SetupError> {
        let lookups = Arc::new(Semaphore::new(LOOKUPS));
        let clients = Clients::new(env, policy, &lookups)?;
        Ok(Self(Arc::new(Inner {
            env: env.clone(),
            clients: ArcSwap::from_pointee(clients),
            places: Semaphore::new(IN_FLIGHT),
            lookups,
            by_host: Mutex::default(),
        })))
    }

    /// Makes ready for another policy, which [`Outbound::adopt`] puts in force.
    ///
    /// # Errors
    /// As [`Outbound::new`].
    pub fn prepare(&self, policy: &Policy) -> Result<Prepared, SetupError> {
        Clients::new(&self.0.env, policy, &self.0.lookups).map(Prepared)
    }

    /// Puts a policy in force for the calls that begin from now on; no connection made before is used again.
    pub fn adopt(&self, prepared: Prepared) {
        self.0.clients.store(Arc::new(prepared.0));
    }

    /// Makes the call. Every status is an answer, a redirect too.
    ///
    /// # Errors
    /// [`CallError`] says whether it may work later.
    pub async fn post(&self, call: Call<'_>) -> Result<Answer, CallError> {
        let Call { target, content_type, headers, body, time_limit, answer_limit } = call;
        let request = |client: &reqwest::Client, url| client.post(url).header("content-type", content_type).body(body);
        self.exchange(target, headers, time_limit, answer_limit, request).await
    }

    /// Asks `target`, with further `headers`. The limits are those of a [`Call`].
    ///
    /// # Errors
    /// As [`Outbound::post`].
    pub async fn get(
        &self,
        target: &Target,
        headers: Vec<(&'static str, String)>,
        time_limit: Duration,
        answer_limit: usize,
    ) -> Result<Answer, CallError> {
        self.exchange(target, headers, time_limit, answer_limit, reqwest::Client::get).await
    }

    async fn exchange(
        &self,
        target: &Target,
        headers: Vec<(&'static str, String)>,
        time_limit: Duration,
        answer_limit: usize,
        request: impl FnOnce(&reqwest::Client, Url) -> reqwest::RequestBuilder,
    ) -> Result<Answer, CallError> {
        let deadline = Instant::now() + time_limit;
        let clients = self.0.clients.load_full();
        let guarded = if target.is_plain() { &clients.plain } else { &clients.encrypted };
        // A literal address is never resolved, so the resolver's guard would not see it.
        if let Some(address) = target.address() {
            guarded.reach.check(address).map_err(CallError::Forbidden)?;
        }
        let _part = self.take_part(target.host()).ok_or(CallError::Busy)?;
        let _place = timeout_at(deadline, self.0.places.acquire()).await.map_err(|_| CallError::Busy)?;
        let mut request = request(&guarded.client, target.url().clone());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = timeout_at(deadline, request.send()).await.map_err(|_| CallError::TimedOut)?;
        let mut response = response.map_err(CallError::of)?;
        let mut answer = Answer { status: response.status().as_u16(), body: Vec::new(), end: End::Whole };
        // The status is known: whatever becomes of the body, it counts.
        loop {
            match timeout_at(deadline, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    let room = answer_limit - answer.body.len();
                    answer.body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                    if chunk.len() > room {
                        answer.end = End::TooLarge;
                        break;
                    }
                }
                Ok(Ok(None)) => break,
                Ok(Err(_)) | Err(_) => {
                    answer.end = End::Cut;
                    break;
                }
            }
        }
        Ok(answer)
    }

    /// A part of what one host may have in flight, given back when dropped.
    fn take_part(&self, host: &str) -> Option<Part<'_>> {
        let mut by_host = self.0.by_host.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = by_host.entry(host.to_owned()).or_default();
        if *taken >= IN_FLIGHT_TO_HOST {
            return None;
        }
        *taken += 1;
        Some(Part { by_host: &self.0.by_host, host: host.to_owned() })
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbound")
    }
}

impl<'a> Call<'a> {
    /// A form (`application/x-www-form-urlencoded`), with an answer of at most `answer_limit` bytes.
    pub fn form(target: &'a Target, fields: &[(&str, &str)], time_limit: Duration, answer_limit: usize) -> Self {
        let content_type = "application/x-www-form-urlencoded";
        Self { target, content_type, headers: Vec::new(), body: target::form(fields).into(), time_limit, answer_limit }
    }
}

impl Answer {
    /// Whether the status is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body, when all of it is there.
    ///
    /// # Errors
    /// When it was longer than the limit, or cut.
    pub fn whole(&self) -> Result<&[u8], CallError> {
        match self.end {
            End::Whole => Ok(&self.body),
            End::TooLarge => Err(CallError::AnswerTooLarge),
            End::Cut => Err(CallError::Broken("the answer was cut".into())),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Another server's words are nothing for a log.
        f.debug_struct("Answer").field("status", &self.status).field("end", &self.end).finish_non_exhaustive()
    }
}

struct Part<'a> {
    by_host: &'a Mutex<HashMap<String, usize>>,
    host: String,
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        let mut by_host = self.by_host.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = by_host.get_mut(&self.host) {
            *taken -= 1;
            if *taken == 0 {
                by_host.remove(&self.host);
            }
        }
    }
}

impl Clients {
    fn new(env: &Env, policy: &Policy, lookups: &Arc<Semaphore>) -> Result<Self, SetupError> {
        let tls = tls(env, policy.ca_file.as_deref())?;
        let guarded = |plain: bool| {
            let reach = Arc::new(Reach::new(policy.allow.clone(), plain));
            let resolver = GuardedResolver::new(Arc::clone(&reach), Arc::clone(&env.resolver), Arc::clone(lookups));
            let client = client(tls.clone(), resolver).map_err(|error| SetupError::Client(error.to_string()))?;
            Ok(Guarded { client, reach })
        };
        Ok(Self { encrypted: guarded(false)?, plain: guarded(true)? })
    }
}

fn client(tls: ClientConfig, resolver: GuardedResolver) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(resolver)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .user_agent(concat!("keystead/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_WITHIN)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(2)
        .http1_max_headers(MAX_HEADERS)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        // One HTTP/2 connection carries all calls to a host: a dead one must be noticed.
        .http2_keep_alive_interval(Duration::from_secs(10))
        .http2_keep_alive_timeout(CONNECT_WITHIN)
        .build()
}

/// Whom calls to others believe: the Mozilla roots, which are built in (a container may have none of its own), and the
/// authorities in the PEM file `ca_file`.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn tls(env: &Env, ca_file: Option<&Path>) -> Result<ClientConfig, SetupError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        let refused = |reason: String| SetupError::CaFile { path: path.to_owned(), reason };
        let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
        let mut found = 0;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| refused(format!("not a PEM file: {error}")))?;
            roots.add(certificate).map_err(|error| refused(error.to_string()))?;
            found += 1;
        }
        if found == 0 {
            return Err(refused("there is no certificate inside".into()));
        }
    }
    let mut config = ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(EnvTime(env.clone())))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| SetupError::Client(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// By the clock of [`Env`], certificates begin and end.
#[derive(Debug)]
struct EnvTime(Env);

impl TimeProvider for EnvTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.now().millis())))
    }
}
