//! From parsed files to what they mean: which message is the event, and all messages that it leads to.
//! Always: messages, fields and names are bounded; every fault has its place.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor,
    Value,
};
use protox::Compiler;

use super::{
    load::Loaded,
    meaning::{Body, Field, Known, Label, Messages, Names, Type},
    options::{Options, Part},
    places::{Places, note},
};
use crate::{
    notation::{Place, Problems, Settings, root_names},
    payload::{Text, quoted_name},
};

const MESSAGES_MAX: usize = 1000;
const FIELDS_MAX: usize = 10_000;

/// The event's message with all that it leads to, and what is said of the whole.
pub(super) struct Compiled {
    pub messages: Messages,
    pub settings: Settings,
    pub root: String,
}

/// `root` is the event's message where it was chosen before; else it is found.
pub(super) fn compile(
    loaded: &Loaded,
    stream: &str,
    root: Option<&str>,
    problems: &mut Problems,
) -> Option<Compiled> {
    if !problems.faults.is_empty() {
        return None;
    }
    let pool = pool(loaded, problems)?;
    let mut places = Places::default();
    for file in pool.files() {
        places.add(&file);
    }
    let mut compiler = Messenger {
        loaded,
        places: &places,
        problems,
        known: HashMap::new(),
        open: VecDeque::new(),
        enums: HashMap::new(),
        fields: 0,
    };
    let (event, settings) = compiler.root(&pool, stream, root)?;
    compiler.message(&event);
    let mut bodies = Vec::new();
    while let Some(message) = compiler.open.pop_front() {
        bodies.push(compiler.body(&message)?);
    }
    let mut messages = Messages(bodies);
    mark_recursive(&mut messages);
    problems.faults.is_empty().then(|| Compiled { messages, settings, root: event.name().to_owned() })
}

fn pool(loaded: &Loaded, problems: &mut Problems) -> Option<DescriptorPool> {
    let mut compiler = Compiler::with_file_resolver(loaded.parsed.clone());
    match compiler.open_file(loaded.files.main()) {
        Ok(compiler) => Some(compiler.descriptor_pool()),
        Err(error) => {
            note(&error, &loaded.files, problems);
            None
        }
    }
}

struct Messenger<'a, 'p> {
    loaded: &'a Loaded,
    places: &'a Places,
    problems: &'p mut Problems,
    /// By full name: the number of a message.
    known: HashMap<String, usize>,
    /// Those whose fields are still to be read.
    open: VecDeque<MessageDescriptor>,
    enums: HashMap<String, Arc<Names>>,
    fields: usize,
}

impl Messenger<'_, '_> {
    fn place(&self, file: &str, path: &[i32]) -> Place {
        self.places.name(&self.loaded.files, file, path)
    }

    fn options(&mut self) -> Options<'_, '_> {
        Options { files: &self.loaded.files, places: self.places, problems: self.problems }
    }

    fn root(
        &mut self,
        pool: &DescriptorPool,
        stream: &str,
        chosen: Option<&str>,
    ) -> Option<(MessageDescriptor, Settings)> {
        let file = pool.get_file_by_name(self.loaded.files.main())?;
        let mut messages = Vec::new();
        for message in file.messages() {
            let options = message.options();
            let settings = self.options().message(&options, Part { file: file.name(), path: message.path() });
            messages.push((message.clone(), settings));
        }
        let by_name = |name: &str| messages.iter().find(|(message, _)| message.name() == name);
        let marked: Vec<_> = messages.iter().filter(|(_, settings)| settings.event).collect();
        let found = match (chosen, &marked[..], &messages[..]) {
            (Some(name), _, _) => by_name(name),
            (None, [one], _) => Some(*one),
            (None, [_, (second, _), ..], _) => {
                let place = self.place(file.name(), second.path());
                self.problems.error(place, "a second message is marked as the event", "mark one of them");
                return None;
            }
            (None, [], [one]) => Some(one),
            (None, [], _) => root_names(stream).iter().find_map(|name| by_name(name)),
        };
        if found.is_none() {
            let message = if messages.is_empty() {
                "the file declares no message"
            } else {
                "which of the messages is the event cannot be told"
            };
            let hint = "mark one with option (headwater.event) = true, or name it like the stream or Event";
            self.problems.error(Place::default(), message, hint);
        }
        found.cloned()
    }

