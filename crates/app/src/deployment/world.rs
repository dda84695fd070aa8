//! `hufu sandbox world`: what surrounds a sandbox's offices that are apart, in one process: register and phones, three sample platforms,
//! the wallet's pages with the personas' wallets, and the door to the clock. No office's key or row is here.

use super::clock::FileClock;
use super::serve::{document, public_half};
use super::world_file::WorldFile;
use crate::demo::addresses::ServedPlatform;
use crate::demo::control::{self, CLOCK, Control};
use crate::demo::platforms::{self, Invented, SAMPLES};
use crate::demo::shown;
use crate::failure::Failure;
use crate::files;
use crate::root::{self, WORLD};
use crate::stage::Stage;
use hufu_kernel::{Clock, OsRng, Rng, Root, ShiftedClock};
use hufu_offices::registrar::NOTICE_VERSION;
use hufu_sandbox::agent::Agent;
use hufu_sandbox::http::Addresses;
use hufu_sandbox::persons::{Person, persons};
use hufu_sandbox::phone_simulator::{self, PhoneSimulator};
use hufu_sandbox::register;
use hufu_sandbox::robot::World;
use hufu_web::health::Probe;
use hufu_web::pages::{self, Help, PagesConfig};
use hufu_web::reply::Edge;
use hufu_web::serve::Stop;
use hufu_web::serve::{Inherited, Listening, Sharing, listen_at};
use hufu_wire::api::trust::Trust;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// A sandbox's world as any program sees it: where it answers, who lives there, which platforms there are.
pub struct Scene {
    /// Addresses, trust, time.
    pub world: World,
    /// The invented persons.
    pub persons: Vec<Person>,
    /// Where the sample platforms answer, by client identifier.
    pub served: BTreeMap<String, String>,
}

impl Scene {
    /// The world of this configuration.
    ///
    /// # Errors
    /// [`Failure::Unreadable`].
    pub fn open(file: &WorldFile, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let (plan, trust) = public_half(&file.deployment, &file.trust, Root::Sandbox)?;
        let addresses = plan.sandbox_addresses().ok_or_else(|| Failure::other("a sandbox has simulators"))?;
        let made: root::World = document(&file.data.join(WORLD), "`hufu init --sandbox` makes it")?;
        let samples = plan.sandbox.map(|simulators| simulators.samples).unwrap_or_default();
        let world = World {
            addresses,
            trust: Arc::new(trust),
            clock,
            rng: Arc::new(OsRng),
            notice_version: NOTICE_VERSION.to_owned(),
        };
        let persons = persons(made.seed, made.founded).map_err(Failure::other)?;
        Ok(Self { world, persons, served: SAMPLES.map(str::to_owned).into_iter().zip(samples).collect() })
    }

    /// The invented platforms with their keys, which are in the world's folder.
    ///
    /// # Errors
    /// [`Failure::Unreadable`].
    pub fn invented(&self, data: &Path) -> Result<Vec<Invented>, Failure> {
        platforms::invented(data, self.world.clock.now(), self.world.rng.as_ref(), &self.served)
    }

    /// The sample platforms, as ready files name them.
    #[must_use]
    pub fn served_platforms(&self) -> Vec<ServedPlatform> {
        let served = self.served.iter();
        served.map(|(client_id, url)| ServedPlatform { client_id: client_id.clone(), url: url.clone() }).collect()
    }

    fn addresses(&self) -> &Addresses {
        &self.world.addresses
    }

    fn edge(&self, part: &'static str) -> Edge {
        Edge::new(part, &self.addresses().wallet, Arc::clone(&self.world.rng))
    }

    /// The wallet's origin: pages, and the personas' wallets.
    fn wallet(&self, data: &Path) -> axum::Router {
        let agent = Agent::new(self.world.clone(), &self.persons, data.join("personas.json"), false);
        let config = PagesConfig {
            trust: Trust::clone(&self.world.trust),
            registrar: self.addresses().registrar.clone(),
            nodes: self.addresses().nodes.clone(),
            phones: Some(self.addresses().phone.clone()),
            persona_agent: true,
            help: Help::invented(),
            clock: Arc::clone(&self.world.clock),
        };
        pages::sandbox_router(config, self.persons.iter().map(shown).collect()).merge(agent.router())
    }
}

/// Listens where the configuration says.
struct Doors(Inherited);

impl Doors {
    async fn at(&mut self, what: &'static str, address: SocketAddr) -> Result<Listening, Failure> {
        Ok(listen_at(what, &address.to_string(), &mut self.0, Sharing::Alone).await?)
    }
}

/// Serves the world until told to stop.
///
/// # Errors
/// [`Failure`], before anything is served.
pub async fn run(file: WorldFile, stop: Stop) -> Result<(), Failure> {
    let clock_file = file.clock.join(CLOCK);
    let moved: Arc<ShiftedClock> = Arc::new(ShiftedClock::new(control::read_shift(&clock_file)?));
    let scene = Scene::open(&file, Arc::new(FileClock::new(&clock_file)?))?;
    let mut invented = scene.invented(&file.data)?;
    let samples = platforms::samples(&mut invented, &SAMPLES, &scene.world)?;
    let mut doors = Doors(Inherited::from_env().map_err(Failure::other)?);
    let listen = &file.listen;

    let mut platforms = Stage::new();
    for (sample, at) in samples.into_iter().zip(listen.samples) {
        let listening = doors.at("a sample platform", at).await?;
        platforms.start(listening, &scene.edge("platform"), always(), sample.router());
    }
    let listening = doors.at("the wallet", listen.wallet).await?;
    platforms.start(listening, &scene.edge("wallet"), always(), scene.wallet(&file.data));

    let mut simulators = Stage::new();
    let phones = PhoneSimulator::new(Arc::clone(&scene.world.clock)).map_err(Failure::other)?;
    let listening = doors.at("the phones", listen.phones).await?;
    simulators.start(listening, &scene.edge("phone"), always(), phone_simulator::router(phones));
    let people = register::router(register::Register::new(&scene.persons));
    simulators.start(doors.at("the register", listen.register).await?, &scene.edge("register"), always(), people);
    let listening = doors.at("the control endpoint", listen.control).await?;
    let place = control::Place {
        folder: &file.data,
        clock_file,
        clock_mode: files::PUBLIC,
        url: format!("http://{}", listen.control),
        ca: None,
    };
    let rng: &dyn Rng = scene.world.rng.as_ref();
    let control = Control::open(place, moved, rng)?;
    let edge = scene.edge("control");
    simulators.start(listening, &edge, always(), control.router(&edge));

    let mut stop = stop;
    stop.stopped().await;
    platforms.end().await;
    simulators.end().await;
    Ok(())
}

fn always() -> Probe {
    Arc::new(|| Box::pin(std::future::ready(Vec::new())))
}
