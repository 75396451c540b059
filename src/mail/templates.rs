//! Templates put letters into words: those in the program, each replaceable by a file of the operator's.
//!
//! A template has three parts, `NAME.subject`, `NAME.txt` and `NAME.html`, in a folder for each language. Whatever may go
//! wrong with one is found when they are loaded: each is read, compiled and tried with every value it may use.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use minijinja::{Environment, UndefinedBehavior};
use uuid::Uuid;

use super::embedded::EMBEDDED;
use super::{Letter, Message, Template};

/// The languages the program itself speaks.
pub const LOCALES: [&str; 6] = ["en", "es", "fr", "de", "bg", "cs"];

/// The language of last resort.
const LAST: &str = "en";
/// The parts of a template.
const PARTS: [&str; 3] = ["subject", "txt", "html"];
/// The largest template file, bytes.
const MAX_FILE: u64 = 256 * 1024;
/// Languages a directory may hold.
const MAX_LOCALES: usize = 256;

/// All templates, compiled and tried.
pub struct Templates {
    environment: Environment<'static>,
    /// Which languages each template is there in.
    locales: BTreeMap<Template, BTreeSet<String>>,
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
        let mut sources: BTreeMap<String, Source> = BTreeMap::new();
        for (name, text) in EMBEDDED {
            let file = PathBuf::from(format!("built-in {name}"));
            sources.insert((*name).to_owned(), Source { file, text: (*text).to_owned() });
        }
        let mut problems = Vec::new();
        if let Some(dir) = dir {
            read_dir(dir, &mut sources, &mut problems);
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let mut locales: BTreeMap<Template, BTreeSet<String>> = BTreeMap::new();
        for (name, source) in &sources {
            if let Err(error) = environment.add_template_owned(name.clone(), source.text.clone()) {
                problems.push(source.problem(&error));
                continue;
            }
            let Some((locale, template, _)) = parts_of(name) else { continue };
            locales.entry(template).or_default().insert(locale.to_owned());
            let tried = environment.get_template(name).and_then(|compiled| compiled.render(sample(template)));
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
        values.insert("email".into(), envelope.to.to_owned());
        let texts = [("link", &letter.link), ("code", &letter.code)];
        values.extend(texts.iter().filter_map(|(name, text)| Some(((*name).to_owned(), (*text).clone()?))));
        let part = |part: &str| {
            let name = format!("{locale}/{}.{part}", template.name());
            // Of the error only its kind and place: its text may hold a value.
            let reason = |error: minijinja::Error| format!("{name}:{}: {}", error.line().unwrap_or(0), error.kind());
            self.environment.get_template(&name).and_then(|compiled| compiled.render(&values)).map_err(reason)
        };
        let mut headers = vec![
            ("X-Email-Template".to_owned(), template.name().to_owned()),
            ("Auto-Submitted".to_owned(), "auto-generated".to_owned()),
        ];
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
            link: letter.link.clone(),
            code: letter.code.clone(),
        })
    }

    /// A letter of this template with made-up values, for a preview.
    pub fn sample_letter(template: Template, locale: Option<&str>) -> Letter {
        let mut values = sample(template);
        let (link, code) = (values.remove("link"), values.remove("code"));
        values.retain(|name, _| !matches!(name.as_str(), "app_name" | "email"));
        Letter { template, locale: locale.map(str::to_owned), link, code, values }
    }

    /// The first language of those `wanted` that the template is there in: as it is, then without region.
    fn locale_for<'a>(&self, template: Template, wanted: impl Iterator<Item = &'a str>) -> String {
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

struct Source {
    file: PathBuf,
    text: String,
}

impl Source {
    fn problem(&self, error: &minijinja::Error) -> TemplateProblem {
        let reason = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        let hint = match error.kind() {
            minijinja::ErrorKind::UndefinedError => "; the template may not use such a value",
            _ => "",
        };
        TemplateProblem { file: self.file.clone(), line: error.line(), reason: format!("{reason}{hint}") }
    }
}

/// Reads `LOCALE/NAME.PART` below `dir`.
fn read_dir(dir: &Path, sources: &mut BTreeMap<String, Source>, problems: &mut Vec<TemplateProblem>) {
    let failed = |file: &Path, error: &io::Error| TemplateProblem {
        file: file.to_owned(),
        line: None,
        reason: error.to_string(),
    };
    let folders = match sorted(dir) {
        Ok(folders) => folders,
        Err(error) => return problems.push(failed(dir, &error)),
    };
    for folder in folders.iter().filter(|folder| folder.is_dir()).take(MAX_LOCALES) {
        let files = match sorted(folder) {
            Ok(files) => files,
            Err(error) => {
                problems.push(failed(folder, &error));
                continue;
            }
        };
        let locale = folder.file_name().unwrap_or_default().to_string_lossy();
        for file in files {
            let base = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let ours = base.rsplit_once('.').is_some_and(|(_, part)| PARTS.contains(&part));
            if base.starts_with('.') || !ours {
                continue;
            }
            let name = format!("{locale}/{base}");
            if parts_of(&name).is_none() {
                let names = Template::ALL.map(Template::name).join(", ");
                let reason = format!("is no template: there are {names}, in folders named like \"fr\" or \"pt-BR\"");
                problems.push(TemplateProblem { file, line: None, reason });
                continue;
            }
            match read(&file) {
                Ok(text) => {
                    sources.insert(name, Source { file, text });
                }
                Err(error) => problems.push(failed(&file, &error)),
            }
        }
    }
}

fn sorted(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    all.sort();
    Ok(all)
}

fn read(file: &Path) -> io::Result<String> {
    if fs::metadata(file)?.len() > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "is larger than 256 KiB"));
    }
    fs::read_to_string(file)
}

