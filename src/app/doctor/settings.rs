//! What the settings allow strangers, and whether they fit one another.

use super::{Facts, listed};
use crate::admin::{Finding, Severity};
use crate::config::{Delivery, ListenAddress, ProjectSettings, Settings, TlsMode, VerificationMode};

/// What the settings alone show to be unsafe for strangers: for whoever has just started a server.
pub(in crate::app) fn first_look(settings: &Settings) -> Vec<Finding> {
    let undeclared = [ProjectSettings::named("default")];
    let declared: Vec<&ProjectSettings> = match settings.projects.is_empty() {
        true => undeclared.iter().collect(),
        false => settings.projects.values().collect(),
    };
    let mut findings = protection_of(settings);
    findings.extend(verification_of(&declared));
    findings.extend(mail_of(settings, &declared));
    findings
}

fn usable(facts: &Facts) -> Vec<&ProjectSettings> {
    facts.projects.iter().filter_map(|found| found.state.as_ref().ok()).map(|state| &*state.settings).collect()
}

/// Whether other machines can reach a listener.
fn is_public(settings: &Settings) -> bool {
    settings.listen.addresses.iter().any(|address| !address.is_local())
}

pub(super) fn protection(facts: &Facts) -> Vec<Finding> {
    protection_of(&facts.settings)
}

fn protection_of(settings: &Settings) -> Vec<Finding> {
    let severity = if is_public(settings) { Severity::Warning } else { Severity::Hint };
    let finding = match settings.tls.mode {
        TlsMode::SelfSigned => Finding::new(
            severity,
            "the certificate is from a CA of our own",
            "clients that do not trust that CA refuse to connect",
            "for the public set tls.mode = \"acme\", or \"files\" with a certificate of your own",
        ),
        TlsMode::Off => Finding::new(
            severity,
            "TLS is off",
            "passwords and tokens travel in clear",
            "whatever is in front must encrypt; else set tls.mode",
        ),
        TlsMode::Files { .. } | TlsMode::Acme => return Vec::new(),
    };
    vec![finding]
}

pub(super) fn verification(facts: &Facts) -> Vec<Finding> {
    verification_of(&usable(facts))
}

fn verification_of(projects: &[&ProjectSettings]) -> Vec<Finding> {
    let of = |wanted: fn(&ProjectSettings) -> bool| {
        let slugs = projects.iter().filter(|project| project.enabled && wanted(project));
        slugs.map(|project| project.slug.as_str()).collect::<Vec<_>>()
    };
    let mut findings = Vec::new();
    let unproved = of(|project| project.verification.mode == VerificationMode::Off);
    if !unproved.is_empty() {
        findings.push(Finding::new(
            Severity::Warning,
            format!("addresses are not verified in {}", listed(&unproved)),
            "anybody can sign up with somebody else's address",
            "set verification.mode = \"strict\" or \"lenient\"",
        ));
    }
    let handed_out = of(|project| {
        project.verification.mode != VerificationMode::Off && project.verification.delivery == Delivery::App
    });
    if !handed_out.is_empty() {
        findings.push(Finding::new(
            Severity::Warning,
            format!("verification tokens of {} are handed to whoever signs up", listed(&handed_out)),
            "that proves an address to your own server only, and only where nobody else can reach the API",
            "set verification.delivery = \"mail\", or let only your own server call",
        ));
    }
    findings
}

pub(super) fn mail(facts: &Facts) -> Vec<Finding> {
    mail_of(&facts.settings, &usable(facts))
}

fn mail_of(settings: &Settings, projects: &[&ProjectSettings]) -> Vec<Finding> {
    if settings.sends_mail() {
        return Vec::new();
    }
    let stuck = projects.iter().filter(|project| {
        let verification = &project.verification;
        project.enabled && verification.mode != VerificationMode::Off && verification.delivery == Delivery::Mail
    });
    let stuck: Vec<_> = stuck.map(|project| project.slug.as_str()).collect();
    let finding = match stuck.is_empty() {
        true => Finding::new(
            Severity::Warning,
            "no mail is sent",
            "owners are not told of lockouts, changed passwords and new devices; such mails wait in the outbox until \
             they expire",
            "set mail.transport",
        ),
        false => Finding::new(
            Severity::Error,
            format!("no mail is sent, and in {} addresses are proved by mail", listed(&stuck)),
            "nobody can prove an address; mails wait in the outbox until they expire",
            "set mail.transport, or verification.delivery = \"app\"",
        ),
    };
    vec![finding]
}

pub(super) fn proxies(facts: &Facts) -> Vec<Finding> {
    let listen = &facts.settings.listen;
    // A unix socket's peer is believed without being named.
    let by_tcp = listen.addresses.iter().any(|address| matches!(address, ListenAddress::Tcp { .. }));
    if !(listen.behind_proxy && by_tcp && listen.trusted_proxies.is_empty()) {
        return Vec::new();
    }
    vec![Finding::new(
        Severity::Warning,
        "the proxy in front is not trusted",
        "every client seems to come from the proxy's address: one who guesses locks out all, and limits count all as one",
        "name the proxy's address in listen.trusted_proxies",
    )]
}

pub(super) fn public_url(facts: &Facts) -> Vec<Finding> {
    if facts.settings.listen.public_url.is_some() || !is_public(&facts.settings) {
        return Vec::new();
    }
    let without = usable(facts).into_iter().any(|project| project.enabled && declared_url(facts, project).is_none());
    if !without {
        return Vec::new();
    }
    vec![Finding::new(
        Severity::Warning,
        "listen.public_url is not set",
        "links in mails and the issuer of tokens name the first listener, which clients may not reach by that name",
        "set listen.public_url to the URL your clients use",
    )]
}

/// The URL that was set for the project, not the one filled in.
fn declared_url<'a>(facts: &'a Facts, project: &ProjectSettings) -> Option<&'a String> {
    facts.settings.projects.get(&project.slug).and_then(|declared| declared.public_url.as_ref())
}

pub(super) fn hash_cost(facts: &Facts) -> Vec<Finding> {
    let hashing = &facts.settings.hashing;
    if hashing.cost().meets_owasp() {
        return Vec::new();
    }
    vec![Finding::new(
        Severity::Warning,
        format!("a password costs {} KiB and {} passes to hash", hashing.memory_kib, hashing.iterations),
        "that is below what OWASP recommends: stolen hashes are guessed fast",
        "set hashing.memory_kib = 19456 and hashing.iterations = 2, or remove both",
    )]
}
