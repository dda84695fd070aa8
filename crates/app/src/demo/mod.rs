//! `hufu demo`: every office of a sandbox in one process, each over its own folder, on this machine only.

pub mod addresses;
pub mod control;
pub mod metrics;
pub mod platform_ca;
pub mod platforms;
pub mod tls;
pub mod tour;

use crate::adapters::{Messages, Register, SandboxFace};
use crate::data_dir;
use crate::error_log::FileLog;
use crate::failure::Failure;
use crate::offices;
use crate::offices::together::{self, Offices, Outside};
use crate::offices::{Running, Surroundings, probe};
use crate::platform_file::PlatformFile;
use crate::root::{self, OFFICES, Origins, SandboxRoot};
use crate::rows::{self, Rows};
use crate::server::Server;
use crate::stage::Stage;
use addresses::{Ports, Ready, ReadyFile, ServedPlatform, Site, claim};
use control::Control;
use hufu_kernel::{Clock, OsRng, Rng, Root, ShiftedClock, SystemClock};
use hufu_offices::buckets::Limits;
use hufu_offices::registrar::NOTICE_VERSION;
use hufu_sandbox::adapters::{RegisterClient, SmsClient};
use hufu_sandbox::agent::Agent;
use hufu_sandbox::http::Addresses;
use hufu_sandbox::persons::{Person, persons};
use hufu_sandbox::phone_simulator::{self, PhoneSimulator};
use hufu_sandbox::register;
use hufu_sandbox::robot::World;
use hufu_sandbox::sample_platform::SamplePlatform;
use hufu_web::health::Probe;
use hufu_web::metrics::Metrics;
use hufu_web::pages::{self, Help, PagesConfig, SandboxDocument, SandboxPerson};
use hufu_web::reply::Edge;
use hufu_web::serve::{Listening, Place, Stop, listen};
use metrics::MetricsAt;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tls::LocalCa;

/// Everything answers by then, or something is wrong.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How the demo is started.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// The data folder.
    pub data: PathBuf,
    /// The first port; 0 lets the system choose all.
    pub port: u16,
    /// Written when everything answers.
    pub ready_file: Option<PathBuf>,
    /// Another wallet's origin, for scripted drivers.
    pub wallet_origin: Option<String>,
    /// Speak TLS, under this host name and the names below it.
    pub tls: Option<String>,
    /// Answer platforms with TLS certificates too.
    pub mtls: bool,
    /// A folder of rules in place of the built-in ones.
    pub rules: Option<PathBuf>,
    /// Keep the offices' rows on this server instead of in files.
    pub store: Option<Server>,
    /// Where metrics are read.
    pub metrics: MetricsAt,
    /// Platforms to admit.
    pub platforms: Vec<PathBuf>,
    /// Send browsers to the persona agent, which remembers for a moment who signed in.
    pub persona_sessions: bool,
    /// Take the tour and end.
    pub tour: bool,
    /// The tour's report as JSON.
    pub json: bool,
}

/// How the demo ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It was told to, or the tour is over and every promise held.
    Well,
    /// A promise was broken.
    Broken,
}

