//! THE list of fields.
//!
//! To add one: a line here, and the check named in it sets the value. The reference
//! (`docs/rule-fields.md`) is printed from this list.

use super::stage::Stage;
use super::value::{Type, Value};

/// A field's place in [`FIELDS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(u8);

#[derive(Debug)]
pub struct Field {
    /// As written in rules: `client.ip`.
    pub name: &'static str,
    pub ty: Type,
    /// The earliest stage at which it is known.
    pub stage: Stage,
    /// The check that finds it; `None` for what the session itself knows.
    pub check: Option<&'static str>,
    /// Written with a key: `header["Subject"]`, `rate.per-client`.
    pub keyed: bool,
    /// One sentence for the reference.
    pub doc: &'static str,
    /// An example condition.
    pub example: &'static str,
    /// Where the term comes from.
    pub source: &'static str,
}

impl FieldId {
    pub fn get(self) -> &'static Field {
        &FIELDS[self.0 as usize]
    }

    pub fn name(self) -> &'static str {
        self.get().name
    }

    pub fn by_name(name: &str) -> Option<FieldId> {
        FieldId::all().find(|id| id.name() == name)
    }

    pub fn all() -> impl Iterator<Item = FieldId> {
        (0..FIELDS.len() as u8).map(FieldId)
    }

    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// What it reads as when nothing was found or a `skip` rule hid it.
    pub fn default_value(self) -> Value {
        self.get().ty.default_value()
    }
}

impl std::fmt::Debug for FieldId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

pub const SPF_RESULTS: &[&str] =
    &["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"];
pub const DKIM_RESULTS: &[&str] =
    &["none", "pass", "fail", "policy", "neutral", "temperror", "permerror"];
pub const DMARC_RESULTS: &[&str] = &["none", "pass", "fail", "temperror", "permerror"];
pub const DMARC_POLICIES: &[&str] = &["none", "quarantine", "reject"];
pub const ARC_RESULTS: &[&str] = &["none", "pass", "fail"];
pub const IPREV_RESULTS: &[&str] = &["none", "pass", "fail", "temperror", "permerror"];
pub const SENDER_DOMAIN_RESULTS: &[&str] = &["none", "ok", "null_mx", "missing", "temperror"];
pub const HELO_FORMS: &[&str] = &["none", "fqdn", "literal", "single_label", "bare_ip", "invalid"];
pub const LISTENER_ROLES: &[&str] = &["mx", "submission", "submissions"];

const TEXT_LIST: Type = Type::List(&Type::TextNoCase);
const DOMAIN_LIST: Type = Type::List(&Type::Domain);

macro_rules! fields {
    ($( $id:ident = $name:literal, $ty:expr, $stage:ident, $check:expr, $keyed:expr, $doc:literal, $example:literal, $source:literal; )*) => {
        pub static FIELDS: &[Field] = &[
            $( Field { name: $name, ty: $ty, stage: Stage::$stage, check: $check, keyed: $keyed, doc: $doc, example: $example, source: $source }, )*
        ];
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u8)]
        enum Index { $( $id, )* }
        $( pub const $id: FieldId = FieldId(Index::$id as u8); )*
    };
}

