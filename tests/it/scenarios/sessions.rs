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
            let again = anon.try_sign_up(spelling, OTHER).await;
            assert_eq!(dialect.refused(&again, dialect.taken.0), dialect.taken.1);
            dialect.signed_in(&anon, spelling, PASSWORD).await.who().await.expect(200);
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
            ada.who().await.expect(200);
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
        if let Some((status, text)) = dialect.wrong_current {
            let wrong = dialect.change_password(&here, WRONG, OTHER).await;
            assert_eq!(dialect.refused(&wrong, status), text);
        }
        there.who().await.expect(200);
        dialect.change_password(&here, PASSWORD, OTHER).await.expect(200);
        here.who().await.expect(200);
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
        let Some((status, _)) = dialect.wrong_current else { continue };
        let server = Server::start().await;
        let anon = dialect.anon(&server);
        let ada = dialect.newcomer(&anon, ADA, PASSWORD).await;
        for _ in 0..5 {
            dialect.change_password(&ada, WRONG, OTHER).await.expect(status);
        }
        assert_eq!(dialect.locked_for(&dialect.change_password(&ada, PASSWORD, OTHER).await), 900);
        assert_eq!(dialect.locked_for(&anon.sign_in(ADA, PASSWORD).await), 900);
        ada.who().await.expect(200);
    }
}

#[tokio::test]
async fn a_logout_ends_this_session_and_no_other() {
    for dialect in DIALECTS {
        let server = Server::start().await;
        let anon = dialect.anon(&server);
        let here = dialect.newcomer(&anon, ADA, PASSWORD).await;
        let there = dialect.signed_in(&anon, ADA, PASSWORD).await;
        here.who().await.expect(200);
        here.log_out().await.expect(200);
        dialect.is_out(&here).await;
        there.who().await.expect(200);
    }
}

#[tokio::test]
async fn what_an_operator_ends_has_ended_at_the_next_request() {
    for dialect in DIALECTS {
        let server = Server::start().await;
        let default = project(&server, "default").await;
        let anon = dialect.anon(&server);
        let ada = dialect.newcomer(&anon, ADA, PASSWORD).await;
        ada.who().await.expect(200);
        accounts::disable(&default, operator(&server), account(ADA)).await.expect("disabled");
        dialect.is_out(&ada).await;
        let reply = anon.sign_in(ADA, PASSWORD).await;
        assert_eq!(dialect.refused(&reply, dialect.disabled.0), dialect.disabled.1);
        accounts::enable(&default, operator(&server), account(ADA)).await.expect("enabled");
        dialect.is_out(&ada).await;
        let ada = dialect.signed_in(&anon, ADA, PASSWORD).await;
        accounts::delete(&default, operator(&server), account(ADA)).await.expect("deleted");
        dialect.is_out(&ada).await;
        dialect.newcomer(&anon, ADA, PASSWORD).await.who().await.expect(200);
        dialect.is_out(&ada).await;
    }
}

/// What one dialect does to an account, the others feel: a lock, a changed password, the end of all sessions.
#[tokio::test]
async fn what_is_done_through_one_dialect_is_felt_in_the_others() {
    for one in DIALECTS {
        for other in DIALECTS.iter().filter(|other| other.name != one.name) {
            let server = Server::start().await;
            let (anon, there) = (one.anon(&server), other.anon(&server));
            let (here, elsewhere) =
                (one.newcomer(&anon, ADA, PASSWORD).await, other.signed_in(&there, ADA, PASSWORD).await);
            one.change_password(&here, PASSWORD, OTHER).await.expect(200);
            here.who().await.expect(200);
            other.is_out(&elsewhere).await;
            let old = there.sign_in(ADA, PASSWORD).await;
            assert_eq!(other.refused(&old, other.wrong.0), other.wrong.1);
            let elsewhere = other.signed_in(&there, ADA, OTHER).await;
            here.log_out().await.expect(200);
            elsewhere.who().await.expect(200);
            for _ in 0..5 {
                let reply = anon.sign_in(ADA, WRONG).await;
                assert_eq!(one.refused(&reply, one.wrong.0), one.wrong.1);
            }
            assert_eq!(other.locked_for(&there.sign_in(ADA, OTHER).await), 900);
            elsewhere.who().await.expect(200);
        }
    }
}
