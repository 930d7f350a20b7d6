//! `[[rate]]`: what is counted, for whom, and how much is too much. The rule language reads it, the
//! counting goes by it, and rules see it as `rate.NAME`.

use std::time::Duration;

use super::registry::{self, FieldId};
use super::stage::Stage;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Connections,
    /// Transactions, at MAIL.
    Messages,
    Recipients,
    /// Recipients that the backend does not know.
    UnknownRecipients,
    /// Failed attempts to authenticate.
    AuthFailures,
}

impl What {
    pub const ALL: [What; 5] = [
        What::Connections,
        What::Messages,
        What::Recipients,
        What::UnknownRecipients,
        What::AuthFailures,
    ];

    /// The name used in rule files.
    pub fn name(self) -> &'static str {
        match self {
            What::Connections => "connections",
            What::Messages => "messages",
            What::Recipients => "recipients",
            What::UnknownRecipients => "unknown_recipients",
            What::AuthFailures => "auth_failures",
        }
    }

    pub fn from_name(name: &str) -> Option<What> {
        What::ALL.into_iter().find(|what| what.name() == name)
    }

    /// When it is counted; what is counted after the fact is known from then on.
    pub fn counted_at(self) -> Stage {
        match self {
            What::Connections => Stage::Connect,
            What::AuthFailures => Stage::Helo,
            What::Messages => Stage::Mail,
            What::Recipients | What::UnknownRecipients => Stage::Rcpt,
        }
    }

    /// Counted after the fact, and felt from the next connection on.
    pub fn after_the_fact(self) -> bool {
        matches!(self, What::UnknownRecipients | What::AuthFailures)
    }
}

/// Of what each value has a counter of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// The client's address; of an IPv6 client its /64, as it has all of them.
    ClientIp,
    /// The /24 or /64 of the client.
    ClientNetwork,
    From,
    FromDomain,
    Rcpt,
    RcptDomain,
    AuthUser,
    /// The local port.
    Listener,
    /// One counter for everything.
    All,
}

impl Per {
    pub const ALL: [Per; 9] = [
        Per::ClientIp,
        Per::ClientNetwork,
        Per::From,
        Per::FromDomain,
        Per::Rcpt,
        Per::RcptDomain,
        Per::AuthUser,
        Per::Listener,
        Per::All,
    ];

    /// The name used in rule files.
    pub fn name(self) -> &'static str {
        match self {
            Per::ClientIp => "client.ip",
            Per::ClientNetwork => "client.network",
            Per::From => "from",
            Per::FromDomain => "from.domain",
            Per::Rcpt => "rcpt",
            Per::RcptDomain => "rcpt.domain",
            Per::AuthUser => "auth.user",
            Per::Listener => "listener",
            Per::All => "all",
        }
    }

    pub fn from_name(name: &str) -> Option<Per> {
        Per::ALL.into_iter().find(|per| per.name() == name)
    }

    /// The field whose value it is.
    pub fn field(self) -> Option<FieldId> {
        match self {
            Per::ClientIp | Per::ClientNetwork => Some(registry::CLIENT_IP),
            Per::From => Some(registry::FROM),
            Per::FromDomain => Some(registry::FROM_DOMAIN),
            Per::Rcpt => Some(registry::RCPT),
            Per::RcptDomain => Some(registry::RCPT_DOMAIN),
            Per::AuthUser => Some(registry::AUTH_USER),
            Per::Listener => Some(registry::LISTENER_PORT),
            Per::All => None,
        }
    }

    fn known_at(self) -> Stage {
        self.field().map_or(Stage::Connect, |field| field.get().stage)
    }
}

/// A declared rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// Lower case; read in rules as `rate.NAME`.
    pub name: String,
    pub what: What,
    /// Each combination of their values has a counter of its own; none is the same as [`Per::All`].
    pub per: Vec<Per>,
    /// So many at once after a quiet time, and in the long run so many within `within`: never more
    /// than twice as many in any stretch of that length.
    pub limit: u32,
    pub within: Duration,
}

impl Rate {
    /// The earliest stage at which `rate.NAME` is known. The registry says `connect` for all.
    pub fn stage(&self) -> Stage {
        let known = self.per.iter().map(|per| per.known_at()).max().unwrap_or(Stage::Connect);
        if self.what.after_the_fact() { known } else { known.max(self.what.counted_at()) }
    }

    /// A `per` that is not known yet when the event is counted: such a rate would count nothing.
    pub fn unknowable(&self) -> Option<Per> {
        self.per.iter().copied().find(|per| per.known_at() > self.what.counted_at())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(what: What, per: &[Per]) -> Rate {
        Rate { name: "r".into(), what, per: per.into(), limit: 1, within: Duration::from_secs(60) }
    }

    #[test]
    fn when_a_rate_is_known() {
        let stage = |what, per: &[Per]| rate(what, per).stage();
        assert_eq!(stage(What::Connections, &[Per::ClientIp]), Stage::Connect);
        assert_eq!(stage(What::Messages, &[]), Stage::Mail);
        assert_eq!(stage(What::Recipients, &[Per::ClientIp]), Stage::Rcpt);
        assert_eq!(stage(What::AuthFailures, &[Per::ClientNetwork]), Stage::Connect);
        assert_eq!(stage(What::UnknownRecipients, &[Per::FromDomain]), Stage::Mail);
        assert_eq!(
            rate(What::Connections, &[Per::ClientIp, Per::From]).unknowable(),
            Some(Per::From)
        );
        assert_eq!(rate(What::AuthFailures, &[Per::AuthUser]).unknowable(), Some(Per::AuthUser));
        assert_eq!(rate(What::Recipients, &Per::ALL).unknowable(), None);
        for what in What::ALL {
            assert_eq!(What::from_name(what.name()), Some(what));
        }
        for per in Per::ALL {
            assert_eq!(Per::from_name(per.name()), Some(per));
        }
    }
}
