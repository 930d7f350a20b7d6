//! Portcullis, an anti-spam SMTP filtering proxy.

pub mod app;
pub mod checks;
pub mod cli;
pub mod config;
pub mod connection;
pub mod dns;
pub mod facts;
pub mod history;
pub mod message;
pub mod observe;
pub mod policy;
pub mod relay;
pub mod session;
pub mod smtp;
pub mod state;
pub mod verdict;
