//! What can be wrong with a command line.

/// Why a line is not a command. What the client is told of it stands in the table of reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyntaxError {
    /// Too many, too few or malformed arguments.
    Arguments {
        verb: &'static str,
        usage: &'static str,
    },
    /// The name that EHLO or HELO gives.
    HeloName,
    /// The reverse-path of MAIL.
    SenderAddress,
    /// The forward-path of RCPT.
    RecipientAddress,
    /// No parameter that we know has this name.
    UnknownParameter(Box<str>),
    /// The value is missing, superfluous or malformed.
    BadParameter(Box<str>),
    DuplicateParameter(Box<str>),
    /// Octets above 127 where SMTPUTF8 does not allow them, or not UTF-8.
    NotAscii,
}
