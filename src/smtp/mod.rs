//! The wire: bytes to types and back, no opinion and no I/O.

pub mod ehlo;
pub mod reply;
pub mod reply_parser;
