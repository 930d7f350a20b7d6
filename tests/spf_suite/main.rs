//! SPF against the openspf suite, when `SPF_SUITE` names its YAML file (`rfc7208-tests.yml` in the
//! source distribution of the PyPI package `pyspf`), and against cases of our own.

mod own;
mod yaml;
mod zone;

use std::sync::Arc;
use std::time::Duration;

use portcullis::checks::spf::{Query, SpfOutcome, check_host};
use portcullis::dns::Budget;
use yaml::Node;
use zone::{Entry, Zone};

pub(crate) async fn check(zone: &Arc<Zone>, ip: &str, from: &str, helo: &str) -> SpfOutcome {
    let budget = Budget::new(zone.clone(), 1000, Duration::from_secs(20));
    let (sender, domain) = match from {
        "" => (format!("postmaster@{helo}"), helo),
        _ => (from.to_owned(), from.rsplit_once('@').map_or(from, |(_, domain)| domain)),
    };
    let query = Query {
        ip: ip.parse().expect(ip),
        domain,
        sender: &sender,
        helo,
        receiver: "gate.example",
        now: 1_700_000_000,
    };
    check_host(&query, &budget).await
}

fn zone_of(scenario: &Node) -> Zone {
    let mut zone = Zone::default();
    let Some(Node::Map(names)) = scenario.get("zonedata") else {
        return zone;
    };
    for (name, records) in names {
        // SPF records stand for TXT records too, unless TXT records are given.
        let implied = !records.items().iter().any(|record| record.get("TXT").is_some());
        let entries = zone.name(name);
        for record in records.items() {
            let Node::Map(pairs) = record else {
                assert_eq!(record.text(), "TIMEOUT");
                entries.push(Entry::Timeout);
                continue;
            };
            for (kind, value) in pairs {
                let text = || value.items().iter().map(Node::text).collect::<String>();
                match kind.as_str() {
                    "TXT" if value.text() == "NONE" => {}
                    "SPF" if !implied => {}
                    "TXT" | "SPF" => entries.push(Entry::Txt(text().into_bytes())),
                    "A" => entries.push(Entry::A(value.text().parse().expect(name))),
                    "AAAA" => entries.push(Entry::Aaaa(value.text().parse().expect(name))),
                    "PTR" => entries.push(Entry::Ptr(value.text().into())),
                    "CNAME" => entries.push(Entry::Cname(value.text().into())),
                    "MX" => entries.push(Entry::Mx(
                        value.items()[0].text().parse().expect(name),
                        value.items()[1].text().into(),
                    )),
                    other => panic!("a record of type {other}"),
                }
            }
        }
    }
    zone
}

#[tokio::test]
async fn the_openspf_suite() {
    let Ok(path) = std::env::var("SPF_SUITE") else {
        println!("SPF_SUITE is not set: the openspf suite was not run");
        return;
    };
    let text = std::fs::read_to_string(&path).expect(&path);
    let (mut passed, mut failed) = (0, 0);
    for scenario in yaml::documents(&text) {
        let zone = Arc::new(zone_of(&scenario));
        let Some(Node::Map(tests)) = scenario.get("tests") else {
            continue;
        };
        for (name, test) in tests {
            let field = |key| test.get(key).map_or("", Node::text);
            let outcome = check(&zone, field("host"), field("mailfrom"), field("helo")).await;
            let expected: Vec<&str> =
                test.get("result").expect(name).items().iter().map(Node::text).collect();
            let explanation = outcome.explanation.as_deref().unwrap_or("DEFAULT");
            let explained = test.get("explanation").is_none_or(|text| text.text() == explanation);
            if expected.contains(&outcome.result.name()) && explained {
                passed += 1;
            } else {
                failed += 1;
                println!(
                    "{name}: expected {expected:?} {:?}, got {outcome:?}",
                    field("explanation")
                );
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    assert!(failed == 0 && passed >= 203, "{passed} passed, {failed} failed");
}
