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
        let events = [self.head.as_slice(), &self.events].concat();
        let mut rest = Rest { events: &events, at: Place { event: 0, byte: 0 }, open: Vec::new() };
        if overflow == Overflow::Truncate || most < LEAST_TO_SPLIT {
            return vec![rest.begin(&self.tail, most, &|part| measure(&part))];
        }
        let mut tail = self.tail.clone();
        let mut parts = Vec::new();
        while !rest.is_blank() {
            let number = parts.len().saturating_add(1);
            let numbered = |part: Self| measure(&part.numbered(number, MOST_PARTS));
            let places = rest.places(most);
            // More clusters than units are too many, whatever they are written as.
            if places.len() <= most && numbered(rest.all(&tail)) <= most {
                parts.push(rest.all(&tail));
                tail = Vec::new();
                break;
            }
            if number == MOST_PARTS {
                tail.splice(..0, block(Tag::Line, "(the rest is left out)"));
                parts.push(rest.begin(&tail, most, &numbered));
                tail = Vec::new();
                break;
            }
            let (part, after) = rest.divide(&places, most, &numbered);
            if !part.is_blank() {
                parts.push(part);
            }
            rest = after;
        }
        // The link, where it had no room in the last part. One that is too long for any is left out.
        let link = Self { events: tail, ..Self::default() };
        if !link.is_blank()
            && parts.len() < MOST_PARTS
            && measure(&link.clone().numbered(MOST_PARTS, MOST_PARTS)) <= most
        {
            parts.push(link);
        }
        let count = parts.len();
        let numbered = |(n, part): (usize, Self)| part.numbered(n.saturating_add(1), count);
        parts.into_iter().filter(|part| !part.is_blank()).enumerate().map(numbered).collect()
    }

    fn numbered(mut self, number: usize, count: usize) -> Self {
        self.number = Some((number, count));
        self
    }
}

/// What is left of a text from a place on. It is not copied, because a long text has many parts.
struct Rest<'a> {
    /// Those of the whole text.
    events: &'a [Event],
    at: Place,
    /// What is open there, the outermost first.
    open: Vec<&'a Tag>,
}

impl<'a> Rest<'a> {
    /// The beginning, then `…`, and the link that is behind all.
    fn begin(&self, tail: &[Event], most: usize, measure: &dyn Fn(Text) -> usize) -> Text {
        // Where the link would take up more than two thirds there is no link.
        let only_tail = Text { tail: tail.to_vec(), ..Text::default() };
        let has_tail = measure(only_tail).saturating_mul(3) <= most.saturating_mul(2);
        let tail = if has_tail { tail } else { &[] };
        let places = self.places(most);
        let cut = |place: Place| {
            let mut part = self.until(place, Some(ELLIPSIS));
            part.tail = tail.to_vec();
            part
        };
        match longest(&places, most, &|place| measure(cut(place))) {
            Some(n) => places.get(n).map(|place| cut(*place)).unwrap_or_default(),
            None => {
                let only_mark = Text { events: block(Tag::Paragraph, "…"), ..Text::default() };
                if measure(only_mark.clone()) <= most { only_mark } else { Text::default() }
            }
        }
    }

