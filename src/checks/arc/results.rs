//! Reading the ARC-Authentication-Results of a trusted sealer: did the mail pass when it came there?

use crate::checks::dkim::signature::{domain_name, is_within};

/// What in the results speaks for the author's domain; `None` when nothing does.
///
/// `author` is the domain of From. Alignment is taken as "the same, or one beneath the other": the
/// sealer, whom the administrator trusts, has already met the records of that domain.
pub fn vouched(value: &[u8], author: &str) -> Option<&'static str> {
    if author.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(value);
    let results = parse(&text);
    let passes = |method: &str, fits: &dyn Fn(&Resinfo) -> bool| {
        results.iter().any(|info| info.method == method && info.result == "pass" && fits(info))
    };
    if passes("dmarc", &|info| info.domains(&["header.from"]).all(|domain| domain == author)) {
        Some("dmarc=pass")
    } else if passes("dkim", &|info| info.speaks_for(author, &["header.d", "header.i"])) {
        Some("dkim=pass, aligned")
    } else if passes("spf", &|info| info.speaks_for(author, &["smtp.mailfrom", "smtp.mfrom"])) {
        Some("spf=pass, aligned")
    } else {
        None
    }
}

/// One result with its properties, in lower case (RFC 8601 2.2).
struct Resinfo {
    method: String,
    result: String,
    properties: Vec<(String, String)>,
}

impl Resinfo {
    /// The domains of some properties; what is no domain is an empty one.
    fn domains(&self, names: &[&str]) -> impl Iterator<Item = String> {
        let properties = self.properties.iter().filter(|(name, _)| names.contains(&name.as_str()));
        properties.map(|(_, value)| {
            domain_name(value.rsplit('@').next().unwrap_or("")).unwrap_or_default()
        })
    }

    fn speaks_for(&self, author: &str, names: &[&str]) -> bool {
        self.domains(names).any(|domain| related(&domain, author))
    }
}

/// The results; the parts before them are the instance and the name of the sealer's service.
fn parse(text: &str) -> Vec<Resinfo> {
    let mut results = Vec::new();
    for part in split(text).into_iter().skip(2) {
        let mut pairs = pairs(&part).into_iter();
        if let Some((method, result)) = pairs.next() {
            let method = method.split('/').next().unwrap_or("").to_owned();
            results.push(Resinfo { method, result, properties: pairs.collect() });
        }
    }
    results
}

fn related(a: &str, b: &str) -> bool {
    let (longer, shorter) = if a.len() < b.len() { (b, a) } else { (a, b) };
    shorter.contains('.') && is_within(longer, shorter)
}

/// The parts between semicolons, comments taken out; a quoted string keeps its quotes.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let out = match c {
            '\\' if quoted || depth > 0 => chars.next().filter(|_| depth == 0),
            '"' if depth == 0 => {
                quoted = !quoted;
                Some(c)
            }
            '(' if !quoted => {
                depth += 1;
                Some(' ').filter(|_| depth == 1)
            }
            ')' if !quoted && depth > 0 => {
                depth -= 1;
                None
            }
            _ if depth > 0 => None,
            ';' if !quoted => {
                parts.push(String::new());
                None
            }
            _ => Some(c),
        };
        if let (Some(c), Some(part)) = (out, parts.last_mut()) {
            part.push(c);
        }
    }
    parts
}

/// The `name=value` pairs of a part, in lower case, quotes taken off.
fn pairs(part: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = part;
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        // A stray word before the name is dropped with the white space after it.
        let name = name.split_whitespace().next_back().unwrap_or("");
        pairs.push((name.to_ascii_lowercase(), value.to_ascii_lowercase()));
        rest = next;
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_vouches_for_an_author() {
        for (results, expected) in [
            ("dmarc=pass", Some("dmarc=pass")),
            ("spf=fail; dmarc = pass (p=none) header.from=Example.com", Some("dmarc=pass")),
            ("dmarc/1=pass header.from=\"example.com\"", Some("dmarc=pass")),
            ("dmarc=pass header.from=example.org", None),
            ("dmarc=fail header.from=example.com", None),
            ("spf=pass (dmarc=pass) smtp.mailfrom=example.org", None),
            ("spf=pass reason=\"; dmarc=pass\" smtp.mailfrom=example.org", None),
            ("spf=pass reason=\"a \\\"; dmarc=pass\"", None),
            ("spf=pass (a (nested; dmarc=pass) \\) ; dmarc=pass", None),
            ("dkim=pass header.d=mail.example.com", Some("dkim=pass, aligned")),
            ("dkim=pass header.i=@example.com header.s=x", Some("dkim=pass, aligned")),
            ("dkim=pass header.d=com", None),
            ("dkim=pass header.d=notexample.com", None),
            ("dkim=fail header.d=example.com", None),
            ("dkim=fail header.d=example.com; dkim=pass header.d=list.example", None),
            ("spf=pass smtp.mfrom=joe@example.com", Some("spf=pass, aligned")),
            ("spf=pass smtp.helo=example.com", None),
            ("none", None),
            ("", None),
        ] {
            let value = format!(" i=1; lists.example.org; {results}");
            assert_eq!(vouched(value.as_bytes(), "example.com"), expected, "{results}");
            assert_eq!(vouched(value.as_bytes(), ""), None);
        }
    }

    #[test]
    fn the_first_two_parts_are_no_results() {
        assert_eq!(vouched(b" i=1; dmarc=pass", "example.com"), None);
    }
}
