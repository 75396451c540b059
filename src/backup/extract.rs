//! Taking project files out of an archive into a private folder.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;
use uuid::Uuid;

use super::manifest::Contents;
use super::read::{BadArchive, Part, read};

/// Reads an archive to its end and puts its project files, or the one of the project named by slug or id, into `folder`.
///
/// # Errors
/// [`BadArchive`]; what is in the folder then is worth nothing.
pub fn extract(
    input: impl Read,
    folder: &Path,
    only: Option<&str>,
) -> Result<(Contents, Vec<(Uuid, PathBuf)>), BadArchive> {
    let (mut wanted, mut files) = (Vec::new(), Vec::new());
    let contents = read(input, |part| match part {
        Part::Head(head) => {
            let is_wanted = |id: Uuid, slug: &str| only.is_none_or(|name| name == slug || name == id.to_string());
            wanted.extend(head.projects.iter().filter(|one| is_wanted(one.id, &one.slug)).map(|one| one.id));
            if wanted.is_empty() {
                let all: Vec<_> = head.projects.iter().map(|one| one.slug.as_str()).collect();
                return Err(BadArchive::Absent(only.unwrap_or_default().to_owned(), all.join(", ")));
            }
            Ok(())
        }
        Part::Project(id, bytes, data) if wanted.contains(&id) => {
            let path = folder.join(format!("{id}.redb"));
            keep(&path, folder, bytes, data).map_err(BadArchive::Io)?;
            files.push((id, path));
            Ok(())
        }
        Part::Project(..) => Ok(()),
    })?;
    match (files.is_empty(), only) {
        (true, Some(name)) => Err(BadArchive::Absent(name.to_owned(), "none that can be brought back".into())),
        _ => Ok((contents, files)),
    }
}

fn keep(path: &Path, folder: &Path, bytes: u64, data: &mut dyn Read) -> io::Result<()> {
    // Told before the disk is full.
    if let Ok(stat) = statvfs(folder)
        && stat.f_bavail.saturating_mul(stat.f_frsize) < bytes
    {
        return Err(io::Error::new(io::ErrorKind::StorageFull, format!("there is no space for its {bytes} bytes")));
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    io::copy(data, &mut file)?;
    file.sync_all()
}
