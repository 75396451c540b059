//! The rules of API keys and of personal access tokens: what programs are given.

use keystead::dialect::Dialect;

use super::rules::{Answer, spelling};
use super::world::{AccountId, HeldId, PERSONAL, What, World};

/// What is said of a key that opens nothing.
pub const NO_KEY: (u16, &str) = (422, "The API key is invalid, revoked or expired.");

impl World {
    pub fn make_key(&mut self, with: HeldId) -> Answer {
        let Some(session) = self.bearer(with) else {
            return Answer::refused((401, spelling(Dialect::Noma).unauthenticated));
        };
        let account = self.sessions[session].account;
        let key = self.hold(account, What::Key { account, revoked: false, gone: false });
        Answer { status: 201, brings: vec![("/plain_text_key", key)], ..Answer::done() }
    }

    /// With the newest access token of its owner's; `None`: there is none.
    pub fn revoke_key(&mut self, with: HeldId) -> Option<Answer> {
        let What::Key { account, gone, .. } = self.held[with].what else { unreachable!("chosen for it") };
        let access = self.noma_access(account)?;
        Some(match self.bearer(access) {
            None => Answer::refused((401, spelling(Dialect::Noma).unauthenticated)),
            Some(_) if gone => Answer::refused((404, "API key not found.")),
            Some(_) => {
                self.held[with].what = What::Key { account, revoked: true, gone };
                Answer::done()
            }
        })
    }

    /// The keys of an account go with it, or with who may have made them.
    pub fn remove_keys(&mut self, account: AccountId) {
        for held in &mut self.held {
            if let What::Key { account: owner, gone, .. } = &mut held.what {
                *gone |= *owner == account;
            }
        }
    }

    pub fn make_personal(&mut self, with: HeldId) -> Answer {
        let Some(session) = self.bearer(with) else {
            return Answer::refused((401, spelling(Dialect::Nhost).unauthenticated));
        };
        let account = self.sessions[session].account;
        if let Some(refusal) = self.unusable(account) {
            return Answer::refused(refusal);
        }
        let until = self.now + PERSONAL;
        let token = self.hold(account, What::Personal { account, until, revoked: false });
        Answer { brings: vec![("/personalAccessToken", token)], ..Answer::done() }
    }

    pub fn sign_in_personal(&mut self, with: HeldId) -> Answer {
        let What::Personal { account, until, revoked } = self.held[with].what else { unreachable!("chosen for it") };
        if revoked || self.now >= until || self.accounts[account].gone {
            return Answer::refused((401, "invalid-pat"));
        }
        match self.unusable(account) {
            Some(refusal) => Answer::refused(refusal),
            None => self.begin(account, Dialect::Nhost),
        }
    }
}
