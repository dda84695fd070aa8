//! A person in software: enrols over HTTP, reads its own code from the phone simulator, signs in.

use crate::http::{Addresses, Http, send_as};
use crate::persons::Person;
use hufu_kernel::{Answer, Clock, Lang, Octets, Pair, Rng, Strength, unb64};
use hufu_platform::client::{Pending, RelyingParty, SignedIn as Known, Wish};
use hufu_wallet::{Details, SoftwareDevice, State, Wallet, WalletError};
use hufu_wire::api::trust::Trust;
use serde_json::Value;
use std::sync::Arc;

/// What a robot needs of the world.
#[derive(Clone)]
pub struct World {
    /// Where everything answers.
    pub addresses: Addresses,
    /// The pinned trust root.
    pub trust: Arc<Trust>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// The version of the notice in force.
    pub notice_version: String,
}

/// A person in software.
pub type Robot = Wallet<Http, SoftwareDevice>;

/// A sentence about what went wrong.
pub type Failure = String;

impl World {
    /// A robot with a new device and no enrolment.
    ///
    /// # Errors
    /// A sentence.
    pub fn robot(&self) -> Result<Robot, Failure> {
        let device =
            SoftwareDevice::generate(&self.trust.rp_id, &self.trust.wallet_origin, self.rng.as_ref()).map_err(text)?;
        self.robot_with(device, State::default())
    }

    /// A robot with a known device and state.
    ///
    /// # Errors
    /// A sentence.
    pub fn robot_with(&self, device: SoftwareDevice, state: State) -> Result<Robot, Failure> {
        let http = Http::new(self.addresses.client()?, self.addresses.clone());
        Wallet::new(Arc::clone(&self.trust), http, device, state, Arc::clone(&self.clock), Arc::clone(&self.rng))
            .map_err(text)
    }

    /// What this person would type.
    #[must_use]
    pub fn details(&self, person: &Person) -> Details {
        let number = &person.documents[0].number;
        let part = |value: i8| u8::try_from(value).unwrap_or_default();
        let birth = person.birth;
        Details {
            document_type: number.kind(),
            document_number: number.expose().to_owned(),
            name: person.name.clone(),
            notice_version: self.notice_version.clone(),
            birth_dates: vec![(
                u16::try_from(birth.year()).unwrap_or_default(),
                part(birth.month()),
                part(birth.day()),
            )],
        }
    }

    /// The newest code sent to this person's phone.
    ///
    /// # Errors
    /// A sentence, if there is none.
    pub async fn code(&self, person: &Person) -> Result<String, Failure> {
        let url = format!("{}/messages?to={}", self.addresses.phone, person.phone.as_str().replace('+', "%2B"));
        let answer = self.addresses.client()?.get(url).send().await.map_err(text)?;
        let messages: Value = serde_json::from_slice(&answer.bytes().await.map_err(text)?).map_err(text)?;
        let list = messages.as_array().or_else(|| messages.get("messages").and_then(Value::as_array));
        let code = list.and_then(|list| list.first()).and_then(|message| message["params"]["code"].as_str());
        code.map(str::to_owned).ok_or_else(|| "no code arrived on the phone".into())
    }

    /// Enrols `person` from the first step to the last.
    ///
    /// # Errors
    /// The step's refusal.
    pub async fn enrol(&self, robot: &mut Robot, person: &Person, password: &str) -> Result<(), WalletError> {
        self.prove(robot, person).await?;
        self.finish_enrolment(robot, person, password).await
    }

    /// The part of enrolment that comes before the device: document, face and phone.
    ///
    /// # Errors
    /// As [`World::enrol`].
    pub async fn prove(&self, robot: &mut Robot, person: &Person) -> Result<(), WalletError> {
        robot.start(&self.details(person)).await?;
        robot.face(b"pass").await?;
        robot.phone(person.phone.as_str(), Lang::En).await?;
        let code =
            self.code(person).await.map_err(|cause| WalletError::Unreachable { office: "the phone".into(), cause })?;
        robot.code(&code).await?;
        Ok(())
    }

