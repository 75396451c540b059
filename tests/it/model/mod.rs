//! What may happen in any order, against a small model: people, credentials, sessions, a clock, three dialects.
//!
//! A [`step`] is something that happens. The [`world`] is what there is then, as plain data, and its [`rules`] say how a
//! step changes it and what each dialect must answer, written from the contracts and from what must always hold. [`drive`]
//! does the steps at a server in process, over TLS, and compares. A sequence that finds a difference is made smaller by
//! proptest, and told as a script. Each sequence has a number, which makes it the same always: `KEYSTEAD_MODEL_CASES` says
//! how many of them each theme tries, `KEYSTEAD_MODEL_FIRST` from which on.

mod drive;
mod keys;
mod lockout;
mod mailing;
mod regressions;
mod rules;
mod step;
mod wire;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tokio::runtime::Runtime;

use drive::Stage;
use step::{Step, Theme, steps};

/// Sequences of each theme, where nothing else is said.
const CASES: u64 = 120;

#[test]
fn sessions_follow_the_model() {
    explore(Theme::Sessions);
}

#[test]
fn lockout_follows_the_model() {
    explore(Theme::Lockout);
}

#[test]
fn secrets_follow_the_model() {
    explore(Theme::Secrets);
}

#[test]
fn digits_follow_the_model() {
    explore(Theme::Digits);
}

#[test]
fn addresses_follow_the_model() {
    explore(Theme::Addresses);
}

#[test]
fn keys_and_tokens_of_programs_follow_the_model() {
    explore(Theme::Programs);
}

#[test]
fn all_together_follows_the_model() {
    explore(Theme::Mixed);
}

fn number(variable: &str, or: u64) -> u64 {
    let said = std::env::var_os(variable);
    said.map_or(or, |text| text.to_str().and_then(|text| text.parse().ok()).expect("a number"))
}

/// Tries the sequences of a theme.
fn explore(theme: Theme) {
    let runtime = runtime();
    let stage = runtime.block_on(Stage::new());
    let first = number("KEYSTEAD_MODEL_FIRST", 0);
    for case in first..first + number("KEYSTEAD_MODEL_CASES", CASES) {
        let mut seed = [theme as u8; 32];
        seed[..8].copy_from_slice(&case.to_le_bytes());
        // A minute to make it smaller: where it waits for what does not come, each try takes long.
        let config = Config { cases: 1, failure_persistence: None, max_shrink_time: 60_000, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        let played = runner.run(&steps(theme), |steps| {
            let played = runtime.block_on(stage.play(&steps, &mut String::new()));
            played.map_err(TestCaseError::fail)
        });
        match played {
            Ok(()) => {}
            Err(TestError::Fail(why, steps)) => {
                let told = tell(&runtime, &stage, &steps);
                panic!(
                    "{theme:?}: sequence {case} (KEYSTEAD_MODEL_FIRST={case} KEYSTEAD_MODEL_CASES=1): {why}\n{told}"
                );
            }
            Err(TestError::Abort(why)) => panic!("{theme:?}: sequence {case}: {why}"),
        }
    }
}

fn runtime() -> Runtime {
    // Two threads: what happens at the same instant shall.
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// A sequence as a script with what was answered, and as it would be written in [`regressions`].
fn tell(runtime: &Runtime, stage: &Stage, steps: &[Step]) -> String {
    let mut script = String::new();
    let again = catch_unwind(AssertUnwindSafe(|| runtime.block_on(stage.play(steps, &mut script))));
    let again = match again {
        Ok(Ok(())) => "not the second time: a matter of who comes first".to_owned(),
        Ok(Err(why)) => why,
        Err(_) => "it panics".to_owned(),
    };
    format!("{script}             {again}\n\n{steps:?}")
}
