//! Dialog files: what a client says, what it must be told, and what the backend must see.
//!
//! ```text
//! # A comment.
//! covers: cmd.unknown, dnsbl
//! client: 192.0.2.7:4711
//! config:
//!   [limits]
//!   errors = 2
//! backend:
//!   fault DOT 1 say 452 4.3.1 Full\r\n
//! ---
//! S: 220 mx.example.com ESMTP
//! C: FOO
//! S: 500 5.5.2 Command not recognized
//! ```
//!
//! The header: `covers` (reasons and rules whose replies are seen here), `client`, `tls: yes`, and
//! the blocks `config`, `listener`, `rules`, `zone` and `backend`, indented.
//!
//! The steps:
//!
//! - `C:` a line of the client, with CRLF; `C+` without; `C*20:` and `C+*20` twenty times. `\r \n \t \0 \\ \xHH`
//!   are octets. Lines in a row are sent in one segment.
//! - `S:` the next line to the client, `S~` a regular expression for it, `S*` a whole reply by its
//!   code. `(closed)` is the end of the connection. Everything that the client is sent must be
//!   named. Decision ids read `ID`.
//! - `U:` and `U~` a command that the backend got after the one before, `U!` none did.
//! - `M:` and `M~` the next line of the message that the backend last took, `M*` lines up to the one
//!   that matches, `M!` no line of it. `M: (none)`: it took none.
//! - `RECORD:` kind, stage, and the rule, reason or `backend` of the next such decision.
//! - `LOG:` and `LOG~` a line of the log after the one before, `LOG!` none so far.
//! - `+5s` or `+20ms` moves the clock.
//! - `CONNECT [address]` begins another connection; `KEEP` leaves the one before as it is instead
//!   of closing it. `OPEN address n` begins some that say nothing.
//!   `TLS` is the client's handshake, `CLOSE` its end, `STOP` the server's. `BACKEND down` and
//!   `BACKEND up`.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis::history::{Decision, Kind};
use regex::Regex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

use super::backend::{At, Authorised, Fault};
use super::server::{Server, World, client_tls};

/// Long enough for everything that is ready to be done, too short for any timer.
const MOMENT: Duration = Duration::from_millis(1);
const CLIENT: &str = "192.0.2.7:4711";

pub struct Dialog {
    pub path: PathBuf,
    pub covers: Vec<String>,
    world: World,
    client: SocketAddr,
    /// Up to and with the line `---`.
    head: Vec<String>,
    steps: Vec<String>,
}

/// What came of a dialog.
pub struct Outcome {
    /// One mark a line: ` ` as expected, `-` expected, `+` what was instead.
    pub diff: Vec<String>,
    pub failed: usize,
    /// All that clients were sent.
    pub received: String,
    pub backend_said: String,
    pub decisions: Vec<Decision>,
}

/// All dialog files, by name.
pub fn all() -> Vec<Dialog> {
    let mut paths = Vec::new();
    gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogs"), &mut paths);
    paths.sort();
    paths.iter().map(|path| Dialog::read(path)).collect()
}

fn gather(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "dlg") {
            paths.push(path);
        }
    }
}

impl Dialog {
    fn read(path: &Path) -> Dialog {
        Dialog::parse(path, &fs::read_to_string(path).unwrap())
    }

    pub fn parse(path: &Path, text: &str) -> Dialog {
        let (head, steps) = text
            .split_once("\n---\n")
            .unwrap_or_else(|| panic!("{}: no line `---`", path.display()));
        let mut dialog = Dialog {
            path: path.to_owned(),
            covers: Vec::new(),
            world: World::default(),
            client: CLIENT.parse().unwrap(),
            head: head.lines().map(str::to_owned).collect(),
            steps: steps.lines().map(str::to_owned).collect(),
        };
        dialog.read_head();
        dialog
    }

