//! The page around the plots: what it says first, and its tables.

use std::fmt::Write;

use super::plot::{self, Curve, Measure, Scale, Shape};
use super::points;
use super::words::{self, Escaped};
use super::{Error, Run, TargetRun, Totals};

/// How many targets get plots; the table has them all.
const MOST_PLOTTED: usize = 4;

/// How many faults of a target are listed.
const MOST_FAULTS: usize = 6;

/// What marks the runs that are compared.
const BADGES: [&str; 2] = ["A", "B"];

/// A target in each of the runs.
type Sides<'a> = Vec<Option<&'a TargetRun>>;

/// A number of a table: its heading and how it is read.
pub(in crate::cli::simulate) type Column = (&'static str, fn(&Totals) -> String);

/// The totals, in two tables: what became of everything, and at what price.
pub(in crate::cli::simulate) const TOTALS: [[Column; 7]; 2] = [
    [
        ("arrivals", |totals| words::count(totals.arrivals)),
        ("delivered", |totals| words::count(totals.delivered)),
        ("dead", |totals| words::count(totals.dead)),
        ("lost", |totals| words::count(totals.lost)),
        ("still waiting", |totals| words::count(totals.waiting)),
        ("attempts", |totals| words::count(totals.attempts)),
        ("answered 429", |totals| words::count(totals.refused_429)),
    ],
    [
        ("attempts per arrival", |totals| words::hundredths(totals.attempts_per_arrival_milli)),
        ("per arrival while down", |totals| {
            known(totals.attempts_per_arrival_in_outage_milli, words::hundredths)
        }),
        ("peak after recovery", peak),
        ("time to drain", |totals| known(totals.drain_ms, words::duration)),
        ("oldest waited", |totals| words::duration(totals.oldest_wait_ms)),
        ("half within", |totals| words::duration(totals.p50_ms)),
        ("99 % within", |totals| words::duration(totals.p99_ms)),
    ],
];

const GLOSSARY: [(&str, &str); 7] = [
    ("lost", "accepted, but neither seen by the endpoint nor dead nor waiting; there must be none"),
    ("dead", "given up after all that the policy allows, and kept with the reason"),
    (
        "attempts per arrival",
        "requests sent for each notification accepted; 1.00 means that none was repeated",
    ),
    (
        "peak after recovery",
        "the most attempts in any ten seconds between the last fault and the end of the backlog, as a \
         multiple of the rate at which notifications come",
    ),
    (
        "time to drain",
        "from the end of the last fault or burst until nothing had waited for more than two seconds beyond the \
         endpoint's slowest answer",
    ),
    ("oldest waited", "the longest from arrival to an end, or to the end of the run"),
    ("half within, 99 % within", "the time from arrival to delivery"),
];

/// Writes the page of one run or two.
pub(super) fn write(page: &mut String, runs: &[Run]) -> Result<(), Error> {
    let targets = by_target(runs);
    let plotted = points::interesting(&targets, MOST_PLOTTED);
    let plotted: Vec<_> = plotted.into_iter().filter_map(|at| targets.get(at)).collect();
    opening(page, runs)?;
    for sides in &plotted {
        verdict(page, sides)?;
    }
    if plotted.len() < targets.len() {
        let (shown, all) = (plotted.len(), targets.len());
        write!(
            page,
            "<p class=\"quiet\">Shown are {shown} of {all} targets: those to which something happened, then \
             those where most waited. The <a href=\"#totals\">totals</a> have them all.</p>"
        )?;
    }
    for sides in &plotted {
        plots(page, runs, sides)?;
    }
    totals(page, &targets)?;
    deaths(page, &targets)?;
    policy(page, runs)?;
    page.push_str("<h2>What the words mean</h2><dl class=\"words\">");
    for (word, meaning) in GLOSSARY {
        write!(page, "<dt>{word}</dt><dd>{meaning}</dd>")?;
    }
    page.push_str("</dl></main></body></html>\n");
    Ok(())
}

/// The targets of all runs, those of the same name together.
fn by_target(runs: &[Run]) -> Vec<Sides<'_>> {
    let mut names: Vec<&str> = Vec::new();
    for target in runs.iter().flat_map(|run| &run.targets) {
        if !names.contains(&target.name.as_str()) {
            names.push(&target.name);
        }
    }
    let find = |run: &'_ Run, name: &str| run.targets.iter().position(|target| target.name == name);
    let sides = |name: &str| runs.iter().map(|run| run.targets.get(find(run, name)?)).collect();
    names.into_iter().map(sides).collect()
}

