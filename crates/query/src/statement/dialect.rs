//! The SQL that is read here, and a budget for reading it.
//! Always: parsing costs at most a few steps a token. The parser tries a construct, fails and tries it another way,
//! each time with everything inside it, so `CAST(CAST(CAST(… )` without its end takes 2ⁿ steps.

use std::{cell::Cell, panic};

use datafusion::sql::sqlparser::{
    ast::Expr,
    dialect::Dialect as Language,
    parser::{Parser, ParserError},
};

const STEPS_PER_TOKEN: usize = 50;
const STEPS_MIN: usize = 10_000;

#[derive(Debug)]
pub(super) struct Dialect {
    steps_left: Cell<usize>,
    /// A table's name may have a version behind it. Only then: `before` and `at` are good names for tables in a join.
    versions: bool,
}

/// The budget is spent.
#[derive(Debug)]
pub(super) struct Exhausted;

impl Dialect {
    pub(super) fn with_budget(tokens: usize, versions: bool) -> Dialect {
        let steps = STEPS_MIN.max(tokens.saturating_mul(STEPS_PER_TOKEN));
        Dialect { steps_left: Cell::new(steps), versions }
    }

    /// For the tokenizer, which is linear.
    pub(super) fn unbounded() -> Dialect {
        Dialect { steps_left: Cell::new(usize::MAX), versions: false }
    }

    fn step(&self) {
        match self.steps_left.get().checked_sub(1) {
            Some(left) => self.steps_left.set(left),
            // No error the parser knows gets past all of its second attempts; an unwinding does. `resume_unwind`
            // because this is no bug, so no panic hook shall print it.
            None => panic::resume_unwind(Box::new(Exhausted)),
        }
    }
}

/// Runs the parser; the outer error says that its dialect's budget is spent.
pub(super) fn within_budget<T>(parse: impl FnOnce() -> T) -> Result<T, Exhausted> {
    // The closure owns the parser, nothing of it is looked at after an unwinding.
    panic::catch_unwind(panic::AssertUnwindSafe(parse)).map_err(|payload| {
        match payload.downcast::<Exhausted>() {
            Ok(exhausted) => *exhausted,
            Err(payload) => panic::resume_unwind(payload),
        }
    })
}

/// The dialect of the engine's documentation, less what changes data or settings.
impl Language for Dialect {
    // Counted: every prefix of an expression, every expression and query, every SELECT.
    fn parse_prefix(&self, _parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        self.step();
        None
    }

    fn prec_unknown(&self) -> u8 {
        self.step();
        0
    }

    fn supports_empty_projections(&self) -> bool {
        self.step();
        false
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"' || ch == '`'
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_' || ch == '$'
    }

    fn supports_table_versioning(&self) -> bool {
        self.versions
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_group_by_with_modifier(&self) -> bool {
        true
    }

    fn supports_left_associative_joins_without_parens(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_dictionary_syntax(&self) -> bool {
        true
    }

    fn supports_struct_literal(&self) -> bool {
        true
    }

    fn support_map_literal_syntax(&self) -> bool {
        true
    }

    fn supports_array_typedef_with_brackets(&self) -> bool {
        true
    }

    fn supports_select_wildcard_except(&self) -> bool {
        true
    }

    fn supports_select_wildcard_exclude(&self) -> bool {
        true
    }

    fn supports_select_wildcard_replace(&self) -> bool {
        true
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    fn allow_extract_single_quotes(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    fn supports_values_as_table_factor(&self) -> bool {
        true
    }

    fn supports_limit_comma(&self) -> bool {
        true
    }

    fn supports_from_first_select(&self) -> bool {
        true
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_assignment_operator(&self) -> bool {
        true
    }

    fn supports_string_escape_constant(&self) -> bool {
        true
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn supports_interval_options(&self) -> bool {
        true
    }

    fn supports_explain_with_utility_options(&self) -> bool {
        true
    }
}
