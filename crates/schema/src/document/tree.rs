//! A schema document as a tree whose every part knows where it stands.

use super::DOCUMENT_DEPTH_MAX;
use crate::json::{Exact, JsonFault, KeySet, Scanner, Text, unescape};

/// A value and the byte at which it starts.
#[derive(Debug)]
pub(crate) struct Node {
    pub at: usize,
    pub value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Number(Exact),
    Text(String),
    Array(Vec<Node>),
    Object(Vec<Member>),
}

#[derive(Debug)]
pub(crate) struct Member {
    pub name: String,
    /// The byte at which the name starts.
    pub at: usize,
    pub value: Node,
}

impl Node {
    pub fn parse(document: &str) -> Result<Node, JsonFault> {
        let mut scanner = Scanner::new(document.as_bytes(), DOCUMENT_DEPTH_MAX);
        scanner.space();
        let node = Node::read(&mut scanner, &mut KeySet::default())?;
        scanner.end()?;
        Ok(node)
    }

    fn read(scanner: &mut Scanner<'_>, keys: &mut KeySet) -> Result<Node, JsonFault> {
        let at = scanner.at();
        let value = match scanner.peek() {
            Some(b'"') => Value::Text(plain(scanner.string()?)),
            Some(b'-' | b'0'..=b'9') => Value::Number(Exact::from_number(&scanner.number()?)),
            Some(b'[') => {
                scanner.open()?;
                let mut items = Vec::new();
                let mut more = !scanner.close_empty(b']');
                while more {
                    items.push(Node::read(scanner, keys)?);
                    more = scanner.more(b']')?;
                }
                Value::Array(items)
            }
            Some(b'{') => {
                scanner.open()?;
                let mut members = Vec::new();
                let mut more = !scanner.close_empty(b'}');
                let object = keys.object();
                while more {
                    let key_at = scanner.at();
                    let key = scanner.key()?;
                    keys.insert(object, key, key_at)?;
                    let name = plain(key);
                    scanner.colon()?;
                    members.push(Member { name, at: key_at, value: Node::read(scanner, keys)? });
                    more = scanner.more(b'}')?;
                }
                Value::Object(members)
            }
            _ => {
                scanner.skip(keys)?;
                match scanner.slice(at) {
                    b"true" => Value::Boolean(true),
                    b"false" => Value::Boolean(false),
                    _ => Value::Null,
                }
            }
        };
        Ok(Node { at, value })
    }

    pub fn members(&self) -> &[Member] {
        match &self.value {
            Value::Object(members) => members,
            _ => &[],
        }
    }

    pub fn get(&self, name: &str) -> Option<&Node> {
        self.members().iter().find(|member| member.name == name).map(|member| &member.value)
    }

    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn items(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The part at a JSON pointer, which is empty or starts with `/`.
    pub fn at_pointer(&self, pointer: &str) -> Option<&Node> {
        pointer.split('/').skip(1).try_fold(self, |node, part| {
            let part = part.replace("~1", "/").replace("~0", "~");
            match &node.value {
                Value::Array(items) => items.get(part.parse::<usize>().ok()?),
                _ => node.get(&part),
            }
        })
    }
}

fn plain(text: Text<'_>) -> String {
    let mut bytes = Vec::new();
    unescape(text.raw, &mut bytes);
    // The reader has checked it; nothing is ever replaced.
    String::from_utf8_lossy(&bytes).into_owned()
}
