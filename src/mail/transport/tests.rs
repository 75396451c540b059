//! What the tests of the transports share: a mail with everything in it that a transport could get wrong.

use uuid::Uuid;

use crate::mail::Message;

/// Umlauts in the subject, dots that begin lines, a line too long for SMTP, a link, a code.
pub(super) fn message() -> Message {
    let link = "https://auth.example.com/verify?token=0123456789abcdefghijklmnop";
    Message {
        id: Uuid::from_u128(0x0193_a5e2_7c1e_7d3a_9b1f_3f6c_2a7d_9e10),
        to: "ada@example.com".into(),
        from: "Größe & Co <no-reply@shop.example>".into(),
        subject: "Bestätigen Sie Ihre Adresse – willkommen".into(),
        text: format!("Hello,\n\n.a line that begins with a dot\n.\n..\n{link}\n\nCode: 424242\n"),
        html: format!("<p>Grüße</p>\n<a href=\"{link}\">{}</a>\n", "x".repeat(1200)),
        headers: vec![("X-Email-Template".into(), "verify-email".into())],
        template: "verify-email".into(),
        link: Some(link.into()),
        code: Some("424242".into()),
    }
}
