//! A bound on the depth of a statement's tree, taken from its flat list of tokens.
//! Always: the tree's depth is at most what is counted here, so whatever passes can be parsed, walked and dropped
//! on the stack of the thread it runs on. It counts too much (a tree of 200 levels may count thousands).

use datafusion::sql::sqlparser::{
    keywords::Keyword,
    tokenizer::{Token, TokenWithSpan},
};

use crate::QueryError;

/// What fits the stack of the threads a statement runs on (`threads::STACK_BYTES`), with room to spare.
const LEVELS_MAX: usize = 4_000;

/// One open parenthesis, or the text itself.
#[derive(Default)]
struct Level {
    /// Tokens since the last comma that could each deepen a tree.
    terms: usize,
    /// UNION and its like chain queries across commas.
    set_operators: usize,
}

pub(super) fn check(tokens: &[TokenWithSpan], depth_max: usize) -> Result<(), QueryError> {
    let mut levels = vec![Level::default()];
    // The sum over `levels`.
    let mut deep = 0;
    for token in tokens {
        let nested = levels.len() > 1;
        let Some(level) = levels.last_mut() else { break };
        match &token.token {
            Token::Whitespace(_) | Token::Number(..) | Token::Period | Token::EOF => continue,
            Token::SingleQuotedString(_) => continue,
            Token::Word(word) if word.keyword == Keyword::NoKeyword => continue,
            Token::Word(word) => match word.keyword {
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS => {
                    level.set_operators += 1
                }
                _ => level.terms += 1,
            },
            Token::Comma => {
                deep -= level.terms;
                level.terms = 0;
                continue;
            }
            Token::LParen | Token::LBracket | Token::LBrace => {
                level.terms += 1;
                levels.push(Level::default());
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                if nested {
                    deep -= level.terms + level.set_operators;
                    levels.pop();
                }
                continue;
            }
            _ => level.terms += 1,
        }
        deep += 1;
        if deep > LEVELS_MAX {
            return Err(QueryError::Depth { depth_max });
        }
    }
    Ok(())
}

/// The statement's first word in upper case, to name its kind in a refusal.
pub(super) fn first_word(tokens: &[TokenWithSpan]) -> Option<String> {
    const CHARS_MAX: usize = 20;
    tokens.iter().find_map(|token| match &token.token {
        Token::Word(word) => Some(word.value.chars().take(CHARS_MAX).collect::<String>().to_uppercase()),
        _ => None,
    })
}

/// False: a statement that starts like this is refused, whatever follows.
pub(super) fn may_begin_a_query(word: &str) -> bool {
    matches!(word, "SELECT" | "WITH" | "VALUES" | "TABLE" | "FROM" | "EXPLAIN" | "SHOW" | "DESCRIBE" | "DESC")
        || !KINDS.contains(&word)
}

/// First words of statements that change something; another word is a slip of the pen and gets the parser's message.
const KINDS: [&str; 44] = [
    "ALTER",
    "ANALYZE",
    "ATTACH",
    "BEGIN",
    "CACHE",
    "CALL",
    "CLOSE",
    "COMMENT",
    "COMMIT",
    "COPY",
    "CREATE",
    "DEALLOCATE",
    "DECLARE",
    "DELETE",
    "DETACH",
    "DISCARD",
    "DO",
    "DROP",
    "EXECUTE",
    "EXPORT",
    "FETCH",
    "FLUSH",
    "GRANT",
    "IMPORT",
    "INSERT",
    "INSTALL",
    "KILL",
    "LISTEN",
    "LOAD",
    "LOCK",
    "MERGE",
    "MSCK",
    "NOTIFY",
    "OPTIMIZE",
    "PRAGMA",
    "PREPARE",
    "REPLACE",
    "RESET",
    "REVOKE",
    "ROLLBACK",
    "SET",
    "TRUNCATE",
    "UPDATE",
    "VACUUM",
];
