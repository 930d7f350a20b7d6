//! Who sends what, and what is to come of it.

use std::net::IpAddr;

use super::seal::seal;
use super::world::{SELECTOR, World};
use super::{HOST, PASSWORD};
use crate::checks::dkim::crypto::SigningKey;
use crate::checks::dkim::sign::sign;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    Smtp,
    /// With STARTTLS.
    Submission,
    /// TLS from the start.
    Submissions,
}

/// One mail in a session of its own.
pub(super) struct Scene {
    pub(super) title: &'static str,
    pub(super) client: IpAddr,
    pub(super) port: Port,
    pub(super) helo: &'static str,
    pub(super) password: Option<&'static str>,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    /// Lines ended by CRLF.
    message: String,
    pub(super) expected: Expected,
}

#[derive(Clone, Copy)]
pub(super) enum Expected {
    /// Accepted by the backend, which then has the message.
    Kept {
        /// The rule that would refuse it, were it in force.
        warning: Option<&'static str>,
        /// The rule that marks it.
        tagged: Option<&'static str>,
        /// The DNS list that answers with an error in the clothes of a listing.
        declined: Option<&'static str>,
    },
    /// Nothing reaches the backend.
    Refused {
        /// Basic and enhanced.
        code: &'static str,
        /// The id of the rule or reason, or "backend".
        by: &'static str,
    },
}

const KEPT: Expected = Expected::Kept { warning: None, tagged: None, declined: None };
const INDIRECT: Expected =
    Expected::Kept { warning: None, tagged: Some("dmarc-reject-indirect"), declined: None };

const fn refused(code: &'static str, by: &'static str) -> Expected {
    Expected::Refused { code, by }
}

impl Scene {
    fn new(title: &'static str, client: [u8; 4], helo: &'static str, from: &'static str) -> Scene {
        let message = letter(&format!("From: {from}\r\n"), title);
        Scene {
            title,
            client: client.into(),
            port: Port::Smtp,
            helo,
            password: None,
            from,
            to: "joe@example.com",
            message,
            expected: KEPT,
        }
    }

    fn says(self, message: String) -> Scene {
        Scene { message, ..self }
    }

    fn to(self, to: &'static str) -> Scene {
        Scene { to, ..self }
    }

    fn logs_in(self, port: Port, password: Option<&'static str>) -> Scene {
        Scene { port, password, ..self }
    }

    fn expects(self, expected: Expected) -> Scene {
        Scene { expected, ..self }
    }

    /// What is sent, and should be stored.
    pub(super) fn message(&self) -> &[u8] {
        self.message.as_bytes()
    }

    /// Dots doubled, and the end.
    pub(super) fn on_the_wire(&self) -> Vec<u8> {
        let mut wire = self.message.replace("\r\n.", "\r\n..");
        wire.push_str(".\r\n");
        wire.into_bytes()
    }
}

/// All of them, in order. `None` when the system has no randomness.
pub(super) fn all(world: &World) -> Option<Vec<Scene>> {
    let mut scenes = strangers(world)?;
    scenes.extend(users());
    Some(scenes)
}

