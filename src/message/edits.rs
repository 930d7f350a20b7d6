//! Header edits, and the message as it is forwarded with them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::header::Header;
use super::spool::{Place, Spool};

/// Octets read from a file at once.
const BUFFER: u64 = 64 << 10;

/// Put in front of a first line that is no field when fields are put on top of it. A continuation
/// line would become part of the last of them, and a client could write into our own fields.
const ORPHAN: &[u8] = b"X-Orphaned-Line:";
/// An mbox separator would end the header. Postfix uses the same name for it when it comes first.
const SEPARATOR: &[u8] = b"X-Mailbox-Line: ";

/// Changes to a header. Indexes are those of [`HeaderField::index`](super::HeaderField::index);
/// those that do not exist are ignored.
#[derive(Debug, Clone, Default)]
pub struct Edits {
    /// Complete fields with their CRLF, put on top.
    pub prepend: Vec<u8>,
    /// Fields left out.
    pub remove: Vec<usize>,
    /// Complete fields with their CRLF, in place of others. A field that is also removed is removed.
    pub replace: Vec<(usize, Vec<u8>)>,
}

/// Gives a message in pieces, as slices of memory where it is in memory.
#[derive(Debug)]
pub struct MessageReader<'a> {
    /// In reverse.
    parts: Vec<Part<'a>>,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    Memory(&'a [u8]),
    File { file: &'a File, offset: u64, len: u64 },
}

impl<'a> MessageReader<'a> {
    pub(super) fn new(
        header: &'a Header,
        separated: bool,
        spool: &'a Spool,
        edits: &'a Edits,
    ) -> Self {
        let mut parts = vec![Part::Memory(&edits.prepend)];
        if !edits.prepend.is_empty() && !edits.changes().any(|(index, _)| index == 0) {
            parts.extend(guard(header.raw()).map(Part::Memory));
        }
        push_header(&mut parts, header, edits);
        if separated {
            parts.push(Part::Memory(b"\r\n"));
        }
        match spool.place() {
            Place::Memory(pieces) => {
                parts.extend(pieces.iter().map(|piece| Part::Memory(piece)));
            }
            Place::File(file) => parts.push(Part::File { file, offset: 0, len: spool.len() }),
        }
        parts.reverse();
        MessageReader { parts, buffer: Vec::new() }
    }

    /// The next piece, never an empty one; `None` after the last. Reading from a file blocks.
    pub fn next_chunk(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            match self.parts.pop() {
                None => return Ok(None),
                Some(Part::Memory(b"")) => {}
                Some(Part::Memory(bytes)) => return Ok(Some(bytes)),
                Some(Part::File { len: 0, .. }) => {}
                Some(Part::File { file, offset, len }) => {
                    let now = len.min(BUFFER);
                    self.parts.push(Part::File { file, offset: offset + now, len: len - now });
                    self.buffer.resize(now as usize, 0);
                    file.read_exact_at(&mut self.buffer, offset)?;
                    return Ok(Some(&self.buffer));
                }
            }
        }
    }
}

fn guard(header: &[u8]) -> Option<&'static [u8]> {
    let arrows = header.iter().take_while(|b| **b == b'>').count();
    match header {
        [b' ' | b'\t', ..] => Some(ORPHAN),
        // But `From :` is the field (RFC 5322 4.5.2).
        _ => match header[arrows..].strip_prefix(b"From ")?.trim_ascii_start() {
            [b':', ..] => None,
            _ => Some(SEPARATOR),
        },
    }
}

impl Edits {
    pub fn is_empty(&self) -> bool {
        self.prepend.is_empty() && self.remove.is_empty() && self.replace.is_empty()
    }

    /// What becomes of each field that does not stay: removals before replacements.
    fn changes(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let removed = self.remove.iter().map(|index| (*index, &b""[..]));
        removed.chain(self.replace.iter().map(|(index, field)| (*index, field.as_slice())))
    }
}

