//! The trail: its chain and what breaks it, what it costs, what is trimmed, and that strangers learn and fill nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::audit::{self, Filter, Point, Verdict};
use super::events::{EventKind, Outcome};
use super::projects::Selector;
use super::{Client, Ctx, Email, Error, Operator, Project, RequestId, accounts, sign_in, sign_up};
use crate::crypto::{Digest, Secret};
use crate::data::Table;
use crate::data::lockouts::Standing;
use crate::dialect::Dialect;
use crate::env::Clock;
use crate::store::StoreError;
use crate::testing::Server;

const ADA: &str = "ada@example.com";
const NOBODY: &str = "joe@example.com";
const PASSWORD: &str = "correct horse";

async fn project(server: &Server) -> Arc<Project> {
    server.projects().find(Selector::Only).await.expect("a store that works").expect("the only project")
}

fn ctx(server: &Server, project: &Arc<Project>) -> Ctx {
    let ip = Ipv4Addr::new(192, 0, 2, 1);
    Ctx {
        settings: project.settings(),
        project: Arc::clone(project),
        rules: Dialect::Noma.rules(&project.settings()),
        now: server.clock().now(),
        client: Client { ip: IpAddr::V4(ip), group: u128::from(ip.to_ipv6_mapped()), agent: None, secure: true },
        // As long in every entry: its length says nothing.
        request_id: RequestId::new(u64::MAX),
    }
}

fn email(text: &str) -> Email {
    Email::parse(text).expect("an address")
}

async fn signs_in(ctx: &Ctx, address: &str, password: &str) -> Result<(), Error> {
    sign_in::with_password(ctx, email(address), Secret::new(password.to_owned())).await.map(drop)
}

async fn signs_up(ctx: &Ctx, address: &str) {
    let new = sign_up::SignUp::new(email(address), Secret::new(PASSWORD.to_owned()));
    sign_up::sign_up(ctx, new).await.expect("signed up");
}

/// Every row, by table, as `(table, length of key and value)`.
fn rows(project: &Project) -> Vec<(u8, usize)> {
    let mut rows = Vec::new();
    let all = project.store().read(|r| {
        r.scan(&[0], &[255], usize::MAX, &mut |key, value| {
            rows.push((key[0], key.len() + value.len()));
            std::ops::ControlFlow::Continue(())
        })
    });
    all.map_err(|error: StoreError| error.to_string()).expect("a store that works");
    rows.sort_unstable();
    rows
}

async fn entries(project: &Project) -> Vec<(EventKind, Outcome)> {
    let page = audit::list(project, 0, 1000, &Filter::default()).await.expect("listed");
    page.entries.iter().map(|(entry, _)| (entry.event.kind, entry.event.outcome)).collect()
}

async fn whole(project: &Project, expected: Option<Point>) -> (u64, u64, Point) {
    match audit::verify(project, expected).await.expect("a store that works") {
        Verdict::Whole { first, entries, head } => (first, entries, head),
        other => panic!("{other:?}"),
    }
}

async fn broken(project: &Project, expected: Option<Point>) -> u64 {
    match audit::verify(project, expected).await.expect("a store that works") {
        Verdict::Broken { at, .. } => at,
        other => panic!("{other:?}"),
    }
}

fn entry_key(seq: u64) -> Vec<u8> {
    crate::data::key(Table::Audit, &[&seq.to_be_bytes()])
}

/// Changes the value of a row behind everybody's back; `None` removes it.
async fn tamper(project: &Project, key: Vec<u8>, with: impl Fn(Vec<u8>) -> Option<Vec<u8>> + Send + 'static) {
    let done = project.store().write(move |w| {
        let value = w.get(&key)?.expect("a row");
        match with(value) {
            Some(value) => w.put(&key, &value),
            None => w.delete(&key),
        }
    });
    done.await.expect("written");
}