fn strangers(world: &World) -> Option<Vec<Scene>> {
    let shop = letter("From: The shop <news@shop.example>\r\n", "New in the shop");
    let shop = signed(&shop, "shop.example", &world.shop)?;
    let list = letter(
        "From: A teller <teller@bank.example>\r\nList-Id: <garden.lists.example.net>\r\n",
        "[garden] Tulips",
    );
    let list = signed(&list, "lists.example.net", &world.lists)?;
    let forwarded = letter("From: A teller <teller@bank.example>\r\n", "Do you remember?");
    let results = "dmarc=pass header.from=bank.example";
    let forwarded = seal(&forwarded, "alumni.example", &world.alumni, results)?;
    let two = letter("From: a@club.example, b@isp.example\r\nSender: a@club.example\r\n", "We");
    let smuggled = letter("From: me@isp.example\r\n", "Two in one")
        + "\n.\r\nMAIL FROM:<chief@example.com>\r\nRCPT TO:<joe@example.com>\r\nDATA\r\n\
           From: chief@example.com\r\n\r\nPay this at once.\r\n";
    let ipv6 = [0x2001, 0xdb8, 0x25, 0, 0, 0, 0, 0x10].into();
    let mut scenes = vec![
        Scene::new(
            "a shop, all in order",
            [192, 0, 2, 10],
            "mail.shop.example",
            "news@shop.example",
        )
        .says(shop.clone()),
        Scene {
            client: ipv6,
            ..Scene::new("the same over IPv6", [0; 4], "mail6.shop.example", "news@shop.example")
                .says(shop)
        },
        Scene::new(
            "a host on a DNS list",
            [198, 51, 100, 23],
            "host23.isp.example",
            "x@isp.example",
        )
        .expects(refused("554 5.7.1", "dnsbl")),
        Scene::new(
            "a forged bank",
            [198, 51, 100, 40],
            "host40.isp.example",
            "teller@bank.example",
        )
        .expects(refused("550 5.7.26", "dmarc-reject")),
        Scene::new(
            "the bank by a mailing list",
            [192, 0, 2, 20],
            "mx.lists.example.net",
            "garden-bounces@lists.example.net",
        )
        .says(list)
        .expects(INDIRECT),
        Scene::new(
            "the bank, forwarded, sealed",
            [192, 0, 2, 30],
            "mx.alumni.example",
            "srs0=teller@alumni.example",
        )
        .says(forwarded)
        .expects(INDIRECT),
        Scene::new(
            "a DNS list that declines",
            [198, 51, 100, 24],
            "mail.small.example",
            "ann@small.example",
        )
        .expects(Expected::Kept {
            warning: None,
            tagged: None,
            declined: Some("open.demo"),
        }),
        Scene::new(
            "SPF fails, nothing else",
            [198, 51, 100, 60],
            "host60.isp.example",
            "bob@club.example",
        )
        .expects(Expected::Kept {
            warning: Some("spf-fail"),
            tagged: None,
            declined: None,
        }),
        Scene::new(
            "sender that takes no mail",
            [198, 51, 100, 50],
            "host50.isp.example",
            "noreply@nomail.example",
        )
        .expects(refused("550 5.7.27", "null-mx-sender")),
        Scene::new(
            "sender domain made up",
            [198, 51, 100, 51],
            "host51.isp.example",
            "win@nowhere.example",
        )
        .expects(refused("550 5.1.8", "sender-domain-missing")),
        Scene::new("a host with our own name", [198, 51, 100, 61], HOST, "me@isp.example")
            .expects(refused("550 5.7.1", "helo-own-name")),
        Scene::new("several authors", [198, 51, 100, 70], "host70.isp.example", "a@isp.example")
            .says(two)
            .expects(refused("550 5.7.1", "several-from")),
        Scene::new(
            "an unknown recipient",
            [192, 0, 2, 11],
            "mail2.shop.example",
            "news@shop.example",
        )
        .to("nobody@example.com")
        .expects(refused("550 5.1.1", "backend")),
        Scene::new(
            "an attempt to relay",
            [198, 51, 100, 70],
            "host70.isp.example",
            "me@isp.example",
        )
        .to("somebody@elsewhere.example")
        .expects(refused("554 5.7.1", "backend")),
        Scene::new(
            "a smuggled second mail",
            [198, 51, 100, 66],
            "host66.isp.example",
            "me@isp.example",
        )
        .says(smuggled)
        .expects(refused("550 5.5.2", "data.bare_lf")),
    ];
    let bulk = |n, expected| {
        let title = ["bulk mail, number 1", "bulk mail, number 2", "bulk mail, number 3"];
        let title = title.get(n).copied().unwrap_or("bulk mail, one too many");
        Scene::new(title, [203, 0, 113, 200], "out.bulk.example", "news@bulk.example")
            .expects(expected)
    };
    scenes.extend((0..3).map(|n| bulk(n, KEPT)));
    scenes.push(bulk(3, refused("450 4.7.0", "demo-too-many")));
    Some(scenes)
}

/// Of this server, who send from outside.
fn users() -> [Scene; 4] {
    let user = |title, host: u8, helo| {
        Scene::new(title, [203, 0, 113, host], helo, "joe@example.com").to("ann@small.example")
    };
    [
        user("submission, no password", 5, "laptop.isp.example")
            .logs_in(Port::Submission, None)
            .expects(refused("530 5.7.0", "auth.required")),
        user("submission, wrong password", 6, "phone.isp.example")
            .logs_in(Port::Submission, Some("12345"))
            .expects(refused("535 5.7.8", "auth.bad")),
        user("submission, right password", 7, "desk.isp.example")
            .logs_in(Port::Submission, Some(PASSWORD)),
        user("the same, TLS from the start", 7, "desk.isp.example")
            .logs_in(Port::Submissions, Some(PASSWORD)),
    ]
}

/// Its second line begins with a dot, and has to arrive so.
fn letter(header: &str, subject: &str) -> String {
    format!(
        "{header}To: Joe <joe@example.com>\r\nSubject: {subject}\r\n\
         Date: Mon, 08 Jun 2026 09:12:00 +0000\r\nMessage-ID: <1@demo.example>\r\n\r\n\
         Good morning.\r\n.\u{20}.. and good night.\r\n"
    )
}

fn signed(message: &str, domain: &str, key: &SigningKey) -> Option<String> {
    let names = ["from", "to", "subject", "date", "message-id"];
    Some(sign(message.as_bytes(), domain, SELECTOR, key, &names, &[])? + message)
}
