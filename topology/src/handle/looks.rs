//! Looking at the engine itself: the tree, the shards, readiness, metrics. For operators.

use super::{Handle, Inner};
use crate::api::{Node, Readiness, ShardState};
use crate::worker::{Control, Link, WorkerState};
use crate::writer::wall_clock;
use actors::{KindId, Position};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;
use tokio::sync::oneshot;

impl Handle {
    /// The supervision tree as it lives.
    pub async fn tree(&self) -> Node {
        let states = self.inner.worker_states().await;
        let children = self.inner.tree.get().map(crate::tree::Tree::children).unwrap_or_default();
        let nodes = children.into_iter().map(|(name, child)| {
            let index = name.strip_prefix("worker-").and_then(|n| n.parse::<usize>().ok());
            let state = index.and_then(|index| states.get(index)?.as_ref());
            let residents = state.map(|state| self.inner.kind_names(&state.residents));
            Node {
                actor: name,
                state: child.state,
                restarts: child.restarts,
                residents,
                children: Vec::new(),
            }
        });
        let children = nodes.collect();
        let actor = "root".to_owned();
        Node { actor, state: "running", restarts: 0, residents: None, children }
    }

    /// Every shard.
    pub async fn shards(&self) -> Vec<ShardState> {
        let end = self.durable_end();
        let states = self.inner.worker_states().await;
        let mut shards = Vec::new();
        for (index, state) in states.iter().enumerate() {
            let link = &self.inner.workers[index];
            let applied = link.position();
            let Some(state) = state else { continue };
            for (shard, entities, residents, pending_effects, timers, checkpointed) in &state.shards
            {
                shards.push(ShardState {
                    shard: *shard,
                    worker: format!("worker-{index}"),
                    applied,
                    checkpointed: *checkpointed,
                    lag_records: end.saturating_sub(applied),
                    lag_seconds: self.inner.lag_seconds(applied, end),
                    entities: *entities,
                    residents: *residents,
                    pending_effects: *pending_effects,
                    timers: *timers,
                });
            }
        }
        shards.sort_unstable_by_key(|state| state.shard);
        shards
    }

    /// Whether the process may be sent traffic.
    pub fn readiness(&self) -> Readiness {
        let inner = &self.inner;
        let end = self.durable_end();
        let applied = inner.workers.iter().map(|link| link.position()).min().unwrap_or(0);
        let mut reasons = Vec::new();
        let behind = inner.workers.iter().filter(|link| !link.is_open()).count();
        if behind > 0 {
            let left = end.saturating_sub(applied);
            let of = inner.workers.len();
            reasons
                .push(format!("{behind} of {of} workers are replaying, {left} records are left"));
        }
        if inner.is_stopping() {
            reasons.push("the process is stopping".to_owned());
        }
        if inner.writer.gauge().disk_full.load(Ordering::Relaxed) {
            reasons.push("the disk is full".to_owned());
        }
        if let Some(kafka) = inner.kafka.get() {
            for source in kafka.sources().iter().filter(|source| source.waits_for_operator()) {
                let why = source.paused.as_deref().unwrap_or_default();
                let (topic, partition) = (&source.topic, source.partition);
                reasons.push(format!("partition {partition} of topic {topic} waits: {why}"));
            }
        }
        Readiness { ready: reasons.is_empty(), reasons, applied, end }
    }

    /// The sinks that tail the journal, and can fall behind.
    pub fn sinks(&self) -> Vec<crate::kafka::sink::SinkState> {
        self.inner.kafka_sink.get().map(|sink| sink.state()).into_iter().collect()
    }

    /// The metrics, as Prometheus text.
    pub async fn metrics(&self) -> String {
        self.inner.set_gauges().await;
        self.inner.metrics.run_upkeep();
        self.inner.metrics.render()
    }
}

