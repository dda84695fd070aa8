//! What a bench found, as a document and as a table.

use super::cores::Cores;
use hufu_sandbox::load::measure::{Sample, count, median, percentile};
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// `hufu bench sign-in --json`. Rates are medians over rounds; ratios are medians of each round's own ratio, so that a machine
/// that is busy with something else slows both sides of one.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `sign-in`.
    pub bench: &'static str,
    /// Row 1: complete sign-ins a second at the front.
    pub flows_per_s: f64,
    /// The same at the peer.
    pub peer_flows_per_s: Option<f64>,
    /// Row 1 over the peer.
    pub ratio: Option<f64>,
    /// The peer's processor time for a sign-in over row 1's: what `ratio` comes to where the driver keeps up and nothing else
    /// runs.
    pub cpu_ratio: Option<f64>,
    /// Row 1 over its floor.
    pub floor_share: Option<f64>,
    /// Codes redeemed a second at the token endpoint alone.
    pub token_per_s: f64,
    /// The token endpoint over its floor.
    pub token_floor_share: Option<f64>,
    /// Row 2: sign-ins a second over the whole trust path.
    pub full_path_flows_per_s: f64,
    /// Row 2 over the peer, which has no such path.
    pub full_path_ratio: Option<f64>,
    /// The same as `cpu_ratio` for row 2.
    pub full_path_cpu_ratio: Option<f64>,
    /// Row 2 over its floor.
    pub full_path_floor_share: Option<f64>,
    /// Sign-ins a second over the whole trust path where every office is a process of its own.
    pub apart_flows_per_s: Option<f64>,
    /// The same over row 2, all offices in one process, on the same core.
    pub apart_ratio: Option<f64>,
    /// The service's memory.
    pub rss_mib: Memory,
    /// Each lane.
    pub lanes: Vec<LaneReport>,
    /// The run.
    pub run: Conditions,
}

/// Memory of the service's process, all its offices together.
#[derive(Debug, Serialize)]
pub struct Memory {
    /// Before the first sign-in.
    pub at_rest: f64,
    /// The most it ever had.
    pub under_load: f64,
    /// Of all processes together where every office is one, after the last sign-in; pages that they share count for each.
    pub apart_under_load: Option<f64>,
    /// The peer's, at rest.
    pub peer_at_rest: Option<f64>,
    /// The peer's most.
    pub peer_under_load: Option<f64>,
}

/// One lane over all rounds.
#[derive(Debug, Serialize)]
pub struct LaneReport {
    /// Which.
    pub lane: &'static str,
    /// The median.
    pub flows_per_s: f64,
    /// Each round's.
    pub rounds: Vec<f64>,
    /// Half of all sign-ins took at most this long, with `run.users` of them at once.
    pub p50_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// Processor time of the measured process for one sign-in.
    pub cpu_ms_per_flow: f64,
    /// How much of its time the measured process's core was its own: well below 1 means that something else was measured.
    pub cpu_share: f64,
    /// Sign-ins in all.
    pub flows: usize,
}

/// What was run on what.
#[derive(Debug, Serialize)]
pub struct Conditions {
    /// Ours.
    pub version: &'static str,
    /// The peer with its version and what it runs on.
    pub peer: Option<String>,
    /// Enrolled persons.
    pub persons: usize,
    /// Platforms.
    pub platforms: usize,
    /// Interleaved rounds.
    pub rounds: usize,
    /// Seconds of each lane in each round.
    pub seconds: f64,
    /// Sign-ins under way at once.
    pub users: usize,
    /// The nodes' store.
    pub store: &'static str,
    /// What the service logged.
    pub logging: &'static str,
    /// The cores that were used; `null` where processes cannot be bound to one.
    pub cores: Option<BoundTo>,
    /// The processor.
    pub processor: String,
    /// Other load in the last minute, when the run began (getloadavg(3)).
    pub load_before: Option<f64>,
    /// A smoke run: its figures mean nothing.
    pub quick: bool,
}

/// Two cores.
#[derive(Debug, Serialize)]
pub struct BoundTo {
    /// Of the service, the peer and the floors.
    pub service: usize,
    /// Of the driver.
    pub driver: usize,
}

impl From<Cores> for BoundTo {
    fn from(cores: Cores) -> Self {
        Self { service: cores.service, driver: cores.driver }
    }
}

/// One lane as it is measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Which.
    pub lane: &'static str,
    /// A sample and the processor time a round.
    pub rounds: Vec<(Sample, Duration)>,
}

impl Measured {
    /// Each round's rate.
    #[must_use]
    pub fn rates(&self) -> Vec<f64> {
        self.rounds.iter().map(|(sample, _)| sample.rate()).collect()
    }

    /// The median of each round's share of `other`'s rate in the same round.
    #[must_use]
    pub fn ratio(&self, other: &Self) -> f64 {
        let pairs = self.rates().into_iter().zip(other.rates());
        round(median(&pairs.map(|(own, theirs)| own / theirs).collect::<Vec<_>>()))
    }

