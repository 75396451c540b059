//! The operator's folder of templates, in either of two layouts that a look at it tells apart:
//!
//! ```text
//! fr/email-verify.html, .txt, .subject       ours: `{{ link }}`; each file replaces one
//! fr/email-verify/body.html, subject.txt     Nhost Auth's (AUTH_EMAIL_TEMPLATES_PATH): `${link}`
//! ```
//!
//! A folder of the second kind is one template in one language, whole. It has no plain text (such mails were HTML only),
//! but may have a `body.txt`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::templates::TemplateProblem;
use super::{Template, samples};

/// The parts of a template.
pub(super) const PARTS: [&str; 3] = ["subject", "txt", "html"];
/// What Nhost Auth calls them.
const NHOST_PARTS: [(&str, &str); 3] = [("subject.txt", "subject"), ("body.txt", "txt"), ("body.html", "html")];
/// What else its folders hold: a text message, and a mail that nothing here sends.
const NHOST_OTHERS: [&str; 2] = ["signin-passwordless-sms", "elevate-otp"];
/// The largest template file, bytes.
const MAX_FILE: u64 = 256 * 1024;
/// Languages a directory may hold.
const MAX_LOCALES: usize = 256;

/// A template's part, as the engine reads it.
pub(super) struct Source {
    /// Where it came from.
    pub(super) file: PathBuf,
    /// What it says.
    pub(super) text: String,
}

/// Sources by names like `fr/verify-email.txt`.
pub(super) type Sources = BTreeMap<String, Source>;

/// Reads what is below `dir` over what `sources` holds.
pub(super) fn read(dir: &Path, sources: &mut Sources, problems: &mut Vec<TemplateProblem>) {
    let folders = match sorted(dir) {
        Ok(folders) => folders,
        Err(error) => return problems.push(problem(dir, error.to_string())),
    };
    for folder in folders.iter().filter(|folder| folder.is_dir()).take(MAX_LOCALES) {
        let locale = folder.file_name().unwrap_or_default().to_string_lossy();
        let entries = match sorted(folder) {
            Ok(entries) => entries,
            Err(error) => {
                problems.push(problem(folder, error.to_string()));
                continue;
            }
        };
        for entry in &entries {
            let base = entry.file_name().unwrap_or_default().to_string_lossy();
            if base.starts_with('.') {
                continue;
            }
            if entry.is_dir() {
                read_nhost(&locale, &base, entry, sources, problems);
            } else if base.rsplit_once('.').is_some_and(|(_, part)| PARTS.contains(&part)) {
                read_part(&format!("{locale}/{base}"), entry, sources, problems);
            }
        }
    }
}

/// Reads one part in our layout.
fn read_part(name: &str, file: &Path, sources: &mut Sources, problems: &mut Vec<TemplateProblem>) {
    if parts_of(name).is_none() {
        return problems.push(no_template(file));
    }
    match read_file(file) {
        Ok(text) => {
            sources.insert(name.to_owned(), Source { file: file.to_owned(), text });
        }
        Err(error) => problems.push(problem(file, error.to_string())),
    }
}

/// Reads a template in the layout of Nhost Auth, where `folder` holds one.
fn read_nhost(locale: &str, base: &str, folder: &Path, sources: &mut Sources, problems: &mut Vec<TemplateProblem>) {
    let holds = |file: &str| folder.join(file).is_file();
    if NHOST_OTHERS.contains(&base) || !NHOST_PARTS.iter().any(|(file, _)| holds(file)) {
        return;
    }
    let Some((_, template, _)) = parts_of(&format!("{locale}/{base}.html")) else {
        return problems.push(no_template(folder));
    };
    let beside = |part: &&&str| folder.with_file_name(format!("{base}.{part}")).is_file();
    if let Some(part) = PARTS.iter().find(beside) {
        problems.push(problem(folder, format!("is there twice: there is {base}.{part} beside it; keep one of them")));
    }
    for (name, part) in NHOST_PARTS {
        let file = folder.join(name);
        let text = match read_file(&file) {
            Ok(text) => ours(&text, template).unwrap_or_else(|wrong| {
                let told = |(line, reason)| TemplateProblem { file: file.clone(), line: Some(line), reason };
                problems.extend(wrong.into_iter().map(told));
                String::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound && part == "txt" => String::new(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                problems.push(problem(&file, "is missing: a template has a body.html and a subject.txt".into()));
                String::new()
            }
            Err(error) => {
                problems.push(problem(&file, error.to_string()));
                String::new()
            }
        };
        sources.insert(format!("{locale}/{base}.{part}"), Source { file, text });
    }
}

/// A text with `${name}` as one with `{{ name }}`, which is escaped where it stands in HTML; nothing else in it means
/// anything.
///
/// # Errors
/// Every place that names no value, with its line.
fn ours(text: &str, template: Template) -> Result<String, Vec<(usize, String)>> {
    let known = samples::sample(template);
    let (mut written, mut wrong) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once("${") {
        let line = 1 + text[..text.len() - after.len()].matches('\n').count();
        literally(&mut written, literal);
        let Some((name, left)) = after.split_once('}') else {
            wrong.push((line, "\"${\" begins a value that no \"}\" ends".to_owned()));
            break;
        };
        if known.contains_key(name) {
            written.push_str(&format!("{{{{ {name} }}}}"));
        } else {
            let names = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            wrong.push((line, format!("no value is called {name:.40?}; there are {names}")));
        }
        rest = left;
    }
    literally(&mut written, rest);
    if wrong.is_empty() { Ok(written) } else { Err(wrong) }
}

/// Text in which the engine sees no sign of its own.
fn literally(written: &mut String, text: &str) {
    for piece in text.split_inclusive('{') {
        match piece.strip_suffix('{') {
            Some(before) => written.extend([before, "{{ '{' }}"]),
            None => written.push_str(piece),
        }
    }
}

/// The locale, the template and the part in `fr/verify-email.txt`.
pub(super) fn parts_of(name: &str) -> Option<(&str, Template, &str)> {
    let (locale, base) = name.split_once('/')?;
    let (template, part) = base.rsplit_once('.')?;
    let tag_ok = (2..=35).contains(&locale.len()) && locale.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (tag_ok && PARTS.contains(&part)).then_some((locale, Template::named(template)?, part))
}

fn problem(file: &Path, reason: String) -> TemplateProblem {
    TemplateProblem { file: file.to_owned(), line: None, reason }
}

fn no_template(file: &Path) -> TemplateProblem {
    let names = Template::ALL.map(Template::name).join(", ");
    problem(file, format!("is no template: there are {names}, in folders named like \"fr\" or \"pt-BR\""))
}

fn sorted(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    all.sort();
    Ok(all)
}

fn read_file(file: &Path) -> io::Result<String> {
    if fs::metadata(file)?.len() > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "is larger than 256 KiB"));
    }
    fs::read_to_string(file)
}
