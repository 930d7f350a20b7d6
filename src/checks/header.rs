//! The check `header`: what the header says, and who it says wrote the message.

use std::borrow::Cow;
use std::collections::BTreeSet;

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;

use super::{Check, Context, Findings};
use crate::dns::BoxFuture;
use crate::facts::registry::{
    HEADER, HEADER_FROM_ADDRESS, HEADER_FROM_COUNT, HEADER_FROM_DOMAIN, HEADER_LIST_ID_DOMAIN,
    RECEIVED_COUNT,
};
use crate::facts::{Stage, Value};
use crate::message::lexer::{Cursor, is_atext};
use crate::message::mailbox::{self, AddrSpec};
use crate::message::{Header, HeaderField};

/// Values of one name that are looked at.
const MAX_VALUES: usize = 100;
/// Octets of a decoded value that are kept.
const MAX_VALUE: usize = 4 << 10;
/// Octets of a value that are decoded: encoded words are longer than their text.
const MAX_RAW: usize = 2 * MAX_VALUE;

pub struct HeaderCheck {
    names: Vec<String>,
}

impl HeaderCheck {
    /// Takes the names that rules use as `header["name"]`, in lower case.
    pub fn new(names: Vec<String>) -> Self {
        HeaderCheck { names }
    }

    fn find(&self, header: &Header) -> Findings {
        let mut findings = Findings::default();
        for name in &self.names {
            let values: Vec<Value> = header
                .named(name)
                .take(MAX_VALUES)
                .map(|field| Value::Str(decoded(field.value).into()))
                .collect();
            findings.set_keyed(HEADER, name, Value::List(values));
        }
        let from = From::of(header);
        findings
            .set(HEADER_FROM_COUNT, i64::try_from(from.count()).unwrap_or(i64::MAX))
            .set(HEADER_FROM_DOMAIN, from.domain())
            .set(HEADER_FROM_ADDRESS, from.address())
            .set(HEADER_LIST_ID_DOMAIN, list_id(header).unwrap_or_default())
            .set(
                RECEIVED_COUNT,
                i64::try_from(header.named("Received").count()).unwrap_or(i64::MAX),
            );
        findings.evidence = serde_json::json!({
            "from_fields": from.fields,
            "from_readable": from.readable,
            "from_domains": from.domains.iter().take(MAX_VALUES).collect::<Vec<_>>(),
        });
        findings
    }
}

impl Check for HeaderCheck {
    fn name(&self) -> &'static str {
        "header"
    }

    fn stage(&self) -> Stage {
        Stage::Message
    }

    fn run<'a>(&'a self, cx: &'a Context<'a>) -> BoxFuture<'a, Findings> {
        Box::pin(async move {
            cx.message.map_or_else(Findings::default, |message| self.find(message.header))
        })
    }

    /// The message is not to suffer for our failure: one author, of whom nothing is known.
    fn failed(&self) -> Findings {
        let mut findings = Findings::default();
        findings.set(HEADER_FROM_COUNT, 1);
        findings
    }
}

/// The authors of a message.
struct From {
    fields: usize,
    /// Every From field could be read.
    readable: bool,
    first: Option<AddrSpec>,
    domains: BTreeSet<String>,
}

impl From {
    fn of(header: &Header) -> From {
        let mut from = From { fields: 0, readable: true, first: None, domains: BTreeSet::new() };
        for field in header.fields().filter(is_from) {
            from.fields += 1;
            if from.fields > MAX_VALUES {
                continue;
            }
            match mailbox::parse_list(field.value) {
                Some(list) => {
                    from.first = from.first.or_else(|| list.first().cloned());
                    from.domains.extend(list.into_iter().map(|mailbox| mailbox.domain));
                }
                None => from.readable = false,
            }
        }
        from
    }

    /// As in the registry: 1 is the one good case.
    fn count(&self) -> usize {
        match self.fields {
            0 => 0,
            1 if !self.readable => 0,
            1 => self.domains.len(),
            fields => fields.max(self.domains.len()),
        }
    }

    fn domain(&self) -> &str {
        match self.count() {
            1 => self.domains.first().map_or("", |domain| domain),
            _ => "",
        }
    }

    /// Nobody, when it is in doubt which field is meant.
    fn address(&self) -> String {
        match &self.first {
            Some(AddrSpec { local, domain }) if self.fields == 1 && self.readable => {
                format!("{local}@{domain}")
            }
            _ => String::new(),
        }
    }
}

