//! The wire: bytes to types and back, no opinion and no I/O.

pub mod address;
pub mod auth;
pub mod command;
pub mod data;
pub mod ehlo;
pub mod host;
pub mod line;
pub mod params;
pub mod proxy_header;
pub mod reply;
pub mod reply_parser;
pub mod stuffer;
pub mod syntax;
pub mod xtext;
