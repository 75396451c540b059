//! Files of an operator's folder of templates, in either layout: what loads can be put into words, in headers of one line
//! each. The first byte says which file the rest is.
//!
//! Templates are programs of the operator's, and nobody else's: one that is written to take all memory or time does so.
//! Such are left out by what they are made of.
#![no_main]

use keystead::mail::{Envelope, Template, Templates};
use keystead_fuzz::folder;
use uuid::Uuid;

const FILES: [&str; 6] = [
    "fr/verify-email.subject",
    "fr/verify-email.txt",
    "fr/verify-email.html",
    "fr/email-verify/body.html",
    "fr/email-verify/subject.txt",
    "fr/signin-otp/body.txt",
];

/// What makes much of little.
const MAGNIFIERS: [&[u8]; 8] = [b"range", b"~", b"*", b"indent", b"replace", b"format", b"join", b"recursive"];

fn magnifies(text: &[u8]) -> bool {
    let count = |word: &&[u8]| text.windows(word.len()).filter(|part| part == word).count();
    MAGNIFIERS.iter().map(count).sum::<usize>() > 2
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [which, text @ ..] = bytes else { return };
    if magnifies(text) {
        return;
    }
    let name = FILES[usize::from(*which) % FILES.len()];
    let (folder_of, base) = name.rsplit_once('/').expect("it lies in a folder");
    // A template of the other layout is whole.
    let beside = ["body.html", "subject.txt"].map(|part| format!("{folder_of}/{part}"));
    let mut files: Vec<(&str, &[u8])> = Vec::new();
    if base.starts_with("body.") || base == "subject.txt" {
        files.extend(beside.iter().map(|part| (part.as_str(), &b"${link}"[..])));
    }
    files.push((name, text));
    let Ok(templates) = Templates::load(Some(folder::holding(&files))) else { return };
    for template in [Template::VerifyEmail, Template::EmailVerify, Template::SigninOtp] {
        let letter = Templates::sample_letter(template, Some("fr"));
        let envelope = Envelope {
            id: Uuid::from_u128(1),
            to: "ada@example.com",
            from: "no-reply@example.com",
            reply_to: None,
            app_name: "Example <App> {{ 1 }}",
            locales: &["en"],
        };
        // What was tried with every value fails with none of them.
        let message = templates.render(&letter, &envelope).expect("a template that loads can be rendered");
        let lines = message.headers.iter().map(|(_, value)| value).chain([&message.subject]);
        assert!(lines.into_iter().all(|line| !line.chars().any(char::is_control)));
        assert!(
            !message.html.contains("<App>") || text.windows(5).any(|part| part == b"<App>") || !name.ends_with("html")
        );
    }
});
