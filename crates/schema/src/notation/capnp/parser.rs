//! From words to what they say: a recursive descent over one file.
//! Always: it goes at most `LEVELS_MAX` deep and stops at the first fault, since what follows one can rarely be told.

use super::{
    lexer::{Token, Word, words},
    tree::{
        Annotation, Declaration, FieldTree, FileTree, MemberTree, Name, Path, StructTree, TypeName, Value,
    },
};
use crate::notation::{At, Wrong};

const LEVELS_MAX: usize = 64;
const ORDINAL_MAX: u64 = 65_534;

pub(super) fn parse(text: &str) -> Result<FileTree, Wrong> {
    let words = words(text)?;
    let mut parser = Parser { words: &words, next: 0, end: text.len(), level: 0 };
    let mut file = FileTree::default();
    while !parser.is_done() {
        if parser.eat('@') {
            parser.integer("the file's id")?;
            parser.demand(';')?;
        } else if parser.at_mark('$') {
            file.annotations.extend(parser.annotations()?);
            parser.demand(';')?;
        } else {
            let declaration = parser.declaration()?;
            file.declarations.push(declaration);
        }
    }
    Ok(file)
}

struct Parser<'a> {
    words: &'a [Word],
    next: usize,
    end: usize,
    level: usize,
}

impl Parser<'_> {
    fn is_done(&self) -> bool {
        self.next >= self.words.len()
    }

    fn at(&self) -> usize {
        self.words.get(self.next).map_or(self.end, |word| word.at)
    }

    fn token(&self) -> Option<&Token> {
        self.words.get(self.next).map(|word| &word.token)
    }

    fn at_mark(&self, mark: char) -> bool {
        self.token() == Some(&Token::Mark(mark))
    }

    fn at_word(&self, word: &str) -> bool {
        matches!(self.token(), Some(Token::Name(name)) if name == word)
    }

    /// Is the word behind the next one a name, a mark?
    fn behind(&self) -> Option<&Token> {
        self.words.get(self.next + 1).map(|word| &word.token)
    }

    fn eat(&mut self, mark: char) -> bool {
        let is = self.at_mark(mark);
        self.next += usize::from(is);
        is
    }

    fn demand(&mut self, mark: char) -> Result<(), Wrong> {
        if self.eat(mark) { Ok(()) } else { Err(self.unexpected(&format!("a {mark:?}"))) }
    }

    fn unexpected(&self, expected: &str) -> Wrong {
        let found = match self.token() {
            None => "the file ends".to_owned(),
            Some(Token::Name(name)) => format!("{:?} stands", name.chars().take(60).collect::<String>()),
            Some(Token::Mark(mark)) => format!("{mark:?} stands"),
            Some(Token::Integer(_) | Token::Float(_)) => "a number stands".to_owned(),
            Some(Token::Text(_) | Token::Bytes(_)) => "a text stands".to_owned(),
        };
        let hint =
            "see https://capnproto.org/language.html; a semicolon or a bracket may be missing just before";
        Wrong::new(At(self.at()), format!("{expected} is expected where {found}"), hint)
    }

    fn deeper(&mut self) -> Result<(), Wrong> {
        self.level += 1;
        if self.level <= LEVELS_MAX {
            return Ok(());
        }
        Err(Wrong::new(At(self.at()), format!("nested deeper than {LEVELS_MAX} levels"), "make it flatter"))
    }

    fn name(&mut self, what: &str) -> Result<Name, Wrong> {
        let at = self.at();
        match self.token() {
            Some(Token::Name(text)) => {
                let text = text.clone();
                self.next += 1;
                Ok(Name { text, at })
            }
            _ => Err(self.unexpected(what)),
        }
    }

    fn integer(&mut self, what: &str) -> Result<u64, Wrong> {
        match self.token() {
            Some(&Token::Integer(value)) => {
                self.next += 1;
                Ok(value)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    fn ordinal(&mut self) -> Result<u16, Wrong> {
        let at = self.at();
        let number = self.integer("a field's number")?;
        // Behind the number of a union: that it is meant.
        self.eat('!');
        let fits = (number <= ORDINAL_MAX).then(|| u16::try_from(number).ok()).flatten();
        fits.ok_or_else(|| Wrong::new(At(at), "this number is too large for a field", "number fields from 0"))
    }

    fn declaration(&mut self) -> Result<Declaration, Wrong> {
        self.deeper()?;
        let keyword = self.name("struct, enum, using, const, annotation or interface")?;
        let declaration = match keyword.text.as_str() {
            "struct" => Declaration::Struct(self.structure()?),
            "enum" => self.enumeration()?,
            "using" => self.using()?,
            "const" => self.constant()?,
            "annotation" => {
                let name = self.name("the annotation's name")?;
                self.skip_to_semicolon()?;
                Declaration::Other { name, kind: "an annotation", nested: Vec::new() }
            }
            "interface" => {
                let name = self.name("the interface's name")?;
                while !self.at_mark('{') && !self.is_done() {
                    self.next += 1;
                }
                self.skip_braces()?;
                Declaration::Other { name, kind: "an interface", nested: Vec::new() }
            }
            _ => {
                self.next -= 1;
                return Err(self.unexpected("struct, enum, using, const, annotation or interface"));
            }
        };
        self.level -= 1;
        Ok(declaration)
    }

    fn skip_to_semicolon(&mut self) -> Result<(), Wrong> {
        while !self.at_mark(';') {
            if self.is_done() {
                return Err(self.unexpected("a ';'"));
            }
            self.next += 1;
        }
        self.demand(';')
    }

    fn skip_braces(&mut self) -> Result<(), Wrong> {
        self.demand('{')?;
        let mut open = 1;
        while open > 0 {
            match self.token() {
                None => return Err(self.unexpected("a '}'")),
                Some(Token::Mark('{')) => open += 1,
                Some(Token::Mark('}')) => open -= 1,
                _ => {}
            }
            self.next += 1;
        }
        Ok(())
    }

    fn id(&mut self) -> Result<(), Wrong> {
        if self.eat('@') {
            self.integer("an id")?;
        }
        Ok(())
    }

    fn structure(&mut self) -> Result<StructTree, Wrong> {
        let name = self.name("the struct's name")?;
        let mut generic = false;
        if self.eat('(') {
            generic = true;
            while !self.eat(')') {
                self.name("a parameter")?;
                self.eat(',');
            }
        }
        self.id()?;
        let annotations = self.annotations()?;
        let (mut members, mut nested) = (Vec::new(), Vec::new());
        self.body(&mut members, Some(&mut nested))?;
        Ok(StructTree { name, generic, members, nested, annotations })
    }

    /// `{ … }` of a struct, a union or a group; types are declared in structs only.
    fn body(
        &mut self,
        members: &mut Vec<MemberTree>,
        mut nested: Option<&mut Vec<Declaration>>,
    ) -> Result<(), Wrong> {
        self.deeper()?;
        self.demand('{')?;
        while !self.eat('}') {
            let is_declaration = matches!(self.behind(), Some(Token::Name(_)))
                && ["struct", "enum", "using", "const", "annotation", "interface"]
                    .iter()
                    .any(|keyword| self.at_word(keyword));
            match &mut nested {
                Some(nested) if is_declaration => nested.push(self.declaration()?),
                _ => members.push(self.member()?),
            }
        }
        self.level -= 1;
        Ok(())
    }

    fn member(&mut self) -> Result<MemberTree, Wrong> {
        let at = self.at();
        // `union {`: without a name, it can only be this.
        if self.at_word("union") && matches!(self.behind(), Some(Token::Mark('{' | '@' | '$'))) {
            let is_field = matches!(self.behind(), Some(Token::Mark('@')))
                && matches!(self.words.get(self.next + 3).map(|word| &word.token), Some(Token::Mark(':')));
            if !is_field {
                self.next += 1;
                return self.union(None, None, at);
            }
        }
        let name = self.name("a field's name")?;
        let ordinal = if self.eat('@') { Some(self.ordinal()?) } else { None };
        self.demand(':')?;
        if self.at_word("union") {
            self.next += 1;
            return self.union(Some(name), ordinal, at);
        }
        if self.at_word("group") && ordinal.is_none() {
            self.next += 1;
            let annotations = self.annotations()?;
            let mut members = Vec::new();
            self.body(&mut members, None)?;
            return Ok(MemberTree::Group { name, members, annotations });
        }
        let Some(ordinal) = ordinal else {
            let message = format!("the field {:?} has no number", name.text);
            return Err(Wrong::new(At(name.at), message, "write NAME @NUMBER :TYPE;"));
        };
        let ty = self.type_name()?;
        let default = if self.eat('=') {
            let at = self.at();
            Some((self.value()?, at))
        } else {
            None
        };
        let annotations = self.annotations()?;
        self.demand(';')?;
        Ok(MemberTree::Field(FieldTree { name, ordinal, ty, default, annotations }))
    }

    fn union(&mut self, name: Option<Name>, ordinal: Option<u16>, at: usize) -> Result<MemberTree, Wrong> {
        let ordinal = match ordinal {
            None if self.eat('@') => Some(self.ordinal()?),
            ordinal => ordinal,
        };
        let annotations = self.annotations()?;
        let mut members = Vec::new();
        self.body(&mut members, None)?;
        Ok(MemberTree::Union { name, ordinal, at, members, annotations })
    }

    fn enumeration(&mut self) -> Result<Declaration, Wrong> {
        let name = self.name("the enum's name")?;
        self.id()?;
        self.annotations()?;
        self.demand('{')?;
        let mut numbered: Vec<(u16, Name)> = Vec::new();
        while !self.eat('}') {
            let enumerant = self.name("an enumerant")?;
            self.demand('@')?;
            let number = self.ordinal()?;
            self.annotations()?;
            self.demand(';')?;
            numbered.push((number, enumerant));
        }
        numbered.sort_by_key(|(number, _)| *number);
        if let Some((_, (_, enumerant))) =
            numbered.iter().enumerate().find(|(index, (number, _))| *index != usize::from(*number))
        {
            let message = "enumerants are numbered from 0, without gaps or repeats";
            return Err(Wrong::new(At(enumerant.at), message, "give it the next number"));
        }
        Ok(Declaration::Enum { name, enumerants: numbered.into_iter().map(|(_, name)| name).collect() })
    }

    fn using(&mut self) -> Result<Declaration, Wrong> {
        let at = self.at();
        // `using import "x".Name;` and `using Outer.Name;` name what the last part names.
        let named =
            matches!(self.behind(), Some(Token::Mark('='))).then(|| self.name("a name")).transpose()?;
        if named.is_some() {
            self.demand('=')?;
        }
        let target = self.path()?;
        self.demand(';')?;
        let name = match (named, target.names.last()) {
            (Some(name), _) => name,
            (None, Some(last)) => last.clone(),
            (None, None) => {
                return Err(Wrong::new(At(at), "this names nothing", "write using NAME = import \"FILE\";"));
            }
        };
        Ok(Declaration::Using { name, target })
    }

    fn constant(&mut self) -> Result<Declaration, Wrong> {
        let name = self.name("the constant's name")?;
        self.id()?;
        self.demand(':')?;
        self.type_name()?;
        self.demand('=')?;
        let value = self.value()?;
        self.annotations()?;
        self.demand(';')?;
        Ok(Declaration::Const { name, value })
    }

    fn annotations(&mut self) -> Result<Vec<Annotation>, Wrong> {
        let mut annotations = Vec::new();
        while self.eat('$') {
            let path = self.path()?;
            let value = if self.at_mark('(') { self.annotation_value()? } else { None };
            annotations.push(Annotation { path, value });
        }
        Ok(annotations)
    }

    fn annotation_value(&mut self) -> Result<Option<Value>, Wrong> {
        // `(name = value, …)` is a struct; what is in it is nobody's business here.
        if matches!(self.words.get(self.next + 2).map(|word| &word.token), Some(Token::Mark('='))) {
            return Ok(Some(self.value()?));
        }
        self.demand('(')?;
        let value = self.value()?;
        self.demand(')')?;
        Ok(Some(value))
    }

    fn path(&mut self) -> Result<Path, Wrong> {
        let at = self.at();
        let mut path = Path { import: None, absolute: false, names: Vec::new(), at };
        if self.at_word("import") && matches!(self.behind(), Some(Token::Text(_))) {
            if let Some(Token::Text(file)) = self.behind() {
                path.import = Some(file.clone());
            }
            self.next += 2;
        } else {
            path.absolute = self.eat('.');
            path.names.push(self.name("a name")?);
        }
        while self.eat('.') {
            path.names.push(self.name("a name")?);
        }
        Ok(path)
    }

    fn type_name(&mut self) -> Result<TypeName, Wrong> {
        self.deeper()?;
        let path = self.path()?;
        let mut arguments = Vec::new();
        if self.eat('(') {
            loop {
                arguments.push(self.type_name()?);
                if !self.eat(',') {
                    break;
                }
            }
            self.demand(')')?;
        }
        self.level -= 1;
        Ok(TypeName { path, arguments })
    }

    fn value(&mut self) -> Result<Value, Wrong> {
        let negative = self.eat('-');
        let value = match self.token().cloned() {
            Some(Token::Integer(digits)) => Value::Integer { negative, digits },
            Some(Token::Float(value)) => Value::Float(if negative { -value } else { value }),
            Some(Token::Name(name)) if negative && name == "inf" => Value::Float(f64::NEG_INFINITY),
            _ if negative => return Err(self.unexpected("a number")),
            Some(Token::Text(text)) => Value::Text(text),
            Some(Token::Bytes(bytes)) => Value::Bytes(bytes),
            Some(Token::Name(_)) => return Ok(Value::Named(self.path()?)),
            Some(Token::Mark('.')) => return Ok(Value::Named(self.path()?)),
            Some(Token::Mark('[')) => return self.skip_brackets('[', ']').map(|()| Value::List),
            Some(Token::Mark('(')) => return self.skip_brackets('(', ')').map(|()| Value::Struct),
            _ => return Err(self.unexpected("a value")),
        };
        self.next += 1;
        Ok(value)
    }

    fn skip_brackets(&mut self, open: char, close: char) -> Result<(), Wrong> {
        self.demand(open)?;
        let mut depth = 1;
        while depth > 0 {
            match self.token() {
                None => return Err(self.unexpected(&format!("a {close:?}"))),
                Some(Token::Mark(mark)) if *mark == open => depth += 1,
                Some(Token::Mark(mark)) if *mark == close => depth -= 1,
                _ => {}
            }
            self.next += 1;
        }
        Ok(())
    }
}
