//! What is said of deliveries: counted, logged, and told to whoever watches.

use super::Dispatch;
use super::item::Item;
use crate::event::{Event, Happened};
use crate::store::State;

/// How a delivery ended.
pub(super) struct End<'a> {
    pub(super) id: &'a str,
    pub(super) target: &'a str,
    pub(super) state: State,
    pub(super) attempts: u32,
    pub(super) detail: &'a str,
}

impl Dispatch {
    pub(super) fn tell_end(&mut self, end: &End<'_>) {
        let End { id, target, state, attempts, detail } = *end;
        let happened = match state {
            State::Delivered => {
                self.stats.delivered += 1;
                tracing::debug!(%id, %target, attempts, "delivered");
                Happened::Delivered { attempts }
            }
            State::Dropped => {
                self.stats.dropped += 1;
                tracing::info!(%id, %target, attempts, "dropped");
                Happened::Dropped
            }
            _ => {
                self.stats.dead += 1;
                tracing::error!(%id, %target, attempts, %detail, "dead");
                Happened::Dead { attempts, detail: detail.to_owned() }
            }
        };
        self.tell_of(id, target, happened);
    }

    pub(super) fn tell(&self, item: &Item, happened: Happened) {
        self.tell_of(&item.id, &self.lanes.name(item.lane), happened);
    }

    pub(super) fn tell_of(&self, id: &str, target: &str, happened: Happened) {
        // Nobody has to watch, and what nobody sees need not be made.
        if self.events.receiver_count() > 0 {
            let (id, target) = (id.to_owned(), target.to_owned());
            let _ = self.events.send(Event { id, target, at: self.timeline.wall(), happened });
        }
    }
}
