//! A directory for the time of a bench, removed at its end.

use crate::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The directory. It is a new one, so nothing that was there before is ever removed.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one in `parent`, by default in the working directory: figures about a disk are worth
    /// nothing on a memory file system, which is where temporary files often are.
    pub fn new(parent: Option<&Path>) -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bellwether-bench-{}-{count}", std::process::id());
        let dir = parent.unwrap_or_else(|| Path::new(".")).join(name);
        std::fs::create_dir_all(&dir).map_err(Error::io("make the directory", &dir))?;
        Ok(Self(dir))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(dir = %self.0.display(), %error, "the bench's directory is left behind");
        }
    }
}
