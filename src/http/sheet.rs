//! The one form that pages for people have: a sheet that works without script, loads nothing and is never kept.

use axum::body::Body;
use axum::extract::Query;
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;

use super::BODY_TIMEOUT;
use crate::auth::Ctx;

/// The largest form, bytes: a token, percent-encoded, fits many times.
const FORM_LIMIT: usize = 8 * 1024;

/// A sheet of a project, before its text.
#[derive(Debug)]
pub struct Sheet<'a> {
    /// For whom.
    pub ctx: &'a Ctx,
    /// Its language.
    pub locale: &'static str,
    /// What it is called, before the name of the app.
    pub title: &'a str,
    /// The URL that the browser goes on to at once; `None`: it stays.
    pub goes_on: Option<&'a str>,
}

impl Sheet<'_> {
    /// The sheet with this below the app's name: HTML, every text in it [`escaped`].
    pub fn reply(&self, status: StatusCode, inner: &str) -> Response {
        let nonce = URL_SAFE_NO_PAD.encode(self.ctx.project.env().random::<16>());
        let (title, app) = (escaped(self.title), escaped(self.ctx.settings.app_name()));
        let goes_on =
            self.goes_on.map(|url| format!("<meta http-equiv=\"refresh\" content=\"0;url={}\">", escaped(url)));
        let html = format!(
            "<!doctype html>\n<html lang=\"{}\">\n<head><meta charset=\"utf-8\">{}\
             <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\">\
             <title>{title} - {app}</title><style nonce=\"{nonce}\">{STYLE}</style></head>\n\
             <body><main><h1>{app}</h1>{inner}</main></body>\n</html>\n",
            self.locale,
            goes_on.unwrap_or_default()
        );
        // `'self'` besides the nonce would allow the project's own host to style this page: it has no business here.
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        );
        let mut reply = (status, html).into_response();
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        never_kept(headers);
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(self.locale));
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        reply
    }
}

/// What a reply says that must stay in no cache, and whose URL must get into no other page's hands.
pub fn never_kept(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

const STYLE: &str = "body{margin:0;font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;background:#f6f6f6}\
main{max-width:26em;margin:12vh auto;padding:24px;background:#fff;border-radius:8px}h1{font-size:20px;margin:0}\
input{display:block;width:100%;box-sizing:border-box;margin:8px 0 16px;padding:8px;font:18px ui-monospace,monospace}\
button{padding:10px 18px;border:0;border-radius:6px;font:inherit;color:#fff;background:#1a1a1a;cursor:pointer}";

/// Text as HTML says it, also within quotes.
pub fn escaped(text: &str) -> String {
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

/// The form in a request's body.
///
/// # Errors
/// The status that says what is wrong with it.
pub async fn form<F: DeserializeOwned>(request: Request<Body>) -> Result<F, StatusCode> {
    let body = tokio::time::timeout(BODY_TIMEOUT, Limited::new(request.into_body(), FORM_LIMIT).collect());
    let bytes = match body.await {
        Err(_) => return Err(StatusCode::REQUEST_TIMEOUT),
        Ok(Err(_)) => return Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Ok(collected)) => collected.to_bytes(),
    };
    let query = std::str::from_utf8(&bytes).ok().and_then(|text| format!("/?{text}").parse::<Uri>().ok());
    let form = query.and_then(|uri| Query::<F>::try_from_uri(&uri).ok());
    form.map(|form| form.0).ok_or(StatusCode::BAD_REQUEST)
}

/// What is `known` by the language that the browser prefers (RFC 9110, 12.5.4), else by one of `then`, in their order.
pub fn preferred<T>(headers: &HeaderMap, then: &[&str], known: impl Fn(&str) -> Option<T>) -> Option<T> {
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
    tags.filter_map(|tag| known(tag.split(['-', '_']).next().unwrap_or_default())).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browsers_language_goes_first() {
        let locale = |accepted: &str, then: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_str(accepted).expect("a header value"));
            let known = ["en", "es", "fr", "de", "bg", "cs"];
            preferred(&headers, then, |tag| known.into_iter().find(|one| one.eq_ignore_ascii_case(tag)))
                .unwrap_or("none")
        };
        assert_eq!(locale("fr-CH, en;q=0.9, de;q=0.7", &["bg"]), "fr");
        assert_eq!(locale("xx, de;q=0.3, cs;q=0.8", &[]), "cs");
        assert_eq!(locale("en;q=0, *", &["de-AT"]), "de");
        assert_eq!(locale("", &["xx"]), "none");
        assert_eq!(locale("fr;q=NaN, es;q=x", &[]), "es");
    }

    #[test]
    fn text_stays_text() {
        assert_eq!(escaped("<a href=\"x\">'&'</a>"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    }
}
