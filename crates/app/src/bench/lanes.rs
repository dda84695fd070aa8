//! The lanes of one run: which sign-ins are made at which program, and the rounds.

use super::cores::Cores;
use super::processes::Program;
use super::report::Measured;
use super::running::{Running, Site};
use super::{Options, signer};
use crate::demo::platforms::Invented;
use crate::failure::Failure;
use hufu_kernel::{OsRng, Rng, SystemClock};
use hufu_offices::registrar::NOTICE_VERSION;
use hufu_platform::client::{ClientAuth, RelyingParty};
use hufu_sandbox::load::Lane;
use hufu_sandbox::load::floor::{self, BARE, FloorLane, Step, WHOLE};
use hufu_sandbox::load::hufu::{Bare, Redeemed, Service, Whole};
use hufu_sandbox::load::measure::{Run, Sample, prepare};
use hufu_sandbox::load::peer::{Announced, PeerLane};
use hufu_sandbox::load::platform::Platforms;
use hufu_sandbox::robot::World;
use hufu_wallet::Group;
use hufu_wire::jose::{Alg, Jwks, SoftKey};
use hufu_wire::webauthn::SoftDevice;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Row 1 at the service.
pub const FRONT: &str = "front";
/// Row 2 at the service.
pub const WHOLE_PATH: &str = "whole-path";
/// Row 2 at the same service with its offices apart.
pub const APART: &str = "apart";
/// The token endpoint of row 1.
pub const TOKEN: &str = "token";
/// The peer.
pub const PEER: &str = "peer";
/// The floor of row 1.
pub const FLOOR: &str = "floor";
/// The floor of row 2.
pub const WHOLE_FLOOR: &str = "whole-floor";
/// The floor of the token endpoint.
pub const TOKEN_FLOOR: &str = "token-floor";

/// All of them, in the order of a round, each with what runs in it.
pub const ALL: [(&str, &str); 8] = [
    (FRONT, "The front alone: the driver plays wallet and nodes"),
    (WHOLE_PATH, "The same, and the two nodes' part of it: assertion, pseudonyms, joint signature"),
    (
        APART,
        "The whole path again with the offices apart: one process an office, mTLS between them, all on the service's core",
    ),
    (TOKEN, "The token endpoint alone, with codes that were made before the clock started"),
    (PEER, "The peer of --peer"),
    (FLOOR, "A bare server with the requests and cryptography of `front`"),
    (WHOLE_FLOOR, "A bare server with those of `whole-path`"),
    (TOKEN_FLOOR, "A bare server with the one of `token`"),
];

/// A code lives for a minute and takes several times as long to make as to redeem.
const PREPARED: f64 = 0.3;

type Round<'a> = Pin<Box<dyn Future<Output = Result<(Sample, Duration), Failure>> + 'a>>;

/// A lane with the program it runs at.
pub trait Track {
    /// Its name in the document.
    fn name(&self) -> &'static str;
    /// Runs it once: what was measured, and the program's processor time meanwhile.
    fn run(&mut self, options: Options) -> Round<'_>;
}

struct At<'a, L> {
    name: &'static str,
    lane: Rc<L>,
    program: &'a Program,
    /// How much of the lanes' time it gets: less where what is prepared grows old, or takes longer than what is measured.
    share: f64,
    /// Sign-ins a second of the last run: how many the next one prepares.
    rate: f64,
    next: usize,
}

impl<'a, L: Lane + 'static> At<'a, L> {
    fn new(name: &'static str, lane: L, program: &'a Program) -> Box<Self> {
        Self::of(name, Rc::new(lane), program, 1.0)
    }

    fn of(name: &'static str, lane: Rc<L>, program: &'a Program, share: f64) -> Box<Self> {
        Box::new(Self { name, lane, program, share, rate: 0.0, next: 0 })
    }
}

impl<L: Lane + 'static> Track for At<'_, L> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&mut self, options: Options) -> Round<'_> {
        Box::pin(async move {
            // A fifth more than last time, so that nothing has to be signed while the clock runs.
            let time = Duration::from_secs_f64(options.seconds * self.share);
            let expected = time.as_secs_f64() * 1.2 * self.rate;
            let course = Run {
                users: options.users,
                time,
                prepared: whole(expected) + options.users,
                first: self.next,
                prepared_only: self.share < 1.0,
            };
            let refused = |cause| Failure::other(format!("lane {}: {cause}", self.name));
            let prepared = prepare(&self.lane, course).await.map_err(refused)?;
            let before = self.program.usage().cpu;
            let sample = prepared.run().await.map_err(refused)?;
            let cpu = self.program.usage().cpu.saturating_sub(before);
            self.rate = sample.rate();
            self.next += course.prepared + sample.unprepared;
            Ok((sample, cpu))
        })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of sign-ins, positive and small")]
fn whole(expected: f64) -> usize {
    expected.clamp(0.0, 1e6) as usize
}

