//! The envelope of one mail. RSET, EHLO, STARTTLS and the end of a message drop it whole.

use crate::smtp::params::{MailCommand, RcptCommand};

#[derive(Debug)]
pub struct Transaction {
    pub mail: MailCommand,
    /// The recipients that the backend accepted, in order.
    pub accepted: Vec<RcptCommand>,
    /// The recipient that is being asked about.
    pub current: Option<RcptCommand>,
    /// The policy group of the accepted ones.
    pub group: Option<u64>,
    /// How many recipients were named, refused ones included.
    pub named: usize,
    /// The backend was told of this mail.
    pub upstream: bool,
    /// Octets of the message that were received.
    pub size: u64,
}

impl Transaction {
    pub fn new(mail: MailCommand) -> Self {
        Transaction {
            mail,
            accepted: Vec::new(),
            current: None,
            group: None,
            named: 0,
            upstream: false,
            size: 0,
        }
    }
}
