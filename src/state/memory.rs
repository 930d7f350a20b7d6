//! Counters in this process: the generic cell rate algorithm, one time stamp a key.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::time::Instant;

use super::{CounterKey, Counters, Limit, Mode, Pending, Take};

const SECOND: u64 = 1_000_000_000;

/// At most so many sweeps of a full map: one each second.
const SWEEP_EVERY: u64 = SECOND;

/// A map from key to the time at which its bucket is full again, in nanoseconds since the map was
/// made. It holds at most `capacity` keys, about 50 octets each.
///
/// When it is full, keys whose bucket is full again are swept out, at most once a second; if there
/// is still no room, a new key is not counted and not over. To evict a key instead would forgive it.
pub struct MemoryCounters {
    times: DashMap<CounterKey, u64, BuildHasherDefault<Identity>>,
    epoch: Instant,
    capacity: usize,
    len: AtomicUsize,
    swept: AtomicU64,
    uncounted: AtomicU64,
}

/// Takes over the hash that a [`CounterKey`] is.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}

/// A limit in nanoseconds.
#[derive(Clone, Copy)]
struct Cells {
    /// Between two events in the long run.
    interval: u64,
    /// How far the stored time may lie ahead of now, the new event included.
    depth: u64,
}

impl Cells {
    fn new(limit: Limit) -> Self {
        let within = u64::try_from(limit.within.as_nanos()).unwrap_or(u64::MAX);
        // Rounded up, so that never more than `count` fit in `within`.
        let interval = within.div_ceil(u64::from(limit.count.max(1))).max(1);
        let burst = if limit.count == 0 { 0 } else { limit.burst.unwrap_or(limit.count).max(1) };
        Cells { interval, depth: interval.saturating_mul(u64::from(burst)) }
    }

    /// The new time when an event at `now` fits; else how long to wait.
    fn fit(self, stored: u64, now: u64) -> Result<u64, u64> {
        let next = stored.max(now).saturating_add(self.interval);
        match next.saturating_sub(now).checked_sub(self.depth) {
            None | Some(0) => Ok(next),
            Some(wait) => Err(wait),
        }
    }
}

impl MemoryCounters {
    pub fn new(capacity: usize) -> Self {
        MemoryCounters {
            times: DashMap::default(),
            epoch: Instant::now(),
            capacity,
            len: AtomicUsize::new(0),
            swept: AtomicU64::new(0),
            uncounted: AtomicU64::new(0),
        }
    }

    /// Keys held.
    pub fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many events were not counted because there was no room, since the start.
    pub fn uncounted(&self) -> u64 {
        self.uncounted.load(Relaxed)
    }

    fn count(&self, key: CounterKey, cells: Cells, now: u64) -> Result<(), u64> {
        if let Some(mut stored) = self.times.get_mut(&key) {
            *stored = cells.fit(*stored, now)?;
            return Ok(());
        }
        let next = cells.fit(0, now)?;
        if !self.make_room(now) {
            self.uncounted.fetch_add(1, Relaxed);
            return Ok(());
        }
        match self.times.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(next);
            }
            // Another session was quicker.
            Entry::Occupied(mut entry) => {
                self.len.fetch_sub(1, Relaxed);
                let stored = entry.get_mut();
                *stored = cells.fit(*stored, now)?;
            }
        }
        Ok(())
    }

    fn peek(&self, key: CounterKey, cells: Cells, now: u64) -> Result<(), u64> {
        let stored = self.times.get(&key).map_or(0, |stored| *stored);
        cells.fit(stored, now).map(|_| ())
    }

    /// Reserves a place for one key.
    fn make_room(&self, now: u64) -> bool {
        let reserve = || {
            let more = |len| (len < self.capacity).then_some(len + 1);
            self.len.fetch_update(Relaxed, Relaxed, more).is_ok()
        };
        reserve() || (self.sweep(now) && reserve())
    }

    /// Removes the keys whose bucket is full again. `false` when it is too early to look.
    fn sweep(&self, now: u64) -> bool {
        let last = self.swept.load(Relaxed);
        let due = last == 0 || now.saturating_sub(last) >= SWEEP_EVERY;
        if !due || self.swept.compare_exchange(last, now.max(1), Relaxed, Relaxed).is_err() {
            return false;
        }
        let mut removed = 0;
        self.times.retain(|_, time| {
            let keep = *time > now;
            removed += usize::from(!keep);
            keep
        });
        self.len.fetch_sub(removed, Relaxed);
        true
    }
}

