//! Disks that fail under the whole server: at any operation of a life, in every dialect. What was acknowledged is there
//! after it, what was not is there whole or not at all, and nothing else that must always hold is broken.
//!
//! A life has hundreds of operations: a run tries some, others each time. `KEYSTEAD_DISK=all` tries every one,
//! `KEYSTEAD_DISK=7` those of the run that said so when it failed.

mod held;
mod life;

use std::sync::{Mutex, Once, PoisonError};

use keystead::testing::{Disk, Fault, Server, Survival};

use self::held::Held;
use self::life::{Cast, Life, PASSWORD, SETTINGS};
use crate::leaks;
use crate::scenarios::DIALECTS;

/// Operations that a run tries, of each dialect.
const TRIED: u64 = 12;

#[tokio::test]
async fn power_loss_at_any_operation_noma() {
    power_loss(0).await;
}

#[tokio::test]
async fn power_loss_at_any_operation_nora() {
    power_loss(1).await;
}

#[tokio::test]
async fn power_loss_at_any_operation_nhost() {
    power_loss(2).await;
}

#[tokio::test]
async fn an_error_at_any_operation_noma() {
    errors(0).await;
}

#[tokio::test]
async fn an_error_at_any_operation_nora() {
    errors(1).await;
}

#[tokio::test]
async fn an_error_at_any_operation_nhost() {
    errors(2).await;
}

/// One life, and then the power was lost after so many operations of it.
async fn power_loss(dialect: usize) {
    let sweep = Sweep::new();
    let cast = Cast::assemble(&DIALECTS[dialect]).await;
    let (disk, life) = undisturbed(&cast).await;
    for end in sweep.of(disk.operations(), 1) {
        for survival in sweep.pick(end, &survivals(end)) {
            sweep.note(&cast, end, &survival);
            let left = disk.after_power_loss(end, survival, end % 2 == 0);
            let server = Server::on(&left, &SETTINGS).await.expect("it starts on what is left");
            Held { cast: &cast, server: &server, life: &life, end }.check().await;
            server.stop().await;
        }
    }
    nothing_secret_in(&disk.images());
    nothing_secret_in(&disk.written());
    no_panics();
}

/// What is checked would be noticed: on this disk nothing is kept of what it acknowledges after some operations.
#[tokio::test]
#[should_panic(expected = "the password")]
async fn a_disk_that_lies_is_found_out() {
    let cast = Cast::assemble(&DIALECTS[0]).await;
    let disk = cast.disk();
    disk.remember();
    let server = Server::on(&disk, &SETTINGS).await.expect("a server");
    disk.fail_after(0, Fault::Freeze);
    let life = cast.live(&server, &disk).await;
    server.stop().await;
    let end = disk.operations();
    let server =
        Server::on(&disk.after_power_loss(end, Survival::Everything, true), &SETTINGS).await.expect("a server");
    Held { cast: &cast, server: &server, life: &life, end }.check().await;
}

/// A life for each operation, which fails.
async fn errors(dialect: usize) {
    let sweep = Sweep::new();
    let cast = Cast::assemble(&DIALECTS[dialect]).await;
    let (undisturbed, _) = undisturbed(&cast).await;
    let all = [Fault::Eio, Fault::Enospc].map(|fault| [(fault, true), (fault, false)]).concat();
    for healthy in sweep.of(undisturbed.operations(), 2) {
        for (fault, once) in sweep.pick(healthy, &all) {
            sweep.note(&cast, healthy, &(fault, once));
            let disk = cast.disk();
            match once {
                true => disk.fail_once_after(healthy, fault),
                false => disk.fail_after(healthy, fault),
            }
            disk.remember();
            life_with_errors(&sweep, &cast, &disk, healthy).await;
            nothing_secret_in(&disk.written());
        }
    }
    no_panics();
}

