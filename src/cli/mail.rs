//! `keystead mail`: the transport tried, templates previewed, what waits and what was given up.

use anyhow::{Result, anyhow, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use uuid::Uuid;

use super::Surroundings;
use super::api::{Api, encode};
use super::output::{cell, entries, fields, table, visible};
use super::place::InProject;
use super::project::{more, page};
use crate::app::configured_transport;
use crate::auth::Email;
use crate::config::{Mail, MailTransport, Settings};
use crate::mail::{Envelope, Message, SendError, Smtp, Template, Templates};
use crate::outbound::Outbound;

/// The sender in a preview, where none is configured.
const EXAMPLE_SENDER: &str = "no-reply@example.com";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    within: InProject,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Send a mail at once with the configured transport, and show every line of the conversation with a mail server
    Test {
        /// Who gets it
        #[arg(value_parser = address)]
        address: String,
        /// A template with made-up values, to see it where mails are read [else a line of text]
        #[arg(long, value_name = "NAME", value_parser = template)]
        template: Option<Template>,
        /// Its language [else mail.locale]
        #[arg(long, value_name = "LOCALE", requires = "template")]
        locale: Option<String>,
    },
    /// Show a template with made-up values
    Preview(Preview),
    /// List the mails that wait to be sent
    List {
        /// Those that were given up instead
        #[arg(long)]
        dead: bool,
        /// Entries at most, up to 1000
        #[arg(long, default_value_t = 100)]
        limit: u16,
        /// Begin after the mail with this id
        #[arg(long, value_name = "ID")]
        after: Option<Uuid>,
    },
    /// Show a mail and what it says, secrets and all
    Show {
        /// The mail
        id: Uuid,
    },
    /// Send a mail now: one that waits at once, one that was given up anew
    Resend(Which),
    /// Remove a mail unsent
    Drop {
        /// The mail
        id: Uuid,
    },
}

#[derive(Debug, clap::Args)]
struct Preview {
    /// The template, such as verify-email
    #[arg(value_parser = template)]
    name: Template,
    /// The language [else mail.locale]
    #[arg(long, value_name = "LOCALE")]
    locale: Option<String>,
    /// Only the HTML part
    #[arg(long)]
    html: bool,
    /// Only the text part
    #[arg(long, conflicts_with = "html")]
    text: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The mail
    id: Option<Uuid>,
    /// All that were given up and still can work
    #[arg(long)]
    all: bool,
}

impl Args {
    pub(super) fn run(self, around: &mut Surroundings) -> Result<()> {
        let Self { within, what } = self;
        match what {
            What::Test { address, template, locale } => {
                return test(&within, around, &address, template.map(|name| (name, locale.as_deref())));
            }
            What::Preview(preview) => return preview.run(&within, around),
            What::List { .. } | What::Show { .. } | What::Resend(_) | What::Drop { .. } => {}
        }
        within.place.clone().with_api(around, async |api, around| {
            let outbox = Outbox { path: within.path(api).await?, json: within.place.json, api };
            match what {
                What::List { dead, limit, after } => outbox.list(around, dead, limit, after).await,
                What::Show { id } => outbox.show(around, id).await,
                What::Resend(which) => outbox.resend(around, which.id).await,
                What::Drop { id } => outbox.remove(around, id).await,
                What::Test { .. } | What::Preview(_) => Ok(()),
            }
        })
    }
}

