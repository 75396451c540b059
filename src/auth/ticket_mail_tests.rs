//! A mail that brings a ticket on its whole way: from a verb through the outbox into a mailbox, and the row that stands in
//! for it.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::mail::Mail;
use super::projects::Selector;
use super::redirect::{Redirect, Targets};
use super::sign_up::{self, SignUp};
use super::ticket_mail::TicketLetter;
use super::wishes::Wishes;
use super::{Client, Ctx, Email, Project, RequestId};
use crate::crypto::Secret;
use crate::dialect::Dialect;
use crate::env::Timestamp;
use crate::mail::Template;
use crate::store::StoreError;
use crate::testing::Server;

const TICKET: &str = "passwordReset:7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07";
const NEXT: &str = "https://app.example.com/a?b=c&d";
const ADA: &str = "ada@example.com";
/// 2026-01-01T01:00:00Z, an hour after the test clock begins.
const ENDS: Timestamp = Timestamp::from_secs(1_767_229_200);

fn next() -> Redirect {
    Targets { client: None, listed: &[], home: None }.admit(NEXT).unwrap()
}

async fn project(server: &Server) -> Arc<Project> {
    server.projects().find(Selector::Only).await.unwrap().unwrap()
}

async fn ctx(server: &Server) -> Ctx {
    let project = project(server).await;
    let settings = project.settings();
    Ctx {
        project,
        rules: Dialect::Noma.rules(&settings),
        settings,
        now: Timestamp::from_secs(1_767_225_600),
        client: Client { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), group: 1, agent: None, secure: true },
        request_id: RequestId::new(7),
    }
}

async fn send(ctx: &Ctx, about: &TicketLetter<'_>, to: &'static str) {
    let (mail, project) = (Mail::ticket(ctx, about), Arc::clone(&ctx.project));
    let written = ctx.project.store().write(move |w| mail.enqueue(w, &project, to)).await;
    written.unwrap();
}

async fn sign_up(ctx: &Ctx, display_name: Option<&str>) {
    let wishes = Wishes { display_name: display_name.map(str::to_owned), ..Wishes::default() };
    let new = SignUp { wishes, ..SignUp::new(Email::parse(ADA).unwrap(), Secret::new("correct horse".into())) };
    sign_up::sign_up(ctx, new).await.unwrap();
}

#[tokio::test]
async fn it_arrives_with_its_headers_and_the_words_of_the_operator() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("en/password-reset");
    std::fs::create_dir_all(&folder).unwrap();
    let all = "${link} ${displayName} ${email} ${newEmail} ${ticket} ${redirectTo} ${locale} ${serverUrl} ${clientUrl}";
    for name in ["body.html", "body.txt", "subject.txt"] {
        std::fs::write(folder.join(name), all).unwrap();
    }
    let server = Server::with(&[
        ("MAIL__TEMPLATES", dir.path().to_str().unwrap()),
        ("PROJECT__DEFAULT__PUBLIC_URL", "https://auth.example.com"),
        ("PROJECT__DEFAULT__NHOST__PATH", "/nhost/v1"),
        ("PROJECT__DEFAULT__NHOST__CLIENT_URL", "https://app.example.com"),
    ])
    .await;
    let ctx = ctx(&server).await;
    sign_up(&ctx, Some("Ada <3")).await;
    let ticket = Secret::new(TICKET.to_owned());
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let next = next();
    let about = TicketLetter {
        code_challenge: Some(challenge),
        ..TicketLetter::new(Template::PasswordReset, &ticket, Some(&next), ENDS)
    };
    send(&ctx, &about, ADA).await;
    let mail = server.mailbox().next_to(ADA).await;
    let link = format!(
        "https://auth.example.com/nhost/v1/verify?codeChallenge={challenge}\
         &redirectTo=https%3A%2F%2Fapp.example.com%2Fa%3Fb%3Dc%26d\
         &ticket=passwordReset%3A7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07&type=passwordReset"
    );
    let headers: Vec<_> = mail.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        headers,
        [
            ("X-Email-Template", "password-reset"),
            ("X-Ticket", TICKET),
            ("X-Redirect-To", NEXT),
            ("X-Link", &link),
            ("Auto-Submitted", "auto-generated"),
        ]
    );
    assert_eq!((mail.link.as_deref(), mail.code), (Some(&*link), None));
    let server_url = "https://auth.example.com/nhost/v1";
    let said = format!("{link} Ada <3 {ADA}  {TICKET} {NEXT} en {server_url} https://app.example.com");
    assert_eq!(mail.text, said);
    let escaped = said.replace('&', "&amp;").replace('<', "&lt;").replace('/', "&#x2f;");
    assert_eq!(mail.html, escaped);
    assert_eq!(mail.subject, said.replace("  ", " "));
}

