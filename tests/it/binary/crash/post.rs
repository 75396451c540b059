//! The mails that came, as files: read by those they went to.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::account::{Ask, Ticket};
use super::seen::Seen;

/// Where links lead, whatever a request says.
pub const PUBLIC_URL: &str = "https://auth.example.com";

/// All mails of all projects.
pub struct Post {
    dir: PathBuf,
    read: HashSet<PathBuf>,
    /// How often each mail came, by its id.
    copies: HashMap<String, usize>,
    /// The tickets that came to an address of a project, oldest first.
    tickets: HashMap<(String, String), Vec<Ticket>>,
}

impl Post {
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), read: HashSet::new(), copies: HashMap::new(), tickets: HashMap::new() }
    }

    /// Reads what came since. `projects`: names by id.
    pub fn collect(&mut self, seen: &Seen, projects: &HashMap<String, String>) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        let names = entries.map(|entry| entry.expect("an entry").path());
        let mut new: Vec<_> = names.filter(|path| path.extension().is_some_and(|end| end == "eml")).collect();
        new.retain(|path| !self.read.contains(path));
        new.sort();
        for path in new {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            let copies = self.copies.entry(name.split_once('-').unwrap_or_default().1.to_owned()).or_default();
            *copies += 1;
            // Cut off by a crash, a mail is sent once more and no third time.
            seen.hold(7, *copies <= 2, || format!("{name} came {copies} times"));
            self.letter(&fs::read_to_string(&path).expect("a mail"), seen, projects);
            self.read.insert(path);
        }
    }

    fn letter(&mut self, text: &str, seen: &Seen, projects: &HashMap<String, String>) {
        let head = text.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
        let header = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.map(|value| value.trim().to_owned())
        };
        let kind = match header("X-Email-Template").as_deref() {
            Some("signin-passwordless") => Ask::Link,
            Some("password-reset") => Ask::Reset,
            _ => return,
        };
        let header = |name: &str| header(name).unwrap_or_else(|| panic!("no {name} in {head}"));
        let (to, ticket, link) = (header("To"), header("X-Ticket"), header("X-Link"));
        seen.secret(&ticket);
        seen.hold(11, link.starts_with(&format!("{PUBLIC_URL}/v1/verify?")), || format!("a mail leads to {link}"));
        let project = link.split(['?', '&']).find_map(|pair| pair.strip_prefix("project="));
        let slug = project.and_then(|id| projects.get(id)).unwrap_or_else(|| panic!("of no project: {link}"));
        let to = to.trim_matches(['<', '>']).to_owned();
        let box_of = self.tickets.entry((slug.clone(), to)).or_default();
        // After a crash it may come once more.
        if !box_of.iter().any(|known| known.text == ticket) {
            box_of.push(Ticket { kind, text: ticket });
        }
    }

    /// The tickets that came to an address since they were last taken.
    pub fn take(&mut self, slug: &str, email: &str) -> Vec<Ticket> {
        self.tickets.get_mut(&(slug.to_owned(), email.to_owned())).map(std::mem::take).unwrap_or_default()
    }
}
