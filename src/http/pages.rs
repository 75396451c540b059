//! The pages that mails lead to, for apps that have none of their own: `/verify-email`.
//!
//! They work without script, load nothing, and nothing on them happens by looking: only the button sends what the link
//! holds, so that neither a mail scanner nor a browser that fetches ahead uses it up.

use axum::body::Body;
use axum::extract::Query;
use axum::http::header::{ALLOW, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

use super::sheet::{self, Sheet, escaped};
use crate::auth::attempts::retry_after_secs;
use crate::auth::{Ctx, Error, verify};

/// Where the page is.
pub(super) const VERIFY_EMAIL: &str = "/verify-email";

/// The longest secret that is passed on, characters.
const MAX_SECRET: usize = 256;

/// Which project a link of ours says it is for.
pub(super) fn project_in(uri: &Uri) -> Option<Uuid> {
    #[derive(Deserialize)]
    struct Named {
        project: Option<Uuid>,
    }
    // Ours, and those of the API that has links in its mails.
    if uri.path() != VERIFY_EMAIL && !uri.path().ends_with("/verify") {
        return None;
    }
    Query::<Named>::try_from_uri(uri).ok()?.0.project
}

#[derive(Default, Deserialize)]
struct Form {
    #[serde(default)]
    token: String,
}

/// Answers a request for the page.
pub(super) async fn verify_email(ctx: &Ctx, default_locale: &str, request: Request<Body>) -> Response {
    let words = words(&[ctx.settings.mail.locale.as_deref().unwrap_or(default_locale)], request.headers());
    let page = Page { ctx, words };
    match *request.method() {
        Method::GET | Method::HEAD => {
            let form = Query::<Form>::try_from_uri(request.uri()).map(|query| query.0).unwrap_or_default();
            page.ask(&form.token)
        }
        Method::POST => match sheet::form::<Form>(request).await {
            Ok(form) => page.redeem(&form.token).await,
            Err(status) => page.say(status, page.words.failed),
        },
        _ => {
            let mut reply = page.say(StatusCode::METHOD_NOT_ALLOWED, page.words.failed);
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            reply
        }
    }
}

struct Page<'a> {
    ctx: &'a Ctx,
    words: &'static Words,
}

impl Page<'_> {
    /// Asks for the button to be pressed; without a token for the code, too.
    fn ask(&self, token: &str) -> Response {
        let words = self.words;
        let secret = if token.is_empty() {
            let code = escaped(words.code);
            format!(
                "<label>{code}<input name=\"token\" required autocomplete=\"one-time-code\" autocapitalize=\"characters\" \
                 spellcheck=\"false\" maxlength=\"40\" placeholder=\"XXXX-XXXX-XXXX\"></label>"
            )
        } else {
            let token: String = token.chars().take(MAX_SECRET).collect();
            format!("<input type=\"hidden\" name=\"token\" value=\"{}\">", escaped(&token))
        };
        // Relative: a proxy may serve all this below a path of its own.
        let action = format!("{}?project={}", VERIFY_EMAIL.trim_start_matches('/'), self.ctx.project.id());
        let inner = format!(
            "<p>{}</p><form method=\"post\" action=\"{action}\">{secret}<button>{}</button></form>",
            escaped(words.ask),
            escaped(words.button)
        );
        self.page(StatusCode::OK, &inner)
    }

    async fn redeem(&self, token: &str) -> Response {
        let words = self.words;
        if token.chars().count() > MAX_SECRET {
            return self.say(StatusCode::UNPROCESSABLE_ENTITY, words.expired);
        }
        let (status, text, retry_after) = match verify::confirm(self.ctx, token.trim()).await {
            Ok(_) => (StatusCode::OK, words.done, None),
            Err(Error::InvalidVerificationToken) => (StatusCode::UNPROCESSABLE_ENTITY, words.expired, None),
            Err(Error::Locked { retry_after }) => (StatusCode::TOO_MANY_REQUESTS, words.later, Some(retry_after)),
            Err(error) => {
                tracing::error!(request = %self.ctx.request_id, %error, "an address could not be confirmed");
                (StatusCode::SERVICE_UNAVAILABLE, words.later, Some(std::time::Duration::from_secs(5)))
            }
        };
        let mut reply = self.say(status, text);
        if let Some(after) = retry_after {
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_secs(after).max(1)));
        }
        reply
    }

    fn say(&self, status: StatusCode, text: &str) -> Response {
        self.page(status, &format!("<p role=\"status\">{}</p>", escaped(text)))
    }

    fn page(&self, status: StatusCode, inner: &str) -> Response {
        let Words { locale, title, .. } = self.words;
        Sheet { ctx: self.ctx, locale, title, goes_on: None }.reply(status, inner)
    }
}

