//! Our own Received field (RFC 5321 4.4).

use std::net::IpAddr;

use super::date;

/// Characters of one part that are printed.
const MAX_PART: usize = 255;
const LINE: usize = 78;

/// What the field says. Everything but `by` and `time` may be hostile.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// As given with EHLO or HELO; address literals with their brackets.
    pub helo: &'a str,
    /// The confirmed name of the client.
    pub client_name: Option<&'a str>,
    pub client_ip: IpAddr,
    /// Our own name.
    pub by: &'a str,
    pub protocol: Protocol,
    pub tls: Option<Tls<'a>>,
    /// Of this mail, as in the log and the replies.
    pub id: &'a str,
    /// Only when there is exactly one: a second one would learn of the first (RFC 5321 7.2).
    pub recipient: Option<&'a str>,
    /// Seconds since 1970.
    pub time: u64,
}

/// Which `WITH` keyword is true (RFC 5321 4.4, RFC 3848, RFC 6531 4.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Protocol {
    /// EHLO was given, not HELO.
    pub extended: bool,
    pub tls: bool,
    pub auth: bool,
    /// MAIL had the SMTPUTF8 parameter.
    pub utf8: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Tls<'a> {
    pub version: &'a str,
    pub cipher: &'a str,
}

impl Protocol {
    pub fn keyword(self) -> &'static str {
        match (self.utf8, self.extended, self.tls, self.auth) {
            (true, _, false, false) => "UTF8SMTP",
            (true, _, false, true) => "UTF8SMTPA",
            (true, _, true, false) => "UTF8SMTPS",
            (true, _, true, true) => "UTF8SMTPSA",
            (false, false, false, false) => "SMTP",
            // HELO within implicit TLS has no keyword of its own.
            (false, true, false, false) => "ESMTP",
            (false, _, true, false) => "ESMTPS",
            (false, _, false, true) => "ESMTPA",
            (false, _, true, true) => "ESMTPSA",
        }
    }
}

impl Received<'_> {
    /// The whole field, with its final CRLF.
    pub fn print(&self) -> Vec<u8> {
        let address = match self.client_ip.to_canonical() {
            IpAddr::V4(ip) => format!("[{ip}]"),
            IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
        };
        let name = self.client_name.map_or_else(|| "unknown".to_owned(), domain);
        let mut out = Folded::new("Received: from ");
        out.put(&domain(self.helo));
        out.word(&format!("({name} {address})"));
        if let Some(tls) = self.tls {
            let (version, cipher) = (domain(tls.version), domain(tls.cipher));
            out.line(&format!("(using {version} with cipher {cipher})"));
        }
        out.line(&format!("by {}", domain(self.by)));
        out.word(&format!("with {}", self.protocol.keyword()));
        out.word(&format!("id {}", domain(self.id)));
        if let Some(path) = self.recipient.and_then(|rcpt| path(rcpt, self.protocol.utf8)) {
            out.line(&format!("for {path}"));
        }
        out.put(";");
        out.word(&date::print(self.time));
        out.put("\r\n");
        out.text.into_bytes()
    }
}

/// What may stand in a domain, an address literal or an id; anything else becomes a question mark,
/// which has no meaning in a structured field.
fn domain(text: &str) -> String {
    if text.is_empty() {
        return "unknown".to_owned();
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    text.chars().take(MAX_PART).map(|c| if allowed(c) { c } else { '?' }).collect()
}

/// `<joe@example.com>`, if it can stand here without doubt.
fn path(rcpt: &str, utf8: bool) -> Option<String> {
    let clean = rcpt.chars().all(|c| match c {
        '<' | '>' | '(' | ')' | '\\' | '"' => false,
        '!'..='~' => true,
        c => utf8 && c > '\u{9f}' && !c.is_whitespace(),
    });
    (clean && !rcpt.is_empty() && rcpt.len() <= 2 * MAX_PART).then(|| format!("<{rcpt}>"))
}

/// Text that is folded before a word that would make a line too long.
struct Folded {
    text: String,
    column: usize,
}

impl Folded {
    fn new(start: &str) -> Self {
        Folded { text: start.to_owned(), column: start.len() }
    }

    fn put(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.len();
    }

    /// After a space, or on a new line if it does not fit.
    fn word(&mut self, text: &str) {
        if self.column + 1 + text.len() > LINE {
            return self.line(text);
        }
        self.put(" ");
        self.put(text);
    }

    /// On a new line.
    fn line(&mut self, text: &str) {
        self.text.push_str("\r\n\t");
        self.column = 8;
        self.put(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Header;

    const SENT: Received<'_> = Received {
        helo: "mail.example.org",
        client_name: Some("mail.example.org"),
        client_ip: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
        by: "mx.example.com",
        protocol: Protocol { extended: true, tls: true, auth: false, utf8: false },
        tls: Some(Tls { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384" }),
        id: "4f2k9x",
        recipient: Some("joe@example.com"),
        time: 1_764_028_799,
    };

    #[test]
    fn the_usual_field() {
        let text = String::from_utf8(SENT.print()).unwrap();
        assert_eq!(
            text,
            "Received: from mail.example.org (mail.example.org [192.0.2.1])\r\n\
             \t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n\
             \tby mx.example.com with ESMTPS id 4f2k9x\r\n\
             \tfor <joe@example.com>; Mon, 24 Nov 2025 23:59:59 +0000\r\n"
        );
    }

    #[test]
    fn no_name_no_tls_no_recipient() {
        let received = Received {
            helo: "[IPv6:2001:db8::1]",
            client_name: None,
            client_ip: "2001:db8::1".parse().unwrap(),
            protocol: Protocol::default(),
            tls: None,
            recipient: None,
            ..SENT
        };
        assert_eq!(
            String::from_utf8(received.print()).unwrap(),
            "Received: from [IPv6:2001:db8::1] (unknown [IPv6:2001:db8::1])\r\n\
             \tby mx.example.com with SMTP id 4f2k9x; Mon, 24 Nov 2025 23:59:59 +0000\r\n"
        );
    }

    #[test]
    fn hostile_parts_stay_parts() {
        let hostile = "x\r\nSubject: y) (<@;\"\\ \u{e9}\u{2028}";
        let long = "a".repeat(4000);
        for text in [hostile, &long] {
            let received = Received {
                helo: text,
                client_name: Some(text),
                id: text,
                recipient: Some(text),
                tls: Some(Tls { version: text, cipher: text }),
                ..SENT
            };
            let raw = received.print();
            assert!(raw.is_ascii());
            assert!(raw.split(|b| *b == b'\n').all(|line| line.len() < 998));
            let header = Header::parse(raw.into());
            assert_eq!(header.len(), 1);
            let value = header.fields().next().unwrap().value.to_vec();
            assert!(!value.contains(&b'<'), "no recipient in doubt");
            assert_eq!(value.iter().filter(|b| **b == b'(').count(), 2);
            assert_eq!(value.iter().filter(|b| **b == b';').count(), 1);
        }
    }

    #[test]
    fn keywords() {
        let keyword = |extended, tls, auth, utf8| Protocol { extended, tls, auth, utf8 }.keyword();
        assert_eq!(keyword(false, false, false, false), "SMTP");
        assert_eq!(keyword(true, false, false, false), "ESMTP");
        assert_eq!(keyword(true, true, false, false), "ESMTPS");
        assert_eq!(keyword(true, false, true, false), "ESMTPA");
        assert_eq!(keyword(true, true, true, false), "ESMTPSA");
        assert_eq!(keyword(true, false, false, true), "UTF8SMTP");
        assert_eq!(keyword(true, true, true, true), "UTF8SMTPSA");
    }
}
