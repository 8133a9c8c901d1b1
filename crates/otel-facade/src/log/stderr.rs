//! Standard error, written by its own thread. Its reader may be slow or stop reading, as when a supervisor hangs
//! or a terminal is stopped with Ctrl-S: a write would then block the thread that logs.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that wait while nobody reads; further lines are dropped and counted. The thread may hold as many again.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// Bytes of the buffer that is kept from line to line.
const KEPT_BYTES_MAX: usize = 16 << 10;
/// Standard error may be a pipe that another process has made non-blocking.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

static LINES: Lines = Lines::new();

/// Writes a line to standard error, after the log lines so far. It never waits: if nobody reads, the line is kept in
/// memory, and dropped if a mebibyte waits already. How many lines were dropped is logged once reading resumes.
pub fn print_line(text: &str) {
    write_later(format!("{text}\n").as_bytes());
}

/// Waits until all lines are written, at most for `deadline`. Call it before the process ends: lines that are not
/// written by then are lost. Returns whether all are written.
pub fn flush_lines(deadline: Duration) -> bool {
    LINES.flush(deadline)
}

/// What the log subscriber writes to.
pub(super) struct Stderr;

impl Stderr {
    pub(super) fn new() -> Self {
        Self
    }
}

impl Write for Stderr {
    /// The subscriber writes a whole line at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        write_later(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first line starts the thread.
fn write_later(line: &[u8]) {
    static HAS_THREAD: OnceLock<bool> = OnceLock::new();
    LINES.push(line);
    let has_thread = HAS_THREAD.get_or_init(|| {
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn(|| LINES.run(&mut io::stderr(), report)).is_ok()
    });
    if !has_thread {
        LINES.write_waiting(&mut io::stderr());
    }
}

fn report(dropped: u64) {
    tracing::error!(dropped, "log lines were dropped, because nobody read standard error");
}

struct Lines {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    waiting: Vec<u8>,
    /// Whether the thread is writing what it took.
    is_writing: bool,
    /// Whether the thread logs the number of dropped lines, which must not be dropped itself.
    is_reporting: bool,
    dropped: u64,
}

impl Lines {
    const fn new() -> Self {
        let state = State { waiting: Vec::new(), is_writing: false, is_reporting: false, dropped: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + line.len() > WAITING_BYTES_MAX && !state.is_reporting {
            state.dropped += 1;
            return;
        }
        state.waiting.extend_from_slice(line);
        // A thread that writes looks again by itself.
        if !state.is_writing {
            self.changed.notify_all();
        }
    }

    /// Writes lines as they arrive, and reports the number of dropped lines once others are written again.
    fn run(&self, sink: &mut impl Write, report: impl Fn(u64)) {
        loop {
            drop(self.changed.wait_while(self.state(), |state| state.waiting.is_empty()));
            let dropped = self.write_waiting(sink);
            if dropped > 0 {
                self.state().is_reporting = true;
                report(dropped);
                self.state().is_reporting = false;
            }
        }
    }

    /// Returns the number of lines that were dropped until now, if writing succeeds.
    fn write_waiting(&self, sink: &mut impl Write) -> u64 {
        let mut state = self.state();
        let mut taken = std::mem::take(&mut state.waiting);
        state.is_writing = true;
        drop(state);
        let unwritten = write_all(sink, &taken);
        taken.clear();
        let mut state = self.state();
        state.is_writing = false;
        state.dropped += unwritten;
        if state.waiting.is_empty() && taken.capacity() <= KEPT_BYTES_MAX {
            state.waiting = taken;
        }
        // A report of a failure would fail as well, for ever.
        let dropped = if unwritten == 0 { std::mem::take(&mut state.dropped) } else { 0 };
        drop(state);
        self.changed.notify_all();
        dropped
    }

    fn flush(&self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let mut state = self.state();
        while state.is_writing || !state.waiting.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the number of lines that could not be written.
fn write_all(sink: &mut impl Write, mut bytes: &[u8]) -> u64 {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => break,
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(RETRY_INTERVAL),
            // Nobody will read it, or its disk is full.
            Err(_) => break,
        }
    }
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, atomic::AtomicU64, atomic::Ordering};

    use super::*;

    const TEST_TIMEOUT: Duration = Duration::from_secs(30);

    /// A reader that takes one write for each permission.
    struct Reader {
        permitted: Receiver<io::Result<()>>,
        taken: Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // At the end of a test, everything is read.
            self.permitted.recv().unwrap_or(Ok(()))?;
            let _ = self.taken.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Stage {
        lines: &'static Lines,
        permit: Sender<io::Result<()>>,
        taken: Receiver<Vec<u8>>,
        dropped: Arc<AtomicU64>,
    }

    impl Stage {
        fn new() -> Self {
            let lines: &'static Lines = Box::leak(Box::new(Lines::new()));
            let ((permit, permitted), (taken, takes)) = (channel(), channel());
            let dropped = Arc::new(AtomicU64::new(0));
            let reported = Arc::clone(&dropped);
            std::thread::spawn(move || {
                let add = |count| {
                    reported.fetch_add(count, Ordering::SeqCst);
                    lines.push(b"report\n");
                };
                lines.run(&mut Reader { permitted, taken }, add)
            });
            Self { lines, permit, taken: takes, dropped }
        }

        fn read(&self) -> Vec<u8> {
            self.permit.send(Ok(())).unwrap();
            self.taken.recv_timeout(TEST_TIMEOUT).unwrap()
        }
    }

    #[test]
    fn while_nobody_reads_lines_wait_up_to_a_bound_and_the_others_are_counted() {
        let stage = Stage::new();
        let line = [&[b'a'; 999][..], b"\n"].concat();
        let pushed = 4 * WAITING_BYTES_MAX / line.len();
        (0..pushed).for_each(|_| stage.lines.push(&line));
        assert!(!stage.lines.flush(Duration::from_millis(10)), "nobody reads");
        // The thread may have taken some lines before the others came.
        let mut read = 0;
        loop {
            let bytes = stage.read();
            read += bytes.len() / line.len();
            if bytes.ends_with(b"report\n") {
                break;
            }
        }
        assert!(stage.lines.flush(TEST_TIMEOUT));
        assert!(read <= 2 * WAITING_BYTES_MAX / line.len(), "{read}");
        assert_eq!(read as u64 + stage.dropped.load(Ordering::SeqCst), pushed as u64);
    }

    #[test]
    fn lines_are_written_in_order_and_whole() {
        let stage = Stage::new();
        drop(stage.permit);
        (0..100).for_each(|number| stage.lines.push(format!("{number}\n").as_bytes()));
        assert!(stage.lines.flush(TEST_TIMEOUT));
        let read: Vec<u8> = stage.taken.try_iter().flatten().collect();
        let expected: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8(read).unwrap(), expected);
        assert_eq!(stage.dropped.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn lines_that_cannot_be_written_are_reported_once_others_are() {
        let stage = Stage::new();
        stage.lines.push(b"lost\n");
        stage.permit.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
        assert!(stage.lines.flush(TEST_TIMEOUT));
        stage.lines.push(b"kept\n");
        assert_eq!(stage.read(), b"kept\n");
        assert_eq!(stage.read(), b"report\n");
        assert_eq!(stage.dropped.load(Ordering::SeqCst), 1);
    }
}
