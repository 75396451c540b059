//! What every engine must do alike.

use std::ops::ControlFlow;

use super::{Disk, Fault, Stores, get, put, rows};
use crate::store::{Read, Store, StoreError, StoreOptions};

#[tokio::test]
async fn memory() {
    battery(Store::memory).await;
}

#[tokio::test]
async fn redb_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    battery(|| {
        count += 1;
        Store::open(&dir.path().join(format!("{count}.redb")), &StoreOptions::default()).unwrap()
    })
    .await;
}

#[tokio::test]
async fn redb_that_has_failed_and_recovered() {
    battery(|| {
        let disk = Disk::default();
        let store = disk.store(true).unwrap();
        disk.fail_after(3, Fault::Eio);
        let failed = wait_for(put(&store, b"lost", b"lost"));
        assert_eq!(failed, Err(StoreError::Unknown));
        disk.heal();
        wait_for(store.write(|w| w.delete(b"lost"))).unwrap();
        store
    })
    .await;
}

/// Waits on a thread of its own: the battery itself runs inside a runtime.
fn wait_for<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        scope.spawn(move || runtime.block_on(future)).join().unwrap()
    })
}

async fn battery(mut make: impl FnMut() -> Store) {
    puts_and_deletes(&make()).await;
    a_refusal_leaves_nothing(&make()).await;
    a_panic_harms_only_itself(&make()).await;
    a_job_sees_its_own_changes(&make()).await;
    scans_keep_bounds_and_limits(&make()).await;
    parallel_jobs_are_serial(&make()).await;
    a_view_is_consistent(&make()).await;
    stores_are_isolated(&make(), &make()).await;
    closing_answers_closed(make()).await;
}

async fn puts_and_deletes(store: &Store) {
    assert_eq!(get(store, b"a"), Ok(None));
    put(store, b"a", b"1").await.unwrap();
    assert_eq!(get(store, b"a"), Ok(Some(b"1".to_vec())));
    put(store, b"a", b"").await.unwrap();
    assert_eq!(get(store, b"a"), Ok(Some(Vec::new())));
    store.write(|w| w.delete(b"a")).await.unwrap();
    store.write(|w| w.delete(b"never there")).await.unwrap();
    assert!(rows(store).unwrap().is_empty());
}

