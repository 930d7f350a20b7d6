//! Addresses of a From field (RFC 5322 3.4, RFC 6532), read so that nobody is fooled.
//!
//! Readers differ in what they make of a malformed From field, and forgers live on the difference.
//! What could be read in two ways is not read at all. Three leniences are safe: an address that stands
//! where a display name belongs is one more author, an encoded word is a word, and so is a bracket.

use super::lexer::{Cursor, is_atext};

/// Addresses read from one field; more are not a From field.
const MAX_ADDRESSES: usize = 1000;
/// RFC 5321 4.5.3.1.1 allows 64, some senders more.
const MAX_LOCAL: usize = 255;

/// An addr-spec with its display name left aside (RFC 5322 3.4.1).
///
/// Not the mailbox of an SMTP path (in the folder `smtp`), which is kept as it was sent: this one is decoded, for comparing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddrSpec {
    /// Without quotes.
    pub local: String,
    /// In A-labels and lower case.
    pub domain: String,
}

/// The addresses of the field in order, those of groups included. `None` if it is malformed or can
/// be read in more than one way.
pub fn parse_list(value: &[u8]) -> Option<Vec<AddrSpec>> {
    let mut parser = Parser { cursor: Cursor::new(value), found: Vec::new() };
    parser.list()?;
    Some(parser.found)
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    found: Vec<AddrSpec>,
}

/// Words before `<`, `@`, `:`, or nothing.
struct Words {
    count: usize,
    /// The last, if it can be a local part.
    local: Option<String>,
    /// White space or a comment came after the last.
    gap: bool,
}

impl Parser<'_> {
    /// Addresses with commas; some may be missing (`obs-addr-list`).
    fn list(&mut self) -> Option<()> {
        loop {
            self.address(false)?;
            self.cursor.skip_cfws()?;
            if self.cursor.at_end() {
                return Some(());
            }
            self.cursor.eat(b',').then_some(())?;
        }
    }

    fn address(&mut self, in_group: bool) -> Option<()> {
        let words = self.words()?;
        match self.cursor.peek() {
            Some(b'<') => self.angle(),
            Some(b'@') => {
                self.addr_spec(words)?;
                self.cursor.skip_cfws()?;
                match self.cursor.peek() {
                    Some(b'<') => self.angle(),
                    _ => Some(()),
                }
            }
            Some(b':') if words.count > 0 && !in_group => self.group(),
            // Nothing between two commas; but a name without address is not an address.
            _ if words.count == 0 => Some(()),
            _ => None,
        }
    }

    /// `name: address, address;`
    fn group(&mut self) -> Option<()> {
        self.cursor.bump();
        loop {
            self.address(true)?;
            self.cursor.skip_cfws()?;
            match self.cursor.bump()? {
                b',' => {}
                b';' => return Some(()),
                _ => return None,
            }
        }
    }

    /// `<@route,@route:local@domain>`; white space is allowed just inside.
    fn angle(&mut self) -> Option<()> {
        self.cursor.bump();
        self.cursor.skip_cfws()?;
        let route = match self.cursor.peek() {
            Some(b'@' | b',') => self.route()?,
            _ => Vec::new(),
        };
        let words = self.words()?;
        self.addr_spec(words)?;
        let domain = self.found.last().map(|mailbox| &mailbox.domain);
        route.iter().all(|hop| Some(hop) == domain).then_some(())?;
        self.cursor.skip_cfws()?;
        self.cursor.eat(b'>').then_some(())
    }

    /// `obs-route` (RFC 5322 4.4), the colon included: the domains between. They are not authors,
    /// yet a careless reader could take them so.
    fn route(&mut self) -> Option<Vec<String>> {
        let mut domains = Vec::new();
        loop {
            self.cursor.skip_cfws()?;
            match self.cursor.bump()? {
                b',' => {}
                b':' => break,
                b'@' if domains.len() < MAX_ADDRESSES => domains.push(self.domain()?),
                _ => return None,
            }
        }
        Some(domains)
    }

    /// From `@` on.
    fn addr_spec(&mut self, words: Words) -> Option<()> {
        let local = words.local.filter(|_| words.count == 1 && !words.gap)?;
        self.cursor.eat(b'@').then_some(())?;
        let domain = self.domain()?;
        (self.found.len() < MAX_ADDRESSES).then_some(())?;
        self.found.push(AddrSpec { local, domain });
        Some(())
    }

    fn domain(&mut self) -> Option<String> {
        let domain = self.cursor.take_while(|b| is_atext(b) || b == b'.');
        a_labels(std::str::from_utf8(domain).ok()?)
    }

    fn words(&mut self) -> Option<Words> {
        let mut words = Words { count: 0, local: None, gap: false };
        loop {
            let before = self.cursor.rest().len();
            self.cursor.skip_cfws()?;
            words.gap = self.cursor.rest().len() < before;
            let local = match self.cursor.peek() {
                Some(b'"') => quoted_local(self.cursor.quoted_string()?),
                Some(b) if is_atext(b) || b == b'.' => self.atom(),
                Some(b'[' | b']') => {
                    self.cursor.bump();
                    None
                }
                _ => return Some(words),
            };
            words.count += 1;
            words.local = local;
        }
    }

    /// A run of atoms and dots (in a display name dots may be anywhere), or an encoded word, even
    /// with characters that should have been encoded. Returns the local part that it can be.
    fn atom(&mut self) -> Option<String> {
        let encoded = self.cursor.rest().starts_with(b"=?");
        let atom = self
            .cursor
            .take_while(|b| is_atext(b) || b == b'.' || (encoded && b",:;[]".contains(&b)));
        // Some readers would decode it.
        if memchr::memmem::find(atom, b"=?").is_some() {
            return None;
        }
        let dot_atom = !atom.split(|b| *b == b'.').any(<[u8]>::is_empty);
        let local = std::str::from_utf8(atom).ok()?;
        (dot_atom && local.len() <= MAX_LOCAL).then(|| local.to_owned())
    }
}

