//! The program: parse the command line, run, exit code.

use std::process::ExitCode;

use keystead::cli::{Surroundings, run};

fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os(), &mut Surroundings::of_process()))
}
