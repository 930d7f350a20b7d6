//! The session's side of the backend: opened late, told of the mail when the first recipient comes,
//! and made good once when the connection goes away before the message is on its way.

use std::io::Write as _;
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
    /// The name that the client gave itself when the connection was opened.
    helo: Box<str>,
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
        let (connection, helo, mail) = (None, Box::default(), Mail::Unknown);
        Upstream { backend, connection, helo, mail, authenticated: false }
    }

    /// Gives the backend a recipient, and before it whatever it must know first.
    pub(super) async fn recipient(
        &mut self,
        identity: &Identity<'_>,
        mail: &Transaction,
        rcpt: &RcptCommand,
    ) -> Result<Reply, Trouble> {
        if let Mail::Refused(reply) = &self.mail {
            return Ok(reply.clone());
        }
        self.tell(identity, mail).await?;
        self.ask(mail, rcpt).await
    }

    /// Sends the message. The proof is used up: after DATA there is no second try, for the first
    /// may have arrived.
    pub(super) async fn deliver(
        &mut self,
        identity: &Identity<'_>,
        mail: &Transaction,
        message: &Message,
        edits: &Edits,
        cleared: Cleared,
    ) -> Result<Reply, Trouble> {
        self.tell(identity, mail).await?;
        let Some(connection) = &mut self.connection else { return Err(lost()) };
        let mut source = Source(message.reader(edits));
        let reply = connection.data(&mut source, cleared).await;
        let reply = self.checked(reply)?;
        self.mail = if reply.is_success() { Mail::Unknown } else { Mail::Stale };
        Ok(reply)
    }

    /// Brings the backend to where the client is. It may not have waited for the end of a slow
    /// message: recipients that were accepted on a connection that is gone must be accepted again.
    async fn tell(&mut self, identity: &Identity<'_>, mail: &Transaction) -> Result<(), Trouble> {
        self.connect(identity).await?;
        if !matches!(self.mail, Mail::Told) {
            for accepted in &mail.accepted {
                self.again(mail, accepted).await?;
            }
        }
        Ok(())
    }

    /// A line of a SASL exchange, or a command that is passed on.
    pub(super) async fn command(
        &mut self,
        identity: &Identity<'_>,
        line: &[u8],
        sasl: bool,
    ) -> Result<Reply, Trouble> {
        if !matches!(self.mail, Mail::Sasl) {
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
            Mail::Sasl => self.give_up(),
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

    /// What the client said in the clear is forgotten (RFC 3207 4.2), at the backend too.
    pub(super) async fn forget(&mut self) {
        self.quit().await;
        self.mail = Mail::Unknown;
        self.authenticated = false;
    }

    /// Sees to it that there is a connection, at rest or in this mail, that speaks for this client.
    /// One that is not, because the backend has closed it or the client calls itself something
    /// else now, is given up.
    async fn connect(&mut self, identity: &Identity<'_>) -> Result<(), Trouble> {
        if let Some(connection) = &mut self.connection {
            let renamed = *self.helo != *identity.helo && !self.authenticated;
            let mut usable = !renamed && connection.is_usable().await;
            if let Mail::Stale = self.mail {
                usable = usable && connection.rset().await.is_ok();
                self.mail = Mail::Unknown;
            }
            if usable {
                return Ok(());
            }
            if renamed {
                self.quit().await;
            }
            self.give_up();
        }
        if self.authenticated {
            // Only the client knows the password.
            return Err(lost());
        }
        let connection = Box::pin(self.backend.open(identity)).await?;
        self.connection = Some(Box::new(connection));
        self.helo = identity.helo.into();
        Ok(())
    }

    /// MAIL where it is due, and RCPT.
    async fn ask(&mut self, mail: &Transaction, rcpt: &RcptCommand) -> Result<Reply, Trouble> {
        let Some(connection) = &mut self.connection else { return Err(lost()) };
        let line = rcpt_line(rcpt);
        if matches!(self.mail, Mail::Told) {
            let reply = connection.rcpt(&line).await;
            return self.checked(reply);
        }
        let replies = connection.mail_and_rcpt(&mail_line(mail), &line).await;
        let (of_mail, of_rcpt) = self.checked(replies)?;
        if !of_mail.is_success() {
            self.mail = Mail::Refused(of_mail.clone());
            return Ok(of_mail);
        }
        self.mail = Mail::Told;
        of_rcpt.ok_or_else(lost)
    }

    async fn again(&mut self, mail: &Transaction, rcpt: &RcptCommand) -> Result<(), Trouble> {
        let reply = self.ask(mail, rcpt).await?;
        if reply.is_success() {
            return Ok(());
        }
        // Told once that it is accepted, the client must not hear of a refusal for some of them.
        self.give_up();
        Err(Trouble { cause: format!("on a new connection: {reply}"), ..lost() })
    }

    /// After a failure the connection is not used again.
    fn checked<T>(&mut self, outcome: Result<T, Failure>) -> Result<T, Trouble> {
        outcome.map_err(|failure| {
            self.give_up();
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
    let _ = write!(line, "MAIL FROM:{}", mail.mail.path);
    // AUTH= is for those who may speak for others: not for us (RFC 4954 5).
    mail.mail.params.write_without_auth(&mut line);
    line
}

fn rcpt_line(rcpt: &RcptCommand) -> Vec<u8> {
    let mut line = Vec::with_capacity(128);
    let _ = write!(line, "RCPT TO:{}", rcpt.path);
    rcpt.params.write_to(&mut line);
    line
}

struct Source<'a>(MessageReader<'a>);

impl MessageSource for Source<'_> {
    fn next_chunk(&mut self) -> std::io::Result<Option<&[u8]>> {
        self.0.next_chunk()
    }
}
