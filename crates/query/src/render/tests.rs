//! Every type in every format.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
        Float64Array, Int64Array, Int64Builder, MapBuilder, NullArray, StringArray, StringBuilder,
        StringViewArray, Time64NanosecondArray, TimestampMicrosecondArray, TimestampNanosecondArray,
        UInt64Array,
    },
    datatypes::{Field, Int32Type, Schema},
    ipc::reader::StreamReader,
};

use super::*;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|column| column.1).collect())
        .unwrap()
}

fn render(format: Format, batch: &RecordBatch) -> Vec<u8> {
    let mut renderer = Renderer::new(format, &batch.schema());
    let mut out = Vec::new();
    let mut row = 0;
    while row < batch.num_rows() {
        row = renderer.rows(batch, row, &mut out).unwrap();
    }
    renderer.finish(&mut out).unwrap();
    out
}

fn text(format: Format, batch: &RecordBatch) -> String {
    String::from_utf8(render(format, batch)).unwrap()
}

fn one(array: ArrayRef) -> (String, String) {
    let batch = batch(vec![("x", array)]);
    let json = text(Format::Ndjson, &batch);
    let csv = text(Format::Csv, &batch);
    (
        json.trim_end().strip_prefix("{\"x\":").unwrap().strip_suffix('}').unwrap().to_owned(),
        csv.strip_prefix("x\r\n").unwrap().strip_suffix("\r\n").unwrap().to_owned(),
    )
}

#[test]
fn every_type_has_one_text() {
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    map.keys().append_value("a\"b");
    map.values().append_null();
    map.append(true).unwrap();
    let cases: Vec<(ArrayRef, &str, &str)> = vec![
        (Arc::new(Int64Array::from(vec![i64::MIN])), "-9223372036854775808", "-9223372036854775808"),
        (Arc::new(Int64Array::from(vec![9_007_199_254_740_993])), "9007199254740993", "9007199254740993"),
        (Arc::new(UInt64Array::from(vec![u64::MAX])), "18446744073709551615", "18446744073709551615"),
        (Arc::new(Float64Array::from(vec![1.0])), "1.0", "1.0"),
        (Arc::new(Float64Array::from(vec![0.1 + 0.2])), "0.30000000000000004", "0.30000000000000004"),
        (Arc::new(Float64Array::from(vec![1e300])), "1e+300", "1e+300"),
        (Arc::new(Float32Array::from(vec![0.1])), "0.1", "0.1"),
        (Arc::new(Float64Array::from(vec![f64::NAN])), "null", "NaN"),
        (Arc::new(Float64Array::from(vec![f64::INFINITY])), "null", "Infinity"),
        (Arc::new(Float64Array::from(vec![f64::NEG_INFINITY])), "null", "-Infinity"),
        (Arc::new(BooleanArray::from(vec![true])), "true", "true"),
        (
            Arc::new(StringArray::from(vec!["a,\"b\"\n\u{1}é\\"])),
            "\"a,\\\"b\\\"\\n\\u0001é\\\\\"",
            "\"a,\"\"b\"\"\n\u{1}é\\\"",
        ),
        (Arc::new(StringArray::from(vec![""])), "\"\"", "\"\""),
        (Arc::new(StringArray::from(vec![None::<&str>])), "null", ""),
        (
            Arc::new(StringViewArray::from(vec!["a long text that is no inline view"])),
            "\"a long text that is no inline view\"",
            "a long text that is no inline view",
        ),
        (Arc::new(BinaryArray::from(vec![&[0_u8, 255, 16][..]])), "\"AP8Q\"", "AP8Q"),
        (
            Arc::new(Decimal128Array::from(vec![-12345]).with_precision_and_scale(10, 2).unwrap()),
            "\"-123.45\"",
            "-123.45",
        ),
        (
            Arc::new(Decimal128Array::from(vec![5]).with_precision_and_scale(38, 3).unwrap()),
            "\"0.005\"",
            "0.005",
        ),
        (Arc::new(Date32Array::from(vec![19_844])), "\"2024-05-01\"", "2024-05-01"),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC")),
            "\"1970-01-01T00:00:00.000001Z\"",
            "1970-01-01T00:00:00.000001Z",
        ),
        (
            Arc::new(TimestampNanosecondArray::from(vec![1_999])),
            "\"1970-01-01T00:00:00.000001Z\"",
            "1970-01-01T00:00:00.000001Z",
        ),
        (
            Arc::new(Time64NanosecondArray::from(vec![3_600_000_000_000])),
            "\"01:00:00.000000\"",
            "01:00:00.000000",
        ),
        (Arc::new(NullArray::new(1)), "null", ""),
        (Arc::new(DictionaryArray::<Int32Type>::from_iter(["b"])), "\"b\"", "b"),
        (Arc::new(map.finish()), "{\"a\\\"b\":null}", "\"{\"\"a\\\"\"b\"\":null}\""),
    ];
    for (array, json, csv) in cases {
        let kind = array.data_type().clone();
        assert_eq!(one(array), (json.to_owned(), csv.to_owned()), "{kind}");
    }
}

