//! The end of the loop.

use tokio::sync::oneshot;

use super::{Dispatch, Ticket};
use crate::clock::UnixMs;
use crate::journal::Written;
use crate::nuncio::Remains;
use crate::store::Query;

/// The end, once it is asked for.
pub(super) struct Ending {
    pub(super) until: UnixMs,
    pub(super) replies: Vec<oneshot::Sender<Remains>>,
}

impl Dispatch {
    /// Breaks off what is under way, has everything written that can be, and closes the store.
    pub(super) async fn end(mut self) {
        // What has come back by now need not be sent again.
        loop {
            while let Some(landing) = self.flights.try_landing() {
                self.returned(landing);
            }
            if self.landed.is_empty() {
                break;
            }
            // Meanwhile more may come back.
            self.judge_landed();
        }
        self.route_arrived();
        self.flights.break_off().await;
        for (ticket, operation) in std::mem::take(&mut self.unwritten) {
            self.submit(ticket, operation);
        }
        let probing: Vec<_> = self.flights.iter().map(|flight| (flight.item.lane, flight.began)).collect();
        for (lane, began) in probing {
            self.unjudged(lane, began);
        }
        self.save_endpoints_until(UnixMs::MAX, self.timeline.now());
        let in_flight = self.flights.iter().len();
        let waiting = if self.recovery.is_over() {
            self.schedule.waiting()
        } else {
            // Not all that waits is scheduled; the store knows.
            let open = self.reads.run(|reader| reader.count(&Query::open())).await.unwrap_or_default();
            usize::try_from(open).unwrap_or(usize::MAX).saturating_sub(in_flight)
        };
        let left = self.schedule.iter().chain(self.flights.iter().map(|flight| &flight.item));
        for item in left {
            tracing::debug!(id = %item.id, target = %self.lanes.name(item.lane), "left undelivered");
        }
        let ends = |written: &Written<Ticket>| {
            written.result.is_err() && matches!(written.ticket, Ticket::Settle(_) | Ticket::Steer(_))
        };
        let unwritten = self.journal.close().await.iter().filter(|written| ends(written)).count();
        let remains = Remains { waiting, in_flight, unwritten };
        for reply in self.ending.map(|ending| ending.replies).unwrap_or_default() {
            // Whoever asked may have stopped listening.
            let _ = reply.send(remains);
        }
    }
}
