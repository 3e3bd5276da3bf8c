use super::points::MOST;
use super::words::{count, decimal, duration, hundredths, instant, short, tenths};
use super::*;

const HOSTILE: &str = "<script>&\"'\u{0}\u{202e}fill=\"#010101\" http://x";

fn target(name: &str, bins: usize, peak: u64) -> TargetRun {
    let bin = |at: usize| Bin {
        arrivals: 5,
        attempts: if at == bins / 2 { peak } else { 5 },
        successes: 5,
        refused_429: 0,
        depth: if at == bins / 2 { 90 } else { 1 },
        budget_milli: 10_000,
        is_open: at == bins / 2,
    };
    TargetRun {
        name: name.to_owned(),
        endpoint: "answers".to_owned(),
        faults: vec![Span { from_ms: 600_000, until_ms: 1_200_000, label: "503".to_owned() }],
        totals: Totals { arrivals: 3600, deaths: vec![("too old".to_owned(), 3)], ..Totals::default() },
        bins: (0..bins).map(bin).collect(),
    }
}

fn run(targets: Vec<TargetRun>) -> Run {
    Run {
        name: "Outage".to_owned(),
        summary: "An outage.".to_owned(),
        seed: 42,
        duration_ms: 7_200_000,
        bin_ms: 10_000,
        policy: vec![("attempts".to_owned(), "20".to_owned())],
        targets,
    }
}

fn all_hostile() -> Run {
    let hostile = || HOSTILE.to_owned();
    let mut target = target(HOSTILE, 10, 5);
    target.endpoint = hostile();
    target.totals.deaths = vec![(hostile(), 1)];
    target.faults = vec![Span { from_ms: 0, until_ms: 7_200_000, label: hostile() }];
    let mut run = run(vec![target]);
    run.name = hostile();
    run.summary = hostile();
    run.policy = vec![(hostile(), hostile())];
    run
}

/// The texts of a picture: its marks and labels.
fn texts(svg: &str) -> Vec<&str> {
    svg.split("</text>")
        .filter_map(|part| part.split_once("<text").and_then(|(_, text)| text.split_once('>')))
        .map(|(_, text)| text)
        .collect()
}

fn figures(page: &str) -> Vec<&str> {
    page.split("<figure>").skip(1).filter_map(|part| part.split("</svg>").next()).collect()
}

#[test]
fn the_same_findings_give_the_same_bytes() {
    let runs = [run(vec![target("a", 720, 15), target("b", 720, 5)]), run(vec![target("a", 720, 40)])];
    assert_eq!(html(&runs).unwrap(), html(&runs.clone()).unwrap());
    assert_eq!(svg_overview(&runs[0]).unwrap(), svg_overview(&runs[0].clone()).unwrap());
}

#[test]
fn no_text_of_a_scenario_becomes_markup() {
    let run = all_hostile();
    for text in [html(&[run.clone(), run.clone()]).unwrap(), svg_overview(&run).unwrap()] {
        assert!(!text.contains("<script"));
        assert!(!text.contains('\u{0}') && !text.contains('\u{202e}'));
        assert!(text.contains("&lt;script&gt;&amp;&quot;"));
        assert!(text.contains("fill=&quot;#010101&quot;"), "a colour was put into foreign text");
    }
}

#[test]
fn a_page_is_whole_without_scripts_and_other_places() {
    let runs = [run(vec![target("a", 720, 15)])];
    let page = html(&runs).unwrap();
    for foreign in ["<script", "http://", "https://", "url(", "@import", "src="] {
        let found = page.find(foreign).map(|at| &page[at..(at + 30).min(page.len())]);
        assert!(found.is_none(), "{found:?}");
    }
    let picture = svg_overview(&runs[0]).unwrap();
    assert_eq!(
        picture.matches("http").count(),
        1,
        "the namespace is a name and nothing is loaded from there"
    );
}

