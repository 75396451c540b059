//! Telling owners by mail what happened to their accounts. Nothing a stranger can see depends on it.
//!
//! A notice holds no secret, so it is made within the transaction that makes it true, under the id of its event. To an
//! address that nobody has proved to be the owner's, each kind goes once a day: an account made in somebody else's name
//! must not become a way to flood them.

use std::time::Duration;

use super::events::{Event, EventKind};
use super::mail::Mail;
use super::{Ctx, Email, ProjectSettings};
use crate::data::devices::{self, Seen};
use crate::data::one_time::{self, Notice};
use crate::data::users::{self, ProofKind, User};
use crate::env::Timestamp;
use crate::mail::{Letter, Template};
use crate::store::{StoreError, Write};

/// The pause between two notices of a kind where there is one.
const PAUSE: Duration = Duration::from_secs(24 * 3600);
/// How long a notice is worth sending.
const WORTH: Duration = Duration::from_secs(7 * 24 * 3600);

/// Tells the owner of what `event` says, where that is something owners are told.
pub(crate) fn tell(w: &mut dyn Write, settings: &ProjectSettings, event: &Event) -> Result<(), StoreError> {
    let wanted = match event.kind {
        EventKind::PasswordChanged | EventKind::PasswordSet => settings.notify.password_change,
        _ => false,
    };
    let Some(user) = event.user.filter(|_| wanted) else { return Ok(()) };
    let Some(user) = users::get(w, user)? else { return Ok(()) };
    let Some(email) = user.address()? else { return Ok(()) };
    if !is_proved(&user) && !one_time::may_notice(w, Notice::PasswordChanged, &email, event.at, PAUSE)? {
        return Ok(());
    }
    letter(event, Template::PasswordChanged, &[("ip", &address(event))]).write(w, email.typed())
}

/// Tells the owner of `email`, if there is one, that failed attempts locked the account; at most once a day. Costs the
/// same writes for an address without an account.
pub(crate) fn locked_out(
    w: &mut dyn Write,
    ctx: &Ctx,
    email: &Email,
    owner: Option<&User>,
    event: &Event,
) -> Result<(), StoreError> {
    if !ctx.settings.notify.lockout || !one_time::may_notice(w, Notice::LockedOut, email, ctx.now, PAUSE)? {
        return Ok(());
    }
    let until = spoken(ctx.now.plus(ctx.settings.lockout.duration));
    let letter = letter(event, Template::LockedOut, &[("ip", &address(event)), ("until", &until)]);
    match owner.filter(|owner| owner.disabled_at.is_none()) {
        Some(owner) => letter.enqueue(w, &ctx.project, owner.typed_email()),
        None => letter.pretend(w, &ctx.project, email.typed()),
    }
}

/// Tells who reads the mail of the address that `former` had until now that the account has another.
pub(crate) fn email_changed(w: &mut dyn Write, ctx: &Ctx, former: &User, event: &Event) -> Result<(), StoreError> {
    let Some(email) = former.address()? else { return Ok(()) };
    if !ctx.settings.notify.email_change
        || !(is_proved(former) || one_time::may_notice(w, Notice::EmailChanged, &email, ctx.now, PAUSE)?)
    {
        return Ok(());
    }
    let letter = letter_in(former.locale.as_deref(), event, Template::EmailChanged, &[("ip", &address(event))]);
    letter.enqueue(w, &ctx.project, email.typed())
}

/// Remembers the device that a session of `user` begins from, and tells the owner when it is a new one.
pub(crate) fn signed_in(
    w: &mut dyn Write,
    ctx: &Ctx,
    user: &User,
    device: &[u8; 16],
    event: &Event,
) -> Result<(), StoreError> {
    if devices::used(w, user.id, device, ctx.now)? != Seen::New {
        return Ok(());
    }
    ctx.record(w, event)?;
    let Some(email) = user.address()? else { return Ok(()) };
    let proved = is_proved(user);
    if !ctx.settings.notify.new_device
        || !(proved || one_time::may_notice(w, Notice::NewDevice, &email, ctx.now, PAUSE)?)
    {
        return Ok(());
    }
    // What a client calls itself is anybody's text: it goes only to who has proved to own the account.
    let agent = ctx.client.agent.as_deref().filter(|_| proved).map_or_else(|| "-".to_owned(), plain);
    letter(event, Template::NewDevice, &[("ip", &address(event)), ("agent", &agent)]).enqueue(
        w,
        &ctx.project,
        email.typed(),
    )
}

/// A moment as mails say it: `2026-01-02 00:15 UTC`.
pub(crate) fn spoken(at: Timestamp) -> String {
    let text = at.rfc3339();
    format!("{} UTC", text.get(..16).unwrap_or(&text).replace('T', " "))
}

fn letter(event: &Event, template: Template, values: &[(&str, &str)]) -> Mail {
    letter_in(None, event, template, values)
}

/// The same in a language, for who is not found by the address that it goes to.
fn letter_in(locale: Option<&str>, event: &Event, template: Template, values: &[(&str, &str)]) -> Mail {
    let mut all = vec![("at".to_owned(), spoken(event.at))];
    all.extend(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let locale = locale.map(str::to_owned);
    let letter = Letter { locale, values: all.into_iter().collect(), ..Letter::of(template) };
    Mail::plain(event.id, event.at, &letter, event.at.plus(WORTH))
}

/// Whether somebody who reads the mail at the address, or an operator, vouched for it.
fn is_proved(user: &User) -> bool {
    user.email_proof.is_some_and(|proof| matches!(proof.kind, ProofKind::Mailed | ProofKind::Operator))
}

fn address(event: &Event) -> String {
    event.ip.map_or_else(|| "-".to_owned(), |ip| std::net::Ipv6Addr::from(ip).to_canonical().to_string())
}

/// Text without what a mail program would make a link or markup of.
fn plain(agent: &str) -> String {
    let tame = |c: char| if c.is_ascii_alphanumeric() || " ./;:()_,+-".contains(c) { c } else { ' ' };
    agent.chars().take(120).map(tame).collect::<String>().replace("//", " ")
}
