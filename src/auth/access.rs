//! Whose addresses may have an account: the project's lists (Nhost contract 3.3).
//!
//! There addresses are compared by case, so that `Ada@` passes where `ada@` is blocked, and both are one account. Here
//! all spellings that lead to one account are one address, and a domain is the same in letters and as `xn--`.

use super::{Ctx, Email, Error, ProjectSettings, User};
use crate::config::Access;

/// Whether the project's lists admit an address: a blocked address is denied, an allowed one admitted; then a blocked
/// domain is denied, an allowed one admitted; any other is admitted where nothing is listed as allowed.
pub fn admits(settings: &ProjectSettings, email: &Email) -> bool {
    let Access { allowed_emails, blocked_emails, allowed_domains, blocked_domains } = &settings.access;
    if names_nobody(&settings.access) {
        return true;
    }
    let (address, domain) = (email.canonical(), email.domain());
    if blocked_emails.contains(&address) {
        false
    } else if allowed_emails.contains(&address) {
        true
    } else if blocked_domains.contains(&domain) {
        false
    } else {
        allowed_domains.contains(&domain) || (allowed_emails.is_empty() && allowed_domains.is_empty())
    }
}

/// Whether they admit an account; one without an address is none of their concern.
pub fn admits_account(settings: &ProjectSettings, user: &User) -> bool {
    let text = user.email.as_deref().filter(|_| !names_nobody(&settings.access));
    text.is_none_or(|text| Email::parse(text).is_ok_and(|email| admits(settings, &email)))
}

fn names_nobody(access: &Access) -> bool {
    let Access { allowed_emails, blocked_emails, allowed_domains, blocked_domains } = access;
    [allowed_emails, blocked_emails, allowed_domains, blocked_domains].into_iter().all(Vec::is_empty)
}

/// Whether they admit an address, for verbs that may say so.
///
/// # Errors
/// `AddressNotAllowed`.
pub(crate) fn check(ctx: &Ctx, email: &Email) -> Result<(), Error> {
    if admits(&ctx.settings, email) { Ok(()) } else { Err(Error::AddressNotAllowed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(access: &Access, text: &str) -> bool {
        let settings = ProjectSettings { access: access.clone(), ..ProjectSettings::named("default") };
        admits(&settings, &Email::parse(text).expect("an address"))
    }

    /// Each row: allowed and blocked addresses, allowed and blocked domains; who passes, who does not.
    #[test]
    fn the_order_of_the_contract() {
        let ada = "ada@acme.com";
        type Row<'a> = ([&'a [&'a str]; 4], &'a [&'a str], &'a [&'a str]);
        let rows: &[Row<'_>] = &[
            ([&[], &[], &[], &[]], &[ada], &[]),
            ([&[], &[ada], &[], &[]], &["eve@acme.com"], &[ada, "ADA@ACME.com"]),
            ([&[ada], &[], &[], &[]], &[ada, "Ada@Acme.Com", "\u{ff41}da@acme.com"], &["eve@acme.com", "ada@b.com"]),
            (
                [&[], &[], &["acme.com"], &[]],
                &[ada, "x@ACME.COM"],
                &["x@sub.acme.com", "x@acme.com.evil.com", "x@b.com"],
            ),
            ([&[], &[], &[], &["acme.com"]], &["x@b.com", "x@sub.acme.com"], &[ada, "x@ACME.COM"]),
            // A blocked address goes before all, then an allowed one, then a blocked domain.
            ([&[ada], &[ada], &["acme.com"], &[]], &["eve@acme.com"], &[ada]),
            ([&[ada], &[], &[], &["acme.com"]], &[ada], &["eve@acme.com", "x@b.com"]),
            ([&[], &[], &["acme.com"], &["acme.com"]], &[], &[ada, "x@b.com"]),
            ([&[ada], &[], &["b.com"], &[]], &[ada, "x@b.com"], &["eve@acme.com", "x@c.com"]),
            (
                [&[], &[], &["xn--bcher-kva.example"], &[]],
                &["x@b\u{fc}cher.example", "x@XN--bcher-kva.example"],
                &[ada],
            ),
            (
                [&[], &["x@xn--bcher-kva.example"], &[], &[]],
                &[ada],
                &["X@b\u{fc}cher.example", "x@xn--BCHER-kva.example"],
            ),
        ];
        for (lists, pass, fail) in rows {
            let [allowed_emails, blocked_emails, allowed_domains, blocked_domains] =
                lists.map(|list| list.iter().map(|text| (*text).to_owned()).collect());
            let access = Access { allowed_emails, blocked_emails, allowed_domains, blocked_domains };
            for text in *pass {
                assert!(admitted(&access, text), "{access:?} admits {text}");
            }
            for text in *fail {
                assert!(!admitted(&access, text), "{access:?} does not admit {text}");
            }
        }
    }
}
