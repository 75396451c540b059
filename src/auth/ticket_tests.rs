//! What verbs write for tickets and digits: the same for addresses without an account, nothing in clear, and a use that
//! outlives the process.

use std::collections::BTreeMap;

use super::follow::{self, Followed};
use super::mail_tests::Engine;
use super::mailed::{self, Asked, Brings};
use super::tickets::Onward;
use super::wishes::Wishes;
use super::{Ctx, Email, Error, address, digits, outbox, reset};
use crate::crypto::Secret;
use crate::dialect::Dialect;
use crate::mail::Letter;

const ADA: &str = "ada@example.com";
const EVE: &str = "eve@example.com";
const BY_MAIL: &[(&str, &str)] = &[
    ("NHOST__CLIENT_URL", "https://app.example.com"),
    ("NHOST__PASSWORDLESS_EMAIL", "true"),
    ("NHOST__OTP_EMAIL", "true"),
];

async fn engine(more: &[(&str, &str)]) -> Engine {
    Engine::start(None, &[BY_MAIL, more].concat()).await
}

fn ctx(engine: &Engine) -> Ctx {
    engine.speaking(Dialect::Nhost)
}

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn asked(brings: Brings, to: &str) -> Asked {
    Asked { brings, email: email(to), wishes: Wishes::default(), code_challenge: None, bot_token: None }
}

/// How many rows of each table were written and removed by `work`.
async fn written<T>(engine: &Engine, work: impl Future<Output = T>) -> BTreeMap<u8, (usize, usize)> {
    let before = engine.rows();
    work.await;
    engine.written(&before)
}

/// What the next mail brings.
async fn letter(engine: &Engine) -> Letter {
    let item = engine.claim().await.pop().unwrap();
    serde_json::from_slice(outbox::open(&engine.project, &item).unwrap().expose()).unwrap()
}

#[tokio::test]
async fn asking_writes_the_same_for_every_address() {
    let auto_off: &[(&str, &str)] = &[("SIGNUP__AUTO", "false")];
    let conceal: &[(&str, &str)] = &[("CONCEAL", "true")];
    let both = [auto_off, conceal].concat();
    for (what, settings) in
        [("reset", &[][..]), ("link", auto_off), ("digits", auto_off), ("link", &both), ("verify", conceal)]
    {
        let engine = engine(settings).await;
        engine.sign_up(ADA).await;
        let work = async |to: &str| {
            let ctx = ctx(&engine);
            match what {
                "reset" => reset::ask(&ctx, email(to), Onward::default(), None).await.unwrap(),
                "verify" => address::send_verification(&ctx, email(to), Onward::default()).await.unwrap(),
                "link" => mailed::sign_in(&ctx, asked(Brings::Link, to)).await.unwrap(),
                _ => mailed::sign_in(&ctx, asked(Brings::Digits, to)).await.unwrap(),
            }
        };
        let mut seen = Vec::new();
        // The second time an earlier one has to go, too.
        for to in [EVE, EVE, ADA, ADA] {
            engine.clock.advance(std::time::Duration::from_secs(1));
            seen.push(written(&engine, work(to)).await);
        }
        assert_eq!((&seen[0], &seen[1]), (&seen[2], &seen[3]), "{what} {settings:?}");
        assert!(seen[0].contains_key(&0x70), "{what}: a mail, or what stands for one");
    }
}

/// Where an account would be made for the one and not for the other.
#[tokio::test]
async fn a_hidden_account_costs_what_a_new_one_does() {
    for (settings, up) in [
        (&[("CONCEAL", "true")][..], true),
        (&[("CONCEAL", "true")], false),
        (&[("NHOST__SILENT_SIGN_UP", "true")], true),
    ] {
        for brings in [Brings::Link, Brings::Digits] {
            let engine = engine(settings).await;
            engine.sign_up(ADA).await;
            let mut seen = Vec::new();
            for to in [EVE, ADA] {
                let ctx = ctx(&engine);
                let work = async {
                    match up {
                        true => mailed::sign_up(&ctx, asked(brings, to)).await.unwrap(),
                        false => mailed::sign_in(&ctx, asked(brings, to)).await.unwrap(),
                    }
                };
                let rows = written(&engine, work).await;
                seen.push((rows.values().map(|(put, _)| put).sum::<usize>(), rows.get(&0x70).copied()));
            }
            assert_eq!(seen[0], seen[1], "{settings:?} {brings:?} {up}");
        }
    }
}

