//! Sessions: begun by every way of signing in, checked at every use, rotated, ended.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::events::{By, Event, EventKind};
use super::{Actor, Credential, Ctx, Error, Project, Unverified, access, notices};
use crate::config::VerificationMode;
use crate::crypto::{Digest, Secret};
use crate::data::devices;
use crate::data::sessions::{self, Carrier, Session};
use crate::data::users::{self, Role, User};
use crate::env::Timestamp;
use crate::store::{Read, Write};
use crate::token::{
    AccessClaims, Blank, RefreshToken, RefreshUuid, SessionClaims, SessionKey, refresh_uuid_digest,
    session_token_digest,
};

use super::verify::{self, Candidate};

/// What a client is given for a session.
#[derive(Debug)]
pub struct Issued {
    /// The token to present at every request.
    pub access_token: Secret<String>,
    /// When it expires.
    pub access_expires_at: Timestamp,
    /// The refresh token, where the session has one.
    pub refresh: Option<IssuedRefresh>,
    /// The session's id, the same after every refresh.
    pub session: Uuid,
    /// Whose session it is.
    pub user: User,
}

/// A refresh token on its way to a client.
#[derive(Debug)]
pub struct IssuedRefresh {
    /// Its text.
    pub token: Secret<String>,
    /// When it expires if it is not used before.
    pub expires_at: Timestamp,
}

/// Finds out who presents an access token: its signature, its time, the session's row and the account's, all now.
///
/// # Errors
/// `Unauthenticated` for every cause but a failing store.
pub fn authenticate(ctx: &Ctx, token: &str) -> Result<Actor, Error> {
    match ctx.rules.credential {
        Credential::Pair(_) | Credential::Hasura => by_signature(ctx, token),
        Credential::Token { .. } => by_digest(ctx, token),
    }
}

/// The session and the account that a signed access token names.
fn by_signature(ctx: &Ctx, token: &str) -> Result<Actor, Error> {
    let (project, now) = (&ctx.project, ctx.now);
    let named = match ctx.rules.credential {
        Credential::Hasura => project.jwts().prove(token, now).map(|proof| (proof.user, proof.session)),
        _ => project.verified().verify(&project.keys(), token, project.id(), now).map(|c| (c.user, c.session)),
    };
    let (user, session) = named.map_err(|_| Error::Unauthenticated)?;
    let living = alive(ctx, session)?;
    let actor = Actor { user: Arc::clone(&living.user), session };
    if living.user.id == user { Ok(actor) } else { Err(Error::Unauthenticated) }
}

/// The session whose one token this is.
fn by_digest(ctx: &Ctx, token: &str) -> Result<Actor, Error> {
    // Before the digest: a megabyte of nonsense is not worth hashing.
    if token.len() > SessionKey::MAX_TOKEN {
        return Err(Error::Unauthenticated);
    }
    let project = &ctx.project;
    let (digest, key) = (session_token_digest(token), project.session_key(&ctx.settings));
    let known = project.known_tokens().get(digest.as_bytes()).filter(|known| known.key == key.id());
    let session = match known {
        Some(known) => known.session,
        None => {
            // Texts of strangers never reach the store.
            if !key.signed(token) {
                return Err(Error::Unauthenticated);
            }
            let session = project.store().read(|r| sessions::id_by_token(r, &digest))?.ok_or(Error::Unauthenticated)?;
            project.known_tokens().insert(*digest.as_bytes(), KnownToken { key: key.id(), session });
            session
        }
    };
    let living = alive(ctx, session)?;
    if living.token != Some(digest) {
        return Err(Error::Unauthenticated);
    }
    Ok(Actor { user: Arc::clone(&living.user), session })
}

/// A session token that was found good, and the session it belongs to. Whether that lives is asked each time.
#[derive(Clone, Copy)]
pub(crate) struct KnownToken {
    /// Under which key; another may be in force by now.
    key: [u8; 8],
    session: Uuid,
}

