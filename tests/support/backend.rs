//! A backend for tests: behaves as Postfix does, or misbehaves as its script says, and records all
//! that it was sent. It knows nothing of the crate under test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};

/// Where a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Greeting,
    /// EHLO or HELO.
    Ehlo,
    Xclient,
    Mail,
    Rcpt,
    Data,
    /// When this many bytes of message text have come.
    Body(usize),
    Dot,
    Rset,
    Quit,
    Other,
}

/// What is done in place of the right reply.
#[derive(Debug, Clone)]
pub enum Fault {
    /// These bytes, then on as before.
    Say(&'static str),
    /// These bytes, then the end of the connection.
    SayAndClose(&'static str),
    /// The right reply with these bytes behind it, in one write.
    Extra(&'static str),
    /// The right reply, a byte every so often.
    Drip(Duration),
    /// Lines of a reply without end.
    Endless(&'static str),
    /// Silence; reads no more.
    Stall,
    Close,
    /// RST over TCP; the same as `Close` in memory.
    Reset,
}

/// Whom XCLIENT is open to (smtpd_authorized_xclient_hosts).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorised {
    Nobody,
    /// The connecting host, until XCLIENT gives it another address.
    Loopback,
    Anybody,
}

#[derive(Debug, Clone)]
pub struct Script {
    pub hostname: &'static str,
    /// EHLO keywords besides XCLIENT.
    pub keywords: Vec<&'static str>,
    pub xclient: Authorised,
    pub attributes: &'static str,
    /// inet_protocols = all
    pub ipv6: bool,
    /// XCLIENT only after EHLO.
    pub ehlo_first: bool,
    /// Strangers may send to these; to anything else only mynetworks (loopback) may.
    pub domains: Vec<&'static str>,
    /// An open relay: strangers may send anywhere.
    pub open_relay: bool,
    /// Takes every local part of its domains; else those with `unknown` or `test` are refused.
    pub catch_all: bool,
    /// RCPT to these is accepted whatever else holds.
    pub accepted_recipients: Vec<&'static str>,
    /// MAIL from these is refused.
    pub refused_senders: Vec<&'static str>,
    /// After so many refusals every command gets 421.
    pub hard_error_limit: usize,
    /// Where, at which occurrence on a connection (1 is the first, 0 is each), and what.
    pub faults: Vec<(At, usize, Fault)>,
}

impl Default for Script {
    fn default() -> Self {
        Script {
            hostname: "backend.example",
            keywords: vec![
                "PIPELINING",
                "SIZE 10240000",
                "ETRN",
                "ENHANCEDSTATUSCODES",
                "8BITMIME",
                "DSN",
                "SMTPUTF8",
            ],
            xclient: Authorised::Loopback,
            attributes: "NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT",
            ipv6: true,
            ehlo_first: false,
            domains: vec!["backend.example", "example.org"],
            open_relay: false,
            catch_all: false,
            accepted_recipients: Vec::new(),
            refused_senders: Vec::new(),
            hard_error_limit: 20,
            faults: Vec::new(),
        }
    }
}

impl Script {
    pub fn with(at: At, fault: Fault) -> Script {
        Script { faults: vec![(at, 1, fault)], ..Script::default() }
    }
}

/// Who the backend believes the client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub addr: String,
    pub name: String,
    pub reverse_name: String,
    pub port: String,
    pub helo: Option<String>,
    pub proto: Option<String>,
    pub login: Option<String>,
}

impl Default for Client {
    fn default() -> Self {
        Client {
            addr: "127.0.0.1".into(),
            name: "localhost".into(),
            reverse_name: "localhost".into(),
            port: "40000".into(),
            helo: None,
            proto: None,
            login: None,
        }
    }
}

/// A message that was answered with 250.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub client: Client,
    pub sender: String,
    pub recipients: Vec<String>,
    /// Dots undone, the final one not included.
    pub text: Vec<u8>,
}

/// One connection.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Every byte.
    pub bytes: Vec<u8>,
    pub commands: Vec<String>,
    pub client: Client,
    pub accepted: Vec<Accepted>,
    /// The other side has closed, or this one has.
    pub closed: bool,
}

