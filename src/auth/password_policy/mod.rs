//! Which passwords may be set: the same rule for all dialects and every way to set one.
//!
//! How long a password must be is no part of it: that is form, which each dialect checks in its own units. A hash brought
//! from elsewhere cannot be judged and is taken as it is.
//!
//! A verb asks [`check`] before it looks at any account and before it hashes, so that answer and time say nothing of
//! whether an account exists. What is refused here is no attempt at a known secret, and is not counted as one.

mod common;
mod leaked;

use std::time::Duration;

use super::{Ctx, Error, Project, ProjectSettings};
use crate::crypto::Secret;

/// When to try again where the leak check has no answer.
const UNANSWERED_RETRY: Duration = Duration::from_secs(5);

/// Lets a new password pass that the project's policy does not forbid. Nothing leaves this server of a password that is
/// too common.
///
/// # Errors
/// `PasswordCommon`, `PasswordLeaked`, and `PolicyUnavailable` when the leak check could not be asked: it fails closed.
pub async fn check(ctx: &Ctx, new: &Secret<String>) -> Result<(), Error> {
    check_in(&ctx.project, &ctx.settings, new).await
}

/// The same for who has no [`Ctx`]: an operator.
///
/// # Errors
/// As [`check`].
pub(super) async fn check_in(project: &Project, settings: &ProjectSettings, new: &Secret<String>) -> Result<(), Error> {
    let policy = &settings.password;
    if policy.reject_common && common::is_common(new) {
        return Err(Error::PasswordCommon);
    }
    if !policy.reject_leaked {
        return Ok(());
    }
    match leaked::is_leaked(&project.shared().outbound, &policy.leaked_url, new).await {
        Ok(false) => Ok(()),
        Ok(true) => Err(Error::PasswordLeaked),
        Err(error) => {
            let (slug, service) = (&project.record().slug, &policy.leaked_url);
            tracing::warn!(project = %slug, %service, %error, "a new password was refused: the leak check had no answer");
            Err(Error::PolicyUnavailable { retry_after: UNANSWERED_RETRY })
        }
    }
}
