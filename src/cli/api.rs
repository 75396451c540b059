//! The way to the admin API: the control socket of the running server, else the same API in this process.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{Method, Request, Response, StatusCode};
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use super::output::{cell, visible};
use crate::admin;
use crate::app::{App, StartError};
use crate::config::{Problem, Problems, Settings};
use crate::crypto::Secret;
use crate::env::Env;

/// How long a server that is starting or stopping gets before it is looked for again.
const SECOND_LOOK: Duration = Duration::from_millis(400);
/// How long an answer may take: a hash may wait its turn behind a storm of sign-ins.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a server may take to say how it does: what asks, asks again.
const HEALTH_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a file that are sent at once.
const PIECE: usize = 64 << 10;
/// The largest answer: a page of 1000 accounts with all the metadata they may have.
const MAX_ANSWER: usize = 96 << 20;

/// The admin API of one data directory.
pub(super) struct Api(Way);

enum Way {
    /// Through the socket of the server that holds the directory.
    Socket(PathBuf),
    /// No server runs, and this process holds the directory.
    Direct(Box<App>, Router),
    /// The same of a directory that held nothing: what it is put back to when nothing is restored in it.
    Fresh(Box<App>, Router, Before),
}

/// A data directory before a restore into it.
struct Before {
    dir: PathBuf,
    /// What lay in it; `None` when there was no directory.
    entries: Option<Vec<std::ffi::OsString>>,
}

