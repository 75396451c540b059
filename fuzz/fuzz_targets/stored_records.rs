//! Records as they lie in a file, of today's format and on the way from an earlier one, and sealed values: damaged ones are
//! told, never misread with a panic.
#![no_main]

use std::ops::ControlFlow;
use std::sync::LazyLock;
use std::time::Duration;

use keystead::crypto::{Digest, MasterKey};
use keystead::data::lockouts::{LockoutPolicy, Subject, standing};
use keystead::data::one_time::{self, Purpose};
use keystead::data::outbox::Lane;
use keystead::data::{
    Email, api_keys, audit, avatars, codes, format, identities, outbox, personal_tokens, project, rates, sessions,
    users,
};
use keystead::env::Timestamp;
use keystead::store::{Read, Store, StoreError, Visit, Write};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

/// A file in which every row is the same bytes.
struct Everywhere<'a>(&'a [u8]);

impl Read for Everywhere<'_> {
    fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(Some(self.0.to_vec()))
    }

    fn scan(&self, from: &[u8], _: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let key = [from, self.0].concat();
        if limit > 0 {
            let _: ControlFlow<()> = visit(&key, self.0);
        }
        Ok(())
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.scan(from, to, limit, visit)
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (file, id) = (Everywhere(bytes), Uuid::from_u128(1));
    let email = Email::parse("ada@example.com").expect("an address");
    let policy = LockoutPolicy {
        failures: 5,
        account_failures: 100,
        window: Duration::from_secs(900),
        duration: Duration::from_secs(900),
    };
    if let Ok(Some(user)) = users::get(&file, id) {
        let _ = user.address();
    }
    if let Ok(Some(session)) = sessions::get(&file, id) {
        let _ = session.address();
    }
    let _ = (users::by_email(&file, &email), users::list(&file, None, 3));
    let _ = (sessions::of_user(&file, id), sessions::list(&file, Some(id), 3));
    let _ = (api_keys::of_user(&file, id), api_keys::by_prefix(&file, "uak_000000000000"));
    let _ = identities::Name::new("github", "7").map(|name| identities::get(&file, &name));
    let _ = (project::get(&file), project::refresh_key(&file), project::signing_keys(&file));
    if let Ok(rows) = audit::after(&file, 0, 3) {
        let _ = rows.iter().map(|row| (row.entry().is_ok(), row.hash())).count();
    }
    let _ = (audit::bounds(&file), audit::before(&file, 9, 3), avatars::get(&file, id));
    let _ =
        (outbox::get(&file, id), outbox::dead(&file, id), outbox::due(&file, &Lane::Mail, 3), outbox::counts(&file));
    let _ = codes::may_guess(&file, id, Timestamp::from_secs(9));
    let _ = one_time::find(&file, Purpose::SignIn, &Digest::of("fuzz", b""));
    let _ = (personal_tokens::find(&file, &Digest::of("fuzz", b"")), personal_tokens::of_user(&file, id));
    let _ = (outbox::waiting(&file, None, 3), outbox::dead_letters(&file, None, 3));
    let _ = (
        rates::get(&file, 5, Duration::from_secs(60), 1),
        standing(&file, &Subject::new(&email, 1), &policy, Timestamp::from_secs(9)),
    );
    assert!(MasterKey::from_bytes([7; 32]).open("fuzz", bytes).is_err(), "nothing was sealed with it");
    upgrade(bytes.to_vec());
});

/// Rows of format 1 come to the present one, and are then as they should be.
fn upgrade(row: Vec<u8>) {
    // As `format` names them: accounts, sessions, when those were refreshed, one-time secrets, events.
    const TABLES: [u8; 5] = [0x10, 0x20, 0x22, 0x30, 0x60];
    let store = Store::memory();
    let job = move |w: &mut dyn Write| {
        TABLES.iter().try_for_each(|table| w.put(&[&[*table][..], &[7; 16]].concat(), &row))?;
        format::STEPS.iter().try_for_each(|step| (step.run)(w))?;
        let once = all(w)?;
        format::STEPS.iter().try_for_each(|step| (step.run)(w))?;
        assert_eq!(all(w)?, once, "there is nothing left to do");
        Ok::<_, StoreError>(())
    };
    RUNTIME.block_on(store.write(job)).expect("rows that nobody can read stay as they are");
}

fn all(r: &(impl Read + ?Sized)) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
    let mut rows = Vec::new();
    r.scan(&[], &[0xff], 100, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}
