//! What a project leaves to the server that holds it, and many projects beside each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

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

/// More than are kept open, and than files may be open.
const MANY: usize = 100;

/// Projects declared and asked for at once, each by more clients than files have room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_made_at_once_and_all_are_found_however_many_ask() {
    let home = tempfile::tempdir().unwrap();
    let overrides = Overrides { data_dir: Some(home.path().join("data")), ..Overrides::default() };
    let declare = |number| (format!("KEYSTEAD_PROJECT__P{number}__CONCEAL"), "true".to_owned());
    let settings = config::load(&overrides, &(0..MANY).map(declare).collect()).unwrap();
    let app = App::open(settings.clone(), Env::system()).await.unwrap();
    let (projects, made) = (Arc::clone(app.projects()), app.projects().list());
    assert_eq!(made.len(), MANY);
    let mut asking = JoinSet::new();
    for first in 0..MANY {
        let (projects, made) = (Arc::clone(&projects), made.clone());
        asking.spawn(async move {
            for (id, entry) in made.iter().cycle().skip(first * 7).take(MANY) {
                let found = projects.find(Selector::Id(*id)).await.unwrap().unwrap();
                assert_eq!(found.record().slug, entry.slug);
            }
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
    drop(projects);
    app.close().await;
    // What a crash before the catalog was written leaves: files, which say what they are.
    std::fs::remove_file(home.path().join("data/catalog.json")).unwrap();
    let app = App::open(settings, Env::system()).await.unwrap();
    assert_eq!(app.projects().list(), made);
    app.close().await;
}

#[tokio::test]
async fn of_several_declared_projects_all_are_made_or_none() {
    let home = tempfile::tempdir().unwrap();
    let (data, id) = (home.path().join("data"), uuid::Uuid::from_u128(7));
    let overrides = Overrides { data_dir: Some(data.clone()), ..Overrides::default() };
    let declared = [("KEYSTEAD_PROJECT__A__CONCEAL", "true".to_owned()), ("KEYSTEAD_PROJECT__B__ID", id.to_string())];
    let declared = declared.map(|(key, value)| (key.to_owned(), value));
    let settings = config::load(&overrides, &declared.into_iter().collect()).unwrap();
    // Where the file of the second would begin.
    let in_the_way = data.join(format!("projects/{id}.redb.new"));
    std::fs::create_dir_all(&in_the_way).unwrap();
    assert!(App::open(settings.clone(), Env::system()).await.is_err());
    let mut left = std::fs::read_dir(data.join("projects")).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(left.find(|path| *path != in_the_way), None);
    std::fs::remove_dir(&in_the_way).unwrap();
    let app = App::open(settings, Env::system()).await.unwrap();
    assert_eq!(app.projects().count(), 2);
    app.close().await;
}
