//! Backups: what is read of one names only projects it should have, and is believed only with its checksums.
#![no_main]

use std::io::Read;

use keystead::backup::{Keys, Part, open, peek_master_key, read};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = peek_master_key(bytes);
    // Without a key only what is not encrypted opens.
    let Ok(mut opened) = open(bytes, &Keys::default()) else { return };
    let (mut known, mut came) = (Vec::new(), Vec::new());
    let whole = read(&mut opened, |part| {
        match part {
            Part::Head(head) => known.extend(head.projects.iter().map(|project| project.id)),
            Part::Project(id, size, data) => {
                let mut start = Vec::new();
                let _ = data.take(1 << 16).read_to_end(&mut start);
                assert!(start.len() as u64 <= size);
                came.push(id);
            }
        }
        Ok(())
    });
    assert!(came.iter().all(|id| known.contains(id)));
    if let Ok(contents) = whole {
        assert_eq!(contents.files.iter().map(|file| file.id).collect::<Vec<_>>().len(), came.len());
    }
});
