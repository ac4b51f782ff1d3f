//! Tables as of a version: `t VERSION AS OF 7`, `t TIMESTAMP AS OF '2024-05-01T00:00:00Z'`, with or without FOR before it, and
//! `t FOR SYSTEM_TIME AS OF '…'`.
//! Always: what the list of tokens says is what the tree says, or the statement is refused; so whoever only looks at the tokens
//! knows every version that can be read. A table of a version has a name of its own, which no other table can have.
//! Does not know which versions there are.
//!
//! 1. The tokens: each clause becomes an [`AsOf`]; FOR before VERSION or TIMESTAMP is taken out, since the parser does not know it.
//! 2. The tree: each table with a version gets the name of that version, and its own name as its alias.

use std::{collections::BTreeSet, ops::ControlFlow};

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use datafusion::sql::sqlparser::{
    ast::{
        DataType, Expr, Ident, ObjectName, ObjectNamePart, Statement, TableAlias, TableFactor, TableVersion,
        TypedString, Value, VisitMut, VisitorMut,
    },
    keywords::Keyword,
    tokenizer::{Token, TokenWithSpan},
};
use hw_event::Timestamp;

use crate::{AsOf, AsOfMoment, QueryError};

/// Each costs a look into its table's log.
const VERSIONS_MAX: usize = 16;
const SYNTAX: &str = "a version is a number, VERSION AS OF 7, or a time, TIMESTAMP AS OF '2024-05-01T00:00:00Z', behind the table's name";

/// Step 1.
pub(super) fn take(tokens: &mut Vec<TokenWithSpan>) -> Result<Vec<AsOf>, QueryError> {
    // The places of all tokens that are not space.
    let places: Vec<usize> = tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| !matches!(token.token, Token::Whitespace(_)))
        .map(|(place, _)| place)
        .collect();
    let token = |at: usize| places.get(at).map(|place| &tokens[*place].token);
    let keyword = |at: usize| match token(at) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    };
    let (mut found, mut fors) = (Vec::new(), Vec::new());
    for at in 1..places.len() {
        let by = keyword(at);
        if !matches!(by, Keyword::VERSION | Keyword::TIMESTAMP | Keyword::SYSTEM_TIME)
            || keyword(at + 1) != Keyword::AS
            || keyword(at + 2) != Keyword::OF
        {
            continue;
        }
        let has_for = keyword(at - 1) == Keyword::FOR;
        let value = match (by, token(at + 3), token(at + 4)) {
            (Keyword::VERSION, Some(Token::Number(number, _)), _) => Some(number),
            (Keyword::TIMESTAMP | Keyword::SYSTEM_TIME, Some(Token::SingleQuotedString(text)), _) => {
                Some(text)
            }
            (Keyword::TIMESTAMP | Keyword::SYSTEM_TIME, _, Some(Token::SingleQuotedString(text)))
                if keyword(at + 3) == Keyword::TIMESTAMP =>
            {
                Some(text)
            }
            _ => None,
        };
        let Some(value) = value else {
            // Without FOR it may be a column called `version` under the name `of`; what it is else, the parser says.
            match has_for {
                true => return Err(QueryError::Plan(SYNTAX.to_owned())),
                false => continue,
            }
        };
        let moment = moment(by == Keyword::VERSION, value)?;
        let name = at.checked_sub(if has_for { 2 } else { 1 }).and_then(token);
        let Some(Token::Word(name)) = name else { return Err(QueryError::Plan(SYNTAX.to_owned())) };
        if has_for && by != Keyword::SYSTEM_TIME {
            fors.push(places[at - 1]);
        }
        let as_of = AsOf { table: name.value.clone(), moment };
        if !found.contains(&as_of) {
            found.push(as_of);
        }
    }
    if found.len() > VERSIONS_MAX {
        return Err(QueryError::Size(format!(
            "it names {} versions of tables, at most {VERSIONS_MAX}",
            found.len()
        )));
    }
    for place in fors.into_iter().rev() {
        tokens.remove(place);
    }
    Ok(found)
}

fn moment(version: bool, text: &str) -> Result<AsOfMoment, QueryError> {
    if version {
        let number = text.parse().ok().filter(|number| *number <= i64::MAX.unsigned_abs());
        let fault = || QueryError::Plan(format!("{text} is no version: {SYNTAX}"));
        return number.map(AsOfMoment::Version).ok_or_else(fault);
    }
    let nanos = string_to_timestamp_nanos(text);
    let micros = nanos.map(|nanos| nanos.div_euclid(1000));
    micros
        .map(|micros| AsOfMoment::Time(Timestamp(micros)))
        .map_err(|_| QueryError::Plan(format!("'{text}' is no timestamp between 1678 and 2261: {SYNTAX}")))
}

/// Step 2. `tables` gets the names that were given.
pub(super) fn rename(
    statement: &mut Statement,
    known: &[AsOf],
    tables: &mut BTreeSet<String>,
) -> Result<(), QueryError> {
    match statement.visit(&mut Renamer { known, tables }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Renamer<'a> {
    known: &'a [AsOf],
    tables: &'a mut BTreeSet<String>,
}

impl VisitorMut for Renamer<'_> {
    type Break = QueryError;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<QueryError> {
        let TableFactor::Table { name, alias, version, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let Some(version) = version.take() else { return ControlFlow::Continue(()) };
        let refuse = || ControlFlow::Break(QueryError::Plan(SYNTAX.to_owned()));
        let (of_version, value) = match version {
            TableVersion::VersionAsOf(value) => (true, value),
            TableVersion::TimestampAsOf(value) | TableVersion::ForSystemTimeAsOf(value) => (false, value),
            TableVersion::Function(_) | TableVersion::Changes { .. } => return refuse(),
        };
        let text = match (of_version, value) {
            (true, Expr::Value(value)) => match value.value {
                Value::Number(number, _) => number.to_string(),
                _ => return refuse(),
            },
            (false, Expr::Value(value)) => match value.value {
                Value::SingleQuotedString(text) => text,
                _ => return refuse(),
            },
            (false, Expr::TypedString(TypedString { data_type: DataType::Timestamp(..), value, .. })) => {
                match value.value {
                    Value::SingleQuotedString(text) => text,
                    _ => return refuse(),
                }
            }
            _ => return refuse(),
        };
        let moment = match moment(of_version, &text) {
            Ok(moment) => moment,
            Err(error) => return ControlFlow::Break(error),
        };
        let Some(own) = name.0.last().and_then(|part| part.as_ident()).cloned() else { return refuse() };
        let as_of = AsOf { table: own.value.clone(), moment };
        if !self.known.contains(&as_of) {
            return refuse();
        }
        let given = as_of.name();
        if let Some(last) = name.0.last_mut() {
            *last = ObjectNamePart::Identifier(Ident::with_quote('"', given.clone()));
        }
        alias.get_or_insert_with(|| TableAlias { explicit: true, name: own, columns: Vec::new(), at: None });
        self.tables.insert(given);
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, _: &mut ObjectName) -> ControlFlow<QueryError> {
        ControlFlow::Continue(())
    }
}
