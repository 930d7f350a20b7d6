//! Users log in at Postfix and Dovecot through Portcullis.

use crate::support::client::Client;
use crate::support::dovecot::{Dovecot, PASSWORD, USER};
use crate::support::nsd::Nsd;
use crate::support::portcullis::{Portcullis, Setup};
use crate::support::postfix::Postfix;
use crate::support::tls::Certificate;

type Login = fn(&mut Client, &str, &str) -> String;
const LOGINS: [(&str, Login); 2] = [("PLAIN", Client::auth_plain), ("LOGIN", Client::auth_login)];

fn start() -> (Postfix, Dovecot, Nsd, Portcullis, Certificate) {
    let (postfix, nsd) = (Postfix::start_with_submission(), Nsd::start());
    let dovecot = Dovecot::start(&postfix);
    let (setup, certificate) = Setup::new(&postfix, &nsd).submission(&postfix);
    (postfix, dovecot, nsd, setup.start(), certificate)
}

fn by_starttls(portcullis: &Portcullis, certificate: &Certificate) -> Client {
    let mut client = Client::connect(portcullis.ports.submission);
    client.say("EHLO laptop.example.com", "250-");
    client.starttls(&certificate.client);
    client.say("EHLO laptop.example.com", "250-");
    client
}

fn by_implicit_tls(portcullis: &Portcullis, certificate: &Certificate) -> Client {
    let mut client = Client::connect_tls(portcullis.ports.submissions, &certificate.client);
    client.say("EHLO laptop.example.com", "250-");
    client
}

#[test]
fn a_user_logs_in_and_sends() {
    let (postfix, _dovecot, _nsd, portcullis, certificate) = start();
    for connect in [by_starttls, by_implicit_tls] {
        for (name, login) in LOGINS {
            let mut client = connect(&portcullis, &certificate);
            let reply = login(&mut client, USER, PASSWORD);
            assert!(reply.starts_with("235 2.7.0 "), "{name}: {reply}");
            let message = "From: joe@example.com\r\n\r\nHello\r\n";
            let reply = client.send("joe@example.com", "ann@example.com", message);
            assert!(reply.starts_with("250 "), "{reply}");
            let id = reply.rsplit(' ').next().unwrap();
            let line = postfix.log.wait_for(&[&format!("{id}: client=")]);
            assert!(line.contains(&format!("sasl_method={name}, sasl_username={USER}")), "{line}");
            // Only users may send to the rest of the world.
            client.say("MAIL FROM:<joe@example.com>", "250 ");
            client.say("RCPT TO:<a@shop.example>", "250 ");
            client.quit();
        }
    }
    postfix.wait_for_mail("ann", 4);
}

#[test]
fn a_wrong_password_is_refused_in_postfixs_words() {
    let (postfix, _dovecot, _nsd, portcullis, certificate) = start();
    for connect in [by_starttls, by_implicit_tls] {
        for (name, login) in LOGINS {
            let mut client = connect(&portcullis, &certificate);
            let reply = login(&mut client, USER, "wrong");
            assert!(reply.starts_with("535 5.7.8 "), "{name}: {reply}");
            client.say("MAIL FROM:<joe@example.com>", "530 5.7.0 ");
            // A second try in the same session may be right.
            let reply = login(&mut client, USER, PASSWORD);
            assert!(reply.starts_with("235 2.7.0 "), "{name}: {reply}");
            client.say("MAIL FROM:<joe@example.com>", "250 ");
            client.say("RCPT TO:<ann@example.com>", "250 ");
            client.quit();
        }
    }
    assert!(!postfix.saw_a_message());
    // Passwords are in no log, neither plain nor encoded.
    for log in [postfix.log.text(), portcullis.log.text()] {
        for secret in ["correct horse", "Y29ycmVjdCBob3JzZQ", "AGpvZQBjb3JyZWN0IGhvcnNl"] {
            assert!(!log.contains(secret), "{log}");
        }
    }
}

#[test]
fn a_login_is_possible_inside_tls_only() {
    let (_postfix, _dovecot, _nsd, portcullis, _certificate) = start();
    let mut client = Client::connect(portcullis.ports.submission);
    client.say("EHLO laptop.example.com", "250-");
    let reply = client.auth_plain(USER, PASSWORD);
    assert!(reply.starts_with('5'), "{reply}");
    client.say("MAIL FROM:<joe@example.com>", "530 5.7.0 ");
}
