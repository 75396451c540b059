//! What an operator does with accounts and sessions.

use uuid::Uuid;

use super::events::{self, Event, EventKind};
use super::{Email, Error, Operator, Project, password_policy, sign_out};
use crate::crypto::{ClientGroup, Secret, StoredHash};
use crate::data::project::{self, Sequence};
use crate::data::sessions::Session;
use crate::data::users::{EmailProof, ProofKind, Role, User};
use crate::data::{api_keys, avatars, codes, devices, identities, lockouts, one_time, sessions, users};
use crate::store::Write;

/// How an operator names an account.
#[derive(Clone, Debug)]
pub enum UserRef {
    /// By id.
    Id(Uuid),
    /// By address.
    Email(Email),
}

/// An account made by an operator.
#[derive(Debug)]
pub struct NewUser {
    /// Its address.
    pub email: Email,
    /// Its password, or a hash of it from elsewhere; `None`: it cannot sign in by password.
    pub password: Option<NewPassword>,
    /// The name it goes by.
    pub display_name: Option<String>,
    /// Whether the address counts as proved.
    pub verified: bool,
    /// A JSON object of the app's own.
    pub metadata: Option<String>,
    /// What the app lets it do.
    pub role: Role,
}

/// A password as an operator brings it.
#[derive(Debug)]
pub enum NewPassword {
    /// In clear.
    Plain(Secret<String>),
    /// As a hash that [`StoredHash::parse_import`] accepted; replaced at the next sign-in.
    Imported(StoredHash),
}

/// The hash of an operator's password; the operator queues as a client of its own. The project's policy holds for them
/// too: a password they make up and hand over is guessed like any other. In need they may bring a hash.
async fn hash(project: &Project, password: NewPassword) -> Result<StoredHash, Error> {
    match password {
        NewPassword::Plain(text) => {
            password_policy::check_in(project, &project.settings(), &text).await?;
            Ok(project.pool().hash(ClientGroup(u128::MAX), text).await?)
        }
        NewPassword::Imported(hash) => Ok(hash),
    }
}

/// Makes an account.
///
/// # Errors
/// What [`password_policy::check`] says, `EmailTaken`, `Busy`, and the store's.
pub async fn create(project: &Project, by: Operator, new: NewUser) -> Result<User, Error> {
    let password = match new.password {
        Some(password) => Some(hash(project, password).await?),
        None => None,
    };
    let now = by.now;
    let user = User {
        email: Some(new.email.typed().to_owned()),
        display_name: new.display_name,
        email_proof: new.verified.then_some(EmailProof { at: now, kind: ProofKind::Operator }),
        metadata: new.metadata,
        role: new.role,
        password,
        ..User::new(project.env().new_id(now), now)
    };
    let email = new.email;
    let event = events::by_operator(project, by, EventKind::Created, Some(user.id));
    let teller = project.teller();
    project
        .store()
        .write(move |w| {
            if users::id_by_email(w, &email)?.is_some() {
                return Err(Error::EmailTaken);
            }
            let user = User { number: project::next(w, Sequence::Users)?, ..user.clone() };
            users::insert(w, &user)?;
            teller.record(w, &event)?;
            Ok(user)
        })
        .await
}

/// The account an operator names.
///
/// # Errors
/// `UnknownUser`, and the store's.
pub fn show(project: &Project, who: &UserRef) -> Result<User, Error> {
    project.store().read(|r| {
        let user = match who {
            UserRef::Id(id) => users::get(r, *id)?,
            UserRef::Email(email) => users::by_email(r, email)?,
        };
        user.ok_or(Error::UnknownUser)
    })
}

/// At most `limit` accounts in the order they were made, after the one with the id `after`.
///
/// # Errors
/// Only the store's.
pub fn list(project: &Project, after: Option<Uuid>, limit: usize) -> Result<Vec<User>, Error> {
    project.store().read(|r| Ok(users::list(r, after, limit)?))
}

/// Switches an account off: its sessions end, and it cannot sign in until it is enabled.
///
/// # Errors
/// `UnknownUser`, and the store's.
pub async fn disable(project: &Project, by: Operator, who: UserRef) -> Result<User, Error> {
    change(project, by, who, EventKind::Disabled, move |w, user| {
        user.disabled_at.get_or_insert(by.now);
        sign_out::all(w, user.id, None)?;
        one_time::withdraw_all(w, user.id)?;
        Ok(users::put(w, user)?)
    })
    .await
}

/// Switches an account on again.
///
/// # Errors
/// `UnknownUser`, and the store's.
pub async fn enable(project: &Project, by: Operator, who: UserRef) -> Result<User, Error> {
    change(project, by, who, EventKind::Enabled, |w, user| {
        user.disabled_at = None;
        Ok(users::put(w, user)?)
    })
    .await
}

/// Deletes an account with all that hangs on it. Its id and number are never used again.
///
/// # Errors
/// `UnknownUser`, and the store's.
pub async fn delete(project: &Project, by: Operator, who: UserRef) -> Result<User, Error> {
    change(project, by, who, EventKind::Deleted, |w, user| {
        sign_out::all(w, user.id, None)?;
        one_time::withdraw_all(w, user.id)?;
        api_keys::remove_all(w, user.id)?;
        devices::remove_all(w, user.id)?;
        identities::remove_all(w, user.id)?;
        avatars::remove(w, user.id)?;
        Ok(users::remove(w, user)?)
    })
    .await
}

