//! Standard output and error of a server: written by a thread of their own, so that a reader who stops or goes away
//! neither blocks nor ends it. What does not fit the queue is dropped and counted, and the reader is told how much it was.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::metrics::Count;

/// Lines that may wait.
const QUEUE: usize = 1024;

enum Job {
    Text(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// The way to a writer on another thread.
#[derive(Clone)]
pub(super) struct Outlet {
    jobs: SyncSender<Job>,
    lost: Arc<Count>,
}

impl Outlet {
    /// `notice` is the line that says how many lines were dropped, with its end.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn to(
        writer: impl Write + Send + 'static,
        notice: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel(QUEUE);
        let lost = Arc::<Count>::default();
        let pen = Pen { writer, notice, lost: Arc::clone(&lost), told: 0, written: 0 };
        std::thread::Builder::new().name("outlet".into()).stack_size(64 * 1024).spawn(move || pen.run(&waiting))?;
        Ok(Self { jobs, lost })
    }

    /// How many lines were dropped.
    pub(super) fn lost(&self) -> &Arc<Count> {
        &self.lost
    }

    /// Writes `text` and a line end, some time soon.
    pub(super) fn line(&self, text: &str) {
        self.send(format!("{text}\n").into_bytes());
    }

    /// Waits until everything is written, but no longer than `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let (done, is_done) = sync_channel(1);
        if self.jobs.try_send(Job::Flush(done)).is_ok() {
            // Late or not at all: the process ends anyway.
            let _ = is_done.recv_timeout(limit);
        }
    }

    fn send(&self, text: Vec<u8>) {
        // Full: the reader has stopped, and the server must not.
        if self.jobs.try_send(Job::Text(text)).is_err() {
            self.lost.one();
        }
    }
}

/// The writing end.
struct Pen<W, N> {
    writer: W,
    notice: N,
    lost: Arc<Count>,
    /// How many of the lost lines the reader was told of.
    told: u64,
    /// Lines written since some were lost untold.
    written: usize,
}

impl<W: Write, N: Fn(u64) -> String> Pen<W, N> {
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let job = match jobs.try_recv() {
                Ok(job) => job,
                Err(TryRecvError::Empty) => {
                    // Here is the gap: what had found a place before it is written.
                    self.tell();
                    let Ok(job) = jobs.recv() else { return };
                    job
                }
                Err(TryRecvError::Disconnected) => return self.tell(),
            };
            match job {
                Job::Text(text) => {
                    self.write(&text);
                    self.written += usize::from(self.lost.get() > self.told);
                    // A queue that never runs dry has a gap too.
                    if self.written >= QUEUE {
                        self.tell();
                    }
                }
                Job::Flush(done) => {
                    self.tell();
                    let _ = done.try_send(());
                }
            }
        }
    }

    fn tell(&mut self) {
        let lost = self.lost.get();
        if lost > self.told {
            let line = (self.notice)(lost - self.told);
            self.write(line.as_bytes());
            (self.told, self.written) = (lost, 0);
        }
    }

    fn write(&mut self, text: &[u8]) {
        // A reader who has gone may be the first of several (a rotated log, a new terminal): go on.
        let _ = self.writer.write_all(text).and_then(|()| self.writer.flush());
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
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

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
        let outlet = Outlet::to(Flaky(kept.clone(), false), |_| String::new()).unwrap();
        for line in ["lost", "first", "lost", "second"] {
            outlet.line(line);
        }
        outlet.flush(Duration::from_secs(60));
        assert_eq!(kept.0.lock().unwrap().as_slice(), b"first\nsecond\n");
    }

    /// Nobody reads until the test allows it.
    struct Stuck(Receiver<()>, Kept);

    impl Write for Stuck {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_who_stops_blocks_nobody() {
        let (release, stuck) = channel();
        let kept = Kept::default();
        let outlet = Outlet::to(Stuck(stuck, kept.clone()), |lost| format!("{lost} lines were lost\n")).unwrap();
        for _ in 0..3 * QUEUE {
            outlet.line("a line");
        }
        outlet.flush(Duration::from_millis(1));
        let lost = outlet.lost().get();
        assert!((QUEUE as u64..=2 * QUEUE as u64).contains(&lost), "{lost}");
        // He comes back, and is told once, where the gap is.
        drop(release);
        while {
            outlet.flush(Duration::from_secs(60));
            !kept.text().contains("lost")
        } {}
        outlet.line("later");
        outlet.flush(Duration::from_secs(60));
        let text = kept.text();
        let (lines, others): (Vec<_>, Vec<_>) = text.lines().partition(|line| *line == "a line");
        assert_eq!(lines.len() as u64, 3 * QUEUE as u64 - lost);
        assert_eq!(others, [format!("{lost} lines were lost").as_str(), "later"]);
    }
}
