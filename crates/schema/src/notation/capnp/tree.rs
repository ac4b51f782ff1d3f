//! What a Cap'n Proto schema says, as it is written: nothing is looked up yet.

/// A name with its byte.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Name {
    pub text: String,
    pub at: usize,
}

/// `Outer.Inner`, `.Absolute`, or `import "file".Name`.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub import: Option<String>,
    /// It begins with a dot: the file's own level.
    pub absolute: bool,
    pub names: Vec<Name>,
    pub at: usize,
}

#[derive(Debug, Clone)]
pub(super) struct TypeName {
    pub path: Path,
    pub arguments: Vec<TypeName>,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Integer {
        negative: bool,
        digits: u64,
    },
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// `true`, `void`, an enumerant, or a constant's name.
    Named(Path),
    List,
    Struct,
}

/// `$Metadata.hash.sha256`, `$Cxx.namespace("x")`.
#[derive(Debug, Clone)]
pub(super) struct Annotation {
    pub path: Path,
    pub value: Option<Value>,
}

#[derive(Debug)]
pub(super) struct FieldTree {
    pub name: Name,
    pub ordinal: u16,
    pub ty: TypeName,
    pub default: Option<(Value, usize)>,
    pub annotations: Vec<Annotation>,
}

#[derive(Debug)]
pub(super) enum MemberTree {
    Field(FieldTree),
    /// Without a name, its members stand beside those of what is around it.
    Union {
        name: Option<Name>,
        ordinal: Option<u16>,
        at: usize,
        members: Vec<MemberTree>,
        annotations: Vec<Annotation>,
    },
    Group {
        name: Name,
        members: Vec<MemberTree>,
        annotations: Vec<Annotation>,
    },
}

#[derive(Debug)]
pub(super) struct StructTree {
    pub name: Name,
    pub generic: bool,
    pub members: Vec<MemberTree>,
    pub nested: Vec<Declaration>,
    pub annotations: Vec<Annotation>,
}

#[derive(Debug)]
pub(super) enum Declaration {
    Struct(StructTree),
    /// Its enumerants by their numbers.
    Enum {
        name: Name,
        enumerants: Vec<Name>,
    },
    Using {
        name: Name,
        target: Path,
    },
    Const {
        name: Name,
        value: Value,
    },
    /// An interface or an annotation: known by name, and no type of a field.
    Other {
        name: Name,
        kind: &'static str,
        nested: Vec<Declaration>,
    },
}

#[derive(Debug, Default)]
pub(super) struct FileTree {
    pub declarations: Vec<Declaration>,
    pub annotations: Vec<Annotation>,
}

impl Declaration {
    pub fn name(&self) -> &Name {
        match self {
            Declaration::Struct(tree) => &tree.name,
            Declaration::Enum { name, .. }
            | Declaration::Using { name, .. }
            | Declaration::Const { name, .. }
            | Declaration::Other { name, .. } => name,
        }
    }

    pub fn nested(&self) -> &[Declaration] {
        match self {
            Declaration::Struct(tree) => &tree.nested,
            Declaration::Other { nested, .. } => nested,
            _ => &[],
        }
    }
}
