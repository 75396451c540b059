//! A mail as it goes over the wire (RFC 5322): headers, both bodies, and the addresses of its envelope.
//!
//! Addresses, subject and headers go through lettre's typed builders, and what controls a line is taken out before:
//! nothing in a mail can begin a header or a command.

use std::net::Ipv6Addr;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::address::Address;
use lettre::message::header::{From, HeaderName, HeaderValue, To};
use lettre::message::{Mailbox, Mailboxes, MultiPart, SinglePart};
use uuid::Uuid;

use crate::env::Timestamp;
use crate::mail::{Message, SendError};

/// The last second a `Date` can spell, 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;
/// The longest word of a header that goes as it is, bytes: with a name before it, it is still within a line of 998.
const LONGEST_WORD: usize = 900;
/// Bytes in one encoded word, of which a line holds one (RFC 2047, section 2).
const ENCODED_PIECE: usize = 36;

/// A mail ready to be handed over. The same mail at the same moment makes the same bytes.
pub(super) struct Written {
    /// The envelope's sender.
    pub from: Address,
    /// The envelope's recipient.
    pub to: Address,
    /// Headers and bodies, with CRLF line ends, not yet dot-stuffed.
    pub content: Vec<u8>,
}

impl Written {
    /// Writes `message`, dated `now`.
    pub fn write(message: &Message, now: Timestamp) -> Result<Self, SendError> {
        let from = sender(&message.from)?;
        let to = recipient(&message.to)?;
        let mut builder = lettre::Message::builder();
        for (name, value) in &message.headers {
            let name = HeaderName::new_from_ascii(name.clone())
                .map_err(|_| SendError::Never(format!("{name:.40?} is no name of a header")))?;
            builder = builder.raw_header(header(name, value));
        }
        // After the template's own, so that none of them replaces one of these.
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(now.secs().min(LAST_SECOND));
        let auto = HeaderName::new_from_ascii_str("Auto-Submitted");
        let envelope = lettre::address::Envelope::new(Some(from.email.clone()), vec![to.clone()])
            .map_err(|error| SendError::Never(error.to_string()))?;
        let builder = builder
            .envelope(envelope)
            .date(date)
            // lettre reads the sender back, which it cannot for an address literal: it gets the real one below.
            .from(Mailbox::new(None, Address::new_dangerous("nobody", "localhost")))
            .header(To::from(Mailboxes::new().with(Mailbox::new(None, to.clone()))))
            .subject(one_line(&message.subject))
            .message_id(Some(format!("<{}@{}>", message.id, from.email.domain())))
            // RFC 3834: nobody's holiday notice answers this.
            .raw_header(HeaderValue::new(auto, "auto-generated".to_owned()));
        let (text, html) = (SinglePart::plain(message.text.clone()), SinglePart::html(message.html.clone()));
        let written = match (message.text.is_empty(), message.html.is_empty()) {
            (_, true) => builder.singlepart(text),
            (true, false) => builder.singlepart(html),
            (false, false) => {
                let both = MultiPart::alternative().boundary(boundary(message.id));
                builder.multipart(both.singlepart(text).singlepart(html))
            }
        };
        let mut written = written.map_err(|error| SendError::Never(format!("the mail cannot be written: {error}")))?;
        written.headers_mut().set(From::from(Mailboxes::new().with(from.clone())));
        let mut content = written.formatted();
        // The end of the last line is the business of whoever sends the end of the mail.
        content.truncate(content.trim_ascii_end().len());
        content.extend_from_slice(b"\r\n");
        Ok(Self { from: from.email, to, content })
    }

    /// Whether only a server with SMTPUTF8 (RFC 6531) can take it.
    pub fn needs_utf8(&self) -> bool {
        !self.from.user().is_ascii() || !self.to.user().is_ascii()
    }
}

