//! THE table of our own replies: condition, codes, text, source.
//!
//! What rules refuse has its reply in the rule; what the backend says is passed on. All else that
//! Portcullis says to a client is a row here, and `docs/replies.md` is printed from it. The class of
//! the enhanced code is the basic code's first digit, so the two cannot disagree.

use std::io::Write as _;

use crate::smtp::reply::{Enhanced, Reply};

/// One condition and what is said about it.
#[derive(Debug)]
pub struct Row {
    /// Stable name: log field, metric label, anchor of the documentation.
    pub id: &'static str,
    pub code: u16,
    /// Subject and detail; `None` where RFC 2034 4 wants no enhanced code.
    pub enhanced: Option<(u16, u16)>,
    /// `{host}` is our name, `{}` the argument.
    pub text: &'static str,
    pub condition: &'static str,
    pub source: &'static str,
    /// A decision about a client or a mail: it is logged and recorded, and its reply ends with the
    /// decision's id. The rest is protocol.
    pub decision: bool,
    pub closes: bool,
}

macro_rules! reasons {
    ($( $name:ident $id:literal $code:literal $enhanced:expr, $text:literal, $kind:ident, $condition:literal, $source:literal; )*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $( #[doc = $condition] $name, )* }

        impl Reason {
            pub const ALL: &[Reason] = &[ $( Reason::$name, )* ];

            pub fn row(self) -> &'static Row {
                match self {
                    $( Reason::$name => &Row {
                        id: $id, code: $code, enhanced: $enhanced, text: $text,
                        condition: $condition, source: $source,
                        decision: kind!($kind), closes: $code == 421,
                    }, )*
                }
            }
        }
    };
}

macro_rules! kind {
    (Decision) => {
        true
    };
    (Protocol) => {
        false
    };
}

