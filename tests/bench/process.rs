//! A server under test as a child process: start to ready line, memory and processor time, the two ways to end it.
//!
//! Keystead and the bare server are started, pinned and measured by this same code.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::Outcome;
use crate::wire::Target;

/// How long a start or an orderly end may take before the run is called broken.
///
/// A first start with a thousand declared projects makes a thousand files, and that takes more than a minute.
const PATIENCE: Duration = Duration::from_secs(300);

/// Clock ticks a second in /proc, part of Linux's interface on every architecture keystead is built for.
pub(crate) const USER_HZ: f64 = 100.0;

/// How to start a server.
pub(crate) struct Launch {
    program: PathBuf,
    arguments: Vec<String>,
    settings: Vec<(String, String)>,
    pinned: bool,
    log: PathBuf,
}

impl Launch {
    /// The keystead binary built beside this benchmark, on `data`.
    pub(crate) fn keystead(data: &Path) -> Self {
        let arguments = ["serve", "--data-dir", &data.to_string_lossy(), "--listen", "127.0.0.1:0"];
        Self {
            program: PathBuf::from(env!("CARGO_BIN_EXE_keystead")),
            arguments: arguments.map(str::to_owned).to_vec(),
            settings: Vec::new(),
            pinned: false,
            log: data.with_extension("log"),
        }
    }

    /// The bare server: this benchmark's own executable, answering what `template` says.
    pub(crate) fn bare(template: &Path) -> Outcome<Self> {
        Ok(Self {
            program: std::env::current_exe()?,
            arguments: vec!["--serve-bare".to_owned(), template.to_string_lossy().into_owned()],
            settings: Vec::new(),
            pinned: false,
            log: template.with_extension("log"),
        })
    }

    /// With these settings, as environment variables.
    pub(crate) fn with(mut self, settings: &[(&str, &str)]) -> Self {
        self.settings.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    /// The whole server on one core.
    pub(crate) fn pinned(mut self) -> Self {
        self.pinned = true;
        self
    }

    /// Starts it and waits for the ready line.
    pub(crate) fn start(&self) -> Outcome<Server> {
        let mut command = if self.pinned {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        // An environment empty but for what is said: the figures are those of the defaults.
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.settings.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.stderr(File::options().create(true).append(true).open(&self.log)?);
        let begun = Instant::now();
        let mut child = command.spawn()?;
        let lines = first_line(&mut child)?;
        let waited = lines.recv_timeout(PATIENCE);
        let mut server = Server { child, start: begun.elapsed(), target: None, projects: Vec::new() };
        let line = waited.map_err(|_| format!("no ready line; its log says: {}", self.log_text()))?;
        server.read_ready(&line)?;
        Ok(server)
    }

    /// The log lies in a folder that is removed with the run, so an error carries it along.
    fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default().trim().to_owned()
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    start: Duration,
    target: Option<Target>,
    projects: Vec<String>,
}

impl Server {
    /// From exec to the ready line.
    pub(crate) fn start_ms(&self) -> f64 {
        self.start.as_secs_f64() * 1000.0
    }

    /// Where it listens.
    pub(crate) fn target(&self) -> &Target {
        self.target.as_ref().expect("a server is handed out only after its ready line was read")
    }

    /// The id of its first project, when it has projects.
    pub(crate) fn project(&self) -> Option<&str> {
        self.projects.first().map(String::as_str)
    }

    /// The ids of all its projects.
    pub(crate) fn projects(&self) -> &[String] {
        &self.projects
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory now, in MiB.
    pub(crate) fn resident_mib(&self) -> Outcome<f64> {
        self.memory_mib("VmRSS:")
    }

    /// The most it ever had resident, in MiB.
    pub(crate) fn peak_mib(&self) -> Outcome<f64> {
        self.memory_mib("VmHWM:")
    }

    /// Processor time used so far, user and system, in seconds (10 ms coarse).
    pub(crate) fn processor_secs(&self) -> Outcome<f64> {
        processor_secs(&self.child.id().to_string(), 2)
    }

    /// Ends it in order (SIGTERM) and waits; an exit code other than 0 is an error.
    pub(crate) fn stop(mut self) -> Outcome<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let given_up = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the server ended with {status}").into()),
                None if Instant::now() > given_up => return Err("the server did not end".into()),
                None => pause(Duration::from_millis(5)),
            }
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn read_ready(&mut self, line: &str) -> Outcome<()> {
        let ready: Value = serde_json::from_str(line)?;
        let url = ready["urls"][0].as_str().ok_or("a ready line without a URL")?;
        let ca = ready["ca"].as_str().ok_or("a ready line without a CA")?;
        let projects = ready["projects"].as_array().into_iter().flatten();
        self.projects = projects.filter_map(|project| project["id"].as_str()).map(str::to_owned).collect();
        self.target = Some(Target::new(url, Path::new(ca))?);
        Ok(())
    }

    fn memory_mib(&self, field: &str) -> Outcome<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field in /proc/PID/status")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended: both fail, as they may.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits while a server is idle or ending.
#[expect(clippy::disallowed_methods, reason = "outside the servers there is no event to wait for")]
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// The sum of the first `fields` of utime, stime, cutime and cstime (proc_pid_stat(5), fields 14 to 17), in seconds.
pub(crate) fn processor_secs(process: &str, fields: usize) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, field 2, may contain blanks.
    let (_, after_name) = stat.rsplit_once(')').ok_or("an unknown form of /proc/PID/stat")?;
    Ok(after_name.split_whitespace().skip(11).take(fields).flat_map(str::parse::<f64>).sum::<f64>() / USER_HZ)
}

/// Reads the child's stdout to its end, so that it never blocks there, and passes on the first line.
fn first_line(child: &mut Child) -> Outcome<mpsc::Receiver<String>> {
    let stdout = child.stdout.take().ok_or("the server's stdout is not a pipe")?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // After the first line nobody listens any more.
            let _ = sender.send(line);
        }
    });
    Ok(receiver)
}
