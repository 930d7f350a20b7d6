//! While Postfix fails, mail stays with its sender, and afterwards it flows again.

use rustix::process::Signal;

use crate::support::client::Client;
use crate::support::nsd::{Nsd, SHOP};
use crate::support::portcullis::{Portcullis, Setup};
use crate::support::postfix::Postfix;
use crate::support::until;

const MESSAGE: &str = "From: orders@shop.example\r\nSubject: again\r\n\r\nHello\r\n";

fn session(portcullis: &Portcullis) -> Client {
    let mut client = Client::from(SHOP, portcullis.ports.mx);
    client.say("EHLO mail.shop.example", "250-");
    client
}

/// A new session's message is accepted, and it is the only one that ever arrived.
fn mail_flows(postfix: &Postfix, portcullis: &Portcullis) {
    let mut client = session(portcullis);
    let reply = client.send("orders@shop.example", "joe@example.com", MESSAGE);
    assert!(reply.starts_with("250 "), "{reply}");
    client.quit();
    postfix.wait_for_mail("joe", 1);
}

#[test]
fn started_before_postfix_it_asks_clients_to_come_again_and_then_serves() {
    let (postfix, nsd) = (Postfix::configured(&["mx"]), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    let mut early = Client::proxied(SHOP, portcullis.ports.mx);
    early.expect("421 4.3.2 mx1.example.com ");
    assert_eq!(early.reply(), "");
    postfix.run();
    until("the greeting", || {
        let mut client = Client::proxied(SHOP, portcullis.ports.mx);
        client.reply().starts_with("220 ").then_some(())
    });
    mail_flows(&postfix, &portcullis);
}

#[test]
fn while_postfix_is_stopped_recipients_are_deferred() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    postfix.stop();
    let mut waiting = session(&portcullis);
    waiting.say("MAIL FROM:<orders@shop.example>", "250 ");
    waiting.say("RCPT TO:<joe@example.com>", "451 4.4.1 ");
    waiting.say("RSET", "250 ");
    postfix.run();
    // The session that met the failure can go on, too.
    waiting.say("MAIL FROM:<orders@shop.example>", "250 ");
    waiting.say("RCPT TO:<joe@example.com>", "250 ");
    waiting.quit();
    mail_flows(&postfix, &portcullis);
}

#[test]
fn when_postfix_is_stopped_within_a_transaction_the_message_is_deferred() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    let mut client = session(&portcullis);
    client.say("MAIL FROM:<orders@shop.example>", "250 ");
    client.say("RCPT TO:<joe@example.com>", "250 ");
    postfix.stop();
    let reply = client.data(MESSAGE);
    assert!(reply.starts_with("451 4.4."), "{reply}");
    postfix.run();
    mail_flows(&postfix, &portcullis);
}

#[test]
fn when_postfix_is_killed_in_the_middle_of_a_message_it_is_deferred() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    let mut client = session(&portcullis);
    client.say("MAIL FROM:<orders@shop.example>", "250 ");
    client.say("RCPT TO:<joe@example.com>", "250 ");
    client.say("DATA", "354 ");
    client.write(b"From: orders@shop.example\r\nSubject: half");
    postfix.kill();
    client.write(b" and half\r\n\r\nHello\r\n");
    let reply = client.ask(".");
    assert!(reply.starts_with("451 4.4."), "{reply}");
    client.say("NOOP", "250 ");
    postfix.run();
    mail_flows(&postfix, &portcullis);
}

#[test]
fn when_postfix_is_killed_while_it_is_given_the_message_it_is_deferred() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    let mut client = session(&portcullis);
    client.say("MAIL FROM:<orders@shop.example>", "250 ");
    client.say("RCPT TO:<joe@example.com>", "250 ");
    client.say("DATA", "354 ");
    // It takes nothing more, so the message is on its way until it is killed.
    postfix.signal(Signal::STOP);
    let start = postfix.unread();
    client.write(format!("{MESSAGE}.\r\n").as_bytes());
    until("portcullis to speak to Postfix", || (postfix.unread() > start).then_some(()));
    postfix.kill();
    client.expect("451 4.4.");
    postfix.run();
    mail_flows(&postfix, &portcullis);
}

#[test]
fn while_postfix_hangs_mail_is_deferred_when_its_time_is_over() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd)
        .backend("reply_timeout = \"1s\"\ndata_timeout = \"10s\"")
        .start();
    let mut under_way = session(&portcullis);
    under_way.say("MAIL FROM:<orders@shop.example>", "250 ");
    under_way.say("RCPT TO:<joe@example.com>", "250 ");
    postfix.signal(Signal::STOP);
    let mut new = session(&portcullis);
    new.say("MAIL FROM:<orders@shop.example>", "250 ");
    new.say("RCPT TO:<joe@example.com>", "451 4.4.");
    let reply = under_way.data(MESSAGE);
    assert!(reply.starts_with("451 4.4."), "{reply}");
    postfix.signal(Signal::CONT);
    mail_flows(&postfix, &portcullis);
}
