//! Mail: what it proves, what it tells, how it is sent, whatever goes wrong on the way.

mod delivery;
mod notices;
mod page;
mod verification;

use keystead::auth::outbox::Tally;
use keystead::testing::Server;
use serde_json::json;

use crate::persona::{Persona, Reply};

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse";
const STRICT: (&str, &str) = ("PROJECT__DEFAULT__VERIFICATION__MODE", "strict");
const LENIENT: (&str, &str) = ("PROJECT__DEFAULT__VERIFICATION__MODE", "lenient");
const BY_MAIL: (&str, &str) = ("PROJECT__DEFAULT__VERIFICATION__DELIVERY", "mail");

async fn sign_up(anon: &Persona, email: &str) -> Reply {
    anon.post("/signup", &json!({ "email": email, "password": PASSWORD })).await
}

async fn resend(anon: &Persona, email: &str) -> Reply {
    anon.post("/verify-email/resend", &json!({ "email": email })).await
}

async fn confirm(anon: &Persona, token: &str) -> Reply {
    anon.post("/verify-email/confirm", &json!({ "token": token })).await
}

/// The token in a link.
fn token_in(link: &str) -> &str {
    link.split_once("token=").expect("a token").1.split('&').next().expect("a token")
}

/// Waits until this many attempts have ended so, in all.
async fn ended(server: &Server, wanted: impl FnMut(&Tally) -> bool) {
    server.projects().shared().wakes.tally().wait_for(wanted).await.expect("the server runs");
}
