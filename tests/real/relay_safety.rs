//! A Postfix that would take every client for us, or relay for strangers, gets no mail from us.

use std::net::TcpStream;

use crate::support::client::Client;
use crate::support::nsd::{Nsd, SHOP};
use crate::support::portcullis::{Portcullis, Setup};
use crate::support::postfix::Postfix;
use crate::support::until;

const MESSAGE: &str = "From: orders@shop.example\r\n\r\nHello\r\n";

/// Started with a Postfix that has this parameter, its port stays shut and the log has these words.
fn refuses(settings: &[&str], words: &[&str]) -> (Postfix, Nsd, Portcullis) {
    let (postfix, nsd) = (Postfix::configured(&["mx"]), Nsd::start());
    for setting in settings {
        postfix.set_mx(setting);
    }
    postfix.run();
    let portcullis = Setup::new(&postfix, &nsd).spawn();
    let mut parts = vec!["error: ", "backend default is not used: "];
    parts.extend(words);
    portcullis.log.wait_for(&parts);
    portcullis.log.wait_for(&["stays shut", &format!(":{}", portcullis.ports.mx)]);
    portcullis.log.wait_for(&["ready"]);
    assert!(TcpStream::connect(("127.0.0.1", portcullis.ports.mx)).is_err());
    assert!(!postfix.saw_a_message());
    (postfix, nsd, portcullis)
}

/// The port opens once Postfix is right, without a restart, and mail flows.
fn mended(postfix: &Postfix, portcullis: &Portcullis, settings: &[&str]) {
    for setting in settings {
        postfix.set_mx(setting);
    }
    postfix.reload();
    portcullis.reload();
    until("the port to open", || TcpStream::connect(("127.0.0.1", portcullis.ports.mx)).ok());
    let mut client = Client::from(SHOP, portcullis.ports.mx);
    client.say("EHLO mail.shop.example", "250-");
    let reply = client.send("orders@shop.example", "joe@example.com", MESSAGE);
    assert!(reply.starts_with("250 "), "{reply}");
    postfix.wait_for_mail("joe", 1);
}

#[test]
fn a_postfix_without_xclient_permission_keeps_the_port_shut() {
    let (postfix, _nsd, portcullis) = refuses(
        &["smtpd_authorized_xclient_hosts="],
        &["does not announce XCLIENT", "smtpd_authorized_xclient_hosts"],
    );
    mended(&postfix, &portcullis, &["smtpd_authorized_xclient_hosts=127.0.0.0/8"]);
}

#[test]
fn an_open_relay_keeps_the_port_shut() {
    let open = ["mynetworks=0.0.0.0/0,[::]/0", "smtpd_relay_restrictions=permit_mynetworks,reject"];
    let (postfix, _nsd, portcullis) =
        refuses(&open, &["is an open relay", "192.0.2.25", "smtpd_relay_restrictions"]);
    mended(
        &postfix,
        &portcullis,
        &["mynetworks=", "smtpd_relay_restrictions=reject_unauth_destination"],
    );
}

#[test]
fn an_open_relay_for_ipv6_alone_keeps_the_port_shut() {
    let open = [
        "mynetworks=[::]/0",
        "smtpd_relay_restrictions=permit_mynetworks,reject_unauth_destination",
    ];
    refuses(&open, &["is an open relay", "2001:db8::25"]);
}

#[test]
fn a_postfix_without_ipv6_is_told_what_to_change() {
    let (postfix, _nsd, portcullis) =
        refuses(&["inet_protocols=ipv4"], &["IPv6 clients", "inet_protocols = all"]);
    mended(&postfix, &portcullis, &["inet_protocols=all"]);
}

#[test]
fn when_xclient_permission_is_taken_away_mail_is_deferred() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    let mut under_way = Client::from(SHOP, portcullis.ports.mx);
    under_way.say("EHLO mail.shop.example", "250-");
    postfix.set_mx("smtpd_authorized_xclient_hosts=");
    postfix.reload();
    let mut new = Client::from(SHOP, portcullis.ports.mx);
    new.say("EHLO mail.shop.example", "250-");
    for client in [&mut under_way, &mut new] {
        client.say("MAIL FROM:<orders@shop.example>", "250 ");
        client.say("RCPT TO:<joe@example.com>", "451 4.3.5 ");
        client.say("DATA", "5");
    }
    assert!(!postfix.saw_a_message());
    assert!(!postfix.log.text().contains("client=localhost"));
    mended(&postfix, &portcullis, &["smtpd_authorized_xclient_hosts=127.0.0.0/8"]);
}

#[test]
fn a_port_that_is_shut_opens_for_another_backend() {
    let (bad, _nsd, portcullis) =
        refuses(&["smtpd_authorized_xclient_hosts="], &["does not announce XCLIENT"]);
    let good = Postfix::start();
    let file = portcullis.dir().path().join("portcullis.toml");
    let config = std::fs::read_to_string(file).unwrap();
    let backend = |postfix: &Postfix| format!("127.0.0.1:{}", postfix.mx);
    assert!(config.contains(&backend(&bad)));
    let config = config.replace(&backend(&bad), &backend(&good));
    portcullis.dir().write("portcullis.toml", &config);
    mended(&good, &portcullis, &[]);
}
