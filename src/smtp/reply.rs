//! Replies: a basic code, an enhanced code of the same class, and text.
//!
//! The class digit is stored once, in the basic code, so that `450 5.7.1` cannot be built
//! (RFC 2034 4). What came from a client, from DNS or from the backend is made safe here: nothing
//! but printable characters reaches the wire, and no line is longer than 512 octets.

use std::fmt;

/// The longest reply line with its CRLF (RFC 5321 4.5.3.1.5).
pub const LINE_MAX: usize = 512;

/// What the first digit says (RFC 5321 4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    Success,
    Intermediate,
    Transient,
    Permanent,
}

/// Subject and detail of an enhanced status code (RFC 3463); the class is the reply's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Enhanced {
    pub subject: u16,
    pub detail: u16,
}

impl Enhanced {
    pub const fn new(subject: u16, detail: u16) -> Self {
        Enhanced { subject, detail }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<Enhanced>,
    /// Without codes; `\n` between lines.
    text: String,
}

impl Reply {
    /// A reply of our own. `code` must be 200 to 599; the text is sanitised.
    pub fn new(code: u16, enhanced: Enhanced, text: impl AsRef<str>) -> Reply {
        Reply { code: valid(code), enhanced: Some(enhanced), text: sanitise(text.as_ref()) }
    }

    /// A reply without enhanced code: the greeting, EHLO and HELO, 334 and 354 (RFC 2034 4).
    pub fn bare(code: u16, text: impl AsRef<str>) -> Reply {
        Reply { code: valid(code), enhanced: None, text: sanitise(text.as_ref()) }
    }

    pub fn code(&self) -> u16 {
        self.code
    }

    pub fn enhanced(&self) -> Option<Enhanced> {
        self.enhanced
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn class(&self) -> Class {
        match self.code / 100 {
            2 => Class::Success,
            3 => Class::Intermediate,
            4 => Class::Transient,
            _ => Class::Permanent,
        }
    }

    pub fn is_success(&self) -> bool {
        self.class() == Class::Success
    }

    /// The enhanced code as text, `5.7.1`.
    pub fn enhanced_text(&self) -> Option<String> {
        self.enhanced.map(|e| format!("{}.{}.{}", self.code / 100, e.subject, e.detail))
    }

    /// Adds a line, such as the one that names the decision.
    pub fn push_line(&mut self, line: &str) {
        self.text.push('\n');
        self.text.push_str(&sanitise(line));
    }

    /// Begins the text with our name, as 421 does (RFC 5321 4.2.2).
    pub fn begin_with(&mut self, host: &str) {
        self.text.insert(0, ' ');
        self.text.insert_str(0, &sanitise(host));
    }

    /// Ends the text with the id of the decision that the reply tells.
    pub fn push_id(&mut self, id: impl fmt::Display) {
        self.text.push_str(&format!(" (id {id})"));
    }

    /// Gives a backend's reply that has no enhanced code `x.0.0`, since we offer
    /// ENHANCEDSTATUSCODES.
    pub fn with_enhanced(mut self) -> Reply {
        if self.enhanced.is_none() && self.class() != Class::Intermediate {
            self.enhanced = Some(Enhanced::new(0, 0));
        }
        self
    }

    /// Appends the reply as sent: code on each line, lines folded at 512 octets.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        use std::io::Write as _;
        let mut prefix = [0u8; 24];
        let mut cursor = &mut prefix[..];
        let space = cursor.len();
        let _ = write!(cursor, "{:03}-", self.code);
        if let Some(e) = self.enhanced {
            let _ = write!(cursor, "{}.{}.{} ", self.code / 100, e.subject, e.detail);
        }
        let used = space - cursor.len();
        let prefix = &prefix[..used];
        let room = LINE_MAX - 2 - prefix.len();
        let mut last = out.len();
        for line in self.text.split('\n') {
            let mut rest = line;
            loop {
                let (now, later) = split_at_most(rest, room);
                last = out.len();
                out.extend_from_slice(prefix);
                out.extend_from_slice(now.as_bytes());
                out.extend_from_slice(b"\r\n");
                if later.is_empty() {
                    break;
                }
                rest = later;
            }
        }
        out[last + 3] = b' ';
    }

    /// All in one line, as logs show it.
    pub fn to_line(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.code)?;
        if let Some(e) = self.enhanced {
            write!(f, " {}.{}.{}", self.code / 100, e.subject, e.detail)?;
        }
        for line in self.text.split('\n') {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

/// Out-of-range codes come from nowhere but a slip of ours; 451 is the answer that loses nothing.
fn valid(code: u16) -> u16 {
    debug_assert!((200..=599).contains(&code), "reply code {code}");
    if (200..=599).contains(&code) { code } else { 451 }
}

/// Replaces all controls but the line break between lines, and anything that is not ASCII.
fn sanitise(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => '\n',
            '\t' => ' ',
            ' '..='~' => c,
            _ => '?',
        })
        .collect()
}

/// Splits at a space if there is one in the second half, else at the limit.
fn split_at_most(line: &str, room: usize) -> (&str, &str) {
    if line.len() <= room {
        return (line, "");
    }
    let at = line[..room].rfind(' ').filter(|at| *at > room / 2).map_or(room, |at| at + 1);
    line.split_at(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn codes_stand_on_every_line() {
        let mut reply = Reply::new(550, Enhanced::new(7, 1), "no");
        reply.push_line("id");
        assert_eq!(wire(&reply), "550-5.7.1 no\r\n550 5.7.1 id\r\n");
    }

    #[test]
    fn hostile_text_cannot_end_the_line() {
        let mut reply = Reply::new(550, Enhanced::new(7, 23), "a\r\nb\0\u{1b}[31m\u{e9}");
        reply.push_line("x\ry");
        assert_eq!(wire(&reply), "550-5.7.23 a?\r\n550-5.7.23 b??[31m?\r\n550 5.7.23 x?y\r\n");
    }

    #[test]
    fn long_lines_are_folded() {
        let reply = Reply::new(550, Enhanced::new(7, 1), "word ".repeat(300));
        let text = wire(&reply);
        assert!(text.lines().count() > 2);
        assert!(text.split_inclusive("\r\n").all(|line| line.len() <= LINE_MAX));
        assert_eq!(text.matches("550 5.7.1").count(), 1);
    }
}
