//! The bench root's whole group key, on a thread of its own that is bound to the service's core: in row 1 the driver plays the
//! nodes, and the one signature a sign-in needs must not be a gift to the service.

use super::cores::{self, Cores};
use crate::failure::Failure;
use aws_lc_rs::signature::Ed25519KeyPair;
use hufu_sandbox::load::hufu::Sign;
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::oneshot;

type Order = (Vec<u8>, oneshot::Sender<[u8; 64]>);

/// Starts the thread; it ends when the returned function is dropped. The cell tells how long its core was busy with it.
///
/// # Errors
/// [`Failure::Other`].
pub fn start(seed: &[u8; 32], bound: Option<Cores>) -> Result<Sign, Failure> {
    let key = Ed25519KeyPair::from_seed_unchecked(seed).map_err(Failure::other)?;
    let (orders, taken) = mpsc::channel::<Order>();
    let work = move || {
        if let Some(cores) = bound {
            cores::bind(cores.service);
        }
        for (message, back) in taken {
            if let Ok(signature) = key.sign(&message).as_ref().try_into() {
                // Nobody waits any more when a run was interrupted.
                let _ = back.send(signature);
            }
        }
    };
    std::thread::Builder::new().name("signer".into()).spawn(work).map_err(Failure::other)?;
    Ok(Box::new(move |message| {
        let (back, signature) = oneshot::channel();
        let sent = orders.send((message, back)).is_ok();
        Box::pin(async move { if sent { signature.await.ok() } else { None } })
    }))
}

/// What one signature costs a core: the part of row 1 that the service's own processor time does not show.
///
/// # Errors
/// [`Failure::Other`].
pub fn cost(seed: &[u8; 32]) -> Result<Duration, Failure> {
    const TIMES: u32 = 2000;
    let key = Ed25519KeyPair::from_seed_unchecked(seed).map_err(Failure::other)?;
    let message = [b'x'; 800];
    let start = super::now();
    for _ in 0..TIMES {
        std::hint::black_box(key.sign(std::hint::black_box(&message)));
    }
    Ok((super::now() - start) / TIMES)
}
