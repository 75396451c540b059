//! Lines as they will always be read, and records that survive being one.

use uuid::Uuid;

use super::fields::{Hex, Moment};
use super::whole::{Project, TrailBegins};
use crate::env::Timestamp;

pub(super) fn project() -> Project {
    Project {
        id: Uuid::from_u128(1),
        slug: "shop".into(),
        created_at: Moment(Timestamp::from_secs(7)),
        settings: None,
        last_user_number: 0,
        last_api_key_number: 0,
        audit: TrailBegins { first: 1, before: Hex([0; 32]) },
    }
}
