//! Looks for a text in every file of a data directory, in all the ways in which bytes are written.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

/// A text in the ways bytes are written. Base64 at its three alignments.
pub fn needles(stem: &str) -> Vec<Vec<u8>> {
    let mut needles = vec![stem.as_bytes().to_vec(), stem.chars().rev().collect::<String>().into_bytes()];
    let hex: String = stem.bytes().map(|byte| format!("{byte:02x}")).collect();
    needles.push(hex.to_uppercase().into_bytes());
    needles.push(hex.into_bytes());
    needles.push(stem.encode_utf16().flat_map(u16::to_le_bytes).collect());
    for shift in 0..3 {
        let encoded = STANDARD_NO_PAD.encode(&stem.as_bytes()[shift..]);
        needles.push(encoded.as_bytes()[..encoded.len() - 2].to_vec());
    }
    needles
}

/// Looks through every file, as it is and inside what it compresses. Returns the files.
pub fn search(stem: &str, data: &Path, log: &Path) -> Vec<PathBuf> {
    let needles = needles(stem);
    let mut files = vec![log.to_owned()];
    let mut directories = vec![data.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { directories.push(path) } else { files.push(path) }
        }
    }
    for file in &files {
        // A file may be removed while the server runs.
        let Ok(bytes) = std::fs::read(file) else { continue };
        let found = find(&bytes, &needles);
        assert!(found.is_none(), "{}: {found:?}", file.display());
        if file.extension().is_some_and(|end| end == "parquet") && !bytes.is_empty() {
            let cells = parquet_cells(file);
            let found = find(cells.as_bytes(), &needles);
            assert!(found.is_none(), "{} (pages): {found:?}", file.display());
        }
    }
    files
}

pub fn find(bytes: &[u8], needles: &[Vec<u8>]) -> Option<String> {
    needles
        .iter()
        .find(|needle| memchr::memmem::find(bytes, needle).is_some())
        .map(|needle| String::from_utf8_lossy(needle).into_owned())
}

/// Every cell and every footer entry of a Parquet file, as text.
pub fn parquet_cells(path: &Path) -> String {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let mut file = std::fs::File::open(path).unwrap();
    let mut magic = [0; 4];
    file.read_exact(&mut magic).unwrap();
    assert_eq!(&magic, b"PAR1", "{}", path.display());
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
    let mut text = format!("{:?}", reader.metadata());
    for batch in reader.build().unwrap() {
        text.push_str(&format!("{:?}", batch.unwrap().columns()));
    }
    text
}
