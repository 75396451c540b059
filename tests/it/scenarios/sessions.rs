//! Accounts and sessions from sign-up to their end, through every dialect.

use std::time::Duration;

use keystead::auth::accounts;
use keystead::testing::Server;

use super::DIALECTS;
use crate::persona::{account, all_at_once, operator, project};

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse";
const OTHER: &str = "battery staple";
const WRONG: &str = "wrong horse";

#[tokio::test]
async fn an_account_is_made_once_and_signs_in() {
    for dialect in DIALECTS {
        let server = Server::start().await;
        let anon = dialect.anon(&server);
        dialect.sign_up(&anon, ADA, PASSWORD).await;
        for spelling in [ADA, "ADA@example.com", " ada@EXAMPLE.com "] {
            let body = serde_json::json!({ "email": spelling, "password": OTHER });
            let again = anon.post("/signup", &body).await;
            assert_eq!(dialect.refused(&again, dialect.taken.0), dialect.taken.1);
            dialect.signed_in(&anon, spelling, PASSWORD).await.get("/me").await.expect(200);
        }
        let (wrong, unknown) = (anon.sign_in(ADA, OTHER).await, anon.sign_in("eve@example.com", OTHER).await);
        assert_eq!(dialect.refused(&wrong, dialect.wrong.0), dialect.wrong.1);
        assert_eq!((wrong.status, &wrong.body), (unknown.status, &unknown.body), "{}", dialect.name);
    }
}

#[tokio::test]
async fn an_account_of_one_dialect_is_one_of_all() {
    for made_by in DIALECTS {
        let server = Server::start().await;
        made_by.sign_up(&made_by.anon(&server), ADA, PASSWORD).await;
        for used_by in DIALECTS {
            let ada = used_by.signed_in(&used_by.anon(&server), ADA, PASSWORD).await;
            ada.get("/me").await.expect(200);
            // A token is its own dialect's only.
            for other in DIALECTS.iter().filter(|other| other.name != used_by.name) {
                other.is_out(&(other.speaks)(&ada)).await;
            }
        }
    }
}

#[tokio::test]
async fn five_wrong_passwords_lock_and_time_lets_go() {
    for dialect in DIALECTS {
        let server = Server::start().await;
        let anon = dialect.anon(&server);
        dialect.sign_up(&anon, ADA, PASSWORD).await;
        for email in [ADA, "nobody@example.com"] {
            for _ in 0..5 {
                let reply = anon.sign_in(email, WRONG).await;
                assert_eq!(dialect.refused(&reply, dialect.wrong.0), dialect.wrong.1);
            }
            let hashes = server.projects().shared().pool.hashes_computed();
            assert_eq!(dialect.locked_for(&anon.sign_in(email, PASSWORD).await), 900, "{email}");
            assert_eq!(server.projects().shared().pool.hashes_computed(), hashes, "nothing is checked while locked");
        }
        server.clock().advance(Duration::from_secs(899));
        assert_eq!(dialect.locked_for(&anon.sign_in(ADA, PASSWORD).await), 1);
        server.clock().advance(Duration::from_secs(1));
        dialect.signed_in(&anon, ADA, PASSWORD).await;
    }
}

/// At most the allowed number of hashes are computed, however many guess at once.
#[tokio::test]
async fn many_wrong_passwords_at_once_cost_five_hashes() {
    for dialect in DIALECTS {
        let unlimited =
            [("PROJECT__DEFAULT__NORA__LIMITS__LOGIN", "off"), ("PROJECT__DEFAULT__NORA__LIMITS__MUTATION", "off")];
        let server = Server::with(&unlimited).await;
        let anon = dialect.anon(&server);
        dialect.sign_up(&anon, ADA, PASSWORD).await;
        let before = server.projects().shared().pool.hashes_computed();
        let replies = all_at_once((0..200).map(|_| {
            let anon = anon.clone();
            async move { anon.sign_in(ADA, WRONG).await.status.as_u16() }
        }))
        .await;
        assert_eq!(replies.iter().filter(|status| **status == 401).count(), 5, "{}", dialect.name);
        assert_eq!(replies.iter().filter(|status| **status == 429).count(), 195, "{}", dialect.name);
        assert_eq!(server.projects().shared().pool.hashes_computed() - before, 5, "{}", dialect.name);
    }
}

#[tokio::test]
async fn a_changed_password_ends_all_other_sessions() {
    for dialect in DIALECTS {
        let server = Server::start().await;
        let anon = dialect.anon(&server);
        let here = dialect.newcomer(&anon, ADA, PASSWORD).await;
        let there = dialect.signed_in(&anon, ADA, PASSWORD).await;
        let wrong = dialect.change_password(&here, WRONG, OTHER).await;
        assert_eq!(dialect.refused(&wrong, dialect.wrong_current.0), dialect.wrong_current.1);
        there.get("/me").await.expect(200);
        dialect.change_password(&here, PASSWORD, OTHER).await.expect(200);
        here.get("/me").await.expect(200);
        dialect.is_out(&there).await;
        let old = anon.sign_in(ADA, PASSWORD).await;
        assert_eq!(dialect.refused(&old, dialect.wrong.0), dialect.wrong.1);
        dialect.signed_in(&anon, ADA, OTHER).await;
    }
}

/// A wrong current password is a guess like any other.
#[tokio::test]
async fn a_wrong_current_password_counts_towards_the_lock() {
    for dialect in DIALECTS {
        let server = Server::start().await;
        let anon = dialect.anon(&server);
        let ada = dialect.newcomer(&anon, ADA, PASSWORD).await;
        for _ in 0..5 {
            dialect.change_password(&ada, WRONG, OTHER).await.expect(dialect.wrong_current.0);
        }
        assert_eq!(dialect.locked_for(&dialect.change_password(&ada, PASSWORD, OTHER).await), 900);
        assert_eq!(dialect.locked_for(&anon.sign_in(ADA, PASSWORD).await), 900);
        ada.get("/me").await.expect(200);
    }
}

#[tokio::test]
async fn a_logout_ends_this_session_and_no_other() {
    for dialect in DIALECTS {
        let server = Server::start().await;
        let anon = dialect.anon(&server);
        let here = dialect.newcomer(&anon, ADA, PASSWORD).await;
        let there = dialect.signed_in(&anon, ADA, PASSWORD).await;
        here.get("/me").await.expect(200);
        here.post_nothing("/logout").await.expect(200);
        dialect.is_out(&here).await;
        there.get("/me").await.expect(200);
    }
}

#[tokio::test]
async fn what_an_operator_ends_has_ended_at_the_next_request() {
    for dialect in DIALECTS {
        let server = Server::start().await;
        let default = project(&server, "default").await;
        let anon = dialect.anon(&server);
        let ada = dialect.newcomer(&anon, ADA, PASSWORD).await;
        ada.get("/me").await.expect(200);
        accounts::disable(&default, operator(&server), account(ADA)).await.expect("disabled");
        dialect.is_out(&ada).await;
        let reply = anon.sign_in(ADA, PASSWORD).await;
        assert_eq!(dialect.refused(&reply, dialect.wrong.0), dialect.wrong.1);
        accounts::enable(&default, operator(&server), account(ADA)).await.expect("enabled");
        dialect.is_out(&ada).await;
        let ada = dialect.signed_in(&anon, ADA, PASSWORD).await;
        accounts::delete(&default, operator(&server), account(ADA)).await.expect("deleted");
        dialect.is_out(&ada).await;
        dialect.newcomer(&anon, ADA, PASSWORD).await.get("/me").await.expect(200);
        dialect.is_out(&ada).await;
    }
}
