//! Portcullis between real servers and real clients: Postfix, Dovecot and NSD, swaks, Python's
//! smtplib and curl. `make test` installs what is missing. Postfix has to be started by root.
#![allow(clippy::unwrap_used)] // the lint knows only functions marked as tests

mod backend_failures;
mod clients;
mod delivery;
mod end_to_end;
mod refusals;
mod relay_safety;
mod reload;
mod service;
mod shutdown;
mod submission;
mod support;
