//! The table of endpoints: what is routed, and what the OpenAPI document tells.

use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};

use super::wire::{
    Confirmed, Invalid, Key, Keys, Locked, Me, Message, Proved, Resent, TokenPayload, VerificationRequired,
};
use super::{accounts, api_keys, sessions, verification};
use crate::http::openapi::{Answer, Api, Endpoint, Operation, Scope};

/// This dialect's document.
pub const API: Api = Api {
    title: "NomaCMS project auth, served by Keystead",
    description: "Every body is JSON. An unknown path is 404, a wrong method 405 with `Allow`; both are a `Message`. \
                  Text fields are trimmed but for passwords and tokens, and an empty one counts as absent; an \
                  unknown field is passed over.",
    endpoints,
    every,
};

/// What each request may carry, and what each may be answered before its handler is reached.
fn every(operation: &mut Operation, scope: &Scope<'_>) {
    let id = ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
    let id = id.enum_values(scope.project.map(|id| [id.to_string()]));
    let description = "The project. Without it, the host name says which, or it is the only one there is.";
    operation.header_parameter("project-id", description, id.build());
    operation.answer(Answer::of::<Message>(400, "Several projects are served, and the request names none."));
    operation.answer(Answer::of::<Message>(403, "The project is switched off (`project_auth_disabled`)."));
    operation.answer(Answer::of::<Message>(404, "There is no such project."));
    operation.answer(Answer::of::<Message>(429, "The client sent too many requests.").with_retry_after());
    operation.answer(Answer::of::<Message>(500, "A defect of the server."));
    operation.answer(Answer::of::<Message>(503, "The server cannot do it now.").with_retry_after());
}

/// The 13 endpoints of the contract, section 3, and the extension.
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/signup", "signUp", accounts::sign_up)
            .summary("Make an account")
            .answer(Answer::of::<TokenPayload>(201, "The account is made, and signed in."))
            .answer(Answer::of::<VerificationRequired>(202, "The account is made; its address must be proved first."))
            .answer(Answer::of::<Message>(403, "Sign-up is off (`signup_disabled`)."))
            .answer(Answer::of::<Message>(403, "The bot check was not passed (`bot_protection_failed`)."))
            .answer(Answer::of::<Invalid>(
                422,
                "The address has an account, or the password is too common or known from a leak.",
            )),
        Endpoint::post("/login", "signIn", accounts::sign_in)
            .summary("Sign in with a password")
            .answer(Answer::of::<TokenPayload>(200, "Signed in."))
            .answer(Answer::of::<Message>(401, "Address or password is wrong."))
            .answer(unproved())
            .answer(locked()),
        Endpoint::post("/login/social", "signInWithSocial", accounts::sign_in_social)
            .summary("Sign in with a provider's ID token")
            .description("No provider can be enabled in this version: each is an unknown one.")
            .answer(Answer::of::<Invalid>(422, "The provider is unknown.")),
        Endpoint::post("/refresh", "refresh", sessions::refresh)
            .summary("Exchange a refresh token")
            .description("The token is good once. Presented again after a short grace, it ends its session.")
            .answer(Answer::of::<TokenPayload>(200, "The session's next tokens."))
            .answer(Answer::of::<Message>(401, "The refresh token is unknown, used, expired or revoked."))
            .answer(unproved()),
        Endpoint::get("/me", "me", sessions::me)
            .summary("Read the signed-in user")
            .answer(Answer::of::<Me>(200, "The user as stored now.")),
        Endpoint::post("/change-password", "changePassword", sessions::change_password)
            .summary("Change the password")
            .description("All other sessions of the user end.")
            .answer(Answer::of::<Message>(200, "It is changed."))
            .answer(Answer::of::<Invalid>(
                422,
                "The current password is wrong, or the new one the same, too common or known from a leak.",
            ))
            .answer(locked()),
        Endpoint::post("/logout", "signOut", sessions::sign_out).summary("End this session").answer(Answer::of::<
            Message,
        >(
            200,
            "It has ended, and its tokens with it.",
        )),
        Endpoint::post("/logout-all", "signOutAll", sessions::sign_out_all)
            .summary("End all sessions of the user")
            .answer(Answer::of::<Message>(200, "They have ended, this one too.")),
        Endpoint::post("/verify-email/resend", "resendVerification", verification::resend)
            .summary("Ask for a new verification token")
            .description("The answer is the same whether the address has an account or not.")
            .answer(Answer::of::<Resent>(200, "Done, or asked too soon.")),
        Endpoint::post("/verify-email/confirm", "confirmVerification", verification::confirm)
            .summary("Prove an address")
            .description("By the token, or by the code of the mail that brought it, typed in any case.")
            .answer(Answer::of::<Confirmed>(200, "The address is proved; no session begins."))
            .answer(Answer::of::<Invalid>(422, "The token is unknown, used or expired."))
            .answer(guessed()),
        Endpoint::get("/api-keys", "listApiKeys", api_keys::list)
            .summary("List the user's API keys")
            .answer(Answer::of::<Keys>(200, "All of them, newest first, also revoked and expired ones.")),
        Endpoint::post("/api-keys", "createApiKey", api_keys::create)
            .summary("Make an API key")
            .answer(Answer::of::<Key>(201, "The key with its secret, which is shown this once."))
            .answer(Answer::of::<Invalid>(422, "The user has as many keys as may be.")),
        Endpoint::post("/api-keys/{id}/revoke", "revokeApiKey", api_keys::revoke)
            .summary("Revoke an API key")
            .answer(Answer::of::<Message>(200, "It is revoked, or was before.")),
        Endpoint::post("/api-keys/verify", "verifyApiKey", api_keys::prove)
            .summary("Ask whose an API key is (an extension of Keystead)")
            .description("For your own services. It counts as a use of the key.")
            .answer(Answer::of::<Proved>(200, "The key works."))
            .answer(Answer::of::<Invalid>(422, "The key is unknown, revoked or expired.")),
    ]
}

fn unproved() -> Answer {
    Answer::of::<VerificationRequired>(403, "The address must be proved first (`email_verification_required`).")
}

fn guessed() -> Answer {
    Answer::of::<Locked>(429, "Too many wrong codes from this client; also for the right one.").with_retry_after()
}

fn locked() -> Answer {
    Answer::of::<Locked>(429, "Too many failed attempts; also for the right password.").with_retry_after()
}