#[tokio::test]
async fn wrong_digits_write_the_same_for_every_address() {
    let engine = engine(&[("SIGNUP__AUTO", "false")]).await;
    engine.sign_up(ADA).await;
    let mut seen = Vec::new();
    for to in [EVE, ADA] {
        let ctx = ctx(&engine);
        let typed = Secret::new("700000".to_owned());
        // Without a code, and with one.
        let none = written(&engine, digits::sign_in(&ctx, email(to), &typed)).await;
        mailed::sign_in(&ctx, asked(Brings::Digits, to)).await.unwrap();
        let pool = engine.project.pool();
        let before = pool.hashes_computed();
        let some = written(&engine, digits::sign_in(&ctx, email(to), &typed)).await;
        let hashes = pool.hashes_computed() - before;
        for _ in 0..3 {
            digits::sign_in(&ctx, email(to), &typed).await.unwrap_err();
        }
        // The fifth locks; the sixth is not looked at.
        let refused = written(&engine, digits::sign_in(&ctx, email(to), &typed)).await;
        seen.push((none, some, hashes, refused));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!((seen[0].2, seen[0].3.len()), (1, 0));
}

#[tokio::test]
async fn nothing_of_a_secret_lies_in_the_store_in_clear() {
    let engine = engine(&[]).await;
    engine.sign_up(ADA).await;
    let ctx = ctx(&engine);
    let mut secrets = Vec::new();
    reset::ask(&ctx, email(ADA), Onward::default(), None).await.unwrap();
    mailed::sign_in(&ctx, asked(Brings::Digits, EVE)).await.unwrap();
    for item in engine.claim().await {
        let opened = outbox::open(&engine.project, &item).unwrap();
        let letter: Letter = serde_json::from_slice(opened.expose()).unwrap();
        let ticket = letter.ticket.unwrap().expose().clone();
        if let Some((_, id)) = ticket.split_once(':') {
            let id = uuid::Uuid::parse_str(id).unwrap();
            secrets.extend([id.as_bytes().to_vec(), id.to_string().into_bytes()]);
        }
        secrets.push(ticket.into_bytes());
    }
    assert_eq!(secrets.len(), 4);
    for (key, value) in engine.rows() {
        for secret in &secrets {
            let lies_in = |text: &[u8]| text.windows(secret.len()).any(|window| window == secret.as_slice());
            assert!(!lies_in(&key) && !lies_in(&value), "{key:x?}");
        }
    }
}

#[tokio::test]
async fn a_ticket_works_once_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let engine = Engine::start(Some(&data), BY_MAIL).await;
    engine.sign_up(ADA).await;
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    mailed::sign_in(&ctx(&engine), asked(Brings::Link, ADA)).await.unwrap();
    let ticket = letter(&engine).await.ticket.unwrap();
    engine.app.close().await;

    let engine = Engine::start(Some(&data), BY_MAIL).await;
    let followed = follow::follow(&ctx(&engine), ticket.expose(), Some(challenge)).await.unwrap();
    let Followed::Code(code) = followed else { panic!("{followed:?}") };
    engine.app.close().await;

    let engine = Engine::start(Some(&data), BY_MAIL).await;
    let again = follow::follow(&ctx(&engine), ticket.expose(), None).await;
    assert!(matches!(again, Err(Error::InvalidTicket)), "{again:?}");
    let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned());
    follow::exchange(&ctx(&engine), &code, &verifier).await.unwrap();
    engine.app.close().await;

    let engine = Engine::start(Some(&data), BY_MAIL).await;
    let again = follow::exchange(&ctx(&engine), &code, &verifier).await;
    assert!(matches!(again, Err(Error::InvalidExchange)), "{again:?}");
    engine.app.close().await;
}

/// The counts of guesses are in the file, too.
#[tokio::test]
async fn guesses_at_digits_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let settings = [BY_MAIL, &[("LOCKOUT__FAILURES", "100")]].concat();
    let engine = Engine::start(Some(&data), &settings).await;
    for _ in 0..5 {
        let refused = digits::sign_in(&ctx(&engine), email(EVE), &Secret::new("700000".into())).await;
        assert!(matches!(refused, Err(Error::InvalidCode)), "{refused:?}");
    }
    engine.app.close().await;
    let engine = Engine::start(Some(&data), &settings).await;
    let refused = digits::sign_in(&ctx(&engine), email(EVE), &Secret::new("700000".into())).await;
    assert!(matches!(refused, Err(Error::TooManyCodes)), "{refused:?}");
    engine.app.close().await;
}
