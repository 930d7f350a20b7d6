//! One day of a mail server: an honest sender who signs, a forger, a listed host, a user, all of it
//! judged by what a real name server says.

use std::fs;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::support::client::Client;
use crate::support::dovecot::{Dovecot, PASSWORD, USER};
use crate::support::nsd::{LISTED, Nsd, SHOP, THIEF};
use crate::support::portcullis::Setup;
use crate::support::postfix::Postfix;
use crate::support::{Dir, program, run};

/// Signs with the openssl program, so that no code of ours has a part in it (RFC 6376 3.4.1, 3.4.3,
/// 3.7: simple canonicalisation).
struct Signer(Dir);

impl Signer {
    fn new() -> Signer {
        let dir = Dir::new("dkim");
        let key = dir.path().join("key.pem");
        let bits = "rsa_keygen_bits:2048";
        run(program("openssl")
            .args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", bits])
            .arg("-out")
            .arg(key));
        Signer(dir)
    }

    /// The value of `p=`.
    fn public_key(&self) -> String {
        let pem = run(program("openssl")
            .args(["pkey", "-pubout", "-in"])
            .arg(self.0.path().join("key.pem")));
        pem.lines().filter(|line| !line.starts_with('-')).collect()
    }

    /// The message with a signature over all its header fields.
    fn sign(&self, domain: &str, header: &str, body: &str) -> String {
        let digest = self.openssl("body", body, &["dgst", "-sha256", "-binary"]);
        let names: Vec<&str> = header.lines().map(|line| line.split(':').next().unwrap()).collect();
        let unsigned = format!(
            "DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d={domain}; s=test; h={}; bh={}; b=",
            names.join(":"),
            BASE64_STANDARD.encode(digest),
        );
        let key = self.0.path().join("key.pem").display().to_string();
        let arguments = ["dgst", "-sha256", "-binary", "-sign", &key];
        let signature = self.openssl("header", &format!("{header}{unsigned}"), &arguments);
        format!("{unsigned}{}\r\n{header}\r\n{body}", BASE64_STANDARD.encode(signature))
    }

    fn openssl(&self, name: &str, input: &str, arguments: &[&str]) -> Vec<u8> {
        let input = self.0.write(name, input);
        let output = self.0.path().join("output");
        run(program("openssl").args(arguments).arg("-out").arg(&output).arg(input));
        fs::read(output).unwrap()
    }
}

#[test]
fn what_the_name_server_says_decides() {
    let signer = Signer::new();
    let key = signer.public_key();
    let (first, second) = key.split_at(200);
    let record = format!(
        "test._domainkey.shop.example. 300 IN TXT \"v=DKIM1; k=rsa; p={first}\" \"{second}\"\n"
    );
    let (postfix, nsd) = (Postfix::start_with_submission(), Nsd::with(&record));
    let _dovecot = Dovecot::start(&postfix);
    let list = "[[dnsbl]]\nzone = \"bl.example\"\nweight = 4\nanswers = [\"127.0.0.2\"]";
    let (setup, certificate) = Setup::new(&postfix, &nsd).table(list).submission(&postfix);
    let portcullis = setup.start();

    let header = "From: Shop <orders@shop.example>\r\nTo: joe@example.com\r\nSubject: Your order\r\n\
                  Message-ID: <1@shop.example>\r\n";
    let signed = signer.sign("shop.example", header, "It is on its way.\r\n");
    let mut shop = Client::from(SHOP, portcullis.ports.mx);
    shop.say("EHLO mail.shop.example", "250-");
    shop.starttls(&certificate.client);
    shop.say("EHLO mail.shop.example", "250-");
    let reply = shop.send("orders@shop.example", "joe@example.com", &signed);
    assert!(reply.starts_with("250 "), "{reply}");
    let mail = postfix.wait_for_mail("joe", 1).remove(0);
    let results = mail.split("Authentication-Results:").nth(1).unwrap();
    let results = results.split("\nDKIM-Signature:").next().unwrap();
    for passed in ["spf=pass", "dkim=pass", "dmarc=pass", "iprev=pass"] {
        assert!(results.contains(passed), "{passed}: {results}");
    }

    // The same message forwarded by the thief: SPF fails, the signature holds, DMARC passes.
    let mut forwarder = Client::from(THIEF, portcullis.ports.mx);
    forwarder.say("EHLO host.thief.example", "250-");
    let reply = forwarder.send("orders@shop.example", "joe@example.com", &signed);
    assert!(reply.starts_with("250 "), "{reply}");
    // Changed on the way, it is forged.
    let changed = signed.replace("on its way", "to be paid");
    let reply = forwarder.send("orders@shop.example", "joe@example.com", &changed);
    assert!(reply.starts_with("550") && reply.contains("5.7.26"), "{reply}");
    forwarder.quit();

    let mut listed = Client::from(LISTED, portcullis.ports.mx);
    listed.say("EHLO mail.listed.example", "250-");
    listed.say("MAIL FROM:<a@listed.example>", "250 ");
    listed.say("RCPT TO:<joe@example.com>", "554 5.7.1 Service unavailable; Client host ");
    listed.quit();

    let mut user = Client::connect_tls(portcullis.ports.submissions, &certificate.client);
    user.say("EHLO laptop.example.com", "250-");
    assert!(user.auth_plain(USER, PASSWORD).starts_with("235 "));
    let reply =
        user.send("joe@example.com", "ann@example.com", "From: joe@example.com\r\n\r\nHi\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
    user.quit();

    postfix.wait_for_mail("ann", 1);
    postfix.wait_for_mail("joe", 2);
}
