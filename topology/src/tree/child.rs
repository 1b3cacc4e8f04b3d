//! A child of the root: an actor around a task. It fails when its task fails, panics or ends before
//! its time.

use ractor::thread_local::{ThreadLocalActor, ThreadLocalActorSpawner};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// What a child's task comes to.
pub type Run = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// The same, on a thread of its own: it need not be `Send`.
pub(super) type RunLocal = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// How a child's task is begun; called once per start.
#[derive(Clone)]
pub enum Start {
    /// On the shared runtime.
    Shared(Arc<dyn Fn() -> Run + Send + Sync>),
    /// On an OS thread of its own, with a `LocalSet`.
    Thread(Arc<dyn Fn() -> RunLocal + Send + Sync>),
    /// On an OS thread of its own, blocking.
    Blocking(Arc<dyn Fn() -> Result<(), String> + Send + Sync>),
}

/// What a child is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Its failure is repaired by starting it again.
    Restartable,
    /// Nobody can survive its failure: the process ends.
    Vital,
    /// It may end by itself, having done what it was for: a source that has an end.
    Finite,
}

/// A child of the root.
#[derive(Clone)]
pub struct Child {
    /// Its name in the tree, such as `worker-0`.
    pub name: String,
    /// What it is for.
    pub work: Work,
    /// How it is started.
    pub start: Start,
}

impl Child {
    /// Starts it under this supervisor.
    pub(super) async fn spawn(&self, supervisor: ActorCell) -> Result<ActorCell, SpawnErr> {
        match self.start.clone() {
            Start::Shared(start) => spawn_shared(start, supervisor).await,
            Start::Blocking(start) => {
                spawn_shared(on_a_thread(&self.name, start), supervisor).await
            }
            Start::Thread(start) => {
                let spawner = ThreadLocalActorSpawner::new();
                let spawned = Local::spawn_linked(None, Start::Thread(start), supervisor, spawner);
                Ok(spawned.await?.0.get_cell())
            }
        }
    }
}

async fn spawn_shared(
    start: Arc<dyn Fn() -> Run + Send + Sync>,
    supervisor: ActorCell,
) -> Result<ActorCell, SpawnErr> {
    let spawned = Actor::spawn_linked(None, Shared, start, supervisor).await?;
    Ok(spawned.0.get_cell())
}

/// A blocking task, as one that waits for its thread.
fn on_a_thread(
    name: &str,
    start: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
) -> Arc<dyn Fn() -> Run + Send + Sync> {
    let name = name.to_owned();
    Arc::new(move || {
        let (start, name) = (start.clone(), name.clone());
        Box::pin(async move {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let thread = std::thread::Builder::new().name(name);
            let spawned = thread.spawn(move || {
                // The supervisor may have gone.
                let _ = sender.send(start());
            });
            spawned.map_err(|error| format!("cannot start a thread: {error}"))?;
            receiver.await.unwrap_or_else(|_| Err("it panicked".to_owned()))
        })
    })
}

/// The task has ended, with this result.
pub(super) struct Ended(Result<(), String>);

/// Waits for a child's task, and tells its actor how it ended. A panic is a failure too.
async fn tell_the_end(task: JoinHandle<Result<(), String>>, myself: ActorRef<Ended>) {
    let result = task.await.unwrap_or_else(|error| Err(error.to_string()));
    // The actor may have been stopped already.
    let _ = myself.send_message(Ended(result));
}

/// An actor ends as its task has ended.
fn end(myself: &ActorRef<Ended>, Ended(result): Ended) -> Result<(), ActorProcessingErr> {
    result?;
    myself.stop(None);
    Ok(())
}

struct Shared;

impl Actor for Shared {
    type Msg = Ended;
    type State = ();
    type Arguments = Arc<dyn Fn() -> Run + Send + Sync>;

    async fn pre_start(
        &self,
        myself: ActorRef<Ended>,
        start: Self::Arguments,
    ) -> Result<(), ActorProcessingErr> {
        tokio::spawn(tell_the_end(tokio::spawn(start()), myself));
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Ended>,
        ended: Ended,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        end(&myself, ended)
    }
}

#[derive(Default)]
struct Local;

impl ThreadLocalActor for Local {
    type Msg = Ended;
    type State = ();
    type Arguments = Start;

    async fn pre_start(
        &self,
        myself: ActorRef<Ended>,
        start: Start,
    ) -> Result<(), ActorProcessingErr> {
        let Start::Thread(start) = start else { return Err("not a thread's start".into()) };
        tokio::task::spawn_local(tell_the_end(tokio::task::spawn_local(start()), myself));
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Ended>,
        ended: Ended,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        end(&myself, ended)
    }
}
