//! The figures: one run that measures keystead beside the limits of the machine it runs on.
//!
//! `cargo bench --bench figures` (options after `--`) starts the release binary, drives it over HTTPS and, between those
//! rounds, measures what bounds it: the bare password hash, a bare HTTPS server, a bare durable write. Only the ratios
//! travel to other machines. Writes all of it as JSON, too. Exits with 1 when a target of the design is missed.

mod bare;
mod callers;
mod limits;
mod load;
mod machine;
mod nhost;
mod noma;
mod nora;
mod process;
mod report;
mod scenarios;
mod seed;
mod streams;
mod wire;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use keystead::Env;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;

use crate::report::Report;
use crate::scenarios::{Bench, Pace};
use crate::seed::Site;

/// What went wrong, for the one who runs the benchmark.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The smaller of the two data directories, in users.
const FEW_USERS: usize = 1000;

/// Sessions the driver keeps of each data directory.
const SAMPLE: usize = 20_000;

/// What the whole run may take, in seconds.
const WHOLE_SECS: f64 = 600.0;

/// What other processes may take of the cores before the run is not one to judge by.
const QUIET_PERCENT: f64 = 5.0;

/// Measures keystead beside the limits of this machine.
#[derive(Parser)]
struct Arguments {
    /// Only these groups of scenarios, in this order.
    #[arg(value_enum)]
    only: Vec<Group>,
    /// Short rounds and few users: a check that all works, not figures.
    #[arg(long)]
    quick: bool,
    /// Users in the large data directory, such as 5000000 [default: 1000000; 20000 with --quick]
    #[arg(long)]
    users: Option<usize>,
    /// How long the soak lasts.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Where to write the figures as JSON.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/figures.json"))]
    json: PathBuf,
    /// Exit with 0 even when a target is missed.
    #[arg(long)]
    report_only: bool,
    /// Be the bare server (the benchmark starts itself so).
    #[arg(long, hide = true, value_name = "TEMPLATE")]
    serve_bare: Option<PathBuf>,
    /// Cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A group of scenarios that can be run by itself.
#[derive(Clone, Copy, ValueEnum)]
enum Group {
    /// The limits alone; needs no working server.
    Limits,
    /// Start, restart, idle memory, file size.
    Footprint,
    /// `me`, over HTTP/2 too, and refresh.
    Tokens,
    /// Nora's `me`, with and without a picture.
    Nora,
    /// Nhost's `user` and `token`.
    Nhost,
    /// Sign-in through each dialect, and sign-up.
    Passwords,
    /// Noma's tokens and Nhost's tickets.
    Verification,
    /// `me` and a sign-in while others storm; memory in the storm.
    Storm,
    /// Sign-ins while a backup is taken, and its speed.
    Backup,
    /// Accounts of another product while the server runs.
    Import,
    /// A thousand projects.
    Projects,
    /// Half an hour of everything at a moderate pace: memory and file stay flat. Only when it is named.
    Soak,
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is this program's output")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(template) = &arguments.serve_bare {
        return match bare::serve(template) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    match run(&arguments) {
        Ok(report) => {
            println!("{}", report.table());
            println!("the same as JSON: {}", arguments.json.display());
            if report.all_met() || arguments.report_only { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome<Report> {
    let begun = Instant::now();
    let mut report = Report::default();
    let limit = getrlimit(Resource::Nofile);
    // Both ends of a thousand connections are inherited from here.
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    // Beside the build, not in /tmp: the disk that is measured must be a disk.
    let folder = tempfile::Builder::new().prefix("figures-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let pace = if arguments.quick { Pace::quick() } else { Pace::full() };
    let mut bench = Bench::new(folder.path().to_owned(), pace)?;
    let all: Vec<_> = Group::value_variants().iter().copied().filter(|group| !matches!(group, Group::Soak)).collect();
    let groups = if arguments.only.is_empty() { &all[..] } else { &arguments.only[..] };
    let users = arguments.users.unwrap_or(if arguments.quick { 20_000 } else { 1_000_000 });
    if groups.iter().any(|group| !matches!(group, Group::Limits | Group::Soak)) {
        bench.few = Some(Site::seeded(folder.path().join("few"), FEW_USERS, SAMPLE)?);
        let since = Instant::now();
        bench.many = Some(Site::seeded(folder.path().join("many"), users, SAMPLE)?);
        let peak = machine::own_peak_mib().map_or_else(String::new, |mib| format!("{mib:.0} MiB at most"));
        report.shown(&format!("writing {users} users"), since.elapsed().as_secs_f64(), "s", None, &peak);
    }
    let neighbours = limits::Neighbours::watch()?;
    for group in groups {
        let (name, measured) = match group {
            Group::Limits => ("limits", scenarios::bounds::run(&mut bench, &mut report)),
            Group::Footprint => ("footprint", scenarios::footprint::run(&mut bench, &mut report)),
            Group::Tokens => ("tokens", scenarios::tokens::run(&mut bench, &mut report)),
            Group::Nora => ("nora", scenarios::nora::run(&mut bench, &mut report)),
            Group::Nhost => ("nhost", scenarios::nhost::run(&mut bench, &mut report)),
            Group::Passwords => ("passwords", scenarios::passwords::run(&mut bench, &mut report)),
            Group::Backup => ("backup", scenarios::backup::run(&mut bench, &mut report)),
            Group::Storm => ("storm", scenarios::storm::run(&mut bench, &mut report)),
            Group::Verification => ("verification", scenarios::verification::run(&mut bench, &mut report)),
            Group::Import => ("import", scenarios::import::run(&mut bench, &mut report)),
            Group::Projects => ("projects", scenarios::projects::run(&mut bench, &mut report)),
            Group::Soak => ("soak", scenarios::soak::run(&mut bench, &mut report, arguments.minutes)),
        };
        if let Err(error) = measured {
            report.failed(name, error.to_string());
        }
    }
    // A run beside a compiler measures the compiler: limits sink, and ratios to them rise.
    report.below("cores taken by other processes", neighbours.percent()?, "%", QUIET_PERCENT);
    let took = begun.elapsed().as_secs_f64();
    // Only of what everybody runs: more users take longer.
    if arguments.only.is_empty() && users <= 1_000_000 {
        report.below("the whole run", took, "s", WHOLE_SECS);
    }
    let about = json!({
        "version": env!("CARGO_PKG_VERSION"), "commit": machine::commit(), "date": Env::system().now().rfc3339(),
        "seconds": took, "quick": arguments.quick, "users": [FEW_USERS, users], "machine": machine::machine(),
        "groups": groups.iter().filter_map(|group| group.to_possible_value()).map(|value| value.get_name().to_owned())
            .collect::<Vec<_>>(),
    });
    report.save(&arguments.json, about)?;
    Ok(report)
}
