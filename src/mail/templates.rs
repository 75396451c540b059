//! Templates put letters into words: those in the program, each replaceable by a file of the operator's.
//!
//! A template has three parts, `NAME.subject`, `NAME.txt` and `NAME.html`, in a folder for each language; `folder` knows
//! another layout, too. Whatever may go wrong with one is found when they are loaded: each is read, compiled and tried with
//! every value it may use.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use minijinja::{Environment, UndefinedBehavior};
use uuid::Uuid;

use super::embedded::EMBEDDED;
use super::folder::{self, PARTS, Source, Sources, parts_of};
use super::percent::url_in_header;
use super::{Letter, Message, Template, samples};
use crate::crypto::Secret;

/// The languages the program itself speaks.
pub const LOCALES: [&str; 6] = ["en", "es", "fr", "de", "bg", "cs"];

/// The language of last resort.
const LAST: &str = "en";

/// All templates, compiled and tried.
pub struct Templates {
    environment: Environment<'static>,
    /// Which languages each template is there in.
    pub(super) locales: BTreeMap<Template, BTreeSet<String>>,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateProblem {
    /// The file.
    pub file: PathBuf,
    /// Where in it, where that is known.
    pub line: Option<usize>,
    /// What.
    pub reason: String,
}

impl fmt::Display for TemplateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.reason),
            None => write!(f, "{}: {}", self.file.display(), self.reason),
        }
    }
}

/// What a mail needs beside what it says.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The mail's id.
    pub id: Uuid,
    /// The recipient's address.
    pub to: &'a str,
    /// The sender, as `Name <address>` or an address.
    pub from: &'a str,
    /// Where answers go, when not to the sender.
    pub reply_to: Option<&'a str>,
    /// The name of the app it is about.
    pub app_name: &'a str,
    /// The languages to try after the reader's own, in order.
    pub locales: &'a [&'a str],
}

/// Instructions that one part of a mail may take: milliseconds of work. A template that repeats itself without end must not
/// hold up everybody's mail.
const FUEL: u64 = 100_000;

impl Templates {
    /// Those in the program.
    ///
    /// # Panics
    /// Never: a test loads them.
    pub fn embedded() -> Self {
        Self::load(None).unwrap_or_else(|_| Self { environment: Environment::new(), locales: BTreeMap::new() })
    }

