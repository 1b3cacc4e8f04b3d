//! The root: starts the children, watches them, starts each again on its own, or gives up loudly.

use super::child::{Child, Work};
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The first pause before a child is started again; it doubles with each failure in the window.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How often a child may fail.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// More failures than this within the window end the process.
    pub restarts_max: u32,
    /// The window.
    pub window: Duration,
}

/// How one child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildState {
    /// `running`, `restarting`, `stopped`, `failed`.
    pub state: &'static str,
    /// How often it was started again.
    pub restarts: u64,
}

/// The tree as it lives, for whoever wants to look; and whether it has given up.
#[derive(Clone)]
pub struct Tree {
    states: Arc<Mutex<BTreeMap<String, ChildState>>>,
    order: Arc<Vec<String>>,
    fatal: watch::Receiver<Option<String>>,
    root: ActorRef<Message>,
}

impl Tree {
    /// Each child and how it is, in the order they were started in.
    pub fn children(&self) -> Vec<(String, ChildState)> {
        let states = self.states.lock().expect("nobody panics while copying");
        let mut left = states.clone();
        let mut children = Vec::new();
        for name in self.order.iter() {
            if let Some(state) = left.remove(name) {
                children.push((name.clone(), state));
            }
        }
        children.extend(left);
        children
    }

    /// Why the tree has given up, once it has.
    pub fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.fatal.clone()
    }

    /// Starts another child.
    pub fn add(&self, child: Child) {
        // A root that has stopped starts nothing.
        let _ = self.root.send_message(Message::Start(child));
    }

    /// Nothing is started again from now on: the process is stopping.
    pub fn let_go(&self) {
        let _ = self.root.send_message(Message::LetGo);
    }
}

/// What the root is told.
pub enum Message {
    /// Start this child.
    Start(Child),
    /// Start this child again, if the process is not stopping.
    Again(String),
    /// The process is stopping.
    LetGo,
}

/// The root actor.
pub struct Root;

/// What the root begins with.
pub struct Arguments {
    limits: Limits,
    states: Arc<Mutex<BTreeMap<String, ChildState>>>,
    fatal: watch::Sender<Option<String>>,
}

/// What the root knows.
pub struct State {
    arguments: Arguments,
    children: BTreeMap<String, Child>,
    live: BTreeMap<ActorId, String>,
    failures: BTreeMap<String, VecDeque<Instant>>,
    letting_go: bool,
}

impl Root {
    /// Starts the root and these children, in this order.
    pub async fn start(limits: Limits, children: Vec<Child>) -> Result<Tree, ractor::SpawnErr> {
        let states = Arc::default();
        let (fatal_sender, fatal) = watch::channel(None);
        let order = children.iter().map(|child| child.name.clone()).collect();
        let arguments = Arguments { limits, states: Arc::clone(&states), fatal: fatal_sender };
        let (root, _) = Actor::spawn(None, Self, arguments).await?;
        let tree = Tree { states, order: Arc::new(order), fatal, root };
        for child in children {
            tree.add(child);
        }
        Ok(tree)
    }
}

impl State {
    fn show(&self, name: &str, state: &'static str, restarted: bool) {
        let mut states = self.arguments.states.lock().expect("nobody panics while counting");
        let shown = states.entry(name.to_owned()).or_insert(ChildState { state, restarts: 0 });
        shown.state = state;
        shown.restarts += u64::from(restarted);
    }

    fn give_up(&self, reason: String) {
        tracing::error!(reason, "giving up");
        self.arguments.fatal.send_replace(Some(reason));
    }

    async fn start(&mut self, child: Child, root: ActorCell) {
        crate::metrics::actor_known(&child.name);
        match child.spawn(root).await {
            Ok(cell) => {
                self.live.insert(cell.get_id(), child.name.clone());
                self.show(&child.name, "running", false);
                self.children.insert(child.name.clone(), child);
            }
            Err(error) => self.give_up(format!("{} cannot be started: {error}", child.name)),
        }
    }

    /// A child has failed: how long to wait before it is started again, or nothing if the tree
    /// gives up.
    fn failed(&mut self, name: &str, why: &str) -> Option<Duration> {
        self.show(name, "failed", false);
        let work = self.children.get(name).map(|child| child.work);
        if work == Some(Work::Vital) {
            self.give_up(format!("{name} has failed: {why}"));
            return None;
        }
        if self.letting_go {
            tracing::error!(actor = name, why, "an actor has failed while the process stops");
            return None;
        }
        let now = Instant::now();
        let window = self.arguments.limits.window;
        let failures = self.failures.entry(name.to_owned()).or_default();
        failures.push_back(now);
        while failures.front().is_some_and(|first| now.duration_since(*first) > window) {
            failures.pop_front();
        }
        let count = u32::try_from(failures.len()).unwrap_or(u32::MAX);
        if count > self.arguments.limits.restarts_max {
            self.give_up(format!("{name} has failed {count} times within {window:?}, last: {why}"));
            return None;
        }
        tracing::warn!(actor = name, why, count, "an actor has failed and is started again");
        self.show(name, "restarting", false);
        Some((PAUSE_MIN * 2_u32.saturating_pow(count - 1)).min(PAUSE_MAX))
    }
}

impl Actor for Root {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State {
            arguments,
            children: BTreeMap::new(),
            live: BTreeMap::new(),
            failures: BTreeMap::new(),
            letting_go: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Start(child) => state.start(child, myself.get_cell()).await,
            Message::Again(name) if !state.letting_go => {
                if let Some(child) = state.children.get(&name).cloned() {
                    state.show(&name, "restarting", true);
                    crate::metrics::restarted(&name);
                    state.start(child, myself.get_cell()).await;
                }
            }
            Message::Again(_) => {}
            Message::LetGo => state.letting_go = true,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, why) = match event {
            SupervisionEvent::ActorFailed(cell, error) => (cell, error.to_string()),
            SupervisionEvent::ActorTerminated(cell, ..) => (cell, "it has ended".to_owned()),
            _ => return Ok(()),
        };
        let Some(name) = state.live.remove(&cell.get_id()) else { return Ok(()) };
        let finite = state.children.get(&name).is_some_and(|child| child.work == Work::Finite);
        if why == "it has ended" && (finite || state.letting_go) {
            state.show(&name, "stopped", false);
            return Ok(());
        }
        if let Some(pause) = state.failed(&name, &why) {
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                // A root that has stopped starts nothing again.
                let _ = myself.send_message(Message::Again(name));
            });
        }
        Ok(())
    }
}
