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

    /// Takes the next bytes, cut anywhere.
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

    pub fn finish(self) -> Result<Message, ReceiveError> {
        let body = match self.state {
            State::Header { raw, share, space, .. } => {
                Body::after(raw, share, space, false, self.limits, self.plan)?
            }
            State::Body(body) => *body,
            State::Failed(error) => return Err(error),
        };
        let Body { header, header_share, separated, hasher, mut spool } = body;
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

    fn take(&mut self, bytes: &[u8]) -> Result<(), ReceiveError> {
        let mut bytes = bytes;
        if let State::Header { raw, line, share, space } = &mut self.state {
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
            let share = std::mem::replace(share, Share::new(space.clone()));
            let raw = std::mem::take(raw);
            let body = Body::after(raw, share, space.clone(), true, self.limits, self.plan)?;
            self.state = State::Body(Box::new(body));
        }
        if let State::Body(body) = &mut self.state {
            body.hasher.update(bytes);
            body.spool.write(bytes)?;
        }
        Ok(())
    }
}

impl Body {
    /// What comes after the header.
    fn after(
        raw: Vec<u8>,
        mut share: Share,
        space: Arc<SpoolSpace>,
        separated: bool,
        limits: Limits,
        plan: fn(&Header) -> Vec<HashSpec>,
    ) -> Result<Body, ReceiveError> {
        if raw.len() as u64 > limits.header {
            return Err(ReceiveError::HeaderTooBig);
        }
        share.give_memory((raw.capacity() - raw.len()) as u64);
        let header = Header::parse(raw.into_boxed_slice());
        share.take_memory(header.index_size())?;
        let hasher = BodyHasher::new(&plan(&header), MAX_BODY_HASHES);
        Ok(Body { header, header_share: share, separated, hasher, spool: Spool::new(space) })
    }
}

