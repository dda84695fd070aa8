//! A node whose clock jumps: it takes nothing, says why, and the other two go on.

use super::*;
use crate::linking::platform;
use hufu_kernel::{Clock, SystemClock, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The persons' and platforms' clock.
#[derive(Default)]
struct Ahead(AtomicI64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0.load(Ordering::Relaxed)
    }
}

fn set(file: &Path, seconds: i64) {
    let whole = file.with_extension("new");
    std::fs::write(&whole, format!("{{\"seconds\":{seconds}}}")).unwrap();
    std::fs::rename(whole, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_an_hour_ahead_or_behind_refuses_clearly_says_clock_and_the_other_two_sign() {
    let place = crate::apart::place();
    let folder = crate::apart::init(place.path());
    let (path, own) = (folder.join("node-3").join("office.toml"), folder.join("node-3").join("clock.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = text.replace("clock = \"../clock/clock.json\"", "clock = \"clock.json\"");
    assert_ne!(text, changed);
    std::fs::write(&path, changed).unwrap();
    let deployment = Deployment::start_in(place, folder.clone(), &[]).await;
    let clock = Arc::<Ahead>::default();
    let world = World { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..deployment.seen.world() };
    let shop = platform(&folder.join("world"), "yunzhou-hall", &world);
    let mut robot = world.robot().unwrap();
    world.enrol(&mut robot, &deployment.seen.persons()[86], PASSWORD).await.unwrap();
    let known = sub(&world, &shop, &mut robot, pair(1, 3)).await.unwrap();
    until(&folder, "node-3", is_ready).await;

    let off = async |robot: &mut Robot| {
        let told = until(&folder, "node-3", says("the clock is off")).await;
        assert_eq!(told["ready"], false);
        assert_eq!(refusal(sub(&world, &shop, robot, pair(1, 3)).await), Refusal::ClockOff);
        assert_eq!(sub(&world, &shop, robot, pair(1, 2)).await.unwrap(), known);
        assert_eq!(any_sub(&world, &shop, robot, pair(1, 3)).await.unwrap(), known, "a wallet goes on by itself");
        let other = until(&folder, "node-1", |told| told["notes"].to_string().contains("the clock of node-3")).await;
        assert_eq!(other["ready"], true, "{other}");
    };
    // An hour ahead.
    set(&own, 3600);
    off(&mut robot).await;
    // Everybody else two hours on: an hour behind.
    let moved = hufu(&["sandbox", "clock", "advance", "2h", "--data", folder.to_str().unwrap()]);
    assert!(moved.status.success(), "{moved:?}");
    clock.0.store(7200, Ordering::Relaxed);
    off(&mut robot).await;
    // It is set right, and serves.
    set(&own, 7200);
    until(&folder, "node-3", is_ready).await;
    assert_eq!(sub(&world, &shop, &mut robot, pair(1, 3)).await.unwrap(), known);
    deployment.stop().await;
}
