//! Which limits a request meets (contract 3.4): by its path alone, so that it is known before anything is read.

use crate::auth::limits::{self, Class, Limiter, Standing};
use crate::auth::{Ctx, verify};

/// The kinds a path belongs to, besides that of all requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kinds {
    /// It sends a mail.
    mail: bool,
    /// It presents a secret.
    secret: bool,
    /// It signs up.
    sign_up: bool,
}

/// Counts a request for `path`, which begins with the mount, under every limit it meets.
///
/// # Errors
/// Where its client stands under the one it did not pass.
pub(super) fn count(ctx: &Ctx, path: &str) -> Result<(), Standing> {
    let nhost = &ctx.settings.nhost;
    let kinds = kinds(path.strip_prefix(&nhost.path).unwrap_or(path), verify::is_required(&ctx.settings));
    let limits = &nhost.limits;
    let class = |limiter, limit| Class { limiter, limit, together: false };
    let mails = Class { together: limits.email_is_global, ..class(Limiter::Mails, limits.email) };
    let all = [
        (true, class(Limiter::Overall, limits.global)),
        (kinds.mail, mails),
        (kinds.secret, class(Limiter::Secrets, limits.brute_force)),
        (kinds.sign_up, class(Limiter::SignUps, limits.signups)),
    ];
    limits::all(ctx, all.into_iter().filter_map(|(applies, class)| applies.then_some(class)))
}

/// What a path below the mount belongs to. Where addresses must be proved, a few more send a mail.
fn kinds(path: &str, addresses_are_proved: bool) -> Kinds {
    let mail = match path {
        "/signin/passwordless/email"
        | "/signin/otp/email"
        | "/signup/passwordless/email"
        | "/signup/otp/email"
        | "/user/email/change"
        | "/user/password/reset"
        | "/elevate/otp/email" => true,
        "/user/email/send-verification-email" | "/signup/email-password" | "/user/deanonymize" => addresses_are_proved,
        _ => false,
    };
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
    Kinds {
        mail,
        secret: begins(&["/signin", "/elevate", "/oauth2/authorize", "/oauth2/login"])
            || path.ends_with("/verify")
            || path.ends_with("/otp"),
        sign_up: path.starts_with("/signup"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each path: the kinds it belongs to, in letters; `m` in brackets only where addresses must be proved.
    #[test]
    fn the_table_of_the_contract() {
        let table = [
            ("/healthz", ""),
            ("/version", ""),
            ("/.well-known/jwks.json", ""),
            ("/token", ""),
            ("/token/exchange", ""),
            ("/token/verify", "s"),
            ("/signout", ""),
            ("/verify", "s"),
            ("/pat", ""),
            ("/user", ""),
            ("/user/mfa", ""),
            ("/user/password", ""),
            ("/user/password/reset", "m"),
            ("/user/email/change", "m"),
            ("/user/email/send-verification-email", "(m)"),
            ("/user/deanonymize", "(m)"),
            ("/user/webauthn/add", ""),
            ("/user/webauthn/verify", "s"),
            ("/signup/email-password", "(m)u"),
            ("/signup/passwordless/email", "mu"),
            ("/signup/otp/email", "mu"),
            ("/signup/webauthn", "u"),
            ("/signup/webauthn/verify", "su"),
            ("/signup/idtoken", "u"),
            ("/signup/provider/google", "u"),
            ("/signin/email-password", "s"),
            ("/signin/mfa/totp", "s"),
            ("/signin/anonymous", "s"),
            ("/signin/pat", "s"),
            ("/signin/otp/email", "ms"),
            ("/signin/otp/email/verify", "s"),
            ("/signin/passwordless/email", "ms"),
            ("/signin/passwordless/sms/otp", "s"),
            ("/signin/provider/google/callback", "s"),
            ("/elevate/webauthn", "s"),
            ("/elevate/otp/email", "ms"),
            ("/elevate/otp/email/verify", "s"),
            ("/oauth2/authorize", "s"),
            ("/oauth2/login", "s"),
            ("/oauth2/token", ""),
            ("/anything", ""),
            ("", ""),
        ];
        for (path, expected) in table {
            for proved in [false, true] {
                let expected = expected.replace("(m)", if proved { "m" } else { "" });
                let Kinds { mail, secret, sign_up } = kinds(path, proved);
                let found: String =
                    [(mail, 'm'), (secret, 's'), (sign_up, 'u')].iter().filter(|(is, _)| *is).map(|(_, c)| c).collect();
                assert_eq!(found, expected, "{path} {proved}");
            }
        }
    }
}
