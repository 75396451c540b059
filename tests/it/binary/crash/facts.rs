//! What was acknowledged, held against the server that came back.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use super::account::{Account, End, Session, Spent};
use super::client::{Client, FAILURES, confirm, key_works, redeem, redeemed};
use super::dice::Dice;
use super::doors::{Api, DOORS, Door};
use super::post::Post;

const ALIVE: &str = "a living server";
/// Accounts that nothing happened to for so many rounds are seen in the operator's list, and now and then.
const OLD: usize = 2;

impl Client {
    /// Opens the mails that came: what was asked for and answered is there, unless two crashes cut its sending off.
    pub fn open_mails(&mut self, api: &Api, post: &mut Post, given_up: &BTreeSet<String>) {
        for account in &mut self.accounts {
            let Some(asked) = account.asked.take() else { continue };
            let mut came = post.take(&api.slug, &account.email);
            let what = || format!("no mail came to {}, who asked for {:?}", account.email, asked.kind);
            if asked.acknowledged && !asked.withdrawn {
                api.seen.hold(7, !came.is_empty() || given_up.contains(&account.email), what);
            }
            let last = came.pop().filter(|ticket| ticket.kind == asked.kind);
            match asked.withdrawn || account.deleted {
                true => account.spent.extend(last.map(Spent::Ticket)),
                false => account.ticket = last,
            }
            account.idle = 0;
        }
    }

    /// Holds all that was acknowledged against the server.
    pub async fn check(&mut self, api: &Api, everything: bool) {
        for account in &mut self.accounts {
            let chosen = everything || account.idle < OLD || self.dice.roll(40) == 0;
            account.idle += 1;
            if chosen {
                account.check(api, &mut self.dice).await;
                account.forget_some();
            }
        }
        if self.dice.roll(2) == 0 {
            self.check_guesses(api).await;
        }
    }

    /// Failures have not become fewer, nor more than were made.
    async fn check_guesses(&mut self, api: &Api) {
        let (email, password) = self.guessed.clone();
        let mut more = 0;
        loop {
            let door = self.dice.pick(&DOORS);
            let answer = api.sign_in(door, &email, "one-more-guess-that-is-wrong").await.expect(ALIVE);
            match answer.status {
                401 => more += 1,
                429 => break,
                status => panic!("{email}: {status} {}", answer.body),
            }
            api.seen.hold(4, more <= FAILURES, || format!("{email} is never locked"));
        }
        let (least, most) = (self.guesses + more, self.guesses + self.guesses_in_doubt + more);
        let what = || {
            format!("{email}: {} answered, {} in doubt, {more} until it is locked", self.guesses, self.guesses_in_doubt)
        };
        api.seen.hold(4, least <= FAILURES && FAILURES <= most, what);
        if let Some(password) = password {
            let door = self.dice.pick(&DOORS);
            let status = api.sign_in(door, &email, &password).await.expect(ALIVE).status;
            api.seen.hold(4, status == 429, || format!("{email} is locked, and its password answered {status}"));
            let unlocked = api.operate(Method::POST, "/unlock", Some(json!({ "email": email }))).await.expect(ALIVE);
            assert_eq!(unlocked.status, 200, "{}", unlocked.body);
            let status = api.sign_in(door, &email, &password).await.expect(ALIVE).status;
            api.seen.hold(7, status == 200, || format!("{email} was unlocked, and its password answered {status}"));
        }
        self.guess_at_another();
        if self.dice.roll(2) == 0 {
            let (email, password) = (self.guessed.0.clone(), self.dice.password());
            let answer = api.sign_up(Door::Nora, &email, &password).await.expect(ALIVE);
            assert_eq!(answer.status, 200, "{}", answer.body);
            let id = Door::Nora.id(&answer.body).expect("an id");
            api.seen.id(&api.slug, &id, &email);
            self.victims.push(email.clone());
            self.guessed = (email, Some(password));
        }
    }
}

/// Who was to get a mail that two crashes cut off: it may have come, and is not sent a third time but for the operator.
pub async fn given_up(api: &Api) -> BTreeSet<String> {
    let dead = api.read("/outbox?state=dead&limit=200").await;
    let mut to = BTreeSet::new();
    for item in dead["items"].as_array().expect("a page of mails") {
        if item["last_error"].as_str().is_some_and(|why| why.starts_with("cut off twice by a crash")) {
            to.insert(item["recipient"].as_str().expect("an address").to_owned());
        }
    }
    to
}

