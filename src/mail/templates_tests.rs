//! Templates: what is in the program, what an operator's folder makes of it, in either layout.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use uuid::Uuid;

use super::samples::NHOST;
use super::{Envelope, LOCALES, Letter, Message, Template, Templates};
use crate::crypto::Secret;

fn envelope<'a>(locales: &'a [&'a str]) -> Envelope<'a> {
    Envelope {
        id: Uuid::from_u128(1),
        to: "ada@example.com",
        from: "App <app@example.com>",
        reply_to: Some("help@example.com"),
        app_name: "Ada & Söhne",
        locales,
    }
}

fn code(letter: &Letter) -> Option<&String> {
    letter.code.as_ref().map(Secret::expose)
}

/// The templates of the Nhost API.
fn ticketed() -> impl Iterator<Item = Template> {
    Template::ALL.into_iter().filter(|template| template.brings_ticket())
}

/// The headers whose names begin with `X-`.
fn told(message: &Message) -> Vec<(&str, &str)> {
    let all = message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    all.filter(|(name, _)| name.starts_with("X-")).collect()
}

fn put(dir: &Path, file: &str, text: &str) {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

#[test]
fn every_template_speaks_every_language_in_three_parts() {
    let templates = Templates::load(None).expect("the built-in templates");
    for template in Template::ALL {
        let there: Vec<_> = templates.locales[&template].iter().map(String::as_str).collect();
        assert_eq!(there, ["bg", "cs", "de", "en", "es", "fr"], "{}", template.name());
        let mut subjects = BTreeSet::new();
        for locale in LOCALES {
            let letter = Templates::sample_letter(template, Some(locale));
            let message = templates.render(&letter, &envelope(&[])).expect("a message");
            assert!(message.text.contains("Ada & Söhne"), "{}/{locale}", template.name());
            assert!(message.html.contains("Ada &amp; Söhne"), "{}/{locale}", template.name());
            assert!(!message.html.contains("http-equiv") && !message.html.contains("<img"), "nothing to load");
            // What only templates of an operator's own need.
            let spare = |name: &str| NHOST.contains(&name) && !matches!(name, "email" | "newEmail");
            let values = letter.values.iter().filter(|(name, _)| !spare(name)).map(|(_, value)| value);
            for value in values.chain(letter.link.as_ref().map(Secret::expose)).chain(code(&letter)) {
                assert!(message.text.contains(value.as_str()), "{}/{locale}.txt: {value}", template.name());
            }
            for value in code(&letter).into_iter().chain(letter.values.get("ip")) {
                assert!(message.html.contains(value.as_str()), "{}/{locale}.html: {value}", template.name());
            }
            subjects.insert(message.subject);
        }
        assert_eq!(subjects.len(), LOCALES.len(), "each language has words of its own: {subjects:?}");
    }
}

#[test]
fn the_language_is_the_readers_then_the_projects_then_english() {
    let templates = Templates::embedded();
    let of = |own: Option<&str>, then: &[&str]| {
        let wanted = own.into_iter().chain(then.iter().copied());
        templates.locale_for(Template::VerifyEmail, wanted)
    };
    assert_eq!(of(Some("fr"), &["de", "en"]), "fr");
    assert_eq!(of(Some("fr-CA"), &["de"]), "fr");
    assert_eq!(of(Some("FR_ca"), &[]), "fr");
    assert_eq!(of(Some("xx"), &["de-AT", "en"]), "de");
    assert_eq!(of(None, &["cs"]), "cs");
    assert_eq!(of(Some("../../etc"), &["", "xx"]), "en");
}

#[test]
fn a_file_replaces_one_part_and_a_folder_adds_a_language() {
    let dir = tempfile::tempdir().expect("a folder");
    put(dir.path(), "fr/verify-email.subject", "Bonjour {{ email }}\r\nBcc: x@example.com\n");
    for (part, text) in [("subject", "Olá"), ("txt", "{{ link }} {{ code }}"), ("html", "<p>{{ app_name }}</p>")] {
        put(dir.path(), &format!("pt-BR/verify-email.{part}"), text);
    }
    put(dir.path(), "README", "not a template");
    let templates = Templates::load(Some(dir.path())).expect("templates");
    let letter = |locale| Templates::sample_letter(Template::VerifyEmail, Some(locale));
    let french = templates.render(&letter("fr"), &envelope(&[])).expect("a message");
    assert_eq!(french.subject, "Bonjour ada@example.com Bcc: x@example.com", "one line, whatever is in it");
    assert!(french.text.contains("7K2M-9QXR-4TBD"), "the other parts are the built-in ones");
    let brazilian = templates.render(&letter("pt-br"), &envelope(&[])).expect("a message");
    assert_eq!((brazilian.subject.as_str(), brazilian.html.as_str()), ("Olá", "<p>Ada &amp; Söhne</p>"));
    assert_eq!(
        brazilian.headers,
        [("X-Email-Template", "verify-email"), ("Auto-Submitted", "auto-generated"), ("Reply-To", "help@example.com")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[test]
fn every_mistake_is_found_with_file_and_line() {
    let dir = tempfile::tempdir().expect("a folder");
    put(dir.path(), "en/verify-email.txt", "one\ntwo {{ link\n");
    put(dir.path(), "de/locked-out.html", "<p>\n{{ ip }}\n{{ code }}</p>");
    put(dir.path(), "fr/verify_email.txt", "x");
    put(dir.path(), "it/new-device.txt", "{{ ip }}");
    fs::write(dir.path().join("en/new-device.txt"), [0xff, 0xfe]).expect("a file");
    let problems = Templates::load(Some(dir.path())).expect_err("mistakes");
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let all = said.join("\n").replace(&*dir.path().to_string_lossy(), "DIR");
    for wanted in [
        "DIR/en/verify-email.txt:2: syntax error",
        "DIR/de/locked-out.html:3: undefined value",
        "DIR/fr/verify_email.txt: is no template",
        "DIR/it/new-device.html: is missing",
        "DIR/it/new-device.subject: is missing",
        "DIR/en/new-device.txt: stream did not contain valid UTF-8",
    ] {
        assert!(all.contains(wanted), "{wanted:?} is not in:\n{all}");
    }
    assert_eq!(problems.len(), 6, "{all}");
    let absent = dir.path().join("absent");
    assert_eq!(Templates::load(Some(&absent)).expect_err("no folder")[0].file, absent);
}

#[test]
fn a_template_that_works_for_ever_is_a_mistake() {
    let dir = tempfile::tempdir().expect("a folder");
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{{ link }}{% endfor %}{% endfor %}";
    put(dir.path(), "en/verify-email.txt", endless);
    let problems = Templates::load(Some(dir.path())).expect_err("too much work");
    let [problem] = &problems[..] else { unreachable!("one mistake: {problems:?}") };
    assert!(problem.reason.contains("more than a mail needs"), "{problem:?}");
}

#[test]
fn what_a_template_has_not_got_is_an_error_without_its_values() {
    let templates = Templates::embedded();
    let mut letter = Templates::sample_letter(Template::VerifyEmail, None);
    letter.code = None;
    let reason = templates.render(&letter, &envelope(&[])).expect_err("a missing value");
    assert!(reason.starts_with("en/verify-email.") && !reason.contains("token="), "{reason}");
}

#[test]
fn whatever_a_value_holds_it_is_text_in_every_template_of_every_language() {
    let templates = Templates::embedded();
    let hostile = |name: &str| format!("<{name} \"'&>");
    for template in Template::ALL {
        let mut letter = Templates::sample_letter(template, None);
        for secret in [&mut letter.link, &mut letter.code, &mut letter.ticket].into_iter().flatten() {
            *secret = Secret::new(hostile("secret"));
        }
        letter.redirect_to = letter.redirect_to.map(|_| hostile("redirectTo"));
        letter.values.iter_mut().for_each(|(name, value)| *value = hostile(name));
        let (to, app_name) = (hostile("email"), hostile("app_name"));
        for locale in LOCALES {
            letter.locale = Some(locale.to_owned());
            let envelope = Envelope { to: &to, app_name: &app_name, ..envelope(&[]) };
            let message = templates.render(&letter, &envelope).expect("a message");
            let place = format!("{locale}/{}", template.name());
            let used: BTreeSet<_> = message.text.split(" \"'&>").filter_map(|text| text.rsplit_once('<')).collect();
            assert!(used.len() >= 2, "{place}: {used:?}");
            for (_, name) in used {
                assert!(message.html.contains(&format!("&lt;{name} &quot;&#x27;&amp;&gt;")), "{place}: {name}");
                assert!(!message.html.contains(&format!("<{name} ")), "{place}: {name}");
            }
            assert!(message.subject.contains(&app_name), "{place}: a subject is no HTML");
            let alone = message.headers.iter().filter(|(name, _)| name != "Reply-To").map(|(_, value)| value);
            assert!(alone.clone().all(|value| value.bytes().all(|b| b.is_ascii_graphic())), "{place}: {alone:?}");
        }
    }
}

#[test]
fn a_ticket_is_in_the_headers_and_in_the_words() {
    let templates = Templates::embedded();
    let languages = ["bg", "de", "fr", "es", "cs"];
    for (template, locale) in ticketed().zip(languages) {
        let letter = Templates::sample_letter(template, Some(locale));
        let message = templates.render(&letter, &envelope(&[])).expect("a message");
        let headers: Vec<_> = message.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        // The template's engine escapes more than it must.
        let html = message.html.replace("&#x2f;", "/").replace("&amp;", "&");
        let seen = format!("{}Subject: {}\n\n{}\n\n{html}", headers.concat(), message.subject, message.text);
        insta::assert_snapshot!(template.name(), seen);
    }
}

#[test]
fn an_account_without_an_address_may_get_one() {
    let templates = Templates::embedded();
    for locale in LOCALES {
        let mut letter = Templates::sample_letter(Template::EmailConfirmChange, Some(locale));
        letter.values.insert("email".into(), String::new());
        let message = templates.render(&letter, &envelope(&[])).expect("a message");
        assert!(message.text.contains("ada@new.example.com"), "{}", message.text);
        assert!(!message.text.contains("  ") && !message.text.contains("ada@example.com"), "{}", message.text);
    }
}

#[test]
fn the_names_of_the_contract_are_values_of_each_of_its_templates_in_either_layout() {
    for (beside, ours) in [("", true), ("/body", false)] {
        let dir = tempfile::tempdir().expect("a folder");
        let place = |name: &str| if ours { format!("{{{{ {name} }}}}") } else { format!("${{{name}}}") };
        let all = NHOST.map(|name| format!("{name}={}", place(name))).join(" ");
        for template in ticketed() {
            let name = template.name();
            put(dir.path(), &format!("xx/{name}{beside}.html"), &all);
            put(dir.path(), &format!("xx/{name}{beside}.txt"), &all);
            put(
                dir.path(),
                &format!("xx/{name}{}", if ours { ".subject" } else { "/subject.txt" }),
                &place("newEmail"),
            );
        }
        let templates = Templates::load(Some(dir.path())).expect("templates");
        for template in ticketed() {
            let letter = Templates::sample_letter(template, Some("xx"));
            let message = templates.render(&letter, &envelope(&[])).expect("a message");
            let ticket = letter.ticket.as_ref().expect("a ticket").expose();
            let link = letter.link.as_ref().map_or("", |link| link.expose());
            let new = if template == Template::EmailConfirmChange { "ada@new.example.com" } else { "" };
            let said = format!(
                "link={link} displayName=Ada email=ada@example.com newEmail={new} ticket={ticket} \
                 redirectTo=https://app.example.com/welcome locale=xx serverUrl=https://auth.example.com/v1 \
                 clientUrl=https://app.example.com"
            );
            assert_eq!(message.text, said, "{}", template.name());
            assert_eq!(message.html.replace("&#x2f;", "/").replace("&amp;", "&"), said, "{}", template.name());
            assert_eq!(message.subject, new);
        }
    }
}

#[test]
fn nothing_in_a_value_begins_a_header() {
    let mut letter = Templates::sample_letter(Template::EmailVerify, None);
    let hostile = "https://app.example.com/a b\r\nBcc: eve@example.com\u{2028}ä";
    letter.redirect_to = Some(hostile.into());
    letter.ticket = Some(Secret::new(hostile.into()));
    letter.link = None;
    let message = Templates::embedded().render(&letter, &envelope(&[]));
    let safe = "https://app.example.com/a%20b%0D%0ABcc:%20eve@example.com%E2%80%A8%C3%A4";
    let all = [("X-Email-Template", "email-verify"), ("X-Ticket", safe), ("X-Redirect-To", safe), ("X-Link", "")];
    assert_eq!(told(&message.expect("a message")), all);
}

/// As the original's own templates look: entities, style sheets, braces, and no plain text.
const BODY: &str = "<!DOCTYPE html>\n<style>p{color:#fff}{{ x }}{% raw %}{# #}</style>\n\
                    <p>V&eacute;rifiez ${displayName}: <a href=\"${link}\">$ {link} $link}</a></p>\n";

#[test]
fn a_folder_of_nhost_auth_is_understood() {
    let dir = tempfile::tempdir().expect("a folder");
    for locale in ["fr", "pt"] {
        put(dir.path(), &format!("{locale}/email-verify/body.html"), BODY);
        put(dir.path(), &format!("{locale}/email-verify/subject.txt"), "Vérifiez ${displayName} {{ x }}\n");
    }
    put(dir.path(), "fr/signin-otp/body.html", "<b>${ticket}</b>${link}");
    put(dir.path(), "fr/signin-otp/subject.txt", "OTP");
    put(dir.path(), "fr/signin-otp/body.txt", "${ticket} <${email}>");
    // What else is found there.
    put(dir.path(), "fr/signin-passwordless-sms/body.txt", "${code} ${nothing}");
    put(dir.path(), "fr/elevate-otp/body.html", "${ticket} ${nothing}");
    put(dir.path(), "generator/node/x.tsx", "${props}");
    put(dir.path(), "fr/images/logo.svg", "<svg/>");
    // One of the other layout in the same language.
    put(dir.path(), "fr/password-reset.subject", "{{ link }}");
    let templates = Templates::load(Some(dir.path())).expect("templates");
    let rendered = |template, locale| {
        let mut letter = Templates::sample_letter(template, Some(locale));
        letter.values.insert("displayName".into(), "{{ <Ada> ${email} }}".into());
        templates.render(&letter, &envelope(&[])).expect("a message")
    };
    for locale in ["fr", "pt"] {
        let message = rendered(Template::EmailVerify, locale);
        assert_eq!(message.subject, "Vérifiez {{ <Ada> ${email} }} {{ x }}");
        assert_eq!(message.text, "", "the mail is HTML only, also where the program has words of its own");
        let link = message.link.expect("a link").replace('/', "&#x2f;").replace('&', "&amp;").replace("&amp;#", "&#");
        let html = BODY.trim_end().replace("${displayName}", "{{ &lt;Ada&gt; ${email} }}").replace("${link}", &link);
        assert_eq!(message.html, html);
    }
    let code = rendered(Template::SigninOtp, "fr");
    assert_eq!((code.html.as_str(), code.text.as_str()), ("<b>042719</b>", "042719 <ada@example.com>"));
    assert!(rendered(Template::PasswordReset, "fr").subject.starts_with("https://auth.example.com/v1/verify?"));
    assert!(rendered(Template::SigninPasswordless, "pt").subject.starts_with("Sign in"), "it has none in Portuguese");
}

#[test]
fn every_mistake_in_a_folder_of_nhost_auth_is_found_with_file_and_line() {
    let dir = tempfile::tempdir().expect("a folder");
    put(dir.path(), "en/email-verify/body.html", "<p>\n${link} ${Link}\n${ link }\n${code}</p>${link");
    put(dir.path(), "en/email-verify/subject.txt", "x");
    put(dir.path(), "en/email-verifi/body.html", "x");
    put(dir.path(), "en/signin-otp/subject.txt", "x");
    put(dir.path(), "pt/password-reset/body.html", "x");
    put(dir.path(), "de/password-reset/body.html", "x");
    put(dir.path(), "de/password-reset/subject.txt", "x");
    put(dir.path(), "de/password-reset.txt", "x");
    fs::write(dir.path().join("de/password-reset/body.txt"), [0xff, 0xfe]).expect("a file");
    let problems = Templates::load(Some(dir.path())).expect_err("mistakes");
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let all = said.join("\n").replace(&*dir.path().to_string_lossy(), "DIR");
    for wanted in [
        "DIR/en/email-verify/body.html:2: no value is called \"Link\"; there are app_name, clientUrl, displayName, email,",
        "DIR/en/email-verify/body.html:3: no value is called \" link \"",
        "DIR/en/email-verify/body.html:4: no value is called \"code\"",
        "DIR/en/email-verify/body.html:4: \"${\" begins a value that no \"}\" ends",
        "DIR/en/email-verifi: is no template: there are verify-email, ",
        "DIR/en/signin-otp/body.html: is missing",
        "DIR/pt/password-reset/subject.txt: is missing",
        "DIR/de/password-reset: is there twice: there is password-reset.txt beside it",
        "DIR/de/password-reset/body.txt: stream did not contain valid UTF-8",
    ] {
        assert!(all.contains(wanted), "{wanted:?} is not in:\n{all}");
    }
    assert_eq!(problems.len(), 9, "{all}");
}
