//! The plain listener beside TLS (`listen.redirect`, as a rule port 80): it sends clients to https, answers ACME
//! challenges, and does nothing else. No body is read, nothing is looked up but the host's name.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, LOCATION};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};

use super::acme::Answers;

/// RFC 8555, section 8.3.
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Answers a plain request. `hosts` are the names that are ours: a request for another one is sent to `url` (ours,
/// without a final slash), never where its header says.
pub(super) fn answer(request: &Request<Body>, answers: &Answers, hosts: &[String], url: &str) -> Response<Body> {
    if let Some(token) = request.uri().path().strip_prefix(CHALLENGES) {
        return match answers.get(token) {
            Some(proof) => reply(StatusCode::OK, Some(("application/octet-stream", proof))),
            None => reply(StatusCode::NOT_FOUND, None),
        };
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let own = host(request.uri(), request.headers()).filter(|host| hosts.contains(host));
    let target = match own {
        Some(host) => format!("https://{host}{}{path}", port_of(url)),
        None => format!("{url}{path}"),
    };
    let mut reply = reply(StatusCode::PERMANENT_REDIRECT, None);
    // A path that may stand in a request line may stand in a header.
    if let Ok(target) = HeaderValue::try_from(target) {
        reply.headers_mut().insert(LOCATION, target);
    }
    reply
}

fn reply(status: StatusCode, body: Option<(&'static str, String)>) -> Response<Body> {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = status;
    if let Some((kind, body)) = body {
        *reply.body_mut() = Body::from(body);
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// The host asked for, in lower case, without port.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let named = || headers.get(HOST)?.to_str().ok()?.parse::<Authority>().ok();
    let host = uri.host().map(str::to_owned).or_else(|| Some(named()?.host().to_owned()))?;
    Some(host.trim_end_matches('.').to_ascii_lowercase())
}

/// `:8443` where the URL says so, else nothing.
fn port_of(url: &str) -> String {
    let port = url.parse::<Uri>().ok().and_then(|uri| uri.port_u16());
    port.filter(|port| *port != 443).map_or(String::new(), |port| format!(":{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(host: &str, path: &str) -> Response<Body> {
        let answers = Answers::default();
        let request = Request::builder().uri(path).header(HOST, host).body(Body::empty()).expect("a request");
        answer(&request, &answers, &["auth.example.com".into()], "https://auth.example.com:8443")
    }

    fn location(reply: &Response<Body>) -> &str {
        reply.headers()[LOCATION].to_str().expect("text")
    }

    #[test]
    fn clients_are_sent_to_names_of_ours_only() {
        let reply = ask("Auth.example.com:80", "/v1/token?x=1");
        assert_eq!(reply.status(), 308);
        assert_eq!(location(&reply), "https://auth.example.com:8443/v1/token?x=1");
        for stranger in ["evil.example", "auth.example.com.evil.example", "auth.example.com@evil.example", "", "["] {
            assert_eq!(location(&ask(stranger, "/a")), "https://auth.example.com:8443/a", "{stranger}");
        }
        assert_eq!(location(&ask("evil.example", "//evil.example/a")), "https://auth.example.com:8443//evil.example/a");
    }

    #[test]
    fn only_what_an_order_waits_for_is_answered() {
        assert_eq!(ask("auth.example.com", "/.well-known/acme-challenge/x").status(), 404);
        assert_eq!(ask("auth.example.com", "/.well-known/acme-challenge/").status(), 404);
    }
}
