//! The IANA registry of enhanced status codes, and the basic codes that refuse.

/// `(subject, detail, name, classes)`; source: IANA "SMTP Enhanced Status Codes", 2024-12-06.
/// Classes are those a refusal may use: some describe only permanent or only transient states.
static REGISTRY: &[(u16, u16, &str, Classes)] = {
    use Classes::*;
    &[
        (0, 0, "Other undefined Status", Any),
        (1, 0, "Other address status", Any),
        (1, 1, "Bad destination mailbox address", Any),
        (1, 2, "Bad destination system address", Permanent),
        (1, 3, "Bad destination mailbox address syntax", Permanent),
        (1, 4, "Destination mailbox address ambiguous", Any),
        (1, 5, "Destination address valid", Success),
        (1, 6, "Destination mailbox has moved, No forwarding address", Permanent),
        (1, 7, "Bad sender's mailbox address syntax", Any),
        (1, 8, "Bad sender's system address", Any),
        (1, 9, "Message relayed to non-compliant mailer", Any),
        (1, 10, "Recipient address has null MX", Permanent),
        (2, 0, "Other or undefined mailbox status", Any),
        (2, 1, "Mailbox disabled, not accepting messages", Any),
        (2, 2, "Mailbox full", Any),
        (2, 3, "Message length exceeds administrative limit", Permanent),
        (2, 4, "Mailing list expansion problem", Any),
        (3, 0, "Other or undefined mail system status", Any),
        (3, 1, "Mail system full", Transient),
        (3, 2, "System not accepting network messages", Any),
        (3, 3, "System not capable of selected features", Any),
        (3, 4, "Message too big for system", Permanent),
        (3, 5, "System incorrectly configured", Any),
        (3, 6, "Requested priority was changed", Success),
        (4, 0, "Other or undefined network or routing status", Any),
        (4, 1, "No answer from host", Transient),
        (4, 2, "Bad connection", Transient),
        (4, 3, "Directory server failure", Any),
        (4, 4, "Unable to route", Any),
        (4, 5, "Mail system congestion", Transient),
        (4, 6, "Routing loop detected", Any),
        (4, 7, "Delivery time expired", Any),
        (5, 0, "Other or undefined protocol status", Any),
        (5, 1, "Invalid command", Permanent),
        (5, 2, "Syntax error", Permanent),
        (5, 3, "Too many recipients", Any),
        (5, 4, "Invalid command arguments", Any),
        (5, 5, "Wrong protocol version", Any),
        (5, 6, "Authentication Exchange line is too long", Permanent),
        (6, 0, "Other or undefined media error", Any),
        (6, 1, "Media not supported", Permanent),
        (6, 2, "Conversion required and prohibited", Any),
        (6, 3, "Conversion required but not supported", Any),
        (6, 4, "Conversion with loss performed", Success),
        (6, 5, "Conversion Failed", Any),
        (6, 6, "Message content not available", Any),
        (6, 7, "Non-ASCII addresses not permitted for that sender/recipient", Permanent),
        (6, 8, "UTF-8 string reply is required, but not permitted by the SMTP client", Permanent),
        (6, 9, "UTF-8 header message cannot be transferred to one or more recipients", Permanent),
        (7, 0, "Other or undefined security status", Any),
        (7, 1, "Delivery not authorized, message refused", Any),
        (7, 2, "Mailing list expansion prohibited", Permanent),
        (7, 3, "Security conversion required but not possible", Permanent),
        (7, 4, "Security features not supported", Permanent),
        (7, 5, "Cryptographic failure", Any),
        (7, 6, "Cryptographic algorithm not supported", Any),
        (7, 7, "Message integrity failure", Any),
        (7, 8, "Authentication credentials invalid", Permanent),
        (7, 9, "Authentication mechanism is too weak", Permanent),
        (7, 10, "Encryption Needed", Any),
        (7, 11, "Encryption required for requested authentication mechanism", Permanent),
        (7, 12, "A password transition is needed", Any),
        (7, 13, "User Account Disabled", Permanent),
        (7, 14, "Trust relationship required", Permanent),
        (7, 15, "Priority Level is too low", Any),
        (7, 16, "Message is too big for the specified priority", Any),
        (7, 17, "Mailbox owner has changed", Permanent),
        (7, 18, "Domain owner has changed", Permanent),
        (7, 19, "RRVS test cannot be completed", Permanent),
        (7, 20, "No passing DKIM signature found", Any),
        (7, 21, "No acceptable DKIM signature found", Any),
        (7, 22, "No valid author-matched DKIM signature found", Any),
        (7, 23, "SPF validation failed", Any),
        (7, 24, "SPF validation error", Any),
        (7, 25, "Reverse DNS validation failed", Any),
        (7, 26, "Multiple authentication checks failed", Any),
        (7, 27, "Sender address has null MX", Any),
        (7, 28, "Mail flood detected", Any),
        (7, 29, "ARC validation failure", Any),
        (7, 30, "REQUIRETLS support required", Any),
    ]
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Classes {
    Any,
    Success,
    Transient,
    Permanent,
}

/// The 4yz and 5yz basic codes of RFC 5321 4.2.3, RFC 4954, RFC 5248 and RFC 7504 that a rule may
/// answer with. 521 is left out: it says that the host never takes mail (RFC 7504 3).
const REFUSALS: &[u16] = &[
    421, 450, 451, 452, 454, 455, 500, 501, 502, 503, 504, 523, 525, 530, 550, 551, 552, 553, 554,
    555, 556,
];

pub fn may_refuse(code: u16) -> bool {
    REFUSALS.contains(&code)
}

/// The registered name of `x.subject.detail`.
pub fn name(subject: u16, detail: u16) -> Option<&'static str> {
    find(subject, detail).map(|(name, _)| name)
}

