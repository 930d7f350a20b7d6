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

/// Tries once, and says what came of it.
pub async fn prove(backend: &Backend, hostname: &str, reporter: &dyn Reporter) -> Proof {
    let name = &backend.config().name;
    let outcome = probe(backend, hostname).await;
    match &outcome {
        Probe::Safe(_) => backend.set_proved(true),
        // One that was safe and is down stays in use: its clients get 451.
        Probe::Unreachable(_) => {}
        _ => backend.set_proved(false),
    }
    match &outcome {
        Probe::Safe(_) => {
            reporter.event(Level::Info, &format!("backend {name}: {outcome}"));
            Proof::Safe
        }
        Probe::Unreachable(_) => {
            reporter.event(Level::Warning, &format!("backend {name}: {outcome}"));
            Proof::Unreachable
        }
        _ => {
            let text = format!("backend {name} is not used: {outcome}");
            reporter.event(Level::Error, &text);
            Proof::Unsafe
        }
    }
}

/// Tries until it is proved.
pub async fn prove_until_safe(
    backend: Arc<Backend>,
    hostname: String,
    reporter: Arc<dyn Reporter>,
    mut last: Proof,
) {
    while last != Proof::Safe {
        let wait = if last == Proof::Unsafe { AGAIN_UNSAFE } else { AGAIN_UNREACHABLE };
        tokio::time::sleep(wait).await;
        last = prove(&backend, &hostname, &*reporter).await;
    }
}
