//! What an account says of its owner: name, picture, language; read and changed by the owner.

use super::events::{By, EventKind};
use super::{Actor, Ctx, Error, User, session};
use crate::data::{avatars, users};

/// What to change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The name it goes by.
    pub display_name: Option<String>,
    /// The picture; `Some(None)` removes it.
    pub avatar: Option<Option<String>>,
    /// The language (BCP 47); `Some(None)` leaves it to the project.
    pub locale: Option<Option<String>>,
}

/// An account's picture, read when it is asked for and at no other time.
///
/// # Errors
/// Only the store's.
pub fn avatar(ctx: &Ctx, user: &User) -> Result<Option<String>, Error> {
    if !user.has_avatar {
        return Ok(None);
    }
    ctx.project.store().read(|r| Ok(avatars::get(r, user.id)?))
}

/// Changes all that is to be changed, or nothing; the account and its picture as they are then.
///
/// # Errors
/// `Unauthenticated` when the session has ended meanwhile, and the store's.
pub async fn change(ctx: &Ctx, actor: Actor, changes: Changes) -> Result<(User, Option<String>), Error> {
    let event = ctx.event(EventKind::ProfileChanged, By::User, Some(actor.user.id));
    let job_ctx = ctx.clone();
    ctx.project
        .store()
        .write(move |w| {
            let mut user = session::recheck(w, &actor, job_ctx.now)?;
            if let Some(name) = &changes.display_name {
                user.display_name = Some(name.clone());
            }
            if let Some(locale) = &changes.locale {
                user.locale.clone_from(locale);
            }
            match &changes.avatar {
                Some(Some(picture)) => avatars::put(w, user.id, picture)?,
                Some(None) => avatars::remove(w, user.id)?,
                None => {}
            }
            if let Some(picture) = &changes.avatar {
                user.has_avatar = picture.is_some();
            }
            users::put(w, &user)?;
            job_ctx.record(w, &event)?;
            let picture = if user.has_avatar { avatars::get(w, user.id)? } else { None };
            Ok((user, picture))
        })
        .await
}
