//! Deciding: the table of reasons, and the proof that a message may go on.
