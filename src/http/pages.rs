//! The pages that mails lead to, for apps that have none of their own: `/verify-email`.
//!
//! They work without script, load nothing, and nothing on them happens by looking: only the button sends what the link
//! holds, so that neither a mail scanner nor a browser that fetches ahead uses it up.

use axum::body::Body;
use axum::extract::Query;
use axum::http::header::{
    ACCEPT_LANGUAGE, ALLOW, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use uuid::Uuid;

use super::BODY_TIMEOUT;
use crate::auth::attempts::retry_after_secs;
use crate::auth::{Ctx, Error, verify};

/// Where the page is.
pub(super) const VERIFY_EMAIL: &str = "/verify-email";

/// The largest form, bytes: a token, percent-encoded, fits many times.
const FORM_LIMIT: usize = 8 * 1024;
/// The longest secret that is passed on, characters.
const MAX_SECRET: usize = 256;

/// Which project a link of ours says it is for.
pub(super) fn project_in(uri: &Uri) -> Option<Uuid> {
    #[derive(Deserialize)]
    struct Named {
        project: Option<Uuid>,
    }
    if uri.path() != VERIFY_EMAIL {
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
        Method::POST => match form_of(request).await {
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

/// The form in a request's body.
async fn form_of(request: Request<Body>) -> Result<Form, StatusCode> {
    let body = tokio::time::timeout(BODY_TIMEOUT, Limited::new(request.into_body(), FORM_LIMIT).collect());
    let bytes = match body.await {
        Err(_) => return Err(StatusCode::REQUEST_TIMEOUT),
        Ok(Err(_)) => return Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Ok(collected)) => collected.to_bytes(),
    };
    let query = std::str::from_utf8(&bytes).ok().and_then(|text| format!("/?{text}").parse::<Uri>().ok());
    let form = query.and_then(|uri| Query::<Form>::try_from_uri(&uri).ok());
    form.map(|form| form.0).ok_or(StatusCode::BAD_REQUEST)
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
        let words = self.words;
        let nonce = URL_SAFE_NO_PAD.encode(self.ctx.project.env().random::<16>());
        let (title, app) = (escaped(words.title), escaped(self.ctx.settings.app_name()));
        let html = format!(
            "<!doctype html>\n<html lang=\"{}\">\n<head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\">\
             <title>{title} - {app}</title><style nonce=\"{nonce}\">{STYLE}</style></head>\n\
             <body><main><h1>{app}</h1>{inner}</main></body>\n</html>\n",
            words.locale
        );
        // `'self'` besides the nonce would allow the project's own host to style this page: it has no business here.
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        );
        let mut reply = (status, html).into_response();
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(words.locale));
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        reply
    }
}

const STYLE: &str = "body{margin:0;font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;background:#f6f6f6}\
main{max-width:26em;margin:12vh auto;padding:24px;background:#fff;border-radius:8px}h1{font-size:20px;margin:0}\
input{display:block;width:100%;box-sizing:border-box;margin:8px 0 16px;padding:8px;font:18px ui-monospace,monospace}\
button{padding:10px 18px;border:0;border-radius:6px;font:inherit;color:#fff;background:#1a1a1a;cursor:pointer}";

/// Text as HTML says it, also within quotes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
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

/// The language the browser prefers (RFC 9110, 12.5.4), else the project's, else English.
fn words(then: &[&str], headers: &HeaderMap) -> &'static Words {
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut wanted: Vec<(u16, &str)> = Vec::new();
    for range in accepted.split(',').take(20) {
        let (tag, quality) = range.split_once(';').unwrap_or((range, "q=1"));
        let quality: f32 = quality.trim().strip_prefix("q=").and_then(|q| q.parse().ok()).unwrap_or(1.0);
        // Thousandths: what the specification allows.
        let thousandths = (quality.clamp(0.0, 1.0) * 1000.0) as u16;
        if thousandths > 0 {
            wanted.push((thousandths, tag.trim()));
        }
    }
    wanted.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
    let tags = wanted.into_iter().map(|(_, tag)| tag).chain(then.iter().copied());
    let known = |tag: &str| {
        let language = tag.split(['-', '_']).next().unwrap_or_default();
        WORDS.iter().find(|words| words.locale.eq_ignore_ascii_case(language))
    };
    tags.filter_map(known).next().unwrap_or(&WORDS[0])
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
    fn the_browsers_language_goes_first() {
        let locale = |accepted: &str, then: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_str(accepted).expect("a header value"));
            words(then, &headers).locale
        };
        assert_eq!(locale("fr-CH, en;q=0.9, de;q=0.7", &["bg"]), "fr");
        assert_eq!(locale("xx, de;q=0.3, cs;q=0.8", &[]), "cs");
        assert_eq!(locale("en;q=0, *", &["de-AT"]), "de");
        assert_eq!(locale("", &["xx"]), "en");
        assert_eq!(locale("fr;q=NaN, es;q=x", &[]), "es");
    }

    #[test]
    fn text_stays_text() {
        assert_eq!(escaped("<a href=\"x\">'&'</a>"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    }

    #[test]
    fn a_link_of_ours_says_its_project_and_no_other_path_does() {
        let id = Uuid::from_u128(7);
        let at = |text: String| project_in(&text.parse().expect("a URI"));
        assert_eq!(at(format!("/verify-email?token=x&project={id}")), Some(id));
        assert_eq!(at(format!("/api/auth/me?project={id}")), None);
        assert_eq!(at("/verify-email?project=x".into()), None);
    }
}
