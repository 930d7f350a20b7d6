//! The stages of a session, in the order in which things become known.

/// When a field is known at the earliest, and when a rule acts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The client has connected; its address is known, nothing was said yet.
    Connect,
    /// The client has named itself by EHLO or HELO.
    Helo,
    /// MAIL FROM was given; TLS and AUTH are settled for this mail.
    Mail,
    /// One recipient was given. Refusals found earlier are given here unless a rule says otherwise.
    Rcpt,
    /// The whole message was received.
    Message,
}

impl Stage {
    pub const ALL: [Stage; 5] =
        [Stage::Connect, Stage::Helo, Stage::Mail, Stage::Rcpt, Stage::Message];

    /// The name used in rule files and logs.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Connect => "connect",
            Stage::Helo => "helo",
            Stage::Mail => "mail",
            Stage::Rcpt => "rcpt",
            Stage::Message => "message",
        }
    }

    pub fn from_name(name: &str) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| stage.name() == name)
    }
}
