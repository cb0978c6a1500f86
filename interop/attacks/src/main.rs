//! Attacks on a running server, over raw sockets. See the README beside.
//!
//! ```text
//! attacks --seeds FOLDER                      writes inputs for the fuzz targets
//! attacks [--list] [--quiet] [--rounds N] [WORD...]   the cases whose group or name has one of the words
//! attacks serve own|axum plain|deflate|...   the server itself
//! ```

mod case;
mod checks;
mod groups;
mod server;
mod target;
mod wire;

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use case::{Case, Setup, Way, soon};
use checks::{Baseline, Bystander, Cost};
use groups::Group;
use target::Target;
use wire::{Fail, Outcome};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "serve") {
        return serve(&args[1..]);
    }
    let mut words = Vec::new();
    let (mut list, mut quiet, mut rounds, mut seeds) = (false, false, 1, None);
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match &*arg {
            "--list" => list = true,
            "--quiet" => quiet = true,
            "--seeds" => seeds = args.next(),
            "--rounds" => rounds = args.next().and_then(|n| n.parse().ok()).unwrap_or(1),
            _ => words.push(arg),
        }
    }
    let mut groups = groups::all();
    for group in &mut groups {
        let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(&**word));
        group.cases.retain(|case| wanted(group.name) || wanted(case.name));
    }
    if list {
        show(&groups);
        return ExitCode::SUCCESS;
    }
    if let Some(folder) = seeds {
        return match write_seeds(&groups, folder.as_ref()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Fail(text)) => {
                eprintln!("{text}");
                ExitCode::FAILURE
            }
        };
    }
    attack(&groups, rounds, quiet)
}

fn serve(args: &[String]) -> ExitCode {
    let way = Way::ALL.into_iter().find(|way| args.first().is_some_and(|arg| arg == way.name()));
    let setup = Setup::ALL.into_iter().find(|setup| args.get(1).is_some_and(|arg| arg == setup.name()));
    let (Some(way), Some(setup)) = (way, setup) else {
        eprintln!("usage: attacks serve own|axum plain|deflate|old|listed|default|tight|packed|tls");
        return ExitCode::FAILURE;
    };
    match server::run(way, setup) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The bytes of cases as inputs that the fuzzers begin with, as far as they are short.
fn write_seeds(groups: &[Group], folder: &Path) -> Outcome {
    const LONGEST: usize = 2048;
    for case in groups.iter().flat_map(|group| &group.cases) {
        let Some((target, input)) = case.seed.as_ref().filter(|(_, input)| input.len() <= LONGEST) else {
            continue;
        };
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("attack_{}", case.name)), input)?;
    }
    Ok(())
}

/// A table of the cases, for the README.
fn show(groups: &[Group]) {
    for group in groups {
        println!("\n### {}: {} cases\n", group.name, group.cases.len());
        println!("| case | about | what it does | answer |\n|---|---|---|---|");
        for case in &group.cases {
            println!("| `{}` | {} | {} | {} |", case.name, case.rule, case.does, case.answer);
        }
    }
}

/// A case that has been run.
struct Run<'a> {
    group: &'static str,
    case: &'a Case,
    way: Way,
    took: Duration,
    result: Outcome<Cost>,
}

/// Runs all cases against both ways of serving: a server and a thread for each way and setup.
fn attack(groups: &[Group], rounds: usize, quiet: bool) -> ExitCode {
    let since = Instant::now();
    let runs = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for way in Way::ALL {
            for setup in Setup::ALL {
                let runs = &runs;
                scope.spawn(move || {
                    lane(groups, way, setup, rounds, |run| {
                        if !quiet || run.result.is_err() {
                            report(&run);
                        }
                        runs.lock().unwrap_or_else(PoisonError::into_inner).push(run);
                    });
                });
            }
        }
    });
    let runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary(groups, &runs, since.elapsed())
}

