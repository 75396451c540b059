//! Files of earlier formats: upgraded whole or left whole, with a copy kept, whatever the disk does meanwhile.

use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;

use super::{Disk, Fault, Rows, Stores, Survival, get, pages, put, rows};
use crate::store::{Fleet, FleetOptions, Step, Store, StoreError, StoreOptions, Write};

/// A second format, in which every value is a byte longer and the row `gone` is not there.
const STEPS: &[Step] = &[Step { to: 2, needs: "0.1.0", run: lengthen }];
/// And a third, which fails.
const BAD: &[Step] = &[
    Step { to: 2, needs: "0.1.0", run: lengthen },
    Step { to: 3, needs: "0.2.0", run: |_| Err(StoreError::Corrupt("no such row".into())) },
];

fn lengthen(w: &mut dyn Write) -> Result<(), StoreError> {
    let mut found = Vec::new();
    w.scan(b"", &[0xff; 8], usize::MAX, &mut |key, value| {
        found.push((key.to_vec(), [value, b"+"].concat()));
        ControlFlow::Continue(())
    })?;
    found.iter().try_for_each(|(key, value)| w.put(key, value))?;
    let mut back = 0;
    w.scan_back(b"", &[0xff; 8], usize::MAX, &mut |_, value| {
        assert_eq!(value.last(), Some(&b'+'), "a step reads what it wrote");
        back += 1;
        ControlFlow::Continue(())
    })?;
    assert_eq!(back, found.len());
    w.delete(b"gone")
}

fn lengthened(rows: &Rows) -> Rows {
    let longer = rows.iter().map(|(key, value)| (key.clone(), [value.as_slice(), b"+"].concat()));
    longer.filter(|(key, _)| key != b"gone").collect()
}

/// A file of format 1, closed, and what is in it.
async fn first() -> (Disk, Rows) {
    let disk = Disk::default();
    let store = disk.store(true).unwrap();
    store
        .write(|w| {
            (0..600_u32).try_for_each(|n| w.put(&n.to_be_bytes(), &[7; 100]))?;
            w.put(b"gone", b"1")
        })
        .await
        .unwrap();
    let there = rows(&store).unwrap();
    store.close().await;
    (disk, there)
}

#[tokio::test]
async fn an_upgrade_rewrites_all_rows_once_and_keeps_what_was() {
    let (disk, before) = first().await;
    let image = disk.image();
    let store = disk.store_after(false, STEPS).unwrap();
    assert_eq!(rows(&store).unwrap(), lengthened(&before));
    put(&store, b"after", b"1").await.unwrap();
    store.close().await;
    let kept = disk.kept().expect("a copy was kept");
    assert_eq!(
        rows(&Disk::holding(kept.clone()).store(false).unwrap()).unwrap(),
        before,
        "an earlier program goes on with it"
    );
    assert_eq!(image.len() as u64 % 4096, 0);

    let again = disk.store_after(false, STEPS).unwrap();
    assert_eq!(get(&again, b"after"), Ok(Some(b"1".to_vec())), "not lengthened again");
    assert!(disk.kept() == Some(kept), "nothing is upgraded, nothing is copied");
    again.close().await;
    let Err(StoreError::Corrupt(why)) = disk.store(false) else { panic!("an earlier program opened it") };
    assert!(why.contains("needs Keystead 0.1.0 or later"), "{why}");
}

#[tokio::test]
async fn what_is_made_anew_is_not_upgraded() {
    let disk = Disk::default();
    let store = disk.store_after(true, STEPS).unwrap();
    put(&store, b"a", b"1").await.unwrap();
    store.close().await;
    assert_eq!(get(&disk.store_after(false, STEPS).unwrap(), b"a"), Ok(Some(b"1".to_vec())));
    assert_eq!(disk.kept(), None);
}

#[tokio::test]
async fn a_step_that_fails_changes_nothing() {
    let (disk, before) = first().await;
    assert!(matches!(disk.store_after(false, BAD), Err(StoreError::Corrupt(_))));
    assert_eq!(rows(&disk.store(false).unwrap()).unwrap(), before);
}

#[tokio::test]
async fn without_space_for_a_copy_nothing_is_touched() {
    let (disk, before) = first().await;
    disk.set_free_bytes(disk.image().len() as u64);
    let Err(StoreError::Io(why)) = disk.store_after(false, STEPS) else { panic!("upgraded without space") };
    assert!(why.contains("make room"), "{why}");
    assert_eq!(disk.kept(), None);
    disk.heal();
    assert_eq!(rows(&disk.store_after(false, STEPS).unwrap()).unwrap(), lengthened(&before));
}

