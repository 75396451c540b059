//! Mails that bring a ticket or a code of the Nhost API: what they say, and where their link leads (contract,
//! section 1.8).

use std::sync::atomic::Ordering;

use super::mail::Mail;
use super::redirect::Redirect;
use super::{Ctx, ProjectSettings, notices};
use crate::config::forms::host_of;
use crate::crypto::Secret;
use crate::env::Timestamp;
use crate::mail::{Letter, Template, percent_encoded};

/// What such a mail is about. All of it is known before the transaction that may write the mail, so that the row is the
/// same whether there is an account or not: name and language are those the account has when the mail is sent, unless the
/// verb knows them from elsewhere than the account.
pub(crate) struct TicketLetter<'a> {
    /// One of the templates that bring a ticket.
    pub template: Template,
    /// What is redeemed: `verifyEmail:<uuid>`; with [`Template::SigninOtp`] the six digits, which are its code, too.
    pub ticket: &'a Secret<String>,
    /// Where its reader goes on to afterwards; `None` where nothing was asked for and the project names no page.
    pub redirect_to: Option<&'a Redirect>,
    /// What the code that the link leads to is bound to (RFC 7636, section 4.2).
    pub code_challenge: Option<&'a str>,
    /// For a change of address: that of the account until now, where it has one. The others go to the account's address.
    pub email: Option<&'a str>,
    /// For a change of address: the new one, to which the mail goes.
    pub new_email: Option<&'a str>,
    /// What the account goes by; `None`: as it is when the mail is sent.
    pub display_name: Option<&'a str>,
    /// The language; `None`: the account's when the mail is sent, else the project's.
    pub locale: Option<&'a str>,
    /// When it stops working.
    pub expires_at: Timestamp,
}

impl<'a> TicketLetter<'a> {
    /// One that says only what each must.
    pub(crate) fn new(
        template: Template,
        ticket: &'a Secret<String>,
        redirect_to: Option<&'a Redirect>,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            template,
            ticket,
            redirect_to,
            code_challenge: None,
            email: None,
            new_email: None,
            display_name: None,
            locale: None,
            expires_at,
        }
    }

    fn letter(&self, settings: &ProjectSettings, project: Option<&str>) -> Letter {
        let (base, redirect_to) = (server_url(settings), self.redirect_to.map(Redirect::url));
        let link = |link_type| {
            let redirect_to = redirect_to.as_deref().unwrap_or_default();
            verify_link(&base, project, link_type, self.ticket, redirect_to, self.code_challenge)
        };
        let link = self.template.link_type().map(link);
        let mut values = vec![("expires_at", notices::spoken(self.expires_at))];
        if let Some(new_email) = self.new_email {
            // The mail goes to the new one, which is not the account's: an account without an address says so.
            values.extend([("newEmail", new_email.to_owned()), ("email", self.email.unwrap_or_default().to_owned())]);
        }
        values.extend(self.display_name.map(|name| ("displayName", name.to_owned())));
        Letter {
            locale: self.locale.map(str::to_owned),
            link,
            code: (self.template == Template::SigninOtp).then(|| self.ticket.clone()),
            ticket: Some(self.ticket.clone()),
            redirect_to,
            values: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            ..Letter::of(self.template)
        }
    }
}

impl Mail {
    /// A mail that brings a ticket, sealed.
    pub(crate) fn ticket(ctx: &Ctx, about: &TicketLetter<'_>) -> Self {
        let project = must_be_named(ctx).then(|| ctx.project.id().to_string());
        Self::sealed(&ctx.project, ctx.now, &about.letter(&ctx.settings, project.as_deref()), about.expires_at)
    }
}

/// Whether a link must say which project is meant: there are several, and the host of the link is not this one's own.
fn must_be_named(ctx: &Ctx) -> bool {
    let host = host_of(ctx.settings.public_url.as_deref().unwrap_or_default());
    // Relaxed: see where it is set.
    ctx.project.shared().several.load(Ordering::Relaxed) && !ctx.settings.hosts.iter().any(|own| own == host)
}

/// Where the Nhost API of a project is, as the world sees it.
pub(crate) fn server_url(settings: &ProjectSettings) -> String {
    format!("{}{}", settings.public_url.as_deref().unwrap_or_default(), settings.nhost.path)
}

