//! A file of exported lines from anywhere, in pieces: what is read is written so that it reads the same, and nothing
//! unbounded is kept.
#![no_main]

use keystead::data::portable::{Line, Lines, Row, write};
use keystead::store::{Store, StoreError};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (mut lines, mut rows) = (Lines::default(), Vec::new());
    // The first byte says in what pieces it comes.
    let (&first, file) = bytes.split_first().unwrap_or((&0, &[]));
    for piece in file.chunks(usize::from(first) + 1) {
        let take = &mut |_, line: Result<Line, _>| {
            let Ok(line) = line else { return Ok::<_, ()>(()) };
            let spelled = line.spell().expect("what was read can be written");
            let again = Line::parse(spelled.as_bytes()).expect("and read again");
            assert_eq!(again.spell(), Ok(spelled));
            rows.push(Row::Line(line));
            Ok(())
        };
        lines.feed(piece, take).expect("nothing refuses");
    }
    let _ = lines.finish();
    // What fits is written, what does not is refused; a memory store answers at once.
    let store = Store::memory();
    let written = store.write(move |w| {
        for row in &rows {
            let _ = write(w, row)?;
        }
        Ok::<_, StoreError>(())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(written).expect("a write");
});
