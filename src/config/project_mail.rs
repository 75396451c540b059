//! What a project says about its mails: how they look, and what they tell.

use documented::DocumentedFields;

use super::forms;
use super::keys::{Keys, Section};

/// `[project.SLUG.mail]`: what its mails look like.
#[derive(Clone, Debug, Default, PartialEq, Eq, DocumentedFields)]
pub struct ProjectMail {
    /// The sender. Unset: mail.from.
    pub from: Option<String>,
    /// The language of mails to who prefers none. Unset: mail.locale.
    pub locale: Option<String>,
    /// The name mails and pages call your app by. Unset: the slug.
    pub app_name: Option<String>,
}

impl Section for ProjectMail {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.optional("from", &mut self.from, forms::mailbox, "Example App <auth@example.com>");
        keys.optional("locale", &mut self.locale, forms::locale, "fr");
        keys.optional("app_name", &mut self.app_name, forms::app_name, "Example App");
    }
}

/// `[project.SLUG.notify]`: what owners of accounts are told by mail.
#[derive(Clone, Debug, PartialEq, Eq, DocumentedFields)]
pub struct Notify {
    /// Wrong passwords locked the account; at most one mail a day.
    pub lockout: bool,
    /// The password was changed.
    pub password_change: bool,
    /// The account has another address: told to the former.
    pub email_change: bool,
    /// Somebody signed in from a device not seen before.
    pub new_device: bool,
}

impl Section for Notify {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.flag("lockout", &mut self.lockout);
        keys.flag("password_change", &mut self.password_change);
        keys.flag("email_change", &mut self.email_change);
        keys.flag("new_device", &mut self.new_device);
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self { lockout: true, password_change: true, email_change: true, new_device: true }
    }
}
