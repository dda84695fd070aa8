//! Eleven offices' keepers in memory, and a courier that a test may corrupt.

use hufu_kernel::{Bytes, KeyKeeper, KeyStore, KeyUse, Octets, PENDING, Rng, Root, SeededRng, Timestamp, random};
use hufu_offices::ceremony::{
    Ceremony, CeremonyError, Deliveries, Done, Outcome, PublicNames, Setup, Step, identity_keys, transcript::Known,
};
use hufu_offices::hpke;
use hufu_offices::keeper::SoftwareKeeper;
use hufu_wire::api::Signed;
use hufu_wire::api::SignedError;
use hufu_wire::api::ceremony::{Delivery, Message};
use hufu_wire::api::order::{Kind, Operator, Order, SignedOrder};
use hufu_wire::api::roster::{Identity, OFFICES, Roster};
use hufu_wire::api::trust::Trust;
use hufu_wire::jose::{Alg, SoftKey};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

pub const NOW: Timestamp = Timestamp(1_795_000_000);

pub type Driven = (BTreeMap<&'static str, Ceremony>, Vec<(&'static str, Done)>);
pub type Ran = Result<Vec<(&'static str, Done)>, CeremonyError>;

#[derive(Clone)]
pub struct World {
    pub trust: Option<Trust>,
    /// The roster of the last founding or replacement, where offices have kept it.
    pub before: Option<Roster>,
    /// Seconds since [`NOW`].
    pub passed: Arc<AtomicI64>,
    pub roster: Roster,
    names: PublicNames,
    operators: Vec<Operator>,
    /// One more operator, whom one office's plan alone has.
    pub joined: Option<(&'static str, Operator)>,
    /// The fingerprint of the plan, at this office another one.
    pub replanned: Option<&'static str>,
    operator_keys: Arc<Vec<(String, SoftKey)>>,
    keys: BTreeMap<&'static str, Arc<SoftwareKeeper>>,
    rng: Arc<dyn Rng>,
}

fn fresh(office: &'static str, rng: &Arc<dyn Rng>) -> (Arc<SoftwareKeeper>, Identity) {
    let keeper = SoftwareKeeper::in_memory(Arc::clone(rng));
    let mut sealing = None;
    for (name, usage) in identity_keys(office) {
        if usage == KeyUse::Share {
            let (private, public) = hpke::generate(rng.as_ref());
            keeper.import(name, usage, &private).unwrap();
            sealing = Some(public);
        } else {
            keeper.generate(name, usage).unwrap();
        }
    }
    let Bytes(key) = keeper.public("office").unwrap();
    let key = Octets(key.try_into().unwrap());
    let identity = Identity { office: office.to_owned(), key, sealing, wrapping_sha256: None };
    (Arc::new(keeper), identity)
}

impl World {
    pub fn new(seed: u64) -> Self {
        let rng: Arc<dyn Rng> = Arc::new(SeededRng::new(seed));
        let (mut keys, mut identities) = (BTreeMap::new(), Vec::new());
        for office in OFFICES {
            let (keeper, identity) = fresh(office, &rng);
            keys.insert(office, keeper);
            identities.push(identity);
        }
        let one = |name: &str| (name.to_owned(), SoftKey::generate(Alg::EdDSA, rng.as_ref()).unwrap());
        let operator_keys = vec![one("north"), one("south")];
        let operator = |(name, key): &(String, SoftKey)| Operator {
            name: name.clone(),
            key: Octets(*key.public().key.as_ed25519().unwrap()),
        };
        let operators = operator_keys.iter().map(operator).collect();
        let names = PublicNames {
            issuer: "https://id.example".into(),
            wallet_origin: "https://wallet.example".into(),
            rp_id: "wallet.example".into(),
        };
        let roster = Roster::new(Root::Production, Octets(random(rng.as_ref())), identities).unwrap();
        Self {
            trust: None,
            before: None,
            passed: Arc::default(),
            roster,
            names,
            operators,
            joined: None,
            replanned: None,
            operator_keys: Arc::new(operator_keys),
            keys,
            rng,
        }
    }

    pub fn keys(&self, office: &str) -> &SoftwareKeeper {
        &self.keys[office]
    }

    pub fn order(&self, kind: Kind, subject: Option<&str>) -> SignedOrder {
        let order = Order {
            kind,
            root: self.roster.root(),
            root_id: *self.roster.root_id(),
            roster: self.roster.hash(),
            subject: subject.map(str::to_owned),
            effective: (kind == Kind::Rotate).then_some(NOW + 3600),
            gives_up: None,
            nonce: Octets(random(self.rng.as_ref())),
            not_after: NOW + 600,
        };
        let signed = |(name, key): &(String, SoftKey)| {
            let signature = key.sign_deterministic(&order.signing_bytes(name));
            (name.clone(), Octets::try_from(signature.as_slice()).unwrap())
        };
        SignedOrder { signatures: self.operator_keys.iter().map(signed).collect(), order }
    }

    pub fn begin(&self, office: &'static str, order: &SignedOrder) -> Result<(Ceremony, Deliveries), CeremonyError> {
        let joined = self.joined.iter().filter(|(at, _)| *at == office).map(|(_, operator)| operator.clone());
        let setup = Setup {
            office,
            order: order.clone(),
            operators: self.operators.iter().cloned().chain(joined).collect(),
            roster: self.roster.clone(),
            before: self.before.clone(),
            names: self.names.clone(),
            plan: Octets([if self.replanned == Some(office) { 8 } else { 7 }; 32]),
            trust: self.trust.clone(),
            keys: Arc::clone(&self.keys[office]) as _,
            rng: Arc::clone(&self.rng),
        };
        Ceremony::begin(setup, self.now())
    }

    fn now(&self) -> Timestamp {
        NOW + self.passed.load(Ordering::Relaxed)
    }

    /// Runs an order at all its parties; the first error ends it.
    pub fn run(&mut self, order: &SignedOrder, tamper: impl Fn(&str, &str, &mut Delivery)) -> Ran {
        let (machines, done) = self.drive(order, |from, to, delivery| {
            tamper(from, to, delivery);
            true
        })?;
        assert!(machines.is_empty(), "somebody still waits");
        Ok(done)
    }

    /// As [`World::run`], with deliveries that are lost; and the machines that still wait.
    pub fn drive(
        &self,
        order: &SignedOrder,
        arrives: impl Fn(&str, &str, &mut Delivery) -> bool,
    ) -> Result<Driven, CeremonyError> {
        let parties = hufu_offices::ceremony::parties(order)?;
        let (mut machines, mut under_way) = (BTreeMap::new(), VecDeque::new());
        for office in parties {
            let (machine, said) = self.begin(office, order)?;
            under_way.extend(said.into_iter().map(|(to, delivery)| (office, to, delivery)));
            machines.insert(office, machine);
        }
        let mut done = Vec::new();
        while let Some((from, to, mut delivery)) = under_way.pop_front() {
            if !arrives(from, to, &mut delivery) {
                continue;
            }
            let Some(machine) = machines.get_mut(to) else { continue };
            match machine.take(from, delivery.clone(), self.now())? {
                Step::Waiting => {}
                Step::Say(said) => under_way.extend(said.into_iter().map(|(next, delivery)| (to, next, delivery))),
                Step::Done(ended) => {
                    done.push((to, *ended));
                    machines.remove(to);
                    continue;
                }
            }
            // A delivery that is repeated says nothing new.
            assert!(matches!(machine.take(from, delivery, self.now())?, Step::Waiting));
        }
        Ok((machines, done))
    }

    pub fn settle(&mut self, ran: Ran) {
        for (office, done) in ran.unwrap() {
            done.settle(self.keys[office].as_ref()).unwrap();
            if let Outcome::Trust(trust) = done.outcome {
                self.trust = Some(*trust);
            }
        }
    }

    pub fn settled_nowhere(&self) -> bool {
        self.keys.iter().all(|(office, keys)| {
            let identity = identity_keys(office);
            let known = |name: &String| name.starts_with(PENDING) || identity.iter().any(|(known, _)| known == name);
            keys.names().unwrap().iter().all(known)
        })
    }

    pub fn known(&self) -> Known<'_> {
        Known { roster: &self.roster, operators: &self.operators, names: &self.names, trust: self.trust.as_ref() }
    }

    /// What a lying office would sign.
    pub fn sign(&self, office: &str, message: &Message) -> Signed<Message> {
        Signed::make(office, message, |bytes| {
            Ok::<_, SignedError>(self.keys[office].sign_ed25519("office", bytes).unwrap())
        })
        .unwrap()
    }

    /// An office loses everything; with a new identity it is in the roster again.
    pub fn lose(&mut self, office: &'static str, renewed: bool) {
        assert!(renewed);
        let (keeper, identity) = fresh(office, &self.rng);
        self.keys.insert(office, Arc::new(Arc::into_inner(keeper).unwrap()));
        let mut identities = self.roster.identities().to_vec();
        for held in identities.iter_mut().filter(|held| held.office == office) {
            *held = identity.clone();
        }
        self.roster = Roster::new(self.roster.root(), *self.roster.root_id(), identities).unwrap();
    }

    /// Another key to seal to an office stands in the roster; with its own doing the office has it too.
    pub fn reseal(&mut self, office: &str, own: bool) {
        let (private, public) = hpke::generate(self.rng.as_ref());
        if own {
            self.keys(office).destroy("hpke").unwrap();
            self.keys(office).import("hpke", KeyUse::Share, &private).unwrap();
        }
        let mut identities = self.roster.identities().to_vec();
        for held in identities.iter_mut().filter(|held| held.office == office) {
            held.sealing = Some(public.clone());
        }
        self.roster = Roster::new(self.roster.root(), *self.roster.root_id(), identities).unwrap();
    }

    /// The roster pins the key under which others wrap for an office; what its keeper has, or another.
    pub fn pin_wrapping(&mut self, office: &str, wrapping: &[u8]) {
        let mut identities = self.roster.identities().to_vec();
        for held in identities.iter_mut().filter(|held| held.office == office) {
            held.wrapping_sha256 = Some(Identity::pin(wrapping));
        }
        self.roster = Roster::new(self.roster.root(), *self.roster.root_id(), identities).unwrap();
    }

    /// The same with keys that do not change when this world's do.
    pub fn clone_keys(&self) -> Self {
        let keys = self.keys.iter().map(|(office, keeper)| (*office, Arc::new(keeper.twin()))).collect();
        Self { keys, ..self.clone() }
    }
}
