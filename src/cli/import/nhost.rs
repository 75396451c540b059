//! The tables of Nhost Auth, each a file in one directory, put together account by account: what belongs to an account is
//! brought with it.
//!
//! Users are read one at a time; of the other tables only what is brought is kept in memory, some hundred bytes a row.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::vec;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::rows::{Row, WrongRow};
use super::table::{Record, Table};
use crate::auth::session;
use crate::env::Timestamp;
use crate::http::moment;

pub(super) const USERS: &str = "users.csv";
const ROLES: &str = "user_roles.csv";
const TOKENS: &str = "refresh_tokens.csv";
const PROVIDERS: &str = "user_providers.csv";
const SECURITY_KEYS: &str = "user_security_keys.csv";

/// Sessions of an account that are brought, at most: those that last longest.
const MAX_SESSIONS: usize = 100;

/// What is not brought, each with how often there was one.
#[derive(Debug, Default)]
pub(super) struct Left(BTreeMap<&'static str, u64>);

impl Left {
    fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    /// What and how many, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(what, count)| (*what, *count))
    }
}

/// The accounts of a directory of tables.
pub(super) struct Accounts<R> {
    users: Table<R>,
    roles: RoleSets,
    sessions: Vec<Session>,
    tokens: Vec<PersonalToken>,
    identities: Vec<Identity>,
    wrong: vec::IntoIter<WrongRow>,
    left: Left,
    now: Timestamp,
}

/// A refresh token of which its hash is known.
struct Session {
    user: Uuid,
    digest: [u8; 64],
    created_at: Option<Timestamp>,
    expires_at: Timestamp,
}

/// A personal access token, of which the same is known.
struct PersonalToken {
    id: Option<Uuid>,
    session: Session,
    metadata: Option<Box<str>>,
}

struct Identity {
    user: Uuid,
    provider: Box<str>,
    subject: Box<str>,
}

/// The roles of accounts. Most have the same ones, which are kept once.
#[derive(Default)]
struct RoleSets {
    sets: Vec<BTreeSet<String>>,
    known: HashMap<BTreeSet<String>, usize>,
    of: HashMap<Uuid, usize>,
}

impl RoleSets {
    fn add(&mut self, user: Uuid, role: &str) {
        let mut set = self.of.get(&user).map(|at| self.sets[*at].clone()).unwrap_or_default();
        set.insert(role.to_owned());
        let at = *self.known.entry(set.clone()).or_insert_with(|| {
            self.sets.push(set);
            self.sets.len() - 1
        });
        self.of.insert(user, at);
    }

    fn get(&self, user: Uuid) -> Option<&BTreeSet<String>> {
        Some(&self.sets[*self.of.get(&user)?])
    }
}

impl Accounts<File> {
    /// Reads the tables in `dir` but the one of users.
    ///
    /// # Errors
    /// When one that has to be there is not, cannot be read, or is another.
    pub(super) fn in_directory(dir: &Path, now: Timestamp) -> Result<Self> {
        let open = |name: &'static str| -> Result<Option<File>> {
            match File::open(dir.join(name)) {
                Ok(file) => Ok(Some(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error).with_context(|| dir.join(name).display().to_string()),
            }
        };
        let Some(users) = open(USERS)? else {
            bail!(
                "{}: it is not there; write the tables of the schema `auth` as NAME.csv into one directory",
                dir.join(USERS).display()
            );
        };
        let Some(roles) = open(ROLES)? else {
            bail!(
                "{}: it is not there, and without it nobody would have the roles they have",
                dir.join(ROLES).display()
            );
        };
        Self::of(users, roles, [open(TOKENS)?, open(PROVIDERS)?, open(SECURITY_KEYS)?], now)
    }
}

