//! A real name server with the whole world in one zone.

use std::net::UdpSocket;
use std::time::Duration;

use super::{Dir, Log, Process, free_port, program, until};

/// The clients' addresses and what DNS says about them:
///
/// * `203.0.113.10`, mail.shop.example: an honest sender with SPF, DKIM and DMARC
/// * `198.51.100.66`, host.thief.example: honest for itself, but bank.example and club.example do not
///   let it send
/// * `198.51.100.23`: listed by bl.example
const WORLD: &str = "\
. 300 IN SOA a.root.example. root.example. 1 3600 600 86400 300
. 300 IN NS a.root.example.
a.root.example. 300 IN A 127.0.0.1

shop.example. 300 IN MX 10 mail.shop.example.
shop.example. 300 IN TXT \"v=spf1 ip4:203.0.113.10 -all\"
_dmarc.shop.example. 300 IN TXT \"v=DMARC1; p=reject\"
mail.shop.example. 300 IN A 203.0.113.10
10.113.0.203.in-addr.arpa. 300 IN PTR mail.shop.example.

bank.example. 300 IN MX 10 mail.bank.example.
bank.example. 300 IN TXT \"v=spf1 ip4:203.0.113.80 -all\"
_dmarc.bank.example. 300 IN TXT \"v=DMARC1; p=reject\"
mail.bank.example. 300 IN A 203.0.113.80

club.example. 300 IN MX 10 mail.club.example.
club.example. 300 IN TXT \"v=spf1 ip4:203.0.113.90 -all\"
mail.club.example. 300 IN A 203.0.113.90

thief.example. 300 IN MX 10 host.thief.example.
host.thief.example. 300 IN A 198.51.100.66
66.100.51.198.in-addr.arpa. 300 IN PTR host.thief.example.

listed.example. 300 IN MX 10 mail.listed.example.
mail.listed.example. 300 IN A 198.51.100.23
23.100.51.198.in-addr.arpa. 300 IN PTR mail.listed.example.
23.100.51.198.bl.example. 300 IN A 127.0.0.2
23.100.51.198.bl.example. 300 IN TXT \"open proxy\"
2.0.0.127.bl.example. 300 IN A 127.0.0.2

example.com. 300 IN MX 10 mx1.example.com.
mx1.example.com. 300 IN A 192.0.2.1
1.2.0.192.in-addr.arpa. 300 IN PTR mx1.example.com.
";

pub(crate) const SHOP: &str = "203.0.113.10:40001";
pub(crate) const THIEF: &str = "198.51.100.66:40002";
pub(crate) const LISTED: &str = "198.51.100.23:40003";

pub(crate) struct Nsd {
    pub(crate) port: u16,
    _process: Process,
    _log: Log,
    _dir: Dir,
}

impl Nsd {
    pub(crate) fn start() -> Nsd {
        Nsd::with("")
    }

    /// With more records.
    pub(crate) fn with(records: &str) -> Nsd {
        let dir = Dir::new("nsd");
        let port = free_port();
        dir.write("world.zone", &format!("{WORLD}{records}"));
        let at = |name: &str| dir.path().join(name).display().to_string();
        let config = format!(
            "server:\n  ip-address: 127.0.0.1@{port}\n  server-count: 1\n  username: \"\"\n  \
             database: \"\"\n  zonesdir: \"{}\"\n  pidfile: \"{}\"\n  xfrdfile: \"{}\"\n  \
             xfrdir: \"{}\"\n  zonelistfile: \"{}\"\n  rrl-ratelimit: 0\n\
             remote-control:\n  control-enable: no\n\
             zone:\n  name: \".\"\n  zonefile: \"world.zone\"\n",
            at(""),
            at("pid"),
            at("xfrd.state"),
            at(""),
            at("zone.list"),
        );
        let config = dir.write("nsd.conf", &config);
        let log = Log::new(dir.path().join("log"));
        let process = Process::start(program("nsd").arg("-d").arg("-c").arg(config), &log);
        until("the name server", || answers(port).then_some(()));
        Nsd { port, _process: process, _log: log, _dir: dir }
    }
}

/// Asks for the root's SOA.
fn answers(port: u16) -> bool {
    let question = b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x01";
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut answer = [0; 512];
    socket.send_to(question, ("127.0.0.1", port)).is_ok()
        && socket.recv(&mut answer).is_ok_and(|length| length > 12 && answer[3] & 0x0f == 0)
}