/// Runs until `stop`, or to the end of the tour.
///
/// # Errors
/// [`Failure`], before anything is served.
pub async fn run(options: Options, stop: Stop) -> Result<Ended, Failure> {
    let ready_file = options.ready_file.as_deref().map(ReadyFile::clear).transpose()?;
    // Read before anything is opened: a mistake in a file is told at once.
    let files = options.platforms.iter().map(|path| PlatformFile::read(path)).collect::<Result<Vec<_>, _>>()?;
    let site = match &options.tls {
        Some(host) => Site::tls(host, &options.data)?,
        None => Site::plain(),
    };
    let mut ports = claim(options.port).await?;
    let mut own = Own {
        control: listen(Place { what: "control", port: 0, flag: "--port" }).await?,
        mtls: match options.mtls {
            true => Some(listen(Place { what: "mutual TLS", port: 0, flag: "--port" }).await?),
            false => None,
        },
        metrics: match options.metrics {
            MetricsAt::Off => None,
            MetricsAt::Port(port) => Some(listen(Place { what: "metrics", port, flag: "--metrics" }).await?),
        },
    };
    let mtls = own.mtls.as_ref().map(|at| platform_ca::origin(&site, at.port));
    let demo = Demo::open(&options, &ports, site, mtls).await?;
    let (probes, samples_at) = (ports.probes(&demo.site), ports.sample_addresses(&demo.site));
    let metrics_at = own.metrics.as_ref().map(|at| demo.site.origin("metrics", at.port) + hufu_web::metrics::PATH);
    // Certificates are for the machine's time, which browsers go by, not for the sandbox's.
    if let Some(ca) = &demo.ca {
        ports = ports.over_tls(ca, &demo.site)?;
        let over_tls = |part: &str, at: Listening| Ok::<_, Failure>(at.over_tls(ca.server(&demo.site.host_of(part))?));
        own.control = over_tls("control", own.control)?;
        own.metrics = own.metrics.map(|at| over_tls("metrics", at)).transpose()?;
    }
    let today = SystemClock.now().date();
    own.mtls = own.mtls.map(|at| platform_ca::listening(demo.root.path(), &demo.site, at, today)).transpose()?;
    for file in files {
        platforms::admit(&demo.offices, &file.certificate(Root::Sandbox, demo.now()))?;
    }
    let served: BTreeMap<String, String> =
        platforms::SAMPLES.iter().map(|id| (*id).to_owned()).zip(samples_at).collect();
    let mut invented = platforms::invented(demo.root.path(), demo.now(), demo.rng.as_ref(), &served)?;
    if !demo.offices.front.front.signs() {
        // A folder of before there were signals: its front signs none, and what platforms need of it else they still get.
        invented.iter_mut().for_each(|platform| platform.without_signals(demo.now()));
    }
    for platform in &invented {
        platforms::admit(&demo.offices, &platform.certificate)?;
    }
    let samples = platforms::samples(&mut invented, &platforms::SAMPLES, &demo.world)?;
    let stages = demo.serve(ports, samples, own)?;
    answered(&demo.addresses, &probes).await?;
    let ready = demo.ready(&served, metrics_at);
    if let Some(file) = &ready_file {
        file.announce(&ready)?;
    }
    let ended = if options.tour {
        demo.tour(invented, options.json, stop).await
    } else {
        banner(&demo.addresses, &served, &demo.root);
        if let Some(at) = &ready.metrics {
            println!("\nMetrics  {at}");
        }
        if let (Some(at), Some(ca)) = (&ready.mtls, &ready.mtls_ca) {
            println!("\nMutual TLS  {at}   ({} vouches for it; hufu platform new --mtls)", ca.display());
        }
        if let Some(ca) = &demo.ca {
            tls_banner(&demo.site, &demo.addresses, ca);
        }
        let mut stop = stop;
        stop.stopped().await;
        Ok(Ended::Well)
    };
    for stage in stages {
        stage.end().await;
    }
    ended
}

/// Listeners of the demo itself.
struct Own {
    control: Listening,
    mtls: Option<Listening>,
    metrics: Option<Listening>,
}

/// A demo whose offices are started and not served yet.
struct Demo {
    root: SandboxRoot,
    rows: Rows,
    site: Site,
    ca: Option<LocalCa>,
    metrics: Option<Arc<Metrics>>,
    addresses: Addresses,
    clock: Arc<ShiftedClock>,
    rng: Arc<dyn Rng>,
    persons: Vec<Person>,
    errors: Arc<FileLog>,
    offices: Arc<Offices>,
    mtls: Option<String>,
    world: World,
}

