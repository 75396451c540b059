//! What a started server says: one JSON line for machines, one screen for the person who started it.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use uuid::Uuid;

use super::doctor;
use crate::admin::Finding;
use crate::config::{ListenAddress, Settings, TlsMode};
use crate::net::{Bound, BoundAddress};

/// The ready line.
#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    /// Always true: the line is written when every listener accepts.
    pub ready: bool,
    /// The program's version.
    pub version: &'static str,
    /// Where it listens, with real ports.
    pub urls: Vec<String>,
    /// The local CA's certificate, for clients to trust; `null` where the operator brought a certificate or TLS is off.
    pub ca: Option<PathBuf>,
    /// The control socket; `null` in memory inside another program.
    pub control: Option<PathBuf>,
    /// Where the metrics are, beside the control socket; not there where that is the only place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
    /// The projects.
    pub projects: Vec<ReadyProject>,
    #[serde(skip)]
    pub(super) guidance: String,
}

/// A project in the ready line.
#[derive(Clone, Debug, Serialize)]
pub struct ReadyProject {
    /// Its name for people and configuration.
    pub slug: String,
    /// The `project-id` of its clients.
    pub id: Uuid,
}

impl Ready {
    /// The line for machines, without its line end.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("the ready line holds nothing JSON cannot say")
    }

    /// One line for a supervisor that shows how its services do.
    pub fn status(&self) -> String {
        format!("{} on {}", count(self.projects.len(), "project"), self.urls.join(", "))
    }

    /// The screen for the person who started it.
    pub fn guidance(&self) -> &str {
        &self.guidance
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The URLs of bound listeners.
pub(super) fn urls(listeners: &[Bound]) -> Vec<String> {
    listeners
        .iter()
        .map(|bound| match bound.address() {
            BoundAddress::Tcp(address) if bound.is_tls() => format!("https://{address}"),
            BoundAddress::Tcp(address) => format!("http://{address}"),
            BoundAddress::Unix(path) => format!("unix:{}", path.display()),
        })
        .collect()
}

/// The URL links are built from before anything is bound.
pub fn configured_url(settings: &Settings) -> String {
    let scheme = if settings.tls.mode == TlsMode::Off { "http" } else { "https" };
    let first = settings.listen.addresses.iter().find(|address| matches!(address, ListenAddress::Tcp { .. }));
    match (&settings.listen.public_url, first) {
        (Some(url), _) => url.clone(),
        (None, Some(address)) => format!("{scheme}://{address}"),
        (None, None) => format!("{scheme}://localhost"),
    }
}

/// What the person who started it should know: what was done, what is not safe yet, how to sign up the first user.
pub(super) fn guidance(ready: &Ready, settings: &Settings, fresh: bool) -> String {
    let mut text = String::new();
    let mut say = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    say(&format!("keystead {} is ready at {}", ready.version, ready.urls.join(" and ")));
    if settings.ephemeral {
        say("  data      in memory: everything is gone when this process ends");
        if let Some(control) = &ready.control {
            let folder = control.parent().unwrap_or(control).display();
            say(&format!(
                "  control   {} (clock and mailbox for tests; commands: --data-dir {folder})",
                control.display()
            ));
        }
    } else {
        let made = if fresh { " (made just now; mode 0700)" } else { "" };
        say(&format!("  data      {}{made}", settings.data_dir.display()));
    }
    for project in ready.projects.iter().take(5) {
        say(&format!("  project   {}  project-id {}", project.slug, project.id));
    }
    if ready.projects.len() > 5 {
        say(&format!("            and {} more: keystead project list", ready.projects.len() - 5));
    }
    if let Some(ca) = &ready.ca {
        say(&format!("  CA        {} (clients must trust it)", ca.display()));
    }
    let findings = doctor::first_look(settings);
    if !findings.is_empty() {
        say("");
        say("Not safe for strangers yet (`keystead doctor` says more):");
        for Finding { what, remedy, .. } in findings {
            say(&format!("  - {what}: {remedy}"));
        }
    }
    if let Some(line) = first_sign_up(ready, settings) {
        say("");
        say("Sign up the first user:");
        say(&format!("  {line}"));
    }
    text
}

/// A `curl` line that signs up the first user, ready to paste.
fn first_sign_up(ready: &Ready, settings: &Settings) -> Option<String> {
    let url = ready.urls.iter().find(|url| url.starts_with("http"))?;
    let project = ready.projects.first()?;
    let declared = settings.projects.get(&project.slug);
    if declared.is_some_and(|project| !(project.enabled && project.signup.enabled && project.noma.enabled)) {
        return None;
    }
    let path = declared.map_or("/api/auth", |project| project.noma.path.as_str());
    let mut line = String::from("curl");
    if let Some(ca) = &ready.ca {
        let _ = write!(line, " --cacert {}", ca.display());
    }
    let _ = write!(line, " {url}{path}/signup");
    if ready.projects.len() > 1 {
        let _ = write!(line, " -H 'project-id: {}'", project.id);
    }
    line.push_str(
        " -H 'content-type: application/json' -d '{\"email\":\"ada@example.com\",\"password\":\"correct horse\"}'",
    );
    Some(line)
}
