//! From the text of an Avro schema to its types.
//! Always: at most `TYPES_MAX` named types, as deep as JSON may be; every fault has its byte.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::{Field, Kind, Named, Type, Types};
use crate::{
    document::tree::{Node, Value},
    notation::{At, Keywords, Wrong},
};

const TYPES_MAX: usize = 1000;
const FIELDS_MAX: usize = 10_000;
const LEVELS_MAX: usize = 64;
/// Keywords of a document's root that a record may carry.
const ROOT: &[&str] = &["x-key", "x-partitions", "x-event-time", "x-mode", "x-extra", "x-retention"];
/// Keywords of a single value that a field may carry.
const RULES: &[&str] = &[
    "format",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "x-time",
    "x-token-domain",
    "x-token-format",
];

/// And those that it may carry whatever its values are.
const ORIGIN: &[&str] = &["x-renamed-from", "x-from"];

pub(crate) fn read(text: &str) -> Result<Types, Wrong> {
    let tree = Node::parse(text).map_err(|fault| {
        Wrong::new(
            At(fault.at),
            format!("the schema is not JSON: {}", fault.message),
            "see https://avro.apache.org",
        )
    })?;
    let mut reader = Reader { named: Vec::new(), by_name: HashMap::new(), fields: 0, level: 0 };
    let root = reader.ty(&tree, "")?;
    Ok(Types { root, named: reader.named })
}

struct Reader {
    named: Vec<Named>,
    by_name: HashMap<String, usize>,
    fields: usize,
    level: usize,
}

fn wrong(node: &Node, message: impl Into<String>, hint: &str) -> Wrong {
    Wrong::new(At(node.at), message, hint)
}

impl Reader {
    fn ty(&mut self, node: &Node, namespace: &str) -> Result<Type, Wrong> {
        self.level += 1;
        if self.level > LEVELS_MAX {
            return Err(wrong(node, format!("nested deeper than {LEVELS_MAX} levels"), "make it flatter"));
        }
        let ty = match &node.value {
            Value::Text(name) => self.by_text(node, name, namespace),
            Value::Array(branches) => self.union(node, branches, namespace),
            Value::Object(_) => self.by_object(node, namespace),
            _ => Err(wrong(node, "a type is expected here", "write a name, an object or a list of types")),
        };
        self.level -= 1;
        ty
    }