impl Demo {
    async fn open(options: &Options, ports: &Ports, site: Site, mtls: Option<String>) -> Result<Self, Failure> {
        let rng: Arc<dyn Rng> = Arc::new(OsRng);
        let clock = Arc::new(control::clock(&options.data)?);
        let mut root = root::open_or_found(&options.data, clock.as_ref(), rng.as_ref())?;
        let today = SystemClock.now().date();
        let ca = site.ca().map(|_| LocalCa::open_or_found(&options.data, site.host(), today)).transpose()?;
        let mut addresses = ports.addresses(&site);
        if let Some(origin) = &options.wallet_origin {
            addresses.wallet.clone_from(origin);
        }
        root.settle(origins(&addresses)?)?;
        let persons = persons(root.world().seed, root.world().founded).map_err(Failure::other)?;
        let trust = Arc::new(root.trust().clone());
        let metrics = (options.metrics != MetricsAt::Off).then(Arc::<Metrics>::default);
        let around = Surroundings {
            trust: Arc::clone(&trust),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            rng: Arc::clone(&rng),
            rules: Arc::new(offices::rules(options.rules.as_deref())?),
            metrics: metrics.clone(),
            // On this machine alone, and for whoever tries things out.
            limits: Limits::default(),
        };
        let outside = Outside {
            identity: Arc::new(Register(RegisterClient::new(&addresses).map_err(Failure::other)?)),
            face: Arc::new(SandboxFace),
            sms: Arc::new(Messages(SmsClient::new(&addresses).map_err(Failure::other)?)),
            persona_sessions: options.persona_sessions,
            mtls: mtls.clone(),
        };
        let rows = rows::settle(&root, options.store.as_ref(), rng.as_ref()).await?;
        let offices = Arc::new(together::start(&root, &rows, &around, outside).await?);
        let errors = Arc::new(FileLog::open(root.path())?);
        let world = World {
            addresses: addresses.clone(),
            trust,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            rng: Arc::clone(&rng),
            notice_version: NOTICE_VERSION.to_owned(),
        };
        Ok(Self { root, rows, site, ca, metrics, addresses, clock, rng, persons, errors, offices, mtls, world })
    }

    fn now(&self) -> hufu_kernel::Timestamp {
        self.clock.now()
    }

    fn edge(&self, office: &'static str) -> Edge {
        let edge = Edge::new(office, &self.addresses.wallet, Arc::clone(&self.rng));
        let edge = edge.with_errors(Arc::clone(&self.errors) as _);
        match &self.metrics {
            Some(metrics) => edge.with_metrics(Arc::clone(metrics)),
            None => edge,
        }
    }

    /// Serves everything; the stages are to be ended in order.
    fn serve(&self, ports: Ports, samples: Vec<SamplePlatform>, own: Own) -> Result<[Stage; 4], Failure> {
        let mut platforms = Stage::new();
        for (listening, sample) in ports.platforms.into_iter().zip(samples) {
            platforms.start(listening, &self.edge("platform"), always(), sample.router());
        }
        let mut wallet = Stage::new();
        wallet.start(ports.wallet, &self.edge("wallet"), always(), self.wallet());

        let mut offices = Stage::new();
        offices.office(ports.front, &self.edge("front"), self.offices.front.as_ref(), always());
        if let (Some(listening), Some(routes)) = (own.mtls, self.offices.front.mutual(&self.edge("front"))) {
            let listening = listening.sharing_by(self.offices.front.registered());
            offices.start(listening, &self.edge("front"), always(), routes);
        }
        let registrar = probe(self.offices.enrolling());
        offices.office(ports.registrar, &self.edge("registrar"), self.offices.registrar.as_ref(), registrar);
        for (node, listening) in self.offices.nodes.iter().zip(ports.nodes) {
            offices.office(listening, &self.edge(node.name()), node.as_ref(), probe(vec![Arc::clone(node) as _]));
        }
        for office in self.offices.keeping() {
            offices.works(office);
        }
        offices.works(Arc::clone(&self.offices.front) as _);

        let mut world = Stage::new();
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let phones = PhoneSimulator::new(clock).map_err(Failure::other)?;
        world.start(ports.phone, &self.edge("phone"), always(), phone_simulator::router(phones));
        let people = register::router(register::Register::new(&self.persons));
        world.start(ports.register, &self.edge("register"), always(), people);
        let edge = self.edge("control");
        let (clock, rng) = (Arc::clone(&self.clock), self.rng.as_ref());
        let place = control::Place::of_demo(self.root.path(), &self.site, own.control.port);
        let control = Control::open(place, clock, rng)?;
        world.start(own.control, &edge, always(), control.router(&edge));
        if let (Some(listening), Some(metrics)) = (own.metrics, &self.metrics) {
            let routes = self::metrics::router(Arc::clone(metrics), self.offices.keeping(), |_| {});
            world.start(listening, &self.edge("metrics"), always(), routes);
        }
        Ok([platforms, wallet, offices, world])
    }

