//! Fetching keys, all of a message at once.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::Poll;

use super::crypto::Algorithm;
use super::key::KeyRecord;
use super::signature::Reason;
use crate::dns::{BoxFuture, Budget, DnsError};

type Answer = Result<Vec<Box<[u8]>>, DnsError>;

/// The answers for the names of some keys, each asked once.
#[derive(Debug, Default)]
pub struct Keys {
    answers: BTreeMap<String, Answer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKey {
    /// The key server could not be asked; trying again later may help (RFC 6376 6.1.2).
    Temporary(DnsError),
    Permanent(Reason),
}

impl Keys {
    pub async fn fetch(dns: &Budget, names: impl IntoIterator<Item = String>) -> Keys {
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        let mut asking: Vec<BoxFuture<'_, Answer>> = Vec::with_capacity(names.len());
        for name in &names {
            asking.push(Box::pin(dns.txt(name)));
        }
        let answers = join_all(asking).await;
        Keys { answers: names.into_iter().zip(answers).collect() }
    }

    pub fn get(&self, name: &str, algorithm: Algorithm) -> Result<KeyRecord, NoKey> {
        match self.answers.get(name) {
            Some(Ok(records)) => KeyRecord::choose(records, algorithm).map_err(NoKey::Permanent),
            Some(Err(DnsError::NoName | DnsError::NoData)) | None => {
                Err(NoKey::Permanent("no key"))
            }
            Some(Err(error)) => Err(NoKey::Temporary(*error)),
        }
    }

    /// How many TXT records a name has.
    pub fn count(&self, name: &str) -> usize {
        self.answers.get(name).and_then(|a| a.as_ref().ok()).map_or(0, Vec::len)
    }
}

/// Runs some futures together; results come in their order. A wake polls all that are not done,
/// which for the few keys of a message costs less than tasks.
async fn join_all<T>(futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Some(future), None)).collect();
    poll_fn(|cx| {
        let mut done = true;
        for (future, result) in &mut running {
            if let Some(pending) = future {
                match pending.as_mut().poll(cx) {
                    Poll::Ready(value) => (*future, *result) = (None, Some(value)),
                    Poll::Pending => done = false,
                }
            }
        }
        if done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, result)| result).collect()
}