    fn by_text(&self, node: &Node, name: &str, namespace: &str) -> Result<Type, Wrong> {
        Ok(match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "int" => Type::Int,
            "long" => Type::Long,
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" => Type::Bytes,
            "string" => Type::String,
            _ => {
                let full = full_name(name, namespace);
                let known = self.by_name.get(&full).or_else(|| self.by_name.get(name));
                return known.map(|index| Type::Named(*index)).ok_or_else(|| {
                    let name: String = name.chars().take(60).collect();
                    wrong(
                        node,
                        format!("there is no type {name:?}"),
                        "declare it before it is used; there are no imports",
                    )
                });
            }
        })
    }

    fn union(&mut self, node: &Node, branches: &[Node], namespace: &str) -> Result<Type, Wrong> {
        let mut types = Vec::with_capacity(branches.len());
        for branch in branches {
            let ty = self.ty(branch, namespace)?;
            if matches!(ty, Type::Union(_)) {
                return Err(wrong(
                    branch,
                    "a union stands in a union",
                    "write its branches into the outer one",
                ));
            }
            types.push(ty);
        }
        if types.is_empty() {
            return Err(wrong(node, "a union without branches", "name a type"));
        }
        Ok(Type::Union(types))
    }

    fn by_object(&mut self, node: &Node, namespace: &str) -> Result<Type, Wrong> {
        let Some(kind) = node.get("type") else {
            return Err(wrong(node, "this type says not what it is", "write \"type\": …"));
        };
        let needs = |name: &str| {
            node.get(name).ok_or_else(|| {
                wrong(node, format!("{name:?} is missing here"), "see https://avro.apache.org")
            })
        };
        match kind.text() {
            Some("record" | "error") => self.record(node, namespace),
            Some("enum") => {
                let symbols = texts(needs("symbols")?)?;
                let default = node.get("default").and_then(Node::text).map(str::to_owned);
                let (index, _) = self.name(node, namespace)?;
                self.named[index].kind = Kind::Enum { symbols, default };
                Ok(Type::Named(index))
            }
            Some("fixed") => {
                let size = needs("size")?;
                let bytes = integer(size)
                    .and_then(|bytes| usize::try_from(bytes).ok())
                    .filter(|bytes| *bytes <= 1 << 20)
                    .ok_or_else(|| {
                        wrong(size, "the size is no number up to 1048576", "write the number of bytes")
                    })?;
                let meaning = match node.get("logicalType").and_then(Node::text) {
                    Some("decimal") => decimal(node)?,
                    Some("uuid") if bytes == 16 => Type::Uuid,
                    _ => Type::Bytes,
                };
                let (index, _) = self.name(node, namespace)?;
                self.named[index].kind = Kind::Fixed { bytes, meaning };
                Ok(Type::Named(index))
            }
            Some("array") => Ok(Type::Array(Box::new(self.ty(needs("items")?, namespace)?))),
            Some("map") => Ok(Type::Map(Box::new(self.ty(needs("values")?, namespace)?))),
            _ => {
                let ty = self.ty(kind, namespace)?;
                Ok(match (&ty, node.get("logicalType").and_then(Node::text)) {
                    (Type::Int, Some("date")) => Type::Date,
                    (Type::Long, Some("timestamp-millis")) => Type::TimestampMillis,
                    (Type::Long, Some("timestamp-micros")) => Type::TimestampMicros,
                    (Type::String, Some("uuid")) => Type::Uuid,
                    (Type::Bytes, Some("decimal")) => decimal(node)?,
                    // As the specification has it: what is not known is the plain type.
                    _ => ty,
                })
            }
        }
    }

    /// Takes the name of a type; its namespace is that of the names inside.
    fn name(&mut self, node: &Node, namespace: &str) -> Result<(usize, String), Wrong> {
        let Some(name) = node.get("name").and_then(Node::text).filter(|name| !name.is_empty()) else {
            return Err(wrong(node, "this type has no name", "write \"name\": …"));
        };
        let namespace = node.get("namespace").and_then(Node::text).unwrap_or(namespace);
        let full = full_name(name, namespace);
        let (namespace, simple) = full.rsplit_once('.').unwrap_or(("", &full));
        if self.by_name.contains_key(&full) || self.named.len() >= TYPES_MAX {
            let message =
                format!("the type {simple:?} is declared twice, or there are more than {TYPES_MAX}");
            return Err(wrong(node, message, "give it another name"));
        }
        let aliases = node.get("aliases").map(texts).transpose()?.unwrap_or_default();
        let aliases =
            aliases.iter().map(|alias| alias.rsplit('.').next().unwrap_or(alias).to_owned()).collect();
        let index = self.named.len();
        self.named.push(Named { name: simple.to_owned(), aliases, kind: Kind::Open, at: node.at });
        let namespace = namespace.to_owned();
        self.by_name.insert(full, index);
        Ok((index, namespace))
    }

    fn record(&mut self, node: &Node, namespace: &str) -> Result<Type, Wrong> {
        let (index, namespace) = self.name(node, namespace)?;
        let Some(declared) = node.get("fields").and_then(Node::items) else {
            return Err(wrong(node, "a record has a list of fields", "write \"fields\": […]"));
        };
        let mut fields: Vec<Field> = Vec::with_capacity(declared.len());
        for field in declared {
            self.fields += 1;
            if self.fields > FIELDS_MAX {
                return Err(wrong(field, format!("more than {FIELDS_MAX} fields"), "split the stream"));
            }
            let Some(name) = field.get("name").and_then(Node::text) else {
                return Err(wrong(field, "a field has a name", "write \"name\": …"));
            };
            if fields.iter().any(|other| other.name == name) {
                return Err(wrong(
                    field,
                    format!("a second field is named {name:?}"),
                    "rename one of the two",
                ));
            }
            let Some(ty) = field.get("type") else {
                return Err(wrong(field, format!("the field {name:?} has no type"), "write \"type\": …"));
            };
            let ty = self.ty(ty, &namespace)?;
            fields.push(Field {
                name: name.to_owned(),
                aliases: field.get("aliases").map(texts).transpose()?.unwrap_or_default(),
                ty,
                default: field.get("default").map(json),
                keywords: keywords(field)?,
                at: field.at,
            });
        }
        let mut settings = Vec::new();
        for member in node.members() {
            match ROOT.iter().find(|name| **name == member.name) {
                Some(name) => settings.push((*name, json(&member.value))),
                None if member.name.starts_with("x-") => {
                    let hint = format!("a record takes {}", ROOT.join(", "));
                    return Err(Wrong::new(
                        At(member.at),
                        format!("there is no {} here", member.name),
                        &hint,
                    ));
                }
                None => {}
            }
        }
        self.named[index].kind = Kind::Record { fields, settings };
        Ok(Type::Named(index))
    }
}

