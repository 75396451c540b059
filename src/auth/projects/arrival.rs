//! Projects that come as lines ([`crate::data::portable`]), from this server or another: read as bytes from outside, written
//! into files that nobody finds, and put in place when the last line has said that all were there.
//!
//! Under its own id a project goes on as it was: with the secrets in the file every token of it works here. Under a new
//! id it is [another project](super::super::transplant), and what was issued stays behind. Without secrets in the file, new
//! ones are made, and what hangs on the old ones stays behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::{Entry, Projects};
use crate::auth::project::{Maker, Secrets};
use crate::auth::projects::Selector;
use crate::auth::transplant::transplant;
use crate::auth::{Error, Operator, Project, keys, outbox};
use crate::config::{forms, stored_for_copy};
use crate::crypto::Secret;
use crate::data::issued::Issued;
use crate::data::outbox::{DeadLetter, Payload};
use crate::data::portable::sending::Sending;
use crate::data::portable::whole::{self, SigningKey};
use crate::data::portable::{self, Line, Lines, Numbers, Row, Wrong};
use crate::data::project::ProjectRecord;
use crate::store::Draft;
use crate::token::{KeyKind, KeyMaterial, KeyRecord};

/// Wrong lines that are told; after so many nothing more is looked at.
pub const MOST_WRONG: usize = 100;
/// Rows of one transaction, and about their most bytes.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 4 << 20;

/// What is wished of a file.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Only the project of this slug or id.
    pub only: Option<String>,
    /// Under this slug.
    pub slug: Option<String>,
    /// Under a new id: as another project.
    pub new_id: bool,
    /// Look at everything, and leave all as it is.
    pub dry_run: bool,
}

/// A project that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Its id here.
    pub id: Uuid,
    /// Its name here.
    pub slug: String,
    /// Lines that were written, by type.
    pub written: BTreeMap<&'static str, u64>,
    /// Lines that stay behind, by type.
    pub left: BTreeMap<&'static str, u64>,
}

/// Why nothing was changed.
#[derive(Debug)]
pub enum NotArrived {
    /// The file is wrong, or does not fit what is there.
    Wrong(Vec<Wrong>),
    /// It could not be written.
    Failed(Error),
}

impl From<Error> for NotArrived {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A file on its way in.
#[derive(Debug)]
pub struct Arrivals {
    projects: Arc<Projects>,
    by: Operator,
    wish: Wish,
    lines: Lines,
    current: Current,
    whole: Vec<Arrival>,
    wrong: Vec<Wrong>,
    given_up: bool,
}

/// Whose lines are coming.
#[derive(Debug)]
enum Current {
    /// No project began.
    Nobody,
    /// Of one that is not wished for, or whose first line was wrong.
    PassedOver,
    /// This one's.
    Project(Box<Arrival>),
}

/// A project on its way in.
#[derive(Debug)]
struct Arrival {
    line: u64,
    record: ProjectRecord,
    last_user_number: u64,
    last_api_key_number: u64,
    draft: Draft,
    batch: Vec<(u64, Row)>,
    bytes: usize,
    users: Numbers,
    api_keys: Numbers,
    written: BTreeMap<&'static str, u64>,
    left: BTreeMap<&'static str, u64>,
}

impl Arrivals {
    /// Awaits a file.
    pub fn new(projects: Arc<Projects>, by: Operator, wish: Wish) -> Self {
        let (lines, current) = (Lines::default(), Current::Nobody);
        Self { projects, by, wish, lines, current, whole: Vec::new(), wrong: Vec::new(), given_up: false }
    }

    /// Takes the next piece of the file, of some KiB.
    ///
    /// # Errors
    /// Only the store's; nothing more is to be hoped for then.
    pub async fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        if self.given_up {
            return Ok(());
        }
        let mut read = Vec::new();
        let gather = &mut |number, line| {
            read.push((number, line));
            Ok::<_, Error>(())
        };
        self.lines.feed(piece, gather)?;
        if let Current::Project(arrival) = &mut self.current {
            arrival.bytes += piece.len();
        }
        for (number, line) in read {
            match line {
                _ if self.given_up => return Ok(()),
                Ok(Line::Project(project)) => self.begin(number, *project).await?,
                Ok(line) => self.take(number, line).await?,
                Err(wrong) => self.note(wrong),
            }
        }
        Ok(())
    }

