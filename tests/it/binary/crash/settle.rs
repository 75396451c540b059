//! What became of the request that was not answered: found out once, and from then on a fact like any other.

use reqwest::Method;

use super::client::{Client, Deed, confirm, key_works, redeem, redeemed};
use super::doors::{Answer, Api, Door};

const ALIVE: &str = "a living server";

impl Client {
    /// Finds out whether the change is there. That it is there as a whole is seen when all facts are checked.
    pub async fn settle(&mut self, api: &Api) {
        let Some(deed) = self.doubt.take() else { return };
        match &deed {
            Deed::SignIn { .. } | Deed::MakeKey { .. } => {}
            Deed::Guess { .. } => self.guesses_in_doubt += 1,
            Deed::SignUp { door, email, password } => self.settle_sign_up(api, *door, email, password).await,
            Deed::Refresh { account, session } => self.settle_refresh(api, *account, *session).await,
            Deed::AskByMail { .. } => self.apply(api, &deed, None).await,
            Deed::Redeem { account, password } => {
                let ticket = self.accounts[*account].ticket.clone().expect("a ticket");
                let answer = redeem(api, &ticket, password).await.expect(ALIVE);
                // Refused, it was used up by the one that was not answered.
                self.apply(api, &deed, Some(&answer).filter(|answer| redeemed(answer))).await;
            }
            Deed::AskToken { account } => {
                // Another may be in force, which nobody was told.
                self.accounts[*account].token = None;
            }
            Deed::Confirm { account } => {
                let token = self.accounts[*account].token.clone().expect("a token");
                let answer = confirm(api, &token).await.expect(ALIVE);
                assert!(matches!(answer.status, 200 | 422), "{} {}", answer.status, answer.body);
                self.apply(api, &deed, None).await;
            }
            Deed::LogOut { .. }
            | Deed::Everywhere { .. }
            | Deed::Change { .. }
            | Deed::Disable { .. }
            | Deed::Enable { .. }
            | Deed::Delete { .. }
            | Deed::SetPassword { .. }
            | Deed::RevokeKey { .. } => {
                if self.is_done(api, &deed).await {
                    self.apply(api, &deed, None).await;
                }
            }
        }
    }

    /// Whether a change whose effect can be looked at has taken effect.
    async fn is_done(&mut self, api: &Api, deed: &Deed) -> bool {
        let account = &self.accounts[deed.account().expect("it is about an account")];
        match deed {
            Deed::LogOut { session, .. } | Deed::Everywhere { session, .. } => {
                let session = &account.sessions[*session];
                let token = session.access.as_deref().expect("an access token");
                api.me(session.door, token).await.expect(ALIVE).status == 401
            }
            Deed::Change { password, .. } | Deed::SetPassword { password, .. } => {
                let answer = api.sign_in(self.home, &account.email, password).await.expect(ALIVE);
                assert!(matches!(answer.status, 200 | 401), "{} {}", answer.status, answer.body);
                answer.status == 200
            }
            Deed::RevokeKey { key, .. } => !key_works(api, &account.keys[*key]).await,
            _ => {
                let path = format!("/users/{}", account.id);
                let Answer { status, body, .. } = api.operate(Method::GET, &path, None).await.expect(ALIVE);
                match (deed, status) {
                    (Deed::Delete { .. }, 200) => false,
                    (Deed::Delete { .. }, 404) => true,
                    (Deed::Disable { .. }, 200) => !body["disabled_at"].is_null(),
                    (Deed::Enable { .. }, 200) => body["disabled_at"].is_null(),
                    (deed, status) => panic!("{deed:?}: {status} {body}"),
                }
            }
        }
    }

    async fn settle_sign_up(&mut self, api: &Api, door: Door, email: &str, password: &str) {
        // NomaCMS tells the id at a sign-in.
        let found = api.sign_in(Door::Noma, email, password).await.expect(ALIVE);
        let (door, answer) = match found.status {
            200 => (Door::Noma, found),
            401 => {
                let answer = api.sign_up(door, email, password).await.expect(ALIVE);
                let made = answer.status == door.made();
                api.seen.hold(7, made, || format!("{email} is neither there nor absent: {}", answer.body));
                (door, answer)
            }
            status => panic!("{email}: {status} {}", found.body),
        };
        let deed = Deed::SignUp { door, email: email.to_owned(), password: password.to_owned() };
        self.apply(api, &deed, Some(&answer)).await;
    }

    async fn settle_refresh(&mut self, api: &Api, account: usize, session: usize) {
        let deed = Deed::Refresh { account, session };
        let session = &mut self.accounts[account].sessions[session];
        if let Some(access) = &session.access {
            let status = api.me(session.door, access).await.expect(ALIVE).status;
            api.seen
                .hold(7, status == 200, || format!("a refresh ends no session, but its token is answered {status}"));
        }
        let token = session.refresh.clone().expect("a refresh token");
        let answer = api.refresh(session.door, &token).await.expect(ALIVE);
        match answer.status {
            200 => self.apply(api, &deed, Some(&answer)).await,
            // Rotated: without a grace its second use is theft.
            401 => session.ended = Some(super::account::End::Theft),
            status => panic!("{status} {}", answer.body),
        }
    }
}
