//! How what is in memory goes down, and becomes durable.
//!
//! A round is any number of shards staged and one commit:
//!
//! 1. stage: the ceiling is made durable; then the rows go into the overlay, or the whole shard
//!    into an image under a temporary name, synced;
//! 2. commit: images get their names and the directory is synced; the overlay is synced;
//! 3. one batch says for all staged shards *replay from*, note, image and tree, and is synced;
//! 4. readers get the new views; trees and images of old ones go when their last reader has gone.
//!
//! Nothing counts before 3, and a crash before it leaves the former checkpoint with newer rows over
//! it at most, which know their positions. What is *not* here: when a round is due.

use super::kv::Batch;
use super::recent::{Line, Recent};
use super::view::{Overlay, View, wrap};
use super::{Checkpoint, CheckpointReport, Error, Form, Store, Write, disk_error, meta};
use crate::image::{Finished, Header, Image, KEY_BYTES_MAX, VALUE_BYTES_MAX, Writer, file_name};
use crate::store::merge::{Span, merge};
use actors::Position;
use std::sync::{Arc, PoisonError};

/// A shard whose rows are where they should be, and that waits for the commit.
pub(super) struct Staged {
    shard: u16,
    replay_from: Position,
    note: Vec<u8>,
    image: Option<(u64, Finished)>,
    report: CheckpointReport,
}

impl Staged {
    /// Whether a view of this shard waits that does not see what is written now.
    pub(super) fn replaces(&self, shard: u16) -> bool {
        self.shard == shard && self.image.is_some()
    }
}

impl Store {
    /// Makes a shard's checkpoint: durable on return.
    ///
    /// # Errors
    /// See [`Self::stage`] and [`Self::commit`].
    pub fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<CheckpointReport, Error> {
        self.stage(checkpoint)?;
        let mut reports = self.commit()?;
        Ok(reports.pop().expect("what was staged is reported"))
    }

    /// Brings a shard's rows to where a checkpoint needs them. It counts from the next commit on.
    ///
    /// # Errors
    /// The key-value store or the disk fails, or something does not fit. After a failure of the
    /// disk what was handed over is in memory and readable, and the checkpoint may be tried again
    /// without it.
    pub fn stage(&mut self, checkpoint: Checkpoint) -> Result<(), Error> {
        let Checkpoint { shard, writes, replay_from, note, ceiling } = checkpoint;
        self.raise_ceiling(ceiling)?;
        let again = self.staged.iter().any(|staged| staged.shard == shard);
        let committed = if again { self.commit_staged() } else { Ok(()) };
        // Whatever fails from here on, what was handed over is in memory, and goes down another
        // time.
        self.take_in(shard, writes)?;
        committed?;
        // A worker that began anew before the last commit counted stands behind it for a while.
        // What was covered stays so: the journal may not reach back any more.
        let covered = self.replay_from(shard);
        let (replay_from, note) = match self.shard_note(shard) {
            Some(known) if replay_from < covered => (covered, known),
            _ => (replay_from, note),
        };
        let (form, image, entries, bytes) = if self.wants_image(shard, replay_from) {
            let (generation, image) = self.write_image(shard, replay_from, &note)?;
            let (entries, bytes) = (image.entries, image.bytes);
            (Form::Image, Some((generation, image)), entries, bytes)
        } else {
            let (entries, bytes) = self.move_down(shard)?;
            (Form::Overlay, None, entries, bytes)
        };
        let report = CheckpointReport { shard, form, entries, bytes };
        self.staged.push(Staged { shard, replay_from, note, image, report });
        self.make_room()
    }

    /// Makes all staged checkpoints count, and reports those that did since the last commit.
    ///
    /// # Errors
    /// The key-value store or the disk fails. Then none of the staged ones counts.
    pub fn commit(&mut self) -> Result<Vec<CheckpointReport>, Error> {
        self.alive()?;
        self.commit_staged()?;
        Ok(std::mem::take(&mut self.reports))
    }

    /// Takes writes into memory.
    pub(super) fn take_in(&mut self, shard: u16, writes: Vec<Write>) -> Result<(), Error> {
        if writes.is_empty() {
            return Ok(());
        }
        writes.iter().flat_map(|write| &write.entries).try_for_each(fits)?;
        let view = self.shared.view(shard);
        let listed = view.list_overlay(&*self.shared.kv);
        self.judged(listed)?;
        let mut rows = 0;
        view.with_recent(|recent| {
            let mut row = |key: &[u8], before: Option<bool>, now: bool| {
                let before = before.unwrap_or_else(|| view.may_contain_below(key));
                rows += i64::from(now) - i64::from(before);
            };
            for write in writes {
                recent.insert(write, &mut row);
            }
        });
        view.add_rows(rows);
        Ok(())
    }

