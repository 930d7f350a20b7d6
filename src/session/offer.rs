//! What EHLO offers: our list cut with what the backend was last seen to offer. A keyword that the
//! backend lacks would make senders bounce mail, one that we don't understand would let them say
//! what we can't check.

use std::io::Write as _;

use crate::smtp::ehlo::Capabilities;

use super::settings::Settings;

/// SASL mechanisms that can be relayed. SCRAM's channel binding and EXTERNAL would bind to a TLS
/// that ends here.
pub(super) const MECHANISMS: [&str; 2] = ["PLAIN", "LOGIN"];

pub(super) struct Offer<'a> {
    pub settings: &'a Settings,
    pub backend: Option<&'a Capabilities>,
    pub tls: bool,
    pub authenticated: bool,
}

impl Offer<'_> {
    /// The smaller of our limit and the backend's.
    pub(super) fn size(&self) -> u64 {
        let ours = self.settings.limits.message_size;
        match self.backend.and_then(|backend| backend.size) {
            Some(theirs) if theirs > 0 => ours.min(theirs),
            _ => ours,
        }
    }

    pub(super) fn starttls(&self) -> bool {
        self.settings.tls && !self.tls
    }

    pub(super) fn auth(&self) -> bool {
        self.settings.role.is_submission()
    }

    pub(super) fn mechanisms(&self) -> impl Iterator<Item = &'static str> {
        let theirs = self.backend.map_or(&[][..], |backend| &backend.auth);
        MECHANISMS
            .into_iter()
            .filter(|ours| theirs.iter().any(|theirs| theirs.eq_ignore_ascii_case(ours)))
    }

    /// Whether a parameter that needs this EHLO keyword can be taken.
    pub(super) fn has(&self, keyword: &str) -> bool {
        let Some(backend) = self.backend else { return false };
        match keyword {
            "SIZE" => true,
            "8BITMIME" => backend.eight_bit_mime,
            "SMTPUTF8" => backend.smtputf8 && backend.eight_bit_mime,
            "DSN" => backend.dsn,
            "AUTH" => self.auth(),
            _ => false,
        }
    }

    /// The whole reply to EHLO.
    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = write!(out, "250-{}\r\n250-PIPELINING\r\n", self.settings.hostname);
        let _ = write!(out, "250-SIZE {}\r\n", self.size());
        let mut keyword = |offered: bool, keyword: &str| {
            if offered {
                let _ = write!(out, "250-{keyword}\r\n");
            }
        };
        keyword(self.settings.pass_vrfy, "VRFY");
        let etrn = self.backend.is_some_and(|backend| backend.etrn);
        keyword(self.settings.pass_etrn && etrn, "ETRN");
        keyword(self.starttls(), "STARTTLS");
        if self.auth() && self.tls && !self.authenticated {
            let mechanisms = self
                .mechanisms()
                .fold(String::from("AUTH"), |line, mechanism| line + " " + mechanism);
            keyword(mechanisms != "AUTH", &mechanisms);
        }
        keyword(true, "ENHANCEDSTATUSCODES");
        for name in ["8BITMIME", "DSN", "SMTPUTF8"] {
            keyword(self.has(name), name);
        }
        out.extend_from_slice(b"250 HELP\r\n");
    }
}
