//! Encryption of a whole archive as the tool `age` does it (https://c2sp.org/age): to recipients, or by a passphrase.
//!
//! The file key and nonces come from the crate's own generator, which is the operating system's: a backup is nothing that a
//! test with a fixed entropy could use.

use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use age::secrecy::SecretString;
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor, Identity, IdentityFile, Recipient};

use crate::crypto::Secret;

/// What an encrypted archive begins with.
const MAGIC: &[u8] = b"age-encryption.org/";
/// What one in letters begins with.
const ARMOR: &[u8] = b"-----BEGIN AGE";
/// The largest header: some hundred bytes a recipient.
const MAX_HEADER: u64 = 64 << 10;
/// What a passphrase costs: 2^18, about a second and 256 MiB. And the most that is accepted.
const WORK: u8 = 18;
const MAX_WORK: u8 = 20;

/// For whom an archive is encrypted.
#[derive(Clone)]
pub enum Encryption {
    /// For whoever has the key of one of these.
    Recipients(Vec<age::x25519::Recipient>),
    /// For whoever knows it.
    Passphrase(Secret<String>),
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recipients(_) => "Encryption to recipients",
            Self::Passphrase(_) => "Encryption by a passphrase",
        })
    }
}

/// Not encrypted, and why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEncrypted {
    /// That is no recipient.
    #[error("{0:?} is no recipient: write the public key that `age-keygen` printed, age1…")]
    Recipient(String),
}

impl Encryption {
    /// To these recipients, `age1…` each; `None` for none.
    ///
    /// # Errors
    /// When one is no recipient.
    pub fn to(recipients: &[String]) -> Result<Option<Self>, NotEncrypted> {
        let read = |text: &String| {
            age::x25519::Recipient::from_str(text.trim()).map_err(|_| NotEncrypted::Recipient(text.clone()))
        };
        let all = recipients.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok((!all.is_empty()).then_some(Self::Recipients(all)))
    }

    /// What is written into it comes out of `out` encrypted. It must be [`Encrypting::finish`]ed.
    ///
    /// # Errors
    /// The output's.
    pub fn around<W: Write>(&self, out: W) -> io::Result<StreamWriter<W>> {
        let encryptor = match self {
            Self::Recipients(all) => Encryptor::with_recipients(all.iter().map(|one| one as &dyn Recipient)),
            Self::Passphrase(passphrase) => {
                let mut one = age::scrypt::Recipient::new(SecretString::from(passphrase.expose().clone()));
                one.set_work_factor(WORK);
                Encryptor::with_recipients(std::iter::once(&one as &dyn Recipient))
            }
        };
        encryptor.map_err(io::Error::other)?.wrap_output(out)
    }
}

/// An output that is encrypted, or not.
pub enum Encrypting<W: Write> {
    /// As it is.
    Plain(W),
    /// Encrypted.
    Age(Box<StreamWriter<W>>),
}

impl<W: Write> Encrypting<W> {
    /// Around `out`.
    ///
    /// # Errors
    /// The output's.
    pub fn new(out: W, how: Option<&Encryption>) -> io::Result<Self> {
        Ok(match how {
            None => Self::Plain(out),
            Some(how) => Self::Age(Box::new(how.around(out)?)),
        })
    }

    /// Ends the encryption; without it what was written does not open.
    ///
    /// # Errors
    /// The output's.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Age(out) => out.finish(),
        }
    }
}

impl<W: Write> Write for Encrypting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Age(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Age(out) => out.flush(),
        }
    }
}

/// What opens an archive.
#[derive(Default)]
pub struct Keys {
    identities: Vec<Box<dyn Identity + Send + Sync>>,
}

