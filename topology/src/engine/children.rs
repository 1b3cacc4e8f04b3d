//! The root's children, and what each is started from.

use super::open::{Error, Parts};
use super::{Engine, root};
use crate::dispatcher::{Dispatcher, Sinks};
use crate::floor::Ground;
use crate::fresh::AllFresh;
use crate::handle::{Handle, Inner};
use crate::keeper::{self, Keeper, keeper};
use crate::remembered::Remembered;
use crate::resident::Directory;
use crate::sinks::outbox::Outbox;
use crate::sinks::tail;
use crate::snapshots::Archivist;
use crate::tree::{Child, Start, Work};
use crate::waiters::Waiters;
use crate::worker::{Control, Link, Spec, Worker};
use crate::writer::{self, Writer, wall_clock, writer};
use actors::Position;
use state::disk::Disk;
use state::journal::{self, Spares};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// How often the timekeeper looks whether a timer is due.
const TICK: Duration = Duration::from_millis(5);

/// How often the shelf of spare segments is looked at.
const SPARES_LOOK: Duration = Duration::from_millis(20);

/// How much of the journal the outbox reads at once, in bytes.
const OUTBOX_READ_BYTES: usize = 4 << 20;

/// How long an outbox that failed waits before it is opened again.
const OUTBOX_PAUSE: Duration = Duration::from_millis(500);

/// What is published within this goes out with one write and one fsync: the outbox is in less of a
/// hurry than the journal, with which it shares the disk.
const OUTBOX_GATHER: Duration = Duration::from_millis(10);

/// The outbox saves its cursor after so many positions.
const OUTBOX_SAVE_EVERY: u64 = 100_000;

/// And after so long, if it has moved: the journal is kept from where it was saved.
const OUTBOX_SAVE_AFTER: Duration = Duration::from_secs(5);

/// What workers are made from, beside their own.
struct Common {
    writer: Writer,
    keeper: Keeper,
    waiters: Arc<Waiters>,
    remembered: Arc<Remembered>,
    judged: Arc<BTreeSet<Position>>,
    fresh: Arc<AllFresh>,
    directory: Arc<Directory>,
    deliveries: mpsc::UnboundedSender<crate::dispatcher::Offer>,
}

pub(super) async fn start(mut parts: Parts, sinks: Sinks) -> Result<Engine, Error> {
    let metrics = crate::metrics::install(&parts.kinds);
    let waiters = Arc::<Waiters>::default();
    let judged = Arc::new(parts.journal.origins().verdicts().collect());
    let (spares, journal) = (parts.journal.spares(), parts.journal.reader());
    let store = parts.store.reader();
    let (writer, writer_loop) = writer(parts.journal, waiters.clone());
    let (keeper, keeper_loop) = keeper(parts.store, parts.marks.clone());
    let (deliveries, offers) = mpsc::unbounded_channel();
    let options = Arc::new(parts.options);
    let common = Common {
        writer: writer.clone(),
        keeper: keeper.clone(),
        waiters,
        remembered: Arc::new(Remembered::new(options.remembered_bytes_max)),
        judged,
        fresh: Arc::new(AllFresh::new(parts.marks.shards())),
        directory: Arc::default(),
        deliveries,
    };
    let workers: Vec<Arc<Link>> = (0..options.workers.max(1)).map(|_| Arc::default()).collect();
    let inner = Inner {
        kinds: parts.kinds,
        past_turns: Arc::new(Semaphore::new(options.as_of_at_once_max.max(1))),
        options,
        source: parts.source,
        uuid: parts.uuid,
        disk: parts.disk,
        writer: writer.clone(),
        journal: journal.clone(),
        store,
        fresh: common.fresh.clone(),
        remembered: common.remembered.clone(),
        judged: common.judged.clone(),
        directory: common.directory.clone(),
        marks: parts.marks,
        workers,
        tree: OnceLock::new(),
        kafka_sink: OnceLock::new(),
        kafka: OnceLock::new(),
        turns: crate::handle::intake::Turns::new(),
        checkpoints_fail: keeper.failing(),
        snapshots: OnceLock::new(),
        stopping: AtomicBool::new(false),
        metrics,
        started: std::time::SystemTime::now(),
    };
    let handle = Handle { inner: Arc::new(inner) };
    let mut children = vec![journal_child(writer_loop, spares), store_child(keeper_loop)];
    children.extend(worker_children(&handle, &common));
    children.extend((!parts.is_replay).then(|| timekeeper_child(&handle.inner.workers)));
    let place = (parts.outbox.take(), parts.uuid);
    let (outward, outbox_cursor) = outward_children(&handle, sinks, offers, place);
    children.extend(outward);
    let tree = root(&handle.inner.options, children).await?;
    assert!(handle.inner.tree.set(tree.clone()).is_ok(), "an engine has one tree");
    Ok(Engine {
        handle,
        tree,
        keeper,
        consumers: Mutex::default(),
        outbox_cursor,
        opened: parts.opened,
        _lock: parts.lock,
    })
}