impl Api {
    /// Finds the running server, else takes the data directory.
    ///
    /// # Errors
    /// What an operator can do about it.
    pub(super) async fn open(settings: Settings, env: Env) -> Result<Self> {
        let socket = settings.data_dir.join("control.sock");
        if connect(&socket).await?.is_some() {
            return Ok(Self(Way::Socket(socket)));
        }
        check_dir(&settings.data_dir)?;
        match App::open(settings.clone(), env.clone()).await {
            Ok(app) => return Ok(Self::direct(app)),
            Err(StartError::InUse { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        // A server between taking the directory and opening its socket, or between the other two; or another command.
        sleep(SECOND_LOOK).await;
        if connect(&socket).await?.is_some() {
            return Ok(Self(Way::Socket(socket)));
        }
        let dir = settings.data_dir.clone();
        match App::open(settings, env).await {
            Ok(app) => Ok(Self::direct(app)),
            Err(StartError::InUse { .. }) => bail!(
                "another keystead process holds {} but does not answer on {}: it is starting, stopping, or another \
                 command at work; try again in a moment",
                dir.display(),
                socket.display()
            ),
            Err(error) => Err(error.into()),
        }
    }

    /// How the server on this data directory says it does; `None` when none runs. Takes and opens nothing.
    ///
    /// # Errors
    /// When it does not answer in time, or is another user's.
    pub(super) async fn health(data_dir: &Path) -> Result<Option<Value>> {
        let socket = data_dir.join("control.sock");
        let asked = async {
            if connect(&socket).await?.is_none() {
                return Ok(None);
            }
            let request = Request::builder().uri("/v1/health").header(HOST, "localhost").body(Body::empty())?;
            // Its status says in short what the answer says.
            let (_, answer) = read(Self(Way::Socket(socket.clone())).answer(request).await?).await?;
            Ok(Some(answer))
        };
        let answered = timeout(HEALTH_PATIENCE, asked).await;
        answered.map_err(|_| anyhow!("no answer for {} s", HEALTH_PATIENCE.as_secs()))?
    }

    /// As [`Api::open`]; in a directory that holds no project, and may not exist, nothing is made but what a restore needs.
    ///
    /// # Errors
    /// What an operator can do about it.
    pub(super) async fn open_to_restore(
        settings: Settings,
        env: Env,
        brought: Option<&Secret<[u8; 32]>>,
    ) -> Result<Self> {
        let dir = settings.data_dir.clone();
        let has_server = connect(&dir.join("control.sock")).await?.is_some();
        if has_server || !App::holds_nothing(&settings) {
            return Self::open(settings, env).await;
        }
        let before = Before::of(dir)?;
        match App::open_to_restore(settings, env, brought).await {
            Ok(app) => {
                let router = app.admin();
                Ok(Self(Way::Fresh(Box::new(app), router, before)))
            }
            Err(error) => {
                if !matches!(error, StartError::InUse { .. }) {
                    before.again();
                }
                Err(error.into())
            }
        }
    }

    /// As [`Api::close`], after a restore that succeeded or not.
    pub(super) async fn close_after_restore(self, restored: bool) {
        if let Way::Fresh(app, router, before) = self.0 {
            drop(router);
            app.close().await;
            if !restored {
                before.again();
            }
        } else {
            self.close().await;
        }
    }

    fn direct(app: App) -> Self {
        let router = app.admin();
        Self(Way::Direct(Box::new(app), router))
    }

    /// Whether a server runs, which goes on while a command asks.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.0, Way::Socket(_))
    }

    /// Whether a server answers, and not this process.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.0, Way::Socket(_))
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> Result<Value> {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Value> {
        self.call(Method::DELETE, path, None).await
    }

    /// Lets the data directory go.
    pub(super) async fn close(self) {
        if let Way::Direct(app, router) | Way::Fresh(app, router, _) = self.0 {
            drop(router);
            app.close().await;
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, "localhost");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))?;
        let answered = timeout(PATIENCE, async { read(self.answer(request).await?).await }).await;
        let (status, answer) = answered
            .map_err(|_| anyhow!("no answer for {} s; whether the work was done is unknown", PATIENCE.as_secs()))??;
        if status.is_success() { Ok(answer) } else { Err(refusal(status, &answer)) }
    }

    /// An answer that comes piece by piece, for as long as it takes.
    pub(super) async fn stream(&self, path: &str) -> Result<Body> {
        let request = Request::builder().uri(path).header(HOST, "localhost").body(Body::empty())?;
        let response = self.answer(request).await?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let (status, answer) = read(response).await?;
        Err(refusal(status, &answer))
    }

    /// Sends all that `from` holds, for as long as it takes.
    ///
    /// # Errors
    /// When it cannot be read to its end, which ends the request; and as the server says.
    pub(super) async fn send(&self, path: &str, from: &mut dyn io::Read) -> Result<Value> {
        let (mut to, body) = Channel::<Bytes, io::Error>::new(2);
        let request = Request::builder().method(Method::POST).uri(path).header(HOST, "localhost");
        let request = request.header(CONTENT_TYPE, "application/octet-stream").body(Body::new(body))?;
        let reading = async move {
            let mut piece = vec![0; PIECE];
            loop {
                match from.read(&mut piece) {
                    Ok(0) => return Ok(()),
                    Ok(length) => {
                        // Nobody takes it any more: the answer says why.
                        if to.send_data(Bytes::copy_from_slice(&piece[..length])).await.is_err() {
                            return Ok(());
                        }
                    }
                    Err(error) => {
                        let told = error.to_string();
                        to.abort(error);
                        return Err(told);
                    }
                }
            }
        };
        let answering = async { read(self.answer(request).await?).await };
        let (sent, answer) = tokio::join!(reading, answering);
        if let Err(error) = sent {
            bail!("it cannot be read to its end: {error}; nothing was changed");
        }
        let (status, answer) = answer?;
        if status.is_success() { Ok(answer) } else { Err(refusal(status, &answer)) }
    }

    async fn answer(&self, mut request: Request<Body>) -> Result<Response<Body>> {
        match &self.0 {
            Way::Direct(_, router) | Way::Fresh(_, router, _) => {
                request.extensions_mut().insert(admin::own_uid());
                let Ok(response) = router.clone().oneshot(request).await;
                Ok(response)
            }
            Way::Socket(path) => {
                // A connection for each request: the server closes one that waits while a person types.
                let gone = || format!("the server at {} went away; try again", path.display());
                let stream = connect(path).await?.with_context(gone)?;
                let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.with_context(gone)?;
                tokio::spawn(connection);
                let response = sender.send_request(request).await.with_context(gone)?;
                Ok(response.map(Body::new))
            }
        }
    }
}

impl Before {
    fn of(dir: PathBuf) -> Result<Self> {
        let entries = match std::fs::read_dir(&dir) {
            Ok(all) => Some(all.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // What cannot be seen must not be taken for nothing: that is what is removed again.
            Err(error) => Some(Err(error)),
        };
        let entries = entries.transpose().with_context(|| dir.display().to_string())?;
        Ok(Self { dir, entries })
    }

    /// Removes what was not there. Nobody else has written there: the directory was held.
    fn again(&self) {
        let Some(entries) = &self.entries else {
            return drop(std::fs::remove_dir_all(&self.dir));
        };
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            if !entries.contains(&entry.file_name()) {
                // One of the two; what stays is empty.
                let _ = std::fs::remove_file(entry.path()).or_else(|_| std::fs::remove_dir_all(entry.path()));
            }
        }
    }
}

/// Why the API did not do it.
fn refusal(status: StatusCode, answer: &Value) -> anyhow::Error {
    problems(answer).map_or_else(|| Refused::new(status, answer).into(), Into::into)
}

/// The mistakes in its configuration that a server refused to take anew.
fn problems(answer: &Value) -> Option<Problems> {
    let error = &answer["error"];
    let text = |problem: &Value, field: &str| problem[field].as_str().unwrap_or_default().to_owned();
    let problem = |problem: &Value| Problem {
        source: text(problem, "source"),
        key: text(problem, "key"),
        reason: text(problem, "reason"),
    };
    let all = error["problems"].as_array().filter(|_| error["code"] == "configuration")?;
    Some(Problems(all.iter().map(problem).collect()))
}

/// The admin API said no.
#[derive(Debug)]
struct Refused {
    code: String,
    message: String,
}

impl Refused {
    fn new(status: StatusCode, answer: &Value) -> Self {
        let text = |field: &str| answer["error"][field].as_str().map(str::to_owned);
        let mut message = text("message").unwrap_or_else(|| format!("the server answered {status}"));
        for wrong in answer["error"]["lines"].as_array().into_iter().flatten() {
            message.push_str(&format!("\n  line {}: {}", wrong["line"], visible(&cell(wrong, "reason"))));
        }
        Self { code: text("code").unwrap_or_default(), message }
    }

