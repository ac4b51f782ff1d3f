//! From what files say to what it means: imports, names, places on the wire.
//! Always: every fault has its place; a name is looked up from the inside out, as the language has it.

use std::collections::HashMap;

use super::{
    METADATA, METADATA_FILE,
    layout::{Layout, Scope},
    lexer::{Token, words},
    meaning::{Body, Choice, Field, Shape, Slot, Structs, Type},
    parser::parse,
    plan::{Entry, Part, PartKind, Plan, mark_recursive},
    tree::{Annotation, Declaration, FieldTree, FileTree, Name, Path, StructTree, TypeName, Value},
};
use crate::notation::{
    Fetch, Files, Keywords, Literal, Place, Problems, Settings,
    keywords::{FIELD_NAMES, TYPE_NAMES},
    root_names,
};

/// Aliases of aliases.
const ALIASES_MAX: usize = 16;
const STRUCTS_MAX: usize = 1000;

/// Reads a file and all that it imports. Faults are noted.
pub(crate) fn load(main: &str, text: &str, fetch: &mut Fetch<'_>, problems: &mut Problems) -> Files {
    let mut files = Files::new(main, text);
    let mut next = 0;
    while next < files.count() {
        let (from, text) = (files.name(next).to_owned(), files.text(next).to_owned());
        // A text that has no words is told of when it is parsed.
        let found = words(&text).unwrap_or_default();
        for pair in found.windows(2) {
            let [keyword, file] = pair else { continue };
            let (Token::Name(keyword), Token::Text(import)) = (&keyword.token, &file.token) else { continue };
            if keyword != "import" {
                continue;
            }
            let known = |name: &str| match name {
                METADATA_FILE => Some(METADATA.to_owned()),
                // What the standard files declare are annotations, for generators of code.
                _ => name.starts_with("/capnp/").then(String::new),
            };
            let name = match import.starts_with('/') {
                false if from.starts_with('/') => Err(format!("{import:?} is not there")),
                false => Files::joined(&from, import),
                true if known(import).is_some() => Ok(import.clone()),
                true => Err(format!("{import:?} is an absolute path")),
            };
            let taken = files.import(next, import, name, |name| match known(name) {
                Some(text) => Ok(text),
                None => fetch(name),
            });
            if let Err(message) = taken {
                let hint = "name a file below schemas/, as seen from this one; \
                            /headwater/metadata.capnp and /capnp/ are always there";
                problems.error(Place { file: next, at: file.at }, message, hint);
            }
        }
        next += 1;
    }
    files
}

/// What a name leads to.
#[derive(Clone)]
enum Found<'t> {
    File(usize),
    Declared(Scopes<'t>, &'t Declaration),
    Builtin(&'static str),
}

/// A file, and the declarations around a place of it, from the outside in.
#[derive(Clone)]
struct Scopes<'t> {
    file: usize,
    around: Vec<&'t Declaration>,
}

const BUILTINS: &[&str] = &[
    "Void",
    "Bool",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "Float32",
    "Float64",
    "Text",
    "Data",
    "List",
    "AnyPointer",
    "AnyStruct",
    "AnyList",
    "Capability",
];

/// The event's struct with all that it leads to, and what is said of the whole.
pub(super) struct Compiled {
    pub structs: Structs,
    pub settings: Settings,
    pub root: String,
}

/// `root` is the event's type where it was chosen before; else it is found.
pub(super) fn compile(
    files: &Files,
    stream: &str,
    root: Option<&str>,
    problems: &mut Problems,
) -> Option<Compiled> {
    let mut trees = Vec::with_capacity(files.count());
    for file in 0..files.count() {
        match parse(files.text(file)) {
            Ok(tree) => trees.push(tree),
            Err(wrong) => {
                problems.wrong(file, wrong);
                trees.push(FileTree::default());
            }
        }
    }
    if !problems.faults.is_empty() {
        return None;
    }
    let mut compiler =
        Compiler { files, trees: &trees, problems, structs: Vec::new(), known: HashMap::new() };
    let (tree, settings) = compiler.root(stream, root)?;
    let scopes = Scopes { file: 0, around: Vec::new() };
    compiler.structure(&scopes, tree);
    let mut next = 0;
    while next < compiler.structs.len() {
        let (scopes, tree) = compiler.structs[next].clone();
        let body = compiler.body(&scopes, tree);
        compiler.structs[next].1 = tree;
        compiler.known.insert(std::ptr::from_ref(tree) as usize, (next, Some(body)));
        next += 1;
    }
    let root = tree.name.text.clone();
    let mut bodies: Vec<(usize, Body)> =
        compiler.known.into_values().filter_map(|(index, body)| Some((index, body?))).collect();
    bodies.sort_by_key(|(index, _)| *index);
    let mut structs = Structs(bodies.into_iter().map(|(_, body)| body).collect());
    mark_recursive(&mut structs);
    problems.faults.is_empty().then_some(Compiled { structs, settings, root })
}

