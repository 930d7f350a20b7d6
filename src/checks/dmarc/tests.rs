//! The check over facts as the other checks leave them.

use super::*;
use crate::checks::dkim::testing::{run, value};
use crate::dns::fake::FakeDns;
use crate::facts::{FieldId, Value};

const ZONE: &str = "_dmarc.example.com. TXT \"v=DMARC1; p=reject; sp=quarantine; np=reject; rua=mailto:d@example.com\"\n\
    _dmarc.strict.example. TXT \"v=DMARC1; p=reject; adkim=s; aspf=s\"\n\
    _dmarc.testing.example. TXT \"v=DMARC1; p=reject; t=y\"\n\
    _dmarc.reports.example. TXT \"v=DMARC1; rua=mailto:d@reports.example\"\n\
    _dmarc.junk.example. TXT \"v=DMARC1; p=junk\"\n\
    _dmarc.twice.example. TXT \"v=DMARC1; p=reject\"\n\
    _dmarc.twice.example. TXT \"v=DMARC1; p=none\"\n\
    _dmarc.down.example. SERVFAIL\n\
    news.example.com. A 192.0.2.1\n\
    mx.example.com. MX 10 mx.example.com.\n\
    broken.example.com. SERVFAIL A\n\
    _dmarc.away.example.com. SERVFAIL\n";

/// From, SPF result and domain, DKIM passes, DKIM temporary errors.
struct Given<'a>(&'a str, (&'a str, &'a str), &'a [&'a str], &'a [&'a str]);

fn facts(given: &Given<'_>) -> Facts {
    let Given(author, (spf, spf_domain), dkim, unknown) = *given;
    let mut facts = Facts::new();
    facts.set(registry::HEADER_FROM_DOMAIN, author);
    facts.set(registry::SPF, spf);
    facts.set(registry::SPF_DOMAIN, spf_domain);
    facts.set(registry::DKIM_DOMAINS, dkim.to_vec());
    facts.set(registry::DKIM_TEMPERROR_DOMAINS, unknown.to_vec());
    facts
}

async fn check(facts: &Facts, forwarders: &[&str]) -> Findings {
    let dns = FakeDns::parse(ZONE).expect("zone text");
    let forwarders = forwarders.iter().map(|name| (*name).to_owned()).collect();
    run(&DmarcCheck::new(DmarcConfig { forwarders }), "From: x\r\n\r\n", facts, &dns).await
}

fn text(found: &Findings, field: FieldId) -> String {
    value(found, field).to_string()
}

/// RFC 9989 5.3: results, policies and where they come from.
#[tokio::test]
async fn results() {
    let no_spf = ("none", "");
    for (given, result, policy, domain) in [
        (Given("example.com", no_spf, &[], &[]), "fail", "reject", "example.com"),
        (Given("example.com", ("pass", "example.com"), &[], &[]), "pass", "reject", "example.com"),
        (
            Given("example.com", ("pass", "bounce.example.com"), &[], &[]),
            "pass",
            "reject",
            "example.com",
        ),
        (
            Given("example.com", ("softfail", "example.com"), &[], &[]),
            "fail",
            "reject",
            "example.com",
        ),
        (
            Given("example.com", ("pass", "example.org"), &["example.net"], &[]),
            "fail",
            "reject",
            "example.com",
        ),
        (
            Given("example.com", no_spf, &["example.net", "example.com"], &[]),
            "pass",
            "reject",
            "example.com",
        ),
        // sp for one that exists, of whatever type; np for one that does not (3.2.13).
        (Given("news.example.com", no_spf, &[], &[]), "fail", "quarantine", "example.com"),
        (Given("mx.example.com", no_spf, &[], &[]), "fail", "quarantine", "example.com"),
        (Given("gone.example.com", no_spf, &[], &[]), "fail", "reject", "example.com"),
        (Given("broken.example.com", no_spf, &[], &[]), "fail", "quarantine", "example.com"),
        (Given("gone.example.com", no_spf, &["example.com"], &[]), "pass", "reject", "example.com"),
        (
            Given("strict.example", no_spf, &["mail.strict.example"], &[]),
            "fail",
            "reject",
            "strict.example",
        ),
        (
            Given("strict.example", ("pass", "mail.strict.example"), &[], &[]),
            "fail",
            "reject",
            "strict.example",
        ),
        (
            Given("strict.example", no_spf, &["strict.example"], &[]),
            "pass",
            "reject",
            "strict.example",
        ),
        (Given("testing.example", no_spf, &[], &[]), "fail", "quarantine", "testing.example"),
        (Given("reports.example", no_spf, &[], &[]), "fail", "none", "reports.example"),
        (Given("nothing.example", no_spf, &["nothing.example"], &[]), "none", "none", ""),
        (Given("twice.example", no_spf, &[], &[]), "none", "none", ""),
        (Given("junk.example", no_spf, &["junk.example"], &[]), "permerror", "none", ""),
        (Given("", no_spf, &["example.com"], &[]), "permerror", "none", ""),
        // 5.3.6: DNS errors are neither pass nor fail.
        (Given("down.example", no_spf, &["down.example"], &[]), "temperror", "none", ""),
        (
            Given("example.com", ("temperror", "example.com"), &[], &[]),
            "temperror",
            "reject",
            "example.com",
        ),
        (
            Given("example.com", ("temperror", "example.org"), &[], &[]),
            "fail",
            "reject",
            "example.com",
        ),
        (
            Given("example.com", no_spf, &[], &["mail.example.com"]),
            "temperror",
            "reject",
            "example.com",
        ),
        (
            Given("example.com", no_spf, &["example.com"], &["mail.example.com"]),
            "pass",
            "reject",
            "example.com",
        ),
        (
            Given("example.com", no_spf, &["away.example.com"], &[]),
            "temperror",
            "reject",
            "example.com",
        ),
        (
            Given("example.com", no_spf, &["away.example.com", "example.com"], &[]),
            "pass",
            "reject",
            "example.com",
        ),
    ] {
        let found = check(&facts(&given), &[]).await;
        let Given(author, spf, dkim, unknown) = given;
        let case = format!("{author} {spf:?} {dkim:?} {unknown:?} {}", found.evidence);
        assert_eq!(text(&found, registry::DMARC), result, "{case}");
        assert_eq!(text(&found, registry::DMARC_POLICY), policy, "{case}");
        assert_eq!(text(&found, registry::DMARC_DOMAIN), domain, "{case}");
        assert_eq!(found.results[0].result, result);
    }
}

