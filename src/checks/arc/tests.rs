//! Whole chains through the check, and the ValiMail validation suite.

use super::*;
use crate::checks::dkim::crypto::{SigningKey, sha256};
use crate::checks::dkim::sign;
use crate::checks::dkim::testing::*;
use crate::dns::fake::FakeDns;
use crate::facts::{Facts, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const MESSAGE: &str = "From: Joe <joe@example.com>\r\nSubject: one\r\n\r\nHi.\r\n";

/// Puts a set of `d=lists.example.org` on top, whose results are `results`.
fn sealed(message: &str, i: usize, results: &str, h: &str, key: &SigningKey) -> String {
    let (_, body) = sign::split(message.as_bytes());
    let signed_with = |unsigned: String, data: &dyn Fn(&str) -> Vec<u8>| {
        let signature = key.sign(&data(&unsigned)).expect("a signature");
        format!("{unsigned}{}\r\n", STANDARD.encode(signature))
    };
    let algorithm = key.algorithm().name();
    let ams = format!(
        "ARC-Message-Signature: i={i}; a={algorithm}; c=relaxed/relaxed; d=lists.example.org; s=sel; h={h}; bh={}; b=",
        STANDARD.encode(sha256(&sign::canonical_body(body, true)))
    );
    let ams = signed_with(ams, &|ams| {
        let header = Header::parse(format!("{ams}\r\n{message}").into_bytes().into());
        let own = header.fields().next().expect("a field");
        FieldIndex::new(&header).signed_data(h.split(':'), own, true)
    });
    let aar = format!("ARC-Authentication-Results: i={i}; lists.example.org; {results}\r\n");
    let cv = if i == 1 { "none" } else { "pass" };
    let seal = format!("ARC-Seal: i={i}; a={algorithm}; cv={cv}; d=lists.example.org; s=sel; b=");
    let before = Header::parse(sign::split(message.as_bytes()).0.into());
    let seal = signed_with(seal, &|seal| {
        let mut data = Vec::new();
        for set in chain::collect(&before).expect("a chain") {
            for field in [set.results, set.message, set.seal] {
                crate::checks::dkim::canonical::push_field(&mut data, field.raw, true);
            }
        }
        for raw in [&aar, &ams] {
            crate::checks::dkim::canonical::push_field(&mut data, raw.as_bytes(), true);
        }
        crate::checks::dkim::canonical::push_own_field(&mut data, seal.as_bytes(), true);
        data
    });
    format!("{seal}{ams}{aar}{message}")
}

async fn found(message: &str, trusted: &[&str], author: &str) -> Findings {
    let dns = FakeDns::parse(&key_line("sel", "lists.example.org", &ed25519().record()));
    let mut facts = Facts::new();
    facts.set(registry::HEADER_FROM_DOMAIN, author);
    let trusted_sealers = trusted.iter().map(|name| (*name).to_owned()).collect();
    let check = ArcCheck::new(ArcConfig { trusted_sealers });
    run(&check, message, &facts, &dns.expect("zone text")).await
}

#[tokio::test]
async fn two_hops() {
    let key = ed25519();
    let one = sealed(MESSAGE, 1, "dmarc=pass", "from:subject", &key);
    let two = sealed(
        &one.replacen("Subject: one", "Subject: [list] one", 1),
        2,
        "arc=pass",
        "from:subject",
        &key,
    );
    for message in [&one, &two] {
        let found = found(message, &[], "example.com").await;
        assert_eq!(value(&found, registry::ARC), Value::from("pass"), "{:?}", found.evidence);
        assert_eq!(value(&found, registry::ARC_SEALER), Value::from("lists.example.org"));
        assert_eq!(value(&found, registry::ARC_TRUSTED), Value::from(false));
    }
    for (from, to, reason) in [
        ("[list]", "[spam]", "signature does not match"),
        ("Hi.", "Ho.", "body hash does not match"),
        (
            "i=1; lists.example.org; dmarc=pass",
            "i=1; lists.example.org; dmarc=fail",
            "a seal does not match",
        ),
        (
            "i=2; lists.example.org; arc=pass",
            "i=2; lists.example.org; arc=fail",
            "a seal does not match",
        ),
    ] {
        let found = found(&two.replacen(from, to, 1), &["lists.example.org"], "example.com").await;
        assert_eq!(value(&found, registry::ARC), Value::from("fail"));
        assert_eq!(value(&found, registry::ARC_TRUSTED), Value::from(false));
        assert_eq!(found.evidence["reason"], reason);
    }
}

#[tokio::test]
async fn trust_is_given_by_the_administrator() {
    let key = ed25519();
    let good = sealed(MESSAGE, 1, "dmarc=pass header.from=example.com", "from:subject", &key);
    let bad = sealed(MESSAGE, 1, "dmarc=fail header.from=example.com", "from:subject", &key);
    let open = sealed(MESSAGE, 1, "dmarc=pass", "subject", &key);
    for (message, sealers, author, expected) in [
        (&good, &["lists.example.org"][..], "example.com", true),
        (&good, &["example.org"], "example.com", true),
        (&good, &[], "example.com", false),
        (&good, &["example.net"], "example.com", false),
        (&good, &["lists.example.org"], "bank.example", false),
        (&good, &["lists.example.org"], "", false),
        (&bad, &["lists.example.org"], "example.com", false),
        (&open, &["lists.example.org"], "example.com", false),
    ] {
        let found = found(message, sealers, author).await;
        assert_eq!(value(&found, registry::ARC), Value::from("pass"));
        assert_eq!(value(&found, registry::ARC_TRUSTED), Value::from(expected), "{sealers:?}");
    }
}

#[tokio::test]
async fn a_chain_of_too_many_strangers() {
    let bh = STANDARD.encode(sha256(b"Hi.\r\n"));
    let sets = (1..=11).map(|i| {
        let cv = if i == 1 { "none" } else { "pass" };
        format!(
            "ARC-Seal: i={i}; a=rsa-sha256; cv={cv}; d=d{i}.example; s=s; b=AAAA\r\n\
             ARC-Message-Signature: i={i}; a=rsa-sha256; d=d{i}.example; s=s; h=from; bh={bh}; b=AAAA\r\n\
             ARC-Authentication-Results: i={i}; x; none\r\n"
        )
    });
    let message = sets.collect::<String>() + MESSAGE;
    let dns = FakeDns::parse("").expect("zone text");
    let found = run(&ArcCheck::default(), &message, &Facts::new(), &dns).await;
    assert_eq!(found.evidence["reason"], "the chain needs too many keys");
    assert_eq!(dns.asked(), []);
}

#[tokio::test]
async fn no_chain() {
    let found = found(MESSAGE, &["lists.example.org"], "example.com").await;
    assert_eq!(value(&found, registry::ARC), Value::from("none"));
    assert_eq!(value(&found, registry::ARC_TRUSTED), Value::from(false));
}

/// The suite of ValiMail for RFC 8617, when `ARC_SUITE` names its file. A case without verdict
/// fails by RFC 8617 5.2.
#[tokio::test]
async fn the_validation_suite() {
    let Ok(path) = std::env::var("ARC_SUITE") else { return };
    let text = std::fs::read_to_string(path).expect("the suite");
    let (mut passed, mut failed) = (0, Vec::new());
    for document in text.split("\n---") {
        let (cases, zone) = read(document);
        let dns = FakeDns::parse(&zone).expect("zone text");
        for (name, (message, expected)) in cases {
            let found = run(&ArcCheck::default(), &message, &Facts::new(), &dns).await;
            let seen = found.results[0].result;
            if seen == expected {
                passed += 1;
            } else {
                failed.push(format!("{name}: {seen} {} for {expected}", found.evidence));
            }
        }
    }
    println!("{passed} passed, {} failed", failed.len());
    assert!(passed > 0 && failed.is_empty(), "{failed:#?}");
}

type Cases = std::collections::BTreeMap<String, (String, &'static str)>;

/// The little YAML the suite is written in: its cases, and its TXT records as zone text.
fn read(document: &str) -> (Cases, String) {
    let (tests, records) = document.split_once("\ntxt-records:").expect("records");
    let mut cases = Cases::new();
    let (mut name, mut message, mut expected, mut in_message) = ("", String::new(), "fail", false);
    for line in tests.lines().chain(["  end:"]) {
        if in_message && (line.starts_with("      ") || line.trim().is_empty()) {
            message += line.get(6..).unwrap_or("");
            message += "\r\n";
            continue;
        }
        in_message = false;
        if let Some(rest) = line.strip_prefix("    ") {
            match rest.split_once(':').map(|(key, value)| (key, value.trim())) {
                Some(("message", _)) => in_message = true,
                Some(("cv", "Pass")) => expected = "pass",
                Some(("cv", "None")) => expected = "none",
                _ => {}
            }
        } else if let Some(next) =
            line.strip_prefix("  ").filter(|next| next.trim_end().ends_with(':'))
        {
            if !message.is_empty() {
                cases.insert(name.to_owned(), (std::mem::take(&mut message), expected));
            }
            (name, expected) = (next, "fail");
        }
    }
    let mut zone = String::new();
    for line in records.lines() {
        if let Some(text) = line.strip_prefix("    ") {
            zone += &format!(" \"{text} \"");
        } else if let Some((name, _)) = line.trim().split_once(':') {
            zone += &format!("\n{name}. TXT");
        }
    }
    (cases, zone)
}
