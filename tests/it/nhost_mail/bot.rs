//! Which of these paths are guarded against bots (contract 0, Turnstile).

use serde_json::json;

use super::{ADA, anon, refused, server};
use crate::receiver::{Answer, Receiver};

#[tokio::test]
async fn what_sends_mails_to_strangers_asks_for_a_solved_challenge() {
    let mut service = Receiver::start(Answer::Says(200, r#"{"success":true}"#.into())).await;
    let url = service.url("/turnstile/v0/siteverify");
    let mut settings = vec![
        ("PROJECT__DEFAULT__BOT__PROVIDER", "turnstile"),
        ("PROJECT__DEFAULT__BOT__SECRET", "0x4AAAAAAA-secret"),
        ("PROJECT__DEFAULT__BOT__SITE_KEY", "0x4AAAAAAA-site"),
        ("PROJECT__DEFAULT__BOT__VERIFY_URL", &*url),
    ];
    settings.extend(service.settings());
    let server = server(&settings).await;
    let nobody = anon(&server);
    let body = json!({ "email": ADA });
    for path in [
        "/signin/passwordless/email",
        "/signin/otp/email",
        "/user/password/reset",
        "/signup/passwordless/email",
        "/signup/otp/email",
    ] {
        let missing = nobody.post(path, &body).await;
        assert_eq!(refused(&missing), (403, "missing x-cf-turnstile-response header"), "{path}");
        assert!(service.at_hand().is_none(), "nothing to ask about");
        let solved = nobody.with_header("x-cf-turnstile-response", "solved").post(path, &body).await;
        // The account is there since the first one.
        assert_eq!(solved.status.as_u16(), if path.starts_with("/signup") { 409 } else { 200 }, "{}", solved.text);
        service.next().await;
    }
    let unguarded = nobody.post("/user/email/send-verification-email", &body).await;
    assert_eq!(unguarded.status, 200, "{}", unguarded.text);
    let typed = nobody.post("/signin/otp/email/verify", &json!({ "email": ADA, "otp": "000000" })).await;
    assert_eq!(refused(&typed), (400, "invalid-otp"));
    assert!(service.at_hand().is_none());
}
