//! Portcullis, an anti-spam SMTP filtering proxy.

pub mod checks;
pub mod dns;
pub mod facts;
pub mod message;
pub mod policy;
pub mod smtp;
