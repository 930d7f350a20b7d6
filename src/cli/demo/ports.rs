//! The listening ports: those that people expect where they are free, else any.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use super::files::{Listeners, Senders};
use crate::app::listen::{self, Bound};
use crate::app::workers;

const TRIES: usize = 20;

pub(super) struct Ports {
    pub(super) listeners: Listeners,
    /// In the order of the configuration's listeners.
    pub(super) bound: Vec<Bound>,
}

impl Ports {
    pub(super) fn take(any: bool) -> io::Result<Ports> {
        let mut bound = Vec::new();
        for wanted in [2525, 2587, 2465, 0, 0, 0] {
            bound.push(take(if any { 0 } else { wanted })?);
        }
        let [smtp, submission, submissions, senders_smtp, senders_submission, senders_submissions] =
            bound.as_slice()
        else {
            return Err(io::Error::other("ports are missing"));
        };
        let listeners = Listeners {
            smtp: smtp.address,
            submission: submission.address,
            submissions: submissions.address,
            senders: Senders {
                smtp: senders_smtp.address,
                submission: senders_submission.address,
                submissions: senders_submissions.address,
            },
        };
        Ok(Ports { listeners, bound })
    }
}

/// The wanted port, or any that is free.
fn take(wanted: u16) -> io::Result<Bound> {
    let mut last = io::Error::other("no port is free");
    for n in 0..TRIES {
        match take_one(if n == 0 { wanted } else { 0 }) {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The workers' sockets share their port, with those of another demonstration too, if both bind at
/// the same time. Ports of UDP are not shared: who has that of the same number has the other.
fn take_one(wanted: u16) -> io::Result<Bound> {
    let guard = UdpSocket::bind((Ipv4Addr::LOCALHOST, wanted))?;
    let bound = listen::bind(guard.local_addr()?, workers::cores())?;
    // Held until the process ends.
    std::mem::forget(guard);
    Ok(bound)
}