reasons! {
    // What goes well.
    Greeting "greeting" 220 None, "{host} ESMTP", Protocol, "a client connects", "RFC 5321 3.1";
    TlsReady "tls.ready" 220 Some((0, 0)), "Ready to start TLS", Protocol, "STARTTLS", "RFC 3207 4";
    Bye "bye" 221 Some((0, 0)), "{host} Bye", Protocol, "QUIT", "RFC 5321 4.1.1.10";
    Ok "ok" 250 Some((0, 0)), "Ok", Protocol, "NOOP, RSET", "RFC 5321 4.1.1.5, 4.1.1.9";
    MailOk "mail.ok" 250 Some((1, 0)), "Ok", Protocol, "MAIL passes syntax, parameters, limits and policy; it promises nothing", "RFC 5321 4.1.1.2";
    Help "help" 214 Some((0, 0)), "Commands: HELO EHLO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP STARTTLS AUTH; see RFC 5321", Protocol, "HELP", "RFC 5321 4.1.1.8";
    Vrfy "vrfy" 252 Some((0, 0)), "Cannot VRFY user, but will accept message and attempt delivery", Protocol, "VRFY, unless it is passed to the backend", "RFC 5321 7.3";
    StartMail "data.start" 354 None, "End data with <CR><LF>.<CR><LF>", Protocol, "DATA after at least one recipient that the backend accepted", "RFC 5321 4.1.1.4";

    // Commands.
    LineTooLong "cmd.too_long" 500 Some((5, 2)), "Command line too long", Protocol, "a command line over 2048 octets", "RFC 5321 4.5.3.1.4, 4.5.3.1.9";
    CommandBareLf "cmd.bare_lf" 500 Some((5, 2)), "Bare <LF> in command", Protocol, "a command line ended by LF alone", "RFC 5321 2.3.8";
    CommandBareCr "cmd.bare_cr" 500 Some((5, 2)), "Bare <CR> in command", Protocol, "a command line with a CR inside", "RFC 5321 2.3.8";
    CommandNul "cmd.nul" 501 Some((5, 2)), "NUL not allowed", Protocol, "a NUL in a command line", "RFC 5321 4.1.1.4";
    CommandUnknown "cmd.unknown" 500 Some((5, 2)), "Command not recognized", Protocol, "a command that is not known", "RFC 5321 4.2.4";
    CommandNotAscii "cmd.not_ascii" 500 Some((5, 2)), "Command is not ASCII", Protocol, "octets over 127 where no extension allows them", "RFC 5321 2.4";
    CommandUnimplemented "cmd.unimplemented" 502 Some((5, 1)), "Command not implemented", Protocol, "EXPN and ETRN unless they are passed to the backend; BDAT, which is not offered; STARTTLS where it is not offered", "RFC 5321 4.2.4";
    CommandObsolete "cmd.obsolete" 502 Some((5, 1)), "Command not implemented", Protocol, "SEND, SOML, SAML, TURN, ATRN", "RFC 5321 F.1, F.6";
    CommandForbidden "cmd.forbidden" 550 Some((7, 0)), "Insufficient authorization", Protocol, "XCLIENT, XFORWARD and the like from a stranger", "Postfix XCLIENT_README";
    CommandArguments "cmd.args" 501 Some((5, 4)), "Syntax: {}", Protocol, "wrong arguments of a command", "RFC 5321 4.3.2";
    CommandSequence "cmd.sequence" 503 Some((5, 1)), "Bad sequence of commands: {}", Protocol, "a command out of order", "RFC 5321 4.1.4";
    ParameterUnknown "cmd.param" 555 Some((5, 4)), "Unsupported option: {}", Protocol, "a parameter of MAIL or RCPT that is not known or whose extension is not offered", "RFC 5321 4.1.1.11";
    ParameterBad "cmd.param_value" 501 Some((5, 4)), "Bad value of option: {}", Protocol, "a parameter with a value that it can't have", "RFC 5321 4.3.2";
    ParameterTwice "cmd.dup_param" 501 Some((5, 4)), "Option given twice: {}", Protocol, "a parameter given twice", "RFC 3461 5.1";
    Http "cmd.http" 421 Some((7, 0)), "{host} This is a mail server", Decision, "an HTTP request, or a TLS handshake on a plain port", "RFC 5321 7.8";
    HeloName "helo.syntax" 501 Some((5, 4)), "Invalid EHLO or HELO argument", Protocol, "an EHLO or HELO name that is neither domain nor address literal nor anything like them", "RFC 5321 4.1.4";
    SenderSyntax "mail.syntax" 501 Some((1, 7)), "Bad sender address syntax", Protocol, "a reverse-path that does not parse", "RFC 5321 4.1.1.2";
    RecipientSyntax "rcpt.syntax" 501 Some((1, 3)), "Bad recipient address syntax", Protocol, "a forward-path that does not parse", "RFC 5321 4.1.1.3";
    SenderUtf8 "utf8.mail" 550 Some((6, 7)), "Non-ASCII sender address not permitted", Protocol, "a non-ASCII sender without SMTPUTF8", "RFC 6531 3.5";
    RecipientUtf8 "utf8.rcpt" 553 Some((6, 7)), "Non-ASCII recipient address not permitted", Protocol, "a non-ASCII recipient without SMTPUTF8", "RFC 6531 3.5";
    NoRecipients "cmd.data_no_rcpt" 554 Some((5, 1)), "No valid recipients", Protocol, "DATA after all recipients were refused", "RFC 5321 3.3";
    RefusedBefore "conn.refused" 503 Some((5, 1)), "Refused when you connected; QUIT is all that is left", Protocol, "any command but QUIT after a 554 greeting", "RFC 5321 3.1";

    // TLS and AUTH.
    TlsAgain "tls.again" 503 Some((5, 1)), "TLS is already active", Protocol, "STARTTLS inside TLS", "RFC 3207 4.2";
    TlsInjected "tls.injected" 421 Some((7, 0)), "{host} Commands were pipelined after STARTTLS", Decision, "octets sent in the clear after STARTTLS", "RFC 3207 6";
    TlsRequired "tls.required" 530 Some((7, 0)), "Must issue a STARTTLS command first", Decision, "a command before STARTTLS on a listener that requires TLS", "RFC 3207 4";
    AuthRequired "auth.required" 530 Some((7, 0)), "Authentication required", Decision, "MAIL before AUTH on a submission listener", "RFC 4954 6, RFC 6409 4.3";
    AuthNeedsTls "auth.needs_tls" 538 Some((7, 11)), "Encryption required for requested authentication mechanism", Decision, "AUTH before TLS", "RFC 4954 6";
    AuthOff "auth.off" 503 Some((5, 1)), "Authentication not enabled", Protocol, "AUTH where it is not offered", "RFC 5321 4.2.4";
    AuthMechanism "auth.unknown_mech" 504 Some((5, 4)), "Unrecognized authentication mechanism", Protocol, "a mechanism that was not offered", "RFC 4954 4";
    AuthAgain "auth.again" 503 Some((5, 1)), "Already authenticated", Protocol, "AUTH after AUTH", "RFC 4954 4";
    AuthInMail "auth.in_txn" 503 Some((5, 1)), "Mail transaction in progress", Protocol, "AUTH inside a mail transaction", "RFC 4954 4";
    AuthCancelled "auth.cancel" 501 Some((7, 0)), "Authentication aborted", Protocol, "the client sent * in the exchange", "RFC 4954 4";
    AuthBase64 "auth.base64" 501 Some((5, 2)), "Cannot decode response", Protocol, "a response that is not base64", "RFC 4954 4";
    AuthTooLong "auth.too_long" 500 Some((5, 6)), "Authentication exchange line is too long", Protocol, "a response over 12288 octets", "RFC 4954 4";
    AuthBad "auth.bad" 535 Some((7, 8)), "Authentication credentials invalid", Decision, "a backend refuses the credentials with a reply that is none of SASL's", "RFC 4954 6";
    AuthTemporary "auth.temp" 454 Some((7, 0)), "Temporary authentication failure", Decision, "the backend that checks passwords can't be asked", "RFC 4954 6";
    AuthTooMany "auth.too_many" 421 Some((7, 0)), "{host} Too many authentication failures", Decision, "too many failed AUTH commands in a session", "RFC 5321 7.8";

    // Limits.
    TooBusy "conc.global" 421 Some((3, 2)), "{host} All server ports are busy, try again later", Decision, "`limits.sessions` are open", "RFC 5321 4.2.2";
    TooManyFromClient "conc.client" 421 Some((7, 0)), "{host} Too many concurrent connections from {}", Decision, "`limits.sessions_per_client` or `limits.sessions_per_network` are open", "RFC 5321 4.2.2";
    TooManyErrors "errors.max" 421 Some((7, 0)), "{host} Too many errors", Decision, "`limits.errors` replies to wrong commands", "RFC 5321 7.8";
    TooManyMessages "txn.max" 421 Some((7, 0)), "{host} Too many messages in this session", Protocol, "`limits.messages_per_session`", "RFC 9422";
    TooManyRecipients "rcpt.too_many" 452 Some((5, 3)), "Too many recipients", Protocol, "`limits.recipients` were accepted", "RFC 5321 4.5.3.1.10";
    MixedPolicy "rcpt.mixed_policy" 452 Some((5, 3)), "Too many recipients, send this one separately", Decision, "a recipient whose rules differ from those of the recipients before it", "RFC 5321 4.1.1.4, 4.5.3.1.10";
    SizeDeclared "size.declared" 552 Some((3, 4)), "Message size exceeds fixed limit", Decision, "SIZE= over the smaller of `limits.message_size` and the backend's", "RFC 1870 6.1";
    SizeActual "size.actual" 552 Some((3, 4)), "Message too big", Decision, "a message over the limit, told after its end", "RFC 1870 6.3";
    HeaderTooBig "size.header" 552 Some((3, 4)), "Message header too big", Decision, "a message header over 1 MiB", "RFC 5321 4.5.3.1.9";
    NoSpace "size.space" 452 Some((3, 1)), "Insufficient system storage", Decision, "no room in the spool", "RFC 1870 6.1";
    Idle "idle" 421 Some((4, 2)), "{host} Timeout exceeded", Protocol, "no command, or not enough of a message, in time", "RFC 5321 4.5.3.2.7";
    Shutdown "shutdown" 421 Some((3, 2)), "{host} Service shutting down", Protocol, "Portcullis stops", "RFC 5321 3.8";

    // Messages.
    DataBareLf "data.bare_lf" 550 Some((5, 2)), "Bare <LF> received, message refused", Decision, "a message with an LF without CR", "RFC 5321 2.3.8, 4.1.1.4";
    DataBareCr "data.bare_cr" 550 Some((5, 2)), "Bare <CR> received, message refused", Decision, "a message with a CR without LF", "RFC 5321 2.3.8";
    DataNul "data.nul" 550 Some((6, 0)), "NUL in message", Decision, "a message with a NUL", "RFC 5321 4.1.1.4";
    DataLine "data.line_too_long" 554 Some((6, 0)), "Line too long", Decision, "a line over `limits.line`", "RFC 5321 4.5.3.1.6";
    Loop "data.loop" 554 Some((4, 6)), "Too many hops, mail loop suspected", Decision, "over `limits.hops` Received fields", "RFC 5321 6.3";

    // The backend and ourselves.
    BackendUnknown "backend.unknown" 421 Some((3, 2)), "{host} Service not available, try again later", Decision, "the backend was not yet reached and proved since the start", "RFC 5321 4.2.2";
    BackendDown "backend.down" 451 Some((4, 1)), "Backend does not answer, try again later", Decision, "the backend can't be reached, or does not answer in time", "RFC 5321 3.8";
    BackendBusy "backend.busy" 451 Some((4, 5)), "Too many messages at once, try again later", Decision, "`max_connections` to the backend are open", "RFC 3463 X.4.5";
    BackendIdentity "backend.identity" 451 Some((3, 5)), "Server configuration problem", Decision, "XCLIENT is not offered, or refused, or answered wrongly", "RFC 3463 X.3.5";
    BackendGreeting "backend.greeting" 451 Some((3, 2)), "Backend does not accept mail now, try again later", Decision, "the backend greets with a refusal", "RFC 3463 X.3.2";
    BackendLost "backend.lost" 451 Some((4, 2)), "Connection to backend lost, try again later", Decision, "the connection to the backend ends or fails in the middle of a mail", "RFC 5321 3.8";
    BackendGarbage "backend.garbage" 451 Some((3, 0)), "Backend answered wrongly, try again later", Decision, "the backend's reply is no SMTP reply, or makes no sense here", "RFC 5321 4.3.2";
    BackendClosing "backend.421" 421 Some((3, 2)), "{host} {}", Decision, "the backend says 421; its text is passed on", "RFC 5321 3.8";
    Internal "proxy.bug" 451 Some((3, 0)), "Internal error, try again later", Decision, "an error of our own", "RFC 5321 3.8";
}