    /// Moves down what is too much for memory: what is staged already by committing it, else the
    /// largest shard into its overlay.
    pub(super) fn make_room(&mut self) -> Result<(), Error> {
        let shards = 0..self.options.shards;
        let held = |shard: u16| self.shared.view(shard).recent().bytes();
        let total: usize = shards.clone().map(held).sum();
        if total <= self.options.recent_bytes_max {
            return Ok(());
        }
        if self.staged.iter().any(|staged| staged.image.is_some()) {
            return self.commit_staged();
        }
        let largest = shards.max_by_key(|shard| held(*shard)).expect("there is a shard");
        self.move_down(largest).map(drop)
    }

    fn wants_image(&self, shard: u16, replay_from: Position) -> bool {
        let view = self.shared.view(shard);
        let (recent, overlay) = (view.recent().len() as u64, view.overlay());
        let over = recent + overlay.entries;
        let (under, image_from) = match &view.image {
            Some(image) => (image.entries(), image.header().replay_from),
            None => (0, 0),
        };
        let old = replay_from.saturating_sub(image_from) > self.options.image_age_records_max;
        let much = over * 100 > under * self.options.dirty_percent_max;
        (recent > 0 && over >= self.options.image_entries_min && much)
            || (recent > 0 && overlay.bytes > self.options.overlay_bytes_max)
            || (old && self.staged.iter().all(|staged| staged.image.is_none()))
    }

    /// Merges a shard into a new image.
    fn write_image(
        &mut self,
        shard: u16,
        replay_from: Position,
        note: &[u8],
    ) -> Result<(u64, Finished), Error> {
        self.make_ceiling_durable()?;
        let generation = self.next_generation;
        self.next_generation += 1;
        let header = Header {
            journal: self.meta.journal,
            shard,
            generation,
            replay_from,
            ceiling: self.meta.ceiling,
            note: note.to_vec(),
        };
        let merged = self.merge_into(&header);
        if merged.is_err() {
            // What is left under the temporary name is no harm: the next start removes it too.
            let name = file_name(shard, generation);
            let unfinished = self.shared.images.join(name).with_extension("tmp");
            let _ = self.shared.disk.remove_file(&unfinished);
        }
        Ok((generation, self.judged(merged)?))
    }

    fn merge_into(&self, header: &Header) -> Result<Finished, Error> {
        let (view, shared) = (self.shared.view(header.shard), &self.shared);
        let mut writer = Writer::begin(&shared.disk, &shared.images, header)?;
        merge(&view, &view.recent(), &*shared.kv, Span::ALL, &mut |key, value| {
            writer.push(key, value)?;
            Ok(true)
        })?;
        Ok(writer.finish()?)
    }

    /// Moves what is in memory of a shard into its overlay, in batches that split no entity.
    fn move_down(&mut self, shard: u16) -> Result<(u64, u64), Error> {
        let view = self.shared.view(shard);
        let recent = view.recent();
        if recent.is_empty() {
            return Ok((0, 0));
        }
        self.make_ceiling_durable()?;
        let (mut entries, mut bytes) = (0, 0);
        let mut batch = Vec::with_capacity(self.options.batch_entries_max);
        let mut batch_bytes = 0;
        for group in recent.groups() {
            let group_bytes: usize = group.iter().map(size).sum();
            let full = batch.len() + group.len() > self.options.batch_entries_max
                || batch_bytes + group_bytes > self.options.batch_bytes_max;
            if full && !batch.is_empty() {
                self.apply(&view, &batch)?;
                batch.clear();
                batch_bytes = 0;
            }
            entries += group.len() as u64;
            bytes += group_bytes as u64;
            batch_bytes += group_bytes;
            // Without an image there is nothing that a tombstone would have to hide.
            let kept = |value: Option<&[u8]>| value.is_some() || view.image.is_some();
            let stored = |(key, value): Line<'_>| (key.to_vec(), kept(value).then(|| wrap(value)));
            batch.extend(group.into_iter().map(stored));
        }
        self.apply(&view, &batch)?;
        drop(recent);
        view.with_recent(|recent| *recent = Recent::default());
        Ok((entries, bytes))
    }

    fn apply(&mut self, view: &View, batch: &Batch) -> Result<(), Error> {
        view.with_overlay(|overlay| {
            for (key, value) in batch {
                overlay.note(key, value.as_ref().map_or(0, Vec::len));
            }
        });
        self.unsynced = true;
        self.with_kv("write to", |kv| kv.apply(&view.tree, batch))
    }