    /// The wallet's origin: pages, and the personas' wallets.
    fn wallet(&self) -> axum::Router {
        let sessions = self.offices.front.front.persona_sessions();
        let agent = Agent::new(self.world.clone(), &self.persons, self.root.path().join("personas.json"), sessions);
        let pages = pages::sandbox_router(
            PagesConfig {
                trust: self.root.trust().clone(),
                registrar: self.addresses.registrar.clone(),
                nodes: self.addresses.nodes.clone(),
                phones: Some(self.addresses.phone.clone()),
                persona_agent: true,
                help: Help::invented(),
                clock: Arc::clone(&self.clock) as _,
            },
            self.persons.iter().map(shown).collect(),
        );
        pages.merge(agent.router())
    }

    fn ready(&self, served: &BTreeMap<String, String>, metrics: Option<String>) -> Ready {
        let served =
            served.iter().map(|(client_id, url)| ServedPlatform { client_id: client_id.clone(), url: url.clone() });
        Ready {
            addresses: self.addresses.clone(),
            ca_spki_sha256: self.ca.as_ref().map(LocalCa::spki_sha256),
            metrics,
            mtls: self.mtls.clone(),
            mtls_ca: self.mtls.as_ref().map(|_| tls::certificate_path(self.root.path(), self.site.host())),
            trust: self.root.trust_path(),
            platforms: served.collect(),
            pid: std::process::id(),
            data: self.root.path().to_owned(),
        }
    }

    async fn tour(&self, invented: Vec<platforms::Invented>, json: bool, mut stop: Stop) -> Result<Ended, Failure> {
        let ground = tour::Ground {
            taken: self.root.path().join(tour::TAKEN),
            offices: OFFICES.iter().map(|office| self.rows.at_rest(&self.root, office)).collect(),
            world: &self.world,
            persons: &self.persons,
            platforms: invented,
        };
        let report = tokio::select! {
            report = tour::tour(ground, json) => report?,
            () = stop.stopped() => return Err(Failure::other("the tour was interrupted")),
        };
        Ok(if report.ok { Ended::Well } else { Ended::Broken })
    }
}

/// A synthetic person, as the wallet's page of persons shows it.
pub(crate) fn shown(person: &Person) -> SandboxPerson {
    let document = |document: &hufu_sandbox::persons::Document| SandboxDocument {
        document_type: document.number.kind(),
        number: document.number.expose().to_owned(),
    };
    SandboxPerson {
        id: person.id.clone(),
        name: person.name.clone(),
        latin: person.latin.clone(),
        documents: person.documents.iter().map(document).collect(),
        phone: person.phone.as_str().to_owned(),
        story: person.persona.as_ref().map(|persona| persona.story.clone()),
        try_this: person.persona.as_ref().map(|persona| persona.try_this.clone()),
    }
}

/// An office without a store is ready when it answers.
fn always() -> Probe {
    Arc::new(|| Box::pin(std::future::ready(Vec::new())))
}

