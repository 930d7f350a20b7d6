//! Reads a backend's replies strictly.
//!
//! A reply is `ddd-text` lines and a last `ddd text` line, all with the same code and each ended by
//! CRLF (RFC 5321 4.2). Anything else is garbage, not something to be guessed at: after it nobody
//! knows which reply belongs to which command. What is read is built anew as a [`Reply`], never
//! copied on.

use super::reply::{Enhanced, Reply};

/// The longest line with its CRLF. RFC 5321 has 512; real servers exceed it.
pub const LINE_MAX: usize = 2048;
/// The most lines of one reply.
pub const LINES_MAX: usize = 100;
/// The most octets of one reply.
pub const REPLY_MAX: usize = 16 * 1024;

/// What makes bytes no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Garbage {
    /// A line that ends with LF alone, or has a CR within.
    LineEnd,
    /// A line that does not start with three digits, 200 to 599, and a space or hyphen.
    Code,
    /// The lines of one reply have different codes.
    CodeChanged,
    LineTooLong,
    TooManyLines,
    ReplyTooLong,
}

impl Garbage {
    pub fn name(self) -> &'static str {
        match self {
            Garbage::LineEnd => "a line not ended by CRLF",
            Garbage::Code => "a line without a reply code",
            Garbage::CodeChanged => "different codes in one reply",
            Garbage::LineTooLong => "a line of more than 2048 octets",
            Garbage::TooManyLines => "a reply of more than 100 lines",
            Garbage::ReplyTooLong => "a reply of more than 16 KiB",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    NeedMore,
    Reply(Reply),
    Garbage(Garbage),
}

/// The state of one reply while its bytes arrive. After a [`Parsed::Reply`] it is as new; after
/// [`Parsed::Garbage`] it must not be fed again.
#[derive(Debug, Default)]
pub struct ReplyParser {
    /// A line whose end has not come yet.
    partial: Vec<u8>,
    code: u16,
    enhanced: Option<Enhanced>,
    text: String,
    lines: usize,
    octets: usize,
}

impl ReplyParser {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes up to the end of the reply. Returns how many were taken: the others belong to
    /// what comes after this reply.
    pub fn feed(&mut self, input: &[u8]) -> (usize, Parsed) {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            let end = memchr::memchr(b'\n', rest);
            let piece = end.map_or(rest, |at| rest.get(..=at).unwrap_or(rest));
            taken += piece.len();
            self.octets += piece.len();
            if self.partial.len() + piece.len() > LINE_MAX {
                return (taken, Parsed::Garbage(Garbage::LineTooLong));
            }
            if self.octets > REPLY_MAX {
                return (taken, Parsed::Garbage(Garbage::ReplyTooLong));
            }
            if end.is_none() {
                self.partial.extend_from_slice(piece);
                break;
            }
            let outcome = if self.partial.is_empty() {
                self.line(piece)
            } else {
                let mut line = std::mem::take(&mut self.partial);
                line.extend_from_slice(piece);
                self.line(&line)
            };
            match outcome {
                Err(garbage) => return (taken, Parsed::Garbage(garbage)),
                Ok(false) => {}
                Ok(true) => return (taken, Parsed::Reply(self.finish())),
            }
        }
        (taken, Parsed::NeedMore)
    }

    /// One line with its LF; true if it is the last of the reply.
    fn line(&mut self, line: &[u8]) -> Result<bool, Garbage> {
        let line = line.strip_suffix(b"\r\n").ok_or(Garbage::LineEnd)?;
        if memchr::memchr(b'\r', line).is_some() {
            return Err(Garbage::LineEnd);
        }
        let (code, rest) = line.split_first_chunk::<3>().ok_or(Garbage::Code)?;
        let code = digits(code).filter(|c| (200..=599).contains(c)).ok_or(Garbage::Code)?;
        let (last, text) = match rest.split_first() {
            None => (true, rest),
            Some((b' ', text)) => (true, text),
            Some((b'-', text)) => (false, text),
            Some(_) => return Err(Garbage::Code),
        };
        self.lines += 1;
        if self.lines > LINES_MAX {
            return Err(Garbage::TooManyLines);
        }
        let text = match split_enhanced(text, code / 100) {
            Some((enhanced, text)) if self.lines == 1 => {
                self.enhanced = Some(enhanced);
                text
            }
            Some((enhanced, text)) if self.enhanced == Some(enhanced) => text,
            _ => text,
        };
        if self.lines == 1 {
            self.code = code;
        } else if self.code != code {
            return Err(Garbage::CodeChanged);
        } else {
            self.text.push('\n');
        }
        self.text.push_str(&String::from_utf8_lossy(text));
        Ok(last)
    }

    fn finish(&mut self) -> Reply {
        let done = std::mem::take(self);
        match done.enhanced {
            Some(enhanced) => Reply::new(done.code, enhanced, done.text),
            None => Reply::bare(done.code, done.text),
        }
    }
}

fn digits(text: &[u8]) -> Option<u16> {
    if text.is_empty() || text.len() > 3 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0')))
}

