//! The settings of the Nhost dialect: `[project.SLUG.nhost]`.

use std::collections::BTreeMap;

use documented::DocumentedFields;

use super::dialect_settings::Limit;
use super::forms;
use super::keys::{Keys, Section};
use super::nhost_forms as checks;
use super::redirects::{ClientUrl, RedirectPattern};
use crate::crypto::Secret;
pub use crate::token::JwtAlgorithm;
use crate::token::{BadClaim, HasuraClaims};

/// `[project.SLUG.nhost]`: the Nhost dialect.
#[derive(Clone, Debug, DocumentedFields)]
pub struct Nhost {
    /// false: 404.
    pub enabled: bool,
    /// Where it is mounted.
    pub path: String,
    /// Where your app is: whoever follows a link in a mail is sent there unless the request named another page. Unset, and
    /// without redirect_urls, nobody is sent anywhere but to this server; where public_url is on this machine, for trying
    /// things out, every page is allowed.
    pub client_url: Option<ClientUrl>,
    /// Further pages that a request may name, like "https://*.example.com" ("*" is one label or one part of the path) or
    /// "myapp://callback"; what lies below a page is allowed with it.
    pub redirect_urls: Vec<RedirectPattern>,
    /// Whether accounts without an address may be made.
    pub anonymous: bool,
    /// Whether one may sign in by a link in a mail.
    pub passwordless_email: bool,
    /// Whether one may sign in by six digits in a mail.
    pub otp_email: bool,
    /// What a sign-up by link or digits says of an address that has an account: true: what it says of any other, and sends
    /// nothing; false: that it is taken.
    pub silent_sign_up: bool,
    /// The role of an account that asked for no other.
    pub default_role: String,
    /// What roles a new account gets, and may choose from; the default one is always among them.
    pub allowed_roles: Vec<String>,
    /// The language of an account that asked for none, or for one that is not there.
    pub locale: String,
    /// The languages an account may ask for.
    pub locales: Vec<String>,
    /// The pictures of accounts that have none.
    pub gravatar: Gravatar,
    /// How its access tokens are signed. Lifetimes are those of the section "tokens".
    pub jwt: NhostJwt,
    /// What access tokens say besides: the name of a claim, and the JSONPath (RFC 9535) of its value in the user, such as
    /// "metadata.plan" or "metadata.teams[].id". In the token the name is in lower case and begins with "x-hasura-", unless
    /// it does so here; the value is text, a list as PostgreSQL writes it: "{1,2}". All claims together have 4 KiB; in the
    /// order of their names, what does not fit is left out.
    pub custom_claims: BTreeMap<String, String>,
    /// What such a claim is where the user has no value for it.
    pub custom_claims_defaults: BTreeMap<String, String>,
    /// What the links in mails do.
    pub verify: NhostVerify,
    /// Requests of one client (an IPv4 address, an IPv6 /64) in a sliding window, as "COUNT/WINDOW", or "off".
    pub limits: NhostLimits,
}

impl Section for Nhost {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.flag("enabled", &mut self.enabled);
        keys.text("path", &mut self.path, forms::mount);
        keys.optional("client_url", &mut self.client_url, ClientUrl::parse, "https://app.example.com");
        keys.list("redirect_urls", &mut self.redirect_urls, 256, RedirectPattern::parse);
        keys.flag("anonymous", &mut self.anonymous);
        keys.flag("passwordless_email", &mut self.passwordless_email);
        keys.flag("otp_email", &mut self.otp_email);
        keys.flag("silent_sign_up", &mut self.silent_sign_up);
        keys.text("default_role", &mut self.default_role, checks::role);
        keys.list("allowed_roles", &mut self.allowed_roles, 64, checks::role);
        keys.text("locale", &mut self.locale, checks::locale);
        keys.list("locales", &mut self.locales, 64, checks::locale);
        keys.section("gravatar", &mut self.gravatar);
        keys.section("jwt", &mut self.jwt);
        keys.pairs("custom_claims", &mut self.custom_claims, 64, checks::claim, ("plan", "metadata.plan"));
        keys.pairs(
            "custom_claims_defaults",
            &mut self.custom_claims_defaults,
            64,
            checks::claim_default,
            ("plan", "free"),
        );
        // Each for itself is well by now, unless it was refused.
        let claims = HasuraClaims::new("", &self.custom_claims, &self.custom_claims_defaults);
        if let Err(BadClaim { name, reason, of_default }) = claims {
            let section = if of_default { "custom_claims_defaults" } else { "custom_claims" };
            keys.refuse(&format!("{section}.{name}"), reason);
        }
        keys.section("verify", &mut self.verify);
        keys.section("limits", &mut self.limits);
    }
}

impl Nhost {
    /// The roles a new account gets, and may choose from: the default one among them, each once.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        let listed = self.allowed_roles.iter().map(String::as_str);
        let more = Some(self.default_role.as_str()).filter(|role| !self.allowed_roles.iter().any(|one| one == role));
        listed.chain(more)
    }
}

