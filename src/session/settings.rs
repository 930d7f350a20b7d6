//! What a session goes by: values of the configuration, compiled once and shared.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Mail from strangers (port 25). AUTH is not offered.
    Mx,
    /// Mail from our users, STARTTLS and AUTH required (port 587, RFC 6409).
    Submission,
    /// The same inside implicit TLS (port 465, RFC 8314).
    Submissions,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Mx => "mx",
            Role::Submission => "submission",
            Role::Submissions => "submissions",
        }
    }

    pub fn is_submission(self) -> bool {
        self != Role::Mx
    }
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub hostname: String,
    pub role: Role,
    /// A certificate is loaded.
    pub tls: bool,
    /// Stages before RCPT at which some rule acts.
    pub ask_connect: bool,
    pub ask_helo: bool,
    pub ask_mail: bool,
    /// Commands that are passed to the backend instead of answered here.
    pub pass_vrfy: bool,
    pub pass_expn: bool,
    pub pass_etrn: bool,
    pub limits: Limits,
}

#[derive(Debug, Clone)]
pub struct Limits {
    /// Recipients a mail.
    pub recipients: usize,
    /// Replies to wrong commands before 421.
    pub errors: u32,
    /// Failed AUTH commands before 421.
    pub auth_failures: u32,
    /// Mail transactions a session.
    pub messages: u32,
    /// Octets of a message.
    pub message_size: u64,
    /// Octets of a message line with its CRLF.
    pub line: u64,
    /// Commands other than those of a mail (NOOP, RSET, VRFY, HELP, EHLO) between two messages.
    pub idle_commands: u32,
    /// For the next whole command.
    pub command_time: Duration,
    /// For the next octets of a message.
    pub data_time: Duration,
    /// Octets a second that a message must come with, on the whole, after its first `data_time`.
    pub data_rate: u64,
}

impl Default for Limits {
    /// RFC 5321 4.5.3 where it names a figure.
    fn default() -> Self {
        Limits {
            recipients: 1000,
            errors: 20,
            auth_failures: 5,
            messages: 1000,
            message_size: 50 << 20,
            line: 64 << 10,
            idle_commands: 100,
            command_time: Duration::from_secs(300),
            data_time: Duration::from_secs(180),
            data_rate: 256,
        }
    }
}