fn opening(page: &mut String, runs: &[Run]) -> Result<(), Error> {
    let mut names: Vec<_> = runs.iter().map(|run| run.name.as_str()).collect();
    names.dedup();
    let title = names.join(" vs. ");
    let title = Escaped(&title);
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title} – Nuncio simulation</title><style>\n{}{}</style></head>\n",
        plot::STYLE,
        include_str!("page.css"),
    )?;
    let (class, kicker) = match runs.len() {
        1 => ("one", "Nuncio simulation"),
        _ => ("two", "Nuncio simulation, two runs compared"),
    };
    write!(page, "<body><main class=\"{class}\"><p class=\"kicker\">{kicker}</p><h1>{title}</h1>")?;
    if let [run] = runs {
        write!(page, "<p>{}</p>", Escaped(&run.summary))?;
        return facts(page, run);
    }
    page.push_str("<ol class=\"runs\">");
    for (run, badge) in runs.iter().zip(BADGES) {
        write!(
            page,
            "<li><h3><span class=\"badge\">{badge}</span> {}</h3><p>{}</p>",
            Escaped(&run.name),
            Escaped(&run.summary)
        )?;
        facts(page, run)?;
        page.push_str("</li>");
    }
    page.push_str("</ol>");
    Ok(())
}

fn facts(page: &mut String, run: &Run) -> Result<(), Error> {
    let (seed, simulated) = (run.seed, words::duration(run.duration_ms));
    write!(page, "<p class=\"facts\">Seed {seed} · {simulated} of virtual time, draining included</p>")?;
    Ok(())
}

fn verdict(page: &mut String, sides: &Sides<'_>) -> Result<(), Error> {
    let Some(any) = sides.iter().flatten().next() else { return Ok(()) };
    write!(page, "\n<section class=\"verdict\"><h3>{}</h3>", Escaped(&any.name))?;
    for (side, badge) in sides.iter().zip(BADGES) {
        page.push_str("<div class=\"side\">");
        if sides.len() > 1 {
            write!(page, "<span class=\"badge\">{badge}</span>")?;
        }
        match side {
            Some(target) => tiles(page, &target.totals)?,
            None => page.push_str("<p class=\"quiet\">has no such target</p>"),
        }
        page.push_str("</div>");
    }
    page.push_str("</section>");
    Ok(())
}

fn tiles(page: &mut String, totals: &Totals) -> Result<(), Error> {
    let none_is_good = |number: u64, tone| if number == 0 { "good" } else { tone };
    let drained = match totals.drain_ms {
        None if totals.waiting > 0 => ("never drained", "–".to_owned(), "warn"),
        drain_ms => ("to drain", known(drain_ms, words::duration), ""),
    };
    let all = [
        ("lost", words::brief(totals.lost), none_is_good(totals.lost, "bad")),
        ("dead", words::brief(totals.dead), none_is_good(totals.dead, "warn")),
        ("still waiting", words::brief(totals.waiting), none_is_good(totals.waiting, "warn")),
        ("attempts per arrival", words::hundredths(totals.attempts_per_arrival_milli), ""),
        ("peak after recovery", brief_peak(totals), ""),
        drained,
        ("oldest waited", words::duration(totals.oldest_wait_ms), ""),
    ];
    page.push_str("<dl class=\"tiles\">");
    for (name, value, tone) in all {
        write!(page, "<div><dt>{name}</dt><dd class=\"{tone}\">{value}</dd></div>")?;
    }
    page.push_str("</dl>");
    Ok(())
}