/// A quoted display name may hold anything; as a local part it must not look like more than one.
fn quoted_local(content: Vec<u8>) -> Option<String> {
    let plain = |c: char| !c.is_control() && !"@<>,;:\"\\()".contains(c);
    String::from_utf8(content)
        .ok()
        .filter(|local| local.len() <= MAX_LOCAL && !local.is_empty() && local.chars().all(plain))
}

/// A domain name as DNS has it: A-labels, lower case. `None` for what is none: address literals,
/// empty or overlong labels, a final dot, characters that no mail domain has.
pub fn a_labels(domain: &str) -> Option<String> {
    // UTS 46 may map four octets to one, so the limit on what comes in is wide.
    let ascii = (domain.len() <= 4 * 253).then(|| idna::domain_to_ascii(domain).ok())??;
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    (ascii.len() <= 253 && ascii.split('.').all(label)).then(|| ascii.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<Vec<String>> {
        let found = parse_list(value.as_bytes())?;
        Some(found.into_iter().map(|m| format!("{}@{}", m.local, m.domain)).collect())
    }

    #[test]
    fn what_can_be_read() {
        for (value, found) in [
            (" joe@example.com", &["joe@example.com"][..]),
            ("<joe@Example.COM>", &["joe@example.com"]),
            ("John Q. Public <joe@example.com>", &["joe@example.com"]),
            ("\"ceo@victim.example\" <joe@example.com>", &["joe@example.com"]),
            ("\"a, <b@c.example>, \\\"\" <joe@example.com>", &["joe@example.com"]),
            ("(ceo@victim.example (x)) joe@example.com (y)", &["joe@example.com"]),
            ("[Jira] Joe [x] <joe@example.com>", &["joe@example.com"]),
            ("joe@example.com,\r\n\tann@example.org", &["joe@example.com", "ann@example.org"]),
            (",joe@example.com,,", &["joe@example.com"]),
            (
                "Friends: joe@example.com, <ann@example.org>;",
                &["joe@example.com", "ann@example.org"],
            ),
            ("Nobody:;", &[]),
            ("", &[]),
            ("=?utf-8?q?J=C3=B6?= =?utf-8?q?Foo,_Inc.?= <joe@example.com>", &["joe@example.com"]),
            ("=?utf-8?q?Re:_(x)?= <joe@example.com>", &["joe@example.com"]),
            ("J\u{f6}e <j\u{f6}e@b\u{fc}cher.example>", &["j\u{f6}e@xn--bcher-kva.example"]),
            ("\"joe b\"@example.com", &["joe b@example.com"]),
            ("<@example.com:joe@example.com>", &["joe@example.com"]),
            ("joe@example.com <joe@example.com>", &["joe@example.com", "joe@example.com"]),
            ("ceo@victim.example <joe@example.com>", &["ceo@victim.example", "joe@example.com"]),
        ] {
            assert_eq!(
                read(value).as_deref(),
                Some(found.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>().as_slice()),
                "{value}"
            );
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways() {
        for value in [
            "joe",
            "joe@",
            "@example.com",
            "joe@[192.0.2.1]",
            "[x]joe@example.com",
            "joe[x]@example.com",
            "[x]",
            "foo@bar.example via Us <joe@example.com>",
            "joe@example.com.",
            "joe@.example.com",
            "joe @example.com",
            "joe@ example.com",
            "joe(x)@example.com",
            "joe..x@example.com",
            "joe@example.com x",
            "joe@example.com@example.org",
            "joe@example.com ann@example.org",
            "Foo, Inc. <joe@example.com>",
            "Foo @ Bar <joe@example.com>",
            "<joe@example.com> <ann@example.org>",
            "<joe@example.com> x",
            "<joe@example.com",
            "joe@example.com>",
            "<<joe@example.com>>",
            "<>",
            "x <>",
            "\"joe <joe@example.com>",
            "(joe <joe@example.com>",
            "a: joe@example.com",
            "a: b: joe@example.com;;",
            "ceo@victim.example: joe@example.com;",
            "\"ceo@victim.example\"@example.com",
            "\"ceo@victim.example> \"@example.com",
            "=?utf-8?q?ceo=40victim.example?=@example.com",
            "=?utf-8?q?ceo@victim.example?= <joe@example.com>",
            "=?utf-8?q?<ceo@victim.example>?= <joe@example.com>",
            "=?utf-8?b?Y2VvQHZpY3RpbS5leGFtcGxl?=",
            "<@victim.example:joe@example.com>",
            "<@victim.example,@example.com:joe@example.com>",
            "joe@exa\u{0}mple.com",
            "joe@exam\u{202e}ple.com",
            "joe; ann@example.com",
            "joe@example.com; ann@example.org",
            "joe@-\\.com",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
        assert_eq!(parse_list(b"j\xf6e@example.com"), None);
        assert!(read("J <joe@example.com>").is_some());
        assert!(parse_list(b"J\xf6e <joe@example.com>").is_some(), "old 8-bit display names");
        assert!(read(&"a@b.example,".repeat(MAX_ADDRESSES)).is_some());
        assert!(read(&"a@b.example,".repeat(MAX_ADDRESSES + 1)).is_none());
    }

    #[test]
    fn domains() {
        assert_eq!(a_labels("B\u{fc}cher.Example").as_deref(), Some("xn--bcher-kva.example"));
        assert_eq!(a_labels("a_b.example").as_deref(), Some("a_b.example"));
        let long = "a".repeat(64);
        for domain in ["", ".", "a..b", "a.", "[192.0.2.1]", "a b", "a/b", long.as_str()] {
            assert_eq!(a_labels(domain), None, "{domain}");
        }
        assert_eq!(a_labels(&"a.".repeat(150)), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(value: Vec<u8>) {
            let _ = parse_list(&value);
        }

        #[test]
        fn an_address_is_found_beside_any_quoted_name(name in "[ -~]{0,40}") {
            let name = name.replace(['\\', '"'], "");
            let value = format!("\"{name}\" <joe@example.com>");
            proptest::prop_assert_eq!(read(&value), Some(vec!["joe@example.com".to_owned()]));
        }
    }
}
