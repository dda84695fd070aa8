//! `hufu serve wallet`: the wallet's pages. The process has no keys and no rows, and knows no person; whoever runs it decides what code
//! people's browsers run, which is why it is a party of its own.

use super::ends::Presented;
use super::notify;
use super::office_file::WALLET;
use super::serve::{Asked, clock, limited, public_half, public_listener, seen};
use crate::demo::metrics as counts;
use crate::failure::Failure;
use crate::stage::Stage;
use hufu_kernel::{OsRng, Root};
use hufu_web::addresses::Addresses;
use hufu_web::health::{self, Probe};
use hufu_web::metrics::Metrics;
use hufu_web::pages::{self, Help, PagesConfig};
use hufu_web::reply::Edge;
use hufu_web::serve::{Inherited, Sharing, listen_at};
use hufu_web::serve::{Stop, finished};
use std::sync::Arc;

/// Serves the pages until told to stop.
///
/// # Errors
/// [`Failure`], before anything is served.
pub async fn run(asked: Asked, stop: Stop) -> Result<(), Failure> {
    let Asked { file, root, .. } = asked;
    let (plan, trust) = public_half(&file.deployment, &file.trust, root)?;
    let public = file.public.as_ref().ok_or_else(|| Failure::other("[public] is missing"))?;
    let help = match (&file.help, root) {
        (Some(help), _) => Help { phone: help.phone.clone(), tel: help.tel.clone() },
        (None, Root::Sandbox) => Help::invented(),
        (None, Root::Production) => {
            return Err(Failure::other("[help] is missing: where people get help by telephone"));
        }
    };
    let metrics = Arc::<Metrics>::default();
    let edge = Edge::new(WALLET, &plan.wallet_origin, Arc::new(OsRng)).with_metrics(Arc::clone(&metrics));
    let config = PagesConfig {
        trust,
        registrar: plan.public_address("registrar"),
        nodes: plan.nodes(),
        phones: plan.sandbox.as_ref().map(|simulators| simulators.phones.clone()),
        persona_agent: false,
        help,
        clock: clock(file.sandbox.clock.as_deref(), root)?,
    };
    let mut inherited = Inherited::from_env().map_err(Failure::other)?;
    let mut outside = Stage::new();
    let (listening, certificate) = public_listener(public, file.limits.connections, &mut inherited).await?;
    let addresses = Addresses::new(&edge, file.limits.of_addresses());
    let listening = listening.sharing_among(seen(&addresses, public.hides_addresses()));
    outside.run(|stop| addresses.forget(stop));
    let routes = pages::router(config).merge(health::router(WALLET, always()));
    outside.serve(listening, finished(&edge, limited(&edge, file.limits.body_bytes, routes)));
    let mut own = Stage::new();
    let listening = listen_at("operators", &file.metrics.listen.to_string(), &mut inherited, Sharing::Alone).await?;
    let presented = Presented { office: WALLET, own: None, public: certificate, mtls: None };
    let counted = counts::router(metrics, Vec::new(), move |metrics| presented.tell(metrics));
    let routes = health::router(WALLET, always()).merge(counted);
    own.serve(listening, finished(&edge, routes));
    notify::tell(notify::READY);
    let mut stop = stop;
    stop.stopped().await;
    notify::tell(notify::STOPPING);
    outside.end().await;
    own.end().await;
    Ok(())
}

/// Pages that answer are ready.
fn always() -> Probe {
    Arc::new(|| Box::pin(std::future::ready(Vec::new())))
}
