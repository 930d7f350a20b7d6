//! Whether the domain of MAIL FROM can take the bounce (RFC 5321 5.1, RFC 7505).

use serde_json::{Value as Json, json};

use crate::checks::{Check, Context, Findings};
use crate::dns::{BoxFuture, Budget, DnsError, Kind, join::join_all};
use crate::facts::Stage;
use crate::facts::registry::{FROM_DOMAIN, SENDER_DOMAIN};

#[derive(Debug, Default)]
pub struct SenderDomain;

impl SenderDomain {
    pub fn new() -> Self {
        SenderDomain
    }
}

impl Check for SenderDomain {
    fn name(&self) -> &'static str {
        "sender_domain"
    }

    fn stage(&self) -> Stage {
        Stage::Mail
    }

    fn run<'a>(&'a self, cx: &'a Context<'a>) -> BoxFuture<'a, Findings> {
        Box::pin(async move {
            let (result, evidence) = judge(cx.facts.text(FROM_DOMAIN), cx.dns).await;
            let mut findings = Findings { evidence, ..Findings::default() };
            findings.set(SENDER_DOMAIN, result);
            findings
        })
    }

    fn failed(&self) -> Findings {
        let mut findings = Findings::default();
        findings.set(SENDER_DOMAIN, "temperror");
        findings
    }
}

async fn judge(domain: &str, dns: &Budget) -> (&'static str, Json) {
    if domain.is_empty() {
        return ("none", Json::Null);
    }
    // RFC 5321 4.1.3: mail to an address literal needs no DNS.
    if domain.starts_with('[') {
        return ("ok", dns.evidence(|| json!({ "literal": true })));
    }
    match dns.mx(domain).await {
        Ok(list) => {
            // RFC 7505 3: the null MX is the only one. Beside others it says nothing.
            let null = list.iter().all(|(_, exchange)| exchange.is_empty());
            (if null { "null_mx" } else { "ok" }, dns.evidence(|| json!({ "mx": list.len() })))
        }
        Err(DnsError::NoName) => {
            ("missing", dns.evidence(|| json!({ "mx": DnsError::NoName.name() })))
        }
        // RFC 5321 5.1: without MX the domain itself is the exchange.
        Err(DnsError::NoData) => by_address(domain, dns).await,
        Err(error) => ("temperror", dns.evidence(|| json!({ "mx": error.name() }))),
    }
}

async fn by_address(domain: &str, dns: &Budget) -> (&'static str, Json) {
    let kinds = [Kind::A, Kind::Aaaa];
    let answers = join_all(kinds.map(|kind| dns.lookup(domain, kind))).await;
    let says =
        |answer: &Result<_, DnsError>| answer.as_ref().map_or_else(|e| e.name(), |_| "found");
    let evidence = json!({
        "mx": DnsError::NoData.name(),
        "a": answers.first().map(says),
        "aaaa": answers.get(1).map(says),
    });
    let unsure = answers.iter().any(|answer| answer.as_ref().is_err_and(|e| !e.is_negative()));
    let result = match answers.iter().any(Result::is_ok) {
        true => "ok",
        false if unsure => "temperror",
        false => "missing",
    };
    (result, evidence)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dns::fake::FakeDns;
    use crate::facts::{Facts, Value};

    async fn run(zone: &str, domain: &str, questions: u32) -> (String, usize) {
        let dns = FakeDns::parse(zone).unwrap();
        let budget = Budget::new(dns.resolver(), questions, Duration::from_secs(20));
        let mut facts = Facts::new();
        facts.set(FROM_DOMAIN, domain);
        let cx = Context {
            facts: &facts,
            message: None,
            client_ip: [192, 0, 2, 1].into(),
            helo: "",
            hostname: "mx.example.org",
            dns: &budget,
            now: 0,
        };
        let findings = SenderDomain::new().run(&cx).await;
        let (field, _, value) = &findings.values[0];
        assert!(field.get().ty.holds(value));
        (value.to_string(), dns.asked().len())
    }

    async fn result(zone: &str) -> String {
        run(zone, "a.example", 10).await.0
    }

    #[tokio::test(start_paused = true)]
    async fn takes_mail() {
        assert_eq!(run("a.example. MX 10 nowhere.test.\n", "a.example", 9).await, ("ok".into(), 1));
        assert_eq!(result("a.example. A 192.0.2.1\n").await, "ok");
        assert_eq!(result("a.example. AAAA 2001:db8::1\n").await, "ok");
        assert_eq!(result("a.example. MX 0 .\na.example. MX 10 mx.example.\n").await, "ok");
        assert_eq!(run("", "[192.0.2.1]", 9).await, ("ok".into(), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn takes_no_mail() {
        assert_eq!(result("a.example. MX 0 .\na.example. A 192.0.2.1\n").await, "null_mx");
        assert_eq!(result("").await, "missing");
        assert_eq!(result("a.example. TXT v=spf1 -all\n").await, "missing");
        assert_eq!(run("", "", 9).await, ("none".into(), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_found_out_is_temperror() {
        for fault in ["SERVFAIL", "TIMEOUT", "BOGUS"] {
            for kinds in ["", "MX", "A", "AAAA"] {
                let zone = format!("a.example. {fault} {kinds}\n");
                assert_eq!(result(&zone).await, "temperror", "{zone}");
            }
            let zone = format!("a.example. {fault} AAAA\na.example. A 192.0.2.1\n");
            assert_eq!(result(&zone).await, "ok", "one address is enough");
        }
        assert_eq!(run("a.example. TXT x\n", "a.example", 1).await.0, "temperror");
        assert_eq!(result("a.example. CNAME a.example.\n").await, "temperror");
    }

    #[test]
    fn failed_is_temperror() {
        assert_eq!(SenderDomain::new().failed().values[0].2, Value::from("temperror"));
    }
}
