//! The archivist: takes snapshots when asked and when it is time, keeps so many of them, and then
//! lets the journal forget what nobody needs any more.
//!
//! The journal's floor rises to the least of: what the newest good snapshot is replayed from, the
//! saved cursors of sinks that tail, and what the rule wants kept. So a store that is lost is made
//! again from that snapshot and the rest of the journal. What is *not* here: how a snapshot is
//! taken.

use super::retain::Segment;
use super::{Error, Subject};
use crate::handle::{Handle, Inner};
use crate::sinks::outbox;
use crate::tree::{Child, Start, Work};
use crate::writer::wall_clock;
use actors::{Position, Timestamp};
use serde::Serialize;
use state::journal::rest;
use state::snapshot::{self, Found, Newest, Taken};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// What it is called in the tree.
const NAME: &str = "archivist";

/// How often it looks whether a snapshot is due.
const LOOK: Duration = Duration::from_millis(500);

/// How often it looks whether the journal may be cut.
const CUT_EVERY: Duration = Duration::from_secs(5);

/// One is taken, and so many may wait.
const WAITING_MAX: usize = 2;

/// A snapshot in the folder, for operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnapshotState {
    /// Where it is.
    pub path: String,
    /// Everything below this position is in it.
    pub position: Option<Position>,
    /// How long it is.
    pub bytes: Option<u64>,
    /// When it was taken.
    pub time: Option<String>,
    /// What is wrong with it.
    pub error: Option<String>,
}

impl SnapshotState {
    fn of(taken: &Taken) -> Self {
        Self {
            path: taken.path.display().to_string(),
            position: Some(taken.header.position),
            bytes: Some(taken.bytes),
            time: Some(taken.header.time.to_string()),
            error: None,
        }
    }

    fn found(found: &Found) -> Self {
        match &found.snapshot {
            Ok(snapshot) => Self::of(&Taken::of(snapshot)),
            Err(error) => {
                let path = found.path.display().to_string();
                let error = Some(error.to_string());
                Self { path, position: None, bytes: None, time: None, error }
            }
        }
    }
}

/// Why there is no snapshot.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Others wait for one.
    #[error("snapshots are being taken already")]
    Busy,
    /// The process is stopping, or nobody takes snapshots here.
    #[error("the process is stopping")]
    Stopping,
    /// It failed.
    #[error("{0}")]
    Failed(String),
}

type Answer = Result<SnapshotState, String>;

/// Where snapshots are asked for.
pub(crate) struct Desk {
    asked: mpsc::Sender<oneshot::Sender<Answer>>,
    /// When the newest was taken, or the process began, in ms.
    newest_ms: AtomicI64,
}

impl Desk {
    /// How old the newest snapshot is.
    pub(crate) fn age_seconds(&self) -> f64 {
        (wall_clock().0 - self.newest_ms.load(Ordering::Relaxed)).max(0) as f64 / 1_000.0
    }
}

impl Handle {
    /// Takes a snapshot into the folder of snapshots.
    ///
    /// # Errors
    /// It cannot be taken, or too many wait for one.
    pub async fn take_snapshot(&self) -> Result<SnapshotState, SnapshotError> {
        let desk = self.inner.snapshots.get().ok_or(SnapshotError::Stopping)?;
        let (sender, answer) = oneshot::channel();
        desk.asked.try_send(sender).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SnapshotError::Busy,
            mpsc::error::TrySendError::Closed(_) => SnapshotError::Stopping,
        })?;
        answer.await.map_err(|_| SnapshotError::Stopping)?.map_err(SnapshotError::Failed)
    }

    /// The snapshots in the folder, the newest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn snapshots(&self) -> Result<Vec<SnapshotState>, SnapshotError> {
        let inner = &self.inner;
        let found = snapshot::list(&inner.disk, &inner.options.snapshots_dir());
        let found = found.map_err(|error| SnapshotError::Failed(error.to_string()))?;
        Ok(found.iter().map(SnapshotState::found).collect())
    }
}