impl Default for Nhost {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/v1".into(),
            client_url: None,
            redirect_urls: Vec::new(),
            anonymous: false,
            passwordless_email: false,
            otp_email: false,
            silent_sign_up: false,
            default_role: "user".into(),
            allowed_roles: vec!["me".into()],
            locale: "en".into(),
            locales: vec!["en".into()],
            gravatar: Gravatar::default(),
            jwt: NhostJwt::default(),
            custom_claims: BTreeMap::new(),
            custom_claims_defaults: BTreeMap::new(),
            verify: NhostVerify::default(),
            limits: NhostLimits::default(),
        }
    }
}

/// `[project.SLUG.nhost.gravatar]`
#[derive(Clone, Debug, PartialEq, Eq, DocumentedFields)]
pub struct Gravatar {
    /// Whether an account without a picture gets the address of one at Gravatar.
    pub enabled: bool,
    /// What is shown where Gravatar has none either.
    pub default: String,
    /// The coarsest picture that is shown.
    pub rating: String,
}

impl Section for Gravatar {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.flag("enabled", &mut self.enabled);
        keys.text("default", &mut self.default, checks::gravatar_default);
        keys.text("rating", &mut self.rating, checks::gravatar_rating);
    }
}

impl Default for Gravatar {
    fn default() -> Self {
        Self { enabled: true, default: "blank".into(), rating: "g".into() }
    }
}

/// `[project.SLUG.nhost.jwt]`: how access tokens are signed.
#[derive(Clone, Debug, DocumentedFields)]
pub struct NhostJwt {
    /// ES256 and RS256 sign with keys of the project's own, which lie sealed in its file and rotate, unless a key is given;
    /// the others need one.
    pub algorithm: JwtAlgorithm,
    /// What signs instead: the secret of HS256, HS384 and HS512, or the private key in PEM of the others. Give one of key,
    /// key_file, the credential "project.default.nhost.jwt.key".
    pub key: Option<Secret<String>>,
    /// The name of that key in tokens and in the key set.
    pub kid: Option<String>,
    /// Who says so (`iss`). Unset: the public URL with the path of this API.
    pub issuer: Option<String>,
    /// The claim that holds the others.
    pub claims_namespace: String,
}

impl Section for NhostJwt {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        let words = JwtAlgorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
        keys.choice("algorithm", &mut self.algorithm, &words);
        keys.secret("key", &mut self.key, checks::signing_key);
        keys.optional("kid", &mut self.kid, checks::kid, "2026-11");
        keys.optional("issuer", &mut self.issuer, checks::issuer, "hasura-auth");
        keys.text("claims_namespace", &mut self.claims_namespace, checks::namespace);
        if ["algorithm", "key", "key_file"].into_iter().any(|name| keys.refused(name)) {
            return;
        }
        match &self.key {
            None if self.algorithm.own_keys().is_none() => {
                keys.refuse("algorithm", format!("\"{}\" needs `nhost.jwt.key`", self.algorithm.name()));
            }
            Some(key) => {
                if let Err(reason) = checks::key_of(self.algorithm, key) {
                    keys.refuse("key", reason);
                }
            }
            None => {}
        }
    }
}

impl Default for NhostJwt {
    fn default() -> Self {
        Self {
            algorithm: JwtAlgorithm::Es256,
            key: None,
            kid: None,
            issuer: None,
            claims_namespace: "https://hasura.io/jwt/claims".into(),
        }
    }
}

/// `[project.SLUG.nhost.verify]`: what the links in mails do.
#[derive(Clone, Debug, Default, PartialEq, Eq, DocumentedFields)]
pub struct NhostVerify {
    /// true: a link leads to a small page whose button does what it says, so that programs that try out the links in mails
    /// use none up; false: it does so at once.
    pub confirm: bool,
}

impl Section for NhostVerify {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.flag("confirm", &mut self.confirm);
    }
}

/// `[project.SLUG.nhost.limits]`: each as "COUNT/WINDOW" for one client, or "off".
#[derive(Clone, Debug, Default, PartialEq, Eq, DocumentedFields)]
pub struct NhostLimits {
    /// All requests; "100/1m" in the original where its limits are on.
    pub global: Option<Limit>,
    /// Requests that send a mail; "10/1h" there.
    pub email: Option<Limit>,
    /// true: the count of requests that send a mail is one for all clients together.
    pub email_is_global: bool,
    /// Requests that present a secret; "10/5m" there.
    pub brute_force: Option<Limit>,
    /// Sign-ups; "10/5m" there.
    pub signups: Option<Limit>,
}

impl Section for NhostLimits {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.text("global", &mut self.global, forms::limit);
        keys.text("email", &mut self.email, forms::limit);
        keys.flag("email_is_global", &mut self.email_is_global);
        keys.text("brute_force", &mut self.brute_force, forms::limit);
        keys.text("signups", &mut self.signups, forms::limit);
    }
}
