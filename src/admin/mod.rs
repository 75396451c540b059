//! The operator's API.
use std::sync::Arc;
/// Routes.
pub fn routes(_projects: Arc<crate::auth::Projects>) -> axum::Router {
    axum::Router::new()
}
