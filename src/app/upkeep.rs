//! What goes on beside requests: sweeping, closing idle files, renewing the local certificate.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::certificates::Certificates;
use crate::auth::{Project, Projects, audit, keys, sweep};
use crate::data::sweep::Cursor;
use crate::env::Env;

/// How often every open project is swept.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// The pause between two steps of a sweep: it must not be felt.
const SWEEP_PAUSE: Duration = Duration::from_millis(20);
/// After which time without a request a project's file is closed. What is counted in memory goes with it, so not before
/// the usual windows of limits are over: who keeps quiet for a while must not begin anew.
const IDLE: Duration = Duration::from_secs(900);
/// How often the heads of audit trails are logged.
const NOTE_EVERY: Duration = Duration::from_secs(3600);
/// How often the certificate's age is looked at: not oftener than an ACME server may be asked after a failure.
const RENEW_EVERY: Duration = Duration::from_secs(60);
/// How often a store that failed to write is tried. Nobody else would: those who watch send requests elsewhere.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// How often the operator's certificate files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Runs until `stopped`. Certificates go by the time of `wall`, all else by that of `env`.
pub(super) async fn run(
    projects: Arc<Projects>,
    certificates: Certificates,
    env: Env,
    wall: Env,
    mut stopped: watch::Receiver<bool>,
) {
    tokio::select! {
        // The sender gone means the server is gone.
        _ = stopped.wait_for(|set| *set) => {}
        () = go_on(&projects, &env) => {}
        () = probe(&projects) => {}
        // An order may take minutes, and must not hold up the sweeping.
        () = renew(&projects, &certificates, &wall) => {}
        () = look(&projects, &certificates, &wall) => {}
    }
}

/// Takes up certificates that somebody else renews.
async fn look(projects: &Projects, certificates: &Certificates, env: &Env) {
    let mut every = interval(LOOK_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let (settings, certificates, env) = (projects.settings(), certificates.clone(), env.clone());
        if let Err(error) = tokio::task::spawn_blocking(move || certificates.look(&settings, &env)).await {
            tracing::error!(%error, "looking at the certificate's files ended badly");
        }
    }
}

async fn renew(projects: &Projects, certificates: &Certificates, env: &Env) {
    let mut look = interval(RENEW_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = projects.settings();
    loop {
        look.tick().await;
        let settings = projects.settings();
        if !Arc::ptr_eq(&known, &settings) {
            certificates.forget_failures();
        }
        certificates.renew_if_due(&settings, env).await;
        known = settings;
    }
}

async fn probe(projects: &Projects) {
    let mut look = interval(PROBE_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        for project in projects.all_open() {
            if project.failing().is_some() && project.try_to_write().await.is_ok() {
                tracing::info!(project = %project.record().slug, "the store takes changes again");
                if let Err(error) = keys::provide(&project, project.env().now()).await {
                    tracing::warn!(project = %project.record().slug, %error, "no key for JWTs could be made");
                }
            }
        }
    }
}

async fn go_on(projects: &Projects, env: &Env) {
    let mut tidy = interval(SWEEP_EVERY);
    tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut note = interval(NOTE_EVERY);
    // The first tick is at once; a start has better things to do.
    tidy.tick().await;
    note.tick().await;
    loop {
        tokio::select! {
            _ = note.tick() => note_heads(projects, |_| true),
            _ = tidy.tick() => {
                sweep_all(projects, env).await;
                // Before their files are closed: what follows is not known until they are opened again.
                note_heads(projects, |project| !project.used_within(IDLE, env.now()));
                projects.close_idle(IDLE).await;
            }
        }
    }
}

/// Logs the heads of the audit trails of these open projects.
pub(super) fn note_heads(projects: &Projects, of: impl Fn(&Project) -> bool) {
    for project in projects.all_open().iter().filter(|project| of(project)) {
        if let Err(error) = audit::note_head(project) {
            tracing::warn!(project = %project.record().slug, %error, "the head of the audit trail cannot be read");
        }
    }
}

async fn sweep_all(projects: &Projects, env: &Env) {
    for project in projects.all_open() {
        let mut cursor = Cursor::default();
        loop {
            match sweep::step(&project, &cursor, env.now()).await {
                Ok(swept) => {
                    projects.shared().metrics.swept.add(swept.removed as u64);
                    if swept.round_done {
                        break;
                    }
                    cursor = swept.next;
                }
                Err(error) => {
                    tracing::warn!(project = %project.record().slug, %error, "sweeping stopped; it will be tried again");
                    break;
                }
            }
            sleep(SWEEP_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::ProjectSettings;

    #[test]
    fn a_project_stays_open_as_long_as_its_limits_count() {
        let limits = ProjectSettings::named("shop").nora.limits;
        for limit in [limits.global, limits.mutation, limits.login, limits.signup_burst] {
            assert!(limit.expect("on unless switched off").window <= IDLE);
        }
    }
}
