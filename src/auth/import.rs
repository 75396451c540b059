//! Accounts from elsewhere, a batch at a time.
//!
//! All that belongs to an account comes with it, in the transaction that makes it, and never afterwards: so a batch can
//! come again, and brings back nothing that was ended here since, neither an account nor a session of one.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::events::{self, EventKind};
use super::{Email, Error, Operator, Project};
use crate::crypto::{Digest, StoredHash};
use crate::data::identities::{self, Identity, Name};
use crate::data::personal_tokens::{self, PersonalToken};
use crate::data::project::{self, Sequence};
use crate::data::sessions::{self, Carrier, Session};
use crate::data::users::{EmailProof, Phone, ProofKind, Role, Roles, User};
use crate::data::{avatars, users};
use crate::env::Timestamp;
use crate::store::{StoreError, Write};

/// Accounts of one batch, at most: one transaction writes them.
pub const MAX_BATCH: usize = 2000;

/// An account as it is brought.
#[derive(Debug)]
pub struct Brought {
    /// The id it had; `None`: a new one.
    pub id: Option<Uuid>,
    /// Its address, if it has one.
    pub email: Option<Email>,
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
    /// Whether its address counts as proved. How it was proved there nobody knows any more (a link, a provider's word, an
    /// administrator): so the proof is the operator's, who brings it.
    pub verified: bool,
    /// When it was made; `None`: now.
    pub created_at: Option<Timestamp>,
    /// Whether it is switched off.
    pub disabled: bool,
    /// A JSON object of the app's own, as text.
    pub metadata: Option<String>,
    /// Made without any credential.
    pub is_anonymous: bool,
    /// Its roles, where they are not those of every account in the project's settings.
    pub roles: Option<Roles>,
    /// Its telephone number.
    pub phone: Option<Phone>,
    /// Its sessions; one that is switched off has none.
    pub sessions: Vec<BroughtSession>,
    /// Its personal access tokens; the same.
    pub personal_tokens: Vec<BroughtToken>,
    /// Who it is at other places.
    pub identities: Vec<Name>,
}