async fn a_refusal_leaves_nothing(store: &Store) {
    #[derive(Debug, PartialEq, thiserror::Error)]
    enum Refusal {
        #[error("no")]
        No,
        #[error(transparent)]
        Store(#[from] StoreError),
    }
    put(store, b"kept", b"1").await.unwrap();
    let refused: Result<(), Refusal> = store
        .write(|w| {
            w.put(b"gone", b"1")?;
            w.delete(b"kept")?;
            Err(Refusal::No)
        })
        .await;
    assert_eq!(refused, Err(Refusal::No));
    assert_eq!(rows(store).unwrap().into_keys().collect::<Vec<_>>(), [b"kept".to_vec()]);
    let view: Result<(), Refusal> = store.read(|_| Err(Refusal::No));
    assert_eq!(view, Err(Refusal::No));
}

async fn a_panic_harms_only_itself(store: &Store) {
    let panicking = store.write::<(), StoreError, _>(|w| {
        w.put(b"gone", b"1")?;
        // Without the panic hook's message.
        std::panic::resume_unwind(Box::new(()))
    });
    let (before, panicked, after) = tokio::join!(put(store, b"before", b"1"), panicking, put(store, b"after", b"1"));
    assert_eq!((before, panicked, after), (Ok(()), Err(StoreError::JobPanicked), Ok(())));
    assert_eq!(rows(store).unwrap().len(), 2);
}

async fn a_job_sees_its_own_changes(store: &Store) {
    for key in [b"a", b"c", b"e"] {
        put(store, key, b"old").await.unwrap();
    }
    let (forward, backward) = store
        .write(|w| {
            w.put(b"b", b"new")?;
            w.put(b"c", b"new")?;
            w.delete(b"a")?;
            w.put(b"f", b"new")?;
            w.put(b"g", b"new")?;
            w.delete(b"g")?;
            assert_eq!(w.get(b"a")?, None);
            assert_eq!(w.get(b"c")?, Some(b"new".to_vec()));
            Ok::<_, StoreError>((keys(w, b"", b"z", 9, false)?, keys(w, b"b", b"f", 2, true)?))
        })
        .await
        .unwrap();
    assert_eq!(forward, ["b", "c", "e", "f"]);
    assert_eq!(backward, ["e", "c"]);
}

async fn scans_keep_bounds_and_limits(store: &Store) {
    store
        .write(|w| {
            (b'a'..=b'j').try_for_each(|key| w.put(&[key], b""))?;
            check_bounds(w)
        })
        .await
        .unwrap();
    store.read(check_bounds).unwrap();
}

fn check_bounds(r: &dyn Read) -> Result<(), StoreError> {
    assert_eq!(keys(r, b"c", b"f", 9, false)?, ["c", "d", "e"]);
    assert_eq!(keys(r, b"c", b"f", 9, true)?, ["e", "d", "c"]);
    assert_eq!(keys(r, b"c", b"f", 2, false)?, ["c", "d"]);
    assert_eq!(keys(r, b"c", b"f", 2, true)?, ["e", "d"]);
    assert_eq!(keys(r, b"bb", b"cc", 9, false)?, ["c"]);
    for (from, to, limit) in [("c", "c", 9), ("f", "c", 9), ("c", "f", 0), ("x", "z", 9)] {
        assert!(keys(r, from.as_bytes(), to.as_bytes(), limit, false)?.is_empty());
        assert!(keys(r, from.as_bytes(), to.as_bytes(), limit, true)?.is_empty());
    }
    let mut seen = 0;
    let mut stop = |_: &[u8], _: &[u8]| {
        seen += 1;
        ControlFlow::Break(())
    };
    r.scan(b"a", b"z", 9, &mut stop)?;
    r.scan_back(b"a", b"z", 9, &mut stop)?;
    assert_eq!(seen, 2);
    Ok(())
}

fn keys(r: &dyn Read, from: &[u8], to: &[u8], limit: usize, back: bool) -> Result<Vec<String>, StoreError> {
    let mut keys = Vec::new();
    let mut visit = |key: &[u8], _: &[u8]| {
        keys.push(String::from_utf8(key.to_vec()).unwrap());
        ControlFlow::Continue(())
    };
    if back {
        r.scan_back(from, to, limit, &mut visit)?
    } else {
        r.scan(from, to, limit, &mut visit)?
    }
    Ok(keys)
}

async fn parallel_jobs_are_serial(store: &Store) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let store = store.clone();
        tasks.spawn(async move {
            store
                .write(|w| {
                    let count = w.get(b"count")?.map_or(0, |count| count[0]);
                    w.put(b"count", &[count + 1])?;
                    Ok::<_, StoreError>(count)
                })
                .await
        });
    }
    let mut counts: Vec<u8> = tasks.join_all().await.into_iter().map(Result::unwrap).collect();
    counts.sort_unstable();
    assert_eq!(counts, (0..64).collect::<Vec<_>>());
    assert_eq!(get(store, b"count"), Ok(Some(vec![64])));
}

async fn a_view_is_consistent(store: &Store) {
    put(store, b"a", b"1").await.unwrap();
    let other = store.clone();
    store
        .read(|r| {
            let before = r.get(b"a")?;
            wait_for(put(&other, b"a", b"2"))?;
            assert_eq!(r.get(b"a")?, before);
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_eq!(get(store, b"a"), Ok(Some(b"2".to_vec())));
}

async fn stores_are_isolated(one: &Store, other: &Store) {
    put(one, b"a", b"1").await.unwrap();
    assert!(rows(other).unwrap().is_empty());
    put(other, b"a", b"2").await.unwrap();
    assert_eq!(get(one, b"a"), Ok(Some(b"1".to_vec())));
}

async fn closing_answers_closed(store: Store) {
    let (put_before, ()) = tokio::join!(put(&store, b"a", b"1"), store.close());
    assert_eq!(put_before, Ok(()), "what was queued before the close is finished");
    assert_eq!(put(&store, b"a", b"2").await, Err(StoreError::Closed));
    assert_eq!(get(&store, b"a"), Err(StoreError::Closed));
    store.close().await;
}

#[tokio::test]
async fn a_full_queue_is_busy() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("a.redb"), &StoreOptions { queue: 2, ..StoreOptions::default() }).unwrap();
    let (started, has_started) = tokio::sync::oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let mut started = Some(started);
    let blocking = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .write(move |w| {
                    started.take().unwrap().send(()).unwrap();
                    released.recv().unwrap();
                    w.put(b"first", b"")
                })
                .await
        }
    });
    has_started.await.unwrap();
    let (two, three, four) = tokio::join!(biased; put(&store, b"2", b""), put(&store, b"3", b""), async {
        let four = put(&store, b"4", b"").await;
        release.send(()).unwrap();
        four
    });
    assert_eq!((two, three, four), (Ok(()), Ok(()), Err(StoreError::Busy)));
    assert_eq!(blocking.await.unwrap(), Ok(()));
    assert_eq!(rows(&store).unwrap().len(), 3);
}
