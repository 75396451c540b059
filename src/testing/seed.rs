//! Many accounts at once, written as sign-ups would have written them: for measuring a server that has them.

use std::sync::Arc;

use crate::auth::{Error, Project};
use crate::config::Settings;
use crate::crypto::{ClientGroup, Secret};
use crate::data::project::{self, Sequence};
use crate::data::sessions::{self, Carrier, Session};
use crate::data::users::{self, User};
use crate::env::Env;

/// An account that was made, with the refresh token of its one session.
#[derive(Clone)]
pub struct Seeded {
    /// Its address.
    pub email: String,
    /// Its session's refresh token.
    pub refresh_token: String,
}

/// Rows of this many accounts go into one transaction.
const BATCH: usize = 2000;

/// Makes `count` accounts `user<n>@example.com` with one password and one session each in the first project of the
/// data directory of `settings`; returns every `count / sample`th.
///
/// # Errors
/// The reason, in words.
pub async fn seed(
    settings: Settings,
    count: usize,
    sample: usize,
    password: &str,
) -> Result<Vec<Seeded>, Box<dyn std::error::Error + Send + Sync>> {
    let env = Env::system();
    let app = crate::app::App::open(settings, env).await?;
    let (id, _) = app.projects().list().first().cloned().ok_or("no project")?;
    let project = app.projects().find(crate::auth::projects::Selector::Id(id)).await?.ok_or("no project")?;
    let every = (count / sample.max(1)).max(1);
    let mut kept = Vec::with_capacity(sample);
    let hash = project.pool().hash(ClientGroup(0), Secret::new(password.to_owned())).await?;
    for first in (0..count).step_by(BATCH) {
        let rows = Arc::new(batch(&project, first..count.min(first + BATCH), &hash)?);
        for (index, row) in rows.iter().enumerate() {
            if (first + index) % every == 0 && kept.len() < sample {
                kept.push(row.seeded.clone());
            }
        }
        project
            .store()
            .write(move |w| {
                for row in rows.iter() {
                    let user = User { number: project::next(w, Sequence::Users)?, ..row.user.clone() };
                    users::insert(w, &user)?;
                    sessions::insert(w, &row.session)?;
                }
                Ok::<_, Error>(())
            })
            .await?;
    }
    drop(project);
    app.close().await;
    Ok(kept)
}

struct Row {
    user: User,
    session: Session,
    seeded: Seeded,
}

fn batch(
    project: &Project,
    numbers: std::ops::Range<usize>,
    hash: &crate::crypto::StoredHash,
) -> Result<Vec<Row>, Box<dyn std::error::Error + Send + Sync>> {
    let (env, now) = (project.env(), project.env().now());
    numbers
        .map(|number| {
            let address = format!("user{number}@example.com");
            let (user, session) = (env.new_id(now), env.new_id(now));
            let refresh = project.refresh_key().first(env, session);
            let seeded = Seeded { email: address.clone(), refresh_token: refresh.text() };
            let user = User { email: Some(address), password: Some(hash.clone()), ..User::new(user, now) };
            let session = Session {
                id: session,
                user: user.id,
                created_at: now,
                refreshed_at: now,
                expires_at: now.plus(project.settings().tokens.refresh_ttl),
                generation: 0,
                refresh: refresh.digest(),
                previous: None,
                ip: std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets(),
                agent: None,
                carrier: Carrier::Pair,
            };
            Ok(Row { user, session, seeded })
        })
        .collect()
}