/// The sender of an operator's choice: `Name <address>` or an address.
///
/// # Errors
/// What is wrong with it. It may be corrected: mails wait for it.
pub(super) fn sender(text: &str) -> Result<Mailbox, SendError> {
    let wrong = || {
        SendError::Later(format!("the sender {text:.80?} is not \"Name <address>\" or an address: correct mail.from"))
    };
    // An address literal is an address, too, and unknown to the parser of mailboxes.
    let (name, email) = match one_line(text).parse::<Mailbox>() {
        Ok(mailbox) => (mailbox.name, on_the_wire(mailbox.email.as_ref())),
        Err(_) => (None, on_the_wire(text.trim())),
    };
    Ok(Mailbox::new(name, email.ok_or_else(wrong)?))
}

fn recipient(text: &str) -> Result<Address, SendError> {
    on_the_wire(text).ok_or_else(|| {
        SendError::Never("the recipient's address is none that SMTP can carry (RFC 5321, section 4.1.2)".into())
    })
}

/// An address with its domain in ASCII (RFC 5890), as every server understands it.
fn on_the_wire(text: &str) -> Option<Address> {
    let (user, domain) = text.rsplit_once('@')?;
    if let Some(ip) = domain.strip_prefix("[IPv6:").and_then(|rest| rest.strip_suffix(']')) {
        // RFC 5321, section 4.1.3; lettre knows it without its tag only, as no server does.
        let ip: Ipv6Addr = ip.parse().ok()?;
        let user = Address::new(user, "localhost").ok()?;
        return Some(Address::new_dangerous(user.user(), format!("[IPv6:{ip}]")));
    }
    Address::new(user, idna::domain_to_ascii(domain).ok()?).ok()
}

/// A header's value, of any length. It is folded between words only, and a line has an end (RFC 5322, section 2.1.1): a
/// word too long for one goes as encoded words (RFC 2047), which readers put together again.
fn header(name: HeaderName, value: &str) -> HeaderValue {
    let value = one_line(value);
    if value.split(' ').all(|word| word.len() <= LONGEST_WORD || !word.is_ascii()) {
        return HeaderValue::new(name, value);
    }
    let mut encoded = String::new();
    let mut rest = value.as_str();
    while !rest.is_empty() {
        let (piece, left) = rest.split_at(rest.floor_char_boundary(ENCODED_PIECE));
        let fold = if encoded.is_empty() { "" } else { "\r\n " };
        encoded.push_str(&format!("{fold}=?utf-8?b?{}?=", STANDARD.encode(piece)));
        rest = left;
    }
    HeaderValue::dangerous_new_pre_encoded(name, value, encoded)
}

