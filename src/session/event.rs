//! The whole contract between the session and the shell that does its I/O.
//!
//! The session is driven by [`Session::input`](super::Session::input) with received octets and by
//! [`Session::handle`](super::Session::handle) with events; after each, all its actions are to be
//! taken and carried out in order. An action that says so is answered by an event, and until that
//! event comes the session takes no input: one thing at a time keeps replies in order.

use std::time::Instant;

use crate::facts::Stage;
use crate::smtp::auth::Secret;
use crate::smtp::reply::Reply;
use crate::verdict::{Cleared, Reason, Verdict};

use super::id::DecisionId;

#[derive(Debug)]
pub enum Action {
    /// What is to become of this? Answered by [`Event::Decided`].
    Ask(Stage),
    /// Give the backend the recipient that is being asked for, with identity and MAIL before it
    /// where that is due. Answered by [`Event::Answered`].
    Recipient,
    /// Message octets follow: get ready to take them.
    BeginMessage,
    /// What was received of the message is not wanted.
    DropMessage,
    /// Send the message to the backend. Answered by [`Event::Answered`].
    Deliver(Cleared),
    /// The mail transaction is over or given up: the backend's is to be reset before the next.
    Reset,
    /// Relay a line of a SASL exchange. Answered by [`Event::Answered`].
    Auth(Secret<Vec<u8>>),
    /// Relay a command that the administrator lets through. Answered by [`Event::Answered`].
    Pass(Vec<u8>),
    /// The output is to be sent, then the TLS handshake made. Answered by [`Event::TlsDone`] or
    /// [`Event::TlsFailed`].
    StartTls,
    /// A refusal that is a decision was given: log and record it.
    Refused { id: DecisionId, stage: &'static str, reason: Reason, reply: Reply },
    /// Send the output and end the connection.
    Close,
}

#[derive(Debug)]
pub enum Event {
    Decided(Verdict),
    Answered(Answer),
    TlsDone,
    TlsFailed,
    /// The clock was looked at.
    Tick,
    /// The client has closed its side.
    ClientGone,
    /// Portcullis stops: the session ends when its mail is done.
    Shutdown,
}

/// What came of asking the backend.
#[derive(Debug)]
pub enum Answer {
    Reply(Reply),
    /// There was no usable reply, and this is what the client is told.
    Failed(Reason),
}

/// What the session wants the shell to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// Octets from the client, until then.
    Input { deadline: Instant },
    /// The answer to the last action.
    Answer,
    /// Nothing: it is over.
    Nothing,
}
