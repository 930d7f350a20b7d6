use std::time::Duration;

use super::*;
use crate::dns::Kind;
use crate::dns::fake::FakeDns;
use crate::facts::{Facts, FieldId};

fn zone(name: &str, weight: i64, answers: &str) -> Zone {
    let answers = AnswerSet::parse(answers).unwrap();
    Zone { name: name.into(), weight, answers, display: None, ipv4: true, ipv6: true }
}

struct Ran {
    facts: Facts,
    findings: Findings,
    asked: Vec<(String, Kind)>,
}

impl Ran {
    fn read(&self, field: FieldId) -> String {
        self.facts.get(field).unwrap().to_string()
    }
}

async fn run_check(check: &Dnsbl, text: &str, ip: &str, questions: u32) -> Ran {
    let dns = FakeDns::parse(text).unwrap();
    let budget = Budget::new(dns.resolver(), questions, Duration::from_secs(20));
    let known = Facts::new();
    let cx = Context {
        facts: &known,
        message: None,
        client_ip: ip.parse().unwrap(),
        helo: "",
        hostname: "mx.example.org",
        dns: &budget,
        now: 0,
    };
    let findings = check.run(&cx).await;
    let mut facts = Facts::new();
    for (field, key, value) in &findings.values {
        match key {
            Some(key) => facts.set_keyed(*field, key, value.clone()),
            None => facts.set(*field, value.clone()),
        }
    }
    Ran { facts, findings, asked: dns.asked() }
}

async fn run(zones: Vec<Zone>, text: &str) -> Ran {
    run_check(&Dnsbl::new(zones), text, "192.0.2.1", 50).await
}

#[tokio::test(start_paused = true)]
async fn not_listed() {
    let ran = run(vec![zone("bl.test", 4, "127.0.0.2")], "").await;
    assert_eq!(ran.read(DNSBL_SCORE), "0");
    assert_eq!(ran.read(DNSBL_HITS), "0");
    assert_eq!(ran.read(DNSBL_ZONES), "");
    assert_eq!(ran.read(DNSBL_TEXT), "");
    assert_eq!(ran.read(DNSBL_TEMPERROR), "false");
    assert_eq!(ran.facts.get_keyed(DNSBL_ZONE, "bl.test"), Some(&Value::List(Vec::new())));
    assert_eq!(ran.asked, [("1.2.0.192.bl.test".into(), Kind::A)]);
}

