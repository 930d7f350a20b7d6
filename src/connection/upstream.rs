//! The session's side of the backend: opened late, told of the mail when the first recipient comes,
//! and made good once when the connection goes away before the message is on its way.

use std::sync::Arc;
use std::time::Duration;

use crate::message::{Edits, Message, MessageReader};
use crate::relay::{Backend, Connection, Failure, Identity, MessageSource};
use crate::session::Transaction;
use crate::smtp::params::RcptCommand;
use crate::smtp::reply::Reply;
use crate::verdict::{Cleared, Reason};

/// For a line of a SASL exchange and for commands that are passed on: the backend may take its time
/// to check a password, the client waits at least five minutes.
const COMMAND_TIME: Duration = Duration::from_secs(120);

pub(super) struct Upstream {
    backend: Arc<Backend>,
    connection: Option<Box<Connection>>,
    mail: Mail,
    /// The backend knows the user: a new connection would not.
    authenticated: bool,
}

/// What the backend knows of the mail.
enum Mail {
    Unknown,
    /// MAIL was accepted.
    Told,
    /// MAIL was refused, and this is what each recipient is answered.
    Refused(Reply),
    /// A mail that is over: RSET is due before the next.
    Stale,
    /// In the midst of a SASL exchange, which nothing but its end can end.
    Sasl,
}

/// Why there is no reply to pass on.
pub(super) struct Trouble {
    pub reason: Reason,
    pub cause: String,
    /// The backend's 421 in its own words.
    pub shutdown: Option<Reply>,
}

impl Upstream {
    pub(super) fn new(backend: Arc<Backend>) -> Upstream {
        Upstream { backend, connection: None, mail: Mail::Unknown, authenticated: false }
    }

    /// Gives the backend a recipient, and before it whatever it must know first.
    pub(super) async fn recipient(
        &mut self,
        identity: &Identity,
        mail: &Transaction,
        rcpt: &RcptCommand,
    ) -> Result<Reply, Trouble> {
        let line = rcpt_line(rcpt);
        if let Mail::Refused(reply) = &self.mail {
            return Ok(reply.clone());
        }
        self.freshen().await?;
        if matches!(self.mail, Mail::Told) {
            if let Some(connection) = &mut self.connection {
                let reply = connection.rcpt(&line).await;
                return self.checked(reply);
            }
            self.mail = Mail::Unknown;
        }
        self.connect(identity).await?;
        // Recipients that were accepted on a connection that is gone must be accepted again.
        for accepted in &mail.accepted {
            self.again(mail, accepted).await?;
        }
        self.ask(mail, &line).await
    }

    /// Sends the message. The proof is used up: after DATA there is no second try, for the first
    /// may have arrived.
    pub(super) async fn deliver(
        &mut self,
        identity: &Identity,
        mail: &Transaction,
        message: &Message,
        edits: &Edits,
        cleared: Cleared,
    ) -> Result<Reply, Trouble> {
        self.freshen().await?;
        if self.connection.is_none() {
            // The backend did not wait for the end of a slow message.
            self.mail = Mail::Unknown;
            self.connect(identity).await?;
            for accepted in &mail.accepted {
                self.again(mail, accepted).await?;
            }
        }
        let Some(connection) = &mut self.connection else { return Err(lost()) };
        let mut source = Source(message.reader(edits));
        let reply = connection.data(&mut source, cleared).await;
        let reply = self.checked(reply)?;
        self.mail = if reply.is_success() { Mail::Unknown } else { Mail::Stale };
        Ok(reply)
    }

    /// A line of a SASL exchange, or a command that is passed on.
    pub(super) async fn command(
        &mut self,
        identity: &Identity,
        line: &[u8],
        sasl: bool,
    ) -> Result<Reply, Trouble> {
        if !matches!(self.mail, Mail::Sasl) {
            self.freshen().await?;
            self.connect(identity).await?;
        }
        let Some(connection) = &mut self.connection else { return Err(lost()) };
        let reply = connection.command(line, COMMAND_TIME).await;
        let reply = self.checked(reply)?;
        if sasl {
            self.authenticated = reply.code() == 235;
            self.mail = if reply.code() == 334 { Mail::Sasl } else { Mail::Unknown };
        }
        Ok(reply)
    }

    /// The mail is over or given up.
    pub(super) fn reset(&mut self) {
        match self.mail {
            Mail::Told | Mail::Refused(_) => self.mail = Mail::Stale,
            Mail::Sasl => {
                self.connection = None;
                self.mail = Mail::Unknown;
            }
            Mail::Unknown | Mail::Stale => {}
        }
    }

    /// Nothing is known of what the backend does with what it was sent.
    pub(super) fn give_up(&mut self) {
        self.connection = None;
        self.mail = Mail::Unknown;
    }

    /// The session is over: QUIT where a connection is at rest.
    pub(super) async fn quit(&mut self) {
        if let Some(connection) = self.connection.take()
            && !matches!(self.mail, Mail::Sasl)
        {
            Box::pin(connection.quit()).await;
        }
    }

