//! A file of format 1 with records of every version it could have, upgraded and compared row by row.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::users::ProofKind;
use super::super::{decode_row, one_time, sessions, users};
use super::*;
use crate::store::tests::pages;
use crate::store::{Store, StoreOptions};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
/// A key, its value, and what it is to become; `None`: nothing.
type Upgraded = (Vec<u8>, Vec<u8>, Option<Vec<u8>>);

/// A row as the first program wrote it: number 7, `Ada@example.com`, `Ada`, asserted at 5, `{}`, no password.
const ADA: &[u8] = b"\x01\x07\x0fAda@example.com\x01\x03Ada\x01\x05\x00\x01\x02{}\x00\x00\x09";

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn digest(number: u8) -> Digest {
    Digest::of("test", &[number])
}

fn versioned(version: u8, body: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_extend(body, vec![version]).unwrap()
}

fn user_of_2() -> UserV2 {
    UserV2 {
        number: 8,
        email: "bob@example.com".into(),
        display_name: None,
        email_proof: None,
        metadata: Some("{}".into()),
        locale: Some("fr".into()),
        role: Role::Admin,
        has_avatar: true,
        password: None,
        disabled_at: Some(at(9)),
        created_at: at(9),
    }
}

fn session(user: u128) -> Session {
    Session {
        id: Uuid::nil(),
        user: id(user),
        created_at: at(1),
        refreshed_at: at(2),
        expires_at: at(3),
        generation: 4,
        refresh: digest(1),
        previous: Some(digest(2)),
        ip: [7; 16],
        agent: Some("a browser".into()),
        carrier: Carrier::Pair,
    }
}

fn session_of_1_as_written() -> SessionV1 {
    let Session { user, created_at, refreshed_at, expires_at, generation, refresh, previous, ip, agent, .. } =
        session(3);
    SessionV1 { user, created_at, refreshed_at, expires_at, generation, refresh, previous, ip, agent }
}

/// What the programs of format 1 wrote, and what is to become of it.
fn rows_of_1() -> Vec<Upgraded> {
    let mut rows = Vec::new();
    let mut put = |key: Vec<u8>, then: Vec<u8>, now: Option<Vec<u8>>| rows.push((key, then, now));
    let row = |table, number| key(table, &[id(number).as_bytes()]);

    let ada = User {
        number: 7,
        email: Some("Ada@example.com".into()),
        display_name: Some("Ada".into()),
        email_proof: Some(EmailProof { at: Timestamp::from_millis(5), kind: ProofKind::Asserted }),
        metadata: Some("{}".into()),
        ..User::new(Uuid::nil(), Timestamp::from_millis(9))
    };
    put(row(Table::User, 3), ADA.to_vec(), Some(encode(&ada)));
    let bob = User {
        number: 8,
        email: Some("bob@example.com".into()),
        metadata: Some("{}".into()),
        locale: Some("fr".into()),
        role: Role::Admin,
        has_avatar: true,
        disabled_at: Some(at(9)),
        ..User::new(Uuid::nil(), at(9))
    };
    put(row(Table::User, 4), versioned(2, &user_of_2()), Some(encode(&bob)));
    let carol = encode(&User { is_anonymous: true, ..User::new(Uuid::nil(), at(5)) });
    put(row(Table::User, 5), carol.clone(), Some(carol));

    let then = session_of_1_as_written();
    put(row(Table::Session, 10), versioned(1, &then), Some(encode(&session(3))));
    put(row(Table::SessionRefreshed, 10), versioned(1, &then), Some(encode(&session(3))));
    for (number, by_token, carrier) in [(11, false, Carrier::Pair), (12, true, Carrier::Token)] {
        let now = encode(&Session { carrier, ..session(3) });
        put(row(Table::Session, number), versioned(2, &(&then, by_token)), Some(now));
    }
    let brought = encode(&Session { carrier: Carrier::Brought, ..session(3) });
    put(row(Table::Session, 13), brought.clone(), Some(brought));

    let secret = |mailed| OneTime { user: id(3), expires_at: at(200), mailed, about: None };
    let one_time = |number: u8| key(Table::OneTime, &[&[1], digest(number).as_bytes()]);
    put(one_time(1), versioned(1, &(id(3), at(200))), Some(encode(&secret(false))));
    put(one_time(2), versioned(2, &(id(3), at(200), true)), Some(encode(&secret(true))));
    let about = encode(&OneTime { about: Some("new@example.com".into()), ..secret(true) });
    put(one_time(3), about.clone(), Some(about));

    let event = [&[1, 16][..], id(20).as_bytes(), &[5, 0, 0, 0]].concat();
    put(row(Table::Event, 20), event, None);
    // What no step speaks of, and what nobody can read.
    put(key(Table::UserByEmail, &[b"ada@example.com"]), id(3).as_bytes().to_vec(), Some(id(3).as_bytes().to_vec()));
    put(row(Table::User, 6), vec![2, 0xff], Some(vec![2, 0xff]));
    put(row(Table::User, 7), Vec::new(), Some(Vec::new()));
    rows
}

