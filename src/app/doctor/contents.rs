//! What is in the projects: files that cannot be used, mails and calls that do not get through.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Facts, Found, State, listed};
use crate::admin::{Finding, Severity};
use crate::auth::projects::Selector;
use crate::auth::{Error, Projects, accounts, outbox};
use crate::data::outbox::Kind;

/// So many attempts in vain are more than a passing trouble.
const SEVERAL: u32 = 3;
/// Items of an outbox that are looked at.
const LOOKED_AT: usize = 1000;

/// Opens a project and looks what state it is in.
pub(super) async fn look(projects: &Projects, id: Uuid) -> Result<State, String> {
    let project = projects.find(Selector::Id(id)).await.and_then(|found| found.ok_or(Error::UnknownProject));
    let project = project.map_err(|error| error.to_string())?;
    project.readable().map_err(|error| error.to_string())?;
    let (_, dead) = outbox::counts(&project).map_err(|error| error.to_string())?;
    let waiting = outbox::waiting(&project, None, LOOKED_AT).map_err(|error| error.to_string())?;
    let failing = waiting.iter().filter(|item| item.kind == Kind::Webhook && item.attempts >= SEVERAL);
    let failing: BTreeSet<String> = failing.map(|item| item.recipient.clone()).collect();
    let empty = accounts::list(&project, None, 1).map_err(|error| error.to_string())?.is_empty();
    Ok(State { settings: project.settings(), empty, dead, failing: failing.into_iter().collect() })
}

pub(super) fn unreadable(facts: &Facts) -> Vec<Finding> {
    let broken = facts.projects.iter().filter_map(|found| Some((found, found.state.as_ref().err()?)));
    let finding = |(found, reason): (&Found, &String)| {
        Finding::new(
            Severity::Error,
            format!("project {} cannot be used: {reason}", found.slug),
            "nobody can sign in there",
            "bring back its file from a backup, or the master key it was made with; `keystead project list` names it",
        )
    };
    broken.map(finding).collect()
}

fn usable(facts: &Facts) -> impl Iterator<Item = (&str, &State)> {
    facts.projects.iter().filter_map(|found| Some((found.slug.as_str(), found.state.as_ref().ok()?)))
}

pub(super) fn dead_letters(facts: &Facts) -> Vec<Finding> {
    let with = usable(facts).filter(|(_, state)| state.dead > 0);
    let finding = |(slug, state): (&str, &State)| {
        Finding::new(
            Severity::Warning,
            format!("{} mails or calls of project {slug} were given up", state.dead),
            "those they were for do not know what they should",
            format!(
                "`keystead mail list --dead --project {slug}` says why; mend that, then `keystead mail resend --all`"
            ),
        )
    };
    with.map(finding).collect()
}

pub(super) fn webhooks(facts: &Facts) -> Vec<Finding> {
    let with = usable(facts).filter(|(_, state)| !state.failing.is_empty());
    let finding = |(slug, state): (&str, &State)| {
        let targets: Vec<_> = state.failing.iter().map(String::as_str).collect();
        Finding::new(
            Severity::Warning,
            format!("webhooks of project {slug} fail: {}", listed(&targets)),
            "what happens is not told there; it is tried again, and given up in the end",
            "see what the target logs, and whether this machine reaches it; for an address that is not public, \
             outbound.allow",
        )
    };
    with.map(finding).collect()
}

pub(super) fn first_admin(facts: &Facts) -> Vec<Finding> {
    let is_public = facts.settings.listen.addresses.iter().any(|address| !address.is_local());
    let open = usable(facts).filter(|(_, state)| {
        let settings = &state.settings;
        is_public
            && state.empty
            && settings.enabled
            && settings.nora.enabled
            && settings.signup.enabled
            && settings.nora.first_user_admin == Some(true)
    });
    let finding = |(slug, _): (&str, &State)| {
        Finding::new(
            Severity::Warning,
            format!("whoever signs up first in project {slug} gets the role \"admin\""),
            "a stranger may be first",
            "sign up first yourself, or set nora.first_user_admin = false",
        )
    };
    open.map(finding).collect()
}
