//! Files of events, and standard input: opened, unpacked, and how they are written.
//! Always: whatever is not a file that can be read is said with its name. Does not read.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;

use super::error::ClientError;
use crate::cli::Input;

const PACKED_EXTENSION: &str = "gz";

pub struct Opened {
    pub reader: Box<dyn Read + Send>,
    /// Of a file that is not packed.
    pub bytes: Option<u64>,
    pub is_stdin: bool,
    /// For people.
    pub name: String,
}

/// Opens a file, or standard input for `-`; a file named `*.gz` is unpacked.
pub fn open(path: &Path) -> Result<Opened, ClientError> {
    if path.as_os_str() == "-" {
        let name = "standard input".to_owned();
        return Ok(Opened { reader: Box::new(io::stdin()), bytes: None, is_stdin: true, name });
    }
    let name = path.display().to_string();
    let open = || {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        io::Result::Ok((file, metadata))
    };
    let (file, metadata) = open().map_err(|error| {
        ClientError::usage(format!("cannot read {name}: {error}"), "name a file, or - for standard input")
    })?;
    if metadata.is_dir() {
        return Err(ClientError::usage(format!("{name} is a directory"), "name one file at a time"));
    }
    let packed = is_packed(path);
    let bytes = (metadata.is_file() && !packed).then_some(metadata.len());
    let reader: Box<dyn Read + Send> =
        if packed { Box::new(MultiGzDecoder::new(io::BufReader::new(file))) } else { Box::new(file) };
    Ok(Opened { reader, bytes, is_stdin: false, name })
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == PACKED_EXTENSION)
}

/// What a file's name says of how it is written.
pub fn written_as(path: &Path) -> Input {
    let name = if is_packed(path) { path.with_extension("") } else { path.to_owned() };
    if name.extension().is_some_and(|extension| extension == "json") { Input::Json } else { Input::Ndjson }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_how_a_file_is_written() {
        for (name, input) in [
            ("a.json", Input::Json),
            ("a.json.gz", Input::Json),
            ("a.ndjson", Input::Ndjson),
            ("a.ndjson.gz", Input::Ndjson),
            ("a.gz", Input::Ndjson),
            ("json", Input::Ndjson),
            ("-", Input::Ndjson),
        ] {
            assert_eq!(written_as(Path::new(name)), input, "{name}");
        }
    }
}
