//! Disks that fail, fill up, freeze and lose power: nothing acknowledged is lost, and the store comes back by itself.

use super::{Disk, Fault, Rows, Stores, Survival, get, put, rows};
use crate::store::StoreError;

/// Two rows in one job, so that half a job would show.
async fn put_pair(store: &crate::store::Store, number: u8) -> Result<(), StoreError> {
    store
        .write(move |w| {
            w.put(&[b'a', number], &[number; 40])?;
            w.put(&[b'b', number], &[number; 400])
        })
        .await
}

fn survivals(seed: u64) -> [Survival; 4] {
    [Survival::Nothing, Survival::Everything, Survival::Writes(seed), Survival::Sectors(seed)]
}

/// Checks that jobs are whole or absent, and answers which are there.
fn whole_pairs(rows: &Rows) -> Vec<u8> {
    let firsts: Vec<u8> = rows.keys().filter(|key| key[0] == b'a').map(|key| key[1]).collect();
    let seconds: Vec<u8> = rows.keys().filter(|key| key[0] == b'b').map(|key| key[1]).collect();
    assert_eq!(firsts, seconds, "half of a job");
    firsts
}

async fn fails_at_every_operation(fault: Fault, answers: &[StoreError]) {
    for healthy in 0..24 {
        let disk = Disk::default();
        let store = disk.store(true).unwrap();
        let mut acknowledged = Vec::new();
        let mut failed = Vec::new();
        for number in 0..4 {
            put_pair(&store, number).await.unwrap();
            acknowledged.push(number);
        }
        disk.fail_after(healthy, fault);
        for number in 4..9 {
            match put_pair(&store, number).await {
                Ok(()) => acknowledged.push(number),
                Err(error) => {
                    assert!(answers.contains(&error), "{error:?}");
                    failed.push(error);
                }
            }
            let there = whole_pairs(&rows(&store).expect("reads go on"));
            assert!(acknowledged.iter().all(|number| there.contains(number)), "{acknowledged:?} in {there:?}");
        }
        assert!(failed.contains(&answers[0]) || healthy > 8, "{failed:?}");
        disk.heal();
        put_pair(&store, 9).await.expect("recovers by itself");
        acknowledged.push(9);
        let before = rows(&store).unwrap();
        assert!(acknowledged.iter().all(|number| whole_pairs(&before).contains(number)));
        store.close().await;
        assert_eq!(rows(&disk.store(false).unwrap()).unwrap(), before);
    }
}

#[tokio::test]
async fn failing_writes_are_unknown_and_reads_go_on() {
    let io = StoreError::Io(std::io::Error::from_raw_os_error(5).to_string());
    fails_at_every_operation(Fault::Eio, &[StoreError::Unknown, io, StoreError::Busy]).await;
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_reads_go_on() {
    fails_at_every_operation(Fault::Enospc, &[StoreError::Full]).await;
}

#[tokio::test]
async fn little_space_is_full_before_redb_fails() {
    let disk = Disk::default();
    let store = disk.store(true).unwrap();
    put(&store, b"a", b"1").await.unwrap();
    disk.set_free_bytes(4096);
    let operations = disk.operations();
    assert_eq!(put(&store, b"a", b"2").await, Err(StoreError::Full));
    assert_eq!(
        store.write(|w| w.get(b"a")).await,
        Ok(Some(b"1".to_vec())),
        "a job that changes nothing needs no space"
    );
    assert_eq!(get(&store, b"a"), Ok(Some(b"1".to_vec())));
    assert_eq!(disk.operations(), operations, "the file was not touched");
    disk.heal();
    put(&store, b"a", b"2").await.unwrap();
}

#[tokio::test]
async fn a_failed_batch_fails_its_refusals_too() {
    let disk = Disk::default();
    let store = disk.store(true).unwrap();
    disk.fail_after(0, Fault::Eio);
    let (release, released) = std::sync::mpsc::channel::<()>();
    let hold = store.write(move |w| {
        released.recv().unwrap();
        w.get(b"ticket")
    });
    // Both wait while the first job runs, and so are in one batch: the refusal rests on a ticket that was never kept.
    let used = put(&store, b"ticket", b"used");
    let refused = store.write(|w| match w.get(b"ticket")? {
        Some(_) => Err(StoreError::Corrupt("refused".into())),
        None => Ok(()),
    });
    let (_, used, refused, ()) = tokio::join!(biased; hold, used, refused, async { release.send(()).unwrap() });
    assert_eq!((used, refused), (Err(StoreError::Unknown), Err(StoreError::Unknown)));
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_again_comes_back() {
    let disk = Disk::default();
    let store = disk.store(true).unwrap();
    put(&store, b"a", b"1").await.unwrap();
    disk.fail_after(0, Fault::Eio);
    disk.fail_opens();
    assert_eq!(put(&store, b"a", b"2").await, Err(StoreError::Unknown));
    let down = StoreError::Io("no such device".into());
    assert_eq!(get(&store, b"a"), Err(down.clone()));
    assert_eq!(put(&store, b"a", b"2").await, Err(down));
    disk.heal();
    assert_eq!(get(&store, b"a"), Ok(Some(b"1".to_vec())), "a read is enough to bring it back");
    put(&store, b"a", b"3").await.unwrap();
}

#[tokio::test]
async fn a_failed_read_reopens_the_file() {
    let disk = Disk::default();
    let store = disk.store(true).unwrap();
    store.write(|w| (0..2000_u32).try_for_each(|number| w.put(&number.to_be_bytes(), &[7; 1000]))).await.unwrap();
    disk.fail_reads();
    assert!(matches!(rows(&store), Err(StoreError::Io(_))));
    disk.heal();
    assert_eq!(rows(&store).unwrap().len(), 2000);
}

#[tokio::test]
async fn power_loss_keeps_what_was_acknowledged() {
    let disk = Disk::default();
    let store = disk.store(true).unwrap();
    for number in 0..30 {
        put_pair(&store, number).await.unwrap();
        // Nothing, everything, or some of what was not yet synced survives.
        for survival in survivals(u64::from(number)) {
            let crashed = disk.crashed(survival);
            let after = rows(&crashed.store(false).unwrap()).unwrap();
            assert_eq!(whole_pairs(&after), (0..=number).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn power_loss_within_a_commit_leaves_it_whole_or_absent() {
    for healthy in 0..24 {
        let disk = Disk::default();
        let store = disk.store(true).unwrap();
        for number in 0..4 {
            put_pair(&store, number).await.unwrap();
        }
        disk.fail_after(healthy, Fault::Freeze);
        // Acknowledged by a disk that lies; what matters is that the image below is one a power failure leaves.
        put_pair(&store, 4).await.unwrap();
        for survival in survivals(healthy) {
            let crashed = disk.crashed(survival);
            let reopened = crashed.store(false).unwrap();
            let there = whole_pairs(&rows(&reopened).unwrap());
            assert!(there == [0, 1, 2, 3] || there == [0, 1, 2, 3, 4], "{there:?}");
            put_pair(&reopened, 5).await.unwrap();
        }
    }
}