    /// The lane's part of the document. `extra` is processor time of a sign-in that another process spends on the same core.
    #[must_use]
    pub fn report(&self, extra: Duration) -> LaneReport {
        let mut all: Vec<Duration> = self.rounds.iter().flat_map(|(sample, _)| sample.latencies.clone()).collect();
        all.sort_unstable();
        let flows = all.len();
        let elapsed: f64 = self.rounds.iter().map(|(sample, _)| sample.elapsed.as_secs_f64()).sum();
        let cpu: f64 =
            self.rounds.iter().map(|(_, cpu)| cpu.as_secs_f64()).sum::<f64>() + extra.as_secs_f64() * count(flows);
        LaneReport {
            lane: self.lane,
            flows_per_s: round(median(&self.rates())),
            rounds: self.rates().into_iter().map(round).collect(),
            p50_ms: milliseconds(percentile(&all, 50)),
            p99_ms: milliseconds(percentile(&all, 99)),
            cpu_ms_per_flow: if flows == 0 { 0.0 } else { round(cpu * 1000.0 / count(flows)) },
            cpu_share: if elapsed > 0.0 { round(cpu / elapsed) } else { 0.0 },
            flows,
        }
    }
}

/// A time as figures have it.
#[must_use]
pub fn milliseconds(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1000.0)
}

/// Three decimals: more would be invented.
#[must_use]
pub fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

impl Report {
    /// As a table for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let run = &self.run;
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "{:<12}{:>12}{:>10}{:>10}{:>14}{:>8}",
            "lane", "sign-ins/s", "p50 ms", "p99 ms", "CPU ms each", "core"
        );
        for lane in &self.lanes {
            let LaneReport { lane, flows_per_s, p50_ms, p99_ms, cpu_ms_per_flow, cpu_share, .. } = lane;
            let share = cpu_share * 100.0;
            let _ = writeln!(
                out,
                "{lane:<12}{flows_per_s:>12.0}{p50_ms:>10.1}{p99_ms:>10.1}{cpu_ms_per_flow:>14.2}{share:>7.0}%"
            );
        }
        let ratio = |value: Option<f64>, times: &str| {
            value.map_or("not measured".to_owned(), |value| format!("{value:.2}{times}"))
        };
        let _ = writeln!(out);
        let _ = writeln!(
            out,
            "front over peer        {} by time, {} by processor time   (bar: 10 ×)",
            ratio(self.ratio, " ×"),
            ratio(self.cpu_ratio, " ×")
        );
        let _ = writeln!(
            out,
            "whole path over peer   {} by time, {} by processor time   (bar: 2 ×, aim: 4 ×)",
            ratio(self.full_path_ratio, " ×"),
            ratio(self.full_path_cpu_ratio, " ×")
        );
        let _ = writeln!(out, "front over floor       {}   (bar: 0.5)", ratio(self.floor_share, ""));
        let _ = writeln!(out, "whole path over floor  {}   (bar: 0.5)", ratio(self.full_path_floor_share, ""));
        let _ = writeln!(out, "token over floor       {}   (bar: 0.6)", ratio(self.token_floor_share, ""));
        let _ = writeln!(
            out,
            "offices apart          {} of one process's whole path   (bar: 0.5)",
            ratio(self.apart_ratio, "")
        );
        let Memory { at_rest, under_load, .. } = self.rss_mib;
        let _ = writeln!(
            out,
            "memory                 {at_rest:.0} MiB at rest, {under_load:.0} MiB at most   (bars: 100, 512)"
        );
        let _ = writeln!(out);
        let peer = run.peer.as_deref().unwrap_or("no peer");
        let _ = writeln!(
            out,
            "{} persons, {} platforms, {} users at once, {} rounds of {} s a lane, {}, logging {}; {peer}",
            run.persons, run.platforms, run.users, run.rounds, run.seconds, run.store, run.logging
        );
        let cores = run.cores.as_ref().map_or("not bound to cores".to_owned(), |cores| {
            format!("measured on core {}, driven from core {}", cores.service, cores.driver)
        });
        let _ = writeln!(out, "{cores}; {}", run.processor);
        if run.quick {
            let _ = writeln!(out, "A smoke run: it shows that everything works, and its figures mean nothing.");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(lane: &'static str, flows: &[usize]) -> Measured {
        let sample = |flows: usize| Sample {
            flows,
            elapsed: Duration::from_secs(1),
            latencies: vec![Duration::from_millis(4); flows],
            unprepared: 0,
        };
        Measured { lane, rounds: flows.iter().map(|flows| (sample(*flows), Duration::from_millis(500))).collect() }
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_own_ratios() {
        // The third round is disturbed on both sides, and counts like the others.
        let (ours, theirs) = (measured("ours", &[100, 120, 10]), measured("theirs", &[10, 10, 1]));
        assert!((ours.ratio(&theirs) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_lane_says_what_a_sign_in_costs() {
        let lane = measured("ours", &[100, 100]).report(Duration::from_millis(1));
        assert_eq!((lane.flows, lane.rounds.len()), (200, 2));
        assert!((lane.cpu_ms_per_flow - 6.0).abs() < 1e-9 && (lane.cpu_share - 0.6).abs() < 1e-9);
        assert!((lane.p99_ms - 4.0).abs() < 1e-9);
    }
}
