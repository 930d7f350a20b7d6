//! Taking a message in: header to memory, body to the spool, hashes on the way.

use std::sync::Arc;

use super::body_hash::{BodyHash, BodyHasher, HashSpec};
use super::edits::{Edits, MessageReader};
use super::header::Header;
use super::spool::{Share, Spool, SpoolError, SpoolSpace};

/// Body hashes computed for one message at the most.
pub const MAX_BODY_HASHES: usize = 20;

/// Octets.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of the whole message.
    pub size: u64,
    /// Of the header; 1 MiB is usual.
    pub header: u64,
}

#[derive(Debug)]
pub enum ReceiveError {
    TooBig,
    HeaderTooBig,
    Spool(SpoolError),
}

impl From<SpoolError> for ReceiveError {
    fn from(error: SpoolError) -> Self {
        ReceiveError::Spool(error)
    }
}

/// Takes the canonical bytes of one message as they come.
///
/// [`push`](Receiver::push) never fails, since the client must be read to the end of its data in
/// any case: the first error is remembered, what is held is given back, later bytes are counted.
pub struct Receiver {
    limits: Limits,
    plan: fn(&Header) -> Vec<HashSpec>,
    size: u64,
    state: State,
}

enum State {
    Header { raw: Vec<u8>, line: Line, share: Share, space: Arc<SpoolSpace> },
    Body(Box<Body>),
    Failed(ReceiveError),
}

/// What was seen of the current line of the header.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Nothing,
    Cr,
    Text,
}

struct Body {
    header: Header,
    header_share: Share,
    /// The empty line was there.
    separated: bool,
    hasher: BodyHasher,
    spool: Spool,
}

impl Receiver {
    pub fn new(space: Arc<SpoolSpace>, limits: Limits, plan: fn(&Header) -> Vec<HashSpec>) -> Self {
        // A header's places are 32-bit.
        let limits = Limits { header: limits.header.min(u64::from(u32::MAX)), ..limits };
        let state = State::Header {
            raw: Vec::new(),
            line: Line::Nothing,
            share: Share::new(space.clone()),
            space,
        };
        Receiver { limits, plan, size: 0, state }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > self.limits.size {
            self.state = State::Failed(ReceiveError::TooBig);
        }
        if let Err(error) = self.take(bytes) {
            self.state = State::Failed(error);
        }
    }

    /// Octets pushed so far, those dropped included.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether [`finish`](Receiver::finish) can only fail.
    pub fn failed(&self) -> bool {
        matches!(self.state, State::Failed(_))
    }

    pub fn finish(mut self) -> Result<Message, ReceiveError> {
        self.end_header(false)?;
        match self.state {
            State::Body(body) => {
                let Body { header, header_share, separated, hasher, mut spool } = *body;
                spool.finish()?;
                Ok(Message {
                    header,
                    separated,
                    size: self.size,
                    body_hashes: hasher.finish(),
                    spool,
                    _header_share: header_share,
                })
            }
            State::Failed(error) => Err(error),
            State::Header { .. } => unreachable!("the header was ended above"),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), ReceiveError> {
        let mut bytes = bytes;
        if let State::Header { raw, line, share, .. } = &mut self.state {
            let (in_header, ended) = scan(line, bytes);
            let (now, later) = bytes.split_at(in_header);
            // The empty line does not belong to the header.
            if (raw.len() + now.len()) as u64 > self.limits.header.saturating_add(2) {
                return Err(ReceiveError::HeaderTooBig);
            }
            append(raw, now, share)?;
            if !ended {
                return Ok(());
            }
            raw.truncate(raw.len().saturating_sub(2));
            bytes = later;
            self.end_header(true)?;
        }
        if let State::Body(body) = &mut self.state {
            body.hasher.update(bytes);
            body.spool.write(bytes)?;
        }
        Ok(())
    }

    fn end_header(&mut self, separated: bool) -> Result<(), ReceiveError> {
        let State::Header { raw, share, space, .. } = &mut self.state else { return Ok(()) };
        if raw.len() as u64 > self.limits.header {
            return Err(ReceiveError::HeaderTooBig);
        }
        let capacity = raw.capacity();
        let raw = std::mem::take(raw).into_boxed_slice();
        share.give_memory((capacity - raw.len()) as u64);
        let header = Header::parse(raw);
        share.take_memory(header.index_size())?;
        let mut specs = (self.plan)(&header);
        specs.truncate(MAX_BODY_HASHES);
        let header_share = std::mem::replace(share, Share::new(space.clone()));
        let spool = Spool::new(space.clone());
        let hasher = BodyHasher::new(&specs);
        self.state = State::Body(Box::new(Body { header, header_share, separated, hasher, spool }));
        Ok(())
    }
}

/// How many of the bytes belong to the header with the empty line after it, and whether that line
/// is among them.
fn scan(line: &mut Line, bytes: &[u8]) -> (usize, bool) {
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        let empty = match (*line, &bytes[start..end]) {
            (Line::Nothing, b"\r") | (Line::Cr, b"") => true,
            _ => false,
        };
        *line = Line::Nothing;
        start = end + 1;
        if empty {
            return (start, true);
        }
    }
    *line = match (*line, &bytes[start..]) {
        (line, b"") => line,
        (Line::Nothing, b"\r") => Line::Cr,
        _ => Line::Text,
    };
    (bytes.len(), false)
}

fn append(raw: &mut Vec<u8>, bytes: &[u8], share: &mut Share) -> Result<(), SpoolError> {
    let need = raw.len() + bytes.len();
    if need > raw.capacity() {
        let before = raw.capacity();
        let after = need.max(2 * before);
        share.take_memory((after - before) as u64)?;
        raw.reserve_exact(after - raw.len());
    }
    raw.extend_from_slice(bytes);
    Ok(())
}

/// A message that was received whole. Its space is given back when it is dropped.
#[derive(Debug)]
pub struct Message {
    header: Header,
    separated: bool,
    size: u64,
    body_hashes: Vec<BodyHash>,
    spool: Spool,
    _header_share: Share,
}

impl Message {
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Octets as received, in canonical form.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn body_hashes(&self) -> &[BodyHash] {
        &self.body_hashes
    }

    /// How many Received fields there are: over a hundred, it loops (RFC 5321 6.3).
    pub fn received_count(&self) -> usize {
        self.header.named("Received").count()
    }

    /// The message with its edits, from the beginning.
    pub fn reader<'a>(&'a self, edits: &'a Edits) -> MessageReader<'a> {
        MessageReader::new(&self.header, self.separated, &self.spool, edits)
    }

    /// Octets that [`reader`](Message::reader) will give.
    pub fn exact_size(&self, edits: &Edits) -> u64 {
        self.reader(edits).remaining()
    }
}
