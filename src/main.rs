//! The binary.
mod config;
mod feed;
mod oulad;
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() {}