fn plots(page: &mut String, runs: &[Run], sides: &Sides<'_>) -> Result<(), Error> {
    let curves: Vec<_> =
        runs.iter().zip(sides).map(|(run, side)| side.map(|target| Curve::new(run, target))).collect();
    let known: Vec<_> = curves.iter().flatten().collect();
    let Some(any) = sides.iter().flatten().next() else { return Ok(()) };
    write!(page, "\n<section><h2>{}</h2>", Escaped(&any.name))?;
    endpoints(page, sides)?;
    for measure in Measure::ALL {
        write!(page, "<div class=\"measure\"><h3>{}</h3><ul class=\"legend\">", measure.title())?;
        let had_faults = sides.iter().flatten().any(|target| !target.faults.is_empty());
        for (ink, meaning) in measure.legend().iter().filter(|(ink, _)| *ink != "fault" || had_faults) {
            let shape = if matches!(*ink, "arrivals" | "attempts" | "budget") { " line" } else { "" };
            write!(page, "<li><i class=\"{ink}{shape}\" style=\"--ink:var(--{ink})\"></i>{meaning}</li>")?;
        }
        page.push_str("</ul></div><div class=\"figures\">");
        let scale = Scale::of(measure, &known);
        let shape = match (sides.len(), measure) {
            (1, Measure::Rates) => Shape { width: 1440, height: 440, letter: 18 },
            (1, _) => Shape { width: 1440, height: 340, letter: 18 },
            (_, Measure::Rates) => Shape { width: 1440, height: 580, letter: 18 },
            (_, _) => Shape { width: 1440, height: 460, letter: 18 },
        };
        for (curve, badge) in curves.iter().zip(BADGES) {
            let badge = if sides.len() == 1 {
                String::new()
            } else {
                format!("<span class=\"badge\">{badge}</span>")
            };
            match curve {
                Some(curve) => {
                    let (svg, caption) = (curve.draw(measure, &scale, shape)?, curve.caption(measure));
                    write!(page, "\n<figure>{svg}<figcaption>{badge}{caption}</figcaption></figure>")?;
                }
                None => write!(page, "<p class=\"absent\"><span>{badge} has no such target</span></p>")?,
            }
        }
        page.push_str("</div>");
    }
    page.push_str("</section>");
    Ok(())
}

/// What a target's endpoint does and when it was down, once where the runs agree.
fn endpoints(page: &mut String, sides: &Sides<'_>) -> Result<(), Error> {
    let said = |target: &TargetRun| -> Result<String, Error> {
        let mut said = format!("<p>{}</p>", Escaped(&target.endpoint));
        if target.faults.is_empty() {
            return Ok(said);
        }
        said.push_str("<ul class=\"faults\">");
        for fault in target.faults.iter().take(MOST_FAULTS) {
            let (from, until) = (words::instant(fault.from_ms), words::instant(fault.until_ms));
            write!(said, "<li>Down from {from} to {until}: {}</li>", Escaped(&fault.label))?;
        }
        if let more @ 1.. = target.faults.len().saturating_sub(MOST_FAULTS) {
            write!(said, "<li>and {more} more times</li>")?;
        }
        said.push_str("</ul>");
        Ok(said)
    };
    let said = sides.iter().map(|side| side.map(said).transpose()).collect::<Result<Vec<_>, _>>()?;
    match said.as_slice() {
        [Some(first), Some(second)] if first != second => write!(
            page,
            "<div class=\"figures\"><div><span class=\"badge\">A</span>{first}</div>\
             <div><span class=\"badge\">B</span>{second}</div></div>"
        )?,
        said => page.push_str(said.iter().flatten().next().map_or("", String::as_str)),
    }
    Ok(())
}

