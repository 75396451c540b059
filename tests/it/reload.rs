//! Settings that change while the server runs, seen from outside and from within.

use std::sync::Arc;

use keystead::admin::NotReloaded;
use keystead::auth::projects::Selector;
use keystead::config::Problems;
use keystead::testing::Server;
use serde_json::json;

use crate::persona::Persona;

fn keys(refused: NotReloaded) -> Vec<String> {
    let NotReloaded::Settings(Problems(problems)) = refused else { unreachable!("a matter of settings: {refused}") };
    problems.into_iter().map(|problem| problem.key).collect()
}

#[tokio::test]
async fn the_next_request_is_judged_by_the_new_settings() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (ada, _) = anon.sign_up("ada@example.com", "correct horse").await;
    let reloaded = server.reload(&[("PROJECT__DEFAULT__PASSWORD__MIN_LENGTH", "12")]).await.expect("well");
    // The project is declared from now on, which it was not before.
    assert!(reloaded.changed.contains(&"project.default.password.min_length".to_owned()), "{reloaded:?}");
    assert_eq!((reloaded.needs_restart, reloaded.made, reloaded.undeclared), (vec![], vec![], vec![]));
    let body = json!({ "email": "bob@example.com", "password": "elevenchars" });
    assert_eq!(anon.post("/signup", &body).await.status, 422);
    assert_eq!(ada.get("/me").await.status, 200, "who is signed in stays so");

    let reloaded = server.reload(&[]).await.expect("well");
    assert_eq!(reloaded.undeclared, ["default"]);
    assert_eq!(anon.post("/signup", &body).await.status, 201);
}

#[tokio::test]
async fn an_open_project_keeps_what_it_remembers() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    anon.sign_up("ada@example.com", "correct horse").await;
    for _ in 0..5 {
        assert_eq!(anon.sign_in("ada@example.com", "guess").await.status, 401);
    }
    let before = server.projects().find(Selector::Only).await.expect("a project").expect("a project");
    server.reload(&[("PROJECT__DEFAULT__LOCKOUT__WINDOW", "20m")]).await.expect("well");
    let after = server.projects().find(Selector::Only).await.expect("a project").expect("a project");
    // Attempts in flight, verified tokens and living sessions are this object's.
    assert!(Arc::ptr_eq(&before, &after));
    assert_eq!(before.settings().lockout.window, std::time::Duration::from_secs(20 * 60));
    assert_eq!(anon.sign_in("ada@example.com", "correct horse").await.status, 429, "the lock holds");
}

#[tokio::test]
async fn a_project_that_is_declared_now_is_made_and_one_that_is_no_more_stays() {
    let server = Server::start().await;
    let shop = [("PROJECT__DEFAULT__CONCEAL", "false"), ("PROJECT__SHOP__HOSTS", "shop.example")];
    assert_eq!(server.reload(&shop).await.expect("well").made, ["shop"]);
    let made = server.projects().find(Selector::Host("shop.example")).await.expect("a project").expect("a project");
    Persona::anon(&server).in_project(Some(&made.id().to_string())).sign_up("ada@example.com", "correct horse").await;

    let reloaded = server.reload(&shop[..1]).await.expect("well");
    assert_eq!((reloaded.made, reloaded.undeclared), (vec![], vec!["shop".to_owned()]));
    assert!(server.projects().find(Selector::Host("shop.example")).await.expect("an answer").is_none());
    let stays = server.projects().find(Selector::Slug("shop")).await.expect("a project").expect("a project");
    assert_eq!(stays.id(), made.id());
}