/// Every operation of the upgrade fails once; then the power does.
#[tokio::test]
async fn a_fault_at_any_operation_leaves_one_format_or_the_other_whole() {
    let (whole, before) = first().await;
    let (image, after) = (whole.image(), lengthened(&before));
    let counting = Disk::holding(image.clone());
    drop(counting.store_after(false, STEPS).unwrap());
    let operations = counting.operations();
    assert!(operations > 10);
    for fault in [Fault::Eio, Fault::Enospc, Fault::Freeze] {
        for healthy in 0..operations {
            let disk = Disk::holding(image.clone());
            disk.fail_after(healthy, fault);
            let opened = disk.store_after(false, STEPS);
            match &opened {
                Ok(store) => assert_eq!(rows(store).unwrap(), after),
                Err(error) => assert!(matches!(error, StoreError::Io(_) | StoreError::Full), "{error:?}"),
            }
            for survival in [Survival::Nothing, Survival::Everything, Survival::Sectors(healthy)] {
                let crashed = disk.crashed(survival);
                let early = crashed.store(false).map(|store| rows(&store).unwrap());
                match early {
                    Ok(rows) => assert_eq!(rows, before),
                    Err(StoreError::Corrupt(why)) => assert!(why.contains("has format 2"), "{why}"),
                    Err(other) => panic!("{other:?}"),
                }
                assert_eq!(rows(&disk.crashed(survival).store_after(false, STEPS).unwrap()).unwrap(), after);
            }
        }
    }
}

#[tokio::test]
async fn the_copy_is_private_lies_beside_the_file_and_goes_with_the_project() {
    let dir = tempfile::tempdir().unwrap();
    let id = uuid::Uuid::from_u128(1);
    let path = dir.path().join(format!("{id}.redb"));
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    put(&store, b"a", b"1").await.unwrap();
    store.close().await;
    let copy = dir.path().join(format!("{id}.redb.format-1"));
    std::fs::write(copy.with_extension("format-1.new"), "torn").unwrap();

    let options = StoreOptions { steps: STEPS, ..StoreOptions::default() };
    let fleet = Fleet::open(dir.path(), FleetOptions { store: options, ..FleetOptions::default() }).unwrap();
    let store = fleet.get(id).await.unwrap().unwrap();
    assert_eq!(get(&store, b"a"), Ok(Some(b"1+".to_vec())));
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o7777, 0o600);
    let names = || {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.contains("format"));
        names
    };
    assert_eq!(names(), [format!("{id}.redb.format-1")]);
    fleet.close().await;

    let fleet = Fleet::open(dir.path(), FleetOptions::default()).unwrap();
    assert_eq!(fleet.ids(), [id], "a copy is no project");
    let Err(StoreError::Corrupt(why)) = fleet.get(id).await else { panic!("an earlier program opened it") };
    assert!(why.contains("needs Keystead"), "{why}");
    assert_eq!(fleet.delete(id).await, Ok(true));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing of it is left");
}

/// What every format keeps of the rows that no step speaks of, whatever program wrote it.
#[tokio::test]
async fn files_of_every_format_open() {
    let steps = crate::data::format::STEPS;
    for format in 1..=steps.last().map_or(1, |step| step.to) {
        let name = format!("v{format}");
        let file = pages::kept(&name).unwrap_or_else(|| {
            assert_eq!(format, steps.last().map_or(1, |step| step.to), "only the code of that time can write {name}");
            let disk = Disk::default();
            let runtime = std::thread::spawn({
                let disk = disk.clone();
                move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    runtime.block_on(async {
                        let store = disk.store_after(true, steps).unwrap();
                        store.write(fill).await.unwrap();
                        store.write(|w| w.delete(b"gone")).await.unwrap();
                        store.close().await;
                    });
                }
            });
            runtime.join().unwrap();
            pages::keep(&name, &disk.image());
            disk.image()
        });
        let store = Disk::holding(file).store_after(false, steps).unwrap();
        let found = rows(&store).unwrap();
        assert_eq!(found.len(), 121);
        assert_eq!(found[b"alone".as_slice()], b"");
        assert!((0..120_u8).all(|n| found[[1, n].as_slice()] == vec![n; usize::from(n)]));
        put(&store, b"new", b"1").await.unwrap();
        assert_eq!(rows(&store).unwrap().len(), 122);
    }
}

fn fill(w: &mut dyn Write) -> Result<(), StoreError> {
    (0..120_u8).try_for_each(|n| w.put(&[1, n], &vec![n; usize::from(n)]))?;
    w.put(b"alone", b"")?;
    w.put(b"gone", b"1")
}
