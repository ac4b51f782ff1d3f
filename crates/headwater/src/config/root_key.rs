//! Where the root key of the vault comes from, as `privacy.root_key` and `headwater vault rotate --to` say it.
//! Parses; reads no key.

use std::{fmt, path::PathBuf};

use super::value::{Unfit, Value};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootKeySource {
    /// 32 bytes, mode 0600.
    File(PathBuf),
    /// 64 hexadecimal digits.
    Env(String),
    /// Prints 64 hexadecimal digits, or 32 bytes. No shell is between: words are parted by white space.
    Command(Vec<String>),
}

impl Value for RootKeySource {
    const TYPE: &'static str = "\"file:PATH\", \"env:NAME\" or \"command:PROGRAM ARGS\"";

    fn from_text(text: &str) -> Result<RootKeySource, Unfit> {
        let hint = "write file:PATH, env:NAME or command:PROGRAM ARGS; never the key itself";
        // What was written may be the key: it is not quoted.
        let unfit = |what: &str| Unfit::new(what.to_owned(), hint);
        let (kind, rest) = text.split_once(':').ok_or_else(|| unfit("this is no source of a root key"))?;
        match kind {
            _ if rest.trim().is_empty() || rest.contains('\0') => {
                Err(unfit("the source of the root key names nothing"))
            }
            "file" => Ok(RootKeySource::File(PathBuf::from(rest))),
            "env" => Ok(RootKeySource::Env(rest.trim().to_owned())),
            "command" => Ok(RootKeySource::Command(rest.split_whitespace().map(str::to_owned).collect())),
            _ => Err(unfit("there is no such source of a root key")),
        }
    }
}

impl fmt::Display for RootKeySource {
    /// Without a command's arguments, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RootKeySource::File(path) => write!(f, "file:{}", path.display()),
            RootKeySource::Env(name) => write!(f, "env:{name}"),
            RootKeySource::Command(words) => {
                write!(f, "command:{}", words.first().map_or("", String::as_str))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart_and_a_key_is_not_quoted() {
        let read = |text: &str| RootKeySource::from_text(text).ok();
        assert_eq!(read("file:/k/root.key"), Some(RootKeySource::File("/k/root.key".into())));
        assert_eq!(read("env:HEADWATER_ROOT"), Some(RootKeySource::Env("HEADWATER_ROOT".into())));
        let command = read("command:vault read -field=key root").unwrap();
        assert_eq!(command.to_string(), "command:vault");
        let key = "ab".repeat(32);
        for bad in [&key, "", "file:", "env: ", "command:  ", "hsm:1", &format!("key:{key}")] {
            let unfit = RootKeySource::from_text(bad).unwrap_err();
            assert!(!format!("{unfit:?}").contains(&key), "{bad}");
        }
    }
}
