//! Where log lines go: standard error, or the system's log by its datagram socket. A thread of its
//! own writes them, so that a slow disk or terminal never holds up a session; when it cannot keep
//! up, lines are dropped, counted, and the count is written.

use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Level;
use crate::message::date;

/// Octets of lines that may wait for the writer.
const WAITING_MAX: usize = 4 << 20;
/// After the first line the writer waits this long for more: waking it costs more than writing.
const GATHER: Duration = Duration::from_millis(5);
/// The facility "mail" of RFC 3164.
const FACILITY_MAIL: u8 = 2;

#[derive(Debug, Clone)]
pub enum Target {
    Stderr,
    /// The socket, usually `/dev/log`.
    Syslog(PathBuf),
}

pub struct Sink {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

/// Lines that the writer has not taken yet, one after the other.
#[derive(Default)]
struct Waiting {
    text: String,
    /// Where each line ends, and how much it matters.
    ends: Vec<(usize, Level)>,
    dropped: u64,
    idle: bool,
    closed: bool,
}

impl Shared {
    /// A panic while the lock was held leaves at worst half a line.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    pub fn new(target: Target) -> Sink {
        let shared = Arc::new(Shared::default());
        let writer = Writer { target, socket: None, journal: is_journal(), output: Vec::new() };
        let thread = std::thread::Builder::new().name("log".into());
        let theirs = shared.clone();
        let writer = thread.spawn(move || writer.run(&theirs)).ok();
        Sink { shared, writer }
    }

    pub fn write(&self, level: Level, line: &str) {
        let mut waiting = self.shared.lock();
        if waiting.text.len() + line.len() > WAITING_MAX {
            waiting.dropped += 1;
            return;
        }
        waiting.text.push_str(line);
        let end = waiting.text.len();
        waiting.ends.push((end, level));
        if std::mem::take(&mut waiting.idle) {
            self.shared.wake.notify_one();
        }
    }
}

/// The last lines are written before the process ends.
impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// The journal adds time and name itself.
fn is_journal() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some()
}

struct Writer {
    target: Target,
    socket: Option<UnixDatagram>,
    journal: bool,
    output: Vec<u8>,
}

impl Writer {
    fn run(mut self, shared: &Shared) {
        let mut text = String::new();
        let mut ends = Vec::new();
        loop {
            let (dropped, closed) = {
                let mut waiting = shared.lock();
                while waiting.ends.is_empty() && !waiting.closed {
                    waiting.idle = true;
                    waiting = shared.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                }
                if !waiting.closed {
                    drop(waiting);
                    std::thread::sleep(GATHER);
                    waiting = shared.lock();
                }
                std::mem::swap(&mut waiting.text, &mut text);
                std::mem::swap(&mut waiting.ends, &mut ends);
                (std::mem::take(&mut waiting.dropped), waiting.closed)
            };
            let mut start = 0;
            for (end, level) in ends.drain(..) {
                self.write(level, text.get(start..end).unwrap_or_default());
                start = end;
            }
            text.clear();
            if dropped > 0 {
                let text = format!("warning: {dropped} log lines were dropped, the log is slow");
                self.write(Level::Warning, &text);
            }
            self.flush();
            if closed {
                return;
            }
        }
    }

    fn flush(&mut self) {
        if !self.output.is_empty() {
            let _ = std::io::stderr().write_all(&self.output);
            self.output.clear();
        }
    }

    fn write(&mut self, level: Level, line: &str) {
        let pid = std::process::id();
        let severity = match level {
            Level::Error => 3,
            Level::Warning => 4,
            Level::Info => 6,
        };
        match &self.target {
            Target::Stderr if self.journal => {
                let _ = writeln!(self.output, "<{severity}>{line}");
            }
            Target::Stderr => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let time = date::print_rfc3339(now.as_secs());
                let _ = writeln!(self.output, "{time} portcullis/smtpd[{pid}]: {line}");
            }
            Target::Syslog(path) => {
                let path = path.clone();
                let priority = FACILITY_MAIL * 8 + severity;
                let text = format!("<{priority}>portcullis/smtpd[{pid}]: {line}");
                // The system's log may have been restarted: one new try.
                for _ in 0..2 {
                    if self.socket.is_none() {
                        self.socket = UnixDatagram::unbound().ok();
                        if let Some(socket) = &self.socket
                            && socket.connect(&path).is_err()
                        {
                            self.socket = None;
                        }
                    }
                    let sent = self.socket.as_ref().map(|socket| socket.send(text.as_bytes()));
                    match sent {
                        Some(Ok(_)) => return,
                        _ => self.socket = None,
                    }
                }
                let _ = writeln!(self.output, "portcullis/smtpd[{pid}]: {line}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syslog_gets_facility_severity_and_tag() {
        let dir = std::env::temp_dir().join(format!("portcullis-syslog-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("log");
        let _ = std::fs::remove_file(&path);
        let server = UnixDatagram::bind(&path).unwrap();
        let sink = Sink::new(Target::Syslog(path));
        sink.write(Level::Info, "connect from x");
        drop(sink);
        let mut buffer = [0; 200];
        let size = server.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..size]).into_owned();
        assert!(text.starts_with("<22>portcullis/smtpd["), "{text}");
        assert!(text.ends_with("]: connect from x"), "{text}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