/// A check of SPF or DKIM that did not finish leaves no domain, and no verdict.
#[tokio::test]
async fn checks_that_did_not_finish() {
    for field in [registry::SPF, registry::DKIM] {
        let mut facts = Facts::new();
        facts.set(registry::HEADER_FROM_DOMAIN, "example.com");
        facts.set(field, "temperror");
        assert_eq!(text(&check(&facts, &[]).await, registry::DMARC), "temperror");
        facts.set(registry::DKIM_DOMAINS, vec!["example.com"]);
        assert_eq!(text(&check(&facts, &[]).await, registry::DMARC), "pass");
    }
}

#[tokio::test]
async fn what_was_aligned() {
    let given = Given("example.com", ("pass", "a.example.com"), &["other.example"], &[]);
    let found = check(&facts(&given), &[]).await;
    assert_eq!(value(&found, registry::DMARC_SPF_ALIGNED), Value::from(true));
    assert_eq!(value(&found, registry::DKIM_ALIGNED), Value::from(false));
    let given = Given("example.com", ("pass", "other.example"), &["a.example.com"], &[]);
    let found = check(&facts(&given), &[]).await;
    assert_eq!(value(&found, registry::DMARC_SPF_ALIGNED), Value::from(false));
    assert_eq!(value(&found, registry::DKIM_ALIGNED), Value::from(true));
    assert_eq!(found.evidence["identities"][1]["aligned"], true);
}

#[tokio::test]
async fn what_is_reported() {
    let found = check(&facts(&Given("news.example.com", ("none", ""), &[], &[])), &[]).await;
    assert_eq!(
        found.results[0].properties,
        [
            ("header.from", "news.example.com".to_owned()),
            ("polrec.p", "reject".to_owned()),
            ("polrec.domain", "example.com".to_owned()),
        ]
    );
    assert_eq!(found.evidence["policy_tag"], "sp");
    assert_eq!(found.evidence["published"]["np"], "reject");
    assert_eq!(found.evidence["asked"][0]["name"], "news.example.com");
    assert_eq!(found.evidence["asked"].as_array().map(Vec::len), Some(3));
}

/// A question is not asked twice, and not at all when the answer can't matter (4.10.2).
#[tokio::test]
async fn few_questions() {
    for (given, questions) in [
        (Given("example.com", ("pass", "example.com"), &["example.com"], &[]), 1),
        (Given("strict.example", ("pass", "a.strict.example"), &["x.example"], &[]), 1),
        (Given("example.com", ("pass", "a.example.org"), &["example.net"], &[]), 2),
        (Given("example.com", ("pass", "a.example.com"), &["a.example.com"], &[]), 3),
    ] {
        let dns = FakeDns::parse(ZONE).expect("zone text");
        run(&DmarcCheck::default(), "\r\n", &facts(&given), &dns).await;
        assert_eq!(dns.asked().len(), questions, "{:?}", dns.asked());
    }
}

/// RFC 9989 7.4, RFC 7960.
#[tokio::test]
async fn indirect_ways() {
    let list = "users.lists.example.org";
    for (spf, dkim, list_id, arc, expected) in [
        (("none", ""), &[][..], "", true, true),
        (("none", ""), &[], list, false, false), // anybody can write a List-Id
        (("pass", "evil.example"), &["evil.example"], list, false, false),
        (("fail", "lists.example.org"), &[], list, false, false),
        (("pass", "lists.example.org"), &[], list, false, true),
        (("none", ""), &["example.org"], list, false, true),
        (("none", ""), &["org"], list, false, false),
        (("none", ""), &["a.example.org"], list, false, false), // no record joins them
        (("pass", "srs.forward.example"), &[], "", false, true),
        (("none", ""), &["forward.example"], "", false, true),
        (("none", ""), &["notforward.example"], "", false, false),
    ] {
        let mut facts = facts(&Given("example.com", spf, dkim, &[]));
        facts.set(registry::HEADER_LIST_ID_DOMAIN, list_id);
        facts.set(registry::ARC_TRUSTED, arc);
        let found = check(&facts, &["forward.example"]).await;
        assert_eq!(text(&found, registry::DMARC), "fail");
        let case = format!("{spf:?} {dkim:?} {list_id}");
        assert_eq!(value(&found, registry::INDIRECT), Value::from(expected), "{case}");
        assert_eq!(found.evidence.get("indirect").is_some(), expected);
    }
}
