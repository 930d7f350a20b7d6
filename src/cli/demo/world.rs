//! The world around the proxy: domains, hosts, keys and DNS lists. All names end in `example` or are
//! reserved, all addresses are those of documentation (RFC 2606, RFC 5737, RFC 3849).

use crate::checks::dkim::crypto::SigningKey;

/// The selector of all keys.
pub(super) const SELECTOR: &str = "s1";

/// Who signs.
pub(super) struct World {
    pub(super) shop: SigningKey,
    pub(super) lists: SigningKey,
    pub(super) alumni: SigningKey,
}

impl World {
    /// `None` when the system has no randomness.
    pub(super) fn new() -> Option<World> {
        let key = SigningKey::generate_ed25519;
        Some(World { shop: key()?, lists: key()?, alumni: key()? })
    }

    /// What the name server answers from.
    pub(super) fn zone(&self) -> String {
        let mut zone = ZONE.to_owned();
        let keys = [
            ("shop.example", &self.shop),
            ("lists.example.net", &self.lists),
            ("alumni.example", &self.alumni),
        ];
        for (domain, key) in keys {
            let record = key.record();
            zone.push_str(&format!("{SELECTOR}._domainkey.{domain}. TXT \"{record}\"\n"));
        }
        for (address, name) in HOSTS {
            let kind = if address.contains(':') { "AAAA" } else { "A" };
            zone.push_str(&format!("{name}. {kind} {address}\n{address} PTR {name}.\n"));
        }
        zone
    }
}

/// Each with a reverse name that leads back.
const HOSTS: &[(&str, &str)] = &[
    ("127.0.0.1", "you.friend.example"),
    ("192.0.2.1", "mx1.example.com"),
    ("192.0.2.10", "mail.shop.example"),
    ("192.0.2.11", "mail2.shop.example"),
    ("2001:db8:25::10", "mail6.shop.example"),
    ("192.0.2.20", "mx.lists.example.net"),
    ("192.0.2.30", "mx.alumni.example"),
    ("198.51.100.23", "host23.isp.example"),
    ("198.51.100.24", "mail.small.example"),
    ("198.51.100.40", "host40.isp.example"),
    ("198.51.100.50", "host50.isp.example"),
    ("198.51.100.51", "host51.isp.example"),
    ("198.51.100.60", "host60.isp.example"),
    ("198.51.100.61", "host61.isp.example"),
    ("198.51.100.66", "host66.isp.example"),
    ("198.51.100.70", "host70.isp.example"),
    ("203.0.113.5", "laptop.isp.example"),
    ("203.0.113.6", "phone.isp.example"),
    ("203.0.113.7", "desk.isp.example"),
    ("203.0.113.200", "out.bulk.example"),
];

const ZONE: &str = r#"
example.com.        MX  10 mx1.example.com.
isp.example.        MX  10 mail.isp.example.
mail.isp.example.   A   198.51.100.2

; A shop that does everything right.
shop.example.        MX  10 mail.shop.example.
shop.example.        TXT "v=spf1 ip4:192.0.2.10/31 ip6:2001:db8:25::10 -all"
_dmarc.shop.example. TXT "v=DMARC1; p=reject"

; A bank that wants forgeries refused.
bank.example.        MX  10 mail.bank.example.
mail.bank.example.   A   192.0.2.99
bank.example.        TXT "v=spf1 ip4:192.0.2.99 -all"
_dmarc.bank.example. TXT "v=DMARC1; p=reject"

; A mailing list, and an alumni office that forwards and seals.
lists.example.net.   MX  10 mx.lists.example.net.
lists.example.net.   TXT "v=spf1 ip4:192.0.2.20 -all"
alumni.example.      MX  10 mx.alumni.example.
alumni.example.      TXT "v=spf1 ip4:192.0.2.30 -all"

; Senders with SPF and nothing more.
club.example.        MX  10 mail.club.example.
mail.club.example.   A   192.0.2.40
club.example.        TXT "v=spf1 ip4:192.0.2.40 -all"
small.example.       MX  10 mail.small.example.
small.example.       TXT "v=spf1 ip4:198.51.100.24 -all"
bulk.example.        MX  10 out.bulk.example.
bulk.example.        TXT "v=spf1 ip4:203.0.113.200 -all"
friend.example.      MX  10 you.friend.example.
friend.example.      TXT "v=spf1 ip4:127.0.0.1 -all"

; Takes no mail (RFC 7505). There is no nowhere.example at all.
nomail.example.      MX  0 .

; A DNS list that works: it has its test entry and lists one host (RFC 5782 5).
2.0.0.127.bl.demo.       A   127.0.0.2
23.100.51.198.bl.demo.   A   127.0.0.4
23.100.51.198.bl.demo.   TXT "sends spam"

; One that works and then declines to answer, which it says as an address.
2.0.0.127.open.demo.     A   127.0.0.2
24.100.51.198.open.demo. A   127.255.255.254

; One that has closed and lists the whole world, slowly.
*.dead.demo. @50         A   127.0.0.2
"#;
