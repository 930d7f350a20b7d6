//! Real servers around Portcullis. Each has its own directory and free ports and dies with its value,
//! so tests run side by side and leave nothing behind.

pub(crate) mod client;
pub(crate) mod dovecot;
pub(crate) mod nsd;
pub(crate) mod portcullis;
pub(crate) mod postfix;
pub(crate) mod tls;

use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How long anything that must happen may take. Only failures take so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A directory under the system's one for temporary files, since Postfix's unprivileged processes
/// must be able to walk to it.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new(name: &str) -> Dir {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("portcullis-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Dir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A port that nobody has: below those that the kernel gives to outgoing connections, one that
/// connects meanwhile cannot take it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 900).unwrap() * 20;
    until("a free port", || {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_600 + (start + next) % 20_000;
        let address = (Ipv4Addr::LOCALHOST, port);
        (TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()).then_some(port)
    })
}

/// A program by its name, looked for where an ordinary user's PATH does not lead, too.
pub(crate) fn program(name: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path.split(':').chain(["/usr/sbin", "/sbin"]).map(|dir| Path::new(dir).join(name));
    match found.into_iter().find(|file| file.is_file()) {
        Some(file) => Command::new(file),
        None => panic!("there is no {name}: `make test` installs it"),
    }
}

/// Runs to the end and must succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = both(&output);
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

pub(crate) fn both(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// A program with all that it has started. What it writes goes to a log.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command, log: &Log) -> Process {
        let file = fs::File::options().create(true).append(true).open(&log.0).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Process(command.process_group(0).spawn().unwrap())
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid(self.id()), signal).unwrap();
    }

    /// The exit status, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.0.try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process_group(pid(self.id()), Signal::KILL);
        let _ = self.0.wait();
    }
}

pub(crate) fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

/// A log file. What a failed test's servers wrote is shown.
pub(crate) struct Log(PathBuf);

impl Log {
    pub(crate) fn new(path: PathBuf) -> Log {
        Log(path)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.0).unwrap_or_default()).into_owned()
    }

    /// The first line that holds all of `parts`, once it is there.
    pub(crate) fn wait_for(&self, parts: &[&str]) -> String {
        self.wait_after(0, parts)
    }

    /// Where the log ends now.
    pub(crate) fn end(&self) -> usize {
        self.text().len()
    }

    /// As `wait_for`, of what was written after an earlier `end`.
    pub(crate) fn wait_after(&self, start: usize, parts: &[&str]) -> String {
        until(&format!("a log line with {parts:?}"), || {
            let text = self.text();
            let mut lines = text.get(start..)?.lines();
            lines.find(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned)
        })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- {}\n{}", self.0.display(), self.text());
        }
    }
}