async fn life_with_errors(sweep: &Sweep, cast: &Cast, disk: &Disk, healthy: u64) {
    let (server, life) = match Server::on(disk, &SETTINGS).await {
        Ok(server) => {
            let life = cast.live(&server, disk).await;
            let anon = cast.anon(&server);
            anon.with_token(&cast.here.access).who().await.expect(200);
            (server, life)
        }
        // It says why.
        Err(error) => {
            assert!(error.to_string().contains("o space left") || error.to_string().contains("os error 5"), "{error}");
            disk.heal();
            (Server::on(disk, &SETTINGS).await.expect("it starts when nothing fails"), Life::default())
        }
    };
    disk.heal();
    // There is space again, and nobody starts it anew.
    let anon = cast.anon(&server);
    anon.try_sign_up("healed@example.com", PASSWORD).await.expect(cast.spelling.made);
    anon.sign_in("healed@example.com", PASSWORD).await.expect(200);
    let end = disk.operations();
    for survival in sweep.pick(healthy, &survivals(healthy)) {
        let left = disk.after_power_loss(end, survival, healthy % 2 == 0);
        let again = Server::on(&left, &SETTINGS).await.expect("it starts on what is left");
        Held { cast, server: &again, life: &life, end }.check().await;
        let anon = cast.anon(&again);
        anon.sign_in("healed@example.com", PASSWORD).await.expect(200);
        again.stop().await;
    }
    Held { cast, server: &server, life: &life, end }.check().await;
    server.stop().await;
}

/// A life in which nothing fails: all is acknowledged.
async fn undisturbed(cast: &Cast) -> (Disk, Life) {
    watch_panics();
    let disk = cast.disk();
    disk.remember();
    let server = Server::on(&disk, &SETTINGS).await.expect("a server");
    let life = cast.live(&server, &disk).await;
    server.stop().await;
    let all = life.acknowledged();
    assert!(all.len() > 10 && all.iter().all(|(_, acknowledged)| *acknowledged), "{all:?}");
    (disk, life)
}

fn survivals(seed: u64) -> [Survival; 4] {
    [Survival::Nothing, Survival::Sectors(seed), Survival::Everything, Survival::Writes(seed)]
}

/// Which operations are tried.
enum Sweep {
    All,
    From(u64),
}

impl Sweep {
    fn new() -> Self {
        match std::env::var_os("KEYSTEAD_DISK").as_deref().and_then(std::ffi::OsStr::to_str) {
            Some("all") => Self::All,
            Some(offset) => Self::From(offset.parse().expect("`all` or a number")),
            None => Self::From(u64::from(std::process::id())),
        }
    }

    /// Some of `0..count`, evenly spaced; fewer where each is `dear`.
    fn of(&self, count: u64, dear: u64) -> Vec<u64> {
        match self {
            Self::All => (0..count).collect(),
            Self::From(offset) => {
                let stride = (count * dear / TRIED).max(1);
                (offset % stride..count).step_by(usize::try_from(stride).expect("few")).collect()
            }
        }
    }

    /// All of these, or one of them, another for each operation.
    fn pick<T: Clone>(&self, operation: u64, all: &[T]) -> Vec<T> {
        match self {
            Self::All => all.to_vec(),
            Self::From(offset) => {
                let at = usize::try_from(operation + offset / 7).expect("few") % all.len();
                all[at..=at].to_vec()
            }
        }
    }

    /// What a failure is to be tried again with.
    #[expect(clippy::print_stdout, reason = "shown when the test fails")]
    fn note(&self, cast: &Cast, operation: u64, what: &dyn std::fmt::Debug) {
        let again = match self {
            Self::All => "all".to_owned(),
            Self::From(offset) => offset.to_string(),
        };
        println!("KEYSTEAD_DISK={again}: {}, operation {operation}, {what:?}", cast.spelling.name);
    }
}

fn nothing_secret_in(written: &[Vec<u8>]) {
    written.iter().for_each(|bytes| leaks::not_stored(bytes));
}

/// Panics of the product, also those that were contained.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn watch_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let next = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.location().is_none_or(|location| !location.file().starts_with("tests/")) {
                PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(info.to_string());
            }
            next(info);
        }));
    });
}

fn no_panics() {
    assert_eq!(*PANICS.lock().unwrap_or_else(PoisonError::into_inner), Vec::<String>::new());
}
