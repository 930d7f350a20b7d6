//! Tag lists: the `name=value; name=value` of DKIM, ARC and their key records (RFC 6376 3.2).

/// More tags than this make a list malformed; the RFCs define about a dozen.
const MAX_TAGS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag<'a> {
    pub name: &'a str,
    /// Without the white space around it; folding inside is kept.
    pub value: &'a str,
}

/// A list in which every tag has a proper name, a proper value, and stands once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagList<'a> {
    tags: Vec<Tag<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagError {
    /// A part without `=`, a bad name, a bad octet in a value, or an empty part.
    Malformed,
    Duplicate,
    TooMany,
}

impl TagError {
    pub fn reason(self) -> &'static str {
        match self {
            TagError::Malformed => "malformed tag list",
            TagError::Duplicate => "duplicate tag",
            TagError::TooMany => "too many tags",
        }
    }
}

impl<'a> TagList<'a> {
    /// One final `;` is allowed; an empty list is not. Values may hold UTF-8 (RFC 8616 5).
    pub fn parse(text: &'a [u8]) -> Result<TagList<'a>, TagError> {
        let text = std::str::from_utf8(text).map_err(|_| TagError::Malformed)?;
        let text = trim(text);
        let text = text.strip_suffix(';').unwrap_or(text);
        let mut tags: Vec<Tag<'a>> = Vec::new();
        for part in text.split(';') {
            let tag = Tag::parse(part).ok_or(TagError::Malformed)?;
            if tags.iter().any(|seen| seen.name == tag.name) {
                return Err(TagError::Duplicate);
            }
            if tags.len() == MAX_TAGS {
                return Err(TagError::TooMany);
            }
            tags.push(tag);
        }
        Ok(TagList { tags })
    }

    /// Names are compared with their case.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.tags.iter().find(|tag| tag.name == name).map(|tag| tag.value)
    }

    /// Where a tag stands, counted from 0.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.tags.iter().position(|tag| tag.name == name)
    }
}

impl<'a> Tag<'a> {
    /// One `name=value`, without the `;`.
    pub fn parse(part: &'a str) -> Option<Tag<'a>> {
        let (name, value) = part.split_once('=')?;
        let (name, value) = (trim(name), trim(value));
        let mut letters = name.bytes();
        let named = letters.next().is_some_and(|b| b.is_ascii_alphabetic())
            && letters.all(|b| b.is_ascii_alphanumeric() || b == b'_');
        // A line break is allowed only where the line is folded; the header parser sees to that.
        let proper = |c: char| is_fws(c) || !c.is_control();
        (named && value.chars().all(proper)).then_some(Tag { name, value })
    }
}

pub fn is_fws(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Without folding white space at both ends.
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_fws)
}

/// A value in which folding white space means nothing, such as base64.
pub fn without_fws(value: &str) -> String {
    value.chars().filter(|c| !is_fws(*c)).collect()
}

/// The parts of a value separated by colons, trimmed.
pub fn colon_list(value: &str) -> impl Iterator<Item = &str> {
    value.split(':').map(trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6376 3.2: names are ALPHA *(ALNUM / "_"), values VALCHAR and folding white space.
    #[test]
    fn what_is_a_list() {
        for (text, expected) in [
            ("v=1; a=b", Ok(2)),
            ("v=1;a=b;", Ok(2)),
            (" v = 1 ;\r\n\ta\t=\tb c\r\n d ; ", Ok(2)),
            ("v=", Ok(1)),
            ("v=a=b", Ok(1)),
            ("x_9=1", Ok(1)),
            ("n=gr\u{fc}\u{df}e", Ok(1)),
            ("", Err(TagError::Malformed)),
            (";", Err(TagError::Malformed)),
            ("v=1;;a=b", Err(TagError::Malformed)),
            ("v=1;;", Err(TagError::Malformed)),
            ("v", Err(TagError::Malformed)),
            ("=1", Err(TagError::Malformed)),
            ("1v=1", Err(TagError::Malformed)),
            ("_v=1", Err(TagError::Malformed)),
            ("v w=1", Err(TagError::Malformed)),
            ("v-w=1", Err(TagError::Malformed)),
            ("v=a\u{1}b", Err(TagError::Malformed)),
            ("v=1; v=1", Err(TagError::Duplicate)),
            ("v=1; V=1", Ok(2)),
        ] {
            assert_eq!(TagList::parse(text.as_bytes()).map(|l| l.tags.len()), expected, "{text:?}");
        }
        assert_eq!(TagList::parse(b"v=\xff"), Err(TagError::Malformed));
        let many: Vec<String> = (0..65).map(|n| format!("t{n}=1")).collect();
        assert_eq!(TagList::parse(many.join(";").as_bytes()), Err(TagError::TooMany));
    }

    #[test]
    fn values_are_trimmed_and_names_have_case() {
        let list = TagList::parse(b"a= x\r\n y ; B=").expect("a list");
        assert_eq!(list.get("a"), Some("x\r\n y"));
        assert_eq!(list.get("b"), None);
        assert_eq!(list.get("B"), Some(""));
        assert_eq!(list.position("B"), Some(1));
    }
}
