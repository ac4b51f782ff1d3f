//! Looks for a text in every file of a data directory, in all the ways in which bytes are written.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use arrow::array::{Array, ArrayData};
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
            let found = find_in_parquet(file, &needles);
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

/// In every cell and every footer entry of a Parquet file.
pub fn find_in_parquet(path: &Path, needles: &[Vec<u8>]) -> Option<String> {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let mut file = std::fs::File::open(path).unwrap();
    let mut magic = [0; 4];
    file.read_exact(&mut magic).unwrap();
    assert_eq!(&magic, b"PAR1", "{}", path.display());
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
    let footer = format!("{:?}", reader.metadata());
    find(footer.as_bytes(), needles).or_else(|| {
        reader.build().unwrap().find_map(|batch| {
            batch.unwrap().columns().iter().find_map(|column| find_in_buffers(&column.to_data(), needles))
        })
    })
}

/// The bytes that the values lie in, one behind the other: to print an array would leave out those in its middle.
fn find_in_buffers(data: &ArrayData, needles: &[Vec<u8>]) -> Option<String> {
    let own = data.buffers().iter().find_map(|buffer| find(buffer.as_slice(), needles));
    own.or_else(|| data.child_data().iter().find_map(|child| find_in_buffers(child, needles)))
}