/// Those that reach out into the world, if anything is to be carried out, and how far the outbox
/// has written.
fn outward_children(
    handle: &Handle,
    sinks: Sinks,
    offers: mpsc::UnboundedReceiver<crate::dispatcher::Offer>,
    (outbox, uuid): (Option<Outbox>, [u8; 16]),
) -> (Vec<Child>, Arc<AtomicU64>) {
    let Some(outbox) = outbox else {
        return (vec![deaf_child(offers)], Arc::new(AtomicU64::new(u64::MAX)));
    };
    let cursor = Arc::new(AtomicU64::new(outbox.cursor()));
    let children = sink_children(handle, sinks, offers, (outbox, uuid, cursor.clone()));
    (children.into(), cursor)
}

/// Who carries deliveries out, who writes down what was published, and who takes snapshots: those
/// know how far that is.
fn sink_children(
    handle: &Handle,
    sinks: Sinks,
    offers: mpsc::UnboundedReceiver<crate::dispatcher::Offer>,
    (outbox, uuid, cursor): (Outbox, [u8; 16], Arc<AtomicU64>),
) -> [Child; 3] {
    let inner = &handle.inner;
    let dispatcher = Dispatcher {
        kinds: inner.kinds,
        sinks,
        writer: inner.writer.clone(),
        offers: Arc::new(tokio::sync::Mutex::new(offers)),
        offer_again: offer_again(handle),
    };
    let place = OutboxPlace { disk: inner.disk.clone(), data: inner.options.data.clone(), uuid };
    let ways = (inner.journal.clone(), inner.writer.clone());
    let archivist = Archivist::child(handle, cursor.clone());
    [dispatcher_child(Arc::new(dispatcher)), outbox_child(outbox, place, ways, cursor), archivist]
}

/// A start for what can be started only once.
fn once<T: Send + 'static>(
    part: T,
    run: impl Fn(T) -> Result<(), String> + Send + Sync + 'static,
) -> Start {
    let part = Mutex::new(Some(part));
    Start::Blocking(Arc::new(move || {
        let taken = part.lock().expect("nobody panics while taking").take();
        run(taken.ok_or("it cannot be started twice in one process")?)
    }))
}

fn journal_child(writer_loop: writer::Loop, spares: Spares) -> Child {
    let start = once((writer_loop, spares), |(writer_loop, spares)| {
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = stopped.clone();
        let shelf = std::thread::spawn(move || {
            while !seen.load(Ordering::Acquire) {
                spares.prepare();
                std::thread::sleep(SPARES_LOOK);
            }
        });
        let result = writer_loop.run().map_err(|error| error.to_string());
        stopped.store(true, Ordering::Release);
        // It ends within one look, and has nothing to say.
        let _ = shelf.join();
        result
    });
    Child { name: "journal".to_owned(), work: Work::Vital, start }
}

fn store_child(keeper_loop: keeper::Loop) -> Child {
    let start = once(keeper_loop, |keeper| keeper.run().map_err(|error| error.to_string()));
    Child { name: "store".to_owned(), work: Work::Vital, start }
}

fn worker_children(handle: &Handle, common: &Common) -> Vec<Child> {
    let inner = &handle.inner;
    let count = inner.workers.len();
    let children = inner.workers.iter().enumerate().map(|(index, link)| {
        let shards = (0..inner.marks.shards()).filter(|s| usize::from(*s) % count == index);
        let spec = Arc::new(Spec {
            index,
            shards: shards.collect(),
            options: inner.options.clone(),
            writer: common.writer.clone(),
            keeper: common.keeper.clone(),
            marks: inner.marks.clone(),
            directory: common.directory.clone(),
            journal: inner.journal.clone(),
            source: inner.source.clone(),
            link: link.clone(),
            deliveries: common.deliveries.clone(),
            ground: ground(handle, common),
        });
        let start = Start::Thread(Arc::new(move || {
            let spec = spec.clone();
            Box::pin(async move {
                let worker = Worker::open(spec).map_err(|error| error.to_string())?;
                worker.run().await.map_err(|error| error.to_string())
            })
        }));
        Child { name: format!("worker-{index}"), work: Work::Restartable, start }
    });
    children.collect()
}

