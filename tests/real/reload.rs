//! SIGHUP applies what the files say now, all of it or nothing, and drops nobody.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::client::Client;
use crate::support::nsd::{Nsd, SHOP};
use crate::support::portcullis::{Portcullis, Setup};
use crate::support::postfix::Postfix;
use crate::support::tls::Certificate;

/// Of a domain without any policy.
const PLAIN: &str = "From: a@thief.example\r\n\r\nHello\r\n";
const MESSAGE: &str = "From: orders@shop.example\r\n\r\nHello\r\n";

fn refuse(helo: &str) -> String {
    format!(
        "[[rule]]\nid = \"own\"\nwhen = 'helo == \"{helo}\"'\naction = \"reject\"\n\
         reply = \"550 5.7.1 not {helo}\"\n"
    )
}

/// The reply to RCPT in a session of its own.
fn judged(portcullis: &Portcullis, helo: &str) -> String {
    let mut client = Client::from(SHOP, portcullis.ports.mx);
    client.say(&format!("EHLO {helo}"), "250-");
    client.say("MAIL FROM:<orders@shop.example>", "250 ");
    let reply = client.ask("RCPT TO:<joe@example.com>");
    client.quit();
    reply
}

#[test]
fn the_next_session_is_judged_by_the_edited_rules() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).rules(&refuse("one.example")).start();
    assert!(judged(&portcullis, "one.example").starts_with("550 5.7.1 not one.example"));
    assert!(judged(&portcullis, "two.example").starts_with("250 "));
    portcullis.write_rules(&refuse("two.example"));
    assert!(portcullis.reload().contains("reloaded: "));
    assert!(judged(&portcullis, "one.example").starts_with("250 "));
    assert!(judged(&portcullis, "two.example").starts_with("550 5.7.1 not two.example"));
}

#[test]
fn a_broken_file_is_refused_with_its_line_and_the_old_rules_judge_on() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).rules(&refuse("one.example")).start();
    let failing = format!(
        "{}\n[[test]]\nname = \"wrong\"\nsession = {{ ip = \"192.0.2.1\", helo = \"two.example\" }}\n\
         expect = {{ verdict = \"accept\" }}\n",
        refuse("two.example")
    );
    let broken = [
        ("[[rule]]\nid = \"own\"\nwhen = 'helo === \"x\"'\naction = \"reject\"\n", "test.toml:3:"),
        ("[[rule]]\nid = \"own\"\n\nnonsense", "test.toml:4:"),
        (&failing, "test.toml:7:"),
    ];
    for (text, place) in broken {
        portcullis.write_rules(text);
        let log = portcullis.reload();
        assert!(log.contains("reload refused"), "{log}");
        assert!(log.contains(place), "{place}: {log}");
        assert!(judged(&portcullis, "one.example").starts_with("550 5.7.1 not one.example"));
        assert!(judged(&portcullis, "two.example").starts_with("250 "));
    }
    portcullis.write_rules(&refuse("two.example"));
    assert!(portcullis.reload().contains("reloaded: "));
    assert!(judged(&portcullis, "two.example").starts_with("550 5.7.1 not two.example"));
}

#[test]
fn certificates_are_read_again() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let (setup, old) = Setup::new(&postfix, &nsd).tls();
    let portcullis = setup.start();
    let greeted = |certificate: &Certificate| {
        let mut client = Client::from(SHOP, portcullis.ports.mx);
        client.say("EHLO mail.shop.example", "250-");
        client.starttls(&certificate.client);
        client.say("EHLO mail.shop.example", "250-");
        client
    };
    let mut under_way = greeted(&old);
    let new = Certificate::write(portcullis.dir());
    greeted(&old).quit();
    assert!(portcullis.reload().contains("reloaded: "));
    greeted(&new).quit();
    let reply = under_way.send("orders@shop.example", "joe@example.com", MESSAGE);
    assert!(reply.starts_with("250 "), "{reply}");

    // A certificate that cannot be read is no reason to stop serving with the one in memory.
    std::fs::write(new.path(), "nonsense").unwrap();
    assert!(portcullis.reload().contains("reload refused"));
    greeted(&new).quit();
}

#[test]
fn sessions_under_way_keep_the_rules_that_they_began_with() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    let mut greeted = Client::from(SHOP, portcullis.ports.mx);
    greeted.say("EHLO mail.shop.example", "250-");
    let mut in_data = Client::from(SHOP, portcullis.ports.mx);
    in_data.say("EHLO mail.shop.example", "250-");
    in_data.say("MAIL FROM:<orders@shop.example>", "250 ");
    in_data.say("RCPT TO:<joe@example.com>", "250 ");
    in_data.say("DATA", "354 ");
    portcullis.write_rules(&refuse("mail.shop.example"));
    assert!(portcullis.reload().contains("reloaded: "));
    assert!(judged(&portcullis, "mail.shop.example").starts_with("550 5.7.1 "));
    in_data.write(MESSAGE.as_bytes());
    in_data.say(".", "250 ");
    let reply = greeted.send("orders@shop.example", "joe@example.com", MESSAGE);
    assert!(reply.starts_with("250 "), "{reply}");
    greeted.quit();
    in_data.quit();
    postfix.wait_for_mail("joe", 2);
}

#[test]
fn no_connection_is_dropped_or_refused_by_reloads() {
    let (postfix, nsd) = (Postfix::start(), Nsd::start());
    let portcullis = Setup::new(&postfix, &nsd).start();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..3)
            .map(|n| {
                let (portcullis, over) = (&portcullis, &over);
                scope.spawn(move || {
                    let mut sent = 0;
                    while !over.load(Ordering::Relaxed) {
                        let address = format!("203.0.113.{}:4000", 20 + n);
                        let mut client = Client::from(&address, portcullis.ports.mx);
                        client.say("EHLO x.example", "250-");
                        let reply = client.send("", "joe@example.com", PLAIN);
                        assert!(reply.starts_with("250 "), "{reply}");
                        client.quit();
                        sent += 1;
                    }
                    sent
                })
            })
            .collect();
        for n in 0..10 {
            portcullis.write_rules(&refuse(&format!("{n}.example")));
            assert!(portcullis.reload().contains("reloaded: "));
        }
        over.store(true, Ordering::Relaxed);
        let sent = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        assert!(sent >= 3);
        postfix.wait_for_mail("joe", sent);
    });
}