    fn make_ceiling_durable(&mut self) -> Result<(), Error> {
        let ceiling = self.meta.ceiling;
        if ceiling > self.ceiling_durable {
            let batch = [meta::ceiling_entry(ceiling)];
            self.with_kv("write to", |kv| kv.apply(meta::TREE, &batch))?;
            self.sync()?;
            self.ceiling_durable = ceiling;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Error> {
        self.with_kv("sync", |kv| kv.sync())?;
        self.unsynced = false;
        Ok(())
    }

    pub(super) fn commit_staged(&mut self) -> Result<(), Error> {
        let staged = std::mem::take(&mut self.staged);
        if staged.is_empty() {
            return Ok(());
        }
        let images = self.publish(&staged)?;
        if self.unsynced {
            self.sync()?;
        }
        let mut batch = Vec::with_capacity(staged.len());
        for (staged, image) in staged.iter().zip(&images) {
            let entry = self.shard_entry(staged, image.as_deref());
            batch.push(meta::shard_entry(staged.shard, &entry));
            self.meta.shards[usize::from(staged.shard)] = entry;
        }
        self.with_kv("write to", |kv| kv.apply(meta::TREE, &batch))?;
        self.sync()?;
        for (staged, image) in staged.into_iter().zip(images) {
            self.reports.push(staged.report);
            if let Some(image) = image {
                self.replace_view(staged.shard, image);
            }
        }
        self.remove_retired()
    }

    /// Gives the staged images their names, durably, and opens them: what was written is checked.
    fn publish(&self, staged: &[Staged]) -> Result<Vec<Option<Arc<Image>>>, Error> {
        let disk = &self.shared.disk;
        let open = |image: &(u64, Finished)| {
            Ok::<_, Error>(Arc::new(Image::open(disk, image.1.publish()?)?))
        };
        let images: Vec<Option<Arc<Image>>> = staged
            .iter()
            .map(|one| one.image.as_ref().map(open).transpose())
            .collect::<Result<_, _>>()?;
        if images.iter().any(Option::is_some) {
            let dir = &self.shared.images;
            disk.sync_dir(dir).map_err(disk_error("sync", dir))?;
        }
        Ok(images)
    }

    /// What is to be known of a shard from this commit on.
    fn shard_entry(&self, staged: &Staged, image: Option<&Image>) -> meta::Shard {
        let Staged { shard, replay_from, note, .. } = staged;
        if let Some(image) = image {
            let overlay = image.header().generation;
            return meta::Shard { overlay, ..meta::of_image(image.header(), image.rows()) };
        }
        let view = self.shared.view(*shard);
        let (rows, overlay) = (view.rows(), view.overlay());
        meta::Shard {
            replay_from: *replay_from,
            note: Some(note.clone()),
            rows,
            overlay_entries: overlay.entries,
            overlay_bytes: overlay.bytes,
            ..self.meta.shards[usize::from(*shard)].clone()
        }
    }

    fn replace_view(&mut self, shard: u16, image: Arc<Image>) {
        let tree = meta::tree_name(shard, image.header().generation);
        let view = Arc::new(View::new(tree, Some(image), Overlay::empty()));
        let mut current =
            self.shared.views[usize::from(shard)].write().unwrap_or_else(PoisonError::into_inner);
        self.retired.push(std::mem::replace(&mut current, view));
    }

    /// Removes the trees and images that nobody reads any more. Nobody can take up a retired view,
    /// so one that only we hold stays so.
    fn remove_retired(&mut self) -> Result<(), Error> {
        let retired = std::mem::take(&mut self.retired);
        let (unused, used): (Vec<_>, _) =
            retired.into_iter().partition(|view| Arc::strong_count(view) == 1);
        self.retired = used;
        for view in unused {
            self.with_kv("drop a tree of", |kv| kv.drop_tree(&view.tree))?;
            if let Some(image) = &view.image
                && let Err(error) = self.shared.disk.remove_file(image.path())
            {
                // The next start removes it: no one names it.
                let image = image.path().display();
                tracing::warn!(%image, %error, "could not remove an old image");
            }
        }
        Ok(())
    }
}

fn size((key, value): &Line<'_>) -> usize {
    key.len() + value.map_or(0, <[u8]>::len)
}

fn fits((key, value): &(Vec<u8>, Option<Vec<u8>>)) -> Result<(), Error> {
    let too_large =
        |what, bytes, max| Err(crate::image::Error::TooLarge { what, bytes, max }.into());
    let value_bytes = value.as_ref().map_or(0, Vec::len);
    if key.len() > KEY_BYTES_MAX {
        too_large("key", key.len(), KEY_BYTES_MAX)
    } else if value_bytes > VALUE_BYTES_MAX {
        too_large("value", value_bytes, VALUE_BYTES_MAX)
    } else {
        Ok(())
    }
}
