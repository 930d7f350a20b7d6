//! `portcullis demo` as a newcomer starts it.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A folder for temporary files, which has to be empty in the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Temporary {
        let path = std::env::temp_dir().join(format!("demo-test-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Temporary(path)
    }

    fn start(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .arg("demo")
            .args(arguments)
            .env("TMPDIR", &self.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn left(&self) -> Vec<PathBuf> {
        std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Ends the process when a test fails in the middle.
struct Running(Child);

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn two_at_once_find_all_as_expected_and_leave_nothing() {
    let temporary = Temporary::new("once");
    let children = [(); 2].map(|()| temporary.start(&["--once"]));
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let last = text.lines().last().unwrap();
        assert!(output.status.success(), "{text}");
        let passed: usize = last.strip_suffix(" passed, 0 failed").unwrap().parse().unwrap();
        assert!(passed >= 20, "{text}");
        assert_eq!(text.matches("  REJECT 5").count(), 11, "{text}");
    }
    assert_eq!(temporary.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_person_joins_in_edits_a_rule_and_ends_it() {
    let temporary = Temporary::new("person");
    let mut child = temporary.start(&[]);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut running = Running(child);

    let smtp = until(&mut lines, "  SMTP ");
    let address = smtp.split_whitespace().nth(1).unwrap();
    let rules = until(&mut lines, "  rules ");
    let rules = Path::new(rules.split_whitespace().nth(1).unwrap());
    assert!(rules.starts_with(&temporary.0));

    expect(&mail(address, "Hello"), "250 2.0.0 ");
    until(&mut lines, "accept                 127.0.0.1, by hand");
    expect(&mail(address, "casino"), "550 5.7.1 No games here");
    until(&mut lines, "REJECT 550 5.7.1       127.0.0.1, by hand");

    let text = std::fs::read_to_string(rules).unwrap();
    std::fs::write(rules, text.replace("\"casino\"", "\"roulette\"")).unwrap();
    running.signal(Signal::HUP);
    until(&mut lines, "reloaded: generation 2");
    expect(&mail(address, "casino"), "250 2.0.0 ");
    expect(&mail(address, "roulette"), "550 5.7.1 No games here");

    running.signal(Signal::INT);
    until(&mut lines, "Stopped; nothing is left behind.");
    assert!(running.0.wait().unwrap().success());
    assert_eq!(temporary.left(), Vec::<PathBuf>::new());
}

fn expect(reply: &str, beginning: &str) {
    assert!(reply.starts_with(beginning), "{reply}");
}

/// Reads up to the line that holds this text.
fn until(lines: &mut BufReader<ChildStdout>, text: &str) -> String {
    loop {
        let mut line = String::new();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "no line with {text:?}");
        if line.contains(text) {
            return line;
        }
    }
}

/// Sends a mail; the first refusal, or the reply to its end.
fn mail(address: &str, subject: &str) -> String {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut stream = BufReader::new(stream);
    let message = format!("From: me@friend.example\r\nSubject: {subject}\r\n\r\nHi.\r\n.\r\n");
    let commands = [
        "",
        "EHLO you.friend.example\r\n",
        "MAIL FROM:<me@friend.example>\r\n",
        "RCPT TO:<joe@example.com>\r\n",
        "DATA\r\n",
        &message,
    ];
    let mut last = String::new();
    for command in commands {
        stream.get_mut().write_all(command.as_bytes()).unwrap();
        loop {
            last.clear();
            stream.read_line(&mut last).unwrap();
            if last.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
        if !last.starts_with(['2', '3']) {
            break;
        }
    }
    stream.get_mut().write_all(b"QUIT\r\n").unwrap();
    last
}
