//! Bot protection of a project's sign-up.

use documented::DocumentedFields;

use super::keys::{Keys, Section, Spell};
use super::project;
use crate::crypto::Secret;
use crate::outbound::Target;

/// `[project.SLUG.bot]`: how sign-up is kept from bots. Checked as a whole: with a provider, secret and site key are there.
#[derive(Clone, Debug, Default, DocumentedFields)]
pub struct Bot {
    /// Whose challenge a browser must have solved to sign up, through every API: nobody's ("none"), Cloudflare's
    /// ("turnstile") or Google's ("recaptcha").
    pub provider: BotProvider,
    /// What the provider gave you to ask it with. Give one of secret, secret_file, the credential.
    pub secret: Option<Secret<String>>,
    /// What the provider gave you for your pages; public.
    pub site_key: Option<String>,
    /// Where the provider is asked. Unset: its own URL.
    pub verify_url: Option<Target>,
}

impl Section for Bot {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        let words = [BotProvider::None, BotProvider::Turnstile, BotProvider::Recaptcha].map(|p| (p.name(), p));
        let visible = |text: &str| project::visible(text).map(|()| text.to_owned());
        keys.choice("provider", &mut self.provider, &words);
        keys.secret("secret", &mut self.secret, project::visible);
        keys.optional("site_key", &mut self.site_key, visible, "0x4AAAAAAA");
        let elsewhere = "https://www.recaptcha.net/recaptcha/api/siteverify";
        keys.optional("verify_url", &mut self.verify_url, Target::parse, elsewhere);
        for (name, given) in [("secret", self.secret.is_some()), ("site_key", self.site_key.is_some())] {
            if ["provider", name, "secret_file"].into_iter().any(|name| keys.refused(name)) {
                continue;
            }
            match self.provider {
                // Whoever brought a secret means to be protected.
                BotProvider::None if given => {
                    keys.refuse("provider", format!("is \"none\", but `bot.{name}` is there: name its provider"));
                }
                BotProvider::Turnstile | BotProvider::Recaptcha if !given => {
                    keys.refuse("provider", format!("\"{}\" needs `bot.{name}`", self.provider.name()));
                }
                _ => {}
            }
        }
    }
}

impl Bot {
    /// Where a token is checked; `None`: it is not.
    pub fn verify_url(&self) -> Option<Target> {
        self.verify_url.clone().or_else(|| self.provider.url()).filter(|_| self.provider != BotProvider::None)
    }
}

/// Whose challenge is to be solved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BotProvider {
    /// Nobody's.
    #[default]
    None,
    /// Cloudflare Turnstile.
    Turnstile,
    /// Google reCAPTCHA.
    Recaptcha,
}

impl BotProvider {
    /// The provider's own URL for checks.
    fn url(self) -> Option<Target> {
        let text = match self {
            Self::None => return None,
            Self::Turnstile => "https://challenges.cloudflare.com/turnstile/v0/siteverify",
            Self::Recaptcha => "https://www.google.com/recaptcha/api/siteverify",
        };
        Some(Target::parse(text).expect("a constant that is a URL"))
    }

    /// Its name in the configuration and in APIs.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Turnstile => "turnstile",
            Self::Recaptcha => "recaptcha",
        }
    }
}

impl Spell for Target {
    fn spell(&self) -> String {
        self.as_str().to_owned()
    }
}
