//! Files as they are kept under `tests/formats`: without their empty pages.

use std::path::PathBuf;

const PAGE: usize = 4096;

/// The file of this name there, when there is one.
pub(crate) fn kept(name: &str) -> Option<Vec<u8>> {
    std::fs::read(path(name)).ok().map(|pages| of_pages(&pages))
}

/// Keeps `file` under this name.
pub(crate) fn keep(name: &str, file: &[u8]) {
    std::fs::write(path(name), to_pages(file)).unwrap();
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(name).with_extension("pages")
}

/// Its length, then each page's number and bytes.
fn to_pages(file: &[u8]) -> Vec<u8> {
    let mut pages = (file.len() as u64).to_be_bytes().to_vec();
    for (number, page) in file.chunks(PAGE).enumerate().filter(|(_, page)| page.iter().any(|byte| *byte != 0)) {
        pages.extend((number as u64).to_be_bytes());
        pages.extend(page);
    }
    pages
}

fn of_pages(pages: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut file = vec![0; number(pages)];
    for page in pages[8..].chunks(8 + PAGE) {
        let start = number(page) * PAGE;
        file[start..start + page.len() - 8].copy_from_slice(&page[8..]);
    }
    file
}
