//! Whole messages through the check.

use super::testing::*;
use super::*;
use crate::checks::dkim::crypto::SigningKey;
use crate::dns::fake::FakeDns;
use crate::facts::{Facts, Value};

const MESSAGE: &str = "From: Joe <joe@example.com>\r\nTo: suzie@example.net\r\nSubject: Is  dinner\r\n ready?\r\n\r\nHi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n";

/// RFC 8463 appendix A, with both signatures.
const RFC_8463: &str = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=football.example.com; i=@football.example.com;\r\n q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n subject : date : message-id : from : subject : date;\r\n bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\nDKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n d=football.example.com; i=@football.example.com;\r\n q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n date : message-id : from : subject : date;\r\n bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\nFrom: Joe SixPack <joe@football.example.com>\r\nTo: Suzie Q <suzie@shopping.example.net>\r\nSubject: Is dinner ready?\r\nDate: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\nMessage-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\r\nHi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";
const RFC_8463_ZONE: &str = "brisbane._domainkey.football.example.com. TXT \"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"\ntest._domainkey.football.example.com. TXT \"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj\" \"+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\"\n";

/// The result of each signature with its reason, from the top.
async fn results(message: &str, zone: &str) -> Vec<(String, String)> {
    check(message, zone, DkimConfig::default()).await
}

async fn check(message: &str, zone: &str, config: DkimConfig) -> Vec<(String, String)> {
    let dns = FakeDns::parse(zone).expect("zone text");
    let found = run(&DkimCheck::new(config), message, &Facts::new(), &dns).await;
    let results = found.results.into_iter();
    results.map(|r| (r.result.to_owned(), r.reason.unwrap_or_default())).collect()
}

fn one(result: &str, reason: &str) -> Vec<(String, String)> {
    vec![(result.to_owned(), reason.to_owned())]
}

fn signed(message: &str, key: &SigningKey, extra: &[(&str, &str)]) -> String {
    let field =
        sign::sign(message.as_bytes(), "example.com", "sel", key, &["From", "Subject"], extra);
    field.expect("a signature") + message
}

fn zone(key: &SigningKey) -> String {
    key_line("sel", "example.com", &key.record())
}

#[tokio::test]
async fn the_message_of_rfc_8463() {
    let dns = FakeDns::parse(RFC_8463_ZONE).expect("zone text");
    let found = run(&DkimCheck::default(), RFC_8463, &Facts::new(), &dns).await;
    assert_eq!(value(&found, registry::DKIM), Value::from("pass"));
    assert_eq!(value(&found, registry::DKIM_COUNT), Value::from(2));
    assert_eq!(value(&found, registry::DKIM_DOMAINS), Value::from(vec!["football.example.com"]));
    let [first, second] = found.results.as_slice() else { panic!("{:?}", found.results) };
    assert_eq!((first.result, second.result), ("pass", "pass"));
    assert_eq!(
        first.properties,
        [
            ("header.d", "football.example.com".to_owned()),
            ("header.i", "@football.example.com".to_owned()),
            ("header.s", "brisbane".to_owned()),
            ("header.a", "ed25519-sha256".to_owned()),
            ("header.b", "/gCrinpc".to_owned()),
        ]
    );
    assert_eq!(found.evidence["signatures"][1]["key_bits"], 1024);
}

/// RFC 6376 3.4: each canonicalisation, each algorithm.
#[tokio::test]
async fn what_was_signed_passes() {
    for key in [rsa(), ed25519()] {
        for c in ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed", "simple"]
        {
            for message in [MESSAGE, "From: a@b.example\r\n\r\n", "From: a@b.example\r\n"] {
                let mail = signed(message, &key, &[("c", c)]);
                assert_eq!(results(&mail, &zone(&key)).await, one("pass", ""), "{c} {mail}");
            }
        }
    }
}

