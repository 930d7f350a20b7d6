//! A client arrives: admission, PROXY header, TLS, and the one loop that does I/O.
