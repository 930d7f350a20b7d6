//! What outlives a session: counters.
