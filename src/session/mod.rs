//! The session state machine: pure, told of events, answers with actions.
