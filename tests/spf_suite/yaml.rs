//! As much YAML as the openspf suite is written in: documents of block mappings and sequences, flow
//! sequences of scalars, plain (also over several lines), quoted and block scalars.

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Node::Map(pairs) => pairs.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Node::Text(text) => text,
            _ => "",
        }
    }

    /// A list's items, or the node itself as the only one.
    pub(crate) fn items(&self) -> &[Node] {
        match self {
            Node::List(items) => items,
            other => std::slice::from_ref(other),
        }
    }
}

pub(crate) fn documents(text: &str) -> Vec<Node> {
    let mut documents = vec![Vec::new()];
    for line in text.lines() {
        if line.trim_end() == "---" {
            documents.push(Vec::new());
        } else {
            documents.last_mut().expect("there is one from the start").push(line);
        }
    }
    documents
        .into_iter()
        .map(|lines| Reader { lines, at: 0 }.node(0))
        .filter(|node| matches!(node, Node::Map(_)))
        .collect()
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    at: usize,
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

impl<'a> Reader<'a> {
    /// The next line that says something, without moving past it.
    fn peek(&mut self) -> Option<&'a str> {
        while let Some(line) = self.lines.get(self.at) {
            if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
                return Some(line);
            }
            self.at += 1;
        }
        None
    }

    /// The node whose lines are indented by `least` or more.
    fn node(&mut self, least: usize) -> Node {
        let Some(line) = self.peek().filter(|line| indent(line) >= least) else {
            return Node::Text(String::new());
        };
        let depth = indent(line);
        if line.trim_start().starts_with("- ") {
            let mut items = Vec::new();
            while let Some(line) = self.peek().filter(|line| indent(line) == depth) {
                self.at += 1;
                let item = &line[depth + 2..];
                items.push(match key(item) {
                    Some((name, value)) => Node::Map(vec![(name, self.value(value, depth + 2))]),
                    None => scalar(item.trim()),
                });
            }
            return Node::List(items);
        }
        let mut pairs = Vec::new();
        while let Some(line) = self.peek().filter(|line| indent(line) == depth) {
            self.at += 1;
            let (name, value) = key(line.trim_start()).unwrap_or_else(|| panic!("{line}"));
            pairs.push((name, self.value(value, depth)));
        }
        Node::Map(pairs)
    }

    /// What follows a key that is indented by `depth`.
    fn value(&mut self, value: &str, depth: usize) -> Node {
        match value.trim() {
            "" => {
                // A sequence may stand as deep as its key.
                let sequence = self.peek().is_some_and(|line| line.trim_start().starts_with("- "));
                self.node(if sequence { depth } else { depth + 1 })
            }
            mark if mark.starts_with(['|', '>']) => {
                let mut text = String::new();
                while let Some(line) =
                    self.lines.get(self.at).filter(|l| l.trim().is_empty() || indent(l) > depth)
                {
                    text.push_str(line.trim());
                    text.push('\n');
                    self.at += 1;
                }
                Node::Text(text)
            }
            start => {
                let mut text = start.to_owned();
                if !start.starts_with(['"', '\'', '[']) {
                    while let Some(line) = self.peek().filter(|line| indent(line) > depth) {
                        text = format!("{text} {}", line.trim());
                        self.at += 1;
                    }
                }
                scalar(&text)
            }
        }
    }
}

/// `name: value`, the name perhaps in quotes.
fn key(line: &str) -> Option<(String, &str)> {
    if let Some(rest) = line.strip_prefix('"') {
        let (name, value) = rest.split_once("\":")?;
        return Some((name.to_owned(), value));
    }
    if line.starts_with(['\'', '[']) {
        return None;
    }
    match line.split_once(": ") {
        Some((name, value)) => Some((name.to_owned(), value)),
        None => line.strip_suffix(':').map(|name| (name.to_owned(), "")),
    }
}

fn scalar(text: &str) -> Node {
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return Node::List(
            split(inner)
                .iter()
                .map(|item| item.trim())
                .filter(|i| !i.is_empty())
                .map(scalar)
                .collect(),
        );
    }
    if let Some(inner) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        return Node::Text(inner.replace("''", "'"));
    }
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => Node::Text(unescape(inner)),
        None => Node::Text(text.to_owned()),
    }
}

/// At commas outside double or single quotes.
fn split(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        match (c, quote) {
            (',', None) => {
                items.push(String::new());
                continue;
            }
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
        items.last_mut().expect("there is one from the start").push(c);
    }
    items
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                out.push(char::from(
                    u8::from_str_radix(&digits, 16).expect("two hexadecimal digits"),
                ));
            }
            Some('0') => out.push('\0'),
            Some('n') => out.push('\n'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[test]
fn the_forms_of_the_suite() {
    let documents = documents(
        "# a comment\n---\ndescription: first\n  line goes on\ntests:\n  one:\n    comment: >-\n      \
         folded: text\n\n      more\n    result: [pass, \"fail\"]\nzonedata:\n  a.example:\n    - \
         TIMEOUT\n    - MX: [0, '']\n    - TXT: \"\\x41\\0: b\"\n  \"q r.example\":\n    - A: \
         192.0.2.1\n---\ntests:\n  two:\n    helo: 'it''s'\n",
    );
    assert_eq!(documents.len(), 2);
    let first = &documents[0];
    assert_eq!(first.get("description").unwrap().text(), "first line goes on");
    let one = first.get("tests").unwrap().get("one").unwrap();
    assert_eq!(one.get("result").unwrap().items()[1].text(), "fail");
    let zone = first.get("zonedata").unwrap();
    let records = zone.get("a.example").unwrap().items();
    assert_eq!(records[0].text(), "TIMEOUT");
    assert_eq!(records[1].get("MX").unwrap().items().len(), 2);
    assert_eq!(records[2].get("TXT").unwrap().text(), "A\0: b");
    assert!(zone.get("q r.example").is_some());
    let two = documents[1].get("tests").unwrap().get("two").unwrap();
    assert_eq!(two.get("helo").unwrap().text(), "it's");
}
