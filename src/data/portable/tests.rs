//! Lines as they will always be read; records that survive being one; files that are not what they were.

mod arbitrary;

use proptest::prelude::*;

use super::fields::{CooldownOf, Hex, Moment, Name};
use super::whole::{Header, Project, TrailBegins};
use super::{Line, Lines, Numbers, Pen, Row, Wrong};
use crate::crypto::Secret;
use crate::data::events::EventKind;
use crate::data::outbox::Payload;
use crate::data::project::ProjectRecord;
use crate::data::sessions::Carrier;
use crate::env::Timestamp;
use crate::store::{Read, Store, StoreError};
use uuid::Uuid;

pub(super) fn project() -> Project {
    Project {
        id: Uuid::from_u128(1),
        slug: "shop".into(),
        created_at: Moment(Timestamp::from_secs(7)),
        settings: None,
        last_user_number: 0,
        last_api_key_number: 0,
        audit: TrailBegins { first: 1, before: Hex([0; 32]) },
    }
}

/// Lines as format 1 has them. They must be read for ever, and are written as they stand here.
const FORMAT_1: &str = include_str!("tests/format-1.jsonl");

#[test]
fn lines_of_format_1_are_read_and_written_as_they_are() {
    let mut kinds = Vec::new();
    for (number, text) in FORMAT_1.lines().enumerate() {
        let line = Line::parse(text.as_bytes()).unwrap_or_else(|why| panic!("line {}: {why}", number + 1));
        assert_eq!(line.spell().as_deref(), Ok(text), "line {}", number + 1);
        kinds.push(line.kind());
    }
    kinds.dedup();
    let all = [
        "keystead",
        "project",
        "refresh_secret",
        "signing_key",
        "user",
        "gone_user",
        "identity",
        "session",
        "device",
        "one_time",
        "code",
        "api_key",
        "personal_token",
        "lockout_client",
        "lockout_account",
        "cooldown",
        "rate",
        "audit",
        "outbox",
        "dead_letter",
        "end",
        "failed",
    ];
    assert_eq!(kinds, all);
}

#[test]
fn names_are_found_again_and_no_two_are_alike() {
    fn all<T: Name>(count: usize) {
        let names: std::collections::BTreeSet<_> = T::all().map(Name::name).collect();
        assert_eq!((T::all().count(), names.len()), (count, count));
    }
    all::<EventKind>(33);
    all::<Carrier>(4);
    all::<crate::data::events::By>(4);
    all::<crate::data::events::Outcome>(4);
    all::<crate::data::users::Role>(2);
    all::<crate::data::users::ProofKind>(3);
    all::<crate::data::outbox::Kind>(3);
    all::<crate::data::one_time::Purpose>(5);
    for byte in 0..=u8::MAX {
        assert!(CooldownOf::of(byte).is_none_or(|of| of.byte() == byte));
    }
}

