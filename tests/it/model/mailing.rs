//! The rules of secrets that work once: what mails and apps bring to prove an address, to sign in, to set a password, to
//! change an address.

use keystead::dialect::Dialect;

use super::rules::{Answer, spelling};
use super::step::{Door, Who, Wish};
use super::world::{
    AccountId, COOLDOWN, GUESSES, Held, HeldId, MAILS, Mail, PROOF, Proof, Purpose, Secret, SecretId, TICKET, VERIFY,
    What, World,
};

const TAKEN: (u16, &str) = (409, "user-already-exists");
const NO_TICKET: &str = "invalid-ticket";

impl World {
    /// Whether another secret may go out to an address; it is about to, then, or seems to.
    pub fn cooled(&mut self, project: usize, person: usize) -> bool {
        let (now, last) = (self.now, self.issued.get(&(project, person)));
        let cooled = last.is_none_or(|last| now - last >= COOLDOWN);
        if cooled {
            self.issued.insert((project, person), now);
        }
        cooled
    }

    /// A secret in Noma's way for the app to deliver, unless one went out just now.
    pub fn prove_again(&mut self, account: AccountId) -> Option<HeldId> {
        let person = self.accounts[account].person()?;
        let project = self.accounts[account].project;
        self.cooled(project, person).then(|| {
            let secret = self.issue(account, Purpose::Prove, PROOF);
            self.hold(account, What::Proving { secret })
        })
    }

    /// A mail that proves an account's address.
    pub fn send_proof(&mut self, account: AccountId) {
        let to = self.accounts[account].who.expect("it has an address");
        self.send(account, Purpose::Prove, to);
    }

    /// A secret of an account; the one before it for the same purpose dies.
    fn issue(&mut self, account: AccountId, purpose: Purpose, lasts: u64) -> SecretId {
        let same = |secret: &&mut Secret| secret.account == account && secret.purpose == purpose;
        self.secrets.iter_mut().filter(same).for_each(|secret| secret.dead = true);
        self.secrets.push(Secret { account, purpose, until: self.now + lasts, dead: false });
        self.secrets.len() - 1
    }

    /// All secrets of an account die.
    pub fn withdraw(&mut self, account: AccountId) {
        self.secrets.iter_mut().filter(|secret| secret.account == account).for_each(|secret| secret.dead = true);
    }

    fn send(&mut self, account: AccountId, purpose: Purpose, to: Who) {
        let (template, lasts) = match purpose {
            Purpose::Prove => ("email-verify", VERIFY),
            Purpose::SignIn => ("signin-passwordless", TICKET),
            Purpose::Reset => ("password-reset", TICKET),
            Purpose::Move => ("email-confirm-change", TICKET),
            Purpose::Digits => ("signin-otp", TICKET),
        };
        let secret = self.issue(account, purpose, lasts);
        let what = match purpose {
            Purpose::Digits => What::Digits { secret },
            _ => What::Ticket { secret, to },
        };
        let brings = self.hold(account, what);
        self.post.push(Mail { to, template, brings });
    }

    pub fn ask_again(&mut self, project: usize, person: usize) -> Answer {
        let last = self.issued.get(&(project, person)).copied();
        if !self.cooled(project, person) {
            let left = last.map(|last| last + COOLDOWN - self.now);
            return Answer { retry_after: left, ..Answer::done() };
        }
        let waits = |id: &AccountId| self.accounts[*id].proof == Proof::None && !self.accounts[*id].disabled;
        let token = match self.owner(project, person).filter(waits) {
            Some(account) => {
                let secret = self.issue(account, Purpose::Prove, PROOF);
                self.hold(account, What::Proving { secret })
            }
            None => {
                self.held.push(Held { project, what: What::Decoy, text: None });
                self.held.len() - 1
            }
        };
        Answer { brings: vec![("/verification_token", token)], ..Answer::done() }
    }

    pub fn confirm(&mut self, with: HeldId) -> Answer {
        let refused = Answer::refused((422, "The verification token is invalid or has expired."));
        let What::Proving { secret } = self.held[with].what else { return refused };
        if !self.works(secret) {
            return refused;
        }
        self.secrets[secret].dead = true;
        let account = self.secrets[secret].account;
        let proof = &mut self.accounts[account].proof;
        if *proof == Proof::None {
            *proof = Proof::Asserted;
        }
        Answer { account: Some(("/user/uuid", account)), ..Answer::done() }
    }

    /// Whether a case may ask for a mail to this address once more; it is about to.
    pub fn may_mail(&mut self, project: usize, person: usize) -> bool {
        let asked = self.asked.entry((project, person)).or_default();
        *asked += 1;
        *asked <= MAILS
    }

    pub fn ask(&mut self, wish: Wish, project: usize, who: Who) -> Answer {
        let owner = self.owner(project, who.person);
        let refusal = match owner {
            // Who is about to prove the address need not have proved it.
            Some(id) => self.unusable(id).filter(|(_, says)| *says != "unverified-user" || wish == Wish::Reset),
            None => None,
        };
        match (wish, owner) {
            (Wish::Reset, _) if owner.is_none() || refusal.is_some() => return Answer::done(),
            (Wish::Verify, None) => return Answer::refused(spelling(Dialect::Nhost).wrong),
            _ => {}
        }
        if let Some(refusal) = refusal {
            return Answer::refused(refusal);
        }
        if let (Wish::Verify, Some(id)) = (wish, owner)
            && self.accounts[id].proof == Proof::Mailed
        {
            return Answer::refused((400, "email-already-verified"));
        }
        // Who asks to sign in is signed up.
        let account = owner.unwrap_or_else(|| self.make(project, Some(who), None));
        let to = self.accounts[account].who.expect("found by it");
        let purpose = match wish {
            Wish::Verify => Purpose::Prove,
            Wish::Link => Purpose::SignIn,
            Wish::Digits => Purpose::Digits,
            Wish::Reset => Purpose::Reset,
        };
        self.send(account, purpose, to);
        Answer::done()
    }