    /// The rest of enrolment: device, password, confirmation. Where an office did not answer it is begun again.
    ///
    /// # Errors
    /// As [`World::enrol`].
    pub async fn finish_enrolment(
        &self,
        robot: &mut Robot,
        person: &Person,
        password: &str,
    ) -> Result<(), WalletError> {
        let details = self.details(person);
        let registered = robot.register_device().await?;
        let pair = pair_of(&registered.view.nodes).ok_or(WalletError::State("fewer than two nodes"))?;
        let ready = robot.secure(&registered.view, password, &details, pair).await?;
        robot.confirm(ready).await?;
        Ok(())
    }
}

/// A pair of nodes that both hold the row.
fn pair_of(nodes: &[hufu_kernel::NodeIndex]) -> Option<Pair> {
    Pair::ALL.into_iter().find(|pair| pair.members().iter().all(|member| nodes.contains(member)))
}

/// One sign-in at a platform, from its first request to the person it knows.
pub struct Visit<'a> {
    /// The platform.
    pub platform: &'a RelyingParty,
    /// What it asks.
    pub wish: Wish,
    /// The pair of nodes.
    pub pair: Pair,
    /// The password, where the platform wants one.
    pub password: Option<&'a str>,
}

/// A sign-in that has reached the wallet.
pub struct AtWallet {
    /// What the platform remembers.
    pub pending: Pending,
    /// The transaction.
    pub tx: Octets<32>,
}

impl Visit<'_> {
    /// The platform pushes its request and sends the browser; the front sends it on to the wallet.
    ///
    /// # Errors
    /// A sentence.
    pub async fn arrive(&self, world: &World, robot: &Robot) -> Result<AtWallet, Failure> {
        let http = world.addresses.client()?;
        let pending = self.platform.begin(&self.wish, world.rng.as_ref());
        let now = world.clock.now();
        let push = self.platform.push(&pending, now, world.rng.as_ref()).map_err(text)?;
        let (status, body) = send_as(self.platform, &http, push, now, world.rng.as_ref()).await?;
        let url = self.platform.pushed(status, &body).map_err(text)?;
        let tx = robot.transport().authorize(&url).await?;
        let tx =
            unb64(&tx).and_then(|bytes| Octets::try_from(bytes.as_slice()).ok()).ok_or("a transaction that is none")?;
        Ok(AtWallet { pending, tx })
    }

    /// The whole visit: agrees to everything that is asked.
    ///
    /// # Errors
    /// A sentence.
    pub async fn run(&self, world: &World, robot: &mut Robot) -> Result<Known, Failure> {
        let at = self.arrive(world, robot).await?;
        let asked = robot.open(&at.tx).await.map_err(text)?;
        let answers: Vec<Answer> = asked.transaction.answers.clone();
        let signed = robot.sign_in_with(&asked, &answers, self.password, self.pair).await.map_err(text)?;
        let back = robot.complete(&asked, &signed).await.map_err(text)?;
        self.redeem(world, &at.pending, &back.redirect_to).await
    }

    /// The platform redeems the code it finds in the redirect.
    ///
    /// # Errors
    /// A sentence.
    pub async fn redeem(&self, world: &World, pending: &Pending, redirect_to: &str) -> Result<Known, Failure> {
        let (_, query) = redirect_to.split_once('?').ok_or("a redirect without a query")?;
        let code = self.platform.callback(pending, query).map_err(text)?;
        let (now, rng) = (world.clock.now(), world.rng.as_ref());
        let redeem = self.platform.redeem(pending, &code, now, rng).map_err(text)?;
        let (status, body) = send_as(self.platform, &world.addresses.client()?, redeem, now, rng).await?;
        self.platform.redeemed(pending, status, &body, world.clock.now()).map_err(text)
    }
}

/// The wish for these answers.
#[must_use]
pub fn wish(answers: &[Answer], strength: Option<Strength>) -> Wish {
    Wish { answers: answers.to_vec(), strength, ..Wish::default() }
}

fn text(error: impl std::fmt::Display) -> Failure {
    error.to_string()
}
