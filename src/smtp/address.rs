//! Mailboxes and paths (RFC 5321 4.1.2; RFC 6531 3.3).

use std::fmt;
use std::net::IpAddr;

pub use super::host::{DOMAIN_MAX, HeloForm, helo_form, literal_ip, valid_hostname};
use super::host::{to_ascii, valid_domain};

/// Octets of a local part as sent. RFC 5321 4.5.3.1.1 has 64 as what must be taken at the least;
/// senders made by VERP and SRS are longer.
pub const LOCAL_MAX: usize = 255;
/// Octets of a path with its brackets and source route. RFC 5321 4.5.3.1.3 has 256, to go with a
/// local part of 64.
pub const PATH_MAX: usize = 512;

/// `local@domain`, spelt as it was sent. Holds no control character, and nothing that would not
/// parse again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    /// A dot-string or a quoted string with its quotes.
    pub local: Box<str>,
    /// A domain or an address literal with its brackets.
    pub domain: Box<str>,
}

impl Mailbox {
    /// Parses `local@domain` without angle brackets.
    pub fn parse(text: &str) -> Option<Mailbox> {
        let (local, rest) = take_local(text)?;
        let domain = rest.strip_prefix('@')?;
        let sound = valid_domain(domain) && text.len() + 2 <= PATH_MAX;
        sound.then(|| Mailbox { local: local.into(), domain: domain.into() })
    }

    /// Without non-ASCII characters, so that it can be sent without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii() && self.domain.is_ascii()
    }

    /// The domain in lower case and A-labels; `None` for an address literal.
    pub fn domain_ascii(&self) -> Option<String> {
        if self.domain.starts_with('[') { None } else { to_ascii(&self.domain) }
    }

    /// The local part that is meant: without quotes and backslashes.
    pub fn local_text(&self) -> String {
        let Some(quoted) = self.local.strip_prefix('"').and_then(|text| text.strip_suffix('"'))
        else {
            return self.local.to_string();
        };
        let mut text = String::with_capacity(quoted.len());
        let mut chars = quoted.chars();
        while let Some(c) = chars.next() {
            text.extend(if c == '\\' { chars.next() } else { Some(c) });
        }
        text
    }

    /// The address of an address literal.
    pub fn literal_ip(&self) -> Option<IpAddr> {
        literal_ip(&self.domain)
    }
}

impl Mailbox {
    /// Without brackets, as logs and records show it.
    pub fn address(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}@{}>", self.local, self.domain)
    }
}

/// Where bounces go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`
    Null,
    Mailbox(Mailbox),
}

impl ReversePath {
    /// Parses a path at the start of `text`; also returns what follows its `>`.
    pub fn parse_prefix(text: &str) -> Option<(ReversePath, &str)> {
        if let Some(rest) = text.strip_prefix("<>") {
            return Some((ReversePath::Null, rest));
        }
        let (mailbox, rest) = parse_path(text)?;
        Some((ReversePath::Mailbox(mailbox), rest))
    }

    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => Some(mailbox),
        }
    }

    pub fn is_ascii(&self) -> bool {
        self.mailbox().is_none_or(Mailbox::is_ascii)
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => f.write_str("<>"),
            ReversePath::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

/// Whom the mail is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain (RFC 5321 4.1.1.3), as spelt.
    Postmaster(Box<str>),
    Mailbox(Mailbox),
}

impl ForwardPath {
    /// Without brackets, as logs and records show it.
    pub fn address(&self) -> String {
        match self {
            ForwardPath::Postmaster(spelling) => spelling.to_string(),
            ForwardPath::Mailbox(mailbox) => mailbox.address(),
        }
    }