impl Keys {
    /// Adds the identities of a file, as `age-keygen` writes it.
    ///
    /// # Errors
    /// When there is none in it.
    pub fn add_identities(&mut self, text: &Secret<Vec<u8>>) -> io::Result<()> {
        let none = || io::Error::new(io::ErrorKind::InvalidData, "it holds no age identity (AGE-SECRET-KEY-1…)");
        let found = IdentityFile::from_buffer(Cursor::new(text.expose())).map_err(|_| none())?;
        let found = found.into_identities().map_err(|_| none())?;
        if found.is_empty() {
            return Err(none());
        }
        self.identities.extend(found);
        Ok(())
    }

    /// Adds a passphrase.
    pub fn add_passphrase(&mut self, passphrase: &Secret<String>) {
        let mut identity = age::scrypt::Identity::new(SecretString::from(passphrase.expose().clone()));
        identity.set_max_work_factor(MAX_WORK);
        self.identities.push(Box::new(identity));
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.identities.len())
    }
}

/// Why an archive did not open.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// It is encrypted, and nothing was given that might open it.
    #[error("the backup is encrypted: give --identity FILE, or --passphrase-file FILE")]
    NoKey,
    /// What was given does not open it.
    #[error("none of the keys given opens this backup")]
    WrongKey,
    /// It is written in letters.
    #[error("the backup is written in letters (armored): put it through `age --decrypt` first")]
    Armored,
    /// Its header is not one.
    #[error("the header of the encrypted backup is damaged ({0})")]
    Header(String),
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// An archive that is open.
pub enum Opened<R: Read> {
    /// As it was.
    Plain(R),
    /// Decrypted.
    Age(Box<StreamReader<Bounded<R>>>),
}

impl<R: Read> Opened<R> {
    /// Whether it is encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::Age(_))
    }
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(from) => from.read(out),
            Self::Age(from) => from.read(out),
        }
    }
}

/// Opens an archive, encrypted or not.
///
/// # Errors
/// [`NotOpened`].
pub fn open<R: Read>(input: R, keys: &Keys) -> Result<Opened<BufReader<R>>, NotOpened> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let start = input.fill_buf()?;
    if start.starts_with(ARMOR) {
        return Err(NotOpened::Armored);
    }
    if !start.starts_with(MAGIC) {
        return Ok(Opened::Plain(input));
    }
    if keys.identities.is_empty() {
        return Err(NotOpened::NoKey);
    }
    let left = Arc::new(AtomicU64::new(MAX_HEADER));
    let decryptor = Decryptor::new_buffered(Bounded { from: input, left: Arc::clone(&left) }).map_err(refused)?;
    let identities = keys.identities.iter().map(|identity| identity.as_ref() as &dyn Identity);
    let opened = decryptor.decrypt(identities).map_err(refused)?;
    left.store(u64::MAX, Ordering::Relaxed);
    Ok(Opened::Age(Box::new(opened)))
}

fn refused(error: DecryptError) -> NotOpened {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed | DecryptError::DecryptionFailed => {
            NotOpened::WrongKey
        }
        DecryptError::Io(error) => NotOpened::Header(error.to_string()),
        DecryptError::ExcessiveWork { required, .. } => {
            NotOpened::Header(format!("its passphrase costs 2^{required}, at most 2^{MAX_WORK} is accepted"))
        }
        error => NotOpened::Header(error.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}

/// Ends a header that does not end.
pub struct Bounded<R> {
    from: R,
    left: Arc<AtomicU64>,
}

impl<R> Bounded<R> {
    fn spend(&self, bytes: usize) -> io::Result<()> {
        let left = self.left.load(Ordering::Relaxed);
        if left == u64::MAX {
            return Ok(());
        }
        let rest = left.checked_sub(bytes as u64);
        // Nothing more, whatever is asked for next.
        self.left.store(rest.unwrap_or(0), Ordering::Relaxed);
        rest.map(drop).ok_or_else(|| io::Error::other("it is too long"))
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(out)?;
        self.spend(read)?;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.spend(1)?;
        self.from.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // The next look finds that it was too much.
        let _ = self.spend(amount);
        self.from.consume(amount);
    }
}
