//! Runs a lane for a while and says how many sign-ins were completed and how long each took.

use super::{Failure, Lane};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// A sign-in that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// One run of one lane.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Complete sign-ins.
    pub flows: usize,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// What each sign-in took.
    pub latencies: Vec<Duration>,
    /// Sign-ins whose platform had to sign within the time, since more were made than had been prepared.
    pub unprepared: usize,
}

impl Sample {
    /// Sign-ins a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        count(self.flows) / self.elapsed.as_secs_f64()
    }
}

/// How a lane is run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Users at once; each begins a sign-in when its last one is complete.
    pub users: usize,
    /// For how long sign-ins are begun.
    pub time: Duration,
    /// How many sign-ins are prepared before the clock starts.
    pub prepared: usize,
    /// The number of the first.
    pub first: usize,
    /// End when what was prepared is used up, rather than prepare more within the time.
    pub prepared_only: bool,
}

struct Supply<L: Lane> {
    lane: Rc<L>,
    ready: RefCell<Vec<L::Ready>>,
    next: Cell<usize>,
    unprepared: Cell<usize>,
}

impl<L: Lane> Supply<L> {
    async fn take(&self) -> Result<L::Ready, Failure> {
        if let Some(ready) = self.ready.borrow_mut().pop() {
            return Ok(ready);
        }
        self.unprepared.set(self.unprepared.get() + 1);
        self.make().await
    }

    async fn make(&self) -> Result<L::Ready, Failure> {
        let number = self.next.get();
        self.next.set(number + 1);
        self.lane.ready(number).await
    }
}

/// A lane whose sign-ins are prepared, and whose clock has not started.
pub struct Prepared<L: Lane> {
    supply: Supply<L>,
    lines: Vec<L::Lines>,
    run: Run,
}

/// Makes what `run` needs before its clock starts.
///
/// # Errors
/// The first step that was refused.
pub async fn prepare<L: Lane + 'static>(lane: &Rc<L>, run: Run) -> Result<Prepared<L>, Failure> {
    let supply = Supply {
        lane: Rc::clone(lane),
        ready: RefCell::default(),
        next: Cell::new(run.first),
        unprepared: Cell::new(0),
    };
    for _ in 0..run.prepared {
        let ready = supply.make().await?;
        supply.ready.borrow_mut().push(ready);
    }
    let mut lines = Vec::with_capacity(run.users);
    for _ in 0..run.users {
        lines.push(lane.lines().await?);
    }
    Ok(Prepared { supply, lines, run })
}

impl<L: Lane + 'static> Prepared<L> {
    /// Runs it. Every user's first sign-in is verified to the last signature; any refusal ends the run.
    ///
    /// # Errors
    /// The first step that was refused.
    pub async fn run(self) -> Result<Sample, Failure> {
        let supply = Rc::new(self.supply);
        let start = now();
        let mut users = JoinSet::new();
        for line in self.lines {
            let supply = Rc::clone(&supply);
            users.spawn_local(user(supply, line, start, self.run));
        }
        let mut latencies = Vec::new();
        while let Some(ended) = users.join_next().await {
            latencies.extend(ended.map_err(super::text)??);
        }
        Ok(Sample { flows: latencies.len(), elapsed: now() - start, latencies, unprepared: supply.unprepared.get() })
    }
}

async fn user<L: Lane>(
    supply: Rc<Supply<L>>,
    mut line: L::Lines,
    start: Instant,
    run: Run,
) -> Result<Vec<Duration>, Failure> {
    let mut took = Vec::new();
    loop {
        let begun = now();
        let used_up = run.prepared_only && supply.ready.borrow().is_empty();
        if used_up || (begun - start >= run.time && !took.is_empty()) {
            return Ok(took);
        }
        let ready = supply.take().await?;
        let flow = supply.lane.sign_in(&mut line, ready, took.is_empty());
        tokio::time::timeout(PATIENCE, flow).await.map_err(|_| "a sign-in took more than 30 seconds")??;
        took.push(now() - begun);
    }
}

#[expect(clippy::disallowed_methods, reason = "the load driver measures")]
fn now() -> Instant {
    Instant::now()
}

/// A whole number for arithmetic with rates.
#[must_use]
pub fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::from(u32::MAX), f64::from)
}

/// The value below which `share` of `sorted` lies (nearest rank); zero for none.
#[must_use]
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// The middle of `values`; of an even number, the mean of the middle two. Zero for none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match (sorted.get(half), sorted.len() % 2) {
        (Some(middle), 1) => *middle,
        (Some(upper), _) => f64::midpoint(sorted[half - 1], *upper),
        (None, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::LocalSet;

    /// Counts what it is asked to do, and refuses what it is told to.
    #[derive(Default)]
    struct Counting {
        verified: Cell<usize>,
        done: Cell<usize>,
        refuse_at: Option<usize>,
    }

    impl Lane for Counting {
        type Ready = usize;
        type Lines = ();
        async fn ready(&self, number: usize) -> Result<usize, Failure> {
            Ok(number)
        }
        async fn lines(&self) -> Result<(), Failure> {
            Ok(())
        }
        async fn sign_in(&self, (): &mut (), ready: usize, verify: bool) -> Result<(), Failure> {
            tokio::task::yield_now().await;
            if Some(ready) == self.refuse_at {
                return Err(format!("sign-in {ready} was refused"));
            }
            self.verified.set(self.verified.get() + usize::from(verify));
            self.done.set(self.done.get() + 1);
            Ok(())
        }
    }

    const RUN: Run = Run { users: 3, time: Duration::from_millis(20), prepared: 4, first: 0, prepared_only: false };

    async fn run(lane: Counting) -> (Rc<Counting>, Result<Sample, Failure>) {
        let lane = Rc::new(lane);
        let sample = LocalSet::new().run_until(async { prepare(&lane, RUN).await?.run().await }).await;
        (lane, sample)
    }

    #[tokio::test]
    async fn every_complete_sign_in_is_counted_and_every_users_first_is_verified() {
        let (lane, sample) = run(Counting::default()).await;
        let sample = sample.unwrap();
        assert_eq!((sample.flows, sample.latencies.len()), (lane.done.get(), lane.done.get()));
        assert_eq!(lane.verified.get(), 3);
        assert_eq!(sample.unprepared, sample.flows - 4);
    }

    #[tokio::test]
    async fn where_only_what_is_prepared_counts_the_run_ends_with_it() {
        let lane = Rc::new(Counting::default());
        let run = Run { time: Duration::from_secs(3600), prepared_only: true, ..RUN };
        let sample = LocalSet::new().run_until(async { prepare(&lane, run).await?.run().await }).await.unwrap();
        assert_eq!((sample.flows, sample.unprepared, lane.done.get()), (4, 0, 4));
    }

    #[tokio::test]
    async fn one_refusal_ends_the_run_and_says_why() {
        let (_, sample) = run(Counting { refuse_at: Some(5), ..Counting::default() }).await;
        assert_eq!(sample.unwrap_err(), "sign-in 5 was refused");
    }

    #[test]
    fn percentiles_are_values_that_were_measured_and_medians_take_the_middle() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_millis(100));
        assert_eq!(percentile(&sorted, 99), Duration::from_millis(198));
        assert_eq!(percentile(&sorted[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(&[]).abs() < f64::EPSILON);
    }
}
