//! The table of options.
//!
//! Everything that can be written in the configuration file stands here once: its default, its
//! unit and range, why it is there, and whether a reload can change it. The parser takes ranges and
//! defaults from it, suggestions for mistyped keys come from it, and so do `config/portcullis.toml`
//! and `docs/options.md`.

/// One key.
#[derive(Debug)]
pub struct Opt {
    /// `limits.sessions`; `listener[].role` in `[[listener]]`; `backend.NAME.identity` in a
    /// `[backend.NAME]` of any name.
    pub path: &'static str,
    pub kind: Kind,
    pub default: Unset,
    /// What it does and why the default is what it is.
    pub doc: &'static str,
    /// Whether a reload applies a change.
    pub reload: bool,
}

/// What a key holds, with its unit and range.
#[derive(Debug)]
pub enum Kind {
    Bool,
    Int {
        min: i64,
        max: i64,
    },
    /// `"5s"`; the range in milliseconds.
    Duration {
        min: u64,
        max: u64,
    },
    /// `"50MiB"`; the range in octets.
    Size {
        min: u64,
        max: u64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A host name with a dot in it.
    Hostname,
    /// A domain, perhaps internationalised.
    Domain,
    /// Free text, at most so many octets.
    Text(usize),
    /// An absolute path.
    Path,
    /// An address and port to listen on.
    Listen,
    /// An address or `localhost`, and a port.
    Backend,
    /// An address, and a port that is 53 if not given.
    NameServer,
    /// An address, or an address with a prefix.
    Network,
    /// Answers of a DNS list.
    Answer,
    /// A pattern of rule files, relative to the configuration file.
    Glob,
    /// A list of at least so many.
    List(&'static Kind, usize),
}

/// What an option is that stands nowhere in the file.
#[derive(Debug)]
pub enum Unset {
    /// As TOML.
    Is(&'static str),
    /// Must be given; the text is an example as TOML.
    Required(&'static str),
    /// Not given means something; the texts are an example as TOML, and what it means.
    Absent(&'static str, &'static str),
}

/// The tables, in the order of the sample, and what they are for. A table without default is shown
/// as an example.
#[derive(Debug)]
pub struct Section {
    /// `""`, `limits`, `listener[]` or `backend.NAME`.
    pub path: &'static str,
    /// Only an example stands in the sample, since a file without it is the default.
    pub example: bool,
    pub doc: &'static str,
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

pub static SECTIONS: &[Section] = &[
    Section { path: "", example: false, doc: "Who we are, where mail comes in and where it goes." },
    Section {
        path: "listener[]",
        example: true,
        doc: "A listening socket in the long form, one table each; beside or instead of `listen`.",
    },
    Section {
        path: "backend.NAME",
        example: true,
        doc: "A mail server behind us in the long form, instead of `backend = \"host:port\"`. A listener names the one it uses.",
    },
    Section {
        path: "tls",
        example: true,
        doc: "TLS with clients. Without this table STARTTLS is not offered.",
    },
    Section {
        path: "dns",
        example: false,
        doc: "Where names are looked up, and how long that may take. What runs out of time is a temporary error, and that refuses nobody unless a rule says so.",
    },
    Section {
        path: "dnsbl[]",
        example: true,
        doc: "A DNS list, one table each. None is asked until you name it: their operators have terms of use. Shipped rules refuse when the weights of the lists that list a client add up to 4.",
    },
    Section {
        path: "limits",
        example: false,
        doc: "What one client, and all of them together, may use. The mail server behind us does not see how many connections a client has, so these limits are ours to keep.",
    },
    Section {
        path: "spool",
        example: false,
        doc: "Where a message waits while it is judged. Nothing is left of it afterwards.",
    },
    Section {
        path: "smtp",
        example: false,
        doc: "Commands that give things away, and the greeting.",
    },
    Section {
        path: "headers",
        example: false,
        doc: "Header fields put on top of an accepted message.",
    },
    Section { path: "reply", example: false, doc: "What senders are told when they are refused." },
    Section { path: "log", example: false, doc: "The log." },
    Section { path: "run", example: false, doc: "The process." },
    Section {
        path: "reload",
        example: false,
        doc: "What happens on SIGHUP. A file with an error is never applied: the old configuration stays.",
    },
];

macro_rules! options {
    ($( $path:literal, $kind:expr, $default:expr, $reload:ident, $doc:literal; )*) => {
        pub static OPTIONS: &[Opt] = &[
            $( Opt { path: $path, kind: $kind, default: $default, reload: options!($reload), doc: $doc }, )*
        ];
    };
    (Reload) => { true };
    (Restart) => { false };
}

use Kind::{
    Answer, Backend, Bool, Choice, Domain, Duration, Glob, Hostname, Int, List, Listen, NameServer,
    Network, Path, Size, Text,
};
use Unset::{Absent, Is, Required};

const fn duration(min: u64, max: u64) -> Kind {
    Duration { min, max }
}

const fn size(min: u64, max: u64) -> Kind {
    Size { min, max }
}

const fn int(min: i64, max: i64) -> Kind {
    Int { min, max }
}

options! {
    "hostname", Hostname, Required("\"mx1.example.com\""), Reload,
        "Our name in the banner and in replies. Should be what the address's reverse name says: other servers compare them.";
    "listen", List(&Listen, 0), Required("[\"0.0.0.0:25\", \"[::]:25\"]"), Restart,
        "Where mail from strangers comes in. `[::]` takes IPv6 only, so name both. May be left out where there are `[[listener]]` tables.";
    "backend", Backend, Required("\"127.0.0.1:10025\""), Reload,
        "The mail server that gets the accepted mail. An address, not a name: it must not depend on DNS. It has to accept XCLIENT from us, see config/postfix/README.md.";
    "mode", Choice(&["enforce", "monitor"]), Is("\"enforce\""), Reload,
        "\"monitor\": rules only log what they would have refused. Protocol, limits and the safety against relaying hold in either.";
    "profile", Choice(&["none", "minimal", "balanced", "strict"]), Is("\"balanced\""), Reload,
        "Which of the shipped rules are used. \"balanced\" refuses only what is nearly certain and watches the rest.";
    "rules", List(&Glob, 0), Is("[\"rules.d/*.toml\"]"), Reload,
        "Your own rules, read in name order before the shipped ones. Relative to this file; `*` may stand in the file name.";
    "trusted", List(&Network, 0), Is("[\"127.0.0.0/8\", \"::1\"]"), Reload,
        "Clients that the checks on strangers never judge and that are never banned: your own machines, a secondary MX. Gives no right to relay: the mail server decides that on the client's real address.";
    "authserv_id", Hostname, Absent("\"mx1.example.com\"", "the `hostname`"), Reload,
        "The name under which Authentication-Results are written; fields from outside that claim it are removed (RFC 8601 5). Give several hosts of one site the same.";
    "client_name", Bool, Is("true"), Reload,
        "Look up the client's name, and whether it leads back to the address, for the mail server and its log even when no rule uses it. Off, the mail server is told that there is none.";
    "arc_sealers", List(&Domain, 0), Is("[]"), Reload,
        "Whose ARC seals are believed about mail they passed on (RFC 8617 7.2). Empty: nobody is believed until you say so.";
    "forwarders", List(&Domain, 0), Is("[]"), Reload,
        "Domains that forward mail to your users. An SPF or DKIM pass of one of them keeps DMARC from refusing the mail (RFC 9989 7.4).";

    "listener[].address", Listen, Required("\"0.0.0.0:587\""), Restart,
        "Address and port.";
    "listener[].role", Choice(&["mx", "submission", "submissions"]), Is("\"mx\""), Reload,
        "\"mx\": mail from strangers. \"submission\": your users, port 587, TLS before AUTH and AUTH before MAIL. \"submissions\": the same with TLS from the first byte, port 465.";
    "listener[].backend", Text(64), Absent("\"submission\"", "the only backend, or the one called `default`"), Reload,
        "The NAME of a `[backend.NAME]`.";
    "listener[].proxy_protocol", List(&Network, 0), Is("[]"), Reload,
        "Load balancers that must begin with a PROXY header, version 1 or 2; nobody else may. Keep it narrow: whoever is in it can claim to be any client.";

    "backend.NAME.address", List(&Backend, 1), Required("[\"127.0.0.1:10025\"]"), Reload,
        "Addresses of the same mail system, tried in this order.";
    "backend.NAME.identity", Choice(&["xclient", NO_IDENTITY]), Is("\"xclient\""), Reload,
        "How the mail server learns who the client is. Without XCLIENT it takes every client for us and may relay for the whole world, so the other choice has a name that says what you must be sure of.";
    "backend.NAME.connect_timeout", duration(100, 30 * SECOND), Is("\"5s\""), Reload,
        "To open the TCP connection to one address. Short: the client is waiting.";
    "backend.NAME.reply_timeout", duration(SECOND, 10 * MINUTE), Is("\"5m\""), Reload,
        "For the banner and the reply to a command (RFC 5321 4.5.3.2.1 to .3).";
    "backend.NAME.data_timeout", duration(10 * SECOND, 10 * MINUTE), Is("\"5m\""), Reload,
        "For the reply after the final dot. The client waits meanwhile, 10 min by RFC 5321 4.5.3.2.6. Cutting it short doubles mail: the server may have taken it.";
    "backend.NAME.max_connections", int(1, 50_000), Is("100"), Reload,
        "Connections at one time. Postfix runs 100 processes of a service (`default_process_limit`).";

    "tls.certificate", Path, Required("\"/etc/letsencrypt/live/mx1.example.com/fullchain.pem\""), Reload,
        "PEM: the server's certificate, then the chain. A reload reads it again.";
    "tls.key", Path, Required("\"/etc/letsencrypt/live/mx1.example.com/privkey.pem\""), Reload,
        "PEM, not encrypted; the user that Portcullis runs as must be able to read it.";
    "tls.min_version", Choice(&["1.2", "1.3"]), Is("\"1.2\""), Reload,
        "Older versions are not offered at all. \"1.3\" makes servers without it fall back to plain text on port 25.";

    "dns.servers", List(&NameServer, 0), Is("[]"), Reload,
        "Recursive resolvers; empty: those of /etc/resolv.conf. Run your own: DNS lists refuse questions that come through public resolvers.";
    "dns.timeout", duration(100, 30 * SECOND), Is("\"4s\""), Reload,
        "One question, retries included.";
    "dns.message_time", duration(SECOND, MINUTE), Is("\"20s\""), Reload,
        "All checks of one message together. SPF alone must be given 20 s (RFC 7208 4.6.4); a client waits 10 min.";
    "dns.stage_time", duration(SECOND, MINUTE), Is("\"8s\""), Reload,
        "All checks of one stage before the message (connect, HELO, MAIL, RCPT) together.";
    "dns.questions", int(20, 2000), Is("200"), Reload,
        "Questions for one mail. An honest SPF record with its MX hosts may need over 100; a hostile one would like thousands.";

    "dnsbl[].zone", Domain, Required("\"zen.spamhaus.org\""), Reload,
        "The zone that is asked about the client's address (RFC 5782). May come several times, with other answers and weights.";
    "dnsbl[].weight", int(-100, 100), Required("4"), Reload,
        "What a listing adds to `dnsbl.score`. Negative for a list of good senders; not 0.";
    "dnsbl[].answers", List(&Answer, 1), Required("[\"127.0.0.2-11\"]"), Reload,
        "Answers that are listings. There is no default: with any other answer (a dead list, a refused resolver) the list has failed, not listed.";
    "dnsbl[].display", Text(253), Absent("\"zen.spamhaus.org\"", "the zone"), Reload,
        "The name shown to senders and in the log, where the zone holds your secret key.";
    "dnsbl[].addresses", List(&Choice(&["ipv4", "ipv6"]), 1), Is("[\"ipv4\", \"ipv6\"]"), Reload,
        "Which addresses the list has. Leave one out to spare the questions.";

    "limits.sessions", int(1, 50_000), Is("2000"), Reload,
        "Sessions at one time; the next client gets 421 4.3.2. Each may need four open files.";
    "limits.sessions_per_client", int(1, 50_000), Is("20"), Reload,
        "Sessions at one time of one IPv4 address or IPv6 /64. The large senders stay below it.";
    "limits.sessions_per_network", int(1, 50_000), Is("50"), Reload,
        "Sessions at one time of one IPv4 /24 or IPv6 /48, so that a hosting network cannot take all.";
    "limits.message_size", size(64 * KIB, 2 * GIB), Is("\"50MiB\""), Reload,
        "Octets of a message, announced with SIZE (RFC 1870). The mail server's own limit holds too (Postfix: 10 MB).";
    "limits.line", size(1000, 16 * MIB), Is("\"64KiB\""), Reload,
        "Octets of a message's longest line; a longer one gets 554 5.6.0. RFC 5321 4.5.3.1.6 allows 1000, but real mail has longer ones, and mail servers take them.";
    "limits.recipients", int(100, 10_000), Is("1000"), Reload,
        "Recipients of one message; more get 452 4.5.3 and are tried again. As Postfix's `smtpd_recipient_limit`; RFC 5321 4.5.3.1.8 forbids less than 100.";
    "limits.messages_per_session", int(1, 100_000), Is("1000"), Reload,
        "Messages of one session, so that no client keeps one for ever.";
    "limits.errors", int(1, 1000), Is("20"), Reload,
        "Refused commands of one session, then 421 4.7.0; as Postfix's `smtpd_hard_error_limit`.";
    "limits.auth_failures", int(1, 100), Is("5"), Reload,
        "Failed AUTH commands of one session, then 421 4.7.0.";
    "limits.idle_commands", int(1, 10_000), Is("100"), Reload,
        "NOOP, RSET, VRFY and the like between two messages; beyond it each counts as an error. As Postfix's `smtpd_junk_command_limit`.";
    "limits.hops", int(100, 1000), Is("100"), Reload,
        "`Received` fields of a message, then a loop is suspected (554 5.4.6). RFC 5321 6.3 wants at least 100.";
    "limits.command_timeout", duration(10 * SECOND, 30 * MINUTE), Is("\"5m\""), Reload,
        "For the client's next command. RFC 5321 4.5.3.2.7 wants at least 5 min.";
    "limits.data_timeout", duration(10 * SECOND, 30 * MINUTE), Is("\"3m\""), Reload,
        "For the next octets of a message. RFC 5321 4.5.3.2.5 has 3 min.";
    "limits.data_rate", size(1, MIB), Is("\"256B\""), Reload,
        "Octets a second that a message must come with, on the whole, after its first `data_timeout`: a client that sends one a minute keeps nothing open.";
    "limits.drain", duration(0, HOUR), Is("\"5m\""), Reload,
        "How long open sessions may go on when the service stops. The unit file's TimeoutStopSec must be longer.";

    "spool.directory", Path, Absent("\"/var/lib/portcullis/spool\"", "the system's directory for temporary files"), Reload,
        "Where large messages wait, in files without a name. A disk, not memory, if you can.";
    "spool.memory_per_message", size(4 * KIB, 64 * MIB), Is("\"256KiB\""), Reload,
        "Octets of a message kept in memory; the rest goes to a file. Most messages are smaller.";
    "spool.memory", size(MIB, 64 * GIB), Is("\"256MiB\""), Reload,
        "Octets of all messages in memory; then files are used from the first byte.";
    "spool.disk", size(MIB, 1024 * GIB), Is("\"2GiB\""), Reload,
        "Octets of all messages in files; the next message gets 452 4.3.1 and is tried again.";

    "smtp.vrfy", Choice(&["hide", "pass"]), Is("\"hide\""), Reload,
        "\"hide\": 252, which says nothing. \"pass\": the mail server answers, and strangers can list your users.";
    "smtp.expn", Choice(&["hide", "pass"]), Is("\"hide\""), Reload,
        "\"hide\": 502. \"pass\": the mail server answers.";
    "smtp.etrn", Choice(&["hide", "pass"]), Is("\"hide\""), Reload,
        "\"hide\": 502. \"pass\": the mail server answers; only for a secondary MX whose clients fetch mail.";
    "smtp.greet_delay", duration(0, 30 * SECOND), Is("\"0s\""), Reload,
        "How long the banner to strangers is held back to see who talks before it. Each second is a second of every honest mail; 2 s to 6 s finds bots.";

    "headers.authentication_results", Bool, Is("true"), Reload,
        "Add Authentication-Results (RFC 8601). It makes SPF, DKIM, DMARC and ARC run on every message.";
    "headers.received", Bool, Is("false"), Reload,
        "Add our own Received. Off, since the mail server's names the real client already, thanks to XCLIENT.";

    "reply.help", Text(200), Absent("\"https://example.com/mail?id={id}\"", "no link"), Reload,
        "A link at the end of each refusal; `{id}` becomes the id under which the log has it.";

    "log.to", Choice(&["stderr", "syslog"]), Is("\"stderr\""), Restart,
        "\"stderr\" ends in the journal under systemd. \"syslog\": facility mail.";
    "log.format", Choice(&["postfix", "json"]), Is("\"postfix\""), Restart,
        "\"postfix\": words that pflogsumm and fail2ban know. \"json\": one object a line.";
    "log.socket", Path, Is("\"/dev/log\""), Restart,
        "The system log's socket, for to = \"syslog\".";

    "run.user", Text(32), Absent("\"portcullis\"", "whoever started it"), Restart,
        "Become this user once the ports are bound. Not needed under the shipped unit file, which starts as that user.";
    "run.group", Text(32), Absent("\"portcullis\"", "the user's own group"), Restart,
        "Become this group.";

    "reload.tests", Choice(&["required", "off"]), Is("\"required\""), Reload,
        "\"required\": the tests in the rule files must pass, on start and on reload, or the old rules stay.";
}

/// The word for [`Identity::None`](super::Identity::None). Long on purpose.
pub const NO_IDENTITY: &str = "none-and-it-relays-for-nobody";

/// The option of that path. Every path that the code asks for is in the table.
pub(super) fn option(section: &str, key: &str) -> &'static Opt {
    members(section)
        .find(|option| option.key() == key)
        .expect("every key that is read stands in the table of options")
}

/// The options directly in a section.
pub(super) fn members<'a>(section: &'a str) -> impl Iterator<Item = &'static Opt> + 'a {
    OPTIONS.iter().filter(move |option| option.section() == section)
}

impl Opt {
    /// The key alone: `sessions` of `limits.sessions`.
    pub fn key(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, key)| key)
    }

    /// What stands before the key: `limits`, `listener[]`, `backend.NAME` or nothing.
    pub fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }
}

impl Section {
    /// The header as written in the file, with a name for an example.
    pub fn header(&self) -> String {
        match self.path.strip_suffix("[]") {
            Some(array) => format!("[[{array}]]"),
            None => format!("[{}]", self.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_unique_and_every_section_is_known() {
        for (at, option) in OPTIONS.iter().enumerate() {
            assert!(
                OPTIONS[at + 1..].iter().all(|other| other.path != option.path),
                "{}",
                option.path
            );
            assert!(SECTIONS.iter().any(|s| s.path == option.section()), "{}", option.path);
            assert!(option.doc.ends_with('.'), "{}: the reason is a sentence", option.path);
        }
        for section in SECTIONS {
            assert!(members(section.path).next().is_some(), "[{}] is empty", section.path);
        }
    }
}
