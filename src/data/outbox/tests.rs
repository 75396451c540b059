//! The outbox's rows: in which order they come, what becomes of too many, and of damaged ones.

use super::*;
use crate::store::Store;

fn item(n: u128, kind: Kind, next_at: u64) -> Item {
    let at = Timestamp::from_secs(next_at);
    Item {
        id: Uuid::from_u128(n),
        kind,
        purpose: "verify-email".into(),
        recipient: "ada@example.com".into(),
        payload: Payload::Plain(vec![1, 2, 3]),
        created_at: at,
        since: at,
        next_at: at,
        expires_at: Timestamp::from_secs(next_at + 1000),
        attempts: 0,
        begun: false,
        interrupted: false,
        last_error: None,
    }
}

fn hook(name: &str) -> Lane {
    Lane::Webhook(name.into())
}

async fn write<T: Send + 'static>(
    store: &Store,
    mut job: impl FnMut(&mut dyn Write) -> Result<T, StoreError> + Send + 'static,
) -> T {
    store.write(move |w| job(w)).await.expect("a write")
}

#[tokio::test]
async fn items_come_in_the_order_they_are_due_each_lane_by_itself() {
    let store = Store::memory();
    write(&store, |w| {
        for (n, at) in [(1, 30), (2, 10)] {
            enqueue(w, &item(n, Kind::Mail, at))?;
        }
        for (n, name, at) in [(3, "crm", 20), (4, "crm", 5), (5, "log", 1)] {
            enqueue(w, &Item { recipient: name.into(), ..item(n, Kind::Webhook, at) })?;
        }
        Ok(())
    })
    .await;
    let ids = |lane| -> Vec<u128> {
        let due = store.read(|r| due(r, &lane, 9)).expect("a read");
        due.iter().map(|(_, id)| id.as_u128()).collect()
    };
    assert_eq!((ids(Lane::Mail), ids(hook("crm")), ids(hook("log"))), (vec![2, 1], vec![4, 3], vec![5]));
    assert!(ids(hook("lo")).is_empty() && ids(hook("logs")).is_empty());
    assert_eq!(store.read(|r| webhooks(r)).expect("a read"), ["crm", "log"]);
    write(&store, |w| postpone(w, item(2, Kind::Mail, 10), Timestamp::from_secs(99), "down")).await;
    assert_eq!(ids(Lane::Mail), [1, 2]);
    write(&store, |w| remove(w, &item(1, Kind::Mail, 30))).await;
    assert_eq!(ids(Lane::Mail), [2]);
    assert_eq!(store.read(|r| counts(r)).expect("a read"), (4, 0));
}

#[tokio::test]
async fn what_is_given_up_can_be_tried_again_or_goes() {
    let store = Store::memory();
    write(&store, |w| {
        enqueue(w, &item(1, Kind::Mail, 10))?;
        enqueue(w, &item(2, Kind::Decoy, 10))?;
        bury(w, Item { attempts: 7, interrupted: true, ..item(1, Kind::Mail, 10) }, Timestamp::from_secs(50), "no")?;
        bury(w, item(2, Kind::Decoy, 10), Timestamp::from_secs(50), "no")
    })
    .await;
    assert_eq!(store.read(|r| counts(r)).expect("a read"), (0, 1), "a decoy leaves nothing");
    let letter = store.read(|r| dead(r, Uuid::from_u128(1))).expect("a read").expect("a dead letter");
    assert_eq!((letter.item.last_error.as_deref(), letter.item.attempts), (Some("no"), 7));
    write(&store, move |w| revive(w, letter.clone(), Timestamp::from_secs(60))).await;
    let again = store.read(|r| get(r, Uuid::from_u128(1))).expect("a read").expect("an item");
    assert_eq!((again.attempts, again.interrupted, again.next_at), (0, false, Timestamp::from_secs(60)));
    assert_eq!(again.created_at, Timestamp::from_secs(10));
    assert_eq!(store.read(|r| counts(r)).expect("a read"), (1, 0));
}

#[tokio::test]
async fn too_much_and_too_large_become_dead_letters_and_of_those_the_oldest_go() {
    let store = Store::memory();
    write(&store, |w| {
        set_count(w, WAITING, MAX_WAITING)?;
        set_count(w, DEAD, MAX_DEAD - 1)?;
        enqueue(w, &item(1, Kind::Mail, 10))?;
        set_count(w, WAITING, 0)?;
        let large = Payload::Sealed(vec![0; MAX_PAYLOAD + 1]);
        enqueue(w, &Item { payload: large, ..item(2, Kind::Mail, 10) })
    })
    .await;
    let left = store.read(|r| dead_letters(r, None, 9)).expect("a read");
    let left: Vec<_> = left.iter().map(|letter| (letter.item.id.as_u128(), letter.item.payload.len())).collect();
    assert_eq!(left, [(2, 0)]);
    assert!(!store.read(|r| any(r)).expect("a read"));
}

#[tokio::test]
async fn a_receiver_who_is_away_leaves_room_for_mails() {
    let store = Store::memory();
    write(&store, |w| {
        set_count(w, WAITING, MAX_WAITING_CALLS - 1)?;
        for n in 1..=2 {
            enqueue(w, &Item { recipient: "crm".into(), ..item(n, Kind::Webhook, 10) })?;
        }
        enqueue(w, &item(3, Kind::Mail, 10))?;
        enqueue(w, &item(4, Kind::Decoy, 10))
    })
    .await;
    let waits = |n| store.read(|r| get(r, Uuid::from_u128(n))).expect("a read").is_some();
    assert_eq!([1, 2, 3, 4].map(waits), [true, false, true, true]);
    assert!(store.read(|r| dead(r, Uuid::from_u128(2))).expect("a read").is_some());
}

#[tokio::test]
async fn what_waits_longest_is_found_without_looking_at_the_rest() {
    let store = Store::memory();
    assert_eq!(store.read(|r| oldest(r)).expect("a read"), None);
    write(&store, |w| {
        enqueue(w, &item(2, Kind::Mail, 20))?;
        enqueue(w, &item(1, Kind::Decoy, 10))?;
        // One that cannot be read lies behind it.
        w.put(&row(Uuid::from_u128(3)), b"damaged")
    })
    .await;
    let found = store.read(|r| oldest(r)).expect("a read").expect("an item");
    assert_eq!((found.id.as_u128(), found.kind), (1, Kind::Decoy));
}

#[tokio::test]
async fn a_damaged_place_of_a_webhook_is_passed_once() {
    let store = Store::memory();
    // Bytes behind the end of a name, where there are none.
    let mut odd = hook("crm").prefix();
    if let Some(last) = odd.last_mut() {
        *last = b'x';
    }
    odd.extend_from_slice(&[0; 24]);
    write(&store, move |w| {
        w.put(&odd, &[])?;
        enqueue(w, &Item { recipient: "log".into(), ..item(1, Kind::Webhook, 10) })
    })
    .await;
    assert_eq!(store.read(|r| webhooks(r)).expect("a read"), ["crm", "log"]);
    write(&store, |w| w.put(&key(Table::OutboxDue, &[&[WEBHOOK, b'z']]), &[])).await;
    assert!(matches!(store.read(|r| webhooks(r)), Err(StoreError::Corrupt(_))), "one that is cut short");
}
