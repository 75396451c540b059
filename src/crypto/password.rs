//! Stored password hashes: our own Argon2id form, and the forms accepted from imports.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What one Argon2id hash costs (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashCost {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes. They are computed one after the other; the pool's threads are what runs in parallel.
    pub parallelism: u32,
}

impl Default for HashCost {
    /// The second recommended option of OWASP's password storage cheat sheet: 19 MiB, 2 passes, 1 lane.
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}

/// A cost that Argon2 does not define or that no server could bear.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "hash cost out of range: memory 8 x parallelism to 1048576 KiB, iterations 1 to 64, parallelism 1 to 16, and \
     memory x iterations at most 4194304 KiB"
)]
pub struct BadCost;

impl HashCost {
    /// Rows of OWASP's password storage cheat sheet for Argon2id: KiB and passes that are as good as one another.
    const OWASP: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

    /// Whether it is as good as what OWASP recommends at least.
    pub fn meets_owasp(self) -> bool {
        Self::OWASP.iter().any(|(memory, passes)| self.memory_kib >= *memory && self.iterations >= *passes)
    }

    /// Whether a server may be configured with this cost.
    ///
    /// # Errors
    /// [`BadCost`] beyond 1 GiB, 64 passes, 16 lanes, or 4 GiB of memory passes in all.
    pub fn check(self) -> Result<(), BadCost> {
        self.within(1 << 20, 64, 1 << 22)
    }

    fn within(self, memory_kib: u32, iterations: u32, work_kib: u64) -> Result<(), BadCost> {
        let fits = (1..=16).contains(&self.parallelism)
            && (8 * self.parallelism..=memory_kib).contains(&self.memory_kib)
            && (1..=iterations).contains(&self.iterations)
            && u64::from(self.memory_kib) * u64::from(self.iterations) <= work_kib;
        if fits { Ok(()) } else { Err(BadCost) }
    }

    /// How many memory blocks a computation needs.
    pub(super) fn blocks(self) -> usize {
        // Argon2 rounds down to whole segments, four a lane; the unrounded count is at least as many.
        self.memory_kib as usize
    }
}

const SALT: usize = 16;
const HASH: usize = 32;

/// A password hash as the store keeps it.
///
/// Our own form is binary: cost, salt and hash, about 54 bytes. Imported forms stay the text they came as, until their
/// owner signs in once and [`super::Verdict::rehash`] replaces them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredHash(Form);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Form {
    /// Argon2id, version 0x13.
    Own { cost: HashCost, salt: [u8; SALT], hash: [u8; HASH] },
    /// Any text that [`Imported::parse`] accepts.
    Imported(Box<str>),
}

/// An imported hash that is not accepted.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ImportError {
    /// Neither bcrypt ($2a$, $2b$, $2y$) nor a PHC string of scrypt, PBKDF2-SHA256/512 or Argon2.
    #[error("not a password hash of a known form")]
    Unknown,
    /// The form is known, the text is not well formed.
    #[error("malformed password hash")]
    Malformed,
    /// Verifying it would take more memory or time than any sign-in may.
    #[error("password hash of an absurd cost")]
    TooCostly,
}

impl StoredHash {
    /// Accepts a hash made elsewhere: bcrypt (which saw only the first 72 bytes of its password), and PHC strings of
    /// `argon2id/i/d`, `scrypt`, `pbkdf2-sha256` and `pbkdf2-sha512`.
    ///
    /// Costs are bounded so that one record cannot exhaust the server: 256 MiB and 1 GiB of passes for Argon2 and
    /// scrypt, 5,000,000 rounds of PBKDF2, bcrypt cost 15.
    ///
    /// # Errors
    /// [`ImportError`]; the text is not repeated in it.
    pub fn parse_import(text: &str) -> Result<Self, ImportError> {
        match Imported::parse(text)? {
            Imported::Argon2 { algorithm: Algorithm::Argon2id, version: Version::V0x13, cost, salt, hash } => {
                match (<[u8; SALT]>::try_from(salt.as_slice()), <[u8; HASH]>::try_from(hash.as_slice())) {
                    (Ok(salt), Ok(hash)) => Ok(Self(Form::Own { cost, salt, hash })),
                    _ => Ok(Self(Form::Imported(text.into()))),
                }
            }
            _ => Ok(Self(Form::Imported(text.into()))),
        }
    }

    /// What [`StoredHash::text`] wrote: also at costs that no import may have, but a server's own configuration may.
    ///
    /// # Errors
    /// As [`StoredHash::parse_import`].
    pub fn parse_stored(text: &str) -> Result<Self, ImportError> {
        match Self::parse_import(text) {
            Err(ImportError::TooCostly) => Self::parse_own(text).ok_or(ImportError::TooCostly),
            read => read,
        }
    }