/// Whether some reader would take it for the From field: with white space or control characters
/// around the name.
fn is_from(field: &HeaderField<'_>) -> bool {
    let name = field.name.iter().filter(|b| b.is_ascii_graphic());
    name.map(u8::to_ascii_lowercase).eq(*b"from")
}

/// The `list-id` between the brackets (RFC 2919 3). `None` when there is not exactly one field.
fn list_id(header: &Header) -> Option<String> {
    let mut fields = header.named("List-Id");
    let field = fields.next().filter(|_| fields.next().is_none())?;
    let mut cursor = Cursor::new(field.value);
    loop {
        cursor.skip_cfws()?;
        match cursor.peek()? {
            b'"' => {
                cursor.quoted_string()?;
            }
            b'<' => break,
            b'>' => return None,
            _ => {
                cursor.bump();
            }
        }
    }
    cursor.bump();
    cursor.skip_cfws()?;
    let id = cursor.take_while(|b| is_atext(b) || b == b'.');
    cursor.skip_cfws()?;
    cursor.eat(b'>').then_some(())?;
    cursor.skip_cfws()?;
    cursor.at_end().then_some(())?;
    mailbox::a_labels(std::str::from_utf8(id).ok()?)
}

/// Unfolded, with encoded words decoded (RFC 2047), cut at [`MAX_VALUE`].
fn decoded(value: &[u8]) -> String {
    let value = value.get(..MAX_RAW).unwrap_or(value);
    let plain =
        memchr::memchr(b'\n', value).is_none() && memchr::memmem::find(value, b"=?").is_none();
    if plain {
        return cut(String::from_utf8_lossy(value.trim_ascii()));
    }
    // The decoder wants a line.
    let line = [value, b"\n"].concat();
    match MessageStream::new(&line).parse_unstructured() {
        HeaderValue::Text(text) => cut(text),
        _ => String::new(),
    }
}

