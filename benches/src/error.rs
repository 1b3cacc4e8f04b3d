//! Why a bench has no figures to show.

use std::io;
use std::path::{Path, PathBuf};

/// Why a bench has no figures to show.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a connection failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A part of the engine failed.
    #[error("the engine failed: {0}")]
    Engine(String),
    /// The two sides of a comparison did not do the same.
    #[error("the two sides differ: {0}")]
    Differ(String),
    /// An event was not what it should be.
    #[error("event {number} of the feed cannot be taken: {why}")]
    Event {
        /// Which one.
        number: u64,
        /// Why.
        why: String,
    },
    /// A process that was started for the bench failed.
    #[error("the bench's helper process failed: {0}")]
    Helper(String),
}

impl Error {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    pub(crate) fn engine(error: impl std::fmt::Display) -> Self {
        Self::Engine(error.to_string())
    }
}
