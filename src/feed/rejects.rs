//! Lines of input that are no events, kept in a file of their own: one JSON object a line.
//!
//! The file appears with the first reject. What is *not* here: deciding what is rejected.

use super::Error;
use serde::Serialize;
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

/// A line of input that is no event, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Reject {
    /// Which file, where the input has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// Counted from 1.
    pub(crate) line: u64,
    /// One of the codes of the HTTP errors, such as `bad-request`.
    pub(crate) code: Cow<'static, str>,
    /// What is wrong with it.
    pub(crate) reason: String,
}

/// The rejects of one run.
pub(crate) struct Rejects {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    count: u64,
}

impl Rejects {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, file: None, count: 0 }
    }

    pub(crate) fn write(&mut self, reject: &Reject) -> Result<(), Error> {
        self.try_write(reject).map_err(|source| Error::Rejects { path: self.path.clone(), source })
    }

    fn try_write(&mut self, reject: &Reject) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::new(File::create(&self.path)?)),
        };
        serde_json::to_writer(&mut *file, reject)?;
        file.write_all(b"\n")?;
        self.count += 1;
        Ok(())
    }

    /// Makes the file whole. Returns how many there were, and where they are.
    pub(crate) fn finish(mut self) -> Result<(u64, PathBuf), Error> {
        if let Some(file) = &mut self.file
            && let Err(source) = file.flush()
        {
            return Err(Error::Rejects { path: self.path, source });
        }
        Ok((self.count, self.path))
    }
}
