//! What the kernel says about a process and its descendants.

use std::fs;

/// Clock ticks a second in `/proc`: always this on Linux.
const TICKS: f64 = 100.0;

/// A process with all its descendants, as they are now.
pub(crate) struct Processes(Vec<u32>);

impl Processes {
    pub(crate) fn of(root: u32) -> Self {
        let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, stat(pid)?.get(1)?.parse().ok()?)))
            .collect();
        let mut family = vec![root];
        let mut at = 0;
        while let Some(&pid) = family.get(at) {
            family.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| child));
            at += 1;
        }
        Self(family)
    }

    pub(crate) fn own() -> Self {
        Self(vec![std::process::id()])
    }

    /// Processor time so far, in seconds: user and system, of all threads, those that have ended too.
    pub(crate) fn cpu(&self) -> f64 {
        let ticks = |pid: &u32| -> Option<f64> {
            let stat = stat(*pid)?;
            Some(stat.get(11)?.parse::<f64>().ok()? + stat.get(12)?.parse::<f64>().ok()?)
        };
        self.0.iter().filter_map(ticks).sum::<f64>() / TICKS
    }

    /// Memory in KiB: private pages, and a part of those that are shared. What the kernel holds is not in it.
    pub(crate) fn pss(&self) -> Result<f64, String> {
        let pss = |pid: &u32| -> Result<f64, String> {
            let path = format!("/proc/{pid}/smaps_rollup");
            let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
            number.ok_or_else(|| format!("{path} has no Pss"))
        };
        self.0.iter().map(pss).sum()
    }
}

/// The fields of `/proc/PID/stat` behind the name of the program: state, parent, …
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}
