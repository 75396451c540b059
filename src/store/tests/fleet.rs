//! The fleet: files opened once, closed when idle, removed for good.

use std::time::Duration;

use uuid::Uuid;

use super::{get, put};
use crate::store::{Fleet, FleetOptions, LEAST_CACHE_BYTES, StoreError};

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

#[tokio::test]
async fn a_project_is_made_found_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    for fleet in [Fleet::memory(), Fleet::open(&dir.path().join("projects"), FleetOptions::default()).unwrap()] {
        assert!(fleet.get(id(1)).await.unwrap().is_none());
        let store = fleet.create(id(1)).await.unwrap();
        put(&store, b"a", b"1").await.unwrap();
        assert!(matches!(fleet.create(id(1)).await, Err(StoreError::Io(_))));
        fleet.create(id(2)).await.unwrap();
        assert_eq!(fleet.ids(), [id(1), id(2)]);
        let again = fleet.get(id(1)).await.unwrap().unwrap();
        assert_eq!(get(&again, b"a"), Ok(Some(b"1".to_vec())));
        assert_eq!(get(&fleet.try_get(id(2)).unwrap(), b"a"), Ok(None));

        assert_eq!(fleet.delete(id(1)).await, Ok(true));
        assert_eq!(fleet.delete(id(1)).await, Ok(false));
        assert_eq!(get(&store, b"a"), Err(StoreError::Closed));
        assert_eq!(put(&again, b"a", b"2").await, Err(StoreError::Closed));
        assert!(fleet.get(id(1)).await.unwrap().is_none());
        assert_eq!(fleet.ids(), [id(2)]);
        assert_eq!(get(&fleet.create(id(1)).await.unwrap(), b"a"), Ok(None), "made anew, it is empty");

        fleet.close().await;
        assert!(matches!(fleet.get(id(2)).await, Err(StoreError::Closed)));
        assert!(matches!(fleet.create(id(3)).await, Err(StoreError::Closed)));
    }
    let names: Vec<_> = std::fs::read_dir(dir.path().join("projects")).unwrap().collect();
    assert_eq!(names.len(), 4, "two projects, each with its mark");
}

#[tokio::test]
async fn what_was_written_is_there_after_idleness_and_restart() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = Fleet::open(dir.path(), FleetOptions::default()).unwrap();
    let held = fleet.create(id(1)).await.unwrap();
    drop(fleet.create(id(2)).await.unwrap());
    put(&held, b"a", b"1").await.unwrap();
    fleet.close_idle(Duration::from_secs(3600)).await;
    assert!(fleet.try_get(id(2)).is_some(), "used within the hour");
    fleet.close_idle(Duration::ZERO).await;
    assert!(fleet.try_get(id(2)).is_none());
    assert!(fleet.try_get(id(1)).is_some(), "what somebody holds is not idle");
    assert!(fleet.get(id(2)).await.unwrap().is_some());
    fleet.close().await;

    let fleet = Fleet::open(dir.path(), FleetOptions::default()).unwrap();
    assert!(fleet.try_get(id(1)).is_none());
    let store = fleet.get(id(1)).await.unwrap().unwrap();
    assert_eq!(get(&store, b"a"), Ok(Some(b"1".to_vec())));
}

#[tokio::test]
async fn many_at_once_open_one_file_once() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = Fleet::open(dir.path(), FleetOptions::default()).unwrap();
    drop(fleet.create(id(1)).await.unwrap());
    for _ in 0..5 {
        fleet.close_idle(Duration::ZERO).await;
        assert!(fleet.try_get(id(1)).is_none());
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..64_u8 {
            let asking = fleet.clone();
            // One that asks and does not wait must not leave a second opening behind.
            let gone = tasks.spawn(async move { drop(asking.get(id(1)).await) });
            if number % 8 == 0 {
                tokio::task::yield_now().await;
                gone.abort();
            }
            let fleet = fleet.clone();
            tasks.spawn(async move {
                let store = fleet.get(id(1)).await.unwrap().unwrap();
                put(&store, &[number], b"").await.unwrap();
            });
        }
        while let Some(done) = tasks.join_next().await {
            assert!(done.is_ok() || done.is_err_and(|error| error.is_cancelled()));
        }
    }
}

#[tokio::test]
async fn the_longest_unused_file_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = Fleet::open(dir.path(), FleetOptions { max_open: 3, ..FleetOptions::default() }).unwrap();
    for number in 1..=3 {
        drop(fleet.create(id(number)).await.unwrap());
    }
    let one = fleet.get(id(1)).await.unwrap().unwrap();
    drop(fleet.create(id(4)).await.unwrap());
    let open: Vec<u128> = (1..=4).filter(|number| fleet.try_get(id(*number)).is_some()).collect();
    assert_eq!(open, [1, 3, 4]);

    let (three, _four) = (fleet.try_get(id(3)).unwrap(), fleet.try_get(id(4)).unwrap());
    assert!(matches!(fleet.get(id(2)).await, Err(StoreError::Busy)), "all are in use");
    drop(three);
    put(&fleet.get(id(2)).await.unwrap().unwrap(), b"a", b"1").await.unwrap();
    assert!(fleet.try_get(id(3)).is_none());
    put(&one, b"a", b"1").await.unwrap();
}