    /// The file is at its end: puts the projects in place, if nothing was wrong.
    ///
    /// # Errors
    /// [`NotArrived`]; nothing was changed then, unless a failure says otherwise.
    pub async fn finish(mut self) -> Result<Vec<Arrived>, NotArrived> {
        self.end_current().await?;
        if !self.given_up
            && let Err(wrong) = self.lines.finish()
        {
            self.note(wrong);
        }
        if self.wrong.is_empty() && self.whole.is_empty() {
            let reason = match &self.wish.only {
                Some(name) => format!("there is no project `{}` in it", name.escape_debug()),
                None => "there is no project in it".into(),
            };
            self.note(Wrong { line: 1, reason, is_last: true });
        }
        if !self.wrong.is_empty() {
            return Err(NotArrived::Wrong(self.wrong));
        }
        let mut arrived = Vec::with_capacity(self.whole.len());
        for arrival in self.whole {
            let told = arrival.told();
            if !self.wish.dry_run {
                self.projects.settle_in(arrival, self.by).await?;
            }
            arrived.push(told);
        }
        Ok(arrived)
    }

    /// A project's first line: ends the one before it.
    async fn begin(&mut self, number: u64, line: whole::Project) -> Result<(), Error> {
        self.end_current().await?;
        self.current = Current::PassedOver;
        let is_wished = |name: &String| *name == line.slug || Uuid::parse_str(name).is_ok_and(|id| id == line.id);
        if !self.wish.only.as_ref().is_none_or(is_wished) {
            return Ok(());
        }
        if self.wish.slug.is_some() && !self.whole.is_empty() {
            let reason = "there are several projects in it, and only one can have the new slug: say which".into();
            self.note(Wrong { line: number, reason, is_last: true });
            return Ok(());
        }
        let mut record = line.record();
        if let Some(slug) = &self.wish.slug {
            record.slug.clone_from(slug);
        }
        // Until all of it is there, it is the one that it was.
        let written = ProjectRecord { slug: record.slug.clone(), ..line.record() };
        if self.wish.new_id {
            record.id = self.projects.shared.env.new_id(self.by.now);
            match record.settings.as_deref().map(stored_for_copy).transpose() {
                Ok(settings) => record.settings = settings,
                Err(why) => {
                    let reason = format!("`settings`: {why}");
                    self.note(Wrong { line: number, reason, is_last: false });
                    return Ok(());
                }
            }
        }
        let twice = self.whole.iter().any(|other| other.record.id == record.id || other.record.slug == record.slug);
        let fits = if twice { Err("it stands twice in the file".to_owned()) } else { Ok(()) };
        let fits = match fits {
            Ok(()) => self.projects.has_room_for(&record).await?,
            twice => twice,
        };
        if let Err(why) = fits {
            self.note(Wrong {
                line: number,
                reason: format!("project `{}`: {why}", record.slug.escape_debug()),
                is_last: false,
            });
            return Ok(());
        }
        let shared = &self.projects.shared;
        let draft = self.projects.fleet.draft(shared.env.new_id(self.by.now)).await?;
        let fresh = match self.goes_on() || self.wish.new_id {
            true => None,
            false => Some(Secrets::fresh(shared, record.id, self.by.now)?),
        };
        let (last_user_number, last_api_key_number) = (line.last_user_number, line.last_api_key_number);
        let begun = draft.store().write(move |w| {
            line.begin(w, &written)?;
            fresh.iter().try_for_each(|secrets| secrets.put(w))?;
            Ok::<_, Error>(())
        });
        begun.await?;
        self.current = Current::Project(Box::new(Arrival {
            line: number,
            record,
            last_user_number,
            last_api_key_number,
            draft,
            batch: Vec::new(),
            bytes: 0,
            users: Numbers::default(),
            api_keys: Numbers::default(),
            written: BTreeMap::new(),
            left: BTreeMap::new(),
        }));
        Ok(())
    }

    /// Whether projects go on with the secrets they had.
    fn goes_on(&self) -> bool {
        !self.wish.new_id && self.lines.header().is_some_and(|header| header.secrets)
    }

