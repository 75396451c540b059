//! Backups of the store: one moment for all files, copies that are what they were made of, files put in place.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use uuid::Uuid;

use super::{get, put, rows};
use crate::store::{
    Fleet, FleetOptions, Moment, NoMoment, Over, Stop, Store, StoreError, StoreOptions, Unhurried, remove_unhurried,
};

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn fleet(dir: &Path) -> Fleet {
    Fleet::open(dir, FleetOptions { max_open: 3, ..FleetOptions::default() }).unwrap()
}

async fn copies(moment: &Moment, to: &Path) -> BTreeSet<Uuid> {
    let mut all = BTreeSet::new();
    while let Some((id, frozen)) = moment.next().await.unwrap() {
        frozen.copy_to(&to.join(id.to_string()), &Stop::default()).unwrap();
        assert!(all.insert(id));
    }
    all
}

fn number(store: &Store) -> u64 {
    get(store, b"n").unwrap().map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_files_written_in_turns_are_backed_up_as_of_one_moment() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fleet = fleet(dir.path());
    let (a, b) = (fleet.create(id(1)).await.unwrap(), fleet.create(id(2)).await.unwrap());
    let (done, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(std::sync::atomic::AtomicU64::new(0)));
    let writer = tokio::spawn({
        let (a, b, done, acknowledged) = (a.clone(), b.clone(), Arc::clone(&done), Arc::clone(&acknowledged));
        async move {
            let mut n = 0_u64;
            while !done.load(Ordering::Relaxed) {
                n += 1;
                for store in [&a, &b] {
                    put(store, b"n", &n.to_be_bytes()).await.unwrap();
                }
                acknowledged.store(n, Ordering::SeqCst);
            }
        }
    });
    for _ in 0..40 {
        let before = acknowledged.load(Ordering::SeqCst);
        let (moment, ()) = fleet.moment(None, || ()).await.unwrap();
        copies(&moment, to.path()).await;
        let open = |n: u128| Store::open(&to.path().join(id(n).to_string()), &StoreOptions::default()).unwrap();
        let (first, second) = (open(1), open(2));
        let (n, m) = (number(&first), number(&second));
        assert!(n == m || n == m + 1, "first {n}, second {m}");
        assert!(m >= before, "{before} were acknowledged, {m} are there");
        first.close().await;
        second.close().await;
    }
    done.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

#[tokio::test]
async fn what_was_closed_at_the_moment_is_copied_as_it_was_then_also_when_it_is_changed_first() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fleet = fleet(dir.path());
    for n in 1..=8 {
        put(&fleet.create(id(n)).await.unwrap(), b"a", b"before").await.unwrap();
    }
    fleet.close_idle(Duration::ZERO).await;
    let (moment, noted) = fleet.moment(None, || 7).await.unwrap();
    assert_eq!(noted, 7);
    for n in 1..=4 {
        put(&fleet.get(id(n)).await.unwrap().unwrap(), b"a", b"after").await.unwrap();
    }
    fleet.create(id(9)).await.unwrap();
    assert_eq!(fleet.delete(id(3)).await, Err(StoreError::Busy));
    assert_eq!(fleet.moment(None, || ()).await.unwrap_err(), NoMoment::UnderWay);
    assert_eq!(copies(&moment, to.path()).await, (1..=8).map(id).collect());
    for n in 1..=8 {
        let copy = Store::open(&to.path().join(id(n).to_string()), &StoreOptions::default()).unwrap();
        assert_eq!(get(&copy, b"a"), Ok(Some(b"before".to_vec())));
    }
    drop(moment);
    assert_eq!(fleet.delete(id(3)).await, Ok(true));
    let one = BTreeSet::from([id(4)]);
    let (moment, ()) = fleet.moment(Some(&one), || ()).await.unwrap();
    let again = tempfile::tempdir().unwrap();
    assert_eq!(copies(&moment, again.path()).await, one);
}

