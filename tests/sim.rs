//! A seeded simulation of the session: hostile clients, a policy and a backend that decide at
//! random, a clock that is turned by hand, and an observer that knows the protocol but not the
//! session. No sockets, no runtime.
//!
//! `PORTCULLIS_SEED=n cargo test --test sim` replays one seed and prints its transcript.

#[path = "sim/backend.rs"]
mod backend;
#[path = "sim/client.rs"]
mod client;
#[path = "sim/coverage.rs"]
mod coverage;
#[path = "sim/observer.rs"]
mod observer;
#[path = "sim/planted.rs"]
mod planted;
#[path = "sim/reply.rs"]
mod reply;
#[path = "sim/rng.rs"]
mod rng;
#[path = "sim/stream.rs"]
mod stream;
#[path = "sim/world.rs"]
mod world;

use coverage::Coverage;
use planted::Bug;
use world::play;

/// How many seeds a run has; planted bugs must be found within as many.
const SEEDS: u64 = 2000;

/// Says which seed it was when something panics.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("PORTCULLIS_SEED={} replays it", self.0);
        }
    }
}

fn report(seed: u64, failure: &str) -> String {
    let _named = Named(seed);
    let transcript = play(seed, None, true).transcript;
    format!("{}\nPORTCULLIS_SEED={seed}: {failure}", transcript.join("\n"))
}

#[test]
fn the_session_keeps_its_promises() {
    if let Some(seed) = std::env::var("PORTCULLIS_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let _named = Named(seed);
        let run = play(seed, None, true);
        println!("{}", run.transcript.join("\n"));
        if let Err(failure) = run.outcome {
            panic!("PORTCULLIS_SEED={seed}: {failure}");
        }
        return;
    }
    let mut coverage = Coverage::default();
    for seed in 0..SEEDS {
        let _named = Named(seed);
        let run = play(seed, None, false);
        if let Err(failure) = run.outcome {
            panic!("{}", report(seed, &failure));
        }
        coverage.merge(run.coverage);
    }
    let missing = coverage.missing();
    assert!(missing.is_empty(), "not met in {SEEDS} seeds: {missing:#?}");
}

#[test]
fn a_seed_is_one_course_of_events() {
    for seed in [1, 17, 403] {
        assert_eq!(play(seed, None, true).transcript, play(seed, None, true).transcript);
    }
}

/// The first seed that finds the bug must find it for what it is.
fn finds(bug: Bug, what: &[&str]) {
    for seed in 0..SEEDS {
        if let Err(failure) = play(seed, Some(bug), false).outcome {
            assert!(
                what.iter().any(|what| failure.contains(what)),
                "seed {seed} finds {bug:?} as: {failure}"
            );
            return;
        }
    }
    panic!("{SEEDS} seeds do not find {bug:?}");
}

#[test]
fn finds_an_own_250_to_the_dot() {
    finds(Bug::OwnOk, &["accepted without the backend"]);
}

#[test]
fn finds_a_dropped_reply() {
    finds(Bug::DroppedReply, &["without a reply"]);
}

#[test]
fn finds_a_lost_rset() {
    finds(Bug::LostRset, &["without MAIL", "nested MAIL", "not reset"]);
}

#[test]
fn finds_a_reset_that_the_backend_does_not_hear() {
    finds(Bug::SilentReset, &["not reset"]);
}

#[test]
fn finds_another_end_of_data() {
    finds(Bug::LfDotLf, &["executed out of turn", "reply without a command"]);
}

#[test]
fn finds_dots_that_stay() {
    finds(Bug::DotsStay, &["differs from what was sent"]);
}

#[test]
fn finds_mail_without_auth() {
    finds(Bug::NoAuth, &["MAIL without AUTH"]);
}

#[test]
fn finds_a_deadline_that_moves() {
    finds(Bug::MovingDeadline, &["deadline"]);
}

#[test]
fn finds_a_refused_message_that_goes_on() {
    finds(Bug::RefusalIgnored, &["refused, yet delivered"]);
}

#[test]
fn finds_an_invented_recipient() {
    finds(Bug::InventedRecipient, &["the backend said"]);
}

#[test]
fn finds_mixed_groups() {
    finds(Bug::MixedGroups, &["of two groups"]);
}

#[test]
fn finds_a_connection_that_stays() {
    finds(Bug::NoClose, &["was not closed"]);
}

#[test]
fn finds_octets_that_come_too_early() {
    finds(Bug::EarlyOctets, &["octets that nobody was ready for"]);
}
