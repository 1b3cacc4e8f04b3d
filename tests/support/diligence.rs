//! One diligence per user: how many lessons they have completed, and when they did the last one.

use actors::entity::{Entity, Outcome, Tell};
use actors::event::{DomainEvent, EventType, Unfit};
use actors::{Effects, Pages, Timestamp};
use serde::{Deserialize, Serialize};

/// What one entity remembers: its head.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diligence {
    lessons: u64,
    last_at: Timestamp,
}

/// What it can be told. Stored: variants are only appended.
#[derive(Debug, Serialize, Deserialize)]
pub enum Event {
    /// The user has completed a lesson at this time.
    LessonCompleted(Timestamp),
}

/// What `GET /api/v1/entities/diligence/{user}` shows.
#[derive(Debug, Serialize)]
pub struct View {
    user: String,
    lessons: u64,
    last_at: String,
}

impl Entity for Diligence {
    const KIND: &'static str = "diligence";
    type Event = Event;
    type Page = ();
    type View = View;
    type Query = ();
    type Answer = ();

    fn hear(event: &DomainEvent<'_>, tell: &mut Tell<'_, Self>) -> Result<(), Unfit> {
        if event.event_type == EventType::Known("learning.lesson.completed") {
            tell.tell(event.data.user()?, &Event::LessonCompleted(event.time));
        }
        Ok(())
    }

    fn apply(&mut self, _: Option<&mut ()>, event: Event, _fx: &mut Effects) -> Outcome {
        let Event::LessonCompleted(at) = event;
        self.lessons += 1;
        self.last_at = self.last_at.max(at);
        Outcome::Applied
    }

    fn view(&self, key: &str) -> View {
        View { user: key.to_owned(), lessons: self.lessons, last_at: self.last_at.to_string() }
    }

    fn ask(&self, _key: &str, (): (), _pages: &mut Pages<'_, ()>) {}
}