/// Sends a mail from this process: it needs neither the server nor its data.
fn test(
    within: &InProject,
    around: &mut Surroundings,
    address: &str,
    template: Option<(Template, Option<&str>)>,
) -> Result<()> {
    let settings = within.place.settings(around)?;
    if settings.mail.transport == MailTransport::None {
        bail!(
            "mail.transport is \"none\": no mail leaves this server. Set it to \"smtp\", \"file\", \"log\" or \
             \"webhook\"; `keystead config example` explains what each needs"
        );
    }
    let from = match &within.project {
        Some(_) => within.place.with_api(around, async |api, _| sender_of(within, api).await)?,
        None => None,
    };
    let from = from.or_else(|| settings.mail.from.clone()).unwrap_or_else(|| EXAMPLE_SENDER.to_owned());
    let id = around.env.new_id(around.env.now());
    let message = match template {
        Some((name, locale)) => example(&settings.mail, name, locale, Envelope { id, ..letterhead(address, &from) })?,
        None => trial(id, address, &from),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sent = runtime.block_on(send(&settings, around, &message));
    let (said, error) = match &sent {
        Ok(said) => (Some(said.as_str()), None),
        Err(error) => (None, Some(error)),
    };
    if within.place.json {
        let for_good = error.map(|error| matches!(error, SendError::Never(_)));
        let answer = json!({
            "sent": error.is_none(),
            "id": message.id,
            "said": said,
            "error": error.map(ToString::to_string),
            "for_good": for_good,
        });
        around.console.json(&answer)?;
    } else if let Some(said) = said {
        around.console.say(&visible(said))?;
    }
    match sent {
        Ok(_) => Ok(()),
        Err(SendError::Later(reason)) => {
            Err(anyhow!("not sent: {}. The server tries such a mail again", visible(&reason)))
        }
        Err(SendError::Never(reason)) => {
            Err(anyhow!("not sent: {}. The server gives such a mail up", visible(&reason)))
        }
    }
}

/// The project's own sender.
async fn sender_of(within: &InProject, api: &Api) -> Result<Option<String>> {
    let project = api.get(&within.path(api).await?).await?;
    Ok(project["settings"]["mail"]["from"].as_str().map(str::to_owned))
}

async fn send(settings: &Settings, around: &mut Surroundings, message: &Message) -> Result<String, SendError> {
    let (env, now) = (around.env.clone(), around.env.now());
    let server = settings.mail.smtp.settings(settings.listen.public_url.as_deref());
    if let (MailTransport::Smtp, Some(server)) = (settings.mail.transport, server) {
        let smtp = Smtp::new(&server, &env);
        let (lines, mut heard) = unbounded_channel::<String>();
        let listening = async {
            while let Some(line) = heard.recv().await {
                around.console.note(&visible(&line));
            }
        };
        let (sent, ()) = tokio::join!(smtp.try_out(message, now, lines), listening);
        return sent.map(|said| format!("sent; {} says \"{said}\"", server.host));
    }
    let outbound = Outbound::new(&env, &settings.outbound.policy());
    let outbound = outbound.map_err(|error| SendError::Later(error.to_string()))?;
    configured_transport(settings, &env, &outbound).send(message, now).await?;
    Ok(match settings.mail.transport {
        MailTransport::File => {
            let dir = settings.mail.file.dir.clone().unwrap_or_default();
            format!("written into {}", dir.display())
        }
        MailTransport::Log => {
            "with transport \"log\" the server writes a line, and `keystead mail show ID` the mail".into()
        }
        MailTransport::Webhook => "handed over".into(),
        MailTransport::Smtp | MailTransport::None => String::new(),
    })
}

/// What is sent to try a transport out.
fn trial(id: Uuid, to: &str, from: &str) -> Message {
    let text = "This mail was sent by `keystead mail test`. That it is here shows that mails leave Keystead.\n";
    Message {
        id,
        to: to.to_owned(),
        from: from.to_owned(),
        subject: "A test mail from Keystead".into(),
        text: text.into(),
        html: format!("<p>{}</p>\n", text.trim_end().replace('`', "")),
        headers: Vec::new(),
        template: "test".into(),
        link: None,
        code: None,
    }
}

/// A mail of a template, with made-up values.
fn example(mail: &Mail, name: Template, locale: Option<&str>, envelope: Envelope<'_>) -> Result<Message> {
    let envelope = Envelope { reply_to: mail.reply_to.as_deref(), locales: &[mail.locale.as_str()], ..envelope };
    let letter = Templates::sample_letter(name, locale);
    mail.compiled.render(&letter, &envelope).map_err(|reason| anyhow!(reason))
}

fn letterhead<'a>(to: &'a str, from: &'a str) -> Envelope<'a> {
    Envelope { id: Uuid::nil(), to, from, reply_to: None, app_name: "Example App", locales: &[] }
}

/// What there is to read of a mail: its plain text, else its HTML.
fn readable<'a>(text: &'a str, html: &'a str) -> &'a str {
    if text.is_empty() { html } else { text }
}

impl Preview {
    fn run(self, within: &InProject, around: &mut Surroundings) -> Result<()> {
        let mail = within.place.settings(around)?.mail;
        let from = mail.from.as_deref().unwrap_or(EXAMPLE_SENDER);
        let message = example(&mail, self.name, self.locale.as_deref(), letterhead("ada@example.com", from))?;
        let console = &mut around.console;
        if within.place.json {
            let Message { from, to, subject, text, html, headers, .. } = &message;
            let headers: Value = headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            return Ok(console.json(&json!({
                "from": from, "to": to, "subject": subject, "text": text, "html": html, "headers": headers,
            }))?);
        }
        if self.html {
            return Ok(console.say(message.html.trim_end())?);
        }
        if !self.text {
            console.say(&format!("Subject: {}\n", visible(&message.subject)))?;
        }
        let said = if self.text { &message.text } else { readable(&message.text, &message.html) };
        Ok(console.say(said.trim_end())?)
    }
}

/// One project's outbox, as far as mails go.
struct Outbox<'a> {
    api: &'a Api,
    path: String,
    json: bool,
}

