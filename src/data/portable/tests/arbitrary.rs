//! A store with arbitrary records in it, each written as the program writes it.

use std::time::Duration;

use uuid::Uuid;

use crate::crypto::{Digest, StoredHash};
use crate::data::codes::Code;
use crate::data::devices;
use crate::data::events::{By, Event, EventKind, Outcome};
use crate::data::identities::{self, Identity, Name};
use crate::data::lockouts::{self, ByAccount, ByClient, Subject};
use crate::data::one_time::{self, Cooldown, OneTime, Purpose};
use crate::data::outbox::{self, DeadLetter, Item, Kind, Payload};
use crate::data::personal_tokens::PersonalToken;
use crate::data::portable::fields;
use crate::data::project::{self, ProjectRecord, Sequence};
use crate::data::rates::{self, RateWindow};
use crate::data::sessions::{self, Carrier, Session};
use crate::data::users::{self, EmailProof, Phone, ProofKind, Role, Roles, User};
use crate::data::{Table, api_keys, audit, avatars, codes, collect, end_of, key, personal_tokens, store};
use crate::env::Timestamp;
use crate::store::{StoreError, Write};

/// Bytes that decide everything; zeros when they have run out.
pub struct Dice<'a> {
    seed: std::iter::Copied<std::slice::Iter<'a, u8>>,
    count: u128,
}

impl<'a> Dice<'a> {
    pub fn new(seed: &'a [u8]) -> Self {
        Self { seed: seed.iter().copied(), count: 0 }
    }

    fn byte(&mut self) -> u8 {
        self.seed.next().unwrap_or_default()
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| value(self))
    }

    fn several<T>(&mut self, mut value: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.byte() % 4).map(|_| value(self)).collect()
    }

    /// Mostly of our time; now and then of no calendar.
    fn moment(&mut self) -> Timestamp {
        Timestamp::from_millis(match self.byte() % 8 {
            0 => u64::from_be_bytes(self.bytes()),
            1 => u64::MAX,
            2 => 0,
            _ => 1_700_000_000_000 + u64::from(u32::from_be_bytes(self.bytes())),
        })
    }

    fn text(&mut self) -> String {
        let letters = ['a', 'Z', '0', ' ', '"', '\\', '\n', '\u{1}', 'é', '\u{2028}', '漢', '😀', '\u{7f}', '/', '<'];
        (0..self.byte() % 12).map(|_| letters[usize::from(self.byte()) % letters.len()]).collect()
    }

    /// Never the same twice.
    fn id(&mut self) -> Uuid {
        self.count += 1;
        Uuid::from_u128((self.count << 64) | u128::from(u64::from_be_bytes(self.bytes())))
    }

    fn digest(&mut self) -> Digest {
        Digest::of("test", self.id().as_bytes())
    }

    fn one_of<T: fields::Name>(&mut self) -> T {
        let all: Vec<T> = T::all().collect();
        all[usize::from(self.byte()) % all.len()]
    }

    fn hash(&mut self) -> StoredHash {
        let text = match self.byte() % 3 {
            0 => "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".into(),
            // Dearer than an import may be: a server's own setting.
            1 => format!("$argon2id$v=19$m=1048576,t=4,p=4$c29tZXNhbHRzb21lc2FsdA${}", "A".repeat(43)),
            _ => format!("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA${}", "A".repeat(43)),
        };
        StoredHash::parse_stored(&text).expect("a hash")
    }

    /// Text of an app's own: order, form of numbers and escapes must stay.
    fn metadata(&mut self) -> String {
        let all = [
            r#"{"b":1,"a":2}"#,
            r#"{"n":[1.0,1e5,-0.0,12345678901234567890,0.1,1E+2]}"#,
            r#"{"nested":{"t":"\u00e9é\n"},"x":null}"#,
            r#"{ "spaced" : true }"#,
        ];
        all[usize::from(self.byte()) % all.len()].into()
    }
}