/// Whether a code fits the class digit 4 or 5.
pub(super) fn fits(class: u16, subject: u16, detail: u16) -> bool {
    find(subject, detail).is_some_and(|(_, classes)| match classes {
        Classes::Any => true,
        Classes::Success => false,
        Classes::Transient => class == 4,
        Classes::Permanent => class == 5,
    })
}

fn find(subject: u16, detail: u16) -> Option<(&'static str, Classes)> {
    REGISTRY
        .iter()
        .find(|(s, d, _, _)| (*s, *d) == (subject, detail))
        .map(|(_, _, name, classes)| (*name, *classes))
}

/// The checks one of which a refusal with this code is about (RFC 7372, RFC 7505, RFC 8617).
pub(super) fn about(subject: u16, detail: u16) -> &'static [&'static str] {
    match (subject, detail) {
        (7, 20 | 21) => &["dkim"],
        (7, 22) => &["dkim", "dmarc"],
        (7, 23) => &["spf", "spf_helo"],
        (7, 24) => &["spf", "spf_helo"],
        (7, 25) => &["iprev"],
        (7, 26) => &["dmarc", "spf", "dkim", "iprev", "arc"],
        (7, 27) => &["sender_domain"],
        (7, 29) => &["arc"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::CheckSet;

    #[test]
    fn the_registry_has_all_codes_once() {
        // 81 with X.6.10, the deprecated double of X.6.8.
        assert_eq!(REGISTRY.len(), 80);
        assert!(REGISTRY.windows(2).all(|w| (w[0].0, w[0].1) < (w[1].0, w[1].1)));
        assert_eq!(name(7, 26), Some("Multiple authentication checks failed"));
        assert_eq!(name(6, 10), None);
        assert_eq!(name(7, 31), None);
    }

    #[test]
    fn classes() {
        assert!(fits(5, 7, 1) && fits(4, 7, 1));
        assert!(fits(4, 3, 1) && !fits(5, 3, 1));
        assert!(!fits(4, 1, 10) && !fits(5, 1, 5) && !fits(5, 9, 9));
        assert!(may_refuse(554) && !may_refuse(521) && !may_refuse(250) && !may_refuse(354));
    }

    #[test]
    fn codes_are_about_checks_that_exist() {
        for (subject, detail, _, _) in REGISTRY {
            assert!(about(*subject, *detail).iter().all(|name| CheckSet::of(name).is_some()));
        }
    }
}