struct Compiler<'t, 'p> {
    files: &'t Files,
    trees: &'t [FileTree],
    problems: &'p mut Problems,
    /// Structs that were met, in that order.
    structs: Vec<(Scopes<'t>, &'t StructTree)>,
    /// By the address of their tree.
    known: HashMap<usize, (usize, Option<Body>)>,
}

impl<'t> Compiler<'t, '_> {
    fn root(&mut self, stream: &str, chosen: Option<&str>) -> Option<(&'t StructTree, Settings)> {
        let file = &self.trees[0];
        let scopes = Scopes { file: 0, around: Vec::new() };
        let mut of_file = Settings::default();
        self.settings(&scopes, &file.annotations, &mut of_file);
        let structs: Vec<(&StructTree, Settings)> = file
            .declarations
            .iter()
            .filter_map(|declaration| match declaration {
                Declaration::Struct(tree) => {
                    let mut settings = Settings::default();
                    self.settings(&scopes, &tree.annotations, &mut settings);
                    Some((tree, settings))
                }
                _ => None,
            })
            .collect();
        let by_name = |name: &str| structs.iter().find(|(tree, _)| tree.name.text == name);
        let marked: Vec<_> = structs.iter().filter(|(_, settings)| settings.event).collect();
        let found = match (chosen, &marked[..], &structs[..]) {
            (Some(name), _, _) => by_name(name),
            (None, [one], _) => Some(*one),
            (None, [_, second, ..], _) => {
                let place = Place { file: 0, at: second.0.name.at };
                self.problems.error(place, "a second struct is marked as the event", "mark one of them");
                return None;
            }
            (None, [], [one]) => Some(one),
            (None, [], _) => root_names(stream).iter().find_map(|name| by_name(name)),
        };
        match found {
            Some((tree, settings)) => {
                let mut all = settings.clone();
                all.root.splice(0..0, of_file.root);
                Some((tree, all))
            }
            None => {
                let message = if structs.is_empty() {
                    "the file declares no struct"
                } else {
                    "which of the structs is the event cannot be told"
                };
                let hint = "mark one with $Metadata.event, or name it like the stream or Event";
                self.problems.error(Place::default(), message, hint);
                None
            }
        }
    }

    /// The number of a struct; it is compiled later.
    fn structure(&mut self, scopes: &Scopes<'t>, tree: &'t StructTree) -> usize {
        let next = self.structs.len();
        let (index, _) = self.known.entry(std::ptr::from_ref(tree) as usize).or_insert((next, None));
        if *index == next {
            self.structs.push((scopes.clone(), tree));
        }
        *index
    }

    fn body(&mut self, scopes: &Scopes<'t>, tree: &'t StructTree) -> Body {
        let place = Place { file: scopes.file, at: tree.name.at };
        let mut body =
            Body { name: tree.name.text.clone(), place, fields: Vec::new(), choice: None, recursive: false };
        if self.structs.len() > STRUCTS_MAX {
            self.problems.error(place, format!("more than {STRUCTS_MAX} structs"), "split the stream");
            return body;
        }
        if tree.generic {
            let hint = "write the struct out for the types that it is used with";
            self.problems.error(place, "generic structs are not built yet", hint);
            return body;
        }
        let mut inside = scopes.clone();
        let declared = self.declaration_of(scopes, tree);
        inside.around.extend(declared);
        let mut plan = Plan { layout: Layout::default(), entries: Vec::new() };
        let parts = plan.members(&tree.members, Scope::Struct, None);
        plan.entries.sort_by_key(|(ordinal, _)| *ordinal);
        for (expected, (ordinal, entry)) in (0..).zip(&plan.entries) {
            if *ordinal != expected {
                let at = match entry {
                    Entry::Field { tree, .. } => tree.name.at,
                    Entry::Union { at, .. } => *at,
                };
                let message = format!("the numbers of the fields have a gap or a repeat at @{ordinal}");
                let hint = format!("@{expected} is the next one; numbers are never left out or used again");
                self.problems.error(Place { file: scopes.file, at }, message, hint);
                return body;
            }
        }
        let mut slots = HashMap::new();
        for (ordinal, entry) in std::mem::take(&mut plan.entries) {
            match entry {
                Entry::Union { union, .. } => plan.layout.place_discriminant(union),
                Entry::Field { scope, tree } => {
                    let Some(ty) = self.type_of(&inside, &tree.ty, 0) else { continue };
                    let offset = match (&ty, ty.data_size()) {
                        (_, Some(size)) => plan.layout.data(scope, size),
                        (Type::Void, None) => {
                            plan.layout.void(scope);
                            0
                        }
                        (_, None) => plan.layout.pointer(scope),
                    };
                    let mut slot = Slot { ty, offset, default: 0, default_bytes: None };
                    self.default(&inside, tree, &mut slot);
                    slots.insert(ordinal, slot);
                }
            }
        }
        self.fill(&inside, &mut body, parts, &plan.layout, &mut slots);
        body
    }

    /// The declaration that holds `tree`, for the names inside of it.
    fn declaration_of(&self, scopes: &Scopes<'t>, tree: &'t StructTree) -> Option<&'t Declaration> {
        let level = match scopes.around.last() {
            Some(around) => around.nested(),
            None => &self.trees[scopes.file].declarations,
        };
        level.iter().find(|found| matches!(found, Declaration::Struct(found) if std::ptr::eq(found, tree)))
    }

    fn fill(
        &mut self,
        scopes: &Scopes<'t>,
        body: &mut Body,
        parts: Vec<Part<'t>>,
        layout: &Layout,
        slots: &mut HashMap<u16, Slot>,
    ) {
        for part in parts {
            match part.kind {
                PartKind::Field(tree) => {
                    let Some(slot) = slots.remove(&tree.ordinal) else { continue };
                    let place = Place { file: scopes.file, at: tree.name.at };
                    let keywords = self.keywords(scopes, &tree.annotations);
                    let (name, shape) = (tree.name.clone(), Shape::Slot(slot));
                    body.fields.push(Field { name, place, shape, branch: part.branch, keywords });
                }
                PartKind::Group { name, parts, annotations } => {
                    let place = Place { file: scopes.file, at: name.at };
                    let mut inner = Body {
                        name: name.text.clone(),
                        place,
                        fields: Vec::new(),
                        choice: None,
                        recursive: false,
                    };
                    self.fill(scopes, &mut inner, parts, layout, slots);
                    let keywords = self.keywords(scopes, annotations);
                    let shape = Shape::Inner(inner);
                    body.fields.push(Field {
                        name: name.clone(),
                        place,
                        shape,
                        branch: part.branch,
                        keywords,
                    });
                }
                PartKind::Union { name, at, union, parts, annotations } => {
                    let place = Place { file: scopes.file, at };
                    let choice = layout.discriminant(union).map(|offset| Choice { offset });
                    if choice.is_none() || parts.len() < 2 {
                        self.problems.error(place, "a union has at least two members", "add one");
                        continue;
                    }
                    let keywords = self.keywords(scopes, annotations);
                    match name {
                        Some(name) => {
                            let mut inner = Body {
                                name: name.text.clone(),
                                place,
                                fields: Vec::new(),
                                choice,
                                recursive: false,
                            };
                            self.fill(scopes, &mut inner, parts, layout, slots);
                            let (name, shape) = (name.clone(), Shape::Inner(inner));
                            body.fields.push(Field { name, place, shape, branch: part.branch, keywords });
                        }
                        None if body.choice.is_some() => {
                            let hint = "give it a name: NAME :union { … }";
                            self.problems.error(place, "a second union without a name stands here", hint);
                        }
                        None => {
                            body.choice = choice;
                            self.fill(scopes, body, parts, layout, slots);
                        }
                    }
                }
            }
        }
    }

    fn type_of(&mut self, scopes: &Scopes<'t>, named: &TypeName, level: usize) -> Option<Type> {
        let place = Place { file: scopes.file, at: named.path.at };
        let found = self.find(scopes, &named.path, 0)?;
        let integer = |size, signed| Some(Type::Integer { size, signed });
        match found {
            Found::Builtin(name) => match (name, &named.arguments[..]) {
                ("List", [item]) if level < 32 => {
                    Some(Type::List(Box::new(self.type_of(scopes, item, level + 1)?)))
                }
                ("List", _) => {
                    self.problems.error(place, "a list is a list of one type", "write List(TYPE)");
                    None
                }
                ("Void", _) => Some(Type::Void),
                ("Bool", _) => Some(Type::Bool),
                ("Int8", _) => integer(3, true),
                ("Int16", _) => integer(4, true),
                ("Int32", _) => integer(5, true),
                ("Int64", _) => integer(6, true),
                ("UInt8", _) => integer(3, false),
                ("UInt16", _) => integer(4, false),
                ("UInt32", _) => integer(5, false),
                ("UInt64", _) => integer(6, false),
                ("Float32", _) => Some(Type::Float32),
                ("Float64", _) => Some(Type::Float64),
                ("Text", _) => Some(Type::Text),
                ("Data", _) => Some(Type::Data),
                (name, _) => {
                    let hint = "a column has a type: use Data for bytes, or a struct";
                    self.problems.error(place, format!("{name} cannot become a column"), hint);
                    None
                }
            },
            Found::Declared(around, Declaration::Struct(tree)) => {
                Some(Type::Struct(self.structure(&around, tree)))
            }
            Found::Declared(_, Declaration::Enum { enumerants, .. }) => {
                Some(Type::Enum(enumerants.iter().map(|name| name.text.clone()).collect()))
            }
            Found::Declared(_, other) => {
                let kind = match other {
                    Declaration::Other { kind, .. } => kind,
                    _ => "no type",
                };
                let message = format!("{:?} is {kind}, and cannot become a column", other.name().text);
                self.problems.error(place, message, "leave the field out, or give it another type");
                None
            }
            Found::File(_) => {
                self.problems.error(place, "this is a file, not a type", "name a type in it");
                None
            }
        }
    }

    fn find(&mut self, scopes: &Scopes<'t>, path: &Path, aliases: usize) -> Option<Found<'t>> {
        let place = Place { file: scopes.file, at: path.at };
        if aliases > ALIASES_MAX {
            self.problems.error(place, "this name leads in a circle", "let it name a type");
            return None;
        }
        let (mut found, rest) = match (&path.import, path.names.split_first()) {
            (Some(import), _) => (Found::File(self.files.imported(scopes.file, import)?), &path.names[..]),
            (None, Some((first, rest))) => (self.find_first(scopes, first, path.absolute, aliases)?, rest),
            (None, None) => return None,
        };
        for name in rest {
            let place = Place { file: scopes.file, at: name.at };
            let inner = match &found {
                Found::File(file) => {
                    let around = Scopes { file: *file, around: Vec::new() };
                    self.member_of(&around, &self.trees[*file].declarations, &name.text)
                }
                Found::Declared(around, declaration) => {
                    let mut around = around.clone();
                    around.around.push(declaration);
                    self.member_of(&around, declaration.nested(), &name.text)
                }
                Found::Builtin(_) => None,
            };
            let Some((around, declaration)) = inner else {
                let message = format!("there is no {:?} here", name.text);
                self.problems.error(place, message, "correct the name");
                return None;
            };
            found = self.behind_alias(around, declaration, aliases)?;
        }
        Some(found)
    }

    fn find_first(
        &mut self,
        scopes: &Scopes<'t>,
        name: &Name,
        absolute: bool,
        aliases: usize,
    ) -> Option<Found<'t>> {
        let levels = if absolute { 0 } else { scopes.around.len() };
        for level in (0..=levels).rev() {
            let around = Scopes { file: scopes.file, around: scopes.around[..level].to_vec() };
            let declarations = match around.around.last() {
                Some(declaration) => declaration.nested(),
                None => &self.trees[scopes.file].declarations,
            };
            if let Some((around, declaration)) = self.member_of(&around, declarations, &name.text) {
                return self.behind_alias(around, declaration, aliases);
            }
        }
        if let Some(builtin) = BUILTINS.iter().find(|builtin| **builtin == name.text) {
            return Some(Found::Builtin(builtin));
        }
        let place = Place { file: scopes.file, at: name.at };
        let near = crate::nearest(&name.text, BUILTINS.iter().copied());
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "declare it, or import the file that does".to_owned(),
        };
        self.problems.error(place, format!("nothing is named {:?}", name.text), hint);
        None
    }

    fn member_of(
        &self,
        around: &Scopes<'t>,
        declarations: &'t [Declaration],
        name: &str,
    ) -> Option<(Scopes<'t>, &'t Declaration)> {
        declarations
            .iter()
            .find(|declaration| declaration.name().text == name)
            .map(|found| (around.clone(), found))
    }

    fn behind_alias(
        &mut self,
        around: Scopes<'t>,
        declaration: &'t Declaration,
        aliases: usize,
    ) -> Option<Found<'t>> {
        match declaration {
            Declaration::Using { target, .. } => self.find(&around, target, aliases + 1),
            _ => Some(Found::Declared(around, declaration)),
        }
    }

    fn default(&mut self, scopes: &Scopes<'t>, tree: &'t FieldTree, slot: &mut Slot) {
        let Some((value, at)) = &tree.default else { return };
        let place = Place { file: scopes.file, at: *at };
        let mut value = value.clone();
        // A constant stands for its value, an enumerant for itself.
        if let (Value::Named(path), false) = (&value, matches!(slot.ty, Type::Enum(_))) {
            let is_word = path.names.len() == 1
                && ["true", "false", "void", "inf", "nan"].contains(&path.names[0].text.as_str());
            if !is_word {
                match self.find(scopes, path, 0) {
                    Some(Found::Declared(_, Declaration::Const { value: constant, .. })) => {
                        value = constant.clone();
                    }
                    Some(_) => {
                        self.problems.error(
                            place,
                            "a default is a value",
                            "write it out, or name a constant",
                        );
                        return;
                    }
                    None => return,
                }
            }
        }
        let word = match &value {
            Value::Named(path) => path.names.last().map_or("", |name| &name.text),
            _ => "",
        };
        let bits = match (&slot.ty, &value) {
            (Type::Bool, _) if word == "true" => Some(1),
            (Type::Bool, _) if word == "false" => Some(0),
            (Type::Void, _) => Some(0),
            (Type::Integer { size, signed }, Value::Integer { negative, digits }) => {
                let bits = 1_u32 << size;
                let max = u64::MAX >> (64 - bits + u32::from(*signed));
                let fits = if *negative { *signed && *digits <= max + 1 } else { *digits <= max };
                let mask = u64::MAX >> (64 - bits);
                fits.then(|| if *negative { digits.wrapping_neg() & mask } else { *digits })
            }
            (Type::Float32 | Type::Float64, value) => {
                let float = match value {
                    Value::Float(value) => Some(*value),
                    Value::Integer { negative, digits } => {
                        Some(if *negative { -(*digits as f64) } else { *digits as f64 })
                    }
                    _ if word == "inf" => Some(f64::INFINITY),
                    _ if word == "nan" => Some(f64::NAN),
                    _ => None,
                };
                let single = matches!(slot.ty, Type::Float32);
                float.map(|float| if single { u64::from((float as f32).to_bits()) } else { float.to_bits() })
            }
            (Type::Enum(names), _) => {
                names.iter().position(|name| name == word).and_then(|index| u64::try_from(index).ok())
            }
            (Type::Text, Value::Text(text)) => {
                slot.default_bytes = Some(text.clone().into_bytes());
                Some(0)
            }
            (Type::Data, Value::Bytes(bytes)) => {
                slot.default_bytes = Some(bytes.clone());
                Some(0)
            }
            (Type::Data, Value::Text(text)) => {
                slot.default_bytes = Some(text.clone().into_bytes());
                Some(0)
            }
            (Type::List(_) | Type::Struct(_), _) => {
                let hint = "leave it out: a list or struct that is not there is NULL";
                self.problems.error(place, "defaults of lists and structs are not built yet", hint);
                return;
            }
            _ => None,
        };
        match bits {
            Some(bits) => slot.default = bits,
            None => self.problems.error(place, "this default does not fit the field's type", "correct it"),
        }
    }

    fn keywords(&mut self, scopes: &Scopes<'t>, annotations: &[Annotation]) -> Keywords {
        let mut keywords = Keywords::default();
        for annotation in annotations {
            let place = Place { file: scopes.file, at: annotation.path.at };
            let Some(name) = self.annotation_name(scopes, annotation) else { continue };
            if let Err(message) = keywords.add(&name, &literal(annotation.value.as_ref())) {
                let hint = format!("a field takes {}", FIELD_NAMES.join(", "));
                self.problems.error(place, message, hint);
            }
        }
        keywords
    }

    fn settings(&mut self, scopes: &Scopes<'t>, annotations: &[Annotation], settings: &mut Settings) {
        for annotation in annotations {
            let place = Place { file: scopes.file, at: annotation.path.at };
            let Some(name) = self.annotation_name(scopes, annotation) else { continue };
            if let Err(message) = settings.add(&name, &literal(annotation.value.as_ref())) {
                let hint = format!("an event's struct takes {}", TYPE_NAMES.join(", "));
                self.problems.error(place, message, hint);
            }
        }
    }

    /// The name of an annotation of ours, without what leads to it. Ours are those of a file `metadata.capnp`, under
    /// whatever name it is used, and those behind the name `Metadata` or `Headwater`.
    fn annotation_name(&mut self, scopes: &Scopes<'t>, annotation: &Annotation) -> Option<String> {
        let Path { import, names, .. } = &annotation.path;
        let ours_by_file = |file: &str| file.rsplit('/').next() == Some("metadata.capnp");
        let (ours, rest) = match (import, names.split_first()) {
            (Some(import), _) => (ours_by_file(import), &names[..]),
            (None, Some((first, rest))) => {
                let declarations = &self.trees[scopes.file].declarations;
                let target = declarations.iter().find_map(|declaration| match declaration {
                    Declaration::Using { name, target } if name.text == first.text => Some(target),
                    _ => None,
                });
                match target {
                    Some(Path { import: Some(import), names, .. }) if names.is_empty() => {
                        (ours_by_file(import) || is_our_name(&first.text), rest)
                    }
                    Some(Path { import: Some(import), .. }) => (ours_by_file(import), &names[..]),
                    Some(_) => (is_our_name(&first.text), rest),
                    None => (is_our_name(&first.text), rest),
                }
            }
            (None, None) => (false, &names[..]),
        };
        let written: Vec<&str> = names.iter().map(|name| name.text.as_str()).collect();
        if !ours || rest.is_empty() {
            let place = Place { file: scopes.file, at: annotation.path.at };
            let message = format!("the annotation ${} is ignored", written.join("."));
            self.problems.warn(place, message, "annotations of Headwater begin with $Metadata.");
            return None;
        }
        // The reference compiler wants the scopes of names in capitals: `$Metadata.Hash.sha256`.
        let parts: Vec<String> = rest.iter().map(|name| uncapitalised(&name.text)).collect();
        Some(parts.join("."))
    }
}

fn is_our_name(name: &str) -> bool {
    matches!(name, "Metadata" | "Headwater")
}

fn uncapitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_ascii_lowercase().to_string() + chars.as_str())
}

fn literal(value: Option<&Value>) -> Literal {
    match value {
        None => Literal::Present,
        Some(Value::Text(text)) => Literal::Text(text.clone()),
        Some(Value::Integer { negative, digits }) => {
            let digits = i128::from(*digits);
            Literal::Integer(if *negative { -digits } else { digits })
        }
        Some(Value::Float(value)) => Literal::Float(*value),
        Some(Value::Named(path)) => match path.names.last().map(|name| name.text.as_str()) {
            Some("true" | "void") => Literal::Present,
            Some("false") => Literal::Absent,
            _ => Literal::Other,
        },
        Some(_) => Literal::Other,
    }
}
