//! Tables of Nhost Auth, one after the other with a zero byte between: what is read of them becomes accounts, or is refused
//! with a reason that repeats no hash.
#![no_main]

use keystead::admin::check_account;
use keystead::cli::nhost_accounts;
use keystead::config::ProjectSettings;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut tables = bytes.splitn(5, |byte| *byte == 0);
    let settings = ProjectSettings::named("fuzz");
    for account in nhost_accounts(std::array::from_fn(|_| tables.next().unwrap_or_default())) {
        let hash = account["password_hash"].as_str().unwrap_or_default().to_owned();
        if let Err(reason) = check_account(account, &settings) {
            assert!(hash.len() < 20 || !reason.contains(&hash));
        }
    }
});