/// Sets a password whatever it was before; all sessions end.
///
/// # Errors
/// What [`password_policy::check`] says, `UnknownUser`, `Busy`, and the store's.
pub async fn set_password(project: &Project, by: Operator, who: UserRef, password: NewPassword) -> Result<User, Error> {
    let hash = hash(project, password).await?;
    change(project, by, who, EventKind::PasswordSet, move |w, user| {
        user.password = Some(hash.clone());
        sign_out::all(w, user.id, None)?;
        one_time::withdraw_all(w, user.id)?;
        Ok(users::put(w, user)?)
    })
    .await
}

/// Gives an account another role; the sessions whose token says the former one end.
///
/// # Errors
/// `UnknownUser`, and the store's.
pub async fn set_role(project: &Project, by: Operator, who: UserRef, role: Role) -> Result<User, Error> {
    change(project, by, who, EventKind::RoleChanged, move |w, user| {
        if user.role != role {
            user.role = role;
            sessions::remove_by_token(w, user.id)?;
        }
        Ok(users::put(w, user)?)
    })
    .await
}

/// Forgets every failed attempt on an address, whether or not it has an account. How many counters there were.
///
/// # Errors
/// Only the store's.
pub async fn unlock(project: &Project, by: Operator, email: Email) -> Result<usize, Error> {
    let mut event = events::by_operator(project, by, EventKind::Unlocked, None);
    event.address = Some(project.address_digest(&email));
    let teller = project.teller();
    project
        .store()
        .write(move |w| {
            event.user = users::id_by_email(w, &email)?;
            let code_of = event.user.unwrap_or_else(|| one_time::phantom(&email));
            let counters = lockouts::unlock(w, &email)? + usize::from(codes::unlock(w, code_of)?);
            if counters > 0 {
                teller.record(w, &event)?;
            }
            Ok(counters)
        })
        .await
}

/// At most `limit` sessions in the order they began, of one account or of all, after the one with the id `after`;
/// expired ones that were not yet swept among them.
///
/// # Errors
/// `UnknownUser`, and the store's.
pub fn list_sessions(
    project: &Project,
    who: Option<&UserRef>,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Session>, Error> {
    let user = who.map(|who| show(project, who)).transpose()?;
    project.store().read(|r| {
        let all = match &user {
            Some(user) => {
                let mut own = Vec::new();
                for id in sessions::of_user(r, user.id)? {
                    if after.is_none_or(|after| after < id) {
                        own.extend(sessions::get(r, id)?);
                    }
                }
                own.truncate(limit);
                own
            }
            None => sessions::list(r, after, limit)?,
        };
        Ok(all)
    })
}

/// Ends one session.
///
/// # Errors
/// `UnknownSession`, and the store's.
pub async fn revoke_session(project: &Project, by: Operator, id: Uuid) -> Result<(), Error> {
    let mut event = events::by_operator(project, by, EventKind::SessionsRevoked, None);
    let teller = project.teller();
    project
        .store()
        .write(move |w| {
            let session = sessions::get(w, id)?.ok_or(Error::UnknownSession)?;
            sessions::remove(w, session.user, id)?;
            event.user = Some(session.user);
            Ok(teller.record(w, &event)?)
        })
        .await
}

/// Ends all sessions of an account; how many there were.
///
/// # Errors
/// `UnknownUser`, and the store's.
pub async fn revoke_sessions(project: &Project, by: Operator, who: UserRef) -> Result<usize, Error> {
    let user = show(project, &who)?;
    let mut event = events::by_operator(project, by, EventKind::SessionsRevoked, None);
    let teller = project.teller();
    event.user = Some(user.id);
    project
        .store()
        .write(move |w| {
            let ended = sign_out::all(w, user.id, None)?;
            teller.record(w, &event)?;
            Ok(ended)
        })
        .await
}

/// Finds an account inside the transaction, changes it, records the event.
async fn change(
    project: &Project,
    by: Operator,
    who: UserRef,
    kind: EventKind,
    mut what: impl FnMut(&mut dyn Write, &mut User) -> Result<(), Error> + Send + 'static,
) -> Result<User, Error> {
    let event = events::by_operator(project, by, kind, None);
    let teller = project.teller();
    let changed = project
        .store()
        .write(move |w| {
            let found = match &who {
                UserRef::Id(id) => users::get(w, *id)?,
                UserRef::Email(email) => users::by_email(w, email)?,
            };
            let mut user = found.ok_or(Error::UnknownUser)?;
            let event = Event { user: Some(user.id), ..event.clone() };
            // An account that goes is told of while it is there.
            if kind == EventKind::Deleted {
                teller.record(w, &event)?;
            }
            what(w, &mut user)?;
            if kind != EventKind::Deleted {
                teller.record(w, &event)?;
            }
            Ok::<_, Error>(user)
        })
        .await?;
    if kind.is_sent() {
        project.wake_outbox();
    }
    Ok(changed)
}