impl Reason {
    pub fn id(self) -> &'static str {
        self.row().id
    }

    pub fn closes(self) -> bool {
        self.row().closes
    }

    /// The reply as a value, for records and for adding lines to.
    pub fn reply(self, host: &str, argument: &str) -> Reply {
        let row = self.row();
        let text = row.text.replace("{host}", host).replace("{}", argument);
        match row.enhanced {
            Some((subject, detail)) => Reply::new(row.code, Enhanced::new(subject, detail), text),
            None => Reply::bare(row.code, text),
        }
    }

    /// The reply on the wire. What is said with every mail has no argument, and is written without
    /// detour: our own words and our own name need neither folding nor cleaning.
    pub fn write_to(self, host: &str, argument: &str, out: &mut Vec<u8>) {
        let row = self.row();
        if !argument.is_empty() || row.text.contains("{}") {
            return self.reply(host, argument).write_to(out);
        }
        // Writing to a vector cannot fail.
        let _ = write!(out, "{} ", row.code);
        if let Some((subject, detail)) = row.enhanced {
            let _ = write!(out, "{}.{subject}.{detail} ", row.code / 100);
        }
        match row.text.split_once("{host}") {
            Some((before, after)) => {
                let _ = write!(out, "{before}{host}{after}");
            }
            None => out.extend_from_slice(row.text.as_bytes()),
        }
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique() {
        let mut ids: Vec<_> = Reason::ALL.iter().map(|reason| reason.id()).collect();
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert!(count > 60, "{count}");
    }

    #[test]
    fn the_short_way_writes_the_same() {
        let host = format!("{}.example.com", "mx-1".repeat(15));
        for reason in Reason::ALL {
            let (mut short, mut long) = (Vec::new(), Vec::new());
            reason.write_to(&host, "", &mut short);
            reason.reply(&host, "").write_to(&mut long);
            assert_eq!(String::from_utf8_lossy(&short), String::from_utf8_lossy(&long));
        }
    }

    #[test]
    fn a_client_cannot_write_into_our_host_name() {
        let reply = Reason::CommandArguments.reply("mx.example.com", "{host}\r\n250 ok");
        assert_eq!(reply.code(), 501);
        assert!(!reply.text().contains("mx.example.com"));
    }
}