fn cut(text: Cow<'_, str>) -> String {
    let mut text = text.into_owned();
    text.truncate(text.floor_char_boundary(MAX_VALUE));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Header {
        Header::parse(text.as_bytes().into())
    }

    fn from(text: &str) -> (usize, String, String) {
        let from = From::of(&header(text));
        (from.count(), from.domain().to_owned(), from.address())
    }

    #[test]
    fn one_author_or_authors_of_one_domain() {
        for text in [
            "From: joe@example.com\r\n",
            "Subject: x\r\nfROM : \"J, <b@c.example>\" <joe@EXAMPLE.com>\r\nTo: y@z.example\r\n",
            "From: joe@example.com, ann@example.com\r\n",
            "From: Us: joe@example.com, ann@example.com;\r\n",
            "From: joe@example.com <joe@example.com>\r\n",
        ] {
            let expected = (1, "example.com".to_owned(), "joe@example.com".to_owned());
            assert_eq!(from(text), expected, "{text}");
        }
    }

    #[test]
    fn nobody() {
        for text in [
            "Subject: x\r\n",
            "From:\r\n",
            "From: joe\r\n",
            "From: Us:;\r\n",
            "From: Foo, Inc. <joe@example.com>\r\n",
            "From: joe@example.com (\r\n",
            "From: =?utf-8?q?ceo=40victim.example?=@example.com\r\n",
            "From: <@victim.example:joe@example.com>\r\n",
        ] {
            assert_eq!(from(text), (0, String::new(), String::new()), "{text}");
        }
    }

    #[test]
    fn many() {
        let (count, domain, address) = from("From: joe@example.com, ann@example.org\r\n");
        assert_eq!((count, domain.as_str(), address.as_str()), (2, "", "joe@example.com"));
        for (text, count) in [
            ("From: ceo@victim.example <joe@example.com>\r\n", 2),
            ("From: a@example.com\r\nFrom: a@example.com\r\n", 2),
            ("From: a@example.com\r\nFrom\x0b: b@example.com\r\n", 2),
            ("From: (\r\nFrom: a@a.example, b@b.example, c@c.example\r\n", 3),
            ("From: a@a.example\r\nfrom: b\r\nFROM:\r\n", 3),
        ] {
            let from = from(text);
            assert_eq!((from.0, from.1.as_str()), (count, ""), "{text}");
        }
        assert_eq!(from(&"From: a@b.example\r\n".repeat(5000)).0, 5000);
    }

    #[test]
    fn list_ids() {
        let id = |value: &str| list_id(&header(&format!("List-Id: {value}\r\n")));
        assert_eq!(id("<Users.Lists.example.org>").as_deref(), Some("users.lists.example.org"));
        assert_eq!(
            id("The \"<x.example>\" (<y>) list\r\n <a.example>").as_deref(),
            Some("a.example")
        );
        for value in
            ["", "a.example", "<a.example", "<a b.example>", "<a.example> <b.example>", "<>"]
        {
            assert_eq!(id(value), None, "{value}");
        }
        assert_eq!(list_id(&header("List-Id: <a.example>\r\nList-Id: <a.example>\r\n")), None);
    }

    #[test]
    fn values_are_decoded_and_cut() {
        assert_eq!(decoded(b" plain  text "), "plain  text");
        assert_eq!(decoded(b" =?utf-8?q?caf=C3=A9?=\r\n =?utf-8?b?IGJhcg==?="), "caf\u{e9} bar");
        assert_eq!(decoded(b" a\r\n\tb"), "a b");
        assert_eq!(decoded(b"\xff"), "\u{fffd}");
        assert_eq!(decoded(b""), "");
        let long = "\u{e9}".repeat(4000);
        assert_eq!(decoded(long.as_bytes()).len(), MAX_VALUE);
        assert!(
            decoded(format!("=?utf-8?q?{}?=", "a".repeat(50_000)).as_bytes()).len() <= MAX_VALUE
        );
    }

    #[test]
    fn findings_hold_what_the_registry_says() {
        let text = "Received: a\r\nReceived: b\r\nSubject: one\r\nSUBJECT: two\r\n\
                    From: joe@example.com\r\nList-Id: <l.example>\r\n";
        let check = HeaderCheck::new(vec!["subject".into(), "x-none".into()]);
        let findings = check.find(&header(text));
        for (field, _, value) in &findings.values {
            assert!(field.get().ty.holds(value), "{field:?} {value:?}");
            assert_eq!(field.get().check, Some("header"));
        }
        let get = |field, key: Option<&str>| {
            let mut all = findings.values.iter();
            all.find(|(f, k, _)| *f == field && k.as_deref() == key).map(|(_, _, v)| v.clone())
        };
        assert_eq!(get(RECEIVED_COUNT, None), Some(Value::Int(2)));
        assert_eq!(get(HEADER, Some("subject")), Some(vec!["one", "two"].into()));
        assert_eq!(get(HEADER, Some("x-none")), Some(Value::List(vec![])));
        assert_eq!(get(HEADER_LIST_ID_DOMAIN, None), Some("l.example".into()));
        assert_eq!(get(HEADER_FROM_DOMAIN, None), Some("example.com".into()));
    }

    #[test]
    fn values_of_one_name_are_limited() {
        let check = HeaderCheck::new(vec!["x".into()]);
        let findings = check.find(&header(&"X: =?aa?q?\r\n".repeat(1000)));
        let Some((_, _, Value::List(list))) = findings.values.first() else { panic!() };
        assert_eq!(list.len(), MAX_VALUES);
    }

    struct Silent;

    impl crate::dns::Resolver for Silent {
        fn lookup<'a>(
            &'a self,
            _: &'a str,
            _: crate::dns::Kind,
        ) -> BoxFuture<'a, crate::dns::Answer> {
            Box::pin(async { Err(crate::dns::DnsError::Temporary) })
        }
    }

    #[tokio::test]
    async fn it_runs_with_a_message_and_without() {
        let header = header("From: joe@example.com\r\n");
        let budget = crate::dns::Budget::new(
            std::sync::Arc::new(Silent),
            0,
            std::time::Duration::from_secs(1),
        );
        let mut cx = Context {
            facts: &crate::facts::Facts::new(),
            message: None,
            client_ip: [192, 0, 2, 1].into(),
            helo: "",
            hostname: "mx.example.com",
            dns: &budget,
            now: 0,
        };
        let check = HeaderCheck::new(vec![]);
        assert!(check.run(&cx).await.values.is_empty());
        let view = crate::checks::MessageView { header: &header, size: 0, body_hashes: &[] };
        cx.message = Some(view);
        let findings = check.run(&cx).await;
        assert!(findings.values.contains(&(HEADER_FROM_COUNT, None, Value::Int(1))));
        assert!(check.failed().values.contains(&(HEADER_FROM_COUNT, None, Value::Int(1))));
    }
}