    /// The number of a message; its fields are read later.
    fn message(&mut self, message: &MessageDescriptor) -> usize {
        if let Some(index) = self.known.get(message.full_name()) {
            return *index;
        }
        let index = self.known.len();
        self.known.insert(message.full_name().to_owned(), index);
        self.open.push_back(message.clone());
        index
    }

    fn body(&mut self, message: &MessageDescriptor) -> Option<Body> {
        let file = message.parent_file();
        let place = self.place(file.name(), message.path());
        if self.known.len() > MESSAGES_MAX {
            self.problems.error(place, format!("more than {MESSAGES_MAX} messages"), "split the stream");
            return None;
        }
        let mut fields = Vec::with_capacity(message.fields().len());
        // In the order in which they are written: the descriptor gives them by number.
        let mut declared: Vec<FieldDescriptor> = message.fields().collect();
        declared.sort_by_key(|field| field.path().last().copied());
        for field in declared {
            self.fields += 1;
            if self.fields > FIELDS_MAX {
                self.problems.error(place, format!("more than {FIELDS_MAX} fields"), "split the stream");
                return None;
            }
            fields.push(self.field(&field, file.name()));
        }
        let mut numbers: Vec<(u32, usize)> =
            fields.iter().enumerate().map(|(index, field)| (field.number, index)).collect();
        numbers.sort_unstable();
        Some(Body {
            name: message.name().to_owned(),
            place,
            numbers,
            oneofs: oneofs(message.oneofs()).max().map_or(0, |last| last + 1),
            known: known(message.full_name()),
            fields,
            recursive: false,
        })
    }

    fn field(&mut self, field: &FieldDescriptor, file: &str) -> Field {
        let place = self.place(file, field.path());
        let options = field.options();
        let mut keywords = self.options().field(&options, Part { file, path: field.path() });
        keywords.required |= field.is_required();
        let (label, ty) = match (field.kind(), field.cardinality()) {
            (Kind::Message(entry), Cardinality::Repeated) if entry.is_map_entry() => {
                let key = self.ty(&entry.map_entry_key_field());
                (Label::Map(key), self.ty(&entry.map_entry_value_field()))
            }
            (_, Cardinality::Repeated) => (Label::Repeated, self.ty(field)),
            (_, Cardinality::Required) => (Label::Required, self.ty(field)),
            (_, Cardinality::Optional) => {
                let ty = self.ty(field);
                let declared = field.field_descriptor_proto().default_value.is_some();
                // An event without its subject is none; zero and the empty text are not told from what was not sent.
                let is_subject = keywords.privacy == Some("subject");
                let default = (declared || !field.supports_presence() && !is_subject)
                    .then(|| self.default(&ty, &field.default_value(), place));
                (Label::One(default), ty)
            }
        };
        Field {
            name: field.name().to_owned(),
            quoted: quoted_name(field.name()),
            number: field.number(),
            label,
            ty,
            oneof: oneofs(field.containing_oneof()).next(),
            keywords,
            place,
        }
    }

    fn ty(&mut self, field: &FieldDescriptor) -> Type {
        match field.kind() {
            Kind::Bool => Type::Bool,
            Kind::Int32 => Type::Int32,
            Kind::Int64 => Type::Int64,
            Kind::Uint32 => Type::Uint32,
            Kind::Uint64 => Type::Uint64,
            Kind::Sint32 => Type::Sint32,
            Kind::Sint64 => Type::Sint64,
            Kind::Fixed32 => Type::Fixed32,
            Kind::Fixed64 => Type::Fixed64,
            Kind::Sfixed32 => Type::Sfixed32,
            Kind::Sfixed64 => Type::Sfixed64,
            Kind::Float => Type::Float,
            Kind::Double => Type::Double,
            Kind::String => Type::String,
            Kind::Bytes => Type::Bytes,
            Kind::Enum(values) => Type::Enum(self.names(&values)),
            Kind::Message(message) if field.is_group() => Type::Group(self.message(&message)),
            Kind::Message(message) => Type::Message(self.message(&message)),
        }
    }

