//! Log lines in Postfix's shape, so that pflogsumm, fail2ban and people's eyes can read them.
//!
//! Client-level refusals keep Postfix's phrases ("Service unavailable; Client host"); a refusal by
//! the backend is never called `reject:`, for the backend logs that itself.

use std::fmt::Write as _;

use crate::history::{By, Decision, Kind, Record};

use super::Level;

pub fn level(decision: &Decision) -> Level {
    match &decision.by {
        By::Reason(reason) if reason.starts_with("backend.") || reason.starts_with("proxy.") => {
            Level::Warning
        }
        _ => Level::Info,
    }
}

/// `NOQUEUE: reject: RCPT from unknown[198.51.100.23]: 554 5.7.1 ...; id=...; rule=...; from=<>
/// to=<> proto=ESMTP helo=<>`.
pub fn decision(record: &Record, decision: &Decision) -> String {
    let word = match (decision.kind, &decision.by) {
        (Kind::Accept, _) => "pass",
        (Kind::Warning, _) => "reject_warning",
        (_, By::Backend) => "backend-reject",
        (Kind::Defer | Kind::Reject, _) => "reject",
    };
    let mut line = format!(
        "NOQUEUE: {word}: {} from {}[{}]: {}; id={}; ",
        decision.stage,
        record.client.name,
        record.client.ip,
        Safe(&decision.reply),
        record.id
    );
    let _ = match &decision.by {
        By::Rule(rule) => write!(line, "rule={rule}; "),
        By::Reason(reason) => write!(line, "reason={reason}; "),
        By::Backend => Ok(()),
    };
    if let Some(cause) = &decision.cause {
        let _ = write!(line, "cause={}; ", Safe(cause));
    }
    if let Some(from) = &record.from {
        let _ = write!(line, "from=<{}> ", Safe(from));
    }
    for recipient in &decision.recipients {
        let _ = write!(line, "to=<{}> ", Safe(recipient));
    }
    if let Some(user) = &record.user {
        let _ = write!(line, "sasl_username={} ", Safe(user));
    }
    if !record.proto.is_empty() {
        let _ = write!(line, "proto={} ", record.proto);
    }
    let _ = write!(line, "helo=<{}>", Safe(&record.helo));
    line
}

pub fn event(level: Level, text: &str) -> String {
    match level {
        Level::Info => Safe(text).to_string(),
        Level::Warning => format!("warning: {}", Safe(text)),
        Level::Error => format!("error: {}", Safe(text)),
    }
}

/// Text of strangers, with everything unprintable shown as `?`: no line breaks, no terminal escapes,
/// no marks that turn the reading direction.
pub(crate) struct Safe<'a>(pub(crate) &'a str);

impl std::fmt::Display for Safe<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            let hidden = c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
            f.write_char(if hidden { '?' } else { c })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::record::Client;

    fn record() -> Record {
        Record {
            version: 1,
            id: "7f3k-9q2m".into(),
            time: 0,
            host: "mx1.example.com".into(),
            generation: 1,
            client: Client { ip: "198.51.100.23".into(), port: 4711, name: "unknown".into() },
            helo: "x\r\n\u{202e}".into(),
            proto: "ESMTP".into(),
            user: None,
            from: Some("b@x.example".into()),
            facts: Vec::new(),
            checks: Vec::new(),
            not_run: Vec::new(),
            rules: Vec::new(),
            decisions: Vec::new(),
        }
    }

    fn said(kind: Kind, by: By) -> String {
        let made = Decision {
            kind,
            by,
            stage: "RCPT".into(),
            reply: "554 5.7.1 Service unavailable".into(),
            recipients: vec!["joe@example.com".into()],
            cause: None,
        };
        decision(&record(), &made)
    }

    #[test]
    fn a_refusal_in_postfix_words() {
        assert_eq!(
            said(Kind::Reject, By::Rule("dnsbl".into())),
            "NOQUEUE: reject: RCPT from unknown[198.51.100.23]: 554 5.7.1 Service unavailable; \
             id=7f3k-9q2m; rule=dnsbl; from=<b@x.example> to=<joe@example.com> proto=ESMTP \
             helo=<x???>"
        );
    }

    #[test]
    fn what_is_no_refusal_of_ours_is_not_called_reject() {
        assert!(said(Kind::Reject, By::Backend).contains(" backend-reject: "));
        assert!(said(Kind::Warning, By::Rule("x".into())).contains(" reject_warning: "));
        assert!(said(Kind::Accept, By::Backend).contains(" pass: "));
    }
}