impl<R: Read> Accounts<R> {
    /// The same of tables that are open: users, their roles, and refresh tokens, identities and security keys where there
    /// are any.
    ///
    /// # Errors
    /// As [`Accounts::in_directory`].
    pub(super) fn of(users: R, roles: R, [tokens, providers, keys]: [Option<R>; 3], now: Timestamp) -> Result<Self> {
        let users = Table::open(users, USERS, &["id", "email"])?;
        let mut all = Self {
            users,
            roles: RoleSets::default(),
            sessions: Vec::new(),
            tokens: Vec::new(),
            identities: Vec::new(),
            wrong: Vec::new().into_iter(),
            left: Left::default(),
            now,
        };
        let mut wrong = Vec::new();
        each(Table::open(roles, ROLES, &["user_id", "role"])?, ROLES, &mut wrong, |row| {
            all.roles.add(user_of(row)?, row.get("role").ok_or("it names no role")?);
            Ok(())
        });
        if let Some(file) = tokens {
            each(Table::open(file, TOKENS, &["user_id", "expires_at"])?, TOKENS, &mut wrong, |row| {
                match token(row, now, &mut all.left)? {
                    Some(Token::Session(session)) => all.sessions.push(session),
                    Some(Token::Personal(token)) => all.tokens.push(token),
                    None => {}
                }
                Ok(())
            });
        }
        if let Some(file) = providers {
            let needed = ["user_id", "provider_id", "provider_user_id"];
            each(Table::open(file, PROVIDERS, &needed)?, PROVIDERS, &mut wrong, |row| {
                let [provider, subject] = ["provider_id", "provider_user_id"].map(|column| row.get(column));
                let provider = provider.ok_or("it names no provider")?.into();
                let subject = subject.ok_or("it names no account of the provider")?.into();
                all.identities.push(Identity { user: user_of(row)?, provider, subject });
                if ["access_token", "refresh_token"].iter().any(|column| row.get(column).is_some()) {
                    all.left.count("tokens of providers");
                }
                Ok(())
            });
        }
        if let Some(file) = keys {
            each(Table::open(file, SECURITY_KEYS, &["user_id"])?, SECURITY_KEYS, &mut wrong, |_| {
                all.left.count("security keys");
                Ok(())
            });
        }
        // Those of an account together, and of its sessions first those that last longest.
        all.sessions.sort_by_key(|one| (one.user, std::cmp::Reverse(one.expires_at)));
        all.tokens.sort_by_key(|one| (one.session.user, std::cmp::Reverse(one.session.expires_at)));
        all.identities.sort_by_key(|one| one.user);
        all.wrong = wrong.into_iter();
        Ok(all)
    }

    /// The next account as the admin API takes it; rows of other tables that are wrong come before all accounts.
    pub(super) fn next(&mut self) -> Option<Result<Row, WrongRow>> {
        if let Some(wrong) = self.wrong.next() {
            return Some(Err(wrong));
        }
        let row = match self.users.next()? {
            Ok(row) => row,
            Err(wrong) => return Some(Err(wrong)),
        };
        let line = row.line;
        let own =
            Own { roles: &self.roles, sessions: &self.sessions, tokens: &self.tokens, identities: &self.identities };
        Some(match account(&row, &own, &mut self.left, self.now) {
            Ok(fields) => Ok(Row { line, fields }),
            Err(reason) => Err(WrongRow::new(USERS, line, reason)),
        })
    }

    /// What was not brought of the rows so far.
    pub(super) fn left(&self) -> &Left {
        &self.left
    }
}

/// What all accounts have of their own.
struct Own<'a> {
    roles: &'a RoleSets,
    sessions: &'a [Session],
    tokens: &'a [PersonalToken],
    identities: &'a [Identity],
}

fn account(
    row: &Record<'_>,
    all: &Own<'_>,
    left: &mut Left,
    now: Timestamp,
) -> Result<Map<String, Value>, &'static str> {
    let id = row.get("id").and_then(|text| Uuid::try_parse(text).ok()).ok_or("the id is not a UUID")?;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("id", id.to_string().into());
    for (column, name) in [
        ("email", "email"),
        ("password_hash", "password_hash"),
        ("display_name", "display_name"),
        ("locale", "locale"),
        ("created_at", "created_at"),
        ("phone_number", "phone"),
        ("default_role", "default_role"),
    ] {
        if let Some(text) = row.get(column) {
            put(name, text.into());
        }
    }
    // The picture of an address is what an account without one has anyway.
    if let Some(picture) = row.get("avatar_url").filter(|url| !url.starts_with("https://www.gravatar.com/avatar/")) {
        put("avatar", picture.into());
    }
    let disabled = row.flag("disabled").unwrap_or_default();
    for (column, name) in [
        ("disabled", "disabled"),
        ("email_verified", "verified"),
        ("phone_number_verified", "phone_verified"),
        ("is_anonymous", "is_anonymous"),
    ] {
        match (row.get(column), row.flag(column)) {
            (_, Some(true)) => _ = put(name, true.into()),
            (None, _) | (_, Some(false)) => {}
            (Some(_), None) => return Err("what should be true or false is neither"),
        }
    }
    if let Some(text) = row.get("metadata") {
        put("metadata", serde_json::from_str(text).map_err(|_| "the metadata is no JSON")?);
    }
    if let Some(set) = all.roles.get(id) {
        put("roles", set.iter().map(String::as_str).collect());
    }
    let sessions = of_user(all.sessions, id, |one| one.user);
    let tokens = of_user(all.tokens, id, |one| one.session.user);
    if disabled && sessions.len() + tokens.len() > 0 {
        left.count("accounts that are switched off, with their sessions and personal access tokens");
    }
    if !disabled && sessions.len().max(tokens.len()) > MAX_SESSIONS {
        left.count("accounts with more than 100 sessions or personal access tokens, of which the rest");
    }
    let most = if disabled { 0 } else { MAX_SESSIONS };
    let sessions: Vec<Value> = sessions.iter().take(most).map(Session::told).collect();
    if !sessions.is_empty() {
        put("sessions", sessions.into());
    }
    let tokens: Vec<Value> = tokens.iter().take(most).map(PersonalToken::told).collect::<Result<_, _>>()?;
    if !tokens.is_empty() {
        put("personal_tokens", tokens.into());
    }
    let own = of_user(all.identities, id, |one| one.user);
    let identities: Vec<Value> = own.iter().map(|one| json!({ "provider": one.provider, "id": one.subject })).collect();
    if !identities.is_empty() {
        put("identities", identities.into());
    }
    if row.get("active_mfa_type").is_some() {
        left.count("accounts with a second factor, which now sign in without it");
    } else if row.get("totp_secret").is_some() {
        left.count("secrets of second factors that were not in use");
    }
    let until = row.get("ticket_expires_at").and_then(moment);
    if row.get("ticket").is_some() && until.is_some_and(|until| now < until) {
        left.count("links in mails that were not followed yet");
    }
    Ok(fields)
}