    /// The client has changed what it says of itself (EHLO anew, TLS): the backend is to hear it.
    pub(super) async fn forget(&mut self) {
        self.quit().await;
        self.mail = Mail::Unknown;
        self.authenticated = false;
    }

    /// Drops a connection that the backend has closed, and says RSET where it is due.
    async fn freshen(&mut self) -> Result<(), Trouble> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let mut usable = connection.is_usable().await;
        if usable && matches!(self.mail, Mail::Stale) {
            usable = connection.rset().await.is_ok();
        }
        if matches!(self.mail, Mail::Stale) {
            self.mail = Mail::Unknown;
        }
        if !usable {
            self.connection = None;
            if self.authenticated {
                // Only the client knows the password.
                return Err(lost());
            }
        }
        Ok(())
    }

    async fn connect(&mut self, identity: &Identity) -> Result<(), Trouble> {
        if self.connection.is_none() {
            if self.authenticated {
                return Err(lost());
            }
            match Box::pin(self.backend.open(identity)).await {
                Ok(connection) => self.connection = Some(Box::new(connection)),
                Err(failure) => return Err(failure.into()),
            }
        }
        Ok(())
    }

    /// MAIL where it is due, and RCPT.
    async fn ask(&mut self, mail: &Transaction, line: &[u8]) -> Result<Reply, Trouble> {
        let Some(connection) = &mut self.connection else { return Err(lost()) };
        if matches!(self.mail, Mail::Told) {
            let reply = connection.rcpt(line).await;
            return self.checked(reply);
        }
        let replies = connection.mail_and_rcpt(&mail_line(mail), line).await;
        let (of_mail, of_rcpt) = self.checked(replies)?;
        if !of_mail.is_success() {
            self.mail = Mail::Refused(of_mail.clone());
            return Ok(of_mail);
        }
        self.mail = Mail::Told;
        of_rcpt.ok_or_else(lost)
    }

    async fn again(&mut self, mail: &Transaction, rcpt: &RcptCommand) -> Result<(), Trouble> {
        let reply = self.ask(mail, &rcpt_line(rcpt)).await?;
        if reply.is_success() {
            return Ok(());
        }
        // Told once that it is accepted, the client must not hear of a refusal for some of them.
        self.connection = None;
        self.mail = Mail::Unknown;
        Err(Trouble { cause: format!("on a new connection: {reply}"), ..lost() })
    }

    /// After a failure the connection is not used again.
    fn checked<T>(&mut self, outcome: Result<T, Failure>) -> Result<T, Trouble> {
        outcome.map_err(|failure| {
            self.connection = None;
            self.mail = Mail::Unknown;
            failure.into()
        })
    }
}

impl Trouble {
    pub(super) fn internal(cause: &str) -> Trouble {
        Trouble { reason: Reason::Internal, cause: cause.into(), shutdown: None }
    }

    /// The client can't be made to wait any longer for an answer to its message.
    pub(super) fn too_late() -> Trouble {
        let cause = "no answer to the message in time; the backend may have taken it".into();
        Trouble { reason: Reason::BackendLost, cause, shutdown: None }
    }
}

fn lost() -> Trouble {
    Trouble {
        reason: Reason::BackendLost,
        cause: "the connection to the backend is gone".into(),
        shutdown: None,
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        use crate::relay::Step;
        let reason = match &failure {
            Failure::Full => Reason::BackendBusy,
            Failure::Unreachable(_)
            | Failure::Timeout { step: Step::Connect | Step::Greeting | Step::Ehlo } => {
                Reason::BackendDown
            }
            Failure::NoXclient | Failure::Identity(_) => Reason::BackendIdentity,
            Failure::Greeting(_) => Reason::BackendGreeting,
            Failure::Timeout { .. } | Failure::Lost { .. } | Failure::Shutdown(_) => {
                Reason::BackendLost
            }
            Failure::Garbage { .. } | Failure::Helo(_) => Reason::BackendGarbage,
            Failure::Source(_) => Reason::Internal,
        };
        let mut cause = failure.to_string();
        if failure.is_after_dot() {
            cause.push_str("; it may have taken the message");
        }
        let shutdown = match failure {
            Failure::Shutdown(reply) if reply.code() == 421 => Some(reply),
            _ => None,
        };
        Trouble { reason, cause, shutdown }
    }
}

fn mail_line(mail: &Transaction) -> Vec<u8> {
    let mut line = Vec::with_capacity(128);
    line.extend_from_slice(b"MAIL FROM:");
    line.extend_from_slice(mail.mail.path.to_string().as_bytes());
    // AUTH= is for those who may speak for others: not for us (RFC 4954 5).
    mail.mail.params.write_without_auth(&mut line);
    line
}

fn rcpt_line(rcpt: &RcptCommand) -> Vec<u8> {
    let mut line = Vec::with_capacity(128);
    line.extend_from_slice(b"RCPT TO:");
    line.extend_from_slice(rcpt.path.to_string().as_bytes());
    rcpt.params.write_to(&mut line);
    line
}

struct Source<'a>(MessageReader<'a>);

impl MessageSource for Source<'_> {
    fn next_chunk(&mut self) -> std::io::Result<Option<&[u8]>> {
        self.0.next_chunk()
    }
}
