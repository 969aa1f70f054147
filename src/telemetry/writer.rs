//! A log writer that never waits for the reader of the log.
//!
//! Lines go to a buffer in memory, and a thread writes the buffer. When a slow reader lets the buffer
//! fill up, lines are dropped and counted: a stuck log collector must not delay reviews.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes that wait for the reader: some ten thousand lines.
const CAPACITY: usize = 4 * 1024 * 1024;

/// How long lines gather before one write. A write for each line would cost more than its review.
const GATHER: Duration = Duration::from_millis(5);

/// How long the process waits for the reader at its end.
const FLUSH_DEADLINE: Duration = Duration::from_secs(1);

/// The writing end: each `write` is one whole line.
#[derive(Clone, Debug)]
pub struct Lines {
    shared: Arc<Shared>,
    dropped: Counter,
}

/// Writes queued lines on drop.
#[derive(Debug)]
pub struct Flush(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// A line was queued, or the process ends.
    filled: Condvar,
    /// Everything was written at the end.
    done: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    ending: bool,
    ended: bool,
}

/// Starts the thread that writes to `out`.
pub(super) fn spawn(out: impl Write + Send + 'static) -> io::Result<(Lines, Flush)> {
    let shared = Arc::new(Shared::default());
    let queue = Arc::clone(&shared);
    thread::Builder::new().name("log".to_owned()).spawn(move || queue.write_to(out))?;
    Ok((Lines { shared: Arc::clone(&shared), dropped: Counter::default() }, Flush(shared)))
}

// === impl Lines ===

impl Lines {
    /// Counts the lines that were dropped.
    pub(super) const fn dropped(&self) -> &Counter {
        &self.dropped
    }
}

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut queue = self.shared.lock();
        if queue.bytes.len() + line.len() > CAPACITY {
            drop(queue);
            self.dropped.inc();
            return Ok(line.len());
        }
        let idle = queue.bytes.is_empty();
        queue.bytes.extend_from_slice(line);
        drop(queue);
        if idle {
            self.shared.filled.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

// === impl Flush ===

impl Drop for Flush {
    fn drop(&mut self) {
        let deadline = Instant::now() + FLUSH_DEADLINE;
        let mut queue = self.0.lock();
        queue.ending = true;
        self.0.filled.notify_one();
        while !queue.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self
                .0
                .done
                .wait_timeout(queue, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(queue, _)| queue);
        }
    }
}

// === impl Shared ===

impl Shared {
    /// No holder of the lock leaves the queue inconsistent, so a poisoned lock is still usable.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            let mut queue = self.lock();
            while queue.bytes.is_empty() && !queue.ending {
                queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            if queue.bytes.is_empty() {
                queue.ended = true;
                self.done.notify_all();
                return;
            }
            drop(queue);
            thread::sleep(GATHER);
            std::mem::swap(&mut self.lock().bytes, &mut batch);
            // A failure to write the log cannot be logged.
            let _ = out.write_all(&batch).and_then(|()| out.flush());
            batch.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Sink(mpsc::Sender<Vec<u8>>, Option<mpsc::Receiver<()>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(gate) = &self.1 {
                let _ = gate.recv();
            }
            let _ = self.0.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn queued_lines_are_written_before_the_end() {
        let (sent, written) = mpsc::channel();
        let (lines, flush) = spawn(Sink(sent, None)).unwrap();
        for number in 0..1000 {
            writeln!(&lines, "line {number}").unwrap();
        }
        drop(flush);
        let text: Vec<u8> = written.try_iter().flatten().collect();
        assert!(String::from_utf8(text).unwrap().ends_with("line 999\n"));
        assert_eq!(lines.dropped().get(), 0);
    }

    #[test]
    fn stuck_reader_drops_lines_without_delay() {
        let (sent, _written) = mpsc::channel();
        let (open, gate) = mpsc::channel();
        let (lines, flush) = spawn(Sink(sent, Some(gate))).unwrap();
        let line = vec![b'x'; 64 * 1024];
        // A writer that waits for the reader would hang here.
        for _ in 0..200 {
            (&lines).write_all(&line).unwrap();
        }
        // 64 fit into the buffer, and as many may be on their way out.
        assert!(lines.dropped().get() >= 200 - 2 * 64);
        drop(open);
        drop(flush);
    }
}