/// Where a ticket is redeemed. Nothing of it comes from a request but the page to go on to and the challenge, both as
/// values; the names are in alphabetical order.
pub(crate) fn verify_link(
    server_url: &str,
    project: Option<&str>,
    link_type: &str,
    ticket: &Secret<String>,
    redirect_to: &str,
    code_challenge: Option<&str>,
) -> Secret<String> {
    let ticket = Secret::new(percent_encoded(ticket.expose()));
    let redirect_to = percent_encoded(redirect_to);
    let pairs = [
        ("codeChallenge", code_challenge),
        ("project", project),
        ("redirectTo", Some(&*redirect_to)),
        ("ticket", Some(ticket.expose())),
        ("type", Some(link_type)),
    ];
    // As long as it gets: a text that grew would leave pieces of the ticket behind.
    let length = pairs.iter().map(|(name, value)| name.len() + value.map_or(0, str::len) + 2).sum::<usize>();
    let mut link = Secret::new(String::with_capacity(server_url.len() + "/verify".len() + length));
    let text = link.expose_mut();
    text.extend([server_url, "/verify"]);
    let mut sign = "?";
    for (name, value) in pairs {
        if let Some(value) = value {
            text.extend([sign, name, "=", value]);
            sign = "&";
        }
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_made_of_settings_and_what_is_in_it_is_a_value() {
        let mut settings = ProjectSettings::named("default");
        settings.public_url = Some("https://auth.example.com:8443/base".into());
        settings.nhost.path = "/v1".into();
        assert_eq!(server_url(&settings), "https://auth.example.com:8443/base/v1");
        let ticket = Secret::new("verifyEmail:7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07".to_owned());
        let link = |to, challenge| verify_link(&server_url(&settings), None, "emailVerify", &ticket, to, challenge);
        assert_eq!(
            link("https://app.example.com", None).expose(),
            "https://auth.example.com:8443/base/v1/verify?redirectTo=https%3A%2F%2Fapp.example.com\
             &ticket=verifyEmail%3A7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07&type=emailVerify"
        );
        let hostile = "myapp://x/?a=1&ticket=2 +%2F#ä\r\n";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let long = link(hostile, Some(challenge));
        assert_eq!(
            *long.expose(),
            format!(
                "https://auth.example.com:8443/base/v1/verify?codeChallenge={challenge}\
                 &redirectTo=myapp%3A%2F%2Fx%2F%3Fa%3D1%26ticket%3D2%20%2B%252F%23%C3%A4%0D%0A\
                 &ticket=verifyEmail%3A7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07&type=emailVerify"
            )
        );
        assert_eq!(format!("{long:?}"), "[secret]");
    }

    #[test]
    fn each_template_says_what_it_is_about() {
        let mut settings = ProjectSettings::named("default");
        settings.public_url = Some("https://auth.example.com".into());
        let ticket = Secret::new("042719".to_owned());
        let ends = Timestamp::from_secs(1_767_229_200);
        for template in Template::ALL.into_iter().filter(|template| template.brings_ticket()) {
            let about = TicketLetter {
                email: Some("old@example.com"),
                new_email: (template == Template::EmailConfirmChange).then_some("new@example.com"),
                ..TicketLetter::new(template, &ticket, None, ends)
            };
            let letter = about.letter(&settings, None);
            let secret = |secret: &Option<Secret<String>>| secret.as_ref().map(|secret| secret.expose().clone());
            assert_eq!(secret(&letter.ticket).as_deref(), Some("042719"));
            let is_code = template == Template::SigninOtp;
            assert_eq!((secret(&letter.code).is_some(), letter.link.is_none()), (is_code, is_code));
            let link = secret(&letter.link).unwrap_or_default();
            assert!(is_code || link.contains("/v1/verify?redirectTo=&ticket=042719&type="), "{link}");
            let names: Vec<_> = letter.values.keys().map(String::as_str).collect();
            let expected = match template {
                Template::EmailConfirmChange => vec!["email", "expires_at", "newEmail"],
                _ => vec!["expires_at"],
            };
            assert_eq!(names, expected, "{}", template.name());
            assert_eq!(letter.values["expires_at"], "2026-01-01 01:00 UTC");
        }
    }
}
