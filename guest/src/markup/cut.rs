//! Parts of a text.
//!
//! A place to cut is found by trial: the parts that are tried are written in full and measured, so that what
//! escapes, tags and marks take up is counted, and no dialect has to know how.

use unicode_segmentation::UnicodeSegmentation as _;

use super::read::block;
use super::{Dialect, Event, Tag, Text};
use crate::limit::{ELLIPSIS, Limit, MOST_PARTS, Overflow};

/// A text is split for no limit below this, in whose parts there would hardly be room for their numbers.
const LEAST_TO_SPLIT: usize = 64;

/// A place in a text: in which event, and before which of its bytes.
#[derive(Clone, Copy)]
struct Place {
    event: usize,
    byte: usize,
}

impl Text {
    /// The text in as many parts as it takes, each written in a dialect and within a limit: one, where that
    /// is enough or there is no limit.
    #[must_use]
    pub fn parts(&self, dialect: &Dialect, limit: Limit, overflow: Overflow) -> Vec<String> {
        let written = self.write(dialect);
        if limit.fits(&written) || overflow == Overflow::Upstream {
            return vec![written];
        }
        let parts = self.split(limit.most, overflow, &|part| limit.length(&part.write(dialect)));
        parts.iter().map(|part| part.write(dialect)).collect()
    }

    /// The beginning of the text that is within a limit; the whole text where that is.
    #[must_use]
    pub fn fit(&self, dialect: &Dialect, limit: Limit) -> String {
        self.parts(dialect, limit, Overflow::Truncate).pop().unwrap_or_default()
    }

    /// The text in as many parts as it takes, where a provider sends each in several forms. `measure` is how
    /// long a part is as it is sent: at least as long as it has grapheme clusters.
    #[must_use]
    pub fn split(&self, most: usize, overflow: Overflow, measure: &dyn Fn(&Self) -> usize) -> Vec<Self> {
        if overflow == Overflow::Upstream || measure(self) <= most {
            return vec![self.clone()];
        }
        if overflow == Overflow::Truncate || most < LEAST_TO_SPLIT {
            return vec![self.begin(most, measure)];
        }
        let (mut parts, mut rest) = (Vec::new(), self.flat());
        while !rest.is_blank() {
            let number = parts.len().saturating_add(1);
            let numbered = |part: &Self| measure(&part.clone().numbered(number, MOST_PARTS));
            let (part, after) = if number < MOST_PARTS || numbered(&rest) <= most {
                rest.divide(most, &numbered)
            } else {
                rest.tail.splice(..0, block(Tag::Line, "(the rest is left out)"));
                (rest.begin(most, &numbered), Self::default())
            };
            if !part.is_blank() {
                parts.push(part);
            }
            rest = after;
        }
        // The link, where it had no room in the last part. One that is too long for any is left out.
        let link = Self { events: rest.tail, ..Self::default() };
        if !link.is_blank()
            && parts.len() < MOST_PARTS
            && measure(&link.clone().numbered(MOST_PARTS, MOST_PARTS)) <= most
        {
            parts.push(link);
        }
        let count = parts.len();
        let numbered = |(n, part): (usize, Self)| part.numbered(n.saturating_add(1), count);
        parts.into_iter().enumerate().map(numbered).collect()
    }

    /// The beginning, then `…`, and the link that is behind all.
    fn begin(&self, most: usize, measure: &dyn Fn(&Self) -> usize) -> Self {
        let mut whole = self.flat();
        let mut tail = std::mem::take(&mut whole.tail);
        // Where the link would take up more than two thirds there is no link.
        let only_tail = Self { tail: tail.clone(), ..Self::default() };
        if measure(&only_tail).saturating_mul(3) > most.saturating_mul(2) {
            tail = Vec::new();
        }
        let places = places(&whole.events, most);
        let cut = |place: Place| {
            let mut part = whole.until(place, Some(ELLIPSIS));
            part.tail.clone_from(&tail);
            part
        };
        match longest(&places, most, &|place| measure(&cut(place))) {
            Some(n) => places.get(n).map(|place| cut(*place)).unwrap_or_default(),
            None => {
                let only_mark = Self { events: block(Tag::Paragraph, "…"), ..Self::default() };
                if measure(&only_mark) <= most { only_mark } else { Self::default() }
            }
        }
    }

    /// A part that is short enough, and the rest. A cluster that alone is too long is left out.
    fn divide(&self, most: usize, measure: &dyn Fn(&Self) -> usize) -> (Self, Self) {
        if measure(self) <= most {
            return (self.clone(), Self::default());
        }
        let places = places(&self.events, most);
        let length = |place: Place| measure(&self.until(place, None));
        let Some(last) = longest(&places, most, &length) else {
            let after = places.first().map(|place| self.from(*place)).unwrap_or_default();
            return (Self { events: block(Tag::Paragraph, "…"), ..Self::default() }, after);
        };
        let good =
            self.best(&places, last).filter(|n| places.get(*n).is_some_and(|place| length(*place) <= most));
        match places.get(good.unwrap_or(last)) {
            Some(place) => (self.until(*place, None), self.from(*place)),
            None => (self.clone(), Self::default()),
        }
    }

