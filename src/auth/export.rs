//! All that projects hold, told as lines ([`crate::data::portable`]): each project as it is at one moment, while it goes on.
//!
//! Nothing is gathered: lines go out as rows are read, and a reader who stops stops the reading. What the store seals is
//! opened only where secrets are wished for, because what it is brought to has another master key.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use uuid::Uuid;

use super::project::{Secrets, Shared};
use super::projects::Selector;
use super::{Error, Project, Projects, keys, outbox};
use crate::crypto::Secret;
use crate::data::outbox::{Item, Payload};
use crate::data::portable::fields::{Base64, Moment};
use crate::data::portable::sending::Sending;
use crate::data::portable::whole::{Header, RefreshSecret, SigningKey};
use crate::data::portable::{self, FORMAT, Line, Pen, Row};
use crate::env::Timestamp;
use crate::store::StoreError;

/// Bytes that go out together.
const PIECE: usize = 64 * 1024;
/// Pieces that may wait for the reader.
const WAITING: usize = 4;
/// How long the reader may take for one: as long as he does, the file frees no page.
const PATIENCE: Duration = Duration::from_secs(60);

/// Begins to tell all that these projects hold, one after the other; the pieces of the file as they come. With `secrets`
/// also what is sealed, opened.
///
/// A failure is the last line, and in the log.
pub fn export(projects: Arc<Projects>, ids: Vec<Uuid>, secrets: bool, now: Timestamp) -> Receiver<Vec<u8>> {
    let (to, from) = channel(WAITING);
    tokio::spawn(async move {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let header = Header { format: FORMAT, version, exported_at: Moment(now), secrets };
        let Ok(pen) = Pen::begin(header) else { return };
        let mut out = Out { pen, to, secrets, clock: Handle::current() };
        for id in ids {
            let told = match projects.find(Selector::Id(id)).await {
                Ok(Some(project)) => tell(project, out).await,
                Ok(None) => Some((out, Err(Stop::Failed(Error::UnknownProject)))),
                Err(error) => Some((out, Err(Stop::Failed(error)))),
            };
            // A panic took it along, and the file ends where it is.
            let Some((taken, told)) = told else { return };
            out = taken;
            match told {
                Ok(()) => {}
                Err(Stop::Gone) => return,
                Err(Stop::Failed(error)) => {
                    tracing::error!(project = %id, %error, "an export failed");
                    let _ = out.to.send(out.pen.fail(format!("project {id}: {error}"))).await;
                    return;
                }
            }
        }
        if let Ok(rest) = out.pen.end() {
            let _ = out.to.send(rest).await;
        }
    });
    from
}

/// Why the telling stopped.
enum Stop {
    /// Nobody listens, or not for too long.
    Gone,
    /// It failed.
    Failed(Error),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Where lines go.
struct Out {
    pen: Pen,
    to: Sender<Vec<u8>>,
    secrets: bool,
    clock: Handle,
}

/// Tells one project, on a thread that may block.
async fn tell(project: Arc<Project>, mut out: Out) -> Option<(Out, Result<(), Stop>)> {
    let telling = tokio::task::spawn_blocking(move || {
        let mut begun = false;
        let told = project.store().read(|r| {
            // The file was reopened under it: what was told already cannot be taken back.
            if std::mem::replace(&mut begun, true) {
                return Err(Stop::Failed(StoreError::Io("the file had to be reopened".into()).into()));
            }
            portable::read(r, &mut |row| out.row(&project, row)).map(drop)
        });
        (out, told)
    });
    telling.await.ok()
}

impl Out {
    fn row(&mut self, project: &Project, row: Row) -> Result<(), Stop> {
        let Some(line) = self.line(project, row)? else { return Ok(()) };
        self.pen.write(&line).map_err(|why| Error::Store(StoreError::Corrupt(format!("{}: {why}", line.kind()))))?;
        if self.pen.text.len() < PIECE {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.pen.text);
        let sent = self.clock.block_on(tokio::time::timeout(PATIENCE, self.to.send(piece)));
        if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Stop::Gone) }
    }

    /// The line of a row; `None` for what is left out.
    fn line(&self, project: &Project, row: Row) -> Result<Option<Line>, Error> {
        let shared = project.shared();
        Ok(match row {
            Row::Line(line) => Some(line),
            Row::RefreshSecret(_) | Row::SigningKey(_) if !self.secrets => None,
            Row::RefreshSecret(sealed) => {
                let seed = Secrets::open_refresh(shared, project.record(), &sealed)?;
                let key = Base64(Secret::new(seed.expose().to_vec()));
                Some(Line::RefreshSecret(RefreshSecret { key }))
            }
            Row::SigningKey(sealed) => keys::unseal(shared, project.id(), &[sealed])?.pop().map(|key| {
                Line::SigningKey(SigningKey {
                    id: key.id,
                    algorithm: key.kind().algorithm().to_owned(),
                    created_at: Moment(key.created_at),
                    retires_at: key.retires_at.map(Moment),
                    key: Base64(Secret::new(key.material().to_vec())),
                })
            }),
            Row::Outbox(item) => {
                let plain = self.opened(shared, project.id(), &item)?;
                Some(Line::Outbox(Box::new(Sending::waiting(item, plain))))
            }
            Row::DeadLetter(letter) => {
                let plain = self.opened(shared, project.id(), &letter.item)?;
                Some(Line::DeadLetter(Box::new(Sending::dead(letter, plain))))
            }
        })
    }

    /// What an item says, where that may be told.
    fn opened(&self, shared: &Shared, project: Uuid, item: &Item) -> Result<Option<Secret<Vec<u8>>>, Error> {
        match &item.payload {
            Payload::Sealed(_) if !self.secrets => Ok(None),
            Payload::Sealed(_) | Payload::Plain(_) => outbox::open_of(shared, project, item).map(Some),
        }
    }
}