#[tokio::test(start_paused = true)]
async fn listed() {
    let zones = vec![
        zone("small.test", 2, "127.0.0.2"),
        zone("BIG.test.", 4, "127.0.0.2-11"),
        zone("other.test", 4, "127.0.0.2"),
    ];
    let text = "1.2.0.192.small.test. A 127.0.0.2\n\
        1.2.0.192.big.test. A 127.0.0.10\n1.2.0.192.big.test. A 127.0.0.4\n\
        1.2.0.192.big.test. TXT https://big.test/?ip=192.0.2.1\n\
        1.2.0.192.other.test. A 127.0.0.2\n";
    let ran = run(zones, text).await;
    assert_eq!(ran.read(DNSBL_SCORE), "10");
    assert_eq!(ran.read(DNSBL_HITS), "3");
    assert_eq!(ran.read(DNSBL_ZONES), "small.test, big.test, other.test");
    assert_eq!(ran.read(DNSBL_TEXT), "big.test; https://big.test/?ip=192.0.2.1");
    let answers = ran.facts.get_keyed(DNSBL_ZONE, "big.test").unwrap();
    assert_eq!(answers.to_string(), "127.0.0.4, 127.0.0.10");
    assert!(ran.findings.results.is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_text_the_name_alone() {
    let zones = || vec![zone("bl.test", 1, "127.0.0.2")];
    for text in ["", "1.2.0.192.bl.test. SERVFAIL TXT\n", "1.2.0.192.bl.test. TIMEOUT TXT\n"] {
        let start = Instant::now();
        let ran = run(zones(), &format!("1.2.0.192.bl.test. A 127.0.0.2\n{text}")).await;
        assert!(start.elapsed() <= TEXT_TIME);
        assert_eq!(ran.read(DNSBL_TEXT), "bl.test");
        assert_eq!(ran.read(DNSBL_SCORE), "1");
        assert_eq!(ran.read(DNSBL_TEMPERROR), "false", "the words decide nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn ipv6_by_nibbles() {
    let name = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.test";
    let mut only4 = zone("four.test", 1, "127.0.0.2");
    only4.ipv6 = false;
    let check = Dnsbl::new(vec![zone("bl.test", 3, "127.0.0.2"), only4]);
    let ran = run_check(&check, &format!("{name}. A 127.0.0.2\n"), "2001:db8::1", 10).await;
    assert_eq!(ran.read(DNSBL_SCORE), "3");
    assert_eq!(ran.asked, [(name.into(), Kind::A), (name.into(), Kind::Txt)]);
}

#[tokio::test(start_paused = true)]
async fn errors_are_no_listings() {
    for answer in ["127.255.255.254", "127.255.255.255", "127.255.255.252", "192.0.2.7"] {
        let text = format!(
            "1.2.0.192.bl.test. A {answer}\n1.2.0.192.bl.test. A 127.0.0.2\n\
             1.2.0.192.bl.test. TXT x\n"
        );
        let ran = run(vec![zone("bl.test", 4, "127.*.*.*")], &text).await;
        assert_eq!(ran.read(DNSBL_SCORE), "0", "{answer}");
        assert_eq!(ran.read(DNSBL_ZONES), "");
        assert_eq!(ran.read(DNSBL_TEMPERROR), "true");
        let note = ran.findings.evidence[0]["note"].as_str().unwrap();
        assert!(note.starts_with(&format!("answered {answer}: ")), "{note}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_answers() {
    let mut text: String = (0..250)
        .flat_map(|n| (0..4).map(move |m| format!("1.2.0.192.bl.test. A 127.0.{m}.{n}\n")))
        .collect();
    let ran = run(vec![zone("bl.test", 4, "127.*.*.*")], &text).await;
    assert_eq!(ran.findings.evidence[0]["answers"].as_array().unwrap().len(), MAX_ANSWERS);
    assert_eq!(ran.read(DNSBL_SCORE), "4");
    text.push_str("1.2.0.192.bl.test. A 127.255.255.254\n");
    let ran = run(vec![zone("bl.test", 4, "127.*.*.*")], &text).await;
    assert_eq!(ran.read(DNSBL_SCORE), "0", "the error is seen behind the flood");
}

#[tokio::test(start_paused = true)]
async fn answers_not_declared_are_no_listings() {
    let text = "1.2.0.192.bl.test. A 127.0.0.1\n";
    let ran = run(vec![zone("bl.test", 4, "127.0.0.2-11")], text).await;
    assert_eq!(ran.read(DNSBL_SCORE), "0");
    assert_eq!(ran.read(DNSBL_TEMPERROR), "false");
    let note = ran.findings.evidence[0]["note"].as_str().unwrap();
    assert_eq!(note, "not declared in its `answers`: 127.0.0.1");
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_temperror() {
    let zones = || vec![zone("bl.test", 4, "127.0.0.2"), zone("two.test", 1, "127.0.0.2")];
    for fault in ["SERVFAIL", "TIMEOUT", "BOGUS"] {
        let text = format!("1.2.0.192.bl.test. {fault}\n1.2.0.192.two.test. A 127.0.0.2\n");
        let ran = run(zones(), &text).await;
        assert_eq!(ran.read(DNSBL_TEMPERROR), "true");
        assert_eq!(ran.read(DNSBL_ZONES), "two.test", "the others still count");
    }
    let ran = run_check(&Dnsbl::new(zones()), "", "192.0.2.1", 1).await;
    assert_eq!(ran.read(DNSBL_TEMPERROR), "true");
}

#[tokio::test(start_paused = true)]
async fn allow_lists() {
    let zones = vec![zone("bl.test", 4, "127.0.0.2"), zone("wl.test", -3, "127.0.*.1-3")];
    let text = "1.2.0.192.bl.test. A 127.0.0.2\n1.2.0.192.wl.test. A 127.0.10.2\n";
    let ran = run(zones, text).await;
    assert_eq!(ran.read(DNSBL_SCORE), "1");
    assert_eq!(ran.read(DNSBL_HITS), "1");
    assert_eq!(ran.read(DNSBL_ZONES), "bl.test, wl.test");
    let result = &ran.findings.results[0];
    assert_eq!((result.method, result.result), ("dnswl", "pass"));
    let wanted = [("dns.zone", "wl.test".to_owned()), ("policy.ip", "127.0.10.2".to_owned())];
    assert_eq!(result.properties, wanted);
    assert!(!ran.asked.contains(&("1.2.0.192.wl.test".into(), Kind::Txt)));
}

#[tokio::test(start_paused = true)]
async fn one_name_with_several_weights_is_asked_once() {
    let zones = vec![zone("bl.test", 4, "127.0.0.2-3"), zone("bl.test", 2, "127.0.0.10-11")];
    let ran = run(zones.clone(), "1.2.0.192.bl.test. A 127.0.0.10\n").await;
    assert_eq!(ran.read(DNSBL_SCORE), "2");
    assert_eq!(ran.asked.len(), 2);
    let text = "1.2.0.192.bl.test. A 127.0.0.10\n1.2.0.192.bl.test. A 127.0.0.2\n";
    let ran = run(zones, text).await;
    assert_eq!(ran.read(DNSBL_SCORE), "6");
    assert_eq!(ran.read(DNSBL_HITS), "1");
}

#[tokio::test(start_paused = true)]
async fn weights_by_family() {
    let mut six = zone("bl.test", 1, "127.0.0.2");
    six.ipv4 = false;
    let mut four = zone("bl.test", 4, "127.0.0.2");
    four.ipv6 = false;
    let check = Dnsbl::new(vec![six, four]);
    for (ip, score) in [("192.0.2.1", "4"), ("2001:db8::1", "1")] {
        let ran = run_check(&check, "*.bl.test. A 127.0.0.2\n", ip, 10).await;
        assert_eq!(ran.read(DNSBL_SCORE), score);
    }
}

#[tokio::test(start_paused = true)]
async fn two_zones_shown_by_one_name() {
    let mut zones = vec![zone("k1.test", 1, "127.0.0.2"), zone("k2.test", 1, "127.0.0.2")];
    zones.iter_mut().for_each(|zone| zone.display = Some("Zen.test".into()));
    let ran = run(zones, "1.2.0.192.k1.test. A 127.0.0.2\n").await;
    let answers = ran.facts.get_keyed(DNSBL_ZONE, "zen.test").unwrap();
    assert_eq!(answers.to_string(), "127.0.0.2");
}

#[tokio::test(start_paused = true)]
async fn keys_never_appear() {
    let mut keyed = zone("SeCret.zen.test", 4, "127.0.0.2");
    keyed.display = Some("zen.test".into());
    let text = "1.2.0.192.secret.zen.test. A 127.0.0.2\n1.2.0.192.secret.zen.test. A 127.0.0.99\n\
        1.2.0.192.secret.zen.test. TXT see SECRET.zen.test for secret.zen.test\n";
    let ran = run(vec![keyed], text).await;
    assert_eq!(ran.read(DNSBL_ZONES), "zen.test");
    assert_eq!(ran.read(DNSBL_TEXT), "zen.test; see zen.test for zen.test");
    assert!(ran.facts.get_keyed(DNSBL_ZONE, "zen.test").is_some());
    let all = format!("{:?}", ran.findings).to_ascii_lowercase();
    assert!(!all.contains("secret"), "{all}");
}

#[tokio::test(start_paused = true)]
async fn hostile_text() {
    let long = "x".repeat(5000);
    let text = format!(
        "1.2.0.192.bl.test. A 127.0.0.2\n\
         1.2.0.192.bl.test. TXT \"a\\013\\010250 ok\\000\\255\\127{long}\"\n"
    );
    let ran = run(vec![zone("bl.test", 4, "127.0.0.2")], &text).await;
    let shown = ran.read(DNSBL_TEXT);
    assert!(shown.starts_with("bl.test; a250 okxxx"), "{shown}");
    assert_eq!(shown.len(), "bl.test; ".len() + MAX_TEXT);
}

#[tokio::test(start_paused = true)]
async fn lists_are_asked_together() {
    let text: String =
        (0..20).map(|n| format!("1.2.0.192.l{n}.test. @700 A 127.0.0.2\n")).collect();
    let zones = (0..20).map(|n| zone(&format!("l{n}.test"), 1, "127.0.0.2")).collect();
    let start = Instant::now();
    let ran = run(zones, &text).await;
    assert_eq!(ran.read(DNSBL_HITS), "20");
    // The address and then the text, which is as slow.
    assert_eq!(start.elapsed(), Duration::from_millis(1400));
}

#[tokio::test(start_paused = true)]
async fn sick_lists_are_not_asked_until_they_recover() {
    let check = Dnsbl::new(vec![zone("bl.test", 4, "127.0.0.2"), zone("ok.test", 1, "127.0.0.2")]);
    let probe_with = async |text: &str| {
        let dns = FakeDns::parse(text).unwrap();
        check.probe_all(&Budget::new(dns.resolver(), 10, Duration::from_secs(20))).await;
    };
    probe_with("*.bl.test. A 127.0.0.2\n2.0.0.127.ok.test. A 127.0.0.2\n").await;
    let states: Vec<_> = check.health().collect();
    assert_eq!(states, [("bl.test", Health::ListsEverything), ("ok.test", Health::Healthy)]);

    let world = "*.bl.test. A 127.0.0.2\n";
    let ran = run_check(&check, world, "192.0.2.1", 10).await;
    assert_eq!(ran.read(DNSBL_SCORE), "0");
    assert_eq!(ran.read(DNSBL_TEMPERROR), "true");
    assert_eq!(ran.asked.len(), 1);
    assert_eq!(ran.findings.evidence[0]["zone"], "bl.test");

    probe_with("*.bl.test. SERVFAIL\n").await;
    assert_eq!(check.health().next(), Some(("bl.test", Health::ListsEverything)));
    probe_with("2.0.0.127.bl.test. A 127.0.0.2\n").await;
    let ran = run_check(&check, world, "192.0.2.1", 10).await;
    assert_eq!(ran.read(DNSBL_SCORE), "4");
}

#[test]
fn failed_is_temperror_and_no_listing() {
    let findings = Dnsbl::new(vec![zone("bl.test", 4, "127.0.0.2")]).failed();
    let value = |field| findings.values.iter().find(|(id, ..)| *id == field).map(|v| &v.2);
    assert_eq!(value(DNSBL_TEMPERROR), Some(&Value::Bool(true)));
    assert_eq!(value(DNSBL_SCORE), Some(&Value::Int(0)));
}