    fn names(&mut self, values: &EnumDescriptor) -> Arc<Names> {
        let names = self.enums.entry(values.full_name().to_owned()).or_insert_with(|| {
            let mut declared: Vec<_> = values.values().collect();
            declared.sort_by_key(|value| value.path().last().copied());
            let mut names = Names::default();
            for value in declared {
                names.all.push(value.name().to_owned());
                names.quoted.push((value.number(), quoted_name(value.name())));
            }
            // Of aliases the first stays.
            names.quoted.sort_by_key(|(number, _)| *number);
            names.quoted.dedup_by_key(|(number, _)| *number);
            Arc::new(names)
        });
        Arc::clone(names)
    }

    /// The JSON of a default.
    fn default(&mut self, ty: &Type, value: &Value, place: Place) -> Vec<u8> {
        let mut text = Text::default();
        text.begin(usize::MAX / 4, 1);
        let written = match (value, ty) {
            (Value::Bool(value), _) => text.word(if *value { "true" } else { "false" }, 0),
            (Value::I32(value), _) => text.integer(i128::from(*value), 0),
            (Value::I64(value), _) => text.integer(i128::from(*value), 0),
            (Value::U32(value), _) => text.integer(i128::from(*value), 0),
            (Value::U64(value), _) => text.integer(i128::from(*value), 0),
            (Value::F32(value), _) if value.is_finite() => text.float(f64::from(*value), 0),
            (Value::F64(value), _) if value.is_finite() => text.float(*value, 0),
            (Value::F32(_) | Value::F64(_), _) => {
                let hint = "leave the default out, or write a finite number";
                self.problems.error(place, "this default is no number that JSON has", hint);
                Ok(())
            }
            (Value::String(value), _) => text.string(value.as_bytes(), 0),
            (Value::Bytes(value), _) => text.base64(value, 0),
            (Value::EnumNumber(number), Type::Enum(names)) => {
                return names.quoted(*number).unwrap_or(b"null").to_vec();
            }
            _ => text.word("null", 0),
        };
        match written {
            Ok(()) => text.bytes().to_vec(),
            Err(fault) => {
                self.problems.error(place, fault.message, "write a smaller default");
                Vec::new()
            }
        }
    }
}

/// The numbers of oneofs within their message, without those that only stand for `optional`.
fn oneofs(declared: impl IntoIterator<Item = OneofDescriptor>) -> impl Iterator<Item = usize> {
    let written = declared.into_iter().filter(|oneof| !oneof.is_synthetic());
    written.filter_map(|oneof| usize::try_from(*oneof.path().last()?).ok())
}

fn known(name: &str) -> Option<Known> {
    Some(match name.strip_prefix("google.protobuf.")? {
        "Timestamp" => Known::Timestamp,
        "Duration" => Known::Duration,
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value"
        | "BoolValue" | "StringValue" | "BytesValue" => Known::Wrapper,
        "Struct" => Known::Struct,
        "Value" => Known::Value,
        "ListValue" => Known::List,
        _ => return None,
    })
}

/// Says of each message whether it leads back to itself.
fn mark_recursive(messages: &mut Messages) {
    let next: Vec<Vec<usize>> = messages
        .0
        .iter()
        .map(|body| match body.known {
            Some(_) => Vec::new(),
            None => body.fields.iter().filter_map(|field| field.ty.message()).collect(),
        })
        .collect();
    for start in 0..messages.0.len() {
        let (mut open, mut seen) = (next[start].clone(), vec![false; next.len()]);
        while let Some(index) = open.pop() {
            if !std::mem::replace(&mut seen[index], true) {
                open.extend(&next[index]);
            }
        }
        messages.0[start].recursive = seen[start];
    }
}
