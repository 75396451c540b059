//! Where mails go: what each transport needs, and what is refused.

use std::io::Write;

use tempfile::NamedTempFile;

use super::*;
use crate::mail::SmtpTls;

/// A certificate in a file.
pub(super) fn ca_file() -> NamedTempFile {
    let ca = crate::net::LocalCa::in_memory::<&str>(&[], &crate::env::Env::system()).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(ca.ca_pem().as_bytes()).unwrap();
    file
}

fn mail(keys: &str) -> Result<Settings, Problems> {
    load_with(&format!("[mail]\n{keys}"), &[])
}

#[test]
fn a_mail_server_in_full() {
    let ca = ca_file();
    let keys = format!(
        "transport = \"smtp\"\nfrom = \"Shop <shop@example.com>\"\n[mail.smtp]\nhost = \"SMTP.example.com\"\n\
         username = \"shop\"\npassword = \"{SECRET}\"\nca_file = \"{}\"\n",
        ca.path().display()
    );
    let settings = mail(&keys).unwrap();
    let server = settings.mail.smtp.settings(Some("https://auth.example.com:8443")).unwrap();
    assert_eq!((server.host.as_str(), server.port, server.tls), ("smtp.example.com", 587, SmtpTls::StartTls));
    assert_eq!(server.helo_name.as_deref(), Some("auth.example.com"));
    assert_eq!(server.login.unwrap().password.expose(), SECRET);
    assert!(!format!("{settings:?}").contains(SECRET));
    for (tls, host, port) in [("tls", "smtp.example.com", 465), ("none", "127.0.0.1", 25), ("none", "localhost", 25)] {
        let keys = format!("smtp = {{ host = \"{host}\", tls = \"{tls}\" }}");
        assert_eq!(mail(&keys).unwrap().mail.smtp.settings(None).unwrap().port, port);
    }
    let keys = "smtp = { host = \"smtp.example.com\", port = 2525, helo_name = \"a.example\" }";
    let server = mail(keys).unwrap().mail.smtp.settings(Some("https://b.example")).unwrap();
    assert_eq!((server.port, server.helo_name.as_deref()), (2525, Some("a.example")));
}

#[test]
fn a_password_may_be_a_credential() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mail.smtp.password"), format!("{SECRET}\n")).unwrap();
    let variables = environment(&[
        ("CREDENTIALS_DIRECTORY", dir.path().to_str().unwrap()),
        ("KEYSTEAD_MAIL__SMTP__HOST", "smtp.example.com"),
        ("KEYSTEAD_MAIL__SMTP__USERNAME", "shop"),
    ]);
    let settings = load(&Overrides::default(), &variables).unwrap();
    assert_eq!(settings.mail.smtp.password.unwrap().expose(), SECRET);
}

#[test]
fn what_a_transport_cannot_do_without() {
    for (keys, key, said) in [
        ("transport = \"smtp\"\nfrom = \"a@b.example\"", "mail.transport", "\"smtp\" needs `mail.smtp.host`"),
        ("transport = \"smtp\"\nsmtp.host = \"localhost\"", "mail.transport", "\"smtp\" needs `mail.from`"),
        ("transport = \"file\"", "mail.transport", "\"file\" needs `mail.file.dir`"),
        (
            "transport = \"webhook\"\nwebhook.url = \"https://a.example\"",
            "mail.transport",
            "\"webhook\" needs `mail.webhook.secret`",
        ),
        ("smtp.username = \"u\"", "mail.smtp.username", "needs `mail.smtp.password`"),
        ("smtp.password = \"p\"", "mail.smtp.password", "needs `mail.smtp.username`"),
        ("smtp = { host = \"smtp.example.com\", tls = \"none\" }", "mail.smtp.tls", "in clear to smtp.example.com"),
        ("smtp.tls = \"ssl\"", "mail.smtp.tls", "write \"starttls\""),
        ("smtp.port = 65536", "mail.smtp.port", "outside 0 to 65535"),
        ("smtp.host = \"smtps://a.example\"", "mail.smtp.host", "not a host name"),
        ("smtp.host = \"a.example:587\"", "mail.smtp.host", "not a host name"),
        ("smtp.helo_name = \"a b\"", "mail.smtp.helo_name", "not a host name"),
        ("smtp.ca_file = \"/nowhere/ca.pem\"", "mail.smtp.ca_file", "/nowhere/ca.pem: No such file"),
        ("webhook.secret = \"hunter2\"", "mail.webhook.secret", "whsec_"),
        ("webhook.url = \"ftp://a.example\"", "mail.webhook.url", "write a URL"),
    ] {
        let (_, at, reason) = problem(mail(keys));
        assert!(at == key && reason.contains(said) && !reason.contains("hunter2"), "{keys}: {at}: {reason}");
    }
    for keys in ["transport = \"log\"", "transport = \"file\"\nfile.dir = \"mails\"", "transport = \"none\""] {
        mail(keys).unwrap();
    }
}
