//! A server for tests in other processes (`serve --ephemeral`): its clock can be moved, and the files that its clients
//! need lie in a private temporary folder that goes with it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::StartError;
use crate::env::{AheadClock, Env};

/// A socket's path has at most this many bytes (`sun_path` of unix(7)).
const LONGEST_SOCKET: usize = 107;

/// What a server for tests in other processes has. Dropped, its folder is removed.
#[derive(Debug)]
pub struct Ephemeral {
    folder: Folder,
    clock: Arc<AheadClock>,
    wall: Env,
}

/// The folder, named to whoever has to remove it.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Ephemeral {
    /// Makes the folder (0700) in `temporary`, and a clock ahead of `wall`'s.
    ///
    /// # Errors
    /// When there can be no folder.
    pub fn new(temporary: &Path, wall: Env) -> Result<Self, StartError> {
        let name = format!("keystead-{:016x}", u64::from_be_bytes(wall.random()));
        // Where temporary files lie deep, a socket has no place.
        let fits = |parent: &&Path| control(&parent.join(&name)).as_os_str().len() <= LONGEST_SOCKET;
        let parent = [temporary, Path::new("/tmp")].into_iter().find(fits).unwrap_or(temporary);
        let path = parent.join(name);
        // The umask can only take away. What exists already is not ours, and refused.
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| StartError::file(&path, error))?;
        let clock = Arc::new(AheadClock::new(Arc::clone(&wall.clock)));
        Ok(Self { folder: Folder(path), clock, wall })
    }

    /// The surroundings of everything but certificates.
    pub fn env(&self) -> Env {
        Env { clock: Arc::clone(&self.clock) as _, ..self.wall.clone() }
    }

    /// The surroundings of certificates: clients hold them against the time of day.
    pub(super) fn wall(&self) -> &Env {
        &self.wall
    }

    /// The clock that tests move.
    pub(super) fn clock(&self) -> &Arc<AheadClock> {
        &self.clock
    }

    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Where the control socket lies: as in a data directory, so that the command line finds it.
    pub(super) fn control(&self) -> PathBuf {
        control(&self.folder.0)
    }

    /// Writes the CA's certificate for clients to trust; where it is.
    pub(super) fn keep_ca(&self, pem: &str) -> Result<PathBuf, StartError> {
        let path = self.folder.0.join("ca.pem");
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(pem.as_bytes()));
        written.map_err(|error| StartError::file(&path, error))?;
        Ok(path)
    }
}

impl Drop for Ephemeral {
    fn drop(&mut self) {
        self.folder.remove();
    }
}

impl Folder {
    /// Removes it with all that is in it.
    pub fn remove(&self) {
        // Gone already, or not to be helped: there is nobody left to tell.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn control(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_folder_is_private_and_goes_with_the_server() {
        let dir = tempfile::tempdir().unwrap();
        let ephemeral = Ephemeral::new(dir.path(), Env::system()).unwrap();
        let path = ephemeral.keep_ca("a certificate").unwrap();
        let folder = path.parent().unwrap().to_owned();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((folder.parent(), mode(&folder), mode(&path)), (Some(dir.path()), 0o700, 0o600));
        assert_eq!(ephemeral.control(), folder.join("control.sock"));
        drop(ephemeral);
        assert!(!folder.exists() && dir.path().exists());
        let nowhere = Ephemeral::new(&dir.path().join("nowhere"), Env::system());
        assert!(matches!(nowhere, Err(StartError::File { .. })));
    }

    #[test]
    fn a_socket_has_place_in_it_however_deep_temporary_files_lie() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("x".repeat(100));
        fs::create_dir(&deep).unwrap();
        let ephemeral = Ephemeral::new(&deep, Env::system()).unwrap();
        assert!(std::os::unix::net::UnixListener::bind(ephemeral.control()).is_ok());
    }
}
