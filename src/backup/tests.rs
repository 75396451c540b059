//! The reader against archives that are none of ours.

use std::io::{self, Read};

use tar::{Builder, EntryType, Header};

use super::manifest::{END, FAILED, HEAD};
use super::{BadArchive, Encrypting, Encryption, Keys, NotOpened, Opened, Part, open, read};
use crate::crypto::Secret;

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn tar(entries: &[(&str, EntryType, u64, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, kind, size, bytes) in entries {
        let mut header = Header::new_gnu();
        let place = &mut header.as_old_mut().name;
        place[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(*size);
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn head() -> String {
    format!(
        r#"{{"format": 1, "keystead": "0", "moment": "now", "projects": [{{"id": "{ID}", "slug": "a"}}], "not_in_it": ""}}"#
    )
}

fn refused(entries: &[(&str, EntryType, u64, &[u8])]) -> String {
    let head = head();
    let mut all = vec![(HEAD, EntryType::Regular, head.len() as u64, head.as_bytes())];
    all.extend_from_slice(entries);
    read(&tar(&all)[..], |_| Ok(())).unwrap_err().to_string()
}

#[test]
fn names_are_never_paths_and_sizes_are_looked_at_before_anything_is_kept() {
    let file = EntryType::Regular;
    let own = format!("projects/{ID}.redb");
    for name in
        ["../../etc/passwd", "/etc/passwd", "projects/../x.redb", "projects/01890a5d-ac96-774b-bcce-b302099a8058.redb"]
    {
        assert!(refused(&[(name, file, 1, b"x")]).contains("none that it should have"), "{name}");
    }
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Directory, EntryType::GNULongName, EntryType::XHeader]
    {
        assert!(refused(&[(&own, kind, 0, b"")]).contains("no plain file"), "{kind:?}");
    }
    assert!(refused(&[(&own, file, 1 << 60, b"x")]).contains("says it has"));
    assert!(refused(&[(END, file, 1 << 40, b"x")]).contains("says it has"));
    assert!(refused(&[(&own, file, 1, b"x"), (&own, file, 1, b"x")]).contains("none that it should have"));
    assert!(refused(&[(&own, file, 1, b"x")]).contains("cut off"));
    assert!(refused(&[(FAILED, file, 20, br#"{"error": "no disk"}"#)]).contains("not finished: no disk"));
    let end = br#"{"head_sha256": "00", "projects": []}"#;
    assert!(refused(&[(END, file, end.len() as u64, end)]).contains("was changed"));
}

#[test]
fn a_later_format_is_named() {
    let bytes = br#"{"format": 2}"#;
    let error = read(&tar(&[(HEAD, EntryType::Regular, 13, bytes)])[..], |_| Ok(())).unwrap_err();
    assert!(matches!(error, BadArchive::Later(2)), "{error}");
}

#[test]
fn who_takes_nothing_learns_all_the_same_what_came() {
    let head = head();
    let own = format!("projects/{ID}.redb");
    let file = EntryType::Regular;
    let archive = tar(&[(HEAD, file, head.len() as u64, head.as_bytes()), (&own, file, 3, b"abc")]);
    let mut seen = Vec::new();
    let error = read(&archive[..], |part| {
        if let Part::Project(id, bytes, _) = part {
            seen.push((id.to_string(), bytes));
        }
        Ok(())
    });
    assert!(matches!(error, Err(BadArchive::CutOff)));
    assert_eq!(seen, [(ID.to_owned(), 3)]);
}

#[test]
fn an_encrypted_stream_opens_with_its_own_key_and_with_no_header_that_does_not_end() {
    let identity = age::x25519::Identity::generate();
    let how = Encryption::to(&[identity.to_public().to_string()]).unwrap().unwrap();
    let mut out = Encrypting::new(Vec::new(), Some(&how)).unwrap();
    io::Write::write_all(&mut out, b"all of it").unwrap();
    let sealed = out.finish().unwrap();
    let mut keys = Keys::default();
    use age::secrecy::ExposeSecret;
    keys.add_identities(&Secret::new(identity.to_string().expose_secret().as_bytes().to_vec())).unwrap();
    let mut opened = open(&sealed[..], &keys).unwrap();
    let mut plain = String::new();
    opened.read_to_string(&mut plain).unwrap();
    assert!(plain == "all of it" && matches!(opened, Opened::Age(_)));
    assert!(matches!(open(&sealed[..], &Keys::default()), Err(NotOpened::NoKey)));
    assert!(keys.add_identities(&Secret::new(b"# nothing\n".to_vec())).is_err());

    let endless = b"age-encryption.org/v1\n".chain(io::repeat(b'-'));
    assert!(matches!(open(endless, &keys), Err(NotOpened::Header(_))));
    let stanzas = b"age-encryption.org/v1\n".to_vec().into_iter();
    let stanzas: Vec<u8> = stanzas.chain(b"-> X25519 AAAA\nAAAA\n".repeat(200_000)).collect();
    assert!(open(&stanzas[..], &keys).is_err());
}