fields! {
    // What the session knows.
    LISTENER_ROLE = "listener.role", Type::Enum(LISTENER_ROLES), Connect, None, false,
        "The role of the listener the client connected to.", "listener.role == \"mx\"", "RFC 6409, RFC 8314";
    LISTENER_PORT = "listener.port", Type::Int, Connect, None, false,
        "The local port the client connected to.", "listener.port == 587", "TCP";
    CLIENT_IP = "client.ip", Type::Ip, Connect, None, false,
        "The client's address, from the connection or from a trusted PROXY header. An IPv4-mapped IPv6 address is IPv4.", "client.ip in [\"192.0.2.0/24\"]", "TCP, PROXY protocol";
    CLIENT_PORT = "client.port", Type::Int, Connect, None, false,
        "The client's port.", "client.port < 1024", "TCP, PROXY protocol";
    CLIENT_TRUSTED = "client.trusted", Type::Bool, Connect, None, false,
        "The client's address is in `trusted`.", "not client.trusted", "configuration";
    CLIENT_EARLY_TALKER = "client.early_talker", Type::Bool, Connect, None, false,
        "The client spoke before the greeting.", "client.early_talker", "RFC 5321 4.3.1";
    HELO = "helo", Type::Domain, Helo, None, false,
        "The name the client gave with EHLO or HELO, an address literal with its brackets.", "helo == \"localhost\"", "RFC 5321 4.1.1.1";
    HELO_FORM = "helo.form", Type::Enum(HELO_FORMS), Helo, None, false,
        "The shape of that name: a fully qualified domain, an address literal, one label, a bare address, or none of these.", "helo.form == \"single_label\"", "RFC 5321 4.1.2, 4.1.3";
    HELO_OURS = "helo.ours", Type::Bool, Helo, None, false,
        "The client named itself with our own host name or address.", "helo.ours", "RFC 5321 7.9";
    TLS_USED = "tls.used", Type::Bool, Mail, None, false,
        "The session is encrypted.", "not tls.used", "RFC 3207, RFC 8314";
    TLS_VERSION = "tls.version", Type::TextNoCase, Mail, None, false,
        "The TLS version, such as TLSv1.3; empty without TLS.", "tls.version == \"TLSv1.2\"", "RFC 8446";
    TLS_CIPHER = "tls.cipher", Type::TextNoCase, Mail, None, false,
        "The TLS cipher suite.", "tls.cipher contains \"CHACHA20\"", "RFC 8446";
    TLS_SNI = "tls.sni", Type::Domain, Mail, None, false,
        "The server name the client asked for.", "tls.sni == \"mx.example.com\"", "RFC 6066 3";
    AUTH_OK = "auth.ok", Type::Bool, Mail, None, false,
        "The client has authenticated.", "auth.ok", "RFC 4954";
    AUTH_USER = "auth.user", Type::TextNoCase, Mail, None, false,
        "The user name the client authenticated with; empty without AUTH.", "auth.user == \"printer\"", "RFC 4954";
    AUTH_MECHANISM = "auth.mechanism", Type::TextNoCase, Mail, None, false,
        "The SASL mechanism used.", "auth.mechanism == \"PLAIN\"", "RFC 4954";
    FROM = "from", Type::Address, Mail, None, false,
        "The reverse-path of MAIL FROM, empty for the null reverse-path.", "from == \"\"", "RFC 5321 4.1.1.2";
    FROM_DOMAIN = "from.domain", Type::Domain, Mail, None, false,
        "The domain of MAIL FROM, in A-labels; empty for the null reverse-path.", "from.domain == \"example.com\"", "RFC 5321 4.1.1.2";
    FROM_LOCAL = "from.local", Type::Text, Mail, None, false,
        "The local part of MAIL FROM.", "from.local starts_with \"bounce\"", "RFC 5321 4.1.1.2";
    SIZE_DECLARED = "size.declared", Type::Size, Mail, None, false,
        "The size the client declared with SIZE=, 0 without.", "size.declared > \"10MiB\"", "RFC 1870";
    RCPT = "rcpt", Type::Address, Rcpt, None, false,
        "The recipient that is being judged; at the message stage the first accepted one.", "rcpt == \"joe@example.com\"", "RFC 5321 4.1.1.3";
    RCPT_DOMAIN = "rcpt.domain", Type::Domain, Rcpt, None, false,
        "The recipient's domain, in A-labels; empty for a bare postmaster.", "rcpt.domain == \"example.com\"", "RFC 5321 4.1.1.3";
    RCPT_LOCAL = "rcpt.local", Type::TextNoCase, Rcpt, None, false,
        "The recipient's local part.", "rcpt.local in [\"postmaster\", \"abuse\"]", "RFC 5321 4.5.1";
    RCPT_COUNT = "rcpt.count", Type::Int, Rcpt, None, false,
        "How many recipients this mail has so far, this one included.", "from == \"\" and rcpt.count > 1", "RFC 5321 4.5.3.1.8";

    // Reverse DNS.
    IPREV = "iprev", Type::Enum(IPREV_RESULTS), Connect, Some("iprev"), false,
        "Reverse DNS with forward confirmation: pass, fail (names exist, none maps back), permerror (no name), temperror.", "iprev == \"fail\"", "RFC 8601 2.7.3, 3";
    CLIENT_NAME = "client.name", Type::Domain, Connect, Some("iprev"), false,
        "The client's forward-confirmed name, else \"unknown\" as Postfix says.", "client.name == \"unknown\"", "Postfix, RFC 8601 3";
    CLIENT_REVERSE_NAME = "client.reverse_name", Type::Domain, Connect, Some("iprev"), false,
        "The name of the client's PTR record, not confirmed; else \"unknown\".", "client.reverse_name contains \"dynamic\"", "RFC 1035";

    // DNS lists.
    DNSBL_SCORE = "dnsbl.score", Type::Int, Connect, Some("dnsbl"), false,
        "The sum of the weights of the DNS lists that list the client.", "dnsbl.score >= 4", "RFC 5782";
    DNSBL_HITS = "dnsbl.hits", Type::Int, Connect, Some("dnsbl"), false,
        "How many block lists (weight above 0) list the client.", "dnsbl.hits >= 2", "RFC 5782";
    DNSBL_ZONES = "dnsbl.zones", DOMAIN_LIST, Connect, Some("dnsbl"), false,
        "The names of the lists, block or allow, that list the client.", "\"bl.example.net\" in dnsbl.zones", "RFC 5782";
    DNSBL_ZONE = "dnsbl.zone", Type::List(&Type::Ip), Connect, Some("dnsbl"), true,
        "The answers of one list, empty when it does not list the client.", "\"127.0.0.4\" in dnsbl.zone[\"bl.example.net\"]", "RFC 5782 2.1";
    DNSBL_TEXT = "dnsbl.text", Type::Text, Connect, Some("dnsbl"), false,
        "The name and TXT record of the heaviest list that lists the client, for the reply.", "dnsbl.text contains \"open relay\"", "RFC 5782 2.1";
    DNSBL_TEMPERROR = "dnsbl.temperror", Type::Bool, Connect, Some("dnsbl"), false,
        "A list did not answer, or answered with an error code.", "dnsbl.temperror", "RFC 5782";

    // Rates.
    RATE = "rate", Type::Bool, Connect, Some("rate"), true,
        "The limit of the [[rate]] of that name is exceeded.", "rate.messages-per-client", "generic cell rate algorithm";

    // SPF.
    SPF = "spf", Type::Enum(SPF_RESULTS), Mail, Some("spf"), false,
        "SPF of MAIL FROM; for the null reverse-path of postmaster@HELO.", "spf == \"fail\"", "RFC 7208 2.6";
    SPF_DOMAIN = "spf.domain", Type::Domain, Mail, Some("spf"), false,
        "The domain SPF was checked for.", "spf.domain == \"example.com\"", "RFC 7208 2.4";
    SPF_EXPLANATION = "spf.explanation", Type::Text, Mail, Some("spf"), false,
        "The words of the sender's domain for a fail, US-ASCII.", "spf.explanation != \"\"", "RFC 7208 6.2";
    SPF_HELO = "spf.helo", Type::Enum(SPF_RESULTS), Helo, Some("spf_helo"), false,
        "SPF of the HELO name.", "spf.helo == \"fail\"", "RFC 7208 2.3";

    // The sender's domain.
    SENDER_DOMAIN = "sender_domain", Type::Enum(SENDER_DOMAIN_RESULTS), Mail, Some("sender_domain"), false,
        "Whether the domain of MAIL FROM can take mail: ok, null_mx, missing (NXDOMAIN, or neither MX nor address), temperror; none without a domain.", "sender_domain == \"null_mx\"", "RFC 5321 5.1, RFC 7505";

    // The message.
    SIZE = "size", Type::Size, Message, None, false,
        "The size of the message as received, in octets.", "size > \"10MiB\"", "RFC 1870";
    HEADER = "header", TEXT_LIST, Message, Some("header"), true,
        "The decoded values of all header fields of that name.", "header[\"Subject\"] contains \"invoice\"", "RFC 5322, RFC 2047";
    HEADER_FROM_COUNT = "header.from.count", Type::Int, Message, Some("header"), false,
        "How many From fields and author addresses the message has: 1 when exactly one field has at least one address of one domain, 0 when there is none, else the greater of the number of fields and of different domains.", "header.from.count != 1", "RFC 5322 3.6.2, RFC 9989 5.3.1";
    HEADER_FROM_DOMAIN = "header.from.domain", Type::Domain, Message, Some("header"), false,
        "The domain of the From field, in A-labels; empty when there is not exactly one.", "header.from.domain == \"example.com\"", "RFC 9989 3.2.2";
    HEADER_FROM_ADDRESS = "header.from.address", Type::Address, Message, Some("header"), false,
        "The first address of the From field.", "header.from.address == \"ceo@example.com\"", "RFC 5322 3.6.2";
    HEADER_LIST_ID_DOMAIN = "header.list_id.domain", Type::Domain, Message, Some("header"), false,
        "The List-Id of the message, without its brackets.", "header.list_id.domain == \"users.lists.example.org\"", "RFC 2919";
    RECEIVED_COUNT = "received.count", Type::Int, Message, Some("header"), false,
        "How many Received fields the message has.", "received.count > 50", "RFC 5321 6.3";

    // DKIM.
    DKIM = "dkim", Type::Enum(DKIM_RESULTS), Message, Some("dkim"), false,
        "The best result of the message's signatures.", "dkim == \"pass\"", "RFC 6376 3.9, RFC 8601 2.7.1";
    DKIM_DOMAINS = "dkim.domains", DOMAIN_LIST, Message, Some("dkim"), false,
        "The d= of the signatures that pass.", "\"example.com\" in dkim.domains", "RFC 6376 3.5";
    DKIM_TEMPERROR_DOMAINS = "dkim.temperror_domains", DOMAIN_LIST, Message, Some("dkim"), false,
        "The d= of the signatures whose key could not be had.", "\"example.com\" in dkim.temperror_domains", "RFC 6376 6.1.2";
    DKIM_COUNT = "dkim.count", Type::Int, Message, Some("dkim"), false,
        "How many DKIM-Signature fields the message has, those that do not parse included.", "dkim.count == 0", "RFC 6376 6.1";
    DKIM_ALIGNED = "dkim.aligned", Type::Bool, Message, Some("dmarc"), false,
        "A passing signature is aligned with the From domain.", "dkim.aligned", "RFC 9989 4.4.1";

    // ARC.
    ARC = "arc", Type::Enum(ARC_RESULTS), Message, Some("arc"), false,
        "The state of the ARC chain.", "arc == \"pass\"", "RFC 8617 5.2";
    ARC_SEALER = "arc.sealer", Type::Domain, Message, Some("arc"), false,
        "The d= of the last ARC-Seal of a passing chain.", "arc.sealer == \"lists.example.org\"", "RFC 8617 4.1.3";
    ARC_TRUSTED = "arc.trusted", Type::Bool, Message, Some("arc"), false,
        "The chain passes, its sealer is in `arc_sealers`, and the sealer's own Authentication-Results say that DMARC, or an aligned SPF or DKIM, passed.", "arc.trusted", "RFC 8617 7.2";

    // DMARC.
    DMARC = "dmarc", Type::Enum(DMARC_RESULTS), Message, Some("dmarc"), false,
        "DMARC of the From domain.", "dmarc == \"fail\"", "RFC 9989 5.3";
    DMARC_POLICY = "dmarc.policy", Type::Enum(DMARC_POLICIES), Message, Some("dmarc"), false,
        "The policy that applies: p, sp or np of the record, one lower with t=y.", "dmarc.policy == \"reject\"", "RFC 9989 4.7";
    DMARC_DOMAIN = "dmarc.domain", Type::Domain, Message, Some("dmarc"), false,
        "The domain whose record applies.", "dmarc.domain == \"example.com\"", "RFC 9989 4.10.1";
    DMARC_SPF_ALIGNED = "dmarc.spf_aligned", Type::Bool, Message, Some("dmarc"), false,
        "SPF passes for a domain aligned with the From domain.", "dmarc.spf_aligned", "RFC 9989 4.4.2";
    INDIRECT = "indirect", Type::Bool, Message, Some("dmarc"), false,
        "An authenticated sign that the mail took an indirect way: a trusted ARC chain, or an SPF or DKIM pass for the domain of its List-Id or of a name in `forwarders`.", "dmarc == \"fail\" and not indirect", "RFC 9989 7.4, RFC 7960";
}
