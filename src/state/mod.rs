//! What outlives a session: counters of events in time, and of connections at once.
//!
//! [`Counters`] is the door to the first kind. The one behind it is [`memory::MemoryCounters`];
//! several machines can share theirs through another that asks a server, which is why a batch of
//! counters is taken in one call and the answer may take its time.

pub mod concurrency;
pub mod key;
pub mod memory;

use std::time::Duration;

use tokio::time::Instant;

pub use concurrency::{Concurrency, Guard, Limits, TooMany};
pub use key::{CounterKey, KeyHasher};
pub use memory::MemoryCounters;

use crate::dns::BoxFuture;

/// How often something may happen, as the generic cell rate algorithm understands it: `burst` times
/// at once after a quiet time, then once every `within / count`. So in no stretch of time as long
/// as `within` it happens more than `count + burst` times, and there is no edge of a window at which
/// the count begins anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limit {
    /// 0 allows nothing.
    pub count: u32,
    pub within: Duration,
    /// `None` is `count`.
    pub burst: Option<u32>,
}

/// One counter of a batch, and the answer to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Take {
    pub key: CounterKey,
    pub limit: Limit,
    /// The limit is exceeded: this event does not fit, and was not counted.
    pub over: bool,
    /// When over, how long until an event fits again.
    pub retry_after: Duration,
}

impl Take {
    /// Not over, which is also the answer when the counters can't be reached.
    pub fn new(key: CounterKey, limit: Limit) -> Self {
        Take { key, limit, over: false, retry_after: Duration::ZERO }
    }
}

/// Whether the event is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Counts one event where it fits.
    Count,
    /// Only says whether one would fit.
    Peek,
}

/// The answers are in the batch at once, or will be.
#[must_use]
pub enum Pending<'a> {
    Done,
    Wait(BoxFuture<'a, ()>),
}

impl Pending<'_> {
    pub async fn done(self) {
        if let Pending::Wait(answers) = self {
            answers.await;
        }
    }
}

/// Counters of events by key. Implementations bound their memory and their time, and leave a
/// [`Take`] as it is when they can't tell.
pub trait Counters: Send + Sync {
    /// Fills in the answers of a batch.
    fn take<'a>(&'a self, batch: &'a mut [Take], mode: Mode, now: Instant) -> Pending<'a>;
}
