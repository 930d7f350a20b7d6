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
    /// Specs that come twice are computed once.
    pub fn new(wanted: &[HashSpec]) -> Self {
        let mut specs: Vec<HashSpec> = Vec::with_capacity(wanted.len());
        for spec in wanted {
            if !specs.contains(spec) {
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