    /// Our own form, at a cost that a server may be configured with.
    fn parse_own(text: &str) -> Option<Self> {
        let phc = PasswordHash::new(text).ok()?;
        let number = |name: &str| phc.params.get_decimal(name);
        let cost = HashCost { memory_kib: number("m")?, iterations: number("t")?, parallelism: number("p")? };
        let is_own = text.starts_with("$argon2id$v=19$") && cost.check().is_ok();
        let salt = phc.salt.as_ref()?.as_ref().try_into().ok()?;
        let hash = phc.hash.as_ref()?.as_bytes().try_into().ok()?;
        is_own.then_some(Self(Form::Own { cost, salt, hash }))
    }

    /// It as text: a PHC string, or what was imported as it came.
    pub fn text(&self) -> String {
        match &self.0 {
            Form::Own { cost: HashCost { memory_kib, iterations, parallelism }, salt, hash } => {
                let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
                format!("$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}${salt}${hash}")
            }
            Form::Imported(text) => text.to_string(),
        }
    }

    /// Hashes the whole password.
    pub(super) fn compute(cost: HashCost, salt: [u8; SALT], password: &[u8], memory: &mut Vec<Block>) -> Self {
        let mut hash = [0; HASH];
        argon2_into(Algorithm::Argon2id, Version::V0x13, cost, password, &salt, &mut hash, memory);
        Self(Form::Own { cost, salt, hash })
    }

    /// Whether this is our own form at this cost, with nothing to replace.
    pub(super) fn is_current(&self, current: HashCost) -> bool {
        matches!(&self.0, Form::Own { cost, .. } if *cost == current)
    }

    /// Whether the password is the one. A record that no longer parses matches nothing.
    pub(super) fn matches(&self, password: &[u8], memory: &mut Vec<Block>) -> bool {
        match &self.0 {
            Form::Own { cost, salt, hash } => {
                let mut computed = [0; HASH];
                argon2_into(Algorithm::Argon2id, Version::V0x13, *cost, password, salt, &mut computed, memory);
                verify_slices_are_equal(&computed, hash).is_ok()
            }
            Form::Imported(text) => Imported::parse(text).is_ok_and(|hash| hash.matches(password, memory)),
        }
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[stored hash]")
    }
}

/// A parsed import, within the bounds of [`StoredHash::parse_import`].
enum Imported<'a> {
    Bcrypt(&'a str),
    Argon2 { algorithm: Algorithm, version: Version, cost: HashCost, salt: Vec<u8>, hash: Vec<u8> },
    Scrypt { params: scrypt::Params, salt: Vec<u8>, hash: Vec<u8> },
    Pbkdf2 { sha512: bool, rounds: u32, salt: Vec<u8>, hash: Vec<u8> },
}

/// Longer than any accepted form (the longest PHC string has a salt of 48 and a hash of 64 bytes).
const MAX_IMPORT: usize = 512;
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_WORK_KIB: u64 = 1024 * 1024;
const MAX_PBKDF2_ROUNDS: u32 = 5_000_000;
const MAX_BCRYPT_COST: u32 = 15;

