//! Backups: what is read of one names only projects it should have, and is believed only with its checksums.
#![no_main]

use std::io::Read;

use keystead::backup::{Keys, Part, open, peek_master_key, read};
use keystead::crypto::Secret;

/// Nobody encrypts anything to it: what begins as encrypted is read as far as its header.
const IDENTITY: &str = "AGE-SECRET-KEY-1PCEAC8JNJKTXAJ9C9ET2GZ6X62QR0QFNJ8FNAKJWXPR9Z79FC85SJM57ZK";

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = peek_master_key(bytes);
    let mut keys = Keys::default();
    keys.add_identities(&Secret::new(IDENTITY.into())).expect("an identity");
    let Ok(mut opened) = open(bytes, &keys) else { return };
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