#[test]
fn a_wrong_line_is_refused_with_a_reason_that_repeats_no_secret() {
    let user = r#""type":"user","id":"00000000-0000-0000-0000-000000000003","number":1,"role":"user","is_anonymous":false,"created_at":"2026-01-31T12:00:00.000Z""#;
    let with = |more: &str| format!("{{{user}{more}}}");
    assert!(Line::parse(with("").as_bytes()).is_ok());
    for (line, reason) in [
        (with(r#","emial":"a@example.com""#), "unknown field `emial`"),
        (with(r#","number":2"#), "twice"),
        (with(r#","email":"hunter2hunter2""#), "`email`: that is no valid address"),
        (with(r#","password":"hunter2hunter2""#), "`password`: not a password hash of a known form"),
        (with(r#","password":7"#), "`password`: expected text"),
        (with(r#","disabled_at":"hunter2hunter2""#), "`disabled_at`: write a moment like"),
        (with(r#","disabled_at":-1"#), "`disabled_at`: expected a moment like"),
        (with(r#","metadata":"hunter2hunter2""#), "`metadata`: write a JSON object"),
        (with(r#","metadata":{"a":1e400}"#), "`metadata`: write a JSON object"),
        (with(r#","roles":{"default":"a","allowed":"hunter2hunter2"}"#), "`roles`: expected a sequence"),
        (with(r#","roles":{"default":"a","allowed":[],"hunter2":1}"#), "unknown field"),
        (with(&format!(r#","display_name":"{}""#, "x".repeat(256))), "`display_name`: more than 255 characters"),
        (with("").replace("\"number\":1", "\"number\":0"), "`number`: accounts count from 1"),
        (with("").replace("\"number\":1", "\"number\":\"hunter2hunter2\""), "`number`: expected u64"),
        (with("").replace("\"role\":\"user\"", "\"role\":\"hunter2hunter2\""), "`role`: write one of user, admin"),
        (with("").replace("000000000003", "000000000000"), "nil UUID"),
        (with("").replace("\"type\":\"user\",", ""), "no `type`"),
        (with("").replace("\"type\":\"user\"", "\"type\":\"usr\""), "no such `type`"),
        ("[1]".into(), "expected a JSON object"),
        ("{".into(), "EOF"),
    ] {
        let why = Line::parse(line.as_bytes()).expect_err(&line);
        assert!(why.contains(reason), "{why} for {line}");
        assert!(!why.contains("hunter2hunter2"), "{why}");
    }
    assert!(Line::parse(b"{\"type\":\"\xff\"}").is_err());
}

/// All lines of a file, in pieces of this length.
fn read(text: &[u8], piece: usize) -> Result<usize, Wrong> {
    let (mut lines, mut count, mut first) = (Lines::default(), 0, None);
    for piece in text.chunks(piece) {
        let take = &mut |_, line: Result<Line, Wrong>| {
            match line {
                Ok(_) => count += 1,
                Err(wrong) => first = first.take().or(Some(wrong)),
            }
            Ok::<_, ()>(())
        };
        lines.feed(piece, take).expect("taken");
    }
    first.map_or(Ok(()), Err)?;
    lines.finish().map(|()| count)
}

fn file() -> Vec<u8> {
    let header = Header { format: 1, version: "0.1.0".into(), exported_at: project().created_at, secrets: false };
    let mut pen = Pen::begin(header).expect("a header");
    pen.write(&Line::Project(Box::new(project()))).expect("a line");
    pen.end().expect("an end")
}

#[test]
fn a_file_is_whole_in_whatever_pieces_it_comes_and_no_part_of_it_is() {
    let file = file();
    for piece in [1, 7, 100, file.len()] {
        assert_eq!(read(&file, piece), Ok(1));
    }
    for length in 0..file.len() {
        assert!(read(&file[..length], file.len()).is_err(), "the first {length} bytes");
    }
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(read(&changed, 64).is_err(), "byte {at}");
    }
}

#[test]
fn what_is_no_whole_file_is_told() {
    let text = String::from_utf8(file()).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let failed = r#"{"type":"failed","reason":"no more ink"}"#;
    for (text, line, reason) in [
        (String::new(), 1, "it is empty"),
        ("id,email\n".into(), 1, "no file that `keystead export` wrote"),
        (joined(&lines[1..]), 1, "no file that `keystead export` wrote"),
        (joined(&lines[..2]), 3, "a part of it is missing"),
        (joined(&[lines[0], lines[2]]), 2, "damaged, or edited"),
        (joined(&[lines[0], lines[1], lines[2], lines[2]]), 4, "behind the last line"),
        (joined(&[lines[0], lines[0]]), 2, "another file begins"),
        (joined(&[lines[0], failed]), 2, "the export failed: no more ink"),
        (
            text.replace("\"format\":1", "\"format\":2"),
            1,
            "has format 2, written by Keystead 0.1.0; this program reads format 1",
        ),
        (joined(&[lines[0], r#"{"type":"refresh_secret","key":"aaaa"}"#]), 2, "no secrets in it"),
        (format!("{}\n{}\n", lines[0], "x".repeat(super::MAX_LINE + 1)), 2, "longer than 8 MiB"),
    ] {
        let wrong = read(text.as_bytes(), 4096).expect_err(reason);
        assert_eq!(wrong.line, line, "{wrong:?}");
        assert!(wrong.reason.contains(reason), "{wrong:?}");
    }
    // Who edits it on purpose says so.
    assert_eq!(read(joined(&[lines[0], lines[1], r#"{"type":"end"}"#]).as_bytes(), 4096), Ok(1));
}

#[test]
fn a_number_is_given_once() {
    let mut numbers = Numbers::default();
    assert!([1, 2, 64, 65, u64::MAX].into_iter().all(|number| numbers.take(number)));
    assert!(![2, 64, u64::MAX].into_iter().any(|number| numbers.take(number)));
}

/// The project's first line, and the rows of all others, from what was written.
fn parsed(text: &[u8]) -> (Project, Vec<Row>) {
    let (mut lines, mut first, mut rows) = (Lines::default(), None, Vec::new());
    let take = &mut |number, line: Result<Line, Wrong>| {
        let row = match line.unwrap_or_else(|wrong| panic!("line {number}: {}", wrong.reason)) {
            Line::Project(project) => {
                first = Some(*project);
                return Ok::<_, ()>(());
            }
            Line::Outbox(item) => Row::Outbox(item.item(Payload::Plain(payload(&item)))),
            Line::DeadLetter(item) => Row::DeadLetter(crate::data::outbox::DeadLetter {
                item: item.item(Payload::Plain(payload(&item))),
                died_at: item.died_at.expect("a moment").0,
            }),
            line => Row::Line(line),
        };
        rows.push(row);
        Ok(())
    };
    lines.feed(text, take).expect("taken");
    lines.finish().expect("whole");
    (first.expect("a project"), rows)
}

fn payload(item: &super::sending::Sending) -> Vec<u8> {
    item.payload.as_ref().map(|payload| payload.0.expose().clone()).unwrap_or_default()
}

fn told(store: &Store) -> Vec<u8> {
    let header = Header { format: 1, version: "0.1.0".into(), exported_at: project().created_at, secrets: true };
    let mut pen = Pen::begin(header).expect("a header");
    let read = store.read(|r| {
        super::read::<StoreError>(r, &mut |row| {
            let plain = |payload: &Payload| match payload {
                Payload::Plain(bytes) => Some(Secret::new(bytes.clone())),
                Payload::Sealed(_) => None,
            };
            let line = match row {
                Row::Line(line) => line,
                Row::Outbox(item) => {
                    let plain = plain(&item.payload);
                    Line::Outbox(Box::new(super::sending::Sending::waiting(item, plain)))
                }
                Row::DeadLetter(letter) => {
                    let plain = plain(&letter.item.payload);
                    Line::DeadLetter(Box::new(super::sending::Sending::dead(letter, plain)))
                }
                Row::RefreshSecret(_) | Row::SigningKey(_) => return Ok(()),
            };
            pen.write(&line).map_err(StoreError::Corrupt)
        })
    });
    assert_eq!(read, Ok(true));
    pen.end().expect("an end")
}

fn dump(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let read = store.read(|r: &dyn Read| {
        r.scan(&[0], &[255], usize::MAX, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            std::ops::ControlFlow::Continue(())
        })
    });
    read.expect("a read");
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever a store holds, another that is filled from the lines holds the same, byte for byte.
    #[test]
    fn a_store_of_arbitrary_records_survives_as_lines(seed in prop::collection::vec(any::<u8>(), 0..4000)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (before, after) = (Store::memory(), Store::memory());
            before.write(move |w| arbitrary::fill(w, &mut arbitrary::Dice::new(&seed))).await.expect("a write");
            let text = told(&before);
            let (first, rows) = parsed(&text);
            let written = after.write(move |w| {
                let record: ProjectRecord = first.record();
                first.begin(w, &record)?;
                for row in &rows {
                    assert_eq!(super::write(w, row)?, Ok(()), "{row:?}");
                }
                Ok::<_, StoreError>(())
            });
            written.await.expect("a write");
            before.write(arbitrary::settle).await.expect("a write");
            assert_eq!(dump(&before), dump(&after));
            assert_eq!(told(&after), text);
        });
    }

    /// No bytes make the reader panic, and what it reads it writes so that it reads the same.
    #[test]
    fn what_is_read_is_written_and_read_again(text in "\\{\"type\":\"(user|rate|end|cooldown)\"(,\"[a-z_]{2,9}\":(1|\"a\"|\\[\\]|\\{\\})){0,4}\\}") {
        if let Ok(line) = Line::parse(text.as_bytes()) {
            let spelled = line.spell().expect("what was read can be written");
            let again = Line::parse(spelled.as_bytes()).expect("and read");
            prop_assert_eq!(again.spell(), Ok(spelled));
        }
    }
}
