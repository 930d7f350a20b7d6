//! How the dialogue with a backend goes wrong. After each of these the connection is closed.

use std::fmt;
use std::io;

use crate::smtp::reply::Reply;

/// Where in the dialogue it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    Connect,
    Greeting,
    Xclient,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    /// The message text, before its final dot.
    Body,
    /// The reply to the final dot.
    Dot,
    Rset,
    Command,
}

impl Step {
    pub fn name(self) -> &'static str {
        match self {
            Step::Connect => "connect",
            Step::Greeting => "greeting",
            Step::Xclient => "XCLIENT",
            Step::Ehlo => "EHLO",
            Step::Mail => "MAIL",
            Step::Rcpt => "RCPT",
            Step::Data => "DATA",
            Step::Body => "message text",
            Step::Dot => "end of data",
            Step::Rset => "RSET",
            Step::Command => "command",
        }
    }
}

#[derive(Debug)]
pub enum Failure {
    /// As many connections are open as the configuration allows.
    Full,
    /// No address could be connected to; the text is the last one's error.
    Unreachable(String),
    /// The backend did not answer in time. At [`Step::Dot`] it may have taken the message.
    Timeout { step: Step },
    /// The connection ended. `after_dot`: the backend may have taken the message.
    Lost { step: Step, after_dot: bool },
    /// Something that is no reply, or no reply to what was asked.
    Garbage { step: Step, what: &'static str },
    /// The backend does not announce XCLIENT to us with what the identity needs: ADDR, NAME, and
    /// LOGIN if there is one.
    NoXclient,
    /// Any answer to XCLIENT but 220. The identity before it would still be in force.
    Identity(Reply),
    /// The backend greeted with something other than 220.
    Greeting(Reply),
    /// The backend refused the client's EHLO or HELO.
    Helo(Reply),
    /// 421 in place of an answer; or a refusal in the midst of the message text.
    Shutdown(Reply),
    /// The message could not be read, or was not fit to be sent. Nothing was handed over.
    Source(io::Error),
}

impl Failure {
    /// Whether the backend may have taken the message although no reply says so.
    pub fn is_after_dot(&self) -> bool {
        matches!(
            self,
            Failure::Timeout { step: Step::Dot }
                | Failure::Garbage { step: Step::Dot, .. }
                | Failure::Lost { after_dot: true, .. }
        )
    }

    /// The backend's own words, where it had some.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Failure::Identity(reply)
            | Failure::Greeting(reply)
            | Failure::Helo(reply)
            | Failure::Shutdown(reply) => Some(reply),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Full => f.write_str("all connections that the backend is allowed are in use"),
            Failure::Unreachable(error) => write!(f, "backend unreachable: {error}"),
            Failure::Timeout { step } => write!(f, "no answer from the backend at {}", step.name()),
            Failure::Lost { step, .. } => {
                write!(f, "the backend closed the connection at {}", step.name())
            }
            Failure::Garbage { step, what } => {
                write!(f, "the backend sent {what} at {}", step.name())
            }
            Failure::NoXclient => f.write_str("the backend does not announce XCLIENT"),
            Failure::Identity(reply) => write!(f, "the backend refused XCLIENT: {reply}"),
            Failure::Greeting(reply) => write!(f, "the backend refused the connection: {reply}"),
            Failure::Helo(reply) => write!(f, "the backend refused the client's HELO: {reply}"),
            Failure::Shutdown(reply) => write!(f, "the backend closes: {reply}"),
            Failure::Source(error) => write!(f, "the message can't be sent: {error}"),
        }
    }
}

impl std::error::Error for Failure {}