/// All lanes that can be run.
///
/// # Errors
/// [`Failure`].
pub fn of<'a>(
    running: &'a Running,
    [devices, devices_apart]: [Vec<SoftDevice>; 2],
    seed: &[u8; 32],
    (persons, bound): (usize, Option<Cores>),
    rng: &Arc<dyn Rng>,
) -> Result<Vec<Box<dyn Track + 'a>>, Failure> {
    let service = Rc::new(service(&running.site, devices, rng)?);
    let bare = Rc::new(Bare { service: Rc::clone(&service), sign: signer::start(seed, bound)? });
    let mut lanes: Vec<Box<dyn Track + 'a>> = vec![
        At::of(FRONT, Rc::clone(&bare), &running.hufu, 1.0),
        At::new(WHOLE_PATH, Whole { service }, &running.hufu),
        At::of(TOKEN, Rc::new(Redeemed::new(bare)), &running.hufu, PREPARED),
    ];
    if let Some(apart) = &running.apart {
        let service = Rc::new(self::service(&apart.site, devices_apart, rng)?);
        lanes.push(At::new(APART, Whole { service }, &apart.program));
    }
    if let Some((program, announced)) = &running.peer {
        let clients = running.site.invented()?.into_iter().map(|platform| at_peer(platform, announced));
        let platforms = platforms(clients.collect::<Result<_, _>>()?, rng);
        lanes.push(At::new(PEER, PeerLane { announced: announced.clone(), platforms, persons }, program));
    }
    if let Some((program, floor)) = &running.floor {
        let lane = |steps: &'static [Step]| FloorLane { origin: floor.origin.clone(), steps };
        lanes.push(At::new(FLOOR, lane(BARE), program));
        lanes.push(At::new(WHOLE_FLOOR, lane(WHOLE), program));
        lanes.push(At::of(TOKEN_FLOOR, Rc::new(lane(floor::TOKEN)), program, PREPARED));
    }
    Ok(lanes)
}

fn platforms(all: Vec<RelyingParty>, rng: &Arc<dyn Rng>) -> Platforms {
    Platforms { all, clock: Arc::new(SystemClock), rng: Arc::clone(rng) }
}

/// The service and who uses it.
///
/// # Errors
/// [`Failure`].
pub fn service(site: &Site, devices: Vec<SoftDevice>, rng: &Arc<dyn Rng>) -> Result<Service, Failure> {
    let trust = Arc::new(site.trust()?);
    let world = World {
        addresses: site.addresses.clone(),
        trust: Arc::clone(&trust),
        clock: Arc::new(SystemClock),
        rng: Arc::clone(rng),
        notice_version: NOTICE_VERSION.to_owned(),
    };
    let invented = site.invented()?;
    let certificates = invented.iter().map(|platform| platform.certificate.clone()).collect();
    let clients = invented.into_iter().map(|platform| platform.client(&world));
    Ok(Service {
        addresses: site.addresses.clone(),
        platforms: platforms(clients.collect::<Result<_, _>>()?, rng),
        certificates,
        devices,
        group: Group::of(&trust).map_err(Failure::other)?,
        group_kid: trust.group_jwk().and_then(|jwk| jwk.kid).unwrap_or_default(),
        wallet: (trust.rp_id.clone(), trust.wallet_origin.clone()),
    })
}

/// The same platform, with the same key, as the peer's client.
fn at_peer(platform: Invented, announced: &Announced) -> Result<RelyingParty, Failure> {
    Ok(RelyingParty {
        client_id: platform.certificate.client_id.clone(),
        redirect_uri: platform.certificate.redirect_uris.first().cloned().unwrap_or_default(),
        issuer: announced.issuer.clone(),
        auth: ClientAuth::PrivateKeyJwt(platform.key),
        dpop: Some(SoftKey::generate(Alg::ES256, &OsRng).map_err(Failure::other)?),
        keys: Jwks { keys: vec![announced.jwk.clone()] },
        alg: Alg::EdDSA,
    })
}

/// All rounds: in each, every lane once.
///
/// # Errors
/// The first sign-in that was refused.
pub async fn measure(lanes: &mut [Box<dyn Track + '_>], options: &Options) -> Result<Vec<Measured>, Failure> {
    let mut all: Vec<Measured> = lanes.iter().map(|lane| Measured { lane: lane.name(), rounds: Vec::new() }).collect();
    // The first pass warms everything up and is not counted.
    for round in 0..=options.rounds {
        match round {
            0 => eprintln!("Warming up …"),
            _ => eprintln!("Round {round} of {} …", options.rounds),
        }
        for (lane, measured) in lanes.iter_mut().zip(&mut all) {
            let (sample, cpu) = lane.run(options.clone()).await?;
            eprintln!("  {:<12}{:>8.0} sign-ins/s", measured.lane, sample.rate());
            if round > 0 {
                measured.rounds.push((sample, cpu));
            }
        }
    }
    Ok(all)
}