    /// A line of the project that began last.
    async fn take(&mut self, number: u64, line: Line) -> Result<(), Error> {
        let (goes_on, new_id) = (self.goes_on(), self.wish.new_id);
        let arrival = match &mut self.current {
            Current::Project(arrival) => arrival,
            Current::PassedOver => return Ok(()),
            Current::Nobody => {
                let reason = format!("no project stands before this `{}`", line.kind());
                self.note(Wrong { line: number, reason, is_last: false });
                return Ok(());
            }
        };
        let kind = line.kind();
        if stays_behind(&line, goes_on, new_id) {
            *arrival.left.entry(kind).or_default() += 1;
            return Ok(());
        }
        match arrival.row(&self.projects, line) {
            Ok(row) => {
                *arrival.written.entry(kind).or_default() += 1;
                arrival.batch.push((number, row));
            }
            Err(reason) => self.note(Wrong { line: number, reason, is_last: false }),
        }
        if let Current::Project(arrival) = &self.current
            && (arrival.batch.len() >= BATCH || arrival.bytes >= BATCH_BYTES)
        {
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes what was gathered.
    async fn flush(&mut self) -> Result<(), Error> {
        let Current::Project(arrival) = &mut self.current else { return Ok(()) };
        let batch = std::mem::take(&mut arrival.batch);
        arrival.bytes = 0;
        let written = arrival.draft.store().write(move |w| {
            let mut refused = Vec::new();
            for (number, row) in &batch {
                if let Err(why) = portable::write(w, row)? {
                    refused.push((*number, why));
                }
            }
            Ok::<_, Error>(refused)
        });
        for (line, why) in written.await? {
            // What hangs on a wrong line is not wrong by itself.
            if !why.follows || self.wrong.is_empty() {
                self.note(Wrong { line, reason: why.reason.into(), is_last: false });
            }
        }
        Ok(())
    }

    /// No more lines come of the project that began last: whether it could be served as it is.
    async fn end_current(&mut self) -> Result<(), Error> {
        self.flush().await?;
        let Current::Project(arrival) = std::mem::replace(&mut self.current, Current::Nobody) else { return Ok(()) };
        if self.wrong.is_empty() {
            let (store, shared) = (arrival.draft.store(), &self.projects.shared);
            if self.wish.new_id {
                transplant(store, arrival.record.clone(), shared, Maker::Operator(self.by.uid), self.by.now).await?;
            }
            let settings = self.projects.settings();
            let opened = Project::open(store.clone(), shared, |record| {
                self.projects.settings_of(&settings, &record.slug, record.settings.as_deref())
            });
            if let Err(why) = opened {
                let reason = format!("project `{}` is not whole: {why}", arrival.record.slug);
                self.note(Wrong { line: arrival.line, reason, is_last: false });
            }
        }
        arrival.draft.close().await;
        self.whole.push(*arrival);
        Ok(())
    }

    fn note(&mut self, wrong: Wrong) {
        self.given_up |= wrong.is_last || self.wrong.len() + 1 >= MOST_WRONG;
        self.wrong.push(wrong);
    }
}

/// Whether a line is left out.
fn stays_behind(line: &Line, goes_on: bool, new_id: bool) -> bool {
    match line {
        // They hang on the secrets.
        Line::RefreshSecret(_) | Line::SigningKey(_) | Line::Session(_) if !goes_on => true,
        // Sealed, and not opened for the file.
        Line::Outbox(item) | Line::DeadLetter(item) if item.payload.is_none() => true,
        line => new_id && line.belongs_to(Issued::All),
    }
}

impl Arrival {
    fn told(&self) -> Arrived {
        let Self { record, written, left, .. } = self;
        Arrived { id: record.id, slug: record.slug.clone(), written: written.clone(), left: left.clone() }
    }

    /// A line as it is written, sealed where it has to be.
    fn row(&mut self, projects: &Projects, line: Line) -> Result<Row, String> {
        let (shared, id) = (&projects.shared, self.record.id);
        let payload = |item: &Sending| {
            let plain = item.payload.as_ref().map(|payload| payload.0.clone()).unwrap_or(Secret::new(Vec::new()));
            match item.sealed {
                true => outbox::seal_of(shared, id, item.id, plain.expose()),
                false => Payload::Plain(plain.expose().clone()),
            }
        };
        Ok(match line {
            Line::RefreshSecret(secret) => {
                let seed = secret.key.0.expose().as_slice().try_into().map(Secret::new);
                let seed = seed.map_err(|_| "`key`: a refresh secret has 32 bytes")?;
                Row::RefreshSecret(Secrets::seal_refresh(shared, id, &seed))
            }
            Line::SigningKey(key) => Row::SigningKey(keys::seal(shared, id, &read_key(&key)?)),
            Line::Outbox(item) => Row::Outbox(item.item(payload(&item))),
            Line::DeadLetter(item) => {
                let died_at = item.died_at.ok_or("`died_at`: a dead letter has it")?.0;
                Row::DeadLetter(DeadLetter { item: item.item(payload(&item)), died_at })
            }
            Line::User(user) if user.number > self.last_user_number || !self.users.take(user.number) => {
                return Err("`number`: another account has it, or it is beyond the project's `last_user_number`".into());
            }
            Line::ApiKey(key) if key.number > self.last_api_key_number || !self.api_keys.take(key.number) => {
                return Err("`number`: another key has it, or it is beyond the project's `last_api_key_number`".into());
            }
            line => Row::Line(line),
        })
    }
}

fn read_key(line: &SigningKey) -> Result<KeyRecord, String> {
    let kind = KeyKind::ALL.into_iter().find(|kind| kind.algorithm() == line.algorithm);
    let kind = kind.ok_or("`algorithm`: write EdDSA, ES256 or RS256")?;
    let material = KeyMaterial::of(kind, line.key.0.expose()).ok_or("`key`: it has not the length of such a key")?;
    let (created_at, retires_at) = (line.created_at.0, line.retires_at.map(|at| at.0));
    let key = KeyRecord { id: line.id, material, created_at, retires_at };
    if key.kid().is_some() { Ok(key) } else { Err("`key`: that is no such key".into()) }
}

impl Projects {
    /// Whether a project may come in: its id and its slug are free, or of projects that nobody has used.
    async fn has_room_for(&self, record: &ProjectRecord) -> Result<Result<(), String>, Error> {
        if let Err(why) = forms::slug(&record.slug) {
            return Ok(Err(why));
        }
        let entry = entry_of(record);
        let settings = match self.settings_of(&self.settings(), &record.slug, record.settings.as_deref()) {
            Ok(settings) => settings,
            Err(why) => return Ok(Err(why.to_string())),
        };
        if let Some(id) = settings.id.filter(|id| *id != record.id) {
            return Ok(Err(format!("the configuration says that its id is {id}, and not {}", record.id)));
        }
        let catalog = self.catalog.load();
        let same_slug = catalog.by_slug.get(&record.slug).copied();
        for id in [Some(record.id).filter(|id| catalog.by_id.contains_key(id)), same_slug].into_iter().flatten() {
            if !self.is_unused(id).await? {
                let name = catalog.by_id.get(&id).map_or("", |entry| entry.slug.as_str());
                return Ok(Err(format!("the project {name} ({id}) is here already and has accounts")));
            }
        }
        let mut entries = catalog.by_id.clone();
        same_slug.map(|id| entries.remove(&id));
        entries.insert(record.id, entry);
        // What must hold between them all.
        Ok(self.catalog_of(&self.settings(), entries).map(drop).map_err(|error| error.to_string()))
    }

    /// Whether no account was ever made in a project.
    async fn is_unused(&self, id: Uuid) -> Result<bool, Error> {
        let Some(store) = self.fleet.get(id).await? else { return Ok(true) };
        store.read(|r| Ok(portable::is_unused(r)?))
    }

    /// Puts a project that is whole in its place, and the one there that nobody used out of it.
    async fn settle_in(&self, arrival: Arrival, by: Operator) -> Result<(), NotArrived> {
        let Arrival { line, record, draft, .. } = arrival;
        {
            let _changing = self.changing.lock().await;
            if let Err(reason) = self.has_room_for(&record).await? {
                let reason = format!("project `{}`: {reason}", record.slug);
                return Err(NotArrived::Wrong(vec![Wrong { line, reason, is_last: false }]));
            }
            let catalog = self.catalog.load();
            let mut entries = catalog.by_id.clone();
            let former = catalog.by_slug.get(&record.slug).copied().filter(|former| *former != record.id);
            if let Some(former) = former {
                // First: two files of one slug would stop the next start.
                entries.remove(&former);
                self.forget_open(former);
                self.fleet.delete(former).await.map_err(Error::from)?;
            }
            entries.insert(record.id, entry_of(&record));
            let with_new = self.catalog_of(&self.settings(), entries)?;
            self.forget_open(record.id);
            self.note_unopened(record.id, None);
            self.fleet.install(draft, record.id).await.map_err(Error::from)?;
            self.publish(with_new)?;
        }
        let (slug, id) = (&record.slug, record.id);
        tracing::warn!(project = %slug, %id, uid = by.uid, "a project was imported by an operator");
        self.find(Selector::Id(id)).await?.ok_or(Error::UnknownProject)?;
        Ok(())
    }
}

fn entry_of(record: &ProjectRecord) -> Entry {
    Entry { slug: record.slug.clone(), created_at: record.created_at, settings: record.settings.clone() }
}
