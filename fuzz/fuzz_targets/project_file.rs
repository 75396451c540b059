//! A project's file as an operator may bring it back: of every format, torn or damaged anywhere, with a mark beside it that
//! vouches for it, without one, or with one that is damaged, too. It opens or is refused with a reason; what opened can be
//! read, written and closed, and nothing hangs.
//!
//! The input says which file and which mark, how many of its pages are left, and then what is written over it: a place of
//! three bytes, a length, and bytes. Bytes beyond the end of the file go into the mark.
#![no_main]

use std::fs;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, Once};

use keystead::data::format;
use keystead::store::{Store, StoreError, StoreOptions};
use keystead_fuzz::folder;

const PAGE: usize = 4096;

/// As they are kept for the tests of upgrades: their length, then each page's number and bytes.
const FORMATS: [&[u8]; 3] = [
    include_bytes!("../../tests/formats/v1.pages"),
    include_bytes!("../../tests/formats/v1-project.pages"),
    include_bytes!("../../tests/formats/v2.pages"),
];

static FILES: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| FORMATS.map(of_pages));

/// Where the last panic was, and what it said.
static PANIC: Mutex<String> = Mutex::new(String::new());

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static QUIET: Once = Once::new();
    // The store contains panics of the library below it: only one that comes through is a find.
    QUIET.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            if let Ok(mut last) = PANIC.lock() {
                *last = panic.to_string();
            }
        }));
    });
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| open(bytes))) {
        eprintln!("{}", PANIC.lock().map(|last| last.clone()).unwrap_or_default());
        resume_unwind(panic);
    }
});

fn open(bytes: &[u8]) {
    let [which, marked, pages, patches @ ..] = bytes else { return };
    let mut file = FILES[usize::from(*which) % FILES.len()].clone();
    let path = folder::holding(&[("a.redb", &file)]).join("a.redb");
    let mut mark = match marked % 3 {
        0 => Vec::new(),
        // What an opened file has beside it holds for as long as the file has its inode.
        _ => mark_of(&path).unwrap_or_default(),
    };
    if *pages > 0 {
        file.truncate(usize::from(*pages) * PAGE);
    }
    patch(&mut file, &mut mark, patches);
    fs::write(&path, &file).expect("written");
    let beside = PathBuf::from(format!("{}.opened", path.display()));
    if marked % 3 > 0 {
        fs::write(beside, mark).expect("written");
    }
    let options = StoreOptions { steps: format::STEPS, ..StoreOptions::default() };
    match Store::open(&path, &options) {
        Ok(store) => use_it(&store),
        Err(StoreError::Corrupt(why) | StoreError::Io(why)) => assert!(why.len() < 1000, "{why}"),
        Err(StoreError::Full) => {}
        Err(error) => panic!("{error}"),
    }
}

/// The mark of a file that is in use, and holds the number in it.
fn mark_of(path: &std::path::Path) -> Option<Vec<u8>> {
    let options = StoreOptions { steps: format::STEPS, ..StoreOptions::default() };
    let store = Store::open(path, &options).ok()?;
    let mark = fs::read(format!("{}.opened", path.display())).ok();
    store.close_blocking();
    mark
}

fn use_it(store: &Store) {
    let mut rows = 0_u32;
    let scanned = store.read(|r| {
        r.scan(&[], &[0xff; 64], 10_000, &mut |_, _| {
            rows += 1;
            ControlFlow::Continue(())
        })
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let written = runtime.block_on(store.write(|w| w.put(b"fuzz", b"1")));
    if let (Ok(()), Ok(())) = (&scanned, &written) {
        assert_eq!(store.read(|r| r.get(b"fuzz")), Ok(Some(b"1".to_vec())));
    }
    store.close_blocking();
}

fn patch(file: &mut [u8], mark: &mut Vec<u8>, mut patches: &[u8]) {
    while let [a, b, c, length, rest @ ..] = patches {
        let at = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let (bytes, left) = rest.split_at(usize::from(*length).min(rest.len()));
        if at < file.len() {
            let end = file.len().min(at + bytes.len());
            file[at..end].copy_from_slice(&bytes[..end - at]);
        } else {
            let at = (at - file.len()).min(mark.len());
            mark.splice(at..mark.len().min(at + bytes.len()), bytes.iter().copied());
        }
        patches = left;
    }
}

fn of_pages(pages: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let mut file = vec![0; number(pages)];
    for page in pages[8..].chunks(8 + PAGE) {
        let start = number(page) * PAGE;
        file[start..start + page.len() - 8].copy_from_slice(&page[8..]);
    }
    file
}