#[tokio::test]
async fn a_copy_that_is_stopped_says_so() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fleet = fleet(dir.path());
    let store = fleet.create(id(1)).await.unwrap();
    for n in 0..200_u8 {
        put(&store, &[n], b"1").await.unwrap();
    }
    let (moment, ()) = fleet.moment(None, || ()).await.unwrap();
    let (_, frozen) = moment.next().await.unwrap().unwrap();
    let stop = Stop::default();
    stop.ask();
    assert_eq!(frozen.copy_to(&to.path().join("copy"), &stop), Err(StoreError::Closed));
    assert_eq!(frozen.copy_to(&to.path().join("copy"), &Stop::default()), Ok(200));
    assert_eq!(count(&to.path().join("copy")), Ok(200));
    assert_eq!(Fleet::memory().moment(None, || ()).await.unwrap_err(), NoMoment::Memory);
}

/// More than is committed, and more than is freed, at a time.
#[tokio::test]
async fn a_large_copy_is_whole_is_read_at_leisure_and_goes() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fleet = fleet(dir.path());
    let store = fleet.create(id(1)).await.unwrap();
    let large = |n: u8| vec![n; 256 << 10];
    for n in 0..100 {
        put(&store, &[n], &large(n)).await.unwrap();
    }
    let (moment, ()) = fleet.moment(None, || ()).await.unwrap();
    let (_, frozen) = moment.next().await.unwrap().unwrap();
    let (copy, stop) = (to.path().join("copy"), Stop::default());
    assert_eq!(frozen.copy_to(&copy, &stop), Ok(100));
    let mut bytes = Vec::new();
    Unhurried::new(File::open(&copy).unwrap(), &stop).read_to_end(&mut bytes).unwrap();
    assert!(bytes == std::fs::read(&copy).unwrap());
    assert_eq!(count(&copy), Ok(100));
    stop.ask();
    assert!(Unhurried::new(File::open(&copy).unwrap(), &stop).read_to_end(&mut bytes).is_err(), "it was to stop");
    remove_unhurried(&copy).unwrap();
    assert!(!copy.exists());
}

/// Rows of a file that is brought, which is checked whole as it is opened.
fn count(path: &Path) -> Result<usize, StoreError> {
    let store = Store::open(path, &StoreOptions::default())?;
    let found = rows(&store)?.len();
    store.close_blocking();
    Ok(found)
}

/// Its bytes where no process left them.
fn elsewhere(path: &Path) -> PathBuf {
    let copy = crate::store::medium::beside(path, ".brought");
    std::fs::copy(path, &copy).unwrap();
    copy
}

#[tokio::test]
async fn a_damaged_copy_is_found() {
    let to = tempfile::tempdir().unwrap();
    let path = to.path().join("one");
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    for n in 0..200_u8 {
        put(&store, &[n], &[n; 300]).await.unwrap();
    }
    store.close().await;
    let path = elsewhere(&path);
    assert_eq!(count(&path), Ok(200));
    let path = elsewhere(&path);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(300).rposition(|part| part == [77; 300]).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(count(&path), Err(StoreError::Corrupt(_))));
    std::fs::write(&path, b"something else").unwrap();
    assert!(matches!(count(&path), Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn a_file_is_placed_over_another_which_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = fleet(dir.path());
    let held = fleet.create(id(1)).await.unwrap();
    put(&held, b"a", b"old").await.unwrap();
    let make = async |name: &str| {
        let path = dir.path().join(name);
        let store = Store::open(&path, &StoreOptions::default()).unwrap();
        put(&store, b"a", b"new").await.unwrap();
        store.close().await;
        path
    };
    let new = make("staged").await;
    assert!(matches!(fleet.place(id(1), &new, Over::Nothing).await, Err(StoreError::Io(_))));
    let aside = dir.path().join("kept-aside");
    fleet.place(id(1), &new, Over::KeptAt(aside.clone())).await.unwrap();
    assert_eq!(get(&held, b"a"), Err(StoreError::Closed));
    assert_eq!(get(&fleet.get(id(1)).await.unwrap().unwrap(), b"a"), Ok(Some(b"new".to_vec())));
    fleet.place(id(1), &aside, Over::Gone).await.unwrap();
    assert_eq!(get(&fleet.get(id(1)).await.unwrap().unwrap(), b"a"), Ok(Some(b"old".to_vec())));
    fleet.place(id(2), &make("second").await, Over::Nothing).await.unwrap();
    assert_eq!(fleet.ids(), [id(1), id(2)]);
}