#[tokio::test]
async fn what_was_changed_fails() {
    let key = rsa();
    let relaxed = signed(MESSAGE, &key, &[("c", "relaxed/relaxed")]);
    let simple = signed(MESSAGE, &key, &[("c", "simple/simple")]);
    let body = one("fail", "body hash does not match");
    let header = one("fail", "signature does not match");
    let pass = one("pass", "");
    for (from, to, when_relaxed, when_simple) in [
        ("hungry", "angry", &body, &body),
        ("game.  Are", "game. Are", &pass, &body),
        ("yet?\r\n", "yet? \r\n\r\n\r\n", &pass, &body),
        ("yet?\r\n", "yet?\r\n\r\n\r\n", &pass, &pass),
        ("Is  dinner", "Is dinner", &pass, &header),
        ("Subject:", "SUBJECT :", &pass, &header),
        ("ready", "over", &header, &header),
        ("suzie@", "eve@", &pass, &pass), // To is not in h=
        ("To: ", "From: eve@example.org\r\nTo: ", &header, &header), // the lowest From is taken
        ("s=sel", "s=sel; z=x", &header, &header),
    ] {
        let mail = relaxed.replacen(from, to, 1);
        assert_ne!(mail, relaxed);
        assert_eq!(&results(&mail, &zone(&key)).await, when_relaxed, "relaxed {from} {to}");
        let mail = simple.replacen(from, to, 1);
        assert_eq!(&results(&mail, &zone(&key)).await, when_simple, "simple {from} {to}");
    }
}

/// RFC 6376 3.5, l=; 8.2.
#[tokio::test]
async fn a_body_length() {
    let key = ed25519();
    let whole = sign::canonical_body(sign::split(MESSAGE.as_bytes()).1, false).len();
    let exact = signed(MESSAGE, &key, &[("l", &whole.to_string())]);
    assert_eq!(results(&exact, &zone(&key)).await, one("pass", ""));
    let longer = exact.clone() + "Buy this.\r\n";
    let tail = "l= leaves a part of the body unsigned";
    assert_eq!(results(&longer, &zone(&key)).await, one("policy", tail));
    let allowed = DkimConfig { allow_unsigned_tail: true };
    assert_eq!(check(&longer, &zone(&key), allowed).await, one("pass", ""));
    let nothing = signed(MESSAGE, &key, &[("l", "0")]);
    assert_eq!(results(&nothing, &zone(&key)).await, one("policy", tail));
    let shorter = exact.replacen("We lost the game.", "", 1);
    assert_eq!(results(&shorter, &zone(&key)).await, one("fail", "l= is larger than the body"));
}

#[tokio::test]
async fn time() {
    let key = ed25519();
    for (x, expected) in [
        ("1699999999", one("fail", "signature has expired")),
        ("1700000000", one("pass", "")),
        ("1800000000", one("pass", "")),
    ] {
        let mail = signed(MESSAGE, &key, &[("t", "1600000000"), ("x", x)]);
        assert_eq!(results(&mail, &zone(&key)).await, expected, "{x}");
    }
}

/// RFC 6376 6.1.2; RFC 8301 3.2.
#[tokio::test]
async fn keys() {
    let key = rsa();
    let mail = signed(MESSAGE, &key, &[]);
    let published = |record: &str| key_line("sel", "example.com", record);
    let rsa_record = |p: &str| published(&format!("v=DKIM1; p={p}"));
    for (zone, expected) in [
        (rsa_record(RSA_2048_SPKI), one("pass", "")),
        (rsa_record(RSA_512), one("permerror", "RSA key is shorter than 1024 bits")),
        (rsa_record(RSA_1023), one("permerror", "RSA key is shorter than 1024 bits")),
        (rsa_record(RSA_4104), one("permerror", "RSA key is longer than 4096 bits")),
        (published(&ed25519().record()), one("permerror", "key is not for this algorithm")),
        (published("v=DKIM1; p="), one("permerror", "key was revoked")),
        (String::new(), one("permerror", "no key")),
        ("sel._domainkey.example.com. A 192.0.2.1".into(), one("permerror", "no key")),
        ("sel._domainkey.example.com. SERVFAIL".into(), one("temperror", "key server unavailable")),
        ("sel._domainkey.example.com. BOGUS".into(), one("temperror", "key server unavailable")),
    ] {
        assert_eq!(results(&mail, &zone).await, expected, "{zone}");
    }
}

