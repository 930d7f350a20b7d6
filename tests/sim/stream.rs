//! What the client has sent, taken apart slowly and by the letter: the reference for the session's
//! framing.

use portcullis::smtp::command::Command;
use portcullis::smtp::command::SyntaxError;

const COMMAND_MAX: usize = 2048;
const RESPONSE_MAX: usize = 12288;

/// What the next octets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Command,
    /// After 334.
    Response,
    /// After 354.
    Data,
}

/// One thing that is to be answered once.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    pub(crate) mode: Mode,
    /// As sent, with its end.
    pub(crate) raw: Vec<u8>,
    /// No line at all: TLS without STARTTLS.
    pub(crate) record: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Without stuffed dots.
    pub(crate) text: Vec<u8>,
    pub(crate) flawed: bool,
    pub(crate) longest_line: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Stream {
    sent: Vec<u8>,
    at: usize,
}

impl Stream {
    pub(crate) fn push(&mut self, octets: &[u8]) {
        self.sent.extend_from_slice(octets);
    }

    /// What is not part of any unit that was taken.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.sent[self.at..]
    }

    /// The next unit if it is complete.
    pub(crate) fn peek(&self, mode: Mode, tls: bool) -> Option<Unit> {
        let rest = self.rest();
        let record = mode == Mode::Command && !tls && rest.starts_with(b"\x16\x03");
        let end = match mode {
            _ if record => rest.len(),
            Mode::Command | Mode::Response => rest.iter().position(|octet| *octet == b'\n')? + 1,
            Mode::Data if rest.starts_with(b".\r\n") => 3,
            Mode::Data => rest.windows(5).position(|window| window == b"\r\n.\r\n")? + 5,
        };
        Some(Unit { mode, raw: rest[..end].to_vec(), record })
    }

    pub(crate) fn take(&mut self, unit: &Unit) {
        self.at += unit.raw.len();
    }
}

impl Unit {
    /// The command it is, or what is wrong with it.
    pub(crate) fn command(&self) -> Result<Command, &'static str> {
        let raw = &self.raw;
        if self.record {
            return Ok(Command::Http);
        }
        if raw.len() > COMMAND_MAX {
            return Err("too long");
        }
        let Some(line) = raw.strip_suffix(b"\r\n") else { return Err("bare LF") };
        match line.iter().find(|octet| [0, b'\r'].contains(*octet)) {
            Some(0) => return Err("NUL"),
            Some(_) => return Err("bare CR"),
            None => {}
        }
        Command::parse(line).map_err(|error| match error {
            SyntaxError::Arguments { .. } => "arguments",
            SyntaxError::HeloName => "helo name",
            SyntaxError::SenderAddress => "sender",
            SyntaxError::RecipientAddress => "recipient",
            SyntaxError::UnknownParameter(_) => "unknown parameter",
            SyntaxError::BadParameter(_) => "bad parameter",
            SyntaxError::DuplicateParameter(_) => "double parameter",
            SyntaxError::NotAscii => "not ASCII",
        })
    }

    /// What kind of an answer to a challenge it is.
    pub(crate) fn response(&self) -> &'static str {
        match self.raw.strip_suffix(b"\r\n") {
            _ if self.raw.len() > RESPONSE_MAX => "too long",
            None => "malformed",
            Some(b"*") => "cancel",
            Some(line) if is_base64(line) => "base64",
            Some(_) => "malformed",
        }
    }

    pub(crate) fn message(&self) -> Message {
        let text = &self.raw[..self.raw.len() - 3];
        let mut message = Message { text: Vec::new(), flawed: false, longest_line: 0 };
        let mut rest = text;
        while !rest.is_empty() {
            let end =
                rest.windows(2).position(|pair| pair == b"\r\n").map_or(rest.len(), |at| at + 2);
            let (line, later) = rest.split_at(end);
            let line = line.strip_prefix(b".").unwrap_or(line);
            let inside = line.strip_suffix(b"\r\n").unwrap_or(line);
            message.flawed |= inside.iter().any(|octet| [0, b'\r', b'\n'].contains(octet));
            message.longest_line = message.longest_line.max(line.len());
            message.text.extend_from_slice(line);
            rest = later;
        }
        message
    }
}

fn is_base64(line: &[u8]) -> bool {
    let digits = line.iter().take_while(|o| o.is_ascii_alphanumeric() || b"+/".contains(o)).count();
    let padding = line.len() - digits;
    let value = |octet: u8| match octet {
        b'A'..=b'Z' => octet - b'A',
        b'a'..=b'z' => octet - b'a' + 26,
        b'0'..=b'9' => octet - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let last = digits.checked_sub(1).map_or(0, |at| value(line[at]));
    line.len().is_multiple_of(4)
        && line[digits..].iter().all(|octet| *octet == b'=')
        && match padding {
            0 => true,
            1 => last & 0b11 == 0,
            2 => last & 0b1111 == 0,
            _ => false,
        }
}
