//! One story, every dialect: what all of them do is told once and run through each, against the same assertions.

mod access;
mod errors;
mod passwords;
mod sessions;

use keystead::testing::Server;
use reqwest::Method;
use serde_json::{Value, json};

use crate::persona::{Persona, Reply};

/// How a dialect spells what every dialect does.
pub struct Spelling {
    /// Its name, for messages.
    pub name: &'static str,
    /// Somebody who speaks it.
    pub speaks: fn(&Persona) -> Persona,
    /// Where a sign-in's answer has the token (RFC 6901).
    pub token: &'static str,
    /// The key of an error's text.
    pub text: &'static str,
    /// A sign-up that made an account.
    pub made: u16,
    /// A sign-up with an address that has one.
    pub taken: (u16, &'static str),
    /// A wrong address or password.
    pub wrong: (u16, &'static str),
    /// The right password of an account that is switched off.
    pub disabled: (u16, &'static str),
    /// After too many of them: 429 with this text, or with none.
    pub locked: Option<&'static str>,
    /// A token that does not count (any more).
    pub unauthenticated: &'static str,
    /// How a password is changed: method, path, the fields of the current and the new one.
    pub change: (Method, &'static str, Option<&'static str>, &'static str),
    /// With a wrong current one, where it is asked for.
    pub wrong_current: Option<(u16, &'static str)>,
    /// A sign-up with an address that is not admitted.
    pub not_admitted: (u16, &'static str),
}

/// Every dialect there is.
pub const DIALECTS: [Spelling; 3] = [
    Spelling {
        name: "noma",
        speaks: Persona::speaking_noma,
        token: "/access_token",
        text: "message",
        made: 201,
        taken: (422, "The email has already been taken."),
        wrong: (401, "Invalid credentials."),
        disabled: (401, "Invalid credentials."),
        locked: Some("Invalid credentials."),
        unauthenticated: "Unauthenticated.",
        change: (Method::POST, "/change-password", Some("current_password"), "new_password"),
        wrong_current: Some((422, "The current password is incorrect.")),
        not_admitted: (403, "This email address may not sign up."),
    },
    Spelling {
        name: "nora",
        speaks: Persona::speaking_nora,
        token: "/token",
        text: "error",
        made: 200,
        taken: (409, "Account already exists for this email"),
        wrong: (401, "Invalid email or password"),
        disabled: (401, "Invalid email or password"),
        locked: Some("Too many attempts, please try again later"),
        unauthenticated: "Invalid or expired session",
        change: (Method::PATCH, "/password", Some("currentPassword"), "newPassword"),
        wrong_current: Some((401, "Current password is incorrect")),
        not_admitted: (403, "This email address may not sign up"),
    },
    Spelling {
        name: "nhost",
        speaks: Persona::speaking_nhost,
        token: "/session/accessToken",
        text: "error",
        made: 200,
        taken: (409, "user-already-exists"),
        wrong: (401, "invalid-email-password"),
        disabled: (401, "disabled-user"),
        locked: None,
        unauthenticated: "unauthorized",
        change: (Method::POST, "/user/password", None, "newPassword"),
        wrong_current: None,
        not_admitted: (401, "invalid-email-password"),
    },
];

impl Spelling {
    /// Somebody without an account.
    pub fn anon(&self, server: &Server) -> Persona {
        (self.speaks)(&Persona::anon(server))
    }

    /// Makes an account.
    pub async fn sign_up(&self, anon: &Persona, email: &str, password: &str) {
        anon.try_sign_up(email, password).await.expect(self.made);
    }

    /// Signs in and becomes that user.
    pub async fn signed_in(&self, anon: &Persona, email: &str, password: &str) -> Persona {
        let reply = anon.sign_in(email, password).await.expect(200);
        let token = reply.body.pointer(self.token).and_then(Value::as_str).expect("a token");
        match reply.body["session"]["refreshToken"].as_str() {
            Some(refresh) => anon.with_token(token).with_refresh_token(refresh),
            None => anon.with_token(token),
        }
    }

    /// Makes an account and signs in.
    pub async fn newcomer(&self, anon: &Persona, email: &str, password: &str) -> Persona {
        self.sign_up(anon, email, password).await;
        self.signed_in(anon, email, password).await
    }

    /// Asks for another password.
    pub async fn change_password(&self, user: &Persona, current: &str, new: &str) -> Reply {
        let (method, path, current_field, new_field) = &self.change;
        let mut body = json!({ *new_field: new });
        if let Some(field) = current_field {
            body[*field] = current.into();
        }
        let body = body.to_string().into_bytes();
        user.send(method.clone(), path, Some(("application/json", body))).await
    }

    /// The text of a refusal with this status.
    #[track_caller]
    pub fn refused<'a>(&self, reply: &'a Reply, status: u16) -> &'a str {
        assert_eq!(reply.status, status, "{}: {}", self.name, reply.text);
        reply.text_at(self.text)
    }

    /// That the persona's token counts no more.
    pub async fn is_out(&self, user: &Persona) {
        let reply = user.who().await;
        assert_eq!(self.refused(&reply, 401), self.unauthenticated, "{}", self.name);
    }

    /// Says that a refusal is for a lock, and for how many seconds more.
    #[track_caller]
    pub fn locked_for(&self, reply: &Reply) -> u64 {
        match self.locked {
            Some(text) => assert_eq!(self.refused(reply, 429), text, "{}", self.name),
            None => assert_eq!((reply.status.as_u16(), reply.text.as_str()), (429, ""), "{}", self.name),
        }
        reply.headers["retry-after"].to_str().expect("text").parse().expect("seconds")
    }
}
