//! Sign-ins that begin when it is their time, whether those before them are done or not: what people do, who do not know of each other.
//! How long one takes counts from when it should have begun, so that a service that stands still is not measured as fast.

use super::{Failure, Lane};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A sign-in that takes longer than this has failed: by then its person has gone away.
const PATIENCE: Duration = Duration::from_secs(10);

/// How people come.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From one to the next.
    pub every: Duration,
    /// How many.
    pub count: usize,
    /// The number of the first.
    pub first: usize,
}

/// How people fared.
#[derive(Clone, Debug, Default)]
pub struct Fared {
    /// What each complete sign-in took, from when it should have begun.
    pub latencies: Vec<Duration>,
    /// Sign-ins that came to nothing.
    pub failed: usize,
    /// What was said to the first of them.
    pub why: Option<Failure>,
}

/// Lets people sign in by `lane`, each over connections that another one has left, or new ones. A refusal does not end the run: it is
/// what is measured.
///
/// # Errors
/// If sign-ins cannot be prepared.
pub async fn paced<L: Lane + 'static>(lane: &Rc<L>, pace: Pace) -> Result<Fared, Failure> {
    let mut ready = Vec::with_capacity(pace.count);
    for number in pace.first..pace.first + pace.count {
        ready.push(lane.ready(number).await?);
    }
    let lines = Rc::new(RefCell::new(Vec::new()));
    let start = Instant::now();
    let mut people = JoinSet::new();
    for (ready, turn) in ready.into_iter().zip(0_u32..) {
        let due = start + pace.every.saturating_mul(turn);
        tokio::time::sleep_until(due).await;
        let (lane, lines) = (Rc::clone(lane), Rc::clone(&lines));
        people.spawn_local(async move {
            let signed_in = tokio::time::timeout_at(due + PATIENCE, person(lane.as_ref(), lines.as_ref(), ready)).await;
            signed_in.unwrap_or_else(|_| Err("a sign-in took more than 10 seconds".to_owned())).map(|()| due.elapsed())
        });
    }
    let mut fared = Fared::default();
    while let Some(ended) = people.join_next().await {
        match ended.map_err(super::text)? {
            Ok(took) => fared.latencies.push(took),
            Err(why) => {
                fared.failed += 1;
                fared.why.get_or_insert(why);
            }
        }
    }
    Ok(fared)
}

async fn person<L: Lane>(lane: &L, lines: &RefCell<Vec<L::Lines>>, ready: L::Ready) -> Result<(), Failure> {
    let left = lines.borrow_mut().pop();
    let mut line = match left {
        Some(line) => line,
        None => lane.lines().await?,
    };
    lane.sign_in(&mut line, ready, true).await?;
    lines.borrow_mut().push(line);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use tokio::task::LocalSet;

    /// Takes ten milliseconds, and one of them refuses.
    #[derive(Default)]
    struct Steady {
        lines: Cell<usize>,
        busy: Cell<bool>,
    }

    impl Lane for Steady {
        type Ready = usize;
        type Lines = ();
        async fn ready(&self, number: usize) -> Result<usize, Failure> {
            Ok(number)
        }
        async fn lines(&self) -> Result<(), Failure> {
            self.lines.set(self.lines.get() + 1);
            Ok(())
        }
        async fn sign_in(&self, (): &mut (), ready: usize, verify: bool) -> Result<(), Failure> {
            assert!(verify);
            // One at a time, as one core would.
            while self.busy.replace(true) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.busy.set(false);
            if ready == 7 { Err("refused".to_owned()) } else { Ok(()) }
        }
    }

    async fn run(every: u64) -> (Rc<Steady>, Fared) {
        let lane = Rc::new(Steady::default());
        let pace = Pace { every: Duration::from_millis(every), count: 10, first: 1 };
        let fared = LocalSet::new().run_until(paced(&lane, pace)).await.unwrap();
        (lane, fared)
    }

    #[tokio::test]
    async fn a_refusal_is_counted_and_ends_nothing_and_lines_are_used_again() {
        let (lane, fared) = run(100).await;
        assert_eq!((fared.latencies.len(), fared.failed, fared.why.as_deref()), (9, 1, Some("refused")));
        // The one that was refused took its line with it.
        assert_eq!(lane.lines.get(), 2);
        assert!(fared.latencies.iter().all(|took| *took < Duration::from_millis(90)), "{fared:?}");
    }

    #[tokio::test]
    async fn who_has_to_wait_for_others_is_measured_waiting() {
        let (_, fared) = run(1).await;
        let longest = fared.latencies.iter().max().unwrap();
        assert!(*longest >= Duration::from_millis(70), "{fared:?}");
    }
}
