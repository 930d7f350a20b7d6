//! xtext, the encoding of parameter values (RFC 3461 4), and its UTF-8 relative (RFC 6533 3).

/// How many characters an xtext stands for; `None` when it is malformed, empty, or stands for
/// anything but printable ASCII.
pub fn decoded_length(text: &str) -> Option<usize> {
    let mut bytes = text.bytes();
    let mut length = 0;
    while let Some(byte) = bytes.next() {
        let meant = match byte {
            b'+' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'=' => return None,
            b'!'..=b'~' => byte,
            _ => return None,
        };
        if !matches!(meant, b' '..=b'~') {
            return None;
        }
        length += 1;
    }
    (length > 0).then_some(length)
}

/// Upper case only, as the RFC has it.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// An address of type `utf-8` in ORCPT: characters as they are but for controls, space, `+`, `=`
/// and `\`, and those as `\x{HEX}`.
pub fn is_utf8_address(text: &str) -> bool {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\\' => match embedded_length(rest) {
                Some(length) => length,
                None => return false,
            },
            '+' | '=' | ' ' => return false,
            _ if c.is_control() => return false,
            _ => c.len_utf8(),
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    !text.is_empty()
}

/// The length of `\x{HEX}` at the start of `text`, when it stands for a printable character.
fn embedded_length(text: &str) -> Option<usize> {
    let (digits, _) = text.strip_prefix("\\x{")?.split_once('}')?;
    let hex = (2..=6).contains(&digits.len())
        && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
    let c = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?;
    (hex && !c.is_control()).then_some(digits.len() + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext() {
        assert_eq!(decoded_length("abc"), Some(3));
        assert_eq!(decoded_length("a+2Bb"), Some(3));
        assert_eq!(decoded_length("+20"), Some(1));
        for bad in ["", "a b", "a=b", "+", "+2", "+2b", "+0D", "+7F", "+E9", "\u{e9}", "a\tb"] {
            assert_eq!(decoded_length(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn utf8_addresses() {
        for good in ["a@example.com", "\u{e9}@example.com", "a\\x{20}b", "\\x{1F600}"] {
            assert!(is_utf8_address(good), "{good}");
        }
        for bad in
            ["", "a b", "a+b", "a=b", "\\", "\\x{0D}", "\\x{a}", "\\x{D800}", "\\x{20", "\u{85}"]
        {
            assert!(!is_utf8_address(bad), "{bad:?}");
        }
    }
}
