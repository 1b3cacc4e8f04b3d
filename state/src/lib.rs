//! What survives a crash: the disk, the journal, the store and the images.
//!
//! The journal is the truth, the store what makes a start fast. Nothing here knows what a payment
//! is, and nothing here has a runtime: everything is a plain structure over [`disk::Disk`], so that
//! tests and the simulator drive it on a faulty disk.

pub mod directory;
pub mod disk;
pub mod frame;
pub mod image;
pub mod journal;
pub mod origin;
pub mod row;
pub mod snapshot;
pub mod store;