#[test]
fn both_colour_schemes_are_there_and_no_other_colour_is_left() {
    let runs = [run(vec![target("a", 720, 15)])];
    for text in [html(&runs).unwrap(), svg_overview(&runs[0]).unwrap()] {
        assert!(text.contains("prefers-color-scheme: dark"));
        assert!(!text.contains("#0101"));
        assert!(!text.contains("font-family=") && !text.contains("opacity="));
        assert!(text.contains("class=\"s-attempts\"") && text.contains("class=\"f-fault\""));
    }
}

#[test]
fn every_class_has_a_style() {
    let mut idle = target("a", 720, 15);
    idle.totals.dead = 1;
    let mut text = html(&[run(vec![idle.clone()])]).unwrap();
    text += &svg_overview(&run(vec![idle])).unwrap();
    for class in text.split("class=\"").skip(1).filter_map(|part| part.split('"').next()) {
        if class.starts_with("s-") || class.starts_with("f-") {
            assert!(plot::STYLE.contains(&format!(".{class} {{")), "{class}");
        }
    }
}

#[test]
fn neighbouring_bins_are_merged_and_none_is_forgotten() {
    let target = target("a", 100_000, 15);
    let merged = points::merged(&target.bins, 1000);
    assert!(merged.len() <= MOST);
    assert_eq!(merged.iter().map(|point| point.bin.arrivals).sum::<u64>(), 500_000);
    assert_eq!(merged.iter().map(|point| point.bin.depth).max(), Some(90));
    assert_eq!(merged.iter().filter(|point| point.bin.is_open).count(), 1);
    assert_eq!(merged.last().unwrap().until_ms, 100_000_000);
    assert!(merged.iter().all(|point| point.arrival_rate() == 5000));
}

#[test]
fn a_long_run_at_many_targets_is_no_large_page() {
    let mut flapping = target("flapping", 100_000, 15);
    flapping.faults = (0..50_000)
        .map(|at| Span { from_ms: at * 2000, until_ms: at * 2000 + 500, label: "503".to_owned() })
        .collect();
    for (at, bin) in flapping.bins.iter_mut().enumerate() {
        bin.is_open = at / 400 % 2 == 0;
        bin.depth = u64::try_from(at * 7919 % 100_000).unwrap();
    }
    let named = |name: &str| TargetRun { name: name.to_owned(), ..flapping.clone() };
    let targets: Vec<_> = ["a", "b", "c", "d", "e", "f"].into_iter().map(named).collect();
    let long = Run { duration_ms: 100_000_000, bin_ms: 1000, ..run(targets) };
    let page = html(&[long.clone(), long]).unwrap();
    assert!(page.len() < 1_500_000, "{}", page.len());
    assert_eq!(figures(&page).len(), 4 * 3 * 2);
    assert!(page.contains("Shown are 4 of 6 targets"));
}

#[test]
fn two_runs_stand_on_the_same_scales() {
    let mut short = run(vec![target("a", 300, 15)]);
    short.duration_ms = 3_000_000;
    let page = html(&[run(vec![target("a", 720, 400)]), short]).unwrap();
    for pair in figures(&page).chunks(2) {
        assert_eq!(texts(pair[0]), texts(pair[1]));
        assert!(texts(pair[0]).contains(&"1h30m"));
    }
}

#[test]
fn a_target_of_one_run_only_says_so() {
    let page = html(&[run(vec![target("a", 10, 5)]), run(vec![target("b", 10, 5)])]).unwrap();
    assert_eq!(page.matches("has no such target").count(), 2 + 2 * 3);
}

