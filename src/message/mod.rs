//! What was sent: header, body and the edits made on the way.