    /// What to do about it, where that is not in the message.
    fn advice(&self) -> Option<&'static str> {
        match self.code.as_str() {
            "unknown_project" => Some("`keystead project list` shows those there are"),
            "unknown_user" => Some("`keystead user list` shows those there are"),
            "unknown_item" => {
                Some("it may have been sent; `keystead mail list` shows those that wait, --dead those given up")
            }
            "item_expired" => Some("what is in it does not work any more; its reader can ask for another"),
            "unknown_session" => Some("it may have ended; `keystead session list` shows those there are"),
            "project_exists" => Some("choose another slug or id"),
            "busy" | "unwritable" => Some("nothing was changed; try again in a moment"),
            "bad_backup" => Some("nothing was changed"),
            "not_restored" => Some("nothing was changed"),
            "in_the_way" => {
                Some("nothing was changed. --replace puts the backup in its place, --as-new brings it beside it")
            }
            "invalid_file" => Some("nothing was changed"),
            "unknown_route" => Some("restart the server after an update"),
            "invalid_settings" => Some("`keystead config example` explains every key"),
            _ => None,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        // Behind a list, on a line of its own.
        let join = if self.message.contains('\n') { "\n" } else { "; " };
        self.advice().map_or(Ok(()), |advice| write!(f, "{join}{advice}"))
    }
}

impl std::error::Error for Refused {}

/// A text as one segment of a path or one value of a query (RFC 3986, section 2.3).
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The server behind the socket; `None` when none listens: no socket, or one that a killed server left.
async fn connect(socket: &Path) -> Result<Option<UnixStream>> {
    match UnixStream::connect(socket).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            // A path too long for a socket is no server's.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::InvalidInput => Ok(None),
            io::ErrorKind::PermissionDenied => Err(foreign(socket.parent().unwrap_or(socket))),
            _ => Err(error).with_context(|| format!("cannot reach the server at {}", socket.display())),
        },
    }
}

/// A command makes no data directory, touches none that is something else, and leaves no file that the server's own
/// user could not read.
fn check_dir(dir: &Path) -> Result<()> {
    let next = "run `keystead serve` first, or pass --data-dir";
    let found = match std::fs::metadata(dir) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!("{} does not exist: {next}", dir.display()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(foreign(dir)),
        Err(error) => return Err(error).with_context(|| dir.display().to_string()),
    };
    if found.is_dir() && found.uid() != admin::own_uid().0 {
        return Err(foreign(dir));
    }
    if !dir.join("projects").is_dir() {
        bail!("{} is no data directory of Keystead: {next}", dir.display());
    }
    Ok(())
}

fn foreign(dir: &Path) -> anyhow::Error {
    match std::fs::metadata(dir) {
        Ok(found) => anyhow!(
            "{0} belongs to user {1}: run this as that user, for example `sudo -u '#{1}' keystead …`",
            dir.display(),
            found.uid()
        ),
        Err(error) => anyhow!("{}: {error}; run this as the user the server runs as", dir.display()),
    }
}

async fn read(response: Response<Body>) -> Result<(StatusCode, Value)> {
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow!("the server's answer ended early: {error}"))?.to_bytes();
    // An answer that is not JSON is told by its status alone.
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_stays_one_segment() {
        assert_eq!(encode("ada+x@example.com"), "ada%2Bx%40example.com");
        assert_eq!(encode("a/../b?c#d é"), "a%2F..%2Fb%3Fc%23d%20%C3%A9");
    }

    #[tokio::test]
    async fn a_socket_nobody_listens_on_is_no_server() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("control.sock");
        assert!(connect(&socket).await.unwrap().is_none());
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert!(socket.exists() && connect(&socket).await.unwrap().is_none());
        let _listener = std::os::unix::net::UnixListener::bind(dir.path().join("live.sock")).unwrap();
        assert!(connect(&dir.path().join("live.sock")).await.unwrap().is_some());
    }
}
