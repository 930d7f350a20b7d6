//! Body hashes for DKIM and ARC, computed while the message comes in.

use ring::digest::{Context, SHA256};

/// What of a body is hashed (RFC 6376 3.4, 3.5 `c=` and `l=`), always with SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashSpec {
    pub relaxed: bool,
    /// Octets of the canonical body that count; `None` for all.
    pub limit: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
pub struct BodyHash {
    pub spec: HashSpec,
    pub sha256: [u8; 32],
    /// The length of the whole canonical body: over `limit` there is an unsigned tail, under it the
    /// signature covers more than was sent.
    pub canonical_length: u64,
}

/// Hashes a body that comes in pieces. It costs at most one pass for each canonicalisation, however
/// many limits are asked for. Expects CRLF line ends only.
pub struct BodyHasher {
    specs: Vec<HashSpec>,
    simple: Option<Simple>,
    relaxed: Option<Relaxed>,
}

impl BodyHasher {
    /// The first `max` different specs of those wanted.
    pub fn new(wanted: &[HashSpec], max: usize) -> Self {
        let mut specs: Vec<HashSpec> = Vec::with_capacity(wanted.len().min(max));
        for spec in wanted {
            if specs.len() < max && !specs.contains(spec) {
                specs.push(*spec);
            }
        }
        BodyHasher {
            simple: Digests::new(&specs, false).map(|digests| Simple { digests, pending: 0 }),
            relaxed: Digests::new(&specs, true).map(|digests| Relaxed {
                digests,
                line_ends: 0,
                space: false,
            }),
            specs,
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(simple) = &mut self.simple {
            simple.update(bytes);
        }
        if let Some(relaxed) = &mut self.relaxed {
            relaxed.update(bytes);
        }
    }

    /// In the order of the specs.
    pub fn finish(self) -> Vec<BodyHash> {
        let simple = self.simple.map(Simple::finish);
        let relaxed = self.relaxed.map(Relaxed::finish);
        self.specs
            .iter()
            .filter_map(|spec| {
                let done = if spec.relaxed { relaxed.as_ref() } else { simple.as_ref() }?;
                let sha256 = done.at(spec.limit);
                Some(BodyHash { spec: *spec, sha256, canonical_length: done.length })
            })
            .collect()
    }
}

/// RFC 6376 3.4.3: empty lines at the end count as none, and one CRLF ends the body.
struct Simple {
    digests: Digests,
    /// Octets of the CRLFs that were seen and may be the end.
    pending: u64,
}

impl Simple {
    fn update(&mut self, bytes: &[u8]) {
        let end = bytes.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |at| at + 1);
        let (text, line_ends) = bytes.split_at(end);
        if !text.is_empty() {
            self.digests.add_crlfs(self.pending);
            self.digests.add(text);
            self.pending = 0;
        }
        self.pending += line_ends.len() as u64;
    }

    fn finish(mut self) -> Finished {
        self.digests.add(b"\r\n");
        self.digests.finish()
    }
}

/// RFC 6376 3.4.4: runs of white space are one space, none at the end of a line; then as simple,
/// but an empty body stays empty.
struct Relaxed {
    digests: Digests,
    /// Lines ended since the last text: they count once more text comes.
    line_ends: u64,
    /// White space since the last text or line end.
    space: bool,
}

