//! Child processes that tests can wait for: what they said, how they ended; killed when dropped.

use std::fs;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Certificate, ClientBuilder};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;
use tempfile::TempDir;

use crate::leaks;

/// How long anything may take before a test is called broken: the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The executable this test was built with.
pub const KEYSTEAD: &str = env!("CARGO_BIN_EXE_keystead");

/// A working directory of its own, and how keystead is started in it.
///
/// Passwords are cheap to hash and the port is free, unless a test says otherwise.
#[derive(Clone)]
pub struct Place {
    dir: Arc<TempDir>,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    wrapper: Vec<String>,
}

impl Place {
    /// A new, empty directory.
    pub fn new() -> Self {
        let cheap = [("HASHING__MEMORY_KIB", "8"), ("HASHING__ITERATIONS", "1"), ("LISTEN__ADDRESSES", "127.0.0.1:0")];
        let place = Self {
            dir: Arc::new(tempfile::tempdir().expect("a temporary directory")),
            variables: Vec::new(),
            arguments: Vec::new(),
            wrapper: Vec::new(),
        };
        cheap.into_iter().fold(place, |place, (key, value)| place.set(key, value))
    }

    /// The same, with the environment variable `KEYSTEAD_<key>`.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        let name = format!("KEYSTEAD_{key}");
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.to_owned()));
        self
    }

    /// The same, without the environment variable `KEYSTEAD_<key>`.
    pub fn unset(mut self, key: &str) -> Self {
        self.variables.retain(|(known, _)| *known != format!("KEYSTEAD_{key}"));
        self
    }

    /// The same, with arguments after `serve`.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self
    }

    /// The same, where this command runs the executable, whose path and arguments follow.
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// The working directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The data directory where nobody chose another.
    pub fn data(&self) -> PathBuf {
        self.path().join("keystead-data")
    }

    /// A file in the working directory.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).expect("a file in a directory of our own");
        path
    }

    /// What `keystead serve` is started with.
    pub fn serve(&self) -> Command {
        let mut arguments = vec!["serve"];
        arguments.extend(self.arguments.iter().map(String::as_str));
        self.command(&arguments)
    }

    /// Starts the server and waits until it is ready.
    pub fn start(&self) -> Binary {
        Binary::ready(Process::start(&mut self.serve()), self)
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, "")
    }

    /// Runs a command to its end, with `input` on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        Process::start_with(&mut self.command(arguments), input).ended()
    }

    /// This executable with these arguments, in this place.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let words: Vec<&str> = self.wrapper.iter().map(String::as_str).chain([KEYSTEAD]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(arguments).current_dir(self.path()).env_clear();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
        command
    }
}

/// A child process.
pub struct Process {
    handle: OwnedFd,
    begun: Instant,
    pid: u32,
    ended: Receiver<Option<i32>>,
    code: Option<Option<i32>>,
    /// What it wrote to standard output.
    pub out: Text,
    /// What it wrote to standard error.
    pub err: Text,
}

/// How a process ended and what it said.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Process {
    /// Starts it with nothing on its standard input.
    pub fn start(command: &mut Command) -> Self {
        Self::start_with(command, "")
    }

    /// Starts it with `input` on its standard input.
    pub fn start_with(command: &mut Command, input: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = command.spawn().expect("a program that can be started");
        // It may not want to read, and may have ended already.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        let (out, err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let mut process = Self::watch(child, Text::of(out), Text::of(err));
        process.begun = begun;
        process
    }

    /// Watches a child whose outputs are read elsewhere.
    pub fn watch(mut child: Child, out: Text, err: Text) -> Self {
        let pid = child.id();
        let handle = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).expect("a child of ours");
        let (sender, ended) = channel();
        std::thread::spawn(move || {
            let status = child.wait().expect("a child of ours");
            // Nobody may be waiting any more.
            let _ = sender.send(status.code());
        });
        Self { handle, begun: Instant::now(), pid, ended, code: None, out, err }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal; nothing happens when it has ended.
    pub fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.handle, signal);
    }

    /// Waits for its end; the exit code, `None` after a signal.
    pub fn code(&mut self) -> Option<i32> {
        if self.code.is_none() {
            let code = self.ended.recv_timeout(PATIENCE);
            self.code = Some(code.unwrap_or_else(|_| panic!("it does not end; it said: {}", self.err.so_far())));
        }
        self.code.flatten()
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Ended {
        let code = self.code();
        Ended { code, out: self.out.whole(), err: self.err.whole() }
    }

    /// Its resident memory now and at most, in KiB.
    pub fn memory_kib(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("a running process");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field of /proc/PID/status");
            line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
        };
        (field("VmRSS:"), field("VmHWM:"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        // A test that fails already says why.
        if !std::thread::panicking() {
            leaks::not_in("what a process said on standard error", &self.err.so_far());
        }
    }
}

/// What a process writes, as it comes.
#[derive(Clone, Default)]
pub struct Text(Arc<(Mutex<Gathered>, Condvar)>);

#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    closed: bool,
}