/// `5.7.1 text` of the class of the basic code (RFC 2034 4). A code of another class is left in
/// the text: it says nothing that could be trusted.
fn split_enhanced(text: &[u8], class: u16) -> Option<(Enhanced, &[u8])> {
    if !matches!(class, 2 | 4 | 5) {
        return None;
    }
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    let (code, rest) = text.split_at_checked(end)?;
    let mut parts = code.split(|b| *b == b'.');
    let (first, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || first.len() != 1 || digits(first)? != class {
        return None;
    }
    let enhanced = Enhanced::new(digits(subject)?, digits(detail)?);
    Some((enhanced, rest.strip_prefix(b" ").unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(input: &str) -> (usize, Parsed) {
        ReplyParser::new().feed(input.as_bytes())
    }

    fn line(input: &str) -> String {
        match parse(input) {
            (used, Parsed::Reply(reply)) if used == input.len() => reply.to_line(),
            other => panic!("{input:?} gave {other:?}"),
        }
    }

    #[test]
    fn replies_are_read_and_codes_split_off() {
        for (input, expected) in [
            ("250 2.1.0 Ok\r\n", "250 2.1.0 Ok"),
            ("250 Ok\r\n", "250 Ok"),
            ("250\r\n", "250 "),
            ("250-\r\n250 \r\n", "250  "),
            ("354 End data\r\n", "354 End data"),
            ("550-5.1.1 no\r\n550-5.1.1  such\r\n550 user\r\n", "550 5.1.1 no  such user"),
            ("550-no\r\n550 5.1.1 user\r\n", "550 no 5.1.1 user"),
            ("550 5.7.1\r\n", "550 5.7.1 "),
            ("550 4.7.1 class\r\n", "550 4.7.1 class"),
            ("554-5.7.1 a\r\n554 5.7.2 b\r\n", "554 5.7.1 a 5.7.2 b"),
            ("550 5.1.1234 long\r\n", "550 5.1.1234 long"),
            ("550 5.+1.1 sign\r\n", "550 5.+1.1 sign"),
            ("421 4.3.2 \u{1b}[0m\0\u{e9}\r\n", "421 4.3.2 ?[0m??"),
        ] {
            assert_eq!(line(input), expected);
        }
        let Parsed::Reply(foreign) = parse("550 4.7.1 class\r\n").1 else { panic!() };
        assert_eq!(foreign.enhanced(), None);
        let Parsed::Reply(reply) = parse("550 5.7.26 x\r\n").1 else { panic!() };
        assert_eq!(reply.enhanced(), Some(Enhanced::new(7, 26)));
    }

    #[test]
    fn what_is_no_reply_is_garbage() {
        for (input, expected) in [
            ("250 ok\n", Garbage::LineEnd),
            ("\n", Garbage::LineEnd),
            ("250 a\rb\r\n", Garbage::LineEnd),
            ("250 a\r\r\n", Garbage::LineEnd),
            ("\r\n", Garbage::Code),
            ("25\r\n", Garbage::Code),
            ("25x ok\r\n", Garbage::Code),
            ("+50 ok\r\n", Garbage::Code),
            ("2500 ok\r\n", Garbage::Code),
            ("250\tok\r\n", Garbage::Code),
            (" 250 ok\r\n", Garbage::Code),
            ("199 ok\r\n", Garbage::Code),
            ("600 ok\r\n", Garbage::Code),
            ("HTTP/1.1 400 Bad Request\r\n", Garbage::Code),
            ("250-a\r\n251 b\r\n", Garbage::CodeChanged),
        ] {
            assert_eq!(parse(input).1, Parsed::Garbage(expected), "{input:?}");
        }
    }

    #[test]
    fn limits_hold_before_the_end_is_seen() {
        let endless = "250-x\r\n".repeat(LINES_MAX + 1);
        assert_eq!(parse(&endless).1, Parsed::Garbage(Garbage::TooManyLines));
        let long = "2".repeat(LINE_MAX + 1);
        assert_eq!(parse(&long).1, Parsed::Garbage(Garbage::LineTooLong));
        let mut drip = ReplyParser::new();
        let outcome = long.bytes().map(|b| drip.feed(&[b]).1).find(|p| *p != Parsed::NeedMore);
        assert_eq!(outcome, Some(Parsed::Garbage(Garbage::LineTooLong)));
        let big = format!("250-{}\r\n", "x".repeat(1000)).repeat(17);
        assert_eq!(parse(&big).1, Parsed::Garbage(Garbage::ReplyTooLong));
        let most = format!("{}250 x\r\n", "250-x\r\n".repeat(LINES_MAX - 1));
        assert!(matches!(parse(&most).1, Parsed::Reply(_)));
    }

    #[test]
    fn the_next_reply_is_left() {
        let mut parser = ReplyParser::new();
        let input = b"250 2.1.0 a\r\n250 b\r\n";
        let (used, first) = parser.feed(input);
        assert_eq!((used, first), (13, Parsed::Reply(Reply::new(250, Enhanced::new(1, 0), "a"))));
        assert_eq!(parser.feed(&input[used..]), (7, Parsed::Reply(Reply::bare(250, "b"))));
    }

    proptest::proptest! {
        #[test]
        fn cuts_do_not_matter(input in "[245]50[- ][a5.1 \r]{0,9}\r?\n([245]50[- ]a?\r\n){0,3}", cut in 0usize..60) {
            let whole = parse(&input);
            let cut = cut.min(input.len());
            let mut parser = ReplyParser::new();
            let (used, mut parsed) = parser.feed(&input.as_bytes()[..cut]);
            let mut total = used;
            if parsed == Parsed::NeedMore {
                let (more, last) = parser.feed(&input.as_bytes()[cut..]);
                total += more;
                parsed = last;
            }
            proptest::prop_assert_eq!((total, parsed), whole);
        }

        #[test]
        fn no_bytes_panic(input in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let (used, _) = ReplyParser::new().feed(&input);
            proptest::prop_assert!(used <= input.len());
        }
    }
}
