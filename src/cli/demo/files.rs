//! The files of the demonstration: what a user would have in /etc/portcullis.

use std::net::SocketAddr;
use std::path::Path;

use super::HOST;

/// The listening addresses, in the order of the configuration's listeners.
pub(super) struct Listeners {
    /// For whoever connects by hand.
    pub(super) smtp: SocketAddr,
    pub(super) submission: SocketAddr,
    pub(super) submissions: SocketAddr,
    /// For the senders, who come with PROXY headers.
    pub(super) senders: Senders,
}

#[derive(Clone, Copy)]
pub(super) struct Senders {
    pub(super) smtp: SocketAddr,
    pub(super) submission: SocketAddr,
    pub(super) submissions: SocketAddr,
}

pub(super) fn configuration(
    folder: &Path,
    listeners: &Listeners,
    dns: SocketAddr,
    mx: SocketAddr,
    submission: SocketAddr,
) -> String {
    let folder = folder.display();
    let Listeners { smtp, submission: users, submissions: users_tls, senders } = listeners;
    let Senders { smtp: senders_smtp, submission: senders_users, submissions: senders_tls } =
        senders;
    format!(
        r#"# The configuration of the demonstration. `portcullis run` would take it as well.

hostname = "{HOST}"
profile  = "balanced"
rules    = ["rules.d/*.toml"]

# Nobody is trusted here, so that mail by hand from 127.0.0.1 is judged like a stranger's.
trusted = []

# Whose ARC seals are believed.
arc_sealers = ["alumni.example"]

# For you.
[[listener]]
address = "{smtp}"
backend = "mx"

[[listener]]
address = "{users}"
role    = "submission"
backend = "submission"

[[listener]]
address = "{users_tls}"
role    = "submissions"
backend = "submission"

# For the senders of the demonstration, whose addresses come in PROXY headers.
[[listener]]
address        = "{senders_smtp}"
backend        = "mx"
proxy_protocol = ["127.0.0.1"]

[[listener]]
address        = "{senders_users}"
role           = "submission"
backend        = "submission"
proxy_protocol = ["127.0.0.1"]

[[listener]]
address        = "{senders_tls}"
role           = "submissions"
backend        = "submission"
proxy_protocol = ["127.0.0.1"]

[backend.mx]
address = ["{mx}"]

[backend.submission]
address = ["{submission}"]

[tls]
certificate = "{folder}/certificate.pem"
key         = "{folder}/key.pem"

[dns]
servers = ["{dns}"]

# A list that works, one that at times declines to answer, and one that has closed and lists everybody.
[[dnsbl]]
zone    = "bl.demo"
weight  = 4
answers = ["127.0.0.2-11"]

[[dnsbl]]
zone    = "open.demo"
weight  = 4
answers = ["127.0.0.2-11"]

[[dnsbl]]
zone    = "dead.demo"
weight  = 4
answers = ["127.0.0.2-11"]

[limits]
drain = "2s"

[spool]
directory = "{folder}/spool"
"#
    )
}

pub(super) const RULES: &str = r#"# Your own rules. They are asked before the shipped ones, in this order.
# Change something, then send SIGHUP: a file with a mistake is not applied.

[[rate]]
name   = "demo-messages"
what   = "messages"
per    = "client.ip"
limit  = 3
within = "1m"

[[rule]]
id     = "demo-too-many"
why    = "More than three messages a minute from one client"
when   = 'rate.demo-messages'
except = 'auth.ok or client.ip in ["127.0.0.1"]'
action = "defer"
reply  = "450 4.7.0 Too much mail from {client.ip}"

# For you to try: a Subject that is refused.
[[rule]]
id     = "demo-subject"
why    = "The subject has a word that we do not want"
when   = 'header["Subject"] contains "casino"'
except = 'auth.ok'
action = "reject"
reply  = "550 5.7.1 No games here"

[[test]]
name    = "the fourth message in a minute waits"
session = { ip = "203.0.113.200", from = "news@bulk.example", rcpt = "joe@example.com" }
facts   = { rate = { demo-messages = true } }
expect  = { verdict = "defer", rule = "demo-too-many", code = "450 4.7.0" }
"#;
