//! Stand-ins for the kinds that a payment tells, until they are here.

use crate::effects::Effects;
use crate::entity::{Entity, Outcome, Pages, Tell};
use crate::event::{DomainEvent, Unfit};
use serde::{Deserialize, Serialize};

macro_rules! neighbour {
    ($name:ident, $kind:literal, $event:ty) => {
        #[derive(Default, Serialize, Deserialize)]
        pub(super) struct $name;
        impl Entity for $name {
            const KIND: &'static str = $kind;
            type Event = $event;
            type Page = ();
            type View = ();
            type Query = ();
            type Answer = ();
            fn hear(_: &DomainEvent<'_>, _: &mut Tell<'_, Self>) -> Result<(), Unfit> {
                Ok(())
            }
            fn apply(&mut self, _: Option<&mut ()>, _: $event, _: &mut Effects) -> Outcome {
                Outcome::Ignored
            }
            fn view(&self, _: &str) {}
            fn ask(&self, _: &str, (): (), _: &mut Pages<'_, ()>) {}
        }
    };
}
neighbour!(Course, "course", crate::course::Event);