#[test]
fn json_is_whole_with_and_without_rows() {
    let rows = batch(vec![
        ("a", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
        ("b \"c\"", Arc::new(StringArray::from(vec![Some("x"), None]))),
    ]);
    let json: serde_json::Value = serde_json::from_slice(&render(Format::Json, &rows)).unwrap();
    let expected = serde_json::json!({
        "columns": [{"name": "a", "type": "int64"}, {"name": "b \"c\"", "type": "string"}],
        "rows": [[1, "x"], [2, null]],
        "row_count": 2,
    });
    assert_eq!(json, expected);
    let empty: serde_json::Value = serde_json::from_slice(&render(Format::Json, &rows.slice(0, 0))).unwrap();
    assert_eq!(empty["rows"], serde_json::json!([]));
    assert_eq!(empty["row_count"], 0);
    assert_eq!(text(Format::Ndjson, &rows.slice(0, 0)), "");
    assert_eq!(text(Format::Csv, &rows.slice(0, 0)), "a,\"b \"\"c\"\"\"\r\n");
    let no_columns = RecordBatch::new_empty(Arc::new(Schema::empty()));
    assert_eq!(text(Format::Json, &no_columns), "{\"columns\":[],\"rows\":[],\"row_count\":0}\n");
}

#[test]
fn objects_have_no_name_twice() {
    let number = |n| Arc::new(Int64Array::from(vec![n])) as ArrayRef;
    let rows = batch(vec![("x", number(1)), ("x", number(2)), ("x_2", number(3)), ("x", number(4))]);
    assert_eq!(text(Format::Ndjson, &rows), "{\"x\":1,\"x_2\":2,\"x_2_2\":3,\"x_3\":4}\n");
}

#[test]
fn a_piece_ends_soon_after_its_size() {
    let long = "x".repeat(1_000);
    let rows = batch(vec![("x", Arc::new(StringArray::from(vec![long.as_str(); 500])) as ArrayRef)]);
    let mut renderer = Renderer::new(Format::Json, &rows.schema());
    let mut row = 0;
    let mut pieces = 0;
    while row < 500 {
        let mut out = Vec::new();
        row = renderer.rows(&rows, row, &mut out).unwrap();
        assert!(out.len() < PIECE_BYTES + 2_000, "{}", out.len());
        pieces += 1;
    }
    assert_eq!((pieces, renderer.row_count()), (8, 500));
}

#[test]
fn arrow_reads_back_and_carries_no_more_than_its_rows() {
    let secret = "a neighbour's row, not in the answer";
    let views = StringViewArray::from(vec!["a text longer than twelve bytes", secret]);
    let rows = batch(vec![("v", Arc::new(views) as ArrayRef), ("n", Arc::new(Int64Array::from(vec![1, 2])))])
        .slice(0, 1);
    let bytes = render(Format::Arrow, &rows);
    assert!(!String::from_utf8_lossy(&bytes).contains(secret));
    let read: Vec<_> = StreamReader::try_new(bytes.as_slice(), None).unwrap().map(Result::unwrap).collect();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].column(0).as_string::<i64>().value(0), "a text longer than twelve bytes");
    // An answer without rows still has its columns.
    let empty = render(Format::Arrow, &rows.slice(0, 0));
    assert_eq!(StreamReader::try_new(empty.as_slice(), None).unwrap().schema().fields().len(), 2);
}