    /// Those in the program, and in `dir` those that replace or join them.
    ///
    /// # Errors
    /// Every mistake there is, at once.
    pub fn load(dir: Option<&Path>) -> Result<Self, Vec<TemplateProblem>> {
        let mut sources = Sources::new();
        for (name, text) in EMBEDDED {
            let file = PathBuf::from(format!("built-in {name}"));
            sources.insert((*name).to_owned(), Source { file, text: (*text).to_owned() });
        }
        let mut problems = Vec::new();
        if let Some(dir) = dir {
            folder::read(dir, &mut sources, &mut problems);
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        let mut locales: BTreeMap<Template, BTreeSet<String>> = BTreeMap::new();
        for (name, source) in &sources {
            if let Err(error) = environment.add_template_owned(name.clone(), source.text.clone()) {
                problems.push(source.problem(&error));
                continue;
            }
            let Some((locale, template, _)) = parts_of(name) else { continue };
            locales.entry(template).or_default().insert(locale.to_owned());
            let tried = environment.get_template(name).and_then(|compiled| compiled.render(samples::sample(template)));
            if let Err(error) = tried {
                problems.push(source.problem(&error));
            }
        }
        for (template, of) in &locales {
            for locale in of {
                for part in PARTS {
                    let name = format!("{locale}/{}.{part}", template.name());
                    if let (false, Some(dir)) = (sources.contains_key(&name), dir) {
                        let reason = "is missing: a template in a language of your own has all three parts".to_owned();
                        problems.push(TemplateProblem { file: dir.join(name), line: None, reason });
                    }
                }
            }
        }
        if problems.is_empty() { Ok(Self { environment, locales }) } else { Err(problems) }
    }

    /// Puts a letter into words.
    ///
    /// # Errors
    /// The reason, without any value in it, when the template cannot say it (it uses something the letter has not).
    pub fn render(&self, letter: &Letter, envelope: &Envelope<'_>) -> Result<Message, String> {
        let template = letter.template;
        let wanted = letter.locale.as_deref().into_iter().chain(envelope.locales.iter().copied());
        let locale = self.locale_for(template, wanted);
        let mut values = letter.values.clone();
        values.insert("app_name".into(), envelope.app_name.to_owned());
        values.entry("email".into()).or_insert_with(|| envelope.to.to_owned());
        let secrets = [("link", &letter.link), ("code", &letter.code), ("ticket", &letter.ticket)];
        values.extend(secrets.iter().filter_map(|(name, secret)| Some(((*name).to_owned(), clear(secret)?))));
        if template.brings_ticket() {
            values.insert("locale".into(), locale.clone());
            values.insert("redirectTo".into(), letter.redirect_to.clone().unwrap_or_default());
            for name in samples::NHOST {
                values.entry(name.to_owned()).or_default();
            }
        }
        let part = |part: &str| {
            let name = format!("{locale}/{}.{part}", template.name());
            // Of the error only its kind and place: its text may hold a value.
            let reason = |error: minijinja::Error| format!("{name}:{}: {}", error.line().unwrap_or(0), error.kind());
            self.environment.get_template(&name).and_then(|compiled| compiled.render(&values)).map_err(reason)
        };
        let mut headers = vec![("X-Email-Template".to_owned(), template.name().to_owned())];
        if template.brings_ticket() {
            // All of them are on each of these mails (contract, section 1.8).
            let said = [
                ("X-Ticket", clear(&letter.ticket)),
                ("X-Redirect-To", letter.redirect_to.clone()),
                ("X-Link", clear(&letter.link)),
            ];
            let word = |value: Option<String>| url_in_header(&value.unwrap_or_default());
            headers.extend(said.map(|(name, value)| (name.to_owned(), word(value))));
        }
        headers.push(("Auto-Submitted".to_owned(), "auto-generated".to_owned()));
        headers.extend(envelope.reply_to.map(|to| ("Reply-To".to_owned(), to.to_owned())));
        Ok(Message {
            id: envelope.id,
            to: envelope.to.to_owned(),
            from: envelope.from.to_owned(),
            subject: one_line(&part("subject")?),
            text: part("txt")?,
            html: part("html")?,
            headers,
            template: template.name().to_owned(),
            link: clear(&letter.link),
            code: clear(&letter.code),
        })
    }

    /// A letter of this template with made-up values, for a preview.
    pub fn sample_letter(template: Template, locale: Option<&str>) -> Letter {
        samples::sample_letter(template, locale)
    }

    /// The first language of those `wanted` that the template is there in: as it is, then without region.
    pub(super) fn locale_for<'a>(&self, template: Template, wanted: impl Iterator<Item = &'a str>) -> String {
        let there = self.locales.get(&template);
        let has = |locale: &str| there.is_some_and(|there| there.contains(locale));
        for tag in wanted {
            let tag = tag.replace('_', "-");
            let language = tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
            let exact = there.and_then(|there| there.iter().find(|known| known.eq_ignore_ascii_case(&tag)));
            if let Some(known) = exact {
                return known.clone();
            }
            if has(&language) {
                return language;
            }
        }
        LAST.to_owned()
    }
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Templates")
    }
}

impl Source {
    fn problem(&self, error: &minijinja::Error) -> TemplateProblem {
        let reason = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        let hint = match error.kind() {
            minijinja::ErrorKind::UndefinedError => "; the template may not use such a value",
            minijinja::ErrorKind::OutOfFuel => "; it does far more than a mail needs",
            _ => "",
        };
        TemplateProblem { file: self.file.clone(), line: error.line(), reason: format!("{reason}{hint}") }
    }
}

/// The secret, to be put into words.
fn clear(secret: &Option<Secret<String>>) -> Option<String> {
    secret.as_ref().map(|secret| secret.expose().clone())
}

/// A header is one line: what a value brought along does not begin another.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