    fn read_head(&mut self) {
        let mut block = String::new();
        for line in self.head.clone() {
            if let Some(inner) = line.strip_prefix("  ") {
                self.block_line(&block, inner);
                continue;
            }
            let Some((key, value)) = line.split_once(':').filter(|_| !line.starts_with('#')) else {
                assert!(line.is_empty() || line.starts_with('#'), "{}: {line}", self.name());
                continue;
            };
            let value = value.trim();
            match key {
                "covers" => self.covers.extend(value.split(", ").map(str::to_owned)),
                "client" => self.client = value.parse().unwrap(),
                "tls" => self.world.tls = value == "yes",
                "listener" => self.world.listener.clear(),
                "config" | "rules" | "zone" | "backend" => {}
                _ => panic!("{}: {line}", self.name()),
            }
            block = key.to_owned();
        }
    }

    fn block_line(&mut self, block: &str, line: &str) {
        let text = match block {
            "config" => &mut self.world.config,
            "listener" => &mut self.world.listener,
            "rules" => &mut self.world.rules,
            "zone" => &mut self.world.zone,
            "backend" => return self.backend_line(line),
            _ => panic!("{}: {line}", self.name()),
        };
        text.push_str(line);
        text.push('\n');
    }

    fn backend_line(&mut self, line: &str) {
        let name = self.name();
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let script = &mut self.world.script;
        match key {
            "keywords" => script.keywords = leak(value).split(", ").collect(),
            "xclient" if value == "nobody" => script.xclient = Authorised::Nobody,
            "accept-recipient" => script.accepted_recipients.push(leak(value)),
            "refuse-sender" => script.refused_senders.push(leak(value)),
            "fault" => script.faults.push(fault(value)),
            "down" => self.world.reachable = false,
            "unproved" => self.world.proved = false,
            _ => panic!("{name}: {line}"),
        }
    }

    pub fn name(&self) -> String {
        let inside = self.path.strip_prefix(env!("CARGO_MANIFEST_DIR"));
        inside.unwrap_or(&self.path).display().to_string()
    }

    /// Plays it on a clock of its own.
    pub fn run(&self) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut player = Player::new(self).await;
            for step in &self.steps {
                player.step(step).await;
            }
            player.finish().await
        })
    }

    /// Writes the file anew with what the client was told.
    pub fn update(&self, outcome: &Outcome) {
        let mut text = self.head.join("\n") + "\n---\n";
        for line in &outcome.diff {
            if !line.starts_with('-') {
                let _ = writeln!(text, "{}", &line[1..]);
            }
        }
        fs::write(&self.path, text).unwrap();
    }
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

/// `DOT 1 say 452 4.3.1 Full\r\n`
fn fault(text: &str) -> (At, usize, Fault) {
    let mut words = text.splitn(4, ' ');
    let at = match words.next().unwrap() {
        "GREETING" => At::Greeting,
        "EHLO" => At::Ehlo,
        "XCLIENT" => At::Xclient,
        "MAIL" => At::Mail,
        "RCPT" => At::Rcpt,
        "DATA" => At::Data,
        "DOT" => At::Dot,
        "RSET" => At::Rset,
        "OTHER" => At::Other,
        body => At::Body(body.strip_prefix("BODY").unwrap().parse().unwrap()),
    };
    let count = words.next().unwrap().parse().unwrap();
    let kind = words.next().unwrap();
    let octets = unescape(words.next().unwrap_or_default());
    let said = leak(&String::from_utf8(octets).unwrap());
    let fault = match kind {
        "say" => Fault::Say(said),
        "say-and-close" => Fault::SayAndClose(said),
        "extra" => Fault::Extra(said),
        "drip" => Fault::Drip(duration(said)),
        "endless" => Fault::Endless(said),
        "stall" => Fault::Stall,
        "close" => Fault::Close,
        "reset" => Fault::Reset,
        _ => panic!("{text}"),
    };
    (at, count, fault)
}

fn duration(text: &str) -> Duration {
    match text.strip_suffix("ms") {
        Some(millis) => Duration::from_millis(millis.parse().unwrap()),
        None => Duration::from_secs(text.strip_suffix('s').unwrap().parse().unwrap()),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let (kind, after) = rest.split_first().expect("something after a backslash");
        rest = after;
        out.push(match kind {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let code = std::str::from_utf8(&rest[..2]).unwrap();
                rest = &rest[2..];
                u8::from_str_radix(code, 16).unwrap()
            }
            _ => panic!("{text}"),
        });
    }
    out
}