/// A session as it is brought: its client holds a refresh token that is a UUID.
#[derive(Clone, Copy, Debug)]
pub struct BroughtSession {
    /// SHA-256 of the token's text.
    pub refresh: Digest,
    /// When it began; `None`: now.
    pub created_at: Option<Timestamp>,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// A personal access token as it is brought; it is a UUID.
#[derive(Clone, Debug)]
pub struct BroughtToken {
    /// The id it had; `None`: a new one.
    pub id: Option<Uuid>,
    /// SHA-256 of the token's text.
    pub digest: Digest,
    /// When it was made; `None`: now.
    pub created_at: Option<Timestamp>,
    /// From when on it no longer works.
    pub expires_at: Timestamp,
    /// A JSON object of the app's own, as text.
    pub metadata: Option<String>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Accounts that were made.
    pub made: usize,
    /// Accounts whose id or address was there already: they stay as they are, so that a batch can come again. Also those
    /// whose id was deleted: it never comes back.
    pub present: usize,
    /// Sessions of the accounts that were made.
    pub sessions: usize,
    /// Their personal access tokens.
    pub personal_tokens: usize,
    /// Their identities.
    pub identities: usize,
}

/// Makes the accounts of a batch, all in one transaction.
///
/// # Errors
/// Only the store's.
pub async fn import(project: &Project, by: Operator, batch: Vec<Brought>) -> Result<Done, Error> {
    let mut ids = BTreeSet::new();
    let rows: Vec<Account> = batch.into_iter().map(|one| Account::new(project, by, one, &mut ids)).collect();
    let event = events::by_operator(project, by, EventKind::Imported, None);
    let teller = project.teller();
    project
        .store()
        .write(move |w| {
            let mut done = Done::default();
            for account in &rows {
                account.bring(w, &mut done)?;
            }
            if done.made > 0 {
                teller.record(w, &event)?;
            }
            Ok(done)
        })
        .await
}

/// An account and what comes with it, ready to be written.
struct Account {
    user: User,
    email: Option<Email>,
    avatar: Option<String>,
    sessions: Vec<Session>,
    tokens: Vec<PersonalToken>,
    identities: Vec<Name>,
    now: Timestamp,
}

impl Account {
    /// `ids` are those of the batch's sessions: they are short of chance, see `RefreshUuidKey::new_session`.
    fn new(project: &Project, by: Operator, brought: Brought, ids: &mut BTreeSet<Uuid>) -> Self {
        let now = by.now;
        let user = User {
            email: brought.email.as_ref().map(|email| email.typed().to_owned()),
            display_name: brought.display_name,
            email_proof: (brought.verified && brought.email.is_some())
                .then_some(EmailProof { at: now, kind: ProofKind::Operator }),
            metadata: brought.metadata,
            locale: brought.locale,
            role: brought.role,
            has_avatar: brought.avatar.is_some(),
            password: brought.password,
            disabled_at: brought.disabled.then_some(now),
            is_anonymous: brought.is_anonymous,
            roles: brought.roles,
            phone: brought.phone,
            ..User::new(brought.id.unwrap_or_else(|| project.env().new_id(now)), brought.created_at.unwrap_or(now))
        };
        let lasting = |one: &BroughtSession| !brought.disabled && now < one.expires_at;
        let sessions = brought.sessions.into_iter().filter(lasting);
        let sessions = sessions.map(|one| {
            let mut id = project.refresh_uuid_key().new_session(project.env(), now);
            while !ids.insert(id) {
                id = project.refresh_uuid_key().new_session(project.env(), now);
            }
            let created_at = one.created_at.unwrap_or(now);
            Session {
                id,
                user: user.id,
                created_at,
                refreshed_at: created_at,
                expires_at: one.expires_at,
                generation: 0,
                refresh: one.refresh,
                previous: None,
                ip: [0; 16],
                agent: None,
                carrier: Carrier::Brought,
            }
        });
        let lasting = |one: &BroughtToken| !brought.disabled && now < one.expires_at;
        let tokens = brought.personal_tokens.into_iter().filter(lasting);
        let tokens = tokens.map(|one| PersonalToken {
            id: one.id.unwrap_or_else(|| project.env().new_id(now)),
            user: user.id,
            digest: one.digest,
            created_at: one.created_at.unwrap_or(now),
            expires_at: one.expires_at,
            metadata: one.metadata,
        });
        Self {
            sessions: sessions.collect(),
            tokens: tokens.collect(),
            user,
            email: brought.email,
            avatar: brought.avatar,
            identities: brought.identities,
            now,
        }
    }

    fn bring(&self, w: &mut dyn Write, done: &mut Done) -> Result<(), StoreError> {
        let by_address = match &self.email {
            Some(email) => users::id_by_email(w, email)?,
            None => None,
        };
        if by_address.is_some() || users::get(w, self.user.id)?.is_some() || users::is_gone(w, self.user.id)? {
            done.present += 1;
            return Ok(());
        }
        let user = User { number: project::next(w, Sequence::Users)?, ..self.user.clone() };
        users::insert(w, &user)?;
        if let Some(picture) = &self.avatar {
            avatars::put(w, user.id, picture)?;
        }
        done.made += 1;
        for session in &self.sessions {
            // Nobody's session is written over; of two that hold the same token, neither could be told from the other.
            if sessions::get(w, session.id)?.is_none() && sessions::id_by_token(w, &session.refresh)?.is_none() {
                sessions::insert(w, session)?;
                done.sessions += 1;
            }
        }
        for token in &self.tokens {
            if personal_tokens::find(w, &token.digest)?.is_none() {
                personal_tokens::insert(w, token)?;
                done.personal_tokens += 1;
            }
        }
        for name in &self.identities {
            if identities::get(w, name)?.is_none() {
                identities::insert(w, name, &Identity { user: user.id, created_at: self.now })?;
                done.identities += 1;
            }
        }
        Ok(())
    }
}
