//! What people see: a line a decision.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _, stdout};

use super::check::declining;
use crate::history::{By, Decision, Kind, Record};
use crate::observe::Level;
use crate::observe::line::Safe;

pub(super) struct Printer {
    color: bool,
    /// Of the senders, by the port of their session.
    titles: HashMap<u16, &'static str>,
}

impl Printer {
    pub(super) fn new() -> Printer {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Printer { color: !plain && stdout().is_terminal(), titles: HashMap::new() }
    }

    pub(super) fn introduce(&mut self, port: u16, title: &'static str) {
        self.titles.insert(port, title);
    }

    /// Whether the session is one of the senders'.
    pub(super) fn knows(&self, record: &Record) -> bool {
        self.titles.contains_key(&record.client.port)
    }

    /// A refusal is told as soon as it is made.
    pub(super) fn decided(&self, record: &Record, decision: &Decision) {
        let word = match decision.kind {
            Kind::Reject => "REJECT",
            Kind::Defer => "defer",
            Kind::Accept | Kind::Warning => return,
        };
        let (code, why) = split_code(&decision.reply);
        let by = match &decision.by {
            By::Rule(rule) => format!("rule {rule}"),
            By::Reason(reason) => reason.clone(),
            By::Backend => "said by the backend".to_owned(),
        };
        self.line(record, &format!("{word:6} {code}"), without_id(why, &record.id), &by);
    }

    /// An acceptance when all is known that led to it.
    pub(super) fn finished(&self, record: &Record) {
        if !record.decisions.iter().any(|made| made.kind == Kind::Accept) {
            return;
        }
        let mut warnings = record.decisions.iter().filter(|made| made.kind == Kind::Warning);
        let (word, by) = match warnings.next() {
            Some(made) => {
                let (_, code) = made.reply.split_once(": ").unwrap_or_default();
                let rule = made.by.name();
                ("accept (would refuse)", format!("rule {rule} only watches, else {code}"))
            }
            None => {
                match record.rules.iter().find(|found| found.action == "tag" && found.applied) {
                    Some(found) => ("accept, tagged", format!("rule {}", found.rule)),
                    None => ("accept", String::new()),
                }
            }
        };
        self.line(record, word, &findings(record), &by);
    }

    fn line(&self, record: &Record, verdict: &str, why: &str, by: &str) {
        let who = match self.titles.get(&record.client.port) {
            Some(title) => (*title).to_owned(),
            None => format!("{}, by hand", record.client.ip),
        };
        let (on, off) = match (self.color, verdict.get(..6)) {
            (false, _) => ("", ""),
            (true, Some("accept")) => ("\x1b[32m", "\x1b[0m"),
            (true, Some("REJECT")) => ("\x1b[31m", "\x1b[0m"),
            (true, _) => ("\x1b[33m", "\x1b[0m"),
        };
        let by = if by.is_empty() { String::new() } else { format!(" ({by})") };
        say(&format!(
            "{}  {on}{verdict:21}{off}  {who:28}  {}{by}  {}",
            clock(record.time),
            Safe(why),
            record.id
        ));
    }

    /// What the server says of itself; that it listens we say better.
    pub(super) fn event(&self, level: Level, text: &str) {
        if level != Level::Info || text.starts_with("reloaded") {
            let time = super::now();
            say(&format!("{}  {}", clock(time), Safe(text)));
        }
    }
}

/// Nobody may be listening: that is no reason to end.
pub(super) fn say(line: &str) {
    let _ = writeln!(stdout().lock(), "{line}");
}

/// Basic and enhanced code, and the text.
fn split_code(reply: &str) -> (String, &str) {
    let (basic, rest) = reply.split_once(' ').unwrap_or((reply, ""));
    match rest.split_once(' ') {
        Some((enhanced, text))
            if enhanced.starts_with(['2', '4', '5']) && enhanced.contains('.') =>
        {
            (format!("{basic} {enhanced}"), text)
        }
        _ => (basic.to_owned(), rest),
    }
}

/// The id stands at the end of the line anyway.
fn without_id<'a>(text: &'a str, id: &str) -> &'a str {
    text.split_once(&format!(" (id {id})")).map_or(text, |(before, _)| before)
}

/// What the checks found, in few words.
fn findings(record: &Record) -> String {
    if let Some(user) = &record.user {
        return format!("{user} has logged in");
    }
    let mut words = Vec::new();
    for (field, name) in [("spf", "SPF"), ("dkim", "DKIM"), ("arc", "ARC"), ("dmarc", "DMARC")] {
        let value = record.fact(field);
        if !matches!(value.as_str(), "" | "none") {
            words.push(format!("{name} {value}"));
        }
    }
    words.extend(declining(record).map(|zone| format!("{zone} answers an error: no listing")));
    if words.is_empty() { "nothing against it".to_owned() } else { words.join(", ") }
}

/// The time of day, UTC.
fn clock(millis: u64) -> String {
    let seconds = millis / 1000 % 86400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
