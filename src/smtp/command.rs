//! Command lines (RFC 5321 4.1.1 and the extensions that a filter meets).

use std::fmt;
use std::io::Write as _;

use super::params::{MailCommand, RcptCommand};
pub use super::syntax::SyntaxError;

/// Octets of a name in HELO or EHLO.
const HELO_MAX: usize = 255;
/// Characters kept of a verb that nobody knows.
const UNKNOWN_MAX: usize = 32;
/// Characters of a SASL mechanism's name (RFC 4422 3.1).
const MECHANISM_MAX: usize = 20;

const KNOWN: [&str; 15] = [
    "EHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "QUIT", "NOOP", "STARTTLS", "AUTH", "HELO",
    "HELP", "VRFY", "EXPN", "ETRN",
];
/// Deprecated by RFC 5321 F.1 and F.6, or never in wide use.
const OBSOLETE: [&str; 5] = ["SEND", "SOML", "SAML", "TURN", "ATRN"];
/// Between servers that trust one another, or of another protocol.
const FORBIDDEN: [&str; 13] = [
    "XCLIENT",
    "XFORWARD",
    "PROXY",
    "LHLO",
    "XEXCH50",
    "X-LINK2STATE",
    "X-EXPS",
    "XEXPS",
    "XSHADOW",
    "XPROXY",
    "XPROXYFROM",
    "XPROXYTO",
    "XSESSIONPARAMS",
];
const HTTP: [&str; 10] =
    ["GET", "POST", "CONNECT", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH", "TRACE", "PRI"];

#[derive(Clone, PartialEq, Eq)]
pub enum Command {
    /// One printable ASCII word, not always a sound name: see
    /// [`helo_form`](super::address::helo_form).
    Helo(Box<str>),
    /// As for `Helo`.
    Ehlo(Box<str>),
    Mail(MailCommand),
    Rcpt(RcptCommand),
    Data,
    Bdat {
        /// Octets that follow the line.
        size: u64,
        last: bool,
    },
    Rset,
    /// Its argument is ignored (RFC 5321 4.1.1.9).
    Noop,
    Quit,
    /// Printable ASCII, possibly empty.
    Help(Box<str>),
    /// Without control characters, possibly not ASCII (RFC 6531 3.7.4.2).
    Vrfy(Box<str>),
    /// As for `Vrfy`.
    Expn(Box<str>),
    Etrn(Box<str>),
    StartTls,
    Auth {
        /// Upper case.
        mechanism: Box<str>,
        /// One word, not yet known to be base64. It may hold a password.
        initial: Option<Box<str>>,
    },
    /// SEND, SOML, SAML, TURN, ATRN.
    Obsolete(&'static str),
    /// Commands that only trusted peers may use, such as XCLIENT.
    Forbidden(&'static str),
    /// A request of HTTP, or the first bytes of a TLS handshake.
    Http,
    /// The verb, printable ASCII, cut at 32 characters.
    Unknown(Box<str>),
}

impl Command {
    /// Parses a line without its CRLF. Verbs are case-insensitive; white space at the end and more
    /// than one space between words are tolerated (RFC 5321 4.1.1).
    pub fn parse(line: &[u8]) -> Result<Command, SyntaxError> {
        if is_tls_handshake(line) {
            return Ok(Command::Http);
        }
        let line = trim_end(line);
        let space = memchr::memchr(b' ', line).unwrap_or(line.len());
        let (verb, arguments) = line.split_at_checked(space).unwrap_or((line, b""));
        let Some(verb) = std::str::from_utf8(verb).ok().filter(|verb| verb.is_ascii()) else {
            return Err(SyntaxError::NotAscii);
        };
        if let Some(known) = listed(&OBSOLETE, verb) {
            return Ok(Command::Obsolete(known));
        }
        if let Some(known) = listed(&FORBIDDEN, verb) {
            return Ok(Command::Forbidden(known));
        }
        if listed(&HTTP, verb).is_some() {
            return Ok(Command::Http);
        }
        let text = std::str::from_utf8(arguments).map(|text| text.trim_start_matches(' '));
        match listed(&KNOWN, verb).unwrap_or_default() {
            known @ ("HELO" | "EHLO") => {
                let name = text.ok().filter(|name| is_helo_name(name));
                let name = Box::from(name.ok_or(SyntaxError::HeloName)?);
                Ok(if known == "HELO" { Command::Helo(name) } else { Command::Ehlo(name) })
            }
            "MAIL" => MailCommand::parse(utf8(text)?).map(Command::Mail),
            "RCPT" => RcptCommand::parse(utf8(text)?).map(Command::Rcpt),
            "DATA" => no_arguments(arguments, "DATA", Command::Data),
            "RSET" => no_arguments(arguments, "RSET", Command::Rset),
            "QUIT" => no_arguments(arguments, "QUIT", Command::Quit),
            "STARTTLS" => no_arguments(arguments, "STARTTLS", Command::StartTls),
            "BDAT" => parse_bdat(ascii(text)?),
            "NOOP" => ascii(text).map(|_| Command::Noop),
            "HELP" => {
                let usage = usage("HELP", "HELP [topic]");
                printable(ascii(text)?).map(Command::Help).ok_or(usage)
            }
            "VRFY" => required(utf8(text)?, "VRFY", "VRFY address").map(Command::Vrfy),
            "EXPN" => required(utf8(text)?, "EXPN", "EXPN list").map(Command::Expn),
            "ETRN" => required(ascii(text)?, "ETRN", "ETRN domain").map(Command::Etrn),
            "AUTH" => parse_auth(ascii(text)?),
            _ => Ok(Command::Unknown(printable_start(verb))),
        }
    }

    /// Upper case for commands of SMTP, else `HTTP` or `UNKNOWN`.
    pub fn verb(&self) -> &'static str {
        match self {
            Command::Helo(_) => "HELO",
            Command::Ehlo(_) => "EHLO",
            Command::Mail(_) => "MAIL",
            Command::Rcpt(_) => "RCPT",
            Command::Data => "DATA",
            Command::Bdat { .. } => "BDAT",
            Command::Rset => "RSET",
            Command::Noop => "NOOP",
            Command::Quit => "QUIT",
            Command::Help(_) => "HELP",
            Command::Vrfy(_) => "VRFY",
            Command::Expn(_) => "EXPN",
            Command::Etrn(_) => "ETRN",
            Command::StartTls => "STARTTLS",
            Command::Auth { .. } => "AUTH",
            Command::Obsolete(verb) | Command::Forbidden(verb) => verb,
            Command::Http => "HTTP",
            Command::Unknown(_) => "UNKNOWN",
        }
    }

    /// Appends the command without CRLF. For what is a command, the inverse of
    /// [`parse`](Self::parse).
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Command::Mail(mail) => mail.write_to(out),
            Command::Rcpt(rcpt) => rcpt.write_to(out),
            Command::Auth { mechanism, initial: Some(initial) } => {
                let _ = write!(out, "AUTH {mechanism} {initial}");
            }
            Command::Auth { mechanism, initial: None } => {
                let _ = write!(out, "AUTH {mechanism}");
            }
            Command::Bdat { size, last } => {
                let _ = write!(out, "BDAT {size}{}", if *last { " LAST" } else { "" });
            }
            Command::Helo(text)
            | Command::Ehlo(text)
            | Command::Vrfy(text)
            | Command::Expn(text)
            | Command::Etrn(text)
            | Command::Help(text)
                if !text.is_empty() =>
            {
                let _ = write!(out, "{} {text}", self.verb());
            }
            Command::Http => out.extend_from_slice(b"GET"),
            Command::Unknown(verb) => out.extend_from_slice(verb.as_bytes()),
            _ => out.extend_from_slice(self.verb().as_bytes()),
        }
    }
}