fn origins(addresses: &Addresses) -> Result<Origins, Failure> {
    let host = addresses.wallet.split_once("://").map(|(_, authority)| authority.split(':').next().unwrap_or_default());
    let rp_id = host.filter(|host| !host.is_empty() && !host.contains('/'));
    let rp_id =
        rp_id.ok_or_else(|| Failure::other(format!("{} is no origin; write http://name:port", addresses.wallet)))?;
    Ok(Origins { issuer: addresses.issuer.clone(), wallet: addresses.wallet.clone(), rp_id: rp_id.to_owned() })
}

/// Waits until every part answers.
async fn answered(addresses: &Addresses, probes: &[String]) -> Result<(), Failure> {
    let client = addresses.client().map_err(Failure::Other)?;
    let all = async {
        for probe in probes {
            loop {
                match client.get(probe).timeout(Duration::from_secs(2)).send().await {
                    Ok(answer) if answer.status().is_success() => break,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        }
    };
    tokio::time::timeout(READY_WITHIN, all).await.map_err(|_| Failure::other("a part of the demo does not answer"))
}

/// The issuer of a demo without flags.
pub const ISSUER: &str = "http://localhost:8420";

/// The flags that commands beside this demo need.
fn flags(folder: &Path, issuer: &str) -> (String, String) {
    let usual = data_dir::locate(None).is_ok_and(|usual| usual == folder);
    let data = if usual { String::new() } else { format!(" --data {}", folder.display()) };
    let issuer = if issuer == ISSUER { String::new() } else { format!(" --issuer {issuer}") };
    (data, issuer)
}

fn banner(addresses: &Addresses, served: &BTreeMap<String, String>, root: &SandboxRoot) {
    let (flag, issuer_flag) = flags(root.path(), &addresses.issuer);
    let samples: Vec<String> = served.iter().map(|(client_id, url)| format!("{url}   ({client_id})")).collect();
    println!(
        "\
Hufu 虎符 · SANDBOX 沙箱

  Everything here is invented: persons, documents, platforms. Nothing of it is accepted elsewhere.
  One operator runs all offices, so the separation between them does not hold here.
  所有人员、证件和平台均为虚构。各机构由同一方运行，机构之间的隔离在此不成立。

  try it      {samples}
  wallet      {wallet}
  phones      {phone}   (codes arrive here)
  issuer      {issuer}   (/.well-known/openid-configuration)
  registrar   {registrar}
  nodes       {one}  {two}  {three}
  data        {data}

  Your own platform:  hufu platform new my-shop{issuer_flag}{flag}
                      and this demo again with --platform my-shop.toml
  Move the clock:     hufu sandbox clock advance 72h{flag}
  Check the sandbox:  hufu doctor{flag}
  Explain an error:   hufu explain CODE-OR-NUMBER{flag}

Ctrl-C ends it; what was enrolled stays.",
        samples = samples.join("\n              "),
        wallet = addresses.wallet,
        phone = addresses.phone,
        issuer = addresses.issuer,
        registrar = addresses.registrar,
        one = addresses.nodes[0],
        two = addresses.nodes[1],
        three = addresses.nodes[2],
        data = root.path().display(),
    );
}

/// How a program and a browser reach a demo under TLS without a change to this machine.
fn tls_banner(site: &Site, addresses: &Addresses, ca: &LocalCa) {
    let host = site.host();
    let file = addresses.ca.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    let port = addresses.issuer.rsplit(':').next().unwrap_or_default();
    println!(
        "
TLS  {file} vouches for {host} and the names below it, and for nothing else.
  curl        curl --cacert {file} --resolve '*:{port}:127.0.0.1' {issuer}/.well-known/openid-configuration
  Chromium    chromium --user-data-dir=$(mktemp -d) --host-resolver-rules=\"MAP {host} 127.0.0.1, MAP *.{host} 127.0.0.1\" \\
                --ignore-certificate-errors-spki-list={spki} {wallet}
              or import the file as an authority for websites",
        issuer = addresses.issuer,
        spki = ca.spki_sha256(),
        wallet = addresses.wallet,
    );
}
