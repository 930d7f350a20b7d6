//! The backend: dial, identity, the dialogue with it, and the proof that it is no open relay.
