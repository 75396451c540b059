//! Raw copies of files in use: served as what they were at one moment, or refused as torn, and never in between; what a
//! crash leaves in its place is opened at once.

use std::path::Path;

use super::{Disk, Rows, Stores, get, put, rows};
use crate::store::mark::{self, Left};
use crate::store::{Medium, Store, StoreError, StoreOptions};

const PAGE: usize = 4096;

/// Writes three generations of rows; after each commit what was in the file, and what it held.
async fn moments(disk: &Disk) -> Vec<(Vec<u8>, Rows)> {
    let store = disk.store(true).unwrap();
    let mut moments = Vec::new();
    for generation in 0..12_u8 {
        store
            .write(move |w| {
                (0..60_u32)
                    .filter(|n| n % 3 == u32::from(generation) % 3)
                    .try_for_each(|n| w.put(&n.to_be_bytes(), &[generation; 700]))
            })
            .await
            .unwrap();
        moments.push((disk.image(), rows(&store).unwrap()));
    }
    store.close().await;
    moments.push((disk.image(), moments[11].1.clone()));
    moments
}

/// What a copy holds; `None` when it is refused as torn.
fn served(copy: Vec<u8>) -> Option<Rows> {
    match Disk::holding(copy).store(false) {
        Ok(store) => Some(rows(&store).unwrap()),
        Err(StoreError::Corrupt(why)) => {
            assert!(why.contains("keystead backup") || why.contains("no redb file"), "{why}");
            None
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_copy_with_pages_of_several_moments_is_right_or_refused() {
    let moments = moments(&Disk::default()).await;
    let mut coin = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut refused, mut right) = (0, 0);
    for (number, (early, _)) in moments.iter().enumerate() {
        for (late, _) in &moments[number..] {
            for way in 0..3 {
                let mut copy = early.clone();
                copy.resize(early.len().max(late.len()), 0);
                for (page, bytes) in late.chunks(PAGE).enumerate() {
                    coin ^= coin << 13;
                    coin ^= coin >> 7;
                    coin ^= coin << 17;
                    // From one page on, as `cp` does; but for the header; here and there.
                    if [page > late.len() / PAGE / 2, page > 0, coin.is_multiple_of(2)][way] {
                        copy[page * PAGE..page * PAGE + bytes.len()].copy_from_slice(bytes);
                    }
                }
                match served(copy) {
                    Some(found) => {
                        assert!(moments.iter().any(|(_, rows)| *rows == found), "rows of no moment");
                        right += 1;
                    }
                    None => refused += 1,
                }
            }
        }
    }
    assert!(refused > 20 && right > 20, "{refused} refused, {right} right");
}

#[tokio::test]
async fn a_copy_that_was_cut_short_is_refused() {
    let (image, _) = moments(&Disk::default()).await.pop().unwrap();
    for pages in 1..image.len() / PAGE {
        if let Some(found) = served(image[..pages * PAGE].to_vec()) {
            assert_eq!(found.len(), 60, "what is missing was not in use");
        }
    }
    assert!(served(image[..image.len() / 2].to_vec()).is_none());
}

#[tokio::test]
async fn what_is_refused_is_left_as_it_is() {
    let moments = moments(&Disk::default()).await;
    let mut copy = moments[11].0.clone();
    let middle = copy.len() / 2;
    copy[middle..].copy_from_slice(&moments[5].0[middle..]);
    let disk = Disk::holding(copy.clone());
    assert!(matches!(disk.store(false), Err(StoreError::Corrupt(_))));
    assert!(disk.image() == copy && disk.operations() == 0, "nothing was written");
}

/// A page of a row that nobody asks for is damaged: only whoever checks all of them sees it.
async fn with_a_bad_page(disk: &Disk) -> u64 {
    let store = disk.store(true).unwrap();
    (store.write(|w| (0..60_u32).try_for_each(|n| w.put(&n.to_be_bytes(), &[n as u8; 3000]))).await).unwrap();
    let Left::Open(number) = disk.left() else { panic!("it is in use") };
    let mut image = disk.image();
    drop(store);
    let at = image.windows(100).position(|bytes| bytes == [42; 100]).unwrap();
    image[at] ^= 1;
    disk.replace(image);
    number
}

#[tokio::test]
async fn what_a_crash_left_is_not_checked_and_everything_else_is() {
    let disk = Disk::default();
    let number = with_a_bad_page(&disk).await;
    for (left, is_checked) in
        [(Left::Open(number), false), (Left::Closed, false), (Left::Open(number + 1), true), (Left::Unknown, true)]
    {
        let disk = Disk::holding(disk.image());
        disk.set_left(left);
        assert_eq!(disk.store(false).is_err(), is_checked, "{left:?}");
    }
}

#[tokio::test]
async fn every_opening_that_writes_renews_the_number() {
    let disk = Disk::default();
    let mut seen = Vec::new();
    for round in 0..3 {
        let store = disk.store(round == 0).unwrap();
        let Left::Open(before) = disk.left() else { panic!("it is in use") };
        assert_eq!(get(&store, b"a").unwrap().is_some(), round > 0);
        assert_eq!(disk.left(), Left::Open(before), "reading renews nothing");
        put(&store, b"a", b"1").await.unwrap();
        let Left::Open(now) = disk.left() else { panic!("it is in use") };
        assert!(!seen.contains(&now));
        seen.push(now);
        put(&store, b"a", b"2").await.unwrap();
        assert_eq!(disk.left(), Left::Open(now), "once is enough");
        store.close().await;
        assert_eq!(disk.left(), Left::Closed);
    }
}

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(path, &StoreOptions::default())
}

#[tokio::test]
async fn a_file_is_known_again_where_it_lies_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("a.redb"), dir.path().join("b.redb"));
    assert_eq!(mark::read(&path), Left::Unknown);
    let store = open(&path).unwrap();
    put(&store, b"a", b"1").await.unwrap();
    assert!(matches!(mark::read(&path), Left::Open(_)));
    // Made while it was in use, and by another name together with its mark.
    std::fs::copy(&path, &copy).unwrap();
    std::fs::copy(mark::path_of(&path), mark::path_of(&copy)).unwrap();
    assert_eq!(mark::read(&copy), Left::Unknown);
    store.close().await;
    assert_eq!(mark::read(&path), Left::Closed);

    let renamed = dir.path().join("c.redb");
    std::fs::rename(&path, &renamed).unwrap();
    std::fs::rename(mark::path_of(&path), mark::path_of(&renamed)).unwrap();
    assert_eq!(mark::read(&renamed), Left::Closed, "moved together they agree");
    // Put back over it, as `cp` does.
    std::fs::copy(&copy, &renamed).unwrap();
    assert_eq!(mark::read(&renamed), Left::Unknown);
    std::fs::write(mark::path_of(&renamed), "keystead-mark 1 2 3").unwrap();
    assert_eq!(mark::read(&renamed), Left::Unknown);
    open(&renamed).unwrap().close().await;
    assert_eq!(mark::read(&renamed), Left::Closed, "it was checked, and is ours now");
}