impl Relaxed {
    fn update(&mut self, mut bytes: &[u8]) {
        loop {
            let text = bytes.iter().position(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
            let (gap, rest) = bytes.split_at(text.unwrap_or(bytes.len()));
            for byte in gap {
                match byte {
                    b'\n' => {
                        self.line_ends += 1;
                        self.space = false;
                    }
                    // Always before LF.
                    b'\r' => {}
                    _ => self.space = true,
                }
            }
            if rest.is_empty() {
                return;
            }
            self.digests.add_crlfs(2 * self.line_ends);
            self.line_ends = 0;
            if std::mem::take(&mut self.space) {
                self.digests.add(b" ");
            }
            let (same, rest) = rest.split_at(unchanged(rest));
            self.digests.add(same);
            bytes = rest;
        }
    }

    fn finish(mut self) -> Finished {
        if self.digests.length > 0 {
            self.digests.add(b"\r\n");
        }
        self.digests.finish()
    }
}

/// How many octets are canonical as they stand. Single spaces inside a line and line ends between
/// two letters are, so that the usual text is hashed in large slices.
fn unchanged(bytes: &[u8]) -> usize {
    let text =
        |at: usize| bytes.get(at).is_some_and(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
    memchr::memchr3_iter(b' ', b'\t', b'\r', bytes)
        .find(|&at| match bytes[at] {
            b' ' => !text(at + 1),
            b'\r' => bytes.get(at + 1) != Some(&b'\n') || !text(at + 2),
            _ => true,
        })
        .unwrap_or(bytes.len())
}

/// The hash of all limits of one canonicalisation: one running hash, copied at each limit.
struct Digests {
    running: Context,
    length: u64,
    /// Ascending.
    limits: Vec<u64>,
    reached: Vec<(u64, [u8; 32])>,
}

struct Finished {
    length: u64,
    whole: [u8; 32],
    reached: Vec<(u64, [u8; 32])>,
}

impl Digests {
    fn new(specs: &[HashSpec], relaxed: bool) -> Option<Digests> {
        let mut limits: Vec<u64> = Vec::new();
        let mut any = false;
        for spec in specs.iter().filter(|spec| spec.relaxed == relaxed) {
            any = true;
            limits.extend(spec.limit);
        }
        limits.sort_unstable();
        any.then(|| Digests { running: Context::new(&SHA256), length: 0, limits, reached: vec![] })
    }

    fn add(&mut self, mut bytes: &[u8]) {
        while let Some(limit) = self.limits.get(self.reached.len()).copied() {
            let left = usize::try_from(limit - self.length).unwrap_or(usize::MAX);
            let Some((before, after)) = bytes.split_at_checked(left) else { break };
            self.running.update(before);
            self.length = limit;
            self.reached.push((limit, sum(self.running.clone())));
            bytes = after;
        }
        self.running.update(bytes);
        self.length += bytes.len() as u64;
    }

    fn add_crlfs(&mut self, mut octets: u64) {
        const CRLFS: [u8; 256] = {
            let mut bytes = [b'\r'; 256];
            let mut at = 1;
            while at < 256 {
                bytes[at] = b'\n';
                at += 2;
            }
            bytes
        };
        while octets > 0 {
            let now = octets.min(CRLFS.len() as u64) as usize;
            self.add(&CRLFS[..now]);
            octets -= now as u64;
        }
    }

    fn finish(self) -> Finished {
        Finished { length: self.length, whole: sum(self.running), reached: self.reached }
    }
}

impl Finished {
    /// A limit beyond the end was not reached: the hash is that of all there is.
    fn at(&self, limit: Option<u64>) -> [u8; 32] {
        let reached = |limit| self.reached.iter().find(|(at, _)| *at == limit).map(|(_, sum)| *sum);
        limit.and_then(reached).unwrap_or(self.whole)
    }
}

fn sum(context: Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::digest::digest;

    use super::*;

    /// RFC 6376 3.4.3 and 3.4.4 word for word, on a whole body.
    fn canonical(body: &[u8], relaxed: bool) -> Vec<u8> {
        let text = std::str::from_utf8(body).unwrap();
        let mut lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
        if relaxed {
            for line in &mut lines {
                let mut reduced = String::new();
                for c in line.trim_end_matches([' ', '\t']).chars() {
                    match c {
                        ' ' | '\t' if reduced.ends_with(' ') => {}
                        ' ' | '\t' => reduced.push(' '),
                        c => reduced.push(c),
                    }
                }
                *line = reduced;
            }
        }
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        match (lines.is_empty(), relaxed) {
            (true, true) => Vec::new(),
            (true, false) => b"\r\n".to_vec(),
            (false, _) => (lines.join("\r\n") + "\r\n").into_bytes(),
        }
    }

    fn hashes(pieces: &[&[u8]], specs: &[HashSpec]) -> Vec<BodyHash> {
        let mut hasher = BodyHasher::new(specs, 20);
        for piece in pieces {
            hasher.update(piece);
        }
        hasher.finish()
    }

    fn check(pieces: &[&[u8]], limits: &[Option<u64>]) {
        let body = pieces.concat();
        let specs: Vec<HashSpec> = [false, true]
            .into_iter()
            .flat_map(|relaxed| limits.iter().map(move |limit| HashSpec { relaxed, limit: *limit }))
            .collect();
        let found = hashes(pieces, &specs);
        for hash in &found {
            let whole = canonical(&body, hash.spec.relaxed);
            let limit = hash.spec.limit.map_or(whole.len(), |limit| limit as usize);
            let expected = digest(&SHA256, &whole[..limit.min(whole.len())]);
            assert_eq!(hash.sha256, expected.as_ref(), "{:?} of {body:?}", hash.spec);
            assert_eq!(hash.canonical_length, whole.len() as u64);
        }
        assert!(specs.iter().all(|spec| found.iter().any(|hash| hash.spec == *spec)));
    }

    #[test]
    fn the_examples_of_rfc_6376() {
        // 3.4.5, example 3 and its simple form.
        let body = b" C \r\nD \t E\r\n\r\n\r\n";
        let specs =
            [HashSpec { relaxed: true, limit: None }, HashSpec { relaxed: false, limit: None }];
        let found = hashes(&[body], &specs);
        let expected = [digest(&SHA256, b" C\r\nD E\r\n"), digest(&SHA256, b" C \r\nD \t E\r\n")];
        for (hash, expected) in found.iter().zip(&expected) {
            assert_eq!(hash.sha256, expected.as_ref());
        }
        // 3.4.3 and 3.4.4 name the hashes of the empty body.
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        let empty = hashes(&[], &specs)
            .iter()
            .map(|h| BASE64_STANDARD.encode(h.sha256))
            .collect::<Vec<_>>();
        assert_eq!(
            empty,
            [
                "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="
            ]
        );
        // The body of the signed message in A.2, whose bh= the RFC prints.
        let bodies: [&[u8]; 2] = [
            b"Hi.\r\n\r\nWe lost the game.\t Are you  hungry yet? \r\n\r\nJoe.\r\n",
            b"Hi.\r\n\r\nWe lost the game. Are you hungry yet?\r\n\r\nJoe.\r\n",
        ];
        for (body, spec) in bodies.iter().zip(specs) {
            assert_eq!(
                BASE64_STANDARD.encode(hashes(&[body], &[spec])[0].sha256),
                "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
            );
        }
    }

    #[test]
    fn edges() {
        for body in [
            "",
            "\r\n",
            "\r\n\r\n",
            " \r\n",
            " \t\r\n\r\n \r\n",
            "a",
            "a\r\n",
            "a \r\n",
            "a\r\n \r\n",
            "a \t b\r\n",
            "\r\na\r\n",
            " a\r\n",
            "  a\r\n",
            "\ta\r\n",
            "a\r\n \r\nb\r\n",
            "a\r\n\r\n b",
            "a ",
            "a\r\n ",
        ] {
            check(&[body.as_bytes()], &[None, Some(0), Some(1), Some(2), Some(3), Some(99)]);
        }
        let many = "\r\n".repeat(1000) + "x";
        check(&[many.as_bytes()], &[None, Some(255), Some(256), Some(257), Some(2001)]);
    }

    #[test]
    fn the_first_different_specs_count() {
        let spec = |limit| HashSpec { relaxed: true, limit: Some(limit) };
        let specs: Vec<_> = (0..100).map(|n| spec(n / 2)).collect();
        let found = BodyHasher::new(&specs, 20).finish();
        assert_eq!(
            found.iter().map(|h| h.spec).collect::<Vec<_>>(),
            (0..20).map(spec).collect::<Vec<_>>()
        );
    }

    proptest! {
        #[test]
        fn as_the_rfc_says_however_it_is_cut(
            lines in prop::collection::vec("[ \ta-b]{0,6}", 0..30),
            ended: bool,
            cuts in prop::collection::vec(0_usize..9, 0..60),
            limits in prop::collection::vec(prop::option::of(0_u64..80), 1..6),
        ) {
            let mut body = lines.join("\r\n");
            if ended {
                body.push_str("\r\n");
            }
            let mut pieces = Vec::new();
            let mut rest = body.as_bytes();
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                pieces.push(now);
                rest = later;
            }
            pieces.push(rest);
            check(&pieces, &limits);
        }
    }
}
