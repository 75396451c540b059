//! The pool, made deterministic by an entropy source that holds a hash until the test lets it go.

use std::collections::HashSet;
use std::sync::mpsc;

use super::*;

const CHEAP: HashCost = HashCost { memory_kib: 64, iterations: 1, parallelism: 1 };
const A: ClientGroup = ClientGroup(1);
const B: ClientGroup = ClientGroup(2);

/// Counts up, so that every salt differs.
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, out: &mut [u8]) {
        let next = self.0.fetch_add(1, Relaxed).to_le_bytes();
        out.iter_mut().zip(next.iter().cycle()).for_each(|(byte, new)| *byte = *new);
    }
}

/// Says when a hash begins, then waits for leave.
struct Gate {
    begun: mpsc::SyncSender<()>,
    leave: Mutex<mpsc::Receiver<()>>,
}

impl Entropy for Gate {
    fn fill(&self, out: &mut [u8]) {
        self.begun.send(()).unwrap();
        self.leave.lock().unwrap().recv().unwrap();
        out.fill(1);
    }
}

struct Broken;

impl Entropy for Broken {
    fn fill(&self, _: &mut [u8]) {
        panic!("no entropy, on purpose");
    }
}

fn pool(threads: usize, queue: usize, entropy: impl Entropy + 'static) -> Arc<HashPool> {
    HashPool::start(PoolSettings { cost: CHEAP, threads, queue }, Arc::new(entropy))
}

fn counting(threads: usize) -> Arc<HashPool> {
    pool(threads, 4096, Counter(AtomicU64::new(0)))
}

