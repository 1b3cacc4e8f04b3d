//! `import`: tables of another system as domain events, with the guarantees of `ingest`.

use super::{Ended, Error, ingest};
use crate::cli;
use crate::feed::{Item, Unit};
use crate::oulad::Import;

pub(super) fn run(arguments: &cli::Import) -> Result<Ended, Error> {
    let cli::Import::Oulad { dir, feeding } = arguments;
    let import = Import::open(dir)?;
    let producer = feeding.producer.clone().unwrap_or_else(|| import.producer.clone());
    let unit = Unit::Events(import.len() as u64);
    let events = import.lines().enumerate().map(|(number, line)| {
        let line_number = number as u64 + 1;
        Ok(Item { line: line_number, read_bytes: 0, event: Ok(line) })
    });
    let input = ingest::Input { items: events, rejects: &import.rejects, path: dir, unit };
    ingest::send(input, feeding, producer)
}