/// The bytes come back into the same inode with the mark as it was: what the kernel has after `kill -9`.
#[tokio::test]
async fn a_crash_in_place_is_known_and_an_older_copy_put_there_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let store = open(&path).unwrap();
    put(&store, b"a", b"1").await.unwrap();
    let older = std::fs::read(&path).unwrap();
    store.close().await;
    let store = open(&path).unwrap();
    put(&store, b"a", b"2").await.unwrap();
    let (crashed, mark) = (std::fs::read(&path).unwrap(), std::fs::read(mark::path_of(&path)).unwrap());
    store.close().await;
    let number = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        std::fs::write(mark::path_of(&path), &mark).unwrap();
        let Left::Open(number) = mark::read(&path) else { panic!("the mark is about this file") };
        number
    };
    let expected = number(&crashed);
    let held = |bytes: Vec<u8>| {
        let db = redb::Database::builder().create_with_backend(Disk::holding(bytes)).unwrap();
        crate::store::file::number(&db).unwrap()
    };
    assert_eq!(held(crashed.clone()), Some(expected));
    assert_ne!(held(older.clone()), Some(expected), "it is checked");
    assert_eq!(get(&open(&path).unwrap(), b"a"), Ok(Some(b"2".to_vec())));
}

#[tokio::test]
async fn where_no_mark_can_be_written_a_file_is_used_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    std::fs::create_dir(mark::path_of(&path)).unwrap();
    for round in 0..2 {
        let store = open(&path).unwrap();
        assert_eq!(get(&store, b"a").unwrap().is_some(), round > 0);
        put(&store, b"a", b"1").await.unwrap();
        store.close().await;
    }
}
