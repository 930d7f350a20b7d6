//! Reverse DNS with forward confirmation (RFC 8601 2.7.3 and 3).

use std::net::IpAddr;

use serde_json::{Value as Json, json};

use crate::checks::{AuthResult, Check, Context, Findings};
use crate::dns::join::join_all;
use crate::dns::{BoxFuture, Budget, DnsError};
use crate::facts::Stage;
use crate::facts::registry::{CLIENT_NAME, CLIENT_REVERSE_NAME, IPREV};
use crate::smtp::address::valid_hostname;

/// Names of the PTR records that are looked up; RFC 8601 3 asks for a limit.
const MAX_NAMES: usize = 10;
/// What Postfix calls a client without a name.
const UNKNOWN: &str = "unknown";

#[derive(Debug, Default)]
pub struct Iprev;

impl Iprev {
    pub fn new() -> Self {
        Iprev
    }
}

impl Check for Iprev {
    fn name(&self) -> &'static str {
        "iprev"
    }

    fn stage(&self) -> Stage {
        Stage::Connect
    }

    fn run<'a>(&'a self, cx: &'a Context<'a>) -> BoxFuture<'a, Findings> {
        Box::pin(async move {
            let found = look_up(cx.client_ip, cx.dns).await;
            let mut findings = found.findings();
            findings.results.push(AuthResult {
                method: "iprev",
                result: found.result,
                reason: None,
                properties: vec![("policy.iprev", cx.client_ip.to_string())],
            });
            findings
        })
    }

    fn failed(&self) -> Findings {
        Found::without_name("temperror", Json::Null).findings()
    }
}

struct Found {
    result: &'static str,
    /// Confirmed by an address record.
    name: Option<Box<str>>,
    /// Of a PTR record, confirmed or not.
    reverse_name: Option<Box<str>>,
    evidence: Json,
}

impl Found {
    fn without_name(result: &'static str, evidence: Json) -> Found {
        Found { result, name: None, reverse_name: None, evidence }
    }

    fn findings(&self) -> Findings {
        let mut findings = Findings { evidence: self.evidence.clone(), ..Findings::default() };
        findings
            .set(IPREV, self.result)
            .set(CLIENT_NAME, self.name.as_deref().unwrap_or(UNKNOWN))
            .set(CLIENT_REVERSE_NAME, self.reverse_name.as_deref().unwrap_or(UNKNOWN));
        findings
    }
}

async fn look_up(ip: IpAddr, dns: &Budget) -> Found {
    let mut names = match dns.ptr(ip).await {
        Ok(names) => names,
        Err(error) => {
            let result = if error.is_negative() { "permerror" } else { "temperror" };
            return Found::without_name(result, dns.evidence(|| json!({ "ptr": error.name() })));
        }
    };
    let given = names.len();
    names.retain(|name| valid_hostname(name));
    // Name servers rotate their answers: the result must not depend on the turn.
    names.sort_unstable();
    names.dedup();
    names.truncate(MAX_NAMES);

    let answers = join_all(names.iter().map(|name| maps_to(name, ip, dns))).await;
    let tried = names.iter().zip(&answers);
    let evidence = dns.evidence(|| {
        json!({
        "ptr_records": given,
        "names": tried.clone().map(|(name, answer)| {
            let outcome = match answer {
                Ok(true) => "confirmed",
                Ok(false) => "other address",
                Err(error) => error.name(),
            };
            json!({ "name": name, "address": outcome })
        }).collect::<Vec<_>>(),
        })
    });
    let confirmed = tried.clone().find(|(_, answer)| **answer == Ok(true)).map(|(name, _)| name);
    let unsure = answers.iter().any(|answer| answer.is_err_and(|error| !error.is_negative()));
    Found {
        result: match (confirmed, unsure) {
            (Some(_), _) => "pass",
            (None, true) => "temperror",
            (None, false) => "fail",
        },
        name: confirmed.cloned(),
        reverse_name: confirmed.or(names.first()).cloned(),
        evidence,
    }
}