/// Who takes snapshots.
pub(crate) struct Archivist {
    handle: Handle,
    desk: Arc<Desk>,
    asked: tokio::sync::Mutex<mpsc::Receiver<oneshot::Sender<Answer>>>,
    outbox: Arc<AtomicU64>,
    /// The newest good snapshot.
    newest: Mutex<Option<Taken>>,
}

impl Archivist {
    /// This engine's, whose outbox has written so far; it can be asked from now on.
    pub(crate) fn child(handle: &Handle, outbox: Arc<AtomicU64>) -> Child {
        let (sender, asked) = mpsc::channel(WAITING_MAX);
        let newest_ms = AtomicI64::new(wall_clock().0);
        let desk = Arc::new(Desk { asked: sender, newest_ms });
        let archivist = Arc::new(Self {
            handle: handle.clone(),
            desk: desk.clone(),
            asked: tokio::sync::Mutex::new(asked),
            outbox,
            newest: Mutex::new(None),
        });
        let start = Start::Shared(Arc::new(move || Box::pin(archivist.clone().run())));
        assert!(handle.inner.snapshots.set(desk).is_ok(), "an engine has one archivist");
        Child { name: NAME.to_owned(), work: Work::Restartable, start }
    }

    async fn run(self: Arc<Self>) -> Result<(), String> {
        self.clone().aside(Self::look_around).await?;
        let mut asked = self.asked.lock().await;
        let mut tried = Instant::now();
        let mut cut = Instant::now();
        loop {
            let answer = match tokio::time::timeout(LOOK, asked.recv()).await {
                Ok(Some(answer)) => Some(answer),
                Ok(None) => return Ok(()),
                Err(_) if self.is_due(tried) => None,
                Err(_) if cut.elapsed() >= CUT_EVERY => {
                    self.cut_journal().await?;
                    cut = Instant::now();
                    continue;
                }
                Err(_) => continue,
            };
            tried = Instant::now();
            let taken = self.clone().aside(Self::take).await?;
            if let Some(answer) = answer {
                // Whoever asked may have gone.
                let _ = answer.send(taken);
            }
            self.cut_journal().await?;
        }
    }

    /// Runs this on a thread that may block.
    async fn aside<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, String> {
        let done = tokio::task::spawn_blocking(move || work(&self)).await;
        done.map_err(|error| error.to_string())
    }

    fn inner(&self) -> &Inner {
        &self.handle.inner
    }

    fn newest(&self) -> Option<Taken> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_newest(&self, taken: Taken) {
        self.desk.newest_ms.store(taken.header.time.0, Ordering::Relaxed);
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
    }

    /// What an earlier process left: the unfinished goes, and the newest good one counts. All of it
    /// is read again only if the journal is to be cut by it.
    fn look_around(&self) {
        let inner = self.inner();
        let dir = inner.options.snapshots_dir();
        if !inner.disk.exists(&dir) {
            return;
        }
        let cleaned = snapshot::clean(&*inner.disk, &dir);
        let ours = |found: Found| {
            let snapshot = found.snapshot.ok()?;
            (snapshot.header().journal == inner.uuid).then_some(snapshot)
        };
        let found = cleaned.and_then(|()| {
            if !inner.options.retain.is_all() {
                return snapshot::newest(&inner.disk, &dir, inner.uuid);
            }
            let snapshot = snapshot::list(&inner.disk, &dir)?.into_iter().find_map(ours);
            Ok(Newest { snapshot, passed_over: Vec::new() })
        });
        match found {
            Ok(found) => {
                for why in &found.passed_over {
                    tracing::warn!(why, "a snapshot cannot be used");
                }
                found.snapshot.iter().for_each(|newest| self.set_newest(Taken::of(newest)));
            }
            Err(error) => tracing::warn!(%error, "the folder of snapshots cannot be read"),
        }
    }

