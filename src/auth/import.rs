//! Accounts from elsewhere, a batch at a time.

use uuid::Uuid;

use super::events::{self, EventKind};
use super::{Email, Error, Operator, Project};
use crate::crypto::StoredHash;
use crate::data::project::{self, Sequence};
use crate::data::users::{EmailProof, ProofKind, Role, User};
use crate::data::{avatars, users};
use crate::env::Timestamp;

/// Accounts of one batch, at most: one transaction writes them.
pub const MAX_BATCH: usize = 2000;

/// An account as it is brought.
#[derive(Debug)]
pub struct Brought {
    /// The id it had; `None`: a new one.
    pub id: Option<Uuid>,
    /// Its address.
    pub email: Email,
    /// The hash of its password, replaced at the next sign-in; `None`: it has no password.
    pub password: Option<StoredHash>,
    /// The name it goes by.
    pub display_name: Option<String>,
    /// What the app lets it do.
    pub role: Role,
    /// Its picture.
    pub avatar: Option<String>,
    /// Its language.
    pub locale: Option<String>,
    /// Whether its address counts as proved.
    pub verified: bool,
    /// When it was made; `None`: now.
    pub created_at: Option<Timestamp>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Accounts that were made.
    pub made: usize,
    /// Accounts whose id or address was there already: they stay as they are, so that a batch can come again. Also those
    /// whose id was deleted: it never comes back.
    pub present: usize,
}

/// Makes the accounts of a batch, all in one transaction.
///
/// # Errors
/// Only the store's.
pub async fn import(project: &Project, by: Operator, batch: Vec<Brought>) -> Result<Done, Error> {
    let rows: Vec<(User, Email, Option<String>)> = batch.into_iter().map(|one| row(project, by, one)).collect();
    let event = events::by_operator(project, by, EventKind::Imported, None);
    let teller = project.teller();
    project
        .store()
        .write(move |w| {
            let mut done = Done::default();
            for (user, email, avatar) in &rows {
                let is_present = users::get(w, user.id)?.is_some() || users::id_by_email(w, email)?.is_some();
                if is_present || users::is_gone(w, user.id)? {
                    done.present += 1;
                    continue;
                }
                let user = User { number: project::next(w, Sequence::Users)?, ..user.clone() };
                users::insert(w, &user)?;
                if let Some(picture) = avatar {
                    avatars::put(w, user.id, picture)?;
                }
                done.made += 1;
            }
            if done.made > 0 {
                teller.record(w, &event)?;
            }
            Ok(done)
        })
        .await
}

fn row(project: &Project, by: Operator, brought: Brought) -> (User, Email, Option<String>) {
    let user = User {
        email: Some(brought.email.typed().to_owned()),
        display_name: brought.display_name,
        email_proof: brought.verified.then_some(EmailProof { at: by.now, kind: ProofKind::Operator }),
        locale: brought.locale,
        role: brought.role,
        has_avatar: brought.avatar.is_some(),
        password: brought.password,
        ..User::new(brought.id.unwrap_or_else(|| project.env().new_id(by.now)), brought.created_at.unwrap_or(by.now))
    };
    (user, brought.email, brought.avatar)
}