impl Text {
    /// Reads `source` to its end on a thread.
    pub fn of(mut source: impl Read + Send + 'static) -> Self {
        let text = Self::default();
        let gathered = text.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            loop {
                let count = source.read(&mut buffer).unwrap_or(0);
                let (state, changed) = &*gathered.0;
                let mut state = state.lock().expect("no panic under this lock");
                state.bytes.extend_from_slice(&buffer[..count]);
                state.closed = count == 0;
                changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        text
    }

    /// What came until now.
    pub fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().expect("no panic under this lock").bytes).into_owned()
    }

    /// Everything, once the other end is closed.
    pub fn whole(&self) -> String {
        self.wait(|gathered| gathered.closed);
        self.so_far()
    }

    /// Waits until `needle` has come; everything so far.
    pub fn until(&self, needle: &str) -> String {
        self.wait(|gathered| gathered.closed || gathered.bytes.windows(needle.len()).any(|w| w == needle.as_bytes()));
        self.so_far()
    }

    fn wait(&self, mut done: impl FnMut(&Gathered) -> bool) {
        let (state, changed) = &*self.0;
        let state = state.lock().expect("no panic under this lock");
        let waited = changed.wait_timeout_while(state, PATIENCE, |state| !done(state));
        let (state, waited) = waited.expect("no panic under this lock");
        assert!(!waited.timed_out(), "waited in vain; so far: {}", String::from_utf8_lossy(&state.bytes));
    }
}

/// A server that is ready.
pub struct Binary {
    /// The process.
    pub process: Process,
    /// What it said on standard output.
    pub ready: Value,
    /// That line as it came, without its end.
    pub line: String,
    /// From exec to the ready line.
    pub took: Duration,
    directory: PathBuf,
    /// The directory stays as long as the server.
    _place: Place,
}

impl Binary {
    /// Waits for the ready line of a server that was started in `place`.
    pub fn ready(mut process: Process, place: &Place) -> Self {
        let line = process.out.until("\n");
        let took = process.begun.elapsed();
        let Some(line) = line.lines().next().map(str::to_owned) else {
            let code = process.code();
            panic!("it did not start (exit code {code:?}): {}", process.err.whole());
        };
        let ready = serde_json::from_str(&line).expect("the ready line is JSON");
        Self { process, ready, line, took, directory: place.path().to_owned(), _place: place.clone() }
    }

    /// The same, when the test sees the server's working directory at another path.
    pub fn seen_at(mut self, directory: PathBuf) -> Self {
        self.directory = directory;
        self
    }

    /// Its first URL.
    pub fn url(&self) -> &str {
        self.ready["urls"][0].as_str().expect("a server has a URL")
    }

    /// What it answers on its control socket to a `GET`.
    pub async fn control(&self, path: &str) -> String {
        let socket = self.directory.join(self.ready["control"].as_str().expect("a control socket"));
        let client = reqwest::Client::builder().unix_socket(socket).build().expect("a client");
        let reply = client.get(format!("http://localhost{path}")).send().await.expect("a reply");
        reply.text().await.expect("a body")
    }

    /// Its first URL's port.
    pub fn port(&self) -> u16 {
        self.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a URL with a port")
    }

    /// The id of its first project.
    pub fn project(&self) -> &str {
        self.ready["projects"][0]["id"].as_str().expect("a server has a project")
    }

    /// The path that the ready line gives under this name.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.directory.join(self.ready[name].as_str().expect("the ready line has it"))
    }

    /// Its CA's certificate, PEM.
    pub fn ca_pem(&self) -> String {
        fs::read_to_string(self.path_of("ca")).expect("the CA's file")
    }

    /// A client that trusts its CA.
    pub fn client(&self) -> ClientBuilder {
        let ca = Certificate::from_pem(self.ca_pem().as_bytes()).expect("the server's CA");
        crate::persona::http().tls_certs_only([ca]).timeout(PATIENCE)
    }

    /// Such a client, whose connections come from `address`.
    pub fn client_from(&self, address: &str) -> ClientBuilder {
        self.client().local_address(address.parse::<IpAddr>().expect("an IP address"))
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.process.signal(Signal::KILL);
        assert_eq!(self.process.code(), None, "it had ended before: {}", self.process.err.so_far());
    }

    /// SIGTERM, and what it said until its end.
    pub fn stop(self) -> Ended {
        self.process.signal(Signal::TERM);
        self.process.ended()
    }
}