/// How many of the bytes belong to the header with the empty line after it, and whether that line
/// is among them.
fn scan(line: &mut Line, bytes: &[u8]) -> (usize, bool) {
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        let empty = matches!((*line, &bytes[start..end]), (Line::Nothing, b"\r") | (Line::Cr, b""));
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
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::message::spool::SpoolConfig;

    const LIMITS: Limits = Limits { size: 10 << 20, header: 64 << 10 };

    fn directory(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("portcullis-receive-{}-{name}", std::process::id()))
    }

    /// Removes its directory in the end.
    struct Space(Arc<SpoolSpace>, PathBuf);

    impl std::ops::Deref for Space {
        type Target = Arc<SpoolSpace>;
        fn deref(&self) -> &Arc<SpoolSpace> {
            &self.0
        }
    }

    impl Drop for Space {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.1);
        }
    }

    fn space(name: &str, memory_per_message: u64, memory: u64, disk: u64) -> Space {
        let dir = directory(name);
        let config = SpoolConfig {
            dir: dir.clone(),
            memory_per_message,
            memory_total: memory,
            disk_total: disk,
        };
        Space(SpoolSpace::new(config).unwrap(), dir)
    }

    fn plan(_: &Header) -> Vec<HashSpec> {
        vec![
            HashSpec { relaxed: true, limit: None },
            HashSpec { relaxed: false, limit: None },
            HashSpec { relaxed: true, limit: None },
            HashSpec { relaxed: true, limit: Some(10) },
        ]
    }

    fn receive(
        space: &Arc<SpoolSpace>,
        limits: Limits,
        pieces: &[&[u8]],
    ) -> Result<Message, ReceiveError> {
        let mut receiver = Receiver::new(space.clone(), limits, plan);
        for piece in pieces {
            receiver.push(piece);
        }
        receiver.finish()
    }

    fn read(message: &Message, edits: &Edits) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut reader = message.reader(edits);
        while let Some(chunk) = reader.next_chunk().unwrap() {
            assert!(!chunk.is_empty());
            bytes.extend_from_slice(chunk);
        }
        bytes
    }

    fn names_in(dir: &PathBuf) -> usize {
        std::fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn messages_may_move_between_threads() {
        fn check<T: Send + Sync>() {}
        check::<Message>();
        check::<MessageReader<'_>>();
        check::<Receiver>();
    }

    #[test]
    fn small_messages_cost_little_and_give_it_back() {
        let space = space("small", 256 << 10, 1 << 20, 0);
        let text = b"Subject: x\r\nReceived: a\r\nreceived: b\r\n\r\nbody\r\n";
        let message = receive(&space, LIMITS, &[text]).unwrap();
        assert_eq!(message.size(), text.len() as u64);
        assert_eq!(message.received_count(), 2);
        assert_eq!(message.body_hashes().len(), 3, "each spec once");
        assert_eq!(read(&message, &Edits::default()), text);
        let (memory, disk) = space.usage();
        assert!(memory < 5000 && disk == 0, "{memory} {disk}");
        drop(message);
        assert_eq!(space.usage(), (0, 0));
    }

    #[test]
    fn twenty_kibibytes_are_one_piece() {
        let space = space("twenty", 256 << 10, 1 << 20, 0);
        let text = [b"A: b\r\n\r\n".to_vec(), b"0123456789abcd\r\n".repeat(1280)].concat();
        let message = receive(&space, LIMITS, &[&text]).unwrap();
        let edits = Edits::default();
        let mut reader = message.reader(&edits);
        let mut chunks = 0;
        while reader.next_chunk().unwrap().is_some() {
            chunks += 1;
        }
        assert_eq!(chunks, 3, "header, empty line, body");
        assert!(space.usage().0 < 33 << 10);
    }

    #[test]
    fn without_empty_line_all_is_header() {
        let space = space("header", 1 << 10, 1 << 20, 0);
        for text in [&b"Subject: x\r\n"[..], b"Subject: x\r\n more\r\n", b"no end", b""] {
            let message = receive(&space, LIMITS, &[text]).unwrap();
            assert_eq!(message.header().raw(), text);
            assert_eq!(read(&message, &Edits::default()), text);
        }
        let message = receive(&space, LIMITS, &[b"\r\nSubject: x\r\n"]).unwrap();
        assert!(message.header().is_empty());
        assert_eq!(read(&message, &Edits::default()), b"\r\nSubject: x\r\n");
    }

    #[test]
    fn large_bodies_are_in_a_file_without_name() {
        let space = space("file", 256 << 10, 1 << 30, 1 << 30);
        let body: Vec<u8> =
            (0..60_000).flat_map(|n| format!("line {n}\r\n").into_bytes()).collect();
        let text = [b"A: b\r\n\r\n", body.as_slice()].concat();
        let pieces: Vec<&[u8]> = text.chunks(1000).collect();
        let message = receive(&space, LIMITS, &pieces).unwrap();
        assert_eq!(names_in(&directory("file")), 0);
        let (memory, disk) = space.usage();
        assert_eq!(disk, body.len() as u64);
        assert!(memory < 1000, "{memory}");
        assert_eq!(read(&message, &Edits::default()), text);
        drop(message);
        assert_eq!(space.usage(), (0, 0));
    }

    #[test]
    fn full_memory_goes_to_files_and_full_disk_is_full() {
        let space = space("full", 256 << 10, 16 << 10, 100_000);
        let text = [b"A: b\r\n\r\n".to_vec(), b"0123456789abcd\r\n".repeat(5000)].concat();
        let pieces: Vec<&[u8]> = text.chunks(700).collect();
        let first = receive(&space, LIMITS, &pieces).unwrap();
        assert_eq!(space.usage().1, 80_000);
        assert_eq!(read(&first, &Edits::default()), text);

        let mut receiver = Receiver::new(space.clone(), LIMITS, plan);
        for piece in &pieces {
            receiver.push(piece);
        }
        assert!(receiver.failed());
        assert_eq!(receiver.size(), text.len() as u64, "dropped but counted");
        assert_eq!(space.usage().1, 80_000, "given back at once");
        assert!(matches!(receiver.finish(), Err(ReceiveError::Spool(SpoolError::Full))));

        drop(first);
        assert_eq!(space.usage(), (0, 0));
        assert!(receive(&space, LIMITS, &pieces).is_ok());
    }

    #[test]
    fn a_body_finds_memory_taken_by_others() {
        let space = space("taken", 256 << 10, 8 << 10, 1 << 20);
        let text = [b"A: b\r\n\r\n".to_vec(), b"0123456789abcd\r\n".repeat(100)].concat();
        let first = receive(&space, LIMITS, &[&text]).unwrap();
        assert_eq!(space.usage().1, 0);
        let second = receive(&space, LIMITS, &[&text]).unwrap();
        assert_eq!(space.usage().1, 1600);
        assert_eq!(read(&second, &Edits::default()), read(&first, &Edits::default()));
        let big = [b"A: ".to_vec(), vec![b'a'; 5000], b"\r\n".to_vec()].concat();
        let error = receive(&space, LIMITS, &[&big]).unwrap_err();
        assert!(matches!(error, ReceiveError::Spool(SpoolError::Full)), "a header has no file");
    }

    #[test]
    fn limits() {
        let space = space("limits", 1 << 10, 1 << 20, 1 << 20);
        let text = b"A: b\r\n\r\n0123456789\r\n";
        let size = text.len() as u64;
        let exact = Limits { size, header: 6 };
        assert!(receive(&space, exact, &[text]).is_ok());
        let error = receive(&space, Limits { size: size - 1, ..exact }, &[text]).unwrap_err();
        assert!(matches!(error, ReceiveError::TooBig));
        for pieces in [&[&text[..]][..], &[&text[..6], &text[6..]], &[b"A: bcd\r\n"]] {
            let error = receive(&space, Limits { header: 5, ..exact }, pieces).unwrap_err();
            assert!(matches!(error, ReceiveError::HeaderTooBig));
        }
        assert_eq!(space.usage(), (0, 0));
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = directory("open");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777)).unwrap();
        let config =
            SpoolConfig { dir: dir.clone(), memory_per_message: 1, memory_total: 1, disk_total: 1 };
        assert_eq!(
            SpoolSpace::new(config).unwrap_err().kind(),
            std::io::ErrorKind::PermissionDenied
        );
        std::fs::remove_dir(dir).unwrap();
    }

    #[test]
    fn what_a_killed_process_left_is_removed() {
        use std::os::unix::fs::PermissionsExt as _;
        let _first = space("left", 1, 1, 1);
        let dir = directory("left");
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(dir.join("portcullis-spool-1-1"), b"").unwrap();
        std::fs::write(dir.join("other"), b"").unwrap();
        let _second = space("left", 1, 1, 1);
        assert_eq!(names_in(&dir), 1);
    }

    fn messages() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![Just(String::new()), "[ \ta-c]{0,5}", "[A-C]: [a-z ]{0,20}",];
        (prop::collection::vec(line, 0..60), any::<bool>()).prop_map(|(lines, ended)| {
            let mut text = lines.join("\r\n").into_bytes();
            if ended {
                text.extend_from_slice(b"\r\n");
            }
            text
        })
    }

    proptest! {
        #[test]
        fn chunking_does_not_matter(
            text in messages(),
            cuts in prop::collection::vec(1_usize..40, 1..200),
            memory in 0_u64..300,
        ) {
            let space = space("chunks", memory, 1 << 20, 1 << 20);
            let whole = receive(&space, LIMITS, &[&text]).unwrap();
            let mut pieces = Vec::new();
            let mut rest = text.as_slice();
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                pieces.push(now);
                rest = later;
            }
            pieces.push(rest);
            let cut = receive(&space, LIMITS, &pieces).unwrap();
            prop_assert_eq!(whole.header().raw(), cut.header().raw());
            prop_assert_eq!(read(&whole, &Edits::default()), text.as_slice());
            prop_assert_eq!(read(&cut, &Edits::default()), text.as_slice());
            for (a, b) in whole.body_hashes().iter().zip(cut.body_hashes()) {
                prop_assert_eq!(a.spec, b.spec);
                prop_assert_eq!(a.sha256, b.sha256);
                prop_assert_eq!(a.canonical_length, b.canonical_length);
            }
            drop((whole, cut));
            prop_assert_eq!(space.usage(), (0, 0));
        }
    }
}
