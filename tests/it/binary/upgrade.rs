//! A data directory of an earlier format: it is upgraded by being used, and what it was stays until the operator says so.

use std::fs;

use serde_json::Value;

use super::process::Place;

/// A project file of format 1, which the program of its time wrote, in the place of the one there is.
fn put_back(place: &Place, name: &str) -> std::path::PathBuf {
    let kept = format!("{}/tests/formats/v1-project.pages", env!("CARGO_MANIFEST_DIR"));
    let pages = fs::read(kept).expect("a file of format 1");
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let mut file = vec![0; number(&pages)];
    for page in pages[8..].chunks(8 + 4096) {
        let start = number(page) * 4096;
        file[start..start + page.len() - 8].copy_from_slice(&page[8..]);
    }
    let path = place.data().join("projects").join(name);
    fs::write(&path, file).expect("a directory of ours");
    path
}

#[test]
fn a_file_of_an_earlier_format_is_upgraded_and_the_copy_is_told_of() {
    let place = Place::new();
    let server = place.start();
    let name = format!("{}.redb", server.project());
    assert_eq!(server.stop().code, Some(0));
    let path = put_back(&place, &name);
    let copy = place.data().join("projects").join(format!("{name}.format-1"));

    // Its rows are of every earlier kind, and none is a project's record: it is upgraded, and there is nobody to serve.
    let ended = place.start().stop();
    assert!(ended.err.contains("upgraded a project file") && ended.err.contains(".format-1"), "{ended:?}");
    assert!(!ended.err.contains("panic"), "{ended:?}");
    assert!(copy.exists());
    fs::rename(&copy, &path).expect("the way back");
    fs::write(&copy, "an older one").expect("a directory of ours");
    let again = place.run(&["doctor", "--json"]);
    let answer: Value = serde_json::from_str(&again.out).expect("JSON");
    let told = answer["findings"].as_array().expect("a list").iter().find(|finding| {
        finding["what"].as_str().is_some_and(|what| what.contains("kept as they were before an upgrade"))
    });
    let told = told.unwrap_or_else(|| panic!("{again:?}"));
    assert!(told["remedy"].as_str().is_some_and(|remedy| remedy.contains("*.redb.format-*")), "{told}");
    assert!(fs::metadata(&copy).expect("a copy").len() > 1000, "what it is now was kept");
}
