//! Making an account.

use std::sync::Arc;

use super::events::{By, Event, EventKind};
use super::session::{Draft, Issued};
use super::tickets::Onward;
use super::verify::{self, Candidate};
use super::wishes::{self, Wishes};
use super::{Ctx, Email, Error, Unverified, access, bot, password_policy};
use crate::config::{Delivery, VerificationMode};
use crate::crypto::Secret;
use crate::data::one_time;
use crate::data::project::{self, Sequence};
use crate::data::users::{self, Role, User};
use crate::store::Write;

/// What a stranger brings.
#[derive(Debug)]
pub struct SignUp {
    /// Where to be reached.
    pub email: Email,
    /// The new password, as long as the dialect and the project want it.
    pub password: Secret<String>,
    /// What they wish for the account.
    pub wishes: Wishes,
    /// What a code that a mail leads to is bound to (RFC 7636, section 4.2).
    pub code_challenge: Option<String>,
    /// What the browser got for a solved challenge. [`sign_up`] has it checked where the project wants one, so no
    /// dialect does: a token is good for one check.
    pub bot_token: Option<String>,
}

impl SignUp {
    /// One who wishes nothing.
    pub fn new(email: Email, password: Secret<String>) -> Self {
        Self { email, password, wishes: Wishes::default(), code_challenge: None, bot_token: None }
    }
}

/// What becomes of a stranger.
#[derive(Debug)]
pub enum SignedUp {
    /// Signed in at once.
    In(Box<Issued>),
    /// An account without a session, as the dialect wants it.
    Made(Box<User>),
    /// An account without a session: the address must be proved first.
    MustVerify(Box<Unverified>),
}

/// Whether anyone may sign up: for a dialect that says so before it looks at anything else.
///
/// # Errors
/// `SignupDisabled`.
pub fn open(ctx: &Ctx) -> Result<(), Error> {
    if ctx.settings.signup.enabled { Ok(()) } else { Err(Error::SignupDisabled) }
}

/// Whether whoever signs up first will get the role of an administrator.
///
/// # Errors
/// Only the store's.
pub fn needs_first_admin(ctx: &Ctx) -> Result<bool, Error> {
    let could = ctx.settings.signup.enabled && ctx.rules.first_is_admin;
    Ok(could && !ctx.project.store().read(|r| users::any(r))?)
}

/// Makes an account, and in the same transaction its first session or its verification secret.
///
/// # Errors
/// In this order: `SignupDisabled`, `BotCheckFailed`, `AddressNotAllowed`, what [`password_policy::check`] says,
/// `RedirectNotAllowed`, `RoleNotAllowed`, `DefaultRoleNotAllowed`, `EmailTaken` (not where `conceal` is on and a sign-up begins no session: then
/// the answer is that of a new account, after the same work and writes), `AwaitsOperator` when the account was made and
/// waits for an operator; `Busy`, and the store's.
pub async fn sign_up(ctx: &Ctx, new: SignUp) -> Result<SignedUp, Error> {
    open(ctx)?;
    let verification = &ctx.settings.verification;
    let strict = verification.mode == VerificationMode::Strict;
    // Where nothing waits for the proof, it is asked for all the same if we can: by mail.
    let asks = strict || (verification.mode == VerificationMode::Lenient && verification.delivery == Delivery::Mail);
    // Who waits for an operator is sent nothing.
    let (waits, asks) = (ctx.settings.signup.disable_new_users, asks && !ctx.settings.signup.disable_new_users);
    let signs_in = ctx.rules.sign_up_signs_in && !strict && !waits;
    let conceal = ctx.settings.conceal && !signs_in;
    let SignUp { email, password, wishes, code_challenge, bot_token } = new;
    bot::check(ctx, bot_token.as_deref()).await?;
    access::check(ctx, &email)?;
    password_policy::check(ctx, &password).await?;
    let next = match ctx.rules.proves_by_ticket {
        true => Some(Onward { redirect_to: wishes.redirect_to.clone(), code_challenge }.admit(ctx)?),
        false => None,
    };
    let granted = wishes::grant(ctx, wishes)?;
    // Saves a hash where the answer reveals the account anyway; the transaction below decides.
    if !conceal && ctx.project.store().read(|r| users::id_by_email(r, &email))?.is_some() {
        return Err(Error::EmailTaken);
    }
    let hash = ctx.project.pool().hash(ctx.hash_group(), password).await?;
    let user = granted.put_into(User {
        email: Some(email.typed().to_owned()),
        password: Some(hash),
        disabled_at: waits.then_some(ctx.now),
        ..User::new(ctx.project.env().new_id(ctx.now), ctx.now)
    });
    let session = signs_in.then(|| Draft::new(ctx, &user)).transpose()?;
    let account = NewAccount {
        user,
        email,
        candidate: asks.then(|| match &next {
            Some(next) => Candidate::ticket(ctx, next),
            None => Candidate::new(ctx),
        }),
        signed_up: ctx.event(EventKind::SignedUp, By::User, None),
        concealed: ctx.event(EventKind::SignUpConcealed, By::Stranger, None),
        conceal,
        ctx: ctx.clone(),
    };
    let job = Arc::new((account, session));
    let made = ctx
        .project
        .store()
        .write_within(ctx.project.pool().patience(), {
            let job = Arc::clone(&job);
            move |w| {
                let (account, session) = &*job;
                let made = account.insert(w)?;
                if let Some(session) = session {
                    session.begin(w, &account.ctx, &made.user)?;
                }
                Ok::<_, Error>(made)
            }
        })
        .await?;
    Ok(match &job.1 {
        _ if waits => return Err(Error::AwaitsOperator),
        Some(session) => SignedUp::In(Box::new(session.issue(ctx, made.user)?)),
        None if strict => SignedUp::MustVerify(Box::new(made)),
        None => SignedUp::Made(Box::new(made.user)),
    })
}

struct NewAccount {
    /// Without its number, which the transaction gives.
    user: User,
    email: Email,
    candidate: Option<Candidate>,
    signed_up: Event,
    concealed: Event,
    conceal: bool,
    ctx: Ctx,
}

impl NewAccount {
    fn insert(&self, w: &mut dyn Write) -> Result<Unverified, Error> {
        let ctx = &self.ctx;
        let owner = users::by_email(w, &self.email)?;
        if owner.is_some() && !self.conceal {
            return Err(Error::EmailTaken);
        }
        let mut user = User {
            // A concealed duplicate uses up a number too, else the next account's would give it away.
            number: project::next(w, Sequence::Users)?,
            ..self.user.clone()
        };
        // Decided here, where no other sign-up can come in between: of many at once, one is first.
        if ctx.rules.first_is_admin && !users::any(w)? {
            user.role = Role::Admin;
        }
        if let Some(owner) = owner {
            let token = match &self.candidate {
                Some(candidate) => candidate.decoy(w, ctx, &owner, &self.email)?,
                None => None,
            };
            one_time::pad_as_account(w, self.user.id, ctx.now, ctx.now.plus(ctx.settings.verification.ttl))?;
            ctx.record(w, &Event { user: Some(owner.id), ..self.concealed.clone() })?;
            if !ctx.settings.webhooks.is_empty() {
                // What stands where webhooks would be told goes at once.
                ctx.project.wake_outbox();
            }
            return Ok(Unverified { user, token });
        }
        users::insert(w, &user)?;
        ctx.record(w, &Event { user: Some(user.id), ..self.signed_up.clone() })?;
        match &self.candidate {
            Some(candidate) => Ok(verify::unverified(w, ctx, user, Some(candidate))?),
            None => Ok(Unverified { user, token: None }),
        }
    }
}
