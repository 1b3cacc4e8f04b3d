//! The pages of one entity: those in memory, and for a query also those at rest.
//!
//! Nearly every entity has exactly one page in memory, the newest, so that one lives inside the
//! entity and costs no allocation. What is *not* here: when pages are loaded, stored and forgotten
//! (the engine's), and what stands in them (the kinds').

use crate::codec;
use crate::kind::PageLoader;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

/// The pages in memory, by number.
#[derive(Debug)]
pub struct LivePages<P>(SmallVec<[Live<P>; 1]>);

#[derive(Debug)]
struct Live<P> {
    number: u32,
    changed: bool,
    page: P,
}

/// A page in memory that an event is applied to.
pub(crate) struct Touched<'a, P> {
    pub(crate) page: &'a mut P,
    pub(crate) changed: &'a mut bool,
}

impl<P> Default for LivePages<P> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<P> LivePages<P> {
    fn find(&self, number: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&number, |live| live.number)
    }

    /// A page, if it is in memory.
    pub fn get(&self, number: u32) -> Option<&P> {
        Some(&self.0[self.find(number).ok()?].page)
    }

    /// The number of the newest page in memory; 0 if there is none.
    pub(crate) fn newest(&self) -> usize {
        self.0.last().map_or(0, |live| live.number as usize)
    }

    pub(crate) fn touch(&mut self, number: u32) -> Option<Touched<'_, P>> {
        let at = self.find(number).ok()?;
        let Live { page, changed, .. } = &mut self.0[at];
        Some(Touched { page, changed })
    }

    /// Puts a page there, as it is at rest.
    pub(crate) fn put(&mut self, number: u32, page: P) {
        let live = Live { number, changed: false, page };
        match self.find(number) {
            Ok(at) => self.0[at] = live,
            Err(at) => self.0.insert(at, live),
        }
    }

    /// The pages changed since the last call, in order.
    pub(crate) fn take_changed(&mut self) -> impl Iterator<Item = (u32, &P)> {
        let changed = self.0.iter_mut().filter_map(|live| {
            let changed = std::mem::take(&mut live.changed);
            changed.then_some(&*live)
        });
        changed.map(|live| (live.number, &live.page))
    }

    /// Forgets the unchanged pages except this one.
    pub(crate) fn forget_but(&mut self, number: u32) {
        self.0.retain(|live| live.changed || live.number == number);
        self.0.shrink_to_fit();
    }
}

/// The pages of one entity, for a query: those in memory first, else loaded from rest.
pub struct Pages<'a, P> {
    live: &'a LivePages<P>,
    loader: &'a mut PageLoader<'a>,
}

impl<'a, P: Default + DeserializeOwned> Pages<'a, P> {
    /// Pages in memory, and how to get the others.
    pub fn new(live: &'a LivePages<P>, loader: &'a mut PageLoader<'a>) -> Self {
        Self { live, loader }
    }

    /// Looks at one page. One that was never written, or whose bytes do not decode, is
    /// `Page::default()`.
    pub fn with<R>(&mut self, page: u32, look: impl FnOnce(&P) -> R) -> R {
        if let Some(live) = self.live.get(page) {
            return look(live);
        }
        let stored = (self.loader)(page).and_then(|bytes| codec::decode(&bytes).ok());
        look(&stored.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_found_changed_and_forgotten_by_number() {
        let mut pages = LivePages::default();
        for number in [7, 2, 9] {
            pages.put(number, number * 10);
        }
        assert!(pages.touch(3).is_none());
        for number in [9, 2] {
            let touched = pages.touch(number).expect("it was put there");
            *touched.page += 1;
            *touched.changed = true;
        }
        let changed: Vec<_> = pages.take_changed().map(|(number, page)| (number, *page)).collect();
        assert_eq!(changed, [(2, 21), (9, 91)]);
        assert_eq!(pages.take_changed().count(), 0);

        *pages.touch(2).expect("still there").changed = true;
        pages.forget_but(7);
        assert_eq!([2, 7, 9].map(|number| pages.get(number).copied()), [Some(21), Some(70), None]);
        pages.put(7, 0);
        assert_eq!(pages.get(7), Some(&0));
    }
}
