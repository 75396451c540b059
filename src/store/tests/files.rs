//! Files on a real disk: their modes, their format, and what is no file of ours.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Disk, Stores, get, put, rows};
use crate::store::mark::Left;
use crate::store::{Fleet, FleetOptions, Store, StoreError, StoreOptions};

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(path, &StoreOptions::default())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn files_are_private_whatever_the_umask() {
    let dir = tempfile::tempdir().unwrap();
    let id = uuid::Uuid::from_u128(7);
    for umask in [0, 0o022] {
        let projects = dir.path().join(format!("projects-{umask}"));
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        let fleet = Fleet::open(&projects, FleetOptions::default());
        let created = match &fleet {
            Ok(fleet) => fleet.create(id).await.map(|_| ()),
            Err(error) => Err(error.clone()),
        };
        rustix::process::umask(before);
        created.unwrap();
        assert_eq!(mode(&projects), 0o700);
        assert_eq!(mode(&projects.join(format!("{id}.redb"))), 0o600);
        assert_eq!(mode(&projects.join(format!("{id}.redb.opened"))), 0o600);
        assert_eq!(std::fs::read_dir(&projects).unwrap().count(), 2, "nothing is left of the making");
    }
}

#[tokio::test]
async fn an_unfinished_creation_is_done_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    std::fs::write(dir.path().join("a.redb.new"), b"torn").unwrap();
    let store = open(&path).unwrap();
    put(&store, b"a", b"1").await.unwrap();
    store.close().await;
    assert_eq!(get(&open(&path).unwrap(), b"a"), Ok(Some(b"1".to_vec())));
}

#[tokio::test]
async fn what_is_no_file_of_ours_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        match open(&path) {
            Err(StoreError::Corrupt(why)) => {
                assert!(why.contains(name), "{why}");
                assert_eq!(std::fs::read(&path).unwrap().len(), bytes.len(), "a file we do not know is left alone");
                why
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(refused("empty", b"").contains("empty"));
    assert!(refused("text", b"This is a letter, not a database.").contains("no redb file"));
    refused("noise", &[0xa5; 8192]);

    let foreign = dir.path().join("foreign");
    let db = redb::Database::create(&foreign).unwrap();
    let change = db.begin_write().unwrap();
    change.open_table(redb::TableDefinition::<u64, u64>::new("theirs")).unwrap();
    change.commit().unwrap();
    drop(db);
    let Err(StoreError::Corrupt(why)) = open(&foreign) else { panic!("opened a foreign file") };
    assert!(why.contains("not written by Keystead"), "{why}");
}

#[tokio::test]
async fn a_later_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later");
    open(&path).unwrap().close().await;
    let db = redb::Database::open(&path).unwrap();
    let change = db.begin_write().unwrap();
    change
        .open_table(redb::TableDefinition::<&str, u64>::new("keystead_format"))
        .unwrap()
        .insert("version", 2)
        .unwrap();
    change.commit().unwrap();
    drop(db);
    let why = || match open(&path) {
        Err(StoreError::Corrupt(why)) => why,
        _ => panic!("opened a later format"),
    };
    assert!(why().contains("has format 2, which needs a later Keystead; this is Keystead 0."), "{}", why());
    let db = redb::Database::open(&path).unwrap();
    let change = db.begin_write().unwrap();
    let texts = redb::TableDefinition::<&str, &str>::new("keystead_program");
    change.open_table(texts).unwrap().insert("needs", "7.2.0").unwrap();
    change.commit().unwrap();
    drop(db);
    assert!(why().contains("needs Keystead 7.2.0 or later") && why().contains("/later: "), "{}", why());
}

#[tokio::test]
async fn a_second_opening_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let store = open(&path).unwrap();
    let Err(StoreError::Io(why)) = open(&path) else { panic!("opened twice") };
    assert!(why.contains("another process"), "{why}");
    store.close().await;
    open(&path).unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_no_panic() {
    let disk = Disk::default();
    let store = disk.store(true).unwrap();
    store.write(|w| (0..400_u32).try_for_each(|n| w.put(&n.to_be_bytes(), &[7; 300]))).await.unwrap();
    store.close().await;
    let whole = disk.image();
    for at in (0..whole.len()).step_by(1031) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        let damaged = Disk::holding(damaged);
        damaged.set_left(Left::Closed);
        if let Ok(store) = damaged.store(false) {
            // Which rows are hit is not the point: an answer comes, good or bad.
            let _ = rows(&store);
            let _ = put(&store, b"after", b"1").await;
        }
    }
}

#[tokio::test]
async fn overwriting_does_not_grow_the_file() {
    let disk = Disk::default();
    let store = disk.store(true).unwrap();
    for round in 0..200_u8 {
        put(&store, b"a", &vec![round; 100_000]).await.unwrap();
    }
    let bytes = disk.image().len();
    assert!(bytes < 4 << 20, "{bytes} bytes for one row of 100,000 after 200 versions of it");
}