    pub fn ask_for_address(&mut self, with: HeldId, who: Who) -> Answer {
        let Some(session) = self.bearer(with) else {
            return Answer::refused((401, spelling(Dialect::Nhost).unauthenticated));
        };
        let account = self.sessions[session].account;
        if let Some(refusal) = self.unusable(account) {
            return Answer::refused(refusal);
        }
        if self.owner(self.accounts[account].project, who.person).is_some() {
            return Answer::refused(TAKEN);
        }
        self.send(account, Purpose::Move, who);
        Answer::done()
    }

    pub fn deanonymize(&mut self, with: HeldId, who: Who, word: usize) -> Answer {
        let Some(session) = self.bearer(with) else {
            return Answer::refused((401, spelling(Dialect::Nhost).unauthenticated));
        };
        let account = self.sessions[session].account;
        if self.accounts[account].who.is_some() {
            return Answer::refused((400, "user-not-anonymous"));
        }
        if self.owner(self.accounts[account].project, who.person).is_some() {
            return Answer::refused(TAKEN);
        }
        (self.accounts[account].who, self.accounts[account].word) = (Some(who), Some(word));
        if self.strict {
            self.end_sessions(account, None);
            self.send_proof(account);
        }
        Answer::done()
    }

    /// What a ticket of a mail leads to, which it does once, whatever comes of it.
    fn redeem(&mut self, with: HeldId) -> Option<(AccountId, Purpose, Who)> {
        let What::Ticket { secret, to } = self.held[with].what else { unreachable!("chosen for it") };
        let works = self.works(secret);
        self.secrets[secret].dead = true;
        works.then(|| (self.secrets[secret].account, self.secrets[secret].purpose, to))
    }

    pub fn follow(&mut self, with: HeldId) -> Answer {
        let to_the_app = |says| Answer { status: 302, says, ..Answer::done() };
        let Some((account, purpose, to)) = self.redeem(with) else { return to_the_app(Some(NO_TICKET)) };
        let proves = matches!(purpose, Purpose::Prove | Purpose::SignIn);
        if let Some((_, says)) = self.unusable(account).filter(|(_, says)| *says != "unverified-user" || !proves) {
            return to_the_app(Some(says));
        }
        match purpose {
            Purpose::Prove => self.accounts[account].proof = Proof::Mailed,
            Purpose::SignIn | Purpose::Reset => self.prove_anew(account),
            Purpose::Move => {
                if self.owner(self.accounts[account].project, to.person).is_some() {
                    return to_the_app(Some(TAKEN.1));
                }
                self.withdraw(account);
                (self.accounts[account].who, self.accounts[account].proof) = (Some(to), Proof::Mailed);
            }
            Purpose::Digits => unreachable!("they are no ticket"),
        }
        let session = self.new_session(account, Dialect::Nhost);
        Answer { brings: vec![("?refreshToken", self.hold_first(session))], ..to_the_app(None) }
    }

    /// Somebody comes who can read the mail of the address. Before the first proof somebody else may have made the
    /// account: what is theirs dies (security, 8).
    fn prove_anew(&mut self, account: AccountId) {
        if self.accounts[account].proof != Proof::Mailed {
            (self.accounts[account].word, self.accounts[account].proof) = (None, Proof::Mailed);
            self.end_sessions(account, None);
            self.withdraw(account);
            self.remove_keys(account);
        }
    }

    pub fn reset_by(&mut self, with: HeldId, word: usize) -> Answer {
        let Some((account, ..)) = self.redeem(with) else { return Answer::refused((401, NO_TICKET)) };
        if let Some(refusal) = self.unusable(account) {
            return Answer::refused(refusal);
        }
        self.prove_anew(account);
        self.set_word(account, word, None);
        Answer::done()
    }

    pub fn type_digits(&mut self, with: HeldId, wrong: bool, client: usize, who: Who) -> Answer {
        let What::Digits { secret } = self.held[with].what else { unreachable!("chosen for it") };
        let (project, now) = (self.held[with].project, self.now);
        let door = Door { dialect: Dialect::Nhost, project, client };
        let owner = self.owner(project, who.person);
        let guesses = self.guesses.entry(owner.ok_or((project, who.person))).or_default();
        guesses.retain(|at| now - at < TICKET);
        if guesses.len() >= GUESSES {
            return Answer::refused((400, "otp-too-many-attempts"));
        }
        if let Some(left) = self.locked(door, who.person) {
            return Answer::locked(Dialect::Nhost, left);
        }
        let is_right = !wrong && owner == Some(self.secrets[secret].account) && self.works(secret);
        let Some(account) = owner.filter(|_| is_right) else {
            self.guesses.entry(owner.ok_or((project, who.person))).or_default().push(now);
            self.fail(door, who.person);
            return Answer::refused((400, "invalid-otp"));
        };
        self.secrets[secret].dead = true;
        self.guesses.remove(&Ok(account));
        self.succeed(door, who.person);
        self.prove_anew(account);
        self.begin(account, Dialect::Nhost)
    }
}
