//! The mail server behind the proxy: takes mail for example.com, keeps it in memory, and relays for
//! nobody but users who have logged in. It speaks XCLIENT as Postfix does.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{PASSWORD, USER};

const HOST: &str = "backend.example.com";
const DOMAIN: &str = "example.com";
const UNKNOWN_USER: &str = "nobody";
/// Messages kept; older ones are forgotten.
const KEPT: usize = 100;
/// Octets of a message.
const SIZE: usize = 1 << 20;
/// Octets of a line, of a message or a command.
const LINE: u64 = 1 << 17;
const RECIPIENTS: usize = 100;

/// A message that was answered with 250.
pub(super) struct Stored {
    /// As XCLIENT has it.
    pub(super) client: String,
    pub(super) login: Option<String>,
    pub(super) from: String,
    pub(super) recipients: Vec<String>,
    pub(super) data: Vec<u8>,
}

#[derive(Default)]
struct Mailbox {
    messages: VecDeque<Stored>,
    total: usize,
}

pub(super) struct Backend {
    /// For mail from strangers.
    pub(super) mx: SocketAddr,
    /// Has AUTH.
    pub(super) submission: SocketAddr,
    mailbox: Arc<Mutex<Mailbox>>,
}

impl Backend {
    pub(super) async fn start() -> io::Result<Backend> {
        let mailbox = Arc::default();
        let mx = serve(false, &mailbox).await?;
        let submission = serve(true, &mailbox).await?;
        Ok(Backend { mx, submission, mailbox })
    }

    /// Takes out what has arrived since the last call.
    pub(super) fn take(&self) -> Vec<Stored> {
        let mut mailbox = self.mailbox.lock().unwrap_or_else(PoisonError::into_inner);
        mailbox.messages.drain(..).collect()
    }
}

async fn serve(auth: bool, mailbox: &Arc<Mutex<Mailbox>>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let mailbox = mailbox.clone();
    tokio::spawn(async move {
        while let Ok((stream, from)) = listener.accept().await {
            let session = Session {
                stream: BufReader::new(stream),
                auth,
                mailbox: mailbox.clone(),
                client: from.ip().to_string(),
                login: None,
                mail: None,
            };
            // A client that goes away in the middle is no event.
            tokio::spawn(async move { session.run().await.ok() });
        }
    });
    Ok(address)
}

struct Session {
    stream: BufReader<TcpStream>,
    auth: bool,
    mailbox: Arc<Mutex<Mailbox>>,
    client: String,
    login: Option<String>,
    mail: Option<(String, Vec<String>)>,
}

