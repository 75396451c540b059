//! The way out for mails that the settings ask for.

use std::sync::Arc;

use crate::config::{MailTransport, Settings};
use crate::env::Env;
use crate::mail::{Files, Mailbox, Smtp, Transport, Webhook};
use crate::outbound::Outbound;

/// The way out that `settings` ask for; a server in memory has its mailbox where nothing else is said.
pub(super) fn transport(settings: &Settings, mailbox: &Arc<Mailbox>, env: &Env, outbound: &Outbound) -> Transport {
    match settings.mail.transport {
        MailTransport::None if settings.ephemeral => Transport::Memory(Arc::clone(mailbox)),
        _ => configured(settings, env, outbound),
    }
}

/// The way out that the configuration names. What a transport needs was checked with it.
pub fn configured(settings: &Settings, env: &Env, outbound: &Outbound) -> Transport {
    let mail = &settings.mail;
    let found = match mail.transport {
        MailTransport::None => None,
        MailTransport::Log => Some(Transport::Log),
        MailTransport::Smtp => {
            let server = mail.smtp.settings(settings.listen.public_url.as_deref());
            server.map(|server| Transport::Smtp(Arc::new(Smtp::new(&server, env))))
        }
        MailTransport::File => mail.file.dir.as_deref().map(|dir| Transport::Files(Files::new(dir))),
        MailTransport::Webhook => {
            let receiver = mail.webhook.settings();
            receiver.map(|receiver| Transport::Webhook(Arc::new(Webhook::new(receiver, outbound.clone()))))
        }
    };
    found.unwrap_or(Transport::None)
}