#[tokio::test]
async fn ten_thousand_projects_are_listed_unopened() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..10_000 {
        std::fs::File::create(dir.path().join(format!("{}.redb", id(number)))).unwrap();
    }
    for stray in [
        "notes.txt",
        "x.redb",
        "00000000000000000000000000000000.redb",
        "a.redb.new",
        "00000000-0000-0000-0000-000000000001.redb.opened",
    ] {
        std::fs::write(dir.path().join(stray), "").unwrap();
    }
    let fleet = Fleet::open(dir.path(), FleetOptions::default()).unwrap();
    assert_eq!(fleet.ids(), (0..10_000).map(id).collect::<Vec<_>>());
    assert!(fleet.try_get(id(0)).is_none());
}

#[tokio::test]
async fn a_file_that_vanished_does_not_come_back_empty() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = Fleet::open(dir.path(), FleetOptions::default()).unwrap();
    drop(fleet.create(id(1)).await.unwrap());
    fleet.close_idle(Duration::ZERO).await;
    let path = dir.path().join(format!("{}.redb", id(1)));
    let away = dir.path().join("away");
    std::fs::rename(&path, &away).unwrap();
    assert!(matches!(fleet.get(id(1)).await, Err(StoreError::Io(_))));
    std::fs::rename(&away, &path).unwrap();
    assert!(fleet.get(id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_looked_at_again_when_it_is_another() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = Fleet::open(dir.path(), FleetOptions::default()).unwrap();
    put(&fleet.create(id(1)).await.unwrap(), b"a", b"1").await.unwrap();
    fleet.close_idle(Duration::ZERO).await;
    let path = dir.path().join(format!("{}.redb", id(1)));
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let refused = fleet.get(id(1)).await;
    assert!(matches!(&refused, Err(StoreError::Corrupt(_))), "{refused:?}");
    assert_eq!(fleet.get(id(1)).await.err(), refused.err(), "as before");
    assert_eq!(fleet.cache_granted(), 0);
    std::fs::write(&path, whole).unwrap();
    assert_eq!(get(&fleet.get(id(1)).await.unwrap().unwrap(), b"a"), Ok(Some(b"1".to_vec())));
}

#[tokio::test]
async fn cache_is_shared_out_and_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = Fleet::open(dir.path(), FleetOptions::default()).unwrap();
    let most = FleetOptions::default().store.cache_bytes;
    assert_eq!(fleet.cache_granted(), 0);
    for number in 0..20 {
        drop(fleet.create(id(number)).await.unwrap());
    }
    assert!((most..=2 * most + 20 * LEAST_CACHE_BYTES).contains(&fleet.cache_granted()));
    fleet.close_idle(Duration::ZERO).await;
    assert_eq!(fleet.cache_granted(), 0);
}

#[tokio::test]
async fn a_draft_is_found_by_nobody_until_it_takes_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let projects = dir.path().join("projects");
    let fleet = Fleet::open(&projects, FleetOptions::default()).unwrap();
    let (id, name) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let former = fleet.create(id).await.unwrap();
    former.write(|w| w.put(b"former", b"1")).await.unwrap();
    drop(former);
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(&projects).unwrap().map(|one| one.unwrap().file_name()).collect();
        names.retain(|name| !name.to_str().unwrap().ends_with(".opened"));
        names.sort();
        names
    };

    let draft = fleet.draft(name).await.unwrap();
    draft.store().write(|w| w.put(b"new", b"2")).await.unwrap();
    assert_eq!((fleet.ids(), names().len()), (vec![id], 2));
    drop(draft);
    assert_eq!(names().len(), 1, "dropped, it is gone");

    let draft = fleet.draft(name).await.unwrap();
    draft.store().write(|w| w.put(b"new", b"2")).await.unwrap();
    fleet.install(draft, id).await.unwrap();
    assert_eq!((fleet.ids(), names().len()), (vec![id], 1));
    let now = fleet.get(id).await.unwrap().unwrap();
    let rows = now.read(|r| Ok::<_, StoreError>((r.get(b"former")?, r.get(b"new")?))).unwrap();
    assert_eq!(rows, (None, Some(b"2".to_vec())));
    drop(now);
    fleet.close().await;
    assert!(matches!(fleet.draft(name).await, Err(StoreError::Closed)));

    // What a crash leaves is no project, and goes at the next start.
    std::fs::write(projects.join(format!("{name}.redb.draft")), b"half").unwrap();
    std::fs::write(projects.join(format!("{name}.redb.draft.new")), b"").unwrap();
    let again = Fleet::open(&projects, FleetOptions::default()).unwrap();
    assert_eq!((again.ids(), names().len()), (vec![id], 1));
}
