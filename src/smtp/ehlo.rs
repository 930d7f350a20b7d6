//! What a backend's EHLO reply offers.
//!
//! Its lines are never passed on. They are read into [`Capabilities`]; what the client sees is the
//! session's own list, cut with these.

use super::reply::Reply;

/// The attributes of XCLIENT that a server announced. Unknown ones are never sent: they are fatal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct XclientAttributes(u16);

impl XclientAttributes {
    pub const NONE: Self = Self(0);
    pub const NAME: Self = Self(1);
    pub const ADDR: Self = Self(1 << 1);
    pub const PORT: Self = Self(1 << 2);
    pub const HELO: Self = Self(1 << 3);
    pub const PROTO: Self = Self(1 << 4);
    pub const LOGIN: Self = Self(1 << 5);
    pub const REVERSE_NAME: Self = Self(1 << 6);
    pub const DESTADDR: Self = Self(1 << 7);
    pub const DESTPORT: Self = Self(1 << 8);

    const NAMES: [(&'static str, Self); 9] = [
        ("NAME", Self::NAME),
        ("ADDR", Self::ADDR),
        ("PORT", Self::PORT),
        ("HELO", Self::HELO),
        ("PROTO", Self::PROTO),
        ("LOGIN", Self::LOGIN),
        ("REVERSE_NAME", Self::REVERSE_NAME),
        ("DESTADDR", Self::DESTADDR),
        ("DESTPORT", Self::DESTPORT),
    ];

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn named(name: &str) -> Self {
        Self::NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or(Self::NONE, |(_, bit)| *bit)
    }
}

/// What a server's EHLO reply says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Octets; 0 is "no limit known" (RFC 1870 4).
    pub size: Option<u64>,
    pub pipelining: bool,
    pub eight_bit_mime: bool,
    pub smtputf8: bool,
    pub dsn: bool,
    pub chunking: bool,
    pub starttls: bool,
    pub enhanced_status_codes: bool,
    pub requiretls: bool,
    pub etrn: bool,
    pub vrfy: bool,
    /// SASL mechanisms in upper case, in the server's order, at most [`MECHANISMS_MAX`].
    pub auth: Vec<String>,
    pub xclient: XclientAttributes,
    pub xforward: bool,
}

/// More mechanisms than any server has.
pub const MECHANISMS_MAX: usize = 16;

impl Capabilities {
    /// Reads a 250 reply to EHLO. Tolerates what servers really send: lower case, several spaces
    /// (Exim's `XCLIENT  ADDR`) and `AUTH=PLAIN`. The first line, a name and a greeting, is passed over.
    pub fn parse(reply: &Reply) -> Capabilities {
        let mut found = Capabilities::default();
        for line in reply.text().split('\n').skip(1) {
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else { continue };
            found.keyword(&keyword.to_ascii_uppercase(), words);
        }
        found
    }

    fn keyword<'a>(&mut self, keyword: &str, mut words: impl Iterator<Item = &'a str>) {
        match keyword {
            "SIZE" => {
                self.size = Some(words.next().and_then(|size| size.parse().ok()).unwrap_or(0));
            }
            "PIPELINING" => self.pipelining = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "DSN" => self.dsn = true,
            "CHUNKING" => self.chunking = true,
            "STARTTLS" => self.starttls = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "REQUIRETLS" => self.requiretls = true,
            "ETRN" => self.etrn = true,
            "VRFY" => self.vrfy = true,
            "XFORWARD" => self.xforward = true,
            "XCLIENT" => {
                self.xclient = words
                    .fold(self.xclient, |known, name| known.with(XclientAttributes::named(name)));
            }
            "AUTH" => words.for_each(|word| self.mechanism(word)),
            _ => {
                if let Some(first) = keyword.strip_prefix("AUTH=") {
                    self.mechanism(first);
                    words.for_each(|word| self.mechanism(word));
                }
            }
        }
    }

    fn mechanism(&mut self, name: &str) {
        let name = name.to_ascii_uppercase();
        if !name.is_empty() && self.auth.len() < MECHANISMS_MAX && !self.auth.contains(&name) {
            self.auth.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &str) -> Capabilities {
        Capabilities::parse(&Reply::bare(250, lines))
    }

    #[test]
    fn postfix_is_understood() {
        let found = parse(
            "mail.example\nPIPELINING\nSIZE 10240000\nVRFY\nETRN\nSTARTTLS\nAUTH PLAIN LOGIN\n\
             AUTH=PLAIN LOGIN\nXCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR \
             DESTPORT\nXFORWARD NAME ADDR\nENHANCEDSTATUSCODES\n8BITMIME\nDSN\nSMTPUTF8\nCHUNKING",
        );
        let all = XclientAttributes::NAMES
            .iter()
            .fold(XclientAttributes::NONE, |all, (_, bit)| all.with(*bit));
        let expected = Capabilities {
            size: Some(10_240_000),
            pipelining: true,
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            chunking: true,
            starttls: true,
            enhanced_status_codes: true,
            requiretls: false,
            etrn: true,
            vrfy: true,
            auth: vec!["PLAIN".into(), "LOGIN".into()],
            xclient: all,
            xforward: true,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn odd_lines_are_tolerated() {
        let found =
            parse("DSN\npipelining \n\n  size\nXCLIENT  ADDR port NEWNAME\nAUTH= \nauth=cram-md5");
        assert!(found.pipelining && !found.dsn);
        assert_eq!(found.size, Some(0));
        assert_eq!(found.xclient, XclientAttributes::ADDR.with(XclientAttributes::PORT));
        assert_eq!(found.auth, ["CRAM-MD5"]);
        assert_eq!(parse("x\nSIZE 99999999999999999999999").size, Some(0));
        let many: String = (0..50).map(|n| format!(" M{n}")).collect();
        assert_eq!(parse(&format!("x\nAUTH{many}")).auth.len(), MECHANISMS_MAX);
    }
}
