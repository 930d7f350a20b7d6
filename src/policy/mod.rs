//! The rule language: conditions over facts, compiled once, evaluated in file order.

pub mod diagnostic;
