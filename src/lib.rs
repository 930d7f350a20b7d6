//! Portcullis, an anti-spam SMTP filtering proxy: it stands in front of a mail server, relays live
//! what is wanted, and refuses the rest with the right reply while the sender is still there.
//!
//! ```text
//!  client ── connection ── session ──────────── relay ── mail server
//!              accepts,     what is legal,       dial, identity,
//!              TLS, loop    one at a time        message, replies
//!                 │
//!                 └─ checks ──> facts ──> policy ──> verdict
//!                    dns, state            rules      pass or refuse
//! ```
//!
//! The modules in the order of a mail: [`connection`] lets a client in and runs the only loop that
//! does a session's I/O. [`smtp`] is the wire. [`session`] is the state machine: it knows what is
//! legal, asks what is wanted, and waits. [`checks`] find [`facts`], through [`dns`] and [`state`];
//! [`policy`] is the rule language; [`verdict`] turns what rules say into a reply or a proof that
//! the message may go on. [`message`] is the spool and the header; [`relay`] the mail server
//! behind. [`history`] is the record of decisions, [`observe`] what people see of it. [`config`],
//! [`app`] and [`cli`] make a running server of files.
//!
//! `ARCHITECTURE.md` has the invariants, `docs/flow.md` follows one mail.

// A new module is pure until it is named here: see clippy.toml. Tests may do as they like.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "starts, reloads and stops")]
pub mod app;
pub mod checks;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "is the process")]
pub mod cli;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads the files")]
pub mod config;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "does the I/O of sessions")]
pub mod connection;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "asks the network")]
pub mod dns;
pub mod facts;
pub mod history;
pub mod message;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "writes the log")]
pub mod observe;
pub mod policy;
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "does the I/O with backends"
)]
pub mod relay;
pub mod session;
pub mod smtp;
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "counts by the clock, under locks"
)]
pub mod state;
pub mod verdict;