#[derive(Clone)]
pub struct Scripted {
    script: Arc<Mutex<Script>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Scripted {
    pub fn new(script: Script) -> Scripted {
        Scripted { script: Arc::new(Mutex::new(script)), seen: Arc::default() }
    }

    /// For connections that begin later.
    pub fn set(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn last(&self) -> Seen {
        self.seen().pop().expect("a connection")
    }

    /// What was accepted on all connections.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.seen().into_iter().flat_map(|seen| seen.accepted).collect()
    }

    /// A connection in memory; `buffer` bytes may be under way in each direction.
    pub fn connect(&self, buffer: usize) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(buffer);
        self.spawn(theirs, drop);
        ours
    }

    /// Listens on 127.0.0.1.
    pub async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let this = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                this.spawn(stream, |stream: TcpStream| {
                    let _ = stream.set_zero_linger();
                });
            }
        });
        address
    }

    fn spawn<S>(&self, stream: S, reset: fn(S))
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let index = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(Seen::default());
            seen.len() - 1
        };
        let script = self.script.lock().unwrap().clone();
        let mut peer = Peer {
            stream,
            script,
            seen: Arc::clone(&self.seen),
            index,
            input: Vec::new(),
            counts: Vec::new(),
            client: Client::default(),
            greeted: false,
            errors: 0,
            sender: None,
            recipients: Vec::new(),
        };
        tokio::spawn(async move {
            let end = peer.serve().await.unwrap_or(End::Close);
            peer.record(|seen| seen.closed = true);
            if end == End::Reset {
                reset(peer.stream);
            }
        });
    }
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Close,
    Reset,
}

