//! What a mail server says, from its greeting to its goodbye: the conversation ends with a reason of bounded length, and
//! neither the password nor what is in the mail stands in what is told of it. The first byte says whether it asks for a
//! sign-in.
#![no_main]

use std::sync::LazyLock;

use keystead::crypto::Secret;
use keystead::env::{Env, Timestamp};
use keystead::mail::{Login, Message, Smtp, SmtpSettings, SmtpTls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::unbounded_channel;
use uuid::Uuid;

const PASSWORD: &str = "kX9-mail-password-4711";
const CODE: &str = "7K2M-9QXR-4TBD";
const TOKEN: &str = "wYk3mVbq0sWcHn1fT9eL2xPzR7uJd5aGoI4iKlMhNQA";
/// The most that is told of a failure, characters.
const LONGEST: usize = 1000;

static SERVER: LazyLock<(Runtime, TcpListener, [Smtp; 2])> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let settings = SmtpSettings {
        host: "127.0.0.1".into(),
        port: listener.local_addr().expect("an address").port(),
        tls: SmtpTls::None,
        login: None,
        ca_file: None,
        helo_name: Some("auth.example.com".into()),
    };
    let login = Login { username: "ada".into(), password: Secret::new(PASSWORD.into()) };
    let signed_in = SmtpSettings { login: Some(login), ..settings.clone() };
    let ways = [settings, signed_in].map(|settings| Smtp::new(&settings, &Env::system()));
    (runtime, listener, ways)
});

fn message() -> Message {
    Message {
        id: Uuid::from_u128(1),
        to: "ada@example.com".into(),
        from: "Example <no-reply@example.com>".into(),
        subject: "Hello".into(),
        text: format!("{CODE} https://auth.example.com/verify-email?token={TOKEN}"),
        html: String::new(),
        headers: Vec::new(),
        template: "verify-email".into(),
        link: Some(format!("https://auth.example.com/verify-email?token={TOKEN}")),
        code: Some(CODE.into()),
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [first, said @ ..] = bytes else { return };
    let (runtime, listener, ways) = &*SERVER;
    let smtp = &ways[usize::from(first % 2)];
    let (message, now) = (message(), Timestamp::from_secs(1_800_000_000));
    let (lines, mut heard) = unbounded_channel();
    let outcome = runtime.block_on(async {
        let server = async {
            let (mut socket, _) = listener.accept().await.expect("a caller");
            // The caller goes first, and its socket then waits for nobody.
            let _ = socket.set_zero_linger();
            // Whoever hangs up misses the rest.
            let _ = socket.write_all(said).await;
            let _ = socket.shutdown().await;
            let _ = socket.read_to_end(&mut Vec::new()).await;
        };
        tokio::join!(smtp.try_out(&message, now, lines), server).0
    });
    let told = outcome.unwrap_or_else(|error| error.to_string());
    assert!(told.chars().count() <= LONGEST, "{told}");
    // Before it has the mail, a server that says what is in it made it up.
    assert!(!told.contains("the mail") || ![CODE, TOKEN].iter().any(|secret| told.contains(secret)), "{told}");
    while let Ok(line) = heard.try_recv() {
        // Where nobody signs in, a server that says it made it up.
        assert!(first % 2 == 0 || !line.contains(PASSWORD), "{line}");
        assert!(!line.chars().any(|c| c.is_control()), "{line:?}");
    }
});
