//! The world that a simulation plays in: who takes a step when, what crashes and dies meanwhile,
//! and what is remembered outside of the machine.
//!
//! What is *not* here: the steps (`process`), and what must be true in the end (`check`, `oracle`).
//! The invariant: whatever goes wrong has a cause that was ordered.

use super::chance::Chance;
use super::client::{Want, Wishes};
use super::fuse::Fuse;
use super::machine::Machine;
use super::oracle::{Fate, Oracle};
use super::process::{Failed, From, Process, SHARDS, Submission};
use super::{Report, Script, check};
use crate::api::Verdict;
use crate::kinds::Kinds;
use crate::waiters::Told;
use actors::inbox::Inbox;
use actors::payment::Payment;
use actors::{EffectId, Entity, Kind, Position};
use state::frame::Frame;
use state::journal::AppendError;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::oneshot;
use xxhash_rust::xxh3::Xxh3;

/// So many starts in a row may fail of what was ordered; then nothing is ordered any more.
const FAILED_STARTS_MAX: u32 = 20;

/// A script takes some thousand steps; one that takes so many goes round in circles.
const STEPS_MAX: u64 = 100_000;

/// The product's first kinds, and one that misbehaves.
static KINDS: &[Kind] = &[
    Kind::of::<Inbox>(),
    Kind::of::<Payment>(),
    Kind::of::<actors::course::Course>(),
    Kind::of::<Fuse>(),
];

/// The same in a later version, in which what could be mended was.
static MENDED: &[Kind] = &[
    Kind::of::<Inbox>(),
    Kind::of::<Payment>(),
    Kind::of::<actors::course::Course>(),
    Kind::of::<Fuse<true>>(),
];

/// Where one of a client's wants stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Sent,
    Done,
}

pub(super) struct World {
    script: Script,
    kinds: Kinds,
    machine: Machine,
    chance: Chance,
    wants: Vec<Want>,
    stages: Vec<Stage>,
    process: Option<Process>,
    /// Every frame that was durable once, as it was.
    durable: Vec<Vec<u8>>,
    durable_end: Position,
    /// From where a start at the latest replays each shard: what a checkpoint has covered stays so.
    covered: Vec<Position>,
    carried: BTreeSet<EffectId>,
    answers: Vec<(usize, Position, oneshot::Receiver<Result<Told, AppendError>>)>,
    waiting: BTreeMap<usize, oneshot::Receiver<Result<Told, AppendError>>>,
    changes: u64,
    crashes: usize,
    deaths: usize,
    steps: u64,
    /// How many starts in a row have failed.
    failed_starts: u32,
    /// A fault was ordered: the next failure may be its.
    faulty: bool,
    /// The later version is at work.
    mended: bool,
}