    /// Parses a path at the start of `text`; also returns what follows its `>`.
    pub fn parse_prefix(text: &str) -> Option<(ForwardPath, &str)> {
        if let Some((name, rest)) = text.strip_prefix('<').and_then(|text| text.split_once('>'))
            && name.eq_ignore_ascii_case("postmaster")
        {
            return Some((ForwardPath::Postmaster(name.into()), rest));
        }
        let (mailbox, rest) = parse_path(text)?;
        Some((ForwardPath::Mailbox(mailbox), rest))
    }

    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            ForwardPath::Postmaster(_) => None,
            ForwardPath::Mailbox(mailbox) => Some(mailbox),
        }
    }

    pub fn is_ascii(&self) -> bool {
        self.mailbox().is_none_or(Mailbox::is_ascii)
    }
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardPath::Postmaster(name) => write!(f, "<{name}>"),
            ForwardPath::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

/// `<local@domain>`, or with a source route, which is checked and dropped (RFC 5321 4.1.1.3, C).
fn parse_path(text: &str) -> Option<(Mailbox, &str)> {
    let inside = text.strip_prefix('<')?;
    let address = if inside.starts_with('@') { skip_route(inside)? } else { inside };
    let (local, rest) = take_local(address)?;
    let (domain, rest) = rest.strip_prefix('@')?.split_once('>')?;
    let sound = valid_domain(domain) && text.len() - rest.len() <= PATH_MAX;
    sound.then(|| (Mailbox { local: local.into(), domain: domain.into() }, rest))
}

/// Skips `@a,@b:`.
fn skip_route(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        rest = rest.strip_prefix('@')?;
        let end = if rest.starts_with('[') { rest.find(']')? + 1 } else { rest.find([',', ':'])? };
        let (domain, after) = rest.split_at_checked(end)?;
        if !valid_domain(domain) {
            return None;
        }
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return after.strip_prefix(':'),
        }
    }
}

/// Splits the local part off, up to the `@`.
fn take_local(text: &str) -> Option<(&str, &str)> {
    let length = if text.starts_with('"') { quoted_length(text)? } else { text.find('@')? };
    let (local, rest) = text.split_at_checked(length)?;
    let sound = local.starts_with('"') || is_dot_string(local);
    (sound && local.len() <= LOCAL_MAX).then_some((local, rest))
}

/// The length of the quoted string at the start of `text`.
fn quoted_length(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some(at + 1),
            '\\' if !matches!(chars.next()?.1, ' '..='~') => return None,
            _ if c.is_control() => return None,
            _ => {}
        }
    }
    None
}

fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_atext(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
    } else {
        !c.is_control() && !c.is_whitespace()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(text: &str) -> Option<String> {
        ForwardPath::parse_prefix(text).map(|(path, rest)| format!("{path}{rest}"))
    }

    #[test]
    fn paths() {
        for (sent, printed) in [
            ("<a@example.com>", "<a@example.com>"),
            ("<A.b+c@Example.COM> SIZE=1", "<A.b+c@Example.COM> SIZE=1"),
            ("<a@b>", "<a@b>"),
            ("<a@under_score.example>", "<a@under_score.example>"),
            ("<\"a b\"@example.com>", "<\"a b\"@example.com>"),
            ("<\"a>@\\\"b\"@example.com>", "<\"a>@\\\"b\"@example.com>"),
            ("<\"\"@example.com>", "<\"\"@example.com>"),
            ("<a@[192.0.2.1]>", "<a@[192.0.2.1]>"),
            ("<a@[IPv6:2001:db8::1]>", "<a@[IPv6:2001:db8::1]>"),
            ("<@a.example,@b.example:u@d.example>", "<u@d.example>"),
            ("<@[192.0.2.1]:u@d.example>", "<u@d.example>"),
            ("<@[IPv6:::1],@b:u@d.example>", "<u@d.example>"),
            ("<PostMaster>", "<PostMaster>"),
            ("<j\u{f6}rg@b\u{fc}cher.example>", "<j\u{f6}rg@b\u{fc}cher.example>"),
        ] {
            assert_eq!(forward(sent).as_deref(), Some(printed), "{sent}");
        }
    }

    #[test]
    fn malformed_paths() {
        for bad in [
            "",
            "<",
            "<>",
            "a@example.com",
            "<a>",
            "<a@>",
            "<@b>",
            "<a@example.com",
            "<a b@c.example>",
            "< a@c.example>",
            "<a@c.example >",
            "<a..b@c.example>",
            "<.a@c.example>",
            "<a.@c.example>",
            "<a@b@c.example>",
            "<a@-c.example>",
            "<a@c-.example>",
            "<a@c..example>",
            "<a@c.example.>",
            "<a@.c.example>",
            "<a@c!d>",
            "<\"a@c.example>",
            "<\"a\"b@c.example>",
            "<\"a\\\"@c.example>",
            "<\"a\tb\"@c.example>",
            "<\"a\\\u{e9}\"@c.example>",
            "<a@[192.0.2.256]>",
            "<a@[192.0.2.1>",
            "<a@192.0.2.1]>",
            "<a@[2001:db8::1]>",
            "<a@[IPv6:192.0.2.1]>",
            "<a@[x:y]>",
            "<a@[]>",
            "<@a.example u@d.example>",
            "<@a.example,:u@d.example>",
            "<@:u@d.example>",
            "<@a.example,@:u@d>",
            "<@a.example:>",
            "<a\u{85}@c.example>",
            "<a\u{a0}b@c.example>",
            "<a@c\u{ff1e}.example>",
            "<a@\u{ad}>",
            "<a@\u{ff20}.example>",
            "<a(b)@c.example>",
            "<\"Postmaster\">",
            "<a,b@c.example>",
            "<a@c.example,b@d.example>",
        ] {
            assert_eq!(forward(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn lengths() {
        let label = "d".repeat(63);
        let local = "l".repeat(LOCAL_MAX);
        assert!(Mailbox::parse(&format!("{local}@{label}.example")).is_some());
        assert!(Mailbox::parse(&format!("{local}l@{label}.example")).is_none());
        assert!(Mailbox::parse(&format!("{local}@{label}d.example")).is_none());
        let domain = format!("{label}.{label}.{label}.{}", "d".repeat(62));
        assert_eq!(LOCAL_MAX + domain.len() + "<@>".len(), PATH_MAX);
        for (extra, sound) in [("", true), ("d", false)] {
            let bare = format!("{local}@{domain}{extra}");
            assert_eq!(Mailbox::parse(&bare).is_some(), sound, "{}", bare.len());
            assert_eq!(forward(&format!("<{bare}>")).is_some(), sound, "{}", bare.len());
        }
        let routed = format!("<@{label}.{label}.{label}:{local}@{label}.example>");
        assert!(routed.len() > PATH_MAX);
        assert_eq!(forward(&routed), None);
    }

    #[test]
    fn null_is_no_recipient_and_postmaster_no_sender() {
        let null = ReversePath::parse_prefix("<> SIZE=1");
        assert_eq!(null, Some((ReversePath::Null, " SIZE=1")));
        assert_eq!(ReversePath::Null.to_string(), "<>");
        assert_eq!(ReversePath::parse_prefix("<postmaster>"), None);
    }

    #[test]
    fn parts_of_a_mailbox() {
        let mailbox = |text| Mailbox::parse(text).expect(text);
        assert_eq!(mailbox("\"a\\\"\\\\ b\"@c.example").local_text(), "a\"\\ b");
        assert_eq!(mailbox("a.b@c.example").local_text(), "a.b");
        assert_eq!(mailbox("a@Ex.COM").domain_ascii().as_deref(), Some("ex.com"));
        let international = mailbox("a@B\u{dc}cher.example");
        assert_eq!(international.domain_ascii().as_deref(), Some("xn--bcher-kva.example"));
        assert!(!international.is_ascii());
        let literal = mailbox("a@[ipv6:2001:DB8::1]");
        assert_eq!(literal.domain_ascii(), None);
        assert_eq!(literal.literal_ip(), "2001:db8::1".parse().ok());
        assert_eq!(mailbox("a@b.example").literal_ip(), None);
    }
}