/// As it is sent, but for the initial response of AUTH, which never reaches a log.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Command::Auth { mechanism, initial: Some(_) } = self {
            return write!(f, "AUTH {mechanism} [redacted]");
        }
        let mut text = Vec::new();
        self.write_to(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

/// Whether a connection starts with a TLS handshake record (RFC 8446 5.1) in place of a command.
pub fn is_tls_handshake(input: &[u8]) -> bool {
    input.starts_with(&[0x16, 0x03])
}

fn trim_end(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    line
}

fn listed(list: &[&'static str], verb: &str) -> Option<&'static str> {
    list.iter().find(|known| known.eq_ignore_ascii_case(verb)).copied()
}

fn usage(verb: &'static str, usage: &'static str) -> SyntaxError {
    SyntaxError::Arguments { verb, usage }
}

fn no_arguments(
    arguments: &[u8],
    verb: &'static str,
    command: Command,
) -> Result<Command, SyntaxError> {
    if arguments.is_empty() { Ok(command) } else { Err(usage(verb, verb)) }
}

fn utf8(text: Result<&str, std::str::Utf8Error>) -> Result<&str, SyntaxError> {
    text.map_err(|_| SyntaxError::NotAscii)
}

fn ascii(text: Result<&str, std::str::Utf8Error>) -> Result<&str, SyntaxError> {
    text.ok().filter(|text| text.is_ascii()).ok_or(SyntaxError::NotAscii)
}

fn printable(text: &str) -> Option<Box<str>> {
    (!text.chars().any(char::is_control)).then(|| text.into())
}

fn required(text: &str, verb: &'static str, how: &'static str) -> Result<Box<str>, SyntaxError> {
    printable(text).filter(|text| !text.is_empty()).ok_or(usage(verb, how))
}

fn printable_start(verb: &str) -> Box<str> {
    verb.chars().take(UNKNOWN_MAX).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

fn is_helo_name(name: &str) -> bool {
    (1..=HELO_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
}

fn parse_bdat(text: &str) -> Result<Command, SyntaxError> {
    let usage = usage("BDAT", "BDAT size [LAST]");
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let size = words.next().filter(|word| word.bytes().all(|b| b.is_ascii_digit()));
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(usage),
    };
    match (size.and_then(|word| word.parse().ok()), words.next()) {
        (Some(size), None) => Ok(Command::Bdat { size, last }),
        _ => Err(usage),
    }
}

fn parse_auth(text: &str) -> Result<Command, SyntaxError> {
    let usage = usage("AUTH", "AUTH mechanism [initial-response]");
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let (mechanism, initial) = (words.next().unwrap_or_default(), words.next());
    let sound = (1..=MECHANISM_MAX).contains(&mechanism.len())
        && mechanism.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && initial.is_none_or(|word| word.bytes().all(|b| b.is_ascii_graphic()));
    if !sound || words.next().is_some() {
        return Err(usage);
    }
    let mechanism = mechanism.to_ascii_uppercase().into();
    Ok(Command::Auth { mechanism, initial: initial.map(Box::from) })
}

#[cfg(test)]
mod tests;
