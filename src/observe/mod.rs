//! What people see: log lines.
