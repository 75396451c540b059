//! One moment of several projects: what each had committed at one instant, for a backup.
//!
//! The writers of all open files are held while it is noted what each has committed; that takes no longer than the
//! longest commit under way. What is acknowledged before one of two changes is asked for is therefore in the moment
//! whenever the other is, whichever files they went to. A file that is closed at that instant cannot change before it is
//! opened, and whoever opens it notes its state first. So a backup of thousands of projects needs no thousand open files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout, timeout_at};
use uuid::Uuid;

use super::{Fleet, Table};
use crate::store::{Frozen, Store, StoreError, Write};

/// How long all writers together get to come to a stop.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a writer stays held at most, whatever becomes of whoever holds it.
const HELD: Duration = Duration::from_secs(5);
/// The pause before a writer whose queue is full is asked again, and before a file is, while too many others are open.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a file waits for others to be closed.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no moment, or no more of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMoment {
    /// The fleet is in memory.
    #[error("a server in memory keeps nothing that could be backed up")]
    Memory,
    /// There is one already.
    #[error("another backup is under way")]
    UnderWay,
    /// A writer did not come to a stop in time.
    #[error("project {0}: its writer did not come to a stop within 2 s; is its disk stuck?")]
    Late(Uuid),
    /// A file that is being opened or closed did not get ready in time.
    #[error("a project file took longer than 2 s to be opened or closed; is the disk stuck?")]
    Doors,
    /// A project's file cannot be used.
    #[error("project {0}: {1}")]
    Project(Uuid, StoreError),
    /// The fleet is closed.
    #[error("the server stops")]
    Closed,
}

/// The moment, from which each project is taken once. There is one at a time; projects are not removed meanwhile.
#[derive(Debug)]
pub struct Moment {
    fleet: Fleet,
}

/// What the fleet knows of it.
#[derive(Default)]
pub(super) struct Taken {
    /// Closed at that instant, and not opened since.
    waiting: BTreeSet<Uuid>,
    frozen: BTreeMap<Uuid, Frozen>,
}

impl Fleet {
    /// Notes the state of all projects, or of these, as of one moment, and what `note` answers then.
    ///
    /// # Errors
    /// [`NoMoment`].
    pub async fn moment<T>(
        &self,
        only: Option<&BTreeSet<Uuid>>,
        note: impl FnOnce() -> T,
    ) -> Result<(Moment, T), NoMoment> {
        if self.0.dir().is_none() {
            return Err(NoMoment::Memory);
        }
        // No file is opened, made, closed or removed meanwhile.
        let doors = timeout(PATIENCE, self.0.doors.write()).await.map_err(|_| NoMoment::Doors)?;
        let open: Vec<(Uuid, Store)> = {
            let mut table = self.0.table();
            if table.closed {
                return Err(NoMoment::Closed);
            }
            if table.moment.is_some() {
                return Err(NoMoment::UnderWay);
            }
            let wanted = |id: &Uuid| only.is_none_or(|only| only.contains(id));
            let waiting = table.known.iter().copied().filter(|id| wanted(id) && !table.open.contains_key(id)).collect();
            let open = table.open.iter().filter(|(id, _)| wanted(id)).map(|(id, open)| (*id, open.store.clone()));
            let open = open.collect();
            table.moment = Some(Taken { waiting, frozen: BTreeMap::new() });
            open
        };
        let moment = Moment { fleet: self.clone() };
        let held = hold(&open).await?;
        let mut frozen = BTreeMap::new();
        for (id, store) in open {
            let state = store.freeze().ok_or(NoMoment::Project(id, StoreError::Closed))?;
            frozen.insert(id, state);
        }
        let noted = note();
        held.let_go()?;
        if let Some(taken) = &mut self.0.table().moment {
            taken.frozen = frozen;
        }
        drop(doors);
        Ok((moment, noted))
    }
}

