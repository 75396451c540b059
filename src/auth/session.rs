//! Sessions: begun by every way of signing in, checked at every use, rotated, ended.

use std::sync::Arc;

use uuid::Uuid;

use super::events::{By, Event, EventKind};
use super::{Actor, Ctx, Error, Project, Unverified, notices};
use crate::config::VerificationMode;
use crate::crypto::{Digest, Secret};
use crate::data::devices;
use crate::data::sessions::{self, Session};
use crate::data::users::{self, User};
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};
use crate::token::{AccessClaims, RefreshToken};

use super::verify::{self, Candidate};

/// What a client is given for a session.
#[derive(Debug)]
pub struct Issued {
    /// The signed access token.
    pub access_token: Secret<String>,
    /// When it expires.
    pub access_expires_at: Timestamp,
    /// The refresh token.
    pub refresh_token: Secret<String>,
    /// When it expires if it is not used before.
    pub refresh_expires_at: Timestamp,
    /// Whose session it is.
    pub user: User,
}

/// Finds out who presents an access token: its signature, its time, the session's row and the account's, all now.
///
/// # Errors
/// `Unauthenticated` for every cause but a failing store.
pub fn authenticate(ctx: &Ctx, token: &str) -> Result<Actor, Error> {
    let project = &ctx.project;
    let claims =
        project.verified().verify(&project.keys(), token, project.id(), ctx.now).map_err(|_| Error::Unauthenticated)?;
    // Taken before the rows are read: what is remembered under it is never newer than they are.
    let version = project.store().version();
    let remembered = project.living().get(&claims.session).filter(|living| living.version == version);
    let living = match remembered {
        Some(living) => living,
        None => {
            let read = project.store().read(|r| living(r, claims.session, version))?;
            let living = Arc::new(read.ok_or(Error::Unauthenticated)?);
            project.living().insert(claims.session, Arc::clone(&living));
            living
        }
    };
    if living.user.id != claims.user || ctx.now >= living.expires_at {
        return Err(Error::Unauthenticated);
    }
    Ok(Actor { user: Arc::clone(&living.user), session: claims.session })
}

/// A session and its account as the store had them at a version: true as long as nothing was written since, so that a
/// revocation is felt by the next request and a quiet server need not read the same rows again.
pub(crate) struct Living {
    version: u64,
    user: Arc<User>,
    expires_at: Timestamp,
}

/// The session and its account, when both exist and the account is not disabled.
fn living(r: &dyn Read, session: Uuid, version: u64) -> Result<Option<Living>, Error> {
    let Some(session) = sessions::get(r, session)? else { return Ok(None) };
    let user = users::get(r, session.user)?.filter(|user| user.disabled_at.is_none());
    Ok(user.map(|user| Living { version, user: Arc::new(user), expires_at: session.expires_at }))
}

/// Whether `actor` still is one, inside the transaction that acts for it: a logout may have come in between.
pub(crate) fn recheck(w: &dyn Write, actor: &Actor, now: Timestamp) -> Result<User, Error> {
    let session = sessions::get(w, actor.session)?.filter(|s| s.user == actor.user.id && now < s.expires_at);
    let user = users::get(w, actor.user.id)?.filter(|user| user.disabled_at.is_none());
    match (session, user) {
        (Some(_), Some(user)) => Ok(user),
        _ => Err(Error::Unauthenticated),
    }
}

/// Exchanges a refresh token for its successor. The same token again within the grace gives the same successor; later
/// it is theft, and the session ends.
///
/// # Errors
/// `InvalidRefreshToken` for every cause on the token's side; `VerificationRequired` in strict mode, the token unused.
pub async fn refresh(ctx: &Ctx, token: &str) -> Result<Issued, Error> {
    let presented = ctx.project.refresh_key().parse(token).ok_or(Error::InvalidRefreshToken)?;
    let successor = ctx.project.refresh_key().successor(&presented);
    let job = Rotation {
        session: presented.session(),
        generation: presented.generation(),
        presented: presented.digest(),
        successor: successor.digest(),
        reuse: ctx.event(EventKind::RefreshTokenReused, By::Stranger, None),
        candidate: (ctx.settings.verification.mode == VerificationMode::Strict).then(|| Candidate::new(ctx)),
        ctx: ctx.clone(),
    };
    let outcome = ctx.project.store().write(move |w| job.run(w)).await?;
    match outcome {
        Rotated::Done { session, user } => Ok(issue(ctx, &session, *user, &successor)),
        Rotated::Unverified(unverified) => Err(Error::VerificationRequired(unverified)),
        Rotated::Reused { user } => {
            tracing::warn!(project = %ctx.project.record().slug, %user, client = %ctx.client.ip,
                "a refresh token was presented again after its successor was in use; the session was ended");
            Err(Error::InvalidRefreshToken)
        }
    }
}

/// One rotation, ready to run in the store.
struct Rotation {
    session: Uuid,
    generation: u32,
    presented: Digest,
    successor: Digest,
    reuse: Event,
    /// Only where an unproved address may not refresh.
    candidate: Option<Candidate>,
    ctx: Ctx,
}

enum Rotated {
    Done {
        session: Box<Session>,
        user: Box<User>,
    },
    Unverified(Box<Unverified>),
    /// Not an `Err`: ending the session must be kept.
    Reused {
        user: Uuid,
    },
}

