//! What has to be done by another process is done by this binary, started again with a hidden verb:
//! both have the same allocator, there is nothing to install, and a client's work is not counted as
//! the server's.

use crate::Error;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A way to start this binary again.
#[derive(Clone, Debug)]
pub struct Helper {
    binary: PathBuf,
}

impl Helper {
    /// This binary.
    ///
    /// # Errors
    /// The system does not say which file it is.
    pub fn ourselves() -> Result<Self, Error> {
        let binary = std::env::current_exe().map_err(|error| Error::Helper(error.to_string()))?;
        Ok(Self { binary })
    }

    /// Starts it with these arguments; its output can be read.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&self, arguments: &[String]) -> Result<Child, Error> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().map_err(|error| Error::Helper(error.to_string()))
    }

    /// Runs it with these arguments to its end, and reads the figures it prints.
    ///
    /// # Errors
    /// It does not start, fails, or prints something else.
    pub fn run<F: DeserializeOwned>(&self, arguments: &[String]) -> Result<F, Error> {
        let failed = |why: String| Error::Helper(why);
        let mut command = Command::new(&self.binary);
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = command.output().map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(output.status.to_string()));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
    }
}
