//! The time of day, for signatures, header fields and records. Deadlines go by the monotonic clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

pub(super) fn unix_seconds() -> u64 {
    since_epoch().as_secs()
}

pub(super) fn unix_millis() -> u64 {
    since_epoch().as_millis() as u64
}
