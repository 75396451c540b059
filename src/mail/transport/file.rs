//! Mail as files: one `.eml` a mail in a directory, for development and for programs that pick them up.
//!
//! A file appears whole under its name, which begins with the moment: sorted by name they are sorted by time.

use std::io;
use std::path::{Path, PathBuf};

use super::written::Written;
use crate::env::Timestamp;
use crate::mail::{Message, SendError};
use crate::net::{create_private_dir, write_private_file};

/// The way out into a directory.
#[derive(Clone, Debug)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// Into `dir`, which is made with mode 0700 when it is missing. One that exists keeps its mode: it may be shared,
    /// and the files themselves are their owner's only.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Writes a mail, dated `now`.
    ///
    /// # Errors
    /// [`SendError`] says whether it may work later.
    pub async fn send(&self, message: &Message, now: Timestamp) -> Result<(), SendError> {
        let mail = Written::write(message, now)?;
        let path = self.dir.join(format!("{}-{}.eml", stamp(now), message.id));
        let dir = self.dir.clone();
        let written = tokio::task::spawn_blocking(move || {
            if !dir.is_dir() {
                create_private_dir(&dir)?;
            }
            write_private_file(&path, &mail.content)
        });
        let written = written.await.unwrap_or_else(|_| Err(io::Error::other("writing it panicked")));
        written.map_err(|error| SendError::Later(format!("mail.file.dir {}: {error}", self.dir.display())))
    }
}

/// `20260101T000000.000Z`: sorts as it reads.
fn stamp(now: Timestamp) -> String {
    let digits = |c: &char| !matches!(c, '-' | ':' | 'Z');
    format!("{}.{:03}Z", now.rfc3339().chars().filter(digits).collect::<String>(), now.millis() % 1000)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use uuid::Uuid;

    use super::*;
    use crate::mail::transport::tests::message;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_mail_is_a_file_of_its_own() {
        let place = tempfile::tempdir().unwrap();
        let files = Files::new(&place.path().join("a/mails"));
        let mut ids = Vec::new();
        for (id, millis) in [(2_u128, 1_767_225_600_000), (1, 1_767_225_600_001), (3, 1_767_225_600_001)] {
            let message = Message { id: Uuid::from_u128(id), ..message() };
            files.send(&message, Timestamp::from_millis(millis)).await.unwrap();
            ids.push(message.id);
        }
        let mut found: Vec<_> = fs::read_dir(&files.dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        found.sort();
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        let wanted = ["000000.000Z", "000000.001Z", "000000.001Z"];
        let wanted: Vec<_> = wanted.iter().zip(&ids).map(|(time, id)| format!("20260101T{time}-{id}.eml")).collect();
        assert_eq!(names, wanted);
        assert_eq!((mode(&files.dir), mode(&found[0])), (0o700, 0o600));
        let mail = fs::read_to_string(&found[0]).unwrap();
        assert!(mail.starts_with("X-Email-Template: verify-email\r\n") && mail.ends_with("--\r\n"), "{mail}");
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_written_is_named_and_a_shared_one_left_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Files::new(place.path()).send(&message(), Timestamp::default()).await.unwrap();
        assert_eq!(mode(place.path()), 0o755);
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Files::new(&file).send(&message(), Timestamp::default()).await.unwrap_err();
        assert!(matches!(&error, SendError::Later(reason) if reason.starts_with("mail.file.dir ")), "{error}");
    }
}