/// A project with the entries: project made, signed up, four signed in.
async fn six(server: &Server) -> Arc<Project> {
    let project = project(server).await;
    let ctx = ctx(server, &project);
    signs_up(&ctx, ADA).await;
    for _ in 0..4 {
        signs_in(&ctx, ADA, PASSWORD).await.expect("signed in");
    }
    project
}

#[tokio::test]
async fn every_kind_of_tampering_is_found_where_it_was_done() {
    type Tampering = fn(Vec<u8>) -> Option<Vec<u8>>;
    let last_byte: Tampering = |mut value| {
        *value.last_mut().expect("a value") ^= 1;
        Some(value)
    };
    let cases: [(&str, u64, Tampering, u64); 6] = [
        ("an entry changed", 3, last_byte, 3),
        ("the first changed", 1, last_byte, 1),
        ("the last changed", 6, last_byte, 6),
        ("one removed", 4, |_| None, 4),
        ("the last removed", 6, |_| None, 6),
        ("one that cannot be read", 5, |_| Some(vec![9, 9]), 5),
    ];
    for (what, seq, how, at) in cases {
        let server = Server::start().await;
        let project = six(&server).await;
        let head = whole(&project, None).await.2;
        assert_eq!((head.seq, whole(&project, Some(head)).await.1), (6, 6));
        tamper(&project, entry_key(seq), how).await;
        assert_eq!(broken(&project, None).await, at, "{what}");
    }
}

#[tokio::test]
async fn entries_that_change_places_are_found() {
    let server = Server::start().await;
    let project = six(&server).await;
    let swap = project.store().write(|w| {
        let (three, four) = (w.get(&entry_key(3))?.expect("a row"), w.get(&entry_key(4))?.expect("a row"));
        w.put(&entry_key(3), &four)?;
        w.put(&entry_key(4), &three)
    });
    swap.await.map_err(|error: StoreError| error.to_string()).expect("written");
    assert_eq!(broken(&project, None).await, 2, "the first that the next one does not follow");
}

/// What a chain cannot know by itself: an end cut off together with its head, a chain made anew.
#[tokio::test]
async fn a_head_noted_elsewhere_finds_a_trail_cut_short_or_made_anew() {
    let (server, other) = (Server::start().await, Server::start().await);
    let (project, longer) = (six(&server).await, six(&other).await);
    let noted = whole(&project, None).await.2;
    // The sixth entry goes, and the head says what it said before it.
    let before = audit::list(&project, 4, 1, &Filter::default()).await.expect("listed").entries[0].clone();
    assert_eq!(before.0.seq, 5);
    tamper(&project, entry_key(6), |_| None).await;
    let head = crate::data::key(Table::Meta, &[b"audit/head"]);
    let hash = *before.1.as_bytes();
    tamper(&project, head.clone(), move |value| Some([&value[..1], &[6], &hash[..]].concat())).await;
    assert_eq!(whole(&project, None).await.1, 5, "by itself it is a trail of five");
    assert_eq!(broken(&project, Some(noted)).await, 6);
    // Another sign-in takes its place: as long as before, and not the same.
    signs_in(&ctx(&server, &project), ADA, "wrong horse").await.expect_err("wrong");
    assert_eq!(whole(&project, None).await.2.seq, 6);
    assert_eq!(broken(&project, Some(noted)).await, 6);
    // Without a head there seems to be nothing, though there is.
    tamper(&longer, head, |_| None).await;
    assert_eq!(broken(&longer, None).await, 1);
}

#[tokio::test]
async fn trails_of_two_projects_begin_differently() {
    let (one, other) = (Server::start().await, Server::start().await);
    let mut firsts = Vec::new();
    for server in [&one, &other] {
        let page = audit::list(&*project(server).await, 0, 1, &Filter::default()).await.expect("listed");
        assert_eq!(page.entries[0].0.event.kind, EventKind::ProjectCreated);
        firsts.push(page.entries[0].0.previous);
    }
    assert!(firsts[0] != firsts[1]);
}

