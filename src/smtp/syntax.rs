//! What can be wrong with a command line.

use super::reply::{Enhanced, Reply};

/// Why a line is not a command. The reply is [`reply`](Self::reply).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyntaxError {
    /// 501 5.5.4
    Arguments { verb: &'static str, usage: &'static str },
    /// 501 5.5.4
    HeloName,
    /// 501 5.1.7
    SenderAddress,
    /// 501 5.1.3
    RecipientAddress,
    /// 555 5.5.4
    UnknownParameter(Box<str>),
    /// 501 5.5.4: the value is missing, superfluous or malformed.
    BadParameter(Box<str>),
    /// 501 5.5.4
    DuplicateParameter(Box<str>),
    /// 500 5.5.2: octets above 127 where SMTPUTF8 does not allow them, or not UTF-8.
    NotAscii,
}

impl SyntaxError {
    pub fn reply(&self) -> Reply {
        let argument = Enhanced::new(5, 4);
        match self {
            SyntaxError::Arguments { usage, .. } => {
                Reply::new(501, argument, format!("Syntax: {usage}"))
            }
            SyntaxError::HeloName => Reply::new(501, argument, "Invalid HELO or EHLO argument"),
            SyntaxError::SenderAddress => {
                Reply::new(501, Enhanced::new(1, 7), "Bad sender address syntax")
            }
            SyntaxError::RecipientAddress => {
                Reply::new(501, Enhanced::new(1, 3), "Bad recipient address syntax")
            }
            SyntaxError::UnknownParameter(name) => {
                Reply::new(555, argument, format!("Unsupported parameter: {name}"))
            }
            SyntaxError::BadParameter(name) => {
                Reply::new(501, argument, format!("Bad value of parameter: {name}"))
            }
            SyntaxError::DuplicateParameter(name) => {
                Reply::new(501, argument, format!("Repeated parameter: {name}"))
            }
            SyntaxError::NotAscii => {
                Reply::new(500, Enhanced::new(5, 2), "Octets above 127 are not allowed here")
            }
        }
    }
}
