//! `keystead serve`: the server in the foreground, until a signal.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing_subscriber::EnvFilter;

use super::outlet::Outlet;
use super::{FAILED, Surroundings};
use crate::app::{self, Process, Source, Supervisor};
use crate::config::{Log, LogFormat, Overrides, Problem, Problems, Settings, load};
use crate::net::{Inherited, raise_descriptor_limit};

/// How long the last log lines may take to be written.
const LAST_WORDS: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration file [else KEYSTEAD_CONFIG, else none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where everything is kept; made when absent [else KEYSTEAD_DATA_DIR, else the configuration's, else
    /// ./keystead-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Listen here instead of where the configuration says: "host:port", "[::1]:port" or "unix:/path"; repeatable
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
}

pub(super) fn run(args: Args, around: &mut Surroundings) -> Result<()> {
    let environment = around.environment.as_ref().map_err(Clone::clone)?;
    let overrides =
        Overrides { config: args.config, data_dir: args.data_dir, listen: args.listen, ..Overrides::default() };
    let settings = load(&overrides, environment)?;
    // Before there are threads: taking them over changes the environment.
    let inherited = Inherited::take().context("socket activation")?;
    let supervisor = Supervisor::of(environment).context("NOTIFY_SOCKET")?;
    let variable = environment.get("KEYSTEAD_LOG").cloned();
    let (out, err) = (Outlet::to(io::stdout())?, Outlet::to(io::stderr())?);
    let filter = log_to(&err, filter(variable.as_deref(), &settings.log)?, settings.log.format);
    let environment = environment.clone();
    let source = Source {
        read: Box::new(move || load(&overrides, &environment)),
        adopted: Box::new(move |settings| filter.follow(variable.as_deref(), &settings.log)),
    };
    raise_descriptor_limit();
    let threads = available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let process = Process { inherited, supervisor, source: Some(source) };
    let served = runtime.block_on(serve(settings, around, process, out.clone(), err.clone()));
    runtime.shutdown_timeout(LAST_WORDS);
    out.flush(LAST_WORDS);
    err.flush(LAST_WORDS);
    served
}

async fn serve(settings: Settings, around: &Surroundings, process: Process, out: Outlet, err: Outlet) -> Result<()> {
    let guide = settings.log.format == LogFormat::Text;
    let (stop, stopped) = oneshot::channel();
    // One that waits is enough: it reads what is there when its turn comes.
    let (again, reload) = mpsc::channel(1);
    tokio::spawn(watch_signals(Signals::take()?, stop, again, err.clone()));
    let ready = |ready: &app::Ready| {
        out.line(&ready.line());
        // Where logs are for machines, prose among them would only break them.
        if guide {
            err.line(ready.guidance().trim_end());
        }
    };
    let shutdown = async {
        // The sender gone means that nobody watches for signals any more.
        let _ = stopped.await;
    };
    Ok(app::serve(settings, around.env.clone(), process, ready, reload, shutdown).await?)
}

/// SIGTERM, SIGINT and SIGHUP, from before the start on.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn take() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for one that asks to stop; those that ask to take the configuration anew go to `again`.
    async fn stop(&mut self, again: &mpsc::Sender<()>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                // Full: one waits already.
                _ = self.hang_up.recv() => drop(again.try_send(())),
            }
        }
    }
}

/// The first signal asks the server to finish; the second does not ask.
async fn watch_signals(mut signals: Signals, stop: oneshot::Sender<()>, again: mpsc::Sender<()>, err: Outlet) {
    signals.stop(&again).await;
    tracing::info!("stopping: what was accepted is finished; a second signal ends at once");
    // The receiver gone means the server has ended by itself.
    let _ = stop.send(());
    signals.stop(&again).await;
    tracing::warn!("stopped at once");
    err.flush(LAST_WORDS);
    std::process::exit(i32::from(FAILED));
}

/// What is said: `KEYSTEAD_LOG` (`keystead::auth=debug,info`) before `log.level`.
fn filter(variable: Option<&str>, log: &Log) -> Result<EnvFilter, Problems> {
    match variable.filter(|text| !text.is_empty()) {
        Some(text) => EnvFilter::try_new(text).map_err(|error| {
            let reason = format!("{error}: write levels such as `debug` or `info,keystead::auth=debug`");
            Problems(vec![Problem { source: "KEYSTEAD_LOG".into(), key: String::new(), reason }])
        }),
        None => Ok(EnvFilter::new(log.level.as_str())),
    }
}

/// What is said, changed while lines are written.
struct LiveFilter(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl LiveFilter {
    fn follow(&self, variable: Option<&str>, log: &Log) {
        match filter(variable, log) {
            Ok(filter) => (self.0)(filter),
            Err(problems) => tracing::error!(%problems, "the log goes on as it was"),
        }
    }
}

/// Sends log lines, panics among them, through `err`.
fn log_to(err: &Outlet, filter: EnvFilter, format: LogFormat) -> LiveFilter {
    let lines = tracing_subscriber::fmt().with_writer(err.clone());
    // Failing, another subscriber was there first: this process serves for the second time, and its lines have a way.
    let live = match format {
        LogFormat::Text => {
            let lines = lines.with_ansi(io::stderr().is_terminal()).with_env_filter(filter).with_filter_reloading();
            let handle = lines.reload_handle();
            drop(tracing::subscriber::set_global_default(lines.finish()));
            LiveFilter(Box::new(move |filter| drop(handle.reload(filter))))
        }
        LogFormat::Json => {
            let lines = lines.json().with_env_filter(filter).with_filter_reloading();
            let handle = lines.reload_handle();
            drop(tracing::subscriber::set_global_default(lines.finish()));
            LiveFilter(Box::new(move |filter| drop(handle.reload(filter))))
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("");
        tracing::error!(location = panic.location().map(ToString::to_string), message, "a panic");
    }));
    live
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_goes_before_the_configuration() {
        let log = Log::default();
        assert_eq!(filter(None, &log).unwrap().to_string(), "info");
        assert_eq!(filter(Some(""), &log).unwrap().to_string(), "info");
        assert_eq!(filter(Some("keystead::auth=debug"), &log).unwrap().to_string(), "keystead::auth=debug");
        let problems = filter(Some("keystead=loud"), &log).unwrap_err().to_string();
        assert!(problems.contains("KEYSTEAD_LOG"), "{problems}");
    }
}
