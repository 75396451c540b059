//! One order, from the account to the chain.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Error, ExternalAccountKey, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::client::client;
use super::http01::{self, Answers};
use crate::config::Acme as AcmeSettings;
use crate::env::Env;
use crate::net::{self, CertificateFileError, Tls, TlsError, write_private_file};
use crate::outbound::SetupError;

/// How long the server may take to look at the proofs, and to make the certificate.
const PATIENCE: Duration = Duration::from_secs(120);
const POLLS: RetryPolicy = RetryPolicy::new().timeout(PATIENCE);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    /// The server could not be reached, or refused.
    #[error("the ACME server: {0}")]
    Server(#[from] Error),
    /// It looked for the proof of a name and did not find it.
    #[error("{name} could not be proved: {reason}")]
    NotProved {
        /// The name.
        name: String,
        /// What the server saw.
        reason: String,
    },
    /// It offers no challenge that can be answered here.
    #[error("the ACME server offers no {0} challenge for {1}")]
    NoChallenge(&'static str, String),
    /// It did not come to an end.
    #[error("the ACME server took too long")]
    TookTooLong,
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The HTTP client cannot be made.
    #[error("no HTTP client: {0}")]
    Client(String),
    /// Whom to trust cannot be read.
    #[error(transparent)]
    Trust(#[from] SetupError),
    /// The request for a certificate, or the answer to a challenge, cannot be made.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The request for a certificate cannot be made.
    #[error("the request for a certificate cannot be made: {0}")]
    Request(#[from] rcgen::Error),
    /// The server's certificate is none.
    #[error("what the ACME server gave cannot be served: {0}")]
    Certificate(#[from] CertificateFileError),
}

/// The key and the chain as PEM, for the names of `settings`.
pub(super) async fn certificate(
    env: &Env,
    settings: &AcmeSettings,
    home: &Path,
    tls: &Tls,
    http01: Option<&Answers>,
) -> Result<String, OrderError> {
    let names: Vec<Identifier> = settings.domains.iter().cloned().map(Identifier::Dns).collect();
    let account = account(env, settings, home).await?;
    let mut order = match account.new_order(&NewOrder::new(&names)).await {
        // The server has forgotten the account (a test server does at each start): it gets to know us anew.
        Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(UNKNOWN_ACCOUNT) => {
            let file = home.join(ACCOUNT);
            std::fs::remove_file(&file).map_err(|error| OrderError::File { path: file, error })?;
            self::account(env, settings, home).await?.new_order(&NewOrder::new(&names)).await?
        }
        made => made?,
    };
    // Held until the server has looked.
    let answering = prove(&mut order, tls, http01).await?;
    match order.poll_ready(&POLLS).await {
        Ok(OrderStatus::Ready) => {}
        // The order's own error says only that some name was not proved.
        Ok(_) | Err(Error::Api(_)) => return Err(why_not(&mut order).await),
        Err(error) => return Err(error.into()),
    }
    drop(answering);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(settings.domains.clone())?;
    params.distinguished_name = DistinguishedName::new();
    order.finalize_csr(params.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&POLLS).await?;
    Ok(format!("{}{chain}", key.serialize_pem()))
}

const UNKNOWN_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
const ACCOUNT: &str = "account.json";

/// A proof within reach of the server, until dropped.
enum Answering {
    Http(#[expect(dead_code, reason = "held for its drop")] http01::Answering),
    Tls(#[expect(dead_code, reason = "held for its drop")] net::Answering),
}

/// Puts a proof of each name where the server will look, and tells it to look.
async fn prove(order: &mut Order, tls: &Tls, http01: Option<&Answers>) -> Result<Vec<Answering>, OrderError> {
    let (kind, spelled) = match http01 {
        Some(_) => (ChallengeType::Http01, "http-01"),
        None => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
    };
    let mut answering = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        // Proved lately, and the server remembers.
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let Some(mut challenge) = authorization.challenge(kind.clone()) else {
            return Err(OrderError::NoChallenge(spelled, name));
        };
        let proof = challenge.key_authorization();
        answering.push(match http01 {
            Some(answers) => Answering::Http(answers.answer(&challenge.token, proof.as_str())),
            None => Answering::Tls(tls.answer_challenge(&name, proof.digest().as_ref())?),
        });
        challenge.set_ready().await?;
    }
    Ok(answering)
}

/// Which name was not proved, and what the server says of it.
async fn why_not(order: &mut Order) -> OrderError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let Ok(seen) = authorization.refresh().await else { continue };
        if let Some(problem) = seen.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return OrderError::NotProved { name, reason: problem.to_string() };
        }
    }
    OrderError::Server(Error::Str("the order became invalid without a reason"))
}

/// Our account with the server: the one we have, or a new one.
async fn account(env: &Env, settings: &AcmeSettings, home: &Path) -> Result<Account, OrderError> {
    let file = home.join(ACCOUNT);
    let at = |error| OrderError::File { path: file.clone(), error };
    let reach = || client(env, settings.ca_file.as_deref()).map(Account::builder_with_http);
    match std::fs::read(&file) {
        Ok(text) => {
            let known: AccountCredentials = serde_json::from_slice(&text).map_err(|error| at(error.into()))?;
            return Ok(reach()?.from_credentials(known).await?);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(at(error)),
    }
    let contact: Vec<String> = settings.contact.iter().map(|address| format!("mailto:{address}")).collect();
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let bound = settings.eab.as_ref().map(|eab| ExternalAccountKey::new(eab.key_id.clone(), eab.hmac_key.expose()));
    let (account, credentials) = reach()?.create(&new, settings.directory_url.clone(), bound.as_ref()).await?;
    let text = serde_json::to_vec(&credentials).map_err(|error| at(error.into()))?;
    write_private_file(&file, &text).map_err(at)?;
    Ok(account)
}