impl Session {
    fn told(&self) -> Value {
        let mut told =
            json!({ "digest": String::from_utf8_lossy(&self.digest), "expires_at": self.expires_at.rfc3339_millis() });
        if let Some(at) = self.created_at {
            told["created_at"] = at.rfc3339_millis().into();
        }
        told
    }
}

impl PersonalToken {
    fn told(&self) -> Result<Value, &'static str> {
        let mut told = self.session.told();
        if let Some(id) = self.id {
            told["id"] = id.to_string().into();
        }
        if let Some(text) = &self.metadata {
            told["metadata"] = serde_json::from_str(text).map_err(|_| "the metadata of a token is no JSON")?;
        }
        Ok(told)
    }
}

/// What a row of refresh tokens is.
enum Token {
    Session(Session),
    Personal(PersonalToken),
}

/// A row of refresh tokens; `None` when it is not brought.
fn token(row: &Record<'_>, now: Timestamp, left: &mut Left) -> Result<Option<Token>, &'static str> {
    let user = user_of(row)?;
    let expires_at = row.get("expires_at").and_then(moment).ok_or("the time it expires is none")?;
    if expires_at <= now {
        left.count("refresh tokens that have expired");
        return Ok(None);
    }
    let is_personal = match row.get("type") {
        None | Some("regular") => false,
        Some("pat") => true,
        Some(_) => {
            left.count("refresh tokens of other apps (OAuth 2)");
            return Ok(None);
        }
    };
    let digest = match row.get("refresh_token_hash") {
        Some(hash) => hex(hash).ok_or("the hash of the token is not a SHA-256")?,
        // Before the hash there was the token itself.
        None => match row.get("refresh_token").map(Uuid::try_parse) {
            Some(Ok(token)) => hex_of(token),
            _ => return Err("there is no hash of the token"),
        },
    };
    let created_at = row.get("created_at").and_then(moment);
    let session = Session { user, digest, created_at, expires_at };
    Ok(Some(match is_personal {
        true => Token::Personal(PersonalToken {
            id: row.get("id").and_then(|text| Uuid::try_parse(text).ok()),
            session,
            metadata: row.get("metadata").map(Into::into),
        }),
        false => Token::Session(session),
    }))
}

/// `\x` and the 64 digits of a SHA-256, in lower case.
fn hex(text: &str) -> Option<[u8; 64]> {
    let digits: [u8; 64] = text.strip_prefix("\\x").unwrap_or(text).as_bytes().try_into().ok()?;
    digits.iter().all(u8::is_ascii_hexdigit).then(|| digits.map(|digit| digit.to_ascii_lowercase()))
}

fn hex_of(token: Uuid) -> [u8; 64] {
    let digest = session::refresh_digest(token);
    let mut digits = [b'0'; 64];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(digest.as_bytes()) {
        let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
        *pair = [digit(byte >> 4), digit(*byte)];
    }
    digits
}

/// Those of one account, in a list sorted by account.
fn of_user<T>(all: &[T], user: Uuid, user_of: impl Fn(&T) -> Uuid) -> &[T] {
    let from = all.partition_point(|one| user_of(one) < user);
    let count = all[from..].partition_point(|one| user_of(one) == user);
    &all[from..from + count]
}

fn user_of(row: &Record<'_>) -> Result<Uuid, &'static str> {
    row.get("user_id").and_then(|text| Uuid::try_parse(text).ok()).ok_or("the id of its user is not a UUID")
}

/// Goes through a whole table; rows that are wrong are noted.
fn each<R: Read>(
    mut table: Table<R>,
    name: &'static str,
    wrong: &mut Vec<WrongRow>,
    mut read: impl FnMut(&Record<'_>) -> Result<(), &'static str>,
) {
    while let Some(row) = table.next() {
        match row {
            Ok(row) => wrong.extend(read(&row).err().map(|reason| WrongRow::new(name, row.line, reason))),
            Err(error) => {
                let is_last = error.is_last;
                wrong.push(error);
                if is_last {
                    return;
                }
            }
        }
    }
}