#[test]
fn nothing_and_everything_can_be_drawn() {
    let most = u64::MAX;
    let full = Bin {
        arrivals: most,
        attempts: most,
        successes: most,
        refused_429: most,
        depth: most,
        budget_milli: most,
        is_open: true,
    };
    let totals = Totals {
        arrivals: most,
        peak_milli: Some(most),
        peak_per_second_milli: Some(most),
        drain_ms: Some(most),
        attempts_per_arrival_milli: most,
        oldest_wait_ms: most,
        ..Totals::default()
    };
    let span = |from_ms, until_ms| Span { from_ms, until_ms, label: "down".to_owned() };
    let faults = vec![span(0, most), span(most, most), span(most, 0), span(5, 1), span(0, 0)];
    let extreme =
        TargetRun { name: "a".to_owned(), faults, totals, bins: vec![full; 3], ..TargetRun::default() };
    let zero = TargetRun { bins: vec![Bin::default(); 5], ..TargetRun::default() };
    let of = |duration_ms, bin_ms, target: &TargetRun| Run {
        duration_ms,
        bin_ms,
        targets: vec![target.clone()],
        ..Run::default()
    };
    let mut runs =
        vec![Run::default(), run(vec![]), run(vec![TargetRun::default()]), run(vec![zero.clone()])];
    for target in [&extreme, &zero, &TargetRun::default()] {
        for duration_ms in [0, 1, 1000, 7_200_000, most] {
            runs.extend([0, 1, 10_000, most].map(|bin_ms| of(duration_ms, bin_ms, target)));
        }
    }
    for run in &runs {
        let page = html(&[run.clone(), of(most, most, &extreme)]).unwrap();
        let texts = [html(std::slice::from_ref(run)).unwrap(), page, svg_overview(run).unwrap()];
        assert!(texts.iter().all(|text| !text.contains("NaN") && !text.contains("inf,")));
    }
}

#[test]
fn a_report_is_about_one_run_or_two() {
    assert!(matches!(html(&[]), Err(Error::Runs(0))));
    assert!(matches!(html(&[Run::default(), Run::default(), Run::default()]), Err(Error::Runs(3))));
}

#[test]
fn plots_are_for_targets_to_which_something_happened() {
    let calm = |name: &str| TargetRun { faults: vec![], ..target(name, 10, 5) };
    let mut targets: Vec<_> = ["a", "b", "c", "d", "e"].map(calm).into();
    targets[4].totals.refused_429 = 1;
    targets[3].totals.waiting = 1000;
    let sides: Vec<Vec<Option<&TargetRun>>> = targets.iter().map(|target| vec![Some(target)]).collect();
    assert_eq!(points::interesting(&sides, 2), [3, 4]);
    assert_eq!(points::interesting(&sides, 4), [0, 1, 3, 4]);
}

#[test]
fn axes_are_marked_at_round_values() {
    let marks = |end_ms| points::time_ticks(end_ms).into_iter().map(instant).collect::<Vec<_>>();
    assert_eq!(marks(9_000_000), ["0", "30m", "1h", "1h30m", "2h", "2h30m"]);
    assert_eq!(marks(400_000), ["0", "1m", "2m", "3m", "4m", "5m", "6m"]);
    assert_eq!(marks(86_400_000 * 3), ["0", "12h", "1d", "1d12h", "2d", "2d12h", "3d"]);
    assert_eq!(points::value_ticks(600), (vec![0, 200, 400, 600], 637));
    assert_eq!(points::value_ticks(0), (vec![0, 1], 1));
    for end in (0..64).map(|bit| u64::MAX >> bit) {
        assert!((1..=9).contains(&points::time_ticks(end).len()), "{end}");
        assert!((2..=7).contains(&points::value_ticks(end).0.len()), "{end}");
    }
}

#[test]
fn numbers_read_well() {
    assert_eq!([count(0), count(999), count(3600), count(1_234_567)], ["0", "999", "3,600", "1,234,567"]);
    assert_eq!([tenths(3549), hundredths(1080), decimal(500), decimal(2000)], ["3.5", "1.08", "0.5", "2"]);
    assert_eq!([short(9999), short(12_000), short(2_500_000)], ["9,999", "12k", "2.5M"]);
    assert_eq!(
        [duration(0), duration(820), duration(1550), duration(45_900)],
        ["0", "820 ms", "1.5 s", "45 s"]
    );
    assert_eq!([duration(72_000), duration(754_000), duration(3_600_000)], ["1 min 12 s", "12 min", "1 h"]);
    assert_eq!([duration(3_900_000), duration(90_000_000)], ["1 h 5 min", "1 d 1 h"]);
    assert_eq!([instant(0), instant(5_400_000), instant(90_061_000)], ["0", "1h30m", "1d1h"]);
}
