//! A project's file made into another project, under an id of its own.
//!
//! A new id is a new identity: nothing that the original gave out may work in the copy, nor the other way round. So the
//! accounts come along with their passwords, addresses, identities, metadata and lockouts, and nothing that was issued
//! does: sessions, links, tickets, codes, API keys, personal access tokens, mails and calls that wait. Signing keys and the
//! refresh secret are made anew. User ids stay.
//!
//! The audit trail comes along, hangs on what it hung on before, and goes on with an entry that says so. The addresses that
//! strangers tried before can no longer be looked up in it: they were digests under the secret that is gone.

use super::Error;
use super::events::EventKind;
use super::project::{Maker, Secrets, Shared};
use crate::data::audit;
use crate::data::issued::{self, Issued};
use crate::data::project::{self as rows, ProjectRecord};
use crate::env::Timestamp;
use crate::store::Store;

/// Rows that are removed in one transaction.
const STEP: usize = 10_000;

/// Makes the project in `store` into `record`, whose id is another. The store must be nobody else's: half way it is neither.
///
/// # Errors
/// Only the store's.
pub async fn transplant(
    store: &Store,
    record: ProjectRecord,
    shared: &Shared,
    maker: Maker,
    now: Timestamp,
) -> Result<(), Error> {
    remove_issued(store, Issued::All).await?;
    let secrets = Secrets::fresh(shared, record.id, now)?;
    let event = maker.event(shared, now, EventKind::ProjectTransplanted);
    store
        .write(move |w| {
            audit::pin_beginning(w)?;
            rows::put(w, &record)?;
            secrets.put(w)?;
            audit::append(w, &event)?;
            Ok::<_, Error>(())
        })
        .await
}

/// Removes what was issued, a step at a time.
pub(super) async fn remove_issued(store: &Store, what: Issued) -> Result<(), Error> {
    while !store.write(move |w| Ok::<_, Error>(issued::remove(w, what, STEP)?)).await? {}
    Ok(())
}