fn lane<'a>(groups: &'a [Group], way: Way, setup: Setup, rounds: usize, done: impl Fn(Run<'a>)) {
    let cases = || {
        let of_group = |group: &'a Group| group.cases.iter().map(move |case| (group.name, case));
        groups
            .iter()
            .flat_map(of_group)
            .filter(move |(_, case)| case.setup == setup && case.only.is_none_or(|only| only == way))
    };
    if cases().next().is_none() {
        return;
    }
    let mut server = None;
    for _ in 0..rounds {
        for (group, case) in cases() {
            let begun = Instant::now();
            let result = attempt(&mut server, way, setup, case);
            if result.is_err() {
                // What is left of it is not held against the next.
                server = None;
            }
            done(Run { group, case, way, took: begun.elapsed(), result });
        }
    }
}

/// A server with its baseline and its healthy client, which goes first.
struct Server {
    bystander: Bystander,
    baseline: Baseline,
    target: Target,
}

fn attempt(server: &mut Option<Server>, way: Way, setup: Setup, case: &Case) -> Outcome<Cost> {
    let server = match server {
        Some(server) => server,
        None => {
            let target = Target::start(way, setup)?;
            let bystander = Bystander::join(&target)?;
            let baseline = Baseline::take(&target)?;
            server.insert(Server { bystander, baseline, target })
        }
    };
    server.bystander.check()?;
    server.target.reset()?;
    let reached = case.limit.map(|limit| server.target.reached(limit)).transpose()?;
    let result = (case.run)(&server.target);
    let echo = server.bystander.check();
    result?;
    if let (Some(limit), Some(before)) = (case.limit, reached) {
        let counted = || Ok(server.target.reached(limit)? > before);
        soon(&format!("the metric of {}", limit.name()), counted)?;
    }
    let cost = server.baseline.check(&server.target, case.room)?;
    Ok(Cost { echo: echo?.max(server.bystander.check()?), ..cost })
}

fn report(run: &Run<'_>) {
    let ms = run.took.as_millis();
    let name = format!("{} / {}", run.group, run.case.name);
    let mark = if run.result.is_ok() { "ok  " } else { "LOST" };
    let rest = match &run.result {
        Ok(_) => String::new(),
        Err(Fail(text)) => format!("\n     {} (expected: {}): {text}", run.case.does, run.case.answer),
    };
    println!("{mark} {:4} {name:<60} {ms:>6} ms{rest}", run.way.name());
}

fn summary(groups: &[Group], runs: &[Run<'_>], took: Duration) -> ExitCode {
    println!(
        "\n| group | cases | runs | lost | slowest echo | most heap | left |\n|---|---|---|---|---|---|---|"
    );
    let row = |name: &str, cases: usize, runs: &[&Run<'_>]| {
        let costs = || runs.iter().filter_map(|run| run.result.as_ref().ok());
        println!(
            "| {name} | {cases} | {} | {} | {} ms | {} KiB | {} KiB |",
            runs.len(),
            runs.iter().filter(|run| run.result.is_err()).count(),
            costs().map(|cost| cost.echo.as_millis()).max().unwrap_or_default(),
            costs().map(|cost| cost.peak >> 10).max().unwrap_or_default(),
            costs().map(|cost| cost.left >> 10).max().unwrap_or_default(),
        );
    };
    for group in groups.iter().filter(|group| !group.cases.is_empty()) {
        let of_group: Vec<_> = runs.iter().filter(|run| run.group == group.name).collect();
        row(group.name, group.cases.len(), &of_group);
    }
    let all: Vec<_> = runs.iter().collect();
    row("all", groups.iter().map(|group| group.cases.len()).sum(), &all);
    let lost = runs.iter().filter(|run| run.result.is_err()).count();
    let resident = runs.iter().filter_map(|run| run.result.as_ref().ok()).map(|cost| cost.resident >> 20);
    println!(
        "\n{} runs in {} s, {lost} lost; at most {} MiB more resident than at first",
        runs.len(),
        took.as_secs(),
        resident.max().unwrap_or_default()
    );
    if lost == 0 && !runs.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
