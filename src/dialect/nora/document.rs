//! The table of endpoints: what is routed, and what the OpenAPI document tells.

use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};

use super::wire::{Bootstrap, Made, Me, Profile, Refused, Success, Token};
use super::{accounts, profile, sessions, status};
use crate::http::openapi::{Answer, Api, Endpoint, Operation, Scope};

/// This dialect's document.
pub const API: Api = Api {
    title: "Nora auth, served by Keystead",
    description: "Every body is JSON. An unknown path is 404, a wrong method 405 with `Allow`; both are a `Refused`. An \
                  unknown field is passed over. Where a limit is set, every answer says where the client stands under \
                  the last one its request passed: `RateLimit-Policy`, `RateLimit-Limit`, `RateLimit-Remaining`, \
                  `RateLimit-Reset`.",
    endpoints,
    every,
};

/// What each request may carry, and what each may be answered before its handler is reached.
fn every(operation: &mut Operation, scope: &Scope<'_>) {
    let id = ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
    let id = id.enum_values(scope.project.map(|id| [id.to_string()]));
    let description = "The project. Without it, the host name says which, or it is the only one there is.";
    operation.header_parameter("project-id", description, id.build());
    let description = "The client's own name for the request, which every answer repeats. One that is longer than 128 \
                       characters, or not of letters, digits and `-_.:/+=@`, is replaced.";
    let name = ObjectBuilder::new().schema_type(Type::String);
    operation.header_parameter("x-correlation-id", description, name.build());
    operation.answer(Answer::of::<Refused>(400, "Several projects are served, and the request names none."));
    operation.answer(Answer::of::<Refused>(403, "The project is switched off (`PROJECT_AUTH_DISABLED`)."));
    operation.answer(Answer::of::<Refused>(404, "There is no such project."));
    operation.answer(Answer::of::<Refused>(429, "The client sent too many requests.").with_retry_after());
    operation.answer(Answer::of::<Refused>(500, "A defect of the server."));
    operation.answer(Answer::of::<Refused>(503, "The server cannot do it now.").with_retry_after());
}

/// The endpoints of the contract, section 2.
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/signup", "signUp", accounts::sign_up)
            .summary("Make an account")
            .description("No session begins: sign in next.")
            .answer(Answer::of::<Made>(200, "The account is made."))
            .answer(bad_password())
            .answer(Answer::of::<Refused>(403, "Sign-up is off (`SIGNUP_DISABLED`), or the challenge was not solved."))
            .answer(Answer::of::<Refused>(409, "The address has an account.")),
        Endpoint::post("/login", "signIn", accounts::sign_in)
            .summary("Sign in with a password")
            .answer(signed_in(Answer::of::<Token>(200, "Signed in.")))
            .answer(Answer::of::<Refused>(401, "Address or password is wrong, or there is no password."))
            .answer(Answer::of::<Refused>(403, "The address must be proved first (`EMAIL_VERIFICATION_REQUIRED`)."))
            .answer(locked()),
        Endpoint::post("/oauth-login", "signInWithProvider", accounts::sign_in_with_provider)
            .summary("Sign in with a provider")
            .description("No provider can be enabled in this version. It counts as an attempt to sign in all the same.")
            .answer(Answer::of::<Refused>(403, "Sign-in with a provider is disabled.")),
        Endpoint::get("/me", "me", profile::me)
            .summary("Read the signed-in account")
            .answer(Answer::of::<Me>(200, "The account as stored now.")),
        Endpoint::patch("/profile", "changeProfile", profile::change)
            .summary("Change name, picture or language")
            .description("All that is sent changes, or nothing.")
            .answer(Answer::of::<Profile>(200, "All of it as it is now.")),
        Endpoint::patch("/password", "changePassword", sessions::change_password)
            .summary("Change the password")
            .description("All other sessions of the account end.")
            .answer(Answer::of::<Success>(200, "It is changed."))
            .answer(bad_password())
            .answer(Answer::of::<Refused>(401, "The current password is wrong."))
            .answer(locked()),
        Endpoint::post("/session-upgrade", "upgradeSession", sessions::upgrade)
            .summary("Put the bearer's token into the cookie")
            .answer(signed_in(Answer::of::<Success>(200, "The cookie is set."))),
        Endpoint::post("/logout", "signOut", sessions::sign_out)
            .summary("End the sessions of header and cookie")
            .answer(
                Answer::of::<Success>(200, "What was presented has ended.")
                    .with_header("set-cookie", "Takes `nora_auth` away."),
            ),
        Endpoint::get("/bootstrap-status", "bootstrapStatus", status::bootstrap)
            .summary("What a client must know before anyone signed in")
            .answer(Answer::of::<Bootstrap>(200, "The project as it is now.")),
    ]
}

fn signed_in(answer: Answer) -> Answer {
    answer.with_header("set-cookie", "`nora_auth`: the token.")
}

fn bad_password() -> Answer {
    Answer::of::<Refused>(400, "The new password is too common, or known from a leak.")
}

fn locked() -> Answer {
    Answer::of::<Refused>(429, "Too many failed attempts; also for the right password.").with_retry_after()
}