/// Without line ends and other controls, each a space.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Made of the mail's id: whoever can choose a piece of the text cannot know it beforehand.
fn boundary(id: Uuid) -> String {
    format!("={}=", id.simple())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::transport::tests::message;

    fn written(message: &Message) -> String {
        String::from_utf8(Written::write(message, Timestamp::from_secs(1_767_225_600)).unwrap().content).unwrap()
    }

    #[test]
    fn the_whole_mail_byte_for_byte() {
        let text = written(&message()).replace("\r\n", "\n");
        assert!(!text.contains('\r'));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn nothing_begins_a_header() {
        let mut message = message();
        message.subject = "Hello\r\nBcc: eve@example.com\r\n\r\n<p>".into();
        message.headers = vec![("X-App".into(), "a\r\nBcc: eve@example.com".into())];
        let text = written(&message);
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_lowercase().contains("\r\nbcc"), "{head}");
        message.from = "Shop\r\nBcc: eve@example.com <shop@example.com>".into();
        assert!(matches!(Written::write(&message, Timestamp::default()), Err(SendError::Later(_))));
        message.from = "shop@example.com".into();
        message.headers = vec![("X-App: a\r\nBcc".into(), "eve@example.com".into())];
        assert!(matches!(Written::write(&message, Timestamp::default()), Err(SendError::Never(_))));
        for to in ["a@b.example>\r\nRCPT TO:<eve@example.com", "a b@c.example", "a@b.example,eve@example.com", "a", "@"]
        {
            message.to = to.into();
            message.headers.clear();
            assert!(matches!(Written::write(&message, Timestamp::default()), Err(SendError::Never(_))), "{to:?}");
        }
    }

    #[test]
    fn a_long_link_is_a_header_of_any_length() {
        let link = |length: usize| format!("https://auth.example.com/{}", "x".repeat(length - 25));
        let mut message = message();
        message.headers = vec![("X-Link".into(), link(900)), ("X-Redirect-To".into(), String::new())];
        assert!(written(&message).contains(&format!("X-Link: {}\r\nX-Redirect-To: \r\nDate: ", link(900))), "as it is");
        message.headers = vec![("X-Redirect-To".into(), link(5000))];
        let text = written(&message);
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.split("\r\n").all(|line| line.len() <= 76), "{head}");
        let (_, folded) = head.split_once("X-Redirect-To: ").unwrap();
        let words = folded.split("\r\n ").map(|word| word.split("\r\n").next().unwrap());
        let decoded = words.map_while(|word| word.strip_prefix("=?utf-8?b?")?.strip_suffix("?="));
        let decoded: Vec<u8> = decoded.flat_map(|word| STANDARD.decode(word).unwrap()).collect();
        assert_eq!(String::from_utf8(decoded).unwrap(), link(5000));
    }

    #[test]
    fn a_mail_without_plain_text_is_html_only() {
        let text = written(&Message { text: String::new(), html: "<p>Hello</p>".into(), ..message() });
        assert!(
            text.contains("\r\nContent-Type: text/html; charset=utf-8\r\n") && !text.contains("multipart"),
            "{text}"
        );
    }

    #[test]
    fn a_template_replaces_none_of_our_headers() {
        let mut message = message();
        message.headers = vec![("To".into(), "eve@example.com".into()), ("message-id".into(), "<1@x>".into())];
        let mail = Written::write(&message, Timestamp::default()).unwrap();
        let text = String::from_utf8(mail.content).unwrap();
        assert_eq!(mail.to.to_string(), "ada@example.com");
        assert!(
            text.contains("To: ada@example.com\r\n") && !text.contains("eve@") && !text.contains("<1@x>"),
            "{text}"
        );
    }

    #[test]
    fn names_beyond_ascii() {
        let mut message = message();
        message.to = "ada@bücher.example".into();
        let mail = Written::write(&message, Timestamp::default()).unwrap();
        assert_eq!((mail.to.to_string(), mail.needs_utf8()), ("ada@xn--bcher-kva.example".to_owned(), false));
        message.to = "jürgen@bücher.example".into();
        let mail = Written::write(&message, Timestamp::default()).unwrap();
        assert_eq!((mail.to.to_string(), mail.needs_utf8()), ("jürgen@xn--bcher-kva.example".to_owned(), true));
        message.to = format!("{}@example.com", "a".repeat(65));
        assert!(matches!(Written::write(&message, Timestamp::default()), Err(SendError::Never(_))));
    }

    #[test]
    fn a_sender_may_be_an_address_literal() {
        for (from, domain) in [("no-reply@[127.0.0.1]", "[127.0.0.1]"), ("no-reply@[IPv6:::1]", "[IPv6:::1]")] {
            let text = written(&Message { from: from.into(), ..message() });
            assert!(text.contains(&format!("From: {from}\r\n")), "{text}");
            assert!(text.contains(&format!("@{domain}>\r\n")), "{text}");
        }
        for from in ["no-reply@[IPv6:x]", "@[IPv6:::1]", "a b@[IPv6:::1]", "no-reply@[IPv6:::1]>\r\nBcc: x"] {
            assert!(sender(from).is_err(), "{from:?}");
        }
    }

    #[test]
    fn any_text_any_moment() {
        let mut message = message();
        message.text = format!("{}\n.\n..\r\nä\0\r\r\n", "x".repeat(5000));
        message.html = String::new();
        let mail = Written::write(&message, Timestamp::from_millis(u64::MAX)).unwrap();
        let lines = mail.content.split(|b| *b == b'\n');
        assert!(lines.map(<[u8]>::len).max().unwrap() <= 999 && mail.content.is_ascii());
    }
}