impl<'a> Imported<'a> {
    fn parse(text: &'a str) -> Result<Self, ImportError> {
        if text.len() > MAX_IMPORT {
            return Err(ImportError::Malformed);
        }
        if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            let cost = text.parse::<bcrypt::HashParts>().map_err(|_| ImportError::Malformed)?.get_cost();
            return match cost {
                4..=MAX_BCRYPT_COST => Ok(Self::Bcrypt(text)),
                ..4 => Err(ImportError::Malformed),
                _ => Err(ImportError::TooCostly),
            };
        }
        let algorithm = text.strip_prefix('$').and_then(|rest| rest.split('$').next()).unwrap_or_default();
        if !["argon2id", "argon2i", "argon2d", "scrypt", "pbkdf2-sha256", "pbkdf2-sha512"].contains(&algorithm) {
            return Err(ImportError::Unknown);
        }
        let phc = PasswordHash::new(text).map_err(|_| ImportError::Malformed)?;
        let salt = phc.salt.as_ref().ok_or(ImportError::Malformed)?.as_ref().to_vec();
        let hash = phc.hash.as_ref().ok_or(ImportError::Malformed)?.as_bytes().to_vec();
        let number = |name: &str| phc.params.get_decimal(name);
        let needed = |name: &str| number(name).ok_or(ImportError::Malformed);
        match algorithm {
            "scrypt" => {
                let (log_n, r, p) = (needed("ln")?, needed("r")?, needed("p")?);
                Ok(Self::Scrypt { params: scrypt_params(log_n, r, p)?, salt, hash })
            }
            "pbkdf2-sha256" | "pbkdf2-sha512" => {
                if number("l").is_some_and(|length| length as usize != hash.len()) {
                    return Err(ImportError::Malformed);
                }
                let rounds = match needed("i")? {
                    0 => return Err(ImportError::Malformed),
                    rounds @ 1..=MAX_PBKDF2_ROUNDS => rounds,
                    _ => return Err(ImportError::TooCostly),
                };
                Ok(Self::Pbkdf2 { sha512: algorithm == "pbkdf2-sha512", rounds, salt, hash })
            }
            _ => {
                // A key or associated data would be needed to verify it, and neither is ours to know.
                if phc.params.get("keyid").is_some() || phc.params.get("data").is_some() {
                    return Err(ImportError::Malformed);
                }
                let algorithm = Algorithm::new(algorithm).map_err(|_| ImportError::Malformed)?;
                // Without a version the string is of 0x10 (the Argon2 reference implementation, encoding.c).
                let version = phc.version.map_or(Ok(Version::V0x10), Version::try_from);
                let version = version.map_err(|_| ImportError::Malformed)?;
                let cost = HashCost { memory_kib: needed("m")?, iterations: needed("t")?, parallelism: needed("p")? };
                cost.within(MAX_MEMORY_KIB, 64, MAX_WORK_KIB).map_err(|_| ImportError::TooCostly)?;
                Ok(Self::Argon2 { algorithm, version, cost, salt, hash })
            }
        }
    }

    fn matches(&self, password: &[u8], memory: &mut Vec<Block>) -> bool {
        let (computed, hash) = match self {
            Self::Bcrypt(text) => return bcrypt::verify(password, text).unwrap_or(false),
            Self::Argon2 { algorithm, version, cost, salt, hash } => {
                let mut out = vec![0; hash.len()];
                argon2_into(*algorithm, *version, *cost, password, salt, &mut out, memory);
                (out, hash)
            }
            Self::Scrypt { params, salt, hash } => {
                let mut out = vec![0; hash.len()];
                scrypt::scrypt(password, salt, params, &mut out).expect("a PHC hash has 10 to 64 bytes");
                (out, hash)
            }
            Self::Pbkdf2 { sha512, rounds, salt, hash } => {
                let mut out = vec![0; hash.len()];
                if *sha512 {
                    pbkdf2::pbkdf2_hmac::<pbkdf2::sha2::Sha512>(password, salt, *rounds, &mut out);
                } else {
                    pbkdf2::pbkdf2_hmac::<pbkdf2::sha2::Sha256>(password, salt, *rounds, &mut out);
                }
                (out, hash)
            }
        };
        verify_slices_are_equal(&computed, hash).is_ok()
    }
}

/// 128 x N x r bytes of memory, walked p times.
fn scrypt_params(log_n: u32, r: u32, p: u32) -> Result<scrypt::Params, ImportError> {
    if log_n == 0 || r == 0 || p == 0 {
        return Err(ImportError::Malformed);
    }
    if log_n > 20 || r > 64 || p > 16 {
        return Err(ImportError::TooCostly);
    }
    let memory_kib = ((128 * u64::from(r)) << log_n) / 1024;
    if memory_kib > u64::from(MAX_MEMORY_KIB) || memory_kib * u64::from(p) > MAX_WORK_KIB {
        return Err(ImportError::TooCostly);
    }
    let log_n = u8::try_from(log_n).map_err(|_| ImportError::TooCostly)?;
    scrypt::Params::new(log_n, r, p).map_err(|_| ImportError::Malformed)
}

/// One Argon2 computation in `memory`, which grows when the cost needs more.
fn argon2_into(
    algorithm: Algorithm,
    version: Version,
    cost: HashCost,
    password: &[u8],
    salt: &[u8],
    out: &mut [u8],
    memory: &mut Vec<Block>,
) {
    if memory.len() < cost.blocks() {
        memory.resize(cost.blocks(), Block::new());
    }
    let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, Some(out.len()))
        .expect("costs are checked where they enter: by HashCost::check and by parse_import");
    Argon2::new(algorithm, version, params)
        .hash_password_into_with_memory(password, salt, out, memory.as_mut_slice())
        .expect("salt and output have the lengths of a PHC string and the memory was just fitted");
}

#[cfg(test)]
#[path = "password_tests.rs"]
mod tests;
