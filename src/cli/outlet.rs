//! Standard output and error of a server: written by a thread of their own, so that a reader who stops or goes away
//! neither blocks nor ends it. What does not fit the queue is dropped.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait.
const QUEUE: usize = 1024;

enum Job {
    Text(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// The way to a writer on another thread.
#[derive(Clone)]
pub(super) struct Outlet(SyncSender<Job>);

impl Outlet {
    /// # Errors
    /// When there can be no thread.
    pub(super) fn to(mut writer: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, jobs): (_, Receiver<Job>) = sync_channel(QUEUE);
        std::thread::Builder::new().name("outlet".into()).stack_size(64 * 1024).spawn(move || {
            for job in jobs {
                match job {
                    // A reader who has gone may be the first of several (a rotated log, a new terminal): go on.
                    Job::Text(text) => drop(writer.write_all(&text).and_then(|()| writer.flush())),
                    Job::Flush(done) => drop(done.try_send(())),
                }
            }
        })?;
        Ok(Self(sender))
    }

    /// Writes `text` and a line end, some time soon.
    pub(super) fn line(&self, text: &str) {
        self.send(format!("{text}\n").into_bytes());
    }

    /// Waits until everything is written, but no longer than `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let (done, is_done) = sync_channel(1);
        if self.0.try_send(Job::Flush(done)).is_ok() {
            // Late or not at all: the process ends anyway.
            let _ = is_done.recv_timeout(limit);
        }
    }

    fn send(&self, text: Vec<u8>) {
        // Full: the reader has stopped, and the server must not.
        let _ = self.0.try_send(Job::Text(text));
    }
}

impl<'a> MakeWriter<'a> for Outlet {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { outlet: self, text: Vec::new() }
    }
}

/// One log line in the making, sent as a whole.
pub(super) struct Line<'a> {
    outlet: &'a Outlet,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.outlet.send(std::mem::take(&mut self.text));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Fails every second time, as a pipe whose reader goes and comes back.
    struct Flaky(Kept, bool);

    impl Write for Flaky {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 { Err(io::ErrorKind::BrokenPipe.into()) } else { self.0.write(text) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_arrive_in_order_and_a_failure_ends_nothing() {
        let kept = Kept::default();
        let outlet = Outlet::to(Flaky(kept.clone(), false)).unwrap();
        for line in ["lost", "first", "lost", "second"] {
            outlet.line(line);
        }
        outlet.flush(Duration::from_secs(60));
        assert_eq!(kept.0.lock().unwrap().as_slice(), b"first\nsecond\n");
    }

    /// Nobody reads until the test allows it.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_who_stops_blocks_nobody() {
        let (release, stuck) = channel();
        let outlet = Outlet::to(Stuck(stuck)).unwrap();
        for _ in 0..3 * QUEUE {
            outlet.line("a line");
        }
        outlet.flush(Duration::from_millis(1));
        drop(release);
    }
}