fn ground(handle: &Handle, common: &Common) -> Box<dyn Fn() -> Ground + Send + Sync> {
    let inner = &handle.inner;
    let (kinds, shards_total) = (inner.kinds, inner.marks.shards());
    let (store, journal) = (inner.store.clone(), inner.journal.clone());
    let (fresh, waiters) = (common.fresh.clone(), common.waiters.clone());
    let (judged, remembered) = (common.judged.clone(), common.remembered.clone());
    Box::new(move || Ground {
        kinds,
        shards_total,
        store: store.clone(),
        journal: journal.clone(),
        fresh: fresh.clone(),
        waiters: waiters.clone(),
        remembered: remembered.clone(),
        judged: judged.clone(),
    })
}

fn timekeeper_child(workers: &[Arc<Link>]) -> Child {
    let workers = workers.to_vec();
    let start = Start::Shared(Arc::new(move || {
        let workers = workers.clone();
        Box::pin(async move {
            let mut tick = tokio::time::interval(TICK);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let now = wall_clock();
                for link in workers.iter().filter(|link| link.next_due() <= now) {
                    link.send(Control::Tick(now));
                }
            }
        })
    }));
    Child { name: "timekeeper".to_owned(), work: Work::Restartable, start }
}

fn dispatcher_child(dispatcher: Arc<Dispatcher>) -> Child {
    let start = Start::Shared(Arc::new(move || {
        let dispatcher = dispatcher.clone();
        Box::pin(async move { dispatcher.run().await })
    }));
    Child { name: "dispatcher".to_owned(), work: Work::Restartable, start }
}

fn offer_again(handle: &Handle) -> Box<dyn Fn() + Send + Sync> {
    let workers = handle.inner.workers.clone();
    Box::new(move || workers.iter().for_each(|link| link.send(Control::OfferAgain)))
}

/// In place of the dispatcher where nothing is carried out: deliveries stay pending.
fn deaf_child(offers: mpsc::UnboundedReceiver<crate::dispatcher::Offer>) -> Child {
    let offers = Arc::new(tokio::sync::Mutex::new(offers));
    let start = Start::Shared(Arc::new(move || {
        let offers = offers.clone();
        Box::pin(async move {
            while offers.lock().await.recv().await.is_some() {}
            Ok(())
        })
    }));
    Child { name: "dispatcher".to_owned(), work: Work::Restartable, start }
}

/// What the outbox is opened again with.
struct OutboxPlace {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    uuid: [u8; 16],
}

fn outbox_child(
    outbox: Outbox,
    place: OutboxPlace,
    (journal, writer): (journal::Reader, Writer),
    cursor: Arc<AtomicU64>,
) -> Child {
    let (outbox, place) = (Arc::new(Mutex::new(outbox)), Arc::new(place));
    let start = Start::Thread(Arc::new(move || {
        let (outbox, place, journal) = (outbox.clone(), place.clone(), journal.clone());
        let (mut durable, cursor) = (writer.durable(), cursor.clone());
        Box::pin(async move {
            let mut saved_at = Instant::now();
            loop {
                let is_due = saved_at.elapsed() >= OUTBOX_SAVE_AFTER;
                if is_due {
                    saved_at = Instant::now();
                }
                if attend(&outbox, &place, &journal, (&cursor, is_due))? {
                    continue;
                }
                match tokio::time::timeout(OUTBOX_SAVE_AFTER, durable.changed()).await {
                    Ok(Err(_)) => return Ok(()),
                    Ok(Ok(())) => tokio::time::sleep(OUTBOX_GATHER).await,
                    Err(_) => {}
                }
            }
        })
    }));
    Child { name: "outbox".to_owned(), work: Work::Restartable, start }
}

/// Takes the outbox on, or opens it again if it has failed. False if it has caught up.
fn attend(
    outbox: &Mutex<Outbox>,
    place: &OutboxPlace,
    journal: &journal::Reader,
    (cursor, is_due): (&AtomicU64, bool),
) -> Result<bool, String> {
    let mut outbox = outbox.lock().map_err(|_| "the outbox has panicked")?;
    taken_on(&mut outbox, journal, (cursor, is_due)).or_else(|error| {
        tracing::warn!(error, "the outbox failed and is opened again");
        std::thread::sleep(OUTBOX_PAUSE);
        let opened = Outbox::open(place.disk.clone(), &place.data, place.uuid);
        *outbox = opened.map_err(|error| error.to_string())?;
        Ok(true)
    })
}

/// Takes the outbox on by some of the journal. False if it has caught up.
fn taken_on(
    outbox: &mut Outbox,
    journal: &journal::Reader,
    (cursor, is_due): (&AtomicU64, bool),
) -> Result<bool, String> {
    let more = tail::step(journal, outbox, OUTBOX_READ_BYTES).map_err(|e| e.to_string())?;
    if is_due || outbox.cursor() - outbox.saved() >= OUTBOX_SAVE_EVERY {
        outbox.save().map_err(|error| error.to_string())?;
    }
    cursor.store(outbox.cursor(), Ordering::Release);
    Ok(more)
}
