//! Sealing of secrets at rest under the master key.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use thiserror::Error;

use super::Secret;
use crate::env::Env;

/// The key that seals signing keys, TOTP seeds and provider tokens: 256 bits, one for a data directory.
///
/// A sealed value is `0x01 | nonce 12 | ciphertext | tag 16`, AES-256-GCM-SIV (RFC 8452) with a random nonce, whose
/// repetition would reveal only that two equal plaintexts are equal. The context is authenticated with it, so that a
/// value moved to another project, record or purpose does not open.
pub struct MasterKey(LessSafeKey);

/// A sealed value did not open: it was changed, belongs to another context or was sealed by another key.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the sealed value does not open: other key, other place, or damaged")]
pub struct SealError;

const VERSION: u8 = 1;
const NONCE: usize = 12;
const KEY: usize = 32;

impl MasterKey {
    /// A key from elsewhere, such as a systemd credential.
    pub fn from_bytes(bytes: [u8; KEY]) -> Self {
        let bytes = Secret::new(bytes);
        let key = UnboundKey::new(&AES_256_GCM_SIV, bytes.expose()).expect("AES-256 takes every key of 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// A fresh key that is kept nowhere, for a server in memory.
    pub fn generate(env: &Env) -> Self {
        Self::from_bytes(env.random())
    }

    /// The key kept at `path`: 32 raw bytes.
    ///
    /// # Errors
    /// As the file system answers; `InvalidData` when the file is not 32 bytes long.
    pub fn load(path: &Path) -> io::Result<Self> {
        Ok(Self::from_bytes(*Self::read(path)?.expose()))
    }

    /// The bytes of that key, for a backup that is to hold it.
    ///
    /// # Errors
    /// As [`MasterKey::load`].
    pub fn read(path: &Path) -> io::Result<Secret<[u8; KEY]>> {
        let mut bytes = Secret::new(Vec::with_capacity(KEY + 1));
        File::open(path)?.take(KEY as u64 + 1).read_to_end(bytes.expose_mut())?;
        let key = <[u8; KEY]>::try_from(bytes.expose().as_slice())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a master key is exactly 32 bytes"))?;
        Ok(Secret::new(key))
    }

    /// The key kept at `path` (32 raw bytes); made there, mode 0600, when there is none.
    ///
    /// The file appears whole or not at all, and is durable when this returns: what it seals must not outlive it.
    /// Of two processes that start at once, both get the one key.
    ///
    /// # Errors
    /// As the file system answers; `InvalidData` when the file is not 32 bytes long.
    pub fn load_or_create(path: &Path, env: &Env) -> io::Result<Self> {
        match Self::load(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
        Self::place(path, &Secret::new(env.random()), env)?;
        Self::load(path)
    }

    /// Puts a key at `path`, mode 0600, whole and durable, unless there is one.
    ///
    /// # Errors
    /// As the file system answers.
    pub fn place(path: &Path, bytes: &Secret<[u8; KEY]>, env: &Env) -> io::Result<()> {
        let tag = env.random::<8>().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let draft = path.with_extension(format!("{tag}.tmp"));
        let placed = write_draft(&draft, bytes.expose()).and_then(|()| std::fs::hard_link(&draft, path));
        // The draft is ours alone; when it cannot be removed, the key is in place all the same.
        let _ = std::fs::remove_file(&draft);
        match placed {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()
    }

    /// Seals `plain` for one `context`: where it lies and what it is, such as `keystead/totp/<project>/<user>`.
    /// 29 bytes longer than `plain`.
    pub fn seal(&self, env: &Env, context: &str, plain: &[u8]) -> Vec<u8> {
        let nonce = env.random::<NONCE>();
        let mut sealed = Vec::with_capacity(1 + NONCE + plain.len() + AES_256_GCM_SIV.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad(context), &mut sealed[1 + NONCE..])
            .expect("a record is far below the 64 GiB that AES-GCM-SIV seals");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what [`MasterKey::seal`] made for the same `context`.
    ///
    /// # Errors
    /// [`SealError`] for anything else, whatever was wrong with it.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        let rest = sealed.strip_prefix(&[VERSION]).ok_or(SealError)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE>().ok_or(SealError)?;
        let mut plain = body.to_vec();
        let length = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aad(context), &mut plain)
            .map_err(|_| SealError)?
            .len();
        plain.truncate(length);
        Ok(Secret::new(plain))
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[master key]")
    }
}

/// The version is authenticated too, so that a later format cannot be passed off as this one.
fn aad(context: &str) -> Aad<Vec<u8>> {
    let mut bytes = Vec::with_capacity(1 + context.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(context.as_bytes());
    Aad::from(bytes)
}

fn write_draft(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    // The mode above passes through the umask; this one does not.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> MasterKey {
        MasterKey::from_bytes([7; 32])
    }

    #[test]
    fn what_is_sealed_opens_in_its_context_only() {
        let env = Env::system();
        let sealed = key().seal(&env, "keystead/test/a", b"seed");
        assert_eq!(sealed.len(), 4 + 29);
        assert_eq!(key().open("keystead/test/a", &sealed).unwrap().expose(), b"seed");
        assert_eq!(key().open("keystead/test/b", &sealed).unwrap_err(), SealError);
        assert_eq!(MasterKey::from_bytes([8; 32]).open("keystead/test/a", &sealed).unwrap_err(), SealError);
        assert_ne!(sealed, key().seal(&env, "keystead/test/a", b"seed"), "the nonce is random");
        let empty = key().seal(&env, "c", b"");
        assert!(key().open("c", &empty).unwrap().expose().is_empty());
    }

    #[test]
    fn no_changed_bit_and_no_cut_opens() {
        let sealed = key().seal(&Env::system(), "c", b"0123456789");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key().open("c", &changed).unwrap_err(), SealError, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(key().open("c", &sealed[..length]).unwrap_err(), SealError, "length {length}");
        }
    }

    #[test]
    fn the_key_file_is_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let env = Env::system();
        let first = MasterKey::load_or_create(&path, &env).unwrap();
        let sealed = first.seal(&env, "c", b"kept");
        let again = MasterKey::load_or_create(&path, &env).unwrap();
        assert_eq!(again.open("c", &sealed).unwrap().expose(), b"kept");
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!((meta.permissions().mode() & 0o777, meta.len()), (0o600, 32));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no draft stays behind");
    }

    #[test]
    fn processes_that_start_at_once_share_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let env = Env::system();
        let keys = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| MasterKey::load_or_create(&path, &env))).collect();
            starts.into_iter().map(|start| start.join().unwrap().unwrap()).collect::<Vec<_>>()
        });
        let sealed = keys[0].seal(&env, "c", b"one");
        assert!(keys.iter().all(|key| key.open("c", &sealed).is_ok()));
    }

    #[test]
    fn a_file_of_another_length_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for length in [0, 31, 33, 4096] {
            let path = dir.path().join(format!("key{length}"));
            std::fs::write(&path, vec![1; length]).unwrap();
            let error = MasterKey::load_or_create(&path, &Env::system()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        assert!(MasterKey::load_or_create(&dir.path().join("absent/key"), &Env::system()).is_err());
    }
}