fn open(path: &Path, steps: &'static [Step]) -> Store {
    Store::open(path, &StoreOptions { steps, ..StoreOptions::default() }).unwrap()
}

fn rows(store: &Store) -> Rows {
    let mut rows = Rows::new();
    store
        .read(|r| {
            r.scan(&[], &[0xff; 64], usize::MAX, &mut |key, value| {
                rows.insert(key.to_vec(), value.to_vec());
                ControlFlow::Continue(())
            })
        })
        .map_err(|error: StoreError| error)
        .unwrap();
    rows
}

async fn fill(store: &Store, rows: Vec<(Vec<u8>, Vec<u8>)>) {
    store.write(move |w| rows.iter().try_for_each(|(key, value)| w.put(key, value))).await.unwrap();
}

/// The file was written by the code that had format 1, and is never written again.
#[tokio::test]
async fn a_project_of_format_1_is_after_the_upgrade_what_a_new_one_would_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("project.redb");
    match pages::kept("v1-project") {
        Some(file) => std::fs::write(&path, file).unwrap(),
        None => {
            let store = open(&path, &[]);
            fill(&store, rows_of_1().into_iter().map(|(key, then, _)| (key, then)).collect()).await;
            store.close().await;
            pages::keep("v1-project", &std::fs::read(&path).unwrap());
        }
    }
    let expected: Vec<(Vec<u8>, Vec<u8>)> =
        rows_of_1().into_iter().filter_map(|(key, _, now)| Some((key, now?))).collect();
    let fresh = open(&dir.path().join("fresh.redb"), STEPS);
    fill(&fresh, expected).await;

    for round in 0..2 {
        let upgraded = open(&path, STEPS);
        assert!(rows(&upgraded) == rows(&fresh), "round {round}");
        upgraded.close().await;
        if round == 0 {
            std::fs::remove_file(dir.path().join("project.redb.format-1")).expect("a copy was kept");
        }
    }
    assert!(!dir.path().join("project.redb.format-1").exists(), "there was nothing to upgrade");
}

#[tokio::test]
async fn more_rows_than_are_held_at_a_time_are_rewritten_and_removed() {
    let store = Store::memory();
    let many =
        |table, value: Vec<u8>| (0..2 * CHUNK as u128).map(move |n| (key(table, &[id(n).as_bytes()]), value.clone()));
    let then: Vec<_> = many(Table::User, ADA.to_vec()).chain(many(Table::Event, vec![1])).collect();
    fill(&store, then).await;
    store.write(|w| to_2(w)).await.unwrap();
    let now = rows(&store);
    assert_eq!(now.len(), 2 * CHUNK);
    assert!(now.values().all(|value| value[0] == User::VERSION));
}

#[tokio::test]
async fn what_was_upgraded_is_read_as_what_it_is() {
    let store = Store::memory();
    fill(&store, rows_of_1().into_iter().map(|(key, then, _)| (key, then)).collect()).await;
    store.write(|w| to_2(w)).await.unwrap();
    store
        .read(|r| {
            let ada = users::get(r, id(3))?.expect("an account");
            assert_eq!((ada.id, ada.number, ada.typed_email()), (id(3), 7, "Ada@example.com"));
            let session = sessions::get(r, id(12))?.expect("a session");
            assert_eq!((session.id, session.user, session.carrier), (id(12), id(3), Carrier::Token));
            let secret: OneTime =
                decode_row(&[], &r.get(&key(Table::OneTime, &[&[1], digest(1).as_bytes()]))?.unwrap())?;
            assert_eq!((secret.user, secret.mailed), (id(3), false));
            assert!(one_time::find(r, one_time::Purpose::VerifyEmail, &digest(9))?.is_none());
            assert!(matches!(users::get(r, id(6)), Err(StoreError::Corrupt(_))), "as before");
            Ok::<_, StoreError>(())
        })
        .unwrap();
}
