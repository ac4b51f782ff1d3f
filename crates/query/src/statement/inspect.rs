//! Walks a parsed statement: which kinds are in it, how deep it is, how large its plan will be, which tables it names.
//! Always: a kind passes only because it is named here; everything else is refused, however deep it stands.

use std::{
    collections::{BTreeSet, HashMap},
    ops::ControlFlow,
};

use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Query, Select, SetExpr, Statement, Visit, Visitor};

use crate::QueryError;

/// Queries and tables in a statement after every WITH query has been written out where it is used, as the planner
/// does: `WITH a AS (…), b AS (SELECT * FROM a, a), c AS (SELECT * FROM b, b) …` doubles with each step.
const PLAN_NODES_MAX: usize = 2_000;

/// Returns the last part of every table's name.
pub(super) fn inspect(
    statement: &Statement,
    depth_max: usize,
    first_word: Option<&str>,
) -> Result<BTreeSet<String>, QueryError> {
    let mut inspector = Inspector {
        depth_max,
        first_word: first_word.unwrap_or("this statement"),
        depth: 0,
        steps_back: Vec::new(),
        queries: Vec::new(),
        bodies: HashMap::new(),
        named: HashMap::new(),
        tables: BTreeSet::new(),
        statements: 0,
    };
    match statement.visit(&mut inspector) {
        ControlFlow::Continue(()) => Ok(inspector.tables),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Inspector<'a> {
    depth_max: usize,
    first_word: &'a str,
    /// Levels above the node that is being looked at.
    depth: usize,
    /// What each open query and SELECT added to `depth`.
    steps_back: Vec<usize>,
    /// The open queries, outermost first.
    queries: Vec<OpenQuery>,
    /// Where the queries named by WITH stand in memory, to know them when they are reached.
    bodies: HashMap<*const Query, String>,
    /// The WITH queries seen so far. Of two with one name the larger counts.
    named: HashMap<String, Extent>,
    tables: BTreeSet<String>,
    statements: usize,
}

#[derive(Default)]
struct OpenQuery {
    extent: Extent,
    depth_at_start: usize,
}

/// How much a query is once it is written out.
#[derive(Default, Clone, Copy)]
struct Extent {
    nodes: usize,
    depth: usize,
}

type Flow = ControlFlow<QueryError>;

impl Inspector<'_> {
    fn kind(&self, what: &str) -> Flow {
        ControlFlow::Break(QueryError::Kind(what.to_owned()))
    }

    /// Goes down `levels`; the tree's deepest place is remembered by the open query.
    fn down(&mut self, levels: usize) -> Flow {
        self.depth += levels;
        self.reach(self.depth)
    }

    fn reach(&mut self, depth: usize) -> Flow {
        if depth > self.depth_max {
            return ControlFlow::Break(QueryError::Depth { depth_max: self.depth_max });
        }
        if let Some(query) = self.queries.last_mut() {
            query.extent.depth = query.extent.depth.max(depth - query.depth_at_start);
        }
        ControlFlow::Continue(())
    }

    fn grow(&mut self, nodes: usize) -> Flow {
        let Some(query) = self.queries.last_mut() else { return ControlFlow::Continue(()) };
        query.extent.nodes = query.extent.nodes.saturating_add(nodes);
        if query.extent.nodes > PLAN_NODES_MAX {
            return ControlFlow::Break(QueryError::Size(format!(
                "it has more than {PLAN_NODES_MAX} queries and tables once its WITH queries are written out"
            )));
        }
        ControlFlow::Continue(())
    }
}

impl Visitor for Inspector<'_> {
    type Break = QueryError;

    fn pre_visit_statement(&mut self, statement: &Statement) -> Flow {
        self.statements += 1;
        match statement {
            Statement::Query(_) => ControlFlow::Continue(()),
            Statement::ExplainTable { .. } | Statement::ShowTables { .. } if self.statements == 1 => {
                ControlFlow::Continue(())
            }
            Statement::Explain { statement, .. } if self.statements == 1 => match **statement {
                Statement::Query(_) => ControlFlow::Continue(()),
                _ => self.kind("EXPLAIN of anything but a query"),
            },
            // Below the first level only queries are statements: INSERT inside WITH, for one.
            _ if self.statements > 1 => self.kind("a statement that changes data inside a query"),
            _ => self.kind(self.first_word),
        }
    }

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        if !query.locks.is_empty() {
            return self.kind("SELECT … FOR UPDATE");
        }
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.bodies.insert(&raw const *cte.query, cte.alias.name.value.clone());
        }
        self.queries.push(OpenQuery { extent: Extent::default(), depth_at_start: self.depth });
        let levels = 1 + set_operations(&query.body);
        self.steps_back.push(levels);
        self.grow(levels)?;
        self.down(levels)
    }

    fn post_visit_query(&mut self, query: &Query) -> Flow {
        self.depth -= self.steps_back.pop().unwrap_or_default();
        let Some(OpenQuery { extent, .. }) = self.queries.pop() else { return ControlFlow::Continue(()) };
        match self.bodies.remove(&(&raw const *query)) {
            Some(name) => {
                let known = self.named.entry(name).or_default();
                known.nodes = known.nodes.max(extent.nodes);
                known.depth = known.depth.max(extent.depth);
            }
            None => {
                self.reach(self.depth + extent.depth)?;
                self.grow(extent.nodes)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        if select.into.is_some() {
            return self.kind("SELECT … INTO");
        }
        // The planner makes a chain of the tables of FROM.
        let tables: usize = select.from.iter().map(|from| 1 + from.joins.len()).sum();
        self.steps_back.push(tables);
        self.down(tables)
    }

    fn post_visit_select(&mut self, _: &Select) -> Flow {
        self.depth -= self.steps_back.pop().unwrap_or_default();
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Flow {
        let Some(name) = relation.0.last().and_then(|part| part.as_ident()) else {
            return self.kind("a table name that is a function");
        };
        let used = match self.named.get(&name.value) {
            Some(&extent) if relation.0.len() == 1 => extent,
            _ => Extent { nodes: 1, depth: 0 },
        };
        self.tables.insert(name.value.clone());
        self.grow(used.nodes)?;
        self.reach(self.depth + used.depth)
    }

    fn pre_visit_expr(&mut self, _: &Expr) -> Flow {
        self.down(1)
    }

    fn post_visit_expr(&mut self, _: &Expr) -> Flow {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// How many UNIONs and the like a body has; `a UNION b UNION c` is ((a, b), c), so the left side is a loop.
fn set_operations(body: &SetExpr) -> usize {
    let mut count = 0;
    let mut body = body;
    while let SetExpr::SetOperation { left, right, .. } = body {
        count += 1 + match **right {
            SetExpr::SetOperation { .. } => set_operations(right),
            _ => 0,
        };
        body = left;
    }
    count
}
