//! Making a backup: projects copied one after the other, each into the archive before the next.

use std::io::{self, Write};
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::manifest::Contents;
use super::write::Writer;
use crate::auth::projects::{NotBackedUp, Shot};
use crate::store::Stop;

/// The lowest priority there is (`setpriority(2)`): a backup gets what those who serve leave.
const NICE: i32 = 19;

/// Why a backup was not made, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// A project could not be copied.
    #[error("{0}")]
    Copy(#[from] NotBackedUp),
    /// The archive could not be written.
    #[error("it cannot be written: {0}")]
    Output(#[from] io::Error),
    /// The thread that made it died.
    #[error("the thread that made it died")]
    Died,
}

/// Writes what was shot into `out`, on a thread of its own that works half of the time at the lowest priority. Answers what
/// is in the archive, and the output.
///
/// # Errors
/// [`NotMade`]; where the output still takes it, the archive says so, too.
pub async fn make<W: Write + Send + 'static>(shot: Shot, out: W, stop: Stop) -> Result<(Contents, W), NotMade> {
    let (told, answer) = oneshot::channel();
    let runtime = Handle::current();
    thread::Builder::new().name("backup".into()).spawn(move || {
        yield_to_others();
        // Nobody waits any more: then the output is gone, too.
        let _ = told.send(write(shot, out, &stop, &runtime));
    })?;
    answer.await.unwrap_or(Err(NotMade::Died))
}

/// Puts this thread, and those it starts, behind all others.
pub fn yield_to_others() {
    // Without it a backup is merely less polite.
    let _ = rustix::process::setpriority_process(None, NICE);
}

fn write<W: Write>(shot: Shot, out: W, stop: &Stop, runtime: &Handle) -> Result<(Contents, W), NotMade> {
    let mut writer = Writer::begin(out, &shot)?;
    let added = add_all(&mut writer, &shot, stop, runtime);
    // Whoever reads the last entry may ask for the next backup at once.
    drop(shot);
    match added {
        Ok(()) => Ok(writer.finish()?),
        Err(error) => {
            // Whoever reads a stream learns it there.
            let _ = writer.fail(&error.to_string());
            Err(error)
        }
    }
}

fn add_all<W: Write>(writer: &mut Writer<W>, shot: &Shot, stop: &Stop, runtime: &Handle) -> Result<(), NotMade> {
    while let Some((id, frozen)) = runtime.block_on(shot.next())? {
        if stop.is_asked() {
            return Err(NotBackedUp::Stopped.into());
        }
        let copied = shot.copy(id, &frozen, stop)?;
        // Its pages are free again before the copy is written.
        drop(frozen);
        if let Some(copied) = copied {
            writer.project(&copied, stop).map_err(|error| match stop.is_asked() {
                true => NotMade::from(NotBackedUp::Stopped),
                false => error.into(),
            })?;
        }
    }
    Ok(())
}