impl Moment {
    /// A project that was not taken yet, as it was at the moment; `None` when all were.
    ///
    /// # Errors
    /// [`NoMoment::Project`] when a file cannot be opened.
    pub async fn next(&self) -> Result<Option<(Uuid, Frozen)>, NoMoment> {
        let began = Instant::now();
        loop {
            let id = {
                let mut table = self.fleet.0.table();
                let taken = table.moment.as_mut().ok_or(NoMoment::Closed)?;
                // What is open first: it keeps its file open.
                if let Some(one) = taken.frozen.pop_first() {
                    return Ok(Some(one));
                }
                match taken.waiting.first() {
                    Some(id) => *id,
                    None => return Ok(None),
                }
            };
            match self.fleet.get(id).await {
                // Its state was noted as it was opened.
                Ok(Some(_)) => {}
                Ok(None) => return Err(NoMoment::Project(id, StoreError::Closed)),
                Err(StoreError::Busy) if began.elapsed() < OPEN_PATIENCE => sleep(PAUSE).await,
                Err(StoreError::Closed) => return Err(NoMoment::Closed),
                Err(error) => return Err(NoMoment::Project(id, error)),
            }
        }
    }
}

impl Drop for Moment {
    fn drop(&mut self) {
        self.fleet.0.table().moment = None;
    }
}

impl Table {
    /// Whether a backup is under way, during which no project goes.
    pub(in crate::store) fn is_backed_up(&self) -> bool {
        self.moment.is_some()
    }

    /// Notes the state of a file that has just been opened, if it belongs to a moment.
    pub(super) fn note_opened(&mut self, id: Uuid, store: &Store) {
        if let Some(taken) = &mut self.moment
            && taken.waiting.remove(&id)
            && let Some(state) = store.freeze()
        {
            taken.frozen.insert(id, state);
        }
    }

    /// Files that are open beyond the usual, because a moment keeps others open: as many again at most.
    pub(super) fn kept_open(&self, max_open: usize) -> usize {
        self.moment.as_ref().map_or(0, |taken| taken.frozen.len().min(max_open))
    }
}

/// Writers at a stop; they go on when it is dropped.
struct Held {
    since: Instant,
    release: Arc<Release>,
}

#[derive(Default)]
struct Release {
    released: Mutex<bool>,
    told: Condvar,
}

impl Held {
    /// Lets the writers go. An error when one may have gone on by itself before.
    fn let_go(self) -> Result<(), NoMoment> {
        if self.since.elapsed() < HELD { Ok(()) } else { Err(NoMoment::Doors) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.release.released.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.release.told.notify_all();
    }
}

impl Release {
    fn is_told(&self) -> bool {
        *self.released.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) {
        let released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.told.wait_timeout_while(released, HELD, |released| !*released));
    }
}

/// Brings the writer of every store to a stop. What they have committed then stays all there is until they are let go.
async fn hold(stores: &[(Uuid, Store)]) -> Result<Held, NoMoment> {
    let held = Held { since: Instant::now(), release: Arc::default() };
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let (stopped, mut stops) = mpsc::unbounded_channel();
    let mut missing: BTreeSet<Uuid> = BTreeSet::new();
    for (id, store) in stores {
        missing.insert(*id);
        tokio::spawn(stop(*id, store.clone(), Arc::clone(&held.release), stopped.clone()));
    }
    while let Some(&one) = missing.first() {
        match timeout_at(deadline, stops.recv()).await {
            Ok(Some((id, Ok(())))) => drop(missing.remove(&id)),
            Ok(Some((id, Err(error)))) => return Err(NoMoment::Project(id, error)),
            Ok(None) | Err(_) => return Err(NoMoment::Late(one)),
        }
    }
    Ok(held)
}

/// Stops one writer, in a job like any other: what the jobs before it in the same batch changed is not committed yet,
/// and not acknowledged.
async fn stop(
    id: Uuid,
    store: Store,
    release: Arc<Release>,
    stopped: mpsc::UnboundedSender<(Uuid, Result<(), StoreError>)>,
) {
    loop {
        let (arrived, until) = (stopped.clone(), Arc::clone(&release));
        let wait = move |_: &mut dyn Write| {
            // Nobody listens any more: then it is released, too.
            let _ = arrived.send((id, Ok(())));
            until.wait();
            Ok::<_, StoreError>(())
        };
        match store.write(wait).await {
            Err(StoreError::Busy) if !release.is_told() => sleep(PAUSE).await,
            Err(error) if !release.is_told() => return drop(stopped.send((id, Err(error)))),
            _ => return,
        }
    }
}
