//! What is refused gets its code, and Postfix sees nothing of the message.

use crate::support::client::Client;
use crate::support::nsd::{LISTED, Nsd, SHOP, THIEF};
use crate::support::portcullis::Setup;
use crate::support::postfix::Postfix;

/// Postfix has seen this client's session end after a recipient, and no message in it.
fn nothing_was_relayed(postfix: &Postfix, client: Client, address: &str) {
    client.quit();
    let (ip, _) = address.split_once(':').unwrap();
    postfix.log.wait_for(&["disconnect from", &format!("[{ip}]"), " rcpt=1"]);
    assert!(!postfix.saw_a_message());
}

#[test]
fn a_forged_message_of_a_domain_with_dmarc_reject_is_refused() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    let mut client = Client::from(THIEF, portcullis.ports.mx);
    client.say("EHLO host.thief.example", "250-");
    let message = "From: ceo@bank.example\r\nMessage-ID: <1@x>\r\n\r\nPay at once\r\n";
    let reply = client.send("ceo@bank.example", "joe@example.com", message);
    assert!(reply.starts_with("550"), "{reply}");
    assert!(reply.contains("5.7.26") && reply.contains("DMARC policy of bank.example"), "{reply}");
    portcullis.log.wait_for(&["NOQUEUE: reject: ", "host.thief.example[198.51.100.66]", "5.7.26"]);
    nothing_was_relayed(&postfix, client, THIEF);
}

#[test]
fn a_listed_client_is_refused_in_the_words_that_log_readers_know() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let list = "[[dnsbl]]\nzone = \"bl.example\"\nweight = 4\nanswers = [\"127.0.0.2\"]";
    let portcullis = Setup::new(&postfix, &nsd).table(list).start();
    let mut client = Client::from(LISTED, portcullis.ports.mx);
    client.say("EHLO mail.listed.example", "250-");
    client.say("MAIL FROM:<a@listed.example>", "250 ");
    let words =
        "554 5.7.1 Service unavailable; Client host [198.51.100.23] blocked using bl.example";
    client.say("RCPT TO:<joe@example.com>", words);
    client.say("RCPT TO:<postmaster@example.com>", "250 ");
    client.say("RSET", "250 ");
    nothing_was_relayed(&postfix, client, LISTED);

    let mut client = Client::from(SHOP, portcullis.ports.mx);
    client.say("EHLO mail.shop.example", "250-");
    let message = "From: orders@shop.example\r\n\r\nHello\r\n";
    let reply = client.send("orders@shop.example", "joe@example.com", message);
    assert!(reply.starts_with("250 "), "{reply}");
    postfix.wait_for_mail("joe", 1);
}

#[test]
fn an_spf_fail_is_refused_by_a_rule_that_says_so() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let rule = "[[rule]]\nid = \"own-spf\"\nwhen = 'spf == \"fail\"'\naction = \"reject\"\n\
                reply = \"550 5.7.23 {client.ip} may not send for {spf.domain}\"\n";
    let portcullis = Setup::new(&postfix, &nsd).rules(rule).start();
    let mut client = Client::from(THIEF, portcullis.ports.mx);
    client.say("EHLO host.thief.example", "250-");
    client.say("MAIL FROM:<chair@club.example>", "250 ");
    client
        .say("RCPT TO:<joe@example.com>", "550 5.7.23 198.51.100.66 may not send for club.example");
    portcullis.log.wait_for(&["NOQUEUE: reject: RCPT", "rule=own-spf"]);
    client.quit();
    assert!(!postfix.saw_a_message());
}

#[test]
fn an_unsigned_message_is_refused_by_a_rule_that_wants_dkim() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let rule = "[[rule]]\nid = \"own-dkim\"\nwhen = 'dkim != \"pass\"'\naction = \"reject\"\n\
                reply = \"550 5.7.20 No passing DKIM signature found\"\n";
    let portcullis = Setup::new(&postfix, &nsd).rules(rule).start();
    let mut client = Client::from(SHOP, portcullis.ports.mx);
    client.say("EHLO mail.shop.example", "250-");
    let message = "From: orders@shop.example\r\nMessage-ID: <1@x>\r\n\r\nHello\r\n";
    let reply = client.send("orders@shop.example", "joe@example.com", message);
    assert!(reply.starts_with("550 5.7.20 No passing DKIM signature found"), "{reply}");
    nothing_was_relayed(&postfix, client, SHOP);
}

#[test]
fn mail_without_a_login_is_refused_on_submission() {
    let (postfix, nsd) = (Postfix::start_with_submission(), Nsd::start());
    let _dovecot = crate::support::dovecot::Dovecot::start(&postfix);
    let (setup, certificate) = Setup::new(&postfix, &nsd).submission(&postfix);
    let portcullis = setup.start();
    let mut client = Client::connect(portcullis.ports.submission);
    let ehlo = client.say("EHLO laptop", "250-");
    assert!(ehlo.contains("STARTTLS") && !ehlo.contains("AUTH"), "{ehlo}");
    client.say("MAIL FROM:<joe@example.com>", "530 5.7.0 ");
    client.starttls(&certificate.client);
    let ehlo = client.say("EHLO laptop", "250-");
    assert!(ehlo.contains("AUTH PLAIN LOGIN"), "{ehlo}");
    client.say("MAIL FROM:<joe@example.com>", "530 5.7.0 ");
    client.say("RCPT TO:<joe@example.com>", "5");
    client.say("DATA", "5");
    client.quit();
    assert!(!postfix.saw_a_message());
}

#[test]
fn a_client_that_connects_too_often_is_refused_by_the_shipped_rule() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    for _ in 0..120 {
        Client::from(SHOP, portcullis.ports.mx).quit();
    }
    let mut refused = Client::proxied(SHOP, portcullis.ports.mx);
    refused.expect("421 4.7.0 mx1.example.com Too many connections from 203.0.113.10");
    portcullis.log.wait_for(&["NOQUEUE: reject: ", "[203.0.113.10]", "rule=too-many-connections"]);
    // It concerns nobody else.
    Client::from(THIEF, portcullis.ports.mx).quit();
    assert!(!postfix.saw_a_message());
}

#[test]
fn a_client_that_guesses_recipients_is_refused_by_the_shipped_rule() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    let mut guesses = 0;
    // Postfix makes a session with more than ten errors slow.
    let refused = 'refused: loop {
        let mut client = Client::from(SHOP, portcullis.ports.mx);
        client.say("EHLO mail.shop.example", "250-");
        client.say("MAIL FROM:<orders@shop.example>", "250 ");
        for _ in 0..9 {
            let reply = client.ask(&format!("RCPT TO:<guess{guesses}@example.com>"));
            if reply.starts_with('4') {
                break 'refused reply;
            }
            assert!(reply.starts_with("550 5.1.1 "), "{reply}");
            guesses += 1;
        }
        client.quit();
        assert!(guesses < 100);
    };
    assert!(
        refused.starts_with("421 4.7.0 mx1.example.com Too many invalid recipients"),
        "{refused}"
    );
    assert!((50..=51).contains(&guesses), "{guesses}");
    assert!(!postfix.saw_a_message());
}
