//! Rows of Nora's table of users, in CSV and as JSON lines: what is read of them becomes an account, or is refused with a
//! reason that repeats no hash.
#![no_main]

use keystead::admin::check_account;
use keystead::cli::nora_accounts;
use keystead::config::ProjectSettings;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let settings = ProjectSettings::named("fuzz");
    for account in nora_accounts(bytes) {
        let hash = account["password_hash"].as_str().unwrap_or_default().to_owned();
        if let Err(reason) = check_account(account, &settings) {
            assert!(hash.len() < 20 || !reason.contains(&hash));
        }
    }
});
