//! What verbs tell the metrics, once they know how they ended: in one place, and outside every transaction.

use super::outbox::Outcome;
use super::{Ctx, Error, Project};
use crate::data::outbox::Kind;
use crate::metrics::{Delivery, Refresh, SignIn};

impl Ctx {
    /// Counts an attempt to sign in, by whichever secret.
    pub(crate) fn count_sign_in<T>(&self, result: &Result<T, Error>) {
        self.project.metrics().sign_ins.one(result.as_ref().map_or_else(sign_in_refused, |_| SignIn::Succeeded));
    }

    /// Counts a refresh token that was presented.
    pub(crate) fn count_refresh<T>(&self, result: &Result<T, Error>) {
        let outcome = match result {
            Ok(_) => Refresh::Succeeded,
            Err(Error::VerificationRequired(_)) => Refresh::Unverified,
            Err(error) if is_failure(error) => Refresh::Failed,
            Err(_) => Refresh::Invalid,
        };
        self.project.metrics().refreshes.one(outcome);
    }

    /// Counts a refresh token that was presented after its successor was in use.
    pub(crate) fn count_theft(&self) {
        self.project.metrics().thefts.one();
    }

    /// Counts an address that was locked, when it was.
    pub(crate) fn count_lockout(&self, locked: bool) {
        if locked {
            self.project.metrics().lockouts.one();
        }
    }
}

impl Project {
    /// Counts an attempt to deliver something.
    pub(crate) fn count_delivery(&self, kind: Kind, outcome: &Outcome) {
        let delivery = match (kind, outcome) {
            // Only told of counts too: with that transport nothing else is meant to happen.
            (Kind::Mail, Outcome::Sent | Outcome::Told) => Delivery::MailSent,
            (Kind::Mail, Outcome::Later { .. }) => Delivery::MailPostponed,
            (Kind::Mail, Outcome::Never { .. }) => Delivery::MailFailed,
            (Kind::Webhook, Outcome::Sent | Outcome::Told) => Delivery::WebhookSent,
            (Kind::Webhook, Outcome::Later { .. }) => Delivery::WebhookPostponed,
            (Kind::Webhook, Outcome::Never { .. }) => Delivery::WebhookFailed,
            (Kind::Decoy, _) => return,
        };
        self.metrics().deliveries.one(delivery);
    }
}

fn sign_in_refused(error: &Error) -> SignIn {
    match error {
        Error::AccountDisabled => SignIn::Disabled,
        Error::Locked { .. } => SignIn::Locked,
        Error::VerificationRequired(_) => SignIn::Unverified,
        Error::Busy { .. } | Error::Unwritable(_) => SignIn::Busy,
        Error::Store(_) | Error::Internal(_) => SignIn::Failed,
        _ => SignIn::Wrong,
    }
}

/// Whether it is the server's fault, not the token's.
fn is_failure(error: &Error) -> bool {
    matches!(error, Error::Busy { .. } | Error::Unwritable(_) | Error::Store(_) | Error::Internal(_))
}
