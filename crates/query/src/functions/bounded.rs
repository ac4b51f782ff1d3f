//! A function behind a bound: it is asked how much it will make before it makes it.
//! Always: the same function to the planner (name, types, NULLs); only a call that would make too much differs.
//! The engine's own shortcuts for these few functions are not taken, because they put the bare function back.

use std::{any::Any, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, FieldRef, Schema},
};
use datafusion::{
    common::exec_err,
    error::{DataFusionError, Result},
    logical_expr::{
        ColumnarValue, Documentation, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
        ScalarUDFImpl, Signature, Volatility,
    },
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column},
    },
};

use super::{
    CONSTANT_BYTES_MAX,
    growth::{Growth, growth_of},
};

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
    bytes_max: usize,
}

impl Bounded {
    /// The function itself if its result cannot be many times its arguments.
    pub(super) fn wrap(function: Arc<ScalarUDF>, bytes_max: usize) -> Arc<ScalarUDF> {
        match growth_of(function.name()) {
            Some(growth) => Arc::new(ScalarUDF::from(Bounded { inner: function, growth, bytes_max })),
            None => function,
        }
    }

    pub(super) fn is(function: &ScalarUDF) -> bool {
        let inner: &dyn Any = function.inner().as_ref();
        inner.is::<Bounded>()
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.inner().coerce_types(types)
    }

    fn is_strict(&self) -> bool {
        self.inner.is_strict()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let (rows, bytes_max) = if constant {
            (1, self.bytes_max.min(CONSTANT_BYTES_MAX))
        } else {
            (args.number_rows, self.bytes_max)
        };
        let bytes = self.growth.bytes(&args.args, rows)?;
        if bytes > bytes_max as u64 {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "one call of {} would make {bytes} bytes, at most {bytes_max} are allowed{}",
                self.name(),
                if constant { " for a constant" } else { "" }
            )));
        }
        self.inner.inner().invoke_with_args(args)
    }
}

/// The operator `||` of two texts as a function. Its arguments have one type when it is called.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Concatenate {
    signature: Signature,
}

impl Concatenate {
    pub(super) fn new() -> Concatenate {
        Concatenate { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Concatenate {
    fn name(&self) -> &str {
        "||"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [left, right] => Ok(format!("{} || {}", left.schema_name(), right.schema_name())),
            _ => exec_err!("|| takes two arguments, not {}", args.len()),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [left, _] => Ok(left.clone()),
            _ => exec_err!("|| takes two arguments, not {}", types.len()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arrays = args.args.into_iter().map(|arg| arg.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let fields: Vec<Field> = ["left", "right"]
            .into_iter()
            .zip(&arrays)
            .map(|(name, array)| Field::new(name, array.data_type().clone(), true))
            .collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
        let operand = |name, index| Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>;
        let both = BinaryExpr::new(operand("left", 0), Operator::StringConcat, operand("right", 1));
        both.evaluate(&batch)
    }
}
