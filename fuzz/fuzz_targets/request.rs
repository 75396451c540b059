//! Whole requests against the real engine in memory: whatever is asked, the answer is never 500.
//!
//! The input is a method and a path, then header lines, an empty line and the body, as in HTTP.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::body::Body;
use axum::http::Request;
use keystead::app::App;
use keystead::config::{Overrides, load};
use keystead::env::Env;
use keystead::http::{Entry, Health};
use keystead::net::Limits;
use tokio::runtime::{Builder, Runtime};

static SERVER: LazyLock<(Runtime, Entry, App)> = LazyLock::new(|| {
    let cheap = [
        ("KEYSTEAD_HASHING__MEMORY_KIB", "8"),
        ("KEYSTEAD_HASHING__ITERATIONS", "1"),
        ("KEYSTEAD_HASHING__THREADS", "1"),
        ("KEYSTEAD_PROJECT__DEFAULT__SECRET", "fuzz-fuzz-fuzz-fuzz-fuzz-fuzz-fuzz"),
    ];
    let environment: BTreeMap<_, _> = cheap.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let overrides = Overrides { ephemeral: true, ..Overrides::default() };
    let settings = load(&overrides, &environment).expect("settings");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let app = runtime.block_on(App::open(settings, Env::system())).expect("a server");
    let health = Health::new(app.projects().clone(), None);
    (runtime, Entry::new(app.projects().clone(), Limits::default().into(), health), app)
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(request) = request(bytes) else { return };
    let (runtime, entry, _) = &*SERVER;
    let reply = runtime.block_on(entry.clone().handle(request)).unwrap_or_else(|never| match never {});
    assert_ne!(reply.status(), 500);
});

fn request(bytes: &[u8]) -> Option<Request<Body>> {
    let cut = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = cut.map_or((bytes, &b""[..]), |at| (&bytes[..at], &bytes[at + 2..]));
    let mut lines = head.split(|byte| *byte == b'\n');
    let (method, path) = std::str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(path);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    request.body(Body::from(body.to_vec())).ok()
}