fn totals(page: &mut String, targets: &[Sides<'_>]) -> Result<(), Error> {
    page.push_str("\n<h2 id=\"totals\">Totals</h2>");
    if targets.is_empty() {
        page.push_str("<p>There are no targets.</p>");
        return Ok(());
    }
    let compares = targets.iter().any(|sides| sides.len() > 1);
    for (columns, label) in TOTALS.iter().zip(["What became of everything", "At what price"]) {
        table_start(page, label);
        page.push_str("<thead><tr><th class=\"name\" scope=\"col\">target</th>");
        if compares {
            page.push_str("<th scope=\"col\">run</th>");
        }
        for (heading, _) in columns {
            write!(page, "<th scope=\"col\">{heading}</th>")?;
        }
        page.push_str("</tr></thead><tbody>");
        for sides in targets {
            for (at, (target, badge)) in present(sides).enumerate() {
                let (row, name) = if at == 0 { ("", target.name.as_str()) } else { (" class=\"next\"", "") };
                write!(page, "<tr{row}><th class=\"name\" scope=\"row\">{}</th>", Escaped(name))?;
                if compares {
                    write!(page, "<td>{badge}</td>")?;
                }
                for (_, number) in columns {
                    write!(page, "<td>{}</td>", number(&target.totals))?;
                }
                page.push_str("</tr>");
            }
        }
        page.push_str("</tbody></table></div>");
    }
    Ok(())
}

fn deaths(page: &mut String, targets: &[Sides<'_>]) -> Result<(), Error> {
    let mut rows = String::new();
    for sides in targets {
        for (target, badge) in present(sides) {
            for (reason, number) in &target.totals.deaths {
                write!(rows, "<tr><th class=\"name\" scope=\"row\">{}</th>", Escaped(&target.name))?;
                if sides.len() > 1 {
                    write!(rows, "<td>{badge}</td>")?;
                }
                let (reason, number) = (Escaped(reason), words::count(*number));
                write!(rows, "<td class=\"text\">{reason}</td><td>{number}</td></tr>")?;
            }
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    page.push_str("\n<h2>Deaths</h2>");
    table_start(page, "Deaths by reason");
    let compares = targets.iter().any(|sides| sides.len() > 1);
    let run = if compares { "<th scope=\"col\">run</th>" } else { "" };
    write!(
        page,
        "<thead><tr><th class=\"name\" scope=\"col\">target</th>{run}<th class=\"name\" scope=\"col\">reason\
         </th><th scope=\"col\">how many</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )?;
    Ok(())
}

fn policy(page: &mut String, runs: &[Run]) -> Result<(), Error> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in runs.iter().flat_map(|run| &run.policy) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    page.push_str("\n<h2>Policy</h2>");
    table_start(page, "Policy");
    page.push_str("<thead><tr><th class=\"name\" scope=\"col\">setting</th>");
    for badge in BADGES.iter().take(runs.len()) {
        let heading = if runs.len() == 1 { "value" } else { badge };
        write!(page, "<th class=\"name\" scope=\"col\">{heading}</th>")?;
    }
    page.push_str("</tr></thead><tbody>");
    for name in names {
        let value = |run: &Run| run.policy.iter().find(|(of, _)| of == name).map(|(_, value)| value.clone());
        let values: Vec<_> = runs.iter().map(value).collect();
        let differs = matches!(values.as_slice(), [first, second] if first != second);
        let class = if differs { "text changed" } else { "text" };
        write!(page, "<tr><th class=\"name\" scope=\"row\">{}</th>", Escaped(name))?;
        for value in &values {
            write!(page, "<td class=\"{class}\">{}</td>", Escaped(value.as_deref().unwrap_or("–")))?;
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div>");
    Ok(())
}

fn table_start(page: &mut String, label: &str) {
    page.push_str("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"");
    page.push_str(label);
    page.push_str("\"><table>");
}

/// The runs that have the target, each with its badge.
fn present<'a>(sides: &Sides<'a>) -> impl Iterator<Item = (&'a TargetRun, &'static str)> {
    sides.iter().zip(BADGES).filter_map(|(side, badge)| side.map(|target| (target, badge)))
}

fn known(value: Option<u64>, write: impl Fn(u64) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), write)
}

/// As a multiple; as a rate where so little comes that a multiple would say nothing.
fn brief_peak(totals: &Totals) -> String {
    match (totals.peak_milli, totals.peak_per_second_milli) {
        (Some(10_000..), Some(rate)) => format!("{}/s", words::tenths(rate)),
        (milli, _) => known(milli, |milli| format!("{}×", words::tenths(milli))),
    }
}

fn peak(totals: &Totals) -> String {
    let times = known(totals.peak_milli, |milli| format!("{}×", words::tenths(milli)));
    match totals.peak_per_second_milli {
        Some(rate) => format!("{times} ({}/s)", words::hundredths(rate)),
        None => times,
    }
}