/// The locale, the template and the part in `fr/verify-email.txt`.
fn parts_of(name: &str) -> Option<(&str, Template, &str)> {
    let (locale, base) = name.split_once('/')?;
    let (template, part) = base.rsplit_once('.')?;
    let tag_ok = (2..=35).contains(&locale.len()) && locale.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (tag_ok && PARTS.contains(&part)).then_some((locale, Template::named(template)?, part))
}

/// Everything the template may use, with made-up values.
fn sample(template: Template) -> BTreeMap<String, String> {
    let own: &[(&str, &str)] = match template {
        Template::VerifyEmail => &[
            ("link", "https://auth.example.com/verify-email?token=wYk3mVbq0sWcHn1fT9eL2xPzR7uJd5aGoI4iKlMhNQA"),
            ("code", "7K2M-9QXR-4TBD"),
            ("expires_at", "2026-01-02 00:00 UTC"),
        ],
        Template::AccountExists => &[("at", "2026-01-01 00:00 UTC")],
        Template::LockedOut => {
            &[("at", "2026-01-01 00:00 UTC"), ("ip", "203.0.113.7"), ("until", "2026-01-01 00:15 UTC")]
        }
        Template::PasswordChanged => &[("at", "2026-01-01 00:00 UTC"), ("ip", "203.0.113.7")],
        Template::NewDevice => {
            &[("at", "2026-01-01 00:00 UTC"), ("ip", "203.0.113.7"), ("agent", "Mozilla/5.0 (X11; Linux x86_64)")]
        }
    };
    let common = [("app_name", "Example App"), ("email", "ada@example.com")];
    common.iter().chain(own).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A header is one line: what a value brought along does not begin another.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

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
                for value in letter.values.values().chain(&letter.link).chain(&letter.code) {
                    assert!(message.text.contains(value.as_str()), "{}/{locale}.txt: {value}", template.name());
                }
                for value in letter.code.iter().chain(letter.values.get("ip")) {
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
            [
                ("X-Email-Template", "verify-email"),
                ("Auto-Submitted", "auto-generated"),
                ("Reply-To", "help@example.com")
            ]
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
    fn what_a_template_has_not_got_is_an_error_without_its_values() {
        let templates = Templates::embedded();
        let mut letter = Templates::sample_letter(Template::VerifyEmail, None);
        letter.code = None;
        let reason = templates.render(&letter, &envelope(&[])).expect_err("a missing value");
        assert!(reason.starts_with("en/verify-email.") && !reason.contains("token="), "{reason}");
    }
}