/// Fills an empty store.
pub fn fill(w: &mut dyn Write, dice: &mut Dice<'_>) -> Result<(), StoreError> {
    let settings = dice.maybe(Dice::text);
    let record = ProjectRecord { id: dice.id(), slug: "shop".into(), created_at: dice.moment(), settings };
    project::put(w, &record)?;
    let mut users = Vec::new();
    for _ in 0..dice.byte() % 5 {
        users.push(account(w, dice)?);
    }
    for user in users.iter().copied() {
        belongings(w, dice, user)?;
    }
    for _ in 0..dice.byte() % 3 {
        let (user, phantom) = (account(w, dice)?, dice.id());
        let gone = users::get(w, user)?.expect("it was made");
        avatars::remove(w, user)?;
        users::remove(w, &gone)?;
        secrets(w, dice, phantom)?;
    }
    counters(w, dice)?;
    for _ in 0..dice.byte() % 6 {
        let event = event(dice);
        audit::append(w, &event)?;
    }
    if dice.flag() {
        audit::trim(w, 1, 2)?;
    }
    for _ in 0..dice.byte() % 4 {
        let item = item(dice);
        outbox::enqueue(w, &item)?;
    }
    for _ in 0..dice.byte() % 3 {
        let letter = DeadLetter { item: item(dice), died_at: dice.moment() };
        // As many as there are given up.
        outbox::enqueue(w, &letter.item)?;
        outbox::bury(w, letter.item, letter.died_at, "no")?;
    }
    Ok(())
}

/// Does what happens by itself, so that sessions lie where they lie in the end.
pub fn settle(w: &mut dyn Write) -> Result<(), StoreError> {
    let from = key(Table::SessionRefreshed, &[]);
    let all: Vec<Session> = collect(w, &from, &end_of(&from), usize::MAX)?;
    all.iter().try_for_each(|session| sessions::settle(w, session))?;
    // Counts that stand at nothing stay as rows; where nothing ever was there is none.
    for (name, count) in
        [(b"count/outbox".as_slice(), outbox::counts(w)?.0), (b"count/dead-letters", outbox::counts(w)?.1)]
    {
        if count == 0 {
            w.delete(&key(Table::Meta, &[name]))?;
        }
    }
    Ok(())
}

fn account(w: &mut dyn Write, dice: &mut Dice<'_>) -> Result<Uuid, StoreError> {
    let id = dice.id();
    let picture = dice.maybe(Dice::text);
    let user = User {
        id,
        number: project::next(w, Sequence::Users)?,
        email: dice.maybe(|dice| format!("User-{}@example.com", dice.count)),
        display_name: dice.maybe(Dice::text),
        email_proof: dice.maybe(|dice| EmailProof { at: dice.moment(), kind: dice.one_of::<ProofKind>() }),
        metadata: dice.maybe(Dice::metadata),
        locale: dice.maybe(Dice::text),
        role: dice.one_of::<Role>(),
        has_avatar: picture.is_some(),
        password: dice.maybe(Dice::hash),
        disabled_at: dice.maybe(Dice::moment),
        created_at: dice.moment(),
        is_anonymous: dice.flag(),
        roles: dice.maybe(|dice| Roles { default: dice.text(), allowed: dice.several(Dice::text) }),
        phone: dice.maybe(|dice| Phone { number: "+15550100".into(), verified: dice.flag() }),
    };
    users::insert(w, &user)?;
    if let Some(picture) = picture {
        avatars::put(w, id, &picture)?;
    }
    Ok(id)
}

fn belongings(w: &mut dyn Write, dice: &mut Dice<'_>, user: Uuid) -> Result<(), StoreError> {
    for _ in 0..dice.byte() % 3 {
        let session = Session {
            id: dice.id(),
            user,
            created_at: dice.moment(),
            refreshed_at: dice.moment(),
            expires_at: dice.moment(),
            generation: dice.byte().into(),
            refresh: dice.digest(),
            previous: dice.maybe(Dice::digest),
            ip: dice.bytes(),
            agent: dice.maybe(Dice::text),
            carrier: dice.one_of::<Carrier>(),
        };
        sessions::insert(w, &session)?;
        if session.carrier == Carrier::Pair && dice.flag() {
            let newer = Session { generation: 300, refresh: dice.digest(), previous: Some(session.refresh), ..session };
            sessions::put_refreshed(w, &newer)?;
        }
    }
    if let Some(name) = Name::new("github", &dice.id().to_string()) {
        identities::insert(w, &name, &Identity { user, created_at: dice.moment() })?;
    }
    for _ in 0..dice.byte() % 3 {
        let mark = devices::mark(Some(&dice.id().to_string()));
        devices::used(w, user, &mark, dice.moment())?;
    }
    for _ in 0..dice.byte() % 3 {
        let key = api_keys::ApiKey {
            number: project::next(w, Sequence::ApiKeys)?,
            user,
            name: dice.text(),
            prefix: format!("uak_{}", dice.id().simple()),
            digest: dice.digest(),
            scopes: dice.several(Dice::text),
            created_at: dice.moment(),
            expires_at: dice.maybe(Dice::moment),
            last_used_at: dice.maybe(Dice::moment),
            revoked_at: dice.maybe(Dice::moment),
        };
        api_keys::insert(w, &key)?;
    }
    for _ in 0..dice.byte() % 3 {
        let token = PersonalToken {
            id: dice.id(),
            user,
            digest: dice.digest(),
            created_at: dice.moment(),
            expires_at: dice.moment(),
            metadata: dice.maybe(Dice::metadata),
        };
        personal_tokens::insert(w, &token)?;
    }
    secrets(w, dice, user)
}