/// RFC 6376 3.6.1, t=.
#[tokio::test]
async fn flags_of_the_key() {
    let key = ed25519();
    let zone = key_line("sel", "example.com", &(key.record() + "; t=s:y"));
    let same = signed(MESSAGE, &key, &[("i", "joe@example.com")]);
    let beneath = signed(MESSAGE, &key, &[("i", "joe@mail.example.com")]);
    assert_eq!(results(&same, &zone).await, one("pass", ""));
    let strict = "i= is not of d= itself, as the key demands";
    assert_eq!(results(&beneath, &zone).await, one("permerror", strict));
    let dns = FakeDns::parse(&zone).expect("zone text");
    let found = run(&DkimCheck::default(), &same, &Facts::new(), &dns).await;
    assert_eq!(found.evidence["signatures"][0]["testing"], true);
}

/// RFC 8301 3.1.
#[tokio::test]
async fn sha1_never_passes() {
    let key = rsa();
    let mail = signed(MESSAGE, &key, &[]).replacen("rsa-sha256", "rsa-sha1", 1);
    assert_eq!(results(&mail, &zone(&key)).await, one("permerror", "rsa-sha1 is not accepted"));
}

#[tokio::test]
async fn none_many_and_the_best() {
    let dns = FakeDns::parse(&zone(&ed25519())).expect("zone text");
    let found = run(&DkimCheck::default(), MESSAGE, &Facts::new(), &dns).await;
    assert_eq!(value(&found, registry::DKIM), Value::from("none"));
    assert_eq!(found.results[0].result, "none");

    let junk = "DKIM-Signature: junk\r\n".repeat(9);
    let mail = junk.clone() + &signed(MESSAGE, &ed25519(), &[]);
    let found = run(&DkimCheck::default(), &mail, &Facts::new(), &dns).await;
    assert_eq!(value(&found, registry::DKIM), Value::from("pass"));
    let mail = "DKIM-Signature: junk\r\n".to_owned() + &mail;
    let found = run(&DkimCheck::default(), &mail, &Facts::new(), &dns).await;
    assert_eq!(value(&found, registry::DKIM), Value::from("permerror"));
    assert_eq!(value(&found, registry::DKIM_COUNT), Value::from(11));
    assert_eq!(found.evidence["not_tried"], 1);
}

#[tokio::test]
async fn a_key_is_asked_once() {
    let key = ed25519();
    let dns = FakeDns::parse("sel._domainkey.example.com. SERVFAIL").expect("zone text");
    let mail = signed(&signed(MESSAGE, &key, &[]), &key, &[]);
    let found = run(&DkimCheck::default(), &mail, &Facts::new(), &dns).await;
    assert_eq!(dns.asked().len(), 1);
    assert_eq!(value(&found, registry::DKIM_TEMPERROR_DOMAINS), Value::from(vec!["example.com"]));
}

/// A signature that can't hold is worth no question, and no temporary error.
#[tokio::test]
async fn no_key_is_asked_for_a_broken_body() {
    let dns = FakeDns::parse("sel._domainkey.example.com. SERVFAIL").expect("zone text");
    let mail = signed(MESSAGE, &ed25519(), &[]) + "more\r\n";
    let found = run(&DkimCheck::default(), &mail, &Facts::new(), &dns).await;
    assert_eq!(found.results[0].result, "fail");
    assert_eq!(dns.asked(), []);
}

#[test]
fn bodies_to_hash() {
    let key = ed25519();
    let mail = signed(MESSAGE, &key, &[("c", "simple/relaxed")]);
    let mail = signed(&mail, &key, &[("c", "relaxed/relaxed"), ("l", "3")]);
    let mail = signed(&mail, &key, &[("c", "relaxed/relaxed")]);
    let header = Header::parse(sign::split(mail.as_bytes()).0.into());
    let whole = HashSpec { relaxed: true, limit: None };
    assert_eq!(body_hashes(&header), [whole, HashSpec { relaxed: true, limit: Some(3) }]);
}