impl Rotation {
    fn run(&self, w: &mut dyn Write) -> Result<Rotated, Error> {
        let (now, settings) = (self.ctx.now, &self.ctx.settings);
        let mut session = sessions::get(w, self.session)?
            .filter(|session| now < session.expires_at)
            .ok_or(Error::InvalidRefreshToken)?;
        let user =
            users::get(w, session.user)?.filter(|user| user.disabled_at.is_none()).ok_or(Error::InvalidRefreshToken)?;
        let is_current = self.generation == session.generation && self.presented == session.refresh;
        let is_previous = session.generation.checked_sub(1) == Some(self.generation)
            && session.previous.as_ref() == Some(&self.presented);
        let in_grace = is_previous && now.since(session.refreshed_at) < settings.tokens.refresh_grace;
        if !is_current && !in_grace {
            // Only tokens that this server issued get here (they carry a tag), so an older one is a stolen one.
            sessions::remove(w, session.user, session.id)?;
            self.ctx.record(w, &Event { user: Some(user.id), ..self.reuse.clone() })?;
            return Ok(Rotated::Reused { user: user.id });
        }
        if let (Some(candidate), None) = (&self.candidate, user.email_proof) {
            let unverified = verify::unverified(w, &self.ctx, user, candidate)?;
            return Ok(Rotated::Unverified(Box::new(unverified)));
        }
        if is_current {
            session.previous = Some(std::mem::replace(&mut session.refresh, self.successor));
            session.generation = session.generation.saturating_add(1);
            session.refreshed_at = now;
            session.expires_at = now.plus(settings.tokens.refresh_ttl);
            sessions::put_refreshed(w, &session)?;
        }
        Ok(Rotated::Done { session: Box::new(session), user: Box::new(user) })
    }
}

/// Ends the actor's session.
///
/// # Errors
/// `Unauthenticated` when it has ended meanwhile.
pub async fn sign_out(ctx: &Ctx, actor: Actor) -> Result<(), Error> {
    let event = ctx.event(EventKind::SignedOut, By::User, Some(actor.user.id));
    let job_ctx = ctx.clone();
    ctx.project
        .store()
        .write(move |w| {
            recheck(w, &actor, job_ctx.now)?;
            sessions::remove(w, actor.user.id, actor.session)?;
            Ok(job_ctx.record(w, &event)?)
        })
        .await
}

/// Ends all sessions of the actor's account, its own included.
///
/// # Errors
/// `Unauthenticated` when it has ended meanwhile.
pub async fn sign_out_all(ctx: &Ctx, actor: Actor) -> Result<(), Error> {
    let event = ctx.event(EventKind::SignedOutEverywhere, By::User, Some(actor.user.id));
    let job_ctx = ctx.clone();
    ctx.project
        .store()
        .write(move |w| {
            recheck(w, &actor, job_ctx.now)?;
            sessions::remove_all(w, actor.user.id, None)?;
            Ok(job_ctx.record(w, &event)?)
        })
        .await
}

/// A session about to begin, made before the transaction that stores it.
pub(crate) struct Draft {
    session: Session,
    refresh: RefreshToken,
    /// What the device it begins from is known by.
    device: [u8; 16],
    new_device: Event,
    /// Sessions a user may have; 0: any number.
    max: usize,
}

impl Draft {
    /// A session of `user`, from this request.
    pub(crate) fn new(ctx: &Ctx, user: Uuid) -> Self {
        let env = ctx.project.env();
        let id = env.new_id(ctx.now);
        let refresh = ctx.project.refresh_key().first(env, id);
        let session = Session {
            id,
            user,
            created_at: ctx.now,
            refreshed_at: ctx.now,
            expires_at: ctx.now.plus(ctx.settings.tokens.refresh_ttl),
            generation: 0,
            refresh: refresh.digest(),
            previous: None,
            ip: ctx.client.ip_bytes(),
            agent: ctx.client.agent.as_deref().map(|agent| agent.chars().take(120).collect()),
        };
        let device = devices::mark(ctx.client.agent.as_deref());
        let new_device = ctx.event(EventKind::NewDevice, By::User, Some(user));
        Self { session, refresh, device, new_device, max: ctx.settings.sessions.max as usize }
    }

    /// Stores it; where the project limits sessions, the user's oldest ones end. The owner is told of a new device.
    pub(crate) fn begin(&self, w: &mut dyn Write, ctx: &Ctx, user: &User) -> Result<(), StoreError> {
        if let Some(others) = self.max.checked_sub(1) {
            // Before this one is among them: ids go by the clock, which may have stepped back.
            let all = sessions::of_user(w, self.session.user)?;
            for &old in all.iter().take(all.len().saturating_sub(others)) {
                sessions::remove(w, self.session.user, old)?;
            }
        }
        sessions::insert(w, &self.session)?;
        notices::signed_in(w, ctx, user, &self.device, &self.new_device)
    }

    /// What the client gets, once it is stored.
    pub(crate) fn issue(&self, ctx: &Ctx, user: User) -> Issued {
        issue(ctx, &self.session, user, &self.refresh)
    }
}

fn issue(ctx: &Ctx, session: &Session, user: User, refresh: &RefreshToken) -> Issued {
    let project: &Arc<Project> = &ctx.project;
    // Never longer than the session itself.
    let expires_at = ctx.now.plus(ctx.settings.tokens.access_ttl).min(session.expires_at);
    let claims = AccessClaims {
        user: user.id,
        project: project.id(),
        session: session.id,
        token_id: project.env().new_id(ctx.now),
        issued_at: ctx.now,
        expires_at,
    };
    let issuer = ctx.settings.public_url.as_deref().unwrap_or_default();
    Issued {
        access_token: Secret::new(project.keys().mint(ctx.rules.token_format, issuer, &claims)),
        access_expires_at: expires_at,
        refresh_token: Secret::new(refresh.text()),
        refresh_expires_at: session.expires_at,
        user,
    }
}
