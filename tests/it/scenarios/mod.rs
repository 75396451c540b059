//! One story, every dialect: what all of them do is told once and run through each, against the same assertions.

mod access;
mod errors;
mod passwords;
mod sessions;

use keystead::testing::Server;
use reqwest::Method;
use serde_json::json;

use crate::persona::{Persona, Reply};

/// How a dialect spells what every dialect does.
pub struct Spelling {
    /// Its name, for messages.
    pub name: &'static str,
    /// Somebody who speaks it.
    pub speaks: fn(&Persona) -> Persona,
    /// Where a sign-in's answer has the token.
    pub token: &'static str,
    /// The key of an error's text.
    pub text: &'static str,
    /// A sign-up that made an account.
    pub made: u16,
    /// A sign-up with an address that has one.
    pub taken: (u16, &'static str),
    /// A wrong address or password.
    pub wrong: (u16, &'static str),
    /// After too many of them: 429 with this text.
    pub locked: &'static str,
    /// A token that does not count (any more).
    pub unauthenticated: &'static str,
    /// How a password is changed: method, path, the fields of the current and the new one.
    pub change: (Method, &'static str, &'static str, &'static str),
    /// With a wrong current one.
    pub wrong_current: (u16, &'static str),
}

/// Every dialect there is.
pub const DIALECTS: [Spelling; 2] = [
    Spelling {
        name: "noma",
        speaks: Persona::speaking_noma,
        token: "access_token",
        text: "message",
        made: 201,
        taken: (422, "The email has already been taken."),
        wrong: (401, "Invalid credentials."),
        locked: "Invalid credentials.",
        unauthenticated: "Unauthenticated.",
        change: (Method::POST, "/change-password", "current_password", "new_password"),
        wrong_current: (422, "The current password is incorrect."),
    },
    Spelling {
        name: "nora",
        speaks: Persona::speaking_nora,
        token: "token",
        text: "error",
        made: 200,
        taken: (409, "Account already exists for this email"),
        wrong: (401, "Invalid email or password"),
        locked: "Too many attempts, please try again later",
        unauthenticated: "Invalid or expired session",
        change: (Method::PATCH, "/password", "currentPassword", "newPassword"),
        wrong_current: (401, "Current password is incorrect"),
    },
];

impl Spelling {
    /// Somebody without an account.
    pub fn anon(&self, server: &Server) -> Persona {
        (self.speaks)(&Persona::anon(server))
    }

    /// Makes an account.
    pub async fn sign_up(&self, anon: &Persona, email: &str, password: &str) {
        anon.post("/signup", &json!({ "email": email, "password": password })).await.expect(self.made);
    }

    /// Signs in and becomes that user.
    pub async fn signed_in(&self, anon: &Persona, email: &str, password: &str) -> Persona {
        anon.with_token(anon.sign_in(email, password).await.expect(200).text_at(self.token))
    }

    /// Makes an account and signs in.
    pub async fn newcomer(&self, anon: &Persona, email: &str, password: &str) -> Persona {
        self.sign_up(anon, email, password).await;
        self.signed_in(anon, email, password).await
    }

    /// Asks for another password.
    pub async fn change_password(&self, user: &Persona, current: &str, new: &str) -> Reply {
        let (method, path, current_field, new_field) = &self.change;
        let body = json!({ *current_field: current, *new_field: new }).to_string().into_bytes();
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
        let reply = user.get("/me").await;
        assert_eq!(self.refused(&reply, 401), self.unauthenticated, "{}", self.name);
    }

    /// Says that a refusal is for a lock, and for how many seconds more.
    #[track_caller]
    pub fn locked_for(&self, reply: &Reply) -> u64 {
        assert_eq!(self.refused(reply, 429), self.locked, "{}", self.name);
        reply.headers["retry-after"].to_str().expect("text").parse().expect("seconds")
    }
}