/// The fields that stay, joined to the longest slices that there are.
fn push_header<'a>(parts: &mut Vec<Part<'a>>, header: &'a Header, edits: &'a Edits) {
    let mut changes: Vec<(usize, &[u8])> = edits.changes().collect();
    // Stable: a removal stays before a replacement.
    changes.sort_by_key(|(index, _)| *index);
    changes.dedup_by_key(|(index, _)| *index);
    let raw = header.raw();
    let mut kept = 0;
    for (index, field) in changes {
        let Some(span) = header.range(index) else { break };
        parts.push(Part::Memory(&raw[kept..span.start]));
        parts.push(Part::Memory(field));
        kept = span.end;
    }
    parts.push(Part::Memory(&raw[kept..]));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::message::{Limits, Message, Receiver, SpoolConfig, SpoolSpace};

    fn message(text: &[u8]) -> Message {
        static SERIAL: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir =
            std::env::temp_dir().join(format!("portcullis-edits-{}-{serial}", std::process::id()));
        let space: Arc<SpoolSpace> = SpoolSpace::new(SpoolConfig {
            dir: dir.clone(),
            memory_per_message: 64,
            memory_total: 1 << 20,
            disk_total: 1 << 20,
        })
        .unwrap();
        let mut receiver =
            Receiver::new(space, Limits { size: 1 << 20, header: 1 << 20 }, |_| Vec::new());
        receiver.push(text);
        let message = receiver.finish().unwrap();
        std::fs::remove_dir(dir).unwrap();
        message
    }

    fn read(message: &Message, edits: &Edits) -> Vec<u8> {
        let mut reader = message.reader(edits);
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.next_chunk().unwrap() {
            bytes.extend_from_slice(chunk);
        }
        bytes
    }

    #[test]
    fn fields_are_put_on_top_removed_and_replaced() {
        let message = message(b"A: 1\r\nB: 2\r\n x\r\nC: 3\r\nD: 4\r\n\r\nbody\r\n");
        let edits = Edits {
            prepend: b"X: y\r\n".to_vec(),
            remove: vec![1, 3, 77],
            replace: vec![(2, b"C: [spam] 3\r\n".to_vec()), (3, b"D: kept?\r\n".to_vec())],
        };
        assert_eq!(
            read(&message, &edits),
            b"X: y\r\nA: 1\r\nC: [spam] 3\r\n\r\nbody\r\n".as_slice()
        );
        let all = Edits { remove: vec![0, 1, 2, 3], ..Edits::default() };
        assert_eq!(read(&message, &all), b"\r\nbody\r\n");
    }

    #[test]
    fn an_orphaned_line_does_not_continue_our_field() {
        let text = b" ; spf=pass\r\nFrom: a@b.example\r\n\r\n";
        let ours = b"Authentication-Results: mx.example.com; none\r\n";
        let message = message(text);
        assert_eq!(read(&message, &Edits::default()), text);
        let edits = Edits { prepend: ours.to_vec(), ..Edits::default() };
        let header = Header::parse(read(&message, &edits).into());
        assert_eq!(header.fields().next().unwrap().raw, ours);
        assert_eq!(header.fields().nth(1).unwrap().name, b"X-Orphaned-Line");
        let edits = Edits { remove: vec![0], ..edits };
        assert_eq!(read(&message, &edits), [&ours[..], b"From: a@b.example\r\n\r\n"].concat());
    }

    #[test]
    fn an_mbox_separator_becomes_a_field() {
        for line in ["From joe@example.com Mon Nov 24 10:00:00 2025", ">>From joe"] {
            let message = message(format!("{line}\r\nFrom: a@b.example\r\n\r\n").as_bytes());
            let edits = Edits { prepend: b"A: b\r\n".to_vec(), ..Edits::default() };
            assert_eq!(
                read(&message, &edits),
                format!("A: b\r\nX-Mailbox-Line: {line}\r\nFrom: a@b.example\r\n\r\n").as_bytes()
            );
        }
        let message = message(b"From : a@b.example\r\n\r\n");
        let edits = Edits { prepend: b"A: b\r\n".to_vec(), ..Edits::default() };
        assert_eq!(read(&message, &edits), b"A: b\r\nFrom : a@b.example\r\n\r\n");
    }

    proptest! {
        #[test]
        fn edits_are_those_of_a_list_of_fields(
            fields in prop::collection::vec("[A-C]: [a-z]{0,3}(\r\n [a-z]{1,3})?\r\n", 0..12),
            body in "[a-z]{0,200}",
            remove in prop::collection::vec(0_usize..14, 0..6),
            replace in prop::collection::vec((0_usize..14, "R: [a-z]{0,3}\r\n"), 0..4),
            prepend in "(P: [a-z]{0,3}\r\n){0,2}",
        ) {
            let message = message(format!("{}\r\n{body}", fields.concat()).as_bytes());
            let mut expected = prepend.clone();
            for (index, field) in fields.iter().enumerate() {
                let other = replace.iter().find(|(at, _)| *at == index).map(|(_, field)| field);
                if !remove.contains(&index) {
                    expected.push_str(other.unwrap_or(field));
                }
            }
            expected.push_str("\r\n");
            expected.push_str(&body);
            let edits = Edits {
                prepend: prepend.into_bytes(),
                remove,
                replace: replace.into_iter().map(|(at, field)| (at, field.into_bytes())).collect(),
            };
            prop_assert_eq!(read(&message, &edits), expected.into_bytes());
        }
    }
}
