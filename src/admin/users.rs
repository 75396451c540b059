//! `/v1/projects/P/users`: accounts made, listed, shown, switched off and on, deleted; passwords set; lockouts ended.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::error::Refusal;
use super::input::{self, Acting, Address, AsRole, Asked, At, Page, ProjectName, Said, Who};
use super::{Admin, created};
use crate::auth::User;
use crate::auth::accounts::{self, NewUser};
use crate::crypto::Secret;
use crate::data::users::ProofKind;

/// A page of accounts.
#[derive(Serialize)]
pub(super) struct List {
    users: Vec<View>,
    next: Option<Uuid>,
}

/// An account as an operator sees it.
#[derive(Serialize)]
pub(super) struct View {
    id: Uuid,
    number: u64,
    email: Option<String>,
    display_name: Option<String>,
    /// When the address was proved; null when it was not.
    verified_at: Option<String>,
    /// `operator`, `mail`, or `app` when the proof went through the app's hands.
    verified_by: Option<&'static str>,
    has_password: bool,
    role: &'static str,
    disabled_at: Option<String>,
    created_at: String,
    metadata: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    email: Address,
    password: Option<Secret<String>>,
    password_hash: Option<String>,
    display_name: Option<String>,
    #[serde(default)]
    verified: bool,
    #[serde(default)]
    role: AsRole,
    metadata: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRole {
    role: AsRole,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Password {
    password: Option<Secret<String>>,
    password_hash: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Locked {
    email: Address,
}

/// How many failure counters were forgotten.
#[derive(Serialize)]
pub(super) struct Unlocked {
    counters: usize,
}

pub(super) async fn list(
    State(admin): State<Admin>,
    At(name): At<ProjectName>,
    Asked(page): Asked<Page>,
) -> Result<Json<List>, Refusal> {
    let project = admin.project(&name).await?;
    let (users, next) = page.read(|after, limit| accounts::list(&project, after, limit), |user| user.id, view)?;
    Ok(Json(List { users, next }))
}

pub(super) async fn create(
    State(admin): State<Admin>,
    Acting(by): Acting,
    At(name): At<ProjectName>,
    Said(new): Said<New>,
) -> Result<Response, Refusal> {
    let project = admin.project(&name).await?;
    let user = NewUser {
        email: new.email.0,
        password: input::new_password(&project, new.password, new.password_hash.as_deref())?,
        display_name: input::display_name(new.display_name.as_deref())?,
        verified: new.verified,
        metadata: input::metadata(new.metadata.as_ref()),
        role: new.role.0,
    };
    Ok(created(view(&accounts::create(&project, by, user).await?)))
}

pub(super) async fn show(State(admin): State<Admin>, At((name, who)): At<Named>) -> Result<Json<View>, Refusal> {
    let project = admin.project(&name).await?;
    Ok(Json(view(&accounts::show(&project, &who.0)?)))
}

pub(super) async fn delete(
    State(admin): State<Admin>,
    Acting(by): Acting,
    At((name, who)): At<Named>,
) -> Result<Json<View>, Refusal> {
    let project = admin.project(&name).await?;
    Ok(Json(view(&accounts::delete(&project, by, who.0).await?)))
}

pub(super) async fn disable(
    State(admin): State<Admin>,
    Acting(by): Acting,
    At((name, who)): At<Named>,
) -> Result<Json<View>, Refusal> {
    let project = admin.project(&name).await?;
    Ok(Json(view(&accounts::disable(&project, by, who.0).await?)))
}

pub(super) async fn enable(
    State(admin): State<Admin>,
    Acting(by): Acting,
    At((name, who)): At<Named>,
) -> Result<Json<View>, Refusal> {
    let project = admin.project(&name).await?;
    Ok(Json(view(&accounts::enable(&project, by, who.0).await?)))
}

pub(super) async fn set_password(
    State(admin): State<Admin>,
    Acting(by): Acting,
    At((name, who)): At<Named>,
    Said(new): Said<Password>,
) -> Result<Json<View>, Refusal> {
    let project = admin.project(&name).await?;
    let password = input::new_password(&project, new.password, new.password_hash.as_deref())?
        .ok_or_else(|| Refusal::Invalid("give `password` or `password_hash`".into()))?;
    Ok(Json(view(&accounts::set_password(&project, by, who.0, password).await?)))
}

pub(super) async fn set_role(
    State(admin): State<Admin>,
    Acting(by): Acting,
    At((name, who)): At<Named>,
    Said(new): Said<NewRole>,
) -> Result<Json<View>, Refusal> {
    let project = admin.project(&name).await?;
    Ok(Json(view(&accounts::set_role(&project, by, who.0, new.role.0).await?)))
}

pub(super) async fn unlock(
    State(admin): State<Admin>,
    Acting(by): Acting,
    At(name): At<ProjectName>,
    Said(locked): Said<Locked>,
) -> Result<Json<Unlocked>, Refusal> {
    let project = admin.project(&name).await?;
    let counters = accounts::unlock(&project, by, locked.email.0).await?;
    Ok(Json(Unlocked { counters }))
}

/// A project and an account in it.
pub(super) type Named = (ProjectName, Who);

fn view(user: &User) -> View {
    View {
        id: user.id,
        number: user.number,
        email: user.email.clone(),
        display_name: user.display_name.clone(),
        verified_at: user.email_proof.map(|proof| proof.at.rfc3339()),
        verified_by: user.email_proof.map(|proof| match proof.kind {
            ProofKind::Asserted => "app",
            ProofKind::Operator => "operator",
            ProofKind::Mailed => "mail",
        }),
        has_password: user.password.is_some(),
        role: user.role.name(),
        disabled_at: user.disabled_at.map(|at| at.rfc3339()),
        created_at: user.created_at.rfc3339(),
        metadata: user.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok()),
    }
}
