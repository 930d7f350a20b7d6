//! What people see: log lines, made from the decision record.

pub mod line;
pub mod sink;

use std::sync::Arc;

use crate::history::{Decision, Record};

/// Who is told of what happens. Calls return at once and never block a session.
pub trait Reporter: Send + Sync + 'static {
    /// A session begins; the name is not known yet.
    fn connected(&self, client: &str);
    /// A decision was made; the record holds all that led to it.
    fn decided(&self, record: &Record, decision: &Decision);
    /// Whether [`finished`](Reporter::finished) does anything with the record, and its facts and
    /// findings need to be put into it.
    fn keeps_records(&self) -> bool {
        true
    }
    /// A mail transaction is over, with at least one decision.
    fn finished(&self, record: &Record);
    /// A session is over: who it was, and the counts of its commands.
    fn disconnected(&self, client: &str, counts: &str);
    /// Anything about the server itself.
    fn event(&self, level: Level, text: &str);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Info,
    Warning,
    Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Postfix,
    Json,
}

/// Writes log lines of one format to one sink.
pub struct Log {
    format: Format,
    sink: Arc<sink::Sink>,
}

impl Log {
    pub fn new(format: Format, sink: Arc<sink::Sink>) -> Log {
        Log { format, sink }
    }

    fn json(&self, level: Level, value: &serde_json::Value) {
        self.sink.write(level, &value.to_string());
    }
}

impl Reporter for Log {
    fn connected(&self, client: &str) {
        if self.format == Format::Postfix {
            self.sink.write(Level::Info, &format!("connect from {client}"));
        }
    }

    fn decided(&self, record: &Record, decision: &Decision) {
        if self.format == Format::Postfix {
            self.sink.write(line::level(decision), &line::decision(record, decision));
        }
    }

    fn keeps_records(&self) -> bool {
        self.format == Format::Json
    }

    fn finished(&self, record: &Record) {
        if self.format == Format::Json
            && let Ok(value) = serde_json::to_value(record)
        {
            self.json(Level::Info, &value);
        }
    }

    fn disconnected(&self, client: &str, counts: &str) {
        if self.format == Format::Postfix {
            self.sink.write(Level::Info, &format!("disconnect from {client} {counts}"));
        }
    }

    fn event(&self, level: Level, text: &str) {
        match self.format {
            Format::Postfix => self.sink.write(level, &line::event(level, text)),
            Format::Json => {
                let name = match level {
                    Level::Info => "info",
                    Level::Warning => "warning",
                    Level::Error => "error",
                };
                self.json(level, &serde_json::json!({ "event": text, "level": name }));
            }
        }
    }
}
