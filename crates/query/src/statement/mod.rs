//! From text to a statement that may be planned, or the reason why not.
//! Always: whatever the text, this ends in bounded time and stack, and what it returns reads data and does nothing
//! else: no kind of statement passes that is not named here. Does not know the tables.
//!
//! 1. The text's length.
//! 2. Its tokens (flat), a first bound on how deep a tree they can make (`lexical`), and which versions of tables they name
//!    (`as_of`).
//! 3. The parser, with a budget, because it backtracks (`dialect`).
//! 4. The tree: kinds, exact depth, and size once WITH queries are unfolded (`inspect`); then tables with a version get its name.

mod as_of;
mod dialect;
mod inspect;
mod lexical;

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::{
    ast::{ObjectName, Statement},
    parser::{Parser, ParserError},
    tokenizer::{Token, TokenWithSpan, Tokenizer},
};

use crate::{AsOf, Names, QueryError};
use dialect::{Dialect, Exhausted};

/// The parser goes a few levels deeper than the tree it makes; the tree's own limit is exact.
const PARSER_LEVELS_PER_DEPTH: usize = 4;
const PARSER_LEVELS_MIN: usize = 50;

/// Of what is put into a statement of ours.
const EMBEDDED: Limits = Limits { text_bytes_max: 64 * 1024, depth_max: 200 };

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub text_bytes_max: usize,
    pub depth_max: usize,
}

#[derive(Debug)]
pub(crate) struct Checked {
    pub ask: Ask,
    /// The last part of every table's name that stands in the text.
    pub tables: BTreeSet<String>,
    /// Every name that stands in it: more than the tree shows.
    pub names: Names,
}

#[derive(Debug)]
pub(crate) enum Ask {
    /// A query, or EXPLAIN of one.
    Plan(Box<Statement>),
    ShowTables,
    Describe(ObjectName),
}

/// The first two steps, for somebody who hands the text on: cheap, and flat on the stack. Returns every name and every text
/// that stands in it, which are all that can name a table.
pub(crate) fn glance(text: &str, limits: Limits) -> Result<Names, QueryError> {
    let mut tokens = tokens(text, limits)?;
    let as_of = as_of::take(&mut tokens)?;
    Ok(names(&tokens, as_of))
}

/// A condition or an expression of a user stays one thing in a statement of ours if it stands there in parentheses and on
/// lines of its own: it opens and closes its own parentheses, and ends none of ours. Flat on the stack; whether it is one at
/// all the statement says.
pub fn check_embeddable(text: &str) -> Result<(), QueryError> {
    let mut open = 0_usize;
    for token in tokens(text, EMBEDDED)? {
        let ends = match token.token {
            Token::LParen => {
                open += 1;
                false
            }
            Token::RParen => open.checked_sub(1).map(|left| open = left).is_none(),
            Token::SemiColon => true,
            _ => false,
        };
        if ends {
            return Err(QueryError::Text(
                "a condition or an expression must be one, without its own end".to_owned(),
            ));
        }
    }
    match open {
        0 => Ok(()),
        _ => Err(QueryError::Text("a parenthesis is not closed".to_owned())),
    }
}

fn names(tokens: &[TokenWithSpan], as_of: Vec<AsOf>) -> Names {
    let words = tokens.iter().filter_map(|token| match &token.token {
        Token::Word(word) => Some(&word.value),
        // The parser takes some of these for names.
        Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => Some(text),
        Token::TripleSingleQuotedString(text) | Token::TripleDoubleQuotedString(text) => Some(text),
        Token::NationalStringLiteral(text) | Token::EscapedStringLiteral(text) => Some(text),
        Token::UnicodeStringLiteral(text) => Some(text),
        Token::DollarQuotedString(text) => Some(&text.value),
        _ => None,
    });
    Names::new(words.cloned(), as_of)
}

fn tokens(text: &str, limits: Limits) -> Result<Vec<TokenWithSpan>, QueryError> {
    if text.len() > limits.text_bytes_max {
        return Err(QueryError::Size(format!(
            "the text has {} bytes, at most {} are read",
            text.len(),
            limits.text_bytes_max
        )));
    }
    let lexer = Dialect::unbounded();
    let tokens = Tokenizer::new(&lexer, text).tokenize_with_location();
    let tokens = tokens.map_err(|fault| QueryError::from_parser(fault.into(), limits.depth_max))?;
    lexical::check(&tokens, limits.depth_max)?;
    Ok(tokens)
}

pub(crate) fn check(text: &str, limits: Limits) -> Result<Checked, QueryError> {
    let mut tokens = tokens(text, limits)?;
    let as_of = as_of::take(&mut tokens)?;
    let refuse = |error: ParserError| QueryError::from_parser(error, limits.depth_max);
    let dialect = Dialect::with_budget(tokens.len(), !as_of.is_empty());
    let levels = PARSER_LEVELS_MIN.max(limits.depth_max.saturating_mul(PARSER_LEVELS_PER_DEPTH));
    let first_word = lexical::first_word(&tokens);
    let names = names(&tokens, as_of);
    let parsed = dialect::within_budget(|| {
        Parser::new(&dialect)
            .with_recursion_limit(levels)
            .with_tokens_with_locations(tokens)
            .parse_statements()
    });
    let mut statements = match parsed {
        Ok(Ok(statements)) => statements,
        // A statement whose kind is refused anyway is refused as such, whether or not its rest can be parsed.
        Ok(Err(fault)) => {
            return Err(match first_word {
                Some(word) if !lexical::may_begin_a_query(&word) => QueryError::Kind(word),
                _ => refuse(fault),
            });
        }
        Err(Exhausted) => {
            return Err(QueryError::Size("the parser would have to try too many readings of it".to_owned()));
        }
    };
    let mut statement = match statements.len() {
        1 => statements.swap_remove(0),
        0 => return Err(QueryError::Text("there is no statement in it".to_owned())),
        count => return Err(QueryError::Text(format!("one statement at a time, here are {count}"))),
    };
    let mut tables = inspect::inspect(&statement, limits.depth_max, first_word.as_deref())?;
    if !names.as_of().is_empty() {
        as_of::rename(&mut statement, names.as_of(), &mut tables)?;
    }
    let ask = match statement {
        Statement::ShowTables { .. } => {
            if statement.to_string() != "SHOW TABLES" {
                return Err(QueryError::Plan("SHOW TABLES takes no options".to_owned()));
            }
            Ask::ShowTables
        }
        Statement::ExplainTable { table_name, .. } => Ask::Describe(table_name),
        statement => Ask::Plan(Box::new(statement)),
    };
    Ok(Checked { ask, tables, names })
}

#[cfg(test)]
mod tests;