impl World {
    pub(super) fn new(script: Script) -> Self {
        let kinds = Kinds::new(KINDS);
        let wants = Wishes::make(script.seed, kinds, script.wants);
        Self {
            kinds,
            machine: Machine::new(script.seed),
            chance: Chance(script.seed),
            stages: vec![Stage::Open; wants.len()],
            wants,
            process: None,
            durable: Vec::new(),
            durable_end: 0,
            covered: vec![0; usize::from(SHARDS)],
            carried: BTreeSet::new(),
            answers: Vec::new(),
            waiting: BTreeMap::new(),
            changes: 0,
            crashes: 0,
            deaths: 0,
            steps: 0,
            failed_starts: 0,
            faulty: false,
            mended: false,
            script,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.stages.iter().all(|stage| *stage == Stage::Done)
    }

    pub(super) fn plan_crash(&mut self) {
        if let Some(after) = self.script.crashes.get(self.crashes) {
            self.machine.crash_after(*after);
        }
    }

    /// One step of somebody; if the machine goes down in it, it is booted again.
    pub(super) fn step(&mut self) {
        self.steps += 1;
        assert!(self.steps < STEPS_MAX, "it never comes to an end, in {:?}", self.script);
        if self.script.faults && self.chance.one_in(120) {
            self.machine.fail_once(&mut self.chance);
            self.faulty = true;
        }
        if self.script.faults && self.chance.one_in(80) {
            let room = (!self.chance.one_in(3)).then(|| self.chance.below(20_000));
            self.machine.room(room);
            self.faulty |= room.is_some();
        }
        let stepped = self.try_step();
        self.survive(stepped.err());
        if self.script.faults && self.chance.one_in(400) {
            self.deaths += 1;
            self.begin_anew();
        }
    }

    /// What goes wrong must have a cause: the power, or a fault that was ordered.
    fn survive(&mut self, failed: Option<Failed>) {
        if let Some(process) = &self.process {
            self.covered = process.covered().collect();
        }
        if self.machine.is_down() {
            self.changes += self.machine.changes();
            self.crashes += 1;
            self.machine.reboot(&mut self.chance);
            self.plan_crash();
            self.begin_anew();
        } else if let Some(why) = failed {
            assert!(self.faulty, "{why}, in {:?}", self.script);
            self.deaths += 1;
            self.begin_anew();
        }
    }

    /// The process has ended, whatever of.
    fn begin_anew(&mut self) {
        self.process = None;
        if self.script.faults && self.chance.one_in(5) {
            self.machine.lose_kv();
            // Images are all that is left, and they may be older.
            self.covered.fill(0);
        }
        if self.chance.one_in(4) {
            // What was judged stays judged; what comes later, or was not judged durably, is mended.
            self.kinds = Kinds::new(MENDED);
            self.mended = true;
        }
        self.waiting.clear();
        for (stage, want) in self.stages.iter_mut().zip(&self.wants) {
            if *stage == Stage::Sent {
                *stage = if want.may_repeat() { Stage::Open } else { Stage::Done };
            }
        }
    }

    fn try_step(&mut self) -> Result<(), Failed> {
        let Some(process) = &mut self.process else { return self.start() };
        let (now, chance) = (self.machine.now, &mut self.chance);
        let awake = process.has_caught_up();
        match chance.below(100) {
            0..=29 => return self.send(),
            30..=44 => return self.write(),
            45..=69 => {
                let bytes = *chance.of(&[0, 300, 3_000, 30_000]);
                process.work(bytes)?;
            }
            70..=73 => process.capture(chance.below(u64::from(SHARDS)) as u16),
            74..=77 => process.keep(chance.one_in(3))?,
            78..=79 => process.evict(chance.below(u64::from(SHARDS)) as u16, 3),
            80..=83 if awake => process.fire(now, 1 + chance.below(20) as usize),
            84..=87 if awake => process.dispatch(now),
            88..=92 => self.carried.extend(process.carry(now, chance)),
            93..=94 => drop(process.tail(1 << chance.below(14), chance.one_in(3))?),
            95 => process.save_origins()?,
            96 if chance.one_in(3) => process.seal(now)?,
            97 if chance.one_in(4) => process.restart_worker()?,
            98 if chance.one_in(4) => process.restart_dispatcher(),
            _ => self.machine.now = now.plus_ms(self.later()),
        }
        Ok(())
    }

    /// A start that fails though nothing is ordered to fail would fail for ever.
    fn start(&mut self) -> Result<(), Failed> {
        let calm = self.failed_starts > FAILED_STARTS_MAX;
        if calm {
            self.machine.calm();
        }
        match Process::start(&self.machine, self.kinds) {
            Ok(process) => self.process = Some(process),
            Err(why) => {
                let must = calm && !self.machine.is_down();
                assert!(!must, "it starts no more: {why}, in {:?}", self.script);
                self.failed_starts += 1;
                return Err(why);
            }
        }
        self.failed_starts = 0;
        self.what_was_durable_is_there()
    }

    /// Mostly a little later; sometimes days.
    fn later(&mut self) -> i64 {
        let ms = self.chance.below(5_000) as i64;
        if self.chance.one_in(40) { ms + 2 * 24 * 3_600_000 } else { ms }
    }

    /// The next want that was not sent, in order.
    fn send(&mut self) -> Result<(), Failed> {
        let process = self.process.as_mut().expect("a process that takes a step");
        let open = self.stages.iter().position(|stage| *stage == Stage::Open);
        let Some(number) = open else { return self.write() };
        let draft = self.wants[number].draft(process, self.machine.now);
        let waiter = if matches!(self.wants[number], Want::Command { .. }) {
            let (sender, receiver) = oneshot::channel();
            self.waiting.insert(number, receiver);
            Some(sender)
        } else {
            None
        };
        process.submit(Submission { draft, from: From::Client(number), waiter });
        self.stages[number] = Stage::Sent;
        Ok(())
    }

    fn write(&mut self) -> Result<(), Failed> {
        let process = self.process.as_mut().expect("a process that takes a step");
        let most = 1 + self.chance.below(12) as usize;
        let replies = process.write(most, self.machine.now)?;
        for (number, result) in replies {
            let gap = matches!(self.wants[number], Want::Numbered { gap: true, .. });
            match result {
                Ok(receipt) => {
                    if let Some(receiver) = self.waiting.remove(&number) {
                        self.answers.push((number, receipt.base, receiver));
                    }
                }
                Err(why) if self.machine.is_down() => return Err(why.to_string()),
                // The client is told to come again, and so is who came behind it.
                Err(AppendError::DiskFull(_) | AppendError::SequenceGap { .. }) if !gap => {
                    self.waiting.remove(&number);
                    self.stages[number] = Stage::Open;
                    continue;
                }
                Err(why) => assert!(gap, "{why}, in {:?}", self.script),
            }
            self.stages[number] = Stage::Done;
        }
        self.remember_durable()
    }

    /// Whatever is durable now must be so for ever.
    fn remember_durable(&mut self) -> Result<(), Failed> {
        let process = self.process.as_ref().expect("a process that takes a step");
        let reader = process.journal().reader();
        while self.durable_end < reader.durable() {
            let frames = reader.read(self.durable_end, 1 << 20).map_err(|e| e.to_string())?;
            for frame in frames {
                self.durable.push(frame.bytes().to_vec());
                self.durable_end = frame.end();
            }
        }
        Ok(())
    }

    fn what_was_durable_is_there(&mut self) -> Result<(), Failed> {
        let process = self.process.as_ref().expect("just started");
        let reader = process.journal().reader();
        assert!(reader.durable() >= self.durable_end, "lost records, in {:?}", self.script);
        let mut all = Vec::new();
        let (mut at, mut known) = (0, self.durable.iter());
        while at < reader.durable() {
            let frames = reader.read(at, 1 << 20).map_err(|error| error.to_string())?;
            for frame in frames {
                let same = known.next().is_none_or(|bytes| bytes == frame.bytes());
                assert!(same, "frame at {} has changed, in {:?}", frame.base(), self.script);
                at = frame.end();
                all.push(parsed(frame.bytes()));
            }
        }
        let oracle = Oracle::of(self.kinds, &all);
        self.machine.calm();
        check::no_row_is_made_up(process, &oracle);
        for (shard, (now, before)) in process.covered().zip(&self.covered).enumerate() {
            assert!(now >= *before, "shard {shard} is back at {now}, and was at {before}");
        }
        self.remember_durable()
    }

    /// Nobody wants anything any more: everything comes to rest and is handed over. Crashes that
    /// are still planned come first.
    pub(super) fn heal(&mut self) {
        self.machine.room(None);
        for _ in 0..100_000 {
            match self.try_rest() {
                Ok(true) if !self.machine.is_down() => return,
                rested => self.survive(rested.err()),
            }
        }
        panic!("the world does not come to rest, in {:?}", self.script);
    }

    /// Everybody takes a step. True if nobody had anything to do.
    fn try_rest(&mut self) -> Result<bool, Failed> {
        let Some(process) = &mut self.process else {
            self.try_step()?;
            return Ok(false);
        };
        // As a thread of its own does in the process: a full disk is over when this has been done.
        process.journal().spares().prepare();
        process.write(usize::MAX, self.machine.now)?;
        while process.work(1 << 20)? {}
        process.fire(self.machine.now, 1_000);
        process.dispatch(self.machine.now);
        let carried = process.carry(self.machine.now, &mut self.chance);
        self.carried.extend(carried);
        while process.tail(1 << 20, true)? {}
        if !process.is_quiet() {
            let later = self.machine.now.plus_ms(1_000);
            self.machine.now = later.max(process.wake_at().unwrap_or(later));
            return Ok(false);
        }
        for shard in 0..SHARDS {
            process.keep(false)?;
            process.capture(shard);
            process.keep(shard + 1 == SHARDS)?;
        }
        self.remember_durable()?;
        Ok(true)
    }

    pub(super) fn check(mut self) -> Report {
        let frames: Vec<Frame> = self.durable.iter().map(|bytes| parsed(bytes)).collect();
        let oracle = Oracle::of(self.kinds, &frames);
        let process = self.process.as_ref().expect("a process that came to rest");
        self.machine.calm();
        check::no_row_is_made_up(process, &oracle);
        check::all_is_at_rest(process, &oracle);
        let payments = self.kinds.id(Payment::KIND).expect("a kind of the table");
        check::money_is_conserved(&self.machine, &oracle, payments);
        check::the_outbox_is_whole(&self.machine, &oracle);
        assert!(oracle.due.is_empty(), "never carried out: {:?}", oracle.due);
        self.deliveries_ended(&oracle);
        self.answers_are_right(&oracle);
        let mut journal = Xxh3::new();
        self.durable.iter().for_each(|bytes| journal.update(bytes));
        Report {
            records: self.durable_end,
            frames: frames.len(),
            journal: journal.digest(),
            changes: self.changes + self.machine.changes(),
            crashes: self.crashes,
            deaths: self.deaths,
            counts: oracle.counts,
        }
    }

    fn deliveries_ended(&self, oracle: &Oracle) {
        for id in &oracle.deliveries {
            assert!(!oracle.pending.contains_key(id), "{id} was never answered");
            assert!(self.carried.contains(id), "{id} was never carried out");
        }
    }

    /// Whoever got an answer to a command got the right one.
    fn answers_are_right(&mut self, oracle: &Oracle) {
        for (number, position, receiver) in &mut self.answers {
            // A crash or a restart has cut the others off.
            let Ok(Ok(told)) = receiver.try_recv() else { continue };
            let (address, fate) = &oracle.fates[position];
            if oracle.is_fuse(address) && self.mended {
                // It may have been answered by the version before, and applied by this one.
                continue;
            }
            let fits = match (&told.verdict, told.replayed) {
                (Verdict::Done { .. }, replayed) => {
                    *fate == if replayed { Fate::Replayed(true) } else { Fate::Done }
                }
                (Verdict::Rejected { .. }, replayed) => {
                    *fate == if replayed { Fate::Replayed(false) } else { Fate::Refused }
                }
                (Verdict::Mismatch, _) => *fate == Fate::Mismatch,
            };
            assert!(fits, "want {number} was told {:?}, and is {fate:?}", told.verdict);
        }
    }
}

fn parsed(bytes: &[u8]) -> Frame {
    Frame::parse(bytes.to_vec().into()).expect("a frame that was durable")
}
