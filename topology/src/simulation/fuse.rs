//! A kind that does whatever an entity can do, well or badly: the simulation's own.
//!
//! It counts, fills pages, changes its look-up words, asks for every sort of effect, refuses, and
//! blows: after it has changed itself, in the head or in a page. What is *not* here: sense.

use actors::{
    Answer, Delivery, DomainEvent, Effects, Entity, Key, Outcome, Pages, Publication, Tags, Tell,
    Timestamp, Unfit,
};
use serde::{Deserialize, Serialize};

/// The entity: what it was told adds up. A sound one does not blow: it is the version of the code
/// in which that was mended.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Fuse<const SOUND: bool = false> {
    sum: i64,
    words: u8,
    told: u64,
}

/// What it is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// Add this.
    Add(i64),
    /// Write this into a page, and this many bytes beside it.
    Put(u32, u64, u16),
    /// Have these look-up words: one for each bit.
    Words(u8),
    /// Change the head, then panic.
    Blow,
    /// Change a page, then panic.
    BlowInPage(u32),
    /// Change the head, ask for something, then refuse.
    Refuse,
    /// Ask for so many sends to this one.
    Flood(u16, Key),
    /// Pass it on to a neighbour, who does the same.
    Chain(u64),
    /// Wake me after so many milliseconds with this.
    Wake(i64, Box<Event>),
    /// Tell somebody without a name.
    TellNobody,
    /// Publish that a user has had a lesson; with `false` something that is no event.
    Publish(Key, bool),
    /// Have a sink that does not exist carry something.
    Deliver,
    /// The answer to that.
    Answered(bool),
}

/// A page.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Page {
    values: Vec<u64>,
    pad: Vec<u8>,
}

impl<const SOUND: bool> Entity for Fuse<SOUND> {
    const KIND: &'static str = "fuse";
    type Event = Event;
    type Page = Page;
    type View = i64;
    type Query = ();
    type Answer = i64;

    fn hear(_: &DomainEvent<'_>, _: &mut Tell<'_, Self>) -> Result<(), Unfit> {
        Ok(())
    }

    fn page(&self, event: &Event) -> Option<u32> {
        match event {
            Event::Put(page, ..) | Event::BlowInPage(page) => Some(*page),
            _ => None,
        }
    }

    fn apply(&mut self, page: Option<&mut Page>, event: Event, fx: &mut Effects) -> Outcome {
        self.told += 1;
        match event {
            Event::Add(0) => {
                self.told -= 1;
                return Outcome::Ignored;
            }
            Event::Add(more) => self.sum += more,
            Event::Put(_, value, pad) => put(page, value, pad),
            Event::Words(words) => self.words = words,
            Event::Blow if SOUND => self.sum += 1_000,
            Event::BlowInPage(_) if SOUND => put(page, 1_000, 1),
            Event::Blow => {
                self.sum = i64::MIN;
                fx.send::<Self>("never", &Event::Add(1));
                blow()
            }
            Event::BlowInPage(_) => {
                put(page, u64::MAX, 1);
                blow()
            }
            Event::Refuse => {
                self.told -= 1;
                fx.send::<Self>("never", &Event::Add(1));
                return Outcome::Rejected("it was told to refuse".into());
            }
            Event::Flood(times, to) => {
                (0..times).for_each(|_| fx.send::<Self>(&to, &Event::Add(1)));
            }
            Event::Chain(at) => {
                let next = format!("chain-{}", (at + 1) % 7);
                fx.send::<Self>(&next, &Event::Chain(at + 1));
            }
            Event::Wake(after_ms, with) => fx.at::<Self>(fx.now().plus_ms(after_ms), &with),
            Event::TellNobody => fx.send::<Self>("", &Event::Add(1)),
            Event::Publish(user, sound) => fx.publish(lesson(user, sound, fx.now())),
            Event::Deliver => {
                fx.deliver(Delivery { sink: "nowhere".to_owned(), body: vec![1, 2, 3] });
            }
            Event::Answered(happened) => self.sum += 1 + i64::from(happened),
        }
        Outcome::Applied
    }

    fn answered(_: &Delivery, answer: &Answer) -> Option<Event> {
        Some(Event::Answered(matches!(answer, Answer::Definite(_))))
    }

    fn view(&self, _: &str) -> i64 {
        self.sum
    }

    fn ask(&self, _: &str, (): (), _: &mut Pages<'_, Page>) -> i64 {
        self.sum
    }

    fn tags(&self) -> Tags {
        (0..4)
            .filter(|bit| self.words & (1 << bit) != 0)
            .map(|bit| Key::new(format!("word:{bit}")))
            .collect()
    }
}

fn put(page: Option<&mut Page>, value: u64, pad: u16) {
    let page = page.expect("it asked for the page");
    page.values.push(value);
    page.values.truncate(40);
    page.pad.resize(usize::from(pad), b'x');
}

/// Panics without the panic hook: thousands of these say nothing to anybody.
fn blow() -> ! {
    std::panic::resume_unwind(Box::new("it was told to blow"))
}

fn lesson(user: Key, sound: bool, time: Timestamp) -> Publication {
    let data = format!("{{\"user_id\":\"{user}\",\"course_id\":\"c-1\",\"lesson_id\":\"l-1\"}}");
    Publication {
        event_type: "com.bellwether.learning.lesson.completed.v1",
        subject: user,
        time,
        data: if sound { data } else { "{".to_owned() },
        outward: true,
    }
}