/// The words in the language of the request.
fn words(then: &[&str], headers: &HeaderMap) -> &'static Words {
    sheet::preferred(headers, then, |tag| WORDS.iter().find(|words| words.locale.eq_ignore_ascii_case(tag)))
        .unwrap_or(&WORDS[0])
}

/// What the page says in one language.
struct Words {
    locale: &'static str,
    title: &'static str,
    ask: &'static str,
    code: &'static str,
    button: &'static str,
    done: &'static str,
    expired: &'static str,
    later: &'static str,
    failed: &'static str,
}

static WORDS: [Words; 6] = [
    Words {
        locale: "en",
        title: "Confirm your address",
        ask: "Please confirm your email address.",
        code: "The code from the message",
        button: "Confirm address",
        done: "Your address is confirmed. You can close this page.",
        expired: "This link or code has expired, or was used already. Ask for a new one where you signed up.",
        later: "That did not work just now. Please try again later.",
        failed: "That request could not be understood.",
    },
    Words {
        locale: "es",
        title: "Confirma tu dirección",
        ask: "Confirma tu dirección de correo.",
        code: "El código del mensaje",
        button: "Confirmar dirección",
        done: "Tu dirección está confirmada. Puedes cerrar esta página.",
        expired: "Este enlace o código ha caducado o ya se ha usado. Pide otro donde te registraste.",
        later: "Ahora mismo no ha funcionado. Inténtalo más tarde.",
        failed: "No se ha entendido la solicitud.",
    },
    Words {
        locale: "fr",
        title: "Confirmez votre adresse",
        ask: "Veuillez confirmer votre adresse e-mail.",
        code: "Le code du message",
        button: "Confirmer l’adresse",
        done: "Votre adresse est confirmée. Vous pouvez fermer cette page.",
        expired: "Ce lien ou ce code a expiré ou a déjà servi. Demandez-en un autre là où vous vous êtes inscrit.",
        later: "Cela n’a pas fonctionné. Réessayez plus tard.",
        failed: "La demande n’a pas été comprise.",
    },
    Words {
        locale: "de",
        title: "Adresse bestätigen",
        ask: "Bitte bestätigen Sie Ihre E-Mail-Adresse.",
        code: "Der Code aus der Nachricht",
        button: "Adresse bestätigen",
        done: "Ihre Adresse ist bestätigt. Sie können diese Seite schließen.",
        expired: "Dieser Link oder Code ist abgelaufen oder wurde schon benutzt. Fordern Sie dort einen neuen an, wo Sie \
                  sich registriert haben.",
        later: "Das hat gerade nicht geklappt. Bitte versuchen Sie es später noch einmal.",
        failed: "Die Anfrage war nicht zu verstehen.",
    },
    Words {
        locale: "bg",
        title: "Потвърдете адреса си",
        ask: "Моля, потвърдете имейл адреса си.",
        code: "Кодът от съобщението",
        button: "Потвърждаване",
        done: "Адресът Ви е потвърден. Можете да затворите тази страница.",
        expired: "Тази връзка или код е с изтекъл срок или вече е използван. Поискайте нов там, където сте се регистрирали.",
        later: "В момента не се получи. Моля, опитайте по-късно.",
        failed: "Заявката не беше разбрана.",
    },
    Words {
        locale: "cs",
        title: "Potvrďte svou adresu",
        ask: "Potvrďte prosím svou e-mailovou adresu.",
        code: "Kód ze zprávy",
        button: "Potvrdit adresu",
        done: "Vaše adresa je potvrzena. Tuto stránku můžete zavřít.",
        expired: "Platnost odkazu nebo kódu vypršela, nebo už byl použit. Požádejte o nový tam, kde jste se registrovali.",
        later: "Teď se to nepodařilo. Zkuste to prosím později.",
        failed: "Požadavku nebylo rozumět.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_of_ours_says_its_project_and_no_other_path_does() {
        let id = Uuid::from_u128(7);
        let at = |text: String| project_in(&text.parse().expect("a URI"));
        assert_eq!(at(format!("/verify-email?token=x&project={id}")), Some(id));
        assert_eq!(at(format!("/api/auth/me?project={id}")), None);
        assert_eq!(at("/verify-email?project=x".into()), None);
        assert_eq!(at(format!("/v1/verify?ticket=x&project={id}")), Some(id));
    }
}
