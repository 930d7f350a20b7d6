//! Where log lines go: standard error, or the system's log by its datagram socket. A thread of its
//! own writes them, so that a slow disk or terminal never holds up a session; when it cannot keep
//! up, lines are dropped, counted, and the count is written.

use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Level;
use crate::message::date;

/// Lines that may wait for the writer.
const WAITING_MAX: usize = 8192;
/// The facility "mail" of RFC 3164.
const FACILITY_MAIL: u8 = 2;

#[derive(Debug, Clone)]
pub enum Target {
    Stderr,
    /// The socket, usually `/dev/log`.
    Syslog(PathBuf),
}

pub struct Sink {
    lines: Option<SyncSender<(Level, String)>>,
    dropped: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
}

impl Sink {
    pub fn new(target: Target) -> Sink {
        let (lines, receiver) = sync_channel(WAITING_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer { target, dropped: dropped.clone(), socket: None };
        let thread = std::thread::Builder::new().name("log".into());
        let writer = thread.spawn(move || writer.run(&receiver)).ok();
        Sink { lines: Some(lines), dropped, writer }
    }

    pub fn write(&self, level: Level, line: String) {
        if let Some(lines) = &self.lines
            && lines.try_send((level, line)).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The last lines are written before the process ends.
impl Drop for Sink {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

struct Writer {
    target: Target,
    dropped: Arc<AtomicU64>,
    socket: Option<UnixDatagram>,
}

impl Writer {
    fn run(mut self, lines: &Receiver<(Level, String)>) {
        while let Ok((level, line)) = lines.recv() {
            self.write(level, &line);
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                let text = format!("warning: {dropped} log lines were dropped, the log is slow");
                self.write(Level::Warning, &text);
            }
        }
    }

    fn write(&mut self, level: Level, line: &str) {
        let pid = std::process::id();
        let severity = match level {
            Level::Error => 3,
            Level::Warning => 4,
            Level::Info => 6,
        };
        let journal = std::env::var_os("JOURNAL_STREAM").is_some();
        match &self.target {
            Target::Stderr if journal => {
                // The journal adds time and name, and reads the severity.
                let _ = writeln!(std::io::stderr(), "<{severity}>{line}");
            }
            Target::Stderr => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let time = date::print_rfc3339(now.as_secs());
                let _ = writeln!(std::io::stderr(), "{time} portcullis/smtpd[{pid}]: {line}");
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
                let _ = writeln!(std::io::stderr(), "portcullis/smtpd[{pid}]: {line}");
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
        sink.write(Level::Info, "connect from x".into());
        drop(sink);
        let mut buffer = [0; 200];
        let size = server.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..size]).into_owned();
        assert!(text.starts_with("<22>portcullis/smtpd["), "{text}");
        assert!(text.ends_with("]: connect from x"), "{text}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
