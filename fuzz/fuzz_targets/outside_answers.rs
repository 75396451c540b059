//! What services answer that a sign-up asks, byte for byte as it comes over the wire: bot protection first, then, after
//! a zero byte, the list of leaked passwords. Whatever it is, nobody is let in by accident and nothing fails.
#![no_main]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex};
use std::thread;

use axum::body::Body;
use axum::http::Request;
use keystead_fuzz::house::visit_empty;

/// What the two services answer, and where they are.
static SERVICES: LazyLock<[Service; 2]> = LazyLock::new(|| [Service::start(), Service::start()]);

struct Service {
    url: String,
    answer: &'static Mutex<Vec<u8>>,
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [bot, leaks] = &*SERVICES;
    let mut answers = bytes.splitn(2, |byte| *byte == 0);
    let bot_says = answers.next().unwrap_or_default();
    let leaks_say = answers.next().unwrap_or(bot_says);
    bot.says(bot_says);
    leaks.says(leaks_say);
    let settings = [
        ("OUTBOUND__ALLOW", "127.0.0.0/8"),
        ("PROJECT__DEFAULT__BOT__PROVIDER", "turnstile"),
        ("PROJECT__DEFAULT__BOT__SECRET", "secret"),
        ("PROJECT__DEFAULT__BOT__SITE_KEY", "site"),
        ("PROJECT__DEFAULT__BOT__VERIFY_URL", bot.url.as_str()),
        ("PROJECT__DEFAULT__PASSWORD__REJECT_LEAKED", "true"),
        ("PROJECT__DEFAULT__PASSWORD__LEAKED_URL", leaks.url.as_str()),
    ];
    let body = r#"{"email":"ada@example.com","password":"correct horse","bot_protection_token":"t"}"#;
    let request = Request::post("/api/auth/signup").header("content-type", "application/json");
    visit_empty(&settings, |house| {
        let reply = house.ask(request.body(Body::from(body)).expect("a request"));
        // 409: she was let in before.
        if matches!(reply.status.as_u16(), 201 | 409) {
            // Bytes, not words: those may come in chunks.
            let holds = |answer: &[u8], bytes: &[u8]| bytes.iter().all(|byte| answer.contains(byte));
            assert!(holds(bot_says, b"20{\":}true"), "without the service's word");
            assert!(holds(leaks_say, b"20:\n"), "without a list");
        }
        assert_ne!(reply.status, 500);
    });
});

impl Service {
    fn start() -> Self {
        let answer: &'static Mutex<Vec<u8>> = Box::leak(Box::new(Mutex::default()));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        thread::spawn(move || {
            for caller in listener.incoming().flatten() {
                let said = answer.lock().expect("no panic inside").clone();
                // A caller that goes away misses what it missed.
                let _ = serve(caller, &said);
            }
        });
        Self { url, answer }
    }

    fn says(&self, bytes: &[u8]) {
        *self.answer.lock().expect("no panic inside") = bytes.to_vec();
    }
}

/// Answers one request, which has been read to its end: closing before would take the answer back.
fn serve(caller: TcpStream, answer: &[u8]) -> io::Result<()> {
    let mut reader = BufReader::new(&caller);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
        line.clear();
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    (&caller).write_all(answer)?;
    caller.shutdown(Shutdown::Write)?;
    // Until the caller is done with it.
    (&caller).read_to_end(&mut Vec::new()).map(drop)
}
