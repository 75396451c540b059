//! Records as they lie in a file: damaged ones are told, never misread with a panic.
#![no_main]

use std::ops::ControlFlow;
use std::time::Duration;

use keystead::crypto::Digest;
use keystead::data::lockouts::{LockoutPolicy, Subject, standing};
use keystead::data::one_time::{self, Purpose};
use keystead::data::outbox::Lane;
use keystead::data::{
    Email, api_keys, audit, avatars, codes, identities, outbox, personal_tokens, project, rates, sessions, users,
};
use keystead::env::Timestamp;
use keystead::store::{Read, StoreError, Visit};
use uuid::Uuid;

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
});
