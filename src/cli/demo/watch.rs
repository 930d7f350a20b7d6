//! What the server reports, handed to the one place that prints and checks it.

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::history::{Decision, Record};
use crate::observe::{Level, Reporter};

/// Reports that may wait to be printed; more are lost.
const WAITING_MAX: usize = 1024;

pub(super) enum Seen {
    /// The record is not complete yet.
    Decided(Box<Record>, Decision),
    Finished(Box<Record>),
    /// `name[address]` of a session that is over.
    Gone(String),
    Event(Level, String),
}

pub(super) struct Watch(Sender<Seen>);

impl Watch {
    pub(super) fn new() -> (Watch, Receiver<Seen>) {
        let (sender, receiver) = channel(WAITING_MAX);
        (Watch(sender), receiver)
    }

    fn tell(&self, seen: Seen) {
        // A session must not wait for a terminal.
        let _ = self.0.try_send(seen);
    }
}

impl Reporter for Watch {
    fn connected(&self, _client: &str) {}

    fn decided(&self, record: &Record, decision: &Decision) {
        self.tell(Seen::Decided(Box::new(record.clone()), decision.clone()));
    }

    fn finished(&self, record: &Record) {
        self.tell(Seen::Finished(Box::new(record.clone())));
    }

    fn disconnected(&self, client: &str, _counts: &str) {
        self.tell(Seen::Gone(client.to_owned()));
    }

    fn event(&self, level: Level, text: &str) {
        self.tell(Seen::Event(level, text.to_owned()));
    }
}
