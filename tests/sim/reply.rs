//! Reads what the session sends, strictly (RFC 5321 4.2, RFC 2034 4).

const LINE_MAX: usize = 512;
/// A challenge may be as long as a response (RFC 4954 4).
const CHALLENGE_MAX: usize = 12288;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// `5.7.1`
    pub(crate) enhanced: Option<String>,
    /// Without codes.
    pub(crate) lines: Vec<String>,
}

impl Reply {
    pub(crate) fn is_success(&self) -> bool {
        self.code / 100 == 2
    }
}

/// All replies of the output; a rest that is no whole reply is a fault.
pub(crate) fn parse(output: &[u8]) -> Result<Vec<Reply>, String> {
    let mut replies = Vec::new();
    let mut open: Option<Reply> = None;
    for line in output.split_inclusive(|octet| *octet == b'\n') {
        let shown = String::from_utf8_lossy(line).into_owned();
        let fault = |what: &str| Err(format!("reply line {shown:?} {what}"));
        let Some(text) = line.strip_suffix(b"\r\n") else { return fault("is not ended by CRLF") };
        if !text.iter().all(|octet| (b' '..=b'~').contains(octet)) {
            return fault("holds more than printable ASCII");
        }
        let text = String::from_utf8_lossy(text).into_owned();
        let max = if text.starts_with("334") { CHALLENGE_MAX } else { LINE_MAX };
        if line.len() > max {
            return fault("is too long");
        }
        let (Some(code), Some(separator), Some(text)) =
            (text.get(..3), text.get(3..4), text.get(4..))
        else {
            return fault("is too short");
        };
        let Ok(code) = code.parse::<u16>() else { return fault("has no code") };
        if !(200..600).contains(&code) {
            return fault("has no code");
        }
        let (enhanced, text) = split_enhanced(text);
        if let Some(enhanced) = &enhanced
            && enhanced.chars().next() != char::from_digit(u32::from(code / 100), 10)
        {
            return fault("has codes of two classes");
        }
        match &mut open {
            None => open = Some(Reply { code, enhanced, lines: vec![text.into()] }),
            Some(reply) if reply.code != code || reply.enhanced != enhanced => {
                return fault("has other codes than the line before");
            }
            Some(reply) => reply.lines.push(text.into()),
        }
        match separator {
            " " => replies.extend(open.take()),
            "-" => {}
            _ => return fault("has neither space nor hyphen"),
        }
    }
    match open {
        None => Ok(replies),
        Some(reply) => Err(format!("a reply without an end: {reply:?}")),
    }
}

fn split_enhanced(text: &str) -> (Option<String>, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let parts: Vec<&str> = word.split('.').collect();
    let number =
        |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if parts.len() == 3 && parts[0].len() == 1 && parts.iter().all(number) {
        (Some(word.into()), rest)
    } else {
        (None, text)
    }
}