/// A session that has not ended, of an account that may use it: as the store has them now.
fn alive(ctx: &Ctx, session: Uuid) -> Result<Arc<Living>, Error> {
    let project = &ctx.project;
    // Taken before the rows are read: what is remembered under it is never newer than they are.
    let version = project.store().version();
    let remembered = project.living().get(&session).filter(|living| living.version == version);
    let living = match remembered {
        Some(living) => living,
        None => {
            let read = project.store().read(|r| living(r, session, version))?;
            let living = Arc::new(read.ok_or(Error::Unauthenticated)?);
            project.living().insert(session, Arc::clone(&living));
            living
        }
    };
    if ctx.now < living.expires_at { Ok(living) } else { Err(Error::Unauthenticated) }
}

/// A session and its account as the store had them at a version: true as long as nothing was written since, so that a
/// revocation is felt by the next request and a quiet server need not read the same rows again.
pub(crate) struct Living {
    version: u64,
    user: Arc<User>,
    expires_at: Timestamp,
    /// The digest of its one token, where it has one.
    token: Option<Digest>,
}

/// The session and its account, when both exist and the account is not disabled.
fn living(r: &dyn Read, session: Uuid, version: u64) -> Result<Option<Living>, Error> {
    let Some(session) = sessions::get(r, session)? else { return Ok(None) };
    let user = users::get(r, session.user)?.filter(|user| user.disabled_at.is_none());
    let token = (session.carrier == Carrier::Token).then_some(session.refresh);
    Ok(user.map(|user| Living { version, user: Arc::new(user), expires_at: session.expires_at, token }))
}

/// Whether an account may do things of its own accord: its address is admitted, it is enabled, its address is proved where
/// the project wants that, and it has a credential.
///
/// # Errors
/// `AddressNotAllowed`, `AccountDisabled`, `VerificationRequired`, `AnonymousForbidden`, in this order.
pub fn usable(ctx: &Ctx, user: &User) -> Result<(), Error> {
    if !access::admits_account(&ctx.settings, user) {
        return Err(Error::AddressNotAllowed);
    }
    if !user.is_enabled() {
        return Err(Error::AccountDisabled);
    }
    if must_verify(ctx, user) {
        return Err(Error::VerificationRequired(Box::new(Unverified { user: user.clone(), token: None })));
    }
    if user.is_anonymous { Err(Error::AnonymousForbidden) } else { Ok(()) }
}

/// Whether the project wants the account's address proved before it is used.
pub(crate) fn must_verify(ctx: &Ctx, user: &User) -> bool {
    let strict = ctx.settings.verification.mode == VerificationMode::Strict;
    strict && user.email.is_some() && user.email_proof.is_none()
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
    let result = rotate(ctx, token).await;
    ctx.count_refresh(&result);
    result
}

async fn rotate(ctx: &Ctx, token: &str) -> Result<Issued, Error> {
    let presented = ctx.project.refresh_key().parse(token).ok_or(Error::InvalidRefreshToken)?;
    let successor = ctx.project.refresh_key().successor(&presented);
    let rotation = Rotation {
        session: presented.session(),
        generation: presented.generation(),
        presented: presented.digest(),
        successor: successor.digest(),
        by_uuid: false,
        reuse: ctx.event(EventKind::RefreshTokenReused, By::Stranger, None),
        candidate: Candidate::where_strict(ctx),
        ctx: ctx.clone(),
    };
    turn(ctx, rotation, || Secret::new(successor.text())).await
}

/// What is known of a refresh token that is a UUID to who has not the token: for who brings one from elsewhere.
pub fn refresh_digest(token: Uuid) -> Digest {
    refresh_uuid_digest(token)
}

/// [`refresh`] for refresh tokens that are UUIDs, ours or brought from elsewhere.
///
/// # Errors
/// As [`refresh`].
pub async fn refresh_uuid(ctx: &Ctx, token: Uuid) -> Result<Issued, Error> {
    let result = rotate_uuid(ctx, token).await;
    ctx.count_refresh(&result);
    result
}