    /// The last good place to cut up to one: behind a block in the second half, or a line, or a word in the
    /// last quarter.
    fn best(&self, places: &[Place], last: usize) -> Option<usize> {
        let from = |part: usize| last.checked_div(part).unwrap_or_default();
        let find = |first: usize, is_good: &dyn Fn(Place) -> bool| {
            (first..=last).rev().find(|n| places.get(*n).is_some_and(|place| is_good(*place)))
        };
        let rest = |place: Place| match self.events.get(place.event) {
            Some(Event::Text(text)) => text.get(place.byte..).unwrap_or_default(),
            _ => "",
        };
        let ends_block = |place: Place| {
            let next = self.events.get(place.event.saturating_add(1)..).unwrap_or_default();
            let closes = next.iter().take_while(|event| **event == Event::Close).count();
            rest(place).is_empty() && matches!(next.get(closes), Some(Event::Open(tag)) if tag.is_block())
        };
        find(from(2), &ends_block).or_else(|| find(from(2), &|place| rest(place).starts_with('\n'))).or_else(
            || find(last.saturating_sub(from(4)), &|place| rest(place).starts_with(char::is_whitespace)),
        )
    }

    /// The text with everything where it can be cut.
    fn flat(&self) -> Self {
        let events = [self.head.as_slice(), &self.events].concat();
        Self { events, tail: self.tail.clone(), ..Self::default() }
    }

    fn numbered(mut self, number: usize, count: usize) -> Self {
        self.number = Some((number, count));
        self
    }

    /// Everything before a place, closed.
    fn until(&self, place: Place, mark: Option<char>) -> Self {
        let mut events: Vec<Event> = self.events.get(..place.event).unwrap_or_default().to_vec();
        if let Some(Event::Text(text)) = self.events.get(place.event) {
            let mut text = text.get(..place.byte).unwrap_or_default().trim_end().to_owned();
            text.extend(mark);
            events.push(Event::Text(text));
        }
        let open = open_tags(&events).len();
        events.extend(std::iter::repeat_n(Event::Close, open));
        Self { events, ..Self::default() }
    }

    /// Everything behind a place, opened again.
    fn from(&self, place: Place) -> Self {
        let before = self.events.get(..place.event).unwrap_or_default();
        let mut events: Vec<Event> =
            open_tags(before).into_iter().map(|tag| Event::Open(tag.again())).collect();
        if let Some(Event::Text(text)) = self.events.get(place.event) {
            let text = text.get(place.byte..).unwrap_or_default().trim_start();
            if !text.is_empty() {
                events.push(Event::Text(text.to_owned()));
            }
        }
        events.extend_from_slice(self.events.get(place.event.saturating_add(1)..).unwrap_or_default());
        Self { events, tail: self.tail.clone(), ..Self::default() }
    }
}

impl Tag {
    /// What goes on in the next part.
    fn again(&self) -> Self {
        match self {
            Self::Item { number, .. } => Self::Item { number: *number, is_continued: true },
            other => other.clone(),
        }
    }

    fn is_block(&self) -> bool {
        !matches!(
            self,
            Self::Name | Self::Strong | Self::Emphasis | Self::Strike | Self::Code | Self::Link(_)
        )
    }
}

/// The tags that events leave open, the outermost first.
fn open_tags(events: &[Event]) -> Vec<&Tag> {
    let mut open = Vec::new();
    for event in events {
        match event {
            Event::Open(tag) => open.push(tag),
            Event::Close => drop(open.pop()),
            Event::Text(_) => {}
        }
    }
    open
}

/// The places behind each cluster, at most so many: each takes up at least one unit of any limit.
fn places(events: &[Event], most: usize) -> Vec<Place> {
    let texts = events.iter().enumerate().filter_map(|(event, step)| match step {
        Event::Text(text) => Some((event, text)),
        _ => None,
    });
    let places = texts.flat_map(|(event, text)| {
        text.grapheme_indices(true)
            .map(move |(start, cluster)| Place { event, byte: start.saturating_add(cluster.len()) })
    });
    places.take(most.saturating_add(1)).collect()
}

/// The last place up to which the text is at most so long, or one nearly as far; `None` where none is.
///
/// Lengths grow evenly, but for what escapes take up, so that a guess by proportion is near at once; every
/// other guess is the middle, so that it ends soon whatever the text.
fn longest(places: &[Place], most: usize, length: &dyn Fn(Place) -> usize) -> Option<usize> {
    let length = |n: usize| places.get(n).map_or(usize::MAX, |place| length(*place));
    let last = places.len().checked_sub(1)?;
    let (mut fit, mut over) = ((0, length(0)), (last, length(last)));
    if over.1 <= most {
        return Some(last);
    }
    if fit.1 > most {
        return None;
    }
    let slack = most / 64;
    let mut is_proportional = true;
    while over.0.saturating_sub(fit.0) > 1 && most.saturating_sub(fit.1) > slack {
        let (steps, rise) = (over.0.saturating_sub(fit.0), over.1.saturating_sub(fit.1));
        let share = steps.saturating_mul(most.saturating_sub(fit.1)).checked_div(rise).unwrap_or_default();
        let guess = if is_proportional { fit.0.saturating_add(share) } else { fit.0.midpoint(over.0) };
        let guess = guess.clamp(fit.0.saturating_add(1), over.0.saturating_sub(1));
        is_proportional = !is_proportional;
        let found = (guess, length(guess));
        if found.1 <= most { fit = found } else { over = found }
    }
    Some(fit.0)
}