impl Inner {
    /// How each worker is; nothing for one that is between two generations.
    pub(crate) async fn worker_states(&self) -> Vec<Option<WorkerState>> {
        let ask = |link: &Arc<Link>| {
            let (sender, answer) = oneshot::channel();
            link.send(Control::States(sender));
            answer
        };
        let asked: Vec<_> = self.workers.iter().map(ask).collect();
        let mut states = Vec::new();
        for answer in asked {
            states.push(answer.await.ok());
        }
        states
    }

    fn kind_names(&self, by_id: &BTreeMap<u8, u64>) -> BTreeMap<String, u64> {
        let name = |id: &u8| self.kinds.get(KindId(*id)).map_or("unknown", |kind| kind.name);
        by_id.iter().map(|(id, count)| (name(id).to_owned(), *count)).collect()
    }

    /// How long ago the oldest record that is not applied was journaled.
    fn lag_seconds(&self, applied: Position, end: Position) -> f64 {
        if applied >= end {
            return 0.0;
        }
        match self.journal.record(applied) {
            Ok(Some((frame, _))) => (wall_clock().0 - frame.time().0).max(0) as f64 / 1_000.0,
            _ => 0.0,
        }
    }

    async fn set_gauges(&self) {
        use crate::metrics::{set, set_of_kind};
        let end = self.journal.durable();
        let applied = self.workers.iter().map(|link| link.position()).min().unwrap_or(0);
        set("bellwether_apply_lag_records", end.saturating_sub(applied) as f64);
        set("bellwether_apply_lag_seconds", self.lag_seconds(applied, end));
        set("bellwether_store_bytes", self.store.size_bytes() as f64);
        set("bellwether_journal_bytes", self.journal_bytes() as f64);
        if let Ok(free) = self.disk.free_bytes(&self.options.data) {
            set("bellwether_disk_free_bytes", free as f64);
        }
        let mut entities: BTreeMap<u8, u64> = BTreeMap::new();
        let mut residents: BTreeMap<u8, u64> = BTreeMap::new();
        let (mut deliveries, mut timers) = (0, 0);
        for state in self.worker_states().await.into_iter().flatten() {
            for (kind, count) in &state.entities {
                *entities.entry(*kind).or_default() += count;
            }
            for (kind, count) in &state.residents {
                *residents.entry(*kind).or_default() += count;
            }
            deliveries += state.shards.iter().map(|shard| shard.3).sum::<u64>();
            timers += state.shards.iter().map(|shard| shard.4).sum::<u64>();
        }
        for (id, kind) in self.kinds.all() {
            let of = |counts: &BTreeMap<u8, u64>| counts.get(&id.0).copied().unwrap_or(0) as f64;
            set_of_kind("bellwether_entities", kind.name, of(&entities));
            set_of_kind("bellwether_residents", kind.name, of(&residents));
        }
        set("bellwether_effects_pending", deliveries as f64);
        set("bellwether_timers_pending", timers as f64);
        set("bellwether_checkpoint_age_seconds", self.marks.oldest().as_secs_f64());
        if let Some(desk) = self.snapshots.get() {
            set("bellwether_snapshot_age_seconds", desk.age_seconds());
        }
        if let Ok(open) = self.open_letters() {
            set("bellwether_dead_letters", open as f64);
        }
        if let Some(kafka) = self.kafka.get() {
            crate::metrics::kafka::set_sources(&kafka.sources());
        }
        self.set_process_gauges();
    }

    fn journal_bytes(&self) -> u64 {
        let dir = self.options.data.join("journal");
        let names = self.disk.list(&dir).unwrap_or_default();
        let size = |name: &String| self.disk.open(&dir.join(name)).ok()?.len().ok();
        names.iter().filter_map(size).sum()
    }

    fn set_process_gauges(&self) {
        use crate::metrics::set;
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        set("process_start_time_seconds", started.as_secs_f64());
        if let Ok(fds) = std::fs::read_dir("/proc/self/fd") {
            set("process_open_fds", fds.count() as f64);
        }
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
        if let Some(pages) = pages {
            let page_bytes = rustix::param::page_size() as u64;
            set("process_resident_memory_bytes", (pages * page_bytes) as f64);
        }
    }
}