fn gated(queue: usize) -> (Arc<HashPool>, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (begun, begins) = mpsc::sync_channel(10_000);
    let (leave, leaves) = mpsc::channel();
    (pool(1, queue, Gate { begun, leave: Mutex::new(leaves) }), begins, leave)
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

/// Queues a job as `hash` does, and leaves the waiting to the test.
fn submit(pool: &HashPool, from: ClientGroup) -> oneshot::Receiver<Result<StoredHash, Busy>> {
    let (reply, answer) = oneshot::channel();
    pool.submit(from, Job::Hash { password: secret("pw"), reply });
    answer
}

#[tokio::test]
async fn a_hash_verifies_and_only_with_its_password() {
    let pool = counting(2);
    let stored = pool.hash(A, secret("correct horse")).await.unwrap();
    let other = pool.hash(A, secret("correct horse")).await.unwrap();
    assert!(stored != other, "the salt is fresh");
    let right = pool.verify(A, secret("correct horse"), Some(stored.clone())).await.unwrap();
    assert!(right.matches && right.rehash.is_none());
    let wrong = pool.verify(A, secret("correct horse "), Some(stored)).await.unwrap();
    assert!(!wrong.matches && wrong.rehash.is_none());
    assert_eq!((pool.hashes_computed(), pool.queued()), (4, 0));
}

#[tokio::test]
async fn no_account_costs_one_hash_and_never_matches() {
    let pool = counting(1);
    for password in ["", "password"] {
        let before = pool.hashes_computed();
        let verdict = pool.verify(A, secret(password), None).await.unwrap();
        assert!(!verdict.matches && verdict.rehash.is_none());
        assert_eq!(pool.hashes_computed(), before + 1);
    }
}

#[tokio::test]
async fn an_imported_or_outdated_hash_is_replaced_when_it_matches() {
    let pool = counting(1);
    let argon2id = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let dearer = HashCost { memory_kib: 128, ..CHEAP };
    let forms = [
        (StoredHash::parse_import(argon2id).unwrap(), "password"),
        (StoredHash::parse_import(&bcrypt::hash("password", 4).unwrap()).unwrap(), "password"),
        (StoredHash::compute(dearer, [0; 16], b"password", &mut Vec::new()), "password"),
    ];
    for (stored, password) in forms {
        let wrong = pool.verify(A, secret("Password"), Some(stored.clone())).await.unwrap();
        assert!(!wrong.matches && wrong.rehash.is_none());
        let verdict = pool.verify(A, secret(password), Some(stored)).await.unwrap();
        assert!(verdict.matches);
        let again = pool.verify(A, secret(password), verdict.rehash).await.unwrap();
        assert!(again.matches && again.rehash.is_none());
    }
}

#[tokio::test]
async fn a_flood_from_one_client_does_not_delay_another() {
    let (pool, begins, leave) = gated(4096);
    let first = submit(&pool, A);
    begins.recv().unwrap();
    let mut flood: Vec<_> = (0..1000).map(|_| submit(&pool, A)).collect();
    let mut other = submit(&pool, B);
    assert_eq!(pool.queued(), 1001);
    // The one under way, one more of A, the one of B.
    for _ in 0..2 {
        leave.send(()).unwrap();
        begins.recv().unwrap();
    }
    assert!(first.await.unwrap().is_ok());
    assert!(flood[0].try_recv().unwrap().is_ok());
    assert!(flood[1].try_recv().is_err() && other.try_recv().is_err(), "B's hash is under way");
    leave.send(()).unwrap();
    assert!(other.await.unwrap().is_ok());
    assert!(pool.queued() >= 998);
    drop(flood);
    leave.send(()).unwrap();
}

#[tokio::test]
async fn sixty_four_at_once_are_all_answered_right() {
    let pool = counting(4);
    let stored = pool.hash(A, secret("pw")).await.unwrap();
    let tasks: Vec<_> = (0..64u32)
        .map(|number| {
            let (pool, stored) = (Arc::clone(&pool), stored.clone());
            tokio::spawn(async move {
                let password = if number % 2 == 0 { "pw" } else { "no" };
                let verdict = pool.verify(ClientGroup(u128::from(number % 8)), secret(password), Some(stored)).await;
                verdict.unwrap().matches == (number % 2 == 0)
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap());
    }
    assert_eq!(pool.hashes_computed(), 65);
}

#[tokio::test]
async fn a_full_queue_says_so_to_the_crowd_and_not_to_others() {
    let (pool, begins, leave) = gated(3);
    let under_way = submit(&pool, A);
    begins.recv().unwrap();
    let waiting: Vec<_> = (0..3).map(|_| submit(&pool, A)).collect();
    let busy = pool.hash(A, secret("pw")).await.unwrap_err();
    assert!((Duration::from_secs(1)..=Duration::from_secs(60)).contains(&busy.retry_after));
    let other = submit(&pool, B);
    assert_eq!(pool.queued(), 3);
    for _ in 0..4 {
        leave.send(()).unwrap();
    }
    assert!(under_way.await.unwrap().is_ok());
    assert!(other.await.unwrap().is_ok());
    let mut answers = Vec::new();
    for answer in waiting {
        answers.push(answer.await.unwrap().is_ok());
    }
    assert_eq!(answers, [true, true, false], "the newest of the crowd gave way");
}

#[tokio::test]
async fn what_follows_may_wait_where_many_clients_do() {
    let (pool, begins, _leave) = gated(100);
    let _under_way = submit(&pool, A);
    begins.recv().unwrap();
    let _crowd: Vec<_> = (0..50).map(|_| submit(&pool, B)).collect();
    assert_eq!(pool.patience(), Duration::ZERO, "one client's own line holds up nobody else");
    let _others: Vec<_> = (10..26).map(|client| submit(&pool, ClientGroup(client))).collect();
    // Seventeen groups, one thread, 20 ms a hash as long as none was measured: an eighth of 340 ms.
    assert_eq!(pool.patience(), Duration::from_micros(42_500));
    let _more: Vec<_> = (100..120).map(|client| submit(&pool, ClientGroup(client))).collect();
    assert_eq!(pool.patience(), Duration::from_millis(50));
}

#[tokio::test]
async fn who_has_gone_costs_no_hash() {
    let (pool, begins, leave) = gated(100);
    let first = submit(&pool, A);
    begins.recv().unwrap();
    let gone: Vec<_> = (0..50).map(|_| submit(&pool, A)).collect();
    let last = submit(&pool, A);
    drop(gone);
    leave.send(()).unwrap();
    leave.send(()).unwrap();
    assert!(first.await.unwrap().is_ok() && last.await.unwrap().is_ok());
    assert_eq!(pool.hashes_computed(), 2);
}

#[tokio::test]
async fn a_panic_harms_only_its_own_job() {
    let pool = pool(1, 16, Broken);
    let stored = StoredHash::compute(CHEAP, [5; 16], b"pw", &mut Vec::new());
    for _ in 0..3 {
        assert!(pool.hash(A, secret("pw")).await.is_err());
        assert!(pool.verify(A, secret("pw"), Some(stored.clone())).await.unwrap().matches);
    }
}

#[tokio::test]
async fn memory_is_taken_late_shared_by_all_hashes_and_given_back() {
    let counter = Arc::new(Counter(AtomicU64::new(0)));
    let settings = PoolSettings { cost: CHEAP, threads: 1, queue: 16 };
    let pool = HashPool::start_with(settings, counter, Duration::from_millis(1));
    assert_eq!(pool.memory_held(), 0);
    for _ in 0..2 {
        pool.hash(A, secret("pw")).await.unwrap();
        while pool.memory_held() != 0 {
            tokio::task::yield_now().await;
        }
    }
    let kept = counting(1);
    for _ in 0..3 {
        kept.hash(A, secret("pw")).await.unwrap();
        assert_eq!(kept.memory_held(), 64 * 1024);
    }
    let dearer = HashCost { memory_kib: 1024, ..CHEAP };
    let stored = StoredHash::compute(dearer, [0; 16], b"pw", &mut Vec::new());
    assert!(kept.verify(A, secret("pw"), Some(stored)).await.unwrap().matches);
    kept.hash(A, secret("pw")).await.unwrap();
    assert_eq!(kept.memory_held(), 64 * 1024, "what a dearer hash took is not kept");
}

#[tokio::test]
async fn salts_are_never_shared() {
    let pool = counting(2);
    let mut seen = HashSet::new();
    for _ in 0..32 {
        let stored = pool.hash(A, secret("same")).await.unwrap();
        assert!(seen.insert(postcard::to_allocvec(&stored).unwrap()));
    }
}

#[test]
fn threads_end_with_the_pool() {
    let pool = counting(2);
    let watch = Arc::downgrade(&pool.shared);
    drop(pool);
    while watch.upgrade().is_some() {
        std::thread::yield_now();
    }
}
