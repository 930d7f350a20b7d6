//! What was decided, and from what.