fn escape(octets: &[u8]) -> String {
    let mut out = String::new();
    for octet in octets {
        match octet {
            b'\\' => out.push_str("\\\\"),
            b' '..=b'~' => out.push(char::from(*octet)),
            _ => {
                let _ = write!(out, "\\x{octet:02x}");
            }
        }
    }
    out
}

/// Decision ids are not known beforehand.
fn without_ids(line: &str) -> String {
    let ids = Regex::new(r"\bid([ =])[0-9a-z]{4}-[0-9a-z]{4}\b").unwrap();
    ids.replace_all(line, "id${1}ID").into_owned()
}

fn matches(kind: char, pattern: &str, line: &str) -> bool {
    match kind {
        '~' | '*' | '!' => Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(line),
        _ => pattern == line,
    }
}

enum Client {
    Gone,
    Plain(DuplexStream),
    Tls(Box<TlsStream<DuplexStream>>),
}

struct Player {
    server: Server,
    from: SocketAddr,
    client: Client,
    /// Clients that say nothing.
    kept: Vec<Client>,
    open: Vec<DuplexStream>,
    /// To be sent in one segment.
    segment: Vec<u8>,
    /// Lines that the client was sent and no step has named.
    lines: VecDeque<String>,
    partial: Vec<u8>,
    closed: bool,
    received: Vec<u8>,
    diff: Vec<String>,
    failed: usize,
    commands: usize,
    message: usize,
    decisions: usize,
    log: usize,
}

impl Player {
    async fn new(dialog: &Dialog) -> Player {
        let mut player = Player {
            server: Server::start(&dialog.world).await,
            from: dialog.client,
            client: Client::Gone,
            kept: Vec::new(),
            open: Vec::new(),
            segment: Vec::new(),
            lines: VecDeque::new(),
            partial: Vec::new(),
            closed: false,
            received: Vec::new(),
            diff: Vec::new(),
            failed: 0,
            commands: 0,
            message: 0,
            decisions: 0,
            log: 0,
        };
        let connects = |step: &String| step.starts_with("CONNECT");
        if !dialog.steps.iter().any(connects) {
            player.connect().await;
        }
        player
    }

    async fn connect(&mut self) {
        self.client = Client::Plain(self.server.connect(self.from));
        self.closed = false;
        self.settle().await;
    }

    async fn step(&mut self, step: &str) {
        if let Some(line) = step.strip_prefix("C") {
            if line == ":" || line.starts_with(": ") {
                return self.say(step, line.get(2..).unwrap_or_default(), true, 1);
            }
            if let Some(line) = line.strip_prefix("+ ") {
                return self.say(step, line, false, 1);
            }
            if let Some((count, line)) = line.strip_prefix('*').and_then(|l| l.split_once(": ")) {
                return self.say(step, line, true, count.parse().unwrap());
            }
            if let Some((count, line)) = line.strip_prefix("+*").and_then(|l| l.split_once(' ')) {
                return self.say(step, line, false, count.parse().unwrap());
            }
        }
        self.send().await;
        let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
        match word {
            "S:" => self.told(step, ':', rest),
            "S~" => self.told(step, '~', rest),
            "S*" => self.told_reply(step, rest),
            "U:" | "U~" | "U!" => {
                let commands = self.server.commands();
                self.commands = self.find(step, rest, &commands, self.commands);
            }
            "LOG:" | "LOG~" | "LOG!" => {
                let lines = self.server.log.lines.lock().unwrap().clone();
                let lines: Vec<_> = lines.iter().map(|line| without_ids(line)).collect();
                self.log = self.find(step, rest, &lines, self.log);
            }
            "RECORD:" => {
                let made = self.server.log.decisions.lock().unwrap().clone();
                let made: Vec<_> = made.iter().map(shown).collect();
                self.decisions = self.find(step, rest, &made, self.decisions);
            }
            "M:" | "M~" | "M*" | "M!" => self.message_line(step, rest),
            "" => self.diff.push(" ".into()),
            _ if word.starts_with('#') => self.diff.push(format!(" {step}")),
            _ => {
                self.leftover();
                self.diff.push(format!(" {step}"));
                self.act(word, rest).await;
            }
        }
    }

