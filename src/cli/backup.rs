//! `keystead backup`: projects as of one moment, in a file that appears whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow, bail};
use axum::body::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use serde_json::json;

use super::api::Api;
use super::out_file::OutFile;
use super::output::counted;
use super::place::Place;
use super::{Surroundings, Usage};
use crate::backup::{
    BadArchive, Contents, Draft, Encrypting, Encryption, NOT_IN_IT, Pieces, master_key_entry, read, yield_to_others,
};
use crate::config::{MasterKeySource, Settings};
use crate::crypto::{MasterKey, Secret};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    file: OutFile,
    /// Encrypt it for whoever has this key's secret half (age1…, as age-keygen prints it); repeatable
    #[arg(long, value_name = "AGE1…", conflicts_with = "passphrase_file")]
    recipient: Vec<String>,
    /// Encrypt it by the passphrase on the first line of this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The master key too: whoever opens the backup can then use all that is in it. Only where it is encrypted
    #[arg(long)]
    with_master_key: bool,
}

impl Args {
    pub(super) fn run(self, around: &mut Surroundings) -> Result<()> {
        self.file.check(self.place.json)?;
        yield_to_others();
        let encryption = self.encryption()?;
        if self.with_master_key && encryption.is_none() {
            let why = "--with-master-key needs --recipient or --passphrase-file: in the clear, the key would open all that \
                       lies beside it";
            return Err(Usage(why.into()).into());
        }
        let prelude = match self.with_master_key {
            true => Some(self.master_key(around)?),
            false => None,
        };
        self.place.clone().with_api(around, async |api, around| {
            let how = encryption.as_ref();
            let cannot = || format!("{} cannot be written", self.file.path.display());
            let (contents, bytes) = if self.file.is_stdout() {
                let out = Encrypting::new(&mut around.console.out, how)?;
                let (contents, out) = self.receive(api, prelude.as_ref(), out).await?;
                out.finish()?.flush()?;
                (contents, None)
            } else {
                let draft = Draft::new(&self.file.path, self.file.force).with_context(cannot)?;
                let out = Encrypting::new(draft, how).with_context(cannot)?;
                let (contents, out) = self.receive(api, prelude.as_ref(), out).await?;
                let bytes = out.finish().and_then(Draft::keep).with_context(cannot)?;
                (contents, Some(bytes))
            };
            self.tell(around, &contents, bytes, how.is_some())
        })
    }

    fn encryption(&self) -> Result<Option<Encryption>> {
        match &self.passphrase_file {
            Some(file) => Ok(Some(Encryption::Passphrase(passphrase(file)?))),
            None => Encryption::to(&self.recipient).map_err(|error| Usage(error.to_string()).into()),
        }
    }

    /// The master key as the first entry.
    fn master_key(&self, around: &Surroundings) -> Result<Secret<Vec<u8>>> {
        let settings = self.place.settings(around)?;
        Ok(master_key_entry(&master_key(&settings)?, around.env.now())?)
    }

    /// Writes what comes, and looks at all of it on the way: what does not end as it should is no backup.
    async fn receive<W: Write>(
        &self,
        api: &Api,
        prelude: Option<&Secret<Vec<u8>>>,
        mut out: W,
    ) -> Result<(Contents, W)> {
        let mut body = api.stream(&format!("/v1/backup?{}", self.file.query())).await?;
        let mut look = Look::start()?;
        let cannot = "the backup cannot be written";
        if let Some(prelude) = prelude {
            out.write_all(prelude.expose()).context(cannot)?;
            look.see(Bytes::copy_from_slice(prelude.expose()));
        }
        let mut broken_off = None;
        while let Some(frame) = body.frame().await {
            match frame.map(Frame::into_data) {
                Ok(Ok(piece)) => {
                    out.write_all(&piece).context(cannot)?;
                    look.see(piece);
                }
                Ok(Err(_)) => {}
                Err(error) => {
                    broken_off = Some(error);
                    break;
                }
            }
        }
        match (look.end(), broken_off) {
            (Ok(contents), _) => Ok((contents, out)),
            (Err(_), Some(why)) => Err(anyhow!(why).context("there is no backup: the server broke off its answer")),
            (Err(error), None) => Err(error),
        }
    }

    fn tell(
        &self,
        around: &mut Surroundings,
        contents: &Contents,
        bytes: Option<u64>,
        is_encrypted: bool,
    ) -> Result<()> {
        if self.place.json {
            let told = json!({"file": self.file.path, "bytes": bytes, "encrypted": is_encrypted, "backup": contents});
            around.console.json(&told)?;
        } else if let Some(bytes) = bytes {
            let what = summary(contents);
            let (file, kib) = (self.file.path.display(), bytes.div_ceil(1024));
            around.console.say(&format!("{file}: {what}, {kib} KiB, read back"))?;
        }
        let left = match contents.has_master_key {
            true => NOT_IN_IT.replacen("the master key, ", "", 1),
            false => NOT_IN_IT.to_owned(),
        };
        around.console.note(&format!("not in it: {left}"));
        if !contents.has_master_key {
            around.console.note(
                "keep the master key apart from it, and keep it: without it the keys in the backup cannot be read",
            );
        }
        if !is_encrypted {
            around.console.note("it is not encrypted: it holds addresses and password hashes; --recipient encrypts it");
        }
        Ok(())
    }
}

/// Such as `2 projects, 5210 rows, as of 2026-11-25T10:15:00Z`.
pub(super) fn summary(contents: &Contents) -> String {
    let rows: u64 = contents.files.iter().map(|file| file.rows).sum();
    let projects = counted(contents.files.len() as u64, "project");
    format!("{projects}, {rows} rows, as of {}", contents.head.moment)
}

/// The first line of a file.
pub(super) fn passphrase(file: &Path) -> Result<Secret<String>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let text = Secret::new(text);
    match text.expose().lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line.to_owned())),
        _ => bail!("{}: there is no passphrase on its first line", file.display()),
    }
}

/// The master key of a data directory, wherever the settings say it is.
fn master_key(settings: &Settings) -> Result<Secret<[u8; 32]>> {
    let path = match &settings.master_key {
        Some(MasterKeySource::Bytes(bytes)) => return Ok(bytes.clone()),
        Some(MasterKeySource::File(path)) => path.clone(),
        None => settings.data_dir.join("master.key"),
    };
    MasterKey::read(&path).with_context(|| path.display().to_string())
}

/// Reads an archive beside whoever writes it down.
struct Look {
    pieces: Option<mpsc::SyncSender<Bytes>>,
    reading: JoinHandle<Result<Contents, BadArchive>>,
}

impl Look {
    fn start() -> Result<Self> {
        let (pieces, from) = mpsc::sync_channel(4);
        let reading = thread::Builder::new().name("backup-reader".into());
        let reading = reading.spawn(move || read(Pieces::new(|| from.recv().ok()), |_| Ok(())))?;
        Ok(Self { pieces: Some(pieces), reading })
    }

    fn see(&mut self, piece: Bytes) {
        // It has seen enough; what it found is told at the end.
        let _ = self.pieces.as_ref().map(|pieces| pieces.send(piece));
    }

    fn end(mut self) -> Result<Contents> {
        self.pieces = None;
        let contents = self.reading.join().map_err(|_| anyhow!("reading the backup failed unexpectedly"))?;
        contents.context("there is no backup")
    }
}
