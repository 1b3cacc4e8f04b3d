//! The table of kinds as the engine uses it: the product's kinds, and the engine's own for dead
//! letters.

use actors::deadletter::DeadLetter;
use actors::{Kind, KindId};

/// The kinds of this process, by id and by name.
#[derive(Clone, Copy, Debug)]
pub struct Kinds {
    table: &'static [Kind],
    dead_letter: Kind,
}

impl Kinds {
    /// The product's kinds, in the order that the data directory knows.
    ///
    /// # Panics
    /// The table has more than 255 lines.
    pub fn new(table: &'static [Kind]) -> Self {
        assert!(table.len() < usize::from(KindId::DEAD_LETTER.0), "{} kinds", table.len());
        Self { table, dead_letter: Kind::of::<DeadLetter>() }
    }

    /// The kind with this id. `None` if a record names a kind that this build does not know.
    pub fn get(&self, id: KindId) -> Option<&Kind> {
        if id == KindId::DEAD_LETTER {
            return Some(&self.dead_letter);
        }
        self.table.get(usize::from(id.0))
    }

    /// The id of the kind with this name.
    pub fn id(&self, name: &str) -> Option<KindId> {
        self.all().find(|(_, kind)| kind.name == name).map(|(id, _)| id)
    }

    /// The product's kinds, without the engine's own.
    pub fn table(&self) -> &'static [Kind] {
        self.table
    }

    /// Every kind, the engine's own last.
    pub fn all(&self) -> impl Iterator<Item = (KindId, &Kind)> {
        let ours = std::iter::once((KindId::DEAD_LETTER, &self.dead_letter));
        self.product().chain(ours)
    }

    /// The product's kinds with their ids: those that hear domain events.
    pub fn product(&self) -> impl Iterator<Item = (KindId, &Kind)> {
        self.table.iter().enumerate().map(|(index, kind)| {
            (KindId(u8::try_from(index).expect("checked when the table was given")), kind)
        })
    }
}