#[tokio::test]
async fn the_number_grows_though_the_clock_steps_back() {
    let server = Server::start().await;
    let project = six(&server).await;
    server.clock().step_back(Duration::from_secs(3600));
    signs_in(&ctx(&server, &project), ADA, PASSWORD).await.expect("signed in");
    let page = audit::last(&project, 2, &Filter::default()).await.expect("listed");
    let [(before, _), (after, _)] = &page.entries[..] else { panic!("{page:?}") };
    assert_eq!((before.seq, after.seq, page.end), (6, 7, 7));
    assert!(after.event.at < before.event.at);
    whole(&project, None).await;
}

/// Jobs of one batch see each other's entries: nothing is lost and nothing has one number.
#[tokio::test]
async fn two_hundred_at_once_make_one_chain() {
    let server = Server::start().await;
    let project = project(&server).await;
    let mut running = tokio::task::JoinSet::new();
    for number in 0..200 {
        let ctx = ctx(&server, &project);
        running.spawn(async move { signs_up(&ctx, &format!("user{number}@example.com")).await });
    }
    running.join_all().await;
    assert_eq!(whole(&project, None).await.1, 201);
}

/// Security 13 and the bound on what a sign-in writes: as many rows, as long, whether or not the address has an account.
#[tokio::test]
async fn an_unknown_address_writes_what_a_wrong_password_writes() {
    let mut written = Vec::new();
    for address in [ADA, NOBODY] {
        // What is written to tell the owner goes out beside this, and has a test of its own.
        let server = Server::with(&[("PROJECT__DEFAULT__NOTIFY__LOCKOUT", "false")]).await;
        let project = project(&server).await;
        let ctx = ctx(&server, &project);
        signs_up(&ctx, ADA).await;
        let mut steps = vec![rows(&project)];
        for _ in 0..5 {
            signs_in(&ctx, address, "wrong horse").await.expect_err("wrong");
            steps.push(rows(&project));
        }
        let failed = (EventKind::SignInFailed, Outcome::WrongCredentials);
        let locked = (EventKind::LockedOut, Outcome::Done);
        assert_eq!(entries(&project).await[2..], [failed, failed, failed, failed, failed, locked]);
        // The first failure makes two counters and an entry, each further one an entry, the fifth two.
        let counts: Vec<_> = steps.windows(2).map(|two| two[1].len() - two[0].len()).collect();
        assert_eq!(counts, [3, 1, 1, 1, 2]);
        // Locked: nothing is written, whatever is tried.
        let before = project.store().version();
        for _ in 0..20 {
            let refused = signs_in(&ctx, address, PASSWORD).await.expect_err("locked");
            assert!(matches!(refused, Error::Locked { .. }), "{refused}");
        }
        assert_eq!((project.store().version(), rows(&project) == steps[5]), (before, true));
        written.push(steps);
    }
    assert_eq!(written[0], written[1]);
}

#[tokio::test]
async fn a_success_writes_one_entry_and_a_refresh_none() {
    let server = Server::start().await;
    let project = project(&server).await;
    let ctx = ctx(&server, &project);
    let audited = |project: &Project| rows(project).iter().filter(|row| row.0 == Table::Audit as u8).count();
    signs_up(&ctx, ADA).await;
    assert_eq!(audited(&project), 2);
    let before = rows(&project).len();
    let issued = sign_in::with_password(&ctx, email(ADA), Secret::new(PASSWORD.to_owned())).await.expect("signed in");
    // The session, its index row, the entry; the head was there.
    assert_eq!((audited(&project), rows(&project).len() - before), (3, 3));
    let longest = rows(&project).iter().filter(|row| row.0 == Table::Audit as u8).map(|row| row.1).max();
    assert!(longest <= Some(160), "{longest:?}");
    super::session::refresh(&ctx, issued.refresh.expect("a refresh token").token.expose()).await.expect("refreshed");
    super::session::authenticate(&ctx, issued.access_token.expose()).expect("signed in");
    assert_eq!(audited(&project), 3);
}

