//! The templates in the program: `LOCALE/NAME.PART` and its text.

/// One line a file; the macro gives both the name and what is in it.
macro_rules! embedded {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("templates/", $name)))),*]
    };
}

/// All of them.
pub(super) const EMBEDDED: &[(&str, &str)] = embedded! {
    "en/verify-email.subject" "en/verify-email.txt" "en/verify-email.html"
    "en/account-exists.subject" "en/account-exists.txt" "en/account-exists.html"
    "en/locked-out.subject" "en/locked-out.txt" "en/locked-out.html"
    "en/password-changed.subject" "en/password-changed.txt" "en/password-changed.html"
    "en/new-device.subject" "en/new-device.txt" "en/new-device.html"
    "es/verify-email.subject" "es/verify-email.txt" "es/verify-email.html"
    "es/account-exists.subject" "es/account-exists.txt" "es/account-exists.html"
    "es/locked-out.subject" "es/locked-out.txt" "es/locked-out.html"
    "es/password-changed.subject" "es/password-changed.txt" "es/password-changed.html"
    "es/new-device.subject" "es/new-device.txt" "es/new-device.html"
    "fr/verify-email.subject" "fr/verify-email.txt" "fr/verify-email.html"
    "fr/account-exists.subject" "fr/account-exists.txt" "fr/account-exists.html"
    "fr/locked-out.subject" "fr/locked-out.txt" "fr/locked-out.html"
    "fr/password-changed.subject" "fr/password-changed.txt" "fr/password-changed.html"
    "fr/new-device.subject" "fr/new-device.txt" "fr/new-device.html"
    "de/verify-email.subject" "de/verify-email.txt" "de/verify-email.html"
    "de/account-exists.subject" "de/account-exists.txt" "de/account-exists.html"
    "de/locked-out.subject" "de/locked-out.txt" "de/locked-out.html"
    "de/password-changed.subject" "de/password-changed.txt" "de/password-changed.html"
    "de/new-device.subject" "de/new-device.txt" "de/new-device.html"
    "bg/verify-email.subject" "bg/verify-email.txt" "bg/verify-email.html"
    "bg/account-exists.subject" "bg/account-exists.txt" "bg/account-exists.html"
    "bg/locked-out.subject" "bg/locked-out.txt" "bg/locked-out.html"
    "bg/password-changed.subject" "bg/password-changed.txt" "bg/password-changed.html"
    "bg/new-device.subject" "bg/new-device.txt" "bg/new-device.html"
    "cs/verify-email.subject" "cs/verify-email.txt" "cs/verify-email.html"
    "cs/account-exists.subject" "cs/account-exists.txt" "cs/account-exists.html"
    "cs/locked-out.subject" "cs/locked-out.txt" "cs/locked-out.html"
    "cs/password-changed.subject" "cs/password-changed.txt" "cs/password-changed.html"
    "cs/new-device.subject" "cs/new-device.txt" "cs/new-device.html"
};
