//! Names as they are asked: lower case, no final dot, of a possible length.

/// RFC 1035 2.3.4: 255 octets on the wire, which are 253 in text without the final dot.
pub const MAX_NAME: usize = 253;
/// RFC 1035 2.3.4.
pub const MAX_LABEL: usize = 63;

/// A name in the one form used as a key. It lives on the stack: a cached answer must not cost an
/// allocation.
#[derive(Clone, Copy)]
pub struct Name {
    bytes: [u8; MAX_NAME],
    len: u8,
}

impl Name {
    /// `None` when no such name can exist: a label is empty or too long, or the whole is. The root
    /// is the empty name. Bytes outside ASCII are kept as they are.
    pub fn new(name: &str) -> Option<Name> {
        let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
        let mut bytes = [0; MAX_NAME];
        let target = bytes.get_mut(..name.len())?;
        target.copy_from_slice(name);
        target.make_ascii_lowercase();
        let possible = |label: &[u8]| !label.is_empty() && label.len() <= MAX_LABEL;
        if !name.is_empty() && !name.split(|byte| *byte == b'.').all(possible) {
            return None;
        }
        Some(Name { bytes, len: u8::try_from(name.len()).ok()? })
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    pub fn as_str(&self) -> &str {
        // ASCII letters were lowered in what was a `str`: it still is one.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form() {
        assert_eq!(Name::new("MX.Example.COM.").unwrap().as_str(), "mx.example.com");
        assert_eq!(Name::new(".").unwrap().as_str(), "");
        assert_eq!(Name::new("\u{e4}.example").unwrap().as_str(), "\u{e4}.example");
    }

    #[test]
    fn impossible_names() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(longest.len(), MAX_NAME);
        assert!(Name::new(&longest).is_some());
        assert!(Name::new(&format!("{longest}a")).is_none());
        assert!(Name::new(&"a".repeat(64)).is_none());
        assert!(Name::new("a..b").is_none());
        assert!(Name::new(".a").is_none());
        assert!(Name::new("a..").is_none());
        assert!(Name::new(&"a.".repeat(5000)).is_none());
    }
}
