//! A backup, or an export, as a file: a draft beside its name until it is whole, durable, and was read back.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};

use super::write::Hashed;

/// Bytes after which what was written is sent to the disk: all at once at the end, it would hold up everybody else's writes.
const SENT: u64 = 1 << 20;

/// A file that gets its name when it is whole. Dropped before, it goes.
pub struct Draft {
    out: Option<BufWriter<File>>,
    /// Of what was written.
    hash: Context,
    /// Written, and not yet sent to the disk.
    unsent: u64,
    draft: PathBuf,
    path: PathBuf,
    replace: bool,
}

impl Draft {
    /// Begins a file (mode 0600) that will be at `path`, in place of another only if it is to `replace` one.
    ///
    /// # Errors
    /// `AlreadyExists` when there is one; the file system's.
    pub fn new(path: &Path, replace: bool) -> io::Result<Self> {
        if !replace && path.try_exists()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut draft = path.as_os_str().to_owned();
        draft.push(".part");
        let draft = PathBuf::from(draft);
        // One that a killed command left is ours to take; a link is not followed.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        let out = Some(BufWriter::with_capacity(1 << 16, file));
        Ok(Self { out, hash: Context::new(&SHA256), unsent: 0, draft, path: path.to_owned(), replace })
    }

    /// Makes it durable, reads it back, and gives it its name; durable when it answers. Answers its size.
    ///
    /// # Errors
    /// The file system's; `InvalidData` when what is read is not what was written, `AlreadyExists` when another took the
    /// name meanwhile.
    pub fn keep(mut self) -> io::Result<u64> {
        if let Some(mut out) = self.out.take() {
            out.flush()?;
            out.get_ref().sync_all()?;
        }
        let mut back = Hashed { from: File::open(&self.draft)?, hash: Context::new(&SHA256) };
        let bytes = io::copy(&mut back, &mut io::sink())?;
        if back.hash.finish().as_ref() != self.hash.clone().finish().as_ref() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "what is read back is not what was written"));
        }
        if self.replace {
            fs::rename(&self.draft, &self.path)?;
        } else {
            fs::hard_link(&self.draft, &self.path)?;
        }
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
        Ok(bytes)
    }
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "draft of {}", self.path.display())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone already when it was renamed.
        let _ = fs::remove_file(&self.draft);
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let out = self.out.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let written = out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.unsent += written as u64;
        if self.unsent >= SENT {
            self.unsent = 0;
            out.flush()?;
            out.get_ref().sync_data()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}
