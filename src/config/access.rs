//! `[project.SLUG.access]`: whose addresses may have an account.

use documented::DocumentedFields;

use super::keys::{Keys, Section};
use crate::data::Email;

/// The most entries of one list.
const MOST: usize = 1000;

/// `[project.SLUG.access]`
#[derive(Clone, Debug, Default, PartialEq, Eq, DocumentedFields)]
pub struct Access {
    /// Addresses that may sign up and sign in, whatever is said of their domain. Where this or allowed_domains names
    /// any, nobody else may. Spellings that lead to one account are one address here, too: case does not matter.
    pub allowed_emails: Vec<String>,
    /// Addresses that may not.
    pub blocked_emails: Vec<String>,
    /// Domains whose addresses may; domains below them are others.
    pub allowed_domains: Vec<String>,
    /// Domains whose addresses may not.
    pub blocked_domains: Vec<String>,
}

impl Section for Access {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.list("allowed_emails", &mut self.allowed_emails, MOST, email);
        keys.list("blocked_emails", &mut self.blocked_emails, MOST, email);
        keys.list("allowed_domains", &mut self.allowed_domains, MOST, domain);
        keys.list("blocked_domains", &mut self.blocked_domains, MOST, domain);
    }
}

/// An address, as addresses are compared.
fn email(text: &str) -> Result<String, String> {
    match Email::parse(text) {
        Ok(email) => Ok(email.canonical()),
        Err(_) => Err(format!("{text:.80?} is not an address: write one like \"ada@example.com\"")),
    }
}

/// A domain, as domains of addresses are compared.
fn domain(text: &str) -> Result<String, String> {
    match Email::parse(&format!("x@{text}")) {
        Ok(email) => Ok(email.domain()),
        Err(_) => Err(format!("{text:.80?} is not the domain of an address: write one like \"example.com\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_kept_as_they_are_compared() {
        assert_eq!(email(" Ada@B\u{fc}cher.Example"), Ok("ada@xn--bcher-kva.example".into()));
        assert_eq!(domain("B\u{fc}cher.Example"), Ok("xn--bcher-kva.example".into()));
        for text in ["", "ada", "ada@", "@example.com", "*@example.com,x", "ada@*.example.com"] {
            assert!(email(text).is_err(), "{text}");
        }
        for text in ["", "@example.com", "*.example.com", ".example.com", "example.com.", "exa mple.com", "a@b.example"]
        {
            assert!(domain(text).is_err(), "{text}");
        }
    }
}