async fn rotate_uuid(ctx: &Ctx, token: Uuid) -> Result<Issued, Error> {
    let (project, digest) = (&ctx.project, refresh_uuid_digest(token));
    let key = project.refresh_uuid_key();
    let (session, generation) = match key.parse(token) {
        Some(ours) => (ours.session(), ours.generation()),
        // One that was brought is the first of its session.
        None => {
            let session = project.store().read(|r| sessions::id_by_token(r, &digest))?;
            (session.ok_or(Error::InvalidRefreshToken)?, 0)
        }
    };
    let successor = key.token(session, generation.saturating_add(1)).ok_or(Error::InvalidRefreshToken)?;
    let rotation = Rotation {
        session,
        generation,
        presented: digest,
        successor: successor.digest(),
        by_uuid: true,
        reuse: ctx.event(EventKind::RefreshTokenReused, By::Stranger, None),
        candidate: Candidate::where_strict(ctx),
        ctx: ctx.clone(),
    };
    turn(ctx, rotation, || Secret::new(successor.text())).await
}

/// Runs a rotation; `successor` is the text of the next refresh token.
async fn turn(ctx: &Ctx, rotation: Rotation, successor: impl FnOnce() -> Secret<String>) -> Result<Issued, Error> {
    let outcome = ctx.project.store().write(move |w| rotation.run(w)).await?;
    match outcome {
        Rotated::Done { session, user } => issue(ctx, &session, *user, successor()),
        Rotated::Unverified(unverified) => Err(Error::VerificationRequired(unverified)),
        Rotated::Reused { user } => {
            ctx.count_theft();
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
    /// Whether the token is a UUID.
    by_uuid: bool,
    reuse: Event,
    /// Only where a fresh secret goes out to an unproved address that may not refresh.
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
            .filter(|session| now < session.expires_at && session.carrier.is_refreshed(self.by_uuid))
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
        if must_verify(&self.ctx, &user) {
            let unverified = verify::unverified(w, &self.ctx, user, self.candidate.as_ref())?;
            return Ok(Rotated::Unverified(Box::new(unverified)));
        }
        if is_current {
            if session.carrier == Carrier::Brought && self.generation > 0 {
                // The token that was brought leads here no more.
                sessions::adopt(w, &mut session)?;
            }
            session.previous = Some(std::mem::replace(&mut session.refresh, self.successor));
            session.generation = session.generation.saturating_add(1);
            session.refreshed_at = now;
            session.expires_at = now.plus(settings.tokens.refresh_ttl);
            sessions::put_refreshed(w, &session)?;
        }
        Ok(Rotated::Done { session: Box::new(session), user: Box::new(user) })
    }
}

/// A session about to begin, made before the transaction that stores it.
pub(crate) struct Draft {
    session: Session,
    tokens: Drafted,
    /// What the device it begins from is known by.
    device: [u8; 16],
    new_device: Event,
    /// Sessions a user may have; 0: any number.
    max: usize,
}

/// What the session will be carried by.
enum Drafted {
    Pair(RefreshToken),
    Uuid(RefreshUuid),
    /// The token, and the role it says.
    Token(Secret<String>, Role),
}

impl Draft {
    /// A session of `user`, from this request.
    ///
    /// # Errors
    /// None but a defect.
    pub(crate) fn new(ctx: &Ctx, user: &User) -> Result<Self, Error> {
        let env = ctx.project.env();
        let (id, tokens, digest, lasts) = match ctx.rules.credential {
            Credential::Pair(_) => {
                let id = env.new_id(ctx.now);
                let refresh = ctx.project.refresh_key().first(env, id);
                let digest = refresh.digest();
                (id, Drafted::Pair(refresh), digest, ctx.settings.tokens.refresh_ttl)
            }
            Credential::Hasura => {
                let key = ctx.project.refresh_uuid_key();
                let id = key.new_session(env, ctx.now);
                let defect = || Error::Internal("a session of ours has no refresh token".into());
                let refresh = key.token(id, 0).ok_or_else(defect)?;
                let digest = refresh.digest();
                (id, Drafted::Uuid(refresh), digest, ctx.settings.tokens.refresh_ttl)
            }
            Credential::Token { ttl } => {
                let claims = SessionClaims {
                    id: user.id,
                    email: &user.lower_case_email(),
                    role: user.role.name(),
                    issued_at: ctx.now,
                    expires_at: ctx.now.plus(ttl),
                };
                let token = ctx.project.session_key(&ctx.settings).mint(&claims, Blank::generate(env));
                let digest = session_token_digest(&token);
                (env.new_id(ctx.now), Drafted::Token(Secret::new(token), user.role), digest, ttl)
            }
        };
        let session = Session {
            id,
            user: user.id,
            created_at: ctx.now,
            refreshed_at: ctx.now,
            expires_at: ctx.now.plus(lasts),
            generation: 0,
            refresh: digest,
            previous: None,
            ip: ctx.client.ip_bytes(),
            agent: ctx.client.agent.as_deref().map(|agent| agent.chars().take(120).collect()),
            carrier: match &tokens {
                Drafted::Pair(_) => Carrier::Pair,
                Drafted::Uuid(_) => Carrier::Uuid,
                Drafted::Token(..) => Carrier::Token,
            },
        };
        let device = devices::mark(ctx.client.agent.as_deref());
        let new_device = ctx.event(EventKind::NewDevice, By::User, Some(user.id));
        Ok(Self { session, tokens, device, new_device, max: ctx.settings.sessions.max as usize })
    }

    /// Stores it, as a session of `user` as it is now; where the project limits sessions, the user's oldest ones end.
    /// The owner is told of a new device.
    ///
    /// # Errors
    /// `Busy` when the account's role changed since the token was made, which says it; and the store's.
    pub(crate) fn begin(&self, w: &mut dyn Write, ctx: &Ctx, user: &User) -> Result<(), Error> {
        if let Drafted::Token(_, role) = &self.tokens {
            if *role != user.role {
                return Err(Error::Busy { retry_after: Duration::from_secs(1) });
            }
            if sessions::id_by_token(w, &self.session.refresh)?.is_some() {
                return Err(Error::Internal("two session tokens are the same".into()));
            }
        }
        // Their ids are short of chance: see `RefreshUuidKey::new_session`.
        if matches!(self.tokens, Drafted::Uuid(_)) && sessions::get(w, self.session.id)?.is_some() {
            return Err(Error::Busy { retry_after: Duration::from_secs(1) });
        }
        if let Some(others) = self.max.checked_sub(1) {
            // Before this one is among them: ids go by the clock, which may have stepped back.
            let all = sessions::of_user(w, self.session.user)?;
            for &old in all.iter().take(all.len().saturating_sub(others)) {
                sessions::remove(w, self.session.user, old)?;
            }
        }
        sessions::insert(w, &self.session)?;
        Ok(notices::signed_in(w, ctx, user, &self.device, &self.new_device)?)
    }

    /// What the client gets, once it is stored.
    ///
    /// # Errors
    /// When no access token can be made.
    pub(crate) fn issue(&self, ctx: &Ctx, user: User) -> Result<Issued, Error> {
        match &self.tokens {
            Drafted::Pair(refresh) => issue(ctx, &self.session, user, Secret::new(refresh.text())),
            Drafted::Uuid(refresh) => issue(ctx, &self.session, user, Secret::new(refresh.text())),
            Drafted::Token(token, _) => Ok(Issued {
                access_token: token.clone(),
                access_expires_at: self.session.expires_at,
                refresh: None,
                session: self.session.id,
                user,
            }),
        }
    }
}

fn issue(ctx: &Ctx, session: &Session, user: User, refresh: Secret<String>) -> Result<Issued, Error> {
    let project: &Arc<Project> = &ctx.project;
    // Never longer than the session itself.
    let expires_at = ctx.now.plus(ctx.settings.tokens.access_ttl).min(session.expires_at);
    let access_token = match ctx.rules.credential {
        Credential::Hasura => project.jwts().issue(ctx, &user, session.id, expires_at)?,
        Credential::Pair(format) => {
            let claims = AccessClaims {
                user: user.id,
                project: project.id(),
                session: session.id,
                token_id: project.env().new_id(ctx.now),
                issued_at: ctx.now,
                expires_at,
            };
            Secret::new(project.keys().mint(format, ctx.settings.public_url.as_deref().unwrap_or_default(), &claims))
        }
        Credential::Token { .. } => return Err(Error::Internal("a session of one token has no other".into())),
    };
    Ok(Issued {
        access_token,
        access_expires_at: expires_at,
        refresh: Some(IssuedRefresh { token: refresh, expires_at: session.expires_at }),
        session: session.id,
        user,
    })
}
