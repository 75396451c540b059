//! What a project leaves to the server that holds it.

use std::collections::BTreeMap;

use super::Selector;
use crate::app::App;
use crate::config::{self, Overrides};
use crate::env::Env;

#[tokio::test]
async fn where_a_stranger_may_come_first_nobody_becomes_an_administrator_by_coming_first() {
    let overrides = Overrides { ephemeral: true, ..Overrides::default() };
    let settings = config::load(&overrides, &BTreeMap::new()).unwrap();
    let app = App::open(settings.clone(), Env::system()).await.unwrap();
    let first_user_admin = async || {
        let project = app.projects().find(Selector::Only).await.unwrap().unwrap();
        project.settings().nora.first_user_admin
    };
    assert_eq!(first_user_admin().await, Some(true), "on loopback only");
    // A socket that systemd listens on for us may be anywhere.
    app.projects().note_reachable();
    assert_eq!(first_user_admin().await, Some(false));
    let url = app.projects().default_url();
    app.projects().adopt(settings, &url, Env::system().now()).await.unwrap();
    assert_eq!(first_user_admin().await, Some(false), "after a reload, too");
}