async fn maps_to(name: &str, ip: IpAddr, dns: &Budget) -> Result<bool, DnsError> {
    match ip {
        IpAddr::V4(ip) => dns.a(name).await.map(|list| list.contains(&ip)),
        IpAddr::V6(ip) => dns.aaaa(name).await.map(|list| list.contains(&ip)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dns::fake::FakeDns;
    use crate::facts::{Facts, Value};

    async fn run(zone: &str, ip: &str, questions: u32) -> (Findings, usize) {
        let dns = FakeDns::parse(zone).unwrap();
        let budget = Budget::new(dns.resolver(), questions, Duration::from_secs(20));
        let facts = Facts::new();
        let client_ip = ip.parse().unwrap();
        let cx = Context {
            facts: &facts,
            message: None,
            client_ip,
            helo: "",
            hostname: "mx.example.org",
            dns: &budget,
            now: 0,
        };
        let findings = Iprev::new().run(&cx).await;
        let result = &findings.results[0];
        assert_eq!(result.method, "iprev");
        assert_eq!(Value::from(result.result), findings.values[0].2);
        assert_eq!(result.properties, [("policy.iprev", client_ip.to_string())]);
        (findings, dns.asked().len())
    }

    async fn texts(zone: &str, ip: &str) -> Vec<String> {
        let (findings, _) = run(zone, ip, 30).await;
        findings.values.iter().map(|(_, _, value)| value.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn confirmed() {
        let zone = "192.0.2.1 PTR Mail.Example.\nmail.example. A 192.0.2.9\nmail.example. A 192.0.2.1\n\
            2001:db8::1 PTR six.example.\nsix.example. AAAA 2001:db8::1\n";
        assert_eq!(texts(zone, "192.0.2.1").await, ["pass", "mail.example", "mail.example"]);
        assert_eq!(texts(zone, "2001:db8::1").await, ["pass", "six.example", "six.example"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_confirmed_name_is_enough() {
        let zone = "192.0.2.1 PTR a.example.\n192.0.2.1 PTR b.example.\n192.0.2.1 PTR c.example.\n\
            a.example. SERVFAIL\nc.example. A 192.0.2.1\n";
        assert_eq!(texts(zone, "192.0.2.1").await, ["pass", "c.example", "c.example"]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_name_is_permerror() {
        assert_eq!(texts("", "192.0.2.1").await, ["permerror", "unknown", "unknown"]);
        let zone = "192.0.2.1 TXT no pointer\n";
        assert_eq!(texts(zone, "192.0.2.1").await, ["permerror", "unknown", "unknown"]);
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_do_not_map_back_fail() {
        for forward in ["", "a.example. A 192.0.2.9\n", "a.example. AAAA 2001:db8::1\n"] {
            let zone = format!("192.0.2.1 PTR a.example.\n{forward}");
            assert_eq!(texts(&zone, "192.0.2.1").await, ["fail", "unknown", "a.example"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_found_out_is_temperror() {
        for fault in ["SERVFAIL", "TIMEOUT", "BOGUS"] {
            let zone = format!("192.0.2.1 {fault}\n");
            assert_eq!(texts(&zone, "192.0.2.1").await, ["temperror", "unknown", "unknown"]);
            let zone = format!("192.0.2.1 PTR a.example.\na.example. {fault}\n");
            assert_eq!(texts(&zone, "192.0.2.1").await, ["temperror", "unknown", "a.example"]);
        }
        let zone = "192.0.2.1 PTR a.example.\na.example. A 192.0.2.1\n";
        let (findings, _) = run(zone, "192.0.2.1", 1).await;
        assert_eq!(findings.values[0].2, Value::from("temperror"));
        assert_eq!(findings.evidence["names"][0]["address"], "budget");
    }

    #[tokio::test(start_paused = true)]
    async fn hostile_pointers() {
        let mut zone = String::from(
            "192.0.2.1 PTR 192.0.2.1.\n192.0.2.1 PTR -x.example.\n192.0.2.1 PTR a<b.example.\n",
        );
        assert_eq!(texts(&zone, "192.0.2.1").await, ["fail", "unknown", "unknown"]);
        zone.extend((0..100).map(|n| format!("192.0.2.1 PTR h{n}.example.\n")));
        let (findings, asked) = run(&zone, "192.0.2.1", 1000).await;
        assert_eq!(asked, 1 + MAX_NAMES);
        assert_eq!(findings.evidence["ptr_records"], 103);
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_looked_up_together() {
        let zone: String = (0..10)
            .map(|n| format!("192.0.2.1 PTR h{n}.example.\nh{n}.example. @900 A 192.0.2.9\n"))
            .collect();
        let start = tokio::time::Instant::now();
        assert_eq!(texts(&zone, "192.0.2.1").await[0], "fail");
        assert_eq!(start.elapsed(), Duration::from_millis(900));
    }

    #[test]
    fn failed_is_temperror() {
        assert_eq!(Iprev::new().failed().values[0].2, Value::from("temperror"));
    }
}
