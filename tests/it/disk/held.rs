//! What must be true of a server after its disk failed: all that was acknowledged, and of the rest each whole or absent.

use keystead::testing::Server;
use serde_json::Value;

use super::life::{
    ADA, BOB, CAROL, Cast, DAVE, EVE, Is, Life, NEW, OTHER, PASSWORD, Session, WRONG, id_in, known, session_in,
};
use crate::persona::{Persona, project_id};

/// Wrong passwords that lock.
const FAILURES: usize = 5;

/// Holds a server against what was answered before the operation `end` of the disk on which they lived.
pub struct Held<'a> {
    pub cast: &'a Cast,
    pub server: &'a Server,
    pub life: &'a Life,
    pub end: u64,
}

impl Held<'_> {
    /// Checks all of it. It writes, too: the server works.
    pub async fn check(&self) {
        let anon = self.cast.anon(self.server);
        self.projects_are_apart(&anon).await;
        self.password_and_sessions(&anon).await;
        self.a_ticket_works_once().await;
        self.keys(&anon).await;
        let mut ids = self.cast.ids.clone();
        self.newcomer(&anon, &mut ids).await;
        self.failures_are_counted(&anon).await;
        self.disabled(&anon).await;
        self.deleted(&anon, &mut ids).await;
        ids.push(self.made(&anon, "last@example.com", PASSWORD).await);
        let mut distinct = ids.clone();
        distinct.sort_by_key(Value::to_string);
        distinct.dedup();
        assert_eq!(distinct.len(), ids.len(), "an id was given out twice: {ids:?}");
    }

    async fn projects_are_apart(&self, anon: &Persona) {
        let other = anon.in_project(Some(&project_id(self.server, "other")));
        assert!(self.is_in(&other, &self.cast.eve).await, "the other project has nothing to do with it");
        other.sign_in(EVE, OTHER).await.expect(200);
        assert!(!self.is_in(&other, &self.cast.here).await, "a token of one project in the other");
        other.sign_in(ADA, PASSWORD).await.expect(self.cast.spelling.wrong.0);
    }

    async fn password_and_sessions(&self, anon: &Persona) {
        let cast = self.cast;
        assert!(self.is_in(anon, &cast.here).await, "the session from which a password is changed goes on");
        let now = self.can_sign_in(anon, ADA, OTHER).await;
        let before = self.can_sign_in(anon, ADA, PASSWORD).await;
        assert_ne!(now, before, "one password works");
        assert!(known(&self.life.changed, self.end).known().is_none_or(|changed| changed == now), "the password");
        assert_eq!(
            self.lives(anon, &cast.there).await,
            before,
            "a changed password ends other sessions, and nothing else"
        );
        let (Some(refresh), refreshed) = (&cast.here.refresh, known(&self.life.refreshed, self.end)) else { return };
        if let Is::Done(new) = &refreshed {
            assert!(self.lives(anon, new).await, "what was answered works");
        }
        // Last, as the second use ends the session.
        let first = self.cast.refresh(anon, refresh).await.status;
        assert!(refreshed.known().is_none_or(|used| (first == 401) == used), "a refresh token: {first}");
        self.cast.refresh(anon, refresh).await.expect(401);
    }

    async fn a_ticket_works_once(&self) {
        let (status, works) = self.cast.use_ticket(self.server).await;
        let proved = known(&self.life.proved, self.end);
        assert!(!status.is_server_error() && proved.known().is_none_or(|used| used != works), "{proved:?}: {status}");
        assert!(!self.cast.use_ticket(self.server).await.1, "a ticket works once");
    }

    async fn keys(&self, anon: &Persona) {
        let Some(first) = &self.cast.key else { return };
        let works = self.cast.opens(anon, first).await;
        assert!(known(&self.life.revoked, self.end).known().is_none_or(|revoked| revoked != works), "a revoked key");
        if let Is::Done(second) = known(&self.life.keyed, self.end) {
            assert!(self.cast.opens(anon, &second).await, "a key that was given out");
        }
    }

    async fn newcomer(&self, anon: &Persona, ids: &mut Vec<Value>) {
        let made = known(&self.life.made, self.end);
        let is_there = self.can_sign_in(anon, NEW, PASSWORD).await;
        assert!(made.known().is_none_or(|made| made == is_there), "{made:?}");
        match made {
            Is::Done(id) => ids.push(id),
            _ if is_there => {
                anon.try_sign_up(NEW, PASSWORD).await.expect(self.cast.spelling.taken.0);
            }
            _ => ids.push(self.made(anon, NEW, PASSWORD).await),
        }
        if let Is::Done(session) = known(&self.life.entered, self.end) {
            let lives = self.lives(anon, &session).await;
            assert!(
                known(&self.life.left, self.end).known().is_none_or(|left| left != lives),
                "a session that was left"
            );
        }
    }

    async fn failures_are_counted(&self, anon: &Persona) {
        let all: Vec<_> = self.life.guesses.iter().map(|guess| known(guess, self.end)).collect();
        let counted = all.iter().filter(|guess| guess.is_done()).count();
        let doubtful = all.iter().filter(|guess| guess.known().is_none()).count();
        let mut more = 0;
        while more <= FAILURES {
            match anon.sign_in(CAROL, WRONG).await.status.as_u16() {
                401 => more += 1,
                429 => break,
                status => panic!("a wrong password: {status}"),
            }
        }
        let least = FAILURES.saturating_sub(counted + doubtful);
        assert!((least..=FAILURES - counted).contains(&more), "{counted} counted, {doubtful} in doubt, {more} more");
    }

    async fn disabled(&self, anon: &Persona) {
        let (status, _) = self.cast.spelling.disabled;
        let reply = anon.sign_in(DAVE, PASSWORD).await;
        let may = reply.status == 200;
        assert!(may || reply.status == status, "{}", reply.text);
        assert_eq!(self.lives(anon, &self.cast.dave).await, may, "whoever is switched off is out everywhere");
        assert!(known(&self.life.disabled, self.end).known().is_none_or(|disabled| disabled != may));
    }

    async fn deleted(&self, anon: &Persona, ids: &mut Vec<Value>) {
        let (deleted, again) = (known(&self.life.deleted, self.end), known(&self.life.made_again, self.end));
        let first = self.can_sign_in(anon, BOB, PASSWORD).await;
        assert_eq!(self.lives(anon, &self.cast.bob).await, first, "who is deleted is out");
        assert!(deleted.known().is_none_or(|deleted| deleted != first), "{deleted:?}");
        let second = self.can_sign_in(anon, BOB, OTHER).await;
        assert!(again.known().is_none_or(|again| again == second) && !(first && second), "{again:?}");
        match again {
            Is::Done(id) => ids.push(id),
            _ if !first && !second => ids.push(self.made(anon, BOB, OTHER).await),
            _ => {}
        }
    }

    /// Makes an account, and its id.
    async fn made(&self, anon: &Persona, email: &str, password: &str) -> Value {
        id_in(self.cast.spelling, &anon.try_sign_up(email, password).await.expect(self.cast.spelling.made))
    }

    /// Whether a password is right; what begins with it works.
    async fn can_sign_in(&self, anon: &Persona, email: &str, password: &str) -> bool {
        let reply = anon.sign_in(email, password).await;
        if reply.status != 200 {
            assert_eq!(reply.status.as_u16(), self.cast.spelling.wrong.0, "{}", reply.text);
            return false;
        }
        assert!(self.is_in(anon, &session_in(self.cast.spelling, &reply)).await);
        true
    }

    async fn is_in(&self, anon: &Persona, session: &Session) -> bool {
        let reply = anon.with_token(&session.access).who().await;
        if reply.status != 200 {
            assert_eq!(self.cast.spelling.refused(&reply, 401), self.cast.spelling.unauthenticated);
        }
        reply.status == 200
    }

    /// Whether a session is one: all its tokens say the same. Uses up its refresh token.
    async fn lives(&self, anon: &Persona, session: &Session) -> bool {
        let is_in = self.is_in(anon, session).await;
        if let Some(refresh) = &session.refresh {
            let status = self.cast.refresh(anon, refresh).await.status;
            assert_eq!(status.as_u16(), if is_in { 200 } else { 401 }, "both tokens of a session");
        }
        is_in
    }
}