impl Session {
    async fn run(mut self) -> io::Result<()> {
        let greeting = format!("220 {HOST} ESMTP");
        self.say(&greeting).await?;
        while let Some(line) = self.line().await? {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => {
                    self.mail = None;
                    let auth = if self.auth { "250-AUTH PLAIN LOGIN\r\n" } else { "" };
                    let offer = format!(
                        "250-{HOST}\r\n250-PIPELINING\r\n250-SIZE {SIZE}\r\n{auth}\
                         250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
                         250 XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN"
                    );
                    self.say(&offer).await?;
                }
                "HELO" => {
                    self.mail = None;
                    self.say(&format!("250 {HOST}")).await?;
                }
                "XCLIENT" => {
                    self.become_client(rest);
                    self.say(&greeting).await?;
                }
                "AUTH" if self.auth => {
                    let reply = self.authenticate(rest).await?;
                    self.say(reply).await?;
                }
                "MAIL" => {
                    self.mail = Some((path(rest), Vec::new()));
                    self.say("250 2.1.0 Ok").await?;
                }
                "RCPT" => {
                    let reply = self.recipient(path(rest));
                    self.say(reply).await?;
                }
                "DATA" => match self.mail.take() {
                    Some((from, recipients)) if !recipients.is_empty() => {
                        self.say("354 End data with <CR><LF>.<CR><LF>").await?;
                        let Some(reply) = self.message(from, recipients).await? else {
                            return Ok(());
                        };
                        self.say(&reply).await?;
                    }
                    _ => self.say("503 5.5.1 Need MAIL and RCPT").await?,
                },
                "RSET" => {
                    self.mail = None;
                    self.say("250 2.0.0 Ok").await?;
                }
                "NOOP" => self.say("250 2.0.0 Ok").await?,
                "QUIT" => return self.say("221 2.0.0 Bye").await,
                _ => self.say("502 5.5.2 Command not recognized").await?,
            }
        }
        Ok(())
    }

    async fn say(&mut self, reply: &str) -> io::Result<()> {
        self.stream.write_all(format!("{reply}\r\n").as_bytes()).await
    }

    /// A line with its end; `None` at the end of the connection, or where a line does not end.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        (&mut self.stream).take(LINE).read_until(b'\n', &mut line).await?;
        Ok(line.ends_with(b"\n").then_some(line))
    }

    fn become_client(&mut self, attributes: &str) {
        self.mail = None;
        for attribute in attributes.split(' ') {
            match attribute.split_once('=') {
                Some(("ADDR", ip)) => ip.trim_start_matches("IPV6:").clone_into(&mut self.client),
                Some(("LOGIN", user)) => self.login = Some(user.to_owned()),
                _ => {}
            }
        }
    }

    fn recipient(&mut self, address: String) -> &'static str {
        let Some((_, recipients)) = &mut self.mail else { return "503 5.5.1 Need MAIL first" };
        let (local, domain) = address.rsplit_once('@').unwrap_or((&address, DOMAIN));
        let ours = domain.eq_ignore_ascii_case(DOMAIN) && !local.contains(['%', '@', '!', ':']);
        if !ours && self.login.is_none() {
            return "554 5.7.1 Relay access denied";
        }
        if ours && local.eq_ignore_ascii_case(UNKNOWN_USER) {
            return "550 5.1.1 User unknown";
        }
        if recipients.len() == RECIPIENTS {
            return "452 4.5.3 Too many recipients";
        }
        recipients.push(address);
        "250 2.1.5 Ok"
    }

    /// `None` when the client is gone before the end of its message.
    async fn message(
        &mut self,
        from: String,
        recipients: Vec<String>,
    ) -> io::Result<Option<String>> {
        let mut data = Vec::new();
        let mut too_big = false;
        loop {
            let Some(line) = self.line().await? else { return Ok(None) };
            if line == b".\r\n" {
                break;
            }
            let line = line.strip_prefix(b".").unwrap_or(&line);
            too_big |= data.len() + line.len() > SIZE;
            if !too_big {
                data.extend_from_slice(line);
            }
        }
        if too_big {
            return Ok(Some("552 5.3.4 Message too big".to_owned()));
        }
        let (client, login) = (self.client.clone(), self.login.clone());
        let mut mailbox = self.mailbox.lock().unwrap_or_else(PoisonError::into_inner);
        mailbox.messages.push_back(Stored { client, login, from, recipients, data });
        if mailbox.messages.len() > KEPT {
            mailbox.messages.pop_front();
        }
        mailbox.total += 1;
        Ok(Some(format!("250 2.0.0 Ok: kept as number {}", mailbox.total)))
    }

    async fn authenticate(&mut self, words: &str) -> io::Result<&'static str> {
        const FAILED: &str = "535 5.7.8 Authentication credentials invalid";
        let (mechanism, initial) = words.split_once(' ').unwrap_or((words, ""));
        let (user, password) = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let response = self.response(initial, "").await?;
                let mut parts = response.splitn(3, '\0').skip(1).map(str::to_owned);
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
            "LOGIN" => {
                let user = self.response(initial, "VXNlcm5hbWU6").await?;
                (user, self.response("", "UGFzc3dvcmQ6").await?)
            }
            _ => return Ok("504 5.5.4 Unrecognized authentication mechanism"),
        };
        if user != USER || password != PASSWORD {
            return Ok(FAILED);
        }
        self.login = Some(user);
        Ok("235 2.7.0 Authentication successful")
    }

    /// The initial response, or what the client answers to a challenge.
    async fn response(&mut self, initial: &str, challenge: &str) -> io::Result<String> {
        let mut line = initial.as_bytes().to_vec();
        if initial.is_empty() {
            self.say(&format!("334 {challenge}")).await?;
            line = self.line().await?.unwrap_or_default();
        }
        let decoded = STANDARD.decode(line.trim_ascii()).unwrap_or_default();
        Ok(String::from_utf8(decoded).unwrap_or_default())
    }
}

/// What stands between the angle brackets.
fn path(words: &str) -> String {
    let inner = words.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map(|(path, _)| path.to_owned()).unwrap_or_default()
}
