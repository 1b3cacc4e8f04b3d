//! Memory over overlay over image, as one run of entries in key order: what scans answer and what a
//! new image is written from. What is *not* here: more than a page of the overlay and a block of
//! the image at a time.

use super::kv::Kv;
use super::recent::{Line, Recent};
use super::view::{SCAN_ENTRIES, View, successor, unwrap};
use super::{Error, kv_error};
use crate::image::{Cache, Cursor};

/// Takes one entry; says whether it wants more.
type Take<'a> = dyn FnMut(&[u8], &[u8]) -> Result<bool, Error> + 'a;

/// Where a merge begins and ends, and how it reads.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) from: &'a [u8],
    pub(super) to: Option<&'a [u8]>,
    /// How many entries are wanted at most, if that is few.
    pub(super) limit: usize,
    /// For blocks that are worth keeping.
    pub(super) cache: Option<&'a Cache>,
}

impl Span<'_> {
    /// Everything, read once.
    pub(super) const ALL: Span<'static> =
        Span { from: &[], to: None, limit: usize::MAX, cache: None };
}

/// Gives every entry of the span to `take`, until it has enough. `recent` is the view's, locked for
/// as long as this takes, so that nothing moves down past us.
pub(super) fn merge(
    view: &View,
    recent: &Recent,
    kv: &dyn Kv,
    span: Span<'_>,
    take: &mut Take<'_>,
) -> Result<(), Error> {
    let mut top = Top::new(recent.from(span.from));
    let mut middle = Middle::new(kv, &view.tree, span);
    middle.load()?;
    let mut bottom = match &view.image {
        Some(image) => Some(Bottom(image.seek(span.from, span.cache)?)),
        None => None,
    };
    let mut sources: Vec<&mut dyn Source> = vec![&mut top, &mut middle];
    sources.extend(bottom.as_mut().map(|bottom| bottom as &mut dyn Source));
    // A key that is in several places is skipped in all of them; the uppermost is the one that
    // counts.
    while let Some(((key, value), places)) = lowest(&sources) {
        if span.to.is_some_and(|to| key >= to) {
            break;
        }
        if let Some(value) = value
            && !take(key, value)?
        {
            break;
        }
        for (place, source) in sources.iter_mut().enumerate() {
            if places & (1 << place) != 0 {
                source.advance()?;
            }
        }
    }
    Ok(())
}

/// The lowest key with its uppermost value, and the set of places where it is.
fn lowest<'a>(sources: &'a [&mut dyn Source]) -> Option<(Line<'a>, u8)> {
    let mut found: Option<(Line<'_>, u8)> = None;
    for (place, source) in sources.iter().enumerate() {
        let Some((key, value)) = source.peek() else { continue };
        match &mut found {
            Some(((lowest, _), places)) if *lowest == key => *places |= 1 << place,
            Some(((lowest, _), _)) if *lowest < key => {}
            _ => found = Some(((key, value), 1 << place)),
        }
    }
    found
}

/// A run of entries in key order; a value of `None` is a tombstone.
trait Source {
    fn peek(&self) -> Option<Line<'_>>;
    fn advance(&mut self) -> Result<(), Error>;
}

/// What is only in memory.
struct Top<'a, I> {
    rest: I,
    next: Option<Line<'a>>,
}

impl<'a, I: Iterator<Item = Line<'a>>> Top<'a, I> {
    fn new(mut rest: I) -> Self {
        let next = rest.next();
        Self { rest, next }
    }
}

impl<'a, I: Iterator<Item = Line<'a>>> Source for Top<'a, I> {
    fn peek(&self) -> Option<Line<'_>> {
        self.next
    }

    fn advance(&mut self) -> Result<(), Error> {
        self.next = self.rest.next();
        Ok(())
    }
}

/// The overlay, page by page.
struct Middle<'a> {
    kv: &'a dyn Kv,
    tree: &'a str,
    to: Option<&'a [u8]>,
    from: Vec<u8>,
    page: Vec<(Vec<u8>, Vec<u8>)>,
    at: usize,
    page_entries: usize,
}

impl<'a> Middle<'a> {
    fn new(kv: &'a dyn Kv, tree: &'a str, span: Span<'a>) -> Self {
        let page_entries = span.limit.clamp(1, SCAN_ENTRIES);
        let from = span.from.to_vec();
        Self { kv, tree, to: span.to, from, page: Vec::new(), at: 0, page_entries }
    }

    fn load(&mut self) -> Result<(), Error> {
        let page = self.kv.scan(self.tree, &self.from, self.to, self.page_entries);
        self.page = page.map_err(kv_error("scan"))?;
        self.at = 0;
        Ok(())
    }
}

impl Source for Middle<'_> {
    fn peek(&self) -> Option<Line<'_>> {
        self.page.get(self.at).map(|(key, stored)| (key.as_slice(), unwrap(stored)))
    }

    fn advance(&mut self) -> Result<(), Error> {
        self.at += 1;
        if self.at < self.page.len() || self.page.len() < self.page_entries {
            return Ok(());
        }
        let (last, _) = self.page.pop().expect("a full page has a last entry");
        self.from = successor(last);
        self.load()
    }
}

/// The image.
struct Bottom<'a>(Cursor<'a>);

impl Source for Bottom<'_> {
    fn peek(&self) -> Option<Line<'_>> {
        self.0.peek().map(|(key, value)| (key, Some(value)))
    }

    fn advance(&mut self) -> Result<(), Error> {
        Ok(self.0.advance()?)
    }
}