struct Peer<S> {
    stream: S,
    script: Script,
    seen: Arc<Mutex<Vec<Seen>>>,
    index: usize,
    input: Vec<u8>,
    counts: Vec<At>,
    client: Client,
    greeted: bool,
    errors: usize,
    sender: Option<String>,
    recipients: Vec<String>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    fn record(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.seen.lock().unwrap()[self.index]);
    }

    async fn serve(&mut self) -> io::Result<End> {
        let banner = format!("220 {} ESMTP Postfix\r\n", self.script.hostname);
        if let Some(end) = self.answer(At::Greeting, &banner).await? {
            return Ok(end);
        }
        loop {
            let Some(line) = self.line().await? else { return Ok(End::Close) };
            let command = String::from_utf8_lossy(&line).into_owned();
            let upper = command.to_ascii_uppercase();
            self.record(|seen| seen.commands.push(command.clone()));
            let verb = upper.split(' ').next().unwrap_or_default();
            let alone = matches!(verb, "EHLO" | "HELO" | "XCLIENT" | "DATA" | "QUIT");
            let pipelining = self.greeted && self.script.keywords.contains(&"PIPELINING");
            if !self.input.is_empty() && (alone || !pipelining) {
                self.stream
                    .write_all(b"554 5.5.0 Error: SMTP protocol synchronization\r\n")
                    .await?;
                return Ok(End::Close);
            }
            if self.errors >= self.script.hard_error_limit {
                self.stream.write_all(b"421 4.7.0 Error: too many errors\r\n").await?;
                return Ok(End::Close);
            }
            let (at, reply) = match verb {
                "EHLO" | "HELO" => (At::Ehlo, self.ehlo(verb, &command)),
                "XCLIENT" => (At::Xclient, self.xclient(&command)),
                "MAIL" => (At::Mail, self.mail(&command)),
                "RCPT" => (At::Rcpt, self.rcpt(&command)),
                "DATA" if self.recipients.is_empty() => {
                    (At::Data, "554 5.5.1 Error: no valid recipients\r\n".into())
                }
                "DATA" => (At::Data, "354 End data with <CR><LF>.<CR><LF>\r\n".into()),
                "RSET" => {
                    self.end_transaction();
                    (At::Rset, "250 2.0.0 Ok\r\n".into())
                }
                "QUIT" => (At::Quit, "221 2.0.0 Bye\r\n".into()),
                _ => (At::Other, "250 2.0.0 Ok\r\n".into()),
            };
            self.errors += usize::from(reply.starts_with(['4', '5']));
            if let Some(end) = self.answer(at, &reply).await? {
                return Ok(end);
            }
            let refused = self.refused(at);
            match at {
                At::Quit => return Ok(End::Close),
                At::Data if reply.starts_with("354") && !refused => {
                    if let Some(end) = self.text().await? {
                        return Ok(end);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether the last answer here was a fault in place of 354.
    fn refused(&self, at: At) -> bool {
        let count = self.counts.iter().filter(|seen| **seen == at).count();
        matches!(self.fault(at, count), Some(Fault::Say(said)) if !said.starts_with("354"))
    }

    fn fault(&self, at: At, count: usize) -> Option<Fault> {
        let hit = |n: usize| n == 0 || n == count;
        self.script.faults.iter().find(|(a, n, _)| *a == at && hit(*n)).map(|(_, _, f)| f.clone())
    }

    async fn answer(&mut self, at: At, reply: &str) -> io::Result<Option<End>> {
        self.counts.push(at);
        let count = self.counts.iter().filter(|seen| **seen == at).count();
        match self.fault(at, count) {
            None => self.stream.write_all(reply.as_bytes()).await?,
            Some(fault) => return self.misbehave(fault, reply).await,
        }
        Ok(None)
    }

    async fn misbehave(&mut self, fault: Fault, reply: &str) -> io::Result<Option<End>> {
        match fault {
            Fault::Say(bytes) => self.stream.write_all(bytes.as_bytes()).await?,
            Fault::SayAndClose(bytes) => {
                self.stream.write_all(bytes.as_bytes()).await?;
                return Ok(Some(End::Close));
            }
            Fault::Extra(bytes) => {
                self.stream.write_all(format!("{reply}{bytes}").as_bytes()).await?;
            }
            Fault::Drip(pause) => {
                for byte in reply.bytes() {
                    tokio::time::sleep(pause).await;
                    self.stream.write_all(&[byte]).await?;
                }
            }
            Fault::Endless(line) => loop {
                self.stream.write_all(line.as_bytes()).await?;
            },
            Fault::Stall => std::future::pending().await,
            Fault::Close => return Ok(Some(End::Close)),
            Fault::Reset => return Ok(Some(End::Reset)),
        }
        Ok(None)
    }

    /// More bytes; false at the end of the stream.
    async fn read(&mut self) -> io::Result<bool> {
        let mut space = [0; 4096];
        let n = self.stream.read(&mut space).await?;
        self.input.extend_from_slice(&space[..n]);
        self.record(|seen| seen.bytes.extend_from_slice(&space[..n]));
        Ok(n > 0)
    }

    /// A line that ends with LF, as lenient servers read it.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.input.iter().position(|b| *b == b'\n') {
                let mut line: Vec<u8> = self.input.drain(..=end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some(line));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// Message text to CRLF . CRLF.
    async fn text(&mut self) -> io::Result<Option<End>> {
        let mut text = b"\r\n".to_vec();
        let mut due = self.script.faults.iter().find_map(|(at, _, fault)| match at {
            At::Body(bytes) => Some((*bytes, fault.clone())),
            _ => None,
        });
        let mut scanned = 0;
        loop {
            text.append(&mut self.input);
            let from = scanned;
            scanned = text.len().saturating_sub(4);
            if let Some(at) = text[from..].windows(5).position(|w| w == b"\r\n.\r\n") {
                let end = from + at;
                self.input = text.split_off(end + 5);
                text.truncate(end + 2);
                break;
            }
            if let Some((_, fault)) = due.take_if(|(bytes, _)| text.len() >= *bytes + 2)
                && let Some(end) = self.misbehave(fault, "").await?
            {
                return Ok(Some(end));
            }
            if !self.read().await? {
                return Ok(Some(End::Close));
            }
        }
        let end = self.answer(At::Dot, "250 2.0.0 Ok: queued as 4XyZ\r\n").await?;
        let count = self.counts.iter().filter(|seen| **seen == At::Dot).count();
        if self.fault(At::Dot, count).is_none() {
            let accepted = Accepted {
                client: self.client.clone(),
                sender: self.sender.clone().unwrap_or_default(),
                recipients: self.recipients.clone(),
                text: unstuff(&text[2..]),
            };
            self.record(|seen| seen.accepted.push(accepted));
        }
        self.end_transaction();
        Ok(end)
    }

    fn end_transaction(&mut self) {
        self.sender = None;
        self.recipients.clear();
    }

    fn authorised(&self) -> bool {
        match self.script.xclient {
            Authorised::Nobody => false,
            Authorised::Loopback => self.client.addr == "127.0.0.1",
            Authorised::Anybody => true,
        }
    }

    fn ehlo(&mut self, verb: &str, command: &str) -> String {
        let Some(name) = command.split(' ').nth(1) else {
            return "501 Syntax: EHLO hostname\r\n".into();
        };
        self.end_transaction();
        self.greeted = true;
        self.client.helo = Some(name.to_owned());
        self.client.proto = Some(if verb == "EHLO" { "ESMTP" } else { "SMTP" }.to_owned());
        let client = self.client.clone();
        self.record(|seen| seen.client = client);
        if verb == "HELO" {
            return format!("250 {}\r\n", self.script.hostname);
        }
        let mut lines = vec![self.script.hostname.to_owned()];
        lines.extend(self.script.keywords.iter().map(|k| (*k).to_owned()));
        if self.authorised() {
            lines.push(format!("XCLIENT {}", self.script.attributes));
        }
        let last = lines.len() - 1;
        let mark = |i: usize| if i == last { ' ' } else { '-' };
        lines.iter().enumerate().map(|(i, line)| format!("250{}{line}\r\n", mark(i))).collect()
    }

    fn xclient(&mut self, command: &str) -> String {
        if self.sender.is_some() {
            return "503 5.5.1 Error: MAIL transaction in progress\r\n".into();
        }
        if self.script.ehlo_first && !self.greeted {
            return "503 5.5.1 Error: send EHLO first\r\n".into();
        }
        if !self.authorised() {
            return "550 5.7.0 Error: insufficient authorization\r\n".into();
        }
        let mut client = Client { helo: None, proto: None, login: None, ..self.client.clone() };
        for word in command.split(' ').skip(1) {
            let Some((name, value)) = word.split_once('=') else {
                return "501 5.5.4 Error: attribute=value expected\r\n".into();
            };
            let known = self.script.attributes.split(' ').any(|known| known == name);
            let value = unxtext(value);
            match name {
                "ADDR" if !self.script.ipv6 && value.starts_with("IPV6:") => {
                    return format!("501 5.5.4 Bad {name} syntax: {value}\r\n");
                }
                _ if !known => return format!("501 5.5.4 Bad XCLIENT attribute name: {name}\r\n"),
                "ADDR" => client.addr = value,
                "NAME" => {
                    client.reverse_name.clone_from(&value);
                    client.name = value;
                }
                "REVERSE_NAME" => client.reverse_name = value,
                "PORT" => client.port = value,
                "HELO" => client.helo = Some(value),
                "PROTO" => client.proto = Some(value),
                "LOGIN" => client.login = Some(value),
                _ => {}
            }
            // Attributes before a bad one stay applied.
            self.client = client.clone();
        }
        self.greeted = false;
        self.record(|seen| seen.client = client);
        format!("220 {} ESMTP Postfix\r\n", self.script.hostname)
    }

    fn mail(&mut self, command: &str) -> String {
        if !self.greeted {
            return "503 5.5.1 Error: send HELO/EHLO first\r\n".into();
        }
        if self.sender.is_some() {
            return "503 5.5.1 Error: nested MAIL command\r\n".into();
        }
        let sender = path(command);
        if self.script.refused_senders.contains(&sender.as_str()) {
            return format!("550 5.7.1 <{sender}>: Sender address rejected\r\n");
        }
        self.sender = Some(sender);
        "250 2.1.0 Ok\r\n".into()
    }

    fn rcpt(&mut self, command: &str) -> String {
        if self.sender.is_none() {
            return "503 5.5.1 Error: need MAIL command\r\n".into();
        }
        let address = path(command);
        let routed = address.starts_with('@');
        let (local, domain) = address.rsplit_once('@').unwrap_or((&address, ""));
        let trusted = self.client.addr == "127.0.0.1" || self.script.open_relay;
        let ours = self.script.domains.contains(&domain) && !routed;
        if self.script.accepted_recipients.contains(&address.as_str()) {
            self.recipients.push(address);
            return "250 2.1.5 Ok\r\n".into();
        }
        if !trusted && !ours {
            return format!("554 5.7.1 <{address}>: Relay access denied\r\n");
        }
        if ours && !self.script.catch_all && (local.contains("unknown") || local.contains("test")) {
            return format!("550 5.1.1 <{address}>: Recipient address rejected: User unknown\r\n");
        }
        self.recipients.push(address);
        "250 2.1.5 Ok\r\n".into()
    }
}

/// What stands between the outer angle brackets.
fn path(command: &str) -> String {
    let start = command.find('<').map_or(0, |at| at + 1);
    let end = command.rfind('>').unwrap_or(command.len());
    command.get(start..end).unwrap_or_default().to_owned()
}

fn unxtext(value: &str) -> String {
    let mut out = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, code.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'+', Some(byte)) => {
                out.push(byte);
                rest = &after[2..];
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn unstuff(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.split_inclusive(|b| *b == b'\n') {
        out.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    out
}