#[tokio::test]
async fn the_language_is_the_letters_then_the_accounts_then_that_of_the_api_then_english() {
    let server =
        Server::with(&[("PROJECT__DEFAULT__NHOST__LOCALE", "cs"), ("PROJECT__DEFAULT__MAIL__LOCALE", "de")]).await;
    let ctx = ctx(&server).await;
    let ticket = Secret::new("042719".to_owned());
    let plain = || TicketLetter::new(Template::SigninOtp, &ticket, None, ENDS);
    for (to, locale, subject) in [
        ("bob@example.com", Some("fr"), "Votre code pour default"),
        ("bob@example.com", Some("xx"), "Váš kód pro default"),
        ("bob@example.com", None, "Váš kód pro default"),
    ] {
        send(&ctx, &TicketLetter { locale, ..plain() }, to).await;
        let mail = server.mailbox().next_to(to).await;
        assert_eq!((mail.subject.as_str(), mail.link, mail.code.as_deref()), (subject, None, Some("042719")));
        assert!(mail.text.contains("\n    042719\n"), "{}", mail.text);
        let header = |wanted: &str| mail.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| &**value);
        assert_eq!((header("X-Ticket"), header("X-Link")), (Some("042719"), Some("")));
    }
    sign_up(&ctx, None).await;
    let email = Email::parse(ADA).unwrap();
    let speaks = ctx.project.store().write(move |w| {
        let mut user = crate::data::users::by_email(w, &email)?.unwrap();
        user.locale = Some("bg".into());
        crate::data::users::put(w, &user)
    });
    speaks.await.unwrap();
    send(&ctx, &plain(), ADA).await;
    assert_eq!(server.mailbox().next_to(ADA).await.subject, "Вашият код за default");
}

#[tokio::test]
async fn the_row_of_a_mail_nobody_gets_is_as_long_and_holds_nothing_in_clear() {
    // Nobody sends.
    let server = Server::with(&[("MAIL__TRANSPORT", "none")]).await;
    let ctx = ctx(&server).await;
    sign_up(&ctx, None).await;
    let ticket = Secret::new(TICKET.to_owned());
    let (next, mut lengths) = (next(), Vec::new());
    for known in [true, false] {
        let about = TicketLetter::new(Template::PasswordReset, &ticket, Some(&next), ENDS);
        let mail = Mail::ticket(&ctx, &about);
        assert!(!format!("{mail:?}").contains("7d4f0e52"), "{mail:?}");
        let before = rows(&ctx);
        let project = Arc::clone(&ctx.project);
        let written = ctx.project.store().write(move |w| match known {
            true => mail.enqueue(w, &project, ADA),
            false => mail.pretend(w, &project, "eve@example.com"),
        });
        written.await.unwrap();
        let new: Vec<_> = rows(&ctx).into_iter().filter(|row| !before.contains(row)).collect();
        for (_, value) in &new {
            for secret in ["7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07", "app.example.com"] {
                assert!(!value.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
            }
        }
        lengths.push(new.iter().map(|(key, value)| (key[0], key.len(), value.len())).collect::<Vec<_>>());
    }
    assert_eq!(lengths[0], lengths[1]);
    assert!(lengths[0].len() >= 3, "{lengths:?}");
}

/// Every row there is.
fn rows(ctx: &Ctx) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let mut keep = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    let read: Result<(), StoreError> = ctx.project.store().read(|r| r.scan(&[0], &[255], usize::MAX, &mut keep));
    read.unwrap();
    rows
}
