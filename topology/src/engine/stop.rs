//! Stopping: no more from outside, finish what was accepted, checkpoint, seal.

use super::Engine;
use crate::worker::Control;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often a stopping engine looks whether a part has ended.
const LOOK: Duration = Duration::from_millis(2);

/// A checkpoint is repeated while records keep coming from what is still in the air, but not for
/// ever.
const ROUNDS_MAX: u32 = 8;

/// Behind the last checkpoint a clean stop leaves no more than seals.
const SEALS_MAX: u64 = 2;

impl Engine {
    /// Drains and stops: sources, commands, answers, workers, outbox, checkpoint, seal. Whoever
    /// calls bounds the time; what is cut short is replayed at the next start, nothing is lost.
    ///
    /// # Errors
    /// A part failed on the way; what was accepted is in the journal.
    pub async fn drain(&self) -> Result<(), String> {
        let inner = &self.handle.inner;
        inner.stopping.store(true, Ordering::Release);
        self.begun().await?;
        let consumers: Vec<_> =
            self.consumers.lock().expect("nobody panics while copying").drain(..).collect();
        for (_, consumer) in &consumers {
            consumer.stop();
        }
        let kafka = inner.kafka.get();
        if let Some(kafka) = kafka {
            kafka.stop();
        }
        self.tree.let_go();
        for (name, _) in &consumers {
            self.ended(name).await?;
        }
        if let Some(kafka) = kafka {
            for name in kafka.consumers() {
                self.ended(&name).await?;
            }
            self.ended("kafka").await?;
        }
        for round in 0..ROUNDS_MAX {
            tracing::debug!(round, durable = inner.journal.durable(), "draining: applying");
            let durable = inner.journal.durable();
            self.unless_failed(self.applied(durable)).await?;
            tracing::debug!(round, "draining: checkpointing");
            self.unless_failed(self.checkpoint()).await?;
            if inner.journal.durable().saturating_sub(inner.marks.replay_from()) <= SEALS_MAX {
                break;
            }
        }
        self.outbox_written().await?;
        tracing::debug!("draining: workers, store, journal");
        for (index, link) in inner.workers.iter().enumerate() {
            let name = format!("worker-{index}");
            // One that has not begun yet hears nothing: it is told until it has ended.
            while !self.has_ended(&name)? {
                link.send(Control::Drain);
                tokio::time::sleep(LOOK).await;
            }
        }
        // Until now an answer from outside could cause something to be published.
        self.outbox_written().await?;
        if let Some(sink) = inner.kafka_sink.get() {
            tracing::debug!("draining: Kafka sink");
            sink.stop();
            self.ended(crate::kafka::sink::NAME).await?;
        }
        self.keeper.stop();
        self.ended("store").await?;
        inner.writer.stop();
        self.ended("journal").await
    }

    /// Waits until the outbox has come to the journal's end.
    async fn outbox_written(&self) -> Result<(), String> {
        tracing::debug!(outbox = self.outbox_cursor.load(Ordering::Acquire), "draining: outbox");
        while self.outbox_cursor.load(Ordering::Acquire) < self.handle.inner.journal.durable() {
            self.alive()?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits for this, or until a part has failed that it needs: while stopping, none is started
    /// again.
    async fn unless_failed(&self, work: impl Future<Output = ()>) -> Result<(), String> {
        let failed = async {
            loop {
                self.alive()?;
                let children = self.tree.children();
                if let Some((name, _)) = children.iter().find(|(_, child)| child.state == "failed")
                {
                    return Err(format!("{name} failed while stopping"));
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = work => Ok(()),
            error = failed => error,
        }
    }

    /// The tree starts its parts one by one: what has not begun yet must not be taken for ended.
    async fn begun(&self) -> Result<(), String> {
        let workers = (0..self.handle.inner.workers.len()).map(|index| format!("worker-{index}"));
        let parts: Vec<_> =
            ["journal", "store"].map(str::to_owned).into_iter().chain(workers).collect();
        loop {
            self.alive()?;
            let children = self.tree.children();
            if parts.iter().all(|part| children.iter().any(|(child, _)| child == part)) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn ended(&self, name: &str) -> Result<(), String> {
        while !self.has_ended(name)? {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    fn has_ended(&self, name: &str) -> Result<bool, String> {
        self.alive()?;
        let children = self.tree.children();
        match children.iter().find(|(child, _)| child == name).map(|(_, s)| s.state) {
            None | Some("stopped") => Ok(true),
            Some("failed") => Err(format!("{name} failed while stopping")),
            Some(_) => Ok(false),
        }
    }

    fn alive(&self) -> Result<(), String> {
        self.tree.fatal().borrow().clone().map_or(Ok(()), Err)
    }
}