/// The operator's list has the accounts that there are, no other, and no id or number twice; the audit trail goes on from
/// where it was (`head`, which is moved on).
pub async fn check_lists(api: &Api, clients: &[Client], head: &mut Option<String>) {
    let there = clients.iter().flat_map(|client| &client.accounts).filter(|account| !account.deleted);
    let mut expected: BTreeSet<_> = there.map(|account| (account.email.clone(), Some(account.id.clone()))).collect();
    expected.extend(clients.iter().flat_map(|client| &client.victims).map(|email| (email.clone(), None)));
    let (mut after, mut found) = (String::new(), BTreeSet::new());
    loop {
        let page = api.read(&format!("/users?limit=200{after}")).await;
        for user in page["users"].as_array().expect("a page of accounts") {
            let text = |key: &str| user[key].as_str().unwrap_or_default().to_owned();
            let (email, id) = (text("email"), text("id"));
            api.seen.id(&api.slug, &format!("number {}", user["number"]), &id);
            let is_victim = email.contains("-guessed-");
            api.seen.hold(7, found.insert((email.clone(), Some(id).filter(|_| !is_victim))), || {
                format!("{email} is there twice")
            });
        }
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let what = |these: &BTreeSet<_>, those: &BTreeSet<_>| {
        these.difference(those).take(5).cloned().collect::<Vec<(String, Option<String>)>>()
    };
    api.seen.hold(7, found == expected, || {
        format!("of {}: missing {:?}, unknown {:?}", api.slug, what(&expected, &found), what(&found, &expected))
    });
    let expect = head.as_ref().map_or(String::new(), |head| format!("?expect={head}"));
    let verdict = api.read(&format!("/audit/verify{expect}")).await;
    api.seen.hold(7, verdict["ok"] == true, || format!("the audit trail of {}: {verdict}", api.slug));
    let (seq, hash) = (&verdict["head"]["seq"], verdict["head"]["hash"].as_str().expect("a hash"));
    *head = Some(format!("{seq}:{hash}"));
}

impl Account {
    async fn check(&mut self, api: &Api, dice: &mut Dice) {
        self.check_passwords(api, dice.pick(&DOORS)).await;
        for session in &mut self.sessions {
            session.check(api, dice, &self.id, &self.email).await;
        }
        for key in &self.keys {
            // A key of an account that is switched off is another matter: it comes back with it.
            if !self.disabled || !key.live {
                let works = key_works(api, key).await;
                let (sentence, email) = (if key.live { 7 } else { 2 }, &self.email);
                api.seen.hold(sentence, works == key.live, || format!("{:?} of {email} works: {works}", key.kind));
            }
        }
        for spent in &self.spent {
            let works = match spent {
                Spent::Ticket(ticket) => redeemed(&redeem(api, ticket, &dice.password()).await.expect(ALIVE)),
                Spent::Token(token) => confirm(api, token).await.expect(ALIVE).status == 200,
            };
            api.seen.hold(1, !works, || format!("a secret of a mail to {} works again", self.email));
        }
    }

    async fn check_passwords(&mut self, api: &Api, door: Door) {
        let email = self.email.clone();
        let status = async |password: &str| {
            let answer = api.sign_in(door, &email, password).await.expect(ALIVE);
            assert!(matches!(answer.status, 200 | 401 | 429), "{email}: {} {}", answer.status, answer.body);
            answer.status
        };
        // A deleted address may have another account meanwhile, whose failures these would be.
        if self.deleted {
            let path = format!("/users/{}", self.id);
            let status = api.operate(Method::GET, &path, None).await.expect(ALIVE).status;
            api.seen.hold(7, status == 404, || format!("{} was deleted, and is answered {status}", self.email));
            return;
        }
        // Once: where there is no password since, failures would add up to a lock.
        if let Some(former) = self.former.take() {
            let (sentence, status) = (if self.proved { 8 } else { 2 }, status(&former).await);
            api.seen.hold(sentence, status != 200, || format!("a former password of {} works", self.email));
        }
        let Some(password) = &self.password else { return };
        let (status, expected) = (status(password).await, if self.disabled { 401 } else { 200 });
        api.seen.hold(if self.disabled { 2 } else { 7 }, status == expected, || {
            format!("{} signs in (switched off: {}), and is answered {status}", self.email, self.disabled)
        });
    }
}

impl Session {
    async fn check(&mut self, api: &Api, dice: &mut Dice, id: &str, email: &str) {
        let sentence = match self.ended {
            None => 7,
            Some(End::LogOut | End::Everywhere) => 15,
            Some(End::Proof) => 8,
            Some(End::Theft) => 1,
            Some(End::Password | End::Disabled | End::Deleted) => 2,
        };
        if let Some(access) = &self.access {
            let answer = api.me(self.door, access).await.expect(ALIVE);
            let expected = if self.is_live() { 200 } else { 401 };
            api.seen.hold(sentence, answer.status == expected, || {
                format!(
                    "a session of {email} at {:?}, ended by {:?}, is answered {}",
                    self.door, self.ended, answer.status
                )
            });
            if self.is_live() {
                let said = self.door.id(&answer.body);
                api.seen.hold(6, said.as_deref() == Some(id), || format!("{email} is {id}, and is told {said:?}"));
            }
        }
        let chance = if self.access.is_none() { 1 } else { dice.roll(6) };
        match (self.used.clone(), self.refresh.clone(), chance) {
            (_, Some(token), 0 | 1) if !self.is_live() => {
                let status = api.refresh(self.door, &token).await.expect(ALIVE).status;
                api.seen.hold(sentence, status == 401, || format!("an ended session of {email} refreshes: {status}"));
            }
            (Some(used), _, 0) if self.is_live() => {
                let status = api.refresh(self.door, &used).await.expect(ALIVE).status;
                api.seen.hold(1, status == 401, || format!("a used refresh token of {email} is answered {status}"));
                self.ended = Some(End::Theft);
                if let Some(access) = &self.access {
                    let status = api.me(self.door, access).await.expect(ALIVE).status;
                    api.seen.hold(1, status == 401, || format!("theft ends a session of {email}: {status}"));
                }
            }
            (_, Some(token), 1) => {
                let answer = api.refresh(self.door, &token).await.expect(ALIVE);
                let tokens = self.door.tokens(&answer.body).filter(|_| answer.status == 200);
                api.seen.hold(7, tokens.is_some(), || {
                    format!("the newest refresh token of {email} is answered {} {}", answer.status, answer.body)
                });
                self.rotated(tokens.expect("just seen"));
            }
            _ => {}
        }
    }
}