/// One-time secrets and codes, which somebody who does not exist may have too.
fn secrets(w: &mut dyn Write, dice: &mut Dice<'_>, user: Uuid) -> Result<(), StoreError> {
    let secret = OneTime { user, expires_at: dice.moment(), mailed: dice.flag(), about: dice.maybe(Dice::text) };
    let digests: Vec<Digest> = (0..=dice.byte() % 2).map(|_| dice.digest()).collect();
    one_time::issue(w, dice.one_of::<Purpose>(), &digests, &secret)?;
    if dice.flag() {
        let code = Code {
            hash: dice.maybe(Dice::hash),
            expires_at: dice.moment(),
            guesses: dice.several(Dice::moment),
            keep_until: dice.moment(),
        };
        store(w, &codes::row(user), &code)?;
    }
    Ok(())
}

fn counters(w: &mut dyn Write, dice: &mut Dice<'_>) -> Result<(), StoreError> {
    for _ in 0..dice.byte() % 4 {
        let subject = Subject { address: dice.id().into_bytes(), client: dice.bytes() };
        let (locked_at, keep_until) = (dice.maybe(Dice::moment), dice.moment());
        let failures = dice.several(Dice::moment);
        store(w, &lockouts::client_key(&subject), &ByClient { failures, locked_at, keep_until })?;
        let (failures, last) = (dice.byte().into(), dice.moment());
        store(w, &lockouts::account_key(&subject), &ByAccount { failures, last, locked_at, keep_until })?;
        for of in [Purpose::SignIn as u8, one_time::Notice::NewDevice as u8] {
            let row = key(Table::Cooldown, &[&[of], &subject.address]);
            store(w, &row, &Cooldown { issued_at: dice.moment(), until: dice.moment() })?;
        }
        let window = RateWindow { began: dice.moment(), count: dice.byte().into(), until: dice.moment() };
        let client = u128::from_be_bytes(dice.id().into_bytes());
        rates::put(w, dice.byte(), Duration::from_secs(dice.byte().into()), client, &window)?;
    }
    Ok(())
}

fn event(dice: &mut Dice<'_>) -> Event {
    Event {
        id: dice.id(),
        at: dice.moment(),
        kind: dice.one_of::<EventKind>(),
        by: dice.one_of::<By>(),
        uid: dice.maybe(|dice| u32::from_be_bytes(dice.bytes())),
        user: dice.maybe(Dice::id),
        ip: dice.maybe(Dice::bytes),
        request: dice.maybe(|dice| u64::from_be_bytes(dice.bytes())),
        outcome: dice.one_of::<Outcome>(),
        address: dice.maybe(Dice::bytes),
    }
}

fn item(dice: &mut Dice<'_>) -> Item {
    let kind = [Kind::Mail, Kind::Webhook][usize::from(dice.flag())];
    Item {
        id: dice.id(),
        kind,
        purpose: dice.text(),
        recipient: if kind == Kind::Webhook { "crm".into() } else { dice.text() },
        payload: Payload::Plain(dice.text().into_bytes()),
        created_at: dice.moment(),
        since: dice.moment(),
        next_at: dice.moment(),
        expires_at: dice.moment(),
        attempts: dice.byte().into(),
        begun: dice.flag(),
        interrupted: dice.flag(),
        last_error: dice.maybe(Dice::text),
    }
}
