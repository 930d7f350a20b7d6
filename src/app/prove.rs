//! The proof that each backend is no open relay: at start, after each reload, and again and again
//! until it succeeds.

use std::sync::Arc;
use std::time::Duration;

use crate::observe::{Level, Reporter};
use crate::relay::{Backend, Probe, probe};

/// Between two tries with a backend that can't be reached.
const AGAIN_UNREACHABLE: Duration = Duration::from_secs(2);
/// Between two tries with one that must not be used: somebody has to change it first.
const AGAIN_UNSAFE: Duration = Duration::from_secs(15);

/// What is known of a backend after one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    Safe,
    /// It is down. Clients are told to come again.
    Unreachable,
    /// It must not get any mail from us as it is.
    Unsafe,
}

/// What came of one try, and in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub proof: Proof,
    text: String,
}

/// Tries once.
pub async fn prove(backend: &Backend, hostname: &str) -> Outcome {
    let name = &backend.config().name;
    let outcome = probe(backend, hostname).await;
    let proof = match &outcome {
        Probe::Safe(_) => Proof::Safe,
        Probe::Unreachable(_) => Proof::Unreachable,
        _ => Proof::Unsafe,
    };
    match proof {
        // One that was safe and is down stays in use: its clients get 451.
        Proof::Unreachable => {}
        _ => backend.set_proved(proof == Proof::Safe),
    }
    let text = match proof {
        Proof::Unsafe => format!("backend {name} is not used: {outcome}"),
        _ => format!("backend {name}: {outcome}"),
    };
    Outcome { proof, text }
}

impl Outcome {
    pub fn report(&self, reporter: &dyn Reporter) {
        let level = match self.proof {
            Proof::Safe => Level::Info,
            Proof::Unreachable => Level::Warning,
            Proof::Unsafe => Level::Error,
        };
        reporter.event(level, &self.text);
    }
}

/// Tries until it is proved, and says whatever is new.
pub async fn prove_until_safe(
    backend: Arc<Backend>,
    hostname: String,
    reporter: Arc<dyn Reporter>,
    mut last: Outcome,
) {
    while last.proof != Proof::Safe {
        tokio::time::sleep(match last.proof {
            Proof::Unsafe => AGAIN_UNSAFE,
            _ => AGAIN_UNREACHABLE,
        })
        .await;
        let outcome = prove(&backend, &hostname).await;
        if outcome != last {
            outcome.report(&*reporter);
        }
        last = outcome;
    }
}