impl Outbox<'_> {
    async fn list(&self, around: &mut Surroundings, dead: bool, limit: u16, after: Option<Uuid>) -> Result<()> {
        let state = if dead { "dead" } else { "waiting" };
        let mut answer = self.api.get(&page(&format!("{}/outbox?state={state}&", self.path), limit, after)).await?;
        if let Some(items) = answer["items"].as_array_mut() {
            items.retain(|item| item["kind"] == "mail");
        }
        if self.json {
            return Ok(around.console.json(&answer)?);
        }
        let moment = if dead { "died_at" } else { "next_at" };
        let columns = ["id", "purpose", "recipient", "created_at", moment, "attempts", "last_error"];
        let row = |item: &Value| columns.map(|field| cell(item, field)).to_vec();
        let rows: Vec<_> = entries(&answer, "items").iter().map(row).collect();
        let heading = if dead { "GIVEN UP" } else { "NEXT" };
        around.console.say(&table(&["ID", "TEMPLATE", "TO", "WRITTEN", heading, "TRIES", "WHY"], &rows))?;
        if !dead && answer["dead"].as_u64().is_some_and(|dead| dead > 0) {
            around.console.note(&format!("{} were given up: `keystead mail list --dead`", cell(&answer, "dead")));
        }
        more(around, &answer);
        Ok(())
    }

    async fn show(&self, around: &mut Surroundings, id: Uuid) -> Result<()> {
        let at = self.item(id);
        let item = self.api.get(&at).await?;
        let mail = self.api.get(&format!("{at}/mail")).await;
        if self.json {
            return Ok(around.console.json(&json!({"item": item, "mail": mail?}))?);
        }
        let shown =
            ["id", "state", "purpose", "recipient", "created_at", "next_at", "died_at", "expires_at", "attempts"];
        let mut said = shown.map(|field| (field, cell(&item, field))).to_vec();
        said.push(("last_error", cell(&item, "last_error")));
        around.console.say(&fields(&said))?;
        let mail = mail?;
        let head = ["from", "to", "subject"].map(|field| (field, cell(&mail, field)));
        around.console.say(&format!("\n{}\n", fields(&head)))?;
        let [text, html] = ["text", "html"].map(|part| mail[part].as_str().unwrap_or_default());
        for line in readable(text, html).lines() {
            around.console.say(&visible(line))?;
        }
        Ok(())
    }

    async fn resend(&self, around: &mut Surroundings, id: Option<Uuid>) -> Result<()> {
        let path = match id {
            Some(id) => format!("{}/resend", self.item(id)),
            None => format!("{}/outbox/resend", self.path),
        };
        let answer = self.api.post(&path, json!({})).await?;
        if self.json {
            return Ok(around.console.json(&answer)?);
        }
        let said = match id {
            Some(id) => format!("mail {id} is sent as soon as the server runs"),
            None => format!("{} are sent as soon as the server runs", cell(&answer, "resent")),
        };
        Ok(around.console.say(&said)?)
    }

    async fn remove(&self, around: &mut Surroundings, id: Uuid) -> Result<()> {
        let answer = self.api.delete(&self.item(id)).await?;
        if self.json {
            return Ok(around.console.json(&answer)?);
        }
        Ok(around.console.say(&format!("mail {id} dropped"))?)
    }

    fn item(&self, id: Uuid) -> String {
        format!("{}/outbox/{}", self.path, encode(&id.to_string()))
    }
}

fn address(text: &str) -> Result<String, String> {
    Email::parse(text).map(|email| email.typed().to_owned()).map_err(|_| "write an address like ada@example.com".into())
}

fn template(name: &str) -> Result<Template, String> {
    let names = Template::ALL.map(Template::name).join(", ");
    Template::named(name).ok_or_else(|| format!("there are {names}"))
}