#[tokio::test]
async fn an_entry_says_who_from_where_and_what_came_of_it() {
    let server = Server::start().await;
    let project = project(&server).await;
    let ctx = ctx(&server, &project);
    signs_up(&ctx, ADA).await;
    let by = Operator { now: ctx.now, uid: Some(1234) };
    let ada = accounts::UserRef::Email(email(ADA));
    let id = accounts::disable(&project, by, ada.clone()).await.expect("disabled").id;
    assert!(matches!(signs_in(&ctx, ADA, PASSWORD).await, Err(Error::AccountDisabled)));
    accounts::unlock(&project, by, email(ADA)).await.expect("unlocked");
    let page = audit::last(&project, 3, &Filter::default()).await.expect("listed");
    let [disabled, failed, unlocked] = [0, 1, 2].map(|at| page.entries[at].0.event.clone());
    assert_eq!(
        (disabled.kind, disabled.uid, disabled.user, disabled.ip),
        (EventKind::Disabled, Some(1234), Some(id), None)
    );
    assert_eq!((failed.kind, failed.outcome), (EventKind::SignInFailed, Outcome::AccountDisabled));
    assert_eq!((failed.user, failed.request), (Some(id), Some(u64::MAX)));
    assert_eq!(failed.ip, Some(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().octets()));
    assert_eq!((unlocked.kind, unlocked.uid, unlocked.address), (EventKind::Unlocked, Some(1234), failed.address));
}

