//! End of data against every short sequence that was ever used to smuggle mail, at every split of
//! the input, compared with a slow reference.

use portcullis::smtp::data::DataScanner;

#[path = "support/stuffed.rs"]
mod stuffed;
use stuffed::stuffed;

const ALPHABET: [u8; 5] = [b'\r', b'\n', b'.', 0, b'a'];
const LONGEST: u32 = 6;
/// What stands before the sequence: nothing, the middle of a line, an end of line.
const BEFORE: [&[u8]; 3] = [b"", b"a", b"a\r\n"];
/// What follows: the true end and a next command.
const AFTER: &[u8] = b"\r\n.\r\nQUIT\r\n";

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    consumed: usize,
    /// Content up to the first flaw.
    content: Vec<u8>,
    bare_lf: bool,
    bare_cr: bool,
    nul: bool,
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// By the words of RFC 5321: the data is what stands before the first CRLF.CRLF, each dot after a
/// CRLF is removed.
fn reference(input: &[u8]) -> Outcome {
    let padded = [b"\r\n", input].concat();
    let end = find(&padded, b"\r\n.\r\n").expect("AFTER holds an end");
    let mut content = padded[..end + 2].to_vec();
    let mut from = 0;
    while let Some(at) = find(&content[from..], b"\r\n.") {
        from += at + 2;
        content.remove(from);
    }
    let content = content[2..].to_vec();
    let text: String = content.iter().map(|&octet| char::from(octet)).collect();
    let without_pairs = text.replace("\r\n", "");
    let first_flaw = (0..content.len()).find(|&at| match content[at] {
        0 => true,
        b'\r' => content.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || content[at - 1] != b'\r',
        _ => false,
    });
    Outcome {
        consumed: end + 3,
        bare_lf: without_pairs.contains('\n'),
        bare_cr: without_pairs.contains('\r'),
        nul: without_pairs.contains('\0'),
        content: content[..first_flaw.unwrap_or(content.len())].to_vec(),
    }
}

/// Scans the parts one by one; what is after the end must be left alone.
fn scanned<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut scanner = DataScanner::new();
    let mut content = Vec::new();
    let mut consumed = 0;
    for part in parts {
        let (used, end) = scanner.scan(part, &mut |slice| {
            assert!(!slice.is_empty());
            content.extend_from_slice(slice);
        });
        consumed += used;
        if end {
            break;
        }
        assert_eq!(used, part.len());
    }
    let flaws = scanner.flaws();
    Outcome { consumed, content, bare_lf: flaws.bare_lf, bare_cr: flaws.bare_cr, nul: flaws.nul }
}

/// What the most gullible server would take for the end: any line ends, any mix.
fn gullible_end(wire: &[u8]) -> Option<usize> {
    let is_break = |octet: Option<&u8>| matches!(octet, Some(b'\r' | b'\n' | 0));
    (0..wire.len()).find(|&at| {
        wire[at] == b'.' && (at == 0 || is_break(wire.get(at - 1))) && is_break(wire.get(at + 1))
    })
}

fn sequences(length: u32) -> impl Iterator<Item = Vec<u8>> {
    (0..ALPHABET.len().pow(length)).map(move |mut number| {
        let mut sequence = Vec::new();
        for _ in 0..length {
            sequence.push(ALPHABET[number % ALPHABET.len()]);
            number /= ALPHABET.len();
        }
        sequence
    })
}

fn inputs(longest: u32) -> impl Iterator<Item = Vec<u8>> {
    (0..=longest).flat_map(sequences).flat_map(|sequence| {
        BEFORE.into_iter().map(move |before| [before, sequence.as_slice(), AFTER].concat())
    })
}

#[test]
fn every_sequence_at_every_split() {
    let (mut cases, mut scans, mut sound, mut early) = (0u64, 0u64, 0u64, 0u64);
    for input in inputs(LONGEST) {
        let expected = reference(&input);
        cases += 1;
        early += u64::from(expected.consumed < input.len() - b"QUIT\r\n".len());
        sound += u64::from(!expected.bare_lf && !expected.bare_cr && !expected.nul);
        for cut in 0..=input.len() {
            let (a, b) = input.split_at(cut);
            assert_eq!(scanned([a, b].into_iter()), expected, "{input:?} cut at {cut}");
            scans += 1;
        }
        assert_eq!(scanned(input.chunks(1)), expected, "{input:?} octet by octet");
        scans += 1;
    }
    assert_eq!(cases, 3 * (1 + 5 + 25 + 125 + 625 + 3125 + 15625));
    // An input of n octets is cut at n + 1 places, and into n octets.
    assert_eq!(scans, (0..=LONGEST).map(|n| 5u64.pow(n) * (3 * u64::from(n) + 43)).sum::<u64>());
    // Both kinds of outcome were really met.
    assert!(sound > 500 && sound < cases / 2, "{sound}");
    assert!(early > 50 && early < cases / 2, "{early}");
}

#[test]
fn short_sequences_at_every_way_to_cut_them() {
    let mut scans = 0u64;
    for input in inputs(3) {
        let expected = reference(&input);
        let cuts = expected.consumed - 1;
        for mask in 0..1u32 << cuts {
            let mut parts = Vec::new();
            let mut rest = input.as_slice();
            let mut size = 1;
            for at in 0..cuts {
                if mask >> at & 1 == 1 {
                    let (part, later) = rest.split_at(size);
                    parts.push(part);
                    rest = later;
                    size = 0;
                }
                size += 1;
            }
            parts.push(rest);
            assert_eq!(scanned(parts.into_iter()), expected, "{input:?} cut by {mask:b}");
            scans += 1;
        }
    }
    // 176 * (1 + 10 + 100 + 1000) if none ended early.
    assert_eq!(scans, 192_936);
}

#[test]
fn what_is_sent_on_has_one_end_for_every_server() {
    let mut cases = 0;
    for input in inputs(LONGEST) {
        let outcome = scanned([input.as_slice()].into_iter());
        if outcome.bare_lf || outcome.bare_cr || outcome.nul {
            continue;
        }
        let wire = stuffed([outcome.content.as_slice()].into_iter());
        assert_eq!(gullible_end(&wire), Some(wire.len() - 3), "{input:?}");
        cases += 1;
    }
    assert!(cases > 500, "{cases}");
}
