//! The scenes, one after the other, before an audience.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};

use super::backend::Backend;
use super::check::{Outcome, check};
use super::print::{Printer, say};
use super::scenes::Scene;
use super::sender::Sender;
use super::watch::Seen;
use crate::history::Record;

/// The first of the ports that the senders seem to come from.
const FIRST_PORT: u16 = 40001;
/// Between two senders, where somebody watches.
const PAUSE: Duration = Duration::from_millis(700);
/// For the server to test its DNS lists, and to report a session that is over.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Play {
    sender: Sender,
    backend: Backend,
    seen: Receiver<Seen>,
    printer: Printer,
    /// What was recorded of the scene that is on.
    records: Vec<Record>,
}

#[derive(Default)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
}

impl Tally {
    fn count(&mut self, wrong: &[String]) {
        for line in wrong {
            say(&format!("          FAILED: {line}"));
        }
        if wrong.is_empty() { self.passed += 1 } else { self.failed += 1 }
    }
}

impl Play {
    pub(super) fn new(sender: Sender, backend: Backend, seen: Receiver<Seen>) -> Play {
        Play { sender, backend, seen, printer: Printer::new(), records: Vec::new() }
    }

    /// With checks, or slowly.
    pub(super) async fn all(&mut self, scenes: &[Scene], checked: bool) -> Tally {
        let mut tally = Tally::default();
        let dead = |seen: &Seen| matches!(seen, Seen::Event(_, text) if text.starts_with("DNS list dead.demo: "));
        let told = self.until(dead).await;
        let wrong = if told { None } else { Some("no word of the list dead.demo".to_owned()) };
        tally.count(wrong.as_slice());
        for (scene, port) in scenes.iter().zip(FIRST_PORT..) {
            let outcome = self.scene(scene, port).await;
            if checked {
                tally.count(&check(scene, &outcome));
            } else {
                // Whoever edits the rules meanwhile gets what the rules say.
                self.watch_for(PAUSE).await;
            }
        }
        tally
    }

    async fn scene(&mut self, scene: &Scene, port: u16) -> Outcome {
        self.printer.introduce(port, scene.title);
        self.records.clear();
        self.backend.take();
        let reply = {
            let Play { sender, .. } = self;
            sender.send(scene, port).await.map_err(|error| error.to_string())
        };
        let name = format!("[{}]", scene.client);
        self.until(|seen| matches!(seen, Seen::Gone(client) if client.ends_with(&name))).await;
        Outcome { reply, records: std::mem::take(&mut self.records), stored: self.backend.take() }
    }

    /// Shows what is seen up to this; whether it came in time.
    async fn until(&mut self, last: impl Fn(&Seen) -> bool) -> bool {
        let show = async {
            while let Some(seen) = self.seen.recv().await {
                self.show(&seen);
                if last(&seen) {
                    return true;
                }
            }
            false
        };
        timeout(PATIENCE, show).await.unwrap_or(false)
    }

    async fn watch_for(&mut self, time: Duration) {
        tokio::select! {
            () = self.audience() => {}
            () = sleep(time) => {}
        }
    }

    /// Shows what is seen, until there is no more server.
    pub(super) async fn audience(&mut self) {
        while let Some(seen) = self.seen.recv().await {
            self.show(&seen);
        }
    }

    fn show(&mut self, seen: &Seen) {
        match seen {
            Seen::Decided(record, decision) => self.printer.decided(record, decision),
            Seen::Finished(record) => {
                self.printer.finished(record);
                if self.printer.knows(record) {
                    self.records.push((**record).clone());
                }
            }
            Seen::Gone(_) => {}
            Seen::Event(level, text) => self.printer.event(*level, text),
        }
    }
}
