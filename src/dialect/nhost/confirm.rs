//! The page between a link and what it does: one button; and the one its button leads to, which goes on to the app.
//!
//! That one is a page and no redirect: browsers hold every redirect that follows a form against its page's `form-action`,
//! also those that the app makes of its own, and the press would lead nowhere.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::auth::Ctx;
use crate::auth::tickets::TicketKind;
use crate::http::sheet::{self, Sheet, escaped};

/// The page for a link with these fields, in the language of the request.
pub(super) fn page(ctx: &Ctx, headers: &HeaderMap, kind: TicketKind, fields: [(&str, Option<&str>); 3]) -> Response {
    let words = words(ctx, headers);
    let (ask, button) = words.of(kind);
    let hidden: String = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, escaped(value?))))
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"))
        .collect();
    // Relative: a proxy may serve all this below a path of its own. Several projects may be served at one host.
    let action = format!("verify?project={}", ctx.project.id());
    let inner = format!(
        "<p>{}</p><form method=\"post\" action=\"{action}\">{hidden}<button>{}</button></form>",
        escaped(ask),
        escaped(button)
    );
    let sheet = Sheet { ctx, locale: words.locale, title: button, goes_on: None };
    sheet.reply(StatusCode::OK, &inner)
}

/// The page that goes on to this URL.
pub(super) fn onward(ctx: &Ctx, headers: &HeaderMap, url: &str) -> Response {
    let words = words(ctx, headers);
    // For whoever has told the browser not to go on by itself.
    let inner = format!("<p><a href=\"{}\">{}</a></p>", escaped(url), escaped(words.onward));
    Sheet { ctx, locale: words.locale, title: words.onward, goes_on: Some(url) }.reply(StatusCode::OK, &inner)
}

fn words(ctx: &Ctx, headers: &HeaderMap) -> &'static Words {
    let then = [ctx.settings.nhost.locale.as_str(), ctx.settings.mail.locale.as_deref().unwrap_or_default()];
    let known = |tag: &str| WORDS.iter().find(|words| words.locale.eq_ignore_ascii_case(tag));
    sheet::preferred(headers, &then, known).unwrap_or(&WORDS[0])
}

/// What the pages say in one language: what the button does, and the button.
struct Words {
    locale: &'static str,
    verify: (&'static str, &'static str),
    sign_in: (&'static str, &'static str),
    change: (&'static str, &'static str),
    reset: (&'static str, &'static str),
    onward: &'static str,
}

impl Words {
    fn of(&self, kind: TicketKind) -> (&'static str, &'static str) {
        match kind {
            TicketKind::VerifyEmail => self.verify,
            TicketKind::PasswordlessEmail => self.sign_in,
            TicketKind::EmailConfirmChange => self.change,
            TicketKind::PasswordReset => self.reset,
        }
    }
}

static WORDS: [Words; 6] = [
    Words {
        locale: "en",
        verify: ("Please confirm your email address.", "Confirm address"),
        sign_in: ("You are about to sign in.", "Sign in"),
        change: ("Please confirm your new email address.", "Confirm address"),
        reset: ("You are about to choose a new password.", "Continue"),
        onward: "Continue",
    },
    Words {
        locale: "es",
        verify: ("Confirma tu dirección de correo.", "Confirmar dirección"),
        sign_in: ("Estás a punto de iniciar sesión.", "Iniciar sesión"),
        change: ("Confirma tu nueva dirección de correo.", "Confirmar dirección"),
        reset: ("Estás a punto de elegir una nueva contraseña.", "Continuar"),
        onward: "Continuar",
    },
    Words {
        locale: "fr",
        verify: ("Veuillez confirmer votre adresse e-mail.", "Confirmer l’adresse"),
        sign_in: ("Vous êtes sur le point de vous connecter.", "Se connecter"),
        change: ("Veuillez confirmer votre nouvelle adresse e-mail.", "Confirmer l’adresse"),
        reset: ("Vous êtes sur le point de choisir un nouveau mot de passe.", "Continuer"),
        onward: "Continuer",
    },
    Words {
        locale: "de",
        verify: ("Bitte bestätigen Sie Ihre E-Mail-Adresse.", "Adresse bestätigen"),
        sign_in: ("Sie sind dabei, sich anzumelden.", "Anmelden"),
        change: ("Bitte bestätigen Sie Ihre neue E-Mail-Adresse.", "Adresse bestätigen"),
        reset: ("Sie sind dabei, ein neues Passwort zu wählen.", "Weiter"),
        onward: "Weiter",
    },
    Words {
        locale: "bg",
        verify: ("Моля, потвърдете имейл адреса си.", "Потвърждаване"),
        sign_in: ("На път сте да влезете.", "Вход"),
        change: ("Моля, потвърдете новия си имейл адрес.", "Потвърждаване"),
        reset: ("На път сте да изберете нова парола.", "Продължаване"),
        onward: "Продължаване",
    },
    Words {
        locale: "cs",
        verify: ("Potvrďte prosím svou e-mailovou adresu.", "Potvrdit adresu"),
        sign_in: ("Chystáte se přihlásit.", "Přihlásit se"),
        change: ("Potvrďte prosím svou novou e-mailovou adresu.", "Potvrdit adresu"),
        reset: ("Chystáte se zvolit nové heslo.", "Pokračovat"),
        onward: "Pokračovat",
    },
];