    async fn act(&mut self, word: &str, rest: &str) {
        match word {
            "CONNECT" => {
                if !rest.is_empty() {
                    self.from = rest.parse().unwrap();
                }
                self.connect().await;
            }
            "KEEP" => self.kept.push(std::mem::replace(&mut self.client, Client::Gone)),
            "OPEN" => {
                let (address, count) = rest.split_once(' ').unwrap();
                for _ in 0..count.parse().unwrap() {
                    self.open.push(self.server.connect(address.parse().unwrap()));
                    sleep(MOMENT).await;
                }
            }
            "TLS" => {
                let Client::Plain(stream) = std::mem::replace(&mut self.client, Client::Gone)
                else {
                    panic!("TLS without a plain connection");
                };
                match client_tls(stream).await {
                    Ok(stream) => self.client = Client::Tls(Box::new(stream)),
                    Err(error) => self.wrong(&format!("the handshake: {error}")),
                }
                self.settle().await;
            }
            "CLOSE" => {
                self.client = Client::Gone;
                self.settle().await;
            }
            "STOP" => {
                self.server.stop();
                self.settle().await;
            }
            "BACKEND" => self.server.set_reachable(rest == "up"),
            _ => {
                let time = word.strip_prefix('+').unwrap_or_else(|| panic!("no step: {word}"));
                sleep(duration(time)).await;
                self.settle().await;
            }
        }
    }

    fn say(&mut self, step: &str, line: &str, whole: bool, count: usize) {
        if self.segment.is_empty() {
            self.leftover();
        }
        let mut octets = unescape(line);
        if whole {
            octets.extend_from_slice(b"\r\n");
        }
        self.segment.extend(octets.repeat(count));
        self.diff.push(format!(" {step}"));
    }

    async fn send(&mut self) {
        if self.segment.is_empty() {
            return;
        }
        let segment = std::mem::take(&mut self.segment);
        // A server that has closed does not read it; what it said before is seen below.
        let _ = match &mut self.client {
            Client::Plain(stream) => stream.write_all(&segment).await,
            Client::Tls(stream) => match stream.write_all(&segment).await {
                Ok(()) => stream.flush().await,
                error => error,
            },
            Client::Gone => Ok(()),
        };
        self.settle().await;
    }

    /// Lets everything happen that needs no time, and takes what the client was sent.
    async fn settle(&mut self) {
        let mut space = vec![0; 64 << 10];
        loop {
            let read = async {
                match &mut self.client {
                    Client::Plain(stream) if !self.closed => stream.read(&mut space).await,
                    Client::Tls(stream) if !self.closed => stream.read(&mut space).await,
                    _ => std::future::pending().await,
                }
            };
            match timeout(MOMENT, read).await {
                Err(_) => break,
                Ok(Ok(n)) if n > 0 => self.partial.extend_from_slice(&space[..n]),
                Ok(_) => self.closed = true,
            }
            if self.closed {
                self.take_lines();
                self.lines.push_back("(closed)".into());
            }
        }
        self.take_lines();
    }

    fn take_lines(&mut self) {
        while let Some(end) = self.partial.windows(2).position(|two| two == b"\r\n") {
            let line: Vec<u8> = self.partial.drain(..end + 2).collect();
            self.lines.push_back(escape(&line[..end]));
            self.received.extend_from_slice(&line);
        }
    }

    fn wrong(&mut self, line: &str) {
        self.failed += 1;
        self.diff.push(format!("-{line}"));
    }

    /// What the client was sent and the dialog does not name.
    fn leftover(&mut self) {
        if !self.partial.is_empty() {
            let partial = escape(&std::mem::take(&mut self.partial));
            self.wrong(&format!("a line without its end: {partial}"));
        }
        while let Some(line) = self.lines.pop_front() {
            self.failed += 1;
            self.diff.push(format!("+S: {}", without_ids(&line)));
        }
    }

    fn told(&mut self, step: &str, kind: char, pattern: &str) {
        let told = self.lines.front().map(|line| without_ids(line));
        match told {
            Some(line) if matches(kind, pattern, &line) => self.diff.push(format!(" {step}")),
            None => return self.wrong(step),
            Some(line) => {
                self.wrong(step);
                self.diff.push(format!("+S: {line}"));
            }
        }
        self.lines.pop_front();
    }