    /// A part that is short enough, and the rest. A cluster that alone is too long is left out.
    fn divide(&self, places: &[Place], most: usize, measure: &dyn Fn(Text) -> usize) -> (Text, Self) {
        let length = |place: Place| measure(self.until(place, None));
        let Some(last) = longest(places, most, &length) else {
            let after = places.first().map_or_else(|| self.end(), |place| self.after(*place));
            return (Text { events: block(Tag::Paragraph, "…"), ..Text::default() }, after);
        };
        let good =
            self.best(places, last).filter(|n| places.get(*n).is_some_and(|place| length(*place) <= most));
        match places.get(good.unwrap_or(last)) {
            Some(place) => (self.until(*place, None), self.after(*place)),
            None => (Text::default(), self.end()),
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

    /// The event at which the rest begins, where that is a text; what of it belongs to the rest; and where the
    /// events behind it begin.
    fn first(&self) -> (&'a str, usize) {
        match self.events.get(self.at.event) {
            Some(Event::Text(text)) => {
                (text.get(self.at.byte..).unwrap_or_default(), self.at.event.saturating_add(1))
            }
            _ => ("", self.at.event),
        }
    }

    fn is_blank(&self) -> bool {
        let (first, next) = self.first();
        let is_blank = |text: &str| text.chars().all(|c| c.is_whitespace() || super::is_invisible(c));
        is_blank(first) && super::is_blank(self.events.get(next..).unwrap_or_default())
    }

    /// Everything from here on, opened again.
    fn all(&self, tail: &[Event]) -> Text {
        let (first, next) = self.first();
        let mut events = self.opened();
        if !first.is_empty() {
            events.push(Event::Text(first.to_owned()));
        }
        events.extend_from_slice(self.events.get(next..).unwrap_or_default());
        Text { events, tail: tail.to_vec(), ..Text::default() }
    }

    /// Everything before a place, opened again and closed.
    fn until(&self, place: Place, mark: Option<char>) -> Text {
        let (first, next) = self.first();
        let mut events = self.opened();
        let is_within = place.event < next;
        if !is_within && !first.is_empty() {
            events.push(Event::Text(first.to_owned()));
        }
        events.extend_from_slice(self.events.get(next..place.event).unwrap_or_default());
        if let Some(Event::Text(text)) = self.events.get(place.event) {
            let from = if is_within { self.at.byte } else { 0 };
            let mut text = text.get(from..place.byte).unwrap_or_default().trim_end().to_owned();
            text.extend(mark);
            events.push(Event::Text(text));
        }
        let mut open = Vec::new();
        pass(&mut open, &events);
        let open = open.len();
        events.extend(std::iter::repeat_n(Event::Close, open));
        Text { events, ..Text::default() }
    }

    /// Everything behind a place, without the white space that it begins with.
    fn after(&self, place: Place) -> Self {
        let mut open = self.open.clone();
        pass(&mut open, self.events.get(self.at.event..place.event).unwrap_or_default());
        let text = match self.events.get(place.event) {
            Some(Event::Text(text)) => text.get(place.byte..).unwrap_or_default(),
            _ => "",
        };
        let begun = text.trim_start();
        let at = if begun.is_empty() {
            Place { event: place.event.saturating_add(1), byte: 0 }
        } else {
            let blank = text.len().saturating_sub(begun.len());
            Place { event: place.event, byte: place.byte.saturating_add(blank) }
        };
        Self { events: self.events, at, open }
    }

    fn end(&self) -> Self {
        let at = Place { event: self.events.len(), byte: 0 };
        Self { events: self.events, at, open: Vec::new() }
    }

    fn opened(&self) -> Vec<Event> {
        self.open.iter().map(|tag| Event::Open(tag.again())).collect()
    }

    /// The places behind each cluster, at most one more than this: each takes up at least one unit of any
    /// limit.
    fn places(&self, most: usize) -> Vec<Place> {
        let events = self.events.iter().enumerate().skip(self.at.event);
        let texts = events.filter_map(|(event, step)| match step {
            Event::Text(text) => Some((event, text)),
            _ => None,
        });
        let most = most.saturating_add(1);
        let mut places = Vec::new();
        for (event, text) in texts {
            let from = if event == self.at.event { self.at.byte } else { 0 };
            let text = text.get(from..).unwrap_or_default();
            let place = |end: usize| Place { event, byte: from.saturating_add(end) };
            let room = most.saturating_sub(places.len());
            if text.is_ascii() {
                // A cluster each, as there is no carriage return in it, and found many times sooner.
                places.extend((1..=text.len()).map(place).take(room));
            } else {
                let clusters = text.grapheme_indices(true);
                places.extend(
                    clusters.map(|(start, cluster)| place(start.saturating_add(cluster.len()))).take(room),
                );
            }
            if places.len() == most {
                break;
            }
        }
        places
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

/// Keeps account of the tags that are open, the outermost first, over more events.
fn pass<'a>(open: &mut Vec<&'a Tag>, events: &'a [Event]) {
    for event in events {
        match event {
            Event::Open(tag) => open.push(tag),
            Event::Close => drop(open.pop()),
            Event::Text(_) => {}
        }
    }
}

/// The last place up to which the text is at most so long, or one nearly as far; `None` where none is.
///
/// Lengths grow evenly, but for what escapes take up, so that a guess by proportion is near at once; it begins low,
/// because what is tried must be written, and the last place can be many times too far. Once one was too far every
/// other guess is the middle, so that it ends soon whatever the text. Where a part is longer than most limits are,
/// it need not be filled to the last unit.
fn longest(places: &[Place], most: usize, length: &dyn Fn(Place) -> usize) -> Option<usize> {
    let length = |n: usize| places.get(n).map_or(usize::MAX, |place| length(*place));
    let last = places.len().checked_sub(1)?;
    let slack = most.saturating_sub(4_096) / 64;
    let least = length(0);
    if least > most {
        return None;
    }
    let (mut fit, mut guess, mut tries) = ((0, least), (last / 8).max(1), 0_u32);
    let mut over = loop {
        let is_near = most.saturating_sub(fit.1) <= slack && tries > 2;
        if fit.0 >= last || guess <= fit.0 || is_near {
            return Some(fit.0);
        }
        let found = (guess.min(last), length(guess.min(last)));
        if found.1 > most {
            break found;
        }
        (fit, tries) = (found, tries.saturating_add(1));
        let (room, rise) = (most.saturating_sub(fit.1), fit.1.saturating_sub(least));
        let steps = room.saturating_mul(fit.0).checked_div(rise).unwrap_or(last);
        guess = fit.0.saturating_add(steps);
    };
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
