//! SIGTERM: no more clients, and mail under way comes to its end.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::nsd::{Nsd, SHOP};
use crate::support::portcullis::Setup;
use crate::support::postfix::Postfix;
use crate::support::until;

#[test]
fn mail_under_way_is_delivered_before_the_end() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let mut portcullis = Setup::new(&postfix, &nsd).start();
    let mut in_data = Client::from(SHOP, portcullis.ports.mx);
    in_data.say("EHLO mail.shop.example", "250-");
    in_data.say("MAIL FROM:<orders@shop.example>", "250 ");
    in_data.say("RCPT TO:<joe@example.com>", "250 ");
    in_data.say("DATA", "354 ");
    in_data.write(b"From: orders@shop.example\r\n");
    let mut idle = Client::from(SHOP, portcullis.ports.mx);
    portcullis.terminate();
    until("the port to close", || {
        TcpStream::connect(("127.0.0.1", portcullis.ports.mx)).is_err().then_some(())
    });
    // Who has nothing under way is told so, and does not hold up the end.
    idle.expect("421 4.3.2 ");
    assert_eq!(idle.reply(), "");
    assert!(portcullis.runs());
    in_data.write(b"\r\nHello\r\n");
    in_data.say(".", "250 ");
    assert_eq!(portcullis.wait(), 0);
    postfix.wait_for_mail("joe", 1);
    portcullis.log.wait_for(&["stopped"]);
}

#[test]
fn a_session_that_does_not_end_is_waited_for_no_longer_than_configured() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let mut portcullis = Setup::new(&postfix, &nsd).table("[limits]\ndrain = \"1s\"").start();
    let mut client = Client::from(SHOP, portcullis.ports.mx);
    client.say("EHLO mail.shop.example", "250-");
    client.say("MAIL FROM:<orders@shop.example>", "250 ");
    client.say("RCPT TO:<joe@example.com>", "250 ");
    client.say("DATA", "354 ");
    let start = Instant::now();
    portcullis.terminate();
    assert_eq!(portcullis.wait(), 0);
    let waited = start.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(20)).contains(&waited), "{waited:?}");
    assert!(!postfix.saw_a_message());
}
