//! Following the link of a mail: its ticket is used up, does what it is for, and a session begins, or a code for one.

use std::sync::Arc;
use std::time::Duration;

use super::events::{By, Event, EventKind};
use super::proof::{self, Owner};
use super::session::{Draft, Issued};
use super::{Ctx, Email, Error, access, notices, tickets};
use crate::crypto::{Digest, Secret};
use crate::data::one_time::{self, OneTime, Purpose};
use crate::data::users::{self, User};
use crate::env::Timestamp;
use crate::store::Write;
use crate::token::{Challenge, OneTimeSecret, Ticket, TicketKind};

/// How long the code works that stands for a session (Nhost contract 1.4).
const TO_EXCHANGE: Duration = Duration::from_secs(5 * 60);

/// What following a link comes to.
#[derive(Debug)]
pub enum Followed {
    /// A session.
    In(Box<Issued>),
    /// A code, good once and for five minutes, for a session: see [`exchange`].
    Code(Secret<String>),
}

/// Uses up a ticket, whatever comes of it, and does what it is for. With a challenge (RFC 7636) there is a code for a
/// session, bound to it.
///
/// # Errors
/// `InvalidTicket` for every cause on the ticket's side; `AddressNotAllowed`, `AccountDisabled`, `VerificationRequired`,
/// `AnonymousForbidden` for an account that may not; `EmailTaken` when the new address has an account meanwhile;
/// `InvalidExchange` for a challenge that is none.
pub async fn follow(ctx: &Ctx, ticket: &str, code_challenge: Option<&str>) -> Result<Followed, Error> {
    let parse = |text: &str| Challenge::parse(text).ok_or(Error::InvalidExchange);
    let challenge = code_challenge.map(parse).transpose()?;
    let ticket = Ticket::parse(ticket).ok_or(Error::InvalidTicket)?;
    let purpose = tickets::purpose_of(ticket.kind());
    let digest = ticket.digest(purpose.name());
    // Of nobody's ticket nothing is written. What is found may be gone by the time of the transaction, which decides.
    let user = owner(ctx, purpose, &digest)?.ok_or(Error::InvalidTicket)?;
    let job = Arc::new(Following {
        kind: ticket.kind(),
        digest,
        entry: match challenge {
            None => Entry::Session(Box::new(Draft::new(ctx, &user)?)),
            Some(challenge) => Entry::Code {
                secret: OneTimeSecret::generate(ctx.project.env()),
                challenge,
                expires_at: ctx.now.plus(TO_EXCHANGE),
            },
        },
        user: user.id,
        proved: proof::event(ctx),
        changed: ctx.event(EventKind::EmailChanged, By::User, Some(user.id)),
        signed_in: ctx.event(EventKind::SignedIn, By::User, Some(user.id)),
        ctx: ctx.clone(),
    });
    let running = Arc::clone(&job);
    let followed = ctx.project.store().write(move |w| running.run(w)).await?;
    let result = followed.and_then(|user| match &job.entry {
        Entry::Session(draft) => draft.issue(ctx, user).map(|issued| Followed::In(Box::new(issued))),
        Entry::Code { secret, .. } => Ok(Followed::Code(Secret::new(secret.text()))),
    });
    if !matches!(result, Ok(Followed::Code(_))) {
        ctx.count_sign_in(&result);
    }
    result
}

/// The account that a secret leads to, as it is before the transaction that uses the secret up.
fn owner(ctx: &Ctx, purpose: Purpose, digest: &Digest) -> Result<Option<User>, Error> {
    ctx.project.store().read(|r| match one_time::find(r, purpose, digest)? {
        Some(found) => Ok(users::get(r, found.user)?),
        None => Ok(None),
    })
}

/// What begins.
enum Entry {
    Session(Box<Draft>),
    Code { secret: OneTimeSecret, challenge: Challenge, expires_at: Timestamp },
}

struct Following {
    kind: TicketKind,
    digest: Digest,
    /// Whose ticket it was found to be.
    user: uuid::Uuid,
    entry: Entry,
    proved: Event,
    changed: Event,
    signed_in: Event,
    ctx: Ctx,
}

