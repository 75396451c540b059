//! The executable is one static file: it asks for no interpreter and no library, and runs where there is nothing else.

use std::fs;

use super::client::anon;
use super::process::{Binary, KEYSTEAD, Place, Process};

/// Program header types (ELF specification 1.2, book I, figure 2-2).
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
/// Tags of the dynamic section (book III, figure 2-10).
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;

#[test]
fn it_asks_for_no_interpreter_and_no_library() {
    let file = fs::read(KEYSTEAD).expect("the executable");
    let elf = Elf::of(&file);
    let headers = elf.program_headers();
    assert!(headers.len() > 2, "{headers:?}");
    assert!(headers.iter().all(|header| header.kind != PT_INTERP), "{headers:?}");
    for dynamic in headers.iter().filter(|header| header.kind == PT_DYNAMIC) {
        let section = &file[dynamic.offset..dynamic.offset + dynamic.size];
        let tags = section.chunks_exact(16).map(|entry| number(&entry[..8])).take_while(|tag| *tag != DT_NULL);
        assert_eq!(tags.filter(|tag| *tag == DT_NEEDED).count(), 0, "it needs shared libraries");
    }
}

/// A little-endian 64-bit ELF file: what every machine this is built for uses.
struct Elf<'a>(&'a [u8]);

#[derive(Debug)]
struct ProgramHeader {
    kind: u32,
    offset: usize,
    size: usize,
}

impl<'a> Elf<'a> {
    fn of(file: &'a [u8]) -> Self {
        assert_eq!(file[..6], [0x7f, b'E', b'L', b'F', 2, 1], "a little-endian 64-bit ELF file");
        Self(file)
    }

    fn program_headers(&self) -> Vec<ProgramHeader> {
        let at = |from: usize, len: usize| number(&self.0[from..from + len]);
        let place = |from: usize| usize::try_from(at(from, 8)).expect("an offset within the file");
        let (table, entry, count) = (place(32), at(54, 2) as usize, at(56, 2) as usize);
        let header = |index: usize| {
            let start = table + index * entry;
            ProgramHeader { kind: at(start, 4) as u32, offset: place(start + 8), size: place(start + 32) }
        };
        (0..count).map(header).collect()
    }
}

/// A little-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[tokio::test]
async fn it_runs_in_an_empty_root() {
    let place = Place::new();
    fs::copy(KEYSTEAD, place.path().join("keystead")).expect("a copy of the executable");
    let root = place.path().to_str().expect("a path in UTF-8");
    // Who is not root becomes it in a user namespace.
    let mut wrapper = vec!["unshare", "-r", "chroot", root, "/keystead", "serve"];
    if rustix::process::geteuid().is_root() {
        wrapper.drain(..2);
    }
    let mut command = std::process::Command::new(wrapper[0]);
    command.args(&wrapper[1..]).env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    command.env("KEYSTEAD_LISTEN__ADDRESSES", "127.0.0.1:0");
    let server = Binary::ready(Process::start(&mut command), &place);
    let anon = anon(&server);
    let (ada, _) = anon.sign_up("ada@example.com", "correct horse").await;
    assert_eq!(ada.get("/me").await.status, 200);
    assert_eq!(server.stop().code, Some(0));
    let mut left: Vec<_> = fs::read_dir(place.path())
        .expect("the root")
        .map(|entry| entry.expect("the root").file_name().into_string().expect("a name in UTF-8"))
        .collect();
    left.sort();
    assert_eq!(left, ["keystead", "keystead-data"], "nothing else was made or needed");
}