/// An operator who knows an address finds its entries; the file holds no trace that could be tried out without its key.
#[tokio::test]
async fn entries_about_an_address_are_found_by_it() {
    let (server, other) = (Server::start().await, Server::start().await);
    let (project, elsewhere) = (project(&server).await, project(&other).await);
    let ctx = ctx(&server, &project);
    signs_up(&ctx, ADA).await;
    for address in [NOBODY, ADA, "JOE@Example.com"] {
        signs_in(&ctx, address, "wrong horse").await.expect_err("wrong");
    }
    let found = async |address: &str| {
        let filter = Filter { address: Some(email(address)), since: None };
        let page = audit::list(&project, 0, 100, &filter).await.expect("listed");
        assert_eq!((page.next, page.end), (None, 5));
        page.entries.iter().map(|(entry, _)| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(found(NOBODY).await, [3, 5]);
    assert_eq!(found(ADA).await, [2, 4]);
    assert_eq!(found("eve@example.com").await, [0; 0]);
    assert_ne!(project.address_digest(&email(NOBODY)), elsewhere.address_digest(&email(NOBODY)));
    assert_ne!(project.address_digest(&email(NOBODY)), email(NOBODY).digest(), "a key is in it");
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended_and_begin_at_a_moment() {
    let server = Server::start().await;
    let project = six(&server).await;
    let mut seen = Vec::new();
    let mut after = Some(0);
    while let Some(seq) = after {
        let page = audit::list(&project, seq, 4, &Filter::default()).await.expect("listed");
        seen.push(page.entries.iter().map(|(entry, _)| entry.seq).collect::<Vec<_>>());
        after = page.next;
    }
    assert_eq!(seen, [vec![1, 2, 3, 4], vec![5, 6]]);
    server.clock().advance(Duration::from_secs(60));
    let since = Some(server.clock().now());
    signs_in(&ctx(&server, &project), ADA, PASSWORD).await.expect("signed in");
    let page = audit::list(&project, 0, 4, &Filter { since, address: None }).await.expect("listed");
    assert_eq!((page.entries[0].0.seq, page.entries.len()), (7, 1));
}

#[tokio::test]
async fn what_is_too_old_is_trimmed_and_the_rest_still_verifies() {
    let server = Server::with(&[("PROJECT__DEFAULT__AUDIT__KEEP", "1d")]).await;
    let project = six(&server).await;
    let (_, _, old) = whole(&project, None).await;
    server.clock().advance(Duration::from_secs(12 * 3600));
    signs_in(&ctx(&server, &project), ADA, PASSWORD).await.expect("signed in");
    server.clock().advance(Duration::from_secs(12 * 3600));
    let just_before = server.clock().now();
    server.clock().step_back(Duration::from_millis(1));
    assert_eq!(audit::trim(&project, server.clock().now()).await.expect("swept"), 0);
    assert_eq!(audit::trim(&project, just_before).await.expect("swept"), 6);
    let (first, count, head) = whole(&project, None).await;
    assert_eq!((first, count, head.seq), (7, 1, 7));
    // The entry before the first is known by its hash still, one before that is not.
    whole(&project, Some(old)).await;
    assert_eq!(broken(&project, Some(Point { hash: head.hash, ..old })).await, 6);
    let forgotten = audit::verify(&project, Some(Point { seq: 5, hash: Digest::from_bytes([0; 32]) })).await;
    assert!(matches!(forgotten, Ok(Verdict::Forgotten { first: 7 })), "{forgotten:?}");
    tamper(&project, crate::data::key(Table::Meta, &[b"audit/anchor"]), |mut value| {
        *value.last_mut().expect("a value") ^= 1;
        Some(value)
    })
    .await;
    assert_eq!(broken(&project, None).await, 7);
}

#[tokio::test]
async fn what_is_too_much_is_trimmed_in_small_steps() {
    let server = Server::with(&[("PROJECT__DEFAULT__AUDIT__MAX_ENTRIES", "100")]).await;
    let project = six(&server).await;
    let event = audit::list(&project, 5, 1, &Filter::default()).await.expect("listed").entries[0].0.event.clone();
    let many = project.store().write(move |w| {
        for _ in 0..1500 {
            crate::data::audit::append(w, &event)?;
        }
        Ok::<_, StoreError>(())
    });
    many.await.expect("written");
    assert_eq!(audit::trim(&project, server.clock().now()).await.expect("swept"), 512, "one step");
    assert_eq!(whole(&project, None).await.0, 513);
    super::sweep::round(&project, server.clock().now()).await.expect("swept");
    let (first, count, head) = whole(&project, None).await;
    assert_eq!((first, count, head.seq), (1407, 100, 1506));
    signs_in(&ctx(&server, &project), ADA, PASSWORD).await.expect("signed in");
    assert_eq!(whole(&project, Some(head)).await.2.seq, 1507, "numbers go on");
}

/// A damaged trail is trimmed like any other, and says where it is damaged until then.
#[tokio::test]
async fn a_gap_is_trimmed_with_the_rest() {
    let server = Server::with(&[("PROJECT__DEFAULT__AUDIT__KEEP", "1d")]).await;
    let project = six(&server).await;
    for seq in [2, 3, 5] {
        tamper(&project, entry_key(seq), |_| None).await;
    }
    assert_eq!(broken(&project, None).await, 2);
    server.clock().advance(Duration::from_secs(24 * 3600));
    signs_in(&ctx(&server, &project), ADA, PASSWORD).await.expect("signed in");
    assert_eq!(audit::trim(&project, server.clock().now()).await.expect("swept"), 3);
    assert_eq!(whole(&project, None).await.0, 7);
}

#[tokio::test]
async fn a_lock_is_what_the_trail_says_it_is() {
    let server = Server::start().await;
    let project = project(&server).await;
    let ctx = ctx(&server, &project);
    for _ in 0..5 {
        signs_in(&ctx, NOBODY, PASSWORD).await.expect_err("unknown");
    }
    let policy = super::attempts::policy(&ctx);
    let subject = ctx.subject(&email(NOBODY));
    let standing = project.store().read(|r| crate::data::lockouts::standing(r, &subject, &policy, ctx.now));
    assert!(matches!(standing.map_err(|error: StoreError| error), Ok(Standing::Locked(_))));
    let last = audit::last(&project, 1, &Filter::default()).await.expect("listed").entries[0].0.event.clone();
    assert_eq!((last.kind, last.user), (EventKind::LockedOut, None));
}
