//! The table of endpoints: what is routed, and what the OpenAPI document tells.

use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};

use super::wire::{Done, KeySet, PersonalToken, Refused, Session, SessionPayload, User, Version};
use super::{accounts, disabled, mails, service, sessions, user, verify};
use crate::http::openapi::{Answer, Api, Endpoint, Operation, Scope};

/// This dialect's document.
pub const API: Api = Api {
    title: "Nhost Auth, served by Keystead",
    description: "Every body is JSON, but for the empty one of 429. Schemas are closed: a field they do not name is refused. An unknown \
                  path is 404, a wrong method 405 with `Allow`; both are a `Refused`.",
    endpoints,
    every,
};

/// What each request may carry, and what each may be answered before its handler is reached.
fn every(operation: &mut Operation, scope: &Scope<'_>) {
    let id = ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
    let id = id.enum_values(scope.project.map(|id| [id.to_string()]));
    let description = "The project. Without it, the host name says which, or it is the only one there is.";
    operation.header_parameter("project-id", description, id.build());
    operation.answer(Answer::of::<Refused>(400, "Several projects are served, and the request names none."));
    operation.answer(Answer::of::<Refused>(404, "There is no such project."));
    operation.answer(Answer::of::<Refused>(409, "The project is switched off (`disabled-endpoint`)."));
    operation.answer(Answer::empty(429, "The client sent too many requests.").with_retry_after());
    operation.answer(Answer::of::<Refused>(500, "A defect of the server."));
    operation.answer(Answer::of::<Refused>(503, "The server cannot do it now.").with_retry_after());
}

/// The endpoints of the contract, sections 1 and 5.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut all = here();
    all.extend(mails::endpoints());
    all.extend(verify::endpoints());
    all.extend(disabled::endpoints());
    all
}

fn here() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/healthz", "healthz", service::healthz)
            .summary("Whether the server answers")
            .answer(Answer::of::<Done>(200, "It does.")),
        Endpoint::get("/version", "version", service::version).summary("Which version answers").answer(Answer::of::<
            Version,
        >(
            200,
            "This one.",
        )),
        Endpoint::get("/.well-known/jwks.json", "jwks", service::jwks)
            .summary("The keys that access tokens are checked with")
            .answer(Answer::of::<KeySet>(200, "None where they are secrets.")),
        Endpoint::post("/signup/email-password", "signUpEmailPassword", accounts::sign_up)
            .summary("Make an account with a password")
            .answer(Answer::of::<SessionPayload>(
                200,
                "Signed in; without a session where the address must be proved first.",
            ))
            .answer(Answer::of::<Refused>(400, "A wish that is not granted, or a password that is not taken."))
            .answer(Answer::of::<Refused>(401, "The address is not admitted, or the account waits for an operator."))
            .answer(Answer::of::<Refused>(403, "Sign-up is off (`signup-disabled`)."))
            .answer(Answer::of::<Refused>(409, "The address has an account (`user-already-exists`).")),
        Endpoint::post("/signin/email-password", "signInEmailPassword", accounts::sign_in)
            .summary("Sign in with a password")
            .answer(Answer::of::<SessionPayload>(200, "Signed in."))
            .answer(Answer::of::<Refused>(401, "Address or password is wrong, or the account may not be used.")),
        Endpoint::post("/signin/anonymous", "signInAnonymous", accounts::sign_in_anonymously)
            .summary("Make an account without any credential, and sign in")
            .answer(Answer::of::<SessionPayload>(200, "Signed in."))
            .answer(Answer::of::<Refused>(403, "Sign-up is off (`signup-disabled`)."))
            .answer(Answer::of::<Refused>(409, "It is switched off (`disabled-endpoint`).")),
        Endpoint::post("/user/deanonymize", "deanonymizeUser", accounts::deanonymize)
            .summary("Give an account without any credential an address")
            .description(
                "With a password, or to sign in by links. Where a link goes out, all sessions end; else they go on.",
            )
            .answer(Answer::of::<Done>(200, "It has one; perhaps a mail is on its way."))
            .answer(Answer::of::<Refused>(
                400,
                "The account has an address already, the password is missing or not taken, or a wish is not granted.",
            ))
            .answer(Answer::of::<Refused>(401, "The address is not admitted."))
            .answer(Answer::of::<Refused>(409, "The address has an account (`user-already-exists`).")),
        Endpoint::post("/pat", "createPAT", sessions::make_personal)
            .summary("Make a personal access token")
            .description("It begins sessions until it expires, or all of the account's end.")
            .answer(Answer::of::<PersonalToken>(200, "The token, shown this once."))
            .answer(Answer::of::<Refused>(400, "There are too many already.")),
        Endpoint::post("/signin/pat", "signInPAT", sessions::sign_in_personal)
            .summary("Sign in with a personal access token")
            .answer(Answer::of::<SessionPayload>(200, "Signed in. The token goes on working."))
            .answer(Answer::of::<Refused>(
                401,
                "The token is unknown, expired or revoked, or the account may not be used.",
            ))
            .answer(Answer::of::<Refused>(403, "The account is anonymous (`forbidden-anonymous`).")),
        Endpoint::post("/token", "refreshToken", sessions::token)
            .summary("Exchange a refresh token")
            .description("The token is good once. Presented again after a short grace, it ends its session.")
            .answer(Answer::of::<Session>(200, "The session's next tokens."))
            .answer(Answer::of::<Refused>(401, "The refresh token is unknown, used, expired or revoked.")),
        Endpoint::post("/token/verify", "verifyToken", sessions::verify)
            .summary("Ask whether an access token counts")
            .description("That of the body, else the bearer. One whose session has ended does not.")
            .answer(Answer::of::<Done>(200, "It does."))
            .answer(Answer::of::<Refused>(401, "The bearer's account may not be used."))
            .answer(Answer::of::<Refused>(403, "The bearer's account is anonymous.")),
        Endpoint::post("/signout", "signOut", sessions::sign_out)
            .summary("End a session, or all")
            .description(
                "The session of `refreshToken`; with `all` every one of the bearer's account. An unknown token is of a \
                          session that has ended.",
            )
            .answer(Answer::of::<Done>(200, "It has ended.")),
        Endpoint::get("/user", "getUser", user::user)
            .summary("Read the signed-in account")
            .answer(Answer::of::<User>(200, "The account as stored now.")),
    ]
}