fn keywords(field: &Node) -> Result<Keywords, Wrong> {
    let mut keywords = Keywords::default();
    for member in field.members() {
        let name = member.name.as_str();
        if name == "x-privacy" {
            keywords.privacy = Some(match member.value.text() {
                Some("subject") => "subject",
                Some("hash") => "hash",
                Some("tokenize") => "tokenize",
                Some("drop") => "drop",
                _ => {
                    let hint = "it is one of subject, hash, tokenize, drop";
                    return Err(wrong(&member.value, "there is no such protection", hint));
                }
            });
        } else if let Some(rule) = RULES.iter().find(|rule| **rule == name) {
            keywords.rules.push((rule, json(&member.value)));
        } else if let Some(origin) = ORIGIN.iter().find(|origin| **origin == name) {
            keywords.origin.push((origin, json(&member.value)));
        } else if name.starts_with("x-") {
            let hint = format!("a field takes x-privacy, {}, {}", RULES.join(", "), ORIGIN.join(", "));
            return Err(Wrong::new(At(member.at), format!("there is no {name} here"), &hint));
        }
    }
    Ok(keywords)
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn texts(node: &Node) -> Result<Vec<String>, Wrong> {
    node.items()
        .and_then(|items| items.iter().map(|item| item.text().map(str::to_owned)).collect::<Option<Vec<_>>>())
        .ok_or_else(|| wrong(node, "a list of texts is expected here", "write [\"NAME\", …]"))
}

fn integer(node: &Node) -> Option<i128> {
    match &node.value {
        Value::Number(exact) => exact.to_i128().ok(),
        _ => None,
    }
}

fn decimal(node: &Node) -> Result<Type, Wrong> {
    let number = |name: &str| node.get(name).map_or(Some(0), |node| u8::try_from(integer(node)?).ok());
    match (number("precision"), number("scale")) {
        (Some(precision @ 1..=38), Some(scale)) if scale <= precision => {
            Ok(Type::Decimal { precision, scale })
        }
        _ => Err(wrong(node, "a decimal has a precision of 1 to 38 and a scale up to it", "correct the two")),
    }
}

/// The part of the schema as plain JSON.
fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Boolean(value) => Json::Bool(*value),
        Value::Number(exact) => {
            serde_json::from_str(&crate::schema::number_text(exact)).unwrap_or(Json::Null)
        }
        Value::Text(text) => Json::String(text.clone()),
        Value::Array(items) => Json::Array(items.iter().map(json).collect()),
        Value::Object(members) => {
            Json::Object(members.iter().map(|member| (member.name.clone(), json(&member.value))).collect())
        }
    }
}