impl Counters for MemoryCounters {
    fn take<'a>(&'a self, batch: &'a mut [Take], mode: Mode, now: Instant) -> Pending<'a> {
        let since = now.saturating_duration_since(self.epoch).as_nanos();
        let now = u64::try_from(since).unwrap_or(u64::MAX);
        for take in batch {
            let cells = Cells::new(take.limit);
            let fits = match mode {
                Mode::Count => self.count(take.key, cells, now),
                Mode::Peek => self.peek(take.key, cells, now),
            };
            take.over = fits.is_err();
            take.retry_after = Duration::from_nanos(fits.err().unwrap_or(0));
        }
        Pending::Done
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::KeyHasher;
    use super::*;

    fn limit(count: u32, seconds: u64) -> Limit {
        Limit { count, within: Duration::from_secs(seconds), burst: None }
    }

    fn key(n: u64) -> CounterKey {
        let mut builder = KeyHasher::from_secret(b"test").start();
        builder.bytes(&n.to_be_bytes());
        builder.finish()
    }

    fn take(counters: &MemoryCounters, n: u64, limit: Limit, mode: Mode, after: Duration) -> Take {
        let mut batch = [Take::new(key(n), limit)];
        let answer = counters.take(&mut batch, mode, counters.epoch + after);
        assert!(matches!(answer, Pending::Done));
        drop(answer);
        batch[0]
    }

    fn over(counters: &MemoryCounters, n: u64, limit: Limit, millis: u64) -> bool {
        take(counters, n, limit, Mode::Count, Duration::from_millis(millis)).over
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let counters = MemoryCounters::new(10);
        let limit = limit(10, 10);
        assert!((0..10).all(|_| !over(&counters, 1, limit, 0)));
        let refused = take(&counters, 1, limit, Mode::Count, Duration::ZERO);
        assert!(refused.over);
        assert_eq!(refused.retry_after, Duration::from_secs(1));
        assert!(over(&counters, 1, limit, 999));
        assert!(!over(&counters, 1, limit, 1000));
        assert!(over(&counters, 1, limit, 1001));
        assert!(!over(&counters, 2, limit, 1001), "another key");
    }

    #[test]
    fn no_double_burst_at_the_edge_of_a_window() {
        let counters = MemoryCounters::new(10);
        let limit = limit(100, 60);
        assert!((0..100).all(|_| !over(&counters, 1, limit, 59_900)));
        // A counter that begins anew each minute would let 100 more through here.
        assert_eq!((0..100).filter(|_| !over(&counters, 1, limit, 60_100)).count(), 0);
        assert_eq!((0..100).filter(|_| !over(&counters, 1, limit, 60_500)).count(), 1);
    }

    #[test]
    fn a_refused_event_does_not_prolong_the_wait() {
        let counters = MemoryCounters::new(10);
        let limit = limit(1, 1);
        assert!(!over(&counters, 1, limit, 0));
        assert!((1..1000).all(|millis| over(&counters, 1, limit, millis)));
        assert!(!over(&counters, 1, limit, 1000));
    }

    #[test]
    fn peeking_counts_nothing() {
        let counters = MemoryCounters::new(10);
        let limit = limit(1, 1);
        let peek = |n| take(&counters, n, limit, Mode::Peek, Duration::ZERO).over;
        assert!(!peek(1) && !peek(1) && counters.is_empty());
        assert!(!over(&counters, 1, limit, 0));
        assert!(peek(1) && !peek(2));
    }

    #[test]
    fn a_limit_of_nothing_and_a_limit_of_ages() {
        let counters = MemoryCounters::new(10);
        assert!(over(&counters, 1, limit(0, 60), 0));
        let ages = Limit { count: u32::MAX, within: Duration::MAX, burst: Some(u32::MAX) };
        assert!(!over(&counters, 2, ages, 0));
        let instant = Limit { count: 5, within: Duration::ZERO, burst: None };
        assert!(!over(&counters, 3, instant, 0));
    }

    #[test]
    fn a_full_map_counts_no_new_key_and_keeps_the_old() {
        let counters = MemoryCounters::new(3);
        let limit = limit(1, 10);
        assert!((0..3).all(|n| !over(&counters, n, limit, 0)));
        assert!(!over(&counters, 7, limit, 100) && !over(&counters, 7, limit, 100));
        assert_eq!((counters.len(), counters.uncounted()), (3, 2));
        assert!(over(&counters, 1, limit, 100), "not forgiven");
        // Full again after 10 s, so they make room.
        assert!(!over(&counters, 7, limit, 10_000) && over(&counters, 7, limit, 10_000));
        assert_eq!((counters.len(), counters.uncounted()), (1, 2));
    }

    #[test]
    fn at_most_one_sweep_a_second() {
        let counters = MemoryCounters::new(1);
        assert!(!over(&counters, 1, limit(1, 5), 0));
        assert!(!over(&counters, 2, limit(1, 5), 4900), "swept in vain");
        assert!(!over(&counters, 2, limit(1, 5), 5100), "room could be made, but not yet");
        assert_eq!(counters.uncounted(), 2);
        assert!(!over(&counters, 2, limit(1, 5), 5900));
        assert!(over(&counters, 2, limit(1, 5), 5900));
    }

    #[test]
    fn a_million_clients_do_not_grow_it_past_its_limit() {
        let counters = MemoryCounters::new(10_000);
        let limit = limit(100, 3600);
        let begin = std::time::Instant::now();
        for n in 0..1_000_000_u64 {
            // As the map sees them: the words of a hash.
            let word = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut batch = [Take::new(CounterKey([word, n]), limit)];
            let now = counters.epoch + Duration::from_micros(n);
            drop(counters.take(&mut batch, Mode::Count, now));
            assert!(!batch[0].over);
        }
        assert_eq!(counters.len(), 10_000);
        assert_eq!(counters.times.len(), 10_000);
        assert_eq!(counters.uncounted(), 990_000);
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    }

    #[test]
    fn the_cap_holds_among_threads() {
        let counters = Arc::new(MemoryCounters::new(500));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let counters = counters.clone();
                std::thread::spawn(move || {
                    (0..1000).filter(|n| over(&counters, *n, limit(9, 60), 0)).count()
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 0);
        }
        assert_eq!((counters.len(), counters.times.len()), (500, 500));
    }

    proptest! {
        #[test]
        fn never_more_than_limit_and_burst_in_any_window(
            count in 1_u32..20,
            burst in prop::option::of(1_u32..20),
            within in 1_u64..5_000,
            gaps in prop::collection::vec(0_u64..500, 1..400),
        ) {
            let counters = MemoryCounters::new(10);
            let limit = Limit { count, within: Duration::from_millis(within), burst };
            let mut now = 0;
            let mut passed = Vec::new();
            for gap in gaps {
                now += gap;
                if !over(&counters, 1, limit, now) {
                    passed.push(now);
                }
            }
            let most = (count + burst.unwrap_or(count)) as usize;
            for (first, begin) in passed.iter().enumerate() {
                let inside = passed[first..].iter().filter(|time| **time - begin < within).count();
                prop_assert!(inside <= most, "{inside} in {within} ms, at most {most}");
            }
        }
    }
}
