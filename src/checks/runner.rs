//! Runs the checks of a stage side by side, under one deadline.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::Poll;

use tokio::time::Instant;

use super::{Check, Context, Findings};
use crate::dns::BoxFuture;
use crate::facts::Stage;

/// What came of one check.
pub struct Ran {
    pub check: &'static str,
    pub stage: Stage,
    pub findings: Findings,
    pub micros: u64,
    /// Why the findings are those of a failure.
    pub failed: Option<&'static str>,
}

/// Runs all of them at once. One that is not done at the deadline, or panics, has found its
/// `failed()`: what that means is a rule's business, and no other check suffers from it.
#[allow(clippy::disallowed_methods, reason = "says how long each check took")]
pub async fn run(checks: &[&dyn Check], cx: &Context<'_>, deadline: Instant) -> Vec<Ran> {
    let started = Instant::now();
    let mut running: Vec<(usize, BoxFuture<'_, Findings>)> = Vec::with_capacity(checks.len());
    running.extend(checks.iter().enumerate().map(|(n, check)| (n, check.run(cx))));
    let mut done: Vec<Ran> = Vec::with_capacity(checks.len());
    let all = poll_fn(|waker| {
        running.retain_mut(|(n, future)| {
            let polled =
                std::panic::catch_unwind(AssertUnwindSafe(|| Pin::new(future).poll(waker)));
            let (findings, failed) = match polled {
                Ok(Poll::Pending) => return true,
                Ok(Poll::Ready(findings)) => (Some(findings), None),
                Err(_) => (None, Some("internal error")),
            };
            if let Some(check) = checks.get(*n) {
                done.push(Ran {
                    check: check.name(),
                    stage: check.stage(),
                    findings: findings.unwrap_or_else(|| check.failed()),
                    micros: started.elapsed().as_micros() as u64,
                    failed,
                });
            }
            false
        });
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    });
    if tokio::time::timeout_at(deadline, all).await.is_err() {
        for (n, _) in &running {
            if let Some(check) = checks.get(*n) {
                done.push(Ran {
                    check: check.name(),
                    stage: check.stage(),
                    findings: check.failed(),
                    micros: started.elapsed().as_micros() as u64,
                    failed: Some("out of time"),
                });
            }
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Budget;
    use crate::dns::fake::FakeDns;
    use crate::facts::Facts;
    use crate::facts::registry::{DNSBL_HITS, DNSBL_SCORE};
    use std::time::Duration;

    enum Fate {
        Finds,
        Hangs,
        Panics,
    }

    impl Check for Fate {
        fn name(&self) -> &'static str {
            "dnsbl"
        }

        fn stage(&self) -> Stage {
            Stage::Connect
        }

        fn run<'a>(&'a self, _cx: &'a Context<'a>) -> BoxFuture<'a, Findings> {
            Box::pin(async {
                match self {
                    Fate::Finds => {
                        let mut findings = Findings::default();
                        findings.set(DNSBL_SCORE, 4);
                        findings
                    }
                    Fate::Hangs => std::future::pending().await,
                    Fate::Panics => panic!("a planted fault"),
                }
            })
        }

        fn failed(&self) -> Findings {
            let mut findings = Findings::default();
            findings.set(DNSBL_HITS, 0);
            findings
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_or_panics_does_not_harm_the_others() {
        let dns = FakeDns::parse("").unwrap();
        let budget = Budget::new(dns.resolver(), 1, Duration::from_secs(60));
        let facts = Facts::new();
        let cx = Context {
            facts: &facts,
            message: None,
            client_ip: [192, 0, 2, 1].into(),
            helo: "",
            hostname: "",
            dns: &budget,
            now: 0,
        };
        let checks: [&dyn Check; 3] = [&Fate::Hangs, &Fate::Panics, &Fate::Finds];
        let start = Instant::now();
        let ran = run(&checks, &cx, start + Duration::from_secs(8)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(8));
        let fates: Vec<_> = ran.iter().map(|ran| (ran.failed, ran.findings.values.len())).collect();
        assert_eq!(fates, [(Some("internal error"), 1), (None, 1), (Some("out of time"), 1)]);
    }
}
