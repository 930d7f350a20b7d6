//! What is accepted arrives as it was sent, and Postfix knows from whom.

use crate::support::client::Client;
use crate::support::nsd::{Nsd, SHOP};
use crate::support::portcullis::Setup;
use crate::support::postfix::Postfix;

#[test]
fn wanted_mail_arrives_byte_for_byte_but_for_the_added_header_fields() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    let message = "From: Shop <orders@shop.example>\r\n\
                   To: joe@example.com\r\n\
                   Subject:  folded\r\n\t and  spaced \r\n\
                   Message-ID: <1@shop.example>\r\n\
                   X-Odd:no space\r\n\
                   Date: Tue, 24 Nov 2026 20:00:00 +0000\r\n\
                   \r\n\
                   .\r\n..two dots\r\n. \r\n\
                   trailing space \r\n\ttab\r\n\r\n\
                   caf\u{e9}\r\n\
                   From the start of a line\r\n\r\n\r\n";
    let mut client = Client::from(SHOP, portcullis.ports.mx);
    client.say("EHLO mail.shop.example", "250-");
    client.say("MAIL FROM:<orders@shop.example> BODY=8BITMIME", "250 ");
    client.say("RCPT TO:<joe@example.com>", "250 ");
    let reply = client.data(message);
    assert!(reply.starts_with("250 2.0.0 Ok: queued as "), "{reply}");
    client.quit();

    let mail = postfix.wait_for_mail("joe", 1).remove(0);
    assert!(postfix.saw_a_message(), "what tests of refusals look for");
    let start = mail.find("From: Shop ").expect("the first field of the message");
    let (added, arrived) = mail.split_at(start);
    // Postfix keeps lines with LF in a mailbox.
    assert_eq!(arrived, message.replace("\r\n", "\n"));
    let names: Vec<&str> = added
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split(':').next().unwrap())
        .collect();
    let expected =
        ["Return-Path", "X-Original-To", "Delivered-To", "Received", "Authentication-Results"];
    assert_eq!(names, expected, "{added}");
}

#[test]
fn postfix_knows_the_real_clients_address_name_and_helo() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    let mut client = Client::from(SHOP, portcullis.ports.mx);
    client.say("EHLO wearing.shop.example", "250-");
    let message = "From: orders@shop.example\r\n\r\nHello\r\n";
    let reply = client.send("orders@shop.example", "joe@example.com", message);
    assert!(reply.starts_with("250 "), "{reply}");
    client.quit();

    let id = reply.rsplit(' ').next().unwrap();
    postfix.log.wait_for(&[&format!("{id}: client=mail.shop.example[203.0.113.10]")]);
    let mail = postfix.wait_for_mail("joe", 1).remove(0);
    let received = "Received: from wearing.shop.example (mail.shop.example [203.0.113.10])";
    assert!(mail.contains(received), "{mail}");
    assert!(!mail.contains("127.0.0.1"), "{mail}");
}

#[test]
fn a_client_over_ipv6_is_known_to_postfix() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    let mut client = Client::from("[2001:db8::77]:4000", portcullis.ports.mx);
    client.say("EHLO six.example", "250-");
    let reply = client.send("", "joe@example.com", "From: x@six.example\r\n\r\nHello\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
    let id = reply.rsplit(' ').next().unwrap();
    postfix.log.wait_for(&[&format!("{id}: client=unknown[2001:db8::77]")]);
}

#[test]
fn postfixs_word_on_an_unknown_recipient_passes_unchanged() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    let mut client = Client::from(SHOP, portcullis.ports.mx);
    client.say("EHLO mail.shop.example", "250-");
    client.say("MAIL FROM:<orders@shop.example>", "250 ");
    let reply = client.ask("RCPT TO:<nobody@example.com>");
    let direct = {
        let mut direct = Client::connect(postfix.mx);
        direct.say("EHLO mail.shop.example", "250-");
        direct.say("MAIL FROM:<orders@shop.example>", "250 ");
        direct.ask("RCPT TO:<nobody@example.com>")
    };
    assert_eq!(reply, direct);
    assert!(reply.starts_with("550 5.1.1 <nobody@example.com>: "), "{reply}");
    // One recipient's refusal is no other's.
    client.say("RCPT TO:<joe@example.com>", "250 ");
    let reply = client.data("From: orders@shop.example\r\n\r\nHello\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
    postfix.wait_for_mail("joe", 1);
}

#[test]
fn every_message_of_a_session_arrives() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    let mut client = Client::from(SHOP, portcullis.ports.mx);
    client.say("EHLO mail.shop.example", "250-");
    let body = "All work and no play makes mail a dull boy.\r\n".repeat(20_000);
    for (n, body) in ["short\r\n", &body, "", "short again\r\n"].into_iter().enumerate() {
        let message = format!("From: orders@shop.example\r\nSubject: {n}\r\n\r\n{body}");
        let reply = client.send("orders@shop.example", "ann@example.com", &message);
        assert!(reply.starts_with("250 "), "{reply}");
    }
    client.quit();
    let mail = postfix.wait_for_mail("ann", 4);
    for n in 0..4 {
        let subject = format!("\nSubject: {n}\n");
        assert_eq!(mail.iter().filter(|mail| mail.contains(&subject)).count(), 1);
    }
    let long = mail.iter().map(String::len).max().unwrap();
    assert!(long > 20_000 * 44, "{long}");
}