    /// Whether one is to be taken by itself: it is time, and something has happened since the last.
    fn is_due(&self, tried: Instant) -> bool {
        let inner = self.inner();
        let Some(interval) = inner.options.snapshot_interval() else { return false };
        let newest = self.newest();
        let age = match &newest {
            Some(taken) => {
                Duration::from_millis((wall_clock().0 - taken.header.time.0).max(0) as u64)
            }
            None => tried.elapsed(),
        };
        let changed = newest.is_none_or(|taken| taken.header.position < inner.journal.durable());
        // One that failed is not tried again at once.
        let rested = tried.elapsed() >= interval.min(Duration::from_secs(60));
        changed && rested && age >= interval && !inner.is_stopping()
    }

    fn take(&self) -> Answer {
        let started = Instant::now();
        let taken = self.take_and_prune();
        crate::metrics::snapshot(started.elapsed(), taken.is_ok());
        match taken {
            Ok(taken) => {
                let (path, position, bytes) =
                    (taken.path.display(), taken.header.position, taken.bytes);
                tracing::info!(%path, position, bytes, "a snapshot was taken");
                let state = SnapshotState::of(&taken);
                self.set_newest(taken);
                Ok(state)
            }
            Err(error) => {
                tracing::warn!(%error, "no snapshot was taken");
                Err(error.to_string())
            }
        }
    }

    fn take_and_prune(&self) -> Result<Taken, Error> {
        let inner = self.inner();
        let dir = inner.options.snapshots_dir();
        let subject = Subject {
            kinds: inner.kinds,
            disk: &inner.disk,
            data: &inner.options.data,
            uuid: inner.uuid,
            store: &inner.store,
            journal: &inner.journal,
            marks: &inner.marks,
            outbox: self.outbox.load(Ordering::Acquire),
            disk_reserve_bytes: inner.options.journal.disk_reserve_bytes,
            kafka: inner.kafka_sink.get().is_some(),
        };
        let taken = subject.take(&dir, None)?;
        snapshot::prune(&inner.disk, &dir, inner.uuid, inner.options.snapshots_keep)?;
        Ok(taken)
    }

    /// Lets the journal forget what nobody needs, a segment at a time: the writer has others to
    /// serve.
    async fn cut_journal(self: &Arc<Self>) -> Result<(), String> {
        let inner = self.inner();
        if inner.options.retain.is_all() || inner.is_stopping() {
            return Ok(());
        }
        let Some(newest) = self.newest() else { return Ok(()) };
        let looked = self.clone().aside(move |archivist| archivist.floor(&newest)).await?;
        let floor = match looked {
            Ok(floor) => floor,
            Err(why) => {
                tracing::warn!(why, "the journal is not cut");
                return Ok(());
            }
        };
        for base in self.inner().journal.segments().into_iter().skip(1).filter(|b| *b <= floor) {
            match self.inner().writer.drop_below(base).await {
                Ok(Ok(first)) => tracing::debug!(first, "the journal was cut"),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the journal was not cut");
                    return Ok(());
                }
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Below which position nobody needs the journal.
    fn floor(&self, newest: &Taken) -> Result<Position, String> {
        let inner = self.inner();
        let (disk, data) = (&inner.disk, &inner.options.data);
        let mut floor = newest.header.replay_from;
        let saved = outbox::saved(&**disk, data, inner.uuid).map_err(|error| error.to_string())?;
        floor = floor.min(saved.unwrap_or(0));
        if inner.kafka_sink.get().is_some() {
            let sent = crate::kafka::sink::cursor::load(&**disk, data, inner.uuid);
            floor = floor.min(sent.map_err(|error| error.to_string())?.unwrap_or(0));
        }
        let segments = self.segments().map_err(|error| error.to_string())?;
        Ok(floor.min(inner.options.retain.floor(&segments, wall_clock())))
    }

    fn segments(&self) -> Result<Vec<Segment>, state::journal::Error> {
        let inner = self.inner();
        let dir = inner.options.data.join("journal");
        let at_rest = rest::AtRest::open(inner.disk.clone(), &dir, inner.uuid)?;
        let mut segments = Vec::new();
        for (base, bytes) in at_rest.segments() {
            let frame = inner.journal.read(base, 0)?.into_iter().next();
            let time = frame.map_or(Timestamp(i64::MAX), |frame| frame.time());
            segments.push(Segment { base, bytes, time });
        }
        Ok(segments)
    }
}
