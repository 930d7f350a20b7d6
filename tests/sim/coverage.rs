//! What was met: a run in which something never came up has shown nothing of it.

use std::collections::BTreeSet;

use portcullis::smtp::reply::Reply;
use portcullis::verdict::Reason;

use crate::backend;

/// Where a client can be when it gives a command.
pub(crate) const PLACES: &[&str] = &[
    "refused",
    "greeted",
    "hello",
    "mail",
    "mail with recipients",
    "mail without",
    "tls greeted",
    "tls hello",
    "tls mail",
    "tls mail with recipients",
    "tls mail without",
];

/// All variants of `Command`, and all that is none.
pub(crate) const COMMANDS: &[&str] = &[
    "HELO",
    "EHLO",
    "MAIL",
    "RCPT",
    "DATA",
    "BDAT",
    "RSET",
    "NOOP",
    "QUIT",
    "HELP",
    "VRFY",
    "EXPN",
    "ETRN",
    "STARTTLS",
    "AUTH",
    "obsolete",
    "forbidden",
    "HTTP",
    "UNKNOWN",
    "too long",
    "bare LF",
    "bare CR",
    "NUL",
    "arguments",
    "helo name",
    "sender",
    "recipient",
    "unknown parameter",
    "bad parameter",
    "double parameter",
    "not ASCII",
];

const RESPONSES: &[&str] = &["cancel", "base64", "malformed", "too long"];

const ENDS: &[&str] = &[
    "gone in greeting",
    "gone in command",
    "gone in response",
    "gone in data",
    "gone while waiting",
    "idle in command",
    "idle in response",
    "idle in data",
    "slow in data",
    "stopped at rest",
    "stopped in mail",
    "stopped in data",
    "stopped in response",
    "stopped while waiting",
    "TLS record",
    "TLS failed",
    "TLS done",
    "TLS injected",
    "message flawed",
    "message sound",
    "message empty",
    "message with dots",
    "message pipelined after DATA",
];

/// Given by those who admit clients, or not by the session because a listener without a certificate
/// does not offer STARTTLS.
const OF_OTHERS: &[Reason] = &[Reason::TooBusy, Reason::TooManyFromClient];

#[derive(Debug, Default)]
pub(crate) struct Coverage {
    met: BTreeSet<String>,
    reasons: BTreeSet<&'static str>,
}

impl Coverage {
    pub(crate) fn meet(&mut self, what: &str) {
        if !self.met.contains(what) {
            self.met.insert(what.to_owned());
        }
    }

    pub(crate) fn give(&mut self, reason: Reason) {
        self.reasons.insert(reason.id());
    }

    /// Finds the reason that a reply's first line tells.
    pub(crate) fn tell(&mut self, host: &str, code: u16, enhanced: Option<&str>, line: &str) {
        for reason in Reason::ALL {
            let row = reason.row();
            let text = row.text.replace("{host}", host);
            let start = text.split("{}").next().unwrap_or_default();
            let theirs = row.enhanced.map(|(subject, detail)| {
                Reply::new(row.code, portcullis::smtp::reply::Enhanced::new(subject, detail), "")
                    .enhanced_text()
                    .unwrap_or_default()
            });
            // Decisions are told by an action.
            if !row.decision
                && row.code == code
                && theirs.as_deref() == enhanced
                && line.starts_with(start)
            {
                self.give(*reason);
            }
        }
    }

    pub(crate) fn merge(&mut self, other: Coverage) {
        self.met.extend(other.met);
        self.reasons.extend(other.reasons);
    }

    pub(crate) fn missing(&self) -> Vec<String> {
        let mut wanted: Vec<String> = Vec::new();
        for place in PLACES {
            wanted.extend(COMMANDS.iter().map(|command| format!("{place}: {command}")));
        }
        for (of, kinds) in [
            ("recipient", backend::RECIPIENT),
            ("delivery", backend::DELIVERY),
            ("pass", backend::PASS),
            ("auth", backend::AUTH),
            ("response", RESPONSES),
            ("end", ENDS),
        ] {
            wanted.extend(kinds.iter().map(|kind| format!("{of}: {kind}")));
        }
        let mut missing: Vec<String> =
            wanted.into_iter().filter(|what| !self.met.contains(what)).collect();
        for reason in Reason::ALL {
            let others = OF_OTHERS.contains(reason);
            if others == self.reasons.contains(reason.id()) {
                missing.push(format!("reason {} (of others: {others})", reason.id()));
            }
        }
        missing
    }
}
