//! Mail as a line in the log, for development: that there is one, for which domain, under which id; what it says, which
//! is a secret, `keystead mail show ID` tells the operator.

use crate::mail::Message;

/// Says that there is a mail.
pub(super) fn send(message: &Message) {
    let domain = message.to.rsplit_once('@').map_or("", |(_, domain)| domain);
    tracing::info!(
        id = %message.id,
        template = message.template,
        domain,
        "a mail was not sent (mail.transport is \"log\"): `keystead mail show {}` shows it",
        message.id
    );
}
