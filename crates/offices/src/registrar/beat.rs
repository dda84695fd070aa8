//! One time class (design 3): what an answer had to ask others for does not show in when it comes.

use std::pin::pin;
use std::time::Duration;
use tokio::time::interval;

/// Carries `work` out and hands its result on at the first beat after it is done, counted from now. Work of 1 ms and of 4 ms
/// take the same on a beat of 5.
pub(super) async fn on_the_beat<T>(every: Duration, work: impl Future<Output = T>) -> T {
    let mut beat = interval(every);
    // The first tick of an interval is at once.
    beat.tick().await;
    let (mut work, mut done) = (pin!(work), None);
    loop {
        tokio::select! {
            out = &mut work, if done.is_none() => done = Some(out),
            _ = beat.tick() => {
                if let Some(out) = done.take() {
                    return out;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, sleep};

    #[tokio::test]
    async fn nothing_is_told_before_the_beat_after_the_work() {
        let every = Duration::from_millis(20);
        for (work, beats) in [(0, 1), (5, 1), (30, 2)] {
            let began = Instant::now();
            let said = on_the_beat(every, async {
                sleep(Duration::from_millis(work)).await;
                work
            });
            assert_eq!(said.await, work);
            assert!(began.elapsed() >= every * beats, "{work} ms of work");
        }
    }
}
