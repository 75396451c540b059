//! Random jobs against a sorted map, with reopening in between.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Disk, Rows, Stores, rows};
use crate::store::{Store, StoreError};

#[derive(Clone, Debug)]
enum Step {
    Job { changes: Vec<(u8, Option<u8>)>, end: End },
    Together(Vec<Vec<(u8, Option<u8>)>>),
    Reopen,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Keep,
    Refuse,
    Panic,
}

fn changes() -> impl Strategy<Value = Vec<(u8, Option<u8>)>> {
    vec((any::<u8>(), proptest::option::weighted(0.7, any::<u8>())), 0..12)
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![4 => Just(End::Keep), 1 => Just(End::Refuse), 1 => Just(End::Panic)];
    prop_oneof![
        8 => (changes(), end).prop_map(|(changes, end)| Step::Job { changes, end }),
        2 => vec(changes(), 1..6).prop_map(Step::Together),
        1 => Just(Step::Reopen),
    ]
}

fn value(byte: u8) -> Vec<u8> {
    vec![byte; usize::from(byte) * 4]
}

fn change(model: &mut Rows, changes: &[(u8, Option<u8>)]) {
    for (key, new) in changes {
        match new {
            Some(byte) => model.insert(vec![*key], value(*byte)),
            None => model.remove([*key].as_slice()),
        };
    }
}

async fn run(store: &Store, changes: Vec<(u8, Option<u8>)>, end: End) -> Result<(), StoreError> {
    store
        .write(move |w| {
            for (key, new) in &changes {
                match new {
                    Some(byte) => w.put(&[*key], &value(*byte))?,
                    None => w.delete(&[*key])?,
                }
                assert_eq!(w.get(&[*key])?, new.map(value));
            }
            match end {
                End::Keep => Ok(()),
                End::Refuse => Err(StoreError::Corrupt("refused".into())),
                // Without the panic hook's message.
                End::Panic => std::panic::resume_unwind(Box::new(())),
            }
        })
        .await
}

async fn follow(mut store: Store, disk: Option<Disk>, steps: Vec<Step>) {
    let mut model = Rows::new();
    for step in steps {
        match step {
            Step::Job { changes, end } => {
                if end == End::Keep {
                    change(&mut model, &changes);
                }
                let expected = match end {
                    End::Keep => Ok(()),
                    End::Refuse => Err(StoreError::Corrupt("refused".into())),
                    End::Panic => Err(StoreError::JobPanicked),
                };
                assert_eq!(run(&store, changes, end).await, expected);
            }
            Step::Together(jobs) => {
                jobs.iter().for_each(|changes| self::change(&mut model, changes));
                // Polled once in this order, and so queued in it; the first poll does not wait.
                let mut answers = Vec::new();
                for changes in jobs {
                    let mut answer = Box::pin(run(&store, changes, End::Keep));
                    let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(answer.as_mut().poll(cx))).await;
                    answers.push((answer, polled.is_ready()));
                }
                for (answer, done) in answers {
                    if !done {
                        answer.await.unwrap();
                    }
                }
            }
            Step::Reopen => {
                if let Some(disk) = &disk {
                    store.close().await;
                    store = disk.store(false).unwrap();
                }
            }
        }
        assert_eq!(rows(&store).unwrap(), model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engines_follow_the_model(steps in vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(follow(Store::memory(), None, steps.clone()));
        let disk = Disk::default();
        let store = disk.store(true).unwrap();
        runtime.block_on(follow(store, Some(disk), steps));
    }
}