    fn told_reply(&mut self, step: &str, code: &str) {
        let last = format!("{code} ");
        let end = self.lines.iter().position(|line| line.starts_with(&last));
        let inner = format!("{code}-");
        match end {
            Some(end) if self.lines.iter().take(end).all(|line| line.starts_with(&inner)) => {
                self.lines.drain(..=end);
                self.diff.push(format!(" {step}"));
            }
            _ => self.wrong(step),
        }
    }

    /// Finds a line after `from`; says where the next search begins.
    fn find(&mut self, step: &str, pattern: &str, lines: &[String], from: usize) -> usize {
        let kind = step.chars().find(|c| matches!(c, ':' | '~' | '!')).unwrap();
        let rest = lines.get(from..).unwrap_or_default();
        if pattern == "(nothing)" && !rest.is_empty() || kind == '!' {
            let all = if kind == '!' { lines } else { rest };
            let bad: Vec<_> = all
                .iter()
                .filter(|line| kind != '!' || matches(kind, pattern, line))
                .cloned()
                .collect();
            self.compared(step, bad.is_empty(), &bad);
            return from;
        }
        if pattern == "(nothing)" {
            self.compared(step, true, &[]);
            return from;
        }
        let at = rest.iter().position(|line| matches(kind, pattern, line));
        self.compared(step, at.is_some(), rest);
        at.map_or(from, |at| from + at + 1)
    }

    fn compared(&mut self, step: &str, good: bool, instead: &[String]) {
        if good {
            return self.diff.push(format!(" {step}"));
        }
        // Kept by an update of the file: these are not written by a machine.
        self.failed += 1;
        self.diff.push(format!(" {step}"));
        let name = step.split([':', '~', '!']).next().unwrap();
        if instead.is_empty() {
            self.diff.push(format!("-   {name} was nothing"));
        }
        self.diff.extend(instead.iter().map(|line| format!("-   {name} was: {line}")));
    }

    fn message_line(&mut self, step: &str, pattern: &str) {
        let taken = self.server.backend.accepted().pop();
        let Some(taken) = taken else {
            return self.compared(step, pattern == "(none)", &["(none)".into()]);
        };
        let text = String::from_utf8_lossy(&taken.text).into_owned();
        let lines: Vec<String> =
            text.split_terminator("\r\n").map(|line| escape(line.as_bytes())).collect();
        match step.as_bytes()[1] {
            b'*' | b'!' => self.message = self.find_message(step, pattern, &lines),
            kind => {
                let line = lines.get(self.message).cloned().unwrap_or_default();
                let good = matches(char::from(kind), pattern, &without_ids(&line));
                self.compared(step, good, &lines[self.message.min(lines.len())..]);
                self.message += 1;
            }
        }
    }

    fn find_message(&mut self, step: &str, pattern: &str, lines: &[String]) -> usize {
        if step.starts_with("M!") {
            let bad: Vec<_> =
                lines.iter().filter(|line| matches('!', pattern, line)).cloned().collect();
            self.compared(step, bad.is_empty(), &bad);
            return self.message;
        }
        let rest = lines.get(self.message..).unwrap_or_default();
        let at = rest.iter().position(|line| matches('~', pattern, line));
        self.compared(step, at.is_some(), rest);
        self.message + at.map_or(0, |at| at + 1)
    }

    async fn finish(mut self) -> Outcome {
        self.send().await;
        self.leftover();
        self.client = Client::Gone;
        self.settle().await;
        let decisions = self.server.log.decisions.lock().unwrap().clone();
        Outcome {
            diff: self.diff,
            failed: self.failed,
            received: String::from_utf8_lossy(&self.received).into_owned(),
            backend_said: self.server.backend_said(),
            decisions,
        }
    }
}

/// `reject RCPT dnsbl`
fn shown(decision: &Decision) -> String {
    let kind = match decision.kind {
        Kind::Accept => "accept",
        Kind::Defer => "defer",
        Kind::Reject => "reject",
        Kind::Warning => "warning",
    };
    format!("{kind} {} {}", decision.stage, decision.by.name())
}