impl Following {
    /// The inner error is a refusal that uses the ticket up: what was written stays.
    fn run(&self, w: &mut dyn Write) -> Result<Result<User, Error>, Error> {
        let ctx = &self.ctx;
        let found = one_time::consume(w, tickets::purpose_of(self.kind), &self.digest, ctx.now)?;
        let Some(found) = found.filter(|found| found.user == self.user) else { return Ok(Err(Error::InvalidTicket)) };
        let Some(mut user) = users::get(w, found.user)? else { return Ok(Err(Error::InvalidTicket)) };
        let unproved = matches!(self.kind, TicketKind::VerifyEmail | TicketKind::PasswordlessEmail);
        if let Err(refused) = tickets::check(ctx, &user, unproved) {
            return Ok(Err(refused));
        }
        match self.kind {
            TicketKind::VerifyEmail => proof::by_mail(w, ctx, &mut user, Owner::Same, &self.proved)?,
            TicketKind::PasswordlessEmail | TicketKind::PasswordReset => {
                proof::by_mail(w, ctx, &mut user, Owner::Unknown, &self.proved)?;
            }
            TicketKind::EmailConfirmChange => {
                if let Err(refused) = self.move_to(w, &mut user, &found)? {
                    return Ok(Err(refused));
                }
            }
        }
        match &self.entry {
            Entry::Session(draft) => {
                draft.begin(w, ctx, &user)?;
                ctx.record(w, &self.signed_in)?;
            }
            Entry::Code { secret, challenge, expires_at } => {
                let about = Some(challenge.as_str().to_owned());
                let digest = secret.digest(Purpose::Exchange.name());
                let secret = OneTime { user: user.id, expires_at: *expires_at, mailed: true, about };
                one_time::issue(w, Purpose::Exchange, &[digest], &secret)?;
            }
        }
        Ok(Ok(user))
    }

    /// Gives the account the address that the ticket went to.
    fn move_to(&self, w: &mut dyn Write, user: &mut User, found: &OneTime) -> Result<Result<(), Error>, Error> {
        let ctx = &self.ctx;
        let email = found.about.as_deref().and_then(|text| Email::parse(text).ok());
        let Some(email) = email else { return Ok(Err(Error::InvalidTicket)) };
        if let Err(refused) = access::check(ctx, &email) {
            return Ok(Err(refused));
        }
        if users::id_by_email(w, &email)?.is_some() {
            return Ok(Err(Error::EmailTaken));
        }
        // What went to the former address works no more.
        one_time::withdraw_all(w, user.id)?;
        let former = user.clone();
        user.email_proof = None;
        users::move_to(w, user, &email)?;
        ctx.record(w, &self.changed)?;
        notices::email_changed(w, ctx, &former, &self.changed)?;
        proof::by_mail(w, ctx, user, Owner::Same, &self.proved)?;
        Ok(Ok(()))
    }
}

/// Exchanges the code that following a link gave for a session. It is used up, also where `verifier` is not the text
/// that its challenge was made of.
///
/// # Errors
/// `InvalidExchange` for every cause on the side of code and verifier; then as [`follow`] for the account.
pub async fn exchange(ctx: &Ctx, code: &Secret<String>, verifier: &Secret<String>) -> Result<Issued, Error> {
    let result = exchanged(ctx, code, verifier).await;
    ctx.count_sign_in(&result);
    result
}

async fn exchanged(ctx: &Ctx, code: &Secret<String>, verifier: &Secret<String>) -> Result<Issued, Error> {
    let code = OneTimeSecret::parse(code.expose()).ok_or(Error::InvalidExchange)?;
    let digest = code.digest(Purpose::Exchange.name());
    let user = owner(ctx, Purpose::Exchange, &digest)?.ok_or(Error::InvalidExchange)?;
    let draft = Arc::new(Draft::new(ctx, &user)?);
    let event = ctx.event(EventKind::SignedIn, By::User, Some(user.id));
    let (job_ctx, job_draft, verifier) = (ctx.clone(), Arc::clone(&draft), verifier.clone());
    let exchanged = ctx
        .project
        .store()
        .write(move |w| {
            let ctx = &job_ctx;
            let found = one_time::consume(w, Purpose::Exchange, &digest, ctx.now)?;
            let challenge = found.as_ref().and_then(|found| Challenge::parse(found.about.as_deref()?));
            let answered = challenge.is_some_and(|challenge| challenge.is_answered_by(verifier.expose()));
            let now = match found.filter(|found| answered && Some(found.user) == event.user) {
                Some(found) => users::get(w, found.user)?,
                None => None,
            };
            let Some(user) = now else { return Ok(Err(Error::InvalidExchange)) };
            if let Err(refused) = tickets::check(ctx, &user, false) {
                return Ok(Err(refused));
            }
            job_draft.begin(w, ctx, &user)?;
            ctx.record(w, &event)?;
            Ok::<_, Error>(Ok(user))
        })
        .await?;
    draft.issue(ctx, exchanged?)
}