#[tokio::test]
async fn what_does_not_fit_the_projects_there_are_changes_nothing() {
    let first = [("PROJECT__DEFAULT__HOSTS", "a.example"), ("PROJECT__SHOP__HOSTS", "shop.example")];
    let server = Server::with(&first).await;
    let id = server.projects().find(Selector::Slug("shop")).await.expect("a project").expect("a project").id();
    // `default` is declared no more, but is there; the new one claims another's id; `ca_file` cannot be read.
    let wrong = [
        ("PROJECT__SHOP__HOSTS", "b.example"),
        ("PROJECT__SHOP__CONCEAL", "true"),
        ("PROJECT__THIRD__ID", &id.to_string()),
    ];
    assert_eq!(keys(server.reload(&wrong).await.expect_err("a clash")), ["project.third.id"]);
    let wrong = [("PROJECT__SHOP__CONCEAL", "true"), ("OUTBOUND__CA_FILE", "/nonexistent/ca.pem")];
    assert_eq!(keys(server.reload(&wrong).await.expect_err("no file")), ["outbound.ca_file"]);
    let wrong = [("PROJECT__SHOP__CONCEAL", "maybe"), ("PROJECT__SHOP__LOCKOUT__FAILURES", "0")];
    assert_eq!(server.reload(&wrong).await.map_err(keys).expect_err("mistakes").len(), 2);

    let shop = server.projects().find(Selector::Host("shop.example")).await.expect("a project").expect("a project");
    assert!(!shop.settings().conceal);
    assert_eq!(server.projects().count(), 2);
    assert!(server.projects().settings().projects.contains_key("default"));
}

#[tokio::test]
async fn another_hash_cost_is_that_of_new_hashes_and_old_ones_are_replaced() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    anon.sign_up("ada@example.com", "correct horse").await;
    let pool = Arc::clone(&server.projects().shared().pool);
    let hashes = async |sign_ins| {
        let before = pool.hashes_computed();
        for _ in 0..sign_ins {
            anon.sign_in("ada@example.com", "correct horse").await.expect(200);
        }
        pool.hashes_computed() - before
    };
    assert_eq!(hashes(2).await, 2);
    let reloaded = server.reload(&[("HASHING__MEMORY_KIB", "64"), ("HASHING__THREADS", "2")]).await.expect("well");
    assert_eq!(
        (reloaded.changed, reloaded.needs_restart),
        (vec!["hashing.memory_kib".to_owned()], vec!["hashing.threads".to_owned()])
    );
    assert_eq!(hashes(1).await, 2, "checked at the old cost, hashed anew at the new one");
    assert_eq!(hashes(1).await, 1);
    server.reload(&[]).await.expect("well");
    assert_eq!(hashes(2).await, 3, "and back");
}

#[tokio::test]
async fn another_proxy_is_believed_from_the_next_request_on() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    anon.sign_up("ada@example.com", "correct horse").await;
    let guess = async |from: &str| anon.forwarded_for(from).sign_in("ada@example.com", "guess").await.status;
    for _ in 0..5 {
        assert_eq!(guess("192.0.2.1").await, 401);
    }
    assert_eq!(guess("192.0.2.2").await, 429, "nobody is believed: all guesses are one client's");
    server.reload(&[("LISTEN__TRUSTED_PROXIES", "127.0.0.1")]).await.expect("well");
    assert_eq!(guess("192.0.2.2").await, 401, "the proxy speaks for another client");
}

#[tokio::test]
async fn links_follow_the_public_url() {
    let server = Server::start().await;
    let issuer = || {
        let project = server.projects().all_open().remove(0);
        project.settings().public_url.clone().expect("a URL")
    };
    let first = issuer();
    server.reload(&[("LISTEN__PUBLIC_URL", "https://auth.example.com")]).await.expect("well");
    assert_eq!(issuer(), "https://auth.example.com");
    server.reload(&[]).await.expect("well");
    assert_eq!((issuer(), first.as_str()), (server.url().to_owned(), server.url()));
    let named = Server::with(&[("LISTEN__PUBLIC_URL", "https://auth.example.com")]).await;
    named.reload(&[]).await.expect("well");
    assert_eq!(named.projects().default_url().as_str(), named.url(), "what was configured is forgotten");
}
